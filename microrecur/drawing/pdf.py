"""A cleaned SVG as a PDF page: shapes stay vectors, text stays text that can be selected."""

from __future__ import annotations

import logging
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from microrecur.drawing.export import font_file
from microrecur.engine.errors import RenderError

if TYPE_CHECKING:
    import fpdf

_INSTALL = "pip install 'microrecur[pdf]' (or: pip install fpdf2)"
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_COMMAND = re.compile(r"([MLHVCSQTAZmlhvcsqtaz])([^MLHVCSQTAZmlhvcsqtaz]*)")
_MOVE = re.compile(r"(scale|rotate|translate)\(([^)]*)\)")
_NAMED = {"black": "#000000", "white": "#ffffff", "lightgrey": "#d3d3d3", "grey": "#c0c0c0"}
# The same picture gives the same bytes whenever it is written.
_WRITTEN = datetime(2000, 1, 1, tzinfo=UTC)


class _Place(NamedTuple):
    """Scale and shift from an element's coordinates to points on the page."""

    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)

    def inside(self, transform: str) -> _Place:
        """The place of what stands in a group with this transform."""
        here = self
        for kind, numbers in _MOVE.findall(transform):
            values = [float(v) for v in _NUMBER.findall(numbers)]
            if kind == "scale":
                sx, sy = (values * 2)[:2]
                here = _Place((here.scale[0] * sx, here.scale[1] * sy), here.shift)
            elif kind == "translate":
                x, y = here.at(*[*values, 0.0][:2])
                here = _Place(here.scale, (x, y))
            elif values and values[0]:
                raise RenderError("a PDF cannot be made of a picture with turned parts")
        return here

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point on the page."""
        return self.shift[0] + self.scale[0] * x, self.shift[1] + self.scale[1] * y


def to_pdf(svg: str, *, title: str = "") -> bytes:
    """A cleaned SVG as one PDF page of its size.

    Raises
    ------
    RenderError
        If fpdf2 is missing, or the picture holds what this cannot draw.
    """
    try:
        import fpdf
    except ImportError as error:
        raise RenderError(f"a PDF needs fpdf2: {_INSTALL}; .svg works without") from error
    # Characters that DejaVu Sans has not are drawn as boxes, as in a PNG: no news for a log.
    logging.getLogger("fpdf").setLevel(logging.ERROR)
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    root = ElementTree.fromstring(svg)
    left, top, width, height = map(float, root.get("viewBox", "0 0 1 1").replace(",", " ").split())
    page = fpdf.FPDF(unit="pt", format=(width, height))
    page.set_creation_date(_WRITTEN)
    page.set_title(title)
    page.set_margin(0)
    page.set_auto_page_break(False)
    page.add_font("DejaVu", fname=font_file())
    page.add_page()
    try:
        for element, place in _leaves(root, _Place(shift=(-left, -top))):
            _draw(page, element, place)
        return bytes(page.output())
    finally:
        for font in page.fonts.values():  # fpdf2 leaves the font's file open
            font.ttfont.close()  # type: ignore[union-attr]


def _leaves(
    element: ElementTree.Element, place: _Place
) -> Iterator[tuple[ElementTree.Element, _Place]]:
    """Every shape and text with its place, in drawing order; no recursion is deep in an SVG."""
    for child in element:
        inside = place.inside(child.get("transform", ""))
        if _tag(child) == "g":
            yield from _leaves(child, inside)
        else:
            yield child, inside


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _draw(page: fpdf.FPDF, element: ElementTree.Element, place: _Place) -> None:
    tag = _tag(element)
    if tag == "text":
        _text(page, element, place)
    elif tag == "ellipse":
        x, y = place.at(_value(element, "cx"), _value(element, "cy"))
        rx, ry = (_value(element, r) * abs(s) for r, s in zip(("rx", "ry"), place.scale))
        path = _path(element, place)
        path.ellipse(x, y, rx, ry)
        _add(page, path)
    elif tag in ("polygon", "polyline"):
        numbers = [float(v) for v in _NUMBER.findall(element.get("points", ""))]
        points = [place.at(x, y) for x, y in zip(numbers[::2], numbers[1::2])]
        path = _path(element, place, auto_close=tag == "polygon")
        for k, point in enumerate(points):
            (path.line_to if k else path.move_to)(*point)
        if tag == "polygon":
            path.close()
        _add(page, path)
    elif tag == "path":
        _add(page, _curve(element, place))


def _value(element: ElementTree.Element, name: str, otherwise: float = 0.0) -> float:
    found = _NUMBER.match(element.get(name, ""))
    return float(found[0]) if found else otherwise


def _colour(text: str | None) -> Any:
    """A colour as fpdf2 has it; None for no paint."""
    from fpdf.drawing_primitives import color_from_hex_string

    if text is None or text == "none":
        return None
    return color_from_hex_string(_NAMED.get(text.lower(), text))


def _path(element: ElementTree.Element, place: _Place, *, auto_close: bool = False) -> Any:
    """An empty path in the element's paint."""
    from fpdf.drawing import PaintedPath

    path = PaintedPath()
    path.style.auto_close = auto_close
    path.style.fill_color = _colour(element.get("fill", "black"))
    path.style.stroke_color = _colour(element.get("stroke"))
    path.style.stroke_width = _value(element, "stroke-width", 1.0) * abs(place.scale[0])
    dashes = [float(v) for v in _NUMBER.findall(element.get("stroke-dasharray", ""))]
    if dashes:
        path.style.stroke_dash_pattern = dashes
    return path


def _add(page: fpdf.FPDF, path: Any) -> None:
    with page.drawing_context() as context:
        context.add_item(path)


def _curve(element: ElementTree.Element, place: _Place) -> Any:
    """A path of Graphviz: moves, lines, cubic curves and closings, all absolute."""
    path = _path(element, place)
    for command, numbers in _COMMAND.findall(element.get("d", "")):
        values = [float(v) for v in _NUMBER.findall(numbers)]
        points = [place.at(x, y) for x, y in zip(values[::2], values[1::2])]
        if command == "M":
            path.move_to(*points[0])
            for point in points[1:]:
                path.line_to(*point)
        elif command == "L":
            for point in points:
                path.line_to(*point)
        elif command == "C":
            for k in range(0, len(points) - 2, 3):
                path.curve_to(*points[k], *points[k + 1], *points[k + 2])
        elif command in "Zz":
            path.close()
        else:
            raise RenderError(f"a PDF cannot be made of a path with the command {command!r}")
    return path


def _text(page: fpdf.FPDF, element: ElementTree.Element, place: _Place) -> None:
    text = element.text or ""
    if not text.strip():
        return
    size = _value(element, "font-size", 16.0) * abs(place.scale[1])
    page.set_font("DejaVu", size=size)
    fill = element.get("fill", "")
    page.set_text_color(fill if fill.startswith("#") else _NAMED.get(fill, "#000000"))
    x, y = place.at(_value(element, "x"), _value(element, "y"))
    wide = page.get_string_width(text)
    shift = {"middle": wide / 2, "end": wide}.get(element.get("text-anchor", "start"), 0.0)
    page.text(x - shift, y, text)
