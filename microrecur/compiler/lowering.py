"""One recorded op as views (`view_of`), or as calls of NumPy into arrays made beforehand.

With `lead` = 1 the arrays hold all steps along a first axis: one call does the work of them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from microrecur.compiler.program import static_key
from microrecur.engine import kernels

Array = np.ndarray


class Call(NamedTuple):
    """A function of NumPy and its arrays; the last one is what it writes."""

    name: str
    function: Callable[..., Any]
    arrays: tuple[Any, ...]


def fill(value: Any, out: Array) -> None:
    """Write one number everywhere."""
    out[...] = value


def says(function: Any, text: str, **needs: Any) -> Any:
    """How a reader sees a call; `needs` are names in it that NumPy has not."""
    function.text, function.needs = text, needs
    return function


says(fill, "{into} = {0}")


def copy(a: Array, out: Array) -> Call:
    """Write a over out."""
    return Call("copyto", np.copyto, (out, a))


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


def is_view(op: Any, static: dict[str, Any], shapes: Sequence[Any], dtype: Any) -> bool:
    """Whether the op takes no work wherever its operand lies."""
    name = op.name
    if name == "getitem":
        return kernels.is_basic(static["index"])
    if name == "reshape":  # axes of length 1 come and go
        wanted = np.empty(shapes[0], bool).reshape(static["shape"]).shape
        return [n for n in wanted if n != 1] == [n for n in shapes[0] if n != 1]
    return name in ("transpose", "broadcast_to") or (name == "cast" and dtype == static["dtype"])


VIEWS = {"getitem", "transpose", "broadcast_to", "reshape", "cast"}


def _as_view(index: Any) -> Any:
    """The index so that even one entry comes as a view of the array."""
    parts = index if isinstance(index, tuple) else (index,)
    return parts if any(p is ... for p in parts) else (*parts, ...)


def part_of(out: Array, index: Any) -> Array:
    """The part of an array at a basic index, to write to."""
    return out[_as_view(index)]


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


says(_maximum, "np.maximum({0}, {1}, out={out})")
says(_minimum, "np.minimum({0}, {1}, out={out})")

# Ufuncs that take out= by its name alone.
_BY_NAME: dict[Any, Any] = {np.maximum: _maximum, np.minimum: _minimum}


_flipped: dict[Any, tuple[Array, Array]] = {}


def flip(a: Array, order: tuple[int, ...]) -> Array:
    """The array with its axes in this order: the same object for the same question."""
    key = (id(a), order)
    known = _flipped.get(key)
    if known is None:
        if len(_flipped) > 100_000:
            _flipped.clear()
        known = _flipped[key] = (a, a[(None,) * (len(order) - a.ndim)].transpose(order))
    return known[1]


def forget_flips() -> None:
    """Let go of the arrays that were flipped."""
    _flipped.clear()


def as_laid_out(xs: Sequence[Array], out: Array) -> list[Array]:
    """Operands and out, their axes put in the order in which out lies in memory."""
    if out.ndim < 2 or out.flags.c_contiguous:
        return [*xs, out]
    strides = out.strides
    order = tuple(sorted(range(out.ndim), key=lambda a: -abs(strides[a])))
    if order == tuple(range(out.ndim)):
        return [*xs, out]
    return [x if x.ndim == 0 else flip(x, order) for x in (*xs, out)]


def matmul(a: Array, b: Array, out: Array) -> Call:
    """Matrix product a @ b, whichever way the arrays lie."""
    if a.ndim == 0 or b.ndim == 0:
        return elementwise(np.multiply, (a, b), out)
    if a.ndim <= 2 and b.ndim <= 2:
        if out.flags.c_contiguous:
            return Call("dot", np.dot, (a, b, out))
        if out.ndim == 2 and out.flags.f_contiguous:
            turned = tuple(m if m.ndim == 1 else flip(m, (1, 0)) for m in (b, a, out))
            return Call("dot", np.dot, turned)
        return Call("matmul", np.matmul, (a, b, out))
    if out.ndim >= 2 and a.ndim >= 2 and b.ndim >= 2:
        if b.ndim == 2 and out.flags.c_contiguous and a.flags.c_contiguous and a.ndim == 3:
            rows = a.shape[0] * a.shape[1]
            return Call("dot", np.dot, (a.reshape(rows, -1), b, out.reshape(rows, -1)))
        if abs(out.strides[-2]) < abs(out.strides[-1]):
            turned = tuple(m.swapaxes(-1, -2) for m in (b, a, out))
            return Call("matmul", np.matmul, turned)
    return Call("matmul", np.matmul, (a, b, out))


def _generic(op: Any, static: dict[str, Any], xs: Sequence[Array], out: Array) -> Call:
    return Call(op.name, _into(op, static), (*xs, out))


_made: dict[Any, Callable[..., Any]] = {}


def _into(op: Any, static: dict[str, Any]) -> Callable[..., Any]:
    """The op as a function that writes into its last array: one function per op and arguments."""
    key = (op, static_key(static))
    found = _made.get(key)
    if found is None:
        forward = op.forward

        def found(*arrays: Array) -> None:
            np.copyto(arrays[-1], forward(*arrays[:-1], **static), casting="no")

        _made[key] = found
    return found


def _sigmoid_into(x: Array, out: Array) -> None:
    np.copyto(out, kernels.sigmoid(x))


def _sech2_into(x: Array, out: Array) -> None:
    np.copyto(out, kernels.sech2(x))


says(_sigmoid_into, "{into} = sigmoid({0})", sigmoid=kernels.sigmoid)
says(_sech2_into, "{into} = sech2({0})", sech2=kernels.sech2)


def _sigmoid(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call]:
    return [Call("sigmoid", _sigmoid_into, tuple(as_laid_out(xs, out)))]


def _sech2(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call]:
    return [Call("sech2", _sech2_into, tuple(as_laid_out(xs, out)))]


def sum_of_steps(x: Array, out: Array) -> None:
    """The sum along the first axis."""
    np.add.reduce(x, axis=0, out=out)


def sum_of_columns(x: Array, out: Array) -> None:
    """The sum along the last axis."""
    np.add.reduce(x, axis=-1, out=out)


says(sum_of_steps, "np.sum({0}, axis=0, out={out})")
says(sum_of_columns, "np.sum({0}, axis=-1, out={out})")


@lru_cache(maxsize=256)
def _number(value: float, dtype: np.dtype[Any]) -> Array:
    """One number as an array, the same one for all who ask: it is only read."""
    return np.array(value, dtype)


def _relu(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call] | None:
    if xs[0].dtype != out.dtype:
        return None
    return [elementwise(np.maximum, (xs[0], _number(0.0, out.dtype)), out)]


def _pow(static: dict[str, Any], xs: Sequence[Array], out: Array, lead: int) -> list[Call] | None:
    if xs[0].dtype.kind != "f" or xs[0].dtype != out.dtype:
        return None
    if static["p"] == 2:
        return [elementwise(np.square, xs, out)]
    return [elementwise(np.power, (xs[0], _number(static["p"], out.dtype)), out)]


def _axes(static: dict[str, Any], x: Array, lead: int) -> Any:
    axis = static["axis"]
    ndim = x.ndim - lead
    if axis is None:
        return tuple(range(lead, x.ndim))
    axes = (axis,) if isinstance(axis, int) else axis
    return tuple(a % ndim + lead for a in axes)


@lru_cache(maxsize=1024)
def _reducer(ufunc: np.ufunc, axes: tuple[int, ...], keepdims: bool) -> Callable[..., Any]:
    def reduce(x: Array, out: Array) -> None:
        ufunc.reduce(x, axis=axes, out=out, keepdims=keepdims)

    name = "sum" if ufunc is np.add else "max"
    kept = ", keepdims=True" if keepdims else ""
    return says(reduce, f"np.{name}({{0}}, axis={axes}{kept}, out={{out}})")


def _reduce(ufunc: np.ufunc, name: str) -> Any:
    def lower(
        static: dict[str, Any], xs: Sequence[Array], out: Array, lead: int
    ) -> list[Call] | None:
        x = xs[0]
        if x.dtype != out.dtype or x.dtype.kind != "f":
            return None
        reduce = _reducer(ufunc, _axes(static, x, lead), static["keepdims"])
        return [Call(name, reduce, (x, out))]

    return lower


def _matmul(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call]:
    return [matmul(xs[0], xs[1], out)]


def matmul_over_steps(
    a: Array, b: Array, out: Array, ndims: tuple[int, int], moves: tuple[bool, bool]
) -> Call:
    """a_t @ b_t for all steps: `ndims` of one step's operands, and which of them have a step axis.

    Vectors become matrices of one row or column.
    """
    if 0 in ndims:
        n = out.ndim - 1
        xs = [padded(x, n) if m else x for x, m in zip((a, b), moves, strict=True)]
        return elementwise(np.multiply, xs, out)
    if ndims[0] == 1 and ndims[1] == 2 and not moves[1]:
        return matmul(a, b, out)
    if ndims[0] == 1:
        a = a[..., np.newaxis, :]
        out = out[..., np.newaxis, :] if ndims[1] > 1 else out[..., np.newaxis]
    if ndims[1] == 1:
        b, out = b[..., np.newaxis], out[..., np.newaxis]
    return matmul(a, b, out)


def padded(x: Array, ndim: int) -> Array:
    """A stack of values with axes of length 1 put in, so that each has so many axes."""
    return x.reshape(x.shape[0], *(1,) * (ndim - (x.ndim - 1)), *x.shape[1:])


def _where_into(mask: Array, a: Array, b: Array, out: Array) -> None:
    np.copyto(out, np.where(mask, a, b))


def _cast_into(x: Array, out: Array) -> None:
    np.copyto(out, x, casting="unsafe")


says(_where_into, "{into} = np.where({0}, {1}, {2})")
says(_cast_into, "{into} = {0}")


def _where(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call]:
    return [Call("where", _where_into, tuple(as_laid_out(xs, out)))]


def _cast(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call]:
    return [Call("cast", _cast_into, tuple(as_laid_out(xs, out)))]


@lru_cache(maxsize=1024)
def _joiner(function: Callable[..., Any], axis: int, name: str) -> Callable[..., Any]:
    def join(*arrays: Array) -> None:
        function(arrays[:-1], axis, arrays[-1])

    return says(join, f"np.{name}([{{xs}}], axis={axis}, out={{out}})")


def _joined(function: Callable[..., Any], name: str) -> Any:
    def lower(static: dict[str, Any], xs: Sequence[Array], out: Array, lead: int) -> Any:
        if lead:
            return None
        return [Call(name, _joiner(function, static["axis"], name), (*xs, out))]

    return lower


def _scatter(static: dict[str, Any], xs: Sequence[Array], out: Array, lead: int) -> Any:
    if lead or not kernels.is_basic(static["index"]):
        return None
    part = out[_as_view(static["index"])]
    start = [] if part.size == out.size else [Call("fill", fill, (np.zeros((), out.dtype), out))]
    return [*start, copy(xs[0], part)]


def _reshape_into(out: Array, x: Array) -> None:
    np.copyto(out, x.reshape(out.shape))


says(_reshape_into, "{0}[...] = {out}.reshape({0}.shape)")


def _reshape(static: Any, xs: Sequence[Array], out: Array, lead: int) -> list[Call] | None:
    return None if lead else [Call("copyto", _reshape_into, (out, xs[0]))]


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

_STACKS = {"sigmoid", "sech2", "matmul", "where", "cast", "sum", "max"}
