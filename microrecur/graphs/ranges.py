"""A-priori intervals: what a tensor can be, whatever this run's activations, from the cards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from microrecur.engine.intervals import EVERYTHING, Interval, times
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
    fixed: set[Tensor] = set()  # what the known leaves determine by themselves, as x W + b
    found: dict[Tensor, Interval] = {}
    for node in nodes:
        if node.op is None:
            seen = node in given or is_number_of_the_formula(node)
        else:
            seen = node.op.kind in AFFINE and fixed.issuperset(node.inputs)
        if seen:
            fixed.add(node)
            found[node] = measured(node)
        elif node.op is None:
            found[node] = EVERYTHING
        elif node.op.name == "matmul":
            found[node] = _product(node, found, fixed)
        elif node.op.name == "sum":
            found[node] = _sum(node, found)
        else:
            found[node] = _convex_mix(node, found) or _by_card(node, found)
    return found


AFFINE = ("pass", "weight", "product")


def _product(node: Tensor, found: dict[Tensor, Interval], fixed: set[Tensor]) -> Interval:
    """The range of x W where the numbers of one of the two are known; everything when of none."""
    known = next((k for k in (1, 0) if node.inputs[k] in fixed), None)
    if known is None:
        return EVERYTHING
    weight, other = node.inputs[known]._data, found[node.inputs[1 - known]]
    if not np.isfinite(weight).all():
        return EVERYTHING
    with np.errstate(invalid="ignore"):  # 0·∞, which is 0: a weight of 0 passes nothing
        ends = [np.where(weight == 0, 0.0, weight * end) for end in other]
    low, high = np.minimum(*ends), np.maximum(*ends)
    if weight.ndim:  # entries of one result are summed over the axis that the product contracts
        axis = -1 if known == 0 or weight.ndim == 1 else -2
        low, high = low.sum(axis), high.sum(axis)
    return Interval(float(low.min()), float(high.max()))


def _sum(node: Tensor, found: dict[Tensor, Interval]) -> Interval:
    """The range of a sum: that of its terms times their number."""
    terms, one = node.inputs[0].size // max(node.size, 1), found[node.inputs[0]]
    return Interval(times(terms, one.lo), times(terms, one.hi))


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
