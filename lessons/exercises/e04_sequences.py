"""Exercises of lesson 04: windows, weights of simple models, a Markov chain, scaling.

NumPy is all you need.
"""

import numpy as np


def make_windows(series, w):
    r"""Cut a series into windows, each with the value that follows it.

    $$X_n = (s_n, \dots, s_{n+w-1}), \qquad y_n = s_{n+w}$$

    Parameters
    ----------
    series : ndarray of shape (T,)
        Values in order of time, T > w.
    w : int
        Points in a window.

    Returns
    -------
    X : ndarray of shape (N, w)
        Every window that has a value to predict, one after another, moved on by one point.
    y : ndarray of shape (N,)
        That value.
    """
    raise NotImplementedError("e04.make_windows")


def count_naive_weights(T):
    r"""Count the weights of a linear model with a separate equation for every length of the past.

    $$\hat{x}_t = \sum_{s=1}^{t-1} w_{t,s} \, x_s, \qquad t = 1, \dots, T$$

    Nothing is shared between the equations; there are no biases.

    Parameters
    ----------
    T : int
        The length of the sequence.

    Returns
    -------
    int
    """
    raise NotImplementedError("e04.count_naive_weights")


def count_ar_weights(tau):
    r"""Count the weights of a linear autoregressive model, AR(τ), without a bias.

    $$\hat{x}_t = \sum_{s=1}^{\tau} w_s \, x_{t-s}$$

    Parameters
    ----------
    tau : int
        How many past values it reads.

    Returns
    -------
    int
    """
    raise NotImplementedError("e04.count_ar_weights")


def markov_logprob(seq, p0, P):
    r"""Compute the logarithm of the probability that a Markov chain gives to a sequence.

    $$\log P(x_1, \dots, x_T) = \log P(x_1) + \sum_{t=2}^{T} \log P(x_t \mid x_{t-1})$$

    Parameters
    ----------
    seq : ndarray of int, shape (T,)
        States, 0 to S − 1; T may be thousands.
    p0 : ndarray of shape (S,)
        Probability of each state at the start.
    P : ndarray of shape (S, S)
        P[i, j] is the probability of going to j when in i: each row sums to 1.

    Returns
    -------
    float
        The natural logarithm.
    """
    raise NotImplementedError("e04.markov_logprob")


def standardise(series, n_train):
    r"""Scale a series by mean and standard deviation of its training part.

    $$s'_t = \frac{s_t - \mu}{\sigma}$$

    with σ the root of the mean squared deviation (divided by the number of points).

    Parameters
    ----------
    series : ndarray of shape (T,)
        Values in order of time.
    n_train : int
        The first n_train of them are the training part.

    Returns
    -------
    ndarray of shape (T,)
        All of it, scaled.
    """
    raise NotImplementedError("e04.standardise")
