"""Stacked and bidirectional layers: time in columns, layers in rows, directions in lanes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import microrecur as mr
from microrecur.drawing.export import smallest_text_px

pytest.importorskip("matplotlib")
pytest.importorskip("fontTools")

from .collisions import collisions, overflows, touches

KINDS = {"rnn": mr.RNN, "lstm": mr.LSTM, "gru": mr.GRU}
XS = [0.9, -0.5, 0.7, 0.3, -0.8, 1.1]


def loss(kind: str, steps: int, **options: Any) -> mr.Tensor:
    layers = KINDS[kind](1, 1, seed=0, **options)
    xs = np.array([XS[t % 6] for t in range(steps)]).reshape(steps, 1)
    return ((layers(xs)[0][-1] - 0.3) ** 2).sum().named("L")


SHAPES = [
    {"num_layers": 2},
    {"num_layers": 3},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", SHAPES)
@pytest.mark.parametrize("steps", [2, 3, 30])
def test_layers_are_pinned_legible_and_covered_by_nothing(
    kind: str, options: dict[str, Any], steps: int
) -> None:
    drawing = mr.draw(loss(kind, steps, **options))
    assert drawing.scene.pinned
    assert smallest_text_px(drawing.svg(), 1100) >= 9.0
    assert overflows(drawing.scene) == []
    labelled = [text for text in collisions(drawing.scene) if "on the line" not in text]
    assert labelled == []
    assert touches(drawing.scene) == []


def test_time_runs_in_columns_layers_in_rows_directions_in_lanes() -> None:
    scene = mr.draw(loss("gru", 3, num_layers=2, bidirectional=True)).scene
    at = {node.id: node.center for node in scene.nodes if node.center}
    x = {id: point[0] for id, point in at.items()}
    y = {id: point[1] for id, point in at.items()}
    for lane in ("layer0", "layer0.reverse", "layer1", "layer1.reverse"):
        assert x[f"{lane}.t1.h"] < x[f"{lane}.t2.h"] < x[f"{lane}.t3.h"]
        assert len({y[f"{lane}.t{t}.h"] for t in (1, 2, 3)}) == 1
    rows = [y[f"{lane}.t1.h"] for lane in ("layer0", "layer0.reverse", "layer1", "layer1.reverse")]
    assert rows == sorted(rows)
    # A reverse lane begins on the right.
    assert x["layer0.t0.h"] < x["layer0.t1.h"]
    assert x["layer0.reverse.t4.h"] > x["layer0.reverse.t3.h"]
    names = {c.text.text for c in scene.captions}
    assert {"layer0", "layer0 reverse", "layer1", "layer1 reverse"} <= names


def test_every_edge_of_the_shown_cells_is_drawn() -> None:
    y = loss("lstm", 3, num_layers=2)
    drawn = {edge.id for edge in mr.draw(y).scene.edges if edge.id}
    assert drawn == {(e.source, e.target) for e in mr.graph(y, level="step").edges}


def test_inputs_stand_below_the_lowest_layer() -> None:
    scene = mr.draw(loss("rnn", 3, num_layers=2)).scene
    inputs = [node for node in scene.nodes if node.kind == "input"]
    assert [node.lines[0] for node in inputs] == ["x₁ = 0.90", "x₂ = −0.50", "x₃ = 0.70"]
    lowest = min(node.center[1] for node in scene.nodes if node.center and node.kind == "state")
    assert all(node.center and node.center[1] < lowest for node in inputs)


def test_cells_stacked_by_hand_stand_on_the_grid_too() -> None:
    below, above = mr.GRUCell(1, 1, seed=0), mr.GRUCell(1, 1, seed=1)
    with mr.scope("first"):
        lower = mr.unroll(below, XS[:3])
    with mr.scope("second"):
        upper = mr.unroll(above, lower)
    scene = mr.draw(upper[-1]).scene
    assert scene.pinned
    assert {"first", "second"} <= {c.text.text for c in scene.captions}


def test_the_last_output_does_not_depend_on_the_others() -> None:
    graph = mr.graph(loss("rnn", 4, num_layers=2), level="step")
    assert [edge.source for edge in graph.into("L")] == ["layer1.t4.h"]


def test_a_path_and_all_routes_run_over_the_grid() -> None:
    y = loss("gru", 4, num_layers=2)
    path = mr.draw(y, path="layer0.t0.h").scene
    assert sum(edge.on_path for edge in path.edges) == 6
    routes = mr.draw(y, path="layer0.t0.h", routes=True).scene
    arriving = [e for e in routes.edges if e.id and e.id[1] == "L"]
    assert [t.text for e in arriving for t in e.labels] == ["100 %"]


def test_every_op_of_layers_is_laid_out_automatically() -> None:
    assert mr.draw(loss("rnn", 2, num_layers=2), level="gate").scene.pinned
    assert not mr.draw(loss("rnn", 2, num_layers=2), level="all").scene.pinned


def test_a_folded_run_stands_clear_of_every_line_and_tells_the_product_inside() -> None:
    xs = [[x] for x in (0.9, -0.5, 0.7, 0.3, -0.8, 1.1)]
    both = mr.LSTM(1, 1, num_layers=2, bidirectional=True, seed=0)(xs)[0]
    scene = mr.draw(both).scene
    folds = [node for node in scene.nodes if node.kind == "folded"]
    assert len({node.center[0] for node in folds if node.center}) == 1
    for edge in scene.edges:
        if not {edge.source, edge.target} & {node.key for node in folds}:
            xs_of = [x for x, _ in edge.points or ()]
            for node in folds:
                assert node.center is not None
                low, high = (node.center[0] + s * node.size[0] / 2 for s in (-1, 1))
                straight = [x for x in xs_of if low < x < high]
                assert not straight, edge
    loss = mr.LSTM(1, 1, num_layers=2, seed=0)(xs)[0][-1].sum().named("L")
    drawing = mr.draw(loss, path="layer0.h0")
    told = [n.lines for n in drawing.scene.nodes if n.kind == "folded" and len(n.lines) == 3]
    assert [lines[2][:2] for lines in told] == ["× "]
    through = [e for e in drawing.scene.edges if e.on_path and e.kind == "plain" and e.id is None]
    assert len(through) == 2  # into the run and out of it


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["step", "gate"])
def test_where_a_path_passes_tensors_every_factor_is_a_size_and_they_multiply(
    kind: str, level: str
) -> None:
    """The output of a layer holds many numbers: ∏ is of norms, and so is each factor beside it."""
    drawing = mr.draw(loss(kind, 3), path="h0", level=level)
    header, *lines = str(drawing).splitlines()
    assert "∏‖·‖ = " in header
    before = 1.0
    for line in lines[2:]:
        told = line.split("×")[1:]
        sizes = [re.findall(r"(?:= |^ )(−?[\d.]+(?:·10[⁻⁰¹-⁹]+)?)", part)[0] for part in told]
        assert not any(size.startswith("−") for size in sizes), line
        running = _number(line.split()[-1])
        for size in sizes:
            before *= _number(size)
        assert before == pytest.approx(running, rel=0.06, abs=6e-4), line
        before = running
    total = [t.text for e in drawing.scene.edges for t in e.labels if t.text.startswith("∏")]
    assert total
    assert all(text.startswith("∏‖·‖") for text in total)


def _number(text: str) -> float:
    digits, _, power = text.partition("·10")
    raised = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return float(digits.replace("−", "-")) * 10.0 ** int(raised or 0)


def test_a_short_id_of_two_layers_names_those_it_may_mean() -> None:
    loss = mr.LSTM(1, 1, num_layers=2, seed=0)([[0.1], [0.2]])[0][-1].sum().named("L")
    with pytest.raises(mr.UnknownNode, match=r"'layer0.t0.h', 'layer1.t0.h'"):
        mr.draw(loss, path="h0")
    assert "→ h₀" in mr.draw(loss, path="layer1.h0").scene.description
    only = mr.LSTM(1, 1, seed=0)([[0.1], [0.2]])[0][-1].sum().named("L")
    assert "→ h₀" in mr.draw(only, path="h0").scene.description


def test_the_text_of_layers_says_whose_state_it_is() -> None:
    last = mr.LSTM(1, 1, num_layers=2, seed=0)([[0.1], [0.2]])[0][-1].sum().named("L")
    told = str(mr.draw(last))
    assert "  layer1 h₂ " in told and "← layer0 h₂" in told
    assert str(mr.draw(last, path="layer0.h0")).startswith("L → layer0 h₀: ")
    assert "layer" not in str(mr.draw(mr.RNN(1, 1, seed=0)([[0.1], [0.2]])[0][-1]))


@pytest.mark.parametrize("options", SHAPES)
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_labels_of_a_path_over_the_grid_cover_nothing(kind: str, options: Any) -> None:
    y = loss(kind, 6, **options)
    first = next(node.id for node in mr.graph(y).nodes if node.name == "h")
    assert collisions(mr.draw(y, path=first).scene) == []
