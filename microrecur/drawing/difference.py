"""`draw_difference`: two recorded graphs in one picture, what the second lacks and what it adds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from microrecur.drawing import labels
from microrecur.drawing.automatic import draw_any
from microrecur.drawing.chosen import wording
from microrecur.drawing.draw import check_options, one_step
from microrecur.drawing.drawing import LIMIT, TIMEOUT, Drawing
from microrecur.drawing.layouts import lay_out
from microrecur.drawing.scene import Caption, Scene, SceneEdge, SceneNode, Text
from microrecur.drawing.style import LEGEND, SMALL_TEXT
from microrecur.drawing.wish import Mark, Wish
from microrecur.graphs.graph import Graph, graph
from microrecur.nn.cells import Cell

if TYPE_CHECKING:
    from microrecur.graphs.graph import Edge, Node

_WIDTH = 3.2  # of a line that only one of the two graphs has


@dataclass(frozen=True, slots=True)
class Difference:
    """What two graphs do not share: edges as (source, target), nodes by id.

    `changed` edges join the same nodes in both, and multiply by something else.
    """

    missing: tuple[tuple[str, str], ...]
    extra: tuple[tuple[str, str], ...]
    lost: tuple[str, ...]
    new: tuple[str, ...]
    changed: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> str:
        """How much there is of each."""
        if not any((self.missing, self.extra, self.lost, self.new, self.changed)):
            return "the two graphs have the same nodes and edges"
        counts = (
            (self.missing, "missing edge"),
            (self.extra, "extra edge"),
            (self.changed, "edge with another factor"),
            (self.lost, "missing node"),
            (self.new, "extra node"),
        )
        return ", ".join(
            f"{len(found)} {_plural(what, len(found))}" for found, what in counts if found
        )


def _plural(what: str, number: int) -> str:
    return what if number == 1 else what.replace("edge", "edges").replace("node", "nodes")


def difference(reference: Graph, other: Graph) -> Difference:
    """Compare two graphs of one level by the ids of their nodes and the edges between them.

    Two edges are the same when they join the same nodes and their factors have the same names.
    """
    ids = [{node.id for node in view.nodes} for view in (reference, other)]
    ends = [
        Counter((edge.source, edge.target) for edge in view.edges) for view in (reference, other)
    ]
    worded = [
        Counter((edge.source, edge.target, wording(edge)) for edge in view.edges)
        for view in (reference, other)
    ]
    gone = Counter((source, target) for source, target, _ in (worded[0] - worded[1]).elements())
    gone -= ends[0] - ends[1]  # those are missing altogether
    return Difference(
        tuple((ends[0] - ends[1]).elements()),
        tuple((ends[1] - ends[0]).elements()),
        tuple(node.id for node in reference.nodes if node.id not in ids[1]),
        tuple(node.id for node in other.nodes if node.id not in ids[0]),
        tuple(gone),
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
    engine: str = "auto",
    timeout: float = TIMEOUT,
) -> Drawing:
    """Draw what one recorded graph lacks, and what it adds, beside another.

    Nodes are the same where their ids are: file both in the same scopes, under the same names.

    Parameters
    ----------
    reference, other : Tensor, Graph, Cell or list of states
        What should be there, and what is. Of the edges only one has, `other` lacks the red ones,
        marked "missing", and adds the amber ones, marked "extra"; an edge that multiplies by
        something else tells both.
    level : {"step", "gate", "op", "all"}, optional
        As for `draw`; the same for both.
    steps, title, theme, limit, engine, timeout
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
    check_options(title, theme, limit, engine, timeout)
    marks = _marks(views, found)
    wish = Wish(title=title, theme=theme, steps=steps, caption=found.words, marks=marks)
    scene = lay_out(views[0], wish)
    if found.new or not scene.pinned:
        scene = draw_any(_Union(*views), wish)  # type: ignore[arg-type]
        scene.title = title or "two recorded graphs"
        scene.captions.append(Caption(labels.note(found.words), (0.0, 0.0)))
        _mark(scene, found, marks)
    kinds = dict.fromkeys(found.lost, "missing") | dict.fromkeys(found.new, "extra")
    scene.nodes = [_node(node, kinds) for node in scene.nodes]
    if not scene.pinned:
        drawn = {edge.kind for edge in scene.edges} | {node.kind for node in scene.nodes}
        scene.legend = tuple(kind for kind in LEGEND if kind in drawn)
    scene.description = f"{found.words[0].upper()}{found.words[1:]}."
    text = _text(views, found)
    return Drawing(scene, text, limit=limit, engine=engine, timeout=timeout)


