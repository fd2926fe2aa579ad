"""The edges from number to number inside one recorded edge: which exist, and what they multiply by.

Which numbers an op connects depends on shapes alone (its pattern); the coefficients are this run's.
A coefficient that happens to be 0 is an edge all the same; where an op connects nothing, none is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from microrecur.engine.kernels import filled
from microrecur.engine.primitive import Elementwise, Selection
from microrecur.engine.tensor import Tensor
from microrecur.flows.sweep import Edge, Linearised

Shape = tuple[int, ...]
_ONES = np.ones(1)


class Pattern(NamedTuple):
    """Per number of the source, the numbers of the node that it goes into.

    Attributes
    ----------
    outs : ndarray, shape (source numbers, most edges of one)
        Flat places in the node, ascending.
    picks : ndarray, same shape
        Where the coefficient of each edge stands among the flat coefficients.
    exists : ndarray of bool or None
        Which of them are edges; None when all are.
    """

    outs: np.ndarray
    picks: np.ndarray
    exists: np.ndarray | None


def pattern(edge: Edge) -> Pattern | None:
    """Return the pattern of an edge; None when number j goes into number j and nowhere else."""
    node, k = edge
    source, op = node.inputs[k], node.op
    if isinstance(op, Elementwise):
        return None if source.shape == node.shape else _broadcast(source.shape, node.shape)
    if op is not None and op.name == "matmul":
        if node.inputs[1 - k].ndim == 0 or source.ndim == 0:
            return None if source.shape == node.shape else _broadcast(source.shape, node.shape)
        return _product(node.inputs[0].shape, node.inputs[1].shape, k)
    if op is not None and op.name in ("getitem", "gather"):
        # An index may read a number several times; each number read comes from one place.
        places = [x._data for x in node.inputs[1:]]
        index = filled(node.static["index"], places) if places else node.static["index"]
        ins = np.arange(source.size).reshape(source.shape)[index].ravel()
        return _padded(np.arange(node.size), ins, np.arange(node.size), source.size)
    return _by_labels(node, k)


def coefficients(lines: Linearised, edge: Edge, of: Pattern | None) -> np.ndarray:
    """Return the coefficient of every edge of the pattern: (source numbers, most edges of one)."""
    flat = flat_coefficients(lines, edge)
    if of is not None:
        return flat[of.picks] if flat.size > 1 else np.broadcast_to(flat, of.picks.shape)
    return np.broadcast_to(flat, edge[0].size)[:, None]


def flat_coefficients(lines: Linearised, edge: Edge) -> np.ndarray:
    """Return what the picks of a pattern point into; one number where all are the same."""
    node, k = edge
    op: Any = node.op
    if isinstance(op, Elementwise):
        partial = lines.partial(node, k)
        if type(partial) is int:
            return _ONES if partial == 1 else np.full(1, float(partial))
        partial = np.asarray(partial, float)
        if partial.size > 1 and partial.shape != node.shape:
            partial = np.broadcast_to(partial, node.shape)
        return partial.reshape(-1)
    if op.name == "matmul":
        return node.inputs[1 - k]._data.reshape(-1)
    if isinstance(op, Selection):
        return op.weights(node.inputs[k]._data, **node.static).reshape(-1)
    return _ONES  # other linear ops move, sum or pick numbers


@lru_cache(maxsize=256)
def _broadcast(source: Shape, node: Shape) -> Pattern:
    size = int(np.prod(source, dtype=int))
    ins = np.broadcast_to(np.arange(size).reshape(source), node).ravel()
    outs = np.arange(ins.size)
    return _padded(outs, ins, outs, size)


@lru_cache(maxsize=256)
def _product(a: Shape, b: Shape, k: int) -> Pattern:
    """z[i, q] = Σ a[i, p] b[p, q], with vectors and stacks of matrices as NumPy has them."""
    left = np.arange(int(np.prod(a, dtype=int))).reshape(a)
    right = np.arange(int(np.prod(b, dtype=int))).reshape(b)
    left = left[None, :] if left.ndim == 1 else left
    right = right[:, None] if right.ndim == 1 else right
    stacked = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    out_shape = (*stacked, left.shape[-2], right.shape[-1])
    outs = np.arange(int(np.prod(out_shape, dtype=int))).reshape(out_shape)
    every = np.broadcast_arrays(
        outs[..., None], left[..., :, None, :], right.swapaxes(-1, -2)[..., None, :, :]
    )
    out, *operands = (labels.ravel() for labels in every)
    return _padded(out, operands[k], operands[1 - k], int(np.prod((a, b)[k], dtype=int)))


def _by_labels(node: Tensor, k: int) -> Pattern:
    """The pattern of an op that gives each number of the source to at most one of the node.

    Its transpose carries the node's labels back to where they came from.
    """
    op: Any = node.op
    source = node.inputs[k]
    labels = np.arange(1.0, node.size + 1).reshape(node.shape)
    arrays = [x._data for x in node.inputs]
    if isinstance(op, Selection):
        found = op.spread(labels, arrays[0], **node.static)
    elif op.name == "cast":
        found = labels
    else:
        found = op.pull(k, labels, node._data, arrays, node.static)
    found = np.asarray(found)
    ins = np.broadcast_to(np.arange(source.size).reshape(source.shape), found.shape).ravel()
    outs = found.ravel().astype(int) - 1
    there = outs >= 0
    picks = ins if isinstance(op, Selection) else outs
    return _padded(outs[there], ins[there], picks[there], source.size)


def _padded(outs: np.ndarray, ins: np.ndarray, picks: np.ndarray, size: int) -> Pattern:
    """Group edges by their source number, ascending in the node's, padded to one length."""
    order = np.lexsort((outs, ins))
    outs, ins, picks = outs[order], ins[order], picks[order]
    lengths = np.bincount(ins, minlength=size)
    place = np.arange(ins.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    shape = (size, int(lengths.max(initial=0)))
    tables = np.zeros((2, *shape), int)
    tables[0, ins, place], tables[1, ins, place] = outs, picks
    if ins.size == size * shape[1]:
        return Pattern(tables[0], tables[1], None)
    exists = np.zeros(shape, bool)
    exists[ins, place] = True
    return Pattern(tables[0], tables[1], exists)
