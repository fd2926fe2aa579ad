"""Clipping of gradients between `backward` and an optimiser's step, as torch.nn.utils has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from microrecur.engine.tensor import Tensor
from microrecur.nn.module import Module


def clip_grad_norm_(
    parameters: Module | Tensor | Iterable[Tensor],
    max_norm: float,
    *,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients together so that their common 2-norm is at most max_norm.

    Parameters
    ----------
    parameters : Module, Tensor or iterable of Tensor
        Whose gradients; those without one are passed over.
    max_norm : float
        The greatest norm that is left.
    error_if_nonfinite : bool
        Raise rather than scale when the norm is inf or nan.

    Returns
    -------
    float
        The norm before; right also where squares would overflow.

    Raises
    ------
    ValueError
        When max_norm is negative or nan: gradients would point uphill.
    RuntimeError
        With error_if_nonfinite, naming the parameters whose gradient is not finite.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> p = tensor([3.0, 4.0], requires_grad=True)
    >>> p.sum().backward(); p.grad = p.data * 10
    >>> clip_grad_norm_([p], 5.0), p.grad.round(4)
    (50.0, array([3., 4.]))
    """
    _check(max_norm, "clip_grad_norm_: max_norm")
    having = _with_gradients(parameters)
    norm = _norm([p.grad for p in having])
    if error_if_nonfinite and not np.isfinite(norm):
        wrong = [p._label() for p in having if not np.isfinite(p.grad).all()]
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {norm}: not finite in "
            f"{', '.join(wrong) or 'their sum'}"
        )
    scale = max_norm / (norm + 1e-6)  # torch's guard against 0
    if not scale >= 1:  # a nan norm makes all gradients nan, as torch: nothing is hidden
        for p in having:
            p.grad = p.grad * p.grad.dtype.type(scale)
    return norm


def clip_grad_value_(parameters: Module | Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit each number of each gradient to −clip_value … clip_value.

    Raises
    ------
    ValueError
        When clip_value is negative or nan.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> p = tensor([3.0, -0.1], requires_grad=True)
    >>> (p * p).sum().backward()
    >>> clip_grad_value_(p, 1.0)
    >>> p.grad
    array([ 1. , -0.2])
    """
    _check(clip_value, "clip_grad_value_: clip_value")
    for p in _with_gradients(parameters):
        p.grad = np.clip(p.grad, -clip_value, clip_value)


def _check(limit: float, what: str) -> None:
    if not limit >= 0:
        raise ValueError(f"{what} is a number from 0 up, not {limit!r}: it is the largest left")


def _with_gradients(parameters: Module | Tensor | Iterable[Tensor]) -> list[Any]:
    if isinstance(parameters, Module):
        parameters = parameters.parameters()
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in listed if p.grad is not None]


def _norm(arrays: list[np.ndarray]) -> float:
    """The 2-norm of all numbers, scaled by the greatest so that no square overflows."""
    greatest = max((float(np.abs(a).max(initial=0.0)) for a in arrays), default=0.0)
    if any(np.isnan(a).any() for a in arrays):
        return float("nan")
    if greatest == 0 or not np.isfinite(greatest):
        return greatest
    squares = sum(float(np.sum((a.astype(np.float64) / greatest) ** 2)) for a in arrays)
    return greatest * float(np.sqrt(squares))
