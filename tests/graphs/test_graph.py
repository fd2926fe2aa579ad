"""The reading view: ids, roles, levels and factors, against backward() and hand-written values."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import microrecur as mr
from microrecur.flows.paths import strongest_path
from microrecur.graphs.graph import LEVELS

CELLS = {
    "rnn": lambda: mr.RNNCell(1, 1, seed=1),
    "sigmoid rnn": lambda: mr.RNNCell(1, 1, nonlinearity="sigmoid", seed=1),
    "lstm": lambda: mr.LSTMCell(1, 1, seed=2),
    "peephole": lambda: mr.LSTMCell(1, 1, peephole=True, seed=3),
    "no bias": lambda: mr.LSTMCell(1, 1, bias=False, seed=3),
    "gru": lambda: mr.GRUCell(1, 1, seed=4),
    "reset before": lambda: mr.GRUCell(1, 1, reset_after=False, seed=5),
}


def loss_of(cell, xs, h0=0.3, c0=-0.6):
    """L = ½(h_T − 0.4)² after an unrolling from a state that is not zero."""
    h = mr.tensor(h0, requires_grad=True)
    state = (h, mr.tensor(c0, requires_grad=True)) if isinstance(cell, mr.LSTMCell) else h
    states = mr.unroll(cell, xs, state)
    last = states[-1][0] if isinstance(states[-1], tuple) else states[-1]
    return (0.5 * (last - 0.4) ** 2).named("L"), state


def net(graph, source):
    """The signed sum over all paths of a level, edge by edge."""
    sums = {source: 1.0}
    for node in graph.nodes:
        for edge in graph.into(node.id):
            if edge.source in sums:
                sums[node.id] = sums.get(node.id, 0.0) + sums[edge.source] * edge.value
    return sums.get("L", 0.0)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS.keys())
def test_every_level_carries_the_whole_gradient(make, level):
    """Folding loses nothing: at each level the sum over paths is what backward() gives."""
    loss, state = loss_of(make(), [0.9, -0.4, 1.1])
    loss.backward()
    for leaf in state if isinstance(state, tuple) else (state,):
        graph = mr.graph(loss, level=level)
        found = net(graph, graph.id_of(leaf))
        assert found == pytest.approx(float(leaf.grad), rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(CELLS)), st.sampled_from(LEVELS))
def test_an_edges_value_is_the_product_of_its_factors(seed, kind, level):
    cell = CELLS[kind]()
    for parameter in cell.parameters():
        parameter.assign(np.random.default_rng(seed).normal(size=parameter.shape))
    loss, _ = loss_of(cell, [0.5, -1.2])
    for edge in mr.graph(loss, level=level).edges:
        if edge.paths == 1 and edge.value is not None:
            product = np.prod([f.number for f in edge.factors])
            assert product == pytest.approx(edge.value, rel=1e-12, abs=1e-300)
            assert edge.norm == pytest.approx(abs(edge.value), rel=1e-12, abs=1e-300)


def test_ids_come_from_step_and_name():
    loss, _ = loss_of(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4])
    ids = {node.id for node in mr.graph(loss).nodes}
    assert {"t0.h", "t0.c", "t1.x", "t2.z_f", "t2.f", "t2.c", "t2.h", "U_f", "W_i", "L"} <= ids
    assert {"t1.cell state.mul1", "t1.cell state.mul2", "t2.forget gate.matmul1"} <= ids


def test_a_name_used_twice_is_told_apart():
    x = mr.tensor(1.0, name="x")
    with mr.scope("t=1"):
        y = (x + 1).named("a") * (x + 2).named("a")
    assert [n.id for n in mr.graph(y).nodes if n.name == "a"] == ["t1.a", "t1.a#2"]


def test_ids_are_the_same_in_another_process():
    program = (
        "import microrecur as mr; s = mr.unroll(mr.GRUCell(2, 3, seed=1), [[1., 2.], [3., 4.]]);"
        "print([n.id for n in mr.graph(s).nodes])"
    )
    runs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        for _ in range(2)
    }
    assert len(runs) == 1
    assert b"t2.candidate.matmul1" in runs.pop()


def test_an_unknown_id_names_the_nearest():
    loss, _ = loss_of(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4])
    with pytest.raises(mr.UnknownNode, match=r"no node 't2\.fo' in this graph; the nearest.*t2\.f"):
        mr.graph(loss).find("t2.fo")


def test_roles_of_an_lstm_step():
    loss, _ = loss_of(mr.LSTMCell(1, 1, peephole=True, seed=0), [0.9, -0.4])
    graph = mr.graph(loss)
    roles = {id: graph.find(id).role for id in ("t0.h", "t1.x", "t1.z_f", "t1.f", "t1.g", "U_f")}
    assert roles == {
        "t0.h": "state", "t1.x": "input", "t1.z_f": "pre-activation", "t1.f": "gate",
        "t1.g": "gate", "U_f": "parameter",
    }  # fmt: skip
    assert graph.find("t2.c").role == graph.find("t2.h").role == "state"
    assert graph.find("L").role == "loss"
    assert graph.find("t2.o").gate == "output gate"
    assert graph.find("t2.o").step == 2


def shown(cell, level, step="t1."):
    graph = mr.graph(loss_of(cell, [0.9, -0.4])[0], level=level)
    return {node.id.removeprefix(step) for node in graph.nodes if node.id.startswith(step)}


def test_levels_of_an_lstm():
    cell = mr.LSTMCell(1, 1, seed=0)
    gate = {"x", "i", "f", "g", "o", "cell state.mul1", "cell state.mul2", "c", "h"}
    assert shown(cell, "step") == {"h", "c"}
    assert shown(cell, "gate") == gate
    inner = {"z_i", "z_f", "z_g", "z_o", "hidden state.tanh1"}
    assert shown(cell, "op") == gate | inner


def test_levels_of_a_gru_differ_where_reset_acts():
    after, before = (mr.GRUCell(1, 1, reset_after=r, seed=0) for r in (True, False))
    assert shown(after, "op") - shown(before, "op") == {"m"}
    assert shown(after, "gate") == shown(before, "gate")


def test_the_gates_edge_at_gate_level_still_shows_its_ceiling():
    loss, _ = loss_of(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4])
    graph = mr.graph(loss, level="gate")
    (edge,) = [e for e in graph.into("t2.f") if e.source == "t1.h"]
    weight, slope = edge.factors
    f = graph.find("t2.f").value
    assert (weight.kind, weight.name, weight.bound) == ("weight", "U_f", None)
    assert (slope.kind, slope.name, slope.bound) == ("gate slope", "σ′", 0.25)
    assert slope.number == pytest.approx(f * (1 - f), rel=1e-14)


def factor(graph, source, target):
    (edge,) = [e for e in graph.into(target) if e.source == source]
    return edge.factors[-1]


def test_kinds_and_bounds_of_the_products_in_a_cell():
    """A gate's value is bounded by 1, a memory by what it can have gathered."""
    loss, (_, c0) = loss_of(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4, 0.2], c0=-0.6)
    graph = mr.graph(loss, level="op")
    belt = factor(graph, "t1.c", "t2.cell state.mul1")
    assert (belt.kind, belt.name, belt.step, belt.bound) == ("gate value", "f", 2, 1)
    memory = factor(graph, "t3.f", "t3.cell state.mul1")
    assert (memory.kind, memory.name, memory.step) == ("memory value", "c", 2)
    assert memory.bound == pytest.approx(0.6 + 2)  # |c_t| ≤ ‖c₀‖ + t
    candidate = factor(graph, "t2.i", "t2.cell state.mul2")
    assert (candidate.kind, candidate.name, candidate.bound) == ("memory value", "g", 1)
    assert factor(graph, "t2.o", "t2.h").name == "tanh c"
    assert float(c0.data) == -0.6


