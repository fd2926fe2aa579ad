"""The graph of a gradient: named by what each node is, below the forward node it is taken by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import microrecur as mr
from microrecur.drawing.backward import SEED
from microrecur.drawing.export import smallest_text_px
from microrecur.drawing.scene import Scene
from microrecur.engine.calculus import gradient_of, vjp

pytest.importorskip("matplotlib")
pytest.importorskip("fontTools")

from .collisions import collisions, overflows
from .test_own_cell import Minimal

XS = [0.9, -0.5, 0.7, 0.3, -0.8, 1.1] * 5
CELLS: dict[str, Any] = {
    "rnn": lambda: mr.RNNCell(1, 1, seed=2),
    "lstm": lambda: mr.LSTMCell(1, 1, seed=1),
    "peephole": lambda: mr.LSTMCell(1, 1, seed=1, peephole=True),
    "gru": lambda: mr.GRUCell(1, 1, seed=3),
    "gru before": lambda: mr.GRUCell(1, 1, seed=3, reset_after=False),
    "own": lambda: Minimal(1, 1, seed=1),
}


def loss_and_start(name: str, steps: int) -> tuple[mr.Tensor, mr.Tensor]:
    cell = CELLS[name]()
    start = tuple(mr.tensor(value) for value in (0.35, 0.8)[: len(cell.states)])
    last = mr.unroll(cell, XS[:steps], start if len(start) > 1 else start[0])[-1]
    h = last[0] if isinstance(last, tuple) else last
    y = ((h - 0.3) ** 2).named("L")
    return y, mr.graph(y).find("t0.h").tensor


def drawn(name: str, steps: int, level: str | None = None) -> Any:
    y, h0 = loss_and_start(name, steps)
    return mr.draw(mr.grad(y, h0), level=level)


def at(scene: Scene) -> dict[str, tuple[float, float]]:
    return {node.key: node.center for node in scene.nodes if node.center is not None}


# ---------------------------------------------------------------- names, off the recording


@pytest.mark.parametrize("name", CELLS)
def test_every_gradient_node_is_the_gradient_it_is_named_by(name: str) -> None:
    y, h0 = loss_and_start(name, 3)
    graph = mr.graph([y, mr.grad(y, h0)], level="op")
    gradients = [node for node in graph.nodes if node.role == "gradient"]
    assert len(gradients) >= 6
    for node in gradients:
        of = graph.find(node.id.removeprefix("∂."))
        assert node.name == f"∂L/∂{of.name}" or of.name is None
        assert node.step == of.step
        assert node.value == pytest.approx(vjp(y, [of.tensor])[0].item(), rel=1e-12)


def test_the_gradient_by_each_state_pre_activation_and_gate_is_there() -> None:
    y, h0 = loss_and_start("lstm", 2)
    graph = mr.graph([y, mr.grad(y, h0)], level="op")
    ids = {node.id for node in graph.nodes if node.role == "gradient"}
    parts = ("h", "c", "f", "i", "g", "o", "z_f", "z_i", "z_g", "z_o")
    assert {f"∂.t2.{part}" for part in parts} <= ids
    assert "∂.t0.h" in ids
    assert mr.graph([y, mr.grad(y, h0)], level="gate").find("∂.t2.f").name == "∂L/∂f"


def test_a_gradient_knows_what_it_is_of_and_by() -> None:
    x = mr.tensor(0.5, name="x")
    y = (mr.tanh(x) * 2.0).named("y")
    (dx,) = mr.grad(y, [x])
    found = gradient_of(dx)
    assert found is not None
    assert found[0] is y
    assert found[1] is x
    assert gradient_of(y) is None


def test_a_second_gradient_is_called_so() -> None:
    x = mr.tensor(0.5, name="x")
    y = mr.tanh(x).named("y")
    first = mr.grad(y, x)
    graph = mr.graph([y, mr.grad(first, x)])
    assert graph.find("∂.x").name == "∂y/∂x"


# ---------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("name", "steps"),
    [*((name, steps) for name in CELLS for steps in (1, 3, 6)), ("rnn", 30), ("lstm", 30)],
)
def test_by_gate_it_is_pinned_legible_and_free_of_collisions(name: str, steps: int) -> None:
    drawing = drawn(name, steps, "gate")
    assert drawing.scene.pinned
    assert collisions(drawing.scene) == []
    assert overflows(drawing.scene) == []
    assert smallest_text_px(drawing.svg(), 1100.0) >= 9.0


@pytest.mark.parametrize("name", CELLS)
def test_by_op_it_is_pinned_legible_and_free_of_collisions(name: str) -> None:
    drawing = drawn(name, 2, "op")
    assert drawing.scene.pinned
    assert collisions(drawing.scene) == []
    assert overflows(drawing.scene) == []
    assert smallest_text_px(drawing.svg(), 1100.0) >= 9.0


@pytest.mark.parametrize("name", CELLS)
def test_each_gradient_stands_below_its_forward_node(name: str) -> None:
    scene = drawn(name, 2, "gate").scene
    places = at(scene)
    below = [key for key in places if key.startswith("∂.")]
    assert len(below) >= 5
    lowest = min(y for key, (_, y) in places.items() if not key.startswith("∂"))
    for key in below:
        of = key.removeprefix("∂.")
        over = places.get(f"{of}#box", places[of])
        assert places[key][0] == pytest.approx(over[0])
        assert places[key][1] < lowest
    labels = [panel.label for panel in scene.panels if panel.key.startswith("∂")]
    assert labels == ["∂ · t = 1", "∂ · t = 2"]


def test_arrows_of_the_lower_row_turn_forward_arrows_round_with_their_factors() -> None:
    scene = drawn("rnn", 3).scene
    said = {e.id: " ".join(t.text for t in e.labels) for e in scene.edges if e.id}
    for t in (1, 2, 3):
        assert said[f"∂.t{t}.h", f"∂.t{t}.z"] == said[f"t{t}.z", f"t{t}.h"] != ""
        assert said[f"∂.t{t}.z", f"∂.t{t - 1}.h"] == said[f"t{t - 1}.h", f"t{t}.z"] != ""
    assert said[SEED, "∂.t3.h"] == said["t3.h", "L"]
    lines = {node.key: node.lines for node in scene.nodes}
    assert lines[SEED] == ("∂L/∂L", "1")
    assert lines["∂.t2.z"][0] == "∂L/∂z₂"


def test_the_factors_shown_multiply_to_the_gradient_shown() -> None:
    y, h0 = loss_and_start("rnn", 3)
    graph = mr.graph([y, mr.grad(y, h0)], level="gate")
    for edge in graph.edges:
        if edge.source.startswith("∂.") and edge.target.startswith("∂."):
            before, after = (graph.find(id).value for id in (edge.source, edge.target))
            assert before is not None and edge.value is not None
            assert after == pytest.approx(before * edge.value, rel=1e-12)


def test_a_long_one_folds_the_same_steps_on_both_floors() -> None:
    scene = drawn("lstm", 30).scene
    folds = [node for node in scene.nodes if node.kind == "folded"]
    assert len(folds) == 2
    assert folds[0].center is not None and folds[1].center is not None
    assert folds[0].center[0] == folds[1].center[0]
    assert folds[0].lines[0] == folds[1].lines[0]


def test_the_gradient_of_a_state_begins_at_that_state() -> None:
    h0 = mr.tensor(0.35)
    last = mr.unroll(mr.RNNCell(1, 1, seed=2), XS[:2], h0)[-1]
    scene = mr.draw(mr.grad(last, mr.graph(last).find("t0.h").tensor)).scene
    assert scene.pinned
    lines = {node.key: node.lines for node in scene.nodes}
    assert lines[SEED] == ("∂h₂/∂h₂", "1")
    assert lines["∂.t0.h"][0] == "∂h₂/∂h₀"


def test_gradients_of_many_numbers_show_shape_and_norm() -> None:
    numbers = np.random.default_rng(0)
    h0 = mr.tensor(numbers.normal(size=3))
    last = mr.unroll(mr.RNNCell(2, 3, seed=2), numbers.normal(size=(2, 2)), h0)[-1]
    y = (last * last).sum().named("L")
    scene = mr.draw(mr.grad(y, mr.graph(y).find("t0.h").tensor)).scene
    assert scene.pinned
    lines = {node.key: node.lines for node in scene.nodes}
    assert any("‖·‖" in line for line in lines["∂.t1.z"])
    assert collisions(scene) == []


def test_the_caption_says_what_the_lower_row_is() -> None:
    words = " ".join(caption.text.text for caption in drawn("rnn", 2).scene.captions)
    assert "lower row: the gradient by what stands above it" in words


def test_the_text_of_a_backward_graph_names_its_gradients() -> None:
    y, h0 = loss_and_start("rnn", 2)
    text = str(mr.draw(mr.grad(y, h0)))
    assert "∂L/∂h₁" in text or "∂y/∂h₁" in text
