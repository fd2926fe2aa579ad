"""Stacked layers by gate or by op: one floor per layer, each drawn as its cell."""

from __future__ import annotations

from typing import Any

import pytest

import microrecur as mr
from microrecur.drawing.export import smallest_text_px
from microrecur.drawing.shares import shares
from microrecur.drawing.track import share_width
from microrecur.flows.paths import strongest_path
from microrecur.graphs.notation import number

pytest.importorskip("matplotlib")
pytest.importorskip("fontTools")

from .collisions import collisions, overflows

XS = [0.9, -0.5, 0.7, 0.3, -0.8, 1.1] * 5


def stack(make: Any, steps: int, layers: int = 2, **options: Any) -> mr.Tensor:
    layer = make(1, 1, num_layers=layers, seed=0, **options)
    return layer([[x] for x in XS[:steps]])[0][-1]


@pytest.mark.parametrize(
    ("make", "steps", "layers", "level"),
    [
        (mr.LSTM, 3, 2, "gate"),
        (mr.LSTM, 30, 2, "gate"),
        (mr.LSTM, 2, 2, "op"),
        (mr.GRU, 4, 2, "gate"),
        (mr.GRU, 2, 2, "op"),
        (mr.RNN, 6, 3, "gate"),
        (mr.RNN, 1, 2, "op"),
    ],
)
def test_stacked_layers_are_pinned_legible_and_free_of_collisions(
    make: Any, steps: int, layers: int, level: str
) -> None:
    drawing = mr.draw(stack(make, steps, layers), level=level)
    scene = drawing.scene
    assert scene.pinned
    assert collisions(scene) == []
    assert overflows(scene) == []
    assert smallest_text_px(drawing.svg(), 1100.0) >= 9.0
    keys = [node.key for node in scene.nodes]
    assert len(keys) == len(set(keys))
    assert all(edge.source in keys and edge.target in keys for edge in scene.edges)


def test_later_layers_stand_above_and_share_their_columns() -> None:
    scene = mr.draw(stack(mr.LSTM, 2), level="gate").scene
    at = {node.key: node.center for node in scene.nodes}
    for part in ("t1.f", "t2.g", "t2.h"):
        low, high = at[f"layer0.{part}"], at[f"layer1.{part}"]
        assert low is not None and high is not None
        assert low[0] == high[0]
        assert low[1] < high[1]
    last = stack(mr.LSTM, 3)
    told = mr.draw(((last - 0.3) ** 2).sum().named("L"), level="gate").scene
    columns = {(panel.low[0], panel.high[0]) for panel in told.panels}
    assert len(columns) == 3  # what follows the last layer narrows all alike
    labels = [panel.label for panel in scene.panels]
    assert labels == ["layer1 · t = 1", "layer1 · t = 2", "layer0 · t = 1", "layer0 · t = 2"]


def test_a_layer_reads_the_states_of_the_one_below_as_its_inputs() -> None:
    y = stack(mr.LSTM, 2)
    scene = mr.draw(y, level="gate").scene
    copy = next(node for node in scene.nodes if node.key == "layer1.t2.x")
    assert copy.id == "layer0.t2.h"
    assert copy.kind == "state"
    value = mr.graph(y).find("layer0.t2.h").value
    assert value is not None
    assert copy.lines[-1].endswith(f"{value:.2f}")
    ends = {edge.id for edge in scene.edges}
    assert ("layer0.t2.h", "layer1.t2.f") in ends
    known = {(edge.source, edge.target) for edge in mr.graph(y, level="gate").edges}
    assert {pair for pair in ends if pair is not None and pair[0] != pair[1]} <= known


def test_every_floor_folds_the_same_steps() -> None:
    scene = mr.draw(stack(mr.RNN, 30, 3), level="gate").scene
    folds = [node for node in scene.nodes if node.kind == "folded"]
    assert len({node.lines[0] for node in folds}) == 1
    assert len({node.center[0] for node in folds if node.center}) == 1
    assert len(folds) == 3


def test_the_caption_says_how_layers_join() -> None:
    drawing = mr.draw(stack(mr.GRU, 2), level="gate")
    assert drawing.scene.title.startswith("2 layers, each: GRU cell")
    words = " ".join(caption.text.text for caption in drawing.scene.captions)
    assert "each layer reads the states of the layer below it" in words


def test_both_directions_are_no_stack_of_floors() -> None:
    assert not mr.draw(stack(mr.GRU, 2, bidirectional=True), level="gate").scene.pinned


def end_loss(make: Any, steps: int) -> mr.Tensor:
    return ((stack(make, steps) - 0.3) ** 2).sum().named("L")


@pytest.mark.parametrize("make", [mr.LSTM, mr.GRU, mr.RNN])
@pytest.mark.parametrize("steps", [2, 4, 30])
def test_a_path_runs_down_the_floors_with_all_its_labels(make: Any, steps: int) -> None:
    y = end_loss(make, steps)
    drawing = mr.draw(y, level="gate", path="layer0.h0")
    scene = drawing.scene
    assert scene.pinned
    assert smallest_text_px(drawing.svg(), 1100.0) >= 9.0
    assert collisions(scene) == []
    path = strongest_path(mr.graph(y, level="gate"), "layer0.t0.h")
    drawn = {edge.id for edge in scene.edges if edge.on_path and edge.id}
    keys = {node.id for node in scene.nodes}
    steps_of = {(e.source, e.target) for e in path.edges if {e.source, e.target} <= keys}
    assert steps_of <= drawn
    assert all(a == b or (a, b) in {(e.source, e.target) for e in path.edges} for a, b in drawn)
    bars = {bar.id for bar in scene.bars if bar.id}
    assert bars >= {"layer0.t0.h"} | ({"layer1.t1.h"} & set(path.ids))
    assert f"∏‖·‖ = {number(path.product)}" in scene.description


@pytest.mark.parametrize("make", [mr.LSTM, mr.GRU])
def test_all_routes_run_down_the_floors_and_keep_the_whole_gradient(make: Any) -> None:
    y = end_loss(make, 3)
    scene = mr.draw(y, level="gate", path="layer0.h0", routes=True).scene
    assert scene.pinned
    found = shares(mr.graph(y, level="gate"), "L", "layer0.t0.h").of
    known = {(e.source, e.target): share for e, share in found.items()}
    leaving = [share for (source, _), share in known.items() if source == "layer0.t0.h"]
    assert sum(leaving) == pytest.approx(1.0)
    for edge in scene.edges:  # a line between layers is drawn with its own share
        if edge.id in known and edge.id[0].split(".")[0] != edge.id[1].split(".")[0]:
            assert edge.width == pytest.approx(share_width(known[edge.id]))


def test_what_a_state_hands_up_counts_in_the_line_into_its_box() -> None:
    y = end_loss(mr.GRU, 2)
    scene = mr.draw(y, level="gate", path="layer0.h0", routes=True).scene
    found = shares(mr.graph(y, level="gate"), "L", "layer0.t0.h").of
    through = sum(share for e, share in found.items() if e.source == "layer0.t2.h")
    line = next(e for e in scene.edges if e.target == "layer0.t2.h#box")
    assert line.width == pytest.approx(share_width(through))
