"""A recorded graph as one flat NumPy program, run with new numbers at every call."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from microrecur.compiler.emit import Writer
from microrecur.compiler.families import Families, cycles, even_out, gather_totals
from microrecur.compiler.places import Places
from microrecur.compiler.program import Program
from microrecur.compiler.recurrence import (
    Recurrence,
    Simplifier,
    keeps_small_digits,
    recurrence_of,
)
from microrecur.compiler.schedule import Schedule
from microrecur.engine.tensor import Tensor


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


def _passes(program: Program) -> tuple[Families, list[Recurrence]]:
    families = Families(program)
    even_out(families)
    gather_totals(families, cycles(families))
    families.remove_dead()
    squashed = not keeps_small_digits(families)
    for recurrence in _recurrences(families):
        Simplifier(families, recurrence, squashed).run()
    families.remove_dead()
    return families, _recurrences(families)


class Plan:
    """What `build` makes of a recording: `run` computes its outputs from new inputs."""

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self._lock = threading.Lock()
        program = Program(inputs, outputs)
        self._program = program
        families, recurrences = _passes(program)
        places = Places(families, recurrences)
        schedule = Schedule(places)
        writer = Writer(program, schedule.pieces)
        self.source = writer.source
        self._run = writer.compiled()
        self._inputs = [places.spots[n].array() for n in program.inputs]
        self._outputs = [places.spots[n].array() for n in program.outputs]
        self._schedule = schedule

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return fresh outputs for these inputs, which are only read; one thread at a time."""
        with self._lock, np.errstate(all="ignore"):
            for place, array in zip(self._inputs, arrays, strict=True):
                np.copyto(place, array)
            self._run()
            return [np.array(out, order="C") for out in self._outputs]

    def report(self) -> str:
        """Say what became of the recording."""
        return f"{len(self._schedule.pieces)} pieces"

    def explain(self, node: str) -> str:
        """Say where a node went."""
        return node


def build(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Plan:
    """Return the plan that computes these recorded outputs from these inputs.

    Parameters
    ----------
    inputs : sequence of Tensor
        What is given anew at every call: arguments and parameters. All other leaves are constants.
    outputs : sequence of Tensor
        What a call returns; gradients recorded by `grad` among them.
    """
    return Plan(inputs, outputs)


__all__ = ["Plan", "build"]
