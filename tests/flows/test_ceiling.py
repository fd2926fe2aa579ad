"""The matrix bound over time: the formula of theory, soundness, and the gap that is the lesson."""

import math

import numpy as np
import pytest

import microrecur as mr
from microrecur.flows.ceiling import step_bound
from microrecur.flows.routes import steps_of
from tests.flows.by_hand import (
    CELLS,
    CoupledLSTM,
    MinimalGatedUnit,
    flow_of,
    sequence,
    with_weights,
)


def test_the_lstms_matrix_is_the_one_of_theory():
    """[[a + ¼‖Uᵒ‖, 1], [a, 1]], a = ¼‖Uⁱ‖ + ¼C_{t−1}‖Uᶠ‖ + ‖Uᵍ‖, C_t = ‖c₀‖_∞ + t."""
    cell = CELLS["lstm"]
    _, start, after = sequence(cell)
    flow = mr.flow(after[-1][0].sum(), start[0])
    known = mr.bounds(flow.graph, given="weights")
    norm = {
        k: np.linalg.norm(cell.weight_hh.numpy()[3 * n : 3 * n + 3], 2)
        for n, k in enumerate(cell.gates)
    }
    top = np.abs(start[1].numpy()).max()
    for t in (2, 4, 6):
        c, h = after[t - 2][1], after[t - 2][0]
        found = step_bound(steps_of(flow).at(t), (h, c), known)  # rows: c, h
        # The interval of c_{t−1} has the sign of c₀'s largest entry on one side only.
        lo, hi = known[c]
        reach = max(-lo, hi)
        assert reach == pytest.approx(top + t - 1, rel=1e-12)
        a = norm["i"] / 4 + reach * norm["f"] / 4 + norm["g"]
        tanh_c = math.tanh(max(-known[after[t - 1][1]].lo, known[after[t - 1][1]].hi))
        expected = [[a, 1.0], [a + tanh_c * norm["o"] / 4, 1.0]]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", [*CELLS, "own", "coupled"])
@pytest.mark.parametrize("times", [0.3, 1.0, 4.0])
def test_no_norm_exceeds_its_ceiling(name, times):
    fresh = {
        "rnn": lambda: mr.RNNCell(2, 3, seed=1),
        "rnn sigmoid": lambda: mr.RNNCell(2, 3, nonlinearity="sigmoid", seed=2),
        "rnn relu": lambda: mr.RNNCell(2, 3, nonlinearity="relu", seed=3),
        "lstm": lambda: mr.LSTMCell(2, 3, seed=4),
        "peephole": lambda: mr.LSTMCell(2, 3, peephole=True, seed=5),
        "gru": lambda: mr.GRUCell(2, 3, seed=6),
        "gru before": lambda: mr.GRUCell(2, 3, reset_after=False, seed=7),
        "own": lambda: MinimalGatedUnit(2, 3, seed=1),
        "coupled": lambda: CoupledLSTM(2, 3, seed=1),
    }[name]
    rows = flow_of(with_weights(fresh(), times), T=12).ceiling()
    assert rows
    assert all(row.log10 <= row.log10_bound + 1e-9 for row in rows)
    assert any(math.isfinite(row.log10_bound) for row in rows)


def test_the_ceiling_of_an_rnn_is_that_of_pascanu():
    cell = mr.RNNCell(2, 3, nonlinearity="sigmoid", seed=2)
    size = math.log10(np.linalg.norm(cell.weight_hh.numpy(), 2) / 4)
    for row in flow_of(cell, T=8).ceiling():
        assert row.log10_bound == pytest.approx(row.lag * size, rel=1e-12)


def test_the_gap_is_the_lesson():
    """Default weights, T = 50: the bound allows more than 10⁴⁰ and less than 10⁻⁸ arrives."""
    rows = flow_of(mr.LSTMCell(8, 32, seed=0), T=50, zero=True).ceiling()
    last = next(r for r in rows if (r.lag, r.target, r.source) == (50, "h", "h"))
    assert last.log10_bound > 40
    assert last.log10 < -8


def test_where_an_edge_has_no_bound_there_is_no_ceiling():
    """A GRU's m = h Uₙ + b has one only once its weights are known, and here they are."""
    assert all(math.isfinite(r.log10_bound) for r in flow_of(CELLS["gru"]).ceiling())
    h = h0 = mr.tensor(0.5).named("h")
    h0.scope = ("t=0",)
    for t in (1, 2):
        with mr.scope(f"t={t}"):
            h = mr.exp(h * 0.1).named("h")
    assert all(r.log10_bound == math.inf for r in mr.flow(h, h0).ceiling())
