"""Whole small programs of recorded ops, drawn by hypothesis."""

import numpy as np
from hypothesis import strategies as st

import microrecur as mr

SHAPES = ((), (2,), (1, 2), (2, 2))
UNARY = {
    "tanh": mr.tanh,
    "sigmoid": mr.sigmoid,
    "relu": mr.relu,
    "neg": lambda a: -a,
    "sum": lambda a: a.sum(axis=0) if a.ndim else a * 2.0,
    "turn": lambda a: a.T if a.ndim == 2 else a.reshape(-1),
    "pick": lambda a: a[0] if a.ndim else -a,
    "twice": lambda a: mr.concatenate([a, a[:1]]) if a.ndim == 1 else 0.5 * a,
    "max": lambda a: mr.max(a, axis=0) if a.ndim else mr.sin(a),
}
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "matmul": lambda a, b: a @ b,
    "where": lambda a, b: mr.where(b.numpy() > 0, a, b),
}

# Few different numbers: products that are equal, and factors that are 0, come up often.
NUMBERS = st.sampled_from([-1.0, -0.5, 0.0, 0.3, 0.5, 1.0, 1.5])


@st.composite
def programs(draw):
    """A loss and one of the leaves or intermediates it was computed from (or was not)."""
    nodes = []
    for shape in draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3)):
        size = int(np.prod(shape))
        numbers = draw(st.lists(NUMBERS, min_size=size, max_size=size))
        nodes.append(mr.tensor(np.reshape(numbers, shape), requires_grad=True))
    wrt = nodes[draw(st.integers(0, len(nodes) - 1))]
    for _ in range(draw(st.integers(3, 9))):
        a = nodes[-draw(st.integers(1, min(len(nodes), 3)))]  # mostly what was made just now
        name = draw(st.sampled_from([*UNARY, *BINARY]))
        if name in UNARY:
            nodes.append(UNARY[name](a))
            continue
        b = nodes[draw(st.integers(0, len(nodes) - 1))]
        try:
            nodes.append(BINARY[name](a, b))
        except mr.ShapeError:
            nodes.append(a.sum() * b)
    y = nodes[-1].sum() * nodes[-2].sum()
    for node in nodes[2:-2]:  # so that most of what was made matters
        y = y - node.sum()
    return y, wrt
