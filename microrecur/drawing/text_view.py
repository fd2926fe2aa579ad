"""A graph or a path as aligned text: for terminals, and for where nothing can be drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from microrecur.drawing import labels
from microrecur.drawing.shares import heading, percent, reading
from microrecur.graphs.notation import count, number

if TYPE_CHECKING:
    from microrecur.drawing.shares import Shares
    from microrecur.flows.paths import Path
    from microrecur.graphs.graph import Edge, Graph, Node

_LONGEST = 120  # lines; what is longer says how much it leaves out


def text_view(graph: Graph, path: Path | None = None, *, names: labels.Names | None = None) -> str:
    """Tell a graph in text: the path factor by factor, or every node with what flows into it.

    Parameters
    ----------
    graph
        At the level to show.
    path
        A path of this graph; without one the whole graph is told.
    names
        How steps are called.

    Returns
    -------
    str
        Lines without colour.
    """
    layers = {node.layer for node in graph.nodes if node.step is not None}
    names = replace(names or labels.Names(), layered=len(layers) > 1)
    return _path_text(graph, path, names) if path is not None else _graph_text(graph, names)


def routes_text(graph: Graph, parts: Shares, *, names: labels.Names | None = None) -> str:
    """Tell all routes of a gradient: line by line the share that passes along each edge.

    Parameters
    ----------
    graph
        The view whose edges `parts` measured.
    parts
        What part of the gradient passes along each edge.
    names
        How steps are called.

    Returns
    -------
    str
        Lines without colour. Edges no route takes are left out; of a long graph, its middle steps.
    """
    layers = {node.layer for node in graph.nodes if node.step is not None}
    names = replace(names or labels.Names(), layered=len(layers) > 1)
    blocks = _steps(graph)
    heights = [_height(graph, block) for block in blocks]
    told = set(range(len(blocks)))
    if sum(heights) > _LONGEST:  # shares are worked out when asked for: the middle is not
        half = _LONGEST // 2
        from_end = (len(blocks) - 1 - k for k in _first(heights[::-1], half))
        told = {*_first(heights, half), *from_end}
    lines: list[str] = []
    for shown, run in groupby(range(len(blocks)), lambda k: k in told):
        if not shown:
            left_out = len(list(run))
            lines.append(f"… {left_out:,} step{'s' * (left_out > 1)} more …")
            continue
        for k in run:
            lines += _routes_lines(graph, parts, blocks[k], names)
    root, source = (_called(graph.find(id), names) for id in (parts.root, parts.source))
    ends = [heading(parts, root, source), reading(parts, "numbers in percent")]
    return "\n".join([*ends, *_shortened(lines)])


def _routes_lines(
    graph: Graph, parts: Shares, block: Sequence[Node], names: labels.Names
) -> list[str]:
    """The edges of a step that a route takes: where it is, where it goes back to, how much."""
    rows: list[tuple[str, ...]] = []
    for node in block:
        taken = [edge for edge in graph.into(node.id) if edge in parts.of]
        for k, edge in enumerate(taken):
            here = "" if k else f"  {_called(node, names)}"
            back = f"← {_called(graph.find(edge.source), names)}"
            rows.append((here, back, percent(parts.of[edge]), _factors(edge, names)))
    room = max((_columns(row[2]) for row in rows), default=0)
    aligned = _aligned([(*row[:2], row[2].rjust(room), row[3]) for row in rows])
    step = block[0].step
    return [f"step {names.step(step)}", *aligned] if step is not None and rows else aligned


def _path_text(graph: Graph, path: Path, names: labels.Names) -> str:
    root, source = (_called(graph.find(id), names) for id in (path.ids[0], path.ids[-1]))
    which = "the only path" if path.count == 1 else f"one path among {count(path.count)}"
    product = "∏" if path.signed else "∏‖·‖"
    names = replace(names, signed=path.signed)
    rows = [("node", "value", "factors", product), (root, _value(graph.find(path.ids[0])), "", "")]
    for edge, running in zip(path.edges, path.running, strict=True):
        node = graph.find(edge.source)
        factors = _factors(edge, names, on_path=True)
        rows.append((_called(node, names), _value(node), factors, number(running)))
    head = f"{root} → {source}: {which}, {product} = {number(path.product)}"
    return "\n".join([head, *_shortened(_aligned(rows))])


def _graph_text(graph: Graph, names: labels.Names) -> str:
    blocks = _steps(graph)
    heights = [_height(graph, block) for block in blocks]
    told = {*_first(heights), *(len(blocks) - 1 - k for k in _first(heights[::-1]))}
    lines: list[str] = []
    for k, block in enumerate(blocks):
        if k in told:
            lines += _block_lines(graph, block, names)
        else:  # in the middle of what is left out anyway
            lines += [""] * heights[k]
    return "\n".join(_shortened(lines))


def _steps(graph: Graph) -> list[list[Node]]:
    """The nodes step by step; first those before all steps, last those after."""
    by_step = sorted(graph.nodes, key=lambda n: (n.step is None and n.op is not None, n.step or 0))
    return [list(block) for _, block in groupby(by_step, lambda node: node.step)]


def _height(graph: Graph, block: Sequence[Node]) -> int:
    """How many lines a step takes."""
    return (block[0].step is not None) + sum(max(1, len(graph.into(n.id))) for n in block)


def _first(heights: Sequence[int], lines: int = _LONGEST) -> Iterator[int]:
    """The blocks that the first lines of a shortened text come from."""
    total = 0
    for k, height in enumerate(heights):
        if total >= lines:
            return
        yield k
        total += height


def _block_lines(graph: Graph, block: Sequence[Node], names: labels.Names) -> list[str]:
    step = block[0].step
    head = [f"step {names.step(step)}"] if step is not None else []
    return head + _aligned([row for node in block for row in _node_rows(graph, node, names)])


def _node_rows(graph: Graph, node: Node, names: labels.Names) -> list[tuple[str, ...]]:
    """A node and, line by line, where it comes from."""
    name, value = _called(node, names), f"= {_value(node)}"
    op = node.symbol if node.name else ""
    arrivals = [
        (f"← {_called(graph.find(edge.source), names)}", _factors(edge, names))
        for edge in graph.into(node.id)
    ] or [("", "")]
    first, *others = arrivals
    return [(f"  {name}", value, op, *first), *(("", "", "", *arrival) for arrival in others)]


def _called(node: Node, names: labels.Names) -> str:
    return names.node(node)


def _value(node: Node) -> str:
    shape = labels.shape_text(node)
    return " ".join(filter(None, (shape, labels.size_text(node))))


def _factors(edge: Edge, names: labels.Names, *, on_path: bool = False) -> str:
    """× each factor of an edge with its bound; several paths in one are summed."""
    if edge.paths > 1 or not edge.factors:
        size = labels.multiplied(edge, names.signed)
        return f"× {number(size)} ({edge.paths} paths)"
    telling = labels.telling(edge.factors)
    phrases = (labels.phrase(factor, names, on_path=on_path) for factor in telling)
    return "  ".join(phrase.wrapped(0, times=True)[0] for phrase in phrases)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side, two blanks apart, no blanks at the end."""
    if not rows:
        return []
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _columns(text: str) -> int:
    """Columns a text takes in a terminal."""
    return sum(
        0
        if unicodedata.combining(letter)
        else 2
        if unicodedata.east_asian_width(letter) in "WF"
        else 1
        for letter in text
    )


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= _LONGEST:
        return lines
    half = _LONGEST // 2
    left_out = f"… {len(lines) - 2 * half:,} lines more …"
    return [*lines[:half], left_out, *lines[-half:]]
