"""The words of a picture, read off the recorded graph: what stands in a node and beside an edge."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from microrecur.drawing.factor_words import Phrase as Phrase
from microrecur.drawing.factor_words import edge_kind as edge_kind
from microrecur.drawing.factor_words import is_one, lines_of, phrases_of
from microrecur.drawing.factor_words import phrase as phrase
from microrecur.drawing.factor_words import telling as telling
from microrecur.drawing.scene import Text
from microrecur.drawing.style import NODE_TEXT, SMALL_TEXT
from microrecur.drawing.text_size import text_width
from microrecur.engine.tensor import step_of
from microrecur.graphs.notation import number, typeset

if TYPE_CHECKING:
    from microrecur.graphs.graph import Edge, Node

SHOWN = ("value", "local", "bound")  # what a picture tells unless asked otherwise
TOLD = ("value", "grad", "local", "bound")  # what it can tell


@dataclass(frozen=True, slots=True)
class Names:
    """What a picture tells, and how steps are called: by number, or `t` and `t−1` for any step."""

    symbolic: int | None = None  # the step called t
    show: frozenset[str] = frozenset(SHOWN)
    gradients: Mapping[str, float | None] = field(default_factory=dict)  # by node id, if asked for
    layered: bool = False  # a name alone does not tell which layer's it is
    signed: bool = True  # the path multiplies derivatives; False: their norms

    def step(self, step: int | None) -> int | str | None:
        """The step as it stands in a subscript."""
        if step is None or self.symbolic is None:
            return step
        behind = self.symbolic - step
        return "t" if behind == 0 else f"t−{behind}" if behind > 0 else f"t+{-behind}"

    def of(self, name: str, step: int | None) -> str:
        """A name with its step, on one line: shapes are as high as the lines they expect."""
        return typeset(" ".join(name.split()) or name, self.step(step))

    def node(self, node: Node) -> str:
        """What a node is called in text: its name, else its symbol."""
        if not node.name and node.role == "loss":
            return "y"  # what was asked about, when it was given no name
        layer = f"{' '.join(node.layer)} " if self.layered and node.layer else ""
        return layer + (self.of(node.name, node.step) if node.name else node.symbol or "·")

    def inside(self, node: Node) -> str:
        """The name inside its own panel: zᶠ needs no step there, nor does anything with a mark."""
        return typeset(node.name or "", None if "_" in (node.name or "") else self.step(node.step))


def gradient_lines(node: Node, names: Names, room: float) -> tuple[str, ...]:
    """∂root/∂node, in one line if it fits; none where it was not asked for."""
    if node.id not in names.gradients:
        return ()
    found = names.gradients[node.id]
    text = "−" if found is None else number(found)
    sign = "∇" if node.value is not None else "‖∇‖"
    together = f"{sign} {text}"
    if text_width(together, NODE_TEXT) <= room:
        return (together,)
    if text_width(text, NODE_TEXT) <= room + 8.0:
        return sign, text
    return sign, *text.replace("·", "·\n").split("\n")


def size_text(node: Node) -> str:
    """The number a node holds, or how large its numbers are."""
    if node.value is not None:
        return number(node.value)
    return f"‖·‖ = {number(_norm(node.tensor.data))}"


def shape_text(node: Node) -> str:
    """The shape of a node that holds more than one number, such as `(4, 32)`."""
    return "" if node.value is not None else str(tuple(node.shape))


def reading(nodes: Iterable[Node], names: Names) -> str:
    """How the signs in a picture of tensors read; nothing where all are single numbers."""
    shape = next((shape_text(node) for node in nodes if node.value is None and node.name), "")
    if not shape or "value" not in names.show:
        return ""
    return f"{shape}: shape; ‖·‖: 2-norm; ≈: mean, of a factor mean size"


def flagged(node: Node) -> bool:
    """Whether a node holds nan or infinity."""
    return not bool(np.all(np.isfinite(node.tensor.data)))


def name_and_value(node: Node, names: Names) -> tuple[str, ...]:
    """Two lines: the name (with its shape), the value (or the norm)."""
    if "value" not in names.show:
        return (names.node(node),)
    return " ".join(filter(None, (names.node(node), shape_text(node)))), size_text(node)


def slope_lines(node: Node, names: Names, room: float) -> tuple[str, ...]:
    """Lines of a σ or tanh: symbol, name and value in as few lines as its shape has room for."""
    if "value" not in names.show:
        return (node.symbol, names.node(node)) if node.name else (node.symbol,)
    if not node.name:
        return node.symbol, size_text(node)
    if node.value is None:
        return (
            node.symbol,
            f"{names.node(node)}  {shape_text(node)}",
            f"≈ {number(_mean(node.tensor.data))}",
        )
    together = f"{names.node(node)} = {number(node.value)}"
    if text_width(together, NODE_TEXT) <= room:
        return node.symbol, together
    return f"{node.symbol} → {names.node(node)}", number(node.value)


def stacked_lines(node: Node, names: Names, room: float) -> tuple[str, ...]:
    """Lines of a narrow shape: symbol, name, value; a long value breaks at its power of ten."""
    value = number(node.value if node.value is not None else _mean(node.tensor.data))
    if "value" not in names.show:
        return node.symbol, names.node(node)
    if node.value is None:
        return node.symbol, names.node(node), value, shape_text(node)
    if text_width(value, NODE_TEXT) <= room:
        return node.symbol, names.node(node), value
    return node.symbol, names.node(node), *value.replace("·", "·\n").split("\n")


def affine_lines(node: Node, names: Names, room: float) -> tuple[str, ...]:
    """Lines of a pre-activation: one if it fits, else two."""
    name = names.inside(node)
    if "value" not in names.show:
        return (name,)
    if node.value is None:
        return f"{name}  {shape_text(node)}", size_text(node)
    together = f"{name} = {number(node.value)}"
    return (together,) if text_width(together, NODE_TEXT) <= room else (name, number(node.value))


def wrappings(edge: Edge, names: Names) -> tuple[tuple[Text, ...], ...]:
    """The label of an edge, wrapped in every way it may stand, best first."""
    if edge.paths > 1 or not edge.factors:
        head, size = ("Σ", edge.value) if edge.value is not None else ("Σ‖·‖", edge.norm)
        return _unique(
            [
                (
                    Text(f"{edge.paths} paths", "muted", SMALL_TEXT),
                    Text(f"{head} = {number(size)}", "muted", SMALL_TEXT),
                )
            ]
            if "local" in names.show
            else []
        )
    phrases = [item for item in phrases_of(edge.factors, names) if item.head]
    if not phrases:
        return ()
    return _unique(
        tuple(lines_of(phrases, breaks))
        for breaks in ((0, 1, 2) if len(phrases) == 1 else (0, 1, 2, 3))
    )


def grid_wrappings(edge: Edge, names: Names) -> tuple[tuple[Text, ...], ...]:
    """The label of an edge between whole cells: one factor, or all it folds as one number."""
    if edge.paths == 1 and len(telling(edge.factors)) == 1:
        return wrappings(edge, names)[:2]
    if "local" not in names.show:
        return ()
    told = f"∂ = {number(edge.value)}" if edge.value is not None else f"‖∂‖ ≤ {number(edge.norm)}"
    kind = edge_kind(edge.factors) if edge.factors else "muted"
    return ((Text(told, kind, SMALL_TEXT),),)


def loss_wrappings(edge: Edge, target: str, signed: bool = True) -> tuple[tuple[Text, ...], ...]:
    """The label of an arrow into a loss: how the loss answers to that one input."""
    signed = signed and edge.value is not None
    size = number(multiplied(edge, signed))
    head = f"{target}′" if signed else f"‖{target}′‖"
    return _unique(
        tuple(Text(line, "loss", SMALL_TEXT) for line in lines)
        for lines in ((f"{head} = {size}",), (head, f"= {size}"))
    )


def multiplied(edge: Edge, signed: bool) -> float:
    """What a path multiplies by along an edge: its derivative, or of norms its norm."""
    return edge.value if signed and edge.value is not None else edge.norm


def path_wrappings(
    edge: Edge, running: float, names: Names, loss: str = "", *, first: bool = False
) -> tuple[tuple[Text, ...], ...]:
    """The label of an edge on a chosen path: × its factors, then the running product in black.

    What passes everything on leaves the product as it was and needs no label; a loss is one factor;
    the `first` edge's only factor is the product so far, and is printed once.
    """
    product = "∏" if names.signed else "∏‖·‖"
    total = Text(f"{product} = {number(running)}", "path", SMALL_TEXT)
    factors = telling(edge.factors)
    if loss:
        told = loss_wrappings(edge, loss, names.signed)
        return told if first else _unique((*_times(lines), total) for lines in told)
    if edge.paths == 1 and all(map(is_one, factors)):
        return ()
    if edge.paths > 1 or not factors or len(factors) > 3 or "local" not in names.show:
        return short_wrapping(edge, running, names)
    phrases = phrases_of(edge.factors, names, on_path=True)
    if first and len(phrases) == 1:
        return _unique(lines_of(phrases, breaks) for breaks in (0, 1, 2))
    broken = (replace(total, text=product), replace(total, text=f"= {number(running)}"))
    options = [(*lines_of(phrases, breaks, times=True), total) for breaks in (0, 1, 2)]
    narrow = (*lines_of(phrases, 2, times=True), *broken)
    last_resort = () if names.signed else short_wrapping(edge, running, names)
    return _unique([*options, narrow, *last_resort])


def _times(lines: Sequence[Text]) -> tuple[Text, ...]:
    return (replace(lines[0], text=f"× {lines[0].text}"), *lines[1:])


def short_wrapping(edge: Edge, running: float, names: Names) -> tuple[tuple[Text, ...], ...]:
    """The label of an edge on a path where there is little room: all its factors as one number."""
    product = "∏" if names.signed else "∏‖·‖"
    size = number(multiplied(edge, names.signed))
    times = Text(f"× {size}", edge_kind(edge.factors), SMALL_TEXT)
    total = Text(f"{product} = {number(running)}", "path", SMALL_TEXT)
    broken = (replace(total, text=product), replace(total, text=f"= {number(running)}"))
    return (times, total), (times, *broken)


def affine_text(
    node: Node, edges: Iterable[Edge], sources: dict[str, Node], names: Names
) -> str | None:
    """The affine map behind a pre-activation, `W·xₜ + U·hₜ₋₁ + b`; None if it is not one."""
    terms = []
    for edge in edges:
        source = sources[edge.source]
        if (source.name or "").startswith("Σ"):
            terms.append((names.node(source), edge.source))
            continue
        if len(edge.factors) != 1 or edge.factors[0].kind != "weight":
            return None
        terms.append((f"{typeset(edge.factors[0].name)}·{names.node(source)}", edge.source))
    terms.sort(key=lambda term: sources[term[1]].role != "input")
    bias = ["b"] if _has_bias(node) else []
    return " + ".join([term for term, _ in terms] + bias) if terms else None


def _has_bias(node: Node) -> bool:
    """Whether something made outside all steps is added on the way to this pre-activation."""
    waiting = [node.tensor]
    while waiting:
        tensor = waiting.pop()
        if tensor.op is None or (tensor.name and tensor is not node.tensor):
            continue
        if tensor.op.name == "add" and any(step_of(x.scope) is None for x in tensor.inputs):
            return True
        waiting.extend(tensor.inputs)
    return False


def _unique(options: Iterable[Iterable[Text]]) -> tuple[tuple[Text, ...], ...]:
    return tuple(dict.fromkeys(tuple(option) for option in options))


def _norm(data: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(data, dtype=float)))


def _mean(data: np.ndarray) -> float:
    return float(np.mean(data)) if data.size else math.nan


def one() -> tuple[Text, ...]:
    """The label of an arrow that passes its input on."""
    return (Text("1", "plus", SMALL_TEXT),)


def share(text: str, edge: Edge) -> tuple[tuple[Text, ...], ...]:
    """The label of an arrow in a picture of all routes, in the arrow's colour."""
    return ((Text(text, edge_kind(edge.factors), SMALL_TEXT),),)


def note(text: str) -> Text:
    """A line of small grey text."""
    return Text(text, "muted", SMALL_TEXT)
