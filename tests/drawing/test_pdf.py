"""PDF: one page of vectors whose text can be selected."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

import microrecur as mr
from microrecur.drawing.pdf import to_pdf

pytest.importorskip("fpdf")
pypdf = pytest.importorskip("pypdf")


def drawing() -> Any:
    states = mr.unroll(mr.RNNCell(1, 1, seed=2), [0.9, -0.5], mr.tensor(0.35))
    return mr.draw(((states[-1] - 0.3) ** 2).named("L"), path="h0", title="a path & <more>")


def read(content: bytes) -> Any:
    return pypdf.PdfReader(io.BytesIO(content))


def test_every_word_of_the_picture_can_be_selected(tmp_path: Any) -> None:
    drawn = drawing()
    page = read(drawn.save(tmp_path / "path.pdf").read_bytes()).pages[0]
    text = " ".join(page.extract_text().split())
    words = [t.text for edge in drawn.scene.edges for t in edge.labels]
    words += [line for node in drawn.scene.nodes for line in node.lines]
    words += [caption.text.text for caption in drawn.scene.captions]
    assert words
    for word in words:
        assert word in text, word


def test_the_page_has_the_size_of_the_picture_and_its_title() -> None:
    drawn = drawing()
    reader = read(to_pdf(drawn.svg(), title=drawn.scene.title))
    assert len(reader.pages) == 1
    assert reader.metadata.title == "a path & <more>"
    low = drawn.svg().split('viewBox="')[1].split('"')[0].split()
    assert [float(v) for v in reader.pages[0].mediabox[2:]] == pytest.approx(
        [float(low[2]), float(low[3])], abs=0.01
    )


def test_shapes_are_vectors_and_nothing_is_active() -> None:
    content = to_pdf(drawing().svg())
    page = read(content).pages[0]
    assert not page.images
    stream = page.get_contents().get_data()
    assert stream.count(b" c\n") + stream.count(b" c ") > 20  # curves
    for active in (b"/JavaScript", b"/JS", b"/URI", b"/Launch", b"/OpenAction /S"):
        assert active not in content


def test_the_same_picture_gives_the_same_bytes() -> None:
    assert to_pdf(drawing().svg()) == to_pdf(drawing().svg())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes(theme: str) -> None:
    drawn = mr.draw(mr.GRUCell(1, 1, seed=0), theme=theme)
    assert "candidate" in read(to_pdf(drawn.svg())).pages[0].extract_text()


def test_without_fpdf2_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fpdf", None)
    with pytest.raises(mr.RenderError, match=r"microrecur\[pdf\]"):
        to_pdf(drawing().svg())


def test_what_cannot_be_drawn_is_refused() -> None:
    turned = '<svg viewBox="0 0 9 9"><g transform="rotate(30)"><ellipse cx="1"/></g></svg>'
    with pytest.raises(mr.RenderError, match="turned"):
        to_pdf(turned)
    with pytest.raises(mr.RenderError, match="command 'A'"):
        to_pdf('<svg viewBox="0 0 9 9"><path d="M1,1A2,2"/></svg>')
