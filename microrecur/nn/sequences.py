"""A batch of sequences as a recurrent layer reads it: step by step, each sequence to its length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from microrecur.engine import ops
from microrecur.engine.errors import ShapeError
from microrecur.engine.tensor import STEP, Tensor, scope, tensor
from microrecur.engine.tracing import plain, taken, tracing


class Sequences:
    """The input of a layer, checked, and which sequences are over at which position.

    Parameters
    ----------
    layer : str
        Who asks, for messages.
    x : array_like or Tensor
        (T, I), (T, N, I), or (N, T, I) with time_axis 1. A list of tensors is one x per step.
    lengths : sequence of int or None
        The length of each sequence; None for all T.
    dtype : dtype
        What numbers and arrays are turned into; a tensor keeps its own.
    time_axis : int
        Where T stands when there is a batch axis.
    """

    def __init__(
        self, layer: str, x: Any, lengths: ArrayLike | None, dtype: DTypeLike, time_axis: int
    ) -> None:
        self.layer = layer
        if isinstance(x, (list, tuple)) and any(isinstance(part, Tensor) for part in x):
            x = ops.stack(x)
        self.x = taken(x, dtype)
        self.dtype = self.x.dtype
        shape = self.x.shape
        if len(shape) not in (2, 3):
            axes = "(N, T, I)" if time_axis else "(T, N, I)"
            raise ShapeError(
                f"{layer}: x has shape {shape}; give {axes} for a batch of sequences, or (T, I) "
                "for one"
            )
        self.time_axis = time_axis if len(shape) == 3 else 0
        self.length = shape[self.time_axis]
        self.lead = (shape[1 - self.time_axis],) if len(shape) == 3 else ()
        if not self.length:
            raise ShapeError(f"{layer}: x has shape {shape}: the sequence is empty (T = 0)")
        self._over = self._ends(lengths)

    def check_features(self, input_size: int) -> None:
        """Raise ShapeError unless x has this many features."""
        shape = self.x.shape
        if shape[-1] != input_size:
            name = (self.x.name if isinstance(self.x, Tensor) else None) or "x"
            raise ShapeError(
                f"{self.layer}: {name} has {shape[-1]} features {shape}, weight_ih_l0 expects "
                f"{input_size} (input_size={input_size})"
            )

    def _ends(self, lengths: ArrayLike | None) -> list[Tensor | None]:
        """Per position the sequences that are over, (N, 1) of bool; None where none is.

        Made once, outside any step: constants of the computation, not inputs of its steps.
        """
        if lengths is None:
            return [None] * self.length
        if not self.lead:
            raise ShapeError(
                f"{self.layer}: lengths= needs a batch of sequences, x has shape {self.x.shape}; "
                "cut one sequence to its length instead"
            )
        ends = plain(
            _checked_lengths,
            lengths,
            layer=self.layer,
            shape=self.x.shape,
            lead=self.lead,
            longest=self.length,
        )
        if tracing() is not None:  # which are over where is known only when it runs
            return [plain(_over, ends, t=t) for t in range(self.length)]
        masks = (_over(ends, t=t) for t in range(self.length))
        return [tensor(mask) if mask.any() else None for mask in masks]

    def steps(self, begun: int) -> list[Tensor]:
        """Return x position by position, filed under "t=" and named x.

        An array gives leaves; a tensor recorded slices, so that a gradient reaches it. Padding is
        replaced by 0, so that not even a nan in it is ever read.
        """
        xs = []
        for t in range(self.length):
            at: Any = (slice(None), t) if self.time_axis else t
            with scope(f"{STEP}{begun + t + 1}"):
                x = self.zero_where_over(t, self.x[at])
                xs.append((x if isinstance(x, Tensor) else tensor(x)).named("x"))
        return xs

    def zero_where_over(self, t: int, value: Any) -> Any:
        """Return the array or tensor where its sequence goes on at t, 0 where it is over."""
        over, zero = self._over[t], np.zeros((), value.dtype)
        if over is None:
            return value
        recorded = isinstance(value, Tensor) or tracing() is not None
        return ops.where(over if recorded else over.data, zero, value)

    def held_where_over(
        self, t: int, new: Sequence[Tensor], old: Sequence[Tensor], letters: Sequence[str]
    ) -> tuple[Tensor, ...]:
        """Return the new states of the sequences that go on, the old of those that are over."""
        over = self._over[t]
        if over is None:
            return tuple(new)
        with scope("length"):
            return tuple(
                ops.where(over, before, after).named(f"held {letter}")
                for after, before, letter in zip(new, old, letters)
            )


def _checked_lengths(
    ends: np.ndarray, *, layer: str, shape: tuple[int, ...], lead: tuple[int, ...], longest: int
) -> np.ndarray:
    if ends.shape != lead or ends.dtype.kind not in "iu":
        raise ShapeError(
            f"{layer}: lengths must be {lead[0]} whole numbers, one per sequence, "
            f"not {ends.dtype} of shape {ends.shape}"
        )
    wrong = [(k, n) for k, n in enumerate(ends.tolist()) if not 1 <= n <= longest]
    if wrong:
        listed = ", ".join(f"lengths[{k}] = {n}" for k, n in wrong)
        raise ValueError(
            f"{layer}: {listed}: a length is from 1 to {longest}, the number of "
            f"positions of x {shape}"
        )
    return ends


def _over(ends: np.ndarray, *, t: int) -> np.ndarray:
    """Which sequences are over at position t, as a column."""
    return (ends <= t)[:, np.newaxis]
