"""RNN, LSTM and GRU cells that read like their equations, every gate a scope and a named tensor.

Parameters are packed as torch packs them; each equation reads its own slice by name (`U.f`), a view
recorded once and shared by all steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from microrecur.engine import ops
from microrecur.engine.ops import relu, sigmoid, tanh
from microrecur.engine.tensor import (
    STEP,
    Tensor,
    current_scope,
    outside_steps,
    scope,
    scope_from,
    step_of,
)
from microrecur.nn.cell import Cell, file_leaf


class RNNCell(Cell):
    r"""h = φ(x W + h U + b), with torch's parameters and packing.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H: weight_ih is (H, I), weight_hh (H, H), biases (H,).
    bias : bool
        Whether the two biases exist.
    nonlinearity : {"tanh", "relu", "sigmoid"}
        φ.
    layer_norm : bool
        Normalise z before φ.
    rng, seed : numpy Generator or int, optional
        What draws the weights, U(−1/√H, 1/√H).
    dtype : dtype, optional
        float64 when not given.

    Examples
    --------
    >>> cell = RNNCell(3, 4, seed=0)
    >>> cell([[1.0, 2.0, 3.0]]).shape
    (1, 4)
    """

    gates = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        **options: Any,
    ) -> None:
        known = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid}
        if nonlinearity not in known:
            raise ValueError(f"RNNCell: nonlinearity is one of {list(known)}, not {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, **options)
        self.nonlinearity = nonlinearity

    def step(  # type: ignore[override]
        self, x: Tensor, h: Tensor, *, gates: dict[str, Tensor] | None = None
    ) -> Tensor:
        """Return the next h; a plain RNN has no gates."""
        W, U, b_ih, b_hh = self._weights(x)
        phi = getattr(ops, self.nonlinearity)
        with scope("hidden state"):
            z = self._normed(x @ W.h + b_ih.h + h @ U.h + b_hh.h, "h").named("z")
            return phi(z).named("h")


class LSTMCell(Cell):
    """Long short-term memory: c = f⊙c + i⊙g, h = o⊙tanh(c), packed as torch: i, f, g, o.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H: weight_ih is (4H, I), weight_hh (4H, H), biases (4H,).
    bias : bool
        Whether the two biases exist.
    peephole : bool
        Let i and f see c_{t−1}, and o see c_t, through diagonal weights weight_pi, weight_pf,
        weight_po of shape (H,) (Gers & Schmidhuber 2000).
    proj_size : int
        Where > 0, h = (o⊙tanh(c)) W_hr has this many numbers, less than H; weight_hr is (P, H) and
        weight_hh (4H, P) (Sak et al. 2014).
    forget_bias : float, optional
        What the two biases of f start from together, such as 1 (Jozefowicz et al. 2015); drawn like
        all others when None.
    layer_norm, rng, seed, dtype
        As for `RNNCell`.

    Examples
    --------
    >>> cell = LSTMCell(3, 4, seed=0)
    >>> h, c = cell([[1.0, 2.0, 3.0]])
    >>> h.shape, c.shape
    ((1, 4), (1, 4))
    """

    gates = ("i", "f", "g", "o")
    states = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        peephole: bool = False,
        proj_size: int = 0,
        forget_bias: float | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(proj_size, (int, np.integer)) or not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"LSTMCell: proj_size is a whole number from 0 (no projection) to less than "
                f"hidden_size={hidden_size}, not {proj_size!r}"
            )
        self.proj_size = int(proj_size)
        super().__init__(input_size, hidden_size, bias, **options)
        if proj_size:
            self.weight_hr = self._parameter("weight_hr", self.proj_size, self.hidden_size)
        if forget_bias is not None:
            self._start_forget_gate(forget_bias)
        self.peephole = peephole
        if peephole:
            self.weight_pi = self._parameter("weight_pi", self.hidden_size)
            self.weight_pf = self._parameter("weight_pf", self.hidden_size)
            self.weight_po = self._parameter("weight_po", self.hidden_size)

    def _state_size(self, letter: str) -> int:
        return self.proj_size if letter == "h" and self.proj_size else self.hidden_size

    def _start_forget_gate(self, value: float) -> None:
        """Give one of the two biases of f the whole value, the other 0: they only ever add."""
        if self.bias_ih is None or self.bias_hh is None:
            raise ValueError("LSTMCell: forget_bias needs bias=True: there is no bias to start")
        rows = slice(self.hidden_size, 2 * self.hidden_size)
        for bias, start in ((self.bias_ih, value), (self.bias_hh, 0.0)):
            numbers = bias.numpy()
            numbers[rows] = start
            bias.assign(numbers)

    def step(  # type: ignore[override]
        self, x: Tensor, h: Tensor, c: Tensor, *, gates: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the next h and c."""
        W, U, b_ih, b_hh = self._weights(x)
        seen = self._seen
        with scope("input gate"):
            i = sigmoid(seen(x @ W.i + b_ih.i + h @ U.i + b_hh.i, c, "i").named("z_i")).named("i")
        with scope("forget gate"):
            f = sigmoid(seen(x @ W.f + b_ih.f + h @ U.f + b_hh.f, c, "f").named("z_f")).named("f")
        with scope("candidate"):
            g = tanh(seen(x @ W.g + b_ih.g + h @ U.g + b_hh.g, c, "g").named("z_g")).named("g")
        with scope("cell state"):
            c = (f * c + i * g).named("c")
        with scope("output gate"):
            o = sigmoid(seen(x @ W.o + b_ih.o + h @ U.o + b_hh.o, c, "o").named("z_o")).named("o")
        with scope("hidden state"):
            h = self._projected(o * tanh(c)).named("h")
        if gates is not None:
            gates.update(i=i, f=f, g=g, o=o)
        return h, c

    def _seen(self, z: Tensor, c: Tensor, gate: str) -> Tensor:
        """What a gate sees: z, with the peephole's view of c (the candidate g has none), normed."""
        if self.peephole and gate != "g":
            weight = getattr(self, f"weight_p{gate}")
            z = z + self._view(weight, "p", gate, c.ndim == 0) * c
        return self._normed(z, gate)

    def _projected(self, h: Tensor) -> Tensor:
        if not self.proj_size:
            return h
        return h @ self._kept_view(self.weight_hr, "W_hr", lambda whole: whole.T, "W_hr")


