"""Reverse mode on plain arrays: hand cotangents from the result back, as little as it takes.

The rules are the cards' own; this file only decides what is computed where. A cotangent that this
sweep made itself is added to in place; the sums over axes along which an operand was repeated wait
until all its contributions are there; single numbers stay Python floats.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from microrecur.engine import ops
from microrecur.engine.primitive import Elementwise
from microrecur.engine.tensor import Tensor

# A repeated operand's contributions are gathered before they are summed over the repetition, up to
# this many numbers each: a bias of a large batch is summed at once, to hold no more memory.
GATHERED = 4096

NOTHING_YET = object()  # stands for the cotangent of what wants one


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes along which its operand had been repeated.

    Works on arrays and on tensors; this is the only place where broadcasting is undone.
    """
    given: tuple[int, ...] = getattr(g, "shape", ())
    extra = max(len(given) - len(shape), 0)
    kept = given[extra:]
    if extra:
        g = ops.sum(g, axis=tuple(range(extra)))
    repeated = tuple(k for k, (n, m) in enumerate(zip(kept, shape, strict=True)) if n != m)
    return ops.sum(g, axis=repeated, keepdims=True) if repeated else g


def fitted(g: Any, x: Any) -> Any:
    """Return the cotangent in the shape and dtype of the operand it belongs to."""
    if g.shape != x.shape:
        g = unbroadcast(g, x.shape)
    if g.dtype != x.dtype:
        g = ops.cast(g, dtype=x.dtype)
    return g


def swept(
    nodes: Sequence[Tensor], y: Tensor, seed: np.ndarray, keep: Collection[Tensor] | None = None
) -> dict[Tensor, Any]:
    """Hand cotangents from y back along the nodes that want one, oldest given first.

    Returns those of `keep`; of leaves and of what has a name where that is None. Each has its
    node's shape and dtype; one array may be that of several nodes.
    """
    # Every node that wants a cotangent has its place.
    cotangents: dict[Tensor, Any] = dict.fromkeys(nodes, NOTHING_YET)
    cotangents[y] = seed
    shared: set[Tensor] = set()  # whose cotangent another may hold too: it is not to be added to
    found: dict[Tensor, Any] = {}
    for node in reversed(nodes):
        # What has been handed on is let go, so memory stays that of the front.
        g = cotangents.pop(node)
        if g is NOTHING_YET:
            continue
        op, number = node.op, node._number
        if number is None:
            data: Any = node._array
            if type(g) is not np.ndarray or g.shape != data.shape or g.dtype is not data.dtype:
                g = fitted(np.asarray(g), data)
        elif type(g) is not float:
            g = float(fitted(np.asarray(g), node))
        if (op is None or node.name is not None) if keep is None else node in keep:
            found[node] = g
        if op is None:
            continue
        if op.constant:
            _hand_on(node, g, cotangents, shared)
        elif number is None:
            _hand_back(node, g, cotangents, shared)
        elif op.number is None:
            _hand_back(node, np.asarray(g), cotangents, shared)
        else:
            _hand_back_number(node, g, cotangents, shared)
    return found


def _hand_on(node: Tensor, g: Any, cotangents: dict[Tensor, Any], shared: set[Tensor]) -> None:
    """Add node's cotangent, or a whole number of times it, to that of each input that wants one."""
    for source, times in zip(node.inputs, node.op.rules):  # type: ignore[union-attr]
        before = cotangents.get(source)
        if before is None:
            continue
        part = g if times == 1 else g * times
        if before is not NOTHING_YET:
            _add_to(source, before, part, cotangents, shared)
        elif type(part) is float:
            cotangents[source] = part
        else:
            if part.size > GATHERED and part.shape != source.shape:
                part = unbroadcast(part, source.shape)
            cotangents[source] = part
            shared.add(source)  # the next one has it too


def _hand_back(node: Tensor, g: Any, cotangents: dict[Tensor, Any], shared: set[Tensor]) -> None:
    """Add node's cotangent, times each edge's derivative, to that of each input that wants one."""
    op: Any = node.op
    inputs, static, rules, y = node.inputs, node.static, op.rules, node._data
    elementwise = type(op) is Elementwise
    xs: Any
    if len(inputs) == 1:
        xs = (inputs[0]._data,)
    elif len(inputs) == 2:
        a, b = inputs
        xs = (a._array, b._array) if a._number is b._number is None else (a._data, b._data)
    else:
        xs = [x._data for x in inputs]
    for k, source in enumerate(inputs):
        before = cotangents.get(source)
        rule = rules[k] if rules else op.pull
        if before is None or rule is None:
            continue
        if not rules:
            part = rule(k, g, y, xs, static)
        elif not elementwise:
            part = rule(g, *xs, **static) if static else rule(g, *xs)
        elif type(rule) is int:
            part = g * rule
        else:
            part = g * (rule(y, *xs, **static) if static else rule(y, *xs))
        if part is None:
            continue
        if part.size > GATHERED and part.shape != source.shape:
            part = unbroadcast(part, source.shape)
        if before is not NOTHING_YET:
            _add_to(source, before, part, cotangents, shared)
            continue
        cotangents[source] = part
        if part.base is not None or part is g:  # another may hold it, or what it is a view of
            shared.add(source)


def _hand_back_number(
    node: Tensor, g: float, cotangents: dict[Tensor, Any], shared: set[Tensor]
) -> None:
    """Do the same on Python floats, where all operands are such."""
    op: Any = node.op
    inputs, y = node.inputs, node._number
    elementwise = type(op) is Elementwise
    first = inputs[0]._number
    xs: Any = (first,) if len(inputs) == 1 else (first, inputs[1]._number)
    if first is None or xs[-1] is None:
        _hand_back(node, np.asarray(g), cotangents, shared)
        return
    for source, rule in zip(inputs, op.rules):
        before = cotangents.get(source)
        if before is None or rule is None:
            continue
        try:
            part = g * rule(y, *xs) if elementwise else rule(g, *xs)
        except (ArithmeticError, ValueError):  # NumPy says what it is, and warns of it
            here, arrays = np.asarray(g), [x._data for x in inputs]
            part = float(here * rule(node._data, *arrays) if elementwise else rule(here, *arrays))
        if before is NOTHING_YET:
            cotangents[source] = part
        else:
            _add_to(source, before, part, cotangents, shared)


def _add_to(
    source: Tensor, before: Any, part: Any, cotangents: dict[Tensor, Any], shared: set[Tensor]
) -> None:
    """Add a contribution to what source has, in place where nobody else holds that."""
    if type(before) is float is type(part):
        cotangents[source] = before + part
    elif type(before) is float or type(part) is float or before.shape != part.shape:
        before, part = fitted(np.asarray(before), source), fitted(np.asarray(part), source)
        cotangents[source] = before + part
        shared.discard(source)
    elif source in shared or type(before) is not np.ndarray:
        cotangents[source] = before + part
        shared.discard(source)
    else:
        np.add(before, part, before)
