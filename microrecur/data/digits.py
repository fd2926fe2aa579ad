"""The data sets that come along besides the sunspots: handwritten digits, consumer prices."""

from __future__ import annotations

import gzip
from importlib.resources import as_file, files
from typing import NamedTuple

import numpy as np

from microrecur.data.series import Series, read_series


class Images(NamedTuple):
    """Pictures and what they show; ``images, labels = digits()`` takes it apart.

    Attributes
    ----------
    images : ndarray of shape (N, rows, columns)
        Brightness from 0 to 1, float64: N sequences of rows.
    labels : ndarray of int, of shape (N,)
        The class of each.
    """

    images: np.ndarray
    labels: np.ndarray


def digits() -> Images:
    """1,797 handwritten digits of 8×8 pixels, to be read row by row: T = 8 steps of 8 features.

    Returns
    -------
    Images
        (1797, 8, 8) from 0 to 1, and as many digits 0 to 9.

    Notes
    -----
    Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning
    Repository, CC BY 4.0; ``digits.txt`` beside the file states source and licence.

    Examples
    --------
    >>> images, labels = digits()
    >>> images.shape, labels[:5], np.bincount(labels).min()
    ((1797, 8, 8), array([0, 1, 2, 3, 4]), np.int64(174))
    """
    packed = (files("microrecur.data") / "digits.csv.gz").read_bytes()
    lines = gzip.decompress(packed).decode("ascii").splitlines()
    table = np.array([line.split(",") for line in lines], float)
    return Images(table[:, :64].reshape(-1, 8, 8) / 16, table[:, 64].astype(int))


def consumer_prices() -> Series:
    """US consumer price index by quarter, 1959 to 2009 (1982-84 = 100, seasonally adjusted).

    Returns
    -------
    Series
        203 quarters as text, and as many prices.

    Notes
    -----
    Public domain, from the Federal Reserve Bank of St. Louis; ``consumer_prices.txt`` beside the
    csv states source and licence.

    Examples
    --------
    >>> quarters, prices = consumer_prices()
    >>> quarters[0], prices[0], prices[-1]
    (np.str_('1959Q1'), np.float64(28.98), np.float64(216.385))
    """
    with as_file(files("microrecur.data") / "consumer_prices.csv") as path:
        return read_series(path)
