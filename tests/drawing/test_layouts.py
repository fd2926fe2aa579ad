"""Layouts of known cells: places, words, paths, folding, and that no label covers anything."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import microrecur as mr
from microrecur.drawing.below import extent
from microrecur.drawing.layouts import lay_out
from microrecur.drawing.scene import Scene
from microrecur.drawing.wish import Wish
from microrecur.flows.paths import strongest_path
from microrecur.nn.cells import GRUCell, LSTMCell, RNNCell

pytest.importorskip("matplotlib")
pytest.importorskip("fontTools")

from .collisions import collisions, overflows, touches

XS = [0.9, -0.5, 0.7, 0.3, -0.8, 1.1] * 6
ROOM = 1344.0 - 18.0  # points: 11-point text at 9 pixels when 1100 wide, less the margin

CELLS: dict[str, Callable[[], Any]] = {
    "rnn": lambda: RNNCell(1, 1, seed=2),
    "rnn sigmoid": lambda: RNNCell(1, 1, nonlinearity="sigmoid", seed=2),
    "lstm": lambda: LSTMCell(1, 1, seed=1),
    "lstm peephole": lambda: LSTMCell(1, 1, seed=1, peephole=True),
    "gru": lambda: GRUCell(1, 1, seed=3),
    "gru reset before": lambda: GRUCell(1, 1, seed=3, reset_after=False),
    "rnn 4×8": lambda: RNNCell(3, 8, seed=1),
    "lstm 4×8": lambda: LSTMCell(3, 8, seed=1),
    "gru 4×8": lambda: GRUCell(3, 8, seed=1),
}


def states(name: str, steps: int) -> list[Any]:
    cell = CELLS[name]()
    if cell.hidden_size > 1:
        numbers = np.random.default_rng(0)
        return mr.unroll(cell, [numbers.normal(size=(4, 3)) for _ in range(steps)])
    start = tuple(mr.tensor(value) for value in (0.35, 0.8)[: len(cell.states)])
    return mr.unroll(cell, XS[:steps], start if len(start) > 1 else start[0])


def last(out: list[Any]) -> mr.Tensor:
    return out[-1][0] if isinstance(out[-1], tuple) else out[-1]


def loss(name: str, steps: int) -> mr.Tensor:
    return ((last(states(name, steps)) - 0.3) ** 2).mean().named("L")


def scene(y: Any, level: str, path: str | None = None, **options: Any) -> Scene:
    graph = mr.graph(y, level=level)
    chosen = strongest_path(graph, path) if path else None
    return lay_out(graph, Wish(path=chosen, **options))


def words(drawn: Scene) -> dict[tuple[str, str], str]:
    """Label of each edge, on one line."""
    return {edge.id: " ".join(t.text for t in edge.labels) for edge in drawn.edges if edge.id}


def textbook_lstm() -> mr.Tensor:
    """The numbers of the textbook figure: i, f, g, o in torch's order."""
    cell = LSTMCell(1, 1, seed=0)
    cell.weight_ih.assign([[0.8], [0.5], [1.2], [0.4]])
    cell.weight_hh.assign([[-0.6], [0.9], [1.4], [0.7]])
    cell.bias_ih.assign([0.2, 1.01, -0.1, 0.3])
    cell.bias_hh.assign([0.0, 0.0, 0.0, 0.0])
    return cell(mr.tensor(0.9), (mr.tensor(0.35), mr.tensor(0.8)))[0]


# ---------------------------------------------------------------- words


