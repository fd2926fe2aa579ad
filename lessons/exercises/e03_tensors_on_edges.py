"""Lesson 03, tensors on edges: what broadcasting, @ and concatenation hand back, and a checker."""

import numpy as np


def unbroadcast(g, shape):
    """Take a gradient back through the broadcasting of `shape` to g.shape.

    Parameters
    ----------
    g : ndarray
        ∂L/∂y, where y is x stretched by NumPy's rules: axes added in front, axes of size 1
        repeated.
    shape : tuple of int
        The shape x had before it was stretched; () is one number.

    Returns
    -------
    ndarray of that shape
        ∂L/∂x: each entry of x collects from all entries of y that are copies of it.
    """
    raise NotImplementedError("e03.unbroadcast")


def matmul_backward(A, B, g):
    """Take a gradient back through Y = A @ B.

    Parameters
    ----------
    A : ndarray, N×K
    B : ndarray, K×M
    g : ndarray, N×M
        ∂L/∂Y.

    Returns
    -------
    dA : ndarray, N×K
        ∂L/∂A; Y[n, m] = Σₖ A[n, k]·B[k, m].
    dB : ndarray, K×M
        ∂L/∂B.
    """
    raise NotImplementedError("e03.matmul_backward")


def concat_backward(g, sizes):
    """Take a gradient back through np.concatenate(parts, axis=-1).

    Parameters
    ----------
    g : ndarray
        ∂L/∂y; its last axis is as long as all parts together.
    sizes : list of int
        How long the last axis of each part was, in the order in which they were joined.

    Returns
    -------
    list of ndarray
        ∂L/∂part for each part, in that order.
    """
    raise NotImplementedError("e03.concat_backward")


def gradcheck(f, params):
    """Find out which gradients a function claims wrongly.

    Parameters
    ----------
    f : callable
        f(params) returns (L, grads): one number, and a dict name → ∂L/∂params[name] *as claimed*.
    params : dict of str to ndarray
        Is what it was when you return.

    Returns
    -------
    dict of str to bool
        For each name, whether the claim holds. Measure by central differences, then compare:
        max|claimed − measured| ≤ 10⁻⁴ · max(max|claimed|, max|measured|), where each inner max is
        over all entries of that one parameter.
    """
    raise NotImplementedError("e03.gradcheck")
