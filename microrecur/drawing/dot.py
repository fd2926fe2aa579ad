"""A scene as a `graphviz.Digraph`: positions kept where the scene has them, laid out where not.

Everything a reader typed passes through `quote`; names and ids in the DOT text are ours (n0, …).
A pinned scene is drawn in the order clusters (panels, bars), edges, nodes, text:
`outputorder=edgesfirst` gives exactly that, which is why panels and bars are clusters with a
bounding box of their own.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from microrecur.drawing.dot_lines import decimal, edge_points, label_place, spline
from microrecur.drawing.quoting import label_of, printable, quote
from microrecur.drawing.scene import Bar, Panel, Point, Scene, SceneEdge, SceneNode, Text
from microrecur.drawing.style import (
    COLOURS,
    FONT,
    NODE_TEXT,
    OPERATOR_TEXT,
    SMALL_TEXT,
    Look,
    Theme,
    theme,
)
from microrecur.drawing.text_size import LINE_HEIGHT, text_box

if TYPE_CHECKING:
    import graphviz  # type: ignore[import-untyped]

NODE_LIMIT = 48  # characters of one line inside a shape
_LINE = 120  # characters of a line below an automatic layout
# Beyond so many nodes or edges an automatic layout takes straight lines, and tries less to shorten
# them: two thousand nodes then take seconds, not minutes.
_MANY = (500, 800)
_QUICK = {
    "splines": "line",
    "nslimit": "0.1",
    "nslimit1": "0.1",
    "mclimit": "0.01",
    "searchsize": "2",
}


def to_digraph(scene: Scene, *, roomy: bool = False) -> graphviz.Digraph:
    """The scene as a `graphviz.Digraph`.

    Parameters
    ----------
    scene : Scene
        Pinned (every node has a centre) or not.
    roomy : bool
        Whether a text may be larger than its box: each Graphviz measures otherwise, and warns.

    Returns
    -------
    graphviz.Digraph
        A pinned scene's keeps its places under Graphviz's `nop2` alone (`neato -n2`, in the package
        `neato_no_op=2`); the others are for `dot`.

    Examples
    --------
    >>> node = SceneNode("h", "t1.h", ("h₁",), "state", "box")
    >>> print(to_digraph(Scene("one state", "", nodes=[node])).engine)
    dot
    """
    import graphviz

    palette = theme(scene.theme)
    digraph = graphviz.Digraph("microrecur", engine="neato" if scene.pinned else "dot")
    digraph.attr("graph", bgcolor=palette.background, fontname=FONT, pad="0.12")
    digraph.attr("graph", outputorder="edgesfirst")
    digraph.attr("node", fontname=FONT, fontsize=decimal(NODE_TEXT), fixedsize="true", margin="0")
    digraph.attr("edge", fontname=FONT, fontsize=decimal(SMALL_TEXT))
    if not scene.pinned:
        _write_automatic(digraph, scene, palette)
        return digraph
    _write_pinned(digraph, scene, palette)
    if roomy:
        digraph.attr("node", fixedsize="shape")
    _write_texts(digraph, scene, palette)
    return digraph


def layout_engine(scene: Scene) -> str:
    """The Graphviz layout that draws the scene: nop2 keeps every place, dot finds them."""
    return "nop2" if scene.pinned else "dot"


# ---------------------------------------------------------------- pinned scenes


def _write_pinned(digraph: graphviz.Digraph, scene: Scene, palette: Theme) -> None:
    # inputscale: `neato` without -n2 reads places as inches, and then at least the nodes stay put.
    digraph.attr("graph", inputscale="72", splines="line")
    for i, panel in enumerate(scene.panels):
        _write_panel(digraph, f"p{i}", panel, palette)
    for i, bar in enumerate(scene.bars):
        _write_bar(digraph, f"b{i}", bar, palette)
    names = {node.key: f"n{i}" for i, node in enumerate(scene.nodes)}
    for i, node in enumerate(scene.nodes):
        assert node.center is not None  # a pinned scene has every centre
        shape = _node_attributes(node, node.size, palette)
        digraph.node(f"n{i}", id=f"n{i}", pos=_place(node.center), **shape)
    by_key = {node.key: node for node in scene.nodes}
    for i, edge in enumerate(scene.edges):
        line = edge_points(edge, by_key[edge.source], by_key[edge.target])
        _write_pinned_edge(digraph, f"e{i}", edge, names, line, palette)


def _write_texts(digraph: graphviz.Digraph, scene: Scene, palette: Theme) -> None:
    """Texts come last, above all shapes and lines."""
    by_key = {node.key: node for node in scene.nodes}
    for i, panel in enumerate(scene.panels):
        _write_panel_label(digraph, f"p{i}t", panel, palette)
    for i, edge in enumerate(scene.edges):
        line = edge_points(edge, by_key[edge.source], by_key[edge.target])
        _write_edge_labels(digraph, f"e{i}t", edge, line, palette)
    for i, caption in enumerate(scene.captions):
        _write_text(digraph, f"c{i}", caption.text, caption.at, palette, caption.align)


def _write_panel(digraph: graphviz.Digraph, name: str, panel: Panel, palette: Theme) -> None:
    style = ["rounded"] + ["filled"] * (panel.level > 0) + ["dashed"] * panel.dashed
    with digraph.subgraph(name=f"cluster_{name}") as cluster:
        cluster.attr(
            "graph",
            id=name,
            bb=",".join(map(decimal, (*panel.low, *panel.high))),
            style=",".join(style),
            color=palette.panel_line,
            fillcolor=palette.panel_fill,
        )


def _write_panel_label(digraph: graphviz.Digraph, name: str, panel: Panel, palette: Theme) -> None:
    if not panel.label:
        return
    text = Text(panel.label, "muted")
    if panel.label_at is not None:
        _write_text(digraph, name, text, panel.label_at, palette)
    else:
        _write_text(digraph, name, text, (panel.high[0] - 9, panel.low[1] + 11), palette, "right")


def _write_bar(digraph: graphviz.Digraph, name: str, bar: Bar, palette: Theme) -> None:
    look = palette.look(bar.kind)
    style = "filled,rounded" if look.rounded else "filled"
    with digraph.subgraph(name=f"cluster_{name}") as cluster:
        cluster.attr(
            "graph",
            id=name,
            bb=",".join(map(decimal, (*bar.low, *bar.high))),
            style=style,
            color=look.line,
            fillcolor=look.fill,
            penwidth=decimal(look.pen),
        )


def _write_pinned_edge(
    digraph: graphviz.Digraph,
    name: str,
    edge: SceneEdge,
    names: dict[str, str],
    line: list[Point],
    palette: Theme,
) -> None:
    attributes = _edge_attributes(edge, palette)
    size = float(attributes["arrowsize"]) * 10 if edge.arrow else 0.0
    place = spline(line, size)
    digraph.edge(names[edge.source], names[edge.target], id=name, pos=place, **attributes)


def _write_edge_labels(
    digraph: graphviz.Digraph, name: str, edge: SceneEdge, line: list[Point], palette: Theme
) -> None:
    # One text per line: a Graphviz label has one colour, and each engine its own line spacing.
    widest, _ = text_box(tuple(label.text for label in edge.labels), SMALL_TEXT)
    heights = [label.size * LINE_HEIGHT for label in edge.labels]
    x, y = edge.label_at or label_place(line, widest, sum(heights))
    top = y + sum(heights) / 2
    for k, (label, height) in enumerate(zip(edge.labels, heights, strict=True)):
        _write_text(digraph, f"{name}{k}", label, (x, top - height / 2), palette)
        top -= height


def _write_text(
    digraph: graphviz.Digraph,
    name: str,
    text: Text,
    at: Point,
    palette: Theme,
    align: str = "center",
) -> None:
    lines = printable(text.text).split("\n")
    width, height = text_box(tuple(lines), text.size)
    shift, end = {"left": (0.5, "\\l"), "center": (0.0, "\\n"), "right": (-0.5, "\\r")}[align]
    # An end after the last line too is what aligns it; a centred text needs none.
    label = end.join(quote(line) or " " for line in lines) + (end if align != "center" else "")
    digraph.node(
        name,
        label,
        id=name,
        shape="plaintext",
        pos=_place((at[0] + shift * width, at[1])),
        width=_inches(width),
        height=_inches(height),
        fontsize=decimal(text.size),
        fontcolor=palette.look(text.kind).small,
    )


# ---------------------------------------------------------------- automatic layout


def _write_automatic(digraph: graphviz.Digraph, scene: Scene, palette: Theme) -> None:
    digraph.attr("graph", rankdir=scene.rankdir, newrank="true", splines="spline", ranksep="0.6")
    if len(scene.nodes) > _MANY[0] or len(scene.edges) > _MANY[1]:
        digraph.attr("graph", **_QUICK)
    notes = [f"{COLOURS[kind]} {palette.look(kind).legend}" for kind in scene.legend]
    told = ["  ·  ".join(notes), *(c.text.text for c in scene.captions)]
    below = [line for text in told for line in textwrap.wrap(text, _LINE)]
    if below:
        small = palette.look("muted").small
        label = " \\n" + "\\n".join(map(quote, below))
        digraph.attr("graph", label=label, labelloc="b", fontsize=decimal(SMALL_TEXT))
        digraph.attr("graph", fontcolor=small)
    names = {node.key: f"n{i}" for i, node in enumerate(scene.nodes)}
    for i, (key, label) in enumerate(_clusters(scene)):
        members = [node for node in scene.nodes if _group(node) == key]
        with digraph.subgraph(name=f"cluster_p{i}") as cluster:
            cluster.attr("graph", id=f"p{i}", label=quote(label), style="rounded,filled")
            cluster.attr("graph", color=palette.panel_line, fillcolor=palette.panel_fill)
            cluster.attr(
                "graph", fontcolor=palette.look("muted").small, fontsize="11", labelloc="b"
            )
            _write_nodes(cluster, members, names, palette)
    _write_nodes(digraph, (n for n in scene.nodes if _group(n) is None), names, palette)
    for i, edge in enumerate(scene.edges):
        _write_automatic_edge(digraph, f"e{i}", edge, names, palette)


def _group(node: SceneNode) -> str | None:
    """The cluster of a node: none for states, or their conveyor drifts down a staircase."""
    return None if node.kind == "state" else node.group


def _clusters(scene: Scene) -> list[tuple[str, str]]:
    """Key and caption of each group that has members, in order of first appearance."""
    captions = {panel.key: panel.label for panel in scene.panels}
    keys = dict.fromkeys(_group(node) for node in scene.nodes)
    return [(key, captions.get(key, key)) for key in keys if key is not None]


def _write_nodes(
    digraph: graphviz.Digraph, nodes: Iterable[SceneNode], names: dict[str, str], palette: Theme
) -> None:
    for node in nodes:
        name = names[node.key]
        digraph.node(name, id=name, **_node_attributes(node, _fitting_size(node), palette))


def _fitting_size(node: SceneNode) -> Point:
    """Width and height that hold the text of a node whose size nobody set for it."""
    if node.shape == "point":
        return node.size
    lines = tuple(printable(line, NODE_LIMIT) for line in node.lines)
    width, height = text_box(lines, NODE_TEXT)
    # The largest rectangle inside an ellipse is 1/√2 of its width and height.
    stretch = math.sqrt(2) if node.shape in ("ellipse", "circle") else 1.0
    fitted = (width * stretch + 14, height * stretch + 10)
    return (max(fitted),) * 2 if node.shape == "circle" else fitted


def _write_automatic_edge(
    digraph: graphviz.Digraph, name: str, edge: SceneEdge, names: dict[str, str], palette: Theme
) -> None:
    attributes = _edge_attributes(edge, palette)
    if edge.labels:
        # Spaces keep the text off the line beside it.
        lines = [f" {quote(label.text)} " for label in edge.labels]
        # Graphviz keeps a label clear of a line's middle, not of its width.
        attributes["label"] = "\\n".join(lines + [" "] * (edge.width > 3))
        attributes["fontcolor"] = palette.look(edge.labels[0].kind).small
        attributes["fontsize"] = decimal(edge.labels[0].size)
    ends = [names[edge.source], names[edge.target]]
    if edge.aside:
        attributes["constraint"] = "false"
    if edge.back:
        ends.reverse()
        attributes["dir"] = "back"
    digraph.edge(*ends, id=name, **attributes)


# ---------------------------------------------------------------- attributes of both


def _node_attributes(node: SceneNode, size: Point, palette: Theme) -> dict[str, str]:
    look = palette.look("warning" if node.flagged else node.kind)
    width, height = size
    sizes = {"width": _inches(width), "height": _inches(height)}
    if node.shape == "point":
        return {"shape": "point", "color": look.edge, "fillcolor": look.edge, "label": "", **sizes}
    shape, style = _form(node, look)
    return {
        "label": label_of(node.lines, NODE_LIMIT),
        "shape": shape,
        "style": style,
        "color": look.line,
        "fillcolor": look.fill,
        "fontcolor": look.text,
        "fontsize": decimal(_text_size(node)),
        "penwidth": decimal(look.pen),
        **sizes,
    }


def _text_size(node: SceneNode) -> float:
    """Signs are large; a formula in a circle, 1−z, must not fill it."""
    if node.shape != "circle":
        return NODE_TEXT
    return OPERATOR_TEXT if max(map(len, node.lines), default=0) < 2 else SMALL_TEXT


def _form(node: SceneNode, look: Look) -> tuple[str, str]:
    shape = "box" if node.shape == "folded" else node.shape
    style = ["filled"]
    if shape == "box" and look.rounded:
        style.append("rounded")
    if look.dashed or node.shape == "folded":
        style.append("dashed")
    return shape, ",".join(style)


def _edge_attributes(edge: SceneEdge, palette: Theme) -> dict[str, str]:
    # Graphviz draws a head's outline as thick as the line, which makes it large enough.
    return {
        "color": palette.look(edge.kind).edge,
        "penwidth": decimal(edge.width),
        "arrowsize": decimal((7.9 + 0.35 * edge.width) / 10),
        "dir": "forward" if edge.arrow else "none",
    }


def _place(point: Point) -> str:
    return f"{decimal(point[0])},{decimal(point[1])}!"


def _inches(points: float) -> str:
    return f"{max(points, 0.5) / 72:.4f}"