def test_every_edge_of_the_textbook_lstm_says_its_factor_value_and_bound() -> None:
    text = words(scene(textbook_lstm(), "op"))
    assert text == {
        ("t0.c", "t1.cell state.mul1"): "fₜ = 0.86 ≤ 1",
        ("t1.f", "t1.cell state.mul1"): "cₜ₋₁ = 0.80",
        ("t1.g", "t1.cell state.mul2"): "iₜ = 0.67 ≤ 1",
        ("t1.i", "t1.cell state.mul2"): "gₜ = 0.90",
        ("t1.cell state.mul1", "t1.c"): "1",
        ("t1.cell state.mul2", "t1.c"): "1",
        ("t1.c", "t1.hidden state.tanh1"): "tanh′ = 0.26 ≤ 1",
        ("t1.hidden state.tanh1", "t1.h"): "oₜ = 0.71 ≤ 1",
        ("t1.o", "t1.h"): "tanh cₜ = 0.86",
        ("t1.z_f", "t1.f"): "σ′ = 0.12 ≤ ¼",
        ("t1.z_i", "t1.i"): "σ′ = 0.22 ≤ ¼",
        ("t1.z_g", "t1.g"): "tanh′ = 0.19 ≤ 1",
        ("t1.z_o", "t1.o"): "σ′ = 0.21 ≤ ¼",
        ("t0.h", "t1.z_f"): "Uᶠ = 0.90",
        ("t0.h", "t1.z_i"): "Uⁱ = −0.60",
        ("t0.h", "t1.z_g"): "Uᵍ = 1.40",
        ("t0.h", "t1.z_o"): "Uᵒ = 0.70",
        ("t1.x", "t1.z_f"): "Wᶠ = 0.50",
        ("t1.x", "t1.z_i"): "Wⁱ = 0.80",
        ("t1.x", "t1.z_g"): "Wᵍ = 1.20",
        ("t1.x", "t1.z_o"): "Wᵒ = 0.40",
    }


def test_shapes_say_symbol_name_and_value() -> None:
    drawn = {node.key: node.lines for node in scene(textbook_lstm(), "op").nodes}
    assert drawn["t1.f"] == ("σ", "fₜ = 0.86")
    assert drawn["t1.g"] == ("tanh", "gₜ = 0.90")
    assert drawn["t1.z_f"] == ("zᶠ = 1.77",) or drawn["t1.z_f"] == ("zᶠ = 1.78",)
    assert drawn["t1.c"] == ("+",)
    assert drawn["t1.c#box"] == ("cₜ", "1.29")
    assert drawn["t0.c"] == ("cₜ₋₁", "0.80")


def test_colour_follows_the_kind_of_factor() -> None:
    kinds = {edge.id: edge.kind for edge in scene(textbook_lstm(), "op").edges if edge.id}
    assert kinds["t1.z_f", "t1.f"] == "gate slope"
    assert kinds["t1.c", "t1.hidden state.tanh1"] == "squash slope"
    assert kinds["t0.c", "t1.cell state.mul1"] == "product"  # a gate's value: never the ≤ ¼ colour
    assert kinds["t0.h", "t1.z_f"] == "weight"
    assert kinds["t1.x", "t1.z_f"] == "muted"


def test_tensors_show_shape_norm_and_typical_slope() -> None:
    drawn = scene(states("lstm 4×8", 1), "op")
    text = words(drawn)
    assert text["t1.z_f", "t1.f"].startswith("σ′ ≈ 0.2")
    assert text["t1.z_f", "t1.f"].endswith("≤ ¼")
    assert text["t0.h", "t1.z_f"].startswith("‖Uᶠ‖ = ")
    box = next(node for node in drawn.nodes if node.key == "t1.c#box")
    assert box.lines[0] == "cₜ (4, 8)"
    assert box.lines[1].startswith("‖·‖ = ")


def test_the_rnn_writes_its_affine_map_out() -> None:
    drawn = scene(states("rnn", 1), "op")
    z = next(node for node in drawn.nodes if node.key == "t1.z")
    assert z.lines[0] == "zₜ = W·xₜ + U·hₜ₋₁ + b"


def test_without_bias_the_affine_map_has_no_b() -> None:
    cell = RNNCell(1, 1, bias=False, seed=0)
    drawn = scene(cell(mr.tensor(0.5), mr.tensor(0.1)), "op")
    z = next(node for node in drawn.nodes if node.key == "t1.z")
    assert z.lines[0] == "zₜ = W·xₜ + U·hₜ₋₁"


