"""The class a person holds: text, DOT, notebook, limits."""

import base64
import re
import sys

import graphviz
import pytest

from microrecur.drawing.drawing import Drawing
from microrecur.drawing.scene import Scene, SceneEdge, SceneNode
from microrecur.engine.errors import RenderError


def scene(title="two states", theme="light", count=2):
    nodes = [
        SceneNode(f"h{k}", f"t{k}.h", (f"h{k}",), "state", "box", (40.0 + 120 * k, 20.0))
        for k in range(count)
    ]
    edges = [SceneEdge(f"h{k}", f"h{k + 1}", "weight") for k in range(count - 1)]
    return Scene(title, "h0 to h1", nodes=nodes, edges=edges, theme=theme)


@pytest.fixture
def drawing():
    return Drawing(scene(), "h0 -> h1")


@pytest.fixture
def no_engine(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_text_and_dot_need_no_engine(drawing, no_engine, tmp_path):
    assert str(drawing) == "h0 -> h1"
    assert drawing.source.startswith("digraph microrecur {")
    assert drawing.save(tmp_path / "a.dot").read_text() == drawing.source
    with pytest.raises(RenderError, match="no Graphviz engine can draw this picture"):
        drawing.svg()


def test_without_a_text_the_title_stands(drawing):
    assert str(Drawing(scene())) == "two states"
    assert repr(drawing) == "Drawing('two states', 2 nodes, 1 edges)"


def test_a_notebook_gets_picture_and_text(drawing):
    bundle = drawing._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/svg+xml", "image/png", "text/plain"}
    assert bundle["text/plain"] == "h0 -> h1"
    assert bundle["image/svg+xml"] == drawing.svg()
    assert base64.b64decode(bundle["image/png"]) == drawing.png()
    image = re.fullmatch(
        r'<img style="max-width:100%;height:auto" alt="two states. h0 to h1" '
        r'src="data:image/svg\+xml;base64,([^"]+)">',
        bundle["text/html"],
    )
    assert base64.b64decode(image[1]).decode() == drawing.svg()


def test_a_notebook_may_ask_for_less(drawing):
    assert set(drawing._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert "image/png" not in drawing._repr_mimebundle_(exclude={"image/png"})


def test_a_notebook_without_engine_gets_text_and_one_line_of_advice(drawing, no_engine):
    bundle = drawing._repr_mimebundle_()
    assert set(bundle) == {"text/plain"}
    first, hint = bundle["text/plain"].split("\n")
    assert first == "h0 -> h1"
    assert hint.startswith("[no picture: no Graphviz engine") and "pip install" in hint


def test_a_title_cannot_leave_its_attribute():
    hostile = '"><script>alert(1)</script>\0'
    html = Drawing(scene(hostile))._repr_mimebundle_()["text/html"]
    assert "<script" not in html and html.count("<") == 1 and html.count(">") == 1


@pytest.mark.parametrize("limit", [(1, 5000), (2000, 0)])
def test_too_large_a_picture_says_what_to_do(limit):
    large = Drawing(scene(), "text", limit=limit)
    with pytest.raises(RenderError, match=r"2 nodes and 1 edges; up to .* pass limit=None"):
        large.svg()
    assert "[no picture: this picture has 2 nodes" in large._repr_mimebundle_()["text/plain"]
    assert large.source and str(large) == "text"


def test_two_thousand_nodes_are_drawn_and_one_more_is_not():
    assert "<svg" in Drawing(scene(count=2_000)).svg()
    with pytest.raises(RenderError, match="2,001 nodes and 2,000 edges; up to 2,000 and 5,000"):
        Drawing(scene(count=2_001)).svg()
    assert "<svg" in Drawing(scene(count=2_001), limit=None).svg()


def test_to_graphviz_is_a_graph_of_that_package(drawing):
    digraph = drawing.to_graphviz()
    assert isinstance(digraph, graphviz.Digraph) and digraph.engine == "neato"
    digraph.node("mine")
    assert "mine" in digraph.source and "mine" not in drawing.source
    assert "neato -n2" in Drawing.to_graphviz.__doc__


@pytest.mark.graphviz
def test_graphviz_itself_keeps_the_places(drawing):
    svg = drawing.to_graphviz().pipe(format="svg", neato_no_op=2, encoding="utf-8")
    ours, theirs = (
        re.findall(r'<path fill="none"[^>]* d="([^"]*)"', s) for s in (drawing.svg(), svg)
    )
    assert len(ours) == len(theirs) == 1
    ours, theirs = (re.findall(r"-?[\d.]+", line[0]) for line in (ours, theirs))
    assert list(map(float, ours)) == pytest.approx(list(map(float, theirs)), abs=1.0)


def test_the_same_picture_in_another_process_has_the_same_ids(drawing):
    assert drawing.prefix == Drawing(scene()).prefix != Drawing(scene("another")).prefix
    assert drawing.svg() == Drawing(scene()).svg()
