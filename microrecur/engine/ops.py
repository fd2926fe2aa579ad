"""THE table of ops: each declared once, on a card; the only place to add one.

A derivative is written in the ops of this very table, so the same line gives numbers on arrays and
a graph on tensors.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from microrecur.engine import kernels
from microrecur.engine.intervals import (
    Interval,
    between,
    corners,
    even,
    flip,
    hull,
    increasing,
    power_of,
    quotient,
    same,
    times,
)
from microrecur.engine.primitive import Elementwise, Linear, Primitive, Selection
from microrecur.engine.tensor import Tensor
from microrecur.engine.tracing import look_at, tracing

INF = math.inf
TABLE: dict[str, Primitive] = {}
AT_REST = (None,) * 64  # operands through which no derivative passes, as many as NumPy has axes


def _card(card: Any) -> Any:
    TABLE[card.name] = card
    return card


# -- the elementwise cards -------------------------------------------------------------------------
# fmt: off
add = _card(Elementwise(
    name="add", symbol="+", latex="#1 + #2", kind="pass",
    forward=np.add, number=operator.add, numpy=(np.add,), methods=("__add__", "__radd__"),
    partials=(1, 1),
    domain=((-INF, INF),) * 2, slope=(1, 1), range=lambda a, b: Interval(a.lo + b.lo, a.hi + b.hi),
))
sub = _card(Elementwise(
    name="sub", symbol="−", latex="#1 - #2", kind="pass",
    forward=np.subtract, number=operator.sub, numpy=(np.subtract,), methods=("__sub__", "__rsub__"),
    partials=(1, -1),
    domain=((-INF, INF),) * 2, slope=(1, 1), range=lambda a, b: Interval(a.lo - b.hi, a.hi - b.lo),
))
mul = _card(Elementwise(
    name="mul", symbol="⊙", latex=r"#1 \odot #2", kind="product",
    forward=np.multiply, number=operator.mul, numpy=(np.multiply,), methods=("__mul__", "__rmul__"),
    partials=(lambda y, a, b: b, lambda y, a, b: a),
    domain=((-INF, INF),) * 2, slope=(None, None), range=corners(times),
))
div = _card(Elementwise(
    name="div", symbol="÷", latex=r"\frac{#1}{#2}", kind="other",
    forward=np.true_divide, number=operator.truediv,
    numpy=(np.true_divide,), methods=("__truediv__", "__rtruediv__"),
    partials=(lambda y, a, b: 1 / b, lambda y, a, b: -y / b),
    domain=((-INF, INF), (0.5, INF)), slope=(None, None), range=quotient,
))
neg = _card(Elementwise(
    name="neg", symbol="−", latex="-#1", kind="pass",
    forward=np.negative, number=operator.neg, numpy=(np.negative,), methods=("__neg__",),
    partials=(-1,),
    slope=(1,), range=flip,
))
power = _card(Elementwise(
    name="power", symbol="pow", latex="#1^{#2}", kind="other",
    forward=np.power,
    partials=(lambda y, a, b: _power_base(a, b), lambda y, a, b: _power_exponent(y, a, b)),
    domain=((0.0, INF), (-INF, INF)), slope=(None, None),
))
pow_number = _card(Elementwise(
    name="pow", symbol="pow", latex="#1^{#p}", kind="other",
    forward=kernels.power,
    partials=(lambda y, x, *, p: 0.0 if p == 0 else p * pow(x, p - 1),),
    domain=((0.0, INF),), slope=(None,), range=power_of,
))
exp = _card(Elementwise(
    name="exp", symbol="exp", latex="e^{#1}", kind="other",
    forward=np.exp, number=math.exp, numpy=(np.exp,), methods=("exp",),
    partials=(lambda y, x: y,),
    slope=(None,), range=increasing(np.exp),
))
log = _card(Elementwise(
    name="log", symbol="log", latex=r"\log(#1)", kind="other",
    forward=np.log, number=math.log, numpy=(np.log,), methods=("log",),
    partials=(lambda y, x: 1 / x,),
    domain=((0.0, INF),), slope=(None,),
))
log1p = _card(Elementwise(
    name="log1p", symbol="log1p", latex=r"\log(1 + #1)", kind="other",
    forward=np.log1p, numpy=(np.log1p,), methods=("log1p",),
    partials=(lambda y, x: 1 / (1 + x),),
    domain=((-1.0, INF),), slope=(None,),
))
sqrt = _card(Elementwise(
    name="sqrt", symbol="√", latex=r"\sqrt{#1}", kind="other",
    forward=np.sqrt, numpy=(np.sqrt,), methods=("sqrt",),
    partials=(lambda y, x: 0.5 / y,),
    domain=((0.0, INF),), slope=(None,),
))
abs = _card(Elementwise(
    name="abs", symbol="|·|", latex=r"\left|#1\right|", kind="other",
    forward=np.abs, numpy=(np.abs,), methods=("__abs__", "abs"),
    partials=(lambda y, x: sign(x),),
    slope=(1,), range=even(lambda v: v),
))
sign = _card(Elementwise(
    name="sign", symbol="sign", latex=r"\operatorname{sign}(#1)", kind="other",
    forward=np.sign, numpy=(np.sign,),
    partials=(None,),
    slope=(None,), range=between(-1, 1),
))
sech2 = _card(Elementwise(
    name="sech2", symbol="sech²", latex=r"\operatorname{sech}^2(#1)", kind="other",
    forward=kernels.sech2, number=kernels.sech2_of_number,
    partials=(lambda y, x: -2 * y * tanh(x),),
    slope=(4 / math.sqrt(27),), range=between(0, 1),           # sup at tanh² x = 1/3
))
sigmoid = _card(Elementwise(
    name="sigmoid", symbol="σ", latex=r"\sigma(#1)", kind="gate slope",
    forward=kernels.sigmoid, number=kernels.sigmoid_of_number, methods=("sigmoid",),
    partials=(lambda y, x: sech2(x / 2) / 4,),                 # σ(1−σ), exact in saturation too
    by_result=(lambda y: y * (1 - y),), quick=(lambda y, x: kernels.sigmoid_slope(x),),
    slope=(1 / 4,), range=increasing(kernels.sigmoid),         # sup at x = 0
))
tanh = _card(Elementwise(
    name="tanh", symbol="tanh", latex=r"\tanh(#1)", kind="squash slope",
    forward=np.tanh, number=math.tanh, numpy=(np.tanh,), methods=("tanh",),
    partials=(lambda y, x: sech2(x),),                         # 1−tanh², exact in saturation too
    by_result=(lambda y: 1 - y * y,), quick=(lambda y, x: kernels.sech2(x),),
    slope=(1,), range=increasing(np.tanh),                     # sup at x = 0
))
relu = _card(Elementwise(
    name="relu", symbol="relu", latex=r"\operatorname{relu}(#1)", kind="squash slope",
    forward=lambda x: np.maximum(x, 0), methods=("relu",),
    partials=(lambda y, x: greater(x, 0.0),),                  # 0 at x = 0, as torch
    slope=(1,), range=increasing(lambda v: np.maximum(v, 0)),
))
softplus = _card(Elementwise(
    name="softplus", symbol="softplus", latex=r"\operatorname{softplus}(#1)", kind="other",
    forward=kernels.softplus, methods=("softplus",),
    partials=(lambda y, x: sigmoid(x),),
    slope=(1,), range=increasing(kernels.softplus),                   # sup as x → ∞
))
sin = _card(Elementwise(
    name="sin", symbol="sin", latex=r"\sin(#1)", kind="other",
    forward=np.sin, numpy=(np.sin,), methods=("sin",),
    partials=(lambda y, x: cos(x),),
    slope=(1,), range=between(-1, 1),
))
cos = _card(Elementwise(
    name="cos", symbol="cos", latex=r"\cos(#1)", kind="other",
    forward=np.cos, numpy=(np.cos,), methods=("cos",),
    partials=(lambda y, x: -sin(x),),
    slope=(1,), range=between(-1, 1),
))
maximum = _card(Elementwise(
    name="maximum", symbol="max", latex=r"\max(#1, #2)", kind="other",
    forward=np.maximum, numpy=(np.maximum,),
    partials=(lambda y, a, b: _won(greater(a, b), equal(a, b)),  # a tie gives each a half, as torch
              lambda y, a, b: _won(less(a, b), equal(a, b))),
    domain=((-INF, INF),) * 2, slope=(1, 1), range=corners(builtins.max),
))
minimum = _card(Elementwise(
    name="minimum", symbol="min", latex=r"\min(#1, #2)", kind="other",
    forward=np.minimum, numpy=(np.minimum,),
    partials=(lambda y, a, b: _won(less(a, b), equal(a, b)),
              lambda y, a, b: _won(greater(a, b), equal(a, b))),
    domain=((-INF, INF),) * 2, slope=(1, 1), range=corners(builtins.min),
))
clip_between = _card(Elementwise(
    name="clip", symbol="clip", latex=r"\operatorname{clip}_{[#lo, #hi]}(#1)", kind="other",
    forward=lambda x, *, lo, hi: np.clip(x, lo, hi),
    partials=(lambda y, x, *, lo, hi: greater_equal(x, lo) * less_equal(x, hi),),   # 1 on the ends
    slope=(1,), range=lambda x, *, lo, hi: Interval(*np.clip(x, lo, hi).tolist()),
))


def _comparison(name: str, symbol: str, latex: str, f: Any, methods: tuple[str, ...] = ()) -> Any:
    return _card(Elementwise(
        name=name, symbol=symbol, latex=f"#1 {latex} #2", kind="other",
        forward=f, numpy=() if f is np.equal else (f,), methods=methods,
        partials=(None, None), domain=((-INF, INF),) * 2, slope=(None, None), range=between(0, 1),
    ))


less          = _comparison("less",          "<", "<",     np.less,          ("__lt__",))
less_equal    = _comparison("less_equal",    "≤", r"\leq", np.less_equal,    ("__le__",))
greater       = _comparison("greater",       ">", ">",     np.greater,       ("__gt__",))
greater_equal = _comparison("greater_equal", "≥", r"\geq", np.greater_equal, ("__ge__",))
equal         = _comparison("equal",         "=", "=",     np.equal)


# -- the linear cards ------------------------------------------------------------------------------
where = _card(Linear(
    name="where", symbol="where", latex=r"\operatorname{where}(#1, #2, #3)", kind="pass",
    forward=np.where, numpy=(np.where,),
    transposes=(None, lambda g, m, a, b: where(m, g, 0.0), lambda g, m, a, b: where(m, 0.0, g)),
    domain=((0, 1), (-INF, INF), (-INF, INF)), slope=(None, 1, 1),
    range=lambda m, a, b: hull(a, b),
))
matmul = _card(Linear(
    name="matmul", symbol="@", latex="#1 #2", kind="weight",
    forward=kernels.matmul, number=operator.mul, jointly=False,
    numpy=(np.matmul,), methods=("__matmul__", "__rmatmul__", "dot"),
    transposes=(lambda g, a, b: _matmul_left(g, a, b), lambda g, a, b: _matmul_right(g, a, b)),
    domain=((-INF, INF),) * 2, slope=(None, None),
))
summed = _card(Linear(
    name="sum", symbol="Σ", latex=r"\sum_{#axis} #1", kind="reduction",
    forward=lambda x, *, axis, keepdims: np.add.reduce(x, axis=axis, keepdims=keepdims),
    transposes=(lambda g, x, *, axis, keepdims: _spread(g, x, axis, keepdims),),
))
reshaped = _card(Linear(
    name="reshape", symbol="reshape", latex=r"\operatorname{reshape}_{#shape}(#1)", kind="pass",
    forward=lambda x, *, shape: np.reshape(x, shape),
    transposes=(lambda g, x, *, shape: reshape(g, np.shape(x)),), slope=(1,), range=same,
))
transposed = _card(Linear(
    name="transpose", symbol="ᵀ", latex=r"#1^{\top#axes}", kind="pass",
    forward=lambda x, *, axes: np.transpose(x, axes),
    transposes=(lambda g, x, *, axes: transpose(g, np.argsort(axes).tolist()),),
    slope=(1,), range=same,
))
broadcasted = _card(Linear(
    name="broadcast_to", symbol="broadcast", kind="reduction",
    latex=r"\operatorname{broadcast}_{#shape}(#1)",
    forward=lambda x, *, shape: np.broadcast_to(x, shape),
    transposes=(lambda g, x, *, shape: g,), slope=(None,), range=same,
))
concatenated = _card(Linear(
    name="concatenate", symbol="concat", latex="[#*]_{#axis}", kind="pass",
    forward=lambda *xs, axis: np.concatenate(xs, axis=axis),
    transposes=lambda k, g, *xs, axis: _part(g, xs, k, axis), slope=(1,), range=hull,
))
stacked = _card(Linear(
    name="stack", symbol="stack", latex=r"\operatorname{stack}_{#axis}(#*)", kind="pass",
    forward=lambda *xs, axis: np.stack(xs, axis=axis),
    transposes=lambda k, g, *xs, axis: g[_along(axis, np.ndim(g), k)], slope=(1,), range=hull,
))
indexed = _card(Linear(
    name="getitem", symbol="[ ]", latex="#1[#index]", kind="pass",
    forward=lambda x, *, index: x[index],
    transposes=(lambda g, x, *, index: scatter(g, index=index, shape=np.shape(x)),),
    slope=(1,), range=same,
))
scatter = _card(Linear(
    name="scatter", symbol="scatter", kind="pass",
    latex=r"\operatorname{scatter}_{#shape}^{#index}(#1)",
    forward=kernels.scatter,
    transposes=(lambda g, x, *, index, shape: g[index],), slope=(1,),
))
gather = _card(Linear(                                          # x[index], its places operands
    name="gather", symbol="[ ]", latex="#1[#index]", kind="pass", jointly=False,
    forward=lambda x, *places, index: x[kernels.filled(index, places)],
    transposes=(lambda g, x, *places, index:
                spread(g, *places, index=index, shape=np.shape(x)), *AT_REST),
    slope=(1,),
))
spread = _card(Linear(
    name="spread", symbol="scatter", kind="pass", jointly=False,
    latex=r"\operatorname{scatter}_{#shape}^{#index}(#1)",
    forward=lambda g, *places, index, shape:
        kernels.scatter(g, index=kernels.filled(index, places), shape=shape),
    transposes=(lambda g, x, *places, index, shape: gather(g, *places, index=index), *AT_REST),
    slope=(1,),
))
plain = _card(Linear(                                           # see tracing.plain
    name="plain", symbol="·", latex="#function(#*)", kind="other",
    forward=lambda *xs, function, **static: function(*xs, **static),
    transposes=AT_REST, slope=(None,),
))
cast = _card(Linear(
    name="cast", symbol="cast", latex="#1", kind="pass",
    forward=lambda x, *, dtype: np.asarray(x).astype(dtype),
    transposes=(lambda g, x, *, dtype: cast(g, dtype=x.dtype),), slope=(1,), range=same,
))
held_max = _card(Linear(
    name="held_max", symbol="max", kind="other",
    latex=r"\operatorname{sg}(\max_{#kept}(#1))",             # sg: no gradient passes (stop)
    forward=kernels.held_max, transposes=(None,), slope=(None,), range=same,
))
share_of_max = _card(Linear(
    name="share_of_max", symbol="argmax", kind="other",
    latex=r"\frac{[#1 = \max_{#kept}(#1)]}{\sum_{#kept} [#1 = \max_{#kept}(#1)]}",
    forward=kernels.share_of_greatest, transposes=(None,), slope=(None,),
))
greatest = _card(Selection(
    name="max", symbol="max", latex=r"\max_{#axis}(#1)", kind="reduction",
    forward=lambda x, *, axis, keepdims: np.max(x, axis=axis, keepdims=keepdims),
    weights=lambda x, *, axis, keepdims: share_of_max(x, axis=axis),
    gather=lambda t, x, *, axis, keepdims: sum(t, axis, keepdims),
    spread=lambda g, x, *, axis, keepdims: _spread(g, x, axis, keepdims), range=same,
))
# fmt: on


def _power_base(a: Any, b: Any) -> Any:
    """b·a^(b−1); exactly 0 where b is 0, also at a = 0."""
    constant = equal(b, 0.0)
    return where(constant, 0.0, b * power(a, where(constant, 1.0, b - 1)))


def _power_exponent(y: Any, a: Any, b: Any) -> Any:
    """a^b·log a; 0 at a = 0 with b ≥ 0, undefined at a < 0, as torch."""
    nothing = equal(a, 0.0) * greater_equal(b, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):  # the numbers say it: −∞ or nan
        return where(nothing, 0.0, y * log(where(nothing, 1.0, a)))


def _won(ahead: Any, tied: Any) -> Any:
    return where(ahead, 1.0, where(tied, 0.5, 0.0))


def _matmul_left(g: Any, a: Any, b: Any) -> Any:
    if type(g) is float:
        return g * b
    if type(g) is np.ndarray and a.ndim == 2 and b.ndim == 2:
        return g.dot(b.T)
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return g * b
    if np.ndim(b) == 1:
        return g * b if np.ndim(a) == 1 else _column(g) * b
    if np.ndim(a) == 1:
        return (_row(g) @ _flipped(b))[..., 0, :]
    return g @ _flipped(b)


def _matmul_right(g: Any, a: Any, b: Any) -> Any:
    if type(g) is float:
        return g * a
    if type(g) is np.ndarray and a.ndim == 2 and b.ndim == 2:
        return a.T.dot(g)
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return g * a
    if np.ndim(a) == 1:
        return g * a if np.ndim(b) == 1 else _column(a) * _row(g)
    if np.ndim(b) == 1:
        return (_flipped(a) @ _column(g))[..., 0]
    return _flipped(a) @ g


def _flipped(m: Any) -> Any:
    return m.T if np.ndim(m) == 2 else swapaxes(m, -1, -2)


def _row(v: Any) -> Any:
    return reshape(v, (*np.shape(v)[:-1], 1, np.shape(v)[-1]))


def _column(v: Any) -> Any:
    return reshape(v, (*np.shape(v), 1))


def _along(axis: int, ndim: int, index: Any) -> tuple[Any, ...]:
    """The index that picks along one axis and takes all of the others."""
    return (slice(None),) * normalize_axis_index(axis, ndim) + (index,)


def _part(g: Any, xs: Sequence[Any], k: int, axis: int) -> Any:
    lengths = [np.shape(x)[axis] for x in xs]
    start = builtins.sum(lengths[:k])
    return g[_along(axis, np.ndim(g), slice(start, start + lengths[k]))]


def _spread(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Hand the sum's cotangent to each of its terms."""
    if not keepdims and axis is not None:
        axes = {a % np.ndim(x) for a in ((axis,) if isinstance(axis, int) else axis)}
        g = reshape(g, tuple(1 if a in axes else n for a, n in enumerate(np.shape(x))))
    return broadcast_to(g, np.shape(x))


