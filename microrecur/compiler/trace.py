"""One recording of a function: its arguments, parameters and draws, and how a call runs it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from microrecur.compiler.effects import noting_entropy
from microrecur.compiler.plan import Plan
from microrecur.compiler.program import Program
from microrecur.compiler.structure import as_native, objects_in, replaced, skeleton
from microrecur.compiler.watch import Watch
from microrecur.engine.primitive import Primitive
from microrecur.engine.tensor import Filing, Tensor, _filed, ancestry, is_recording
from microrecur.engine.tracing import CompileError, Trace, recorded_by
from microrecur.nn.module import Module, watching


class _Compiled(Primitive):
    """The op of a compiled result: it has no history, so a gradient stops here, with a message."""

    def pull(self, k: int, g: Any, y: Any, xs: Sequence[Any], static: dict[str, Any]) -> NoReturn:
        """Refuse: the steps in between were not recorded."""
        _refuse_gradient()

    def push(
        self, ts: Sequence[Any], y: Any, xs: Sequence[Any], static: dict[str, Any]
    ) -> NoReturn:
        """Refuse: the steps in between were not recorded."""
        _refuse_gradient()


_RESULT = _Compiled(
    name="compiled", symbol="f", latex="f(#*)", kind="other", forward=lambda *xs: xs[0]
)


def _refuse_gradient() -> NoReturn:
    raise RuntimeError(
        "a compiled function returns numbers without their history, so no gradient passes through "
        "its result: compile mr.value_and_grad(f, wrt), which returns the value and the gradients; "
        "or take result.detach(), if no gradient should pass"
    )


class Recording:
    """A function recorded once, for arguments of one signature.

    Parameters
    ----------
    function : callable
    args, kwargs
        The arguments of the call that it is recorded from.
    name : str
        What messages call the function.
    """

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], name: str
    ) -> None:
        self.function_name = name
        self._watch = Watch([function, *objects_in(args), *objects_in(kwargs)])
        trace = Trace(name, Tensor(np.zeros(())).serial, function)
        given = _StandIns(trace, function, args, kwargs, self._watch)
        before = skeleton(given.args), skeleton(given.kwargs)
        ran: dict[int, Module] = {}

        def note(module: Module, result: Any) -> None:
            ran[id(module)] = module

        # A plan's numbers overflow in silence, so those of the recording do too.
        with (
            recorded_by(trace),
            _filed(Filing((), True)),
            watching(note),
            noting_entropy() as unseeded,
            np.errstate(all="ignore"),
        ):
            result = _run(function, given)
        if (skeleton(given.args), skeleton(given.kwargs)) != before:
            raise CompileError(
                f"{name} writes into a list or a dict that it is given: it is recorded once, so no "
                "later call would. Return what it should hold"
            )
        self._watch.after_recording(name, trace.outlasting(), ran.values(), bool(unseeded))
        self._outputs: list[Tensor] = []
        self._trace = trace
        self._result = self._described(result)
        if not self._outputs:
            raise CompileError(
                f"{name} returns {_said(result)}: there is nothing to compute. A compiled function "
                "returns tensors, in tuples, lists or dicts; what it does besides happens once"
            )
        nodes = self._find_sources(given)
        self.known = {id(tensor) for tensor in self._watch.tensors()}
        program = Program(self._inputs, self._outputs, trace.gradients, nodes)
        # With these goes all that was recorded, before the plan takes memory of its own.
        del self._trace, self._inputs, self._outputs, trace, given, result, nodes
        self.plan = Plan(program)

    def _find_sources(self, given: _StandIns) -> list[Tensor]:
        """Say where the numbers of each leaf come from: an argument, a parameter, or a draw.

        Return all that the outputs were computed from, oldest first.
        """
        born, nodes = self._trace.born, ancestry(self._outputs)
        for node in nodes:
            if node.serial <= born and node.op is not None:
                raise CompileError(
                    f"{self.function_name} reads {node._label()} {node.shape}, which was computed "
                    "before by "
                    f"{node.op.name}: compute it inside, or give it as an argument, so that every "
                    "call has its numbers of then"
                )
        leaves = {node for node in nodes if node.op is None and node.serial > born}
        used = [(k, leaf) for k, leaf in enumerate(given.leaves) if leaf in leaves]
        self._used = [k for k, _ in used]
        self._parameters = [n for n in nodes if n.op is None and n.serial <= born]
        draws = self._trace.draws
        # All are drawn, also those that nothing reads: the next mask is the next one's.
        self._draws = [draw for _, draw in draws]
        self._inputs = [leaf for _, leaf in used] + self._parameters + [leaf for leaf, _ in draws]
        for parameter in self._parameters:
            self._watch.look_into(parameter, parameter._label())
        self._needing = [p for p in self._parameters if p.requires_grad]
        return nodes

    # -- results -----------------------------------------------------------------------------------

    def _described(self, result: Any) -> Callable[[list[np.ndarray]], Any]:
        """How the result is put together from the outputs' arrays."""
        if isinstance(result, Tensor):
            return self._described_tensor(result)
        if isinstance(result, (np.ndarray, np.generic)):
            return functools.partial(_copy_of, np.array(result))
        if result is None or isinstance(result, (bool, int, float, str)):
            return functools.partial(_itself, result)
        if isinstance(result, dict):
            makers = {k: self._described(v) for k, v in result.items()}
            return lambda arrays: {k: make(arrays) for k, make in makers.items()}
        if isinstance(result, (tuple, list)):
            parts = [self._described(v) for v in result]
            kind: Any = type(result)
            if hasattr(result, "_fields"):
                return lambda arrays: kind(*(make(arrays) for make in parts))
            return lambda arrays: kind(make(arrays) for make in parts)
        raise CompileError(
            f"{self.function_name} returns {_said(result)}: a compiled function returns tensors, "
            "arrays and numbers, in tuples, lists or dicts"
        )

    def _described_tensor(self, output: Tensor) -> Callable[[list[np.ndarray]], Any]:
        k = len(self._outputs)
        self._outputs.append(output)
        if output in self._trace.as_arrays:
            return lambda arrays: arrays[k]
        name, needs = output.name, output.requires_grad

        def make(arrays: list[np.ndarray]) -> Tensor:
            made = Tensor(arrays[k])
            made.name = name
            if needs and self._needing_now and is_recording():
                made.op, made.inputs, made.requires_grad = _RESULT, self._needing_now, True
            return made

        return make

    # -- a call ------------------------------------------------------------------------------------

    def changed(self) -> str | None:
        """Say what was changed since that the recording took for granted; None if nothing was."""
        return self._watch.changed()

    def watched_arrays(self) -> list[tuple[str, int]]:
        """Arrays that are compared at every call: what they are, and how many numbers."""
        return self._watch.arrays()

    def run(self, arrays: list[np.ndarray], tensors: tuple[Tensor, ...]) -> Any:
        """Compute the result from the arguments' arrays and the parameters' present numbers."""
        inputs = [arrays[k] for k in self._used]
        inputs += [p._data for p in self._parameters]
        inputs += [draw() for draw in self._draws]
        self._needing_now = (*self._needing, *tensors)
        return self._result(self.plan.run(inputs))


