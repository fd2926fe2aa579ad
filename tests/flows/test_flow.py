"""Net, gross, agreement and count of a flow, beside backward() and every path written out."""

import math

import numpy as np
import pytest

import microrecur as mr
from microrecur.flows.flow import Count
from microrecur.flows.sweep import Scaled
from tests.flows.brute import cells, every_tensor_path, every_way, run, summed

CELLS = cells()
STEPS = {"rnn of 3": 3, "lstm of 2": 2, "gru of 2": 2}


def a_loss(name, **options):
    h, held = run(CELLS[name], STEPS.get(name, 4), **options)
    return (h if h.size == 1 else h.sum()).named("L"), held


# -- sums ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_the_gradient_is_that_of_backward(name):
    y, held = a_loss(name)
    y.backward()
    for state in held:
        np.testing.assert_allclose(mr.flow(y, state).gradient, state.grad, rtol=1e-12, atol=0)
    for parameter in CELLS[name].parameters():
        g = mr.flow(y, parameter).gradient
        np.testing.assert_allclose(g, mr.vjp(y, parameter, None), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("name", CELLS)
def test_net_and_gross_are_the_sums_over_every_path(name):
    y, held = a_loss(name)
    for wrt in held:
        flow, ways = mr.flow(y, wrt), every_way(y, wrt)
        np.testing.assert_allclose(flow.gradient, summed(ways, wrt), rtol=1e-11)
        gross = summed(ways, wrt, lambda way: abs(way.contribution))
        np.testing.assert_allclose(flow.gross, gross, rtol=1e-12)
        with np.errstate(invalid="ignore"):  # relu: 0/0 where nothing passes
            agreement = abs(summed(ways, wrt)) / gross
            norms = np.linalg.norm(summed(ways, wrt)) / np.linalg.norm(gross)
        np.testing.assert_allclose(flow.agreement, agreement, rtol=1e-11)
        np.testing.assert_allclose(flow.agreement_in_norm, norms, rtol=1e-11)


def test_a_batch_and_a_seed_and_any_node():
    h, (h0, c0) = run(CELLS["lstm of 2"], 2, batch=3)
    seed = np.random.default_rng(1).normal(size=h.shape)
    seed[1] = 0
    for wrt in (h0, c0, CELLS["lstm of 2"].bias_hh, "t1.c", "t1.f"):
        flow = mr.flow(h, wrt, seed)
        ways = every_way(h, flow.wrt, seed)
        np.testing.assert_allclose(flow.gradient, summed(ways, flow.wrt), rtol=1e-11, atol=1e-16)
        gross = summed(ways, flow.wrt, lambda way: abs(way.contribution))
        np.testing.assert_allclose(flow.gross, gross, rtol=1e-12)
    assert np.isnan(mr.flow(h, h0, seed).agreement[1]).all()  # 0/0: nothing starts in that row


def test_opposite_paths_cancel_and_equal_ones_agree():
    x = mr.tensor(0.7)
    assert mr.flow(x * 2 - 2 * x, x).agreement == 0
    assert mr.flow(x * 2 + 2 * x, x).agreement == 1
    assert math.isnan(mr.flow(x * 0, x).agreement)
    assert mr.flow(x * 3 - x, x).agreement == pytest.approx(0.5)
    assert mr.flow(x * 3 - x, x).agreement_in_norm == pytest.approx(0.5)


OPS = {
    "where": lambda x: mr.where(x.numpy() > 0, x, x * x).sum(),
    "max": lambda x: mr.max(x * x, axis=0).sum() - mr.max(x),
    "concatenate": lambda x: (mr.concatenate([x, -x, x[:1]], axis=0) * 3.0).sum(),
    "stack": lambda x: mr.stack([x, x * x], axis=1).sum(axis=(0, 1)).sum(),
    "gather": lambda x: (x[np.array([0, 0, 1])] * x[1]).sum(),
    "transpose": lambda x: (x.T @ x).reshape(-1)[2:5].sum(),
    "broadcast": lambda x: (mr.broadcast_to(x[0], (4, 3)) * np.arange(12.0).reshape(4, 3)).sum(),
    "columns": lambda x: (x * x.sum(axis=1, keepdims=True)).sum(),
    "vectors": lambda x: x[0] @ x[1] + (x @ x[0]).sum() + (x[:, 0] @ x).sum(),
    "softplus-like": lambda x: mr.log(1.0 + mr.exp(-x)).sum(),
    "abs": lambda x: mr.abs(x).sum() / (x * x).sum(),
    "itself": lambda x: x.sum(),
}


@pytest.mark.parametrize("name", OPS)
def test_every_family_of_ops_is_swept(name):
    x = mr.tensor(np.random.default_rng(5).normal(size=(2, 3)), requires_grad=True)
    y = OPS[name](x)
    flow, ways = mr.flow(y, x), every_way(y, x)
    y.backward()
    np.testing.assert_allclose(flow.gradient, x.grad, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(flow.gradient, summed(ways, x), rtol=1e-11, atol=1e-14)
    gross = summed(ways, x, lambda way: abs(way.contribution))
    np.testing.assert_allclose(flow.gross, gross, rtol=1e-12)
    top = flow.top(5)
    best = sorted((abs(way.contribution) for way in ways), reverse=True)[:5]
    np.testing.assert_allclose([abs(p.contribution) for p in top], best, rtol=1e-12, atol=0)
    for by in ("gate slope", "squash slope"):
        total = sum(row.net for row in flow.spectrum(by))
        np.testing.assert_allclose(total, flow.gradient, rtol=1e-12, atol=1e-15)


def test_float32_is_swept_in_float64_and_does_not_underflow():
    cell = mr.LSTMCell(1, 1, seed=0, dtype=np.float32)
    h0 = mr.tensor(np.float32(0.1))
    h, _ = mr.unroll(cell, np.full(600, 0.3, np.float32), (h0, mr.tensor(np.float32(0.0))))[-1]
    flow = mr.flow(h, h0)
    assert -400 < flow.log10_gradient < -45  # float32 ends at 10⁻⁴⁵
    assert flow.gross >= abs(flow.gradient)
    assert flow.top(1)[0].log10 < flow.log10_gross


# -- counts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_counts_are_those_of_every_path_written_out(name):
    for steps in range(1, 4 if "peephole" in name else 5):
        h, held = run(CELLS[name], steps)
        y = h if h.size == 1 else h.sum()
        for wrt in held:
            assert mr.flow(y, wrt).count == len(every_tensor_path(y, wrt))


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("lstm", [4, 19, 91, 436, 2089]),
        ("gru", [5, 25, 125, 625, 3125]),
        ("gru before", [5, 25, 125, 625, 3125]),
        ("rnn", [1] * 5),
    ],
)
def test_counts_are_those_of_the_theory(name, counts):
    found = []
    for steps in range(1, 6):
        h, held = run(CELLS[name], steps)
        found.append(mr.flow(h, held[0]).count)
    assert found == counts


