"""The card: all that is declared about an op, once, for every reader of a recorded graph.

Two families carry the calculus (and `Selection` for what picks entries). An `Elementwise` card
gives ∂y/∂x per operand, so its reverse rule is g·∂ and its forward rule t·∂. A `Linear` card gives
the transpose per operand, so its forward rule is the op itself. Either rule is written in the
engine's own ops: run on arrays it gives numbers, run on tensors it records a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microrecur.engine.errors import ShapeError
from microrecur.engine.intervals import EVERYTHING, Range
from microrecur.engine.tensor import Tensor, _filing, _filing_now, of_array, of_number
from microrecur.engine.tracing import tracing, without_gradient

Rule = Callable[..., Any]


@dataclass(eq=False, kw_only=True)
class Primitive:
    """What every card declares.

    Attributes
    ----------
    name, symbol, latex : str
        Plain name, what a picture prints, and a LaTeX template with #1, #2 for the operands, #* for
        all of them, and #axis for an argument called axis.
    kind : str
        What an edge into the op multiplies by: "gate slope", "squash slope", "product", "weight",
        "pass", "reduction" or "other".
    forward : callable
        Arrays to array.
    number : callable, optional
        The same on Python floats, for an op without static arguments: what it cannot do (it raises,
        or gives no finite float) is left to `forward`.
    domain : tuple of (float, float)
        Per operand, where the op is defined and tests may sample.
    slope : tuple of float or None
        Per operand the supremum of |∂y/∂x|; None where there is none.
    range : callable, optional
        Operand intervals to the interval of the result; None where nothing better than everything
        is known.
    numpy : tuple of callable
        NumPy's own functions that mean this op.
    methods : tuple of str
        Attributes of Tensor that call it with the tensor as first operand; "r" methods as Python's.
    """

    name: str
    symbol: str
    latex: str
    kind: str
    forward: Rule
    number: Rule | None = None
    domain: tuple[tuple[float, float], ...] = (EVERYTHING,)
    slope: tuple[float | None, ...] = (None,)
    range: Range | None = None
    numpy: tuple[Any, ...] = ()
    methods: tuple[str, ...] = ()
    differentiable: bool = field(default=True, init=False)
    # What `reverse` runs on plain numbers, per operand: where there is none, it calls `pull`.
    rules: tuple[Rule | float | None, ...] = field(default=(), init=False)
    constant: bool = field(default=False, init=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __reduce__(self) -> Any:
        # Rules are closures: a card of the table is found again by its name, another cannot be.
        return _card_called, (self.name,)

    def __call__(self, *operands: Any, **static: Any) -> Any:
        """Compute on arrays, or compute and record when an operand is a tensor."""
        if len(operands) == 1 and not static and type(operands[0]) is Tensor:
            return self._of_one(operands)
        tensors = 0
        for operand in operands:
            if type(operand) is Tensor:
                tensors += 1
        if not tensors:
            if self.number is not None and all(type(x) is float for x in operands):
                y = self._of_floats(operands)
                if y is not None:
                    return y
            return self.forward(*operands, **static)
        return self._recorded(
            operands if tensors == len(operands) else _as_tensors(operands), static
        )

    def _of_one(self, inputs: tuple[Tensor]) -> Tensor:
        """Do as `_recorded` for the ops that read one tensor, in fewer steps."""
        scope, recording = _filing_now()
        (x,) = inputs
        number = x._number
        wanted = x.requires_grad and self.differentiable
        if recording:
            try:
                if number is not None and self.number is not None:
                    y = self.number(number)
                    if y - y == 0.0:  # else not finite: NumPy says what it is, and warns of it
                        return of_number(y, self, inputs, wanted, scope)
                else:
                    data = self.forward(x._array if number is None else x._data)
                    if type(data) is np.ndarray:
                        return of_array(data, self, inputs, wanted, scope)
            except (ArithmeticError, ValueError, IndexError):
                pass  # the long way says what does not fit
        return self._recorded(inputs, {})

    def _recorded(self, inputs: tuple[Tensor, ...], static: dict[str, Any]) -> Tensor:
        """Compute, and record the result unless nothing is recorded now."""
        if self.number is not None and inputs[0]._number is not None and not static:
            numbered = self._numbered(inputs)
            if numbered is not None:
                return numbered
        try:
            data = self.forward(*[x._data for x in inputs], **static)
        except (ValueError, IndexError) as error:
            raise self._misfit(inputs, static, error) from error
        number = None
        if type(data) is not np.ndarray:
            number = float(data) if type(data) is np.float64 else None
            data = np.asarray(data)
        filing = _filing.get()
        if not filing.recording:
            if tracing() is not None:  # a leaf would be frozen
                return without_gradient(Tensor(data, self, inputs, static, False, filing.scope))
            return Tensor(data, scope=filing.scope)
        wanted = False
        for x in inputs:
            if x.requires_grad:
                wanted = self.differentiable
                break
        made = Tensor(data, self, inputs, static, wanted, filing.scope)
        made._number = number
        return made

    def _numbered(self, inputs: tuple[Tensor, ...]) -> Tensor | None:
        """Compute and record on numbers, each operand one; None where arrays have to."""
        filing = _filing.get()
        if not filing[1]:
            return None
        wanted = False
        floats = []
        for x in inputs:
            if x._number is None:
                return None
            floats.append(x._number)
            wanted = wanted or x.requires_grad
        y = self._of_floats(floats)
        if y is None:
            return None
        return of_number(y, self, inputs, wanted and self.differentiable, filing[0])

    def _of_floats(self, floats: Sequence[float]) -> float | None:
        """The finite float that the op makes of floats; None where NumPy has to say what it is."""
        try:
            y = self.number(*floats)  # type: ignore[misc]
        except (ArithmeticError, ValueError):
            return None
        return y if type(y) is float and y - y == 0.0 else None

    def pull(self, k: int, g: Any, y: Any, xs: Sequence[Any], static: dict[str, Any]) -> Any:
        """Return the cotangent of operand k, still of the broadcast shape; None if it has none."""
        raise NotImplementedError  # each family has its own

    def pull_by_result(
        self, k: int, g: Any, y: Any, xs: Sequence[Any], static: dict[str, Any]
    ) -> Any:
        """Return what `pull` does, from y where the card says how: to 1e-15, and quicker."""
        return self.pull(k, g, y, xs, static)

    def push(self, ts: Sequence[Any], y: Any, xs: Sequence[Any], static: dict[str, Any]) -> Any:
        """Return the tangent of the result from the operands' tangents (None where zero)."""
        raise NotImplementedError  # each family has its own

    def _misfit(
        self, inputs: Sequence[Tensor], static: dict[str, Any], error: Exception
    ) -> Exception:
        """Say which operands of which shapes did not fit, and where."""
        scope = "/".join(_filing.get().scope)
        given = ", ".join(f"{_short_name(x, k)} {x.shape}" for k, x in enumerate(inputs))
        asked = "".join(f", {key}={value!r}" for key, value in static.items())
        where = f" at {scope}" if scope else ""
        if isinstance(error, IndexError):  # as it is written, whatever op it is recorded as
            name = "getitem" if self.name == "gather" else self.name
            return IndexError(f"{name}{where}: the index does not fit: {given}{asked} ({error})")
        return ShapeError(f"{self.name}{where}: the shapes do not fit: {given}{asked} ({error})")


