"""DOT text: what is written, in which order, and that no text typed gets out of its quotes."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microrecur.drawing.dot import layout_engine, to_digraph
from microrecur.drawing.dot_lines import border, edge_points, label_place, spline
from microrecur.drawing.drawing import Drawing
from microrecur.drawing.parts import parts
from microrecur.drawing.quoting import LABEL_LIMIT, printable, quote
from microrecur.drawing.scene import Bar, Caption, Panel, Scene, SceneEdge, SceneNode, Text
from microrecur.drawing.style import theme

HOSTILE = [
    '"',
    '\\"',
    "\\",
    "ends in \\",
    "two \\\\",
    "\\N \\G \\E \\l \\r",
    "<script>alert(1)</script>",
    "<b>bold</b>",
    "<",
    "a:b",
    "javascript:alert(1)",
    "&lt; &amp; &#60; & ;",
    '"]; n9 [label="injected',
    "-> {} ; // # /* */",
    "graph",
    "日本語 👩‍🔬 🚀",
    "e\u0301 σ′ ≤ ¼",
    "%s {0} $HOME",
    "]]>",
    "<!-- c -->",
]


def node(key, lines, **options):
    return SceneNode(
        key, options.pop("id", key), lines, options.pop("kind", "state"), "box", **options
    )


def pair():
    """Two states and the weighted edge between them, every place given."""
    return Scene(
        "pair",
        "two states",
        nodes=[
            node("a", ("h₀",), id="t0.h", center=(40.0, 20.0)),
            node("b", ("h₁",), id="t1.h", center=(240.0, 20.0)),
        ],
        edges=[
            SceneEdge(
                "a",
                "b",
                "weight",
                labels=(Text("U = 1.2", "weight"), Text("∏ = 0.5", "path")),
                label_at=(140.0, 50.0),
                points=((70.0, 20.0), (210.0, 20.0)),
                id=("t0.h", "t1.h"),
            )
        ],
        panels=[Panel("p", (0.0, 0.0), (280.0, 80.0), "t = 1", level=1)],
        bars=[Bar((0.0, -40.0), (20.0, -10.0), "bar")],
        captions=[Caption(Text("note", "muted"), (10.0, -60.0), "left")],
    )


def texts(svg):
    return [
        element.text for element in ElementTree.fromstring(svg).iter() if element.tag[-4:] == "text"
    ]


def test_a_pinned_scene_is_written_like_this():
    light = theme("light")
    source = to_digraph(pair()).source
    expected = [
        "subgraph cluster_p0 {",
        'graph [bb="0,0,280,80" color="#C4C4C4" fillcolor="#F7F7F7" id=p0 style="rounded,filled"]',
        "subgraph cluster_b0 {",
        'n0 [label="h₀" color="#8A7A00" fillcolor="#FFF6C9" fontcolor="#111111" fontsize=12 '
        'height=0.4722 id=n0 penwidth=1.6 pos="40,20!" shape=box style="filled,rounded" '
        "width=0.8333]",
        'n0 -> n1 [arrowsize=0.84 color="#D55E00" dir=forward id=e0 penwidth=1.4 '
        'pos="e,210,20 70,20 113.87,20 157.73,20 201.6,20"]',
        'p0t [label="t = 1\\r"',
        'e0t0 [label="U = 1.2"',
        'e0t1 [label="∏ = 0.5"',
        'c0 [label="note\\l"',
    ]
    places = [source.find(line) for line in expected]
    assert -1 not in places, expected[places.index(-1)]
    assert places == sorted(places)
    assert f'fontcolor="{light.look("weight").small}"' in source
    assert "outputorder=edgesfirst" in source


def test_the_same_scene_gives_the_same_text():
    assert to_digraph(pair()).source == to_digraph(pair()).source


def test_edge_text_stands_in_lines_about_its_centre():
    source = to_digraph(pair()).source
    places = re.findall(r'e0t\d \[label="[^"]*".*?pos="([\d.]+),([\d.]+)!"', source)
    assert [float(x) for x, _ in places] == [140.0, 140.0]
    first, second = (float(y) for _, y in places)
    assert (first + second) / 2 == pytest.approx(50.0, abs=0.01)
    assert first - second == pytest.approx(1.2 * 11)


def test_layout_follows_from_the_scene():
    scene = pair()
    assert layout_engine(scene) == "nop2" and to_digraph(scene).engine == "neato"
    scene.nodes = [node("a", ("a",)), node("b", ("b",))]
    assert layout_engine(scene) == "dot" and to_digraph(scene).engine == "dot"


def test_automatic_layout_keeps_states_out_of_clusters():
    scene = Scene(
        "auto",
        "",
        nodes=[
            node("c", ("c",), group="t1"),
            node("f", ("f",), kind="gate slope", group="t1"),
        ],
        edges=[SceneEdge("c", "f", "weight", labels=(Text("U", "weight"), Text("V", "path")))],
        panels=[Panel("t1", (0, 0), (1, 1), "t = 1")],
        legend=("gate slope", "plus"),
    )
    source = to_digraph(scene).source
    inside = source[source.index("subgraph") : source.index("}")]
    assert "n1 [" in inside and "n0 [" not in inside and 'label="t = 1"' in inside
    for setting in ("rankdir=LR", "newrank=true", "splines=spline"):
        assert setting in source
    assert "blue σ : factor ≤ ¼  ·  grey + : factor 1" in source
    assert 'label=" U \\n V "' in source


def test_every_shape_is_found_by_the_id_of_its_node_or_edge():
    scene = pair()
    scene.nodes.append(node("again", ("+",), id="t1.h", center=(300.0, 20.0)))
    scene.bars.append(Bar((0.0, -40.0), (20.0, -10.0), "bar", "t1.h"))
    scene.captions.append(Caption(Text("0.35"), (10.0, -5.0), id="t1.h"))
    found = parts(scene)
    assert found.nodes["t1.h"] == ("n1", "n2")
    assert found.edges == {("t0.h", "t1.h"): ("e0",)}
    assert found.labels == {("t0.h", "t1.h"): ("e0t0", "e0t1")}
    assert found.bars == {"t1.h": ("b1", "c1")}
    drawing = Drawing(scene)
    svg = drawing.svg()
    p = drawing.parts
    tables = (p.nodes, p.edges, p.labels, p.bars)
    names = [name for table in tables for names in table.values() for name in names]
    assert len(names) == len(set(names)) == 8, names
    for name in names:
        assert svg.count(f'id="{name}"') == 1


def test_what_holds_no_number_is_drawn_in_the_warning_colour():
    scene = pair()
    scene.nodes[0] = node("a", ("nan",), center=(0.0, 0.0), flagged=True)
    assert theme("light").look("warning").line in to_digraph(scene).source


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("engine", ["wasm", pytest.param("system", marks=pytest.mark.graphviz)])
def test_hostile_text_arrives_as_typed_everywhere(text, engine):
    pinned, automatic = pair(), Scene(text, text)
    pinned.title = pinned.description = text
    pinned.nodes[0] = node("a", (text,), center=(40.0, 20.0), id=text)
    pinned.edges[0] = SceneEdge("a", "b", "weight", labels=(Text(text, "weight"),))
    pinned.panels = [Panel(text, (0.0, 0.0), (280.0, 80.0), text)]
    pinned.captions = [Caption(Text(text), (0.0, -60.0), align) for align in ("left", "right")]
    automatic.nodes = [node("a", (text,), kind="input", group=text), node("b", ("b",))]
    automatic.edges = [SceneEdge("a", "b", "weight", labels=(Text(text, "weight"),))]
    automatic.captions = [Caption(Text(text), (0.0, 0.0))]
    for scene, count in ((pinned, 5), (automatic, 4)):
        svg = Drawing(scene, engine=engine).svg()
        assert [t.strip() for t in texts(svg)].count(text) == count
        only_shapes_and_text(svg)


def only_shapes_and_text(svg):
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert tags <= {"svg", "g", "path", "polygon", "ellipse", "polyline", "text", "title", "desc"}
    for element in ElementTree.fromstring(svg).iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on") and "href" not in name and "script" not in value


@pytest.mark.parametrize(
    ("typed", "drawn"),
    [
        ("nul\0here", "nul\ufffdhere"),
        ("bell\a escape\x1b", "bell\ufffd escape\ufffd"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("turned \u202e around", "turned \ufffd around"),
        ("not XML \uffff", "not XML \ufffd"),
        ("a\ttab", "a tab"),
    ],
)
def test_what_cannot_be_drawn_is_replaced(typed, drawn):
    assert printable(typed) == drawn
    scene = pair()
    scene.captions = [Caption(Text(typed), (0.0, 0.0))]
    scene.title = typed
    assert drawn in texts(Drawing(scene).svg())


@pytest.mark.parametrize("text", HOSTILE)
def test_no_quoted_text_can_be_taken_for_html_or_end_its_string(text):
    quoted = quote(text)
    assert not set("<>\n") & set(quoted)
    assert '"' not in re.sub(r"\\.", "", quoted) and not re.sub(r"\\.", "", quoted).endswith("\\")


def test_captions_begin_end_or_stand_at_their_place():
    scene = pair()
    scene.captions = [
        Caption(Text(align), (140.0, -60.0 - 20 * k), align)
        for k, align in enumerate(("left", "center", "right"))
    ]
    root = ElementTree.fromstring(Drawing(scene).svg())
    drawn = {e.text: e for e in root.iter() if e.tag.endswith("text")}
    for align, anchor in (("left", "start"), ("center", "middle"), ("right", "end")):
        assert drawn[align].get("text-anchor") == anchor
        # The edge's label has its centre at the same x.
        assert float(drawn[align].get("x")) == pytest.approx(
            float(drawn["U = 1.2"].get("x")), abs=1
        )


def test_a_newline_starts_a_line():
    scene = pair()
    scene.nodes[0] = node("a", ("one\ntwo",), center=(40.0, 20.0))
    scene.captions = [Caption(Text("three\nfour"), (0.0, -60.0), "right")]
    drawn = texts(Drawing(scene).svg())
    assert {"one", "two", "three", "four"} <= set(drawn)


def test_long_text_ends_in_an_ellipsis():
    scene = pair()
    scene.nodes[0] = node("a", ("x" * 10_000,), center=(40.0, 20.0))
    scene.captions = [Caption(Text("y" * 10_000), (0.0, -60.0))]
    drawn = texts(Drawing(scene).svg())
    assert "y" * (LABEL_LIMIT - 1) + "…" in drawn
    assert max(map(len, drawn)) == LABEL_LIMIT
    assert any(text.startswith("xxx") and text.endswith("…") and len(text) < 60 for text in drawn)


@pytest.mark.parametrize("text", ["\n" + "x" * 80, "y\n\n" + "x" * 80, "\n\n\n", "\n"])
def test_empty_lines_do_not_crash_the_layout(text):
    scene = pair()
    scene.nodes[0] = node("a", (text, "", "x" * 80), center=(40.0, 20.0))
    scene.captions = [Caption(Text(text), (0.0, -60.0), align) for align in ("left", "center")]
    automatic = Scene("", "", nodes=[node("a", ("", text), kind="input", group=text)])
    automatic.captions = [Caption(Text(text), (0.0, 0.0))]
    for drawn in (scene, automatic):
        only_shapes_and_text(Drawing(drawn, engine="wasm").svg())


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from('\n\\"&<x'), max_size=250))
def test_any_text_at_all_is_a_picture(text):
    scene = pair()
    scene.nodes[0] = node("a", (text,), center=(40.0, 20.0))
    scene.captions = [Caption(Text(text), (0.0, -60.0), "left")]
    only_shapes_and_text(Drawing(scene).svg())


def test_a_line_runs_from_border_to_border():
    circle = SceneNode("a", "a", (), "plus", "circle", (0.0, 0.0), (20.0, 20.0))
    box = SceneNode("b", "b", (), "state", "box", (100.0, 0.0), (40.0, 30.0))
    assert edge_points(SceneEdge("a", "b", "plus"), circle, box) == [(10.0, 0.0), (80.0, 0.0)]
    assert border(box, (100.0, 99.0)) == (100.0, 15.0)
    assert border(box, (100.0, 0.0)) == (100.0, 0.0)  # no direction: the centre itself


def test_a_spline_follows_its_polyline():
    numbers = spline([(0.0, 0.0), (30.0, 0.0), (30.0, 60.0)], 12).split()
    assert numbers[0] == "e,30,60"
    points = [tuple(map(float, pair.split(","))) for pair in numbers[1:]]
    assert len(points) % 3 == 1
    assert points[0] == (0.0, 0.0) and points[3] == (30.0, 0.0) and points[-1] == (30.0, 48.0)


def test_a_line_shorter_than_its_head_still_has_a_direction():
    ends = spline([(0.0, 0.0), (4.0, 0.0)], 10).split()
    assert ends[0] == "e,4,0" and 0 < float(ends[-1].split(",")[0]) < 4
    point = SceneNode("a", "a", (), "plus", "circle", (0.0, 0.0), (20.0, 20.0))
    line = edge_points(SceneEdge("a", "a", "plus", points=((5.0, 5.0), (5.0, 5.0))), point, point)
    assert len(set(line)) == 2


def test_a_label_nobody_placed_stands_beside_the_longest_piece():
    x, y = label_place([(0.0, 0.0), (0.0, 100.0), (10.0, 100.0)], 30.0, 10.0)
    assert x > 15 and y == 50
    x, y = label_place([(0.0, 0.0), (100.0, 0.0)], 30.0, 10.0)
    assert x == 50 and y > 5


# ------------------------------------------------------------------------ palette


def luminance(colour):
    """Relative luminance, WCAG 2.1."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_measured_as_wcag_does():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_all_text_reads_on_what_is_behind_it(name):
    palette = theme(name)
    for kind, look in palette.looks.items():
        assert contrast(look.text, look.fill) >= 4.5 or "bar" in kind, (kind, "text in the shape")
        for behind in (palette.background, palette.panel_fill):
            assert contrast(look.small, behind) >= 4.5, (kind, "small text")


def test_kinds_that_share_a_shape_differ_in_colour():
    for name in ("light", "dark"):
        looks = theme(name).looks
        kinds = ("gate slope", "squash slope", "weight", "product", "plus", "state")
        for one, other in itertools.combinations(kinds, 2):
            assert looks[one].edge != looks[other].edge


def test_unknown_kind_and_theme_say_what_there_is():
    with pytest.raises(KeyError, match=r"no look for kind 'slope'; the palette has: .*gate slope"):
        theme("light").look("slope")
    with pytest.raises(ValueError, match="no theme 'sepia'; there are: light, dark"):
        theme("sepia")