def _marks(views: tuple[Graph, Graph], found: Difference) -> dict[tuple[str, str], Mark]:
    """How each edge is singled out that only one graph has, or that multiplies otherwise."""
    single = views[0].steps[-1] if len(views[0].steps) == 1 else None
    names = labels.Names(single)
    marks = {ends: Mark("missing", (_word("missing", "missing"),)) for ends in found.missing}
    for ends in found.extra:
        factors = _told(views[1], ends, names)
        told = (_word("extra", "extra"), *(_word(line, "extra") for line in factors))
        heads = " · ".join(_names(views[1], ends, names))
        narrow = tuple(_word(line, "extra") for line in ("extra", *_broken(factors)))
        short = (_word("extra", "extra"), _word(f"× {heads}", "extra"))
        marks[ends] = Mark("extra", told, (narrow, short), absent=True)
    for ends in found.changed:
        before, after = (_told(view, ends, names) for view in views)
        was = [_word(f"missing: {line}", "missing") for line in before]
        now = [_word(f"extra: {line}", "extra") for line in after]
        before, after = (_names(view, ends, names) for view in views)
        while before and after and before[-1] == after[-1] and len(before) + len(after) > 2:
            before, after = before[:-1], after[:-1]  # what both end in is no difference
        sides = ("missing", before), ("extra", after)
        brief = [(kind, " · ".join(side) or "1") for kind, side in sides]
        lines = tuple(_word(f"{kind}: {side}", kind) for kind, side in brief)
        column = tuple(_word(word, pair[0]) for pair in brief for word in pair)
        marks[ends] = Mark("extra", (*was, *now), (lines, column), alone=True)
    return marks


def _word(text: str, kind: str) -> Text:
    return Text(text, kind, SMALL_TEXT)


def _told(view: Graph, ends: tuple[str, str], names: labels.Names) -> list[str]:
    """The factors of an edge, one a line."""
    source, target = ends
    edge = next(edge for edge in view.into(target) if edge.source == source)
    phrases = (labels.phrase(factor, names) for factor in labels.telling(edge.factors))
    return [phrase.wrapped(0, times=True)[0] for phrase in phrases]


def _broken(factors: list[str]) -> list[str]:
    """Factors with their numbers on lines of their own: `× pᶠ`, `= −0.40`."""
    return [line for factor in factors for line in factor.replace(" = ", "\n= ").split("\n")]


def _names(view: Graph, ends: tuple[str, str], names: labels.Names) -> list[str]:
    """The factors of an edge by name."""
    edge = next(edge for edge in view.into(ends[1]) if edge.source == ends[0])
    return [labels.phrase(factor, names).head for factor in labels.telling(edge.factors)]


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


def _mark(scene: Scene, found: Difference, marks: dict[tuple[str, str], Mark]) -> None:
    """Recolour what only one of the two has."""
    for k, edge in enumerate(scene.edges):
        if edge.id in found.changed:
            told = marks[edge.id].told
            scene.edges[k] = replace(edge, kind="extra", width=_WIDTH, labels=told)
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
    for source, target in found.changed:
        was, now = (next(e for e in view.into(target) if e.source == source) for view in views)
        joined = " → ".join(names.node(views[0].find(id)) for id in (source, target))
        told = f"{_factors(was, names)} in the first, {_factors(now, names)} in the second"
        lines.append(f"changed: {joined}  {told}")
    return "\n".join(lines)


def _factors(edge: Edge, names: labels.Names) -> str:
    phrases = [labels.phrase(factor, names) for factor in labels.telling(edge.factors)]
    return "  ".join(phrase.wrapped(0, times=True)[0] for phrase in phrases)
