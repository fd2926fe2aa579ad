"""`draw_side_by_side`: several cells on one grid at one scale, what a cell lacks as a ghost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from microrecur.drawing import labels
from microrecur.drawing.below import add_legend, add_title, extent
from microrecur.drawing.blueprint import (
    CIRCLE,
    STATE,
    Blueprint,
    Place,
    Route,
    leg,
    onto_conveyor,
    rail,
    straight,
)
from microrecur.drawing.draw import one_step
from microrecur.drawing.drawing import LIMIT, Drawing
from microrecur.drawing.lines import course
from microrecur.drawing.pinned import draw_on, labelled
from microrecur.drawing.roles import Cell as Known
from microrecur.drawing.roles import read_cell
from microrecur.drawing.scene import Panel, Point, Scene, SceneEdge, SceneNode
from microrecur.drawing.sheet import Line, Sheet
from microrecur.drawing.style import SMALL_TEXT
from microrecur.drawing.text_size import text_width
from microrecur.drawing.text_view import text_view
from microrecur.drawing.wish import Wish
from microrecur.graphs.graph import Graph, graph
from microrecur.nn.cells import Cell

# One grid for all: what carries on, what writes, what resets, what is new, what is let out.
_AT = {"keep": 40.0, "write": 100.0, "reset": 160.0, "new": 220.0, "out": 280.0}
_WIDTH, _BEYOND = 312.0, 337.0
_CONVEYOR, _WRITE, _GATE, _AFFINE = 0.0, -60.0, -142.0, -214.0  # rows
# Above the bus of x stand the labels of its legs, below it those of h.
_INPUT_BUS, _HIDDEN, _INPUT = -266.0, -352.0, -408.0
_PEEP_RAIL = -92.0  # on which cₜ₋₁ runs to the peepholes
_STACKED, _X = (50.0, 60.0), (84.0, 26.0)
_APART = 18.0  # between two cells
_TITLES = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def draw_side_by_side(
    *cells: Any,
    title: str | None = None,
    theme: str = "light",
    limit: tuple[int, int] | None = LIMIT,
) -> Drawing:
    """Draw one step of several cells on the same grid; what a cell lacks stands there as a ghost.

    Parameters
    ----------
    *cells : Cell, Graph or list of states
        RNN, LSTM and GRU, in any order; a cell runs on seeded numbers.
    title, theme, limit
        As for `draw`.

    Returns
    -------
    Drawing

    Raises
    ------
    ValueError
        For no cell, for what is none of the three (a cell of one's own has no place on their
        common grid: `draw` draws it alone), or for more than one step.

    Examples
    --------
    >>> import microrecur as mr
    >>> drawing = draw_side_by_side(mr.RNNCell(1, 1, seed=0), mr.LSTMCell(1, 1, seed=0))
    >>> [panel.label for panel in drawing.scene.panels]
    ['RNN', 'LSTM']
    """
    if not cells:
        raise ValueError("draw_side_by_side(rnn, lstm, gru): give one cell or more")
    read = [_read(y) for y in cells]
    named = " beside ".join(_TITLES[known.kind] for _, known in read)
    whole = Scene(title or f"{named}: one step", "", theme=theme)
    kinds = {known.kind for _, known in read} | {known.variant for _, known in read}
    left, sheets = 0.0, []
    for number, (view, known) in enumerate(read):
        scene, sheet = draw_on(view, known, Wish(theme=theme), _plan(known, kinds))
        _ghosts(scene, sheet, kinds)
        scene.edges = labelled(sheet)  # anew: no label on a ghost
        scene.panels = [_renamed(scene.panels[0], _title(known))]
        (low, _), (high, _) = extent(scene)
        _add(whole, scene, left - low, f"{number}:")
        left += high - low + _APART
        sheets.append(sheet)
    ghosts = "dashed: what the others have there" if len(kinds) > 1 else ""
    symbols = {node.symbol for view, _ in read for node in view.nodes}
    (left, low), (right, _) = extent(whole)
    add_legend(whole, symbols, left, right, low - 26.0, ghosts)
    whole.description = f"{named}, one step each, on one grid. {ghosts}".strip()
    if title:
        add_title(whole, title)
    text = (
        f"{_title(known)}\n{text_view(view, names=labels.Names(view.steps[-1]))}"
        for view, known in read
    )
    return Drawing(whole, "\n".join(text), limit=limit)


def _read(y: Any) -> tuple[Graph, Known]:
    given = type(y).__name__ if isinstance(y, Cell) else ""
    if isinstance(y, Cell):
        y = one_step(y)[0]
    view = (y if isinstance(y, Graph) else graph(y)).at("gate")
    known = read_cell(view)
    if known is None or known.kind not in _TITLES or len(known.steps) != 1 or known.has_loss:
        raise ValueError(
            "draw_side_by_side() draws one step of an RNN, an LSTM or a GRU, without a loss; "
            f"this is {_described(view, known, given)}"
        )
    return view, known


def _described(view: Graph, known: Known | None, given: str) -> str:
    """What was given in place of one step of a known cell, and what to do instead."""
    steps, again = len(view.steps), ": give a cell, or what unroll(cell, [x]) returned"
    if known is not None and known.kind in _TITLES:
        what = f"{steps} steps of an {_TITLES[known.kind]}" if steps > 1 else "a step with its loss"
        return what + again
    if not given and (not view.steps or len({n.layer for n in view.nodes if n.step}) > 1):
        return f"a graph of {len(view.nodes)} nodes that is none of the three{again}"
    what = f"a {given}" if given else "a cell"
    return (
        f"{what} of its own, which has no place on their common grid: "
        "draw(cell) draws it alone, draw_difference(a, b) marks what it has and another has not"
    )


def _renamed(panel: Panel, label: str) -> Panel:
    at = (panel.high[0] - 11.0 - text_width(label, SMALL_TEXT) / 2, panel.high[1] - 13.0)
    return replace(panel, label=label, label_at=at)


def _title(known: Known) -> str:
    return _TITLES[known.kind] + (f" ({known.variant})" if known.variant else "")


# ---------------------------------------------------------------- the three blueprints


def _plan(known: Known, kinds: set[str]) -> Blueprint:
    places, routes, conveyor = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}[known.kind]()
    if known.variant == "reset before":
        routes["r", "n"] = _onto_leg("n")
    if known.kind == "lstm" and "peephole" in kinds:  # room for the line from c to o
        routes["c", "h"] = replace(routes["c", "h"], home=_beside_peephole)
    places["x"] = Place(50.0, _INPUT, _X, "input")
    on_top = known.kind == "gru"
    states = {"h": Place(_BEYOND, _CONVEYOR if on_top else _HIDDEN, STATE, "state")}
    if known.kind == "lstm":
        states["c"] = Place(_BEYOND, _CONVEYOR, STATE, "state")
        places["h"] = states["h"]
    boxes = {part: place for part, place in states.items() if part != "h" or known.kind != "lstm"}
    return Blueprint(
        places=places,
        boxes=boxes,
        routes=routes,
        panels=(),
        width=_WIDTH,
        pitch=_WIDTH + 2 * (_BEYOND - _WIDTH),
        low=_INPUT - 26.0,
        high=52.0,
        name=_TITLES[known.kind],
        conveyor=conveyor,
        level=1,
        initial=states,
    )


_Parts = tuple[
    dict[str, Place], dict[tuple[str, str], Route], frozenset[tuple[str, str]]
]  # places, routes, conveyor


def _gate(column: str) -> Place:
    return Place(_AT[column], _GATE, _STACKED, "stacked")


def _bus(gate: str, routes: dict[tuple[str, str], Route]) -> None:
    routes["h-", gate] = rail(_HIDDEN, -9.0, "optional")
    routes["x", gate] = rail(_INPUT_BUS, 9.0, "optional", lane=-33.0)


def _lstm() -> _Parts:
    places = {
        "keep": Place(_AT["keep"], _CONVEYOR, CIRCLE, "op"),
        "c": Place(_AT["reset"], _CONVEYOR, CIRCLE, "op"),
        "write": Place(_AT["reset"], _WRITE, CIRCLE, "op"),
        "f": _gate("keep"),
        "i": _gate("write"),
        "g": _gate("new"),
        "o": _gate("out"),
    }
    routes = {
        ("c-", "keep"): onto_conveyor(_AT["keep"] - 6.0),
        ("keep", "c"): straight("optional"),
        ("c", "c"): straight("optional"),
        ("f", "keep"): straight("optional"),
        ("i", "write"): straight("optional"),
        ("g", "write"): straight("optional"),
        ("write", "c"): straight("optional"),
        ("c", "h"): Route(label="optional", home=_beside_output),
        ("o", "h"): Route(lambda s, t: ((t[0] - 16.0, s[1]),), label="none"),
        ("c-", "f"): rail(_PEEP_RAIL, -18.0, "optional"),
        ("c-", "i"): rail(_PEEP_RAIL, -18.0, "optional"),
        ("c", "o"): Route(
            lambda s, t: ((t[0] + 18.0, s[1]),), tap=True, from_op=True, label="optional"
        ),
    }
    for gate in "figo":
        _bus(gate, routes)
        routes["h-", gate] = leg(-9.0, "optional")
    return places, routes, frozenset({("c-", "keep"), ("keep", "c"), ("c", "c")})


def _gru() -> _Parts:
    places = {
        "keep": Place(_AT["keep"], _CONVEYOR, CIRCLE, "op"),
        "h": Place(_AT["new"], _CONVEYOR, CIRCLE, "op"),
        "new": Place(_AT["new"], _WRITE, CIRCLE, "op"),
        "z": _gate("keep"),
        "r": _gate("reset"),
        "n": _gate("new"),
    }
    routes = {
        ("h-", "keep"): onto_conveyor(_AT["keep"] - 6.0),
        ("keep", "h"): straight("optional"),
        ("h", "h"): straight("optional"),
        ("z", "keep"): straight("optional"),
        ("z", "new"): Route(
            lambda s, t: ((s[0], t[1]),), tap=True, last_leg=True, label="optional"
        ),
        ("n", "new"): straight("optional"),
        ("new", "h"): straight("optional"),
        ("r", "n"): Route(label="optional", home=_above_reset),
    }
    for gate in "zrn":
        _bus(gate, routes)
    return places, routes, frozenset({("h-", "keep"), ("keep", "h"), ("h", "h")})


def _rnn() -> _Parts:
    up = _GATE + _STACKED[1] / 2 + 18.0
    places = {
        "h": _gate("new"),
        "z": Place(_AT["new"], _AFFINE, (70.0, 30.0), "affine"),
    }
    routes = {
        ("h-", "z"): leg(-16.0, "optional"),
        ("x", "z"): rail(_INPUT_BUS, 16.0, "optional", lane=-33.0),
        ("z", "h"): straight("optional"),
        ("h", "h"): Route(lambda s, t: ((s[0], up), (t[0], up)), label="none"),
    }
    return places, routes, frozenset()


def _beside_peephole(s: Point, t: Point, size: Point) -> Point:
    """The same, left of the line that runs from c to o."""
    x, y = _beside_output(s, t, size)
    return x - 18.0, y


def _above_reset(s: Point, t: Point, size: Point) -> Point:
    """Above the short line from r to n."""
    return (s[0] + t[0]) / 2 - 26.0, _GATE + 34.0 + size[1] / 2


def _onto_leg(gate: str) -> Route:
    """From r onto the leg on which h rises to a gate: r scales h before its weight does."""
    row = _GATE - _STACKED[1] / 2 - 20.0
    return Route(lambda s, t: ((s[0], row), (t[0] - 9.0, row)), label="optional", home=_above_reset)


def _beside_output(s: Point, t: Point, size: Point) -> Point:
    """Left of c → h, between conveyor and output gate."""
    return s[0] - (_BEYOND - _WIDTH) - 4.0 - size[0] / 2, 0.43 * _GATE


# ---------------------------------------------------------------- ghosts


@dataclass(frozen=True, slots=True)
class _Ghost:
    """A part another cell has at this place: its column, its words, in which cells it lives."""

    column: str
    lines: tuple[str, ...]
    lives_in: frozenset[str]
    row: float = _GATE
    circle: bool = False


_GHOSTS = (
    _Ghost("keep", ("σ", "keep"), frozenset({"lstm", "gru"})),
    _Ghost("write", ("σ", "write"), frozenset({"lstm"})),
    _Ghost("reset", ("σ", "reset"), frozenset({"gru"})),
    _Ghost("out", ("σ", "let out"), frozenset({"lstm"})),
    _Ghost("keep", ("⊙",), frozenset({"lstm", "gru"}), _CONVEYOR, circle=True),
    _Ghost("new", ("+",), frozenset({"lstm", "gru"}), _CONVEYOR, circle=True),
)


def _ghosts(scene: Scene, sheet: Sheet, kinds: set[str]) -> None:
    """What other cells of the picture have and this one lacks."""
    kind = sheet.cell.kind
    left = sheet.columns.origins[sheet.cell.steps[-1]]
    ghosts = [g for g in _GHOSTS if kind not in g.lives_in and kinds & g.lives_in]
    for number, ghost in enumerate(ghosts):
        shape, size = ("circle", CIRCLE) if ghost.circle else ("ellipse", (56.0, 60.0))
        center = (left + _AT[ghost.column], ghost.row)
        key = f"ghost{number}"
        _put(scene, sheet, SceneNode(key, "", ghost.lines, "ghost", shape, center, size))
    if kind == "rnn" and kinds & {"lstm", "gru"}:
        _ghost_conveyor(scene, sheet, left)
    if kind == "lstm" and "peephole" in kinds and sheet.cell.variant != "peephole":
        _ghost_peepholes(sheet)


def _put(scene: Scene, sheet: Sheet, ghost: SceneNode) -> None:
    sheet.nodes[ghost.key] = ghost
    scene.nodes.append(ghost)


def _ghost_conveyor(scene: Scene, sheet: Sheet, left: float) -> None:
    """The straight line along the top that a plain RNN has not."""
    ends = [left - (_BEYOND - _WIDTH), left + _AT["keep"], left + _AT["new"], left + _BEYOND]
    at = {node.center: node.key for node in scene.nodes}
    keys = [at.get((x, _CONVEYOR), "") for x in ends]
    for k in (0, 3):
        keys[k] = f"ghost state {k}"
        center = (ends[k], _CONVEYOR)
        memory = SceneNode(keys[k], "", ("memory",), "ghost", "box", center, (62.0, 34.0))
        _put(scene, sheet, memory)
    halves = {key: n.size[0] / 2 for n in scene.nodes for key in (n.key,)}
    for (start, x), (end, x2) in pairwise(zip(keys, ends, strict=True)):
        points = ((x + halves[start], _CONVEYOR), (x2 - halves[end], _CONVEYOR))
        sheet.lines.append(Line(SceneEdge(start, end, "ghost", points=points, width=2.4)))


def _ghost_peepholes(sheet: Sheet) -> None:
    """The lines from the cell state to the gates that a plain LSTM has not."""
    step = sheet.cell.steps[-1]
    at = {(t, part): id for id, (t, part) in sheet.cell.parts.items()}
    for source, gate in (("c-", "f"), ("c-", "i"), ("c", "o")):
        route = sheet.plan.routes[source, gate]
        before = sheet.box(at[step - 1, "c"])
        start = before if source == "c-" else sheet.nodes[at[step, "c"]]
        end = sheet.nodes[at[step, gate]]
        points = course(start, end, route, on_path=False)
        edge = SceneEdge(start.key, end.key, "ghost", points=points, width=1.4)
        sheet.lines.append(Line(edge, None, -1))


# ---------------------------------------------------------------- one scene out of several


def _add(whole: Scene, scene: Scene, shift: float, prefix: str) -> None:
    """Put a scene into the whole one, moved to the right, its keys made unique."""

    def moved(point: Point | None) -> Point | None:
        return None if point is None else (point[0] + shift, point[1])

    must: Callable[[Point], Point] = lambda point: (point[0] + shift, point[1])  # noqa: E731
    whole.nodes += [
        replace(node, key=prefix + node.key, id=prefix + node.id, center=moved(node.center))
        for node in scene.nodes
    ]
    whole.edges += [
        replace(
            edge,
            source=prefix + edge.source,
            target=prefix + edge.target,
            points=tuple(map(must, edge.points or ())),
            label_at=moved(edge.label_at),
            id=edge.id and (prefix + edge.id[0], prefix + edge.id[1]),
        )
        for edge in scene.edges
    ]
    whole.panels += [
        Panel(
            prefix + p.key, must(p.low), must(p.high), p.label, moved(p.label_at), p.level, p.dashed
        )
        for p in scene.panels
    ]