def test_an_initial_state_is_a_memory_whatever_its_numbers():
    """c₀ in [0, 1] is no gate: its factor is of the same kind as c₁'s, with its own bound."""
    graph = mr.graph(loss_of(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4], c0=0.6)[0], level="op")
    first = factor(graph, "t1.f", "t1.cell state.mul1")
    assert (first.kind, first.name, first.step, first.bound) == ("memory value", "c", 0, 0.6)


def test_a_grus_memory_stays_in_the_hull():
    """(1−z)⊙n + z⊙h mixes: |h| ≤ max(1, |h₀|) at every step, not |h₀| + t."""
    for h0, bound in ((0.3, 1.0), (-2.5, 2.5)):
        loss, _ = loss_of(mr.GRUCell(1, 1, seed=0), [0.9, -0.4, 0.2, 0.1], h0=h0)
        graph = mr.graph(loss, level="op")
        assert factor(graph, "t4.z", "t4.hidden state.mul2").bound == pytest.approx(bound)


def test_reset_after_has_no_weight_free_bound():
    graph = mr.graph(loss_of(mr.GRUCell(1, 1, seed=0), [0.9])[0], level="op")
    reset = factor(graph, "t1.r", "t1.candidate.mul1")
    assert (reset.kind, reset.name, reset.bound) == ("memory value", "m", None)


def test_factors_of_many_numbers():
    rng = np.random.default_rng(0)
    cell = mr.LSTMCell(2, 4, seed=0)
    states = mr.unroll(cell, rng.normal(size=(2, 3, 2)))
    graph = mr.graph(states, level="op")
    weight = factor(graph, "t1.h", "t2.z_f")
    expected = cell.weight_hh.numpy()[4:8]
    assert weight.norm == pytest.approx(np.linalg.norm(expected, 2))
    f = graph.find("t2.f").tensor.numpy()
    slope = factor(graph, "t2.z_f", "t2.f")
    np.testing.assert_allclose(slope.value, f * (1 - f), rtol=1e-13)
    assert slope.norm == pytest.approx((f * (1 - f)).max())
    assert slope.typical == pytest.approx((f * (1 - f)).mean())
    assert slope.number is None


