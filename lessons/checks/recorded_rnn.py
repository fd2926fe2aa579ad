"""The plain RNN that the checks of lessons 05 to 07 compare with, recorded by microrecur."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import microrecur as mr
from microrecur import Tensor


class Recorded(NamedTuple):
    """Leaves and states of one run: xs has T tensors (N, D), states T tensors (N, H)."""

    xs: list[Tensor]
    h0: Tensor
    Wx: Tensor
    Wh: Tensor
    b: Tensor
    states: list[Tensor]

    @property
    def leaves(self) -> list[Tensor]:
        """All that has a gradient, in the order of the exercises' answers: X, Wx, Wh, b, h0."""
        return [*self.xs, self.Wx, self.Wh, self.b, self.h0]


def record(X, h0, Wx, Wh, b) -> Recorded:
    """Run h_t = tanh(x_t Wx + h_{t−1} Wh + b) over X (T, N, D) and keep every tensor."""
    weights = [
        mr.tensor(value, requires_grad=True, name=name)
        for name, value in (("Wx", Wx), ("Wh", Wh), ("b", b))
    ]
    with mr.scope("t=0"):
        start = mr.tensor(h0, requires_grad=True, name="h")
    xs = [mr.tensor(x, requires_grad=True, name="x") for x in X]

    def cell(x, h):
        z = x @ weights[0] + h @ weights[1] + weights[2]
        return mr.tanh(z.named("z")).named("h")

    return Recorded(xs, start, *weights, mr.unroll(cell, xs, start))


def loss(run: Recorded, dH) -> Tensor:
    """L = Σ_t ⟨h_t, dH_t⟩, so that ∂L/∂h_t by the loss alone is dH[t]."""
    total = (run.states[0] * dH[0]).sum()
    for h, dh in zip(run.states[1:], dH[1:]):
        total = total + (h * dh).sum()
    return total.named("L")


def gathered(run: Recorded, gradients) -> tuple[np.ndarray, ...]:
    """Gradients of `run.leaves` as (dX, dWx, dWh, db, dh0)."""
    numbers = [np.array(gradient) for gradient in gradients]
    return np.stack(numbers[: len(run.xs)]), *numbers[len(run.xs) :]


def three_steps() -> Tensor:
    """L of an RNN of one unit over three steps, Wh drawn once with three arrows.

    Wh is the result of a sum with 0, hence a node of its own and not folded into z.
    """
    Wx = mr.tensor(0.8, requires_grad=True, name="Wx")
    b = mr.tensor(0.1, requires_grad=True, name="b")
    Wh = (mr.tensor(-0.6, requires_grad=True, name="w") + 0.0).named("Wh")

    def cell(x, h):
        return mr.tanh((x * Wx + h * Wh + b).named("z")).named("h")

    with mr.scope("t=0"):
        h0 = mr.tensor(0.35, name="h")
    h1, h2, h3 = mr.unroll(cell, [mr.tensor(x, name="x") for x in (0.9, -0.5, 0.7)], h0)
    return (0.5 * h1 + -1.3 * h2 + 1.9 * h3).named("L")


def probe(rng: np.random.Generator, T: int = 5, N: int = 2, D: int = 3, H: int = 4):
    """X, h0, Wx, Wh, b, dH: all sizes differ, nothing is zero, a gradient at every step."""

    def numbers(*shape):
        return rng.uniform(0.3, 0.9, shape) * rng.choice([-1.0, 1.0], shape)

    return (
        numbers(T, N, D),
        numbers(N, H),
        numbers(D, H),
        numbers(H, H),
        numbers(H),
        numbers(T, N, H),
    )
