"""Solutions of lesson 07: ceilings, products of Jacobians, measuring, clipping."""

import numpy as np


def bound(phi, w, T):
    """The ceiling of one step's factor, T times."""
    ceiling = {"sigmoid": 0.25, "tanh": 1.0}[phi]
    return (ceiling * abs(w)) ** T


def jacobian_product(hs, Wh):
    """J_T ⋯ J_2 J_1, each diag(1 − h²) Whᵀ."""
    product = np.eye(len(Wh))
    for h in hs:
        product = (1 - h**2)[:, None] * Wh.T @ product
    return product


def _sigmoid(z):
    return 0.5 + 0.5 * np.tanh(z / 2)


_PHI = {
    "sigmoid": (_sigmoid, lambda h: h * (1 - h)),
    "tanh": (np.tanh, lambda h: 1 - h**2),
    "relu": (lambda z: np.maximum(z, 0), lambda h: (h > 0) * 1.0),
}


def _measured(phi, gain, H, rng):
    """The largest singular value of ∂h_50/∂h_0 in one draw."""
    f, slope = _PHI[phi]
    U = gain * rng.normal(size=(H, H)) / np.sqrt(H)
    h, product = np.zeros(H), np.eye(H)
    for x in rng.normal(size=(50, H)):
        h = f(x + h @ U)
        product = slope(h)[:, None] * U.T @ product
    return np.linalg.norm(product, 2)


def regime(phi, gain, H):
    """The median of five draws decides."""
    rng = np.random.default_rng(0)
    found = np.median([_measured(phi, gain, H, rng) for _ in range(5)])
    return "explode" if found > 1 else "vanish"


def clip_by_global_norm(grads, c):
    """One norm over all tensors, one factor for all."""
    norm = np.sqrt(sum((g**2).sum() for g in grads))
    scale = min(1.0, c / norm)
    return [g * scale for g in grads]
