"""Small recorded graphs that share nodes, and the same computations in the engine."""

import numpy as np

import microrecur as mr
from microrecur.lessons.exercises.e02_record_the_graph import Node


def leaf(rng: np.random.Generator, about: float, name: str) -> Node:
    """A leaf near a number, so that no two leaves agree by chance."""
    return Node(about + rng.uniform(-0.1, 0.1), name=name)


def named(name: str, node: Node) -> Node:
    """The same node with a name, by which a report calls it."""
    node.name = name
    return node


def diamond(rng: np.random.Generator) -> tuple[Node, Node, Node]:
    """L = c·(u·tanh u + x) with u = x·y: u is used twice, x on a short way and on a long one.

    L is a scaled sum, so that what arrives from above is not 1; c and y are equal numbers but
    different nodes, and so are the nodes without a name.
    """
    x, y = leaf(rng, 0.7, "x"), leaf(rng, 1.6, "y")
    c = Node(y.value, name="c")
    u = named("u", x * y)
    return named("L", c * (u * u.tanh() + x)), x, y


def ladder(rng: np.random.Generator) -> tuple[Node, Node]:
    """L = (x·x + 3x)·u + u with u = tanh(x·y): x is reached along five paths."""
    x, y, three = leaf(rng, -1.2, "x"), leaf(rng, 0.4, "y"), leaf(rng, 3.0, "three")
    u = named("u", (x * y).tanh())
    return named("L", (x * x + three * x) * u + u), x


def label(node: Node) -> str:
    """What a report calls a node: its name, else how it was made."""
    parts = [f"({label(s)})" if s.inputs and not s.name else label(s) for s in node.inputs]
    made = f"tanh({label(node.inputs[0])})" if node.op == "tanh" else f" {node.op} ".join(parts)
    return node.name or made


def nodes_of(root: Node) -> list[Node]:
    """Every node once, nearest to the root first: an order that is none of the answers."""
    found = [root]
    for node in found:
        found += [source for source in dict.fromkeys(node.inputs) if source not in found]
    return found


def as_tensors(root: Node) -> dict[Node, mr.Tensor]:
    """The same computation recorded by the engine: node → tensor, inputs first."""
    tensors: dict[Node, mr.Tensor] = {}
    apply = {"+": mr.add, "×": mr.mul, "tanh": mr.tanh}

    def record(node: Node) -> mr.Tensor:
        if node not in tensors:
            inputs = [record(source) for source in node.inputs]
            made = apply[node.op](*inputs) if inputs else mr.tensor(node.value, requires_grad=True)
            tensors[node] = made
        return tensors[node]

    record(root)
    return tensors


def engine_order(root: Node) -> list[Node]:
    """Ours: the order in which the engine recorded."""
    tensors = as_tensors(root)
    return sorted(tensors, key=lambda node: tensors[node].serial)
