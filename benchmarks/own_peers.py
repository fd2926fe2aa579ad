"""microrecur, recording eagerly and compiled, on the cells it ships: every gate by its name."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import microrecur as mr
from benchmarks.workloads import OPS, Arrays, Workload

CELLS = {"rnn": mr.RNNCell, "lstm": mr.LSTMCell, "gru": mr.GRUCell}


class Eager:
    """A cell, unrolled; `backward` on the loss."""

    def __init__(self, work: Workload, dtype: str) -> None:
        self.work, self.dtype = work, dtype
        self.cell = CELLS[work.cell](work.features, work.hidden, seed=0, dtype=dtype)
        self.p = dict(self.cell.named_parameters())
        self.trains = work.loss == "head"
        if self.trains:
            self.head = mr.Linear(work.hidden, work.classes, seed=0, dtype=dtype)
            self.p |= {f"head_{name}": p for name, p in self.head.named_parameters()}

    def load(self, parameters: Arrays) -> None:
        """Start from these parameters."""
        for name, value in parameters.items():
            self.p[name].assign(value)
        self.adam = mr.Adam(self.p.values()) if self.trains else None

    def loss(self, xs: Any, target: Any) -> Any:
        """Run forward."""
        last = mr.unroll(self.cell, xs)[-1]
        h = last[0] if isinstance(last, tuple) else last
        return mr.cross_entropy(self.head(h), target) if self.trains else mr.mse_loss(h, target)

    def run(self, xs: np.ndarray, target: Any) -> float:
        """Forward and backward, into `.grad`."""
        for p in self.p.values():
            p.grad = None
        loss = self.loss(xs, target)
        loss.backward()
        return loss.item()

    def value_and_grad(self, xs: np.ndarray, target: Any) -> tuple[float, Arrays]:
        """Return the loss and all gradients."""
        loss = self.run(xs, target)
        return loss, {name: np.array(p.grad) for name, p in self.p.items()}

    def step(self, xs: np.ndarray, target: Any) -> None:
        """Do what is timed."""
        self.run(xs, target)
        if self.adam is not None:
            self.adam.step()


class Compiled(Eager):
    """The same loss through `mr.compile(mr.value_and_grad(loss, parameters))`."""

    def load(self, parameters: Arrays) -> None:
        """Start from these parameters; what has been compiled stays."""
        super().load(parameters)
        if not hasattr(self, "plan"):
            self.plan = self._compile()

    def _compile(self) -> Any:
        return mr.compile(mr.value_and_grad(self.loss, list(self.p.values())))

    def run(self, xs: np.ndarray, target: Any) -> float:
        """Forward and backward, into `.grad`."""
        loss, gradients = self.plan(xs, target)
        for p, g in zip(self.p.values(), gradients):
            p.grad = g if type(g) is np.ndarray else np.asarray(g)
        return float(loss)

    def build_seconds(self, xs: np.ndarray, target: Any) -> float:
        """How much longer the first call takes than the one after it, in processor time."""
        begun = time.process_time()
        plan = self._compile()
        plan(xs, target)
        first = time.process_time() - begun
        begun = time.process_time()
        plan(xs, target)
        return first - (time.process_time() - begun)


class Chain(Eager):
    """OPS: x ← tanh(x⊙a + b), then ½ Σ (x − target)²."""

    trains = False

    def __init__(self, work: Any, dtype: str) -> None:
        self.p = {
            name: mr.tensor(value, requires_grad=True, name=name)
            for name, value in OPS.parameters(0, dtype).items()
        }

    def loss(self, xs: Any, target: Any) -> Any:
        """Run forward."""
        x, a, b = xs, self.p["a"], self.p["b"]
        for _ in range(OPS.links):
            x = mr.tanh(x * a + b)
        error = x - target
        return 0.5 * (error * error).sum()


class CompiledChain(Chain, Compiled):
    """OPS through `mr.compile`."""
