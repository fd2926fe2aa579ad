"""Reverse mode on plain arrays: hand cotangents from the result back, as little as it takes.

The rules are the cards' own; this file only decides what is computed where. A cotangent that this
sweep made itself is added to in place; the sums over axes along which an operand was repeated wait
until all its contributions are there; single numbers stay Python floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microrecur.engine import ops
from microrecur.engine.primitive import Elementwise, Linear
from microrecur.engine.tensor import Tensor

# A repeated operand's contributions are gathered before they are summed over the repetition, up to
# this many numbers each: a bias of a large batch is summed at once, to hold no more memory.
GATHERED = 4096


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes along which its operand had been repeated.

    Works on arrays and on tensors; this is the only place where broadcasting is undone.
    """
    extra = np.ndim(g) - len(shape)
    if extra:
        g = ops.sum(g, axis=tuple(range(extra)))
    repeated = tuple(k for k, (n, m) in enumerate(zip(np.shape(g), shape, strict=True)) if n != m)
    return ops.sum(g, axis=repeated, keepdims=True) if repeated else g


def fitted(g: Any, x: Any) -> Any:
    """Return the cotangent in the shape and dtype of the operand it belongs to."""
    if g.shape != x.shape:
        g = unbroadcast(g, x.shape)
    if g.dtype != x.dtype:
        g = ops.cast(g, dtype=x.dtype)
    return g


def swept(
    nodes: Sequence[Tensor], wanted: set[Tensor], keep: set[Tensor], y: Tensor, seed: np.ndarray
) -> dict[Tensor, Any]:
    """Hand cotangents from y back along the wanted nodes, oldest given first; return `keep`'s.

    What is returned has its node's shape and dtype; one array may be that of several nodes.
    """
    cotangents: dict[Tensor, Any] = {y: seed}
    owned: set[Tensor] = set()
    found: dict[Tensor, Any] = {}
    for node in reversed(nodes):
        # What has been handed on is let go, so memory stays that of the front.
        g = cotangents.pop(node, None)
        if g is None or node not in wanted:
            continue
        number = node._number
        if number is not None:
            if type(g) is not float:
                g = float(fitted(np.asarray(g), node))
        elif (
            type(g) is not np.ndarray or g.shape != node._data.shape or g.dtype != node._data.dtype
        ):
            g = fitted(np.asarray(g), node._data)
        if node in keep:
            found[node] = g
        if node.op is None:
            continue
        if number is None:
            _hand_back(node, g, wanted, cotangents, owned)
        elif not _hand_back_number(node, g, wanted, cotangents):
            _hand_back(node, np.asarray(g), wanted, cotangents, owned)
    return found


def _hand_back(
    node: Tensor, g: Any, wanted: set[Tensor], cotangents: dict[Tensor, Any], owned: set[Tensor]
) -> None:
    """Add node's cotangent, times each edge's derivative, to that of each wanted input.

    `owned` holds the nodes whose cotangent was made here for them alone, and may be added to.
    """
    op: Any = node.op
    inputs, static = node.inputs, node.static
    elementwise = type(op) is Elementwise
    xs: Any = ()
    if elementwise:
        rules = op.quick or op.partials
        if not op.constant:
            xs = [x._data for x in inputs]
    else:
        rules = op.transposes if type(op) is Linear and not callable(op.transposes) else None
        xs = [x._data for x in inputs]
    for k, source in enumerate(inputs):
        if source not in wanted:
            continue
        if rules is None:
            part = op.pull(k, g, node._data, xs, static)
        else:
            rule = rules[k]
            if type(rule) is int:
                part = g if rule == 1 else g * rule
            elif rule is None:
                continue
            elif elementwise:
                y = node._data
                part = g * (rule(y, *xs, **static) if static else rule(y, *xs))
            else:
                part = rule(g, *xs, **static) if static else rule(g, *xs)
        if part is None:
            continue
        if part.size > GATHERED and part.shape != source.shape:
            part = unbroadcast(part, source.shape)
        before = cotangents.get(source)
        if before is None:
            cotangents[source] = part
            # A view, or what another holds too, is not to be added to; nor can a NumPy scalar be.
            if part is not g and type(part) is np.ndarray and part.base is None:
                owned.add(source)
        elif type(before) is float or before.shape != part.shape:
            cotangents[source] = fitted(np.asarray(before), source) + fitted(part, source)
            owned.discard(source)
        elif source in owned:
            np.add(before, part, before)
        else:
            cotangents[source] = total = before + part
            if type(total) is np.ndarray:
                owned.add(source)


def _hand_back_number(
    node: Tensor, g: float, wanted: set[Tensor], cotangents: dict[Tensor, Any]
) -> bool:
    """Do the same on Python floats; False, with nothing done, where arrays have to."""
    op: Any = node.op
    if op.number is None:
        return False
    elementwise = type(op) is Elementwise
    xs = [x._number for x in node.inputs]
    if None in xs:
        return False
    y, parts = node._number, []
    rules = op.partials if elementwise else op.transposes
    try:
        for source, rule in zip(node.inputs, rules):
            if source not in wanted or rule is None:
                continue
            if not elementwise:
                parts.append((source, rule(g, *xs)))
            elif type(rule) is int:
                parts.append((source, g * rule))
            else:
                parts.append((source, g * rule(y, *xs)))
    except (ArithmeticError, ValueError):
        return False
    for source, part in parts:
        before = cotangents.get(source)
        if before is None:
            cotangents[source] = part
        elif type(before) is float:
            cotangents[source] = before + part
        else:
            cotangents[source] = float(fitted(before, source)) + part
    return True
