"""The GRU's textbook grid: the hidden state is the conveyor; the reset before Uⁿ or after it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from microrecur.drawing.blueprint import (
    CIRCLE,
    GAP,
    INPUT,
    STATE,
    Blueprint,
    GatePanel,
    Place,
    Route,
    leg,
    onto_conveyor,
    rail,
    straight,
)
from microrecur.drawing.gates import Rows, gate_panel
from microrecur.drawing.scene import Point

GATES = ("z", "r", "n")  # from left to right: no line crosses another's gate in this order
_TITLES = {"z": "update gate", "r": "reset gate", "n": "candidate"}

_CONVEYOR, _NEW, _RESET_RAIL = 0.0, -82.0, -124.0  # rows by op
_GATE, _AFFINE, _HIDDEN_BUS, _INPUT_BUS, _INPUT = -184.0, -276.0, -368.0, -418.0, -446.0
_PANEL_LOW, _PANEL_HIGH, _CAPTION = -326.0, -154.0, -314.0
_FLIP = (40.0, 40.0)  # the 1−z circle
_ASIDE = -22.0  # of a gate's own line in a narrow panel: its label has room on the right


@dataclass(frozen=True, slots=True)
class _Columns:
    """Columns of one density."""

    panel: float
    gap: float
    middle: float  # width of the column between reset gate and candidate
    leg: float
    edge: float

    @property
    def at(self) -> dict[str, float]:
        first = 12.0 + self.panel / 2 + self.edge
        second = first + self.panel + self.gap
        between = second + (self.panel + self.middle) / 2 + self.gap
        return {
            "z": first,
            "r": second,
            "middle": between,
            "n": between + (self.panel + self.middle) / 2 + self.gap,
        }

    @property
    def width(self) -> float:
        return self.at["n"] + self.panel / 2 + 12.0 + self.edge


_WIDE = _Columns(panel=150.0, gap=16.0, middle=110.0, leg=42.0, edge=26.0)
_NARROW = _Columns(panel=112.0, gap=10.0, middle=92.0, leg=36.0, edge=4.0)


def by_op(single: bool, reset_after: bool) -> Blueprint:
    """The grid with pre-activations and every ⊙, + and 1−z."""
    columns = _WIDE if single else _NARROW
    beyond = columns.width + GAP / 2
    state = {"h": Place(beyond, _CONVEYOR, STATE, "state")}
    routes = _common_routes(columns, single)
    routes.update(_after_routes(columns) if reset_after else _before_routes(columns))
    return Blueprint(
        places=_op_places(columns, single, reset_after),
        boxes=state,
        routes=routes,
        panels=tuple(_gate_panel(columns, gate, single) for gate in GATES),
        width=columns.width,
        pitch=columns.width + GAP,
        low=_INPUT_BUS - 24 if single else _INPUT - 24,
        high=46.0 if single else 52.0,
        name=f"GRU cell (reset {'after' if reset_after else 'before'})",
        conveyor=frozenset({("h-", "keep"), ("keep", "h"), ("h", "h")}),
        loss_rail=64.0,
        initial=state,
    )


def _op_places(columns: _Columns, single: bool, reset_after: bool) -> dict[str, Place]:
    at, wide = columns.at, columns.panel - 18.0
    places = {
        "keep": Place(at["z"], _CONVEYOR, CIRCLE, "op"),
        "h": Place(at["n"], _CONVEYOR, CIRCLE, "op"),
        "flip": Place(at["middle"], _NEW, _FLIP, "op"),
        "new": Place(at["n"], _NEW, CIRCLE, "op"),
        "reset": Place(at["middle"], _GATE if reset_after else _HIDDEN_BUS, CIRCLE, "op"),
        "m": Place(at["middle"], _AFFINE, (94.0 if single else 78.0, 30.0), "affine"),
        "x": Place(-GAP / 2, _INPUT_BUS, STATE, "state")
        if single
        else Place(at["middle"], _INPUT, INPUT, "input"),
    }
    for gate in GATES:
        places[gate] = Place(at[gate], _GATE, (min(wide, 98.0), 46.0), "slope")
        places[f"a_{gate}"] = Place(at[gate], _AFFINE, (min(wide, 106.0), 30.0), "affine")
    return places


def _common_routes(columns: _Columns, single: bool) -> dict[tuple[str, str], Route]:
    routes = {
        ("h-", "keep"): straight() if single else onto_conveyor(columns.at["z"] - 6.0),
        ("keep", "h"): straight(),
        ("h", "h"): straight(),
        ("z", "keep"): straight(),
        ("z", "flip"): Route(lambda s, t: ((s[0], t[1]),), tap=True, last_leg=True),
        ("flip", "new"): straight(),
        ("n", "new"): straight(),
        ("new", "h"): straight(),
        ("h-", "a_z"): rail(_HIDDEN_BUS, -columns.leg),
        ("h-", "a_r"): rail(_HIDDEN_BUS, -columns.leg),
    }
    for gate in GATES:
        routes[f"a_{gate}", gate] = straight() if single else leg(_ASIDE)
        routes["x", f"a_{gate}"] = (
            leg(columns.leg) if single else rail(_INPUT_BUS, columns.leg, "optional")
        )
    return routes


def _before_routes(columns: _Columns) -> dict[tuple[str, str], Route]:
    """First r ⊙ h, on the bus; then Uⁿ."""
    return {
        ("h-", "reset"): Route(lambda s, t: ((s[0], t[1]),), last_leg=True),
        ("r", "reset"): rail(_RESET_RAIL),
        ("reset", "a_n"): Route(lambda s, t: ((t[0] - columns.leg, s[1]),)),
    }


def _after_routes(columns: _Columns) -> dict[tuple[str, str], Route]:
    """First Uⁿ, to m; then r ⊙ m enters the candidate from the side."""
    aside = columns.panel / 2 + columns.gap / 2 + 6.0
    return {
        ("h-", "m"): rail(_HIDDEN_BUS),
        ("m", "reset"): straight(),
        ("r", "reset"): Route(home=_above),
        ("reset", "a_n"): Route(lambda s, t: ((t[0] - aside, s[1]), (t[0] - aside, t[1]))),
    }


def _above(s: Point, t: Point, size: Point) -> Point:
    """Above the ⊙: the arrow from the gate lies half in its panel."""
    return t[0], t[1] + CIRCLE[1] / 2 + 3.0 + size[1] / 2


def _gate_panel(columns: _Columns, gate: str, single: bool) -> GatePanel:
    x, half = columns.at[gate], columns.panel / 2
    low, high = (x - half, _PANEL_LOW), (x + half, _PANEL_HIGH)
    return gate_panel((gate, f"a_{gate}"), _TITLES[gate], single, low, high, _CAPTION)


_G_NEW, _G_GATE = -64.0, -146.0  # rows by gate


_ONE = Rows(input_bus=-260.0, hidden=-356.0, input=-406.0, labels="wanted", input_labels="wanted")
_ROOMY = Rows(
    input_bus=-312.0, hidden=-396.0, input=-456.0, labels="optional", input_labels="optional"
)
_MANY = Rows(input_bus=-206.0, hidden=-282.0, input=-350.0, labels="optional", input_labels="none")


def by_gate(single: bool, reset_after: bool, spare: float = 0.0) -> Blueprint:
    """The grid with one shape per gate: pre-activations and reset are folded into the arrows.

    `spare` is how much wider a step of several may be: then there is room for more labels.
    """
    rows = _ONE if single else _ROOMY if spare else _MANY
    step, spread = (160.0, 34.0) if single else (68.0 + spare / 3, 7.0 + spare / 30)
    at = {gate: (100.0 if single else 40.0) + step * number for number, gate in enumerate(GATES)}
    width = at["n"] + (100.0 if single else 36.0 + spare / 3)
    state = {"h": Place(width + GAP / 2, _CONVEYOR, STATE, "state")}
    places = {
        "keep": Place(at["z"], _CONVEYOR, CIRCLE, "op"),
        "h": Place(at["n"], _CONVEYOR, CIRCLE, "op"),
        "flip": Place(at["r"], _G_NEW, _FLIP, "op"),
        "new": Place(at["n"], _G_NEW, CIRCLE, "op"),
        "x": Place(60.0 if single else 48.0, rows.input, (84.0, 26.0), "input"),
        **{
            gate: Place(at[gate], _G_GATE, (72.0 if single else 50.0, 60.0), "stacked")
            for gate in GATES
        },
    }
    return Blueprint(
        places=places,
        boxes=state,
        routes=_gate_routes(rows, spread),
        panels=(),
        width=width,
        pitch=width + GAP,
        low=rows.input - 26,
        high=50.0 if single else 52.0,
        name=f"GRU cell (reset {'after' if reset_after else 'before'})",
        conveyor=frozenset({("h-", "keep"), ("keep", "h"), ("h", "h")}),
        loss_rail=68.0,
        level=0 if single else 1,
        initial=state,
    )


def _below_bus(s: Point, t: Point, size: Point) -> Point:
    """Under the end of the bus of h, where three factors have room inside the panel."""
    return t[0] + 30.0 - size[0] / 2, _MANY.hidden - 4.0 - size[1] / 2


def _beside_candidate(s: Point, t: Point, size: Point) -> Point:
    """Left of n → ⊙, above the gates, before r → n takes it, which has room below its arrow."""
    return t[0] - 3.0 - size[0] / 2, t[1] - CIRCLE[1] / 2 - 8.0 - size[1] / 2


def _gate_routes(rows: Rows, spread: float) -> dict[tuple[str, str], Route]:
    single = rows is _ONE
    label = rows.labels
    routes = {
        ("h-", "keep"): straight() if single else onto_conveyor(34.0),
        ("keep", "h"): straight("optional"),
        ("h", "h"): straight("optional"),
        ("z", "keep"): straight(label),
        ("z", "flip"): Route(
            lambda s, t: ((s[0], t[1]),), tap=True, last_leg=True, label="optional"
        ),
        ("flip", "new"): straight(label),
        ("z", "new"): Route(lambda s, t: ((s[0], t[1]),), tap=True, last_leg=True, label=label),
        ("n", "new"): straight(label),
        ("new", "h"): straight("optional"),
        ("r", "n"): straight(label),
    }
    for gate in GATES:
        routes["h-", gate] = rail(rows.hidden, -spread, label)
        routes["x", gate] = rows.from_input(spread)
    if rows is _ROOMY:
        routes["n", "new"] = replace(routes["n", "new"], home=_beside_candidate)
    if rows is _MANY:
        routes["h-", "n"] = replace(routes["h-", "n"], home=_below_bus)
    return routes
