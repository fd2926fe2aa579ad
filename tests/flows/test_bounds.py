"""Bounds: sound against anything the cells can be given, and as tight as theory has them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import microrecur as mr

KINDS = {
    "rnn": lambda seed: mr.RNNCell(2, 3, seed=seed),
    "rnn sigmoid": lambda seed: mr.RNNCell(2, 3, nonlinearity="sigmoid", seed=seed),
    "rnn relu": lambda seed: mr.RNNCell(2, 3, nonlinearity="relu", seed=seed),
    "lstm": lambda seed: mr.LSTMCell(2, 3, seed=seed),
    "peephole": lambda seed: mr.LSTMCell(2, 3, peephole=True, seed=seed),
    "gru": lambda seed: mr.GRUCell(2, 3, seed=seed),
    "gru before": lambda seed: mr.GRUCell(2, 3, reset_after=False, seed=seed),
}
GIVEN = [(), ("weights",), ("inputs",), ("weights", "inputs")]


def run(kind, seed, T=4, size=1.0, times=1.0):
    numbers = np.random.default_rng(seed)
    cell = KINDS[kind](seed)
    for p in cell.parameters():
        p.assign(p.numpy() * times)
    start = tuple(mr.tensor(numbers.normal(size=3) * size) for _ in cell.states)
    after = mr.unroll(
        cell, numbers.normal(size=(T, 2)) * size, start if len(start) > 1 else start[0]
    )
    return start, [s if isinstance(s, tuple) else (s,) for s in after]


@settings(max_examples=40)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    seed=st.integers(0, 10_000),
    size=st.sampled_from([0.0, 0.1, 1.0, 30.0]),
    times=st.sampled_from([0.1, 1.0, 10.0]),
    known=st.sampled_from(GIVEN),
)
def test_no_activation_leaves_its_interval_and_no_derivative_its_bound(
    kind, seed, size, times, known
):
    _, after = run(kind, seed, size=size, times=times)
    found = mr.bounds(after, given=known)
    graph = mr.graph(after)
    for node in graph.nodes:
        numbers, (lo, hi) = node.tensor.numpy(), found[node.id]
        slack = 1e-9 * (1 + np.abs(numbers).max())
        assert lo - slack <= numbers.min() <= numbers.max() <= hi + slack, node.id
        for k, _ in enumerate(node.tensor.inputs):
            bound = found.edge(node.tensor, k)
            if bound is not None:
                assert graph.factor(node.tensor, k).norm <= bound * (1 + 1e-9) + 1e-300, node.id


@pytest.mark.parametrize("known", GIVEN)
def test_a_bound_does_not_move_with_the_activations(known):
    """Same weights, other inputs: without given inputs every bound is the same."""
    first, second = (mr.LSTMCell(2, 3, seed=0) for _ in range(2))
    numbers = np.random.default_rng(1)
    graphs = [mr.unroll(cell, numbers.normal(size=(3, 2))) for cell in (first, second)]
    a, b = (mr.bounds(g, given=known) for g in graphs)
    same = [x == y for x, y in zip(a.nodes, b.nodes, strict=True)]
    assert all(same) is ("inputs" not in known)


def test_the_cell_state_grows_by_at_most_one_a_step():
    (_, c0), after = run("lstm", seed=3, T=6)
    found = mr.bounds(after)
    top = np.abs(c0.numpy()).max()
    for t, (h, c) in enumerate(after, start=1):
        lo, hi = found[c]
        assert max(-lo, hi) <= top + t + 1e-12
        assert max(-lo, hi) >= top + t - 1e-12 or -c0.numpy().min() != c0.numpy().max()
        assert -1 <= found[h].lo <= found[h].hi <= 1


def test_with_no_memory_the_cell_states_bound_is_exactly_t():
    found = mr.bounds(mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4, 1.1]))
    assert [found[f"t{t}.c"] for t in (1, 2, 3)] == [(-t, t) for t in (1, 2, 3)]
    assert found["t3.f"] == (0, 1)
    assert found["t3.z_f"] == (-math.inf, math.inf)


@pytest.mark.parametrize("kind", ["gru", "gru before"])
@pytest.mark.parametrize("size", [0.3, 2.5])
def test_a_gru_stays_in_the_hull_of_its_candidate_and_its_past(kind, size):
    """max(1, |h₀|), where plain intervals would give |h₀| + t."""
    (h0,), after = run(kind, seed=1, T=20, size=size)
    found = mr.bounds(after)
    top = max(1.0, np.abs(h0.numpy()).max())
    for (h,) in after:
        assert -top <= found[h].lo
        assert found[h].hi <= top


def test_a_reset_after_gru_has_a_bound_by_its_weights_alone():
    """∂(r⊙m)/∂r = m = h Uₙ + b: nothing without the weights, Σ|Uₙ| + |b| with them."""
    _, after = run("gru", seed=2, size=0.0)
    blind, known = mr.bounds(after), mr.bounds(after, given="weights")
    assert blind["t3.m"] == (-math.inf, math.inf)
    cell = KINDS["gru"](2)
    U, b = cell.weight_hh.numpy()[6:], cell.bias_hh.numpy()[6:]
    columns = np.abs(U).sum(1)
    lo, hi = known["t3.m"]
    assert hi == pytest.approx((columns + b.max()).max(), rel=1e-12)
    assert lo == pytest.approx((-columns + b.min()).min(), rel=1e-12)
    (edge,) = (e for e in known.edges if e.source == "t3.r")
    assert edge.bound == pytest.approx(max(-lo, hi), rel=1e-12)
    assert [e.bound for e in blind.edges if e.source == "t3.r"] == [None]


def test_known_inputs_and_weights_bound_what_goes_into_a_gate():
    cell = mr.RNNCell(2, 3, seed=0)
    xs = np.array([[1.0, -2.0], [0.5, 0.25]])
    h0 = mr.tensor(np.zeros(3))
    found = mr.bounds(mr.unroll(cell, xs, h0), given=("weights", "inputs"))
    W, U, b, c = (p.numpy() for p in cell.parameters())
    z = xs[0] @ W.T + b + c
    assert found["t1.z"].lo <= z.min() <= z.max() <= found["t1.z"].hi
    assert found["t1.h"].hi == pytest.approx(np.tanh(found["t1.z"].hi))
    assert found["t2.h"].hi < 1
    assert np.abs(U).sum() > 0


def test_slopes_gates_and_weights_have_the_bounds_of_the_textbook():
    states = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4, 1.1])
    rows = {(e.source, e.kind): e for e in mr.bounds(states).edges}
    assert rows["t3.z_f", "gate slope"].bound == 0.25
    assert rows["t3.z_g", "squash slope"].bound == 1
    assert rows["t2.c", "gate value"].bound == 1  # ∂(f⊙c)/∂c = f
    assert rows["t3.f", "memory value"].bound == 2  # ∂(f⊙c)/∂f = c₂, at most 2
    assert rows["t3.f", "memory value"].symbol == "c₂"
    assert rows["t2.h", "weight"].bound is None
    weighed = {(e.source, e.symbol): e for e in mr.bounds(states, given="weights").edges}
    cell = mr.LSTMCell(1, 1, seed=0)
    assert weighed["t2.h", "Uᶠ"].bound == pytest.approx(abs(cell.weight_hh.numpy()[1, 0]))


def test_a_sum_is_bounded_by_its_terms():
    x = mr.tensor(np.array([0.5, 2.0, -1.0]))
    s = mr.sigmoid(x)
    found = mr.bounds(mr.sum(s).named("y"))
    assert found["y"] == (0, 3)
    edge = next(e for e in found.edges if e.target == "y")
    assert edge.bound == pytest.approx(math.sqrt(3))
    assert mr.bounds(mr.mean(s).named("y"))["y"] == pytest.approx((0, 1))


def test_a_repeated_operand_counts_its_repeats():
    a, x = mr.tensor(0.5).named("a"), mr.tensor(np.ones(4)).named("x")
    y = mr.sigmoid(x) * mr.sigmoid(a)
    found = mr.bounds(y.named("y"))
    (edge,) = (e for e in found.edges if e.source == "sigmoid2")
    assert edge.bound == pytest.approx(2.0)  # ‖∂‖₂ of one number to four, each ≤ 1


def test_zero_known_weights_pass_nothing_of_an_unknown_input():
    cell = mr.RNNCell(1, 2, seed=0)
    cell.weight_ih.assign(np.zeros((2, 1)))
    found = mr.bounds(mr.unroll(cell, [[3.0]]), given="weights")
    b = cell.bias_ih.numpy() + cell.bias_hh.numpy()
    assert found["t1.z"].lo <= b.min() <= b.max() <= found["t1.z"].hi
    assert math.isfinite(found["t1.z"].hi)


def test_bounds_are_read_off_a_graph_and_shown():
    states = mr.unroll(mr.GRUCell(1, 1, seed=0), [0.9])
    found = mr.bounds(mr.graph(states, level="op"))
    assert repr(found).startswith("<Bounds of ")
    assert "t1.z " in str(found)
    assert "[0, 1.00]" in str(found)
    assert repr(mr.bounds(states, given=("weights", "inputs"))).endswith(
        "given weights and inputs>"
    )


def test_what_cannot_be_given_is_said():
    states = mr.unroll(mr.GRUCell(1, 1, seed=0), [0.9])
    with pytest.raises(
        ValueError, match=r"given may hold 'weights' and 'inputs', not \['biases'\]"
    ):
        mr.bounds(states, given=("weights", "biases"))
    with pytest.raises(mr.UnknownNode, match="nearest"):
        mr.bounds(states)["t9.h"]


def test_a_planted_slope_is_caught_by_an_activation(monkeypatch):
    from microrecur.engine import ops

    monkeypatch.setattr(ops.sigmoid, "slope", (0.2,))
    with pytest.raises(AssertionError):
        for seed in range(5):
            _, after = run("rnn sigmoid", seed=seed, size=0.1, times=0.1)
            found, graph = mr.bounds(after), mr.graph(after)
            for node in graph.nodes:
                for k, _ in enumerate(node.tensor.inputs):
                    bound = found.edge(node.tensor, k)
                    assert bound is None or graph.factor(node.tensor, k).norm <= bound * (1 + 1e-9)


def test_nodes_and_edges_are_tables():
    found = mr.bounds(mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4]))
    lines = str(found.nodes).splitlines()
    assert lines[0].split("  ")[0] == "node"
    assert len(lines) == len(found.nodes) + 1
    assert found.edges._repr_html_().startswith("<table>")
    assert "¼" in str(found.edges)
    frame = pytest.importorskip("pandas").DataFrame(found.edges)
    assert list(frame.columns) == ["source", "target", "kind", "symbol", "bound"]
    assert (frame["bound"] == 0.25).sum() == 6  # three gates, two steps
