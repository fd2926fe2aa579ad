"""Recurrent layers from Keras' weights, and weights for Keras. Keras itself is not needed.

Keras keeps kernel (I, G·H), recurrent_kernel (H, G·H) and one bias, gates in the order i, f, c, o
(LSTM) and z, r, h (GRU). A GRU with reset_after has two biases, as (2, 3H).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from microrecur.interop.weights import load_weights
from microrecur.nn.layers import GRU, LSTM, RNN
from microrecur.nn.recurrent import Recurrent

KERAS_GATES = {1: "h", 3: "zrn", 4: "ifgo"}  # in our letters: Keras' h is n, its c is g
TORCH_GATES = {1: "h", 3: "rzn", 4: "ifgo"}
LAYERS: dict[int, type[Any]] = {1: RNN, 3: GRU, 4: LSTM}
OPTIONS = {(1, "nonlinearity"), (3, "reset_after")}  # what weights do not tell, by gates
ORDER = "kernel, recurrent_kernel, bias"


def load_keras(
    source: str | os.PathLike[str] | Sequence[ArrayLike],
    *,
    reset_after: bool | None = None,
    **options: Any,
) -> Recurrent:
    """Make the layer that Keras' weights belong to.

    Parameters
    ----------
    source : sequence of arrays, str or path
        What a Keras layer's `get_weights()` returns: kernel, recurrent_kernel, bias (if any); twice
        that for Bidirectional, forward first. Or an npz file of them:
        ``np.savez("lstm.npz", *layer.get_weights())``.
    reset_after : bool, optional
        For a GRU. The shape of its bias tells: (2, 3H) with, (3H,) without; without any bias it
        must be said.
    **options
        What weights do not tell, as ``nonlinearity="relu"`` for a SimpleRNN. Gates are assumed to
        be σ and tanh, as is Keras' default (not hard_sigmoid).

    Returns
    -------
    RNN, LSTM or GRU
        With batch_first=True, as Keras has it.

    Raises
    ------
    ValueError
        The number of arrays or their shapes fit no Keras layer.

    Examples
    --------
    >>> kernel, recurrent, bias = np.ones((3, 20)), np.ones((5, 20)), np.zeros(20)
    >>> load_keras([kernel, recurrent, bias])._options()
    '3, 5, batch_first=True'
    """
    arrays = [np.asarray(array) for array in _in_order(source)]
    if len(arrays) not in (2, 3, 4, 6):
        raise ValueError(
            f"load_keras: a layer has {ORDER} (2 or 3 arrays; 4 or 6 for Bidirectional), "
            f"not {len(arrays)}"
        )
    half = len(arrays) // 2 if len(arrays) > 3 else len(arrays)
    directions = [arrays[:half], arrays[half:]] if len(arrays) > 3 else [arrays]
    gates = _gates(directions[0])
    for other in directions[1:]:
        if [a.shape for a in other] != [a.shape for a in directions[0]]:
            raise ValueError(
                "load_keras: the two directions differ in shape: "
                f"{[a.shape for a in directions[0]]} and {[a.shape for a in other]}"
            )
    if gates == 3:
        options["reset_after"] = _reset_after(directions[0], reset_after)
    elif reset_after is not None:
        raise ValueError("load_keras: reset_after belongs to a GRU, and these weights are none")
    foreign = ", ".join(o for o in options if (gates, o) not in OPTIONS)
    if foreign:
        raise ValueError(
            f"load_keras: {foreign} is no option here: by their shapes these are the weights of "
            f"a {LAYERS[gates].__name__}"
        )
    kernel, recurrent = directions[0][:2]
    layer = LAYERS[gates](
        kernel.shape[0],
        recurrent.shape[0],
        bias=half == 3,
        batch_first=True,
        bidirectional=len(directions) == 2,
        dtype=np.result_type(kernel.dtype, np.float32),
        **options,
    )
    state: dict[str, np.ndarray] = {}
    for end, direction in zip(("", "_reverse"), directions):
        state |= {f"{k}_l0{end}": a for k, a in _ours(direction, gates).items()}
    layer.load_state_dict(state)
    return layer


def to_keras_weights(layer: Recurrent, number: int | None = None) -> list[np.ndarray]:
    """Return what the twin of a layer in Keras takes by `set_weights`.

    Keras has one bias where torch has two, so two come out as their sum (except for a GRU with
    reset_after, which has both).

    Parameters
    ----------
    layer : RNN, LSTM or GRU
    number : int, optional
        Which of its stacked layers, from 0; must be said where there are several, since Keras
        stacks layers itself.

    Returns
    -------
    list of ndarray
        kernel, recurrent_kernel, bias (if any); those of the reverse direction after them.

    Raises
    ------
    ValueError
        Keras has no such layer: peepholes, layer-norm inside the cell, a projection.
    """
    cell: Any = layer.cells[0]
    lacks = {
        "peephole=True": getattr(cell, "peephole", False),
        "layer_norm=True": cell.layer_norm,
        "proj_size": getattr(cell, "proj_size", 0),
    }
    found = [option for option, lacking in lacks.items() if lacking]
    if found:
        raise ValueError(f"to_keras_weights: this has {', '.join(found)}, which Keras has not")
    if number is None and layer.num_layers > 1:
        raise ValueError(
            f"to_keras_weights: this has {layer.num_layers} layers, and Keras stacks them itself: "
            "say which with number=0, 1, …"
        )
    if number is not None and not 0 <= number < layer.num_layers:
        raise ValueError(
            f"to_keras_weights: number is from 0 to {layer.num_layers - 1}, not {number}"
        )
    state = layer.state_dict()
    ends = ("", "_reverse") if layer.bidirectional else ("",)
    both = getattr(cell, "reset_after", False) is True
    return [
        array
        for end in ends
        for array in _theirs(state, f"_l{number or 0}{end}", len(cell.gates), both)
    ]


def _in_order(source: Any) -> list[Any]:
    """The arrays as get_weights() orders them; np.savez calls them arr_0, arr_1 and so on."""
    if isinstance(source, (str, os.PathLike)):
        source = load_weights(source)
    if not isinstance(source, Mapping):
        return list(source)
    names = [f"arr_{k}" for k in range(len(source))]
    if set(names) != set(source):
        raise ValueError(
            f"load_keras: the file has {', '.join(source)}, where arr_0, arr_1, … are needed, as "
            'np.savez("lstm.npz", *layer.get_weights()) writes them'
        )
    return [source[name] for name in names]


def _gates(arrays: Sequence[np.ndarray]) -> int:
    kernel, recurrent, *bias = arrays
    if kernel.ndim == recurrent.ndim == 2 and recurrent.shape[0]:
        hidden, columns = recurrent.shape
        gates, rest = divmod(columns, hidden)
        biases = [(columns,), (2, columns)] if gates == 3 else [(columns,)]
        fits = kernel.shape[1] == columns and not rest and gates in LAYERS
        if fits and all(b.shape in biases for b in bias):
            return gates
    raise ValueError(
        f"load_keras: shapes {[a.shape for a in arrays]} fit no layer: {ORDER} are (I, G·H), "
        "(H, G·H), (G·H,), with G = 1 for a SimpleRNN, 3 for a GRU (bias (2, 3H) if reset_after), "
        "4 for an LSTM"
    )


def _reset_after(arrays: Sequence[np.ndarray], said: bool | None) -> bool:
    told = arrays[2].ndim == 2 if len(arrays) == 3 else None
    if said is None and told is None:
        raise ValueError(
            "load_keras: a GRU without bias does not tell whether it resets after its weights: "
            "say reset_after=True (Keras' default) or False"
        )
    if said is not None and told is not None and said != told:
        raise ValueError(
            f"load_keras: reset_after={said}, but the bias has shape {arrays[2].shape}, as a GRU "
            f"with reset_after={told} has"
        )
    return bool(told if said is None else said)


def _ours(arrays: Sequence[np.ndarray], gates: int) -> dict[str, np.ndarray]:
    kernel, recurrent, *bias = arrays
    found = {
        "weight_ih": _reordered(kernel, KERAS_GATES[gates], TORCH_GATES[gates]).T,
        "weight_hh": _reordered(recurrent, KERAS_GATES[gates], TORCH_GATES[gates]).T,
    }
    for b in bias:
        turned = _reordered(b, KERAS_GATES[gates], TORCH_GATES[gates])
        found["bias_ih"], found["bias_hh"] = turned if b.ndim == 2 else (turned, 0 * turned)
    return found


def _theirs(
    state: Mapping[str, np.ndarray], end: str, gates: int, two_biases: bool
) -> list[np.ndarray]:
    orders = TORCH_GATES[gates], KERAS_GATES[gates]
    found = [_reordered(state[f"weight_{k}{end}"].T, *orders) for k in ("ih", "hh")]
    if f"bias_ih{end}" in state:
        biases = np.stack([state[f"bias_ih{end}"], state[f"bias_hh{end}"]])
        found.append(_reordered(biases if two_biases else biases.sum(axis=0), *orders))
    return found


def _reordered(array: np.ndarray, of: str, into: str) -> np.ndarray:
    """The gates along the last axis, brought from one order into another."""
    blocks = dict(zip(of, np.split(array, len(of), axis=-1)))
    return np.concatenate([blocks[letter] for letter in into], axis=-1)
