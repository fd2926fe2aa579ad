"""What each step adds to a weight's gradient, beside hand-written backpropagation through time."""

import math

import numpy as np
import pytest

import microrecur as mr
from tests.flows.brute import cells, every_way, run, summed

CELLS = cells()


def bptt(cell, xs, h0, seed):
    """∂L/∂U of a plain tanh RNN, term by term, by the textbook's recursion."""
    W, U = cell.weight_ih.numpy(), cell.weight_hh.numpy()
    b = cell.bias_ih.numpy() + cell.bias_hh.numpy()
    hs = [h0]
    for x in xs:
        hs.append(np.tanh(x @ W.T + hs[-1] @ U.T + b))
    g, terms = seed, []
    for t in range(len(xs), 0, -1):
        at_z = g * (1 - hs[t] ** 2)
        terms.append(np.outer(at_z, hs[t - 1]))
        g = at_z @ U
    return terms[::-1]


def test_the_terms_are_those_of_the_textbook():
    cell = mr.RNNCell(2, 3, seed=4)
    numbers = np.random.default_rng(0)
    xs, h0, seed = numbers.normal(size=(6, 2)), numbers.normal(size=3), numbers.normal(size=3)
    h = mr.unroll(cell, xs, mr.tensor(h0))[-1]
    rows = mr.contributions(h, cell.weight_hh, seed)
    expected = bptt(cell, xs, h0, seed)
    assert [row.step for row in rows] == [1, 2, 3, 4, 5, 6]
    for row, term in zip(rows, expected):
        np.testing.assert_allclose(row.term, term, rtol=1e-12)
        assert row.log10 == pytest.approx(np.log10(np.linalg.norm(term)))
    total = sum(expected)
    np.testing.assert_allclose(rows.total, total, rtol=1e-12)
    shares = [np.sum(term * total) / np.sum(total**2) for term in expected]
    np.testing.assert_allclose([row.share for row in rows], shares, rtol=1e-10)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("batch", [None, 3])
def test_the_terms_sum_to_the_gradient_of_every_parameter(name, batch):
    cell = CELLS[name]
    h, _ = run(cell, 5, batch=batch)
    y = (h * np.linspace(-1, 2, h.size).reshape(h.shape)).sum()
    for parameter in cell.parameters():
        rows = mr.contributions(y, parameter)
        total = mr.vjp(y, parameter)
        assert [row.step for row in rows] == [1, 2, 3, 4, 5]
        off = np.max(np.abs(sum(row.term for row in rows) - total))
        assert off <= 1e-12 * max(np.max(np.abs(total)), 1e-300)
        np.testing.assert_allclose(rows.total, total, rtol=1e-11, atol=1e-15)
        if np.any(total):
            assert sum(row.share for row in rows) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru of 2"])
def test_each_term_is_the_sum_of_the_paths_that_leave_by_that_step(name):
    cell = CELLS[name]
    h, _ = run(cell, 2)
    y = h if h.size == 1 else h.sum()
    for wrt in (cell.weight_hh, cell.bias_ih):
        ways = every_way(y, wrt)
        for row in mr.contributions(y, wrt):
            by_that_step = [way for way in ways if way_enters(way, row.step)]
            expected = summed(by_that_step, wrt)
            np.testing.assert_allclose(row.term, expected, rtol=1e-11, atol=1e-16)


def way_enters(way, step):
    """Whether the first recorded op of a path that is filed in a step is of this one."""
    scopes = [node.scope for node, _ in way.edges]
    return next(s for s in scopes if s and s[0].startswith("t="))[0] == f"t={step}"


def test_one_gate_and_ids_and_uses():
    h, _ = run(CELLS["lstm of 2"], 3)
    rows = mr.contributions(h.sum(), "U_f")
    assert [(row.step, row.uses) for row in rows] == [(1, 1), (2, 1), (3, 1)]
    np.testing.assert_allclose(
        sum(row.term for row in rows).T, mr.vjp(h.sum(), CELLS["lstm of 2"].weight_hh)[2:4]
    )
    packed = mr.contributions(h.sum(), "weight_hh")
    assert [row.uses for row in packed] == [4, 4, 4]


def test_uses_outside_any_step_are_a_row_of_their_own():
    cell = mr.RNNCell(2, 2, seed=0)
    h = mr.unroll(cell, np.ones((2, 2)))[-1]
    W = cell.weight_hh
    y = (h @ W).sum() + (W * W).sum() * 0.5
    rows = mr.contributions(y, W)
    assert [row.step for row in rows] == [1, 2, None]
    np.testing.assert_allclose(sum(row.term for row in rows), mr.vjp(y, W), rtol=1e-12)
    assert "outside" in str(rows)
    only = mr.contributions((W * W).sum(), W)
    assert [row.step for row in only] == [None]
    np.testing.assert_allclose(only[0].term, 2 * W.numpy())