@pytest.mark.parametrize(
    ("name", "rate"), [("lstm", (5 + math.sqrt(21)) / 2), ("peephole", 5 + math.sqrt(22))]
)
def test_counts_grow_at_the_rate_of_the_theory(name, rate):
    flows = [mr.flow(h, held[0]) for h, held in (run(CELLS[name], t) for t in (99, 100))]
    assert flows[1].count / flows[0].count == pytest.approx(rate, rel=1e-12)
    if name == "lstm":
        assert flows[1].count / 10**67 == pytest.approx(9.2, abs=0.05)


def test_a_count_is_an_exact_int_that_prints_short():
    count = Count(7**9000)  # Python refuses to print it
    assert count == 7**9000
    assert repr(count) == str(count) == f"{count}" == "≈10⁷⁶⁰⁶"
    assert str(Count(2089)) == "2,089"
    assert f"{Count(12):d}" == "12"


def test_a_square_written_as_a_product_has_two_edges():
    x = mr.tensor(3.0)
    assert (mr.flow(x * x, x).count, mr.flow(x**2, x).count) == (2, 1)


# -- depth -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "scale", "steps"),
    [
        pytest.param("lstm", 0.1, 10_000, marks=pytest.mark.slow),
        pytest.param("gru", 4.0, 10_000, marks=pytest.mark.slow),
        ("lstm of 2", 0.1, 1_500),
        ("lstm of 2", 4.0, 1_500),
        ("gru", 0.1, 1_500),
    ],
)
def test_nothing_leaves_the_range_of_numbers_at_any_depth(name, scale, steps):
    h, held = run(cells()[name], steps, scale=scale)
    flow = mr.flow(h if h.size == 1 else h.sum(), held[0])
    logs = np.concatenate([np.ravel(flow.log10_gradient), np.ravel(flow.log10_gross)])
    assert np.isfinite(logs).all()
    assert np.all(flow.log10_gross >= flow.log10_gradient - 1e-9)
    assert math.log10(flow.count) > 1_000
    (path,) = flow.top(1)
    assert math.isfinite(path.log10)
    assert path.log10 <= np.max(flow.log10_gross) + 1e-9
    assert 0 <= flow.agreement_in_norm <= 1