@dataclass(eq=False, kw_only=True, repr=False)
class Elementwise(Primitive):
    """An op that acts entry by entry; `partials` gives ∂y/∂x_k, a rule (y, *xs) or a number.

    `by_result` gives the same partials as rules (y) of the result alone, where that is quicker and
    as good to 1e-15 absolute (σ′ = y(1−y), which is 0 where σ′ is below rounding); () where not.

    `quick` gives them as rules (y, *xs) of plain numbers that compute the very same in fewer calls;
    () where the partials are as short as it gets.
    """

    partials: tuple[Rule | float | None, ...]
    by_result: tuple[Rule, ...] = ()
    quick: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        self.differentiable = any(partial is not None for partial in self.partials)
        self.rules = self.quick or self.partials
        # Whether the way back needs no numbers of the operands at all.
        self.constant = all(type(partial) is int for partial in self.partials)

    def partial(self, k: int, y: Any, xs: Sequence[Any], static: dict[str, Any]) -> Any:
        """Return ∂y/∂x_k entry by entry; a plain number where it is one."""
        rule = self.partials[k]
        return rule(y, *xs, **static) if callable(rule) else rule

    def pull(self, k: int, g: Any, y: Any, xs: Sequence[Any], static: dict[str, Any]) -> Any:
        """Return g·∂y/∂x_k."""
        return _times(g, self.partial(k, y, xs, static))

    def pull_by_result(
        self, k: int, g: Any, y: Any, xs: Sequence[Any], static: dict[str, Any]
    ) -> Any:
        """Return g·∂y/∂x_k, the partial written in y where the card does."""
        if self.by_result:
            return g * self.by_result[k](y)
        return _times(g, self.partial(k, y, xs, static))

    def push(self, ts: Sequence[Any], y: Any, xs: Sequence[Any], static: dict[str, Any]) -> Any:
        """Return Σ t_k·∂y/∂x_k."""
        total = None
        for k, t in enumerate(ts):
            if t is not None and self.partials[k] is not None:
                total = _plus(total, _times(t, self.partial(k, y, xs, static)))
        return total


