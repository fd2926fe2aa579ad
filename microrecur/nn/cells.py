"""RNN, LSTM and GRU cells that read like their equations, every gate a scope and a named tensor.

Parameters are packed as torch packs them; each equation reads its own slice by name (`U.f`), a view
recorded once and shared by all steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from microrecur.engine import ops
from microrecur.engine.errors import ShapeError
from microrecur.engine.ops import relu, sigmoid, tanh
from microrecur.engine.tensor import (
    STEP,
    Tensor,
    current_scope,
    outside_steps,
    scope,
    scope_from,
    step_of,
    tensor,
)
from microrecur.nn.module import Module, generator
from microrecur.nn.simple import layer_norm


class _Views:
    """The slices of a packed parameter, one per gate, by the gate's letter: `U.f`.

    A view is a recorded, named node filed outside any step. It is kept as long as the parameter
    keeps its value, so all steps share it and a weight's gradient is gathered once.
    """

    def __init__(self, cell: Cell, parameter: Tensor | None, prefix: str, scalar: bool) -> None:
        self._cell, self._parameter, self._prefix, self._scalar = cell, parameter, prefix, scalar

    def __getattr__(self, letter: str) -> Any:
        if self._parameter is None:
            return 0.0
        return self._cell._view(self._parameter, self._prefix, letter, self._scalar)


class Cell(Module):
    """What the cells share: packed parameters, their views, and the filing of a step.

    A subclass names its `gates` (torch's order), its `states`, and writes `step`.

    `layer_norm` normalises each gate's pre-activation over its H units before the squash, with a
    gain and a shift per unit, weight_ln and bias_ln of shape (G·H,) (after Ba et al. 2016).
    """

    gates: ClassVar[tuple[str, ...]]
    states: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        layer_norm: bool = False,
        rng: np.random.Generator | None = None,
        seed: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not isinstance(size, (int, np.integer)) or size < 1:
                raise ValueError(
                    f"{type(self).__name__}: {name} is a whole number ≥ 1, not {size!r}"
                )
        self.input_size, self.hidden_size, self.bias = int(input_size), int(hidden_size), bias
        self._draw = generator(rng, seed)
        self._dtype = np.dtype(dtype or np.float64)
        rows = len(self.gates) * self.hidden_size
        self.weight_ih = self._parameter("weight_ih", rows, self.input_size)
        self.weight_hh = self._parameter("weight_hh", rows, self._state_size("h"))
        self.bias_ih = self._parameter("bias_ih", rows) if bias else None
        self.bias_hh = self._parameter("bias_hh", rows) if bias else None
        self.layer_norm = layer_norm
        if layer_norm:
            self._make_layer_norm(rows)

    def _make_layer_norm(self, rows: int) -> None:
        if self.hidden_size == 1:
            raise ValueError(
                f"{type(self).__name__}: layer_norm=True with hidden_size=1 would make every gate "
                "a constant: one number minus its mean is 0"
            )
        options: Any = {"requires_grad": True, "dtype": self._dtype}
        self.weight_ln = tensor(np.ones(rows), name="weight_ln", **options)
        self.bias_ln = tensor(np.zeros(rows), name="bias_ln", **options)

    def _state_size(self, letter: str) -> int:
        """How many numbers one state holds for one sequence."""
        return self.hidden_size

    def _parameter(self, name: str, *shape: int) -> Tensor:
        limit = 1 / np.sqrt(self.hidden_size)  # torch's U(−1/√H, 1/√H)
        numbers = self._draw.uniform(-limit, limit, shape)
        return tensor(numbers, requires_grad=True, name=name, dtype=self._dtype)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_draw": self._draw, "_dtype": self._dtype}

    # -- one step ----------------------------------------------------------------------------------

    def __call__(self, x: Any, state: Any = None, *, gates: dict[str, Tensor] | None = None) -> Any:
        """Run one step: x of shape (N, I), (I,) or (), states (N, H), (H,) or ().

        Outside any step, the step is filed as t = 1 + its state's step. Returns the new state: h,
        or a tuple of states where the cell keeps several. A dict given as `gates` is filled with
        the step's gates by letter.

        Raises
        ------
        ShapeError
            When x or a state does not have the size this cell was made for.
        """
        x = self._input(x)
        held = self._state(state, x)
        here = current_scope()
        opened: Any = nullcontext()
        if step_of(here) is None:
            opened = scope(f"{STEP}{1 + (step_of(held[0].scope) or 0)}")
        with opened:
            file_leaf(x, "x", current_scope())
            self._check_sizes(x, held)
            after = self.step(x, *held) if gates is None else self.step(x, *held, gates=gates)
        return after

    def step(self, x: Tensor, *states: Tensor, gates: dict[str, Tensor] | None = None) -> Any:
        """Compute the states after x from those before it; each cell writes its equations here."""
        raise NotImplementedError(f"{type(self).__name__} has no step(): write its equations there")

    def _input(self, x: Any) -> Tensor:
        return x if isinstance(x, Tensor) else tensor(np.asarray(x, self.weight_ih.dtype))

    def _state(self, state: Any, x: Tensor) -> tuple[Tensor, ...]:
        """The states as tensors filed under the step before; zeros when none are given."""
        name = type(self).__name__
        if state is None:
            state = tuple(np.zeros(self._state_shape(x, s), x.dtype) for s in self.states)
        given = state if isinstance(state, (tuple, list)) else (state,)
        if len(given) != len(self.states):
            wanted = ", ".join(self.states)
            raise ShapeError(f"{name} keeps ({wanted}): {len(given)} states were given")
        before = (step_of(current_scope()) or 1) - 1
        outside = outside_steps(current_scope())
        with scope_from(outside):
            held = tuple(
                s if isinstance(s, Tensor) else tensor(np.asarray(s, x.dtype)) for s in given
            )
        for letter, s in zip(self.states, held, strict=True):
            file_leaf(s, letter, (*outside, f"{STEP}{before}"))
        return held

    def _state_shape(self, x: Tensor, letter: str) -> tuple[int, ...]:
        return () if x.ndim == 0 else (*x.shape[:-1], self._state_size(letter))

    def _check_sizes(self, x: Tensor, held: Sequence[Tensor]) -> None:
        where = f"{type(self).__name__} at {'/'.join(current_scope())}"
        features = x.shape[-1] if x.ndim else 1
        if features != self.input_size:
            raise ShapeError(
                f"{where}: {x.name or 'x'} has {features} features {x.shape}, weight_ih expects "
                f"{self.input_size} (input_size={self.input_size})"
            )
        if x.ndim == 0 and self.hidden_size != 1:
            raise ShapeError(
                f"{where}: {x.name or 'x'} is one number (), but hidden_size={self.hidden_size}; "
                f"give shape ({self.input_size},) or (N, {self.input_size})"
            )
        for letter, s in zip(self.states, held, strict=True):
            expected = self._state_shape(x, letter)
            if s.shape != expected:
                raise ShapeError(
                    f"{where}: state {letter} has shape {s.shape}, but with x of {x.shape} and "
                    f"hidden_size={self.hidden_size} it must be {expected}"
                )

    # -- the slices of the packed parameters -------------------------------------------------------

    def _weights(self, x: Tensor) -> tuple[_Views, _Views, _Views, _Views]:
        """W, U, b_ih, b_hh, each giving a gate's slice by its letter."""
        scalar = x.ndim == 0
        return (
            _Views(self, self.weight_ih, "W", scalar),
            _Views(self, self.weight_hh, "U", scalar),
            _Views(self, self.bias_ih, "b_ih", scalar),
            _Views(self, self.bias_hh, "b_hh", scalar),
        )

    def _view(self, parameter: Tensor, prefix: str, letter: str, scalar: bool) -> Tensor:
        single = len(self.gates) == 1
        return self._kept_view(
            parameter,
            (prefix, letter, scalar),
            lambda whole: self._slice(whole, letter, scalar),
            prefix if single else f"{prefix}_{letter}",
        )

    def _slice(self, parameter: Tensor, letter: str, scalar: bool) -> Tensor:
        """The rows of one gate, turned for row vectors: z = x W + h U + b."""
        size, k = self.hidden_size, self.gates.index(letter)
        if parameter.shape[0] == size:  # one gate, or a diagonal (peephole) weight of its own
            k = 0
        if scalar:
            return parameter[(k,) + (0,) * (parameter.ndim - 1)]
        rows = parameter[k * size : (k + 1) * size]
        return rows.T if parameter.ndim == 2 else rows

    def _normed(self, z: Tensor, letter: str) -> Tensor:
        """The pre-activation as it is; normalised where the cell has layer-norm."""
        if not self.layer_norm:
            return z
        gain = self._view(self.weight_ln, "gain", letter, False)
        shift = self._view(self.bias_ln, "shift", letter, False)
        return layer_norm(z, gain, shift)


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


def file_leaf(leaf: Tensor, name: str, where: tuple[str, ...]) -> None:
    """Give a leaf its place, if it is filed in no step yet, and its name, if it has none."""
    if not leaf.is_leaf:
        return
    if step_of(leaf.scope) is None:
        leaf.scope = where
    if leaf.name is None:
        leaf.named(name)


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
    for t, x in enumerate(xs, start=begun + 1):  # type: ignore[arg-type]
        with scope_from((*outside, f"{STEP}{t}")):
            if isinstance(x, Tensor):
                file_leaf(x, "x", current_scope())
            state = cell(x, state)
        states.append(state)
    if not states:
        raise ValueError("unroll: the sequence is empty, so there is no state to return")
    return states
