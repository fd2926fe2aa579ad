"""Initialisers: give a parameter its first numbers, in place, as torch.nn.init's of the same name.

They act on the whole array they are given. A cell's packed weight holds a block of rows per gate;
`rows` says which to fill: ``orthogonal_(cell.weight_hh, rows=slice(0, H))``.
"""

from __future__ import annotations

import numpy as np

from microrecur.engine.errors import ShapeError
from microrecur.engine.tensor import Tensor
from microrecur.nn.module import generator


def uniform_(
    parameter: Tensor,
    a: float = 0.0,
    b: float = 1.0,
    *,
    rows: slice | None = None,
    rng: np.random.Generator | None = None,
    seed: int | None = None,
) -> Tensor:
    """Fill with U(a, b) and return the parameter.

    Parameters
    ----------
    parameter : Tensor
        A leaf; it is assigned.
    a, b : float
        The ends.
    rows : slice, optional
        Fill these rows alone, as if they were the whole array.
    rng, seed : numpy Generator or int, optional
        What draws.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> p = uniform_(tensor(np.zeros(1000)), -0.1, 0.1, seed=0)
    >>> bool(abs(p.data).max() <= 0.1)
    True
    """
    shape = _filled(parameter, rows).shape
    return _put(parameter, generator(rng, seed).uniform(a, b, shape), rows)


def xavier_uniform_(
    parameter: Tensor,
    gain: float = 1.0,
    *,
    rows: slice | None = None,
    rng: np.random.Generator | None = None,
    seed: int | None = None,
) -> Tensor:
    """Fill a matrix with U(−a, a), a = gain·√(6 / (in + out)) (Glorot & Bengio 2010).

    Parameters are those of `uniform_`.
    """
    out, into = _matrix("xavier_uniform_", parameter, rows)
    a = gain * np.sqrt(6 / (into + out))
    return _put(parameter, generator(rng, seed).uniform(-a, a, (out, into)), rows)


def xavier_normal_(
    parameter: Tensor,
    gain: float = 1.0,
    *,
    rows: slice | None = None,
    rng: np.random.Generator | None = None,
    seed: int | None = None,
) -> Tensor:
    """Fill a matrix with N(0, s²), s = gain·√(2 / (in + out)) (Glorot & Bengio 2010)."""
    out, into = _matrix("xavier_normal_", parameter, rows)
    s = gain * np.sqrt(2 / (into + out))
    return _put(parameter, generator(rng, seed).normal(0, s, (out, into)), rows)


def orthogonal_(
    parameter: Tensor,
    gain: float = 1.0,
    *,
    rows: slice | None = None,
    rng: np.random.Generator | None = None,
    seed: int | None = None,
) -> Tensor:
    """Fill a matrix with rows (or columns, whichever are fewer) at right angles, of length gain.

    Drawn evenly from all such matrices (Saxe, McClelland & Ganguli 2014).

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> U = orthogonal_(tensor(np.zeros((3, 3))), seed=0).data
    >>> bool(np.allclose(U @ U.T, np.eye(3)))
    True
    """
    out, into = _matrix("orthogonal_", parameter, rows)
    drawn = generator(rng, seed).normal(size=(max(out, into), min(out, into)))
    q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # else QR's own signs would favour some matrices
    return _put(parameter, gain * (q if out >= into else q.T), rows)


def identity_(parameter: Tensor, gain: float = 1.0, *, rows: slice | None = None) -> Tensor:
    """Make a square matrix gain times the identity: a relu RNN that starts by keeping its state.

    With biases at 0 this is the IRNN (Le, Jaitly & Hinton 2015).

    Examples
    --------
    >>> from microrecur.nn.cells import RNNCell
    >>> cell = RNNCell(1, 2, nonlinearity="relu")
    >>> identity_(cell.weight_hh).data
    array([[1., 0.],
           [0., 1.]])
    """
    out, into = _matrix("identity_", parameter, rows)
    if out != into:
        raise ShapeError(
            f"identity_: {parameter.name or 'the parameter'} has shape {(out, into)}, the identity "
            "is square; rows=slice(a, b) picks one gate of a packed weight"
        )
    return _put(parameter, gain * np.eye(out), rows)


def _filled(parameter: Tensor, rows: slice | None) -> np.ndarray:
    return parameter.data if rows is None else parameter.data[rows]


def _matrix(name: str, parameter: Tensor, rows: slice | None) -> tuple[int, int]:
    shape = _filled(parameter, rows).shape
    if len(shape) != 2 or 0 in shape:
        raise ShapeError(
            f"{name} fills a matrix (out, in): {parameter.name or 'the parameter'} has shape "
            f"{shape}"
        )
    return shape[0], shape[1]


def _put(parameter: Tensor, numbers: np.ndarray, rows: slice | None) -> Tensor:
    if rows is not None:
        whole = parameter.numpy()
        whole[rows] = numbers
        numbers = whole
    parameter.assign(numbers)
    return parameter
