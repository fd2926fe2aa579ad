"""One recorded op as calls of NumPy that write into arrays made beforehand.

An op becomes views (`view_of`: no call at all) or calls (`calls_of`). With `lead` = 1 the arrays
hold all steps along a first axis and one call does the work of them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from microrecur.engine import kernels

Array = np.ndarray


class Call(NamedTuple):
    """A function of NumPy and its arrays; the last one is what it writes."""

    name: str
    function: Callable[..., Any]
    arrays: tuple[Any, ...]


def _fill(value: Any, out: Array) -> None:
    out[...] = value


def copy(a: Array, out: Array) -> Call:
    """Write a over out."""
    return Call("copyto", np.copyto, (out, a))


# -- views -----------------------------------------------------------------------------------------


def view_of(op: Any, static: dict[str, Any], xs: Sequence[Array]) -> Array | None:
    """The op's result as a view of its operand; None where it takes work."""
    name = op.name
    if name == "getitem":
        index = static["index"]
        return xs[0][_as_view(index)] if kernels.is_basic(index) else None
    if name == "transpose":
        return xs[0].transpose(static["axes"])
    if name == "broadcast_to":
        return np.broadcast_to(xs[0], static["shape"])
    if name == "reshape":
        view = xs[0].view()
        try:
            view.shape = np.empty(xs[0].shape, bool).reshape(static["shape"]).shape
        except (AttributeError, ValueError):
            return None
        return view
    if name == "cast" and xs[0].dtype == static["dtype"]:
        return xs[0]
    return None


VIEWS = {"getitem", "transpose", "broadcast_to", "reshape", "cast"}


def _as_view(index: Any) -> Any:
    """The index so that even one entry comes as a view of the array."""
    parts = index if isinstance(index, tuple) else (index,)
    return parts if any(p is ... for p in parts) else (*parts, ...)


# -- calls -----------------------------------------------------------------------------------------


def calls_of(
    op: Any, static: dict[str, Any], xs: Sequence[Array], out: Array, lead: int = 0
) -> list[Call]:
    """The calls that write the op's result for these arrays into out."""
    lower = _LOWER.get(op.name)
    if isinstance(op.forward, np.ufunc):
        return [elementwise(op.forward, xs, out)]
    if lower is not None:
        found = lower(static, xs, out, lead)
        if found is not None:
            return found
    if lead:
        raise NotImplementedError(op.name)
    return [_generic(op, static, xs, out)]


def can_stack(op: Any, static: dict[str, Any]) -> bool:
    """Whether `calls_of` does the op for all steps at once."""
    return isinstance(op.forward, np.ufunc) or op.name in _STACKS


def elementwise(function: np.ufunc, xs: Sequence[Array], out: Array) -> Call:
    """One ufunc call, its axes in the order in which out lies in memory."""
    by_name = _BY_NAME.get(function, function)
    return Call(function.__name__, by_name, tuple(as_laid_out(xs, out)))


def _maximum(a: Array, b: Array, out: Array) -> None:
    np.maximum(a, b, out=out)


def _minimum(a: Array, b: Array, out: Array) -> None:
    np.minimum(a, b, out=out)


# Ufuncs that take out= by its name alone.
_BY_NAME: dict[Any, Any] = {np.maximum: _maximum, np.minimum: _minimum}


def as_laid_out(xs: Sequence[Array], out: Array) -> list[Array]:
    """Operands and out, their axes put in the order in which out lies in memory."""
    if out.ndim < 2 or out.flags.c_contiguous:
        return [*xs, out]
    strides = out.strides
    order = sorted(range(out.ndim), key=lambda a: -abs(strides[a]))
    if order == list(range(out.ndim)):
        return [*xs, out]
    return [
        x if x.ndim == 0 else x[(None,) * (out.ndim - x.ndim)].transpose(order) for x in (*xs, out)
    ]


def matmul(a: Array, b: Array, out: Array) -> Call:
    """Matrix product a @ b, whichever way the arrays lie."""
    if a.ndim == 0 or b.ndim == 0:
        return elementwise(np.multiply, (a, b), out)
    if a.ndim <= 2 and b.ndim <= 2:
        if out.flags.c_contiguous:
            return Call("dot", np.dot, (a, b, out))
        if out.ndim == 2 and out.flags.f_contiguous:
            return Call("dot", np.dot, (b.T, a.T, out.T))
        return Call("matmul", np.matmul, (a, b, out))
    if out.ndim >= 2 and a.ndim >= 2 and b.ndim >= 2:
        if b.ndim == 2 and out.flags.c_contiguous and a.flags.c_contiguous and a.ndim == 3:
            rows = a.shape[0] * a.shape[1]
            return Call("dot", np.dot, (a.reshape(rows, -1), b, out.reshape(rows, -1)))
        if abs(out.strides[-2]) < abs(out.strides[-1]):
            flipped = tuple(m.swapaxes(-1, -2) for m in (b, a, out))
            return Call("matmul", np.matmul, flipped)
    return Call("matmul", np.matmul, (a, b, out))


