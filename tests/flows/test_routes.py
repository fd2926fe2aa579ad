"""Routes beside Jacobians split by hand, central differences and torch's detach."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import microrecur as mr
from microrecur.flows import steps as steps_module
from microrecur.flows.routes import cut_edges, share, steps_of
from tests.flows import by_hand
from tests.flows.by_hand import CELLS, CoupledLSTM, MinimalGatedUnit, flow_of, sequence

NAMES = {
    "rnn": ["via h"],
    "rnn sigmoid": ["via h"],
    "rnn relu": ["via h"],
    "lstm": ["direct", "via i", "via f", "via g", "via o"],
    "peephole": "direct|via i|via f|via g|via o|via i→o|via f→o|via g→o".split("|"),
    "gru": ["direct", "via z", "via n", "via r→n"],
    "gru before": ["direct", "via z", "via n", "via r→n"],
}


def split_by_hand(name, cell, x, states):
    kind = name.split()[0].replace("peephole", "lstm")
    return getattr(by_hand, f"{kind}_routes")(cell, x, *(s.numpy() for s in states))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("t", [1, 3, 6])
def test_every_part_is_the_one_worked_out_by_hand(name, t):
    cell = CELLS[name]
    xs, start, after = sequence(cell)
    before = start if t == 1 else after[t - 2]
    expected = split_by_hand(name, cell, xs[t - 1], before)
    found = mr.flow(after[-1][0].sum(), start[0]).routes(at=t)
    assert sorted(found.names) == sorted({route for parts in expected.values() for route in parts})
    for (target, source), parts in expected.items():
        rows = {
            r.route
            for r in found
            if (r.target, r.source) == (f"t{t}.{target}", f"t{t - 1}.{source}")
        }
        assert rows == set(parts), (target, source)
        for route, part in parts.items():
            np.testing.assert_allclose(
                found.jacobian(target, source, route), part, rtol=1e-12, atol=1e-15
            )


@pytest.mark.parametrize("name", CELLS)
def test_the_routes_have_the_textbooks_names_in_its_order(name):
    table = flow_of(CELLS[name]).routes(at=3)
    known = steps_module.words_of([steps_of(flow_of(CELLS[name])).at(3)])
    assert list(known) == NAMES[name]
    assert list(table.names) == NAMES[name]


def step_in_numpy(cell, x, states):
    """The states after one step, as one vector, from those before as one vector."""
    pieces = np.split(states, len(cell.states))
    if isinstance(cell, mr.LSTMCell):
        return np.concatenate(by_hand.lstm(cell, x, *pieces)[:2])
    if isinstance(cell, mr.GRUCell):
        return by_hand.gru(cell, x, *pieces)[0]
    return by_hand.rnn(cell, x, *pieces)


def central_differences(f, at, step=1e-6):
    columns = []
    for unit in np.eye(at.size) * step:
        columns.append((f(at + unit) - f(at - unit)) / (2 * step))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", CELLS)
def test_the_parts_sum_to_the_whole_step(name):
    """To rounding beside `jacobian`, to 1e-8 beside central differences of the numpy step."""
    cell = CELLS[name]
    xs, start, after = sequence(cell, T=1)
    found = mr.flow(after[-1][0].sum(), start[0]).routes(at=1)
    whole = np.block([[found.jacobian(a, b) for b in cell.states] for a in cell.states])
    engine = np.block(
        [
            [mr.jacobian(after[0][a], start[b]) for b, _ in enumerate(start)]
            for a, _ in enumerate(start)
        ]
    )
    np.testing.assert_allclose(whole, engine, rtol=0, atol=1e-15)
    at = np.concatenate([s.numpy() for s in start])
    differences = central_differences(lambda s: step_in_numpy(cell, xs[0], s), at)
    np.testing.assert_allclose(whole, differences, rtol=0, atol=1e-8)


@settings(max_examples=25)
@given(
    kind=st.sampled_from([mr.RNNCell, mr.LSTMCell, mr.GRUCell]),
    hidden=st.integers(1, 5),
    batch=st.sampled_from([(), (1,), (3,)]),
    seed=st.integers(0, 10_000),
)
def test_the_parts_sum_to_the_whole_for_any_size_and_batch(kind, hidden, batch, seed):
    numbers = np.random.default_rng(seed)
    cell = kind(2, hidden, seed=seed)
    held = tuple(mr.tensor(numbers.normal(size=(*batch, hidden))) for _ in cell.states)
    after = cell(numbers.normal(size=(*batch, 2)), held)
    after = after if isinstance(after, tuple) else (after,)
    found = mr.flow(after[0].sum(), held[0]).routes(at=1)
    for name, y in zip(cell.states, after, strict=True):
        for other, x in zip(cell.states, held, strict=True):
            expected = mr.jacobian(y, x).reshape(y.size, x.size)
            np.testing.assert_allclose(found.jacobian(name, other), expected, rtol=0, atol=1e-14)


def test_a_cell_of_single_numbers_has_values():
    h0, c0 = mr.tensor(0.3), mr.tensor(-0.8)
    h, _ = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9], (h0, c0))[-1]
    table = mr.flow(h, h0).routes(at=1)
    assert sum(r.value for r in table if (r.target, r.source) == ("t1.h", "t0.h")) == pytest.approx(
        mr.jacobian(h, h0).item(), rel=1e-14
    )
    shares = [r.share for r in table if (r.target, r.source) == ("t1.c", "t0.h")]
    assert sum(shares) == pytest.approx(1, rel=1e-14)


def test_shares_survive_numbers_whose_squares_do_not():
    whole = np.array([3e-200, 4e-200])
    assert share(0.25 * whole, whole) == pytest.approx(0.25)
    assert np.isnan(share(np.zeros(2), np.zeros(2)))


# -- a learner's own cells -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (MinimalGatedUnit(2, 3, seed=1), ["direct", "via f", "via n", "via f→n"]),
        (CoupledLSTM(2, 3, seed=2), ["direct", "via f", "via g", "via o"]),
    ],
    ids=["minimal gated unit", "coupled gates"],
)
def test_a_learners_own_cell_splits_with_no_code(cell, names):
    _, start, after = sequence(cell, T=1)
    flow = mr.flow(after[-1][0].sum(), start[0])
    assert list(steps_module.words_of(steps_of(flow).values())) == names
    found = flow.routes(at=1)
    for a, y in zip(cell.states, after[0], strict=True):
        for b, x in zip(cell.states, start, strict=True):
            np.testing.assert_allclose(found.jacobian(a, b), mr.jacobian(y, x), rtol=0, atol=1e-15)
    assert any("direct" in sentence for sentence in flow_of(cell).verdict())


def test_the_coupled_gates_routes_are_those_worked_out_by_hand():
    cell = CoupledLSTM(2, 3, seed=2)
    xs, (h0, c0), _ = sequence(cell, T=1)
    p = by_hand.parts(cell)
    gate = {k: xs[0] @ W + h0.numpy() @ U + b for k, (W, U, b, _) in p.items()}
    f, g = by_hand.sigmoid(gate["f"]), np.tanh(gate["g"])
    found = flow_of(cell, T=1).routes(at=1)
    np.testing.assert_allclose(found.jacobian("c", "c", "direct"), np.diag(f), atol=1e-15)
    via_f = ((c0.numpy() - g) * f * (1 - f))[:, None] * p["f"][1].T
    np.testing.assert_allclose(found.jacobian("c", "h", "via f"), via_f, atol=1e-15)
    via_g = ((1 - f) * (1 - g**2))[:, None] * p["g"][1].T
    np.testing.assert_allclose(found.jacobian("c", "h", "via g"), via_g, atol=1e-15)


def test_two_layers_are_told_apart_by_their_names():
    first, second = mr.GRUCell(2, 3, seed=0), mr.RNNCell(3, 2, seed=1)
    with mr.scope("first"):
        below = mr.unroll(first, np.ones((3, 2)))
    with mr.scope("second"):
        above = mr.unroll(second, below)
    table = mr.flow(above[-1].sum(), "first.t0.h").routes(at=2)
    assert "via first.z→second.h" in table.names
    whole = table.jacobian("second.t2.h", "first.t1.h")
    assert whole.shape == (2, 3)


# -- cutting ---------------------------------------------------------------------------------------


def gradient_by_hand(name, keep, T=6):
    """∂(Σ h_T)/∂(states of step 0) with only the kept routes at each step."""
    cell = CELLS[name]
    xs, start, after = sequence(cell, T)
    row = {state: np.zeros(cell.hidden_size) for state in cell.states}
    row["h"] = np.ones(cell.hidden_size)
    for t in range(T, 0, -1):
        parts = split_by_hand(name, cell, xs[t - 1], start if t == 1 else after[t - 2])
        before = {state: np.zeros(cell.hidden_size) for state in cell.states}
        for (target, source), routes in parts.items():
            for route, part in routes.items():
                if keep(route, t):
                    before[source] = before[source] + row[target] @ part
        row = before
    return row["h"]


@pytest.mark.parametrize(
    ("name", "route", "at"),
    [
        ("lstm", "via o", [3, 4]),
        ("lstm", "direct", None),
        ("lstm", ["via i", "via f", "via g", "via o"], None),
        ("gru", "via r→n", 2),
        ("gru", "via n", None),
        ("gru before", "via n", None),
        ("peephole", ["via i", "via i→o"], [1, 5]),
    ],
)
def test_a_cut_takes_those_routes_out_and_no_other(name, route, at):
    flow = flow_of(CELLS[name])
    steps = [at] if isinstance(at, int) else at
    gone = [route] if isinstance(route, str) else route

    def kept(which, t):
        return which not in gone or (steps is not None and t not in steps)

    before = [node.tensor.numpy() for node in flow.graph.nodes]
    found = flow.cut(route, at=at)
    np.testing.assert_allclose(found.gradient, gradient_by_hand(name, kept), rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(flow.gradient, gradient_by_hand(name, lambda *_: True), rtol=1e-12)
    assert not np.allclose(found.gradient, flow.gradient, rtol=1e-6)
    for node, numbers in zip(flow.graph.nodes, before, strict=True):
        np.testing.assert_array_equal(node.tensor.numpy(), numbers)
    table = found.routes(at=steps[0] if steps else 3)
    assert set(table.names).isdisjoint(gone)


def test_cutting_the_one_route_of_an_rnn_leaves_nothing():
    flow = flow_of(CELLS["rnn"]).cut("via h", at=4)
    assert not flow.depends
    assert not flow.gradient.any()
    assert str(flow.verdict()) == (
        "L does not depend on h₀ once those edges are cut: no path leads back to it, "
        "the gradient is 0."
    )


def test_a_cut_leaves_the_gates_their_own_gradient():
    """h-detach stops the gradient into h_{t−1}; the weights of each step still learn from it."""
    cell = by_hand.CELLS["lstm"]
    flow = flow_of(cell)
    edges = cut_edges(flow, ["via i", "via f", "via g", "via o"])
    assert {flow.graph.id_of(node.inputs[k])[2:] for node, k in edges} == {".h"}
    by_x = mr.flow(flow.y, "t5.x")
    np.testing.assert_allclose(
        by_x.cut(["via i", "via f", "via g", "via o"], at=5).gradient, by_x.gradient
    )


def test_h_detach_is_torchs_detach():
    torch = pytest.importorskip("torch")
    cell = CELLS["lstm"]
    xs, start, after = sequence(cell)
    theirs = torch.nn.LSTMCell(2, 3, dtype=torch.float64)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in cell.state_dict().items()})
    h, c = (torch.tensor(s.numpy(), requires_grad=True) for s in start)
    c0 = c
    for x in xs:
        h, c = theirs(torch.tensor(x), (h.detach(), c))
    h.sum().backward()
    cut = mr.flow(after[-1][0].sum(), start[1]).cut(["via i", "via f", "via g", "via o"])
    np.testing.assert_allclose(cut.gradient, c0.grad.numpy(), rtol=1e-12)


def belt_share(times, seed):
    """The part of ∂L/∂c₀ that runs along the belt alone, ‖belt‖ / ‖whole‖, at T = 30, b_f = 1."""
    cell = by_hand.with_weights(mr.LSTMCell(8, 32, seed=seed), times, forget=1.0)
    flow = flow_of(cell, T=30, seed=seed, wrt="c0")
    belt = flow.cut(["via i", "via f", "via g", "via o"])
    return np.linalg.norm(belt.gradient) / np.linalg.norm(flow.gradient)


def test_the_larger_the_weights_the_less_the_belt_is_heard():
    """Arpit et al. 2019: with large weights the h-routes drown the cell state's gradient."""
    small, large = (
        np.exp(np.mean([np.log(belt_share(times, seed)) for seed in range(3)]))
        for times in (0.5, 10)
    )
    assert small > 0.05
    assert large < small / 50


