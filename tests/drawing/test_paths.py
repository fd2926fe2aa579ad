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


def test_a_picture_over_its_limit_is_refused_before_its_labels_are_placed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(self: Any, request: Any) -> None:
        raise AssertionError("a label was placed")

    monkeypatch.setattr("microrecur.drawing.placing.Board.place", never)
    drawing = mr.draw(loss("rnn", 5), fold=False, limit=(5, 5))
    with pytest.raises(mr.RenderError, match="up to 5 and 5 are drawn"):
        drawing.svg()
    with pytest.raises(AssertionError, match="a label was placed"):
        mr.draw(loss("rnn", 5), fold=False, limit=None)


def test_picture_and_stepper_tell_one_product_of_the_folded_steps() -> None:
    y = loss("rnn", 30)
    (fold,) = [n for n in mr.draw(y, path="h0").scene.nodes if n.kind == "folded"]
    lines = str(mr.step(y, path="h0")).splitlines()
    (told,) = [line for line in lines if "factors of the folded steps" in line]
    assert fold.lines[-1].removeprefix("× ") in told
    before = next(line for line in lines if line.startswith("∂L/∂h₂₈ = "))
    assert "· U = " in before  # the line out of the fold has a label, and is a step of its own


def test_show_must_be_a_collection() -> None:
    with pytest.raises(TypeError, match="show=5: some of value, grad, local, bound"):
        mr.draw(loss("rnn", 2), show=5)  # type: ignore[arg-type]


def test_without_an_engine_a_stepper_is_shown_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*args: Any, **options: Any) -> str:
        raise mr.RenderError("no engine <is> usable")

    monkeypatch.setattr("microrecur.drawing.drawing.render_svg", none)
    shown = mr.step(loss("rnn", 2), path="h0")._repr_html_()
    assert shown.startswith("<pre>")
    assert "∂L/∂L = 1: the gradient starts here" in shown
    assert "[no stepper: no engine &lt;is&gt; usable]" in shown
