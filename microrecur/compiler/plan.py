"""A recorded graph as one flat NumPy program, run with new numbers at every call."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from microrecur.compiler.emit import Writer
from microrecur.compiler.families import Families, cycles
from microrecur.compiler.names import Names
from microrecur.compiler.places import Places
from microrecur.compiler.program import Program
from microrecur.compiler.reading import Reading
from microrecur.compiler.recurrence import (
    Recurrence,
    keeps_small_digits,
    recurrence_of,
)
from microrecur.compiler.replay import Replay, are_finite
from microrecur.compiler.report import Report, not_folded, report_of, table, way_of
from microrecur.compiler.scalars import ScalarPlan, ScalarSource
from microrecur.compiler.schedule import Schedule
from microrecur.compiler.simplify import Simplifier
from microrecur.compiler.totals import even_out, gather_totals
from microrecur.engine.calculus import recorded_gradients
from microrecur.engine.tensor import Tensor, _by_step

Passes = Callable[[Program], tuple[Families, list[Recurrence]]]

_AS_RECORDED = """def run(*inputs):
    return recorded(inputs)  # the ops as they were recorded, one by one
"""


class Plan:
    """What `build` makes of a recording: `run` computes its outputs from new inputs.

    A plan owns its memory and writes into it at every run, so it serves one thread at a time; a
    lock holds the others back.

    Attributes
    ----------
    source : str
        The program, to be read.
    fallen_back : str or None
        Why the plan computes in the recorded order, nothing folded over time: a folded one is run
        once with the recording's numbers, and is not taken where it does not give its results.
    """

    _run: Callable[[], None] | None
    _scalars: ScalarPlan | None
    _places: Places | None

    def __init__(self, program: Program) -> None:
        self._lock = threading.Lock()
        self.fallen_back: str | None = None
        with without_collecting():
            self._replay = Replay(program)
            spare = program.copied()
            self.fallen_back = self._failure(program, _passes)
            if self.fallen_back is not None and self._failure(spare, _in_recorded_order):
                self._program, self._run = spare, None
                self._scalars = self._places = None

    def _failure(self, program: Program, passes: Passes) -> str | None:
        """Make the plan, run it with the recording's numbers, and say what is wrong with it."""
        own, expected = program.own
        program.own = [], []
        try:
            self._make(program, passes)
            return self._replay.difference(self.run(own), expected)
        except MemoryError:
            raise
        except Exception as error:  # whatever it is: there is a way that is sure
            return f"{type(error).__name__}: {error}"

    def _make(self, program: Program, passes: Passes) -> None:
        self._program = program
        self._run = self._scalars = self._places = None
        self._held = 0
        self._floats = [k for k, n in enumerate(program.outputs) if program.dtype[n].kind == "f"]
        numbers = ScalarSource(program)
        if numbers.fits and self.fallen_back is None:
            self._scalars = ScalarPlan(program, numbers)
            return
        self._places = places = Places(*passes(program))
        schedule = Schedule(places)
        writer = Writer(schedule.pieces)
        self._run = writer.compiled()
        self._names, self._pieces = Names(places, schedule.ones), schedule.pieces
        self._inputs = [places.spots[n].array() for n in program.inputs]
        self._outputs = [places.spots[n].array() for n in program.outputs]
        roots = {id(s.root): s.root.nbytes for s in places.spots.values()}
        self._held = sum(roots.values())
        self._report = report_of(program, places, schedule.pieces, self.fallen_back)
        # What a run or an explanation needs no more, as long as the sequence is.
        program.forget_details()
        places.forget_details()

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Compute the outputs for these inputs.

        Parameters
        ----------
        arrays : sequence of ndarray
            One per input, of its shape and dtype; only read.

        Returns
        -------
        list of ndarray
            The outputs, each an array of its own that belongs to the caller.
        """
        if self._scalars is not None:
            return self._scalars.run(arrays)
        if self._run is None:  # neither plan was right
            return self._replay.run(arrays)
        with self._lock, np.errstate(all="ignore"):
            for place, array in zip(self._inputs, arrays, strict=True):
                np.copyto(place, array)
            self._run()
            found = [out.copy() for out in self._outputs]
        # Where a number is none, the order of sums decides which: the recording's.
        return found if are_finite([found[k] for k in self._floats]) else self._replay.run(arrays)

    @property
    def nbytes(self) -> int:
        """About how many bytes it holds: buffers, and some hundred per recorded computation."""
        return self._held + self._held // 4 + 240 * self.recorded

    @property
    def recorded(self) -> int:
        """How many computations the recording has."""
        return self._program.recorded

    @property
    def source(self) -> str:
        """The program: straight Python where all are single numbers, else as `Reading` writes it.

        What it defines, `run`, takes the inputs and returns the outputs, digit by digit those of
        the plan.
        """
        return self._read[0]

    @property
    def namespace(self) -> dict[str, Any]:
        """What the source needs that is neither NumPy's nor imported."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[str, dict[str, Any]]:
        if self._scalars is not None:
            return self._scalars.source, self._scalars.namespace
        if self._run is None:
            return _AS_RECORDED, {"recorded": self._replay.run}
        reading = Reading(self._names, self._pieces)
        return reading.source, reading.namespace

    def report(self) -> Report:
        """Say what was merged, hoisted, batched and joined; calls, buffers and bytes."""
        if self._places is not None:
            return self._report
        rows = [
            ("recorded computations", f"{self._program.recorded:,}"),
            ("merged with an equal one", f"{self._program.merged:,}"),
        ]
        if self._scalars is not None:
            rows.append(("operations on floats per run", f"{self._scalars.count:,}"))
        return table([*rows, *not_folded(self.fallen_back)])

    def explain(self, node: str) -> str:
        """Say where a recorded node such as "t3.f" went.

        Raises
        ------
        UnknownNode
            When no node is called so; the nearest ids are named.
        """
        said = way_of(self._program, self._places, node)
        if self._scalars is None and self._run is None and " one number," in said:
            return f"{node} is computed by itself, by the op that was recorded."
        return said


