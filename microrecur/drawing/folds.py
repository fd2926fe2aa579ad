"""The shapes that stand for folded steps, and where the lines of each state meet them."""

from __future__ import annotations

from dataclasses import replace

from microrecur.drawing.blueprint import state_places
from microrecur.drawing.columns import FOLD, Fold
from microrecur.drawing.scene import SceneNode
from microrecur.drawing.sheet import Sheet
from microrecur.drawing.style import NODE_TEXT
from microrecur.drawing.text_size import text_width

_SLICE = 58.0  # height of the folded run that one state's lines leave from


def fold_node(sheet: Sheet, fold: Fold) -> SceneNode:
    """The dashed shape of a run: how many steps, and the product of a path's factors in it."""
    rows = [place.y for place in state_places(sheet.plan).values()]
    lines = [f"{len(fold.steps)} step{'s' * (len(fold.steps) > 1)}", "folded"]
    if sheet.track is not None:
        lines += filter(None, [sheet.track.folded(fold.steps, sheet.cell)])
    width = max(text_width(line, NODE_TEXT) for line in lines) + 14.0
    return SceneNode(
        fold.key,
        FOLD,
        tuple(lines),
        "folded",
        "folded",
        (fold.at, (max(rows) + min(rows)) / 2),
        (max(width, 76.0), max(rows) - min(rows) + 58.0),
    )


def state_shape(sheet: Sheet, state: str) -> SceneNode:
    """What stands for a state: its own box, or the slice of a folded run on that state's row."""
    step, part = sheet.cell.parts[state]
    if sheet.columns.shows(step):
        return sheet.box(state)
    fold = sheet.nodes[sheet.columns.fold_of(step).key]
    assert fold.center is not None
    row = state_places(sheet.plan)[part].y
    return replace(fold, center=(fold.center[0], row), size=(fold.size[0], _SLICE))
