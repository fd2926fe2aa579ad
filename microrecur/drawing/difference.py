"""`draw_difference`: two recorded graphs in one picture, what the second lacks and what it adds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from microrecur.drawing import labels
from microrecur.drawing.automatic import draw_any
from microrecur.drawing.draw import one_step
from microrecur.drawing.drawing import LIMIT, Drawing
from microrecur.drawing.layouts import lay_out
from microrecur.drawing.scene import Caption, Scene, SceneEdge, SceneNode, Text
from microrecur.drawing.style import SMALL_TEXT
from microrecur.drawing.wish import Wish
from microrecur.graphs.graph import Graph, graph
from microrecur.nn.cells import Cell

if TYPE_CHECKING:
    from microrecur.graphs.graph import Edge, Node

_WIDTH = 3.2  # of a line that only one of the two graphs has


@dataclass(frozen=True, slots=True)
class Difference:
    """What two graphs do not share: edges as (source, target), nodes by id."""

    missing: tuple[tuple[str, str], ...]
    extra: tuple[tuple[str, str], ...]
    lost: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def words(self) -> str:
        """How much there is of each."""
        if not self.missing and not self.extra and not self.lost and not self.new:
            return "the two graphs have the same nodes and edges"
        counts = (
            (self.missing, "missing edge"),
            (self.extra, "extra edge"),
            (self.lost, "missing node"),
            (self.new, "extra node"),
        )
        return ", ".join(
            f"{len(found)} {what}{'s' * (len(found) != 1)}" for found, what in counts if found
        )


def difference(reference: Graph, other: Graph) -> Difference:
    """Compare two graphs of one level by the ids of their nodes and the edges between them."""
    ids = [{node.id for node in view.nodes} for view in (reference, other)]
    ends = [
        Counter((edge.source, edge.target) for edge in view.edges) for view in (reference, other)
    ]
    return Difference(
        tuple((ends[0] - ends[1]).elements()),
        tuple((ends[1] - ends[0]).elements()),
        tuple(node.id for node in reference.nodes if node.id not in ids[1]),
        tuple(node.id for node in other.nodes if node.id not in ids[0]),
    )


def draw_difference(
    reference: Any,
    other: Any,
    *,
    level: str | None = None,
    steps: str | int | slice = "auto",
    title: str | None = None,
    theme: str = "light",
    limit: tuple[int, int] | None = LIMIT,
) -> Drawing:
    """Draw what one recorded graph lacks, and what it adds, beside another.

    Nodes are the same where their ids are: file both in the same scopes, under the same names.

    Parameters
    ----------
    reference, other : Tensor, Graph, Cell or list of states
        What should be there, and what is. Of the edges only one has, `other` lacks the red ones,
        marked "missing", and adds the amber ones, marked "extra".
    level : {"step", "gate", "op", "all"}, optional
        As for `draw`; the same for both.
    steps, title, theme, limit
        As for `draw`.

    Returns
    -------
    Drawing
        Its text lists the differences.

    Examples
    --------
    >>> import microrecur as mr
    >>> whole = mr.unroll(mr.LSTMCell(1, 1, seed=0, peephole=True), [0.3])
    >>> plain = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.3])
    >>> print(draw_difference(whole, plain))
    3 missing edges
    missing: c₀ → zⁱ₁  × pⁱ = 0.73
    missing: c₀ → zᶠ₁  × pᶠ = 0.083
    missing: c₁ → zᵒ₁  × pᵒ = −0.40
    """
    first = _graph(reference)
    level = level or ("op" if len(first.steps) <= 1 else "gate")
    views = first.at(level), _graph(other).at(level)
    found = difference(*views)
    marks = dict.fromkeys(found.extra, "extra") | dict.fromkeys(found.missing, "missing")
    wish = Wish(title=title, theme=theme, steps=steps, caption=found.words, marks=marks)
    scene = lay_out(views[0], wish)
    if found.new or not scene.pinned:
        scene = draw_any(_Union(*views), wish)  # type: ignore[arg-type]
        scene.title = title or "two recorded graphs"
        scene.captions.append(Caption(labels.note(found.words), (0.0, 0.0)))
        _mark(scene, found)
    kinds = dict.fromkeys(found.lost, "missing") | dict.fromkeys(found.new, "extra")
    scene.nodes = [_node(node, kinds) for node in scene.nodes]
    scene.description = f"{found.words[0].upper()}{found.words[1:]}."
    return Drawing(scene, _text(views, found), limit=limit)


def _graph(y: Any) -> Graph:
    if isinstance(y, Cell):
        y = one_step(y)[0]
    return y if isinstance(y, Graph) else graph(y)


class _Union:
    """Two graphs as one: the nodes and edges of the first, then what the second adds."""

    def __init__(self, reference: Graph, other: Graph) -> None:
        found = difference(reference, other)
        left = Counter(found.extra)
        self.nodes = (*reference.nodes, *(n for n in other.nodes if n.id in set(found.new)))
        self.edges = list(reference.edges)
        for edge in other.edges:
            ends = (edge.source, edge.target)
            if left[ends]:
                left[ends] -= 1
                self.edges.append(edge)
        self._by_id = {node.id: node for node in self.nodes}

    def find(self, id: str) -> Node:
        return self._by_id[id]


def _mark(scene: Scene, found: Difference) -> None:
    """Recolour what only one of the two has."""
    missing, extra = Counter(found.missing), Counter(found.extra)
    for k in range(len(scene.edges) - 1, -1, -1):  # the second's edges stand last
        edge = scene.edges[k]
        for marked, kind in ((extra, "extra"), (missing, "missing")):
            if edge.id and marked[edge.id]:
                marked[edge.id] -= 1
                scene.edges[k] = _marked(edge, kind)
                break


def _node(node: SceneNode, kinds: dict[str, str]) -> SceneNode:
    return replace(node, kind=kinds[node.id]) if node.id in kinds else node


def _marked(edge: SceneEdge, kind: str) -> SceneEdge:
    """An edge in the colour of what only one graph has, and the word for it."""
    word = Text(kind, kind, SMALL_TEXT)
    lines = tuple(replace(line, kind=kind) for line in edge.labels)
    return replace(edge, kind=kind, width=_WIDTH, labels=(word, *lines))


def _text(views: tuple[Graph, Graph], found: Difference) -> str:
    names = labels.Names()
    lines = [found.words]
    for kind, ends, view in zip(
        ("missing", "extra"), (found.missing, found.extra), views, strict=True
    ):
        for source, target in ends:
            edge = next(e for e in view.into(target) if e.source == source)
            joined = " → ".join(names.node(view.find(id)) for id in (source, target))
            lines.append(f"{kind}: {joined}  {_factors(edge, names)}".rstrip())
    return "\n".join(lines)


def _factors(edge: Edge, names: labels.Names) -> str:
    phrases = (labels.phrase(factor, names) for factor in labels.telling(edge.factors))
    return "  ".join(phrase.wrapped(0, times=True)[0] for phrase in phrases)
