"""A recorded graph as one flat NumPy program, run with new numbers at every call."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from microrecur.compiler.lowering import VIEWS, Call, calls_of, view_of
from microrecur.compiler.program import COMPUTED, CONSTANT, Program
from microrecur.engine.tensor import Tensor


class Plan:
    """What `build` makes of a recording: `run` computes its outputs from new inputs."""

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self._lock = threading.Lock()
        program = Program(inputs, outputs)
        self._program = program
        where: dict[int, np.ndarray] = {}
        calls: list[Call] = []
        for n, kind in enumerate(program.kind):
            if kind == CONSTANT:
                where[n] = program.data[n]
                continue
            if kind == COMPUTED:
                op, static = program.op[n], program.static[n]
                xs = [where[a] for a in program.args[n]]
                if op.name in VIEWS:
                    view = view_of(op, static, xs)
                    if view is not None:
                        where[n] = view
                        continue
                where[n] = out = np.empty(program.shape[n], program.dtype[n])
                calls += calls_of(op, static, xs, out)
            else:
                where[n] = np.empty(program.shape[n], program.dtype[n])
        self._calls = [(c.function, c.arrays) for c in calls]
        self._inputs = [where[n] for n in program.inputs]
        self._outputs = [where[n] for n in program.outputs]
        self.source = "\n".join(c.name for c in calls)

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return fresh outputs for these inputs, which are only read; one thread at a time."""
        with self._lock, np.errstate(all="ignore"):
            for place, array in zip(self._inputs, arrays, strict=True):
                np.copyto(place, array)
            for function, given in self._calls:
                function(*given)
            return [np.array(out, order="C") for out in self._outputs]

    def report(self) -> str:
        """Say what became of the recording."""
        return f"{len(self._calls)} calls"

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
