"""What stands below a picture: the strip of running products, the legend, a line on the path."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from microrecur.drawing import labels
from microrecur.drawing.placing import label_box
from microrecur.drawing.quoting import LABEL_LIMIT, printable
from microrecur.drawing.scene import Bar, Caption, Point, Scene, Text
from microrecur.drawing.sheet import BOX, Sheet
from microrecur.drawing.style import LEGEND, SMALL_TEXT
from microrecur.drawing.text_size import LINE_HEIGHT, text_width
from microrecur.drawing.track import Track
from microrecur.graphs.notation import count, number, power_of_ten

_STRIP_HEIGHT = 76.0  # of the largest bar
_LOWEST = 4.0  # of the smallest: a bar that is there is seen
_BAR = 26.0
_BETWEEN = 8.0  # the texts of two bars
_ROW = 17.0  # between lines of text
_TITLE = 14.0  # text size
_TITLE_ROOM = 640.0  # a title may be as wide as this above a narrower picture


def extent(scene: Scene) -> tuple[Point, Point]:
    """Low and high corner of all that is drawn so far."""
    xs, ys = [], []
    for node in scene.nodes:
        assert node.center is not None
        xs += [node.center[0] - node.size[0] / 2, node.center[0] + node.size[0] / 2]
        ys += [node.center[1] - node.size[1] / 2, node.center[1] + node.size[1] / 2]
    for panel in scene.panels:
        xs += [panel.low[0], panel.high[0]]
        ys += [panel.low[1], panel.high[1]]
    for edge in scene.edges:
        xs += [x for x, _ in edge.points or ()]
        ys += [y for _, y in edge.points or ()]
        if edge.label_at is not None:
            box = label_box(edge.labels, edge.label_at)
            xs, ys = [*xs, box.left, box.right], [*ys, box.low, box.high]
    return (min(xs), min(ys)), (max(xs), max(ys))


def add_title(scene: Scene, title: str) -> None:
    """Add a title above what the scene shows; as many lines as keep it from widening a picture."""
    (left, _), (right, high) = extent(scene)
    room = max(right - left, _TITLE_ROOM)
    lines = [part for line in printable(title).split("\n") for part in _broken(line, room)]
    for under, line in zip(reversed(range(len(lines))), lines, strict=True):
        at = ((left + right) / 2, high + 18.0 + under * _TITLE * LINE_HEIGHT)
        scene.captions.append(Caption(Text(line, "plain", _TITLE), at))


def _broken(text: str, room: float) -> list[str]:
    """A line of a title as lines of a width, broken between words where there are any."""
    if text_width(text, _TITLE) <= room:
        return [text]
    lines, line = [], ""
    for word in re.findall(r"\s*\S+", text):
        while text_width(line + word, _TITLE) > room:
            if not line:  # a word wider than the picture
                fits = (k for k in range(len(word), 1, -1) if text_width(word[:k], _TITLE) <= room)
                k = next(fits, 1)
                line, word = word[:k], word[k:]
            lines.append(line)
            line, word = "", word.lstrip()
        line += word
    return [*lines, line]


def add_below(scene: Scene, sheet: Sheet, caption: str) -> None:
    """Add strip, legend and caption under what the scene shows."""
    (left, low), (right, _) = extent(scene)
    if sheet.track is not None:
        low = _add_strip(scene, sheet, sheet.track, left, right, low)
    symbols = {
        sheet.graph.find(node.id).symbol for node in scene.nodes if node.id in sheet.cell.parts
    }
    add_legend(scene, symbols, left, right, low - 26.0, caption)


# ---------------------------------------------------------------- legend


def legend_entries(kinds: Iterable[str], symbols: Iterable[str]) -> list[tuple[str, str]]:
    """Kind and words of each kind that occurs, in the order of the palette's legend."""
    kinds, symbols = set(kinds), set(symbols)
    squash = " · ".join(sorted(symbols & {"tanh", "relu"})) or "tanh"
    return [
        (kind, text.replace("tanh", squash, 1) if kind == "squash slope" else text)
        for kind, text in LEGEND.items()
        if kind in kinds
    ]


def add_legend(
    scene: Scene, symbols: Iterable[str], left: float, right: float, row: float, caption: str
) -> None:
    """Add what the colours stand for, and the caption, from `row` down."""
    kinds = {edge.kind for edge in scene.edges} | {node.kind for node in scene.nodes}
    x = left + 6.0
    for kind, text in legend_entries(kinds, symbols):
        wide = text_width(text, SMALL_TEXT)
        if x + 24.0 + wide > right and x > left + 6.0:
            x, row = left + 6.0, row - _ROW - 3.0
        scene.bars.append(Bar((x, row - 6.0), (x + 17.0, row + 6.0), kind))
        scene.captions.append(Caption(Text(text, "plain", SMALL_TEXT), (x + 24.0 + wide / 2, row)))
        x += 24.0 + wide + 30.0
    lines = _filled(caption, right - left - 12.0)
    if lines and len(lines) == 1 and x + text_width(lines[0], SMALL_TEXT) < right:
        scene.captions.append(_from_left(lines[0], x + 6.0, row))
        return
    for line in lines:
        row -= _ROW + 2.0
        scene.captions.append(_from_left(line, left + 6.0, row))


def _from_left(text: str, x: float, row: float) -> Caption:
    """A line that begins at x; centred, so that an engine that measures badly cannot shift it."""
    return Caption(labels.note(text), (x + text_width(text, SMALL_TEXT) / 2, row))