@contextmanager
def without_collecting() -> Iterator[None]:
    """Keep the garbage collector from walking the whole recording again and again meanwhile."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def give_back_memory() -> None:
    """Return what a long recording took to the system, which the C library keeps (glibc)."""
    _by_step.cache_clear()  # what it keeps of a recording keeps the memory around it
    trim = getattr(ctypes.CDLL(None) if os.name == "posix" else None, "malloc_trim", None)
    if trim is not None:
        trim(0)


def _passes(program: Program) -> tuple[Families, list[Recurrence]]:
    """Everything that makes a recording less work, in order."""
    families = Families(program)
    even_out(families)
    gather_totals(families, cycles(families))
    families.remove_dead()
    squashed = not keeps_small_digits(families)
    for recurrence in _recurrences(families):
        Simplifier(families, recurrence, squashed).run()
    families.remove_dead()
    return families, _recurrences(families)


def _in_recorded_order(program: Program) -> tuple[Families, list[Recurrence]]:
    """One computation after another, none of them moved."""
    steps, program.step = program.step, [None] * len(program)
    families = Families(program)
    program.step = steps
    return families, []


def _recurrences(families: Families) -> list[Recurrence]:
    """The loops over the steps; what no loop computes is taken apart, step by step."""
    found = []
    for component in cycles(families):
        if len(component) == 1 and component[0] not in families.reads(component[0]):
            continue
        recurrence = recurrence_of(families, component)
        if recurrence is not None:
            found.append(recurrence)
            continue
        for family in component:
            del families.alive[family.number]
            for n, t in zip(family.nodes, family.steps, strict=True):
                families.found([n], [t])
    return found


def build(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    gradients: Mapping[Tensor, Tensor] | None = None,
) -> Plan:
    """Return the plan that computes these recorded outputs from these inputs.

    Parameters
    ----------
    inputs : sequence of Tensor
        What is given anew at every call: arguments and parameters. All other leaves are constants.
    outputs : sequence of Tensor
        What a call returns; gradients recorded by `grad` among them.
    gradients : mapping of Tensor to Tensor, optional
        By what each recorded gradient is taken, for names; what `grad` remembers where not given.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> x = tensor([1.0, 2.0])
    >>> plan = build([x], [x * 2 + 1])
    >>> plan.run([np.array([3.0, 4.0])])
    [array([7., 9.])]
    """
    if gradients is None:
        gradients = recorded_gradients()
    return Plan(Program(inputs, outputs, gradients))


__all__ = ["Plan", "build"]
