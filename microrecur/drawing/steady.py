"""Holds off the collector of reference cycles while a large picture is made."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_making = 0  # pictures in the making, over all threads
_was_on = False


@contextmanager
def without_collecting() -> Iterator[None]:
    """Let nothing look for cycles meanwhile; the last of several threads turns it on again.

    The nodes, edges and factors of a thousand steps are some hundred thousand objects that all
    stay: a collector that searches them again and again takes a third of the time.

    Examples
    --------
    >>> with without_collecting():
    ...     gc.isenabled()
    False
    """
    global _making, _was_on
    with _lock:
        _making += 1
        if _making == 1:
            _was_on = gc.isenabled()
            gc.disable()
    try:
        yield
    finally:
        with _lock:
            _making -= 1
            if _making == 0 and _was_on:
                gc.enable()
