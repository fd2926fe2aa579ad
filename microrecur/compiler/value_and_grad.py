"""`value_and_grad`: a function that returns its value and the gradients, to be compiled or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

import numpy as np

from microrecur.compiler.structure import replaced
from microrecur.engine.calculus import grad, vjp
from microrecur.engine.tensor import Filing, Tensor, _filed, current_scope, tensor
from microrecur.engine.tracing import tracing
from microrecur.nn.module import Module

_within: ContextVar[str | None] = ContextVar("within", default=None)

Wrt = Module | Tensor | Iterable[Tensor] | int | Iterable[int]


class ValueAndGrad:
    """What `value_and_grad` returns: called as its function, it gives the gradients too."""

    _watched = ("function", "wrt")

    def __init__(self, function: Callable[..., Any], wrt: Wrt) -> None:
        self.function = function
        self.wrt = wrt if isinstance(wrt, (Module, Tensor, int)) else tuple(wrt)
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__qualname__ = f"value_and_grad({self.__name__})"
        self.__doc__ = getattr(function, "__doc__", None)
        self.__wrapped__ = function
        _check(self.wrt)

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        """Return the value, and the gradients in the order of `wrt`."""
        trace = tracing()
        compiled = trace is not None and trace.root is self  # and not a part of what is
        with _filed(Filing(current_scope(), True)):  # asked for: under `no_grad` too
            if not compiled:
                args = replaced(args, _without_history, "")
                kwargs = replaced(kwargs, _without_history, "")
            args, wanted, ordered = self._wanted(args, compiled)
            y = self._value(args, kwargs)
            _check_value(y, self.__name__)
            if trace is None:
                return y.detach(), ordered(vjp(y, wanted))
            gradients = grad(y, wanted, by_result=True)
            if not compiled:  # numbers for what comes after, as they are when it simply runs
                y, gradients = y.detach(), [g.detach() for g in gradients]
            trace.as_arrays.update(gradients)
            return y, ordered(gradients)

    def _value(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outer = _within.get()
        if outer is not None:
            raise TypeError(
                f"{self.__qualname__} is called within {outer}: it gives numbers without history, "
                "so no gradient would pass through them; write mr.grad(y, x) inside, whose results "
                "are recorded, and .detach() where one is meant to be constant"
            )
        token = _within.set(self.__qualname__)
        try:
            return self.function(*args, **kwargs)
        finally:
            _within.reset(token)

    def _wanted(
        self, args: tuple[Any, ...], compiled: bool
    ) -> tuple[tuple[Any, ...], list[Tensor], Callable[[list[Any]], Any]]:
        """The arguments, the tensors to differentiate by, and how their gradients are returned."""
        wrt: Any = self.wrt
        if isinstance(wrt, Module):
            return args, wrt.parameters(), list
        if isinstance(wrt, Tensor):
            return args, [wrt], lambda gradients: gradients[0]
        if isinstance(wrt, tuple) and (not wrt or isinstance(wrt[0], Tensor)):
            return args, list(wrt), list
        return self._wanted_arguments(args, (wrt,) if isinstance(wrt, int) else wrt, compiled)

    def _wanted_arguments(
        self, args: tuple[Any, ...], numbers: tuple[int, ...], compiled: bool
    ) -> tuple[tuple[Any, ...], list[Tensor], Callable[[list[Any]], Any]]:
        given, wanted = list(args), []

        def leaf(value: Any, place: str) -> Tensor:
            wanted.append(_as_leaf(value, place, compiled))
            return wanted[-1]

        for k in numbers:
            if k >= len(args):
                raise TypeError(
                    f"value_and_grad: argument number {k} of {self.__name__} is wanted, but "
                    f"{len(args)} were given by place; the first is number 0"
                )
            before = len(wanted)
            given[k] = replaced(args[k], leaf, f"argument {k}")
            if len(wanted) == before:
                raise TypeError(
                    f"value_and_grad: argument number {k} of {self.__name__} is a "
                    f"{type(args[k]).__name__}: a gradient belongs to arrays and tensors; write "
                    "np.array(…)"
                )

        def ordered(gradients: list[Any]) -> Any:
            left = iter(gradients)
            made = [replaced(args[k], lambda value, place: next(left), "") for k in numbers]
            return made[0] if isinstance(self.wrt, int) else tuple(made)

        return tuple(given), wanted, ordered


def value_and_grad(function: Callable[..., Any], wrt: Wrt) -> ValueAndGrad:
    """Return a function that gives f's value and its gradients; nobody's `.grad` is touched.

    Parameters
    ----------
    function : callable
        Returns a tensor of one number.
    wrt : Module, Tensor, sequence of Tensor, int or sequence of int
        By what to differentiate: parameters (a module's, in the order of `parameters()`), or
        arguments by number, from 0. What an argument was computed from is not followed.

    Returns
    -------
    ValueAndGrad
        Called as f. It returns the value, a tensor without history, and the gradients as arrays: a
        list for a module or a sequence of tensors; one array for a tensor; for a number what that
        argument is, an array for an array; a tuple for several numbers. What f does not depend on
        has zeros. It runs as it is, and quicker as ``compile(value_and_grad(f, wrt))``: equal to
        1e-15, where gates are so saturated that σ′ is smaller than that also to 0.

    Raises
    ------
    TypeError
        When f does not return a tensor, or an argument that is wanted is no array of floats.
    ShapeError
        When f returns more than one number.

    Examples
    --------
    >>> import microrecur as mr
    >>> square = mr.value_and_grad(lambda x: (x * x).sum(), 0)
    >>> value, gradient = square(np.array([1.0, 2.0]))
    >>> value.item(), gradient
    (5.0, array([2., 4.]))
    """
    if not callable(function):
        raise TypeError(
            f"value_and_grad takes a function, not a {type(function).__name__}; "
            "mr.vjp differentiates a tensor"
        )
    return ValueAndGrad(function, wrt)


def _check(wrt: Any) -> None:
    parts = wrt if isinstance(wrt, tuple) else (wrt,)
    if isinstance(wrt, Module) and not wrt.parameters():
        raise ValueError(f"value_and_grad: {type(wrt).__name__} has no parameters")
    kinds = {bool: "a bool", str: "a str"}
    for part in parts:
        number = isinstance(part, int) and not isinstance(part, bool) and part >= 0
        if not (number or isinstance(part, (Module, Tensor))) or (
            isinstance(wrt, tuple) and isinstance(part, Module)
        ):
            what = kinds.get(type(part), repr(part))
            raise TypeError(
                "value_and_grad: wrt is a module, a tensor, a sequence of tensors, or the numbers "
                f"of arguments from 0, not {what}"
            )
    if not parts or len({isinstance(part, int) for part in parts}) > 1:
        raise TypeError(
            "value_and_grad: wrt is parameters or numbers of arguments, one kind and at least one"
        )


def _check_value(y: Any, name: str) -> None:
    if not isinstance(y, Tensor):
        what = f"a tuple of {len(y)}" if isinstance(y, tuple) else f"a {type(y).__name__}"
        raise TypeError(
            f"value_and_grad: {name} must return one number as a tensor, not {what}; it is "
            "computed by recorded ops from tensors or parameters"
        )


def _without_history(value: Any, place: str) -> Any:
    """An argument: its numbers, whatever they were computed from."""
    return value.detach() if isinstance(value, Tensor) and not value.is_leaf else value


def _as_leaf(value: Any, place: str, compiled: bool) -> Tensor:
    """The tensor that an argument is differentiated by: itself alone, wherever else it is read."""
    trace = tracing()
    if isinstance(value, Tensor):
        if value.dtype.kind == "f":
            if trace is None or not compiled or value.serial <= trace.born:
                value = value.detach()
            if trace is not None:  # from here on a tensor, also where it was given as an array
                trace.arrays.discard(value)
                trace.made.add(value)
            return value
    elif np.asarray(value).dtype.kind == "f":
        return tensor(value, requires_grad=True)
    raise TypeError(
        f"value_and_grad: {place} holds {value.dtype}, and a gradient of whole numbers means "
        "nothing; write 1.0 or .astype(float)"
    )
