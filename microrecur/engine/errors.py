"""The errors that guide a person: what was asked, what was given, why it cannot be, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class ShapeError(ValueError):
    """Operands whose shapes do not fit the op they were given to."""


class StaleGraphError(RuntimeError):
    """A recorded graph one of whose leaves has been assigned a new value since."""


class GradcheckError(AssertionError):
    """A gradient that differs from the one finite differences give."""


class RenderError(RuntimeError):
    """A picture that could not be made."""


class UnknownNode(KeyError):
    """An id that no node of the graph has; `like` is what the ids are compared with, if not it.

    `meant` are the ids a short form may stand for, when there are several.
    """

    def __init__(
        self, wanted: str, known: Iterable[str], like: str | None = None, meant: Sequence[str] = ()
    ) -> None:
        super().__init__(wanted)
        self.wanted, self.meant = wanted, list(meant)
        ids = list(known)
        self.nearest = difflib.get_close_matches(like or wanted, ids, n=3, cutoff=0.4) or ids[:3]

    def __str__(self) -> str:
        if self.meant:
            several = ", ".join(map(repr, self.meant[:8])) + ", …" * (len(self.meant) > 8)
            return f"{self.wanted!r} may mean one of several nodes: give {several}"
        nearest = ", ".join(self.nearest)
        return f"no node {self.wanted!r} in this graph; the nearest ids are: {nearest}"
