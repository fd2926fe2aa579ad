"""Every path from number to number, written out one by one: the answer the sweeps are held against.

Local derivatives are written here by hand, op by op, from the recorded numbers; nothing of the
package's own calculus is used.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

import microrecur as mr
from microrecur.engine.tensor import ancestry


class Hop(NamedTuple):
    node: object
    position: int
    unit: int  # of the node
    source_unit: int
    slope: float


class Way(NamedTuple):
    """One path, its hops from wrt on to y."""

    start: int
    hops: tuple
    contribution: float

    @property
    def edges(self):
        return tuple((hop.node, hop.position) for hop in self.hops)

    def of_kind(self, *names):
        return sum(hop.node.op.name in names for hop in self.hops)


ENTRYWISE = {
    "add": lambda k, y, a, b: 1.0,
    "sub": lambda k, y, a, b: (1.0, -1.0)[k],
    "mul": lambda k, y, a, b: (b, a)[k],
    "div": lambda k, y, a, b: (1 / b, -a / b**2)[k],
    "neg": lambda k, y, a: -1.0,
    "tanh": lambda k, y, a: 1 / np.cosh(a) ** 2,
    "sigmoid": lambda k, y, a: np.exp(-a) / (1 + np.exp(-a)) ** 2,
    "relu": lambda k, y, a: (a > 0) * 1.0,
    "exp": lambda k, y, a: np.exp(a),
    "log": lambda k, y, a: 1 / a,
    "sin": lambda k, y, a: np.cos(a),
    "cos": lambda k, y, a: -np.sin(a),
    "abs": lambda k, y, a: np.sign(a),
}
MOVES = ("reshape", "transpose", "getitem", "broadcast_to", "cast")


def hops_of(node, k):
    """All edges from number to number of one recorded edge: (unit, source unit, slope)."""
    name, xs, static = node.op.name, [x.numpy() for x in node.inputs], node.static
    x = xs[k]
    labels = np.arange(x.size).reshape(x.shape)
    if name in ENTRYWISE or (name == "matmul" and min(x.ndim for x in xs) == 0):
        rule = ENTRYWISE.get(name, ENTRYWISE["mul"])
        slope = np.broadcast_to(rule(k, node.numpy(), *xs), node.shape)
        ins = np.broadcast_to(labels, node.shape)
        return list(zip(range(node.size), ins.ravel().tolist(), slope.ravel().tolist()))
    if name == "matmul":
        return product(xs, k, node.shape)
    if name in MOVES:
        moved = {
            "reshape": lambda: labels.reshape(static["shape"]),
            "transpose": lambda: labels.transpose(static["axes"]),
            "getitem": lambda: labels[static["index"]],
            "broadcast_to": lambda: np.broadcast_to(labels, static["shape"]),
            "cast": lambda: labels,
        }[name]()
        return [(j, int(i), 1.0) for j, i in enumerate(np.ravel(moved))]
    if name in ("sum", "max"):
        return reduced(node, x, labels)
    if name in ("concatenate", "stack"):
        marked = [np.full(v.shape, -1) for v in xs]
        marked[k] = labels
        joined = getattr(np, name)(marked, axis=static["axis"])
        return [(j, int(i), 1.0) for j, i in enumerate(joined.ravel()) if i >= 0]
    assert name == "where", name
    picked = np.broadcast_to(xs[0].astype(bool) == (k == 1), node.shape).ravel()
    ins = np.broadcast_to(labels, node.shape).ravel()
    return [(j, int(ins[j]), 1.0) for j in range(node.size) if picked[j]]


def product(xs, k, shape):
    a, b = xs
    left = a[None, :] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    found = []
    for i in range(left.shape[0]):
        for p in range(left.shape[1]):
            for q in range(right.shape[1]):
                unit = i * right.shape[1] + q
                at = (i * left.shape[1] + p, p * right.shape[1] + q)
                found.append((unit, at[k], float((right[p, q], left[i, p])[k])))
    return found


def reduced(node, x, labels):
    axes = node.static["axis"]
    every = tuple(range(x.ndim)) if axes is None else tuple(np.atleast_1d(axes) % max(x.ndim, 1))
    out = np.arange(node.size).reshape([1 if a in every else n for a, n in enumerate(x.shape)])
    outs = np.broadcast_to(out, x.shape)
    weight = np.ones(x.shape)
    if node.op.name == "max":
        best = x == x.max(axis=every, keepdims=True)
        weight = best / best.sum(axis=every, keepdims=True)
    return list(zip(outs.ravel().tolist(), labels.ravel().tolist(), weight.ravel().tolist()))


def every_way(y, wrt, seed=None, without=()):
    """All paths from wrt on to y, in graph order: by number, then edge by age, then number."""
    leaving = defaultdict(list)
    for node in ancestry([y]):
        for k, source in enumerate(node.inputs):
            if node.op.name == "where" and k == 0:
                continue
            if (node, k) not in without:
                for unit, source_unit, slope in sorted(hops_of(node, k), key=lambda h: h[:2]):
                    leaving[source, source_unit].append(Hop(node, k, unit, source_unit, slope))
    start = np.ones(y.shape) if seed is None else np.asarray(seed, float)
    found = []

    def follow(node, unit, hops, slope):
        if node is y:
            if start.flat[unit]:
                found.append((hops, slope * start.flat[unit]))
            return
        for hop in leaving[node, unit]:
            if hop.node is not wrt:
                follow(hop.node, hop.unit, (*hops, hop), slope * hop.slope)

    ways = []
    for unit in range(wrt.size):
        follow(wrt, unit, (), 1.0)
        ways += [Way(unit, *way) for way in found]
        found.clear()
    return ways


def every_tensor_path(y, wrt):
    """All paths of tensors from wrt on to y, in graph order, each a tuple of (node, position)."""
    leaving = defaultdict(list)
    for node in ancestry([y]):
        for k, source in enumerate(node.inputs):
            leaving[source].append((node, k))

    def follow(node):
        if node is y:
            yield ()
            return
        for edge in leaving[node]:
            for rest in follow(edge[0]):
                yield (edge, *rest)

    return list(follow(wrt))


def summed(ways, wrt, of=lambda way: way.contribution):
    total = np.zeros(wrt.size)
    for way in ways:
        total[way.start] += of(way)
    return total.reshape(wrt.shape)


def largest_first(items, size):
    """By size; equal ones (to 1e-9, or through others that are) as they stand."""
    ranked = sorted(items, key=lambda item: -size(item))
    groups, last = [], None
    for item in ranked:
        if last is not None and size(item) >= last * (1 - 1e-9):
            groups[-1].append(item)
        else:
            groups.append([item])
        last = size(item)
    return [item for group in groups for item in sorted(group, key=items.index)]


def cells():
    """Small cells of every kind, by name: of one number and of several."""
    return {
        "rnn": mr.RNNCell(1, 1, seed=1),
        "relu": mr.RNNCell(1, 1, nonlinearity="relu", seed=3),
        "lstm": mr.LSTMCell(1, 1, seed=1),
        "peephole": mr.LSTMCell(1, 1, peephole=True, seed=1),
        "gru": mr.GRUCell(1, 1, seed=1),
        "gru before": mr.GRUCell(1, 1, reset_after=False, seed=1),
        "rnn of 3": mr.RNNCell(2, 3, seed=1),
        "lstm of 2": mr.LSTMCell(2, 2, seed=1),
        "gru of 2": mr.GRUCell(2, 2, seed=1),
    }


def run(cell, steps, seed=0, batch=None, scale=1.0):
    """Return (last h, initial states) of a cell on seeded numbers."""
    numbers = np.random.default_rng(seed)
    lead = () if batch is None else (batch,)
    one = cell.hidden_size == cell.input_size == 1 and batch is None
    sizes = ((), ()) if one else ((*lead, cell.input_size), (*lead, cell.hidden_size))
    if scale != 1:
        for parameter in cell.parameters():
            parameter.assign(parameter.numpy() * scale)
    held = tuple(mr.tensor(numbers.normal(size=sizes[1]), requires_grad=True) for _ in cell.states)
    xs = list(numbers.normal(size=(steps, *sizes[0])))
    last = mr.unroll(cell, xs, held if len(held) > 1 else held[0])[-1]
    return (last[0] if isinstance(last, tuple) else last), held
