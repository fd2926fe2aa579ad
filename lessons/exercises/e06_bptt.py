"""Exercises of lesson 06: backpropagation through time by hand.

Sizes: T steps, N sequences side by side, D inputs, H units. For t = 1 … T

    h_t = tanh(x_t Wx + h_{t−1} Wh + b)

X is (T, N, D) with X[0] = x_1, h0 is (N, H), Wx (D, H), Wh (H, H), b (H,). The loss may read every
state: dH is (T, N, H), and dH[0] is what the loss by itself says of h_1. What later steps say of
h_1 is not in it. NumPy is all you need.
"""

import numpy as np


def rnn_backward(X, h0, Wx, Wh, b, dH):
    r"""Carry the gradient back through T steps of an RNN.

    Run the steps forward, then walk back from t = T. At each step

    $$\frac{\partial L}{\partial z_t} = (\text{all that arrives at } h_t) \odot \tanh'(z_t)$$

    and from there it goes on to x_t, Wx, Wh, b and the state before.

    Parameters
    ----------
    X, h0, Wx, Wh, b : ndarray
        (T, N, D), (N, H), (D, H), (H, H), (H,).
    dH : ndarray of shape (T, N, H)
        Gradient of the loss by each state, as far as the loss reads it directly.

    Returns
    -------
    dX, dWx, dWh, db, dh0 : ndarray
        Of the shapes of X, Wx, Wh, b and h0.
    """
    raise NotImplementedError("e06.rnn_backward")


def contributions(X, h0, Wx, Wh, b, dH):
    r"""Split the gradient of Wh by the step in which Wh was used.

    $$\frac{\partial L}{\partial W_h} = \sum_{t=1}^{T} \text{term}_t$$

    Parameters
    ----------
    X, h0, Wx, Wh, b, dH : ndarray
        As for `rnn_backward`.

    Returns
    -------
    terms : ndarray of shape (T, H, H)
        terms[0] is what the use of Wh in step 1 adds.
    norms : ndarray of shape (T,)
        The Frobenius norm of each: the square root of the sum of all its squared entries.
    """
    raise NotImplementedError("e06.contributions")


def truncated_backward(X, h0, Wx, Wh, b, dH, k):
    r"""Backpropagation through time, cut into chunks of k steps.

    The chunks are counted from the end: the last is steps T−k+1 … T, and the first may be shorter.
    The states run on through all T steps as ever; only the gradient stops at a cut, so nothing is
    handed from a chunk to the one before it.

    Parameters
    ----------
    X, h0, Wx, Wh, b, dH : ndarray
        As for `rnn_backward`.
    k : int
        Steps in a chunk, at least 1. With k ≥ T nothing is cut.

    Returns
    -------
    dX, dWx, dWh, db, dh0 : ndarray
        As of `rnn_backward`; dh0 is what arrives from the first chunk.
    """
    raise NotImplementedError("e06.truncated_backward")
