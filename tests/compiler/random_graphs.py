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