def test_no_path_no_rows_and_a_zero_total():
    W = mr.tensor([[1.0]], requires_grad=True)
    rows = mr.contributions(mr.tensor(2.0) * 3.0, W)
    assert rows == []
    assert rows.total == 0


def test_deep_terms_keep_their_size():
    h, _ = run(cells()["rnn"], 3_000, scale=0.1)
    rows = mr.contributions(h, "U")
    assert rows[0].term == 0
    assert -6_000 < rows[0].log10 < -1_000
    assert "10⁻" in str(rows).splitlines()[1]


def test_a_planted_defect_is_seen(monkeypatch):
    """Were the last step's uses forgotten, the terms would not sum to the gradient."""
    import microrecur.flows.contributions as room

    h, _ = run(CELLS["lstm"], 3)
    whole = room._term
    monkeypatch.setattr(
        room,
        "_term",
        lambda lines, back, W, uses, reached: whole(lines, back, W, uses[1:], reached),
    )
    rows = mr.contributions(h, CELLS["lstm"].weight_hh)
    total = mr.vjp(h, CELLS["lstm"].weight_hh)
    assert not np.allclose(sum(row.term for row in rows), total, rtol=1e-6)


# -- truncation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 6, 9])
def test_a_truncated_gradient_is_that_of_a_detached_state(k):
    """The same sequence run with the state detached before every k-th step from the end."""
    cell = mr.LSTMCell(2, 3, seed=3)
    numbers = np.random.default_rng(1)
    xs, steps = numbers.normal(size=(6, 2)), 6
    held = tuple(mr.tensor(v, requires_grad=True) for v in numbers.normal(size=(2, 3)))

    def loss(detached):
        state, total = held, 0.0
        for t, x in enumerate(xs, start=1):
            if detached and t > 1 and (steps + 1 - t) % k == 0:
                state = tuple(s.detach() for s in state)
            with mr.scope(f"t={t}"):
                state = cell(x, state)
            total = total + (state[0] * state[0]).sum()  # a loss at every step
        return total

    rows = mr.truncate(loss(False), k)
    parameters = [*held, *cell.parameters()]
    assert len(rows) == len(parameters)
    by_name = {row.leaf: row for row in rows}
    for leaf in cell.parameters():
        row = by_name[leaf.name]
        whole, kept = mr.vjp(loss(False), leaf), mr.vjp(loss(True), leaf)
        np.testing.assert_allclose(row.whole, whole, rtol=1e-11)
        np.testing.assert_allclose(row.gradient, kept, rtol=1e-11)
        assert row.lost == pytest.approx(1 - np.sum(kept * whole) / np.sum(whole**2), abs=1e-11)
        off = np.linalg.norm(kept - whole) / np.linalg.norm(whole)
        assert row.error == pytest.approx(off, abs=1e-12)
    first = by_name["t0.h"]
    np.testing.assert_allclose(first.gradient, mr.vjp(loss(True), held[0]), rtol=1e-11)
    assert rows.cuts == tuple(t for t in range(2, 7) if (7 - t) % k == 0)


def test_truncation_beyond_the_sequence_loses_nothing():
    h, _ = run(CELLS["gru of 2"], 4)
    rows = mr.truncate(h.sum(), 4)
    assert rows.cuts == ()
    assert {row.lost for row in rows} == {0.0}
    assert {row.error for row in rows} == {0.0}
    assert str(rows).splitlines()[0].split() == ["leaf", "‖truncated‖", "‖whole‖", "lost", "error"]


def test_a_state_that_is_cut_off_loses_all():
    h, (h0, _) = run(CELLS["lstm"], 4)
    row = {row.leaf: row for row in mr.truncate(h, 2)}["t0.h"]
    assert (row.gradient, row.lost, row.error, row.log10) == (0, 1, 1, -math.inf)
    assert row.whole == mr.vjp(h, h0)


@pytest.mark.parametrize(("k", "message"), [(0, "≥ 1"), (1.5, "whole number"), (2, "in no steps")])
def test_what_cannot_be_truncated_says_why(k, message):
    x = mr.tensor(1.0, requires_grad=True)
    with pytest.raises(ValueError, match=message):
        mr.truncate(x * x, k)
