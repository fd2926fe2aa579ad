"""`draw`: from a recorded computation, a graph or a cell to a picture."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from microrecur.drawing import labels
from microrecur.drawing.chosen import chosen_path
from microrecur.drawing.drawing import LIMIT, TIMEOUT, Drawing
from microrecur.drawing.engines import ENGINES
from microrecur.drawing.layouts import lay_out
from microrecur.drawing.shares import Shares, part_of, shares, sums
from microrecur.drawing.steady import without_collecting
from microrecur.drawing.style import theme as palette
from microrecur.drawing.text_view import routes_text, text_view
from microrecur.drawing.unit import zoom
from microrecur.drawing.wish import Wish
from microrecur.engine.calculus import vjp
from microrecur.engine.tensor import Tensor, tensor
from microrecur.flows.flow import flow
from microrecur.flows.paths import Path, source_id
from microrecur.graphs.graph import Graph, graph
from microrecur.nn.cells import Cell
from microrecur.nn.module import Module

if TYPE_CHECKING:
    from microrecur.flows.top import TopPath

CELL_SEED = 0  # of the inputs and states a cell is drawn with


@without_collecting()
def draw(
    y: Any,
    level: str | None = None,
    *,
    path: str | Tensor | Path | TopPath | None = None,
    routes: bool = False,
    unit: int | None = None,
    steps: str | int | slice = "auto",
    fold: bool = True,
    show: Collection[str] = labels.SHOWN,
    title: str | None = None,
    theme: str = "light",
    rankdir: str = "LR",
    limit: tuple[int, int] | None = LIMIT,
    engine: str = "auto",
    timeout: float = TIMEOUT,
) -> Drawing:
    """Draw what was recorded: gates, states and every edge with its local derivative and its bound.

    Unrolled by gate, lines from x, from r to n and from o to h carry no label where none is
    legible: `level="op"` shows every factor.

    Parameters
    ----------
    y : Tensor, Graph, Cell or list of states
        A recorded tensor, what `unroll` returned, a graph, or a cell; a cell is drawn for one step
        on seeded inputs, and the caption says so.
    level : {"step", "gate", "op", "all"}, optional
        How much to fold; when not given "op" for one step, "gate" for more, "step" for stacked or
        bidirectional layers, which stand on a grid: time → columns, layers → rows.
    path
        Draw one chain-rule path thick, with its running product: the strongest from y back to this
        node ("h0", "t0.h", a tensor), or the path itself, also one of `flow.top`.
    routes
        Draw all paths at once: each line as wide as the share of the gradient that passes along it,
        from y back to the node given as `path` (the first state when none is).
    unit
        Zoom into this hidden unit (from 0): its scalar graph, with the same numbers; the other
        units stand as one Σ per pre-activation.
    steps
        Which steps are drawn: "auto" as many as stay legible when shown 1100 pixels wide, "all",
        a number of them, or a slice such as `slice(-2, None)`.
    fold
        False draws every step, however wide.
    show
        What is told: "value" of nodes, "grad" ∂y/∂node, "local" derivatives, their "bound".
    title
        Printed above the picture; below one that no textbook layout fits.
    theme : {"light", "dark"}
    rankdir : {"LR", "TB", "RL", "BT"}
        The direction of an automatic layout.
    limit : (nodes, edges) or None
        The largest picture that is drawn; None: any.
    engine : {"auto", "wasm", "system"}
        Graphviz as WebAssembly, or the program `dot`; auto: the first that is there.
    timeout : float
        Seconds the layout may take.

    Returns
    -------
    Drawing

    Raises
    ------
    UnknownNode
        When the path's node is not in the graph; the nearest ids are named.
    ValueError
        For an option nothing is known of; the message lists those that are.
    StaleGraphError
        When a parameter was assigned a new value since.

    Examples
    --------
    >>> import microrecur as mr
    >>> states = mr.unroll(mr.RNNCell(1, 1, seed=0), [0.9, -0.4, 0.7])
    >>> print(draw(states[-1], path="h0"))  # doctest: +ELLIPSIS
    h₃ → h₀: the only path, ∏ = ...
    """
    check_options(title, theme, limit, engine, timeout)
    for name, value in (("routes", routes), ("fold", fold)):
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name}={value!r}: True or False")
    view, caption = view_of(y, level, unit)
    drawing = picture(
        view,
        caption,
        path=path,
        routes=routes,
        steps=steps,
        fold=fold,
        show=show,
        title=title,
        theme=theme,
        rankdir=rankdir,
        limit=limit,
    )
    drawing.limit, drawing.engine, drawing.timeout = limit, engine, timeout
    return drawing


def picture(
    view: Graph,
    caption: str,
    *,
    path: Any = None,
    routes: bool = False,
    show: Collection[str] = labels.SHOWN,
    rankdir: str = "LR",
    **wishes: Any,
) -> Drawing:
    """Draw a view as it is; `wishes` are further fields of a `Wish`."""
    chosen = None if routes else chosen_path(view, path)
    shared = _shares(view, path) if routes else None
    names = labels.Names(None, *_told(view, show))
    if names.gradients:
        called = labels.Names().node(view.find(view.id_of(view.root)))
        caption = " · ".join(filter(None, (caption, f"∇ : ∂{called}/∂ of the node it stands in")))
    wish = Wish(
        path=chosen,
        shares=shared,
        caption=" · ".join(filter(None, (caption, labels.reading(view.nodes, names)))),
        about=_about(view, chosen, path),
        names=names,
        rankdir=_direction(rankdir),
        **wishes,
    )
    scene = lay_out(view, wish)
    names = replace(names, symbolic=view.steps[-1] if len(view.steps) == 1 else None)
    if shared is not None:
        told = routes_text(view, shared, names=names)
    else:
        told = text_view(view, chosen, names=names)
    return Drawing(scene, "\n".join(filter(None, (told, caption))))


def check_options(title: Any, theme: Any, limit: Any, engine: Any, timeout: Any) -> None:
    """Refuse here what would fail only when the picture is looked at."""
    palette(theme)
    if title is not None and not isinstance(title, str):
        raise TypeError(f"title={title!r}: a title is text, such as title={str(title)!r}")
    pair = isinstance(limit, (tuple, list)) and len(limit) == 2
    if limit is not None and not (pair and all(type(most) is int and most >= 0 for most in limit)):
        raise TypeError(
            f"limit={limit!r}: the most nodes and the most edges that are drawn, such as "
            f"limit={LIMIT}, or None to draw any number"
        )
    if engine not in ("auto", *ENGINES):
        raise ValueError(f"no engine {engine!r}; there are: auto, {', '.join(ENGINES)}")
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < 1e6:
        raise ValueError(
            f"timeout={timeout!r}: seconds the layout may take, more than 0 and under a million"
        )


def view_of(y: Any, level: str | None, unit: int | None = None) -> tuple[Graph, str]:
    """What is drawn, at the level asked for, and what its caption must say of it.

    When no level is asked for: ops of one step, gates of several, states of layers.
    """
    caption = ""
    if isinstance(y, Cell):
        y, caption = one_step(y)
    view = _recorded(y)
    if unit is not None:
        y, caption = zoom(view, unit)
        return graph(y).at(level or "op"), caption
    if level is None and view.level != "all":
        level = view.level
    if level is None:
        lanes = {n.layer for n in view.nodes if n.role == "state" and n.op is not None}
        level = "step" if len(lanes) > 1 else "gate" if len(view.steps) > 1 else "op"
    return view.at(level), caption


def _recorded(y: Any) -> Graph:
    """The graph of what was given, which must hold a recorded tensor."""
    if isinstance(y, Module):
        name = type(y).__name__
        raise TypeError(
            f"{name} is a layer, and a picture shows what was computed: run it, "
            f"outputs, last = layer(xs), then draw outputs[-1]"
        )
    view = y if isinstance(y, Graph) else graph(y)
    if not view.roots:
        raise ValueError(
            f"there is nothing to draw in {y!r}: give a loss, a state, or what unroll() returned"
        )
    return view


def _shares(view: Graph, path: Any) -> Shares:
    """The shares of all routes from the last root to the node asked for, or to the first state."""
    root = view.id_of(view.root)
    if isinstance(path, (str, Tensor)):
        return shares(view, root, source_id(view, path))
    if path is not None:
        return shares(view, root, chosen_path(view, path).ids[-1])  # type: ignore[union-attr]
    first = [node for node in view.nodes if node.role == "state" and node.op is None]
    if not first:
        raise ValueError('routes=True needs to know where to: name a node with path="h0"')
    return shares(view, root, next((n for n in first if n.name == "h"), first[0]).id)


def _told(view: Graph, show: Collection[str]) -> tuple[frozenset[str], dict[str, float | None]]:
    """What is shown, and the gradients if they are among it."""
    if not isinstance(show, Collection):
        raise TypeError(f"show={show!r}: some of {', '.join(labels.TOLD)}, such as {labels.SHOWN}")
    every = [show] if isinstance(show, str) else list(show)
    if unknown := [word for word in every if word not in labels.TOLD]:
        named = ", ".join(sorted(map(repr, unknown)))
        raise ValueError(f"show= knows no {named}; it may hold {', '.join(labels.TOLD)}")
    asked = frozenset(every)
    if "grad" not in asked:
        return asked, {}
    root = view.root
    if root.size != 1:
        raise ValueError(
            f'show="grad" tells ∂y/∂node of one number y, and {view.id_of(root)} has shape '
            f"{root.shape}: draw a loss"
        )
    tensors = [node.tensor for node in view.nodes]
    found = vjp(root, tensors)
    return asked, {
        node.id: float(g.reshape(-1)[0]) if g.size == 1 else float(np.linalg.norm(g))
        for node, g in zip(view.nodes, found, strict=True)
    }


def _about(view: Graph, path: Path | None, asked: Any) -> str:
    """What a path is one part of: net and gross of all paths, and its share of the net."""
    if path is None or path.count == 1:
        return ""
    y, wrt = view.find(path.ids[0]).tensor, view.find(path.ids[-1]).tensor
    if y.size != 1:
        return ""
    found = flow(y, wrt)
    share = getattr(asked, "share", None)
    try:
        net = found.gradient.item() if wrt.size == 1 else 0.0
        about = sums(found)
    except FloatingPointError:  # nan or infinity on the way: drawn as such, and no sum to compare
        return ""
    if share is None and net and all(edge.value is not None for edge in path.edges):
        share = path.product / net
    return f"all paths: {about}" if share is None else part_of(share, about)


def _direction(rankdir: str) -> str:
    if rankdir not in ("LR", "TB", "RL", "BT"):
        raise ValueError(f"no rankdir {rankdir!r}; there are: LR, TB, RL, BT")
    return rankdir


def one_step(cell: Cell) -> tuple[Any, str]:
    """A cell's states after one step on seeded numbers, and the caption that says so."""
    numbers = np.random.default_rng(CELL_SEED)
    alone = cell.input_size == cell.hidden_size == 1
    x = tensor(numbers.uniform(-1, 1, () if alone else (cell.input_size,)))
    states = tuple(
        tensor(numbers.uniform(-1, 1, () if alone else (cell.hidden_size,))) for _ in cell.states
    )
    caption = f"one step on seeded inputs and states (seed {CELL_SEED})"
    return cell(x, states if len(states) > 1 else states[0]), caption