def test_a_deep_gradient_is_that_of_logarithms_added_by_hand():
    cell = mr.RNNCell(1, 1, seed=1)
    h0 = mr.tensor(0.3)
    states = mr.unroll(cell, np.sin(np.arange(10_000.0)), h0)
    U = cell.weight_hh.item()
    slopes = [math.log10(abs(U) * (1 - h.item() ** 2)) for h in states]
    flow = mr.flow(states[-1], h0)
    assert flow.log10_gradient == pytest.approx(math.fsum(slopes), rel=1e-12)
    assert (flow.gradient, flow.gross) == (0, 0)  # far below the smallest float64
    assert (flow.count, flow.agreement) == (1, 1)


@pytest.mark.slow
def test_a_graph_of_more_than_a_million_nodes():
    x = mr.tensor(1.0)
    y = x
    for _ in range(520_000):
        y = (y * 0.999) + 1.0
    flow = mr.flow(y, x)
    assert len(flow.linearised.nodes) > 1_000_000
    assert flow.log10_gradient == pytest.approx(520_000 * math.log10(0.999), rel=1e-9)
    assert flow.count == 1


# -- what can be asked wrongly ---------------------------------------------------------------------


def test_no_path_at_all_says_so():
    x, other = mr.tensor([1.0, 2.0], name="x"), mr.tensor(2.0, name="w")
    flow = mr.flow((other * other).named("y"), x)
    assert repr(flow) == "<Flow from y back to x: no path, the gradient is 0>"
    assert not flow.depends
    assert flow.count == 0
    assert flow.gradient.tolist() == flow.gross.tolist() == [0, 0]
    assert np.isnan(flow.agreement).all()
    assert math.isnan(flow.agreement_in_norm)
    assert flow.top(3) == flow.top(3, level="tensor") == flow.spectrum() == []
    with pytest.raises(ValueError, match="no path, so there is no ledger"):
        flow.ledger()
    with mr.no_grad():
        hidden = x * 2
    assert mr.flow(hidden.sum(), x).count == 0
    assert mr.flow(mr.greater(x, 0.0).sum(), x).count == 0  # a comparison passes nothing


def test_y_itself():
    x = mr.tensor(2.0)
    flow = mr.flow(x, x)
    assert (flow.count, flow.gradient, flow.gross, flow.agreement) == (1, 1, 1, 1)
    (path,) = flow.top(3)
    assert (path.contribution, path.share, path.nodes) == (1, 1, ("number1",))
    (path,) = flow.top(3, level="tensor")
    assert (path.contribution, path.share) == (1, 1)


