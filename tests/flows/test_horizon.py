"""Norms by lag, horizons and exponents beside plain products, 400-digit arithmetic and theory."""

import math

import mpmath
import numpy as np
import pytest

import microrecur as mr
from microrecur.flows.horizon import exponents, power
from tests.flows import by_hand
from tests.flows.by_hand import CELLS, flow_of, sequence, with_weights


def step_matrix(name, cell, x, before):
    """The Jacobian of one step by hand, over all states."""
    kind = name.split()[0].replace("peephole", "lstm")
    parts = getattr(by_hand, f"{kind}_routes")(cell, x, *(s.numpy() for s in before))
    n = cell.hidden_size
    blocks = [
        [sum(parts.get((a, b), {}).values(), np.zeros((n, n))) for b in cell.states]
        for a in cell.states
    ]
    return np.block(blocks)


def matrices(name, T=6):
    cell = CELLS[name]
    xs, start, after = sequence(cell, T)
    return [
        step_matrix(name, cell, x, before) for x, before in zip(xs, [start, *after], strict=False)
    ]


def block(cell, matrix, target, source):
    n, k, j = cell.hidden_size, cell.states.index(target), cell.states.index(source)
    return matrix[k * n : (k + 1) * n, j * n : (j + 1) * n]


@pytest.mark.parametrize("name", CELLS)
def test_the_norm_of_each_lag_and_block_is_that_of_the_plain_product(name):
    cell, steps = CELLS[name], matrices(name)
    rows = flow_of(cell).lags()
    assert [row.lag for row in rows if row.target == row.source == "h"] == [1, 2, 3, 4, 5, 6]
    for row in rows:
        product = np.linalg.multi_dot([*steps[::-1][: row.lag], np.eye(len(steps[0]))])
        expected = np.linalg.norm(block(cell, product, row.target, row.source), 2)
        assert row.norm == pytest.approx(expected, rel=1e-10, abs=1e-300)
        assert row.step == 6 - row.lag


def test_lags_stop_at_the_step_of_what_is_asked_about():
    assert [row.lag for row in flow_of(CELLS["gru"], wrt="t4.h").lags()] == [1, 2]
    assert len(flow_of(CELLS["gru"], wrt="weight_hh").lags()) == 6


def test_a_route_through_time_is_the_product_of_its_parts():
    cell = CELLS["lstm"]
    xs, start, after = sequence(cell)
    belt = np.eye(3)
    for x, before in zip(xs, [start, *after], strict=False):
        belt = by_hand.lstm_routes(cell, x, *(s.numpy() for s in before))["c", "c"]["direct"] @ belt
    flow = flow_of(cell)
    (row,) = (r for r in flow.lags("direct") if (r.lag, r.target, r.source) == (6, "c", "c"))
    assert row.norm == pytest.approx(np.linalg.norm(belt, 2), rel=1e-12)
    assert {r.log10 for r in flow.lags("direct") if r.source == "h"} == {-math.inf}


# -- exponents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_exponents_are_those_of_the_product_in_high_precision(name):
    with mpmath.workdps(400):
        product = mpmath.eye(len(matrices(name)[0]))
        for matrix in matrices(name, T=30):
            product = mpmath.matrix(matrix.tolist()) * product
        values = mpmath.svd_r(product, compute_uv=False)
        expected = [float(mpmath.log(s) / 30) if s > 1e-300 else -math.inf for s in values]
    found = flow_of(CELLS[name], T=30).lyapunov()
    np.testing.assert_allclose(found, sorted(expected, reverse=True), rtol=0, atol=1e-8)


def test_exponents_sum_to_the_growth_of_volume():
    steps = matrices("gru", T=40)
    volume = sum(np.linalg.slogdet(matrix)[1] for matrix in steps) / 40
    assert flow_of(CELLS["gru"], T=40).lyapunov().sum() == pytest.approx(volume, rel=1e-12)


def test_qr_at_every_tenth_step_would_lose_the_small_exponents():
    """Why the factorisation stands at every step: diagonal maps, so that the answer is known."""
    numbers = np.random.default_rng(0)
    turn = np.linalg.qr(numbers.normal(size=(3, 3)))[0]
    step = turn @ np.diag([0.9, 0.1, 0.001]) @ turn.T
    true = np.log([0.9, 0.1, 0.001])
    np.testing.assert_allclose(exponents([step] * 60), true, rtol=1e-10)
    rare = exponents([np.linalg.matrix_power(step, 10)] * 6) / 10
    assert abs(rare[2] - true[2]) > 1
    naive = np.log(np.linalg.svd(np.linalg.matrix_power(step, 60), compute_uv=False)) / 60
    assert abs(naive[2] - true[2]) > 1  # and so would a decomposition of the product


def test_a_direction_that_is_lost_has_no_exponent():
    found = flow_of(CELLS["lstm"]).lyapunov("direct")  # h_{t−1} reaches nothing directly
    assert np.isfinite(found[:3]).all()
    assert (found[3:] == -math.inf).all()


# -- horizon and half-life -------------------------------------------------------------------------


