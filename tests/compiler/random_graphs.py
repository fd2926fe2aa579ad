"""Random recordings: straight programs over the table of ops, and random cells run over time."""

import random

import numpy as np

import microrecur as mr

from .graphs import numbers

SHAPES = [(), (3,), (2, 3), (1, 3), (2, 1), (3, 3)]
UNARY = [
    mr.tanh, mr.sigmoid, mr.relu, mr.sin, mr.softplus, mr.abs, lambda a: -a, lambda a: a * a,
    lambda a: mr.exp(mr.tanh(a)), lambda a: a / (1 + a * a), lambda a: mr.sqrt(1 + a * a),
    lambda a: mr.log(1.5 + mr.sin(a)), lambda a: mr.clip(a, -0.5, 0.7), lambda a: 1 - a,
    lambda a: 0.5 * a, lambda a: a**3,
]  # fmt: skip
BINARY = [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, mr.maximum, mr.minimum,
    lambda a, b: a / (2 + mr.sin(b)), lambda a, b: mr.where(a > b, a, 2 * b),
]  # fmt: skip


def reshaping(rng, a):
    """Some op that moves, picks or reduces."""
    if a.ndim == 0:
        return mr.stack([a, a * 2])
    choice = rng.randrange(8)
    if choice == 0:
        return a.sum(axis=rng.randrange(a.ndim), keepdims=rng.random() < 0.5)
    if choice == 1:
        return mr.softmax(a, axis=-1)
    if choice == 2:
        return mr.concatenate([a, a * 2], axis=rng.randrange(a.ndim))
    if choice == 3:
        return a[..., :1] if rng.random() < 0.5 else a[0]
    if choice == 4:
        return a.reshape(-1)
    if choice == 5:
        return a.T
    if choice == 6:
        return mr.max(a, axis=-1)
    return mr.logsumexp(a, axis=0)


def fitting(a, b):
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return False
    return True


def straight(seed, count=14):
    """(inputs, outputs) of a random program; the gradients of all that is smooth enough."""
    rng = random.Random(seed)
    inputs = [
        mr.tensor(numbers(rng.choice(SHAPES), (seed, k)), requires_grad=True) for k in range(4)
    ]
    pool = list(inputs)
    for _ in range(count):
        a = rng.choice(pool)
        kind = rng.random()
        if kind < 0.4:
            made = rng.choice(UNARY)(a)
        elif kind < 0.75:
            fit = [b for b in pool if fitting(a, b)]
            made = rng.choice(BINARY)(a, rng.choice(fit))
        elif kind < 0.85:
            fit = [
                b for b in pool if a.ndim and b.ndim and a.shape[-1] == b.shape[max(b.ndim - 2, 0)]
            ]
            made = a @ rng.choice(fit) if fit else a * 2
        else:
            made = reshaping(rng, a)
        if made.size <= 64:
            pool.append(made)
    loss = sum((mr.tanh(p).sum() for p in pool[-4:]), start=mr.tensor(0.0))
    return inputs, [loss, *pool[-3:], *mr.grad(loss, inputs, by_result=rng.random() < 0.5)]


def recurrent(seed, steps=None, size=3, batch=2):
    """(inputs, outputs) of a random cell, unrolled, with the gradients of all it was given."""
    rng = random.Random(seed)
    steps = steps or rng.choice([1, 2, 3, 5, 6])
    lead = rng.choice([(batch,), (batch,), (), None])
    x_shape = () if lead is None else (*lead, size)
    weights = [
        mr.tensor(numbers(() if lead is None else (size, size), (seed, k)) * 0.5, name=f"W{k}")
        for k in range(3)
    ]
    biases = [mr.tensor(numbers(x_shape[-1:], (seed, 9, k)), name=f"b{k}") for k in range(2)]
    states = [mr.tensor(numbers(x_shape, (seed, 5, k)), name=f"h{k}") for k in range(2)]
    xs = mr.tensor(numbers((steps, *x_shape), (seed, 6)), name="x")
    # A cell is a list of choices, made once and followed at every step.
    plan = [
        (rng.random(), rng.randrange(100), rng.randrange(100)) for _ in range(rng.randrange(3, 11))
    ]
    given = [xs, *weights, *biases, *states]
    h, seen = list(states), []
    backwards = rng.random() < 0.3
    named = rng.random() < 0.5
    for t in reversed(range(steps)) if backwards else range(steps):
        with mr.scope(f"t={t + 1}"):
            pool = [xs[t], *h]
            for kind, i, j in plan:
                a, b = pool[i % len(pool)], pool[j % len(pool)]
                if kind < 0.3:
                    made = a @ weights[j % 3]
                elif kind < 0.55:
                    made = UNARY[j % 7](a)
                elif kind < 0.7:
                    made = a + biases[j % 2]
                else:
                    made = BINARY[j % 3](a, b)
                pool.append(made.named(f"n{len(pool)}") if named else made)
            h = [mr.tanh(pool[-1]), mr.sigmoid(pool[-2])]
            seen.append(h[0])
    use_all = seed % 3 == 0
    target = sum(((s * s).sum() for s in (seen if use_all else [*h])), start=mr.tensor(0.0))
    return given, [target, *h, *mr.grad(target, given, by_result=seed % 2 == 0)]


