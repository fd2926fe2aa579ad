"""Arrays by name in files: safetensors and npz both ways, torch's files in.

Nothing is ever unpickled here: npz is read without pickles, and torch's own files are opened by
torch alone, which builds nothing but tensors (``weights_only=True``).
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from microrecur.files import write_whole
from microrecur.nn.module import Module

Weights = dict[str, np.ndarray]

# The types of safetensors that numpy has; BF16, the upper half of a float32, is read besides.
NUMPY_OF = {
    "F64": "f8", "F32": "f4", "F16": "f2", "BOOL": "?",
    "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
    "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1",
}  # fmt: skip
ENDINGS = (".safetensors", ".npz", ".pt", ".pth")
INSTEAD = "save it there with safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"


def load_weights(path: str | os.PathLike[str]) -> Weights:
    """Read arrays by name.

    Parameters
    ----------
    path : str or path
        A ``.safetensors`` or ``.npz`` file; ``.pt`` and ``.pth`` where torch is installed.

    Returns
    -------
    dict of str to ndarray
        As `Module.load_state_dict` takes them. bfloat16 becomes float32, without loss.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        The ending is none of these, or the file is damaged or holds something else than arrays.
    ModuleNotFoundError
        A torch file, and no torch.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = save_weights(Path(folder) / "model.safetensors", {"w": np.eye(2)})
    ...     load_weights(path)
    {'w': array([[1., 0.],
           [0., 1.]])}
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"load_weights: no file at {file.absolute()}")
    match file.suffix.lower():
        case ".safetensors":
            return read_safetensors(file)[0]
        case ".npz":
            return _read_npz(file)
        case ".pt" | ".pth":
            return _read_torch(file)
    raise ValueError(f"load_weights: {file.name} must end in {', '.join(ENDINGS)}")


def save_weights(path: str | os.PathLike[str], weights: Module | Mapping[str, Any]) -> Path:
    """Write arrays by name; a file that is there is replaced whole, or stays.

    Parameters
    ----------
    path : str or path
        A ``.safetensors`` or ``.npz`` file.
    weights : Module or mapping of str to array_like
        A module's `state_dict()`, or arrays.

    Returns
    -------
    pathlib.Path
        Where it was written.

    Raises
    ------
    ValueError
        Another ending, or a value that is no array of numbers.
    OSError
        It could not be written; what was there before is untouched.
    """
    state = weights.state_dict() if isinstance(weights, Module) else weights
    arrays = {name: _plain(name, value) for name, value in state.items()}
    file = Path(path)
    match file.suffix.lower():
        case ".safetensors":
            return write_whole(file, safetensors_bytes(arrays))
        case ".npz":
            packed = io.BytesIO()
            np.savez(packed, **arrays)  # type: ignore[arg-type]
            return write_whole(file, packed.getvalue())
    raise ValueError(f"save_weights: {file.name} must end in .safetensors or .npz")


# -- safetensors -----------------------------------------------------------------------------------


def safetensors_bytes(arrays: Mapping[str, np.ndarray], metadata: Any = None) -> bytes:
    """Return the contents of a safetensors file; `metadata` may be texts by name."""
    from safetensors.numpy import save

    # safetensors copies the memory as it lies: rows first, in this machine's order, or it is wrong.
    laid = {k: np.array(a, a.dtype.newbyteorder("="), order="C") for k, a in arrays.items()}
    return save(laid, metadata)


def read_safetensors(path: str | os.PathLike[str]) -> tuple[Weights, dict[str, str]]:
    """Return the arrays of a safetensors file, and its metadata.

    Raises
    ------
    ValueError
        The file is damaged, or holds a type that numpy has not.
    """
    from safetensors import SafetensorError, deserialize

    contents = Path(path).read_bytes()
    try:
        found = dict(deserialize(contents))
    except SafetensorError as error:
        raise ValueError(f"{path} is no sound safetensors file: {error}") from error
    size = int.from_bytes(contents[:8], "little")  # deserialize has checked it
    header = json.loads(contents[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    return {name: _array(name, found[name], path) for name in header}, metadata


def _array(name: str, entry: Mapping[str, Any], path: Any) -> np.ndarray:
    kind, shape, data = entry["dtype"], tuple(entry["shape"]), entry["data"]
    if kind == "BF16":
        wide = np.frombuffer(data, "<u2").astype("<u4") << 16
        return wide.view("<f4").reshape(shape).astype(np.float32)
    if kind not in NUMPY_OF:
        raise ValueError(
            f"{path}: {name} holds {kind}, which numpy has not; turn it into float32 where it "
            "was made"
        )
    stored = np.dtype(NUMPY_OF[kind]).newbyteorder("<")
    return np.frombuffer(data, stored).reshape(shape).astype(stored.newbyteorder("="))


# -- npz -------------------------------------------------------------------------------------------


def _read_npz(path: Path) -> Weights:
    contents = path.read_bytes()
    if contents[:2] != b"PK":
        raise ValueError(f"{path} is no sound npz file of arrays: it is no zip archive")
    try:
        with np.load(io.BytesIO(contents), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # of zip, of zlib, of numpy's header: all have errors of their own
        why = str(error) or type(error).__name__
        if "allow_pickle" in why:
            why = "it holds Python objects, which are not read: they could run any program"
        raise ValueError(f"{path} is no sound npz file of arrays: {why}") from error


# -- torch's own files -----------------------------------------------------------------------------


def _read_torch(path: Path) -> Weights:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"load_weights: {path.name} is a file of torch's own, and torch is not installed; "
            f"{INSTEAD}",
            name="torch",
        ) from error
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle error, a zip error, an end of file: torch raises many
        first = str(error).strip().splitlines()[:1]
        raise ValueError(
            f"{path} is damaged, or holds more than weights, which is not opened: it could run "
            f"any program ({type(error).__name__}: {''.join(first)}); {INSTEAD}"
        ) from error
    return arrays_of(_state_in(found, path))


def _state_in(found: Any, path: Path) -> Mapping[str, Any]:
    """The state dict itself, or the one in a training script's checkpoint."""
    if isinstance(found, Mapping):
        for candidate in (found, *(found.get(k) for k in ("state_dict", "model_state_dict"))):
            if (
                isinstance(candidate, Mapping)
                and candidate
                and all(map(_is_array, candidate.values()))
            ):
                return candidate
    holds = list(found) if isinstance(found, Mapping) else type(found).__name__
    raise ValueError(
        f"{path} holds no state dict; it holds {holds}. {INSTEAD[0].upper()}{INSTEAD[1:]}"
    )


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def arrays_of(state: Mapping[str, Any]) -> Weights:
    """Return a state dict's tensors as arrays of numpy, whoever made them."""
    return {name: _plain(name, value) for name, value in state.items()}


def _plain(name: str, value: Any) -> np.ndarray:
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a tensor of torch
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        value = value.numpy()
    array = np.array(value.data if hasattr(value, "inputs") else value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} is no array of numbers: its dtype is {array.dtype}")
    return array
