"""Whatever is recorded, the plan gives what the recording gives."""

import numpy as np
import pytest

from microrecur.compiler.plan import build

from .graphs import check, rerun, same
from .random_graphs import recurrent, straight, varied


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(60))
def test_straight_programs(seed):
    check(*straight(seed))


@pytest.mark.parametrize("seed", range(80))
def test_random_cells_over_time(seed):
    check(*recurrent(seed))


@pytest.mark.parametrize("seed", range(120))
def test_steps_that_differ_in_what_they_do_and_read(seed):
    check(*varied(seed))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, "huge"])
@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_numbers_that_are_none_come_out_as_recorded(seed, bad):
    inputs, outputs = recurrent(seed) if seed % 2 else varied(seed)
    plan = build(inputs, outputs)
    arrays = [x.data.copy() for x in inputs]
    k = max(k for k, a in enumerate(arrays) if a.dtype.kind == "f" and a.size)
    arrays[k].reshape(-1)[-1] = np.finfo(arrays[k].dtype).max / 2 if bad == "huge" else bad
    got, expected = plan.run(arrays), rerun(inputs, outputs, arrays)
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_array_equal(np.isfinite(g), np.isfinite(e))
    same(got, expected)


def test_random_cells_do_make_loops():
    plans = [build(*recurrent(seed, steps=6)) for seed in range(40)]
    assert sum("for " in plan.source for plan in plans) > 20
