"""The ledger of a path: its rows, beside factors and products worked out by hand."""

import math

import numpy as np
import pandas
import pytest

import microrecur as mr
from microrecur.flows.ledger import ledger
from microrecur.flows.paths import strongest_path


def state(number):
    return mr.tensor(number, requires_grad=True)


def rows_back_to(source, y, level="gate"):
    graph = mr.graph(y, level=level)
    path = strongest_path(graph, source)
    return path, ledger(graph, path)


@pytest.fixture
def rnn():
    """Weights, numbers and states of an RNN of two steps, by hand."""
    cell = mr.RNNCell(1, 1, nonlinearity="sigmoid", seed=2)
    W, U, b, c = (p.numpy().item() for p in cell.parameters())
    h0, x1, x2 = 0.3, 0.9, -0.4
    h1 = 1 / (1 + math.exp(-(x1 * W + b + h0 * U + c)))
    h2 = 1 / (1 + math.exp(-(x2 * W + b + h1 * U + c)))
    return cell, [x1, x2], h0, (U, h1, h2)


@pytest.mark.parametrize("level", ["op", "gate", "all"])
def test_the_rows_of_an_rnn_are_those_worked_out_by_hand(rnn, level):
    cell, xs, h0, (U, h1, h2) = rnn
    _, rows = rows_back_to("t0.h", mr.unroll(cell, xs, state(h0))[-1], level)
    telling = [row for row in rows if row.kind != "pass"]
    slopes = [h2 * (1 - h2), U, h1 * (1 - h1), U]
    assert [row.step for row in telling] == [2, 2, 1, 1]
    assert [row.symbol for row in telling] == ["σ′", "U", "σ′", "U"]
    assert [row.kind for row in telling] == ["gate slope", "weight"] * 2
    assert [row.bound for row in telling] == [0.25, None] * 2
    np.testing.assert_allclose([row.value for row in telling], slopes, rtol=1e-12)
    np.testing.assert_allclose([row.running for row in telling], np.cumprod(slopes), rtol=1e-12)
    ratios = [row.ratio for row in telling]
    assert ratios[1] is ratios[3] is None
    np.testing.assert_allclose([ratios[0], ratios[2]], [4 * slopes[0], 4 * slopes[2]], rtol=1e-12)


CELLS = {
    "rnn": mr.RNNCell(1, 1, seed=1),
    "lstm": mr.LSTMCell(1, 1, seed=1),
    "peephole": mr.LSTMCell(1, 1, peephole=True, seed=4),
    "gru": mr.GRUCell(1, 1, seed=1),
    "gru before": mr.GRUCell(1, 1, reset_after=False, seed=5),
    "lstm of 3": mr.LSTMCell(2, 3, seed=1),
    "gru of 3": mr.GRUCell(2, 3, seed=1),
}


