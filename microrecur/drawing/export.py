"""From Graphviz' SVG to files: cleaned by allow-list, drawn as PNG, written atomically.

Nothing of an SVG survives that is not listed here, whoever wrote it: elements, attributes and the
form of each attribute's value. Scripts, links, styles and event handlers have no entry.
"""

from __future__ import annotations

import os
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers import expat

from microrecur.drawing.page import picture_page
from microrecur.drawing.quoting import printable
from microrecur.drawing.style import theme
from microrecur.drawing.text_size import LINE_HEIGHT
from microrecur.engine.errors import RenderError
from microrecur.files import write_whole

if TYPE_CHECKING:
    from microrecur.drawing.drawing import Drawing

FONT_FAMILY = "DejaVu Sans, Verdana, Segoe UI, Noto Sans, sans-serif"
PIXEL_LIMIT = 64_000_000  # of one PNG

_TAGS = {"svg", "g", "path", "polygon", "polyline", "ellipse", "circle", "rect", "line", "text"}
_NUMBERS = re.compile(r"[-+0-9.,eE\s]*")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{3,8}|[A-Za-z]{3,24}")
_ATTRIBUTES: dict[str, re.Pattern[str]] = {
    **dict.fromkeys(
        "x y x1 y1 x2 y2 cx cy r rx ry points viewBox font-size stroke-width stroke-dasharray "
        "fill-opacity stroke-opacity".split(),
        _NUMBERS,
    ),
    **dict.fromkeys(("width", "height"), re.compile(r"[0-9.]+(pt|px)?")),
    **dict.fromkeys(("fill", "stroke"), _COLOUR),
    "d": re.compile(r"[-+0-9.,eE\sMmLlHhVvCcSsQqTtAaZz]*"),
    "transform": re.compile(r"((scale|rotate|translate)\([-+0-9.,eE\s]*\)\s*)*"),
    "id": re.compile(r"[A-Za-z][A-Za-z0-9_-]*"),
    "class": re.compile(r"graph|cluster|node|edge"),
    "text-anchor": re.compile(r"start|middle|end"),
    "font-weight": re.compile(r"bold|normal"),
    "font-style": re.compile(r"italic|normal"),
    "xml:space": re.compile(r"preserve"),
}


class _Cleaner:
    """Builds an element tree out of the allowed part of an SVG while expat reads it."""

    def __init__(self) -> None:
        self.builder = ElementTree.TreeBuilder()
        self.skipped = 0  # depth inside an element that is dropped with all it holds
        self.open: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self.skipped or tag not in _TAGS:
            self.skipped += 1
            return
        kept = {
            name: value
            for name, value in attributes.items()
            if name in _ATTRIBUTES and _ATTRIBUTES[name].fullmatch(value)
        }
        self.builder.start(tag, kept)
        self.open.append(tag)

    def end(self, tag: str) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        self.open.pop()
        self.builder.end(tag)

    def data(self, text: str) -> None:
        if not self.skipped and self.open and self.open[-1] == "text":
            # Graphviz before version 3 writes each space of a run as a no-break space.
            self.builder.data(text.replace("\xa0", " "))


def _refuse_doctype(name: str, system: str | None, public: str | None, internal: int) -> None:
    if internal:
        raise RenderError("refused an SVG that declares entities of its own")


def _parse(svg: str) -> ElementTree.Element:
    cleaner = _Cleaner()
    parser = expat.ParserCreate()
    parser.StartElementHandler = cleaner.start
    parser.EndElementHandler = cleaner.end
    parser.CharacterDataHandler = cleaner.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(svg.encode(), True)
        root = cleaner.builder.close()
    except (expat.ExpatError, UnicodeEncodeError, AssertionError) as error:
        raise RenderError(f"refused an SVG that is not well-formed: {error}") from error
    if root is None or root.tag != "svg":
        raise RenderError("refused an SVG whose root is not <svg>")
    return root


