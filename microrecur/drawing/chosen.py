"""The path a picture is asked for, as edges of the very view that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from microrecur.engine.tensor import Tensor
from microrecur.flows.paths import Path, source_id, strongest_path
from microrecur.graphs.graph import Edge

if TYPE_CHECKING:
    from microrecur.graphs.graph import Graph


def chosen_path(view: Graph, asked: Any) -> Path | None:
    """The path on this view: the strongest to a node, or a given one as the view's level shows it.

    Parameters
    ----------
    view
        At the level that is drawn.
    asked : None, str, Tensor, Path, or a path of `flow.top`
        "h0", "t0.h", a recorded tensor; or a path whose nodes may be shown at a finer level.

    Raises
    ------
    UnknownNode
        When the view has no such node; the nearest ids are named.
    ValueError
        When a given path has no line in this view.
    """
    if asked is None:
        return None
    if isinstance(asked, (str, Tensor)):
        return strongest_path(view, source_id(view, asked))
    if isinstance(asked, (list, tuple)):
        raise TypeError(
            f"path= takes one path, and this is a list of {len(asked)}: give one of them, such as "
            "path=paths[0], or draw all routes at once with routes=True"
        )
    given = asked if isinstance(asked, Path) else getattr(asked, "recorded", None)
    if not isinstance(given, Path):
        raise TypeError(
            f"path= is an id such as 'h0', a recorded tensor or a path, not {type(asked).__name__}"
        )
    return _on_view(view, given)


def _on_view(view: Graph, path: Path) -> Path:
    known = {node.id for node in view.nodes}
    for end in (path.ids[0], path.ids[-1]):
        view.find(end)
    edges, held, target = [], [], path.ids[0]
    for id, edge in zip(path.ids[1:], path.edges, strict=True):
        held.append(edge)
        if id in known:
            edges.append(_line(view, id, target, held))
            target, held = id, []
    return Path((path.ids[0], *(edge.source for edge in edges)), tuple(edges), path.count)


def _line(view: Graph, source: str, target: str, passed: Sequence[Edge]) -> Edge:
    """The view's edge that folds these edges; with the path's own numbers where they differ."""
    candidates = [edge for edge in view.into(target) if edge.source == source]
    factors = tuple(factor for edge in reversed(passed) for factor in edge.factors)
    named = [edge for edge in candidates if wording(edge) == _wording(factors)]
    if not candidates:
        raise ValueError(
            f"the path runs from {target} to {source} through nodes that level {view.level!r} does "
            'not join by one line; draw it at a finer level, level="op" or level="all"'
        )
    found = (named or candidates)[0]
    if len(passed) == 1 and passed[0] in candidates:
        return passed[0]
    value, norm = 1.0, 1.0
    for edge in passed:
        norm *= edge.norm
        value = value * edge.value if edge.value is not None else float("nan")
    signed = None if any(edge.value is None for edge in passed) else value
    if found.value == signed and found.norm == norm:
        return found
    kept = tuple(f for f in factors if not (f.kind == "pass" and f.name == "1")) or factors[:1]
    return Edge(source, target, kept, 1, signed, norm)


def wording(edge: Edge) -> tuple[tuple[str, str, int | None], ...]:
    """What an edge multiplies by, in names: the same for the same edge of two views."""
    return _wording(edge.factors)


def _wording(factors: Sequence[Any]) -> tuple[tuple[str, str, int | None], ...]:
    telling = [f for f in factors if not (f.kind == "pass" and f.name == "1")] or factors[:1]
    return tuple((factor.kind, factor.name, factor.step) for factor in telling)
