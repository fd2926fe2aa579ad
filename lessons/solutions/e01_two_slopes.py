"""Lesson 01, solved."""

import numpy as np


def sigmoid(x):
    """σ from e^−|x|, which never exceeds 1."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def tanh(x):
    """The tanh of |x| from e^−2|x|, then the sign of x: tanh is odd."""
    small = np.exp(-2 * np.abs(x))
    return np.sign(x) * (1 - small) / (1 + small)


def sigmoid_backward(s, g):
    """σ′ = σ(1 − σ), so the output alone gives the slope."""
    return g * s * (1 - s)


def tanh_backward(h, g):
    """tanh′ = 1 − tanh²."""
    return g * (1 - h**2)


def max_slope(f, lo, hi):
    """The steepest of many short chords."""
    x = np.linspace(lo, hi, 20_001)
    return float(np.max(np.diff(f(x)) / np.diff(x)))
