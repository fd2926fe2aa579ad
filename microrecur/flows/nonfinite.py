"""Which node is the first whose number, or whose derivative, is not finite."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np

from microrecur.engine.tensor import Tensor

if TYPE_CHECKING:
    from microrecur.flows.flow import Flow


def first_nonfinite(tensors: list[Tensor]) -> Tensor | None:
    """Return the first of the tensors that holds nan or an infinity; None when all are finite."""
    for tensor in tensors:
        if not np.isfinite(tensor._data).all():
            return tensor
    return None


def refuse_nonfinite(flow: Flow) -> NoReturn:
    """Raise, naming the first node that is not finite.

    Raises
    ------
    FloatingPointError
        Always: the first recorded number that is not finite, else the first derivative.
    """
    if not np.isfinite(flow.seed).all():
        raise FloatingPointError("the seed is not finite")
    found = first_nonfinite([node.tensor for node in flow.graph.nodes])
    if found is not None:
        first = found._data[~np.isfinite(found._data)][0]
        made = f"made by {found.op.name}" if found.op is not None else "given"
        raise FloatingPointError(
            f"{flow.graph.id_of(found)} ({made}) is the first node that is not finite: it holds "
            f"{first:g}, so no sum over paths means anything; look at what went into it"
        )
    _refuse_derivative(flow)


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
