"""The steps of a stepper as plain data: what is shown, lit and said at each of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from microrecur.drawing.parts import Ends, Ids, Parts
from microrecur.drawing.stepper_words import SLOPES, Words
from microrecur.graphs.notation import bound, count, power_of_ten
from microrecur.graphs.notation import number as decimal

if TYPE_CHECKING:
    from microrecur.flows.paths import Path
    from microrecur.graphs.graph import Edge, Graph

FOLDED = "folded"  # the id of the shape that stands for the steps nobody drew
_COMPUTABLE = (*SLOPES, "gate value", "memory value", "pass", "constant")


@dataclass(frozen=True, slots=True)
class Chip:
    """One factor or one contribution: its text, its bound, the kind that colours it."""

    text: str
    bound: str
    kind: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A question for the learner: the next factor, before it is shown."""

    prompt: str
    value: float
    shown: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes
    ----------
    phase : str
        "forward" or "backward".
    says : str
        The sentence.
    now : tuple of str
        SVG ids of what is lit: the current node and the edge that led to it.
    tells : tuple of str
        SVG ids of the labels and bars that are shown from here on.
    chips : tuple of Chip
        What this step multiplies by or adds.
    fresh : bool
        Whether the chips of the steps before go.
    sign : str
        What stands between the chips.
    total : str
        What has come together so far: `∏ = −0.15`.
    size : float or None
        |total|, for the bar.
    ask : Ask or None
        What can be asked before this step is shown.
    """

    phase: str
    says: str
    now: Ids = ()
    tells: Ids = ()
    chips: tuple[Chip, ...] = ()
    fresh: bool = False
    sign: str = "×"
    total: str = ""
    size: float | None = None
    ask: Ask | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What all steps are read from: the graph, its words, the shapes that stand for it."""

    graph: Graph
    words: Words
    parts: Parts

    def node(self, id: str) -> Ids:
        """The shapes of a node; the folded run for a node inside it."""
        return self.parts.nodes.get(id) or self.parts.nodes.get(FOLDED, ())

    def drawn(self, id: str) -> bool:
        """Whether a node has a shape of its own."""
        return id in self.parts.nodes

    def passed(self, ends: Ends, lit: set[str]) -> Ids:
        """What a path lights as it goes back along an edge: its line and the shape it comes from.

        A state with an op in front of it has two shapes; a path that leaves by the one and came in
        by the other passes the line between them too.
        """
        source, target = ends
        lines = self.edge(ends)
        if not lines or lines[0] not in self.parts.tips:
            return (*self.node(source), *lines)
        start, end = self.parts.tips[lines[0]]
        through = () if end in lit else self.node(target)
        begun = (start,) if start in self.node(source) else self.node(source)
        return (*begun, *lines, *(id for id in through if id not in lit))

    def told(self, ends: Ends) -> bool:
        """Whether a line is drawn with its factors beside it."""
        return bool(self.label(ends))

    def edge(self, *ends: Ends) -> Ids:
        """The lines between nodes."""
        return tuple(name for pair in ends for name in self.parts.edges.get(pair, ()))

    def label(self, *ends: Ends) -> Ids:
        """The texts beside those lines."""
        return tuple(name for pair in ends for name in self.parts.labels.get(pair, ()))

    def bar(self, id: str) -> Ids:
        """The bar of a node, and its number."""
        return self.parts.bars.get(id, ())


def forward(stage: Stage) -> Iterator[Step]:
    """Values fill in, node by node, in the order of their creation."""
    yield Step("forward", "The inputs and initial states are given; step forward to compute.")
    folded = False
    for node in stage.graph.nodes:
        if node.op is None or (folded and not stage.drawn(node.id)):
            continue
        lines = stage.edge(*((edge.source, node.id) for edge in stage.graph.into(node.id)))
        if stage.drawn(node.id):
            yield Step("forward", stage.words.value(node), (*stage.node(node.id), *lines))
        elif stage.node(node.id):
            folded = True
            yield Step("forward", "The folded steps are computed.", stage.node(FOLDED))


def number(value: float) -> str:
    """A number in a formula: whole numbers without decimals."""
    return bound(value) if abs(value) in (0.0, 1.0) else decimal(value)


# ---------------------------------------------------------------- one path, backward


