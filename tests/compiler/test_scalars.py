"""One-number recordings run as Python over floats, and give what NumPy gives where math raises."""

import math

import numpy as np
import pytest

import microrecur as mr
from microrecur.compiler.plan import build
from microrecur.compiler.scalars import FORMS
from microrecur.engine.ops import TABLE

from .graphs import check, rerun, same


def cell_graph(kind, T, peephole=False):
    cell = {"rnn": mr.RNNCell, "lstm": mr.LSTMCell, "gru": mr.GRUCell}[kind](1, 1, seed=0)
    xs = mr.tensor(np.random.default_rng(0).standard_normal(T), name="x")
    target = mr.tensor(0.3)
    last = mr.unroll(cell, xs)[-1]
    h = last[0] if isinstance(last, tuple) else last
    loss = mr.mse_loss(h, target)
    parameters = [p for _, p in cell.named_parameters()]
    gradients = mr.grad(loss, [xs, *parameters], by_result=True)
    return [xs, target, *parameters], [loss, *gradients]


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("T", [1, 3, 20])
def test_one_number_cells(kind, T):
    plan = check(*cell_graph(kind, T))
    assert "numpy" not in plan.source and "dot" not in plan.source
    assert "operations on floats" in plan.report()
    assert "one number" in plan.explain("t1.h")


SAMPLES = [-3.7, -1.0, -0.0, 0.0, 0.3, 1.0, 2.5, math.inf, -math.inf, math.nan, 1e300, 5e-324]
SAMPLES += [-800.0, 800.0, 40.0, -40.0]


@pytest.mark.parametrize("name", [*FORMS, "pow"])
def test_every_form_is_the_card(name):
    """Each op at the samples, also where math raises: then NumPy's inf and nan come out."""
    card = TABLE[name]
    arity = {"where": 3, "pow": 1, "relu": 1}.get(name) or len(getattr(card, "partials", (0, 0)))
    static = {"p": 2.5} if name == "pow" else {}
    xs = [mr.tensor(0.5 + 0.1 * k) for k in range(arity)]
    with np.errstate(all="ignore"):
        asked = [xs[0] > 0.0, *xs[1:]] if name == "where" else xs
        y = card(*asked, **static)
    if y.dtype == bool:
        y = mr.where(y, 1.0, mr.tensor(2.0))
    plan = build(xs, [y])
    assert "np." not in plan.source, "a program of numbers"
    for a in SAMPLES:
        for b in SAMPLES if arity > 1 else [0.0]:
            arrays = [np.array(v) for v in [a, b, 1.5][:arity]]
            got, expected = plan.run(arrays)[0], rerun(xs, [y], arrays)[0]
            np.testing.assert_allclose(got, expected, rtol=1e-14, atol=0, err_msg=f"{a}, {b}")


def test_powers_and_overflow():
    x = mr.tensor(2.0)
    y = mr.exp(x) + x**2 + x**0.5 + 1 / x
    plan = build([x], [y, mr.grad(y, x)])
    for value in (2.0, 0.0, -1.0, 1e4, -math.inf, math.nan):
        arrays = [np.array(value)]
        got, expected = plan.run(arrays), rerun([x], [y, mr.grad(y, x)], arrays)
        same(got, expected)


def test_numbers_taken_out_of_arrays_and_put_back():
    w = mr.tensor([[1.0, 2.0], [3.0, 4.0]], name="w")
    y = mr.tanh(w[0, 1] * w[1, 0]) + w[1, 1]
    plan = check([w], [y, mr.grad(y, w)])
    assert plan.run([np.ones((2, 2))])[1].shape == (2, 2)


def test_float32_and_arrays_are_left_to_numpy():
    x = mr.tensor(np.float32(2.0))
    assert "np." in build([x], [x * x]).source
    v = mr.tensor([1.0, 2.0])
    assert "np." in build([v], [v * v]).source
