"""A recording, read once: every computation that differs, what it reads, and its place.

Reading merges computations that are the same (one op, the same inputs, the same arguments) and
works out what depends on constants alone. What is left is numbered, oldest first.
"""

from __future__ import annotations

import copy
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from microrecur.engine.tensor import Tensor, ancestry, by_step

BACKWARD = "∂"
_NO_STEP = -(2**62)

INPUT, CONSTANT, COMPUTED = range(3)


class Program:
    """The computations of a recording, by number; parallel lists say what each one is.

    Attributes
    ----------
    kind : list of int
        INPUT, CONSTANT or COMPUTED.
    op, static : list
        The card and its arguments that are no tensors.
    args : list of tuple of int
        What it reads.
    shape, dtype : list
        Of its result.
    step : list of int or None
        The t in whose scope it was recorded, unless it is the same at every t.
    place : list of int
        Its scope before and after the step, a number into `places`.
    data : dict of int to ndarray
        The numbers of the constants.
    names : list of str or None
        Textbook names.
    filed : iterable of (t, place, name, whether unnamed, number)
        Where each recorded tensor was filed, and which computation it is.
    taken_by : iterable of (t, place, name, whether unnamed, number)
        By what each gradient is taken, filed likewise, and which computation it is.
    inputs, outputs : list of int
        Those given at every call, those returned.
    own : tuple of two lists of ndarray
        The inputs' and the outputs' numbers of the recorded run itself.
    merged : int
        How many computations were the same as an older one.
    """

    def __init__(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        gradients: Mapping[Tensor, Tensor],
        nodes: list[Tensor] | None = None,
    ) -> None:
        self.kind: list[int] = []
        self.op: list[Any] = []
        self.static: list[dict[str, Any]] = []
        self.args: list[tuple[int, ...]] = []
        self.shape: list[tuple[int, ...]] = []
        self.dtype: list[np.dtype[Any]] = []
        self.step: list[int | None] = []
        self.place: list[int] = []
        self.places: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((), ())]
        self._known_places: dict[Any, int] = {}
        self.data: dict[int, np.ndarray] = {}
        self.names: list[str | None] = []
        self.number: dict[Tensor, int] = {}
        self.merged = 0
        self._constants: dict[Any, int] = {}
        self.recorded = 0
        # An input need not be a leaf: what it was computed from is then of no interest.
        given = set(inputs)
        nodes = ancestry(outputs) if nodes is None else nodes
        nodes = _without_what_inputs_hide(nodes, outputs, given)
        for tensor in inputs:
            if tensor not in self.number:
                self.number[tensor] = self._add_leaf(tensor, INPUT)
        self._read(nodes, given)
        self.inputs = [self.number[x] for x in inputs]
        self.outputs = [self.number[y] for y in outputs]
        self.own = [x._data for x in inputs], [y._data for y in outputs]
        # What was recorded is let go: how each tensor was filed is all that is asked for later.
        self.filed = _Filed(self, self.number.items())
        number = self.number
        named = ((x, number[g]) for g, x in gradients.items() if g in number)
        self.taken_by = _Filed(self, named)
        said: dict[str, str] = {}
        for _, _, name, unnamed, n in self.taken_by:
            if not unnamed and self.names[n] is None and self.kind[n] == COMPUTED:
                self.names[n] = said.setdefault(name, f"d_{name}")
        del self.number

    def __len__(self) -> int:
        return len(self.kind)

    def add(
        self,
        kind: int,
        op: Any,
        args: tuple[int, ...],
        static: dict[str, Any],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        step: int | None = None,
        place: int = 0,
        name: str | None = None,
    ) -> int:
        """Append a computation and return its number."""
        self.kind.append(kind)
        self.op.append(op)
        self.static.append(static)
        self.args.append(args)
        self.shape.append(shape)
        self.dtype.append(dtype)
        self.step.append(step)
        self.place.append(place)
        self.names.append(name)
        return len(self.kind) - 1

    def copied(self) -> Program:
        """The same program, for passes to change apart from this one."""
        other = copy.copy(self)
        for name in ("kind", "op", "static", "args", "shape", "dtype", "step", "place", "names"):
            setattr(other, name, list(getattr(self, name)))
        other.data, other._constants = dict(self.data), dict(self._constants)
        return other

    def constant(self, data: np.ndarray) -> int:
        """The number of a constant; equal ones share it."""
        key = (data.dtype, data.shape, data.tobytes()) if data.size <= 64 else id(data)
        found = self._constants.get(key)
        if found is None:
            found = self.add(CONSTANT, None, (), {}, data.shape, data.dtype)
            self.data[found] = data
            self._constants[key] = found
        return found

    def _add_leaf(self, tensor: Tensor, kind: int) -> int:
        data = tensor._data
        if kind == CONSTANT:
            return self.constant(data)
        before, t, after = by_step(tensor.scope)
        place = self._place_of(before, after)
        return self.add(kind, None, (), {}, data.shape, data.dtype, t, place, tensor.name)

    def _place_of(self, before: tuple[str, ...], after: tuple[str, ...]) -> int:
        place = self._known_places.get((before, after))
        if place is None:
            place = self._known_places[before, after] = len(self.places)
            self.places.append((before, after))
        return place

    def _read(self, nodes: Sequence[Tensor], given: set[Tensor]) -> None:
        # The one loop over everything recorded: what it needs is at hand, lists are filled in line.
        number, kind, step, names = self.number, self.kind, self.step, self.names
        seen: dict[Any, int] = {}
        filed: dict[tuple[str, ...], tuple[int | None, int]] = {}
        constants = self._constants
        keep_op, keep_args, keep_static = self.op.append, self.args.append, self.static.append
        keep_shape, keep_dtype = self.shape.append, self.dtype.append
        keep_place = self.place.append
        for tensor in nodes:
            op = tensor.op
            if op is None or tensor in given:
                if tensor not in given:
                    number[tensor] = self._add_leaf(tensor, CONSTANT)
                continue
            self.recorded += 1
            inputs = tensor.inputs
            args = (
                (number[inputs[0]], number[inputs[1]])
                if len(inputs) == 2
                else tuple([number[x] for x in inputs])
            )
            static = tensor.static
            key = (op, args, static_key(static)) if static else (op, args)
            scope = tensor.scope
            where = filed.get(scope)
            if where is None:
                before, t, after = by_step(scope)
                where = filed[scope] = (t, self._place_of(before, after))
            found = seen.get(key)
            if found is not None:
                number[tensor] = found
                self.merged += 1
                if where[0] != step[found]:
                    step[found] = None  # the same at two steps: it is outside of them
                if names[found] is None:
                    names[found] = tensor.name
                continue
            data = tensor._data
            if constants and kind[args[0]] == CONSTANT and self._is_fixed(args, data, where[0]):
                seen[key] = number[tensor] = self.constant(data)
                self.merged += 1
                continue
            seen[key] = number[tensor] = len(kind)
            kind.append(COMPUTED)
            step.append(where[0])
            names.append(tensor.name)
            keep_op(op)
            keep_args(args)
            keep_static(static)
            keep_shape(data.shape)
            keep_dtype(data.dtype)
            keep_place(where[1])

    def _is_fixed(self, args: tuple[int, ...], data: np.ndarray, t: int | None) -> bool:
        """Whether it is made of constants; in a step it stays, so that all steps do the same."""
        return (data.size == 1 or not t) and all(self.kind[a] == CONSTANT for a in args)

    def numbers_by_id(self) -> dict[str, int]:
        """The number of every recorded tensor by its id, as pictures have it."""
        found: dict[str, int] = {}
        for filed, more in ((self.filed, ()), (self.taken_by, (BACKWARD,))):
            for t, place, name, unnamed, n in filed:
                before, after = self.places[place]
                step = () if t is None else (f"t{t}",)
                found.setdefault(
                    ".".join((*more, *before, *step, *(after if unnamed else ()), name)), n
                )
        return found

    def forget_details(self) -> None:
        """Let go of all but names, places and steps: it can be explained, no longer compiled."""
        self.args, self.static, self.shape, self.dtype = [], [], [], []
        self.data.clear()
        self._constants.clear()
        self.kind = array("b", self.kind)  # type: ignore[assignment]
        self.place = array("i", self.place)  # type: ignore[assignment]
        steps = [_NO_STEP if t is None else t for t in self.step]
        self.step = array("q", steps)  # type: ignore[assignment]

    def step_of(self, n: int) -> int | None:
        """The t in whose scope a computation was recorded."""
        t = self.step[n]
        return None if t == _NO_STEP else t

    def label(self, n: int) -> str:
        """Its id as in pictures: t3.f; unnamed ones by their op."""
        before, after = self.places[self.place[n]]
        t = self.step_of(n)
        parts = [*before, *([] if t is None else [f"t{t}"])]
        name = self.names[n]
        if name is None:
            op = self.op[n]
            parts += after
            name = "number" if op is None else op.name
        return ".".join([*parts, name])