@pytest.mark.parametrize("name", ["lstm", "gru", "gru reset before"])
@pytest.mark.parametrize("steps", [2, 3, 30])
def test_of_few_steps_by_gate_every_factor_is_printed(name: str, steps: int) -> None:
    drawn = scene(loss(name, steps), "gate")
    silent = {ends for ends, said in words(drawn).items() if not said and ends[0] != ends[1]}
    # Beside a fold o → h has no room; three factors from r to n take that of x → r.
    crowded = [("o", "h")] if name == "lstm" and steps == 30 else []
    crowded += [("x", "r")] if name == "gru reset before" and steps > 2 else []
    assert {tuple(id.partition(".")[2] for id in ends) for ends in silent} <= set(crowded)
    assert collisions(drawn) == []


def test_the_two_grus_differ_and_say_which_they_are() -> None:
    after, before = (scene(states(name, 1), "op") for name in ("gru", "gru reset before"))
    assert after.panels[0].label == "GRU cell (reset after), step t"
    assert before.panels[0].label == "GRU cell (reset before), step t"
    assert words(after)["t0.h", "t1.m"].startswith("Uⁿ = ")
    assert words(before)["t1.candidate.mul1", "t1.a_n"].startswith("Uⁿ = ")
    places = [{n.key: n.center for n in s.nodes}["t1.candidate.mul1"] for s in (after, before)]
    assert places[0] != places[1]


def test_nan_is_drawn_and_flagged() -> None:
    cell = RNNCell(1, 1, seed=0)
    drawn = scene(cell(mr.tensor(math.nan), mr.tensor(0.1)), "op")
    h = next(node for node in drawn.nodes if node.key == "t1.h#box")
    assert h.flagged
    assert h.lines == ("hₜ", "nan")
    assert words(drawn)["t1.z", "t1.h"] == "tanh′ = nan"  # and no bound: nan keeps to none


# ---------------------------------------------------------------- places


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("level", "steps"), [("op", 1), ("gate", 1), ("op", 2), ("gate", 4)])
def test_known_cells_are_pinned_legible_and_free_of_collisions(
    name: str, level: str, steps: int
) -> None:
    drawn = scene(loss(name, steps) if steps > 1 else states(name, steps), level)
    assert drawn.pinned
    assert collisions(drawn) == []
    assert touches(drawn) == []
    assert overflows(drawn) == []
    (left, _), (right, _) = extent(drawn)
    assert right - left <= ROOM
    assert all(caption.text.size >= 11.0 for caption in drawn.captions)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("level", "steps"), [("op", 2), ("gate", 4), ("gate", 30), ("op", 30)])
def test_paths_are_legible_and_free_of_collisions(name: str, level: str, steps: int) -> None:
    drawn = scene(loss(name, steps), level, "t0.h")
    assert drawn.pinned
    assert collisions(drawn) == []
    assert touches(drawn) == []
    (left, _), (right, _) = extent(drawn)
    assert right - left <= ROOM


@pytest.mark.parametrize(("name", "state"), [("lstm", "c"), ("lstm peephole", "c"), ("gru", "h")])
@pytest.mark.parametrize("level", ["op", "gate"])
def test_the_conveyor_is_one_straight_level_line(name: str, state: str, level: str) -> None:
    drawn = scene(states(name, 2), level)
    boxes = {node.key: node for node in drawn.nodes}
    ends = [f"t0.{state}", f"t1.{state}#box", f"t2.{state}#box"]
    row = {boxes[key].center[1] for key in ends if boxes[key].center}
    thick = [edge for edge in drawn.edges if edge.width > 4.0]
    assert len(thick) == 6  # box → ⊙ → + → box, twice
    assert row == {y for edge in thick for _, y in edge.points or ()} == {0.0}


