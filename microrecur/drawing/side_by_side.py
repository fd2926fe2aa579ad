"""`draw_side_by_side`: several cells on one grid at one scale, what a cell lacks as a ghost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from microrecur.drawing import labels
from microrecur.drawing.below import add_legend, extent
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
from microrecur.drawing.pinned import draw_on
from microrecur.drawing.roles import Cell as Known
from microrecur.drawing.roles import read_cell
from microrecur.drawing.scene import Caption, Panel, Point, Scene, SceneEdge, SceneNode, Text
from microrecur.drawing.sheet import Sheet
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
_INPUT_BUS, _HIDDEN, _INPUT = -200.0, -306.0, -362.0
_LOW_BUS = -262.0  # of x, where a pre-activation stands below its gate
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
        RNN, LSTM (without peepholes) and GRU, in any order; a cell runs on seeded numbers.
    title, theme, limit
        As for `draw`.

    Returns
    -------
    Drawing

    Raises
    ------
    ValueError
        For no cell, for what is none of the three, or for more than one step.

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
    kinds = {known.kind for _, known in read}
    left, sheets = 0.0, []
    for number, (view, known) in enumerate(read):
        scene, sheet = draw_on(view, known, Wish(theme=theme), _plan(known))
        _ghosts(scene, sheet, kinds)
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
        _, (_, high) = extent(whole)
        whole.captions.append(Caption(Text(title, "plain", 14.0), ((left + right) / 2, high + 18)))
    text = (
        f"{_title(known)}\n{text_view(view, names=labels.Names(view.steps[-1]))}"
        for view, known in read
    )
    return Drawing(whole, "\n".join(text), limit=limit)


def _read(y: Any) -> tuple[Graph, Known]:
    if isinstance(y, Cell):
        y = one_step(y)[0]
    view = (y if isinstance(y, Graph) else graph(y)).at("gate")
    known = read_cell(view)
    if known is None or len(known.steps) != 1 or known.variant == "peephole" or known.has_loss:
        raise ValueError(
            "draw_side_by_side() draws one step of an RNN, an LSTM without peepholes or a GRU; "
            f"this is {view!r}"
        )
    return view, known


def _renamed(panel: Panel, label: str) -> Panel:
    at = (panel.high[0] - 11.0 - text_width(label, SMALL_TEXT) / 2, panel.high[1] - 13.0)
    return replace(panel, label=label, label_at=at)


def _title(known: Known) -> str:
    return _TITLES[known.kind] + (f" ({known.variant})" if known.variant else "")


# ---------------------------------------------------------------- the three blueprints


def _plan(known: Known) -> Blueprint:
    places, routes, conveyor = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}[known.kind]()
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
    routes["x", gate] = rail(_INPUT_BUS, 9.0, "none", lane=-33.0)


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
        ("r", "n"): straight("none"),
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
        ("x", "z"): rail(_LOW_BUS, 16.0, "none", lane=-33.0),
        ("z", "h"): straight("optional"),
        ("h", "h"): Route(lambda s, t: ((s[0], up), (t[0], up)), label="none"),
    }
    return places, routes, frozenset()


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
        scene.nodes.append(SceneNode(key, "", ghost.lines, "ghost", shape, center, size))
    if kind == "rnn" and kinds & {"lstm", "gru"}:
        _ghost_conveyor(scene, left)


def _ghost_conveyor(scene: Scene, left: float) -> None:
    """The straight line along the top that a plain RNN has not."""
    ends = [left - (_BEYOND - _WIDTH), left + _AT["keep"], left + _AT["new"], left + _BEYOND]
    at = {node.center: node.key for node in scene.nodes}
    keys = [at.get((x, _CONVEYOR), "") for x in ends]
    for k in (0, 3):
        keys[k] = f"ghost state {k}"
        center = (ends[k], _CONVEYOR)
        scene.nodes.append(
            SceneNode(keys[k], "", ("memory",), "ghost", "box", center, (62.0, 34.0))
        )
    halves = {key: n.size[0] / 2 for n in scene.nodes for key in (n.key,)}
    for (start, x), (end, x2) in pairwise(zip(keys, ends, strict=True)):
        points = ((x + halves[start], _CONVEYOR), (x2 - halves[end], _CONVEYOR))
        scene.edges.append(SceneEdge(start, end, "ghost", points=points, width=2.4))


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