def test_wrt_is_found_by_its_id():
    h, (h0, c0) = run(CELLS["lstm"], 3)
    assert mr.flow(h, "t0.h").wrt is mr.flow(h, "h0").wrt is h0
    assert mr.flow(h, "c0").wrt is c0
    assert mr.flow(h, "weight_hh").wrt is CELLS["lstm"].weight_hh
    assert mr.flow(h, "U_f").gradient.shape == ()
    with pytest.raises(mr.UnknownNode, match=r"no node 't9\.h'.*nearest ids are: t\d\.h"):
        mr.flow(h, "t9.h")


def test_what_cannot_be_asked_says_what_to_do():
    h, (h0, _) = run(CELLS["lstm of 2"], 2)
    with pytest.raises(
        mr.ShapeError, match=r"shape \(2,\), 2 numbers.*pass a seed of shape \(2,\)"
    ):
        mr.flow(h, h0)
    with pytest.raises(mr.ShapeError, match=r"seed given has shape \(3,\), but h .* has \(2,\)"):
        mr.flow(h, h0, seed=np.ones(3))
    with pytest.raises(TypeError, match=r"not list.*states\[-1\]"):
        mr.flow([h], h0)
    with pytest.raises(TypeError, match="wrt is a tensor or an id"):
        mr.flow(h.sum(), 3)
    CELLS["lstm of 2"].weight_hh.assign(CELLS["lstm of 2"].weight_hh.numpy())
    with pytest.raises(mr.StaleGraphError, match="weight_hh"):
        _ = mr.flow(h.sum(), h0).gradient


def test_the_first_number_that_is_not_finite_is_named():
    with np.errstate(all="ignore"), mr.scope("t=2"):
        x = mr.tensor(800.0, name="x")
        bad = mr.exp(x).named("bad")
        y = (bad * x).named("y")
        flow = mr.flow(y, x)
        assert flow.count == 2
        for ask in (lambda: flow.gradient, lambda: flow.top(2), flow.spectrum, lambda: flow.gross):
            with pytest.raises(FloatingPointError, match=r"t2\.bad \(made by exp\) is the first"):
                ask()


def test_a_derivative_that_is_not_finite_is_named():
    x = mr.tensor(0.0, name="x")
    y = mr.sqrt(x).named("y")
    with pytest.raises(FloatingPointError, match="derivative of y by x is not finite"):
        _ = mr.flow(y, x).gradient


def test_a_masked_infinity_is_no_reason_to_refuse():
    x = mr.tensor([0.3, 0.1])
    masked = mr.where(np.array([True, False]), x, -np.inf)
    flow = mr.flow(mr.exp(masked).sum(), x)
    np.testing.assert_allclose(flow.gradient, [math.exp(0.3), 0])


# -- parts of it left out --------------------------------------------------------------------------


def test_without_edges_all_sums_are_those_of_the_paths_that_remain():
    y, (h0, _) = a_loss("lstm")
    flow = mr.flow(y, h0)
    t2 = flow.graph.find("t2.z_f").tensor
    cut = {(node, k) for node, k in ((t2.inputs[0], 1), (t2.inputs[0], 0))}
    less = flow.without_edges(cut)
    ways = every_way(y, h0, without=cut)
    assert less.count == len(ways) < flow.count
    assert less.gradient == pytest.approx(sum(way.contribution for way in ways), rel=1e-12)
    assert len(less.top(1000)) == len(ways)
    assert sum(row.count for row in less.spectrum()) == len(ways)
    assert len(less.top(1000, level="tensor")) == len(ways)
    assert flow.without_edges(cut).without == cut


def test_a_planted_defect_in_gross_is_seen(monkeypatch):
    """The check of gross would go red if one slope lost its absolute value."""
    from microrecur.flows.sweep import Linearised

    y, (h0, _) = a_loss("lstm")
    monkeypatch.setattr(Linearised, "pull_absolute", Linearised.pull)
    gross = sum(abs(way.contribution) for way in every_way(y, h0))
    assert mr.flow(y, h0).gross != pytest.approx(gross, rel=1e-6)