def along(stage: Stage, path: Path) -> Iterator[Step]:
    """The gradient starts at the root with 1 and is multiplied edge by edge along the path."""
    yield _start(stage, path.ids[0])
    known: set[str] = set()  # weights whose number was shown
    lit = set(stage.node(path.ids[0]))
    before = 1.0
    for run, after in _runs(stage, path):
        if len(run) == 1:
            shown = _one_edge(stage, path, run[0], before, after, known)
            now = stage.passed((run[0].source, run[0].target), lit)
            yield replace(shown, now=now)
            lit.update(now)
            known.update(f.name for f in run[0].factors if f.kind == "weight")
        else:
            folded = _folded_edges(stage, path, run, before, after)
            yield folded
            lit.update(folded.now)
        before = after


def _start(stage: Stage, root: str) -> Step:
    starts = f"{stage.words.gradient(root)} = 1"
    says = f"{starts}: the gradient starts here and walks back, edge by edge."
    return Step("backward", says, stage.node(root), total=starts, size=1.0, fresh=True)


def _runs(stage: Stage, path: Path) -> Iterator[tuple[list[Edge], float]]:
    """The path's edges one by one, those through folded steps together; ∏ after each run."""
    run: list[Edge] = []
    for edge, after in zip(path.edges, path.running):
        run.append(edge)
        # A line out of the folded steps has its own label: it is a factor of its own.
        if stage.drawn(edge.source) or (len(run) == 1 and stage.told((edge.source, edge.target))):
            yield run, after
            run = []


def _one_edge(
    stage: Stage, path: Path, edge: Edge, before: float, after: float, known: set[str]
) -> Step:
    words, ends = stage.words, (edge.source, edge.target)
    size = path.size(edge)
    reads = f"{words.factors(edge)} = {number(before)} · {number(size)} = {number(after)}"
    return Step(
        "backward",
        f"{_product(stage, path, edge.source)} = {_product(stage, path, edge.target)} · {reads}",
        (*stage.node(edge.source), *stage.edge(ends)),
        (*stage.label(ends), *stage.bar(edge.source)),
        tuple(Chip(*chip) for chip in words.chips(edge)),
        total=f"{_sign(path)} = {number(after)}",
        size=abs(after),
        ask=_question(stage, edge, known),
    )


def _folded_edges(stage: Stage, path: Path, run: list[Edge], before: float, after: float) -> Step:
    ends = [(edge.source, edge.target) for edge in run] + [(run[-1].source, FOLDED)]
    source = run[-1].source
    product = math.prod(map(path.size, run))
    through = f"{len(run)} factors of the folded steps"
    reads = f"{through} = {number(before)} · {number(product)} = {number(after)}"
    return Step(
        "backward",
        f"{_product(stage, path, source)} = {_product(stage, path, run[0].target)} · {reads}",
        (*stage.node(source), *stage.node(FOLDED), *stage.edge(*ends)),
        (*stage.label(*ends), *stage.bar(source)),
        (Chip(f"{through} = {number(product)}", "", "folded"),),
        total=f"{_sign(path)} = {number(after)}",
        size=abs(after),
    )


def _sign(path: Path) -> str:
    return "∏" if path.signed else "∏‖·‖"


def _product(stage: Stage, path: Path, id: str) -> str:
    """A path's product is the gradient only where it is the only path, and all is one number."""
    if path.count == 1 and _sign(path) == "∏":
        return stage.words.gradient(id)
    if id == path.ids[0]:
        return "1"
    return f"{_sign(path)} at {stage.words.called(id)}"


def _question(stage: Stage, edge: Edge, known: set[str]) -> Ask | None:
    """Ask for a factor that can be worked out from what is shown; a weight once it was seen."""
    fair = all(f.kind in _COMPUTABLE or f.name in known for f in edge.factors)
    if edge.value is None or not math.isfinite(edge.value) or not edge.factors or not fair:
        return None
    target, source = stage.words.called(edge.target), stage.words.called(edge.source)
    given = all(f.kind in ("pass", "constant") for f in edge.factors)  # its name is its number
    factors = "" if given else f" = {stage.words.factors(edge)}"
    prompt = f"∂{target}/∂{source}{factors} = ?"
    return Ask(prompt, edge.value, number(edge.value))


def told(path: Path) -> str:
    """Which path it is, and what its product is."""
    which = "the only path" if path.count == 1 else f"one path among {count(path.count)}"
    return f"{which}, {_sign(path)} = {number(path.product)}"


