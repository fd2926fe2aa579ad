"""Which node is the first whose number, or whose derivative, is not finite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from microrecur.engine.tensor import Tensor, ancestry
from microrecur.graphs.graph import identify

if TYPE_CHECKING:
    from microrecur.flows.flow import Flow


def first_nonfinite(tensors: list[Tensor]) -> Tensor | None:
    """Return the first of the tensors that holds nan or an infinity; None when all are finite."""
    for tensor in tensors:
        if not np.isfinite(tensor._data).all():
            return tensor
    return None


def refuse_overflow(nodes: Iterable[Tensor], y: Tensor) -> None:
    """Raise when a number on the way back from y is no number any more.

    An infinity that was given as such is let pass, as in a mask: where(mask, x, −∞).

    Parameters
    ----------
    nodes : iterable of Tensor
        Through which the gradient passes.
    y : Tensor
        Of whose ancestry they are.

    Raises
    ------
    FloatingPointError
        Naming the first recorded number, by age, that led to the first one that is spoiled.
    """
    for node in nodes:
        if _spoiled(node):
            first = first_nonfinite(list(ancestry([node])))
            assert first is not None  # the node itself, if none before it
            _refuse(y, first)


def _spoiled(node: Tensor) -> bool:
    """Whether it holds nan, or an infinity that came of finite numbers."""
    if np.isfinite(node._data).all():
        return False
    return bool(np.isnan(node._data).any()) or first_nonfinite(list(node.inputs)) is None


def refuse_nonfinite(flow: Flow) -> NoReturn:
    """Raise, naming the first node that is not finite.

    Raises
    ------
    FloatingPointError
        Always: the first recorded number that is not finite, else the first derivative.
    """
    found = first_nonfinite([node.tensor for node in flow.graph.nodes])
    if found is not None:
        _refuse(flow.y, found)
    _refuse_derivative(flow)


def _refuse(y: Tensor, found: Tensor) -> NoReturn:
    first = found._data[~np.isfinite(found._data)][0]
    made = f"made by {found.op.name}" if found.op is not None else "given"
    raise FloatingPointError(
        f"{identify(ancestry([y]))[found]} ({made}) is the first node that is not finite: it holds "
        f"{first:g}, so no sum over paths means anything; look at what went into it"
    )


def _refuse_derivative(flow: Flow) -> NoReturn:
    lines = flow.linearised
    for node in reversed(lines.nodes):
        for _, k in lines.edges(node):
            with np.errstate(all="ignore"):
                slope = lines.pull(node, k, np.ones(node.shape))
            if not np.isfinite(slope).all():
                source = flow.graph.id_of(node.inputs[k])
                raise FloatingPointError(
                    f"the derivative of {flow.graph.id_of(node)} by {source} is not finite, though "
                    "all recorded numbers are: it is the first on the way back from y"
                )
    raise FloatingPointError("a derivative on the way is not finite")
