"""Tasks made to need a long memory: adding, copy, recall of the first bit, parity, temporal order.

Each draws as many sequences as asked from a seed, sequences first: X of shape (N, T, …). A number
of the answer lies far back by design, so that a gradient that does not reach it cannot learn it.
"""

from __future__ import annotations

import numpy as np

TEMPORAL_SYMBOLS = "EBabcdXY"  # start, trigger, four distractors, the two whose order counts


def adding_problem(
    count: int, steps: int, *, rng: np.random.Generator | None = None, seed: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Two of T numbers are marked, one in each half; the answer is their sum.

    Always answering 1 has a mean squared error of 1/6 ≈ 0.167.

    Parameters
    ----------
    count, steps : int
        N ≥ 1 and T ≥ 2.
    rng, seed : numpy Generator or int, optional
        What draws the sequences.

    Returns
    -------
    X : ndarray of shape (N, T, 2)
        Numbers from U(0, 1) beside marks 0 or 1.
    y : ndarray of shape (N, 1)
        The sum of the two marked numbers.

    References
    ----------
    Hochreiter & Schmidhuber 1997, §5.4, in the form of Le, Jaitly & Hinton 2015, §4.1.

    Examples
    --------
    >>> X, y = adding_problem(500, 20, seed=0)
    >>> bool(np.allclose((X[..., 0] * X[..., 1]).sum(1, keepdims=True), y))
    True
    """
    draw = _generator("adding_problem", count, steps, 2, rng, seed)
    half, every = steps // 2, np.arange(count)
    marks = np.zeros((count, steps))
    marks[every, draw.integers(0, half, count)] = 1
    marks[every, draw.integers(half, steps, count)] = 1
    numbers = draw.random((count, steps))
    return np.stack([numbers, marks], axis=-1), (numbers * marks).sum(axis=1, keepdims=True)


def copy_task(
    count: int,
    blanks: int,
    symbols: int = 8,
    length: int = 10,
    *,
    rng: np.random.Generator | None = None,
    seed: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Symbols are shown, then blanks, then a signal: now they are to be said again, in order.

    A sequence has T = blanks + 2·length steps. Without any memory the best cross-entropy is
    length · ln(symbols) / T.

    Parameters
    ----------
    count, blanks : int
        N ≥ 1, and the steps from the last symbol to the first answer, ≥ 1. The last of them is the
        signal.
    symbols, length : int
        How many symbols there are, 1 to `symbols`, and how many are shown.
    rng, seed : numpy Generator or int, optional
        What draws the symbols.

    Returns
    -------
    X, y : ndarray of int, of shape (N, T)
        In X, 0 is a blank and symbols + 1 the signal; in y, 0 is "nothing to say yet". So there are
        symbols + 2 inputs and symbols + 1 classes.

    References
    ----------
    Hochreiter & Schmidhuber 1997; Arjovsky, Shah & Bengio 2016, §5.1.

    Examples
    --------
    >>> X, y = copy_task(1, blanks=3, symbols=4, length=2, seed=0)
    >>> X[0], y[0]
    (array([4, 3, 0, 0, 5, 0, 0]), array([0, 0, 0, 0, 0, 4, 3]))
    """
    draw = _generator("copy_task", count, blanks, 1, rng, seed, "blanks")
    for name, size in (("symbols", symbols), ("length", length)):
        if size < 1:
            raise ValueError(f"copy_task: {name} is a whole number ≥ 1, not {size!r}")
    shown = draw.integers(1, symbols + 1, (count, length))
    X, y = np.zeros((2, count, blanks + 2 * length), int)
    X[:, :length], y[:, -length:] = shown, shown
    X[:, length + blanks - 1] = symbols + 1
    return X, y


def recall_first_bit(
    count: int, steps: int, *, rng: np.random.Generator | None = None, seed: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """T random bits; the answer is the first. Guessing is right half of the time.

    Parameters
    ----------
    count, steps : int
        N ≥ 1 and T ≥ 1.
    rng, seed : numpy Generator or int, optional
        What draws the bits.

    Returns
    -------
    X : ndarray of shape (N, T, 1)
        Bits as −1 and +1, so that none is silent.
    y : ndarray of shape (N, 1)
        The first bit, 0 or 1.

    Examples
    --------
    >>> X, y = recall_first_bit(5, 4, seed=0)
    >>> X[:, 0, 0], y[:, 0]
    (array([ 1., -1., -1.,  1.,  1.]), array([1., 0., 0., 1., 1.]))
    """
    draw = _generator("recall_first_bit", count, steps, 1, rng, seed)
    bits = draw.integers(0, 2, (count, steps, 1))
    return 2.0 * bits - 1.0, bits[:, 0].astype(float)


def parity(
    count: int, steps: int, *, rng: np.random.Generator | None = None, seed: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """T random bits; the answer is whether the number of ones is odd. Every single bit decides.

    Parameters
    ----------
    count, steps : int
        N ≥ 1 and T ≥ 1.
    rng, seed : numpy Generator or int, optional
        What draws the bits.

    Returns
    -------
    X : ndarray of shape (N, T, 1)
        Bits 0 or 1.
    y : ndarray of shape (N, T, 1)
        The parity of the bits so far; the last one is that of the whole sequence.

    Examples
    --------
    >>> X, y = parity(1, 5, seed=0)
    >>> X[0, :, 0], y[0, :, 0]
    (array([1., 1., 1., 0., 0.]), array([1., 0., 1., 1., 1.]))
    """
    draw = _generator("parity", count, steps, 1, rng, seed)
    bits = draw.integers(0, 2, (count, steps, 1))
    return bits.astype(float), (np.cumsum(bits, axis=1) % 2).astype(float)


def temporal_order(
    count: int, steps: int, *, rng: np.random.Generator | None = None, seed: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Among distractors stand two symbols, each X or Y, far apart; the answer is their order.

    A sequence begins with E and ends with B. The first of the two stands from T/10 to T/5, the
    second from T/2 to 3T/5; the other places hold one of a, b, c, d.

    Parameters
    ----------
    count, steps : int
        N ≥ 1 and T ≥ 10.
    rng, seed : numpy Generator or int, optional
        What draws the sequences.

    Returns
    -------
    X : ndarray of shape (N, T, 8)
        One-hot symbols in the order of `TEMPORAL_SYMBOLS`.
    y : ndarray of int, of shape (N,)
        The class: XX 0, XY 1, YX 2, YY 3.

    References
    ----------
    Hochreiter & Schmidhuber 1997, §5.6, task 6a.

    Examples
    --------
    >>> X, y = temporal_order(2, 20, seed=3)
    >>> ["".join(TEMPORAL_SYMBOLS[k] for k in x.argmax(1)) for x in X], y
    (['EaaYaddcaaXbcbbaccaB', 'EbXcbbccacYddbbcccdB'], array([2, 1]))
    """
    draw = _generator("temporal_order", count, steps, 10, rng, seed)
    symbols, every = draw.integers(2, 6, (count, steps)), np.arange(count)
    symbols[:, 0], symbols[:, -1] = 0, 1
    first, second = draw.integers(0, 2, (2, count))
    symbols[every, draw.integers(steps // 10, steps // 5, count)] = 6 + first
    symbols[every, draw.integers(steps // 2, 3 * steps // 5, count)] = 6 + second
    return np.eye(len(TEMPORAL_SYMBOLS))[symbols], 2 * first + second


def _generator(
    task: str,
    count: int,
    steps: int,
    fewest: int,
    rng: np.random.Generator | None,
    seed: int | None,
    called: str = "steps",
) -> np.random.Generator:
    """The generator to draw with, once the sizes have been looked at."""
    if count < 1:
        raise ValueError(f"{task}: count is a whole number ≥ 1, not {count!r}")
    if steps < fewest:
        raise ValueError(f"{task}: {called} is a whole number ≥ {fewest}, not {steps!r}")
    if rng is not None and seed is not None:
        raise TypeError(f"{task}: give rng= or seed=, not both")
    return rng if rng is not None else np.random.default_rng(seed)
