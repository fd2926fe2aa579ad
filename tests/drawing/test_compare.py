"""Two graphs compared, cells side by side, a gradient's own graph beside its forward steps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

import microrecur as mr
from microrecur.drawing.export import smallest_text_px
from microrecur.drawing.overlaps import Box, segment_meets

pytest.importorskip("matplotlib")
pytest.importorskip("fontTools")

from .collisions import collisions, overflows, touches

START = {"h": 0.35, "c": 0.8}


def states(cell: Any, steps: int = 1) -> list[Any]:
    start = tuple(mr.tensor(START[name]) for name in cell.states)
    return mr.unroll(cell, [0.9, -0.5, 0.7][:steps], start if len(start) > 1 else start[0])


def lstm(**options: Any) -> Any:
    return mr.LSTMCell(1, 1, seed=1, **options)


def marked(drawing: Any, kind: str) -> set[tuple[str, str]]:
    return {edge.id for edge in drawing.scene.edges if edge.kind == kind and edge.id}


# ---------------------------------------------------------------- differences


def test_the_same_graph_twice_has_no_difference() -> None:
    drawing = mr.draw_difference(states(lstm()), states(lstm()))
    assert str(drawing) == "the two graphs have the same nodes and edges"
    assert marked(drawing, "missing") == marked(drawing, "extra") == set()


@pytest.mark.parametrize("level", ["op", "gate"])
def test_edges_the_second_lacks_are_red_and_say_so(level: str) -> None:
    drawing = mr.draw_difference(states(lstm(peephole=True)), states(lstm()), level=level)
    gate = "z_" if level == "op" else ""
    expected = {("t0.c", f"t1.{gate}f"), ("t0.c", f"t1.{gate}i"), ("t1.c", f"t1.{gate}o")}
    assert marked(drawing, "missing") == expected
    assert marked(drawing, "extra") == set()
    for edge in drawing.scene.edges:
        if edge.kind == "missing":
            assert edge.labels[0].text == "missing"  # colour is never the only sign
    assert str(drawing).startswith("3 missing edges\nmissing: c₀ → ")
    assert drawing.scene.pinned


@pytest.mark.parametrize("level", ["op", "gate"])
def test_edges_the_second_adds_are_drawn_amber(level: str) -> None:
    drawing = mr.draw_difference(states(lstm()), states(lstm(peephole=True)), level=level)
    assert len(marked(drawing, "extra")) == 3
    assert {e.labels[0].text for e in drawing.scene.edges if e.kind == "extra"} == {"extra"}
    assert "3 extra edges" in drawing.scene.description
    assert drawing.scene.pinned


def test_new_nodes_are_laid_out_with_the_old_ones() -> None:
    a, b = mr.tensor(0.5, name="a"), mr.tensor(2.0, name="b")
    drawing = mr.draw_difference((a * b).named("y"), (a * b + mr.tanh(a).named("s")).named("y"))
    kinds = {node.id: node.kind for node in drawing.scene.nodes}
    assert kinds["s"] == "extra"
    assert marked(drawing, "extra") >= {("a", "s"), ("s", "y")}
    assert "<svg" in drawing.svg()


def test_a_lost_node_is_marked() -> None:
    a, b = mr.tensor(0.5, name="a"), mr.tensor(2.0, name="b")
    drawing = mr.draw_difference((mr.tanh(a).named("s") * b).named("y"), (a * b).named("y"))
    kinds = {node.id: node.kind for node in drawing.scene.nodes}
    assert kinds["s"] == "missing"
    assert marked(drawing, "missing") == {("a", "s"), ("s", "y")}
    assert marked(drawing, "extra") == {("a", "y"), ("b", "y")}
    assert "changed: b → y  × s = 0.46 in the first, × a = 0.50 in the second" in str(drawing)


def test_an_edge_there_twice_and_once_is_missing_once() -> None:
    a = mr.tensor(0.5, name="a")
    drawing = mr.draw_difference((a * a).named("y"), mr.tanh(a).named("y"))
    assert str(drawing).startswith("1 missing edge, 1 edge with another factor\n")


def test_a_reset_that_moved_is_seen_at_every_level() -> None:
    pair = [states(mr.GRUCell(1, 1, seed=1, reset_after=way)) for way in (True, False)]
    fine = mr.draw_difference(*pair)
    assert ("t1.candidate.mul1", "t1.a_n") in marked(fine, "extra")
    assert "changed: ⊙ → aⁿ₁  × 1 in the first, × Uⁿ = " in str(fine)
    coarse = mr.draw_difference(*pair, level="gate")
    assert marked(coarse, "extra") == {("t0.h", "t1.n"), ("t1.r", "t1.n")}
    same = mr.draw_difference(pair[0], pair[0])
    assert str(same) == "the two graphs have the same nodes and edges"


def test_an_extra_edge_tells_its_factor_and_the_legend_its_colour() -> None:
    drawing = mr.draw_difference(states(lstm()), states(lstm(peephole=True)))
    told = {edge.labels[1].text for edge in drawing.scene.edges if edge.kind == "extra"}
    assert {text.split(" = ")[0] for text in told} == {"× pᶠ", "× pⁱ", "× pᵒ"}
    assert "extra" in {bar.kind for bar in drawing.scene.bars}
    assert any(c.text.text.startswith("extra: ") for c in drawing.scene.captions)


def test_a_backward_pass_that_lacks_a_path() -> None:
    whole, h0 = _loss(detached=False)
    lacking, k0 = _loss(detached=True)
    drawing = mr.draw_difference(mr.grad(whole, [h0])[0], mr.grad(lacking, [k0])[0])
    assert drawing.scene.nodes
    assert "missing" in str(drawing)


def _loss(detached: bool) -> tuple[mr.Tensor, mr.Tensor]:
    cell = mr.RNNCell(1, 1, seed=2)
    h0 = mr.tensor(0.3, requires_grad=True)
    first, second = mr.unroll(cell, [0.9, -0.4], h0)
    total = second if detached else second + 0.5 * first
    return (total * total).named("L"), h0


# ---------------------------------------------------------------- side by side


def three() -> list[Any]:
    return [
        states(mr.RNNCell(1, 1, seed=2)),
        states(lstm()),
        states(mr.GRUCell(1, 1, seed=3)),
    ]


def test_three_cells_stand_side_by_side_legibly() -> None:
    drawing = mr.draw_side_by_side(*three())
    assert [panel.label for panel in drawing.scene.panels] == ["RNN", "LSTM", "GRU (reset after)"]
    assert smallest_text_px(drawing.svg(), 1100) >= 9.0
    assert collisions(drawing.scene) == []
    assert touches(drawing.scene) == []
    assert overflows(drawing.scene) == []


def test_what_a_cell_lacks_is_a_ghost_where_the_others_have_it() -> None:
    scene = mr.draw_side_by_side(*three()).scene
    ghosts = {
        (node.key.split(":")[0], node.lines[-1]) for node in scene.nodes if node.kind == "ghost"
    }
    assert ghosts == {
        *(("0", words) for words in ("keep", "write", "reset", "let out", "⊙", "+", "memory")),
        ("1", "reset"),
        ("2", "write"),
        ("2", "let out"),
    }
    gates = {node.center[1] for node in scene.nodes if node.center and "σ" in node.lines}
    assert len(gates) == 1  # ghosts stand in the row of the gates


def test_one_cell_alone_has_no_ghosts() -> None:
    scene = mr.draw_side_by_side(mr.LSTMCell(1, 1, seed=0)).scene
    assert not [node for node in scene.nodes if node.kind == "ghost"]


def test_reset_before_is_called_so() -> None:
    scene = mr.draw_side_by_side(mr.GRUCell(1, 1, seed=0, reset_after=False)).scene
    assert scene.panels[0].label == "GRU (reset before)"


def test_what_a_plain_lstm_lacks_beside_a_peephole_one_is_ghosted() -> None:
    pair = mr.LSTMCell(1, 1, seed=0), mr.LSTMCell(1, 1, seed=0, peephole=True)
    drawing = mr.draw_side_by_side(*pair, mr.GRUCell(1, 1, seed=0, reset_after=False))
    ghosts = [edge.source[0] for edge in drawing.scene.edges if edge.kind == "ghost"]
    assert ghosts == ["0", "0", "0"]
    assert [panel.label for panel in drawing.scene.panels][1] == "LSTM (peephole)"
    assert smallest_text_px(drawing.svg(), 1100) >= 9.0
    assert overflows(drawing.scene) == []
    told = [t.text for e in drawing.scene.edges for t in e.labels]
    assert any(text.startswith("pᵒ") for text in told)
    assert any(text.startswith("Wⁱ") for text in told)


def test_the_two_resets_of_a_gru_look_different() -> None:
    after, before = (
        mr.draw_side_by_side(mr.GRUCell(1, 1, seed=0, reset_after=way)).scene
        for way in (True, False)
    )
    corners = [
        next(len(e.points or ()) for e in scene.edges if e.id == ("0:t1.r", "0:t1.n"))
        for scene in (after, before)
    ]
    assert corners == [2, 4]  # straight into n; onto the leg of h, before its weight


def test_other_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="give one cell or more"):
        mr.draw_side_by_side()
    with pytest.raises(ValueError, match="none of the three"):
        mr.draw_side_by_side(mr.tanh(mr.tensor(0.5)))
    with pytest.raises(ValueError, match="this is 2 steps of an LSTM"):
        mr.draw_side_by_side(states(lstm(), 2))


def test_a_cell_of_ones_own_is_refused_with_what_draws_it() -> None:
    class Half(mr.nn.cells.Cell):
        gates, states = ("n",), ("h",)

        def step(self, x: mr.Tensor, h: mr.Tensor) -> mr.Tensor:  # type: ignore[override]
            W, U, b, _ = self._weights(x)
            return (mr.tanh(x @ W.n + h @ U.n + b.n) * 0.5 + h * 0.5).named("h")

    gru, own = mr.GRUCell(1, 1, seed=3), Half(1, 1, seed=1)
    said = "of its own, which has no place on their common grid: draw.cell. draws it alone"
    with pytest.raises(ValueError, match=f"RNN, an LSTM or a GRU, .*; this is a Half {said}"):
        mr.draw_side_by_side(gru, own)
    with pytest.raises(ValueError, match=f"this is a cell {said}"):
        mr.draw_side_by_side(gru, states(own))
    assert "<svg" in mr.draw(own).svg()  # what the message promises
    assert mr.draw_difference(states(gru), states(own)).scene.nodes


# ---------------------------------------------------------------- a gradient's own graph


class Unnamed(mr.RNNCell):
    """A cell whose gate has no name: no grid fits it."""

    def step(self, x: mr.Tensor, h: mr.Tensor) -> mr.Tensor:  # type: ignore[override]
        return (mr.tanh(x + 0.5 * h) * mr.sigmoid(h)).named("h")


def test_a_gradient_is_filed_beside_its_forward_steps() -> None:
    h0 = mr.tensor(0.3, requires_grad=True)
    loss = (mr.unroll(Unnamed(1, 1, seed=2), [0.9, -0.4], h0)[-1] ** 2).named("L")
    drawing = mr.draw(mr.grad(loss, [h0])[0])
    groups = {node.group for node in drawing.scene.nodes}
    assert {"t = 1", "t = 2", "∂ · t = 1", "∂ · t = 2"} <= groups
    backward = [e for e in drawing.scene.edges if e.back]
    assert backward
    assert all(e.id and e.id[0].startswith("∂.") for e in backward)
    assert all(e.aside for e in drawing.scene.edges if e.id and _crosses(e.id))
    assert "<svg" in drawing.svg()


def _crosses(ends: tuple[str, str]) -> bool:
    return not ends[0].startswith("∂.") and ends[1].startswith("∂.")


def _resets(steps: int) -> tuple[Any, Any]:
    """The same GRU with its reset after Uⁿ and before it."""
    xs, h0 = [0.9, -0.5, 0.7][:steps], 0.35
    after, before = (mr.GRUCell(1, 1, seed=3, reset_after=choice) for choice in (True, False))
    return mr.unroll(after, xs, mr.tensor(h0)), mr.unroll(before, xs, mr.tensor(h0))


def _peepholes(steps: int) -> tuple[Any, Any]:
    xs, start = [0.9, -0.5, 0.7][:steps], (mr.tensor(0.35), mr.tensor(0.8))
    plain, more = (mr.LSTMCell(1, 1, seed=1, peephole=choice) for choice in (False, True))
    return mr.unroll(plain, xs, start), mr.unroll(more, xs, start)


@pytest.mark.parametrize("pair", [_resets, _peepholes])
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_what_is_marked_covers_no_label_and_crosses_no_shape(
    pair: Any, steps: int, turned: bool
) -> None:
    one, other = pair(steps)[:: -1 if turned else 1]
    scene = mr.draw_difference(one, other).scene
    if not scene.pinned:
        return
    assert collisions(scene) == []
    boxes = {n.key: Box.around(n.center, n.size) for n in scene.nodes if n.center and n.id}
    for edge in scene.edges:
        if edge.kind == "extra":
            for start, end in pairwise(edge.points or ()):
                met = {key for key, box in boxes.items() if segment_meets(box, start, end, -1.5)}
                assert met <= {edge.source, edge.target}
