"""Steps from left to right: which are shown, where each begins, where the folded ones stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from microrecur.drawing import gru_layout, lstm_layout, own_layout, rnn_layout
from microrecur.drawing.blueprint import Blueprint
from microrecur.drawing.roles import Cell
from microrecur.drawing.sums import with_sums

FOLD = "folded"  # begins the key of a shape that stands for folded steps, and is its id
FOLD_WIDTH = 136.0  # the room a folded run of steps takes

# As many steps as stay legible 1100 pixels wide, of the textbook's cells.
LIMITS = {
    ("rnn", "op"): 6,
    ("rnn", "gate"): 6,
    ("lstm", "gate"): 4,
    ("gru", "gate"): 4,
    ("lstm", "op"): 2,
    ("gru", "op"): 2,
}
_WORTH, _SPARE = 24.0, 150.0  # what a step is widened by, at least and at most
_SLACK = 8.0  # a label at the end of a learner's own cell may stand out by
_KEPT = 4  # at most, of more: the first two and the last two

_ROOM = 1326.0  # points that 11-point text may be drawn over to be 9 pixels high at 1100
_ENDS = 56.0  # beyond the steps themselves: half of the first and the last state
_LABELLED_END = 142.0  # the same with the label beside the last h of an LSTM
_TAIL, _LONG_TAIL = 126.0, 150.0  # a loss behind them; each of more, which may hold shapes


def limits(cell: Cell, plan: Blueprint) -> tuple[int, int, int]:
    """How many steps stay legible, and how many are kept at either end of more."""
    behind = max(len(cell.tail), cell.behind)
    ends = _ENDS if behind or cell.kind != "lstm" else _LABELLED_END
    room = _ROOM - ends - (_TAIL if behind < 2 else _LONG_TAIL) * behind
    if cell.anatomy is not None:
        room -= _SLACK
    most = max(1, int(room // plan.pitch))
    if cell.anatomy is None:
        usual = LIMITS[cell.kind, cell.level]
        most = usual if behind < 2 else min(most, usual)
    kept = max(1, min(_KEPT, int((room - FOLD_WIDTH) // plan.pitch)))
    return most, kept - kept // 2 - (kept == 1), max(1, kept // 2)


@dataclass(frozen=True, slots=True)
class Fold:
    """A run of steps that are not drawn, and where the shape stands that says so."""

    steps: tuple[int, ...]
    at: float
    key: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the shown steps begin."""

    origins: dict[int, float]  # step -> left edge; the initial states' step too
    shown: tuple[int, ...]
    folds: tuple[Fold, ...]
    _hidden: dict[int, Fold] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._hidden.update((step, fold) for fold in self.folds for step in fold.steps)

    def shows(self, step: int) -> bool:
        """Whether a step has its own place."""
        return step in self.origins

    def fold_of(self, step: int) -> Fold:
        """The run that hides a step."""
        return self._hidden[step]