def test_the_horizon_is_the_first_lag_after_which_all_stay_below():
    flow = flow_of(CELLS["gru"], T=30)
    norms = []
    product = np.eye(3)
    for matrix in matrices("gru", T=30)[::-1]:
        product = product @ matrix
        norms.append(np.linalg.norm(product, 2))
    for eps in (0.5, 0.1, 1e-3):
        expected = next(k for k in range(1, 31) if max(norms[k - 1 :]) < eps)
        assert flow.horizon(eps) == expected
    assert flow.horizon(1e-30) is None
    assert flow.horizon(10.0) == 1


def test_a_norm_that_comes_back_moves_the_horizon():
    """Below, above, below again: the horizon is where it stays below."""
    h = h0 = mr.tensor(1.0).named("h")
    h0.scope = ("t=0",)
    for t, factor in enumerate([0.1, 20.0, 0.01], start=1):  # lags 1, 2, 3: 0.01, 0.2, 0.02
        with mr.scope(f"t={t}"):
            h = (h * factor).named("h")
    flow = mr.flow(h, h0)
    assert [round(row.norm, 6) for row in flow.lags()] == [0.01, 0.2, 0.02]
    assert flow.horizon(0.1) == 3
    assert flow.horizon(0.5) == 1


@pytest.mark.parametrize("eps", [0, -1.0, float("nan")])
def test_an_eps_that_is_not_positive_is_refused(eps):
    with pytest.raises(ValueError, match="eps is a positive number"):
        flow_of(CELLS["rnn"]).horizon(eps)


def test_the_half_life_of_a_constant_factor_is_exact():
    h = h0 = mr.tensor([1.0, 2.0]).named("h")
    h0.scope = ("t=0",)
    for t in range(1, 21):
        with mr.scope(f"t={t}"):
            h = (h * mr.tensor([0.5, 0.25])).named("h")
    flow = mr.flow(h.sum(), h0)
    assert flow.half_life() == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(flow.lyapunov(), np.log([0.5, 0.25]), rtol=1e-12)


def test_the_half_life_of_the_belt_is_that_of_the_forget_gate():
    """f ≈ ½ halves each step; a forget bias of 3 makes σ(3) = .95 of it, 13.5 steps and more."""
    default = flow_of(mr.LSTMCell(8, 32, seed=0), T=20, zero=True)
    held = flow_of(with_weights(mr.LSTMCell(8, 32, seed=0), forget=3.0), T=20, zero=True)
    assert 0.8 < default.half_life("direct") < 1.5
    assert held.half_life("direct") > 12
    assert default.horizon(1e-2) < 15
    assert held.horizon(1e-2) is None


# -- Pascanu, Mikolov & Bengio 2013 ----------------------------------------------------------------


def rnn_with(U, nonlinearity, T, drive=1.0, bias=0.0, seed=0):
    n = len(U)
    cell = mr.RNNCell(n, n, nonlinearity=nonlinearity, seed=seed)
    cell.weight_hh.assign(U)
    cell.weight_ih.assign(np.eye(n) * drive)
    cell.bias_ih.assign(np.full(n, bias))
    cell.bias_hh.assign(np.zeros(n))
    return flow_of(cell, T=T, seed=seed)


@pytest.mark.parametrize(("nonlinearity", "gamma"), [("sigmoid", 0.25), ("tanh", 1.0)])
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_norm_below_one_over_gamma_vanishes_at_least_at_the_bounds_rate(
    nonlinearity, gamma, share
):
    for seed in range(4):
        U = np.random.default_rng(seed).normal(size=(8, 8))
        U *= share / gamma / np.linalg.norm(U, 2)
        for row in rnn_with(U, nonlinearity, 40, drive=0.1, seed=seed).lags():
            assert row.log10 <= row.lag * math.log10(share) + 1e-9


def test_a_norm_above_one_over_gamma_need_not_explode():
    """‖U‖₂ = 1.5 with tanh: necessary for exploding, not sufficient."""
    U = np.random.default_rng(0).normal(size=(8, 8))
    U *= 1.5 / np.linalg.norm(U, 2)
    assert rnn_with(U, "tanh", 60, drive=2.0).lags()[-1].log10 < -10


def test_a_spectral_radius_of_zero_need_not_vanish():
    """U = [[3, 3], [−3, −3]] is nilpotent, and yet diag(tanh′)·U multiplies to any size."""
    U = np.array([[3.0, 3.0], [-3.0, -3.0]])
    assert np.abs(np.linalg.eigvals(U)).max() < 1e-7
    cell = mr.RNNCell(2, 2, seed=0)
    cell.weight_hh.assign(U)
    cell.weight_ih.assign(np.eye(2))
    for bias in (cell.bias_ih, cell.bias_hh):
        bias.assign(np.zeros(2))
    # Inputs that keep the first unit near 0, where tanh′ = 1, and drive the second into its flat.
    h, xs = np.zeros(2), []
    for _ in range(20):
        z = np.array([0.0, 1.5])
        xs.append(z - U @ h)
        h = np.tanh(z)
    h0 = mr.tensor(np.zeros(2))
    flow = mr.flow(mr.unroll(cell, xs, h0)[-1].sum(), h0)
    assert flow.lags()[-1].log10 > 6
    assert flow.half_life() == math.inf


