"""Sweeps and scaled numbers: beside fractions worked out exactly, and with parts left out."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microrecur as mr
from microrecur.engine.primitive import Linear
from microrecur.flows.rows import pull_rows
from microrecur.flows.sweep import Linearised, Scaled
from microrecur.flows.tensor_paths import edge_norm
from microrecur.flows.unit_edges import coefficients, pattern
from tests.engine.test_table import CARDS, calls, moving
from tests.flows.brute import cells, every_way, run

mantissas = st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-3)
exponents = st.integers(-3000, 3000)


def exact(scaled):
    return Fraction(float(scaled.array)) * Fraction(2) ** scaled.exponent


def scaled(mantissa, exponent):
    return Scaled(np.asarray(mantissa), exponent)


# -- scaled numbers --------------------------------------------------------------------------------


@given(mantissas, exponents, mantissas, exponents)
def test_a_sum_is_that_of_fractions(a, m, b, n):
    one, other = scaled(a, m), scaled(b, n)
    total = exact(one) + exact(other)
    largest = max(abs(exact(one)), abs(exact(other)))
    assert abs(exact(one.plus(other)) - total) <= largest * Fraction(2) ** -52


@given(mantissas, exponents)
def test_rescaling_changes_no_number(a, m):
    once = scaled(a, m).rescaled()
    assert exact(once) == exact(scaled(a, m))
    far = scaled(a * 2.0**900, m).rescaled()
    assert exact(far) == exact(scaled(a, m + 900))
    assert not np.any(far.array) or 2.0**-200 < abs(far.array) < 2.0**200


@given(mantissas, exponents, mantissas, exponents)
def test_quotients_and_logarithms(a, m, b, n):
    one, other = scaled(a, m), scaled(b, n)
    if b and -1000 < m - n < 1000:
        quotient = Fraction(float(one.over(other)))
        expected = exact(one) / exact(other)
        assert abs(quotient - expected) <= abs(expected) * Fraction(2) ** -50
    if a:
        log = np.log2(abs(a)) + m
        assert one.log2() == pytest.approx(log, rel=1e-12, abs=1e-9)
        assert float(one.log10()) == pytest.approx(log * np.log10(2), rel=1e-12, abs=1e-9)


def test_values_leave_the_range_only_when_they_are_asked_for():
    far = scaled(1.5, 5000)
    assert far.value() == np.inf
    assert scaled(1.5, -5000).value() == 0
    assert scaled(0.0, 5000).plus(scaled(1.0, -5000)).log2() == -5000
    assert np.isnan(scaled(0.0, 3).over(scaled(0.0, 9)))
    assert scaled(1.0, 9000).over(scaled(1.0, -9000)) == np.inf
    assert np.isnan(scaled(np.nan, 0).rescaled().array)


# -- sweeps ----------------------------------------------------------------------------------------


def test_a_sweep_keeps_what_is_asked_for():
    h, (h0, c0) = run(cells()["lstm of 2"], 3)
    graph = mr.graph(h)
    middle = [graph.find(id).tensor for id in ("t2.c", "t1.f")]
    found = Linearised([h], [h0, c0]).sweep({h: Scaled(np.ones(2))}, keep=middle)
    assert set(found) == set(middle)
    for node in middle:
        np.testing.assert_allclose(found[node].value(), mr.vjp(h, node, np.ones(2)), rtol=1e-12)


def test_a_sweep_stops_where_it_is_told():
    h, (h0, _) = run(cells()["lstm"], 3)
    cut = mr.graph(h).find("t2.c").tensor
    lines = Linearised([h], [h0], stop=[cut])
    ways = [way for way in every_way(h, h0) if cut not in {hop.node for hop in way.hops}]
    total = lines.sweep({h: Scaled(np.ones(()))})[h0].value()
    assert total == pytest.approx(sum(way.contribution for way in ways), rel=1e-12)
    assert lines.count({h: 1})[h0] == len(ways)


@pytest.mark.parametrize("way", ["in the sweep", "in the graph"])
def test_edges_left_out_count_nothing(way):
    h, (h0,) = run(cells()["gru"], 2)
    node = mr.graph(h).find("t2.h").tensor
    cut = {(node, 1)}
    lines = Linearised([h], [h0], without=cut if way == "in the graph" else ())
    swept = lines.sweep({h: Scaled(np.ones(()))}, without=cut if way == "in the sweep" else ())
    ways = every_way(h, h0, without=cut)
    total = sum(way.contribution for way in ways)
    assert swept[h0].value() == pytest.approx(total, rel=1e-12)
    if way == "in the graph":
        assert lines.count({h: 1})[h0] == len(ways)


def test_several_roots_start_at_once():
    x = mr.tensor([1.0, 2.0])
    a, b = x * 3.0, (x * x).sum()
    lines = Linearised([a, b], [x])
    found = lines.sweep({a: Scaled(np.ones(2)), b: Scaled(np.array(10.0))})[x]
    assert found.value().tolist() == [23, 43]


def test_what_is_not_reached_is_not_there():
    x, other = mr.tensor(1.0), mr.tensor(2.0)
    y = x * 2.0
    lines = Linearised([y], [other])
    assert lines.sweep({y: Scaled(np.ones(()))}) == {}
    assert lines.count({y: 1}) == {}
    assert lines.nodes == []


# -- every card ------------------------------------------------------------------------------------


def edges_of_samples(card):
    """Each sample call of a card, recorded: (node, position, ∂node/∂input as a matrix)."""
    for operands, static in calls(card):
        node = card(*[mr.tensor(x) for x in operands], **static)
        for k in moving(card, operands):
            x = node.inputs[k]
            yield node, k, mr.jacobian(node, x).reshape(node.size, x.size)


def rows_of(node, k, pull):
    """The matrix again, pulled row by row."""
    rows = []
    for unit in range(node.size):
        g = np.zeros(node.size)
        g[unit] = 1.0
        rows.append(np.ravel(pull(node, k, g.reshape(node.shape))))
    return np.array(rows)


DIFFERENTIABLE = [card for card in CARDS if card.differentiable]


@pytest.mark.parametrize("card", DIFFERENTIABLE, ids=lambda card: card.name)
def test_every_card_pulls_signed_and_absolute(card):
    for node, k, matrix in edges_of_samples(card):
        lines = Linearised([node], [node.inputs[k]])
        np.testing.assert_allclose(rows_of(node, k, lines.pull), matrix, rtol=1e-6)
        np.testing.assert_allclose(rows_of(node, k, lines.pull_absolute), abs(matrix), rtol=1e-6)


@pytest.mark.parametrize("card", DIFFERENTIABLE, ids=lambda card: card.name)
def test_every_card_has_its_edges_from_number_to_number(card):
    for node, k, matrix in edges_of_samples(card):
        lines = Linearised([node], [node.inputs[k]])
        of = pattern((node, k))
        slopes = coefficients(lines, (node, k), of)
        outs = np.arange(node.size)[:, None] if of is None else of.outs
        there = np.ones(outs.shape, bool) if of is None or of.exists is None else of.exists
        made = np.zeros(matrix.shape)
        for j, column in zip(*np.nonzero(there)):
            made[outs[j, column], j] += slopes[j, column]
        np.testing.assert_allclose(made, matrix, rtol=1e-6)
        pairs = [(outs[j, c], j) for j, c in zip(*np.nonzero(there))]
        assert len(set(pairs)) == len(pairs)  # no edge twice


@pytest.mark.parametrize("card", DIFFERENTIABLE, ids=lambda card: card.name)
def test_every_card_pulls_many_rows_at_once(card):
    for node, k, matrix in edges_of_samples(card):
        lines = Linearised([node], [node.inputs[k]])
        g = np.random.default_rng(0).normal(size=(3, node.size))
        for absolute in (False, True):
            rows = pull_rows(lines, (node, k), g.reshape(3, *node.shape), absolute)
            assert rows.shape == (3, *node.inputs[k].shape)
            expected = g @ (abs(matrix) if absolute else matrix)
            np.testing.assert_allclose(rows.reshape(3, -1), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("card", DIFFERENTIABLE, ids=lambda card: card.name)
def test_the_norm_of_an_edge_is_never_below_the_true_one(card):
    for node, k, matrix in edges_of_samples(card):
        norm = edge_norm(Linearised([node], [node.inputs[k]]), (node, k), {})
        true = np.linalg.norm(matrix, 2)
        assert norm >= true * (1 - 1e-6)
        if card.name != "matmul":
            assert norm == pytest.approx(true, rel=1e-6)


def test_a_linear_card_with_coefficients_below_zero_would_be_seen():
    """What `pull_absolute` takes for granted of linear ops holds for all there are."""
    for card in CARDS:
        if isinstance(card, Linear) and card.jointly:
            for _, _, matrix in edges_of_samples(card):
                assert matrix.min(initial=0) >= 0, card.name
