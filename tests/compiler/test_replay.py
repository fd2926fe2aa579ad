"""A plan is held against the recording: where it differs the recording counts, and it is said."""

import numpy as np
import pytest

import microrecur as mr
from microrecur.compiler import plan as plans
from microrecur.compiler.plan import build
from microrecur.compiler.program import Program
from microrecur.compiler.replay import Replay, are_finite

from .graphs import LAYERS, changed, layer_graph, rerun, same


def wrong_passes(program):
    """Passes that leave a gate's numbers wrong, as a defect would."""
    families, recurrences = plans._in_recorded_order(program)
    for family in families.alive.values():
        if family.op.name == "tanh":
            families.rewrite(family, mr.engine.ops.sin, family.columns)
            break
    return families, recurrences


def raising_passes(program):
    raise ValueError("operands could not be broadcast")


def exactly(plan, inputs, outputs):
    for seed in range(2):
        arrays = changed(inputs, seed)
        same(plan.run(arrays), rerun(inputs, outputs, arrays), 1e-14)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("passes", [wrong_passes, raising_passes])
def test_a_plan_that_is_wrong_or_raises_is_not_taken(monkeypatch, kind, passes):
    monkeypatch.setattr(plans, "_passes", passes)
    inputs, outputs = layer_graph(kind, loss="all")
    plan = build(inputs, outputs)
    assert plan.fallen_back is not None
    exactly(plan, inputs, outputs)
    last = plan.report().splitlines()[-1]
    assert last.startswith("in the recorded order, since folded over time  ")
    assert last.endswith("away" if passes is wrong_passes else "could not be broadcast")
    assert "once per call" in plan.explain("t2.h")
    space = dict(plan.namespace)
    exec(plan.source, space)
    arrays = [x.data.copy() for x in inputs]
    same([np.asarray(y) for y in space["run"](*arrays)], plan.run(arrays), 1e-14)


def test_where_no_plan_is_right_the_recorded_ops_run(monkeypatch):
    monkeypatch.setattr(plans, "_passes", raising_passes)
    monkeypatch.setattr(plans, "_in_recorded_order", raising_passes)
    inputs, outputs = layer_graph("gru", loss="all")
    plan = build(inputs, outputs)
    exactly(plan, inputs, outputs)
    assert "in the recorded order" in plan.report()
    assert plan.explain("t2.h") == "t2.h is computed by itself, by the op that was recorded."
    space = dict(plan.namespace)
    exec(plan.source, space)
    arrays = [x.data for x in inputs]
    same(space["run"](*arrays), plan.run(arrays), 0)


def test_a_right_plan_says_nothing_of_it():
    plan = build(*layer_graph("lstm"))
    assert plan.fallen_back is None
    assert "recorded order" not in plan.report()


def test_the_recorded_ops_give_the_recordings_own_digits():
    inputs, outputs = layer_graph("lstm", loss="all")
    replay = Replay(Program(inputs, outputs, {}))
    arrays = changed(inputs)
    for got, expected in zip(replay.run(arrays), rerun(inputs, outputs, arrays), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("got", "said"),
    [
        ([1.0, 2.0], None),
        ([1.0, 2.0 + 1e-13], None),
        ([1.0, 2.0 + 1e-11], "output 0 is 1.0e-11 away"),
        ([1.0, np.nan], "output 0 is nan away"),
        ([[1.0, 2.0]], "output 0 is float64 (1, 2), recorded as float64 (2,)"),
    ],
)
def test_what_differs_is_told(got, said):
    x = mr.tensor([1.0, 2.0])
    replay = Replay(Program([x], [x * 1.0], {}))
    assert replay.difference([np.array(got)], [np.array([1.0, 2.0])]) == said


def test_finite_or_not():
    assert are_finite([np.array(1e300), np.zeros((2, 0)), np.ones((2, 3), np.float32) * 1e30])
    for bad in (np.nan, np.inf, -np.inf):
        assert not are_finite([np.ones(3), np.array([[1.0, bad]])])


# -- numbers that are none, and digits that cancel -------------------------------------------------


def steps(step, x, h):
    for t in range(len(x)):
        with mr.scope(f"t={t + 1}"):
            h = step(x[t], h)
    return h


@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1e308])
def test_an_infinite_factor_of_a_sum(bad):
    w, c = mr.tensor([[0.3, 0.4, -0.5]]), mr.tensor([0.2, 0.3, 0.4])
    f = mr.compile(lambda x: steps(lambda v, h: mr.tanh((v @ w) * (h + c)), x, c * 0.0).sum())
    for x in ([[0.2], [0.1], [-0.4], [0.3]], [[0.2], [0.1], [-0.4], [bad]]):
        given = mr.tensor(x)
        with np.errstate(all="ignore"):
            expected = f.function(given).item()
        assert np.isfinite(expected)
        assert f(given).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("factor", [1.1, 0.3])
def test_large_numbers_that_cancel_in_a_factor(factor):
    c = mr.tensor(np.full(3, -1e8), requires_grad=True)
    g = mr.value_and_grad(
        lambda x, h: steps(lambda v, h: mr.tanh((v * factor) * (h + c)) - c, x, h).sum(), [c]
    )
    compiled = mr.compile(g)
    compiled(np.ones((4, 3)), np.ones(3))  # recorded where nothing cancels
    x, h = np.full((4, 3), 1.1), np.full(3, 1e8 + 0.37)
    np.testing.assert_allclose(compiled(x, h)[1][0], g(x, h)[1][0], rtol=0, atol=1e-12)


def test_a_gate_of_1_leaves_no_rounding_of_what_it_shuts_out():
    def f(x, h):
        return steps(lambda v, h: (1 - (z := mr.sigmoid(v))) * (v * 1e9 + h) + z * h, x, h)

    compiled = mr.compile(f)
    compiled(np.ones((3, 2)), np.ones(2))
    x, h = np.full((3, 2), 40.0), np.array([0.1, 0.7])  # σ(40) is 1
    np.testing.assert_allclose(compiled(x, h).data, h, rtol=0, atol=1e-15)


def test_a_result_that_is_not_finite_is_the_recordings():
    w = mr.tensor(np.ones((3, 1)) * 0.3, requires_grad=True)

    def f(x):
        total = mr.tensor(0.0)
        for t in range(3):
            with mr.scope(f"t={t + 1}"):
                total = total + mr.relu(x[t] @ w).sum()
        return total

    g = mr.value_and_grad(f, [w])
    compiled = mr.compile(g)
    x = np.arange(9.0).reshape(3, 1, 3) / 9
    compiled(x)
    x[1, 0, 1] = -np.inf
    with np.errstate(all="ignore"):
        (value, (gradient,)), (v, (d,)) = g(x), compiled(x)
    np.testing.assert_array_equal(v.data, value.data)
    np.testing.assert_array_equal(d, gradient)
