"""Paths over a known cell that need room: a loss at every step, paths beside the strongest."""

from __future__ import annotations

from typing import Any

import pytest

import microrecur as mr

pytest.importorskip("matplotlib")
pytest.importorskip("fontTools")

from microrecur.drawing.export import smallest_text_px

from .collisions import collisions
from .test_layouts import last, loss, states


def at_every_step(name: str, steps: int) -> mr.Tensor:
    out = [last([state]) for state in states(name, steps)]
    return sum(((h - 0.1) ** 2 for h in out[1:]), (out[0] - 0.1) ** 2).named("L")


@pytest.mark.parametrize("name", ["rnn", "lstm", "lstm peephole", "gru", "gru reset before"])
@pytest.mark.parametrize("steps", [2, 3, 4, 6])
def test_with_a_loss_at_every_step_a_paths_labels_stand_apart(name: str, steps: int) -> None:
    for show in (("value", "local", "bound"), ("value", "grad")):
        drawing = mr.draw(at_every_step(name, steps), path="h0", show=show)
        assert collisions(drawing.scene) == []
    assert smallest_text_px(drawing.svg(), 1100.0) >= 9.0


@pytest.mark.parametrize("name", ["lstm", "gru"])
@pytest.mark.parametrize("steps", [2, 3])
def test_lesser_paths_have_labels_that_stand_apart_too(name: str, steps: int) -> None:
    y = loss(name, steps)
    for path in mr.flow(y, mr.graph(y).find("t0.h").tensor).top(5):
        assert collisions(mr.draw(y, path=path).scene) == []


def test_room_is_made_by_fewer_steps_only_where_no_other_room_is() -> None:
    def drawn(y: mr.Tensor, **options: Any) -> list[str]:
        return [panel.label for panel in mr.draw(y, path="h0", **options).scene.panels]

    assert len(drawn(loss("lstm", 4))) == 4
    assert len(drawn(at_every_step("lstm", 4))) < 4
    assert len(drawn(at_every_step("lstm", 4), steps="all")) == 4  # as it was asked for