def _generic(op: Any, static: dict[str, Any], xs: Sequence[Array], out: Array) -> Call:
    forward = op.forward

    def into(*arrays: Array) -> None:
        np.copyto(arrays[-1], forward(*arrays[:-1], **static), casting="no")

    return Call(op.name, into, (*xs, out))


def _sigmoid(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call]:
    def sigmoid(x: Array, out: Array) -> None:
        np.copyto(out, kernels.sigmoid(x))

    return [Call("sigmoid", sigmoid, tuple(as_laid_out(xs, out)))]


def _sech2(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call]:
    def sech2(x: Array, out: Array) -> None:
        np.copyto(out, kernels.sech2(x))

    return [Call("sech2", sech2, tuple(as_laid_out(xs, out)))]


def _relu(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call] | None:
    if xs[0].dtype != out.dtype:
        return None
    return [elementwise(np.maximum, (xs[0], np.zeros((), out.dtype)), out)]


def _pow(static: dict[str, Any], xs: Sequence[Array], out: Array, lead: int) -> list[Call] | None:
    if xs[0].dtype.kind != "f" or xs[0].dtype != out.dtype:
        return None
    if static["p"] == 2:
        return [elementwise(np.square, xs, out)]
    return [elementwise(np.power, (xs[0], np.array(static["p"], out.dtype)), out)]


def _axes(static: dict[str, Any], x: Array, lead: int) -> Any:
    axis = static["axis"]
    ndim = x.ndim - lead
    if axis is None:
        return tuple(range(lead, x.ndim))
    axes = (axis,) if isinstance(axis, int) else axis
    return tuple(a % ndim + lead for a in axes)


def _reduce(ufunc: np.ufunc, name: str) -> Any:
    def lower(
        static: dict[str, Any], xs: Sequence[Array], out: Array, lead: int
    ) -> list[Call] | None:
        x = xs[0]
        if x.dtype != out.dtype or x.dtype.kind != "f":
            return None
        axes, keepdims = _axes(static, x, lead), static["keepdims"]

        def reduce(x: Array, out: Array) -> None:
            ufunc.reduce(x, axis=axes, out=out, keepdims=keepdims)

        return [Call(name, reduce, (x, out))]

    return lower


def _matmul(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call]:
    return [matmul(xs[0], xs[1], out)]


def _where(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call]:
    def where(mask: Array, a: Array, b: Array, out: Array) -> None:
        np.copyto(out, np.where(mask, a, b))

    return [Call("where", where, tuple(as_laid_out(xs, out)))]


def _cast(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call]:
    def cast(x: Array, out: Array) -> None:
        np.copyto(out, x, casting="unsafe")

    return [Call("cast", cast, tuple(as_laid_out(xs, out)))]


def _joined(function: Callable[..., Any], name: str) -> Any:
    def lower(static: dict[str, Any], xs: Sequence[Array], out: Array, lead: int) -> Any:
        axis = static["axis"]

        def join(*arrays: Array) -> None:
            function(arrays[:-1], axis, arrays[-1])

        return None if lead else [Call(name, join, (*xs, out))]

    return lower


def _scatter(static: dict[str, Any], xs: Sequence[Array], out: Array, lead: int) -> Any:
    if lead or not kernels.is_basic(static["index"]):
        return None
    part = out[_as_view(static["index"])]
    start = [] if part.size == out.size else [Call("fill", _fill, (np.zeros((), out.dtype), out))]
    return [*start, copy(xs[0], part)]


_LOWER: dict[str, Any] = {
    "sigmoid": _sigmoid,
    "sech2": _sech2,
    "relu": _relu,
    "pow": _pow,
    "sum": _reduce(np.add, "sum"),
    "max": _reduce(np.maximum, "max"),
    "matmul": _matmul,
    "where": _where,
    "cast": _cast,
    "concatenate": _joined(lambda xs, axis, out: np.concatenate(xs, axis, out), "concatenate"),
    "stack": _joined(lambda xs, axis, out: np.stack(xs, axis, out), "stack"),
    "scatter": _scatter,
    "reshape": lambda static, xs, out, lead: (
        None if lead else [Call("copyto", _reshape_into, (out, xs[0]))]
    ),
}


def _reshape_into(out: Array, x: Array) -> None:
    np.copyto(out, x.reshape(out.shape))


_STACKS = {"sigmoid", "sech2", "matmul", "where", "cast"}
