"""Learning-rate schedules, equal to torch.optim.lr_scheduler's, each one closed formula of t."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from microrecur.nn.optim import Optimizer


class Schedule:
    """Sets an optimiser's learning rate to rate(t), t the number of `step()`s so far.

    A subclass writes `rate`. The rate the optimiser had when the schedule was made is `base_lr`,
    and rate(0) is set at once.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer, self.base_lr, self.t = optimizer, optimizer.lr, 0
        optimizer.lr = self.rate(0)

    def rate(self, t: int) -> float:
        """Return the learning rate after t steps of the schedule."""
        raise NotImplementedError(f"{type(self).__name__} has no rate(): write its formula there")

    def step(self) -> None:
        """Go on to the next rate; after the optimiser's own step, or once per epoch."""
        self.t += 1
        self.optimizer.lr = self.rate(self.t)

    def state_dict(self) -> dict[str, Any]:
        """Return where the schedule stands."""
        return {"t": self.t, "base_lr": self.base_lr}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.t, self.base_lr = int(saved["t"]), float(saved["base_lr"])
        self.optimizer.lr = self.rate(self.t)


class StepLR(Schedule):
    """Multiply the rate by gamma every step_size steps.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> from microrecur.nn.optim import SGD
    >>> schedule = StepLR(SGD([tensor(1.0, requires_grad=True)], lr=1.0), step_size=2, gamma=0.5)
    >>> [schedule.rate(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = _at_least_one("StepLR: step_size", step_size), gamma
        super().__init__(optimizer)

    def rate(self, t: int) -> float:
        """base_lr · gamma^⌊t / step_size⌋."""
        return self.base_lr * self.gamma ** (t // self.step_size)


class ExponentialLR(Schedule):
    """Multiply the rate by gamma every step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: int) -> float:
        """base_lr · gamma^t."""
        return self.base_lr * self.gamma**t


class CosineAnnealingLR(Schedule):
    """From the base rate to eta_min along half a cosine of T_max steps, then up again."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max, self.eta_min = _at_least_one("CosineAnnealingLR: T_max", T_max), eta_min
        super().__init__(optimizer)

    def rate(self, t: int) -> float:
        """eta_min + (base_lr − eta_min) · (1 + cos(π t / T_max)) / 2."""
        height = (1 + math.cos(math.pi * t / self.T_max)) / 2
        return self.eta_min + (self.base_lr - self.eta_min) * height


class LinearLR(Schedule):
    """Warm up (or down) on a line from start_factor to end_factor times the base rate.

    Parameters
    ----------
    optimizer : Optimizer
    start_factor, end_factor : float
        The first and the last factor.
    total_iters : int
        After how many steps the last is reached; it stays.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = _at_least_one("LinearLR: total_iters", total_iters)
        super().__init__(optimizer)

    def rate(self, t: int) -> float:
        """base_lr · (start + (end − start) · min(t / total_iters, 1))."""
        way = min(t / self.total_iters, 1.0)
        return self.base_lr * (self.start_factor + (self.end_factor - self.start_factor) * way)


class SequentialLR(Schedule):
    """One schedule after another, such as a warm-up and then a cosine.

    Parameters
    ----------
    optimizer : Optimizer
        The same as the schedules'.
    schedules : sequence of Schedule
        Each counts its own steps, from 0, when its turn comes.
    milestones : sequence of int
        The steps at which the second, third, … begin.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> from microrecur.nn.optim import SGD
    >>> sgd = SGD([tensor(1.0, requires_grad=True)], lr=1.0)
    >>> parts = LinearLR(sgd, 0.5, 1.0, 2), ExponentialLR(sgd, 0.5)
    >>> schedule = SequentialLR(sgd, parts, [2])
    >>> [schedule.rate(t) for t in range(5)]
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, schedules: Sequence[Schedule], milestones: Sequence[int]
    ) -> None:
        if len(schedules) != len(milestones) + 1 or list(milestones) != sorted(milestones):
            raise ValueError(
                f"SequentialLR: {len(schedules)} schedules need {len(schedules) - 1} rising "
                f"milestones between them, not {list(milestones)}"
            )
        self.schedules, self.milestones = tuple(schedules), tuple(milestones)
        optimizer.lr = schedules[0].base_lr
        for schedule in schedules:  # each was made after the one before had set its first rate
            schedule.base_lr = optimizer.lr
        super().__init__(optimizer)

    def rate(self, t: int) -> float:
        """The rate of the schedule whose turn it is, at its own step."""
        turn = sum(t >= milestone for milestone in self.milestones)
        begun = self.milestones[turn - 1] if turn else 0
        return self.schedules[turn].rate(t - begun)


def _at_least_one(what: str, steps: int) -> int:
    if steps < 1:
        raise ValueError(f"{what} is a whole number ≥ 1, not {steps!r}")
    return steps