def clean(svg: str, *, prefix: str, title: str, description: str) -> str:
    """An SVG with nothing in it but shapes and text, safe to show anywhere.

    Parameters
    ----------
    svg : str
        What an engine made.
    prefix : str
        Put before every id, so that two figures on one page do not share any.
    title, description : str
        For readers who hear the picture; any text.

    Returns
    -------
    str
        SVG with `role="img"`, `<title>` and `<desc>`, and a font family browsers can widen.

    Raises
    ------
    RenderError
        If it is not a well-formed SVG or declares entities.

    Examples
    --------
    >>> hostile = '<svg onload="x()"><script>x()</script><g id="n0"/></svg>'
    >>> safe = clean(hostile, prefix="fig", title="t", description="d")
    >>> print(safe[safe.index("</desc>") :])
    </desc><g id="fig-n0" /></svg>
    """
    root = _parse(svg)
    for element in root.iter():
        if "id" in element.attrib:
            element.set("id", f"{prefix}-{element.get('id')}")
        for paint in ("fill", "stroke"):
            if element.get(paint) == "transparent":  # as Graphviz 2 writes what 16 calls none
                element.set(paint, "none")
        if element.tag == "text":
            element.set("font-family", FONT_FAMILY)
        if element.tag == "g":
            _space_lines(element)
    attributes = {
        "xmlns": "http://www.w3.org/2000/svg",
        **root.attrib,
        "role": "img",
        "aria-labelledby": f"{prefix}-title {prefix}-desc",
    }
    root.attrib.clear()
    root.attrib.update(attributes)
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{prefix}-{tag}"})
        element.text = text
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _space_lines(group: ElementTree.Element) -> None:
    """Lines of one label at 1.2 of the text size about their middle: the engines differ here."""
    lines = [e for e in group if e.tag == "text" and "y" in e.attrib and "font-size" in e.attrib]
    if len(lines) < 2:
        return
    middle = sum(float(line.get("y", "0")) for line in lines) / len(lines)
    for k, line in enumerate(lines):
        step = LINE_HEIGHT * float(line.get("font-size", "0"))
        line.set("y", f"{middle + (k - (len(lines) - 1) / 2) * step:.2f}")


def smallest_text_px(svg: str, width: float = 1100.0) -> float:
    """The smallest text of an SVG, in pixels, when the figure is shown `width` pixels wide.

    Returns
    -------
    float
        Infinity where there is no text.

    Examples
    --------
    >>> smallest_text_px('<svg viewBox="0 0 2200 9"><text font-size="20">a</text></svg>')
    10.0
    """
    root = _parse(svg)
    shown = float(root.get("viewBox", "0 0 1 1").replace(",", " ").split()[2])
    sizes = (float(text.get("font-size", "16")) for text in root.iter("text"))
    return min(sizes, default=float("inf")) * width / shown


@cache
def font_file() -> str:
    """DejaVu Sans, as matplotlib ships it, found without importing matplotlib."""
    from importlib.util import find_spec

    spec = find_spec("matplotlib")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    path = folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf" if folder else None
    if path is None or not path.exists():
        # Without a font resvg leaves the text out and says nothing.
        raise RenderError("a PNG needs the font DejaVu Sans of matplotlib: pip install matplotlib")
    return str(path)


def to_png(svg: str, scale: float = 1.0, background: str | None = None) -> bytes:
    """A cleaned SVG as PNG; at scale 1 a point (1/72 inch) is 4/3 pixels, as in a browser.

    Raises
    ------
    RenderError
        If resvg-py is missing or refuses the picture, or the picture would not fit in memory.
    ValueError
        For a scale that is not a positive number.
    """
    number = isinstance(scale, (int, float)) and not isinstance(scale, bool)
    if not (number and 0 < scale < float("inf")):
        raise ValueError(f"scale={scale!r}: a PNG is scaled by a positive number")
    try:
        import resvg_py
    except ImportError as error:
        raise RenderError(
            "a PNG needs resvg-py: pip install resvg-py; .svg works without"
        ) from error
    width, height = size(svg)
    pixels = width * height * (scale * 4 / 3) ** 2
    if pixels > PIXEL_LIMIT:
        raise RenderError(
            f"the PNG would have {pixels / 1e6:,.0f} million pixels, more than "
            f"{PIXEL_LIMIT // 10**6}; take a smaller scale=, or save it as .svg"
        )
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=_with_glyphs(svg),
            dpi=96.0,
            zoom=scale,
            background=background,  # or the last row and column are half transparent
            font_files=[font_file()],
            skip_system_fonts=True,
            font_family="DejaVu Sans",
            sans_serif_family="DejaVu Sans",
        )
    except ValueError as error:
        raise RenderError(f"resvg cannot draw this SVG: {error}") from error
    return bytes(png)


