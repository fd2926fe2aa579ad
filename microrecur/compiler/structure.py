"""Arguments and results as nested tuples, lists and dicts: taken apart, described, put together."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from microrecur.engine.tensor import Tensor
from microrecur.engine.tracing import CompileError
from microrecur.nn.module import Module

_NATIVE = {np.dtype(kind) for kind in "?bhilqBHILQfd"}


class Given:
    """The numbers among the arguments of one call, in order, and which of them are tensors'."""

    __slots__ = ("arrays", "tensors")

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.tensors: list[tuple[int, Tensor]] = []


def signature_of(value: Any, given: Given, place: str) -> Hashable:
    """Describe a value by what a recording depends on, and note what it holds in `given`.

    Arrays and tensors count by shape and dtype, modules by identity, everything else by value.

    Raises
    ------
    CompileError
        For what can neither vary nor be compared; `place` says which argument it is.
    """
    kind = type(value)
    if kind is np.ndarray:
        array = value if value.dtype in _NATIVE else as_native(value, place)
        given.arrays.append(array)
        return array.shape, array.dtype
    if kind is Tensor:
        given.tensors.append((len(given.arrays), value))
        given.arrays.append(value._data)
        return Tensor, value._data.shape, value._data.dtype, value.requires_grad
    if kind in (int, bool, str, bytes) or value is None:
        return kind, value
    if kind is float:
        return kind, value.hex()  # −0.0 is not 0.0, and nan is nan
    if kind in (tuple, list):
        return kind, tuple([signature_of(v, given, f"{place}[{k}]") for k, v in enumerate(value)])
    if kind is dict:
        parts = [(k, signature_of(v, given, f"{place}[{k!r}]")) for k, v in value.items()]
        return kind, tuple(parts)
    return _signature_of_others(value, given, place)


def _signature_of_others(value: Any, given: Given, place: str) -> Hashable:
    kind = type(value)
    if isinstance(value, (np.ndarray, np.generic)):
        given.arrays.append(as_native(value, place))
        return given.arrays[-1].shape, given.arrays[-1].dtype
    if isinstance(value, Module):
        return kind, id(value)  # the recording keeps it alive
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind, tuple([signature_of(v, given, f"{place}[{k}]") for k, v in enumerate(value)])
    if isinstance(value, slice):
        return kind, value.start, value.stop, value.step
    if hasattr(value, "__array__"):
        raise CompileError(
            f"{place} is a {kind.__module__}.{kind.__qualname__}: give np.asarray of it, so that "
            "its numbers are read at every call"
        )
    if hasattr(value, "__next__"):
        raise CompileError(
            f"{place} is a {kind.__name__}, which is used up when the function is recorded: give a "
            "list or an array"
        )
    if isinstance(value, (np.random.Generator, np.random.RandomState)):
        raise CompileError(
            f"{place} is a random generator: its draws would be made once, while the function is "
            "recorded; draw outside and give the numbers as an array"
        )
    try:
        hash(value)
    except TypeError:
        raise CompileError(
            f"{place} is a {kind.__name__}, which can be neither varied nor compared: give arrays, "
            "tensors, modules, hashable values, or tuples, lists and dicts of them"
        ) from None
    return kind, value


def as_native(value: Any, place: str) -> np.ndarray:
    """Return an array as tensors keep it: plain, of this machine's byte order, not float16.

    Raises
    ------
    CompileError
        For masked arrays and matrices, whose arithmetic is another, and for what is no number.
    """
    if isinstance(value, np.ndarray) and type(value) not in (np.ndarray, np.memmap):
        raise CompileError(f"{place} is a {type(value).__name__}: give a plain array")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise CompileError(f"{place} holds {array.dtype}, which are no real numbers")
    if array.dtype == np.float16 or array.dtype.itemsize > 8:
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def replaced(value: Any, leaf: Callable[[Any, str], Any], place: str) -> Any:
    """Return the value with every array and tensor in it replaced by leaf(it, its place)."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        return leaf(value, place)
    if type(value) in (tuple, list):
        return type(value)(replaced(v, leaf, f"{place}[{k}]") for k, v in enumerate(value))
    if type(value) is dict:
        return {k: replaced(v, leaf, f"{place}[{k!r}]") for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(replaced(v, leaf, f"{place}[{k}]") for k, v in enumerate(value)))
    return value


def objects_in(value: Any) -> list[Any]:
    """The modules and other objects among arguments: neither numbers nor containers."""
    if isinstance(value, (tuple, list, dict)):
        parts = value.values() if isinstance(value, dict) else value
        return [found for part in parts for found in objects_in(part)]
    plain = isinstance(value, (Tensor, np.ndarray, np.generic, int, float, str, bytes, type(None)))
    return [] if plain else [value]


def skeleton(value: Any) -> Any:
    """Which containers there are and what they hold, by identity: whether they were written to."""
    if isinstance(value, dict):
        return id(value), tuple((k, skeleton(v)) for k, v in value.items())
    if isinstance(value, (tuple, list)):
        return id(value), tuple(skeleton(v) for v in value)
    return id(value)
