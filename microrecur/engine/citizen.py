"""Tensor as a Python and NumPy citizen: the operators, methods and NumPy functions that record.

What a card declares in `methods` and `numpy` is attached here, once, when the engine is imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from microrecur.engine import ops
from microrecur.engine.primitive import operator
from microrecur.engine.tensor import Tensor

# Functions that are no card: their friendlier signature is a method and answers for NumPy's.
_METHODS = (
    "sum mean max logsumexp softmax log_softmax clip reshape transpose swapaxes broadcast_to "
    "split take"
).split()

_NUMPY: dict[Any, Any] = {
    np.power: ops.pow,
    np.sum: ops.sum,
    np.mean: ops.mean,
    np.max: ops.max,
    np.amax: ops.max,
    np.square: lambda x: ops.pow(x, 2),
    np.clip: ops.clip,
    np.reshape: ops.reshape,
    np.transpose: ops.transpose,
    np.swapaxes: ops.swapaxes,
    np.broadcast_to: ops.broadcast_to,
    np.concatenate: ops.concatenate,
    np.stack: ops.stack,
    np.split: ops.split,
    np.take: ops.take,
}


def _numpy_dot(a: Any, b: Any) -> Any:
    if np.ndim(b) > 2:
        raise TypeError(
            "np.dot of more than two axes is not recorded; write a @ b, or mr.matmul(a, b)"
        )
    return ops.dot(a, b)


_NUMPY[np.dot] = _numpy_dot

# What asks only about the shape answers without recording.
_ABOUT = {np.shape: "shape", np.ndim: "ndim", np.size: "size"}


def _called_with(function: Any) -> Any:
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)


def _operator(function: Any) -> Any:
    return lambda self, other: function(self, other)


def _reflected(function: Any) -> Any:
    return lambda self, other: function(other, self)


def _ufunc(self: Tensor, ufunc: Any, method: str, *operands: Any, **kwargs: Any) -> Any:
    if ufunc in (np.equal, np.not_equal):
        raise TypeError(
            "== between an array and a tensor has no meaning here (tensors compare by identity); "
            "compare numbers with np.array_equal(array, tensor.data), or record mr.equal(a, b)"
        )
    answer = _NUMPY.get(ufunc)
    if answer is None or method != "__call__" or kwargs:
        extra = f".{method}" if method != "__call__" else ""
        extra += f" with {', '.join(kwargs)}" if kwargs else ""
        raise TypeError(_not_recorded(f"np.{ufunc.__name__}{extra}"))
    return answer(*operands)


def _function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    if function in _ABOUT:
        return getattr(args[0], _ABOUT[function])
    answer = _NUMPY.get(function)
    if answer is None:
        raise TypeError(_not_recorded(f"np.{function.__name__}"))
    return answer(*args, **kwargs)


def _not_recorded(asked: str) -> str:
    return (
        f"{asked} is not recorded on tensors; use one of microrecur's own ops, or x.numpy() to "
        "compute on a copy without recording"
    )


def _attach() -> None:
    for card in ops.TABLE.values():
        _NUMPY.update(dict.fromkeys(card.numpy, card))
        for name in card.methods:
            setattr(Tensor, name, _bound(name, card))
    for name in _METHODS:
        setattr(Tensor, name, _called_with(getattr(ops, name)))
    special = {
        "__pow__": _operator(ops.pow),
        "__rpow__": _reflected(ops.power),
        "__getitem__": _operator(ops.getitem),
        "__array_ufunc__": _ufunc,
        "__array_function__": _function,
    }
    for name, method in special.items():
        setattr(Tensor, name, method)


def _bound(name: str, card: Any) -> Any:
    """The method of this name; reflected operators take their operands the other way round."""
    if len(card.domain) == 1:
        return _called_with(card)
    return _reflected(card) if name.startswith("__r") else operator(card)


_attach()
