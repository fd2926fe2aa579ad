"""Values as JSON between the judge and the process of the learner's code; nothing is pickled.

It imports numpy and the standard library alone: the learner's process loads this file by itself.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

KINDS = "biufcU"  # numbers, truth values, text: what an array may hold to travel
DEEPEST = 20
Array, Generic, Bool = np.ndarray, np.generic, np.bool_  # as they are before any other code runs
_array, _frombuffer, _dtype = np.array, np.frombuffer, np.dtype
_encode64, _decode64 = base64.b64encode, base64.b64decode


class Foreign:
    """A value that does not travel: its type's name stands for it."""

    def __init__(self, name: str) -> None:
        self.name = name


def encode(value: Any, depth: int = 0) -> Any:
    """A value as what JSON can hold; what cannot travel becomes the name of its type."""
    kind = type(value)
    if value is None or kind in (bool, int, str) or (kind is float):
        return value
    if depth > DEEPEST:
        return {"foreign": "a nest too deep"}
    if kind in (list, tuple):
        parts = [encode(part, depth + 1) for part in value]
        return parts if kind is list else {"tuple": parts}
    if kind is dict:
        return {"dict": [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if isinstance(value, (Array, Generic)) and value.dtype.kind in KINDS:
        plain = _array(value, order="C", subok=False)
        raw = _encode64(plain.tobytes()).decode("ascii")
        form = "array" if isinstance(value, Array) else "scalar"
        return {form: [plain.dtype.str, list(plain.shape), raw]}
    if isinstance(value, tuple):  # a named tuple: its fields in order
        return {"tuple": [encode(part, depth + 1) for part in tuple(value)]}
    if isinstance(value, Array):
        return {"foreign": f"an array of dtype {value.dtype}"}
    return {"foreign": kind.__name__[:60]}


def decode(value: Any) -> Any:
    """The value that `encode` was given; arrays are new and writable."""
    if isinstance(value, list):
        return [decode(part) for part in value]
    if not isinstance(value, dict):
        return value
    ((form, held),) = value.items()
    if form in ("array", "scalar"):
        dtype, shape, raw = held
        if _dtype(dtype).kind not in KINDS:
            raise ValueError(f"dtype {dtype!r} does not travel")
        made = _frombuffer(_decode64(raw), dtype=dtype).reshape(shape).copy()
        return made if form == "array" else made[()]
    if form == "tuple":
        return tuple(decode(part) for part in held)
    if form == "dict":
        return {decode(k): decode(v) for k, v in held}
    if form == "complex":
        return complex(*held)
    if form == "foreign":
        return Foreign(str(held))
    raise ValueError(f"unknown form {form!r}")


def travels(encoded: Any) -> bool:
    """Whether nothing in it had to be replaced by the name of its type."""
    if isinstance(encoded, list):
        return all(travels(part) for part in encoded)
    if isinstance(encoded, dict):
        ((form, held),) = encoded.items()
        return form != "foreign" and (form not in ("tuple", "dict") or travels(held))
    return True
