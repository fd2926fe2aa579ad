"""What `draw` can be asked for: steps, routes, one unit, what is told."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import microrecur as mr
from microrecur.drawing.below import extent
from microrecur.drawing.draw import draw
from microrecur.drawing.export import smallest_text_px
from microrecur.drawing.shares import percent, shares
from microrecur.drawing.unit import zoom
from microrecur.flows.paths import strongest_path

XS = [0.9, -0.5, 0.7, 0.3, -0.8, 1.1]
CELLS: dict[str, Any] = {
    "rnn": lambda h: mr.RNNCell(1, h, seed=2),
    "lstm": lambda h: mr.LSTMCell(1, h, seed=1),
    "peephole": lambda h: mr.LSTMCell(1, h, seed=1, peephole=True),
    "gru": lambda h: mr.GRUCell(1, h, seed=3),
    "gru before": lambda h: mr.GRUCell(1, h, seed=3, reset_after=False),
}


def states(cell: Any, steps: int) -> list[Any]:
    numbers = np.random.default_rng(5)
    alone = cell.hidden_size == cell.input_size == 1
    start = tuple(
        mr.tensor(numbers.normal(size=() if alone else cell.hidden_size)) for _ in cell.states
    )
    xs = numbers.normal(size=steps if alone else (steps, cell.input_size))
    return mr.unroll(cell, xs, start if len(start) > 1 else start[0])


def loss(cell: Any, steps: int) -> mr.Tensor:
    last = states(cell, steps)[-1]
    h = last[0] if isinstance(last, tuple) else last
    return ((h - 0.3) ** 2).mean().named("L")


# ---------------------------------------------------------------- steps


@pytest.mark.parametrize(
    ("steps", "panels", "folds"),
    [
        ("auto", [1, 2, 30], [27]),
        (3, [1, 30], [28]),
        ("all", list(range(1, 31)), []),
        (slice(-2, None), [29, 30], [28]),
        (slice(0, 2), [1, 2], [28]),
        (slice(10, 12), [11, 12], [10, 18]),
        (slice(0, 30, 10), [1, 11, 21], [9, 9, 9]),
    ],
)
def test_steps_are_chosen_and_the_others_folded(
    steps: Any, panels: list[int], folds: list[int]
) -> None:
    scene = draw(loss(CELLS["lstm"](1), 30), path="h0", steps=steps).scene
    assert [panel.label for panel in scene.panels] == [f"t = {t}" for t in panels]
    shapes = [node for node in scene.nodes if node.kind == "folded"]
    assert [int(node.lines[0].split()[0]) for node in shapes] == folds


def test_the_products_of_folded_and_shown_parts_make_the_whole() -> None:
    graph = mr.graph(loss(CELLS["rnn"](1), 30), level="gate")
    path = strongest_path(graph, "t0.h")
    scene = draw(graph, path=path, steps=slice(10, 12)).scene
    folded = [node.lines[2] for node in scene.nodes if node.kind == "folded"]
    running = dict(zip(path.ids[1:], path.running, strict=True))
    from microrecur.graphs.notation import number

    assert folded == [
        f"× {number(path.product / running['t10.h'])}",
        f"× {number(running['t12.h'] / running['t30.h'])}",
    ]


@pytest.mark.parametrize("steps", ["some", 0, -3, True, None])
def test_other_steps_are_refused(steps: Any) -> None:
    with pytest.raises(ValueError, match='"auto" draws as many'):
        draw(loss(CELLS["rnn"](1), 3), steps=steps)


def test_an_empty_slice_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match="there are 3, from t = 1 to t = 3"):
        draw(loss(CELLS["rnn"](1), 3), steps=slice(7, 9))


# ---------------------------------------------------------------- paths


def test_a_path_of_the_flow_is_drawn_at_a_coarser_level_with_its_own_numbers() -> None:
    y = loss(CELLS["lstm"](1), 3)
    best = mr.flow(y, "h0").top(1)[0]
    drawing = draw(y, path=best)
    on_path = [edge for edge in drawing.scene.edges if edge.on_path and edge.id]
    assert [edge.id[1] for edge in on_path if edge.id and edge.id[0] == "t0.h"] != []
    assert f"{percent(best.share)} of net = " in drawing.scene.description
    assert "gross = " in drawing.scene.description


def test_a_path_between_numbers_shows_their_derivatives_not_norms() -> None:
    y = loss(CELLS["gru"](4), 2)
    drawing = draw(y, level="op", path=mr.flow(y, "h0").top(1)[0])
    texts = [t.text for edge in drawing.scene.edges if edge.on_path for t in edge.labels]
    assert any(text.startswith("∏ = ") for text in texts)
    assert not any("‖" in text for text in texts)


def test_a_path_through_hidden_nodes_asks_for_a_finer_level() -> None:
    y = loss(CELLS["lstm"](1), 2)
    path = strongest_path(mr.graph(y, level="gate"), "t0.c")
    step = mr.graph(y, level="step")
    drawn = draw(step, path=path)
    assert [edge for edge in drawn.scene.edges if edge.on_path]
    with pytest.raises(TypeError, match="path= is an id"):
        draw(step, path=3)  # type: ignore[arg-type]


# ---------------------------------------------------------------- routes


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("hidden", [1, 3])
@pytest.mark.parametrize("level", ["step", "gate", "op", "all"])
def test_shares_on_every_cut_sum_to_one(name: str, hidden: int, level: str) -> None:
    graph = mr.graph(loss(CELLS[name](hidden), 3), level=level)
    parts = shares(graph, "L", "t0.h")
    assert sum(parts.of.get(e, 0.0) for e in graph.out_of("t0.h")) == pytest.approx(1.0)
    assert sum(parts.of.get(e, 0.0) for e in graph.into("L")) == pytest.approx(1.0)
    for node in graph.nodes:
        if node.op is not None and node.id != "L" and graph.out_of(node.id):
            arriving = sum(parts.of.get(e, 0.0) for e in graph.into(node.id))
            leaving = sum(parts.of.get(e, 0.0) for e in graph.out_of(node.id))
            assert arriving == pytest.approx(leaving, abs=1e-9), node.id


def test_a_share_is_what_is_lost_when_the_edge_is_cut() -> None:
    y = loss(CELLS["lstm"](1), 3)
    found = mr.flow(y, "h0")
    parts = shares(mr.graph(y, level="op"), "L", "t0.h")
    graph = mr.graph(y, level="op")
    whole = float(found.gradient)
    for gate in "figo":
        z = graph.find(f"t2.z_{gate}").tensor
        into = [(z, k) for k in range(len(z.inputs))]
        lost = 1 - float(found.without_edges(into).gradient) / whole
        edges = [e for e in parts.of if e.target == f"t2.z_{gate}" and e.source == "t1.h"]
        assert sum(parts.of[e] for e in edges) == pytest.approx(lost)


def test_shares_of_a_thousand_steps_neither_under_nor_overflow() -> None:
    graph = mr.graph(loss(CELLS["gru"](1), 1_000), level="gate")
    parts = shares(graph, "L", "t0.h")
    assert sum(parts.of[e] for e in graph.out_of("t0.h") if e in parts.of) == pytest.approx(1.0)


def test_routes_colour_every_line_by_kind_and_print_shares() -> None:
    drawing = draw(loss(CELLS["lstm"](1), 3), path="h0", routes=True)
    widths = {e.id: e.width for e in drawing.scene.edges if e.id}
    assert widths["t3.h", "L"] == pytest.approx(7.0)
    texts = [t.text for e in drawing.scene.edges for t in e.labels]
    assert "100 %" in texts
    caption = drawing.scene.description
    for word in ("all 91 paths", "net = ", "gross = ", "agreement", "largest single one carries"):
        assert word in caption


def test_the_text_of_all_routes_tells_the_share_of_every_edge() -> None:
    y = loss(CELLS["lstm"](1), 2)
    view = mr.graph(y, level="gate")
    parts = shares(view, "L", "t0.h")
    head, reading, *lines = str(draw(y, path="h0", routes=True)).split("\n")
    assert head.startswith("L → h₀: all 19 paths, net = ") and "largest single one" in head
    assert reading.startswith("numbers in percent: share of the gradient that passes there")
    rows = [line for line in lines if "←" in line]
    taken = [edge for edge in view.edges if edge in parts.of]
    assert len(rows) == len(taken) and 0 < len(taken) < len(view.edges)
    last = next(row for row in rows if row.split()[0] == "L")
    assert re.fullmatch(r"  L +← h₂ +100 % +× .*", last)
    told = sorted(re.findall(r"← \S+(?: \S+)*? +(\S+ (?:%|× net))", "\n".join(rows)))
    assert told == sorted(percent(parts.of[edge]) for edge in taken)
    second = lines[lines.index("step 2") + 1 :]
    assert len({row.index("←") for row in second if "←" in row and "L" not in row}) == 1


def test_the_text_of_many_routes_leaves_out_the_middle_and_says_so() -> None:
    lines = str(draw(loss(CELLS["gru"](1), 200), path="h0", routes=True)).split("\n")
    assert len(lines) < 140
    (gap,) = [line for line in lines if line.startswith("…")]
    said = int(gap.split()[1])
    assert gap.endswith("steps more …")
    assert said + sum(line.startswith("step ") for line in lines) == 200


def test_routes_need_one_number_and_a_way() -> None:
    with pytest.raises(ValueError, match="draw a loss"):
        draw(states(CELLS["lstm"](3), 2)[-1][0], routes=True)
    with pytest.raises(ValueError, match="does not depend"):
        graph = mr.graph([loss(CELLS["rnn"](1), 2), mr.tensor(1.0, name="alone")])
        shares(graph.at("op"), "L", "alone")


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100 %"), (-0.5, "−50 %"), (1e-5, "0 %"), (math.nan, "nan")]
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


# ---------------------------------------------------------------- one unit


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("inputs", [1, 3])
@pytest.mark.parametrize("batch", [False, True])
def test_every_number_of_a_unit_is_that_of_the_large_graph(
    name: str, inputs: int, batch: bool
) -> None:
    numbers = np.random.default_rng(1)
    cell = CELLS[name](5) if inputs == 1 else _with_inputs(name, inputs)
    rows = (2,) if batch else ()
    start = tuple(mr.tensor(numbers.normal(size=(*rows, 5))) for _ in cell.states)
    xs = [numbers.normal(size=(*rows, inputs)) for _ in range(3)]
    out = mr.unroll(cell, xs, start if len(start) > 1 else start[0])
    large = mr.graph(out, level="op")
    roots, _ = zoom(large, 2)
    small = mr.graph(roots, level="op")
    compared = 0
    for node in small.nodes:
        if (node.name or "").startswith("Σ"):
            continue
        whole = large.find(node.id).tensor.data
        column = 2 if node.name != "x" else 0
        assert node.value == pytest.approx(whole[..., column].reshape(-1)[0], abs=1e-14), node.id
        compared += 1
    # Every unit-wise node of the large graph is there, but for inputs that are part of Σ.
    expected = [n for n in large.nodes if n.step is not None and (n.name != "x" or inputs == 1)]
    assert compared == len(expected)


def _with_inputs(name: str, inputs: int) -> Any:
    kind, options = {
        "rnn": (mr.RNNCell, {}),
        "lstm": (mr.LSTMCell, {}),
        "peephole": (mr.LSTMCell, {"peephole": True}),
        "gru": (mr.GRUCell, {}),
        "gru before": (mr.GRUCell, {"reset_after": False}),
    }[name]
    return kind(inputs, 5, seed=4, **options)  # type: ignore[operator]


@pytest.mark.parametrize("name", CELLS)
def test_local_derivatives_of_a_unit_are_those_of_the_large_graph(name: str) -> None:
    out = states(CELLS[name](4), 2)
    large = mr.graph(out, level="op")
    small = mr.graph(zoom(large, 1)[0], level="op")
    for edge in small.edges:
        for factor in edge.factors:
            if factor.kind in ("gate slope", "squash slope"):
                t = factor.node
                whole = large.find(edge.target).tensor
                f = large.factor(whole, 0)
                assert factor.number == pytest.approx(float(f.value.reshape(-1)[1])), t


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("steps", [1, 2])
def test_a_unit_is_drawn_on_the_textbook_grid(name: str, steps: int) -> None:
    from .collisions import collisions, overflows, touches

    scene = draw(states(CELLS[name](6), steps), unit=3).scene
    assert scene.pinned
    assert collisions(scene) == []
    assert touches(scene) == []
    assert overflows(scene) == []
    assert any("unit 3 of 6" in c.text.text for c in scene.captions)


def test_a_unit_that_is_not_there_is_refused() -> None:
    out = states(CELLS["lstm"](3), 1)
    with pytest.raises(ValueError, match="there are 3, from 0 to 2"):
        draw(out, unit=3)
    with pytest.raises(ValueError, match="several hidden units"):
        draw(states(CELLS["lstm"](1), 1), unit=0)
    with pytest.raises(TypeError, match="whole number"):
        draw(out, unit="one")  # type: ignore[arg-type]


# ---------------------------------------------------------------- what is told


def words(drawing: Any) -> list[str]:
    scene = drawing.scene
    return [t.text for e in scene.edges for t in e.labels] + [
        line for node in scene.nodes for line in node.lines
    ]


def test_bounds_alone_show_no_number() -> None:
    told = words(draw(states(CELLS["lstm"](1), 1), show=("bound",)))
    assert "σ′ ≤ ¼" in told
    assert not any("=" in word for word in told)


def test_values_alone_show_no_factor() -> None:
    drawing = draw(states(CELLS["lstm"](1), 1), show=("value",))
    assert not any(edge.labels for edge in drawing.scene.edges)
    assert any("fₜ = " in word for word in words(drawing))


def test_gradients_stand_in_the_nodes() -> None:
    y = loss(CELLS["gru"](1), 2)
    y.backward()
    drawing = draw(y, show=("value", "grad"))
    node = next(n for n in drawing.scene.nodes if n.key == "t0.h")
    h0 = mr.graph(y).find("t0.h").tensor
    from microrecur.graphs.notation import number

    expected = number(float(mr.vjp(y, h0)))
    assert expected in " ".join(node.lines)
    assert any("∇ : ∂L/∂" in c.text.text for c in drawing.scene.captions)


def test_unknown_wishes_are_refused_with_what_there_is() -> None:
    y = loss(CELLS["rnn"](1), 2)
    with pytest.raises(ValueError, match="value, grad, local, bound"):
        draw(y, show=("values",))
    with pytest.raises(ValueError, match="LR, TB, RL, BT"):
        draw(y, rankdir="up")
    with pytest.raises(ValueError, match="light, dark"):
        draw(y, theme="blue").svg()
    with pytest.raises(ValueError, match="draw a loss"):
        draw(states(CELLS["lstm"](3), 1), show=("grad",))


def test_an_automatic_layout_runs_as_asked() -> None:
    a, b = mr.tensor(0.5, name="a"), mr.tensor(-1.0, name="b")
    assert "rankdir=TB" in draw(mr.tanh(a * b), rankdir="TB").source


def test_of_two_edges_between_the_same_nodes_the_path_takes_its_own() -> None:
    a = mr.tensor(0.5, name="a")
    y = (a - a).named("y")
    view = mr.graph(y, level="op")
    first, second = view.into("y")
    for path in mr.flow(y, a).top(2):
        chosen = [edge for edge in (first, second) if edge.value == path.product]
        scene = draw(view, path=path).scene
        drawn = [e.on_path for e in scene.edges]
        assert drawn == [edge in chosen for edge in (first, second)]


# ---------------------------------------------------------------- what is asked wrongly


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"title": 3}, "a title is text, such as title='3'"),
        ({"limit": 5}, "the most nodes and the most edges"),
        ({"limit": (5, "many")}, "the most nodes and the most edges"),
        ({"limit": (-1, -1)}, "limit=(-1, -1): the most nodes and the most edges"),
        ({"limit": (True, 2)}, "the most nodes and the most edges"),
        ({"show": None}, "show=None: some of value, grad, local, bound"),
        ({"show": ["value", ["x"]]}, "show= knows no ['x']; it may hold value, grad, local, bound"),
        ({"show": [3, "x"]}, "show= knows no 'x', 3; it may hold"),
        ({"theme": ["dark"]}, "no theme ['dark']; there are: light, dark"),
        ({"routes": "x"}, "routes='x': True or False"),
        ({"fold": "no"}, "fold='no': True or False"),
        ({"steps": slice(None, None, -1)}, "a slice of steps counts forward in whole numbers"),
        ({"steps": slice(None, None, 0)}, "a slice of steps counts forward in whole numbers"),
        ({"steps": slice("a", None)}, "a slice of steps counts forward in whole numbers"),
        ({"engine": "dot"}, "there are: auto, wasm, system"),
        ({"timeout": 0}, "seconds the layout may take"),
        ({"timeout": float("inf")}, "seconds the layout may take"),
        ({"path": [1, 2]}, "this is a list of 2: give one of them"),
    ],
)
def test_a_wrong_option_is_refused_at_once_with_what_it_takes(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        draw(loss(CELLS["rnn"](1), 2), **given)
    assert said in str(refused.value)


@pytest.mark.parametrize("title", ["m" * 3_000, "many words " * 300])
@pytest.mark.parametrize("side_by_side", [False, True])
def test_a_long_title_is_wrapped_and_cut_and_shrinks_nothing(
    title: str, side_by_side: bool
) -> None:
    cells = CELLS["rnn"](1), CELLS["lstm"](1)
    plain, titled = (
        mr.draw_side_by_side(*cells, title=said) if side_by_side else draw(cells[1], title=said)
        for said in (None, title)
    )
    captions = [c for c in titled.scene.captions if c.text.size == 14.0]
    lines = [c.text.text for c in captions]
    assert len(lines) > 1 and lines[-1].endswith("…") and sum(map(len, lines)) <= 200
    assert title.startswith("".join(lines)[:40])
    assert smallest_text_px(titled.svg(), 1100) >= 0.99 * smallest_text_px(plain.svg(), 1100)
    heights = [c.at[1] for c in captions]
    assert all(upper - lower > 14 for upper, lower in pairwise(heights))
    assert heights[-1] - 8 >= extent(plain.scene)[1][1]  # above the picture, not on it


def test_a_table_of_paths_a_layer_and_nothing_are_refused_in_words() -> None:
    y = loss(CELLS["lstm"](1), 2)
    with pytest.raises(TypeError, match=r"a list of 2: give one of them, such as path=paths\[0\]"):
        draw(y, path=mr.flow(y, "h0").top(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"LSTM is a layer.*draw outputs\[-1\]"):
        draw(mr.LSTM(1, 1))
    with pytest.raises(ValueError, match=r"nothing to draw in \[\]"):
        draw([])
    with pytest.raises(ValueError, match="scaled by a positive number"):
        draw(y).png(scale="a")  # type: ignore[arg-type]


def test_a_layout_that_takes_too_long_names_an_option_that_exists() -> None:
    from microrecur.engine.errors import RenderError

    values = [mr.tensor(float(k), name=f"a{k}") for k in range(40)]
    dense = [(a * b).named(f"p{k}{j}") for k, a in enumerate(values) for j, b in enumerate(values)]
    total = dense[0]
    for part in dense[1:]:
        total = total + part
    with pytest.raises(RenderError, match=r"draw\(…, timeout=0\.2\)"):
        draw(total, level="all", limit=None, timeout=0.05).svg()


# ---------------------------------------------------------------- how it is told


@pytest.mark.parametrize(
    ("share", "text"), [(1.9, "190 %"), (-7.27, "−7.3 × net"), (108.6, "109 × net")]
)
def test_a_share_of_several_times_the_net_is_told_as_such(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_tensor_tells_its_shape_as_a_shape_and_the_caption_how_to_read_it() -> None:
    drawing = draw(states(CELLS["gru"](8), 1))
    assert any(node.lines[0] == "hₜ (8,)" for node in drawing.scene.nodes)
    assert any("‖·‖: 2-norm" in c.text.text for c in drawing.scene.captions)


def test_a_minus_joins_the_factor_behind_it() -> None:
    told = words(draw(loss(CELLS["gru"](1), 2)))
    assert any(text.startswith("−n₁ = ") for text in told)
    assert "−1" not in told


def test_a_system_graphviz_has_nothing_to_warn_of(capfd: Any) -> None:
    import shutil

    if shutil.which("dot") is None:
        pytest.skip("no dot: apt-get install graphviz")
    for cell in (CELLS["lstm"](1), CELLS["gru"](3)):
        draw(states(cell, 1)).to_graphviz().pipe(format="svg", neato_no_op=2)
    assert "Warning" not in capfd.readouterr().err


def test_a_title_is_printed_where_the_layout_is_automatic_too():
    a = mr.tensor(0.5, name="a")
    drawing = mr.draw((mr.tanh(a) * a).named("y"), title="Zebra & <b>lion</b>")
    assert "Zebra &amp; &lt;b&gt;lion" in drawing.svg().split("</title>", 1)[1]
