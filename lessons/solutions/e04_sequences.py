"""Solutions of lesson 04: windows, weights of simple models, a Markov chain, scaling."""

import numpy as np


def make_windows(series, w):
    """Every window of w points that has a next value, and that value."""
    count = len(series) - w
    X = np.stack([series[n : n + w] for n in range(count)])
    return X, series[w:].copy()


def count_naive_weights(T):
    """0 + 1 + … + (T − 1) weights."""
    return sum(range(T))


def count_ar_weights(tau):
    """One weight for each value that is read, whatever t is."""
    return tau


def markov_logprob(seq, p0, P):
    """Logarithms add up where the probabilities themselves would underflow."""
    steps = np.log(P[seq[:-1], seq[1:]])
    return float(np.log(p0[seq[0]]) + steps.sum())


def standardise(series, n_train):
    """Mean and standard deviation of the first n_train points, applied to all."""
    train = series[:n_train]
    return (series - train.mean()) / train.std()