def test_gates_stand_in_one_row_below_the_conveyor_in_their_panels() -> None:
    drawn = scene(textbook_lstm(), "op")
    centers = {node.key: node.center for node in drawn.nodes}
    gates = [centers[f"t1.{gate}"] for gate in "figo"]
    assert len({y for _, y in gates}) == 1
    assert [x for x, _ in gates] == sorted(x for x, _ in gates)
    labels = [panel.label for panel in drawn.panels]
    assert labels == [
        "LSTM cell, step t",
        "forget gate",
        "input gate",
        "candidate",
        "output gate",
    ]


def test_golden_places_of_the_rnn_cell() -> None:
    drawn = scene(states("rnn", 1), "op")
    text = "\n".join(
        f"{n.key:8} {n.shape:8} {n.kind:15} {n.center[0]:6.1f} {n.center[1]:6.1f}"
        for n in drawn.nodes
        if n.center
    )
    assert text == "\n".join(
        [
            "t0.h     box      state            -33.0    0.0",
            "t1.x     box      input            -33.0  -78.0",
            "t1.z     box      pre-activation   200.5    0.0",
            "t1.h     ellipse  squash slope     455.0    0.0",
            "t1.h#box box      state            594.0    0.0",
        ]
    )


def test_every_record_is_laid_out_automatically() -> None:
    assert not scene(loss("lstm", 2), "all").pinned


@pytest.mark.parametrize("steps", [1, 6, 30])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_states_alone_stand_on_a_grid(name: str, steps: int) -> None:
    drawn = scene(loss(name, steps), "step")
    assert drawn.pinned
    assert collisions(drawn) == []
    (left, _), (right, _) = extent(drawn)
    assert right - left <= ROOM


def test_an_unnamed_root_is_called_y() -> None:
    x = mr.tensor(0.5, name="x")
    drawing = mr.draw(mr.tanh(x) * x, path=x)
    assert drawing.scene.description.startswith("Path y → x")
    assert [node.lines for node in drawing.scene.nodes][-1] == ("y = 0.23",)
    assert str(drawing).startswith("y → x: ")


def test_a_bias_is_read_off_the_graph_not_off_its_name() -> None:
    weight, shift = (mr.tensor(v, requires_grad=True, name=n) for v, n in ((0.5, "U"), (0.1, "q")))
    with mr.scope("t=0"):
        h = mr.tensor(0.3, name="h")
    with mr.scope("t=1"):
        drawn = scene(mr.tanh((h @ weight + shift).named("z")).named("h"), "op")
    z = next(node for node in drawn.nodes if node.key == "t1.z")
    assert z.lines[0] == "zₜ = U·hₜ₋₁ + b"


def test_other_graphs_are_laid_out_automatically() -> None:
    a, b = mr.tensor(0.5, name="a"), mr.tensor(-1.0, name="b")
    drawn = scene((mr.tanh(a * b) + a).named("y"), "op")
    assert not drawn.pinned
    assert {node.key for node in drawn.nodes} >= {"a", "b", "y"}


class Modulated(RNNCell):
    """A learner's cell: no textbook grid fits it."""

    def step(self, x: mr.Tensor, h: mr.Tensor) -> mr.Tensor:  # type: ignore[override]
        with mr.scope("hidden state"):
            return (mr.tanh(x + 0.5 * h) * mr.sigmoid(h)).named("h")


def test_a_learners_own_cell_is_laid_out_automatically_with_states_outside_panels() -> None:
    drawn = scene(mr.unroll(Modulated(1, 1, seed=0), [0.3, 0.4]), "op")
    assert not drawn.pinned
    groups = {node.key: node.group for node in drawn.nodes}
    assert {groups["t0.h"], groups["t1.h"], groups["t2.h"]} == {None}
    assert {"t = 1", "t = 2"} <= set(groups.values())


def test_losses_at_every_step_run_along_a_rail_to_the_loss() -> None:
    out = states("lstm", 3)
    total = sum(((h - 0.2) ** 2 for h, _ in out[1:]), (out[0][0] - 0.2) ** 2).named("L")
    drawn = scene(total, "gate")
    assert drawn.pinned
    assert collisions(drawn) == []
    assert [edge.source for edge in drawn.edges if edge.target == "L"] == ["t1.h", "t2.h", "t3.h"]


