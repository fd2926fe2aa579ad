"""What a picture was asked to show, beside the graph itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microrecur.drawing.labels import Names

if TYPE_CHECKING:
    from microrecur.drawing.shares import Shares
    from microrecur.flows.paths import Path


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
        Edges to single out, (source, target) → "missing" or "extra"; extra ones are drawn too.
    names
        What is told in nodes and beside lines.
    theme, rankdir
        The palette; the direction of an automatic layout.
    """

    path: Path | None = None
    shares: Shares | None = None
    title: str | None = None
    caption: str = ""
    about: str = ""
    steps: str | int | slice = "auto"
    fold: bool = True
    marks: Mapping[tuple[str, str], str] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    theme: str = "light"
    rankdir: str = "LR"
