"""The LSTM's textbook grid: the cell state runs straight along the top, gates in a row below."""

from __future__ import annotations

from dataclasses import dataclass

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

GATES = ("f", "i", "g", "o")  # from left to right
_TITLES = {"f": "forget gate", "i": "input gate", "g": "candidate", "o": "output gate"}

_CONVEYOR, _WRITE, _GATE, _AFFINE = 0.0, -78.0, -172.0, -264.0  # rows by op
_PANEL_LOW, _PANEL_HIGH, _CAPTION = -314.0, -142.0, -302.0
_HIDDEN_BUS, _INPUT_BUS, _INPUT = -356.0, -406.0, -434.0
_ASIDE = -31.0  # of a gate's own line in a narrow panel: its label has room on the right
_PEEP_RAIL = -124.0  # row above the panels on which cₜ₋₁ runs to the peepholes


@dataclass(frozen=True, slots=True)
class _Columns:
    """Columns of one density: a single cell has room, unrolled steps stand close."""

    start: float  # before the first panel: room for the label of the old cell state
    panel: float  # width of a gate's panel
    gap: float  # between panels
    leg: float  # distance of a bus leg from its gate's middle
    tail: float  # from the last panel to the column of tanh(c)
    edge: float  # from there to the right edge of the step

    def gate(self, name: str) -> float:
        return self.start + self.panel / 2 + GATES.index(name) * (self.panel + self.gap)

    @property
    def out(self) -> float:
        return self.gate("o") + self.panel / 2 + self.tail

    @property
    def width(self) -> float:
        return self.out + self.edge

    @property
    def aside(self) -> float:
        """From the middle of a gate to the gap left of its panel."""
        return self.panel / 2 + min(self.gap, self.start) / 2


_WIDE = _Columns(start=36.0, panel=142.0, gap=14.0, leg=40.0, tail=66.0, edge=60.0)
_WIDE_PEEPHOLE = _Columns(start=52.0, panel=142.0, gap=30.0, leg=40.0, tail=66.0, edge=60.0)
_NARROW = _Columns(start=8.0, panel=98.0, gap=6.0, leg=33.0, tail=52.0, edge=30.0)
_NARROW_PEEPHOLE = _Columns(start=17.0, panel=92.0, gap=13.0, leg=32.0, tail=49.0, edge=30.0)


def by_op(single: bool, peephole: bool) -> Blueprint:
    """The grid with pre-activations and every ⊙, + and tanh."""
    if single:
        columns = _WIDE_PEEPHOLE if peephole else _WIDE
    else:
        columns = _NARROW_PEEPHOLE if peephole else _NARROW
    beyond = columns.width + GAP / 2
    hidden_row = _GATE if single else _HIDDEN_BUS
    return Blueprint(
        places=_op_places(columns, single),
        boxes={
            "c": Place(beyond, _CONVEYOR, STATE, "state"),
            "h": Place(beyond, hidden_row, STATE, "state"),
        },
        routes=_op_routes(columns, single),
        panels=tuple(_gate_panel(columns, gate, single) for gate in GATES),
        width=columns.width,
        pitch=columns.width + GAP,
        low=_INPUT_BUS - 24 if single else _INPUT - 24,
        high=46.0 if single else 52.0,
        name="LSTM cell (peephole)" if peephole else "LSTM cell",
        conveyor=frozenset({("c-", "keep"), ("keep", "c"), ("c", "c")}),
        loss_rail=_INPUT - 44,
        initial={
            "c": Place(beyond, _CONVEYOR, STATE, "state"),
            "h": Place(beyond, _HIDDEN_BUS, STATE, "state"),
        },
    )


def _op_places(columns: _Columns, single: bool) -> dict[str, Place]:
    wide = columns.panel - 14.0
    middle = (columns.gate("i") + columns.gate("g")) / 2
    places = {
        "keep": Place(columns.gate("f"), _CONVEYOR, CIRCLE, "op"),
        "c": Place(middle, _CONVEYOR, CIRCLE, "op"),
        "write": Place(middle, _WRITE, CIRCLE, "op"),
        "squash": Place(columns.out, _WRITE, (62.0 if single else 54.0, 40.0), "slope"),
        "h": Place(columns.out, _GATE, CIRCLE, "op"),
        "x": Place(-GAP / 2, _INPUT_BUS, STATE, "state")
        if single
        else Place(middle, _INPUT, INPUT, "input"),
    }
    for gate in GATES:
        places[gate] = Place(columns.gate(gate), _GATE, (min(wide, 96.0), 46.0), "slope")
        places[f"z_{gate}"] = Place(columns.gate(gate), _AFFINE, (min(wide, 104.0), 30.0), "affine")
    return places


def _op_routes(columns: _Columns, single: bool) -> dict[tuple[str, str], Route]:
    aside = columns.aside
    routes = {
        ("c-", "keep"): straight() if single else onto_conveyor(columns.gate("f") - 6.0),
        ("keep", "c"): straight(),
        ("c", "c"): straight(),
        ("f", "keep"): straight(),
        ("i", "write"): straight(),
        ("g", "write"): straight(),
        ("write", "c"): straight(),
        ("c", "squash"): Route(lambda s, t: ((t[0], s[1]),), tap=True, from_op=True, last_leg=True),
        ("squash", "h"): straight(),
        ("o", "h"): straight("wanted" if single else "optional"),
        ("h", "h"): straight() if single else Route(lambda s, t: ((s[0], t[1]),)),
        ("c-", "z_f"): _peephole(aside),
        ("c-", "z_i"): _peephole(aside),
        ("c", "z_o"): Route(
            lambda s, t: ((t[0] - aside, s[1]), (t[0] - aside, t[1])), tap=True, from_op=True
        ),
    }
    for gate in GATES:
        routes[f"z_{gate}", gate] = straight() if single else leg(_ASIDE)
        routes["h-", f"z_{gate}"] = leg(-columns.leg)
        routes["x", f"z_{gate}"] = (
            leg(columns.leg) if single else rail(_INPUT_BUS, columns.leg, "optional")
        )
    return routes


