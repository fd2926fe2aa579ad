"""Lesson 02, solved."""

import numpy as np


def topo_order(root):
    """Depth first; a node is listed once all its inputs are. A stack of our own: no depth limit."""
    order, seen, waiting = [], set(), [(root, False)]
    while waiting:
        node, inputs_done = waiting.pop()
        if inputs_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            waiting.append((node, True))
            waiting.extend((source, False) for source in node.inputs)
    return order


def backprop(root):
    """From the root back: by the time a node is read, all that arrives at it has arrived."""
    root.grad = 1.0
    for node in reversed(topo_order(root)):
        for source, slope in zip(node.inputs, node.slopes, strict=True):
            source.grad += node.grad * slope


def path_products(root, leaf):
    """Every path starts with one edge of root and goes on with a path of that input."""
    if root is leaf:
        return [1.0]
    return [
        slope * rest
        for source, slope in zip(root.inputs, root.slopes, strict=True)
        for rest in path_products(source, leaf)
    ]


def numgrad(f, x, eps=1e-6):
    """Two calls of f per entry, on a copy of x."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        ends = []
        for step in (eps, -eps):
            moved = x.copy()
            moved[index] += step
            ends.append(f(moved))
        gradient[index] = (ends[0] - ends[1]) / (2 * eps)
    return gradient
