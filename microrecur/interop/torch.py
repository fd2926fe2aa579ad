"""Recurrent layers from torch's weights, and weights for torch. Names and packing are torch's."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from microrecur.interop.weights import Weights, arrays_of, load_weights
from microrecur.nn.cell import Cell
from microrecur.nn.cells import GRUCell, LSTMCell, RNNCell
from microrecur.nn.layers import GRU, LSTM, RNN
from microrecur.nn.module import Module
from microrecur.nn.recurrent import Recurrent

# weight_ih, or weight_ih_l0, or bias_hh_l1_reverse, after any prefix such as "encoder.lstm.".
# A "/" is in the names of what a checkpoint holds besides its model.
RECURRENT = re.compile(
    r"(?P<prefix>(?:[^/]*\.)?)(?P<name>(?:weight|bias)_(?:ih|hh|hr|pi|pf|po|ln))"
    r"(?P<place>_l(?P<layer>\d+)(?P<reverse>_reverse)?)?"
)
KINDS = {1: (RNN, RNNCell), 3: (GRU, GRUCell), 4: (LSTM, LSTMCell)}  # by gates
UNTOLD = {1: {"nonlinearity"}, 3: {"reset_after"}, 4: set[str]()}  # options weights do not tell


def load_torch(
    source: str | os.PathLike[str] | Mapping[str, Any],
    prefix: str | None = None,
    *,
    batch_first: bool = False,
    **options: Any,
) -> Recurrent | Cell:
    """Make the recurrent layer, or cell, that torch's weights belong to.

    Its kind and sizes are read off names and shapes. For a whole model, write its `Module` under
    the same attribute names and give `load_state_dict` what `load_weights` returns.

    Parameters
    ----------
    source : str, path or mapping
        A file as for `load_weights`, or a state dict of torch tensors or arrays.
    prefix : str, optional
        Which layer, as "encoder.lstm", where the state dict has several.
    batch_first : bool
        As the torch layer had it: weights do not tell.
    **options
        What weights do not tell either: ``nonlinearity="relu"`` for an RNN,
        ``reset_after=False`` for a GRU that was not torch's.

    Returns
    -------
    RNN, LSTM, GRU, RNNCell, LSTMCell or GRUCell
        Of the weights' dtype.

    Raises
    ------
    ValueError
        No recurrent weights, several layers and no prefix, or shapes that fit no cell.
    KeyError
        Weights are missing, or there are more than the layer has; all are listed.

    Examples
    --------
    >>> state = LSTM(3, 5, num_layers=2, seed=0).state_dict()
    >>> load_torch({f"encoder.{name}": array for name, array in state.items()})._options()
    '3, 5, num_layers=2'
    """
    if isinstance(source, Mapping):
        state, where = arrays_of(source), "the state dict"
    else:
        state, where = load_weights(source), Path(source).name
    groups = recurrent_groups(state)
    if prefix is not None:
        prefix = prefix.removesuffix(".")
    chosen = next(iter(groups)) if prefix is None and len(groups) == 1 else prefix
    if chosen not in groups:
        known = ", ".join(repr(name) for name in groups)
        if not groups:
            raise ValueError(
                f"load_torch: {where} has no recurrent weights (weight_ih_l0, weight_hh_l0, …); "
                f"it has {', '.join(state) or 'nothing'}"
            )
        asked = "several recurrent layers" if prefix is None else f"no recurrent layer {prefix!r}"
        raise ValueError(f"load_torch: {where} has {asked}; prefix= is one of {known}")
    return _made(groups[chosen], batch_first, options)


def recurrent_groups(state: Weights) -> dict[str, Weights]:
    """Return the weights of each recurrent layer or cell, by its prefix without the last dot."""
    groups: dict[str, Weights] = {}
    for name, array in state.items():
        match = RECURRENT.fullmatch(name)
        if match:
            prefix = match["prefix"]
            groups.setdefault(prefix.removesuffix("."), {})[name[len(prefix) :]] = array
    return groups


def _made(weights: Weights, batch_first: bool, options: Mapping[str, Any]) -> Recurrent | Cell:
    parts = [RECURRENT.fullmatch(name) for name in weights]
    layers = [int(part["layer"]) for part in parts if part and part["layer"] is not None]
    end = "_l0" if layers else ""
    gates, sizes, told = _read_sizes(weights, end)
    layer_type, cell_type = KINDS[gates]
    foreign = ", ".join(option for option in options if option not in UNTOLD[gates])
    if foreign:
        raise ValueError(
            f"load_torch: {foreign} is no option here: by their shapes these are the weights of "
            f"a {layer_type.__name__}"
        )
    told = {**told, **options}
    made: Recurrent | Cell
    if layers:
        made = layer_type(
            *sizes,
            num_layers=max(layers) + 1,
            batch_first=batch_first,
            bidirectional=any(part["reverse"] for part in parts if part),
            **told,
        )
    else:
        made = cell_type(*sizes, **told)
    made.load_state_dict(weights)
    return made


def _read_sizes(weights: Weights, end: str) -> tuple[int, tuple[int, int], dict[str, Any]]:
    """How many gates, (input_size, hidden_size), and the options that names and shapes tell."""
    first, again = weights.get(f"weight_ih{end}"), weights.get(f"weight_hh{end}")
    if first is None or again is None:
        lacking = [f"weight_{k}{end}" for k in ("ih", "hh") if f"weight_{k}{end}" not in weights]
        raise KeyError(f"load_torch: {', '.join(lacking)} missing; there are {list(weights)}")
    projection = weights.get(f"weight_hr{end}")
    if first.ndim == 2 and again.ndim == 2 and (projection is None or projection.ndim == 2):
        hidden = again.shape[1] if projection is None else projection.shape[1]
        gates, rest = divmod(first.shape[0], hidden) if hidden else (0, 0)
        if first.shape[0] == again.shape[0] and not rest and gates in KINDS:
            told: dict[str, Any] = {
                "bias": f"bias_ih{end}" in weights or f"bias_hh{end}" in weights,
                "dtype": np.result_type(first.dtype, np.float32),
            }
            if projection is not None:
                told["proj_size"] = projection.shape[0]
            told |= {"peephole": True} if f"weight_pi{end}" in weights else {}
            told |= {"layer_norm": True} if f"weight_ln{end}" in weights else {}
            return gates, (first.shape[1], hidden), told
    raise ValueError(
        f"load_torch: weight_ih{end} {first.shape} and weight_hh{end} {again.shape} fit no cell: "
        "they are (G·H, I) and (G·H, H), with G = 1 for an RNN, 3 for a GRU, 4 for an LSTM"
    )


def to_torch_state_dict(module: Module) -> dict[str, Any]:
    """Return a module's weights as torch tensors, for `load_state_dict` of its torch twin.

    Without torch, `module.state_dict()` is the same as arrays.

    Parameters
    ----------
    module : Module
        A layer, a cell, or a model of them.

    Returns
    -------
    dict of str to torch.Tensor
        Copies.

    Raises
    ------
    ValueError
        Torch has no such cell: peepholes, layer-norm inside the cell, a sigmoid RNN, a GRU that
        resets before its weights.
    """
    for name, part in module.named_modules():
        _refuse_what_torch_lacks(name or type(part).__name__, part)
    import torch

    return {name: torch.from_numpy(array) for name, array in module.state_dict().items()}


def _refuse_what_torch_lacks(name: str, part: Module) -> None:
    cell: Any = part.cells[0] if isinstance(part, Recurrent) else part
    lacks = {
        "peephole=True": getattr(cell, "peephole", False),
        "layer_norm=True": getattr(cell, "layer_norm", False) is True,
        "reset_after=False": getattr(cell, "reset_after", True) is False,
        "nonlinearity='sigmoid'": getattr(cell, "nonlinearity", None) == "sigmoid",
    }
    found = [option for option, lacking in lacks.items() if lacking]
    if isinstance(cell, Cell) and found:
        raise ValueError(f"to_torch_state_dict: {name} has {', '.join(found)}, which torch has not")