def loss_of(name):
    cell = CELLS[name]
    numbers = np.random.default_rng(0)
    shape = () if cell.hidden_size == 1 else (cell.hidden_size,)
    held = tuple(state(numbers.normal(size=shape)) for _ in cell.states)
    size = () if cell.hidden_size == 1 else (cell.input_size,)
    last = mr.unroll(cell, numbers.normal(size=(5, *size)), held)[-1]
    return (last if name in ("rnn", "gru", "gru before", "gru of 3") else last[0]).sum().named("L")


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("level", ["all", "op", "gate", "step"])
def test_the_rows_multiply_to_the_product_of_the_path(name, level):
    path, rows = rows_back_to("t0.h", loss_of(name), level)
    assert rows[-1].running == path.product
    product = math.prod(row.value for row in rows)
    assert product == pytest.approx(path.product, rel=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_no_factor_exceeds_its_bound(name):
    _, rows = rows_back_to("t0.h", loss_of(name))
    ratios = [row.ratio for row in rows if row.ratio is not None]
    assert ratios
    assert max(ratios) <= 1 + 1e-12
    bounds = {row.kind: row.bound for row in rows}
    assert bounds.get("gate slope", 0.25) == 0.25
    assert bounds.get("squash slope", 1.0) == 1.0
    assert bounds.get("gate value", 1.0) == 1.0
    assert bounds.get("weight") is None


@pytest.mark.parametrize("name", CELLS)
def test_the_edges_are_those_of_the_path_in_its_order(name):
    path, rows = rows_back_to("t0.h", loss_of(name))
    edges = list(dict.fromkeys(row.edge for row in rows))
    assert edges == [f"{edge.target} → {edge.source}" for edge in path.edges]


def test_a_gate_value_is_the_gate_and_names_its_step():
    _, rows = rows_back_to(
        "t0.c", mr.unroll(CELLS["lstm"], [0.9, 0.4], (state(0.1), state(0.8)))[-1][1]
    )
    gates = [row for row in rows if row.kind == "gate value"]
    assert [row.symbol for row in gates] == ["f₂", "f₁"]
    assert all(0 < row.value < 1 for row in gates)


def test_zero_because_the_state_was_zero_has_no_ratio():
    """∂(f⊙c)/∂f = c₀ = 0 with the bound |c₀| = 0: neither dead nor at its ceiling."""
    c = mr.unroll(CELLS["lstm"], [0.9], (state(0.1), state(0.0)))[-1][1]
    graph = mr.graph(c, level="op")
    rows = ledger(graph, strongest_path(graph, "t1.f"))
    (memory,) = (row for row in rows if row.symbol == "c₀")
    assert (memory.value, memory.bound, memory.ratio) == (0.0, 0.0, None)
    assert rows[-1].running == 0


def test_an_edge_of_several_paths_is_one_row():
    h0 = state(0.1)
    c = mr.unroll(CELLS["lstm"], [0.9], (h0, state(0.8)))[-1][1]
    path, (row,) = rows_back_to("t0.h", c, level="step")
    c.backward()
    assert (row.kind, row.symbol) == ("several", "3 paths")  # by i, f and g
    assert path.count == 3
    assert row.value == row.running == pytest.approx(h0.grad.item(), rel=1e-12)
    assert row.bound is row.ratio is None


def test_a_path_of_no_edges_has_no_rows():
    graph = mr.graph(loss_of("rnn"))
    assert ledger(graph, strongest_path(graph, "L", root="L")) == []


def test_the_ledger_shows_as_text_and_as_a_data_frame():
    path, rows = rows_back_to("t0.h", loss_of("lstm"))
    heading = str(rows).splitlines()[0]
    assert heading.split("  ")[0] == "step"
    assert [word for word in heading.split() if word != "of"][1:] == [
        *("edge", "kind", "factor", "value", "bound", "bound", "∏")
    ]
    frame = pandas.DataFrame(rows)
    assert frame["running"].iloc[-1] == path.product
    assert frame["bound"].min() == 0.25 or frame["bound"].min() == 1.0


def test_factors_of_several_numbers_show_their_worst_and_typical_entry():
    path, rows = rows_back_to("t0.h", loss_of("lstm of 3"), "op")
    slope = next(row for row in rows if row.kind in ("gate slope", "squash slope"))
    (edge,) = (e for e in path.edges if f"{e.target} → {e.source}" == slope.edge)
    entries = np.abs(next(f for f in edge.factors if f.kind == slope.kind).value)
    assert (slope.worst, slope.typical) == (entries.max(), entries.mean())
    assert slope.ratio == pytest.approx(slope.worst / slope.bound)
    assert slope.typical <= slope.worst <= slope.value
    assert str(rows).splitlines()[0].split()[-3:] == ["∏", "worst", "typical"]
    _, single = rows_back_to("t0.h", loss_of("lstm"), "op")
    assert {(row.worst, row.typical) for row in single} == {(None, None)}
    assert "worst" not in str(single)