# -- bad input -------------------------------------------------------------------------------------


def test_an_unknown_route_is_answered_with_those_there_are():
    flow = flow_of(CELLS["lstm"])
    known = "there is no route 'via z' here; the routes are: direct, via i, via f, via g, via o"
    for ask in (
        lambda: flow.cut("via z"),
        lambda: flow.routes(at=2).jacobian("h", "h", "via z"),
        lambda: flow.horizon(route="via z"),
        lambda: flow.lags("via z"),
    ):
        with pytest.raises(ValueError, match=known.replace("(", r"\(")):
            ask()


def test_a_step_out_of_range_is_answered_with_those_there_are():
    flow = flow_of(CELLS["gru"])
    with pytest.raises(
        ValueError, match=r"there is no step 7: the graph has steps 1, 2, 3, 4, 5, 6"
    ):
        flow.routes(at=7)
    with pytest.raises(ValueError, match="there is no step 0"):
        flow.cut("via n", at=[0, 1])
    with pytest.raises(ValueError, match=r"steps 1 … 12"):
        flow_of(CELLS["gru"], T=12).routes(at=-1)


def test_a_block_that_is_not_there_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"no block c by h here; there are: t2\.h by t1\.h"):
        flow_of(CELLS["gru"]).routes(at=2).jacobian("c", "h")