# -- the functions people call, where they differ from their card ----------------------------------


def pow(x: Any, p: Any) -> Any:
    """Return x to the power p; a Python number as exponent is one edge, a tensor is two."""
    if isinstance(p, (int, float)) and not isinstance(p, bool):
        return pow_number(x, p=p)
    return power(x, p)


def clip(x: Any, lo: Any = None, hi: Any = None) -> Any:
    """Limit each entry to lo ≤ entry ≤ hi; the slope is 1 on the ends (as torch)."""
    if isinstance(lo, (Tensor, np.ndarray)) or isinstance(hi, (Tensor, np.ndarray)):
        above = x if lo is None else where(less(x, lo), lo, x)
        return above if hi is None else where(greater(above, hi), hi, above)
    return clip_between(x, lo=-INF if lo is None else lo, hi=INF if hi is None else hi)


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the sum over the axes (all of them when None)."""
    return summed(x, axis=_as_axes(axis), keepdims=keepdims)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the mean over the axes (all of them when None)."""
    total = sum(x, axis, keepdims)
    return total / (np.size(x) / builtins.max(np.size(total), 1))


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the greatest entry over the axes; ties share the gradient (as torch.amax)."""
    return greatest(x, axis=_as_axes(axis), keepdims=keepdims)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return log Σ exp(x) over the axes, without overflow."""
    shift = held_max(x, axis=_as_axes(axis))
    with np.errstate(divide="ignore"):  # where every entry is −∞, so is the result
        total = log(sum(exp(x - shift), axis, keepdims=True)) + shift
    return total if keepdims else reshape(total, kernels.reduced_shape(np.shape(x), _as_axes(axis)))


