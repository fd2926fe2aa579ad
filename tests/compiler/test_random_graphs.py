"""Whatever is recorded, the plan gives what the recording gives."""

import pytest

from microrecur.compiler.plan import build

from .graphs import check
from .random_graphs import recurrent, straight


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(60))
def test_straight_programs(seed):
    check(*straight(seed))


@pytest.mark.parametrize("seed", range(80))
def test_random_cells_over_time(seed):
    check(*recurrent(seed))


def test_random_cells_do_make_loops():
    plans = [build(*recurrent(seed, steps=6)) for seed in range(40)]
    assert sum("for " in plan.source for plan in plans) > 20
