"""A blueprint: the grid of one step of a known cell: where each part stands, how lines run.

Parts are those of `roles.py`. Lengths are points from the step's left edge; the conveyor is the
row y = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from microrecur.drawing.scene import Point

Corners = Callable[[Point, Point], tuple[Point, ...]]
Home = Callable[[Point, Point, Point], Point]  # start of the line, target, size -> its centre

CIRCLE = (27.0, 27.0)  # ⊙ and +
STATE = (56.0, 42.0)  # a state box, 2 lines
INPUT = (64.0, 26.0)  # an input inside its step, 1 line
GAP = 66.0  # between the panels of two steps: the state boxes stand in it


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part stands, how large it is and how its text is set (see `shapes.py`)."""

    x: float
    y: float
    size: Point
    look: str  # "slope", "stacked", "affine", "op", "state", "input"


@dataclass(frozen=True, slots=True)
class Route:
    """How a line runs: its corners between source and target, and where its label may stand."""

    corners: Corners = lambda source, target: ()
    tap: bool = False  # starts at its first corner, on another line, with a dot there
    from_op: bool = False  # leaves the op itself, not the state box behind it
    label: str = "wanted"  # "wanted", "optional" or "none"
    last_leg: bool = False  # the label belongs to the last leg alone: the others are shared
    home: Home | None = None  # where the label stands if it fits there


@dataclass(frozen=True, slots=True)
class GatePanel:
    """A filled panel behind one gate."""

    parts: tuple[str, ...]
    low: Point
    high: Point
    label: str
    label_at: Point


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One step of a known cell."""

    places: Mapping[str, Place]
    boxes: Mapping[str, Place]  # the state box behind an op: the second shape of c and of h
    routes: Mapping[tuple[str, str], Route]
    panels: tuple[GatePanel, ...]
    width: float  # of the step's own panel
    pitch: float  # from one step to the next
    low: float
    high: float
    name: str
    conveyor: frozenset[tuple[str, str]] = (
        frozenset()
    )  # drawn thick: the straight line along the top
    bends: frozenset[tuple[str, str]] = frozenset()
    loss_rail: float = 0.0  # row on which losses of earlier steps run to the right
    level: int = 0  # of the step's panel
    caption_low: bool = False  # the step's name stands at the bottom of its panel
    initial: Mapping[str, Place] = field(
        default_factory=dict
    )  # initial states, where there are no boxes


def straight(label: str = "wanted", from_op: bool = False) -> Route:
    """A straight line between two shapes."""
    return Route(label=label, from_op=from_op)


def onto_conveyor(left: float) -> Route:
    """Straight from the old state into its ⊙; the label above, from `left` of the ⊙ on.

    So it stands inside the step's panel, though the line begins outside.
    """

    def home(start: Point, target: Point, size: Point) -> Point:
        x = max(target[0] - left, start[0] + 3.0) + size[0] / 2
        return x, target[1] + 17.0 + size[1] / 2

    return Route(home=home)


def leg(offset: float, label: str = "wanted") -> Route:
    """Along the source's row, then straight up (or down) into the target, off its centre."""
    return Route(lambda s, t: ((t[0] + offset, s[1]),), label=label, last_leg=True)


def rail(row: float, offset: float = 0.0, label: str = "wanted", lane: float = 0.0) -> Route:
    """Straight to a row, `lane` off the source's middle, along it, straight into the target."""
    return Route(
        lambda s, t: ((s[0] + lane, row), (t[0] + offset, row)), label=label, last_leg=True
    )


def state_places(plan: Blueprint) -> dict[str, Place]:
    """Where later steps find each state."""
    return {
        part: plan.boxes.get(part) or plan.places[part]
        for part in plan.initial
        if part in plan.places
    }
