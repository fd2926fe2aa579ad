"""What a picture was asked to show, beside the graph itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microrecur.drawing.labels import Names
from microrecur.drawing.scene import Text

if TYPE_CHECKING:
    from microrecur.drawing.shares import Shares
    from microrecur.flows.paths import Path


@dataclass(frozen=True, slots=True)
class Mark:
    """How an edge is singled out: the kind it is drawn as, and what stands first beside it.

    An edge that only another graph has is `absent` from the one drawn.
    """

    kind: str
    told: tuple[Text, ...]
    short: tuple[tuple[Text, ...], ...] = ()  # the same where there is less room, and less
    absent: bool = False
    alone: bool = False  # what it tells replaces the edge's own label


@dataclass(frozen=True, slots=True)
class Wish:
    """What a picture was asked to show.

    Attributes
    ----------
    path
        A chain-rule path of the graph's own edges, drawn thick with its running product.
    shares
        The part of the gradient on every line, in place of a path.
    title, caption
        Printed above and below.
    about
        What the path is compared with: net, gross, its share.
    steps, fold
        Which steps are drawn (`columns.shown_steps`).
    marks
        Edges to single out, by (source, target).
    names
        What is told in nodes and beside lines.
    theme, rankdir
        The palette; the direction of an automatic layout.
    limit
        Nodes and edges beyond which a picture is refused when it is made: its labels need no place.
    """

    path: Path | None = None
    shares: Shares | None = None
    title: str | None = None
    caption: str = ""
    about: str = ""
    steps: str | int | slice = "auto"
    fold: bool = True
    marks: Mapping[tuple[str, str], Mark] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    theme: str = "light"
    rankdir: str = "LR"
    limit: tuple[int, int] | None = None
