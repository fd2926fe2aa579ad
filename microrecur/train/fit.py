"""The training loop: `fit`, whose every state can be saved and gone on from, bit for bit."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from microrecur.flows.tables import Table
from microrecur.nn.module import Module
from microrecur.nn.optim import Optimizer
from microrecur.nn.schedules import Schedule
from microrecur.nn.simple import whole
from microrecur.train.callbacks import Callback
from microrecur.train.checkpoint import load_checkpoint
from microrecur.train.training import Epoch, Loss, Training


def fit(
    model: Module,
    data: Any,
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int = 1,
    validation: Any = None,
    clip: float | None = None,
    schedule: Schedule | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    every: int | None = None,
    resume: str | os.PathLike[str] | None = None,
    compile: bool = False,
) -> Table[Epoch]:
    """Train a model; progress shows when it takes longer than two seconds.

    Parameters
    ----------
    model : Module
        Called with a batch's inputs; returns what `loss` reads.
    data : tuple of arrays, Batches or FreshBatches
        Inputs, then the target. Arrays become ``Batches(*data)``: 32 at a time, shuffled.
    loss : callable
        ``loss(output, target)``, a tensor of one number: `mse_loss`, `cross_entropy`, …
    optimizer : Optimizer
        Of the model's parameters.
    epochs : int
        How often to go through the data, what `resume` has done included.
    validation : as data, optional
        What the loss is measured on after each epoch.
    clip : float, optional
        The greatest norm of all gradients together.
    schedule : Schedule, optional
        Goes on by one after each epoch.
    callbacks : sequence of Callback
        `EarlyStopping`, `GradientMonitor`, or your own.
    checkpoint : str or path, optional
        Where to save after each epoch, at Ctrl-C, and so on; `resume` where that is not given.
    every : int, optional
        Save each so many steps, too.
    resume : str or path, optional
        A checkpoint to go on from: everything then is, bit for bit, what it would have been.
    compile : bool
        Take steps and validate by `mr.compile`: the same to rounding, quicker. Every shape of batch
        is recorded once. Steps that a callback reads the graph of (`GradientMonitor`) are recorded,
        and so is a step whose loss or gradient is not finite, to name the first node.

    Returns
    -------
    Table of Epoch
        The history.

    Raises
    ------
    FloatingPointError
        The loss or a gradient is not finite; the message names step and first node.
    CompileError
        With ``compile=True``, the model or the loss cannot be compiled; the message says why.
    KeyboardInterrupt
        At Ctrl-C, after the step at hand and a checkpoint. A second Ctrl-C does not wait.

    Examples
    --------
    >>> import numpy as np
    >>> import microrecur as mr
    >>> x = np.linspace(-1, 1, 64).reshape(-1, 1)
    >>> model = mr.Linear(1, 1, seed=0)
    >>> history = mr.fit(model, (x, 3 * x - 1), loss=mr.mse_loss, optimizer=mr.SGD(model, 0.3),
    ...                  epochs=40)
    >>> len(history), model.weight.data.round(3), model.bias.data.round(3)
    (40, array([[3.]]), array([-1.]))
    """
    _check_arguments(model, optimizer, epochs, every)
    training = Training(
        model, data, loss, optimizer, epochs, validation, clip, schedule, callbacks, compile
    )
    if resume is not None:
        training.resume(load_checkpoint(resume))
        checkpoint = resume if checkpoint is None else checkpoint
    model.train()
    with _asked_to_stop() as asked, _progress(training) as shown:
        while training.epoch < epochs and not training.stopped:
            _run_epoch(training, checkpoint, every, asked, shown)
    training.tell("after_training")
    return training.history


def _run_epoch(
    training: Training,
    checkpoint: str | os.PathLike[str] | None,
    every: int | None,
    asked: threading.Event,
    shown: Callable[[], None],
) -> None:
    for batch in training.data:
        training.take_step(batch)
        shown()
        if checkpoint is not None and (
            asked.is_set() or (every is not None and training.step % every == 0)
        ):
            training.save(checkpoint)
        if asked.is_set():
            raise KeyboardInterrupt(f"stopped after step {training.step}")
    training.end_epoch()
    shown()
    if checkpoint is not None:
        training.save(checkpoint)
    if asked.is_set():
        raise KeyboardInterrupt(f"stopped after epoch {training.epoch}")


def _check_arguments(model: Module, optimizer: Optimizer, epochs: int, every: int | None) -> None:
    for name, number in (("epochs", epochs), ("every", every)):
        if number is not None:
            whole(f"fit: {name}", number)
    held = set(model.parameters())
    if not held.intersection(optimizer.parameters):
        raise ValueError(
            f"fit: the optimiser changes none of {type(model).__name__}'s parameters; make it from "
            "this model (after model.to(dtype))"
        )


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Turn Ctrl-C into a wish that is granted between two steps, when all is whole."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals go to the main thread
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: Any) -> None:
        if asked.is_set() or not callable(before):
            raise KeyboardInterrupt
        asked.set()

    signal.signal(signal.SIGINT, handle)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress(training: Training) -> Iterator[Callable[[], None]]:
    """A bar over all steps, in a terminal or a notebook; none for work that is soon done."""
    with warnings.catch_warnings():  # tqdm.auto warns where a notebook lacks ipywidgets
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    # Text that is no terminal's gets no bar; a notebook is no terminal, and gets one.
    hidden = False if "ipykernel" in sys.modules else None
    total, done = training.epochs * len(training.data), training.step
    with tqdm(total=total, initial=done, delay=2, unit="step", disable=hidden) as bar:

        def shown() -> None:
            bar.update(training.step - bar.n)
            losses = {"loss": f"{float(training.loss):.3g}"}
            if training.history and training.history[-1].validation is not None:
                losses["validation"] = f"{training.history[-1].validation:.3g}"
            bar.set_postfix(losses, refresh=False)

        yield shown
