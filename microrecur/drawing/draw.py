"""`draw`: from a recorded computation, a graph or a cell to a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from microrecur.drawing import labels
from microrecur.drawing.drawing import LIMIT, Drawing
from microrecur.drawing.layouts import lay_out
from microrecur.drawing.text_view import text_view
from microrecur.engine.tensor import Tensor, tensor
from microrecur.flows.paths import Path, source_id, strongest_path
from microrecur.graphs.graph import Graph, graph
from microrecur.nn.cells import Cell

if TYPE_CHECKING:
    from collections.abc import Sequence

CELL_SEED = 0  # of the inputs and states a cell is drawn with


def draw(
    y: Tensor | Graph | Cell | Sequence[Any],
    *,
    level: str | None = None,
    path: str | Tensor | Path | None = None,
    steps: str | int = "auto",
    fold: bool = True,
    title: str | None = None,
    theme: str = "light",
    limit: tuple[int, int] | None = LIMIT,
) -> Drawing:
    """Draw what was recorded: gates, states and every edge with its local derivative and its bound.

    Parameters
    ----------
    y
        A recorded tensor, what `unroll` returned, a graph, or a cell; a cell is drawn for one step
        on seeded inputs, and the caption says so.
    level : {"step", "gate", "op", "all"}, optional
        How much to fold; "op" for one step, "gate" for more when not given.
    path
        Draw one chain-rule path thick, with its running product: the strongest from y back to this
        node ("h0", "t0.h", a tensor), or the path itself.
    steps
        How many steps are drawn at most; "auto" keeps text legible when shown 1100 pixels wide.
    fold
        False draws every step, however wide.
    title
        Printed above the picture.
    theme : {"light", "dark"}
    limit : (nodes, edges) or None
        The largest picture that is drawn.

    Returns
    -------
    Drawing

    Raises
    ------
    UnknownNode
        When the path's node is not in the graph; the nearest ids are named.
    StaleGraphError
        When a parameter was assigned a new value since.

    Examples
    --------
    >>> import microrecur as mr
    >>> states = mr.unroll(mr.RNNCell(1, 1, seed=0), [0.9, -0.4, 0.7])
    >>> print(draw(states[-1], path="h0"))  # doctest: +ELLIPSIS
    h₃ → h₀: the only path, ∏ = ...
    """
    caption = ""
    if isinstance(y, Cell):
        y, caption = _one_step(y)
    view = _view(y, level)
    chosen = _path(view, path)
    scene = lay_out(
        view, path=chosen, title=title, caption=caption, steps=steps, fold=fold, theme=theme
    )
    symbolic = view.steps[-1] if len(view.steps) == 1 else None
    text = text_view(view, chosen, names=labels.Names(symbolic))
    return Drawing(scene, "\n".join(filter(None, (text, caption))), limit=limit)


def _view(y: Any, level: str | None) -> Graph:
    """The graph at the level asked for; one step shows its ops, several show their gates."""
    view = y if isinstance(y, Graph) else graph(y)
    if level is None:
        level = view.level if view.level != "all" else "gate" if len(view.steps) > 1 else "op"
    return view.at(level)


def _path(view: Graph, path: str | Tensor | Path | None) -> Path | None:
    if path is None:
        return None
    if not isinstance(path, Path):
        return strongest_path(view, source_id(view, path))
    for id in path.ids:
        view.find(id)
    return path


def _one_step(cell: Cell) -> tuple[Any, str]:
    """A cell's states after one step on seeded numbers, and the caption that says so."""
    numbers = np.random.default_rng(CELL_SEED)
    alone = cell.input_size == cell.hidden_size == 1
    x = tensor(numbers.uniform(-1, 1, () if alone else (cell.input_size,)))
    states = tuple(
        tensor(numbers.uniform(-1, 1, () if alone else (cell.hidden_size,))) for _ in cell.states
    )
    caption = f"one step on seeded inputs and states (seed {CELL_SEED})"
    return cell(x, states if len(states) > 1 else states[0]), caption