def _filled(text: str, width: float) -> list[str]:
    """The text in lines no wider than a width."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else ""
        if lines and len(longer) < LABEL_LIMIT and text_width(longer, SMALL_TEXT) <= width:
            lines[-1] = longer
        elif word:
            lines.append(word)
    return lines


# ---------------------------------------------------------------- the strip of running products


def _add_strip(
    scene: Scene, sheet: Sheet, track: Track, left: float, right: float, low: float
) -> float:
    """Bars of |∏| on a log scale, one per named node of the path; returns where the strip ends."""
    scale = "|running product|"
    wide = text_width(scale, SMALL_TEXT)
    stations = _stations(sheet, track, right - wide - 10.0)
    sizes = [abs(track.at(id)) for id, _ in stations]
    finite = [size for size in sizes if size > 0.0 and math.isfinite(size)]
    if not finite:
        return low
    floor, ceiling = math.floor(math.log10(min(finite))), math.ceil(math.log10(max(finite)))
    ceiling += ceiling == floor
    base = low - 40.0 - _STRIP_HEIGHT
    scene.bars.append(Bar((left, base - 1.0), (right, base), "muted"))
    for (id, x), size in zip(stations, sizes, strict=True):
        height = _bar_height(size, floor, ceiling)
        kind = "bar" if sheet.graph.find(id).role in ("state", "input") else "bar pale"
        if height:
            scene.bars.append(Bar((x - _BAR / 2, base), (x + _BAR / 2, base + height), kind, id))
        value = Text(number(track.at(id)), "path", SMALL_TEXT)
        scene.captions.append(Caption(value, (x, base + height + 9.0), id=id))
        scene.captions.append(
            Caption(Text(_bar_name(sheet, track, id), "path", SMALL_TEXT), (x, base - 12.0))
        )
    lines = (scale, "log scale", f"{power_of_ten(floor)} … {power_of_ten(ceiling)}")
    x = right - wide / 2 - 4.0
    for k, line in enumerate(lines):
        scene.captions.append(Caption(labels.note(line), (x, base + 52.0 - 14.0 * k)))
    return base - 22.0


def _bar_height(size: float, floor: int, ceiling: int) -> float:
    if size == 0.0 or not math.isfinite(size):
        return 0.0
    share = (math.log10(size) - floor) / (ceiling - floor)
    return _LOWEST + share * (_STRIP_HEIGHT - _LOWEST)


def _bar_name(sheet: Sheet, track: Track, id: str) -> str:
    name = sheet.names.node(sheet.graph.find(id))
    if sheet.names.layered:  # long enough
        return name
    if not track.path.signed:
        return f"∏‖·‖ at {name}"  # a product of norms bounds the gradient and is none
    if track.path.count != 1:
        return f"∏ at {name}"
    root = sheet.graph.find(track.path.ids[0])
    return f"∂{sheet.names.node(root)}/∂{name}"


def _stations(sheet: Sheet, track: Track, right: float) -> list[tuple[str, float]]:
    """The path's named nodes that are drawn, and where their bars stand: each below its node.

    Where several nodes stand close, their bars make room for one another's numbers and names.
    """
    placed = [
        (id, _below(sheet, track, id))
        for id in reversed(track.path.ids[1:])
        if id in sheet.nodes and sheet.graph.find(id).name and id in sheet.cell.parts
    ]
    placed.sort(key=lambda station: station[1])
    halves = [_half_width(sheet, track, id) + _BETWEEN / 2 for id, _ in placed]
    xs = _apart([x for _, x in placed], halves)
    for k in reversed(range(len(xs))):
        beside = xs[k + 1] - halves[k + 1] if k + 1 < len(xs) else right
        xs[k] = min(xs[k], beside - halves[k])
    return [(id, x) for (id, _), x in zip(placed, xs, strict=True)]


def _apart(wanted: list[float], halves: list[float]) -> list[float]:
    """Places as near as can be to those wanted, so that no two items overlap.

    Items that would overlap stand side by side, about the mean of the places they want.
    """
    groups: list[tuple[list[int], float]] = []  # their items; where the first one's left edge is
    for k, x in enumerate(wanted):
        items, left = [k], x - halves[k]
        while groups and groups[-1][1] + sum(2 * halves[i] for i in groups[-1][0]) > left:
            items = groups.pop()[0] + items
            offsets = [
                sum(2 * halves[j] for j in items[:n]) + halves[i] for n, i in enumerate(items)
            ]
            left = sum(wanted[i] - off for i, off in zip(items, offsets, strict=True)) / len(items)
        groups.append((items, left))
    found = []
    for items, left in groups:
        for i in items:
            found.append(left + halves[i])
            left += 2 * halves[i]
    return found


def _below(sheet: Sheet, track: Track, id: str) -> float:
    """The middle of the shape a path leaves a node by: the state box, or the op before it."""
    boxed = id + BOX in sheet.nodes and track.leaves_box(id, sheet.cell, sheet.plan)
    center = sheet.nodes[id + BOX if boxed else id].center
    assert center is not None
    return center[0]


def _half_width(sheet: Sheet, track: Track, id: str) -> float:
    texts = (_bar_name(sheet, track, id), number(track.at(id)))
    return max(text_width(text, SMALL_TEXT) for text in texts) / 2


def path_caption(sheet: Sheet, track: Track, about: str = "") -> str:
    """What the path is, how it compares with all others, how to read its width."""
    path = track.path
    root, source = (sheet.names.node(sheet.graph.find(id)) for id in (path.ids[0], path.ids[-1]))
    product = "∏" if path.signed else "∏‖·‖"
    among = f", {about}" if about else ""
    which = "the only path" if path.count == 1 else f"one path among {count(path.count)}"
    reading = "line width = |running product| on a log scale; read right to left"
    return f"{root} → {source}: {which}, {product} = {number(path.product)}{among} · {reading}"
