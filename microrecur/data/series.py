"""A series of numbers in order of time: read it, scale it, cut it into windows."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike


class Series(NamedTuple):
    """Values in order of time; ``times, values = series`` takes it apart.

    Attributes
    ----------
    times : ndarray of shape (T,)
        The first column of the file: years, dates as text, or 0 … T−1 where it has none.
    values : ndarray of shape (T,)
        The numbers, float64.
    """

    times: np.ndarray
    values: np.ndarray


def sunspots() -> Series:
    """Yearly mean sunspot numbers, 1700 to 2008.

    Returns
    -------
    Series
        309 years (integers) and as many sunspot numbers.

    Notes
    -----
    Public domain, from the National Geophysical Data Center; ``sunspots.txt`` beside the csv
    states source and licence.

    Examples
    --------
    >>> years, values = sunspots()
    >>> years[0], years[-1], values.shape, values.max()
    (np.int64(1700), np.int64(2008), (309,), np.float64(190.2))
    """
    with as_file(files("microrecur.data") / "sunspots.csv") as path:
        return read_series(path)


def read_series(path: str | Path, column: str | int | None = None) -> Series:
    r"""Read one column of numbers from a csv file.

    Parameters
    ----------
    path : str or Path
        A text file of rows in order of time, separated by commas, semicolons or tabs. A first
        row that is not all numbers is taken as the names of the columns.
    column : str or int, optional
        The name of the column of values, or its position counted from 0. Not needed where the
        file has one column, or two of which the first is the time.

    Returns
    -------
    Series
        ``values`` from that column; ``times`` from the first column, or 0 … T−1 where that is
        the column of values.

    Raises
    ------
    FileNotFoundError
        No such file; the message gives the full path that was tried.
    ValueError
        The file is empty, the column is unknown or not chosen, a row is too short, or a cell
        is not a finite number; the message names file, line and column.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "tides.csv"
    ...     _ = path.write_text("hour,height\n0,1.5\n6,4.25\n")
    ...     read_series(path).values
    array([1.5 , 4.25])
    """
    names, rows = _read_table(Path(path))
    chosen = _choose_column(Path(path), names, column)
    for line, row in rows:
        if len(row) != len(names):
            raise ValueError(
                f"{path}, line {line}: a row is {', '.join(names)}; "
                f"this one has {len(row)} of {len(names)} cells"
            )
    values = [_to_number(row[chosen], f"{path}, line {line}", names[chosen]) for line, row in rows]
    times = _to_times([row[0] for _, row in rows]) if chosen > 0 else np.arange(len(values))
    return Series(times, np.array(values))


def windows(
    series: Series | ArrayLike, length: int, horizon: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Every window of a series, each with the value that lies ``horizon`` steps after its end.

    T points hold T − length + 1 windows, but the last ``horizon`` of them have no value to
    predict: N = T − length − horizon + 1 pairs remain.

    Parameters
    ----------
    series : Series or array_like of shape (T,)
        The values, in order of time.
    length : int
        Points in a window, at least 1.
    horizon : int, default 1
        Steps from a window's last point to the value it predicts, at least 1.

    Returns
    -------
    X : ndarray of shape (N, length)
        ``X[n] = values[n : n + length]``, a copy.
    y : ndarray of shape (N,)
        ``y[n] = values[n + length + horizon - 1]``, a copy.

    Raises
    ------
    ValueError
        ``length`` or ``horizon`` below 1, the series not one-dimensional, or too short to hold
        one pair.

    Examples
    --------
    >>> X, y = windows(np.arange(1, 1001), length=10)
    >>> X.shape, X[0], y[0]
    ((990, 10), array([ 1,  2,  3,  4,  5,  6,  7,  8,  9, 10]), np.int64(11))
    """
    values = _to_values(series)
    if length < 1 or horizon < 1:
        raise ValueError(
            f"windows: length={length} and horizon={horizon} must both be at least 1; "
            "horizon=1 predicts the very next value"
        )
    needed = length + horizon
    if len(values) < needed:
        raise ValueError(
            f"windows: length={length} and horizon={horizon} need at least {needed} points, "
            f"the series has {len(values)}"
        )
    # The windows with a value to predict are all but the last `horizon`.
    X = sliding_window_view(values, length)[:-horizon].copy()
    y = values[needed - 1 :].copy()
    return X, y


