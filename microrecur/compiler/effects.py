"""What a function takes from elsewhere without leaving a trace: fresh randomness, iterators."""

from __future__ import annotations

import io
import itertools
import operator
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_asked: ContextVar[list[int] | None] = ContextVar("asked", default=None)


@contextmanager
def noting_entropy() -> Iterator[list[int]]:
    """The bits of entropy that NumPy is asked for inside: a generator made without a seed asks."""
    _listen()
    found: list[int] = []
    token = _asked.set(found)
    try:
        yield found
    finally:
        _asked.reset(token)


def _listen() -> None:
    """Let NumPy's source of entropy say when it is asked; once and for all, as threads share it."""
    source: Any = sys.modules.get("numpy.random.bit_generator")
    original = getattr(source, "randbits", None)
    if original is None or getattr(original, "listens", False):
        return

    def randbits(count: int) -> int:
        asked = _asked.get()
        if asked is not None:
            asked.append(count)
        return int(original(count))

    randbits.listens = True  # type: ignore[attr-defined]
    source.randbits = randbits


def is_iterator(value: Any) -> bool:
    """Whether reading the value moves it on; files, which are written to as well, do not count."""
    return (
        hasattr(type(value), "__next__")
        and hasattr(type(value), "__iter__")
        and not isinstance(value, io.IOBase)
    )


def position(value: Any) -> Any:
    """Where an iterator stands, without moving it; None where it does not say."""
    if isinstance(value, itertools.count):
        return repr(value)
    if isinstance(value, types.GeneratorType):
        return -1 if value.gi_frame is None else (id(value.gi_frame), value.gi_frame.f_lasti)
    left = operator.length_hint(value, -1)
    return None if left < 0 else left
