"""The identities that make a recorded formula a textbook's, each of them exact.

A rule looks at one expression whose parts are settled; it returns the better form, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from microrecur.engine import ops
from microrecur.graphs.expressions import Expression, frozen, number

if TYPE_CHECKING:
    from microrecur.graphs.algebra import Algebra

Rule = Callable[["Algebra", Expression], Expression | None]


def _slope_of_sigmoid(algebra: Algebra, e: Expression) -> Expression | None:
    """¼ sech²(z/2) → s ⊙ (1 − s), where s = σ(z) is recorded."""
    if not e.is_op("div") or not e.parts[1].is_number(4) or not e.parts[0].is_op("sech2"):
        return None
    half = e.parts[0].parts[0]
    if not half.is_op("div") or not half.parts[1].is_number(2):
        return None
    s = algebra.squashed("sigmoid", half.parts[0])
    return s and algebra.apply("mul", s, algebra.apply("sub", number(1), s))


def _slope_of_tanh(algebra: Algebra, e: Expression) -> Expression | None:
    """sech²(z) → 1 − y², where y = tanh(z) is recorded."""
    if not e.is_op("sech2"):
        return None
    y = algebra.squashed("tanh", e.parts[0])
    return y and algebra.apply("sub", number(1), algebra.apply("pow", y, static={"p": 2}))


def _one_number(algebra: Algebra, e: Expression) -> Expression | None:
    """Where everything is one number: x W is a product, and a reshaped x is x."""
    if not algebra.scalar or e.size != 1 or any(part.size != 1 for part in e.parts):
        return None
    if e.is_op("matmul"):
        return algebra.apply("mul", *e.parts, shape=e.shape)
    return e.parts[0] if any(map(e.is_op, _MOVED)) else None


_MOVED = ("reshape", "transpose", "broadcast_to", "sum", "getitem", "scatter", "gather", "spread")


def _neutral(algebra: Algebra, e: Expression) -> Expression | None:
    """1 ⊙ a, a ⊙ 1, 0 + a, a + 0, a − 0 → a."""
    if not any(map(e.is_op, ("mul", "add", "sub"))):
        return None
    neutral = 1 if e.is_op("mul") else 0
    sides = [e.parts] if e.is_op("sub") else [e.parts, e.parts[::-1]]
    for other, one in sides:
        if one.is_number(neutral) and other.shape == e.shape:
            return other
    return None


def _undone(algebra: Algebra, e: Expression) -> Expression | None:
    """a^1, −(−a), (aᵀ)ᵀ, a with its axes as they were, a in another precision → a."""
    if len(e.parts) != 1:
        return None
    inner = e.parts[0]
    if e.is_op("cast") or (e.is_op("pow") and e.static["p"] == 1):
        return inner
    if e.is_op("neg"):
        literal = inner.number is not None and float(inner.number) != 0
        negative = Expression(inner.shape, number=-inner.number) if literal else None
        return inner.parts[0] if inner.is_op("neg") else negative
    if e.is_op("transpose"):
        if tuple(e.static["axes"]) == tuple(range(len(inner.shape))):
            return inner  # NumPy's transpose of a vector is the vector, a reader's is a column
        if inner.is_op("transpose") and len(inner.parts[0].shape) == 2:
            return inner.parts[0]
    return None


def _sign(algebra: Algebra, e: Expression) -> Expression | None:
    """Settle signs: a + (−b) → a − b, a − (−b) → a + b, and −(a ⊙ b) for (−a) ⊙ b, Σ(−a) alike."""
    if e.is_op("add") or e.is_op("sub"):
        opposite = _opposite(e.parts[1])
        if opposite is not None:
            name = "sub" if e.is_op("add") else "add"
            return algebra.apply(name, e.parts[0], opposite, shape=e.shape)
    if any(map(e.is_op, ("mul", "div", "matmul", "sum"))):
        opposites = [_opposite(part) for part in e.parts]
        turned = sum(part is not None for part in opposites)
        if turned:
            parts = [o or part for o, part in zip(opposites, e.parts, strict=True)]
            inner = algebra.settled(Expression(e.shape, e.card, tuple(parts), e.static))
            return inner if turned == 2 else algebra.apply("neg", inner, shape=e.shape)
    return None


def _opposite(e: Expression) -> Expression | None:
    """What the expression is the negative of, if it is written as one."""
    if e.is_op("neg"):
        return e.parts[0]
    if e.number is not None and float(e.number) < 0:
        return Expression(e.shape, number=-e.number)
    return None


def _row_times_matrix(algebra: Algebra, e: Expression) -> Expression | None:
    """The row that a vector is made to multiply a matrix → the vector itself: g M."""
    if not e.is_op("getitem") or not e.parts[0].is_op("matmul"):
        return None
    left, right = e.parts[0].parts
    index = frozen(e.static["index"])
    if index == frozen((Ellipsis, 0, slice(None))) and _made(left, row=True):
        return algebra.apply("matmul", left.parts[0], right, shape=e.shape)
    if index == frozen((Ellipsis, 0)) and _made(right, row=False) and len(left.shape) == 2:
        turned = algebra.apply("transpose", left, shape=left.shape[::-1], static={"axes": (1, 0)})
        return algebra.apply("matmul", right.parts[0], turned, shape=e.shape)
    return None


def _outer_product(algebra: Algebra, e: Expression) -> Expression | None:
    """A column times a row → aᵀ b, of two row vectors."""
    if not e.is_op("mul") or len(e.shape) != 2 or not _made(e.parts[0], row=False):
        return None
    b = e.parts[1].parts[0] if _made(e.parts[1], row=True) else e.parts[1]
    if len(b.shape) != 1:
        return None
    a = e.parts[0].parts[0]
    column = Expression((a.size, 1), ops.TABLE["transpose"], (a,), {"axes": (1, 0)})
    return algebra.apply("matmul", column, b, shape=e.shape)


def _made(e: Expression, row: bool) -> bool:
    """Whether a vector was made a matrix of one row, or of one column."""
    if not e.is_op("reshape") or len(e.parts[0].shape) != 1:
        return False
    n = e.parts[0].size
    return e.shape == ((1, n) if row else (n, 1))


def _broadcast_by_product(algebra: Algebra, e: Expression) -> Expression | None:
    """What is broadcast to be multiplied with the full shape need not say so."""
    if not e.is_op("mul") or not e.parts[0].is_op("broadcast_to"):
        return None
    inner, other = e.parts[0].parts[0], e.parts[1]
    return algebra.apply("mul", inner, other) if other.shape == e.shape else None


def _masked(algebra: Algebra, e: Expression) -> Expression | None:
    """Write where(m, g, 0) as g ⊙ m, and where(m, 0, g) as g ⊙ (1 − m)."""
    if not e.is_op("where"):
        return None
    mask, a, b = e.parts
    if a.holes and a.shape == e.shape and b.is_number(0):
        return algebra.apply("mul", a, mask)
    if b.holes and b.shape == e.shape and a.is_number(0):
        return algebra.apply("mul", b, algebra.apply("sub", number(1), mask))
    return None


RULES: tuple[Rule, ...] = (
    _one_number,
    _slope_of_sigmoid,
    _slope_of_tanh,
    _neutral,
    _undone,
    _sign,
    _row_times_matrix,
    _outer_product,
    _broadcast_by_product,
    _masked,
)