class _Filed:
    """(t, place, name, whether unnamed, number) of tensors, in little memory: there are many."""

    def __init__(self, program: Program, tensors: Iterable[tuple[Tensor, int]]) -> None:
        kept: dict[Any, int] = {}
        places: dict[Any, tuple[int, int]] = {}
        self._ways, self._steps, self._numbers = array("i"), array("q"), array("i")
        for x, n in tensors:
            where = places.get(x.scope)
            if where is None:
                before, t, after = by_step(x.scope)
                place = program._place_of(before, after)
                where = places[x.scope] = (_NO_STEP if t is None else t, place)
            name = x.name
            if name is None:
                op = x.op
                way = (where[1], "number" if op is None else op.name, True)
            else:
                way = (where[1], name, False)
            self._ways.append(kept.setdefault(way, len(kept)))
            self._steps.append(where[0])
            self._numbers.append(n)
        self._kept = list(kept)

    def __iter__(self) -> Iterator[tuple[int | None, int, str, bool, int]]:
        for way, t, n in zip(self._ways, self._steps, self._numbers, strict=True):
            yield (None if t == _NO_STEP else t, *self._kept[way], n)


def _without_what_inputs_hide(
    nodes: list[Tensor], outputs: Sequence[Tensor], given: set[Tensor]
) -> list[Tensor]:
    """What the outputs were computed from, oldest first, not looking beyond the inputs."""
    if all(x.op is None for x in given):
        return nodes
    needed = set(outputs)
    for node in reversed(nodes):
        if node in needed and node not in given:
            needed.update(node.inputs)
    return [node for node in nodes if node in needed]


def static_key(static: Any) -> Any:
    """Arguments that are no tensors, as something hashable that equals only what means the same."""
    kind = type(static)
    if kind is int or kind is str or kind is float or kind is bool:
        return (kind, static)
    if kind is dict:
        return tuple([(k, static_key(v)) for k, v in static.items()])
    if kind is tuple or kind is list:
        return (kind, *[p if type(p) is int else static_key(p) for p in static])
    if kind is slice:
        return (slice, static.start, static.stop, static.step)
    if isinstance(static, np.ndarray):
        return (np.ndarray, static.shape, static.dtype, static.tobytes())
    try:
        hash(static)
    except TypeError:
        return id(static)
    return (kind, static)
