"""What may look on while a model trains, and stop it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microrecur.train.training import Training


class Callback:
    """Base of what `fit` calls; override the moments that matter.

    What `state_dict` returns goes into checkpoints: texts, numbers, arrays, lists and dicts.
    """

    def needs_graph(self, training: Training) -> bool:
        """Say whether this step's `after_backward` reads the recorded loss or what it came from.

        With ``fit(compile=True)`` such a step is recorded, not compiled; the numbers are the same.
        """
        return False

    def after_backward(self, training: Training) -> None:
        """Act when all gradients are there and no parameter has changed yet."""

    def after_step(self, training: Training) -> None:
        """Act when the optimiser has changed the parameters."""

    def after_epoch(self, training: Training) -> None:
        """Act when the epoch is the last row of `training.history`."""

    def after_training(self, training: Training) -> None:
        """Act when all epochs are done or `stop` was called; no checkpoint is written after."""

    def state_dict(self) -> dict[str, Any]:
        """Return what it must know to go on."""
        return {}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""


class EarlyStopping(Callback):
    """Stop when the loss has not fallen for some epochs, and take the best parameters back.

    It watches the validation loss where there is one, else the training loss.

    Parameters
    ----------
    patience : int
        Epochs without a better loss that are waited for.
    least : float
        By how much a loss must be lower to count as better.
    restore : bool
        Whether the model ends with the parameters of its best epoch.

    Attributes
    ----------
    best : float
        The lowest loss so far.
    best_epoch : int
        Where it was reached, from 1; 0 before.
    """

    def __init__(self, patience: int = 5, least: float = 0.0, restore: bool = True) -> None:
        if patience < 1:
            raise ValueError(f"EarlyStopping: patience is a whole number ≥ 1, not {patience!r}")
        self.patience, self.least, self.restore = patience, least, restore
        self.best, self.best_epoch = math.inf, 0
        self._kept: dict[str, Any] = {}

    def after_epoch(self, training: Training) -> None:
        """Compare the epoch's loss with the best, and stop when patience is over."""
        row = training.history[-1]
        watched = row.loss if row.validation is None else row.validation
        if watched < self.best - self.least:
            self.best, self.best_epoch = watched, row.epoch
            self._kept = training.model.state_dict() if self.restore else {}
        elif row.epoch - self.best_epoch >= self.patience:
            training.stop(f"no better loss than {self.best:g} for {self.patience} epochs")

    def after_training(self, training: Training) -> None:
        """Take the best parameters back; the checkpoint keeps the last, so as to go on."""
        if self._kept:
            training.model.load_state_dict(self._kept)

    def state_dict(self) -> dict[str, Any]:
        """Return the best loss, its epoch, and the parameters it had."""
        return {"best": self.best, "best_epoch": self.best_epoch, "kept": self._kept}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.best, self.best_epoch = saved["best"], saved["best_epoch"]
        self._kept = dict(saved["kept"])
