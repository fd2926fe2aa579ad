"""Every public op beside torch: value, dtype, every gradient, and the gradient's gradient."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microrecur as mr

from .strategies import (
    broadcastable,
    dtypes,
    examples,
    leaves,
    sample,
    samples,
    seeds,
    shape_and_axis,
    shapes,
)

torch = pytest.importorskip("torch", reason="torch (CPU build) is the independent answer here")
functional = torch.nn.functional

TOLERANCE = {
    np.dtype(np.float64): {"rtol": 1e-10, "atol": 1e-12},
    np.dtype(np.float32): {"rtol": 5e-5, "atol": 5e-6},
}


def agree(ours, theirs, like):
    """Our array equals torch's; torch's None is a gradient of zero."""
    theirs = np.zeros(like.shape, like.dtype) if theirs is None else theirs.numpy(force=True)
    ours = np.zeros(like.shape, like.dtype) if ours is None else ours
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, **TOLERANCE[np.dtype(like.dtype)])


def gradients_of_gradients(xs, y, ts, t, seed, weights):
    """∂/∂x of the gradient contracted with weights, ours and torch's."""
    first = mr.grad(y, xs, seed=seed)
    ours = sum((g * w).sum() for g, w in zip(first, weights, strict=True))
    first = torch.autograd.grad(t, ts, torch.tensor(seed), create_graph=True, allow_unused=True)
    pairs = [(g, w) for g, w in zip(first, weights, strict=True) if g is not None]
    theirs = sum((g * torch.tensor(w)).sum() for g, w in pairs)
    nothing = [None] * len(ts)
    depends = isinstance(theirs, torch.Tensor) and theirs.requires_grad
    second = torch.autograd.grad(theirs, ts, allow_unused=True) if depends else nothing
    return mr.grad(ours, xs), second


