"""The plain RNN's grid: one cell in a row; unrolled, states on top, pre-activations below."""

from __future__ import annotations

from microrecur.drawing.blueprint import GAP, STATE, Blueprint, Place, Route, leg, straight
from microrecur.drawing.scene import Point

_SQUASH = (100.0, 50.0)
_AFFINE, _INPUT = -156.0, -232.0  # rows of an unrolled step


def single_cell(affine_width: float) -> Blueprint:
    """One step as a line from left to right, the affine map written out."""
    middle = 118.0 + affine_width / 2
    squash = middle + affine_width / 2 + 122.0 + _SQUASH[0] / 2
    width = squash + _SQUASH[0] / 2 + 56.0
    beyond = width + GAP / 2
    state = (84.0, 46.0)
    return Blueprint(
        places={
            "z": Place(middle, 0.0, (affine_width, 46.0), "written"),
            "h": Place(squash, 0.0, _SQUASH, "slope"),
            "x": Place(-GAP / 2, -78.0, state, "state"),
        },
        boxes={"h": Place(beyond, 0.0, state, "state")},
        routes={
            ("h-", "z"): straight(),
            ("z", "h"): straight(),
            ("h", "h"): straight(),
            ("x", "z"): leg(-min(affine_width / 4, 40.0)),
        },
        panels=(),
        width=width,
        pitch=width + GAP,
        low=-118.0,
        high=58.0,
        name="RNN cell",
        conveyor=frozenset({("h-", "z"), ("z", "h"), ("h", "h")}),
        loss_rail=76.0,
        initial={"h": Place(beyond, 0.0, state, "state")},
    )


def unrolled() -> Blueprint:
    """One step of many: x below z below h."""
    pitch, width, middle = 188.0, 164.0, 82.0
    return Blueprint(
        places={
            "h": Place(middle, 0.0, (98.0, 50.0), "slope"),
            "z": Place(middle, _AFFINE, (76.0, 42.0), "state"),
            "x": Place(middle, _INPUT, (84.0, 26.0), "input"),
        },
        boxes={},
        routes={
            ("h-", "z"): Route(home=_left_of_squash),
            ("z", "h"): straight(),
            ("x", "z"): straight("optional"),
        },
        panels=(),
        width=width,
        pitch=pitch,
        low=_INPUT - 34.0,
        high=40.0,
        name="RNN cell",
        loss_rail=58.0,
        level=1,
        caption_low=True,
        initial={"h": Place(middle + 42.0, 0.0, STATE, "state")},
    )


def _left_of_squash(s: Point, t: Point, size: Point) -> Point:
    """Above the falling line from hₜ₋₁, left of tanh, inside the step's panel."""
    return t[0] - 5.5 - size[0] / 2, _AFFINE + 77.0 + size[1] / 2
