"""Checkpoints: all that the next training step depends on, exactly, in one safetensors file.

Numbers that are no arrays stand as json in the file's own metadata: with one file there is one
rename, so parameters and the place in the data can never be of different moments.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microrecur.files import write_whole
from microrecur.interop.weights import Weights, read_safetensors, safetensors_bytes
from microrecur.nn.module import Module
from microrecur.nn.simple import Dropout

KEY, FORMAT = "microrecur.checkpoint", 1


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes
    ----------
    model : dict of str to ndarray
        For `model.load_state_dict`.
    dropout : dict of str to list
        Of each dropout in the model: its seed, and how many masks it has drawn.
    state : dict
        The rest: optimiser, data, schedule, callbacks, history, epoch, step.
    """

    model: Weights
    dropout: dict[str, list[int]]
    state: dict[str, Any]

    def restore(self, model: Module) -> None:
        """Give a model the parameters, and its dropouts the masks that come next.

        Raises
        ------
        KeyError, ValueError
            The model has other parameters; nothing is changed.
        """
        dropouts = _dropouts(model)
        if set(dropouts) != set(self.dropout):
            raise KeyError(
                f"the checkpoint has dropouts at {sorted(self.dropout) or 'no place'}, the model "
                f"at {sorted(dropouts) or 'no place'}"
            )
        model.load_state_dict(self.model)
        for name, dropout in dropouts.items():
            dropout.seed, dropout.calls = self.dropout[name]


def save_checkpoint(path: str | os.PathLike[str], model: Module, state: Mapping[str, Any]) -> Path:
    """Write a checkpoint; one that is there is replaced whole, or stays.

    The model's arrays keep their own names, so that any reader of safetensors finds them.

    Parameters
    ----------
    path : str or path
        A ``.safetensors`` file.
    model : Module
        Its parameters, and the state of its dropouts.
    state : mapping
        Of texts, numbers, arrays, and lists and dicts of them.

    Returns
    -------
    pathlib.Path
        Where it was written.

    Raises
    ------
    OSError
        It could not be written; what was there before is untouched.
    """
    arrays = model.state_dict()
    plain = _plain(dict(state), "state", arrays)
    dropout = {name: [d.seed, d.calls] for name, d in _dropouts(model).items()}
    text = json.dumps(
        {"format": FORMAT, "model": list(model.state_dict()), "dropout": dropout, "state": plain}
    )
    return write_whole(_checked(path), safetensors_bytes(arrays, {KEY: text}))


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint that `fit` has written.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    Checkpoint

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        The file is damaged, or is no checkpoint of microrecur's.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"load_checkpoint: no file at {Path(path).absolute()}")
    arrays, metadata = read_safetensors(path)
    if KEY not in metadata:
        raise ValueError(
            f"{path} is no checkpoint: it holds weights alone; model.load_state_dict("
            "load_weights(path)) takes them, but there is nothing to go on from"
        )
    try:
        told = json.loads(metadata[KEY])
        if told["format"] != FORMAT:
            raise ValueError(f"its format is {told['format']}, and this microrecur reads {FORMAT}")
        model = {name: arrays[name] for name in told["model"]}
        return Checkpoint(model, told["dropout"], _whole(told["state"], arrays))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is a damaged checkpoint: {error}") from error


def _checked(path: str | os.PathLike[str]) -> Path:
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"a checkpoint's name ends in .safetensors, not {Path(path).name!r}")
    return Path(path)


def _dropouts(model: Module) -> dict[str, Dropout]:
    return {name: part for name, part in model.named_modules() if isinstance(part, Dropout)}


def _plain(value: Any, place: str, arrays: Weights) -> Any:
    """The value as json can say it; its arrays go among the others, under their place."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v, f"{place}/{k}", arrays) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, f"{place}/{k}", arrays) for k, v in enumerate(value)]
    if isinstance(value, np.ndarray):
        arrays[place] = value
        return {"__array__": place}
    return value.item() if isinstance(value, np.generic) else value


def _whole(value: Any, arrays: Weights) -> Any:
    if isinstance(value, dict):
        if list(value) == ["__array__"]:
            return arrays[value["__array__"]]
        return {k: _whole(v, arrays) for k, v in value.items()}
    return [_whole(v, arrays) for v in value] if isinstance(value, list) else value