class _StandIns:
    """The leaves that stand for the arrays and tensors among the arguments, in order."""

    def __init__(
        self,
        trace: Trace,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        watch: Watch,
    ) -> None:
        self._trace, self._known = trace, set(watch.tensors())
        self.leaves: list[Tensor] = []
        names = _argument_names(function, len(args))
        self.args = tuple(replaced(v, self._leaf, name) for v, name in zip(args, names))
        self.kwargs = {k: replaced(v, self._leaf, k) for k, v in kwargs.items()}

    def _leaf(self, value: Any, place: str) -> Tensor:
        if isinstance(value, Tensor) and value in self._known and value.is_leaf:
            self.leaves.append(value)  # the function also reads it by itself: one and the same
            return value
        if isinstance(value, Tensor):
            leaf = Tensor(value._data, requires_grad=value.requires_grad)
            leaf.name = value.name or place
        else:
            leaf = Tensor(np.array(as_native(value, place)))
            leaf.name = place
            self._trace.arrays.add(leaf)
        self._trace.given.add(leaf)
        self.leaves.append(leaf)
        return leaf


def _run(function: Any, given: _StandIns) -> Any:
    try:
        return function(*given.args, **given.kwargs)
    except (AttributeError, TypeError) as error:
        if given.leaves and not isinstance(error, CompileError):
            error.add_note(
                "While a function is compiled its array arguments are tensors: they know the ops "
                "of microrecur, not every method and function of NumPy. Do the rest outside"
            )
        raise


def _argument_names(function: Any, count: int) -> list[str]:
    """What the function calls its first arguments."""
    function = function.forward if isinstance(function, Module) else function
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "argument ")
    return (
        names
        + [
            f"{rest}[{k}]" if rest != "argument " else f"argument {len(names) + k + 1}"
            for k in range(max(0, count - len(names)))
        ]
    )[:count]


def _copy_of(array: np.ndarray, arrays: list[np.ndarray]) -> np.ndarray:
    return array.copy()


def _itself(value: Any, arrays: list[np.ndarray]) -> Any:
    return value


def _said(result: Any) -> str:
    return "None" if result is None else f"a {type(result).__name__}"
