"""Models of sequences, from one weight per past value to gated memory, and the five shapes of use.

What comes next after x₁ … x_{t−1}? A naive model grows with t; an autoregressive one looks back τ
steps (τ = 1: Markov); a latent one carries a state h_t instead of the past. Its cell may be any:
RNNCell, LSTMCell, LSTMCell(peephole=True), GRUCell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from microrecur.engine import ops
from microrecur.engine.errors import ShapeError
from microrecur.engine.tensor import STEP, Tensor, scope, step_of
from microrecur.nn.cells import Cell, unroll
from microrecur.nn.module import Module, generator
from microrecur.nn.simple import Linear, as_tensor, whole

Head = Callable[[Tensor], Tensor]

# -- what comes next -------------------------------------------------------------------------------


class Naive(Module):
    """x̂_t = w_t · (x₁, …, x_{t−1}) + b_t: a linear model of its own for every length of the past.

    Its weights grow as T²/2, and none is shared: what is learnt at one t says nothing at another.

    Parameters
    ----------
    longest : int
        The longest past it can look at.
    seed : int, optional
        What draws the weights.

    Examples
    --------
    >>> model = Naive(longest=9, seed=0)
    >>> model(np.ones((2, 4))).shape, len(model.by_length)
    ((2, 1), 9)
    """

    def __init__(self, longest: int, *, seed: int | None = None) -> None:
        rng = generator(None, seed)
        sizes = range(1, whole("Naive: longest", longest) + 1)
        self.by_length = [Linear(size, 1, rng=rng) for size in sizes]

    def forward(self, past: Any) -> Tensor:
        """Return x̂ (N, 1) after a past of shape (N, t), of any t up to `longest`."""
        length = np.shape(past)[-1]
        if not 1 <= length <= len(self.by_length):
            raise ShapeError(
                f"Naive: a past of {length} values {np.shape(past)}: there are weights for 1 to "
                f"{len(self.by_length)} (longest={len(self.by_length)})"
            )
        return self.by_length[length - 1](past)


class Autoregressive(Module):
    """x̂_t from the last τ values: linear (AR(τ)), or through one hidden layer of tanh.

    Parameters
    ----------
    tau : int
        How far back it looks; 1 makes a Markov model.
    hidden : int, optional
        The size of the hidden layer; none when None.
    seed : int, optional
        What draws the weights.

    Examples
    --------
    >>> markov, mlp = Autoregressive(1, seed=0), Autoregressive(4, hidden=10, seed=0)
    >>> past = np.ones((2, 7))
    >>> markov(past).shape, mlp(past).shape
    ((2, 1), (2, 1))
    """

    def __init__(self, tau: int, hidden: int | None = None, *, seed: int | None = None) -> None:
        rng = generator(None, seed)
        self.tau = whole("Autoregressive: tau", tau)
        self.hidden = None if hidden is None else Linear(tau, hidden, rng=rng)
        self.out = Linear(tau if hidden is None else hidden, 1, rng=rng)

    def forward(self, past: Any) -> Tensor:
        """Return x̂ (N, 1) after a past of shape (N, t), t ≥ τ; only its last τ values are read."""
        past = as_tensor(past, self.out.weight)
        if past.ndim != 2 or past.shape[1] < self.tau:
            raise ShapeError(
                f"Autoregressive: past has shape {past.shape}, it must be (N, t) with "
                f"t ≥ tau={self.tau}"
            )
        seen = past[:, past.shape[1] - self.tau :]
        return self.out(seen if self.hidden is None else ops.tanh(self.hidden(seen)))


class Latent(Module):
    """h_t = g(h_{t−1}, x_{t−1}), x̂_t = P(h_t): a summary of the past, kept up to date by a cell.

    Parameters
    ----------
    cell : Cell
        g.
    out : Module
        P; a `Linear` back to the size of x when None.
    seed : int, optional
        What draws the weights of that.

    Examples
    --------
    >>> from microrecur.nn.cells import GRUCell
    >>> model = Latent(GRUCell(1, 8, seed=0), seed=1)
    >>> model(np.ones((2, 7, 1))).shape
    (2, 7, 1)
    """

    def __init__(self, cell: Cell, out: Module | None = None, *, seed: int | None = None) -> None:
        self.cell = cell
        size = cell._state_size("h")
        self.out = out if out is not None else Linear(size, cell.input_size, seed=seed)

    def forward(self, xs: Any) -> Tensor:
        """Return x̂₂ … x̂_{T+1}, (N, T, I), each from what came before; xs is (N, T, I)."""
        return ops.stack(many_to_many(self.cell, self.out, by_time(xs)), axis=1)


# -- the shapes of use: a cell, a head, and which steps read and answer ----------------------------


def one_to_one(cell: Cell, head: Head, x: Any) -> Tensor:
    """One input, one answer: y = head(h₁)."""
    return head(_h(cell(x)))


def one_to_many(cell: Cell, head: Head, x: Any, steps: int) -> list[Tensor]:
    """One input, then each answer is the next input: a caption, a melody, a forecast far ahead.

    The answers must have the size of x.
    """
    return _fed_back(cell, head, x, None, steps)


def many_to_one(cell: Cell, head: Head, xs: Sequence[Any]) -> Tensor:
    """A sequence, one answer after it: y = head(h_T), as for a sentiment or a digit."""
    return head(_h(unroll(cell, xs)[-1]))


def many_to_many(cell: Cell, head: Head, xs: Sequence[Any]) -> list[Tensor]:
    """An answer at every step, aligned with the input: y_t = head(h_t), as for tags."""
    answers = []
    for state in unroll(cell, xs):
        h = _h(state)
        with scope(f"{STEP}{step_of(h.scope)}", "answer"):
            answers.append(head(h).named("y"))
    return answers


def encoder_decoder(
    encoder: Cell, decoder: Cell, head: Head, xs: Sequence[Any], first: Any, steps: int
) -> list[Tensor]:
    """Read a whole sequence, then write another of any length, as for a translation.

    The decoder starts from the encoder's last state and from `first`, its start symbol; each answer
    is its next input. They file under "encoder" and "decoder".
    """
    with scope("encoder"):
        state = unroll(encoder, xs)[-1]
    with scope("decoder"):
        return _fed_back(decoder, head, first, state, steps)


def by_time(xs: Any) -> list[Any]:
    """Cut (N, T, I) into T steps of (N, I)."""
    if np.ndim(xs) != 3:
        raise ShapeError(f"a batch of sequences has shape (N, T, I), this has {np.shape(xs)}")
    xs = xs if isinstance(xs, Tensor) else np.asarray(xs)
    return [xs[:, t] for t in range(xs.shape[1])]


def _fed_back(cell: Cell, head: Head, x: Any, state: Any, steps: int) -> list[Tensor]:
    """Run the cell on its own answers; its first step is the one after its state's."""
    begun = step_of(_h(state).scope) or 0 if state is not None else 0
    answers: list[Tensor] = []
    for t in range(begun + 1, begun + 1 + whole("steps", steps)):
        with scope(f"{STEP}{t}"):
            state = cell(x, state)
            with scope("answer"):
                x = head(_h(state)).named("y")
        answers.append(x)
    return answers


def _h(state: Any) -> Tensor:
    return state[0] if isinstance(state, tuple) else state