def shown_steps(
    every: tuple[int, ...], limits: tuple[int, int, int], steps: str | int | slice, fold: bool
) -> tuple[int, ...]:
    """The steps that are drawn.

    Parameters
    ----------
    every
        All steps, in order.
    limits
        How many stay legible; how many are kept at either end of more.
    steps
        "auto": as many as stay legible; "all"; a number: that many at most; a slice of all steps.
    fold
        False draws every step.

    Raises
    ------
    ValueError
        For anything else, or a slice that leaves no step.

    Examples
    --------
    >>> shown_steps((1, 2, 3, 4, 5, 6, 7), (4, 2, 1), "auto", True)
    (1, 2, 7)
    >>> shown_steps((1, 2, 3, 4, 5, 6, 7), (4, 2, 1), slice(-2, None), True)
    (6, 7)
    """
    if isinstance(steps, slice):
        return _sliced(every, steps)
    whole = not isinstance(steps, (str, bool)) and isinstance(steps, int) and steps > 0
    if not whole and steps not in ("auto", "all"):
        raise ValueError(
            f'steps={steps!r}: "auto" draws as many as stay legible, "all" every one, a number '
            "that many at most, a slice such as slice(-2, None) the last two"
        )
    limit, first, last = limits
    if steps != "auto" and steps != "all":
        limit = int(steps)
        first, last = max(1, limit // 2), max(1, limit - limit // 2 - (limit > 2))
    if not fold or steps == "all" or len(every) <= limit:
        return every
    return every[:first] + every[-last:]


def _sliced(every: tuple[int, ...], steps: slice) -> tuple[int, ...]:
    whole = (isinstance(k, int | None) for k in (steps.start, steps.stop, steps.step))
    if not all(whole) or (steps.step is not None and steps.step < 1):
        raise ValueError(
            f"steps={steps}: time runs to the right, so a slice of steps counts forward in whole "
            "numbers, such as slice(0, None, 10) every tenth"
        )
    shown = every[steps]
    if not shown:
        raise ValueError(
            f"steps={steps}: no step is left; there are {len(every)}, from t = {every[0]} "
            f"to t = {every[-1]}, and a slice counts them from 0"
        )
    return shown


def columns(cell: Cell, plan: Blueprint, shown: tuple[int, ...]) -> Columns:
    """Set the shown steps side by side, with room for what is folded between them."""
    origins = {cell.steps[0] - 1: -plan.pitch}
    folds: list[Fold] = []
    left = 0.0
    for hidden, run in _runs(cell.steps, shown):
        if hidden:
            key = FOLD if not folds else f"{FOLD}{len(folds) + 1}"
            folds.append(Fold(run, left + FOLD_WIDTH / 2 - 2.0, key))
            left += FOLD_WIDTH
            continue
        for step in run:
            origins[step] = left
            left += plan.pitch
    return Columns(origins, shown, tuple(folds))


def widened(cell: Cell, plan: Blueprint, shown: tuple[int, ...], path: bool) -> Blueprint:
    """The grid with columns as wide as the shown steps leave room for, up to a limit."""
    if len(cell.steps) == 1 or (
        cell.anatomy is None and (cell.kind == "rnn" or cell.level == "op")
    ):
        return plan
    folds = sum(hidden for hidden, _ in _runs(cell.steps, shown))
    behind = max(len(cell.tail), cell.behind)
    tail = (_TAIL if behind < 2 else _LONG_TAIL) * behind
    room = _ROOM - _ENDS - tail - FOLD_WIDTH * folds
    spare = (room - _SLACK) / len(shown) - plan.pitch
    if cell.anatomy is None:
        if spare < _WORTH:
            return plan
        if cell.kind == "lstm":
            return lstm_layout.by_gate(False, cell.variant == "peephole", min(spare, _SPARE))
        return gru_layout.by_gate(False, cell.variant != "reset before", min(spare, _SPARE))
    column = own_layout.column(cell.anatomy, spare)
    return own_layout.own_cell(cell.anatomy, False, column, path)


def _runs(every: tuple[int, ...], shown: tuple[int, ...]) -> Iterator[tuple[bool, tuple[int, ...]]]:
    """Runs of steps that are hidden or not, in order."""
    kept = set(shown)
    for hidden, run in groupby(every, lambda step: step not in kept):
        yield hidden, tuple(run)


def blueprint(cell: Cell, single: bool, written: float, path: bool = False) -> Blueprint:
    """The grid for a cell, one step alone or one of many; `written`: width of its affine map."""
    if cell.anatomy is not None:
        return own_layout.own_cell(cell.anatomy, single, path=path)
    plan = _plain(cell, single, written)
    return with_sums(plan, cell, single) if any(p[0] == "Σ" for p in cell.part_names) else plan


def _plain(cell: Cell, single: bool, written: float) -> Blueprint:
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
