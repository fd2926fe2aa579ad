"""What a model is made of: its modules, what each returned for an input, and how many numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from microrecur.engine.tensor import Tensor, no_grad
from microrecur.flows.tables import Table, column
from microrecur.nn.module import Module, watching


@dataclass(frozen=True)
class ModuleRow:
    """One module of a model."""

    module: str  # its dotted name; "" for the model itself
    type: str
    output: str = field(metadata=column("output"))
    parameters: int  # of it and all inside, each once


def summary(model: Module, *inputs: Any, **options: Any) -> Table[ModuleRow]:
    """Run the model once and return a table of its modules.

    Nothing is recorded or changed by it: it runs in evaluation, and dropout draws no mask.

    Parameters
    ----------
    model : Module
    *inputs, **options
        What the model is called with.

    Returns
    -------
    Table
        One row per module, the model first: name, type, shapes of what it returned (empty where it
        did not run, "—" for what is no tensor), parameters of it and all inside.

    Examples
    --------
    >>> import numpy as np
    >>> from microrecur.nn.simple import Linear, Sequential
    >>> print(summary(Sequential(Linear(3, 4), Linear(4, 2)), np.ones((5, 3))))
    module  type        output  parameters
            Sequential  (5, 2)          26
    0       Linear      (5, 4)          16
    1       Linear      (5, 2)          10
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: a model is a Module, not a {type(model).__name__}")
    returned: dict[int, str] = {}

    def note(module: Module, result: Any) -> None:
        returned[id(module)] = _shapes(result)

    with no_grad(), _in_evaluation(model), watching(note):
        model(*inputs, **options)
    return Table(
        ModuleRow,
        [
            ModuleRow(
                name,
                type(module).__name__,
                returned.get(id(module), ""),
                sum(p.size for p in module.parameters()),
            )
            for name, module in model.named_modules()
        ],
    )


@contextmanager
def _in_evaluation(model: Module) -> Iterator[None]:
    before = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def _shapes(result: Any) -> str:
    if isinstance(result, Tensor):
        return str(result.shape)
    if isinstance(result, (tuple, list)):
        return f"({', '.join(map(_shapes, result))})"
    return "—"
