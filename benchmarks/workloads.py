"""What is timed: the sizes of W1 to W4 and of OPS, their seeded inputs and their parameters.

Every competitor is given the same arrays, packed as torch packs them, and answers with the loss
and the gradients in that packing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Arrays = dict[str, np.ndarray]

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
INPUTS = 4  # how many different batches are fed in turn: nothing can be replayed unnoticed


@dataclass(frozen=True)
class Workload:
    """A cell of H units run over T steps of N sequences of I features, and what is lost on it.

    `loss` is "mse" on the last h, or "head": a linear layer to `classes`, cross-entropy, and one
    step of Adam as part of what is timed. `scalar` runs on single numbers (I = H = 1, no batch).
    """

    name: str
    cell: str
    features: int
    hidden: int
    batch: int
    steps: int
    loss: str = "mse"
    classes: int = 0
    scalar: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one batch of inputs: (T, N, I), or (T,) for single numbers."""
        return (self.steps,) if self.scalar else (self.steps, self.batch, self.features)

    def parameters(self, seed: int, dtype: str) -> Arrays:
        """Draw the parameters, U(−1/√H, 1/√H), under torch's names and in its packing."""
        rows, limit = GATES[self.cell] * self.hidden, 1 / np.sqrt(self.hidden)
        shapes = {
            "weight_ih": (rows, self.features),
            "weight_hh": (rows, self.hidden),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }
        if self.loss == "head":
            shapes |= {"head_weight": (self.classes, self.hidden), "head_bias": (self.classes,)}
        draw = np.random.default_rng([seed, 1])
        return {n: draw.uniform(-limit, limit, s).astype(dtype) for n, s in shapes.items()}

    def batch_of(self, seed: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """Draw one batch: the inputs, and the target of the last h (or its classes)."""
        draw = np.random.default_rng([seed, 2])
        xs = draw.normal(size=self.shape).astype(dtype)
        if self.loss == "head":
            return xs, draw.integers(self.classes, size=self.batch)
        wanted = () if self.scalar else (self.batch, self.hidden)
        return xs, draw.normal(size=wanted).astype(dtype)


@dataclass(frozen=True)
class Chain:
    """OPS: a chain of tiny add, mul, tanh on 4 × 4 numbers; `links` × 3 ops, then a sum."""

    name: str = "OPS"
    links: int = 100
    size: int = 4
    cell: str = "ops"

    @property
    def ops(self) -> int:
        """How many ops there are in one run."""
        return 3 * self.links

    def parameters(self, seed: int, dtype: str) -> Arrays:
        """Draw the two operands that all links share."""
        draw = np.random.default_rng([seed, 1])
        shape = (self.size, self.size)
        return {name: draw.uniform(-0.9, 0.9, shape).astype(dtype) for name in ("a", "b")}

    def batch_of(self, seed: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """Draw where the chain starts, and what its last value is compared with."""
        draw = np.random.default_rng([seed, 2])
        xs, target = draw.normal(size=(2, self.size, self.size)).astype(dtype)
        return xs, target


# Input 8, hidden 16, batch 4 is what a lesson trains; 28 → 128 what reads images row by row.
W1 = Workload("W1", "lstm", 1, 1, 1, 100, scalar=True)
W1_LONG = Workload("W1 T=1000", "lstm", 1, 1, 1, 1000, scalar=True)
W2 = {cell: Workload(f"W2 {cell.upper()}", cell, 8, 16, 4, 50) for cell in GATES}
W3 = Workload("W3", "lstm", 28, 128, 64, 28, loss="head", classes=10)
W4 = Workload("W4", "lstm", 8, 32, 8, 1000)
W4_WARM = Workload("W4 T=20", "lstm", 8, 32, 8, 20)
OPS = Chain()

ALL = {w.name: w for w in (OPS, W1, W1_LONG, *W2.values(), W3, W4, W4_WARM)}
