"""What every cell shares: packed parameters, one named view per gate, and the filing of a step."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, ClassVar
from weakref import ref

import numpy as np
from numpy.typing import DTypeLike

from microrecur.engine.errors import ShapeError
from microrecur.engine.tensor import (
    STEP,
    Tensor,
    current_scope,
    is_recording,
    outside_steps,
    scope,
    scope_from,
    step_of,
    tensor,
)
from microrecur.engine.tracing import tracing
from microrecur.nn.module import Module, generator
from microrecur.nn.simple import as_tensor, layer_norm

UNCHANGED = nullcontext()  # within a step already


class _Views:
    """The slices of a packed parameter, one per gate, by the gate's letter: `U.f`.

    A view is a recorded, named node filed outside any step. It is kept as long as the parameter
    keeps its value, so all steps share it and a weight's gradient is gathered once.
    """

    def __init__(self, cell: Cell, parameter: Tensor | None, prefix: str, scalar: bool) -> None:
        # The cell keeps these, so they keep no cell: a cycle would wait for the collector.
        self._cell, self._parameter = ref(cell), parameter
        self._prefix, self._scalar = prefix, scalar

    def __getattr__(self, letter: str) -> Any:
        cell = self._cell()
        if self._parameter is None or cell is None:
            return 0.0
        view = cell._view(self._parameter, self._prefix, letter, self._scalar)
        setattr(self, letter, view)  # a plain attribute from now on, read at every step
        return view


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
        opened: Any = UNCHANGED
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
        if type(x) is Tensor and tracing() is None:
            return x
        return as_tensor(x, self.weight_ih)

    def _state(self, state: Any, x: Tensor) -> tuple[Tensor, ...]:
        """The states as tensors filed under the step before; zeros when none are given."""
        if type(state) is tuple and len(state) == len(self.states) and tracing() is None:
            for s in state:
                if type(s) is not Tensor or s.op is None:
                    break
            else:
                return state  # as the step before left it
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
            held = tuple(as_tensor(s, x) for s in given)
        for letter, s in zip(self.states, held, strict=True):
            file_leaf(s, letter, (*outside, f"{STEP}{before}"))
        return held

    def _state_shape(self, x: Tensor, letter: str) -> tuple[int, ...]:
        return () if x.ndim == 0 else (*x.shape[:-1], self._state_size(letter))

    def _check_sizes(self, x: Tensor, held: Sequence[Tensor]) -> None:
        sizes = [x.shape, *[s.shape for s in held]]
        views = self.__dict__.get("_views", {})
        if views.get("sizes") == sizes:  # as at the step before
            return
        features = x.shape[-1] if x.ndim else 1
        if (
            features == self.input_size
            and (x.ndim or self.hidden_size == 1)
            and all(s.shape == self._state_shape(x, letter) for letter, s in zip(self.states, held))
        ):
            if tracing() is None:
                views["sizes"] = sizes
            return
        where = f"{type(self).__name__} at {'/'.join(current_scope())}"
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
        trace = tracing()
        views = self.__dict__.setdefault("_views", {}) if trace is None else trace.views_of(self)
        key = (x.ndim == 0, outside_steps(current_scope()), is_recording())
        W, U, b_ih, b_hh = self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        version: tuple[Any, ...] = (W, W.serial, W.requires_grad, U, U.serial, U.requires_grad)
        if b_ih is not None and b_hh is not None:
            version += (b_ih, b_ih.serial, b_ih.requires_grad)
            version += (b_hh, b_hh.serial, b_hh.requires_grad)
        found: Any = views.get(key)
        if found is None or found[0] != version:
            named = {"W": W, "U": U, "b_ih": b_ih, "b_hh": b_hh}
            made = tuple(_Views(self, p, name, key[0]) for name, p in named.items())
            found = views[key] = (version, made)
        return found[1]

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


def file_leaf(leaf: Tensor, name: str, where: tuple[str, ...]) -> None:
    """Give a leaf its place, if it is filed in no step yet, and its name, if it has none."""
    if not leaf.is_leaf:
        return
    if step_of(leaf.scope) is None:
        leaf.scope = where
    if leaf.name is None:
        leaf.named(name)
