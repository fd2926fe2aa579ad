"""What the stepper says: formulas, factors and products in Unicode, read off the recorded graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microrecur.drawing import labels
from microrecur.drawing.style import ALIASES
from microrecur.engine.tensor import step_of
from microrecur.graphs.graph import called
from microrecur.graphs.notation import number, typeset

if TYPE_CHECKING:
    from microrecur.engine.tensor import Tensor
    from microrecur.graphs.factors import Factor
    from microrecur.graphs.graph import Edge, Graph, Node

_INFIX = {"add": 1, "sub": 1, "mul": 2, "matmul": 2, "div": 2}  # how tightly each binds
_LONGEST = 64  # characters of a formula; what is longer only says from what it is made
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
SLOPES = ("gate slope", "squash slope")


class Words:
    """How one graph's nodes and edges are told.

    Parameters
    ----------
    graph : Graph
        At the level shown.
    names : labels.Names
        How steps are called.
    root : str
        The id of the node the gradient starts at.
    """

    def __init__(self, graph: Graph, names: labels.Names, root: str) -> None:
        self.graph, self.names, self.root = graph, names, root

    def called(self, id: str) -> str:
        """A node's name; of a nameless one its formula; L for a nameless root."""
        node = self.graph.find(id)
        if node.name:
            return self.names.node(node)
        if id == self.root:
            return "L" if node.role == "loss" else "y"
        formula, level = self._formula(node.tensor, inside=False)
        return formula if level > 2 else f"({formula})"

    def gradient(self, id: str) -> str:
        """∂L/∂ a node, or what stands for it when a node holds several numbers."""
        return f"∂{self.called(self.root)}/∂{self.called(id)}"

    def value(self, node: Node) -> str:
        """How a node was computed, with its value: `h₁ = tanh(z₁) = 0.76`."""
        size = labels.size_text(node)
        equals = f" {size}" if size.startswith("‖") else f" = {size}"
        formula = self._affine(node) or self._formula(node.tensor, inside=False)[0]
        if len(formula) > _LONGEST:
            formula = self._sources(node)
        head = f"{self.called(node.id)} = " if node.name or node.id == self.root else ""
        return f"{head}{formula}{';' if equals.startswith(' ‖') else ''}{equals}"

    def _affine(self, node: Node) -> str | None:
        edges = self.graph.into(node.id)
        sources = {edge.source: self.graph.find(edge.source) for edge in edges}
        return labels.affine_text(node, edges, sources, self.names)

    def _sources(self, node: Node) -> str:
        sources = dict.fromkeys(edge.source for edge in self.graph.into(node.id))
        return f"{node.symbol}(… {', '.join(self.called(id) for id in list(sources)[:4])} …)"

    def _formula(self, tensor: Tensor, inside: bool = True, depth: int = 0) -> tuple[str, int]:
        """A tensor as text and how tightly it binds; named ones stand for themselves inside."""
        if inside and tensor.name is not None:
            return self.names.of(tensor.name, step_of(tensor.scope)), 9
        if tensor.op is None or depth > 4:
            return self.names.of(*called(tensor)), 9
        parts = [self._formula(x, True, depth + 1) for x in tensor.inputs]
        if tensor.op.name == "pow":
            return _power(*parts[0], f"{tensor.static['p']:g}"), 3
        level = _INFIX.get(tensor.op.name)
        if level is None or len(parts) != 2:
            inner = ", ".join(text for text, _ in parts)
            passing = tensor.op.kind == "pass" and len(parts) == 1 and tensor.op.name != "neg"
            return parts[0] if passing else (f"{tensor.op.symbol}({inner})", 9)
        sign = "·" if tensor.op.name == "matmul" else f" {tensor.op.symbol} "
        (left, a), (right, b) = parts
        left = f"({left})" if a < level else left
        right = f"({right})" if b < level or (b == level and tensor.op.name != "add") else right
        return f"{left}{sign}{right}", level

    def factors(self, edge: Edge) -> str:
        """What an edge multiplies by, without numbers: `U · tanh′(z₄)`."""
        if self._into_loss(edge):
            return f"{self.called(self.root)}′"
        if edge.paths > 1 or not edge.factors:
            return f"(sum of {edge.paths} paths)"
        return " · ".join(self._head(factor) for factor in labels.telling(edge.factors))

    def chips(self, edge: Edge) -> list[tuple[str, str, str]]:
        """Text, bound and kind of each factor of an edge."""
        if self._into_loss(edge) or edge.paths > 1 or not edge.factors:
            size = labels.multiplied(edge, self.names.signed)
            return [(f"{self.factors(edge)} = {number(size)}", "", "plain")]
        return [self._chip(factor) for factor in labels.telling(edge.factors)]

    def _into_loss(self, edge: Edge) -> bool:
        """Whether an edge tells more as L′ than as what the loss is made of."""
        loss = edge.target == self.root and self.graph.find(edge.target).role == "loss"
        return loss and any(factor.kind in ("other", "reduction") for factor in edge.factors)

    def _head(self, factor: Factor) -> str:
        """A factor's name, a slope with the place it is taken at: tanh′(z₄)."""
        head = labels.phrase(factor, self.names).head
        if not self.names.signed and (factor.number or 0.0) < 0.0:
            head = f"|{head}|"
        if not factor.name.endswith("′"):
            return f"({head})" if "−" in head[1:] else head
        at = factor.node.inputs[factor.position]
        return f"{head}({typeset(at.name, self._step(at))})" if at.name else head

    def _step(self, tensor: Tensor) -> int | str | None:
        return self.names.step(step_of(tensor.scope))

    def _chip(self, factor: Factor) -> tuple[str, str, str]:
        phrase = labels.phrase(factor, self.names, on_path=True)
        if factor.kind == "pass":
            return phrase.head, "passes on", phrase.kind
        ceiling = "no bound" if factor.kind == "weight" else phrase.ceiling
        text = " ".join(filter(None, (self._head(factor), phrase.equals)))
        return text, ceiling, ALIASES.get(factor.kind, factor.kind)


def _power(base: str, level: int, exponent: str) -> str:
    base = base if level > 3 else f"({base})"
    return f"{base}{exponent.translate(_RAISED)}" if exponent.isdigit() else f"{base}^{exponent}"