def softmax(x: Any, axis: int = -1) -> Any:
    """Return exp(x) / Σ exp(x) along the axis, without overflow."""
    e = exp(x - held_max(x, axis=_as_axes(axis)))
    return e / sum(e, axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return x − log Σ exp(x) along the axis, without overflow."""
    shifted = x - held_max(x, axis=_as_axes(axis))
    return shifted - log(sum(exp(shifted), axis, keepdims=True))


def dot(a: Any, b: Any) -> Any:
    """Return the matrix product; one number times anything multiplies it."""
    return matmul(a, b)


def reshape(x: Any, *shape: Any) -> Any:
    """Return the same entries in another shape."""
    return reshaped(x, shape=_as_shape(shape))


def transpose(x: Any, *axes: Any) -> Any:
    """Return the tensor with its axes in another order; reversed when none is given."""
    order = _as_shape(axes) if axes and axes[0] is not None else tuple(range(np.ndim(x)))[::-1]
    return transposed(x, axes=normalize_axis_tuple(order, np.ndim(x)))


def swapaxes(x: Any, a: int, b: int) -> Any:
    """Return the tensor with two axes exchanged."""
    order = list(range(np.ndim(x)))
    a, b = normalize_axis_tuple((a, b), np.ndim(x), "swapaxes", allow_duplicate=True)
    order[a], order[b] = order[b], order[a]
    return transposed(x, axes=tuple(order))


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """Return the tensor repeated along new or length-1 axes, to this shape."""
    return broadcasted(x, shape=tuple(shape))


def concatenate(xs: Sequence[Any], axis: int = 0) -> Any:
    """Return the tensors joined along an axis they have."""
    return concatenated(*xs, axis=axis)


def stack(xs: Sequence[Any], axis: int = 0) -> Any:
    """Return the tensors joined along a new axis."""
    return stacked(*xs, axis=axis)


def split(x: Any, parts: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cut into equal parts (an int) or before the given places, along the axis."""
    length = np.shape(x)[axis]
    if isinstance(parts, int):
        if length % parts:
            raise ValueError(
                f"split: {length} entries along axis {axis} do not make {parts} equal parts"
            )
        parts = range(length // parts, length, length // parts)
    edges = [0, *parts, length]
    return [x[_along(axis, np.ndim(x), slice(a, b))] for a, b in pairwise(edges)]


def getitem(x: Any, index: Any) -> Any:
    """Return x[index]; integer tensors and masks index by their numbers."""
    trace = tracing()
    if trace is not None:
        given = index if isinstance(index, tuple) else (index,)
        for part in given:
            trace.watch(part)
        if builtins.any(isinstance(part, Tensor) for part in given):
            return _gathered(x, given)
    parts = tuple(map(_as_index, index)) if isinstance(index, tuple) else _as_index(index)
    return indexed(x, index=parts)


def _gathered(x: Any, index: tuple[Any, ...]) -> Any:
    """x[index] while a function is recorded: numbers of a tensor that indexes are an operand."""
    places = [part for part in index if isinstance(part, Tensor)]
    for place in places:
        if place.dtype.kind == "b":  # how many it picks is known only when its numbers are
            look_at(place, "the number of entries that x[mask] picks, by the mask")
    parts = (kernels.PLACE if isinstance(part, Tensor) else _as_index(part) for part in index)
    return gather(x, *places, index=tuple(parts))


def _as_index(part: Any) -> Any:
    if isinstance(part, (Tensor, np.ndarray, list)):
        return np.array(_numbers(part))  # a copy: the record must not change with the caller's
    return part


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Return the entries at these places along the axis (of the flattened tensor when None)."""
    if not isinstance(indices, Tensor):
        indices = np.asarray(indices)
    if axis is None:
        return reshape(x, -1)[indices]
    return x[_along(axis, np.ndim(x), indices)]


def _numbers(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else np.asarray(x)


def _as_axes(axis: Any) -> Any:
    if axis is None or isinstance(axis, (int, np.integer)):
        return None if axis is None else int(axis)
    return tuple(int(a) for a in axis)


def _as_shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    return (
        tuple(shape[0])
        if len(shape) == 1 and not isinstance(shape[0], (int, np.integer))
        else shape
    )


def _offered() -> list[str]:
    """What `import microrecur as mr` offers as mr.NAME: the cards, and the functions above."""
    # What the rules and functions here call.
    internal = {"cast", "gather", "held_max", "plain", "power", "scatter", "share_of_max", "sign"}
    internal |= {"spread"}
    functions = {name for name, f in globals().items() if getattr(f, "__module__", "") == __name__}
    cards = {name for name in TABLE if callable(globals().get(name))}
    return sorted(name for name in (functions | cards) - internal if not name.startswith("_"))


PUBLIC = _offered()