@cache
def _glyphs() -> frozenset[int]:
    """The characters DejaVu Sans has."""
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    with TTFont(font_file(), lazy=True) as font:
        return frozenset(font.getBestCmap())


def _with_glyphs(svg: str) -> str:
    """The SVG with a □ for each emoji or letter the font has not: without it they leave a hole.

    The SVG itself keeps every character, and browsers have fonts for them.
    """
    rare = {c for c in svg if ord(c) > 0x2E7F or unicodedata.category(c) in ("So", "Cn", "Cf")}
    lacking = {c for c in rare if ord(c) not in _glyphs()} if rare else set()
    return svg.translate({ord(c): _box(c) for c in lacking}) if lacking else svg


def _box(character: str) -> str:
    """□; nothing for joins, variants and skin tones, which belong to the emoji before them."""
    return "" if unicodedata.category(character) in ("Mn", "Cf", "Sk") else "□"


def size(svg: str) -> tuple[float, float]:
    """Width and height of a cleaned SVG in points."""
    _, _, width, height = map(float, _parse(svg).get("viewBox", "0 0 1 1").split())
    return width, height


def to_html(drawing: Drawing) -> str:
    """A drawing as a page of its own, which asks for nothing but itself."""
    svg, scene = drawing.svg(), drawing.scene
    width, _ = size(svg)
    background = theme(scene.theme).background
    return picture_page(svg, printable(scene.title), width * 4 / 3, background)


# What `Drawing.save` writes, by file ending: add a line to write another format.
WRITERS: dict[str, Callable[[Drawing, float], bytes]] = {
    ".svg": lambda drawing, scale: drawing.svg().encode(),
    ".png": lambda drawing, scale: drawing.png(scale),
    ".dot": lambda drawing, scale: drawing.source.encode(),
    ".html": lambda drawing, scale: to_html(drawing).encode(),
    ".pdf": lambda drawing, scale: to_pdf(drawing),
    ".gif": lambda drawing, scale: _animated(drawing, "gif", scale),
    ".apng": lambda drawing, scale: _animated(drawing, "apng", scale),
}


def to_pdf(drawing: Drawing) -> bytes:
    """The drawing as one PDF page, its text selectable; needs the extra `[pdf]`."""
    from microrecur.drawing import pdf

    return pdf.to_pdf(drawing.svg(), title=printable(drawing.scene.title))


def _animated(drawing: Drawing, kind: str, scale: float) -> bytes:
    from microrecur.drawing.animation import to_animation

    if not any(edge.on_path for edge in drawing.scene.edges):
        raise ValueError(
            f"there is nothing to animate for a .{kind}: this picture has no path for the gradient "
            'to walk back along; draw it with path="h0" (--path h0), or save a .png'
        )
    return to_animation(drawing, kind, scale)


def save(drawing: Drawing, path: str | os.PathLike[str], scale: float = 1.0) -> Path:
    """Write a drawing as the file's ending says; a file there is replaced whole or not at all.

    Raises
    ------
    ValueError
        For an ending nothing writes; the message lists those that work. For a .gif or .apng of
        a picture without a path.
    RenderError
        If the picture cannot be made.
    OSError
        If the folder cannot be made or written to; the message names it.
    """
    target = Path(path)
    write = WRITERS.get(target.suffix.lower())
    if write is None:
        raise ValueError(
            f"cannot save {str(target)!r}: the ending {target.suffix!r} is not supported; "
            f"supported: {', '.join(WRITERS)}"
        )
    return write_whole(target, write(drawing, scale))