def varied(seed, size=3):
    """(inputs, outputs) of steps that differ: in what they do, in shapes and in dtypes read."""
    rng = random.Random(seed)
    steps = rng.choice([2, 3, 3, 5])
    weights = [mr.tensor(numbers((size, size), (seed, k)) * 0.5, name=f"W{k}") for k in range(2)]
    scale = mr.tensor(numbers((size,), (seed, 3)), name="s")
    h = mr.tensor(numbers((size,), (seed, 4)), name="h0")
    given, shared = [*weights, scale, h], rng.random() < 0.5
    first = [rng.randrange(len(READERS)), rng.randrange(len(BODIES))]
    target = mr.tensor(0.0)
    for t in range(steps):
        alike = shared or rng.random() < 0.6
        r, b = first if alike else (rng.randrange(len(READERS)), rng.randrange(len(BODIES)))
        with mr.scope(f"t={t + 1}"):
            x = mr.tensor(_operand(rng, (seed, 5, t), size), name=f"x{t}")
            given.append(x)
            z = READERS[r](x, weights[0], scale)
            z = BODIES[b](z, h, weights, scale)
            h = mr.tanh(z + h if rng.random() < 0.7 else z * scale + h @ weights[1])
            target = target + (h * h).sum()
    wrt = [g for g in given if g.dtype.kind == "f"]
    return given, [target, h, *mr.grad(target, wrt, by_result=seed % 2 == 0)]


def _operand(rng, seed, size):
    """What a step is given: other steps are given other shapes and dtypes."""
    shape = rng.choice([(size,), (1,), (1, size), (2, size), (4, size)])
    kind = rng.choice([np.float64, np.float64, np.float32, np.int32, np.int64, bool])
    made = numbers(shape, seed) * 2
    if kind is np.int64:  # more than a smaller dtype holds
        return made.astype(np.int64) + 2**31
    return made > 0 if kind is bool else made.astype(kind)


def _rows(x, size=3):
    return x if x.ndim == 2 else x.reshape(1, -1)


# One row of `size` from whatever a step is given.
READERS = [
    lambda x, w, s: _rows(x).sum(axis=0) * s,
    lambda x, w, s: mr.mean(x) * s,
    lambda x, w, s: (x * 1e-9 * s)[..., :].reshape(-1, 3).sum(axis=0),
    lambda x, w, s: mr.where(_rows(mr.greater(x, 0.1)).sum(axis=0) > 0, s, -s),
    lambda x, w, s: (x * s).reshape(-1, 3)[-1] @ w,
    lambda x, w, s: mr.softmax(_rows(x) * s, axis=0).sum(axis=0),
]
BODIES = [
    lambda z, h, w, s: mr.relu(z),
    lambda z, h, w, s: mr.softplus(z),
    lambda z, h, w, s: mr.clip(z, -0.5, 0.8),
    lambda z, h, w, s: z / mr.sqrt((z * z).mean(axis=-1, keepdims=True) + 0.1),
    lambda z, h, w, s: z / (1 + mr.abs(z)),
    lambda z, h, w, s: z - mr.max(z, axis=-1, keepdims=True),
    lambda z, h, w, s: mr.minimum(z, s) * (h + s),
    lambda z, h, w, s: mr.minimum(z, s[0]),
    lambda z, h, w, s: (z @ w[1]) * (h + s * 0.1),
    lambda z, h, w, s: mr.where(z > h, z, 0.1 * z),
]