@pytest.mark.parametrize(
    ("build", "norm"),
    [
        (lambda x: x.sum(), np.sqrt(12)),
        (lambda x: x.sum(axis=0), np.sqrt(3)),
        (lambda x: x.mean(), np.sqrt(12) / 12),
        (lambda x: mr.broadcast_to(x, (5, 3, 4)), np.sqrt(5)),
        (lambda x: x * np.ones((5, 1, 1)), np.sqrt(5)),
        (lambda x: -x, 1.0),
        (lambda x: x * 3, 3.0),
    ],
)
def test_norms_are_the_operators(build, norm):
    """Each edge's norm is the largest singular value of the Jacobian it stands for."""
    x = mr.tensor(np.arange(12.0).reshape(3, 4), name="x")
    y = build(x)
    jacobian = mr.jacobian(y, x).reshape(y.size, x.size)
    (edge,) = [e for e in mr.graph(y, level="op").edges if e.source == "x"][:1]
    rest = [e for e in mr.graph(y, level="op").edges if e.source not in ("x", edge.source)]
    found = edge.norm * np.prod([e.norm for e in rest if e.target != edge.target])
    assert np.linalg.norm(jacobian, 2) == pytest.approx(norm)
    assert found == pytest.approx(norm)


def test_x_times_x_keeps_two_edges():
    x = mr.tensor(3.0, name="x", requires_grad=True)
    edges = mr.graph(x * x, level="op").edges
    assert [(e.source, e.value) for e in edges] == [("x", 3.0), ("x", 3.0)]


class Leaky(mr.RNNCell):
    """A cell of one's own: h = k⊙h + (1−k)⊙tanh(z), with its own scopes and names."""

    def __call__(self, x, h):
        x = mr.tensor(x)
        W, U, *_ = self._weights(x)
        with mr.scope("keep gate"):
            k = mr.sigmoid((x @ W.h + h @ U.h).named("z_k")).named("k")
        with mr.scope("memory"):
            return (k * h + (1 - k) * mr.tanh(x).named("v")).named("h")


def test_a_cell_of_ones_own_is_understood_without_code():
    states = mr.unroll(Leaky(1, 1, seed=0), [0.9, -0.4], mr.tensor(0.2))
    graph = mr.graph(states, level="gate")
    assert graph.find("t2.k").role == "gate"
    assert graph.find("t1.h").role == graph.find("t2.h").role == "state"
    assert factor(graph, "t1.h", "t2.memory.mul1").kind == "gate value"


def test_a_stale_graph_is_refused():
    cell = mr.LSTMCell(1, 1, seed=0)
    loss, _ = loss_of(cell, [0.9])
    cell.weight_hh.assign(cell.weight_hh.numpy() * 2)
    with pytest.raises(mr.StaleGraphError, match="weight_hh was assigned a new value"):
        mr.graph(loss)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match="reads recorded tensors, not ndarray"):
        mr.graph(np.ones(3))
    with pytest.raises(ValueError, match="level 'gates' is none of step, gate, op, all"):
        mr.graph(mr.tensor(1.0) * 2, level="gates")


def test_the_root_of_an_lstm_state_is_h():
    """h is computed from c: asked about both, a path begins at h."""
    states = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4])
    for asked in (states, states[-1], states[-1][::-1]):
        graph = mr.graph(asked)
        assert graph.id_of(graph.root) == "t2.h"
    assert "Path h₁ → h₀" in mr.draw(mr.LSTMCell(1, 1, seed=0), path="h0").scene.description


@pytest.mark.parametrize(
    ("record", "op"),
    [
        (lambda x: mr.softmax(x), "held_max"),
        (lambda x: mr.where(x > 0.5, x, 2 * x), "greater"),
        (lambda x: mr.where(x > 0.5, x, 2 * x), "where"),
        (lambda x: mr.grad(mr.max(x), x), "share_of_max"),
    ],
    ids=["held maximum", "comparison", "mask", "share of a maximum"],
)
def test_an_edge_that_passes_no_derivative_says_0(record, op):
    x = mr.tensor([1.0, -2.0, 3.0], requires_grad=True).named("x")
    found = mr.graph(record(x).named("y"))
    edge = next(
        e for e in found.edges if (e.factors[0].node.op.name, e.factors[0].position) == (op, 0)
    )
    (factor,) = edge.factors
    assert (factor.kind, factor.name, factor.bound) == ("pass", "0", 0.0)
    assert edge.norm == factor.norm == factor.typical == 0.0


def test_the_strongest_path_through_a_softmax_does_not_lead_over_its_held_maximum():
    x = mr.tensor([1.0, 1.1, 1.2], requires_grad=True).named("x")
    found = mr.graph(mr.softmax(x).named("p"))
    path = strongest_path(found, "x")
    assert not any("max" in name for name in path.ids)
    assert path.running[-1] > 0
