"""Random programs of 5 to 25 ops, run here and in torch in lockstep, and all gradients compared."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microrecur as mr

from .strategies import examples, leaves, sample, seeds

torch = pytest.importorskip("torch", reason="torch (CPU build) is the independent answer here")


class Words(NamedTuple):
    """What the two libraries spell differently."""

    lib: object
    softplus: object
    softmax: object
    logsumexp: object
    amax: object
    summed: object
    concatenate: object
    swap: object


OURS = Words(
    mr,
    mr.softplus,
    lambda x: mr.softmax(x, axis=-1),
    lambda x: mr.logsumexp(x, axis=-1, keepdims=True),
    lambda x: mr.max(x, axis=-1),
    lambda x: mr.sum(x, axis=0, keepdims=True),
    lambda x, y: mr.concatenate([x, y], axis=-1),
    lambda x: mr.swapaxes(x, -1, -2),
)
THEIRS = Words(
    torch,
    torch.nn.functional.softplus,
    lambda t: torch.softmax(t, dim=-1),
    lambda t: torch.logsumexp(t, dim=-1, keepdim=True),
    lambda t: torch.amax(t, dim=-1),
    lambda t: torch.sum(t, dim=0, keepdim=True),
    lambda s, t: torch.cat([s, t], dim=-1),
    lambda t: torch.swapaxes(t, -1, -2),
)
BOTH = (OURS, THEIRS)

UNARY = [
    lambda w, x: w.lib.tanh(x),
    lambda w, x: w.lib.sigmoid(x),
    lambda w, x: w.lib.sin(x),
    lambda w, x: w.lib.cos(x),
    lambda w, x: w.lib.relu(x),
    lambda w, x: (w.lib.abs(x) + 0.5) ** 1.5,
    lambda w, x: w.lib.exp(-x * x),
    lambda w, x: w.lib.log1p(x * x),
    lambda w, x: w.lib.sqrt(x * x + 0.25),
    lambda w, x: w.softplus(x),
    lambda w, x: 1.0 / (1.0 + x * x),
    lambda w, x: 0.5 - x,
    lambda w, x: x**3,
    lambda w, x: x.reshape(-1),
    lambda w, x: x.mean(),
    lambda w, x: x[None],
    lambda w, x: x[..., None],
]
# These need an axis: a single number passes through them as tanh.
OF_AXES = [
    lambda w, x: w.softmax(x),
    lambda w, x: w.logsumexp(x),
    lambda w, x: w.amax(x),
    lambda w, x: w.summed(x),
    lambda w, x: x[..., ::2],
    lambda w, x: x[..., -1],
    lambda w, x: x[[0, 0]],
]
BINARY = [
    lambda w, x, y: x + y,
    lambda w, x, y: x - y,
    lambda w, x, y: x * y,
    lambda w, x, y: x / (1.5 + w.lib.sin(y)),
    lambda w, x, y: w.lib.maximum(x, y),
    lambda w, x, y: w.lib.minimum(x, y),
    lambda w, x, y: w.lib.where(x < y, x * x, y),
    lambda w, x, y: w.lib.sigmoid(x) ** y,
]
OF_MATRICES = [
    lambda w, x, y: x @ w.swap(y),
    lambda w, x, y: w.concatenate(x, y),
    lambda w, x, y: w.lib.stack([x, y]),
]

operand = st.integers(0, 30)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([(f, 1, False) for f in UNARY]), operand, operand),
        st.tuples(st.sampled_from([(f, 1, True) for f in OF_AXES]), operand, operand),
        st.tuples(st.sampled_from([(f, 2, False) for f in BINARY]), operand, operand),
        st.tuples(st.sampled_from([(f, 2, True) for f in OF_MATRICES]), operand, operand),
    ),
    min_size=5,
    max_size=25,
)
leaf_shapes = st.lists(
    st.sampled_from([(), (1,), (3,), (1, 3), (2, 1), (2, 3), (2, 2, 3)]), min_size=2, max_size=4
)


def broadcast(s, t):
    try:
        return torch.broadcast_shapes(s.shape, t.shape)
    except RuntimeError:
        return None


def run(step, pool):
    """One step on pairs (ours, theirs) of values; torch's side decides what fits."""
    (f, arity, needs_axes), *places = step
    pairs = [pool[place % len(pool)] for place in places[:arity]]
    theirs = [t for _, t in pairs]
    if arity == 2 and needs_axes:
        if theirs[0].ndim < 2:
            return run(((BINARY[2], 2, False), *places), pool)
        if theirs[0].shape != theirs[1].shape:
            pairs[1] = pairs[0]
    elif arity == 2 and broadcast(*theirs) is None:
        pairs[1] = tuple(v.mean() for v in pairs[1])
    elif arity == 1 and needs_axes and theirs[0].ndim == 0:
        f = UNARY[0]
    sides = zip(BOTH, zip(*pairs, strict=True), strict=True)
    return tamed(tuple(f(w, *xs) for w, xs in sides))


def tamed(pair):
    """Keep values within the range where a difference of rounding stays one, and shapes small."""
    if pair[1].numel() > 200 or pair[1].ndim > 5:
        pair = tuple(v.mean() for v in pair)
    if pair[1].detach().abs().max() > 3:
        pair = tuple(w.lib.sin(v) for w, v in zip(BOTH, pair, strict=True))
    return pair


def agree(ours, theirs):
    theirs = theirs.detach().numpy()
    scale = max(1.0, np.abs(theirs).max())
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10 * scale)


@examples(150)
@given(shapes=leaf_shapes, seed=seeds, program=steps)
def test_a_random_program_has_torchs_value_and_gradients(shapes, seed, program):
    arrays = [sample(shape, (seed, i), -1.5, 1.5) for i, shape in enumerate(shapes)]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    pool = list(zip(leaves(*arrays), theirs, strict=True))
    inputs = list(pool)
    for step in program:
        pool.append(run(step, pool))
        agree(pool[-1][0].data, pool[-1][1])
    y, t = (
        sum(w.lib.sin(v).mean() for v in side)
        for w, side in zip(BOTH, zip(*pool, strict=True), strict=True)
    )
    y.backward()
    t.backward(retain_graph=True)
    for x, s in inputs:
        agree(x.grad, s.grad)
    xs, ss = zip(*inputs, strict=True)
    tangents = [sample(x.shape, (seed, i, 1)) for i, x in enumerate(xs)]
    forward = mr.jvp(y, xs, tangents)
    back = sum(np.vdot(x.grad, v) for x, v in zip(xs, tangents, strict=True))
    np.testing.assert_allclose(forward, back, rtol=1e-8, atol=1e-9)
    second_orders_agree(y, xs, t, ss, tangents)


def second_orders_agree(y, xs, t, ss, weights):
    """∂/∂x of the gradient contracted with weights."""
    ours = sum((g * v).sum() for g, v in zip(mr.grad(y, xs), weights, strict=True))
    first = torch.autograd.grad(t, ss, create_graph=True)
    theirs = sum((g * torch.tensor(v)).sum() for g, v in zip(first, weights, strict=True))
    second = torch.autograd.grad(theirs, ss, allow_unused=True)
    for g, h, x in zip(mr.grad(ours, xs), second, xs, strict=True):
        agree(g.data, torch.zeros(x.shape) if h is None else h)
