"""A training as it goes: one step, one epoch, and all of its state saved and taken up again."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np

from microrecur.data.batches import Batches
from microrecur.engine.tensor import Tensor, ancestry, no_grad
from microrecur.flows.flow import flow
from microrecur.flows.nonfinite import first_nonfinite
from microrecur.flows.tables import Table, column
from microrecur.graphs.graph import graph
from microrecur.nn.clipping import clip_grad_norm_
from microrecur.nn.module import Module
from microrecur.nn.optim import Optimizer
from microrecur.nn.schedules import Schedule
from microrecur.train.callbacks import Callback
from microrecur.train.checkpoint import Checkpoint, save_checkpoint
from microrecur.train.compiled_step import CompiledStep

Loss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Epoch:
    """One epoch of the history.

    Attributes
    ----------
    epoch : int
        From 1.
    steps : int
        Steps of the optimiser so far.
    loss : float
        Mean loss of the training batches, each at the parameters it met, weighted by its size.
    validation : float or None
        Mean loss of the validation data after the epoch.
    lr : float
        The learning rate of the epoch's last step.
    seconds : float
        How long it took.
    """

    epoch: int
    steps: int
    loss: float
    validation: float | None
    lr: float
    seconds: float = field(metadata=column("seconds", lambda s: f"{s:.1f}"))


class Training:
    """A training as it goes: what callbacks are given to look at.

    Attributes
    ----------
    model, optimizer, data
        As given to `fit`; `data` are its batches.
    epochs : int
        How many there shall be.
    epoch, step : int
        How many epochs, and steps of the optimiser, are done.
    loss : Tensor
        The recorded loss of the present batch; without history where the step was compiled.
    history : Table of Epoch
        The epochs that are done.
    stopped : bool
        Whether `stop` has been called.
    """

    def __init__(
        self,
        model: Module,
        data: Any,
        loss: Loss,
        optimizer: Optimizer,
        epochs: int,
        validation: Any,
        clip: float | None,
        schedule: Schedule | None,
        callbacks: Sequence[Callback],
        compile: bool = False,
    ) -> None:
        self.model, self.optimizer, self.epochs = model, optimizer, epochs
        self.data = as_batches(data, shuffle=True)
        self.validation = None if validation is None else as_batches(validation, shuffle=False)
        self.loss_function, self.clip, self.schedule = loss, clip, schedule
        self.callbacks = list(callbacks)
        self.epoch = self.step = 0
        self.history: Table[Epoch] = Table(Epoch)
        self.stopped, self.why = False, ""
        self._sum, self._count, self._seconds = 0.0, 0, 0.0
        self.loss: Tensor
        self._compiled: CompiledStep | None = None
        if compile:
            changed = dict.fromkeys([*model.parameters(), *optimizer.parameters])
            self._compiled = CompiledStep(model, self._loss_of(), list(changed))

    def _loss_of(self) -> Callable[..., Tensor]:
        model, loss = self.model, self.loss_function
        return lambda *batch: _loss(model, loss, batch[:-1], batch[-1])

    def stop(self, why: str = "") -> None:
        """End the training after this epoch."""
        self.stopped, self.why = True, why

    # -- one step, one epoch -----------------------------------------------------------------------

    def take_step(self, batch: tuple[Any, ...]) -> None:
        """Forward, backward, clip, change the parameters."""
        started = time.perf_counter()
        if not self._differentiate_compiled(batch):
            self._differentiate(batch)
        value, target = float(self.loss), batch[-1]
        self.tell("after_backward")
        if self.clip is not None:
            clip_grad_norm_(self.optimizer.parameters, self.clip)
        self.optimizer.step()
        self.step += 1
        self._sum += value * len(target)
        self._count += len(target)
        self._seconds += time.perf_counter() - started
        self.tell("after_step")

    def _differentiate(self, batch: tuple[Any, ...]) -> None:
        """Bring every parameter its gradient, by a recorded run."""
        *inputs, target = batch
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # looked for below
            self.loss = _loss(self.model, self.loss_function, inputs, target)
            value = float(self.loss)
            if not math.isfinite(value):
                self._refuse_loss(value)
            self.optimizer.zero_grad()
            self.loss.backward()
        self._check_gradients()

    def _differentiate_compiled(self, batch: tuple[Any, ...]) -> bool:
        """Do the same by a compiled run; False, and nothing done, where it must be recorded."""
        if self._compiled is None or any(c.needs_graph(self) for c in self.callbacks):
            return False
        found = self._compiled.value_and_gradients(batch)
        if found is None:
            return False
        self.loss, gradients = found
        self.optimizer.zero_grad()
        for parameter, gradient in gradients:
            before = parameter.grad
            parameter.grad = gradient if before is None else before + gradient
        return True

    def end_epoch(self) -> None:
        """Validate, write the row, tell the callbacks, and set the next learning rate."""
        started = time.perf_counter()
        validation = None
        if self.validation is not None:
            loss_of = self._loss_of() if self._compiled is None else self._compiled.loss
            validation = _evaluate(self.model, self.validation, loss_of)
        self.epoch += 1
        seconds = self._seconds + time.perf_counter() - started
        mean, lr = self._sum / max(self._count, 1), float(self.optimizer.lr)
        self.history.append(Epoch(self.epoch, self.step, mean, validation, lr, seconds))
        self._sum, self._count, self._seconds = 0.0, 0, 0.0
        if self.schedule is not None:
            self.schedule.step()
        self.tell("after_epoch")

    def tell(self, moment: str) -> None:
        """Call every callback's method of that name."""
        for callback in self.callbacks:
            getattr(callback, moment)(self)

    # -- numbers that are none ---------------------------------------------------------------------

    def _where(self) -> str:
        return f"epoch {self.epoch + 1}, step {self.step + 1}"

    def _refuse_loss(self, value: float) -> None:
        found = first_nonfinite(ancestry([self.loss]))
        assert found is not None  # the loss itself is one
        first = found._data[~np.isfinite(found._data)][0]
        made = f"made by {found.op.name}" if found.op is not None else "given, not computed"
        raise FloatingPointError(
            f"{self._where()}: the loss is {value:g}; the first node that is not finite is "
            f"{graph(self.loss).id_of(found)} ({made}), which holds {first:g}. The parameters are "
            "those before this step; try a lower learning rate, clip=1.0, or look at the batch"
        )

    def _check_gradients(self) -> None:
        for p in self.optimizer.parameters:
            if p.grad is not None and not np.isfinite(p.grad).all():
                try:
                    _ = flow(self.loss, p).gradient
                    why = "it leaves the range of its dtype"
                except FloatingPointError as error:
                    why = str(error)
                raise FloatingPointError(
                    f"{self._where()}: the loss is finite, but its gradient at {p._label()} is "
                    f"not: {why}. The parameters are those before this step"
                )

    # -- saving ------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that the next step depends on."""
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "stopped": self.stopped,
            "running": [self._sum, self._count, self._seconds],
            "history": [list(astuple(row)) for row in self.history],
            "data": self.data.state_dict(),
            "optimizer": {"type": type(self.optimizer).__name__, **self.optimizer.state_dict()},
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "callbacks": [[type(c).__name__, c.state_dict()] for c in self.callbacks],
        }
        save_checkpoint(path, self.model, state)

    def resume(self, saved: Checkpoint) -> None:
        """Go on exactly where `save` was called."""
        state = saved.state
        self._check_same(state)
        self.data.load_state_dict(state["data"])
        saved.restore(self.model)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        for callback, (_, kept) in zip(self.callbacks, state["callbacks"]):
            callback.load_state_dict(kept)
        self.epoch, self.step = state["epoch"], state["step"]
        self.stopped = state["stopped"]
        self._sum, self._count, self._seconds = state["running"]
        self.history[:] = [Epoch(*row) for row in state["history"]]

    def _check_same(self, state: dict[str, Any]) -> None:
        """Raise ValueError where this is not the training that was saved."""
        pairs = {
            "optimizer": (state["optimizer"]["type"], type(self.optimizer).__name__),
            "schedule": (state["schedule"] is not None, self.schedule is not None),
            "callbacks": (
                [name for name, _ in state["callbacks"]],
                [type(c).__name__ for c in self.callbacks],
            ),
        }
        for what, (was, now) in pairs.items():
            if was != now:
                raise ValueError(f"fit: resume= was saved with {what} {was}, this one has {now}")


