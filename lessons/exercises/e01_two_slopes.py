"""Lesson 01, two slopes: σ, tanh and what each hands back to a gradient."""

import numpy as np


def sigmoid(x):
    """Squash every number into (0, 1): σ(x) = 1 / (1 + e^−x), at x = ±1000 too.

    Parameters
    ----------
    x : ndarray of any shape

    Returns
    -------
    ndarray of the same shape
        σ at every entry. No floating-point warning on the way: e^1000 is more than float64 holds.
        Build it from np.exp.
    """
    raise NotImplementedError("e01.sigmoid")


def tanh(x):
    """Squash every number into (−1, 1): tanh(x) = (e^x − e^−x) / (e^x + e^−x), at x = ±1000 too.

    Parameters
    ----------
    x : ndarray of any shape

    Returns
    -------
    ndarray of the same shape
        tanh at every entry, without a floating-point warning. Build it from np.exp: np.tanh
        would do, and teach nothing.
    """
    raise NotImplementedError("e01.tanh")


def sigmoid_backward(s, g):
    """Take a gradient from the output of σ back to its input.

    Parameters
    ----------
    s : ndarray of any shape
        What σ returned: s = σ(x). x itself is not given, and is not needed.
    g : ndarray of the same shape
        ∂L/∂s, the gradient that arrives from what was computed with s.

    Returns
    -------
    ndarray of the same shape
        ∂L/∂x = ∂L/∂s · ∂s/∂x, entry by entry.
    """
    raise NotImplementedError("e01.sigmoid_backward")


def tanh_backward(h, g):
    """Take a gradient from the output of tanh back to its input.

    Parameters
    ----------
    h : ndarray of any shape
        What tanh returned: h = tanh(x).
    g : ndarray of the same shape
        ∂L/∂h, the gradient that arrives from what was computed with h.

    Returns
    -------
    ndarray of the same shape
        ∂L/∂x, entry by entry.
    """
    raise NotImplementedError("e01.tanh_backward")


def max_slope(f, lo, hi):
    """Measure how steep f gets between lo and hi.

    Parameters
    ----------
    f : callable
        Takes an array of numbers and returns f of each. All you can do is call it.
    lo, hi : float
        Where to look.

    Returns
    -------
    float
        The largest slope f′(x) with lo ≤ x ≤ hi, right to one part in a thousand (a few thousand
        points are enough).
    """
    raise NotImplementedError("e01.max_slope")
