"""Lesson 03, solved."""

import numpy as np


def unbroadcast(g, shape):
    """A copy forward is a sum backward: over the axes that were added, and over those of size 1."""
    added = g.ndim - len(shape)
    g = g.sum(axis=tuple(range(added)))
    repeated = tuple(k for k, size in enumerate(shape) if size == 1)
    return g.sum(axis=repeated, keepdims=True)


def matmul_backward(A, B, g):
    """Each product has the one shape that fits: N×M by M×K, and K×N by N×M."""
    return g @ B.T, A.T @ g


def concat_backward(g, sizes):
    """What was joined is cut where it was joined."""
    ends = np.cumsum(sizes)
    return [g[..., end - size : end] for size, end in zip(sizes, ends, strict=True)]


def gradcheck(f, params):
    """Move every entry of every parameter in turn; judge by the scale of the gradient itself."""
    _, claims = f(params)
    report = {}
    for name, x in params.items():
        measured = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = x.copy()
                moved[index] += step
                ends.append(f(params | {name: moved})[0])
            measured[index] = (ends[0] - ends[1]) / 2e-6
        scale = max(np.abs(claims[name]).max(), np.abs(measured).max())
        report[name] = bool(np.abs(claims[name] - measured).max() <= 1e-4 * scale)
    return report