# ---------------------------------------------------------------- paths


def test_a_path_shows_each_factor_and_the_running_product() -> None:
    y = loss("rnn", 5)
    graph = mr.graph(y, level="op")
    path = strongest_path(graph, "t0.h")
    drawn = lay_out(graph, Wish(path=path))
    on_path = [edge for edge in drawn.edges if edge.on_path]
    assert len(on_path) == len(path.edges) == 11
    first = next(edge for edge in on_path if edge.id == ("t0.h", "t1.z"))
    assert [line.kind for line in first.labels] == ["weight", "path"]
    assert first.labels[0].text.startswith("× U = ")
    assert first.labels[1].text == f"∏ = {mr_number(path.product)}"


def mr_number(value: float) -> str:
    from microrecur.graphs.notation import number

    return number(value)


def test_widths_follow_the_running_product_on_a_log_scale() -> None:
    graph = mr.graph(loss("rnn", 6), level="op")
    path = strongest_path(graph, "t0.h")
    drawn = {e.id: e.width for e in lay_out(graph, Wish(path=path)).edges if e.on_path}
    largest = max(map(abs, path.running))
    for edge, product in zip(path.edges, path.running, strict=True):
        expected = np.clip(7 + 1.5 * np.log10(abs(product) / largest), 1, 7)
        assert drawn[edge.source, edge.target] == pytest.approx(expected)


def test_only_the_only_path_is_called_the_gradient() -> None:
    alone = [c.text.text for c in scene(loss("rnn", 3), "op", "t0.h").captions]
    assert "∂L/∂h₀" in alone
    assert any("the only path" in text for text in alone)
    among = [c.text.text for c in scene(loss("lstm", 3), "gate", "t0.c").captions]
    assert not [text for text in among if "∂" in text]
    assert "∏ at c₀" in among
    assert any("one path among 24" in text for text in among)


def test_long_unrollings_have_counts_as_powers_of_ten() -> None:
    texts = [c.text.text for c in scene(loss("lstm", 30), "gate", "t0.c").captions]
    assert any("one path among ≈10²⁰" in text for text in texts)


def test_bars_stand_for_the_running_product() -> None:
    drawn = scene(loss("rnn", 3), "op", "t0.h")
    bars = [bar for bar in drawn.bars if bar.kind in ("bar", "bar pale")]
    assert len(bars) == 7  # h₀, then z and h of three steps
    assert [bar.kind for bar in bars].count("bar") == 4


# ---------------------------------------------------------------- folding


def test_long_unrollings_fold_their_middle() -> None:
    drawn = scene(loss("rnn", 30), "op", "t0.h")
    fold = next(node for node in drawn.nodes if node.kind == "folded")
    assert fold.lines[:2] == ("26 steps", "folded")
    assert fold.lines[2].startswith("× ")
    assert [panel.label for panel in drawn.panels] == ["t = 1", "t = 2", "t = 29", "t = 30"]


def test_the_folded_product_is_what_lies_between_its_ends() -> None:
    graph = mr.graph(loss("rnn", 30), level="op")
    path = strongest_path(graph, "t0.h")
    running = dict(zip(path.ids[1:], path.running, strict=True))
    fold = next(n for n in lay_out(graph, Wish(path=path)).nodes if n.kind == "folded")
    assert fold.lines[2] == f"× {mr_number(running['t2.h'] / running['t28.h'])}"


def test_without_a_path_the_fold_only_counts() -> None:
    drawn = scene(loss("lstm", 12), "gate")
    fold = next(node for node in drawn.nodes if node.kind == "folded")
    assert fold.lines == ("9 steps", "folded")


def test_fold_false_draws_every_step() -> None:
    drawn = scene(loss("rnn", 12), "op", fold=False)
    assert [panel.label for panel in drawn.panels] == [f"t = {t}" for t in range(1, 13)]
    assert collisions(drawn) == []


