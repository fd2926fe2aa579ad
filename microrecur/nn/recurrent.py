"""Cells stacked over layers and directions, run over whole sequences: what the layers share.

A layer of one cell files its steps as `unroll` does ("t=1", "t=2", …), so its graph and picture are
the cell's. Several cells need telling apart: layer k goes under "layer0", "layer1", …, its reverse
direction under ("layer0", "reverse"), and t is the position in the sequence in both directions.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from microrecur.engine import ops
from microrecur.engine.errors import ShapeError
from microrecur.engine.tensor import STEP, Tensor, scope, step_of, tensor
from microrecur.engine.tracing import taken
from microrecur.nn.cell import Cell
from microrecur.nn.module import Module, generator
from microrecur.nn.sequences import Sequences
from microrecur.nn.simple import Dropout, whole

States = tuple[Tensor, ...]


@dataclass
class _Pass:
    """What one cell left behind on its way through the sequence; lists are in order of position."""

    last: States
    outputs: list[Any]
    followed: dict[str, list[Any]] = field(default_factory=dict)


class Recurrent(Module):
    """What the layers share: the stack of cells under torch's names, and the run over time.

    `cells` holds them in the order of torch's h_n: layer 0, layer 0 reverse, layer 1, … They own
    the parameters; the layer shows each as torch names it, such as `weight_hh_l1_reverse`.
    """

    cell: ClassVar[type[Cell]]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        *,
        rng: np.random.Generator | None,
        seed: int | None,
        dtype: DTypeLike | None,
        **cell_options: Any,
    ) -> None:
        self.num_layers = whole(f"{type(self).__name__}: num_layers", num_layers)
        self.batch_first, self.bidirectional = batch_first, bidirectional
        draw = generator(rng, seed)
        cells: list[Cell] = []
        for k in range(num_layers * self._directions):
            layer, reverse = divmod(k, self._directions)
            size = input_size if layer == 0 else self._directions * cells[0]._state_size("h")
            cell = self.cell(size, hidden_size, bias, rng=draw, dtype=dtype, **cell_options)
            for name, parameter in cell.named_parameters():
                parameter.named(_torch_name(name, layer, reverse))
            cells.append(cell)
        self.cells = tuple(cells)
        self.input_size, self.hidden_size = cells[0].input_size, cells[0].hidden_size
        if dropout:
            self._drop_between_layers(dropout, draw)

    def _drop_between_layers(self, p: float, draw: np.random.Generator) -> None:
        self.dropout = Dropout(p, seed=int(draw.integers(2**32)))
        if self.num_layers == 1:
            warnings.warn(
                f"{type(self).__name__}: dropout={p:g} acts between layers, and num_layers=1 has "
                "none: nothing is dropped",
                stacklevel=4,
            )

    # -- its parameters ----------------------------------------------------------------------------

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _own(self) -> Iterator[tuple[str, Tensor]]:
        for k, cell in enumerate(self.cells):
            for name, parameter in cell.named_parameters():
                yield _torch_name(name, *divmod(k, self._directions)), parameter

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield its dropout; the cells' parameters are its own, under torch's names."""
        return (pair for pair in super().named_children() if not pair[0].startswith("cells."))

    def _holders(self) -> Sequence[Module]:
        return self.cells

    def __getattr__(self, name: str) -> Any:
        # Reached only by names that are no attributes: torch's names of the cells' parameters.
        if not name.startswith("_") and "cells" in vars(self):
            for known, parameter in self._own():
                if known == name:
                    return parameter
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}", name=name)

    def _options(self) -> str:
        said = [f"{self.input_size}, {self.hidden_size}"]
        said += [f"num_layers={self.num_layers}"] if self.num_layers > 1 else []
        said += ["batch_first=True"] if self.batch_first else []
        said += ["bidirectional=True"] if self.bidirectional else []
        return ", ".join(said)

    # -- the run over time -------------------------------------------------------------------------

    def _run(
        self,
        x: Any,
        state: Any,
        lengths: ArrayLike | None,
        follow: Sequence[str] = (),
        batch_first: bool | None = None,
    ) -> tuple[Tensor, States, dict[str, Tensor]]:
        """Return output, the last states (h_n, …), and each followed gate or state over time."""
        name = type(self).__name__
        time_axis = int(self.batch_first if batch_first is None else batch_first)
        given = Sequences(name, x, lengths, self.cells[0].weight_ih.dtype, time_axis)
        given.check_features(self.input_size)
        states, begun = self._initial(state, given)
        with scope(*self._place(0)):
            xs = given.steps(begun)
        passes: list[_Pass] = []
        for layer in range(self.num_layers):
            if layer:
                xs = self._between(layer, passes[-self._directions :], begun)
            for direction in range(self._directions):
                k = layer * self._directions + direction
                with scope(*self._place(k)):
                    passes.append(self._pass(k, xs, states[k], given, begun, follow))
        top = self._joined(passes[-self._directions :])
        output = ops.stack(top, axis=given.time_axis).named("output")
        last = tuple(
            ops.stack([p.last[s] for p in passes]).named(f"{letter}_n")
            for s, letter in enumerate(self.cell.states)
        )
        over_time = {
            letter: ops.stack(
                [ops.stack(p.followed[letter], axis=given.time_axis) for p in passes]
            ).named(letter)
            for letter in follow
        }
        return output, last, over_time

    def _pass(
        self,
        k: int,
        xs: Sequence[Tensor],
        states: States,
        given: Sequences,
        begun: int,
        follow: Sequence[str],
    ) -> _Pass:
        """Run cell k over all positions, from the last to the first in the reverse direction."""
        cell, length = self.cells[k], len(xs)
        done = _Pass(states, [None] * length, {letter: [None] * length for letter in follow})
        order = range(length)
        for t in reversed(order) if self._is_reverse(k) else order:
            found: dict[str, Tensor] | None = {} if follow else None
            with scope(f"{STEP}{begun + t + 1}"):
                after = cell(xs[t], done.last, gates=found)
                new: States = after if isinstance(after, tuple) else (after,)
                done.outputs[t] = given.zero_where_over(t, new[0])
                done.last = given.held_where_over(t, new, done.last, self.cell.states)
                for letter in follow:
                    seen = {**dict(zip(self.cell.states, new)), **(found or {})}[letter]
                    done.followed[letter][t] = given.zero_where_over(t, seen)
        return done

    def _between(self, layer: int, below: Sequence[_Pass], begun: int) -> list[Tensor]:
        """What the next layer reads: both directions joined, and dropped out in training."""
        xs: list[Tensor] = []
        for t, outputs in enumerate(zip(*(p.outputs for p in below)), start=begun + 1):
            with scope(f"layer{layer}", f"{STEP}{t}"):
                x = self._join(outputs)
                if "dropout" in vars(self):
                    x = self.dropout(x)
                xs.append(x if x is outputs[0] else x.named("x"))
        return xs

    def _joined(self, passes: Sequence[_Pass]) -> list[Tensor]:
        return [self._join(outputs) for outputs in zip(*(p.outputs for p in passes))]

    def _join(self, outputs: Sequence[Tensor]) -> Tensor:
        return outputs[0] if len(outputs) == 1 else ops.concatenate(outputs, axis=-1)

    def _place(self, k: int) -> tuple[str, ...]:
        """The scope of cell k; none where there is no other."""
        if len(self.cells) == 1:
            return ()
        layer, reverse = divmod(k, self._directions)
        return (f"layer{layer}", "reverse") if reverse else (f"layer{layer}",)

    def _is_reverse(self, k: int) -> bool:
        return k % self._directions == 1

    # -- the initial states ------------------------------------------------------------------------

    def _initial(self, state: Any, given: Sequences) -> tuple[list[States], int]:
        """Every cell's states before its first step, filed under the step before, and its t.

        A state that an earlier call returned goes on counting from the step it was left at.
        """
        letters = self.cell.states
        whole_states = [None] * len(letters) if state is None else self._checked(state, given)
        begun = 0
        if isinstance(whole_states[0], Tensor):
            left_by = (whole_states[0], *whole_states[0].inputs)[:2]
            begun = max(step_of(source.scope) or 0 for source in left_by)
        found = []
        for k, cell in enumerate(self.cells):
            before = begun + given.length + 1 if self._is_reverse(k) else begun
            with scope(*self._place(k), f"{STEP}{before}"):
                shapes = [(*given.lead, cell._state_size(letter)) for letter in letters]
                found.append(
                    tuple(
                        _part(whole_state, k, shape, given.dtype).named(letter)
                        for whole_state, letter, shape in zip(whole_states, letters, shapes)
                    )
                )
        return found, begun

    def _checked(self, state: Any, given: Sequences) -> Sequence[Any]:
        """The states as a sequence, one per letter, each of the shape this layer needs."""
        name, letters = type(self).__name__, self.cell.states
        wanted = ", ".join(f"{letter}_0" for letter in letters)
        if len(letters) == 1:
            state = (state,)
        if not isinstance(state, (tuple, list)) or len(state) != len(letters):
            what = f"{len(state)} of them" if isinstance(state, (tuple, list)) else "one array"
            raise ShapeError(f"{name} starts from ({wanted}): {what} was given")
        for letter, s in zip(letters, state):
            expected = (len(self.cells), *given.lead, self.cells[0]._state_size(letter))
            if np.shape(s) != expected:
                batch = f", batch {given.lead[0]}" if given.lead else ", no batch axis"
                raise ShapeError(
                    f"{name}: {letter}_0 has shape {np.shape(s)}, but it must be {expected}: "
                    f"{self.num_layers} layer(s) × {self._directions} direction(s){batch}, "
                    f"size {expected[-1]}"
                )
        return [taken(s, given.dtype) for s in state]

    # -- for those who come from Keras -------------------------------------------------------------

    def sequences(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: ArrayLike | None = None,
        return_sequences: bool = False,
    ) -> Tensor:
        """Run as a Keras layer does: batch first, and one tensor back.

        Parameters
        ----------
        x : array_like or Tensor
            (N, T, I), whatever `batch_first` says; or (T, I).
        state, lengths
            As for a call.
        return_sequences : bool
            False: the top layer's output after the whole sequence, (N, D·H), where the reverse
            direction's is the one at the first position. True: its output at every position,
            (N, T, D·H).
        """
        output, last, _ = self._run(x, state, lengths, batch_first=True)
        if return_sequences:
            return output
        return self._join([last[0][k] for k in range(-self._directions, 0)])


def _part(states: Any, k: int, shape: tuple[int, ...], dtype: DTypeLike) -> Tensor:
    """One cell's part of the states of all cells, recorded if they are a tensor."""
    if states is None:
        return tensor(np.zeros(shape, dtype))
    return states[k] if isinstance(states, Tensor) else tensor(states[k])


def _torch_name(name: str, layer: int, reverse: int) -> str:
    return f"{name}_l{layer}{'_reverse' if reverse else ''}"