def evaluate(model: Module, data: Any, loss: Loss) -> float:
    """Return the mean loss over data, weighted by the sizes of the batches; nothing is recorded.

    The model runs in evaluation; each of its parts is then again as it was, and so are the batches.

    Parameters
    ----------
    model : Module
    data : tuple of arrays, Batches or FreshBatches
        Inputs, then the target.
    loss : callable
        ``loss(output, target)``.

    Returns
    -------
    float

    Examples
    --------
    >>> import microrecur as mr
    >>> evaluate(mr.Sequential(), (np.ones((3, 1)), np.zeros((3, 1))), mr.mse_loss)
    1.0
    """

    def loss_of(*batch: Any) -> Tensor:
        return _loss(model, loss, batch[:-1], batch[-1])

    return _evaluate(model, as_batches(data, shuffle=False), loss_of)


def _evaluate(model: Module, batches: Any, loss_of: Callable[..., Tensor]) -> float:
    place, modes = batches.state_dict(), [(m, m.training) for _, m in model.named_modules()]
    total, count = 0.0, 0
    model.eval()
    try:
        with no_grad():
            for batch in batches:
                total += float(loss_of(*batch)) * len(batch[-1])
                count += len(batch[-1])
    finally:
        batches.load_state_dict(place)
        for module, mode in modes:
            module.training = mode
    return total / count


def _loss(model: Module, loss: Loss, inputs: Sequence[Any], target: Any) -> Tensor:
    output = model(*inputs)
    if isinstance(output, tuple):
        raise TypeError(
            f"fit: {type(model).__name__} returned a tuple of {len(output)}; wrap it in a module "
            "whose forward returns what the loss reads, such as output[:, -1] of (output, h_n)"
        )
    found = loss(output, target)
    if not isinstance(found, Tensor) or found.size != 1:
        shape = f"shape {found.shape}" if isinstance(found, Tensor) else f"{type(found).__name__}"
        raise TypeError(f"fit: loss(output, target) must be a tensor of one number, not {shape}")
    return found


def as_batches(data: Any, shuffle: bool) -> Any:
    """Return batches as they are, and arrays cut into batches."""
    if isinstance(data, tuple):
        if len(data) < 2:
            raise ValueError("fit: data are inputs and a target, (X, y); one array was given")
        return Batches(*data, shuffle=shuffle)
    if not all(hasattr(data, name) for name in ("__iter__", "__len__", "state_dict")):
        raise TypeError(
            f"fit: data are arrays (X, y), Batches or FreshBatches, not {type(data).__name__}"
        )
    if not len(data):
        raise ValueError(f"fit: {data!r} has no batch")
    return data
