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
from microrecur.engine.tracing import plain, stands_for_array, taken, tracing

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
    if tracing() is None:
        _checked_probabilities(y._data)
    elif stands_for_array(target):  # the check runs at every call
        y = plain(_checked_probabilities, y)
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
    input = taken(input, float)
    input = input if isinstance(input, Tensor) else tensor(input)
    axis = 0 if input.ndim == 1 else 1
    classes = plain(
        _checked_classes, target, shape=input.shape, axis=axis, ignore_index=ignore_index
    )
    counts = plain(_counting, classes, ignore_index=ignore_index)
    if mask is not None:
        counts = plain(np.logical_and, counts, _as_mask("cross_entropy", mask, classes.shape))
    chosen = plain(_zero_elsewhere, counts, classes)
    places: Any = tuple(np.indices(classes.shape))
    log_p = ops.log_softmax(input, axis=axis)[(*places[:axis], chosen, *places[axis:])]
    everywhere = tracing() is None and counts.all()
    return _reduced("cross_entropy", -log_p, None if everywhere else counts, reduction)


def _counting(classes: np.ndarray, *, ignore_index: int) -> np.ndarray:
    return classes != ignore_index


def _zero_elsewhere(counts: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return np.where(counts, classes, 0)


def _checked_classes(
    classes: np.ndarray, *, shape: tuple[int, ...], axis: int, ignore_index: int
) -> np.ndarray:
    wanted = (*shape[:axis], *shape[axis + 1 :])
    if not shape or classes.shape != wanted:
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
    return classes


def _pair(name: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of one shape; numbers and arrays take the dtype of the tensor beside them."""
    tensors = [v for v in (input, target) if isinstance(v, Tensor) and not stands_for_array(v)]
    like = tensors[0].dtype if tensors else np.dtype(float)
    taken_as = [taken(v, like) for v in (input, target)]
    made = [v if isinstance(v, Tensor) else tensor(v) for v in taken_as]
    if made[0].shape != made[1].shape:
        raise ShapeError(
            f"{name}: input has shape {made[0].shape}, target {made[1].shape}: they must be equal; "
            "reshape one of them"
        )
    return made[0], made[1]


def _reduced(name: str, losses: Tensor, mask: ArrayLike | None, reduction: str) -> Tensor:
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction is one of {list(REDUCTIONS)}, not {reduction!r}")
    count: Any = float(losses.size)
    if mask is not None:
        counts = _as_mask(name, mask, losses.shape)
        losses, count = ops.where(counts, losses, 0.0), plain(_count, counts, dtype=losses.dtype)
    if reduction == "none":
        return losses
    total = ops.sum(losses)
    if reduction == "mean":
        with np.errstate(invalid="ignore"):  # the mean of nothing is nan, as torch has it
            total = total / count
    return total.named("L")


def _count(counts: np.ndarray, *, dtype: np.dtype[Any]) -> np.ndarray:
    """How many count, as a number of the losses' dtype."""
    return np.asarray(np.sum(counts), dtype)


def _as_mask(name: str, mask: ArrayLike | Tensor, shape: tuple[int, ...]) -> Any:
    return plain(_checked_mask, mask, name=name, shape=shape)


def _checked_mask(given: np.ndarray, *, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if given.shape != shape:
        raise ShapeError(f"{name}: mask has shape {given.shape}, it must be {shape}")
    if given.dtype.kind not in "biu" and not np.isin(given, (0, 1)).all():
        raise TypeError(f"{name}: a mask is of bool (or 0 and 1), not {given.dtype}")
    return given.astype(bool)


def _checked_probabilities(y: np.ndarray) -> np.ndarray:
    fitting = (y >= 0) & (y <= 1)
    if not fitting.all():
        raise ValueError(
            "binary_cross_entropy_with_logits: a target is a probability from 0 to 1, not "
            f"{y[~fitting].flat[0]:g}"
        )
    return y
