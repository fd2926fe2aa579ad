"""Exercises of lesson 05: one cell, used again at every step.

Sizes: T steps, N sequences side by side, D inputs, H units. NumPy is all you need.
"""

import numpy as np


def rnn_cell(x, h, Wx, Wh, b):
    r"""Take one step of a plain RNN.

    $$h_t = \tanh(x_t W_x + h_{t-1} W_h + b)$$

    Parameters
    ----------
    x : ndarray of shape (N, D)
        The inputs of this step, one row per sequence.
    h : ndarray of shape (N, H)
        The state before it.
    Wx, Wh, b : ndarray
        (D, H), (H, H), (H,).

    Returns
    -------
    ndarray of shape (N, H)
        The state after it.
    """
    raise NotImplementedError("e05.rnn_cell")


def rnn_forward(X, h0, Wx, Wh, b, return_sequences):
    r"""Run the cell over T steps with the same weights at each.

    $$h_t = \tanh(x_t W_x + h_{t-1} W_h + b), \qquad t = 1, \dots, T$$

    Parameters
    ----------
    X : ndarray of shape (T, N, D)
        X[0] holds the inputs of step 1.
    h0 : ndarray of shape (N, H)
        The state before step 1.
    Wx, Wh, b : ndarray
        (D, H), (H, H), (H,).
    return_sequences : bool
        Whether all states are wanted or the last alone.

    Returns
    -------
    ndarray
        h_1 … h_T, shape (T, N, H), where return_sequences is True; h_T, shape (N, H), where not.
    """
    raise NotImplementedError("e05.rnn_forward")


def count_params(T, D, H, shared):
    r"""Count the numbers an RNN unrolled over T steps has to learn.

    One step has $W_x$ (D × H), $W_h$ (H × H) and one bias $b$ (H).

    Parameters
    ----------
    T, D, H : int
        Steps, inputs, units.
    shared : bool
        True: the RNN, whose steps all use one and the same cell. False: a network of the same
        shape in which each step has weights of its own.

    Returns
    -------
    int
    """
    raise NotImplementedError("e05.count_params")


def match_task(task):
    """Say which shape of input and output a task has.

    Parameters
    ----------
    task : str
        One of "image classification" (one picture → one label), "image captioning" (one picture →
        a sentence), "sentiment of a review" (words → + or −), "part-of-speech tags" (words → one
        tag for each word), "frame-by-frame video labels" (frames → a label for each),
        "translation" (a sentence → a sentence of another length).

    Returns
    -------
    str
        "one-to-one", "one-to-many", "many-to-one", "many-to-many, aligned" or
        "many-to-many, unaligned".
    """
    raise NotImplementedError("e05.match_task")