# ---------------------------------------------------------------- the checker sees defects


def test_a_label_moved_onto_a_shape_is_found() -> None:
    drawn = scene(textbook_lstm(), "op")
    gate = next(node for node in drawn.nodes if node.key == "t1.f")
    k = next(k for k, edge in enumerate(drawn.edges) if edge.labels)
    drawn.edges[k] = replace(drawn.edges[k], label_at=gate.center)
    assert any("covers the node t1.f" in text for text in collisions(drawn))


def test_a_label_moved_onto_its_own_line_is_found() -> None:
    drawn = scene(textbook_lstm(), "op")
    k = next(k for k, e in enumerate(drawn.edges) if e.labels and len(e.points or ()) == 2)
    (x, y), (x2, y2) = drawn.edges[k].points or ()
    drawn.edges[k] = replace(drawn.edges[k], label_at=((x + x2) / 2, (y + y2) / 2))
    assert any("lies on the line" in text for text in collisions(drawn))


def test_two_labels_in_one_place_are_found() -> None:
    drawn = scene(textbook_lstm(), "op")
    one, other = [k for k, edge in enumerate(drawn.edges) if edge.labels][:2]
    drawn.edges[one] = replace(drawn.edges[one], label_at=drawn.edges[other].label_at)
    assert any(" covers " in text for text in collisions(drawn))


@pytest.mark.parametrize("make", [mr.RNNCell, mr.GRUCell])
def test_a_product_of_norms_is_never_called_a_gradient(make):
    """Of many numbers a path multiplies norms: the factors shown multiply to the ∏‖·‖ shown."""
    loss = ((_last(mr.unroll(make(1, 4, seed=0), [[0.9], [-0.4]])) - 0.3) ** 2).sum().named("L")
    drawing = mr.draw(loss, path="h0")
    words = [caption.text.text for caption in drawing.scene.captions]
    assert any(word.startswith("∏‖·‖ at h") for word in words)
    assert not any(word.startswith("∂") for word in words)
    assert "∏‖·‖ = " in drawing.scene.description
    product = 1.0
    for line in str(drawing).splitlines()[3:]:
        for factor in re.findall(r"× (?:‖[^‖]*‖ = )?(\d+\.\d+)", line):
            product *= float(factor)
        assert product == pytest.approx(float(line.split()[-1]), rel=0.05)


def _last(states):
    return states[-1][0] if isinstance(states[-1], tuple) else states[-1]


def test_printing_a_picture_moves_no_terminal() -> None:
    """A name with escape codes, a bell or a lone surrogate prints as text."""
    x = mr.tensor(1.0, name="a\x1b[31mred\x07")
    y = (x * 2).named("b\ud800")
    shown = str(mr.draw(mr.tanh(y)))
    shown.encode()
    assert "red" in shown
    assert not set(shown) & {"\x1b", "\x07"}
    assert not set(str(mr.step(mr.tanh(y), path=x))) & {"\x1b", "\x07"}


@pytest.mark.parametrize("cell", [mr.LSTMCell, mr.GRUCell, mr.RNNCell])
def test_every_bar_stands_below_its_node_and_no_two_overlap(cell: Any) -> None:
    loss = ((_last(mr.unroll(cell(1, 1, seed=1), [0.9, -0.5, 0.7])) - 0.3) ** 2).named("L")
    drawing = mr.draw(loss, path="h0")
    scene = drawing.scene
    middles = {bar.id: (bar.low[0] + bar.high[0]) / 2 for bar in scene.bars if bar.id}
    on_path = [e.id[0] for e in scene.edges if e.on_path and e.id]
    named = [id for id in on_path if mr.graph(loss, level="gate").find(id).name]
    assert set(middles) == set(named)
    for id, x in middles.items():
        shapes = [n.center[0] for n in scene.nodes if n.id == id and n.center]
        assert min(abs(x - at) for at in shapes) < 36.0, id
    xs = sorted(middles.values())
    assert all(b - a > 30.0 for a, b in pairwise(xs))
