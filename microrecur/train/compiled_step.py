"""A training step by compiled loss and gradients, beside the recorded one that `Training` takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from microrecur.compiler.compiled import Compiled
from microrecur.engine.calculus import grad
from microrecur.engine.tensor import Tensor, ancestry
from microrecur.engine.tracing import CompileError, tracing
from microrecur.nn.module import Module
from microrecur.nn.simple import Dropout

LossOf = Callable[..., Tensor]


class CompiledStep:
    """The loss and its gradients, compiled together; and the loss alone, for evaluation.

    Parameters
    ----------
    model : Module
    loss_of : callable
        (*inputs, target) → the loss, a tensor of one number.
    parameters : sequence of Tensor
        Who gets a gradient.
    """

    def __init__(self, model: Module, loss_of: LossOf, parameters: Sequence[Tensor]) -> None:
        self._parameters = list(parameters)
        self._dropouts = [m for _, m in model.named_modules() if isinstance(m, Dropout)]
        name = f"the loss of {type(model).__name__}"

        def value_and_gradients(*batch: Any) -> tuple[Tensor, dict[int, Tensor]]:
            value = loss_of(*batch)
            reached = _reached_by_gradient(value)
            places = [k for k, p in enumerate(self._parameters) if p in reached]
            gradients = grad(value, [self._parameters[k] for k in places], by_result=True)
            trace = tracing()
            assert trace is not None  # it is only ever compiled
            trace.as_arrays.update(gradients)
            return value, dict(zip(places, gradients))

        self._step, self._loss = Compiled(value_and_gradients), Compiled(loss_of)
        self._step.name = self._loss.name = name

    def loss(self, *batch: Any) -> Tensor:
        """The loss of a batch, without history."""
        return _advised(self._loss, batch)

    def value_and_gradients(
        self, batch: Sequence[Any]
    ) -> tuple[Tensor, list[tuple[Tensor, np.ndarray]]] | None:
        """The loss and (parameter, gradient) of those it depends on; None where one is not finite.

        Then nothing has happened: the recorded step draws the same masks, and says where.
        """
        calls = [dropout.calls for dropout in self._dropouts]
        value, gradients = _advised(self._step, batch)
        if math.isfinite(value.item()) and all(np.isfinite(g).all() for g in gradients.values()):
            return value, [(self._parameters[k], g) for k, g in gradients.items()]
        for dropout, before in zip(self._dropouts, calls):
            dropout.calls = before
        return None


def _advised(compiled: Compiled, batch: Sequence[Any]) -> Any:
    try:
        return compiled(*batch)
    except CompileError as error:
        raise CompileError(
            f"fit(compile=True): {error}. Or leave compile=True out: the same, at the speed of "
            "recording"
        ) from error


def _reached_by_gradient(y: Tensor) -> set[Tensor]:
    """The tensors that `y.backward()` would reach."""
    reached = {y}
    for node in reversed(ancestry([y])):
        if node in reached and node.requires_grad:
            reached.update(x for x in node.inputs if x.requires_grad)
    return reached
