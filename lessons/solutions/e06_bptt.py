"""Solutions of lesson 06: backpropagation through time by hand."""

import numpy as np


def _states(X, h0, Wx, Wh, b):
    """h_0, h_1, … h_T."""
    hs = [h0]
    for x in X:
        hs.append(np.tanh(x @ Wx + hs[-1] @ Wh + b))
    return hs


def rnn_backward(X, h0, Wx, Wh, b, dH):
    """Gradients of X, Wx, Wh, b and h0, given dH[t], what the loss alone says of h_t."""
    hs = _states(X, h0, Wx, Wh, b)
    dX = np.empty(X.shape)
    dWx, dWh, db = np.zeros(Wx.shape), np.zeros(Wh.shape), np.zeros(b.shape)
    carry = np.zeros(h0.shape)
    for t in reversed(range(len(X))):
        before, h = hs[t], hs[t + 1]
        dz = (dH[t] + carry) * (1 - h**2)
        dX[t] = dz @ Wx.T
        dWx += X[t].T @ dz
        dWh += before.T @ dz
        db += dz.sum(axis=0)
        carry = dz @ Wh.T
    return dX, dWx, dWh, db, carry


def contributions(X, h0, Wx, Wh, b, dH):
    """The term each step adds to ∂L/∂Wh, (T, H, H), and its Frobenius norm, (T,)."""
    hs = _states(X, h0, Wx, Wh, b)
    terms = np.empty((len(X), *Wh.shape))
    carry = np.zeros(h0.shape)
    for t in reversed(range(len(X))):
        dz = (dH[t] + carry) * (1 - hs[t + 1] ** 2)
        terms[t] = hs[t].T @ dz
        carry = dz @ Wh.T
    return terms, np.sqrt((terms**2).sum(axis=(1, 2)))


def truncated_backward(X, h0, Wx, Wh, b, dH, k):
    """Gradients as of `rnn_backward`, nothing carried across a cut; chunks of k from the end."""
    hs = _states(X, h0, Wx, Wh, b)
    T = len(X)
    dX = np.empty(X.shape)
    dWx, dWh, db = np.zeros(Wx.shape), np.zeros(Wh.shape), np.zeros(b.shape)
    carry = np.zeros(h0.shape)
    for t in reversed(range(T)):
        dz = (dH[t] + carry) * (1 - hs[t + 1] ** 2)
        dX[t] = dz @ Wx.T
        dWx += X[t].T @ dz
        dWh += hs[t].T @ dz
        db += dz.sum(axis=0)
        carry = dz @ Wh.T
        if t > 0 and (T - t) % k == 0:
            carry = np.zeros(h0.shape)
    return dX, dWx, dWh, db, carry