def _peephole(aside: float) -> Route:
    """From cₜ₋₁ along the row above the panels, down the gap left of the gate, into its z."""
    return Route(
        lambda s, t: ((s[0], _PEEP_RAIL), (t[0] - aside, _PEEP_RAIL), (t[0] - aside, t[1]))
    )


def _gate_panel(columns: _Columns, gate: str, single: bool) -> GatePanel:
    x, half = columns.gate(gate), columns.panel / 2
    low, high = (x - half, _PANEL_LOW), (x + half, _PANEL_HIGH)
    return gate_panel((gate, f"z_{gate}"), _TITLES[gate], single, low, high, _CAPTION)


_G_WRITE, _G_GATE = -60.0, -136.0  # rows by gate
_BOX_ASIDE = GAP / 2 - 8.0  # of a state box from the panel of a step, unrolled by gate


_ONE = Rows(input_bus=-250.0, hidden=-346.0, input=-396.0, labels="wanted", input_labels="wanted")
_ROOMY = Rows(
    input_bus=-282.0, hidden=-378.0, input=-436.0, labels="optional", input_labels="optional"
)
_MANY = Rows(input_bus=-196.0, hidden=-300.0, input=-366.0, labels="optional", input_labels="none")


def by_gate(single: bool, peephole: bool, spare: float = 0.0) -> Blueprint:
    """The grid with one shape per gate: pre-activations are folded into the arrows.

    `spare` is how much wider a step of several may be: then there is room for more labels.
    """
    rows = _ONE if single else _ROOMY if spare else _MANY
    step, spread = (150.0, 34.0) if single else (54.0 + spare / 8, 9.0 if spare else 10.0)
    at = {gate: (110.0 if single else 40.0) + step * number for number, gate in enumerate(GATES)}
    right = 96.0 if single else 31.0 + spare * 0.55
    middle, width = (at["i"] + at["g"]) / 2, at["o"] + right
    beyond = width + (GAP / 2 if single else _BOX_ASIDE)
    stacked = (50.0, 60.0)
    places = {
        "keep": Place(at["f"], _CONVEYOR, CIRCLE, "op"),
        "c": Place(middle, _CONVEYOR, CIRCLE, "op"),
        "write": Place(middle, _G_WRITE, CIRCLE, "op"),
        "h": Place(beyond, rows.hidden, STATE, "state"),
        "x": Place(60.0 if single else 48.0, rows.input, (84.0, 26.0), "input"),
        **{
            gate: Place(at[gate], _G_GATE, (78.0, 60.0) if single else stacked, "stacked")
            for gate in GATES
        },
    }
    return Blueprint(
        places=places,
        boxes={"c": Place(beyond, _CONVEYOR, STATE, "state")},
        routes=_gate_routes(rows, spread, at["f"] - 6.0),
        panels=(),
        width=width,
        pitch=width + GAP - (0.0 if single else 16.0),
        low=rows.input - 26,
        high=50.0 if single else 52.0,
        name="LSTM cell (peephole)" if peephole else "LSTM cell",
        conveyor=frozenset({("c-", "keep"), ("keep", "c"), ("c", "c")}),
        loss_rail=rows.input - 46,
        level=0 if single else 1,
        initial={
            "c": Place(beyond, _CONVEYOR, STATE, "state"),
            "h": Place(beyond, rows.hidden, STATE, "state"),
        },
    )


def _beside_output(s: Point, t: Point, size: Point) -> Point:
    """Left of c → h, between conveyor and output gate: between panels is no room."""
    return s[0] - _BOX_ASIDE - 4.0 - size[0] / 2, 0.43 * _G_GATE


def _between_panels(label: str) -> Route:
    """From o to h in the gap behind the step: close, and without room for a label there."""
    return Route(lambda s, t: ((t[0] - 16.0, s[1]),), label=label)


def _inside_panel() -> Route:
    """From o to h inside the step's panel, where its label has room too."""
    aside = _BOX_ASIDE + 15.0
    return Route(lambda s, t: ((t[0] - aside, s[1]), (t[0] - aside, t[1])), label="optional")


def _gate_routes(rows: Rows, spread: float, inside: float) -> dict[tuple[str, str], Route]:
    single = rows is _ONE
    label = rows.labels
    routes = {
        ("c-", "keep"): straight() if single else onto_conveyor(inside),
        ("keep", "c"): straight("optional"),
        ("c", "c"): straight("optional"),
        ("f", "keep"): straight(label),
        ("i", "write"): straight(label),
        ("g", "write"): straight(label),
        ("write", "c"): straight("optional"),
        ("c", "h"): straight(label) if single else Route(label=label, home=_beside_output),
        ("o", "h"): _inside_panel() if rows is _ROOMY else _between_panels(label),
        ("c-", "f"): straight(label),
        ("c-", "i"): rail(-84.0, -18.0, label),
        ("c", "o"): Route(lambda s, t: ((t[0] + 18.0, s[1]),), tap=True, from_op=True, label=label),
    }
    for gate in GATES:
        routes["h-", gate] = leg(-spread, label)
        routes["x", gate] = rows.from_input(spread)
    return routes