# ---------------------------------------------------------------- every route, backward


def everywhere(stage: Stage, root: str) -> Iterator[Step]:
    """Every edge in reverse: what arrives at a node over several edges is added.

    Raises
    ------
    ValueError
        When nodes hold more than one number: their contributions add as vectors.
    """
    _refuse_vectors(stage.graph)
    yield _start(stage, root)
    gradient = {root: 1.0}
    for node in reversed(stage.graph.nodes):
        edges = [edge for edge in stage.graph.out_of(node.id) if edge.target in gradient]
        if not edges or node.id == root:
            continue
        terms = [gradient[edge.target] * (edge.value or 0.0) for edge in reversed(edges)]
        gradient[node.id] = math.fsum(terms)
        if stage.drawn(node.id):
            yield from _arrivals(stage, list(reversed(edges)), terms, gradient)


def _refuse_vectors(graph: Graph) -> None:
    for edge in graph.edges:
        if edge.value is None:
            node = graph.find(edge.target)
            raise ValueError(
                f"routes=True adds one number per edge, and {node.id} has shape {node.shape}: "
                "take input_size=1 and hidden_size=1, or give path= for one path with its norms"
            )


def _arrivals(
    stage: Stage, edges: list[Edge], terms: list[float], gradient: dict[str, float]
) -> Iterator[Step]:
    """The edges that bring a gradient to one node, one step each."""
    words, id = stage.words, edges[0].source
    for k, (edge, term) in enumerate(zip(edges, terms)):
        ends = (edge.source, edge.target)
        sofar = math.fsum(terms[: k + 1])
        sum_text = _sum(terms[: k + 1], sofar)
        share = f"{words.gradient(edge.target)} · {words.factors(edge)}"
        reads = f"{number(gradient[edge.target])} · {number(edge.value or 0.0)} = {number(term)}"
        yield Step(
            "backward",
            _says(words, id, share, reads, sum_text, k, len(edges)),
            (*stage.node(id), *stage.edge(ends)),
            (*stage.label(ends), *stage.bar(id)),
            (Chip(reads, _over(words, edge), words.chips(edge)[0][2]),),
            fresh=k == 0,
            sign="+",
            total=f"{words.gradient(id)} = {number(sofar)}" if k + 1 == len(edges) else "…",
            size=abs(sofar),
        )


def _says(words: Words, id: str, share: str, reads: str, sum_text: str, k: int, edges: int) -> str:
    name = words.gradient(id)
    if edges == 1:
        return f"{name} = {share} = {reads}"
    if k == 0:
        return f"{edges} routes meet at {words.called(id)}. The first brings {share} = {reads}"
    adds = f"{share} = {reads}. Routes that meet add: "
    return f"{adds}{name if k + 1 == edges else 'so far'} = {sum_text}"


def _over(words: Words, edge: Edge) -> str:
    bounds = " · ".join(bound for _, bound, _ in words.chips(edge) if bound)
    return f"over {words.called(edge.target)}" + (f": {bounds}" if bounds else "")


def _sum(terms: list[float], total: float) -> str:
    """Terms and their sum: 0.12 + 0.34 = 0.46, a minus in place of + −."""
    text = " + ".join(number(term) for term in terms).replace("+ −", "− ")
    return f"{text} = {number(total)}"


# ---------------------------------------------------------------- the log scale of the bar


def log_scale(sizes: Iterable[float]) -> tuple[int, int]:
    """The powers of ten between which every finite size lies.

    Examples
    --------
    >>> log_scale([1.0, 0.15, 0.0])
    (-1, 0)
    """
    logs = [math.log10(size) for size in sizes if size > 0.0 and math.isfinite(size)]
    low, high = (math.floor(min(logs)), math.ceil(max(logs))) if logs else (0, 0)
    return (low, high) if low < high else (low - 1, high)


def level(size: float | None, scale: tuple[int, int]) -> float:
    """How far a bar is filled, from 0 to 1; the least that is not 0 still shows."""
    if not size or math.isnan(size):
        return 0.0
    if math.isinf(size):
        return 1.0
    low, high = scale
    return round(max(0.02, (math.log10(size) - low) / (high - low)), 4)


def scale_text(scale: tuple[int, int]) -> str:
    """The two ends of a log scale."""
    return f"{power_of_ten(scale[0])} … {power_of_ten(scale[1])}"