OVERFLOWED = {
    "gradient": lambda flow: flow.gradient,
    "gross": lambda flow: flow.gross,
    "top": lambda flow: flow.top(2),
    "spectrum": lambda flow: flow.spectrum(),
    "ledger": lambda flow: flow.ledger(),
    "by_step": lambda flow: flow.by_step(),
    "through_time": lambda flow: flow.through_time(),
    "lags": lambda flow: flow.lags(),
    "horizon": lambda flow: flow.horizon(),
    "half_life": lambda flow: flow.half_life(),
    "lyapunov": lambda flow: flow.lyapunov(),
    "ceiling": lambda flow: flow.ceiling(),
    "routes": lambda flow: flow.routes(at=3),
    "verdict": lambda flow: flow.verdict(),
    "contributions": lambda flow: mr.contributions(flow.y, "weight_hh"),
    "truncate": lambda flow: mr.truncate(flow.y, 2),
}


def overflowing(cell):
    """A loss whose states leave float64 in step 3: inf there, nan from then on."""
    cell.weight_hh.assign([[1e200, -1e200], [-1e200, 1e200]])
    h0 = mr.tensor([1.0, 0.5])
    with np.errstate(all="ignore"):
        y = mr.unroll(cell, [[1.0], [1.0], [1.0], [1.0]], h0)[-1].sum()
    return mr.flow(y, h0)


@pytest.mark.parametrize("question", OVERFLOWED)
def test_no_answer_is_given_on_a_run_that_overflowed(question):
    flow = overflowing(mr.RNNCell(1, 2, nonlinearity="relu", seed=0))
    with pytest.raises(FloatingPointError, match=r"^t2\.hidden state\.matmul2? \(made by matmul\)"):
        OVERFLOWED[question](flow)


def test_a_missing_input_is_named_as_given():
    h0 = mr.tensor(0.0)
    h = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.1, math.nan, 0.2], (h0, mr.tensor(0.0)))[-1][0]
    for ask in (mr.flow(h, h0).lags, mr.flow(h, h0).verdict, lambda: mr.truncate(h, 1)):
        with pytest.raises(FloatingPointError, match=r"t2\.x \(given\) .* it holds nan"):
            ask()


def test_the_numbers_are_looked_at_once(monkeypatch):
    from microrecur.flows import flow as room

    looked = []
    monkeypatch.setattr(room, "refuse_overflow", lambda *given: looked.append(given))
    h, (h0, _) = run(CELLS["lstm"], 3)
    flow = mr.flow(h, h0)
    _ = flow.gradient, flow.gross, flow.lags(), flow.half_life(), flow.spectrum()
    assert len(looked) == 1


def test_what_was_not_recorded_is_said_to_be():
    h0 = mr.tensor(0.3)
    with mr.no_grad():
        h = mr.unroll(mr.RNNCell(1, 1, seed=0), [0.9], h0)[-1]
    for wrt in (h0, "h0", "t0.h"):
        with pytest.raises(ValueError, match="nothing was recorded of how h at t=1"):
            mr.flow(h, wrt)
    assert mr.flow(h0, h0).gradient == 1


def test_what_is_no_path_and_what_is_no_tensor_is_refused():
    h, (h0, _) = run(CELLS["lstm"], 2)
    with pytest.raises(TypeError, match=r"ledger\(\) reads a path, not str: one of top\(\)"):
        mr.flow(h, h0).ledger("t1.h")
    with pytest.raises(TypeError, match=r"truncate\(\) reads a recorded tensor .* not str"):
        mr.truncate("L", 2)


def test_small_and_large_numbers_have_a_norm():
    for size in (1e-170, 1e-310, 1e170, 1e300):
        assert Scaled(np.asarray(size)).log2() == pytest.approx(math.log2(size), abs=1e-9)
        both = Scaled(np.full(2, size), 7).log2()
        assert both == pytest.approx(math.log2(size) + 7.5, abs=1e-9)
    assert Scaled(np.zeros(3)).log2() == -math.inf
    x = mr.tensor([1.0, 2.0])
    tiny = mr.flow((x * 1.0).sum() * 1e-170, x)
    assert tiny.agreement_in_norm == 1
    assert tiny.share(tiny.net) == pytest.approx(1)