def test_a_graph_without_steps_says_what_to_do():
    x = mr.tensor([1.0, 2.0])
    flow = mr.flow(mr.tanh(x).sum(), x)
    for ask in (lambda: flow.routes(at=1), flow.by_step, flow.horizon, lambda: flow.cut("direct")):
        with pytest.raises(ValueError, match=r"no steps that read one another.*mr\.unroll"):
            ask()


def test_a_route_without_an_edge_of_its_own_says_what_can_be_cut():
    flow = flow_of(CELLS["peephole"])
    with pytest.raises(ValueError, match=r"via f shares edges .* cut together: via f, via f→o$"):
        flow.cut("via f")
    flow.cut(["via f", "via f→o"])


def test_more_routes_than_can_be_told_apart_are_refused():
    with mr.scope("t=0"):
        h = mr.tensor(0.1).named("h")
    with mr.scope("t=1"):
        y = h
        for k in range(12):
            y = y + mr.tanh(y * 1.5).named(f"s{k}")
        y = y.named("h")
    with pytest.raises(ValueError, match=r"step 1 has more than 2,000 routes"):
        mr.flow(y, h).routes(at=1)


def test_a_planted_slope_is_found_by_the_sum(monkeypatch):
    """The parts alone do not show a wrong slope; their sum beside the engine's Jacobian does."""
    from microrecur.engine import ops

    _, start, after = sequence(CELLS["lstm"], T=1)
    expected = mr.jacobian(after[0][0], start[0])
    monkeypatch.setattr(ops.sigmoid, "partials", (lambda y, x: y,))
    found = mr.flow(after[0][0].sum(), start[0]).routes(at=1).jacobian("h", "h")
    assert not np.allclose(found, expected, atol=1e-3)


def test_a_mark_that_is_lost_is_found_by_its_name(monkeypatch):
    monkeypatch.setattr(steps_module.Step, "follow", lambda self, node, word: word)
    assert flow_of(CELLS["lstm"]).routes(at=2).names == ("direct",)
