"""The checker itself: it passes what is right, and a planted wrong derivative turns it red."""

import re

import numpy as np
import pytest

import microrecur as mr
from microrecur.engine.primitive import Elementwise

from .strategies import sample

X = sample((3,), seed=1)
A = sample((2, 3), seed=2)


def planted(*partials, forward=np.sin):
    """An op that computes `forward` and claims these partial derivatives."""
    return Elementwise(
        name="planted",
        symbol="?",
        latex=r"\mathrm{planted}(#1)",
        kind="other",
        forward=forward,
        partials=partials,
    )


def input_of(array, name="x"):
    return mr.tensor(array, requires_grad=True, name=name)


RIGHT = {
    "one op": (lambda x: mr.sin(x), [X]),
    "a cell's step": (lambda x, W: mr.tanh(W @ x) * mr.sigmoid(W @ x), [X, A]),
    "a number": (lambda x: (x * x).sum(), [X]),
    "0-d": (lambda x: mr.exp(x) * x, [np.array(0.3)]),
    "not dependent on one input": (lambda x, y: x**2, [X, X + 1]),
    "linear, so the second derivative is zero": (lambda x: 3.0 * x, [X]),
    "a right custom op": (planted(lambda y, x: mr.cos(x)), [X]),
}

WRONG = {
    "one percent off": (planted(lambda y, x: 1.01 * mr.cos(x)), [X]),
    "wrong sign": (planted(lambda y, x: -mr.cos(x)), [X]),
    "missing": (planted(lambda y, x: 0.0), [X]),
    "a missing term": (
        planted(lambda y, x: mr.cos(x), forward=lambda x: np.sin(x) + 0.5 * x),
        [X],
    ),
    "operands swapped": (
        planted(lambda y, a, b: a, lambda y, a, b: b, forward=lambda a, b: a * b),
        [X, X + 1],
    ),
    "wrong in the second operand alone": (
        planted(lambda y, a, b: b, lambda y, a, b: 1.01 * a, forward=lambda a, b: a * b),
        [X, X + 1],
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_passes_what_is_right(name):
    f, arrays = RIGHT[name]
    assert mr.gradcheck(f, [input_of(a) for a in arrays]) is True


@pytest.mark.parametrize("name", WRONG)
def test_a_planted_slip_is_red(name):
    f, arrays = WRONG[name]
    with pytest.raises(mr.GradcheckError):
        mr.gradcheck(f, [input_of(a) for a in arrays])


@pytest.mark.parametrize("name", WRONG)
def test_can_say_no_without_raising(name):
    f, arrays = WRONG[name]
    assert mr.gradcheck(f, [input_of(a) for a in arrays], raise_exception=False) is False


def first_order_right_second_wrong():
    """cos as a first derivative, whose own derivative is claimed to be −1.01 sin."""
    wrong_cos = planted(lambda y, x: -1.01 * mr.sin(x), forward=np.cos)
    return planted(lambda y, x: wrong_cos(x))


def test_a_slip_of_second_order_is_red_at_order_two_only():
    f = first_order_right_second_wrong()
    assert mr.gradcheck(f, [input_of(X)], order=1) is True
    with pytest.raises(mr.GradcheckError):
        mr.gradcheck(f, [input_of(X)], order=2)
    assert mr.gradcheck(f, [input_of(X)], order=2, raise_exception=False) is False


def test_a_derivative_that_leaves_the_graph_is_red_at_order_two():
    f = planted(lambda y, x: np.cos(np.asarray(x)))
    assert mr.gradcheck(f, [input_of(X)], order=1) is True
    assert mr.gradcheck(f, [input_of(X)], order=2, raise_exception=False) is False


def test_the_message_names_input_index_and_both_numbers():
    """∂(w·x)/∂w is x; the plant claims 2x at one entry only: that entry is what it must name."""
    doubled = np.array([1.0, 1.0, 2.0])
    slip = planted(lambda y, a, b: b * doubled, lambda y, a, b: a, forward=np.multiply)
    w, x = input_of(A[0], "w"), input_of(np.array([0.5, 0.25, 4.0]), "x")
    with pytest.raises(mr.GradcheckError) as error:
        mr.gradcheck(lambda w, x: slip(w, x).sum(), [w, x])
    text = str(error.value)
    assert re.search(r"\bw\b", text)
    assert "2" in re.findall(r"[\[(](\d+)", text)[0]
    numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", text)]
    assert any(n == pytest.approx(8.0, abs=1e-3) for n in numbers)
    assert any(n == pytest.approx(4.0, abs=1e-3) for n in numbers)


def test_an_unnamed_input_is_named_by_its_place():
    f = planted(lambda y, a, b: b, lambda y, a, b: 2 * a, forward=lambda a, b: a * b)
    inputs = [mr.tensor(X, requires_grad=True), mr.tensor(X + 1, requires_grad=True)]
    with pytest.raises(mr.GradcheckError, match=r"(?i)input.*1|second"):
        mr.gradcheck(f, inputs)


def test_leaves_inputs_and_their_gradients_as_they_were():
    x = input_of(X)
    x.grad = np.ones(3)
    mr.gradcheck(lambda x: x * x, [x])
    np.testing.assert_array_equal(x.data, X)
    np.testing.assert_array_equal(x.grad, np.ones(3))


def test_tolerances_are_honoured():
    f, arrays = WRONG["one percent off"]
    assert mr.gradcheck(f, [input_of(a) for a in arrays], rtol=0.05, atol=0.05) is True


def test_a_result_that_is_not_finite_is_red():
    with np.errstate(all="ignore"):
        verdict = mr.gradcheck(lambda x: mr.log(x - 10.0), [input_of(X)], raise_exception=False)
    assert verdict is False
