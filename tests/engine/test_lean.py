"""The short ways through the engine give what the long ones give, and leave nothing behind."""

import gc
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

import microrecur as mr
from microrecur.engine.reverse import GATHERED
from microrecur.engine.tensor import Tensor

# -- memory ----------------------------------------------------------------------------------------


def resident():
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in x)
    return int(line.split()[1]) * 1024


@pytest.fixture
def without_collector():
    """What is freed is freed by its last reference: cycles would stay."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_flat_over_ten_thousand_steps_of_training(without_collector):
    cell = mr.RNNCell(1, 2, seed=0)
    optimizer = mr.SGD(cell, lr=0.01)
    xs = np.random.default_rng(0).normal(size=(10_000, 2, 1))
    held = {}
    for step, x in enumerate(xs):
        optimizer.zero_grad()
        mr.unroll(cell, x)[-1].sum().backward()
        optimizer.step()
        if step in (500, 9_999):
            held[step] = sum(type(o) is Tensor for o in gc.get_objects()), resident()
    (tensors, before), (still, after) = held.values()
    assert still == tensors < 1_000
    assert after - before < 2**20


@pytest.mark.parametrize("x", [0.3, [0.3, -0.2]], ids=["one number", "an array"])
def test_a_tape_goes_with_its_last_reference(without_collector, x):
    leaf = mr.tensor(x, requires_grad=True)
    before = sum(type(o) is Tensor for o in gc.get_objects())
    y = leaf
    for _ in range(100):
        y = mr.tanh(y * leaf + 0.1)
    y.sum().backward()
    assert sum(type(o) is Tensor for o in gc.get_objects()) > before + 300
    del y
    assert sum(type(o) is Tensor for o in gc.get_objects()) == before


# -- one number ------------------------------------------------------------------------------------


def chain(x, w):
    y = mr.sigmoid(x * w + 0.5) / (2.0 + mr.exp(-x)) - mr.tanh(w @ x)
    return mr.log(mr.sech2(y) + 1.5) * w


def test_one_number_has_the_numbers_of_an_array_of_one():
    found = []
    for shape in ((), (1,)):
        x = mr.tensor(np.full(shape, 0.7), requires_grad=True)
        w = mr.tensor(np.full(shape, -1.3), requires_grad=True)
        y = chain(x, w).sum()
        y.backward()
        again = mr.grad(chain(x, w).sum(), x)
        found.append([y.item(), x.grad.item(), w.grad.item(), again.item(),
                      mr.grad(again.sum(), w).item()])  # fmt: skip
    np.testing.assert_allclose(found[0], found[1], rtol=1e-14)


def test_one_number_is_a_zero_dimensional_array_for_who_asks():
    y = mr.tensor(0.5) * 3.0
    assert (y.shape, y.ndim, y.size, y.dtype) == ((), 0, 1, np.float64)
    assert type(y.data) is np.ndarray and y.data == 1.5 == y.item() == float(y)
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'nonsense'"):
        _ = y.nonsense


def test_an_assigned_number_is_the_one_that_counts():
    x = mr.tensor(2.0, requires_grad=True)
    x.assign(5.0)
    (x * x).backward()
    assert ((x * 3.0).item(), x.grad) == (15.0, 10.0)


@pytest.mark.parametrize(
    ("made", "value", "said"),
    [
        (lambda x: x * 1e308 * 10.0, math.inf, "overflow"),
        (lambda x: x / 0.0, math.inf, "divide by zero"),
        (lambda x: mr.log(x - x), -math.inf, "divide by zero"),
        (lambda x: mr.exp(x * 1000.0), math.inf, "overflow"),
        (lambda x: (x / 0.0) - (x / 0.0), math.nan, "invalid value"),
    ],
)
def test_what_python_refuses_is_what_numpy_makes_of_it(made, value, said):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        y = made(mr.tensor(1.0))
    np.testing.assert_equal(y.item(), value)
    assert any(said in str(w.message) for w in seen)


def test_a_slope_that_python_refuses_is_what_numpy_makes_of_it():
    b = mr.tensor(1e-320, requires_grad=True)
    with np.errstate(over="ignore", divide="ignore"):
        (mr.tensor(1e-320) / b).backward()
    assert b.grad == -math.inf


def test_numbers_and_arrays_meet_in_one_sweep():
    w = mr.tensor(0.5, requires_grad=True)
    x = np.arange(6.0).reshape(2, 3)
    (mr.tanh(w) * w + (w * x).sum() + w * 2.0).backward()
    assert w.grad == pytest.approx(math.tanh(0.5) + 0.5 / math.cosh(0.5) ** 2 + 15 + 2)


# -- what is shared, and what is summed late -------------------------------------------------------


def test_gradients_that_are_handed_on_are_arrays_of_their_own():
    a, b = (mr.tensor([1.0, 2.0], requires_grad=True) for _ in "ab")
    s = (a + b).named("s")
    (s * s).sum().backward()
    for one, other in ((a, b), (a, s), (b, s)):
        assert not np.shares_memory(one.grad, other.grad)
    a.grad[:] = 0
    np.testing.assert_array_equal(b.grad, [4.0, 8.0])


def test_what_is_added_to_is_nobody_elses():
    a = mr.tensor([1.0, 2.0], requires_grad=True)
    s = (a * 3.0 + a).named("s")  # a gets the cotangent of s itself, then three times it
    (s * 1.0).sum().backward()
    np.testing.assert_array_equal(s.grad, [1.0, 1.0])
    np.testing.assert_array_equal(a.grad, [4.0, 4.0])


def test_the_gradient_given_is_left_as_it_was():
    x, given = mr.tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0])
    y = (x + 0.0).named("y")
    y.backward(given)
    y.grad[:] = x.grad[:] = 0
    np.testing.assert_array_equal(given, [3.0, 4.0])


@pytest.mark.parametrize("rows", [3, GATHERED], ids=["gathered", "summed at once"])
def test_a_repeated_operand_gathers_all_its_contributions(rows):
    draw = np.random.default_rng(0)
    x, b = draw.normal(size=(rows, 2)), mr.tensor([0.1, -0.2], requires_grad=True)
    # As it is, repeated over rows, over rows and columns, and repeated as a column of one.
    column = b.reshape(2, 1)
    y = (b * b).sum() + (x * b).sum() + ((x + b) * (x + b)).sum() + (column * np.ones((2, 5))).sum()
    y.backward()
    expected = 2 * b.data + x.sum(axis=0) + 2 * (x + b.data).sum(axis=0) + 5
    np.testing.assert_allclose(b.grad, expected, rtol=1e-12)


def test_a_gradient_has_its_own_dtype_whatever_it_met():
    x = mr.tensor(np.ones(3, np.float32), requires_grad=True)
    (x * np.ones(3) + x * np.ones((2, 3))).sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, [4.0, 4.0, 4.0])


# -- scopes ----------------------------------------------------------------------------------------


def test_a_scope_decorates_a_function_that_calls_itself():
    @mr.scope("deep")
    def descend(n):
        return descend(n - 1) if n else mr.tensor(1.0).scope

    assert descend(2) == ("deep", "deep", "deep")
    assert mr.tensor(1.0).scope == ()
