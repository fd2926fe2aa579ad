"""A learner's own cell, built from named gates, is pinned like a textbook's: read off roles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import microrecur as mr
from microrecur.drawing.export import smallest_text_px
from microrecur.drawing.scene import Scene
from microrecur.nn.cells import Cell

pytest.importorskip("matplotlib")
pytest.importorskip("fontTools")

from .collisions import collisions, overflows

XS = [0.9, -0.5, 0.7, 0.3, -0.8, 1.1] * 5
SHOWN, LEAST = 1100.0, 9.0


class Minimal(Cell):
    """The minimal gated unit of docs/own_cell.md."""

    gates = ("f", "n")
    states = ("h",)

    def step(self, x: mr.Tensor, h: mr.Tensor) -> mr.Tensor:  # type: ignore[override]
        W, U, b, _ = self._weights(x)
        with mr.scope("forget gate"):
            f = mr.sigmoid((x @ W.f + h @ U.f + b.f).named("z_f")).named("f")
        with mr.scope("candidate"):
            n = mr.tanh((x @ W.n + (f * h) @ U.n + b.n).named("z_n")).named("n")
        with mr.scope("hidden state"):
            return ((1 - f) * h + f * n).named("h")


class Coupled(Cell):
    """An LSTM whose input gate is 1 − f."""

    gates = ("f", "g", "o")
    states = ("h", "c")

    def step(self, x: mr.Tensor, h: mr.Tensor, c: mr.Tensor) -> Any:  # type: ignore[override]
        W, U, b, _ = self._weights(x)
        with mr.scope("forget gate"):
            f = mr.sigmoid((x @ W.f + h @ U.f + b.f).named("z_f")).named("f")
        with mr.scope("candidate"):
            g = mr.tanh((x @ W.g + h @ U.g + b.g).named("z_g")).named("g")
        with mr.scope("cell state"):
            c = (f * c + (1 - f) * g).named("c")
        with mr.scope("output gate"):
            o = mr.sigmoid((x @ W.o + h @ U.o + b.o).named("z_o")).named("o")
        with mr.scope("hidden state"):
            return (o * mr.tanh(c)).named("h"), c


class FiveGates(Cell):
    """An LSTM with a fifth gate that lets the old h through: two straight lines."""

    gates = ("f", "i", "g", "s", "o")
    states = ("h", "c")

    def step(self, x: mr.Tensor, h: mr.Tensor, c: mr.Tensor) -> Any:  # type: ignore[override]
        W, U, b, _ = self._weights(x)
        made = {}
        for name in self.gates:
            with mr.scope(f"{name} gate"):
                z = x @ getattr(W, name) + h @ getattr(U, name) + getattr(b, name)
                slope = mr.tanh if name == "g" else mr.sigmoid
                made[name] = slope(z.named(f"z_{name}")).named(name)
        with mr.scope("cell state"):
            c = (made["f"] * c + made["i"] * made["g"]).named("c")
        with mr.scope("hidden state"):
            return (made["o"] * mr.tanh(c) + made["s"] * h).named("h"), c


CELLS: dict[str, Any] = {"minimal": Minimal, "coupled": Coupled, "five gates": FiveGates}


def states(name: str, steps: int) -> list[Any]:
    cell = CELLS[name](1, 1, seed=1)
    start = tuple(mr.tensor(value) for value in (0.35, 0.8)[: len(cell.states)])
    return mr.unroll(cell, XS[:steps], start if len(start) > 1 else start[0])


def loss(name: str, steps: int) -> mr.Tensor:
    last = states(name, steps)[-1]
    return (((last[0] if isinstance(last, tuple) else last) - 0.3) ** 2).named("L")


def drawn(name: str, level: str, steps: int, path: bool = False) -> Any:
    y = loss(name, steps) if steps > 1 else states(name, 1)
    return mr.draw(y, level=level, path="h0" if path else None)


def centers(scene: Scene) -> dict[str, tuple[float, float]]:
    return {node.key: node.center for node in scene.nodes if node.center is not None}


def words(scene: Scene) -> dict[tuple[str, str], str]:
    return {e.id: " ".join(t.text for t in e.labels) for e in scene.edges if e.id}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("level", ["op", "gate"])
@pytest.mark.parametrize(("steps", "path"), [(1, False), (2, False), (6, True), (30, True)])
def test_an_own_cell_is_pinned_legible_and_free_of_collisions(
    name: str, level: str, steps: int, path: bool
) -> None:
    drawing = drawn(name, level, steps, path)
    scene = drawing.scene
    assert scene.pinned
    assert collisions(scene) == []
    assert overflows(scene) == []
    assert smallest_text_px(drawing.svg(), SHOWN) >= LEAST
    if path:
        assert sum(edge.on_path for edge in scene.edges) >= 2


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("level", ["op", "gate"])
def test_the_state_that_passes_only_products_and_sums_is_one_straight_line(
    name: str, level: str
) -> None:
    scene = drawn(name, level, 1).scene
    state = "h" if name == "minimal" else "c"
    at = centers(scene)
    rows = {at[key][1] for key in (f"t0.{state}", f"t1.{state}#box", f"t1.{state}")}
    thick = [edge for edge in scene.edges if edge.width > 4.0]
    assert len(thick) >= 3
    assert rows == {0.0} == {y for edge in thick for _, y in edge.points or ()}


def test_gates_stand_in_a_row_above_their_pre_activations_in_titled_panels() -> None:
    scene = drawn("five gates", "op", 1).scene
    at = centers(scene)
    gates = [at[f"t1.{name}"] for name in FiveGates.gates]
    assert len({y for _, y in gates}) == 1
    assert gates == sorted(gates)
    for name, (x, y) in zip(FiveGates.gates, gates, strict=True):
        assert at[f"t1.z_{name}"][0] == x
        assert at[f"t1.z_{name}"][1] < y < 0.0
    assert [panel.label for panel in scene.panels[1:]] == [f"{n} gate" for n in FiveGates.gates]


def test_products_and_sums_stand_where_their_operands_say() -> None:
    """(1−f)⊙h on the line of h; f⊙n below its +; f⊙h under the candidate it feeds."""
    at = centers(drawn("minimal", "op", 1).scene)
    keep, write, plus = (at[f"t1.{n}"] for n in ("hidden state.mul1", "hidden state.mul2", "h"))
    assert keep[1] == plus[1] == 0.0 > write[1] > at["t1.f"][1]
    assert write[0] == plus[0]
    assert at["t1.f"][0] == keep[0] == at["t1.hidden state.sub1"][0]
    under = at["t1.candidate.mul1"]
    assert under[1] < at["t1.z_n"][1]
    assert at["t1.f"][0] < under[0] < at["t1.n"][0]


def test_every_factor_of_one_step_is_printed() -> None:
    for name in CELLS:
        for level in ("op", "gate"):
            text = words(drawn(name, level, 1).scene)
            silent = {ends for ends, said in text.items() if not said and ends[0] != ends[1]}
            assert silent <= {("t1.candidate.mul1", "t1.z_n")}, (name, level)
    text = words(drawn("minimal", "op", 1).scene)
    f = mr.graph(states("minimal", 1)).find("t1.f").value
    assert f is not None
    assert text["t0.h", "t1.hidden state.mul1"] == f"1−fₜ = {1 - f:.2f} ≤ 1"
    assert text["t1.n", "t1.hidden state.mul2"] == f"fₜ = {f:.2f} ≤ 1"


def test_the_circle_of_a_complement_names_its_gate() -> None:
    lines = {node.key: node.lines for node in drawn("coupled", "op", 1).scene.nodes}
    assert lines["t1.cell state.sub1"] == ("1−f",)


def test_a_second_straight_line_runs_along_its_bus() -> None:
    scene = drawn("five gates", "op", 1).scene
    at = centers(scene)
    row = {at[key][1] for key in ("t0.h", "t1.hidden state.mul2", "t1.h", "t1.h#box")}
    assert len(row) == 1
    assert row.pop() < at["t1.z_f"][1]


def test_own_cells_fold_and_say_the_factor_of_what_is_folded() -> None:
    drawing = drawn("minimal", "gate", 30, path=True)
    fold = next(node for node in drawing.scene.nodes if node.kind == "folded")
    assert fold.lines[0] == "26 steps"
    panels = [panel.label for panel in drawing.scene.panels]
    assert panels == ["t = 1", "t = 2", "t = 29", "t = 30"]


def test_the_title_names_the_gates() -> None:
    assert drawn("coupled", "gate", 2).scene.title == "cell with gates f, g, o, 2 steps"


def test_tensors_of_an_own_cell_are_pinned_too() -> None:
    cell = Minimal(2, 3, seed=1)
    out = mr.unroll(cell, np.random.default_rng(0).normal(size=(2, 2)))
    drawing = mr.draw(out)
    assert drawing.scene.pinned
    assert collisions(drawing.scene) == []


def test_values_alone_leave_no_stray_sign_beside_lines() -> None:
    for y in (loss("minimal", 2), mr.unroll(mr.GRUCell(1, 1, seed=3), XS[:2])):
        scene = mr.draw(y, show=("value",)).scene
        assert not [said for (a, b), said in words(scene).items() if b != "L" and said.strip("1 ")]


def test_routes_of_an_own_cell_are_shares_on_the_same_grid() -> None:
    drawing = mr.draw(loss("minimal", 2), path="h0", routes=True)
    assert drawing.scene.pinned
    assert any("%" in said for said in words(drawing.scene).values())


def test_a_cell_with_unnamed_slopes_is_laid_out_automatically() -> None:
    class Unnamed(Minimal):
        def step(self, x: mr.Tensor, h: mr.Tensor) -> mr.Tensor:  # type: ignore[override]
            return (mr.sigmoid(x + h) * mr.tanh(x - h)).named("h")

    assert not mr.draw(mr.unroll(Unnamed(1, 1, seed=0), [0.3, 0.4])).scene.pinned
