"""The picture of a failure: what an answer lacks of the recorded graph red, what it adds amber."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from microrecur.course.exercise import Exercise
from microrecur.drawing.difference import draw_difference
from microrecur.drawing.draw import draw
from microrecur.drawing.scene import Caption, Text
from microrecur.drawing.style import SMALL_TEXT
from microrecur.engine.errors import UnknownNode
from microrecur.graphs.graph import Edge, Graph, graph

if TYPE_CHECKING:
    from microrecur.drawing.drawing import Drawing
    from microrecur.drawing.scene import Scene

LEVELS = ("gate", "op", "all")


class _Answered(Graph):
    """The graph that an answer's numbers belong to: some edges less, some more."""

    def __init__(self, whole: Graph, missing: tuple[str, ...], extra: tuple[str, ...]) -> None:
        super().__init__(whole.roots, whole.level)
        self._missing = {ends(edge) for edge in missing}
        self._extra = [Edge(*ends(edge), (), 1, None, 0.0) for edge in extra]

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Those that are left, and those that are added."""
        left = Graph(self.roots, self.level).edges
        kept = (edge for edge in left if (edge.source, edge.target) not in self._missing)
        return (*kept, *self._extra)


def ends(edge: str) -> tuple[str, str]:
    """Source and target of "t1.h->t2.z"."""
    source, arrow, target = edge.partition("->")
    if not arrow or not source or not target:
        raise ValueError(f"an edge is written 'source->target', not {edge!r}")
    return source, target


def failure(
    exercise: Exercise, missing: tuple[str, ...], extra: tuple[str, ...] = (), title: str = ""
) -> Drawing:
    """Draw the graph of an exercise, what is missing in red and what is extra in amber.

    Raises
    ------
    ValueError
        When the exercise has no picture, or an edge is not in it at any level.
    """
    if exercise.picture is None:
        raise ValueError(f"{exercise.name} has no picture")
    root: Any = exercise.picture()
    if not missing and not extra:
        return draw(root, title=title or exercise.task)
    whole = view(root, missing, extra)
    answered = _Answered(whole, missing, extra)
    drawing = draw_difference(whole, answered, level=whole.level, title=title or exercise.task)
    if not drawing.scene.pinned and len(whole.steps) > 1:
        drawing.scene.rankdir = "TB"  # steps beside one another would be too wide to be read
    _explain(drawing.scene, len(missing), len(extra))
    return drawing


def _explain(scene: Scene, missing: int, extra: int) -> None:
    """Say what the colours mean here: not two graphs, but the task and an answer."""
    # An edge that only the answer has was never computed: there is no number to stand beside it.
    scene.edges = [
        replace(edge, labels=edge.labels[:1]) if edge.kind == "extra" else edge
        for edge in scene.edges
    ]
    if not scene.pinned:
        scene.legend = tuple(kind for kind in scene.legend if kind not in ("missing", "extra"))
        counts = scene.description.removesuffix(".").casefold()  # said below in other words
        scene.captions = [c for c in scene.captions if c.text.text.casefold() != counts]
        red = f"red: your answer leaves {'it' if missing == 1 else 'these'} out"
        amber = f"amber: your answer adds {'it' if extra == 1 else 'these'}"
        told = [red] * bool(missing) + [amber] * bool(extra)
        scene.captions.append(Caption(Text(" · ".join(told), "muted", SMALL_TEXT), (0.0, 0.0)))


def view(root: Any, missing: tuple[str, ...], extra: tuple[str, ...]) -> Graph:
    """The coarsest level at which all these edges can be shown."""
    whole = root if isinstance(root, Graph) else graph(root)
    for level in LEVELS:
        if not unknown(whole.at(level), missing, extra):
            return whole.at(level)
    least = min((unknown(whole.at(level), missing, extra) for level in LEVELS), key=len)
    known = ", ".join(f"{edge.source}->{edge.target}" for edge in whole.at("op").edges)
    raise ValueError(
        f"no level of the picture has {', '.join(least)}; at level op there are {known}"
    )


def unknown(shown: Graph, missing: tuple[str, ...], extra: tuple[str, ...]) -> list[str]:
    """The edges that cannot be shown: a missing one has to be there, of an extra one the ends."""
    there = {(edge.source, edge.target) for edge in shown.edges}
    found = [edge for edge in missing if ends(edge) not in there]
    for edge in extra:
        try:
            for id in ends(edge):
                shown.find(id)
        except UnknownNode:
            found.append(edge)
    return found