# -- depth -----------------------------------------------------------------------------------------


def log_of_product(factors):
    with mpmath.workdps(400):
        return float(mpmath.log10(mpmath.fprod(mpmath.mpf(abs(float(x))) for x in factors)))


@pytest.mark.parametrize("times", [4.0, 0.1])
def test_ten_thousand_steps_neither_underflow_nor_overflow(times):
    """A scalar RNN beside 400-digit arithmetic on the same recorded numbers."""
    cell = with_weights(mr.RNNCell(1, 1, seed=3), times)
    W, U = cell.weight_ih.numpy().item(), cell.weight_hh.numpy().item()
    bias = cell.bias_ih.numpy().item() + cell.bias_hh.numpy().item()
    xs, h, slopes = np.random.default_rng(0).normal(size=10_000) * 0.1, 0.0, []
    for x in xs:
        h = math.tanh(x * W + h * U + bias)
        slopes.append((1 - h * h) * U)
    h0 = mr.tensor(0.0)
    flow = mr.flow(mr.unroll(cell, xs, h0)[-1], h0)
    row = flow.lags()[-1]
    assert row.lag == 10_000
    assert row.log10 == pytest.approx(log_of_product(slopes), rel=1e-12)
    assert row.norm == 0.0
    assert flow.lyapunov()[0] == pytest.approx(row.log10 * math.log(10) / 10_000, rel=1e-12)
    assert flow.horizon(1e-3) < 200
    by_step = flow.by_step()
    assert by_step[-1].total_h == pytest.approx(row.log10, rel=1e-12)


def test_what_grows_for_ten_thousand_steps_does_not_overflow():
    h = h0 = mr.tensor(0.0).named("h")  # 0 stays 0; its gradient grows 1.25 every two steps
    h0.scope = ("t=0",)
    for t in range(1, 10_001):
        with mr.scope(f"t={t}"):
            h = (h * (0.5 if t % 2 else 2.5)).named("h")
    row = mr.flow(h, h0).lags()[-1]
    assert row.log10 == pytest.approx(5_000 * math.log10(1.25), rel=1e-12)
    assert row.norm == math.inf


@pytest.mark.parametrize("times", [4.0, 0.1])
def test_a_wide_lstm_over_a_thousand_steps_stays_finite(times):
    flow = flow_of(with_weights(mr.LSTMCell(4, 8, seed=0), times), T=1000)
    assert all(np.isfinite(row.log10) for row in flow.lags())
    assert np.isfinite(flow.half_life())
    assert all(np.isfinite(row.total_c) for row in flow.by_step())


@pytest.mark.parametrize(
    ("log10", "text"),
    [(-2001.5, "3.2·10⁻²⁰⁰²"), (1000.0, "1.0·10¹⁰⁰⁰"), (-math.inf, "0"), (math.inf, "∞"),
     (-4.00001, "1.0·10⁻⁴"), (-0.02, "0.95"), (2.0, "100.00"), (math.nan, "nan")],
)  # fmt: skip
def test_numbers_at_any_depth_are_set(log10, text):
    assert power(log10) == text


# -- shapes of sequences ---------------------------------------------------------------------------


def test_a_sequence_read_backwards_has_lags_too():
    xs, cell = np.random.default_rng(0).normal(size=(5, 2)), mr.GRUCell(2, 3, seed=0)
    with mr.scope("reverse", "t=6"):
        h = start = mr.tensor(np.full(3, 0.2)).named("h")
    for t in range(5, 0, -1):
        with mr.scope("reverse", f"t={t}"):
            h = cell(xs[t - 1], h)
    rows = mr.flow(h.sum(), start).lags()
    assert [row.step for row in rows] == [2, 3, 4, 5, 6]
    forward = mr.unroll(cell, xs[::-1], mr.tensor(np.full(3, 0.2)))
    expected = mr.flow(forward[-1].sum(), "h0").lags()
    assert [row.log10 for row in rows] == pytest.approx([row.log10 for row in expected])


def test_a_step_that_reads_two_others_says_what_still_holds():
    with mr.scope("t=0"):
        h = [mr.tensor(0.3, requires_grad=True, name="h")]
    for t in (1, 2, 3):
        with mr.scope(f"t={t}"):
            h.append(mr.tanh(h[-1] + h[max(t - 2, 0)] * 0.5).named("h"))
    flow = mr.flow(h[-1], h[0])
    with pytest.raises(ValueError, match=r"step 3 reads t1\.h, t2\.h, of different steps"):
        flow.horizon()
    total = {row.step: row.total_h for row in flow.by_step()}
    h[-1].backward()
    assert 10 ** total[1] == pytest.approx(abs(h[1].grad.item()), rel=1e-12)
    assert len(flow.routes(at=3)) == 2
