"""Steps from left to right: which are shown, where each begins, where the folded ones stand."""

from __future__ import annotations

from dataclasses import dataclass

from microrecur.drawing import gru_layout, lstm_layout, rnn_layout
from microrecur.drawing.blueprint import Blueprint
from microrecur.drawing.roles import Cell

FOLD_WIDTH = 144.0  # the room a folded run of steps takes

# Steps that stay legible 1100 pixels wide, and how many are kept at either end beyond that.
_LIMITS = {
    ("rnn", "op"): (6, 2, 2),
    ("rnn", "gate"): (6, 2, 2),
    ("lstm", "gate"): (4, 2, 1),
    ("gru", "gate"): (4, 2, 1),
    ("lstm", "op"): (2, 0, 1),
    ("gru", "op"): (2, 0, 1),
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the shown steps begin."""

    origins: dict[int, float]  # step -> left edge; the initial states' step too
    shown: tuple[int, ...]
    folded: tuple[int, ...]
    fold_at: float | None  # the middle of the folded run
    right: float  # where the last step's pitch ends

    def shows(self, step: int) -> bool:
        """Whether a step has its own place."""
        return step in self.origins


def shown_steps(cell: Cell, steps: str | int, fold: bool) -> tuple[int, ...]:
    """The steps that are drawn.

    Parameters
    ----------
    steps
        "auto": as many as stay legible; a number: that many at most.
    fold
        False draws every step.
    """
    limit, first, last = _LIMITS[cell.kind, cell.level]
    if steps != "auto":
        limit = int(steps)
        first, last = max(1, limit // 2), max(1, limit - limit // 2 - (limit > 2))
    if not fold or len(cell.steps) <= limit:
        return cell.steps
    return cell.steps[:first] + cell.steps[-last:]


def columns(cell: Cell, plan: Blueprint, shown: tuple[int, ...]) -> Columns:
    """Set the shown steps side by side, with room for what is folded between them."""
    origins = {cell.steps[0] - 1: -plan.pitch}
    left, fold_at, before = 0.0, None, cell.steps[0] - 1
    for step in shown:
        if step != before + 1:
            fold_at = left + FOLD_WIDTH / 2 - 2.0
            left += FOLD_WIDTH
        origins[step] = left
        left, before = left + plan.pitch, step
    return Columns(origins, shown, tuple(s for s in cell.steps if s not in shown), fold_at, left)


def blueprint(cell: Cell, single: bool, written: float) -> Blueprint:
    """The grid for a cell, one step alone or one of many; `written`: width of its affine map."""
    if cell.kind == "rnn":
        return rnn_layout.single_cell(written) if single else rnn_layout.unrolled()
    if cell.kind == "lstm":
        return (
            lstm_layout.by_op(single, cell.variant == "peephole")
            if cell.level == "op"
            else lstm_layout.by_gate(single, cell.variant == "peephole")
        )
    after = cell.variant != "reset before"
    return (
        gru_layout.by_op(single, after) if cell.level == "op" else gru_layout.by_gate(single, after)
    )
