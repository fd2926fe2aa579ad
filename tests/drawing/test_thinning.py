"""Long pictures made small: layouts fold, parameters repeat, texts leave out the middle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import microrecur as mr
from microrecur.drawing.text_view import text_view


class Own(mr.RNNCell):
    """A learner's cell: no textbook grid fits it."""

    def step(self, x: mr.Tensor, h: mr.Tensor) -> mr.Tensor:  # type: ignore[override]
        W, U, _, _ = self._weights(x)
        with mr.scope("hidden state"):
            return (mr.tanh(x @ W.h + h @ U.h) * mr.sigmoid(h)).named("h")


def loss(cell: Any, steps: int) -> mr.Tensor:
    last = mr.unroll(cell, [0.3, -0.2] * (steps // 2))[-1]
    h = last[0] if isinstance(last, tuple) else last
    return ((h - 0.1) ** 2).named("L")


def test_any_cell_folds_its_middle() -> None:
    scene = mr.draw(loss(Own(1, 1, seed=0), 40)).scene
    assert not scene.pinned
    folded = [node for node in scene.nodes if node.kind == "folded"]
    assert [node.lines for node in folded] == [("36 steps", "folded")]
    steps = {node.id.split(".")[0] for node in scene.nodes if node.id.startswith("t")}
    assert steps == {"t0", "t1", "t2", "t39", "t40"}
    keys = {node.key for node in scene.nodes}
    assert all(edge.source in keys and edge.target in keys for edge in scene.edges)


def test_the_folded_product_and_those_shown_make_the_path() -> None:
    y = loss(Own(1, 1, seed=0), 40)
    drawing = mr.draw(y, path="h0")
    fold = next(node for node in drawing.scene.nodes if node.kind == "folded")
    graph = mr.graph(y, level="gate")
    from microrecur.flows.paths import strongest_path
    from microrecur.graphs.notation import number

    path = strongest_path(graph, "t0.h")
    running = dict(zip(path.ids[1:], path.running, strict=True))
    assert fold.lines[2] == f"× {number(running['t2.h'] / running['t38.h'])}"


@pytest.mark.parametrize("options", [{"steps": "all"}, {"fold": False}])
def test_every_step_when_asked(options: dict[str, Any]) -> None:
    scene = mr.draw(loss(Own(1, 1, seed=0), 10), **options).scene
    assert not [node for node in scene.nodes if node.kind == "folded"]
    assert {f"t{t}.h" for t in range(11)} <= {node.id for node in scene.nodes}


def test_parameters_are_drawn_once_per_step_that_uses_them() -> None:
    scene = mr.draw(loss(mr.LSTMCell(1, 1, seed=0), 4), level="all").scene
    copies = [node for node in scene.nodes if node.id == "U_f"]
    assert len(copies) == 4
    assert {node.group for node in copies} == {f"t = {t}" for t in range(1, 5)}
    assert not [node for node in scene.nodes if node.id == "weight_hh"]  # seen through its views
    used = {edge.source for edge in scene.edges}
    assert all(node.key in used for node in copies)


def test_one_step_keeps_its_parameters_once() -> None:
    scene = mr.draw(loss(mr.RNNCell(1, 1, seed=0), 2), level="all", steps=1).scene
    assert scene.nodes
    alone = mr.draw(mr.RNNCell(1, 1, seed=0), level="all").scene
    assert len([node for node in alone.nodes if node.id == "U"]) == 1


@pytest.mark.slow
def test_two_thousand_nodes_are_laid_out_within_the_limit_of_time() -> None:
    drawing = mr.draw(loss(mr.LSTMCell(1, 1, seed=0), 42), level="all", steps="all")
    assert 1_500 < len(drawing.scene.nodes) <= 2_000
    drawing.timeout = 10.0
    assert drawing.svg().count('class="node"') == len(drawing.scene.nodes)


def test_beyond_the_limits_the_message_says_what_folds() -> None:
    with pytest.raises(mr.RenderError, match=r'Fold the middle \(steps="auto" with fold=True') as e:
        mr.draw(loss(mr.LSTMCell(1, 1, seed=0), 300), level="all", steps="all").svg()
    for way in ('level="gate"', "limit=None"):
        assert way in str(e.value)
    assert mr.draw(loss(mr.LSTMCell(1, 1, seed=0), 300), level="all").svg()


def test_a_thousand_steps_tell_their_first_and_last() -> None:
    graph = mr.graph(mr.unroll(mr.RNNCell(1, 1, seed=0), [0.1] * 1_000), level="op")
    lines = text_view(graph).splitlines()
    assert len(lines) == 121
    assert lines[0] == "step 0"
    assert "x₁₀₀₀" in "".join(lines[-4:])
    rows = 2 + 1_000 * 5 - 1  # h₀, then a head, x, two lines of z and one of h per step
    assert lines[60] == f"… {rows + 1 - 120:,} lines more …"


def test_a_random_graph_of_fifteen_hundred_nodes_is_laid_out_in_seconds() -> None:
    import time

    numbers = np.random.default_rng(0)
    pool = [mr.tensor(float(v), name=f"a{k}") for k, v in enumerate(numbers.normal(size=8))]
    while len(pool) < 1_250:
        i, j = numbers.integers(0, len(pool), 2)
        pool.append(pool[i] * pool[j] if numbers.integers(2) else pool[i] + pool[j])
    ends = pool[-400:]
    while len(ends) > 1:
        ends = [sum(ends[k + 1 : k + 2], ends[k]) for k in range(0, len(ends), 2)]
    drawing = mr.draw(ends[0].named("y"), level="all")
    assert len(drawing.scene.nodes) > 1_400
    before = time.process_time()
    assert drawing.svg().count('class="node"') == len(drawing.scene.nodes)
    assert time.process_time() - before < 10.0
