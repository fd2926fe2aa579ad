"""How far back the gradient reaches while the model trains: norms per time step, as it goes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from microrecur.engine.tensor import ancestry, outside_steps, step_of
from microrecur.flows.horizon import power
from microrecur.flows.tables import Table, column
from microrecur.train.callbacks import Callback

if TYPE_CHECKING:
    from microrecur.train.training import Training


@dataclass(frozen=True)
class Arrival:
    """How much gradient arrived at one state.

    Attributes
    ----------
    training_step : int
        Which step of the optimiser, from 1.
    layer : str
        Where it is filed besides its step: "layer1/reverse"; empty where there is one layer.
    t : int
        The step of the sequence.
    state : str
        "h" or "c".
    log10 : float
        log₁₀ of ‖∂L/∂state‖, over the whole batch; −∞ where it is 0.
    """

    training_step: int = field(metadata=column("step"))
    layer: str
    t: int = field(metadata=column("t", str))
    state: str
    log10: float = field(metadata=column("‖∂L/∂state‖", power))


class GradientMonitor(Callback):
    """Note ‖∂L/∂h_t‖ and ‖∂L/∂c_t‖ for every t while training.

    They are read off `.grad`, which `backward` has just filled: no further pass is made.

    Parameters
    ----------
    every : int
        At each how many steps of the optimiser; the first is always noted.
    states : sequence of str
        The names that are followed.

    Attributes
    ----------
    table : Table of Arrival
        One row per noted step, layer, t and state.

    Examples
    --------
    >>> import microrecur as mr
    >>> model = mr.RNN(1, 4, batch_first=True, seed=0)
    >>> class Last(mr.Module):
    ...     def __init__(self):
    ...         self.rnn, self.out = model, mr.Linear(4, 1, seed=1)
    ...
    ...     def forward(self, x):
    ...         return self.out(self.rnn(x)[0][:, -1])
    >>> last = Last()
    >>> monitor = GradientMonitor()
    >>> data = mr.recall_first_bit(8, 3, seed=0)
    >>> _ = mr.fit(last, data, loss=mr.mse_loss, optimizer=mr.Adam(last), callbacks=[monitor])
    >>> print(monitor.table)
    step  layer  t  state  ‖∂L/∂state‖
       1         1  h             0.11
       1         2  h             0.28
       1         3  h             0.74
    """

    def __init__(self, every: int = 1, states: tuple[str, ...] = ("h", "c")) -> None:
        if every < 1:
            raise ValueError(f"GradientMonitor: every is a whole number ≥ 1, not {every!r}")
        self.every, self.states = every, tuple(states)
        self.table: Table[Arrival] = Table(Arrival)

    def needs_graph(self, training: Training) -> bool:
        """Say whether this step is noted: then it is recorded, also with ``compile=True``."""
        return training.step % self.every == 0

    def after_backward(self, training: Training) -> None:
        """Note what has arrived at each state of the recorded loss."""
        if not self.needs_graph(training):  # counted by the steps that are done: 0 at the first
            return
        rows = {}
        for node in ancestry([training.loss]):
            t = step_of(node.scope)
            if t is None or node.name not in self.states or node.grad is None or node.is_leaf:
                continue
            # Oldest first: of several, the one stays that is handed on to the next step.
            place = "/".join(outside_steps(node.scope)), node.name, t
            rows[place] = Arrival(training.step + 1, place[0], t, node.name, _log10(node.grad))
        self.table.extend(rows[place] for place in sorted(rows))

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": [list(astuple(row)) for row in self.table]}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on after those rows."""
        self.table[:] = [Arrival(*row) for row in saved["rows"]]


def _log10(gradient: np.ndarray) -> float:
    size = float(np.max(np.abs(gradient), initial=0.0))
    if size == 0 or not math.isfinite(size):
        return -math.inf if size == 0 else size
    # Divided first: the squares of small numbers would be 0.
    return math.log10(size) + math.log10(float(np.linalg.norm(gradient / size)))
