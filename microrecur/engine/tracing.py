"""What holds while a function is recorded to be compiled: whose numbers may be looked at.

A compiled function is recorded once and then run with other numbers. So while it is recorded no
number of a tensor may decide anything in Python: what would be frozen is refused here, and what the
library itself has to look at (an index, a mask, a check) becomes an op of the recording, `plain`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike

if TYPE_CHECKING:
    from microrecur.engine.tensor import Tensor


class CompileError(TypeError):
    """A function that cannot be compiled: recorded once, it would give wrong results later."""


class Trace:
    """A recording in progress.

    Attributes
    ----------
    function : str
        What is recorded, for messages.
    born : int
        The serial number before it began: what is older was there before.
    root : callable
        The function itself, as it was given to be compiled.
    arrays : set of Tensor
        Arguments that the caller gave as arrays: dtypes follow the rules of arrays for them.
    made : set of Tensor
        What the function itself made a tensor of, with `tensor()`.
    draws : list of (Tensor, callable)
        Leaves whose numbers are drawn anew at every call, such as the mask of a dropout.
    watched : list of ndarray
        Arrays the function read; its recording holds as long as they keep their numbers.
    as_arrays : set of Tensor
        Results that the caller gets as arrays, such as gradients.
    gradients : dict of Tensor to Tensor
        By what each recorded gradient is taken.
    """

    def __init__(self, function: str, born: int, root: Any = None) -> None:
        self.function, self.born, self.root = function, born, root
        self.given: set[Tensor] = set()
        self.arrays: set[Tensor] = set()
        self.made: set[Tensor] = set()
        self.draws: list[tuple[Tensor, Callable[[], np.ndarray]]] = []
        self.watched: list[np.ndarray] = []
        self.as_arrays: set[Tensor] = set()
        self.gradients: dict[Tensor, Tensor] = {}
        self._views: dict[int, tuple[Any, dict[Any, Any]]] = {}

    def views_of(self, module: Any) -> dict[Any, Any]:
        """A module's views of its parameters, for this recording alone."""
        return self._views.setdefault(id(module), (module, {}))[1]

    def watch(self, value: Any) -> None:
        """Remember an array that is read as a constant."""
        if isinstance(value, np.ndarray) and not any(value is seen for seen in self.watched[-8:]):
            self.watched.append(value)

    def outlasting(self) -> list[np.ndarray]:
        """The watched arrays that somebody else still holds, and so may change."""
        watched, self.watched = self.watched, []
        found: dict[int, np.ndarray] = {}
        while watched:
            array = watched.pop()
            base = array.base
            # Besides us: nobody but `array` (and the count's own argument); a view counts its base.
            alone = sys.getrefcount(array) == 2 and (
                base is None or (isinstance(base, np.ndarray) and sys.getrefcount(base) == 3)
            )
            if not alone:
                found[id(array)] = array
        return list(found.values())

    def drawn(self, draw: Callable[[], np.ndarray], like: np.ndarray, name: str) -> Tensor:
        """A leaf whose numbers come from `draw` at every call; `like` has its shape and dtype."""
        from microrecur.engine.tensor import Tensor, current_scope

        leaf = Tensor(like, scope=current_scope()).named(name)
        self.draws.append((leaf, draw))
        self.given.add(leaf)
        return leaf

    def is_array(self, x: Tensor) -> bool:
        """Whether x would be an array if the function simply ran: made of arrays and numbers."""
        stack, seen = [x], {x}
        while stack:
            node = stack.pop()
            there = node.op is None and (node.serial <= self.born or node in self.given)
            if node in self.made or (there and node not in self.arrays):
                return False
            new = [source for source in node.inputs if source not in seen]
            seen.update(new)
            stack += new
        return True

    def is_fixed(self, x: Tensor) -> bool:
        """Whether every call would give x the same numbers: made of constants alone."""
        from microrecur.engine.tensor import ancestry

        return all(
            leaf.serial > self.born and leaf not in self.given
            for leaf in ancestry([x])
            if leaf.op is None
        )


_tracing: ContextVar[Trace | None] = ContextVar("tracing", default=None)


def tracing() -> Trace | None:
    """Return the recording in progress in this thread; None when functions simply run."""
    return _tracing.get()


