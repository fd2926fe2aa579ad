"""A drawing: one picture that can be looked at, saved, read as text and taken apart as DOT."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Collection
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from microrecur.drawing import export
from microrecur.drawing.dot import layout_engine, to_digraph
from microrecur.drawing.engines import render_svg
from microrecur.drawing.page import wanted
from microrecur.drawing.parts import Parts, parts
from microrecur.drawing.quoting import printable
from microrecur.drawing.scene import Scene
from microrecur.drawing.style import theme
from microrecur.engine.errors import RenderError

if TYPE_CHECKING:
    import graphviz  # type: ignore[import-untyped]

LIMIT = (2_000, 5_000)  # nodes, edges: what a layout finishes in time and a person can read
TIMEOUT = 20.0  # seconds one layout may take


class Drawing:
    """One picture.

    Parameters
    ----------
    scene : Scene
        What it shows.
    text : str
        The same told in text, for terminals and for where no engine draws.
    limit : (int, int) or None
        The most nodes and edges that are drawn; None draws any number.
    engine : str
        "auto", "wasm" or "system", as in `engines.render_svg`.
    timeout : float
        Seconds the layout may take.

    Examples
    --------
    >>> from microrecur.drawing.scene import Scene, SceneNode
    >>> state = SceneNode("h", "t1.h", ("h₁ = 0.35",), "state", "box")
    >>> drawing = Drawing(Scene("one state", "", nodes=[state]), "h₁ = 0.35")
    >>> print(drawing)
    h₁ = 0.35
    >>> "h₁ = 0.35</text>" in drawing.svg()
    True
    """

    def __init__(
        self,
        scene: Scene,
        text: str = "",
        *,
        limit: tuple[int, int] | None = LIMIT,
        engine: str = "auto",
        timeout: float = TIMEOUT,
    ) -> None:
        self.scene, self.text = scene, text
        self.limit, self.engine, self.timeout = limit, engine, timeout

    @cached_property
    def source(self) -> str:
        """The picture as DOT text; needs no engine."""
        return str(to_digraph(self.scene).source)

    @cached_property
    def prefix(self) -> str:
        """What the ids of the SVG begin with: the same for the same picture, in any process."""
        digest = hashlib.sha256(f"{self.scene.title}\0{self.source}".encode(errors="replace"))
        return f"mr{digest.hexdigest()[:8]}"

    @cached_property
    def parts(self) -> Parts:
        """The ids in the SVG of each node, edge, label and bar, by their ids in the graph."""
        return parts(self.scene, f"{self.prefix}-")

    def svg(self) -> str:
        """The picture as SVG: shapes and text only, nothing active.

        Raises
        ------
        RenderError
            If no engine is usable, the layout takes too long or the scene is over the limit.
        """
        return self._svg

    @cached_property
    def _svg(self) -> str:
        self._refuse_too_large()
        drawn = render_svg(
            self.source, layout_engine(self.scene), engine=self.engine, timeout=self.timeout
        )
        title, description = (
            printable(text, limit=2_000) for text in (self.scene.title, self.scene.description)
        )
        return export.clean(drawn, prefix=self.prefix, title=title, description=description)

    def _refuse_too_large(self) -> None:
        nodes, edges = len(self.scene.nodes), len(self.scene.edges)
        if self.limit is not None and (nodes > self.limit[0] or edges > self.limit[1]):
            raise RenderError(
                f"this picture has {nodes:,} nodes and {edges:,} edges; "
                f"up to {self.limit[0]:,} and {self.limit[1]:,} are drawn. "
                'Fold the middle (steps="auto" with fold=True, or steps=4), '
                'draw a coarser level (level="gate", level="step"), '
                "or pass limit=None to draw it all the same"
            )

    def png(self, scale: float = 1.0) -> bytes:
        """The picture as PNG, `scale` times the size at which a browser shows the SVG."""
        return export.to_png(self.svg(), scale, theme(self.scene.theme).background)

    def save(self, path: str | os.PathLike[str], *, scale: float = 1.0) -> Path:
        """Write the picture to a file, as its ending says: .svg, .png, .pdf, .html or .dot.

        A path is also written as .gif or .apng, edge by edge from the root back.

        Missing folders are made; a file that is there is replaced whole, or stays as it is.

        Returns
        -------
        pathlib.Path
            Where it was written.

        Raises
        ------
        ValueError
            For another ending, and for a .gif or .apng where there is no path.
        OSError
            If the folder cannot be written to.
        RenderError
            If the picture cannot be made.
        """
        return export.save(self, path, scale)

    def frames(self) -> list[str]:
        """The picture as SVGs: the path edge by edge, as the gradient walks back."""
        from microrecur.drawing.animation import frames

        return frames(self)

    def save_frames(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the frames as 0001.svg, 0002.svg, … into a folder, made if it is missing."""
        from microrecur.drawing.animation import save_frames

        return save_frames(self, folder)

    def to_graphviz(self) -> graphviz.Digraph:
        """A real `graphviz.Digraph`, to change and to render with the system's Graphviz.

        A pinned picture keeps its places and lines only under Graphviz's `nop2`, that is
        `neato -n2`: `drawing.to_graphviz().render("cell", format="svg", neato_no_op=2)`. Its engine
        is set to neato; without `neato_no_op=2` the nodes stay and the edges are routed anew.
        """
        return to_digraph(self.scene, roomy=True)

    def __str__(self) -> str:
        # Names are users' text: what would move or colour a terminal is replaced, line by line.
        text = self.text or self.scene.title
        return "\n".join(printable(line, len(line)) for line in text.split("\n"))

    def __repr__(self) -> str:
        nodes, edges = len(self.scene.nodes), len(self.scene.edges)
        return f"Drawing({printable(self.scene.title)!r}, {nodes} nodes, {edges} edges)"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        """The picture for a notebook; text and one line of advice where it cannot be drawn."""
        bundle = {"text/plain": str(self)}
        try:
            svg = self.svg()
            bundle["image/svg+xml"] = svg
            bundle["text/html"] = self._image(svg)
            bundle["image/png"] = base64.b64encode(self.png()).decode()
        except Exception as error:  # a notebook swallows what a repr raises, and shows nothing
            advice = " ".join(str(error).split())
            bundle["text/plain"] += f"\n[no picture: {advice}]"
        return wanted(bundle, include, exclude)

    def _image(self, svg: str) -> str:
        # An <img> shows in an untrusted notebook too, where inline SVG vanishes.
        data = base64.b64encode(svg.encode()).decode()
        alt = escape(printable(f"{self.scene.title}. {self.scene.description}", limit=2_000))
        style = "max-width:100%;height:auto"
        return f'<img style="{style}" alt="{alt}" src="data:image/svg+xml;base64,{data}">'