def beside(f, g, *arrays, second=True):
    """f(*tensors) equals g(*torch tensors): value, dtype, gradients, gradients of gradients."""
    xs, ts = leaves(*arrays), [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = f(*xs), g(*ts)
    agree(y.data, t, y.data)
    seed = sample(y.shape, seed=7, dtype=y.dtype)
    y.backward(seed)
    t.backward(torch.tensor(seed), retain_graph=True)
    for x, s in zip(xs, ts, strict=True):
        agree(x.grad, s.grad, x.data)
    if second and all(a.dtype == np.float64 for a in arrays):
        weights = samples([a.shape for a in arrays], seed=8)
        ours, theirs = gradients_of_gradients(xs, y, ts, t, seed, weights)
        for a, b, x in zip(ours, theirs, xs, strict=True):
            agree(a.data, b, x.data)


UNARY = {
    "neg": (mr.neg, torch.neg, -2, 2),
    "exp": (mr.exp, torch.exp, -2, 2),
    "log": (mr.log, torch.log, 0.2, 3),
    "log1p": (mr.log1p, torch.log1p, -0.7, 3),
    "sqrt": (mr.sqrt, torch.sqrt, 0.2, 3),
    "abs": (mr.abs, torch.abs, -2, 2),
    "tanh": (mr.tanh, torch.tanh, -4, 4),
    "sigmoid": (mr.sigmoid, torch.sigmoid, -6, 6),
    "relu": (mr.relu, torch.relu, -2, 2),
    "softplus": (mr.softplus, functional.softplus, -5, 5),
    "sin": (mr.sin, torch.sin, -4, 4),
    "cos": (mr.cos, torch.cos, -4, 4),
    "sech2": (mr.sech2, lambda t: torch.cosh(t) ** -2, -3, 3),
    "square": (lambda x: x**2, lambda t: t**2, -2, 2),
    "cube": (lambda x: x**3, lambda t: t**3, -2, 2),
    "root": (lambda x: x**0.5, lambda t: t**0.5, 0.2, 2),
    "inverse power": (lambda x: x**-1.5, lambda t: t**-1.5, 0.2, 2),
    "power of two": (lambda x: 2.0**x, lambda t: 2.0**t, -2, 2),
    "affine": (lambda x: 3 - 2 * x / 4 + 1, lambda t: 3 - 2 * t / 4 + 1, -2, 2),
    "reciprocal": (lambda x: 1 / x, lambda t: 1 / t, 0.3, 2),
    "clip": (lambda x: mr.clip(x, -0.5, 1.0), lambda t: torch.clamp(t, -0.5, 1.0), -2, 2),
    "clip below": (lambda x: mr.clip(x, 0.5, None), lambda t: torch.clamp(t, min=0.5), -2, 2),
    "clip above": (lambda x: mr.clip(x, None, 0.5), lambda t: torch.clamp(t, max=0.5), -2, 2),
}


@pytest.mark.parametrize("name", UNARY)
@examples(20)
@given(shape=shapes(), seed=seeds, dtype=dtypes)
def test_one_operand(name, shape, seed, dtype):
    f, g, lo, hi = UNARY[name]
    beside(f, g, sample(shape, seed, lo, hi, dtype))


BINARY = {
    "add": (mr.add, torch.add, -2, 2),
    "sub": (mr.sub, torch.sub, -2, 2),
    "mul": (mr.mul, torch.mul, -2, 2),
    "div": (mr.div, torch.div, 0.3, 2),
    "pow": (mr.pow, torch.pow, 0.3, 2),
    "maximum": (mr.maximum, torch.maximum, -2, 2),
    "minimum": (mr.minimum, torch.minimum, -2, 2),
    "where": (
        lambda x, y: mr.where(x < y, x * y, y),
        lambda s, t: torch.where(s < t, s * t, t),
        -2,
        2,
    ),
}


@pytest.mark.parametrize("name", BINARY)
@examples(25)
@given(pair=broadcastable(), seed=seeds, dtype=dtypes)
def test_two_operands_broadcast(name, pair, seed, dtype):
    f, g, lo, hi = BINARY[name]
    beside(f, g, *samples(pair, seed, lo, hi, dtype))


@examples(25)
@given(triple=broadcastable(3), seed=seeds)
def test_where_broadcasts_its_mask(triple, seed):
    mask, x, y = samples(triple, seed)
    beside(
        lambda x, y: mr.where(mask > 0, x, y),
        lambda s, t: torch.where(torch.tensor(mask > 0), s, t),
        x,
        y,
    )


@examples(20)
@given(pair=broadcastable(), seed=seeds)
def test_an_operand_used_twice_gathers_both_gradients(pair, seed):
    def f(x, y):
        return x * y + x / (y * y + 1.0) - x

    beside(f, f, *samples(pair, seed))


REDUCTIONS = {
    "sum": (mr.sum, torch.sum),
    "mean": (mr.mean, torch.mean),
    "max": (mr.max, torch.amax),
    "logsumexp": (mr.logsumexp, torch.logsumexp),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@examples(25)
@given(drawn=shape_and_axis(min_dims=0), keepdims=st.booleans(), seed=seeds, dtype=dtypes)
def test_reductions(name, drawn, keepdims, seed, dtype):
    shape, axis = drawn
    f, g = REDUCTIONS[name]
    dims = tuple(range(len(shape))) if axis is None else axis
    beside(
        lambda x: f(x, axis=axis, keepdims=keepdims),
        lambda t: g(t, dim=dims, keepdim=keepdims),
        sample(shape, seed, dtype=dtype),
    )


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axes", [(0, 2), (1, -1), (-3, -2), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_over_several_axes(name, axes, keepdims):
    f, g = REDUCTIONS[name]
    beside(
        lambda x: f(x, axis=axes, keepdims=keepdims),
        lambda t: g(t, dim=axes, keepdim=keepdims),
        sample((2, 3, 4), seed=1),
    )


@pytest.mark.parametrize("name", REDUCTIONS)
def test_an_axis_may_be_a_numpy_integer_or_a_list(name):
    f, g = REDUCTIONS[name]
    x = sample((2, 3, 4), seed=1)
    beside(lambda x: f(x, axis=np.int64(1)), lambda t: g(t, dim=1), x)
    beside(lambda x: f(x, axis=(np.int64(0), 2)), lambda t: g(t, dim=(0, 2)), x)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@examples(25)
@given(drawn=shape_and_axis(none=False), seed=seeds, dtype=dtypes)
def test_softmax(name, drawn, seed, dtype):
    shape, axis = drawn
    beside(
        lambda x: getattr(mr, name)(x, axis=axis),
        lambda t: getattr(torch, name)(t, dim=axis),
        sample(shape, seed, dtype=dtype),
    )


EXTREMES = {
    "large": [1000.0, 999.5, -1000.0],
    "large and negative": [-1000.0, -1000.5, -2000.0],
    "with minus infinity": [0.5, -np.inf, 1.0],
    "one hot": [-np.inf, 3.0, -np.inf],
}


@pytest.mark.parametrize("row", EXTREMES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_softmax_at_extremes(name, row):
    x = np.array([EXTREMES[row], [0.0, 1.0, 2.0]])
    if name == "log_softmax":  # weigh nothing by −inf: its gradient is then defined
        x = np.maximum(x, -1e4)
    f, g = getattr(mr, name), getattr(torch, name)
    beside(lambda x: f(x, axis=-1), lambda t: g(t, dim=-1), x, second=False)


PRODUCTS = [
    ((3,), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((1, 1), (1, 1)),
    ((1, 3), (3, 1)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (4, 3, 2)),
    ((1, 2, 3), (5, 3, 1)),
    ((3,), (5, 3, 2)),
    ((5, 2, 3), (3,)),
]


@pytest.mark.parametrize("pair", PRODUCTS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_matmul(pair, dtype):
    beside(mr.matmul, torch.matmul, *samples(pair, seed=1, dtype=dtype))
    beside(lambda x, y: x @ y, lambda s, t: s @ t, *samples(pair, seed=2, dtype=dtype))


@examples(25)
@given(
    batch=broadcastable(),
    sizes=st.tuples(*[st.integers(1, 3)] * 3),
    seed=seeds,
)
def test_matmul_broadcasts_its_batches(batch, sizes, seed):
    m, k, n = sizes
    beside(mr.matmul, torch.matmul, *samples([batch[0] + (m, k), batch[1] + (k, n)], seed))


@pytest.mark.parametrize(
    "pair", [((), ()), ((), (3,)), ((2, 3), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 2))]
)
def test_dot(pair):
    x, y = samples(pair, seed=1)
    times = torch.mul if () in pair else torch.matmul
    beside(mr.dot, times, x, y)
    np.testing.assert_allclose(mr.dot(mr.tensor(x), mr.tensor(y)).data, np.dot(x, y), rtol=1e-14)


SHAPED = {
    "reshape": (lambda x: mr.reshape(x, (4, 6)), lambda t: t.reshape(4, 6)),
    "reshape -1": (lambda x: x.reshape(-1), lambda t: t.reshape(-1)),
    "reshape with a size-1 axis": (lambda x: x.reshape(2, 1, -1), lambda t: t.reshape(2, 1, -1)),
    "transpose": (lambda x: mr.transpose(x), lambda t: t.permute(2, 1, 0)),
    "transpose axes": (lambda x: mr.transpose(x, (1, 2, 0)), lambda t: t.permute(1, 2, 0)),
    "transpose negative": (lambda x: mr.transpose(x, (-1, 0, 1)), lambda t: t.permute(-1, 0, 1)),
    "T": (lambda x: x.T, lambda t: t.permute(2, 1, 0)),
    "swapaxes": (lambda x: mr.swapaxes(x, 0, -1), lambda t: t.swapaxes(0, -1)),
    "swapaxes same": (lambda x: mr.swapaxes(x, 1, -2), lambda t: t.swapaxes(1, -2)),
    "broadcast_to": (lambda x: mr.broadcast_to(x, (5, 2, 3, 4)), lambda t: t.expand(5, 2, 3, 4)),
    "broadcast size 1": (
        lambda x: mr.broadcast_to(x[:, :1], (2, 3, 4)),
        lambda t: t[:, :1].expand(2, 3, 4),
    ),
    "concatenate": (
        lambda x: mr.concatenate([x, x * x, x[:1]], axis=0),
        lambda t: torch.cat([t, t * t, t[:1]], dim=0),
    ),
    "concatenate last": (
        lambda x: mr.concatenate((x, x[..., :2]), axis=-1),
        lambda t: torch.cat((t, t[..., :2]), dim=-1),
    ),
    "stack": (lambda x: mr.stack([x, x * x]), lambda t: torch.stack([t, t * t])),
    "stack last": (
        lambda x: mr.stack([x, -x, x], axis=-1),
        lambda t: torch.stack([t, -t, t], dim=-1),
    ),
    "stack middle": (
        lambda x: mr.stack([x, -x], axis=1),
        lambda t: torch.stack([t, -t], dim=1),
    ),
    "split one part": (
        lambda x: mr.split(x, 3, axis=1)[1],
        lambda t: torch.tensor_split(t, 3, dim=1)[1],
    ),
    "split parts unequally used": (
        lambda x: (lambda a, b: a * b + a)(*mr.split(x, 2, axis=-1)),
        lambda t: (lambda a, b: a * b + a)(*torch.tensor_split(t, 2, dim=-1)),
    ),
    "split at": (
        lambda x: mr.split(x, [1, 3], axis=2)[1],
        lambda t: torch.tensor_split(t, (1, 3), dim=2)[1],
    ),
    "take": (
        lambda x: mr.take(x, np.array([0, 2, 2, 1]), axis=1),
        lambda t: t.index_select(1, torch.tensor([0, 2, 2, 1])),
    ),
    "take a matrix of indices": (
        lambda x: mr.take(x, np.array([[0, 1], [1, 1]]), axis=0),
        lambda t: t[torch.tensor([[0, 1], [1, 1]])],
    ),
    "take negative": (
        lambda x: mr.take(x, np.array([-1, 0, -1]), axis=-1),
        lambda t: t[..., torch.tensor([-1, 0, -1])],
    ),
    "take flat": (
        lambda x: mr.take(x, np.array([0, 23, 5, 5])),
        lambda t: t.take(torch.tensor([0, 23, 5, 5])),
    ),
    "take one": (lambda x: mr.take(x, 1, axis=0), lambda t: t[1]),
}


@pytest.mark.parametrize("name", SHAPED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_shapes(name, dtype):
    f, g = SHAPED[name]
    beside(f, g, sample((2, 3, 4), seed=1, dtype=dtype))


def test_stack_and_reshape_of_single_numbers():
    x, y = samples([(), ()], seed=1)
    beside(lambda x, y: mr.stack([x, y, x]), lambda s, t: torch.stack([s, t, s]), x, y)
    beside(lambda x: x.reshape(1, 1), lambda t: t.reshape(1, 1), x)
    beside(lambda x: mr.broadcast_to(x, (2, 3)), lambda t: t.expand(2, 3), x)
    beside(lambda x: x.reshape(()), lambda t: t.reshape(()), x.reshape(1, 1))


MASK = np.array([[True, False, True], [False, False, True]])
INDICES = {
    "integer": 1,
    "negative": -1,
    "numpy integer": np.int64(1),
    "slice": slice(1, None),
    "step": (slice(None), slice(0, None, 2)),
    "backwards": (slice(None, None, -1), slice(2, None, -2)),
    "empty slice": slice(2, 2),
    "None": (None, Ellipsis, None),
    "Ellipsis": (Ellipsis, 0),
    "everything": Ellipsis,
    "tuple": (1, 2, 3),
    "mixed": (0, slice(None), -1),
    "array": np.array([0, 1, 0, 0]),
    "list": [1, 1, 0],
    "pair of arrays": (np.array([0, 1, 0]), np.array([2, 2, 2])),
    "arrays that broadcast": (np.array([[0], [1]]), np.array([2, 0, 2])),
    "array between slices": (slice(None), np.array([0, 0, 2]), slice(1, 3)),
    "array and integer": (np.array([0, 1, 1]), 2, slice(None, 2)),
    "mask of rows": np.array([False, True]),
    "mask": MASK,
    "mask then slice": (MASK, slice(0, 2)),
    "mask of one axis": (slice(None), np.array([True, False, True])),
    "mask of nothing": np.zeros((2, 3), bool),
}


@pytest.mark.parametrize("name", INDICES)
def test_indexing_gathers_and_its_gradient_scatters(name):
    """Beside numpy: the gradient of x[i] adds the seed up at i, once for every time it is read."""
    index = INDICES[name]
    a = sample((2, 3, 4), seed=1)
    (x,) = leaves(a)
    y = x[index]
    np.testing.assert_array_equal(y.data, a[index])
    seed = sample(y.shape, seed=2)
    expected = np.zeros_like(a)
    np.add.at(expected, index, seed)
    y.backward(seed)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-15)
    g = mr.grad((x * x)[index], x, seed=seed)
    np.testing.assert_allclose(g.data, 2 * a * expected, rtol=1e-14)
    tangent = sample(a.shape, seed=3)
    np.testing.assert_array_equal(mr.jvp(x[index], [x], [tangent]), tangent[index])


@pytest.mark.parametrize("name", [n for n in INDICES if n not in ("backwards",)])
def test_indexing_beside_torch(name):
    def for_torch(i):
        return torch.tensor(i) if isinstance(i, np.ndarray | list) else i

    index = INDICES[name]
    theirs = tuple(map(for_torch, index)) if isinstance(index, tuple) else for_torch(index)
    beside(lambda x: x[index] ** 2, lambda t: t[theirs] ** 2, sample((2, 3, 4), seed=1))


def test_indexing_by_tensors():
    x = sample((2, 3, 4), seed=1)
    beside(lambda x: x[x > 0.5], lambda t: t[t > 0.5], x)
    rows = mr.tensor([1, 0, 1])
    beside(lambda x: x[rows], lambda t: t[torch.tensor([1, 0, 1])], x)


TIED = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-1.0, 0.0, -2.0]])


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_max_splits_evenly_over_ties(axis):
    dims = (0, 1) if axis is None else axis
    beside(lambda x: mr.max(x, axis=axis), lambda t: torch.amax(t, dim=dims), TIED)


@pytest.mark.parametrize("row", [[0.1, 0.1, 0.1], [1e308, 1e308], [-np.inf, -np.inf], [np.inf, 1]])
def test_max_of_ties_is_exactly_their_value(row):
    x = mr.tensor(row)
    assert mr.max(x).item() == max(row)
    np.testing.assert_array_equal(mr.max(mr.tensor([row, row]), axis=1).data, [max(row)] * 2)


def test_max_of_integers_is_an_integer():
    y = mr.max(mr.tensor([[3, 3], [1, 2]]), axis=1)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y.data, [3, 2])


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_ties_of_two_operands_go_half_and_half(name):
    other = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 2.0], [-1.0, 1.0, -2.0]])
    beside(getattr(mr, name), getattr(torch, name), TIED, other)
    f, g = getattr(mr, name), getattr(torch, name)
    beside(lambda x: f(x, x), lambda t: g(t, t), TIED)


