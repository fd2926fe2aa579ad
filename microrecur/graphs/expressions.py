"""A formula as a small tree: symbols, numbers, and cards applied to trees."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from microrecur.engine.primitive import Primitive
from microrecur.engine.tensor import Tensor

# Notation of derivatives only: these cards are no ops and stand in no table.
DIAGONAL = Primitive(
    name="diag", symbol="diag", latex=r"\operatorname{diag}(#1)", kind="other", forward=np.diag
)
IDENTITY = Primitive(name="identity", symbol="I", latex="I", kind="other", forward=np.eye)


@dataclass(frozen=True, eq=False)
class Expression:
    """A card applied to expressions; without a card a number, a symbol, or a cotangent.

    Attributes
    ----------
    shape : tuple of int
        Of what it stands for.
    card, parts, static
        The op, its operands and its other arguments.
    tensor : Tensor or None
        The record it was read from; without a card, the one whose symbol it is.
    number : numpy scalar or None
        The number it is.
    cotangent : bool
        Whether it stands for what a rule is handed: ∂y/∂tensor (the seed when tensor is None).
    """

    shape: tuple[int, ...]
    card: Primitive | None = None
    parts: tuple[Expression, ...] = ()
    static: Mapping[str, Any] = field(default_factory=dict)
    tensor: Tensor | None = None
    number: Any = None
    cotangent: bool = False

    @cached_property
    def key(self) -> Any:
        """What two expressions have in common when they are the same formula."""
        if self.number is not None:
            return float(self.number)
        if self.card is None:
            return self.cotangent, id(self.tensor)
        static = tuple((name, frozen(value)) for name, value in self.static.items())
        return self.card.name, static, tuple(part.key for part in self.parts)

    @property
    def size(self) -> int:
        """How many numbers it stands for."""
        return math.prod(self.shape)

    def is_op(self, name: str) -> bool:
        """Whether it is the op of this name applied to something."""
        return self.card is not None and self.card.name == name

    def is_number(self, value: float) -> bool:
        """Whether it is this very number."""
        return self.number is not None and float(self.number) == value

    @cached_property
    def records(self) -> frozenset[Tensor | None]:
        """The records whose symbols or derivatives stand in it (None: the seed)."""
        if self.card is None:
            return frozenset([self.tensor] if self.number is None else ())
        return frozenset().union(*[part.records for part in self.parts])

    @cached_property
    def holes(self) -> int:
        """How often the cotangent stands in it."""
        return int(self.cotangent) + sum(part.holes for part in self.parts)


def frozen(value: Any) -> Any:
    """Return an op's argument as something that compares: arrays by their bytes."""
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    return tuple(map(frozen, value)) if isinstance(value, (tuple, list)) else repr(value)


def symbol(tensor: Tensor) -> Expression:
    """A record that stands in the formula under its own symbol."""
    return Expression(tensor.shape, tensor=tensor)


def number(value: Any) -> Expression:
    """A number written out."""
    return Expression((), number=np.asarray(value)[()])


def cotangent(tensor: Tensor | None, shape: tuple[int, ...]) -> Expression:
    """What is handed back to a record: ∂y/∂tensor, or the seed."""
    return Expression(shape, tensor=tensor, cotangent=True)
