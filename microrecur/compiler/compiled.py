"""`compile`: a function recorded once per signature, then run as flat NumPy."""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable, Hashable, Sequence
from threading import RLock
from typing import Any

from microrecur.compiler.plan import Plan, give_back_memory, without_collecting
from microrecur.compiler.structure import Given, signature_of
from microrecur.compiler.trace import Recording
from microrecur.engine.tracing import CompileError, tracing

KEPT = 32  # recordings of one function that are kept; the one that was used longest ago goes first
KEPT_BYTES = 2**30  # what they may take together, where they are more than a few
_FEW = 4
_MANY = 64  # recordings after which a person is told why there are so many
_LONG = 10_000  # computations whose recording takes tens of megabytes
_LARGE = 1_000_000  # numbers compared at every call, of which a person is told


class Compiled:
    """A function that runs as the flat plan of its recording; what `compile` returns.

    Attributes
    ----------
    function : callable
        The function itself: `compiled.function(...)` simply runs it.
    """

    _watched = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = _name_of(function)
        self._recordings: dict[Hashable, Recording] = {}
        self._last: tuple[Hashable, Recording] | None = None
        self._lock = RLock()
        self._recorded = 0
        self._known: set[int] = set()
        if hasattr(function, "__name__"):
            functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the plan of these arguments' signature; record it first where there is none."""
        if tracing() is not None:  # within another recording it is simply recorded with it
            return self.function(*args, **kwargs)
        with self._lock:
            recording, given = self._recording(args, kwargs)
            needing = tuple([t for _, t in given.tensors if t.requires_grad])
            return recording.run(given.arrays, needing)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: the instance is the first argument."""
        return self if instance is None else types.MethodType(self, instance)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, or another process, records for itself.
        return compile, (self.function,)

    def __repr__(self) -> str:
        taken = sum(found.plan.nbytes for found in list(self._recordings.values())) / 1e6
        count = len(self._recordings)
        return f"<compiled {self.name}, {count} of at most {KEPT} recordings, {taken:.1f} MB>"

    # -- recordings --------------------------------------------------------------------------------

    def _recording(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Recording, Given]:
        given = Given()
        parts = [signature_of(v, given, f"argument {k + 1}") for k, v in enumerate(args)]
        named = [(k, signature_of(v, given, k)) for k, v in kwargs.items()] if kwargs else ()
        key = self._key(parts, named, given)
        last = self._last
        if last is not None and last[0] == key:
            found: Recording | None = last[1]
        else:
            found = self._recordings.pop(key, None)
            if found is not None:  # the youngest again
                self._recordings[key] = found
        why = None if found is None else found.changed()
        if found is None or why is not None:
            found = self._record(key, args, kwargs, why)
            key = self._key(parts, named, given)  # now it is known what the function reads itself
            self._keep(key, found)
        self._last = key, found
        return found, given

    def _key(self, parts: Sequence[Hashable], named: Sequence[Hashable], given: Given) -> Hashable:
        """The signature; tensors that the function also reads by itself count by identity."""
        both = [(k, id(t)) for k, t in given.tensors if id(t) in self._known]
        return (*parts, "named", *named, "known", *both) if named or both else tuple(parts)

    def _record(
        self, key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any], why: str | None
    ) -> Recording:
        self._recordings.pop(key, None)
        self._last = None
        with without_collecting():
            found = Recording(self.function, args, kwargs, self.name)
        if found.plan.recorded > _LONG:
            give_back_memory()
        self._known |= found.known
        self._recorded += 1
        self._warn(found, why)
        return found

    def _keep(self, key: Hashable, found: Recording) -> None:
        self._recordings[key] = found
        while len(self._recordings) > KEPT or (len(self._recordings) > _FEW and self._is_large()):
            del self._recordings[next(iter(self._recordings))]

    def _is_large(self) -> bool:
        return sum(found.plan.nbytes for found in self._recordings.values()) > KEPT_BYTES

    def _warn(self, found: Recording, why: str | None) -> None:
        for label, count in found.watched_arrays():
            if count > _LARGE and self._recorded == 1:
                warnings.warn(
                    f"{self.name} reads the array {label}, {count:,} numbers that are compared at "
                    "every call: give it, or the part that is needed, as an argument",
                    stacklevel=5,
                )
        if self._recorded == _MANY:
            reason = f"{why} changed" if why else "of a signature that was not kept"
            warnings.warn(
                f"{self.name} has been recorded {_MANY} times, the last time because {reason}. A "
                "recording takes as long as many calls: give what changes as an array, not as a "
                "Python number, a list or an attribute",
                stacklevel=5,
            )

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """Return the plan for these arguments, recorded if need be; without any, the last one's."""
        with self._lock:
            if args or kwargs:
                return self._recording(args, kwargs)[0].plan
            if self._last is None:
                raise RuntimeError(
                    f"{self.name} has not been called yet, so there is no plan: call it first, or "
                    "give the arguments to plan for"
                )
            return self._last[1].plan

    # -- what it runs ------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """The NumPy program of the last call, readable."""
        return self.plan().source

    def report(self, *args: Any, **kwargs: Any) -> Any:
        """Say what was merged, hoisted and batched in the plan for these arguments (the last)."""
        return self.plan(*args, **kwargs).report()

    def explain(self, node: str) -> Any:
        """Say where a recorded node such as "t3.f" went in the plan of the last call."""
        return self.plan().explain(node)


def compile(function: Callable[..., Any]) -> Compiled:
    """Return a function that computes the same from a recording of it, as flat NumPy.

    It is recorded at the first call, and once more for every other signature: shapes and dtypes of
    arrays and tensors, the structure of arguments, and the values of those that are neither. Every
    call reads its arguments and all parameters anew. What the function reads besides, such as
    numbers and arrays it closes over or attributes of modules, is constant in the recording and
    compared at every call; where it has changed the function is recorded anew.

    Parameters
    ----------
    function : callable
        Of arrays, tensors, modules, and tuples, lists and dicts of them; a module is one. It must
        compute its result by recorded ops from what it is given.

    Returns
    -------
    Compiled
        Results are tensors without history; gradients come from
        ``compile(value_and_grad(f, wrt))``. Overflow gives inf or nan without a warning.
        `.source`, `.report()` and `.explain("t3.f")` show the plan of the last call. At most 32
        recordings are kept, beyond 4 no more than take 1 GB. One call runs at a time: threads that
        share it wait for each other.

    Raises
    ------
    CompileError
        At the first call, when Python looks at a number of a tensor (``float(x)``, ``if x > 0``,
        ``x.data``), when the function draws random numbers or changes what it was recorded from,
        and when it returns nothing.

    Examples
    --------
    >>> import numpy as np
    >>> import microrecur as mr
    >>> layer = mr.LSTM(3, 4, seed=0)
    >>> last = mr.compile(lambda x: layer(x)[0][-1].sum())
    >>> x = np.ones((5, 2, 3))
    >>> bool(abs(last(x).item() - layer(x)[0][-1].sum().item()) < 1e-12)
    True
    """
    if isinstance(function, Compiled):
        return function
    if not callable(function):
        raise TypeError(f"compile takes a function or a module, not a {type(function).__name__}")
    return Compiled(function)


def _name_of(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return name.rpartition("<locals>.")[2]


__all__ = ["CompileError", "Compiled", "compile"]