@dataclass(eq=False, kw_only=True, repr=False)
class Linear(Primitive):
    """An op linear in its operands; `transposes` gives each one's adjoint, a rule (g, *xs).

    `transposes` is a tuple of rules, or one rule (k, g, *xs) for ops of any number of operands.
    `jointly` says whether the op is linear in all operands together (concatenate), or in each with
    the others held fixed (matmul).
    """

    transposes: tuple[Rule | None, ...] | Rule
    jointly: bool = True

    def __post_init__(self) -> None:
        self.differentiable = callable(self.transposes) or any(self.transposes)
        self.rules = () if callable(self.transposes) else self.transposes

    def pull(self, k: int, g: Any, y: Any, xs: Sequence[Any], static: dict[str, Any]) -> Any:
        """Return the transpose of operand k applied to g."""
        if callable(self.transposes):
            return self.transposes(k, g, *xs, **static)
        rule = self.transposes[k]
        return None if rule is None else rule(g, *xs, **static)

    def push(self, ts: Sequence[Any], y: Any, xs: Sequence[Any], static: dict[str, Any]) -> Any:
        """Return the op applied to the tangents."""
        varied = [k for k, t in enumerate(ts) if t is not None and self.moves(k)]
        if not varied:
            return None
        if self.jointly:
            held = [
                t if k in varied else self._hold(k, x)
                for k, (t, x) in enumerate(zip(ts, xs, strict=True))
            ]
            return self(*held, **static)
        total = None
        for k in varied:
            total = _plus(total, self(*xs[:k], ts[k], *xs[k + 1 :], **static))
        return total

    def moves(self, k: int) -> bool:
        """Whether the result moves with operand k at all; a mask only selects."""
        return callable(self.transposes) or self.transposes[k] is not None

    def _hold(self, k: int, x: Any) -> Any:
        """An operand that does not move adds nothing; one that only selects (a mask) stays."""
        if not self.moves(k):
            return x
        return np.zeros(np.shape(x), x.dtype)


@dataclass(eq=False, kw_only=True, repr=False)
class Selection(Primitive):
    """An op that picks entries (max): linear in x once the numbers of x have fixed the choice.

    `weights` (x) gives each entry's part in the result, in x's shape and through which no gradient
    passes; `gather` (t, x) sums as the op reduces and `spread` (g, x) is its transpose.
    """

    weights: Rule
    gather: Rule
    spread: Rule

    def pull(self, k: int, g: Any, y: Any, xs: Sequence[Any], static: dict[str, Any]) -> Any:
        """Return g, spread over the entries that were picked."""
        return self.spread(g, xs[0], **static) * self.weights(xs[0], **static)

    def push(self, ts: Sequence[Any], y: Any, xs: Sequence[Any], static: dict[str, Any]) -> Any:
        """Return the tangent of the entries that were picked."""
        return self.gather(ts[0] * self.weights(xs[0], **static), xs[0], **static)


def operator(card: Primitive) -> Rule:
    """Return card(a, b) as a method of tensors: the way most ops are called, so it is short.

    Whatever is not plainly an op of two tensors to be recorded is left to the card.
    """
    forward, of_floats = card.forward, card.number
    differentiable = card.differentiable

    def method(a: Tensor, b: Any) -> Any:
        if type(b) is not Tensor:
            return card(a, b)
        scope, recording = _filing_now()
        if recording:
            wanted = (a.requires_grad or b.requires_grad) and differentiable
            try:
                if of_floats is None or a._number is None or b._number is None:
                    x, z = a._array, b._array
                    if x is None or z is None:
                        x, z = a._data, b._data
                    data = forward(x, z)
                    if type(data) is np.ndarray:
                        return of_array(data, card, (a, b), wanted, scope)
                else:
                    y = of_floats(a._number, b._number)
                    if y - y == 0.0:
                        return of_number(y, card, (a, b), wanted, scope)
            except (ArithmeticError, ValueError, IndexError):
                pass
        return card(a, b)

    return method


def _card_called(name: str) -> Primitive:
    from microrecur.engine.ops import TABLE

    return TABLE[name]


def _times(g: Any, partial: Any) -> Any:
    """g·∂, leaving out what multiplies by one."""
    if type(partial) in (int, float):
        return g if partial == 1 else -g if partial == -1 else g * partial
    return None if partial is None else g * partial


def _plus(total: Any, term: Any) -> Any:
    return term if total is None else total + term


def _short_name(x: Tensor, k: int) -> str:
    return x.name or (x.op.name if x.op is not None else f"operand {k + 1}")


def _as_tensors(operands: Sequence[Any]) -> tuple[Tensor, ...]:
    """Make constants of what is no tensor; a Python number takes the dtype of the first tensor."""
    like = next(x for x in operands if type(x) is Tensor).dtype
    return tuple(x if type(x) is Tensor else _constant(x, like) for x in operands)


def _constant(value: Any, like: np.dtype[Any]) -> Tensor:
    if type(value) in (float, int) and like.kind == "f":
        if like == np.float64:
            return of_number(float(value), scope=_filing.get()[0])
        return Tensor(np.array(value, like), scope=_filing.get().scope)
    trace = tracing()
    if trace is not None:
        trace.watch(value)
    data = np.array(value)
    if data.dtype.kind not in "biuf":
        raise TypeError(f"{value!r} ({type(value).__name__}) is no number and no array of numbers")
    return Tensor(data, scope=_filing.get().scope)
