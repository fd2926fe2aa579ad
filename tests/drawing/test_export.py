"""Cleaning, PNG, files: nothing active survives, text is really drawn, no file half written."""

import os
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from dataclasses import replace

import numpy as np
import pytest

import microrecur as mr
from microrecur.drawing import export
from microrecur.drawing.drawing import Drawing
from microrecur.drawing.export import WRITERS, clean, smallest_text_px, to_png
from microrecur.drawing.scene import Scene, SceneNode
from microrecur.engine.errors import RenderError
from microrecur.files import write_whole


def cleaned(svg):
    return clean(svg, prefix="fig", title="a title", description="a description")


def pixels(png):
    """An 8-bit RGBA or RGB PNG as an array (height, width, channels), by the PNG specification."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, width, height, channels = 8, b"", 0, 0, 0
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        chunk, at = png[at + 8 : at + 8 + size], at + size + 12
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", chunk[:10])
            assert depth == 8
            channels = {2: 3, 6: 4}[colour]
        data += chunk if kind == b"IDAT" else b""
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + width * channels)
    image = np.zeros((height + 1, width + 1, channels), int)
    for y, row in enumerate(rows):
        filled = _unfilter(row[0], row[1:].reshape(width, channels).astype(int), image[y], channels)
        image[y + 1] = filled
    return image[1:, 1:].astype(np.uint8)


def _unfilter(kind, row, above, channels):
    line = np.zeros((len(row) + 1, channels), int)
    for x, value in enumerate(row, 1):
        left, up, corner = line[x - 1], above[x], above[x - 1]
        near = np.abs(left + up - corner - np.array([left, up, corner]))
        paeth = np.where(
            (near[0] <= near[1]) & (near[0] <= near[2]),
            left,
            np.where(near[1] <= near[2], up, corner),
        )
        guess = (0, left, up, (left + up) // 2, paeth)[kind]
        line[x] = (value + guess) % 256
    return line


def gate(lines=("σ", "f = 0.85"), theme="light"):
    node = SceneNode("f", "t1.f", lines, "gate slope", "ellipse", (60.0, 30.0), (100.0, 50.0))
    return Drawing(Scene("gate", "one gate", nodes=[node], theme=theme))


@pytest.mark.parametrize(
    ("theme", "fill", "line", "behind"),
    [("light", "CFE8F8", "0072B2", "FFFFFF"), ("dark", "0D3B5A", "56B4E9", "16181D")],
)
def test_a_png_shows_the_colours_of_the_palette(theme, fill, line, behind):
    image = pixels(gate(theme=theme).png())[..., :3]
    for colour in (fill, line, behind):
        near = np.abs(image.astype(int) - list(bytes.fromhex(colour))).max(axis=-1) <= 2
        assert near.sum() > 50, colour


def test_text_is_really_drawn():
    with_text, without = (pixels(gate(lines).png()) for lines in (("σ", "f = 0.85"), ("", "")))
    assert with_text.shape == without.shape
    assert (with_text != without).any(axis=-1).sum() > 200


def test_every_character_of_a_formula_has_its_glyph():
    """A character without a glyph comes out like any other without: a box, or nothing."""
    unknown, blank = (pixels(gate((text,)).png()) for text in ("\U000e0fff", " "))
    for character in "σ′≤¼⊙∏·⁻⁰₁ᶠᵍₜ∂‖×−":
        image = pixels(gate((character,)).png())
        assert (image != unknown).any() and (image != blank).any(), character


def test_without_the_font_there_is_an_error_not_an_empty_picture(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    export.font_file.cache_clear()
    with pytest.raises(RenderError, match="font DejaVu Sans of matplotlib: pip install matplotlib"):
        gate().png()
    export.font_file.cache_clear()


def test_scale_multiplies_the_pixels():
    one, two = (pixels(gate().png(scale)).shape for scale in (1, 2))
    assert two[0] == pytest.approx(2 * one[0], abs=1) and two[1] == pytest.approx(2 * one[1], abs=1)


@pytest.mark.parametrize("width", [100.0, 100.4, 100.7])
def test_a_dark_picture_is_dark_to_its_edges(width):
    """Graphviz rounds the size of the picture, not that of its background."""
    drawing = gate(theme="dark")
    drawing.scene.nodes = [replace(drawing.scene.nodes[0], size=(width, width / 2))]
    image = pixels(drawing.png(2))
    for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
        assert edge[..., :3].max() < 60 and edge[..., 3:].min() == 255


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_a_scale_must_be_a_positive_number(scale):
    with pytest.raises(ValueError, match="scaled by a positive number"):
        gate().png(scale)


def test_a_png_too_large_for_memory_is_refused():
    with pytest.raises(RenderError, match=r"million pixels, more than 64; take a smaller scale="):
        gate().png(scale=1000)


ACTIVE = [
    "<script>alert(1)</script>",
    "<a href='javascript:alert(1)'><text>x</text></a>",
    "<a xlink:href='http://example.org'><text>x</text></a>",
    "<foreignObject><body xmlns='http://www.w3.org/1999/xhtml' onload='x()'/></foreignObject>",
    "<image href='http://example.org/a.png'/>",
    "<use href='#n0'/>",
    "<style>@import 'http://example.org'</style>",
    "<g onclick='alert(1)' style='background:url(javascript:x)'/>",
    "<g xmlns='http://www.w3.org/1999/xhtml'/>",
    "<animate attributeName='href' values='javascript:x'/>",
    "<set attributeName='onload' to='x'/>",
    "<path fill='url(http://example.org)' d='M0,0'/>",
    "<path filter='url(#a)' mask='url(#b)' d='javascript:x'/>",
    "<text class='javascript:x' id='a b' font-family='\"&gt;&lt;script&gt;'>t</text>",
    "<text>t<script>x</script></text>",
    "<g id='n0' class='node' transform='javascript:x'/>",
    "<svg:script xmlns:svg='http://www.w3.org/2000/svg'>alert(1)</svg:script>",
    "<title>x</title><desc>http://example.org</desc><metadata/>",
    "<?php x ?><!-- http://example.org --><![CDATA[<script>]]>",
]


@pytest.mark.parametrize("active", ACTIVE)
def test_nothing_active_survives(active):
    svg = cleaned(f'<svg xmlns:xlink="x" onload="x()" viewBox="0 0 9 9">{active}</svg>')
    for sign in (
        "script",
        "http://example",
        "on",
        "href",
        "url(",
        "xhtml",
        "style",
        "import",
        "php",
    ):
        for element in ElementTree.fromstring(svg).iter():
            assert element.tag.rpartition("}")[2] in {*export._TAGS, "title", "desc"}
            for name, value in element.attrib.items():
                if sign == "on":
                    assert not name.startswith("on")
                else:
                    assert sign not in name and (sign not in value or "font" in name)


def test_what_stands_inside_a_dropped_element_is_dropped_too():
    inside = "<foreignObject><g id='leak'><text>leak</text></g></foreignObject>"
    svg = cleaned(f"<svg><g>{inside}<text>kept</text></g></svg>")
    assert "leak" not in svg and "<g><text" in svg and ">kept</text></g>" in svg


def test_the_check_above_sees_what_gets_through(monkeypatch):
    monkeypatch.setattr(export, "_TAGS", {*export._TAGS, "script"})
    assert "<script" in cleaned(f"<svg>{ACTIVE[0]}</svg>")


@pytest.mark.parametrize(
    "svg",
    [
        '<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg><text>&b;</text></svg>',
        '<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg><text>&x;</text></svg>',
    ],
)
def test_entities_are_refused(svg):
    with pytest.raises(RenderError, match="declares entities"):
        cleaned(svg)


@pytest.mark.parametrize(
    "svg", ["", "<svg>", "text", "<svg/><svg/>", "<html/>", "<g/>", "<svg>\0</svg>"]
)
def test_what_is_no_svg_is_refused(svg):
    with pytest.raises(RenderError, match="refused an SVG"):
        cleaned(svg)


def test_a_figure_names_itself_and_its_ids():
    svg = gate().svg()
    root = ElementTree.fromstring(svg)
    name = {"svg": "http://www.w3.org/2000/svg"}
    assert root.get("role") == "img"
    title, description = root.find("svg:title", name), root.find("svg:desc", name)
    assert (title.text, description.text) == ("gate", "one gate")
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    prefix = gate().prefix
    assert all(e.get("id").startswith(f"{prefix}-") for e in root.iter() if e.get("id"))
    assert gate(("σ", "f = 0.86")).prefix != prefix


def test_a_browser_gets_a_list_of_fonts():
    assert 'font-family="DejaVu Sans, Verdana, ' in gate().svg()
    assert 'fontname="DejaVu Sans"' in gate().source


def test_lines_of_a_label_stand_evenly_about_their_middle():
    lines = "".join(f'<text y="{y}" font-size="10">{y}</text>' for y in (0, 11, 40))
    svg = cleaned(f"<svg><g>{lines}</g></svg>")
    places = [float(e.get("y")) for e in ElementTree.fromstring(svg).iter() if e.get("y")]
    assert places == [5.0, 17.0, 29.0]


def test_the_smallest_text_is_measured_at_the_width_shown():
    assert smallest_text_px(gate().svg(), width=1100) > 9
    svg = (
        '<svg viewBox="0 0 2200 9"><text font-size="20">a</text><text font-size="12">b</text></svg>'
    )
    assert smallest_text_px(svg) == 6.0
    assert smallest_text_px('<svg viewBox="0 0 9 9"/>') == float("inf")


def test_resvg_refusing_a_picture_is_our_error():
    with pytest.raises(RenderError, match="resvg cannot draw this SVG"):
        to_png('<svg xmlns="http://www.w3.org/2000/svg" width="0" viewBox="0 0 0 0"/>')


# ------------------------------------------------------------------------ files


@pytest.mark.parametrize(
    ("ending", "begins"),
    [(".svg", b"<svg"), (".png", b"\x89PNG"), (".dot", b"digraph"), (".PNG", b"\x89PNG")],
)
def test_the_ending_decides_what_is_written(tmp_path, ending, begins):
    path = gate().save(tmp_path / "new folder" / f"gate{ending}")
    assert path.read_bytes().startswith(begins)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["gate.bmp", "gate", "gate.svg.exe", ".svg"])
def test_an_unknown_ending_lists_those_that_work(tmp_path, name):
    with pytest.raises(ValueError, match=r"is not supported; supported: \.svg, \.png, \.dot"):
        gate().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fails", ["replace", "fdopen", "chmod"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, fails):
    path = tmp_path / "gate.svg"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match="No space left on device"):
        gate().save(path)
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "gate.svg"
    path.write_text("old")
    drawing = gate()
    drawing.limit = (0, 0)
    with pytest.raises(RenderError):
        drawing.save(path)
    assert path.read_text() == "old"


def test_a_file_is_replaced_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "gate.svg"
    path.write_text("old")
    path.chmod(0o640)
    gate().save(path)
    assert path.read_text().startswith("<svg") and path.stat().st_mode & 0o777 == 0o640


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(
        OSError, match=r"cannot write 'gate.svg' in the folder '.*file'.*choose a folder"
    ):
        gate().save(blocker / "gate.svg")


@pytest.mark.parametrize("error", [PermissionError, IsADirectoryError])
def test_the_kind_of_the_error_is_kept(tmp_path, monkeypatch, error):
    def refused(*_, **__):
        raise error(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refused)
    with pytest.raises(error, match=r"Permission denied.*choose a folder you may write to"):
        write_whole(tmp_path / "a.svg", b"")


def test_what_the_font_lacks_is_a_box_in_a_png_and_itself_in_the_svg(monkeypatch):
    drawing = mr.draw(
        (mr.tensor(0.5, name="\U0001f389 x") * 2.0).named("東\U0001f469\u200d\U0001f52c")
    )
    seen = []
    resvg = pytest.importorskip("resvg_py")
    whole = resvg.svg_to_bytes
    monkeypatch.setattr(
        resvg, "svg_to_bytes", lambda **given: seen.append(given["svg_string"]) or whole(**given)
    )
    drawing.png()
    assert "□ x = 0.50" in seen[0] and "□□" in seen[0]
    assert not any(ord(c) > 0x2E7F for c in seen[0])
    assert "\U0001f389 x = 0.50" in drawing.svg()


KILLED = """
import os, signal, sys
from pathlib import Path
import microrecur as mr

h = mr.unroll(mr.RNNCell(1, 1, seed=0), [0.9, -0.4])[-1]
drawing, stepper = mr.draw(h, path="h0"), mr.step(h)
drawing.svg(), stepper.html()
folder = Path(sys.argv[1])
for name in sys.argv[2:]:
    (folder / name).write_bytes(b"old")
    child = os.fork()
    if child == 0:
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        (stepper if name.startswith("step") else drawing).save(folder / name)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(name, os.WIFSIGNALED(status), (folder / name).read_bytes() == b"old")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_during_any_export_leaves_the_old_file_whole(tmp_path):
    pytest.importorskip("fpdf", reason="no fpdf2: pip install 'microrecur[pdf]'")
    names = [f"a{ending}" for ending in WRITERS] + ["step.html"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), *names],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"{name} True True" for name in names]
