"""`draw` and the text it stands beside."""

from __future__ import annotations

from typing import Any

import pytest

import microrecur as mr
from microrecur.drawing.draw import draw
from microrecur.drawing.text_view import text_view
from microrecur.flows.paths import strongest_path
from microrecur.nn.cells import GRUCell, LSTMCell, RNNCell


def loss(cell: Any, steps: int) -> mr.Tensor:
    last = mr.unroll(cell, [0.9, -0.4, 0.7, 0.2][:steps])[-1]
    h = last[0] if isinstance(last, tuple) else last
    return ((h - 0.3) ** 2).named("L")


@pytest.mark.parametrize(
    "cell", [RNNCell(1, 1, seed=0), LSTMCell(2, 3, seed=0), GRUCell(1, 2, seed=0)]
)
def test_a_cell_is_drawn_for_one_step_and_the_caption_says_on_what(cell: Any) -> None:
    drawing = draw(cell)
    assert drawing.scene.pinned
    assert "one step on seeded inputs and states (seed 0)" in drawing.source
    assert str(drawing).endswith("one step on seeded inputs and states (seed 0)")


def test_drawing_a_cell_twice_gives_the_same_source() -> None:
    assert draw(LSTMCell(1, 1, seed=3)).source == draw(LSTMCell(1, 1, seed=3)).source


def test_one_step_shows_its_ops_and_several_their_gates() -> None:
    ids = {node.id for node in draw(loss(LSTMCell(1, 1, seed=0), 1)).scene.nodes}
    assert "t1.z_f" in ids
    ids = {node.id for node in draw(loss(LSTMCell(1, 1, seed=0), 2)).scene.nodes}
    assert "t1.z_f" not in ids
    assert "t1.f" in ids


def test_a_graph_keeps_the_level_it_was_asked_for() -> None:
    graph = mr.graph(loss(LSTMCell(1, 1, seed=0), 2), level="step")
    drawn = {node.id for node in draw(graph).scene.nodes}
    assert drawn - {"t1.x", "t2.x"} == {node.id for node in graph.nodes}  # each cell shows its x
    assert "t1.f" in {node.id for node in draw(graph, level="gate").scene.nodes}


@pytest.mark.parametrize("wrt", ["h0", "t0.h"])
def test_a_path_is_named_by_its_source(wrt: str) -> None:
    drawing = draw(loss(RNNCell(1, 1, seed=0), 3), path=wrt)
    assert str(drawing).startswith("L → h₀: the only path, ∏ = ")
    assert drawing.scene.description.startswith("Path L → h₀: the only path")


def test_a_path_may_be_given_itself() -> None:
    graph = mr.graph(loss(RNNCell(1, 1, seed=0), 3), level="gate")
    given = draw(graph, path=strongest_path(graph, "t0.h"))
    assert given.source == draw(graph, path="h0").source


def test_an_unknown_source_names_its_nearest() -> None:
    with pytest.raises(mr.UnknownNode, match=r"t0\.h"):
        draw(loss(RNNCell(1, 1, seed=0), 2), path="t0.hh")


def test_the_title_is_printed_and_kept() -> None:
    drawing = draw(RNNCell(1, 1, seed=0), title='a "cell" <b>')
    assert drawing.scene.title == 'a "cell" <b>'
    assert any(c.text.text == 'a "cell" <b>' for c in drawing.scene.captions)


def test_the_text_of_a_path_is_aligned_factor_by_factor() -> None:
    cell = RNNCell(1, 1, bias=False, seed=0)
    cell.weight_ih.assign([[0.5]])
    cell.weight_hh.assign([[1.2]])
    h = cell(mr.tensor(0.9), mr.tensor(0.3))
    graph = mr.graph(h, level="op")
    assert text_view(graph, strongest_path(graph, "t0.h")) == "\n".join(
        [
            "h₁ → h₀: the only path, ∏ = 0.66",
            "node  value  factors             ∏",
            "h₁    0.67",
            "z₁    0.81   × tanh′ = 0.55 ≤ 1  0.55",
            "h₀    0.30   × U = 1.20          0.66",
        ]
    )


def test_the_text_of_a_graph_says_where_each_node_comes_from() -> None:
    cell = RNNCell(1, 1, bias=False, seed=0)
    cell.weight_ih.assign([[0.5]])
    cell.weight_hh.assign([[1.2]])
    graph = mr.graph(cell(mr.tensor(0.9), mr.tensor(0.3)), level="op")
    assert text_view(graph) == "\n".join(
        [
            "step 0",
            "  h₀  = 0.30",
            "step 1",
            "  x₁  = 0.90",
            "  z₁  = 0.81  +     ← x₁  × W = 0.50",
            "                    ← h₀  × U = 1.20",
            "  h₁  = 0.67  tanh  ← z₁  × tanh′ = 0.55 ≤ 1",
        ]
    )


def test_long_texts_say_what_they_leave_out() -> None:
    cell = RNNCell(1, 1, seed=0)
    text = text_view(mr.graph(mr.unroll(cell, [0.1] * 100), level="op"))
    assert len(text.splitlines()) == 121
    assert "lines more …" in text


def test_a_long_unrolling_is_drawn_in_full_when_asked_and_refused_when_too_large() -> None:
    y = loss_of_many(300)
    assert len(draw(y).scene.nodes) < 60
    with pytest.raises(mr.RenderError, match="limit=None"):
        draw(y, fold=False, limit=(200, 500)).svg()


def loss_of_many(steps: int) -> mr.Tensor:
    h = mr.unroll(RNNCell(1, 1, seed=0), [0.1] * steps)[-1]
    return (h * h).named("L")


def test_below_an_automatic_layout_colours_have_names_and_long_lines_wrap() -> None:
    a = mr.tensor(0.5, name="a")
    y = (mr.tanh(a * mr.tensor(2.0, name="b")) * mr.sigmoid(a)).named("y")
    scene = mr.draw(y).scene
    from microrecur.drawing.automatic import note
    from microrecur.drawing.dot import to_digraph

    words = " ".join(f"word{k}" for k in range(90))
    note(scene, words)
    source = to_digraph(scene).source
    assert "blue σ : factor ≤ ¼" in source
    (told,) = [line for line in source.splitlines() if "word0" in line]
    lines = told.partition('label="')[2].partition('"')[0].split("\\n")
    assert all(len(line) <= 120 for line in lines)
    assert "word89" in told and "…" not in told