@dataclass(frozen=True)
class Standardiser:
    """Scales values to mean 0 and standard deviation 1, as measured on the training part.

    Fit it on the part you train on and apply it to everything: numbers from the test part may
    not shape what the model sees before it is tested.

    Parameters
    ----------
    mean, std : float
        Mean and standard deviation (divided by N) of the training part, in the series' units.

    Examples
    --------
    >>> values = np.array([10.0, 20.0, 30.0, 70.0])
    >>> scaling = Standardiser.fit(values[:3])
    >>> scaling.mean, scaling.apply(values).round(2)
    (20.0, array([-1.22,  0.  ,  1.22,  6.12]))
    >>> scaling.invert(scaling.apply(values))
    array([10., 20., 30., 70.])
    """

    mean: float
    std: float

    @classmethod
    def fit(cls, train: Series | ArrayLike) -> Standardiser:
        """Measure mean and standard deviation on the training part alone.

        Parameters
        ----------
        train : Series or array_like of shape (T,)
            The training part, T ≥ 2.

        Returns
        -------
        Standardiser

        Raises
        ------
        ValueError
            The part is empty, constant (nothing to divide by) or holds NaN or infinity.
        """
        values = _to_values(train).astype(float)
        if not values.size:
            raise ValueError("Standardiser.fit: the training part is empty")
        if not np.isfinite(values).all():
            where = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(
                f"Standardiser.fit: value {where} of the training part is {values[where]}; "
                "fill or drop missing values first"
            )
        # Compared by value: the standard deviation of equal numbers may round to 1e-17, not 0.
        if values.min() == values.max():
            raise ValueError(
                f"Standardiser.fit: the training part is constant (all {values[0]:g}), so there "
                "is no spread to scale by; take a longer part"
            )
        return cls(float(values.mean()), float(values.std()))

    def apply(self, values: ArrayLike) -> np.ndarray:
        """Scale values of any shape from the series' units to standard units."""
        return (np.asarray(values) - self.mean) / self.std

    def invert(self, scaled: ArrayLike) -> np.ndarray:
        """Bring scaled values of any shape back to the series' units."""
        return np.asarray(scaled) * self.std + self.mean


def _to_values(series: Series | ArrayLike) -> np.ndarray:
    values = np.asarray(series.values if isinstance(series, Series) else series)
    if values.ndim != 1:
        raise ValueError(f"a series has one dimension, this array has shape {values.shape}")
    return values


def _read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names of the columns, and the rows that are not blank, each with its line number."""
    if not path.is_file():
        raise FileNotFoundError(f"read_series: no file at {path.absolute()}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8") from error
    delimiter = max(",;\t", key="".join(lines[:1]).count)
    reader = csv.reader(lines, delimiter=delimiter)
    table = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    rows = [(line, row) for line, row in table if any(row)]
    if not rows:
        raise ValueError(f"{path} is empty: a row of numbers is needed")
    first = rows[0][1]
    if all(_is_number(cell) for cell in first):
        return [str(n) for n in range(len(first))], rows
    if len(rows) == 1:
        raise ValueError(f"{path} holds names ({', '.join(first)}) and no numbers")
    return first, rows[1:]


def _choose_column(path: Path, names: list[str], column: str | int | None) -> int:
    if column is None and len(names) <= 2:
        return len(names) - 1
    if isinstance(column, int) and 0 <= column < len(names):
        return column
    if column in names:
        return names.index(str(column))
    asked = "column= says which to read" if column is None else f"there is no column {column!r}"
    raise ValueError(f"{path}: {asked}; it has {', '.join(map(repr, names))}")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _to_number(cell: str, place: str, column: str) -> float:
    if _is_number(cell) and math.isfinite(float(cell)):
        return float(cell)
    raise ValueError(f"{place}, column {column!r}: {cell!r} is not a finite number")


def _to_times(cells: list[str]) -> np.ndarray:
    """Integers where all cells are, else numbers where all cells are, else the text itself."""
    for kind in (int, float):
        try:
            return np.array([kind(cell) for cell in cells])
        except ValueError:
            continue
    return np.array(cells)