@contextmanager
def recorded_by(trace: Trace) -> Iterator[None]:
    """Record for this trace inside."""
    token = _tracing.set(trace)
    try:
        yield
    finally:
        _tracing.reset(token)


def look_at(x: Tensor, asked: str) -> None:
    """Refuse to show numbers of x that would be frozen in a recording.

    Raises
    ------
    CompileError
        While a function is recorded and x depends on what may change between calls.
    """
    trace = _tracing.get()
    if trace is not None and not trace.is_fixed(x):
        _refuse(trace, x, asked)


def _refuse(trace: Trace, x: Tensor, asked: str) -> NoReturn:
    raise CompileError(
        f"{asked} of {x._label()} {x.shape} in {trace.function}, which is being compiled: it is "
        "recorded once and then run with other numbers, so what Python does with this one would be "
        "frozen. To choose by numbers write mr.where(condition, a, b); what decides how the "
        "function runs must be a Python number or a bool given as an argument (recorded once per "
        "value; int(n) or bool(flag) where it is NumPy's); what is only looked at belongs outside, "
        "after the call"
    )


def forbid(x: Tensor, asked: str, instead: str) -> None:
    """Refuse an effect on x that only the recording of a function would have."""
    trace = _tracing.get()
    if trace is not None and not trace.is_fixed(x):
        raise CompileError(
            f"{x._label()}{asked} in {trace.function}, which is being compiled: it would happen "
            f"once, while the function is recorded, and at no later call; {instead}"
        )


def stands_for_array(x: Any) -> bool:
    """Whether x is an array argument of a function that is being recorded (or made of such)."""
    from microrecur.engine.tensor import Tensor

    trace = _tracing.get()
    return trace is not None and isinstance(x, Tensor) and trace.is_array(x)


def taken(x: Any, dtype: DTypeLike) -> Any:
    """Return a tensor as it is, and numbers and arrays as an array of this dtype.

    While a function is recorded its array arguments are tensors; they are cast, as arrays are.
    """
    from microrecur.engine.tensor import Tensor

    trace = _tracing.get()
    if isinstance(x, Tensor):
        if trace is not None and x.dtype != dtype and trace.is_array(x):
            return _plain_card("cast")(x, dtype=np.dtype(dtype))
        return x
    if trace is not None:
        trace.watch(x)
    return np.asarray(x, dtype)


def plain(function: Callable[..., Any], *xs: Any, **static: Any) -> Any:
    """Work numbers out of tensors, past the calculus: an index, a mask, a check.

    Simply running, `function` gets arrays and returns one. While a function is recorded it becomes
    an op, so that every later call works it out anew, checks included.
    """
    from microrecur.engine.tensor import Tensor

    if _tracing.get() is None:
        return function(
            *(x._data if isinstance(x, Tensor) else np.asarray(x) for x in xs), **static
        )
    for x in xs:
        _tracing.get().watch(x)  # type: ignore[union-attr]
    # Once by itself: what a check says is no misfit of shapes, as an op's errors are.
    function(*(x._data if isinstance(x, Tensor) else np.asarray(x) for x in xs), **static)
    return _plain_card("plain")(*xs, function=function, **static)


def without_gradient(x: Tensor) -> Tensor:
    """The same numbers through which no gradient passes, as an op of the recording."""
    from microrecur.engine.tensor import Tensor

    return Tensor(x._data, _plain_card("plain"), (x,), {"function": same_numbers}, False, x.scope)


def same_numbers(x: np.ndarray) -> np.ndarray:
    """The array itself."""
    return x


def copied(x: Tensor, requires_grad: bool, name: str | None, dtype: DTypeLike | None) -> Tensor:
    """What `tensor(x)` is while a function is recorded: its numbers, without its history."""
    if dtype is not None and x.dtype != dtype:
        x = _plain_card("cast")(x, dtype=np.dtype(dtype))
    made = without_gradient(x)
    made.requires_grad = requires_grad
    _tracing.get().made.add(made)  # type: ignore[union-attr]
    return made if name is None else made.named(name)


def _plain_card(name: str) -> Any:
    from microrecur.engine.ops import TABLE

    return TABLE[name]
