"""A-priori intervals: what a tensor can be, whatever this run's activations, from the cards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from microrecur.engine.intervals import EVERYTHING, Interval
from microrecur.engine.tensor import Tensor


def is_number_of_the_formula(leaf: Tensor) -> bool:
    """Whether a leaf is a number written in a formula, such as the 1 of 1 − z."""
    return leaf.is_leaf and leaf.name is None and leaf.size == 1 and not leaf.requires_grad


def measured(leaf: Tensor) -> Interval:
    """The least interval that holds a leaf's own numbers; everything when they are not finite."""
    data = leaf._data
    if not data.size or not np.isfinite(data).all():
        return EVERYTHING
    return Interval(float(data.min()), float(data.max()))


def intervals(nodes: Sequence[Tensor], known: Iterable[Tensor] = ()) -> dict[Tensor, Interval]:
    """Propagate intervals through recorded ops.

    Parameters
    ----------
    nodes : sequence of Tensor
        An ancestry, oldest first.
    known : iterable of Tensor
        Leaves whose numbers may be used (an initial state). Numbers written in formulas always are;
        parameters and inputs are unknown otherwise.

    Returns
    -------
    dict
        An interval that holds every entry of each node.
    """
    given = set(known)
    found: dict[Tensor, Interval] = {}
    for node in nodes:
        if node.op is None:
            seen = node in given or is_number_of_the_formula(node)
            found[node] = measured(node) if seen else EVERYTHING
        else:
            found[node] = _convex_mix(node, found) or _by_card(node, found)
    return found


def _by_card(node: Tensor, found: dict[Tensor, Interval]) -> Interval:
    card = node.op
    if card is None or card.range is None:
        return EVERYTHING
    result: Interval = card.range(*[found[x] for x in node.inputs], **node.static)
    return EVERYTHING if math.isnan(result.lo) or math.isnan(result.hi) else result


def _convex_mix(node: Tensor, found: dict[Tensor, Interval]) -> Interval | None:
    """The hull of a and b when the node is (1−p)⊙a + p⊙b with p in [0, 1]; None when it is not.

    Interval arithmetic alone forgets that both weights come from one p, and would let a GRU's |h|
    grow by one a step.
    """
    if node.op is None or node.op.name != "add":
        return None
    if any(x.op is None or x.op.name != "mul" for x in node.inputs):
        return None
    first, second = node.inputs
    for j in (0, 1):
        for k in (0, 1):
            p, q = first.inputs[j], second.inputs[k]
            if _is_rest(p, q, found) or _is_rest(q, p, found):
                a, b = found[first.inputs[1 - j]], found[second.inputs[1 - k]]
                return Interval(min(a.lo, b.lo), max(a.hi, b.hi))
    return None


def _is_rest(rest: Tensor, p: Tensor, found: dict[Tensor, Interval]) -> bool:
    """Whether `rest` is recorded as 1 − p, with p in [0, 1]."""
    if rest.op is None or rest.op.name != "sub" or rest.inputs[1] is not p:
        return False
    return found[rest.inputs[0]] == (1.0, 1.0) and within_unit(found[p])


def within_unit(interval: Interval) -> bool:
    """Whether the interval lies in [0, 1]."""
    return interval.lo >= 0 and interval.hi <= 1


def largest(interval: Interval) -> float | None:
    """The largest |entry| an interval allows; None when there is none."""
    top = max(abs(interval.lo), abs(interval.hi))
    return top if math.isfinite(top) else None