class GRUCell(Cell):
    """Gated recurrent unit: h = (1−z)⊙n + z⊙h, with torch's parameters and packing r, z, n.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H: weight_ih is (3H, I), weight_hh (3H, H), biases (3H,).
    bias : bool
        Whether the two biases exist.
    reset_after : bool
        True (torch): n = tanh(x W + b + r⊙(h U + b)). False (Cho et al. 2014): n = tanh(x W + b +
        (r⊙h) U + b).
    layer_norm, rng, seed, dtype
        As for `RNNCell`.

    Examples
    --------
    >>> GRUCell(3, 4, seed=0)([1.0, 2.0, 3.0]).shape
    (4,)
    """

    gates = ("r", "z", "n")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        reset_after: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, **options)
        self.reset_after = reset_after

    def step(  # type: ignore[override]
        self, x: Tensor, h: Tensor, *, gates: dict[str, Tensor] | None = None
    ) -> Tensor:
        """Return the next h."""
        W, U, b_ih, b_hh = self._weights(x)
        normed = self._normed
        with scope("reset gate"):
            r = sigmoid(normed(x @ W.r + b_ih.r + h @ U.r + b_hh.r, "r").named("a_r")).named("r")
        with scope("update gate"):
            z = sigmoid(normed(x @ W.z + b_ih.z + h @ U.z + b_hh.z, "z").named("a_z")).named("z")
        with scope("candidate"):
            if self.reset_after:
                m = (h @ U.n + b_hh.n).named("m")
                a = x @ W.n + b_ih.n + r * m
            else:
                a = x @ W.n + b_ih.n + (r * h) @ U.n + b_hh.n
            n = tanh(normed(a, "n").named("a_n")).named("n")
        if gates is not None:
            gates.update(r=r, z=z, n=n)
        with scope("hidden state"):
            return ((1 - z) * n + z * h).named("h")


def unroll(cell: Any, xs: Iterable[Any] | ArrayLike | Tensor, state: Any = None) -> list[Any]:
    """Run the cell over a sequence, its steps filed under "t=1", "t=2", … (the state given: "t=0").

    Parameters
    ----------
    cell : callable
        (x, state) → the new state: a tensor h, or a tuple of tensors such as (h, c).
    xs : sequence, array or tensor
        One x per step along the first axis.
    state : Tensor or tuple of Tensor, optional
        The state before the first step; zeros when None (the cell makes them). A state that another
        unrolling left behind goes on counting from its step.

    Returns
    -------
    list
        The states after each step: [h₁, h₂, …] or [(h₁, c₁), …].

    Examples
    --------
    >>> states = unroll(LSTMCell(1, 1, seed=0), [0.9, -0.4, 1.1])
    >>> h, c = states[-1]
    >>> h.scope
    ('t=3', 'hidden state')
    """
    states: list[Any] = []
    first = state[0] if isinstance(state, (tuple, list)) and state else state
    begun = (step_of(first.scope) or 0) if isinstance(first, Tensor) else 0
    outside = outside_steps(current_scope())
    if isinstance(xs, (Tensor, np.ndarray, float, int)) and np.ndim(xs) == 0:
        raise TypeError(
            f"unroll: the sequence is one number, {xs!r}; give one x per step, such as [{xs!r}]"
        )
    for t, x in enumerate(xs, start=begun + 1):  # type: ignore[arg-type]
        with scope_from((*outside, f"{STEP}{t}")):
            if isinstance(x, Tensor):
                file_leaf(x, "x", current_scope())
            state = cell(x, state)
        states.append(state)
    if not states:
        raise ValueError("unroll: the sequence is empty, so there is no state to return")
    return states


__all__ = ["Cell", "GRUCell", "LSTMCell", "RNNCell", "unroll"]