KINKS = {
    "relu": (mr.relu, torch.relu, [0.0, -0.0, 1.0, -1.0]),
    "abs": (mr.abs, torch.abs, [0.0, -0.0, 1.0, -1.0]),
    "clip": (
        lambda x: mr.clip(x, -1.0, 1.0),
        lambda t: torch.clamp(t, -1.0, 1.0),
        [-1.0, 1.0, 0.0, 2.0, -2.0],
    ),
    "pow 0": (lambda x: x**0, lambda t: t**0, [0.0, 1.0, -2.0]),
    "pow 1": (lambda x: x**1, lambda t: t**1, [0.0, 1.0, -2.0]),
    "pow 2": (lambda x: x**2, lambda t: t**2, [0.0, 1.0, -2.0]),
    "pow 3": (lambda x: x**3, lambda t: t**3, [0.0, 1.0, -2.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_at_kinks(name):
    f, g, points = KINKS[name]
    beside(f, g, np.array(points))


def test_a_power_of_zero_by_its_exponent():
    base, exponent = np.array([0.0, 0.0, 2.0]), np.array([1.0, 2.0, 3.0])
    beside(mr.pow, torch.pow, base, exponent, second=False)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_no_numbers_at_all(shape):
    x = np.zeros(shape)
    beside(lambda x: mr.tanh(x) * 2.0, lambda t: torch.tanh(t) * 2.0, x)
    beside(lambda x: x.sum(), lambda t: t.sum(), x)
    beside(lambda x: x.sum(axis=0), lambda t: t.sum(dim=0), x)
