"""Gradients at level "step": below their states, every arrow turned round."""

from __future__ import annotations

from typing import Any

import pytest

import microrecur as mr
from microrecur.drawing.export import smallest_text_px
from microrecur.drawing.grid_backward import SEED

pytest.importorskip("matplotlib")
pytest.importorskip("fontTools")

from .collisions import collisions, overflows, touches
from .test_grid import KINDS, SHAPES, loss


def gradient(y: mr.Tensor) -> mr.Tensor:
    """∂y by the first h of the first layer."""
    first = next(node for node in mr.graph(y).nodes if node.name == "h" and node.op is None)
    return mr.grad(y, [first.tensor])[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, *SHAPES])
@pytest.mark.parametrize("steps", [1, 3, 12])
def test_gradients_by_step_are_pinned_legible_and_covered_by_nothing(
    kind: str, options: dict[str, Any], steps: int
) -> None:
    drawing = mr.draw(gradient(loss(kind, steps, **options)), level="step")
    assert drawing.scene.pinned
    assert collisions(drawing.scene) == []
    assert touches(drawing.scene) == []
    assert overflows(drawing.scene) == []
    assert smallest_text_px(drawing.svg(), 1100) >= 9.0
    assert drawing.scene.title.startswith("gradient below its states: ")


@pytest.mark.parametrize("kind", KINDS)
def test_every_arrow_turns_a_forward_arrow_round_and_multiplies_by_the_same(kind: str) -> None:
    g = gradient(loss(kind, 3, num_layers=2))
    view = mr.graph(g, level="step")
    values = {(edge.source, edge.target): edge.value for edge in view.edges}
    drawn = [edge.id for edge in mr.draw(g, level="step").scene.edges if edge.id]
    turned = [ends for ends in drawn if ends[0].startswith("∂.") and ends[1].startswith("∂.")]
    assert len(turned) > 6
    for source, target in turned:
        ahead = values[target.removeprefix("∂."), source.removeprefix("∂.")]
        assert values[source, target] == pytest.approx(ahead)
    assert set(turned) == {pair for pair in values if all(id.startswith("∂.") for id in pair)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_stands_in_the_column_of_its_state_and_the_seed_below_the_loss(
    kind: str,
) -> None:
    nodes = {n.key: n for n in mr.draw(gradient(loss(kind, 3)), level="step").scene.nodes}
    for key, node in nodes.items():
        if key.startswith("∂."):
            above = nodes[key.removeprefix("∂.")]
            assert above.center is not None and node.center is not None
            assert above.center[0] == node.center[0]
            assert above.center[1] > node.center[1]
    assert nodes[SEED].lines == ("∂L/∂L", "1.00")
    assert nodes[SEED].center[0] == nodes["L"].center[0]  # type: ignore[index]


def test_of_a_last_state_the_seed_is_the_gradient_by_itself() -> None:
    h = mr.unroll(mr.GRUCell(1, 1, seed=0), [0.9, -0.5])[-1]
    scene = mr.draw(gradient(h), level="step").scene
    seed = next(node for node in scene.nodes if node.key == SEED)
    assert seed.lines[0] == "∂h₂/∂h₂"
    assert seed.kind == "state"
    assert (SEED, "∂.t1.h") in {edge.id for edge in scene.edges}
