"""Losses, named and reduced as in torch.nn.functional; built of recorded ops, safe far from 0.

The result of a mean or a sum is named L, so that it is the node `L` of its graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from microrecur.engine import ops
from microrecur.engine.errors import ShapeError
from microrecur.engine.tensor import Tensor, tensor

REDUCTIONS = ("mean", "sum", "none")


def mse_loss(
    input: Any, target: Any, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Tensor:
    """(input − target)².

    Parameters
    ----------
    input, target : Tensor or array_like
        Of the same shape; nothing broadcasts, since (N, 1) beside (N,) is a mistake.
    mask : array_like of bool, optional
        Of that shape: which entries count. A mean is taken over those.
    reduction : {"mean", "sum", "none"}
        What is returned of the entries.

    Raises
    ------
    ShapeError
        When the shapes differ.

    Examples
    --------
    >>> mse_loss(tensor([1.0, 2.0]), [1.0, 4.0]).item()
    2.0
    """
    input, target = _pair("mse_loss", input, target)
    error = input - target
    return _reduced("mse_loss", error * error, mask, reduction)


def huber_loss(
    input: Any,
    target: Any,
    *,
    delta: float = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Half the squared error where it is at most delta, else delta·(|error| − delta/2).

    Parameters
    ----------
    input, target, mask, reduction
        As for `mse_loss`.
    delta : float
        Where the square turns into a line; > 0.

    Examples
    --------
    >>> huber_loss(tensor([0.5, 3.0]), [0.0, 0.0], reduction="none").data
    array([0.125, 2.5  ])
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: delta is a number > 0, not {delta!r}")
    input, target = _pair("huber_loss", input, target)
    size = ops.abs(input - target)
    near = ops.clip(size, None, delta)  # both pieces at once: near·(size − near/2)
    return _reduced("huber_loss", near * (size - near / 2), mask, reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Tensor:
    """−y log σ(x) − (1−y) log(1−σ(x)), from the logit x: no σ is rounded to 0 or 1.

    Parameters
    ----------
    input : Tensor
        Logits x.
    target : Tensor or array_like
        y, from 0 to 1, of the same shape.
    mask, reduction
        As for `mse_loss`.

    Examples
    --------
    >>> logits = tensor([0.0, 1000.0])
    >>> binary_cross_entropy_with_logits(logits, [1.0, 0.0], reduction="none").data.round(4)
    array([6.931e-01, 1.000e+03])
    """
    name = "binary_cross_entropy_with_logits"
    x, y = _pair(name, input, target)
    if y.size and not ((y.data >= 0) & (y.data <= 1)).all():
        raise ValueError(f"{name}: a target is a probability from 0 to 1, not {_outside(y)}")
    # −log σ(x) is softplus(−x): exact to the last digit on either side, where x − xy would cancel.
    return _reduced(name, y * ops.softplus(-x) + (1 - y) * ops.softplus(x), mask, reduction)


def cross_entropy(
    input: Any,
    target: ArrayLike | Tensor,
    *,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """−log softmax(input) at the class of the target.

    Parameters
    ----------
    input : Tensor
        Logits: (C,), (N, C), or (N, C, d₁, …) as torch has it, the classes along axis 1. For a
        sequence of logits (T, N, C), reshape to (T·N, C).
    target : array_like of int
        The class, 0 to C−1: (), (N,) or (N, d₁, …).
    ignore_index : int
        A target of this value does not count.
    mask : array_like of bool, optional
        Of the target's shape: which entries count, besides.
    reduction : {"mean", "sum", "none"}
        A mean is taken over the entries that count (nan when none does).

    Raises
    ------
    ShapeError
        When the shapes do not belong together.
    ValueError
        When a class is out of range.

    Examples
    --------
    >>> cross_entropy(tensor([[1000.0, -1000.0]]), [1]).item()
    2000.0
    """
    input = input if isinstance(input, Tensor) else tensor(np.asarray(input, float))
    classes = np.asarray(target.data if isinstance(target, Tensor) else target)
    axis = 0 if input.ndim == 1 else 1
    _check_classes(input, axis, classes, ignore_index)
    counts = classes != ignore_index
    if mask is not None:
        counts = counts & _as_mask("cross_entropy", mask, classes.shape)
    chosen = np.where(counts, classes, 0)
    places: Any = tuple(np.indices(classes.shape))
    log_p = ops.log_softmax(input, axis=axis)[(*places[:axis], chosen, *places[axis:])]
    return _reduced("cross_entropy", -log_p, None if counts.all() else counts, reduction)


def _check_classes(input: Tensor, axis: int, classes: np.ndarray, ignore_index: int) -> None:
    shape = input.shape
    wanted = (*shape[:axis], *shape[axis + 1 :])
    if input.ndim == 0 or classes.shape != wanted:
        raise ShapeError(
            f"cross_entropy: input has shape {shape}, so the target must be {wanted}, one class "
            f"per row of logits; it is {classes.shape}"
        )
    if classes.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: classes are whole numbers, not {classes.dtype}")
    wrong = classes[((classes < 0) | (classes >= shape[axis])) & (classes != ignore_index)]
    if wrong.size:
        raise ValueError(
            f"cross_entropy: target {wrong.flat[0]} is no class: input {shape} has classes 0 to "
            f"{shape[axis] - 1} (ignore_index={ignore_index})"
        )


def _pair(name: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of one shape; numbers and arrays take the dtype of the tensor beside them."""
    like = next((v.dtype for v in (input, target) if isinstance(v, Tensor)), np.dtype(float))
    made = [v if isinstance(v, Tensor) else tensor(np.asarray(v, like)) for v in (input, target)]
    if made[0].shape != made[1].shape:
        raise ShapeError(
            f"{name}: input has shape {made[0].shape}, target {made[1].shape}: they must be equal; "
            "reshape one of them"
        )
    return made[0], made[1]


def _reduced(name: str, losses: Tensor, mask: ArrayLike | None, reduction: str) -> Tensor:
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction is one of {list(REDUCTIONS)}, not {reduction!r}")
    count = float(losses.size)
    if mask is not None:
        counts = _as_mask(name, mask, losses.shape)
        losses, count = ops.where(counts, losses, 0.0), float(counts.sum())
    if reduction == "none":
        return losses
    total = ops.sum(losses)
    if reduction == "mean":
        with np.errstate(invalid="ignore"):  # the mean of nothing is nan, as torch has it
            total = total / count
    return total.named("L")


def _as_mask(name: str, mask: ArrayLike | Tensor, shape: tuple[int, ...]) -> np.ndarray:
    given = np.asarray(mask.data if isinstance(mask, Tensor) else mask)
    if given.shape != shape:
        raise ShapeError(f"{name}: mask has shape {given.shape}, it must be {shape}")
    if given.dtype.kind not in "biu" and not np.isin(given, (0, 1)).all():
        raise TypeError(f"{name}: a mask is of bool (or 0 and 1), not {given.dtype}")
    return given.astype(bool)


def _outside(y: Tensor) -> str:
    return f"{y.data[~((y.data >= 0) & (y.data <= 1))].flat[0]:g}"
