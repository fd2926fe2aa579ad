"""The largest paths beside all of them, at scalar and tensor level, ties and signs included."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings

import microrecur as mr
from microrecur.flows.top import TopPath
from microrecur.flows.unit_paths import cheapest
from tests.flows.brute import (
    cells,
    every_tensor_path,
    every_way,
    hops_of,
    largest_first,
    run,
    summed,
)
from tests.flows.programs import programs

CELLS = cells()


def hops(path):
    return tuple((h.node, h.position, h.unit, h.source_unit) for h in reversed(path._hops))


def same_paths(found, ways):
    """The same paths in the same order, each with its contribution.

    Paths of 0 come last; which of them is not laid down, only that they are different ones.
    """
    contributions = [way.contribution for way in ways]
    np.testing.assert_allclose([p.contribution for p in found], contributions, rtol=1e-11, atol=0)
    something = [way for way in ways if way.contribution]
    expected = [tuple(hop[:4] for hop in way.hops) for way in something]
    assert [hops(path) for path in found[: len(something)]] == expected
    assert len({hops(path) for path in found}) == len(found)


def biggest(ways, k):
    return largest_first(ways, lambda way: abs(way.contribution))[:k]


# -- scalar level ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("k", [1, 5, 40])
def test_the_k_largest_are_those_of_all_written_out(name, k):
    h, held = run(CELLS[name], 2 if CELLS[name].hidden_size > 1 else 3)
    y = h if h.size == 1 else (h * np.array([1.0, -2.0, 0.5])[: h.size]).sum()
    for wrt in held:
        ways = every_way(y, wrt)
        found = mr.flow(y, wrt).top(k)
        same_paths(found, biggest(ways, k))
        assert found.exact
        assert found.missed_at_most is None


@pytest.mark.parametrize("name", ["lstm", "peephole", "gru of 2"])
def test_the_shares_of_all_paths_sum_to_one(name):
    h, (h0, *_) = run(CELLS[name], 2)
    flow = mr.flow(h if h.size == 1 else h.sum(), h0)
    for level in ("scalar", "tensor"):
        every = flow.top(100_000, level=level)
        assert sum(path.share for path in every) == pytest.approx(1, abs=1e-12)
        assert every.exact
    assert len(every) == flow.count
    g = flow.gradient
    for path in flow.top(100_000, level="tensor"):
        assert path.share == pytest.approx(np.sum(path.contribution * g) / np.sum(g * g))


def test_weights_and_batches_and_seeds():
    h, (h0, c0) = run(CELLS["lstm of 2"], 1, batch=2)
    seed = np.array([[1.0, 0.0], [-3.0, 0.25]])
    for wrt in (h0, c0, CELLS["lstm of 2"].weight_hh, CELLS["lstm of 2"].bias_ih):
        flow = mr.flow(h, wrt, seed)
        ways = every_way(h, wrt, seed)
        same_paths(flow.top(10), biggest(ways, 10))
        total = sum(path.share for path in flow.top(len(ways) + 1))
        assert total == pytest.approx(1, abs=1e-12)


def test_an_entry_of_y_is_chosen():
    h, (h0, _) = run(CELLS["lstm of 2"], 2)
    flow = mr.flow(h, h0, seed=[1.0, 1.0])
    chosen = np.array([0.0, 1.0])
    same_paths(flow.top(4, entry=1), biggest(every_way(h, h0, chosen), 4))
    same_paths(flow.top(4, entry=(1,)), biggest(every_way(h, h0, chosen), 4))
    same_paths(flow.top(4, seed=[2.0, -1.0]), biggest(every_way(h, h0, [2.0, -1.0]), 4))
    total = sum(path.share for path in flow.top(10_000, entry=1))
    assert total == pytest.approx(1, abs=1e-12)  # of that entry's gradient
    assert {path.entries[0] for path in flow.top(4, entry=1)} == {(1,)}
    with pytest.raises(IndexError, match=r"shape \(2,\): it has no entry 2"):
        flow.top(1, entry=2)
    with pytest.raises(ValueError, match="entry= or seed=, not both"):
        flow.top(1, entry=1, seed=[1.0, 1.0])
    two, wrt = run(CELLS["lstm of 2"], 1, batch=2)
    with pytest.raises(IndexError, match="is not one number"):
        mr.flow(two, wrt[0], np.ones((2, 2))).top(1, entry=0)


def test_ties_stand_in_graph_order():
    x = mr.tensor([1.0, 1.0, 1.0])
    W = mr.tensor(np.array([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]))
    y = ((x @ W) * 2.0 + (x @ W) * -2.0).sum()
    ways = every_way(y, x)
    flow = mr.flow(y, x)
    for k in (1, 3, 5, len(ways), len(ways) + 3):
        same_paths(flow.top(k), ways[:k])
    signs = [math.copysign(1, path.contribution) for path in flow.top(12)]
    assert signs == [math.copysign(1, way.contribution) for way in ways]
    assert -1 in signs


def test_almost_equal_products_are_ties_and_others_are_not():
    x = mr.tensor(1.0)
    y = x * 2.0 + x * (2.0 * (1 + 1e-11)) + x * (2.0 * (1 + 1e-6))
    first, second, third = mr.flow(y, x).top(3)
    assert first.contribution == 2.0 * (1 + 1e-6)
    assert (second.contribution, third.contribution) == (2.0, 2.0 * (1 + 1e-11))


def test_paths_of_nothing_come_last_and_count():
    x = mr.tensor([2.0, 3.0])
    y = (x * np.array([0.0, 1.0])).sum() + (mr.relu(-x) * 5.0).sum()
    ways = every_way(y, x)
    found = mr.flow(y, x).top(10)
    assert len(found) == 4
    same_paths(found, biggest(ways, 10))
    assert [path.log10 for path in found] == [0, -math.inf, -math.inf, -math.inf]


def test_what_an_op_does_not_connect_is_no_path():
    x = mr.tensor([1.0, 2.0, 3.0])
    y = x[0] * x[2]
    assert [path.entries[-1] for path in mr.flow(y, x).top(10)] == [(0,), (2,)]


def test_k_larger_than_the_number_of_paths_gives_them_all():
    h, (h0, _) = run(CELLS["lstm"], 2)
    flow = mr.flow(h, h0)
    assert len(flow.top(10_000)) == len(flow.top(10_000, level="tensor")) == flow.count == 19


@settings(max_examples=150)
@given(programs())
def test_any_program_beside_brute_force(program):
    y, wrt = program
    ways = every_way(y, wrt)
    assume(len(ways) < 3000)
    flow = mr.flow(y, wrt)
    np.testing.assert_allclose(flow.gradient, summed(ways, wrt), rtol=1e-9, atol=1e-12)
    gross = summed(ways, wrt, lambda way: abs(way.contribution))
    np.testing.assert_allclose(flow.gross, gross, rtol=1e-9, atol=1e-15)
    assert flow.count == len(every_tensor_path(y, wrt)) or not differentiable_all_along(y)
    for k in (1, 3, 50):
        same_paths(flow.top(k), biggest(ways, k))


def differentiable_all_along(y):
    return all(node.tensor.op is None or node.op != "where" for node in mr.graph(y).nodes)


# -- tensor level ----------------------------------------------------------------------------------


def contributions(y, wrt, paths):
    """What each tensor path contributes at wrt: matrices of slopes multiplied, path by path."""
    found = []
    for path in paths:
        total = np.ones(1)
        for node, k in reversed(path):
            matrix = np.zeros((node.size, node.inputs[k].size))
            for unit, source_unit, slope in hops_of(node, k):
                matrix[unit, source_unit] += slope
            total = total @ matrix
        found.append(total.reshape(wrt.shape))
    return found


@pytest.mark.parametrize("name", CELLS)
def test_the_k_largest_tensor_paths_are_those_of_all_written_out(name):
    h, held = run(CELLS[name], 2)
    y = h if h.size == 1 else h.sum()
    for wrt in held:
        paths = every_tensor_path(y, wrt)
        values = dict(zip(paths, contributions(y, wrt, paths)))
        flow = mr.flow(y, wrt)
        for k in (1, 4, len(paths)):
            expected = largest_first(paths, lambda path: np.linalg.norm(values[path]))[:k]  # noqa: B023
            found = flow.top(k, level="tensor")
            assert [tuple((h.node, h.position) for h in reversed(p._hops)) for p in found] == (
                expected
            )
            for path, best in zip(found, expected):
                np.testing.assert_allclose(path.contribution, values[best], rtol=1e-11, atol=1e-16)
            assert found.exact


def test_tensor_ties_stand_in_graph_order():
    x = mr.tensor([1.0, -1.0])
    y = x.sum() * 2.0 - 2.0 * x.sum() + (x * 2.0).sum()
    found = mr.flow(y, x).top(3, level="tensor")
    paths = every_tensor_path(y, x)
    assert [tuple((h.node, h.position) for h in reversed(p._hops)) for p in found] == paths
    assert [path.contribution.tolist() for path in found] == [[2, 2], [-2, -2], [2, 2]]


@settings(max_examples=60)
@given(programs())
def test_tensor_paths_of_any_program(program):
    y, wrt = program
    assume(differentiable_all_along(y))
    paths = every_tensor_path(y, wrt)
    assume(len(paths) < 200)
    sizes = sorted((float(np.linalg.norm(c)) for c in contributions(y, wrt, paths)), reverse=True)
    for k in (1, 5):
        found = mr.flow(y, wrt).top(k, level="tensor")
        norms = [np.linalg.norm(path.contribution) for path in found]
        np.testing.assert_allclose(norms, sizes[:k], rtol=1e-8, atol=1e-14)
        assert found.exact


def test_a_budget_that_ends_the_search_is_told():
    h, (h0, _) = run(CELLS["lstm of 2"], 6)
    flow = mr.flow(h.sum(), h0)
    short = flow.top(3, level="tensor", budget=20)
    assert len(short) == 3
    assert not short.exact
    assert short.missed_at_most > 0
    assert short.log10_missed_at_most == pytest.approx(math.log10(short.missed_at_most))
    assert "the budget ended the search: a path not found is at most" in str(short)
    whole = flow.top(3, level="tensor", budget=1_000_000)
    assert whole.exact
    assert whole.missed_at_most is None
    assert "budget" not in str(whole)
    found = {hops(path) for path in short}
    missed = [p for p in whole if hops(p) not in found]
    assert all(np.linalg.norm(p.contribution) <= short.missed_at_most for p in missed)


def test_a_spent_budget_still_shows_paths_and_what_they_may_miss():
    h, (h0, _) = run(mr.LSTMCell(8, 8, seed=0), 40)
    found = mr.flow(h.sum(), h0).top(4, level="tensor", budget=50)
    assert len({hops(path) for path in found}) == 4
    norms = [np.linalg.norm(path.contribution) for path in found]
    assert norms == sorted(norms, reverse=True)
    assert found.missed_at_most >= norms[0]


def test_a_scalar_cell_is_exact_within_the_usual_budget():
    h, (h0, _) = run(CELLS["lstm"], 300)
    flow = mr.flow(h, h0)
    scalar, tensor = flow.top(3), flow.top(3, level="tensor")
    assert tensor.exact
    assert [hops(p)[0][:2] for p in scalar] == [hops(p)[0][:2] for p in tensor]
    np.testing.assert_allclose([p.log10 for p in tensor], [p.log10 for p in scalar], rtol=1e-12)


# -- what a path tells -----------------------------------------------------------------------------


def test_a_path_tells_its_nodes_factors_and_product():
    cell = CELLS["lstm"]
    h, (h0, _) = run(cell, 2)
    for path in mr.flow(h, h0, seed=np.array(3.0)).top(19):
        assert isinstance(path, TopPath)
        assert (path.nodes[0], path.nodes[-1]) == ("t2.h", "t0.h")
        assert path.contribution == pytest.approx(3 * path.product, rel=1e-12)
        assert path.product == pytest.approx(math.prod(f.number for f in path.factors), rel=1e-12)
        assert all(f.bound is None or abs(f.number) <= f.bound for f in path.factors)
        assert set(path.entries) == {()}
    kinds = {factor.kind for factor in path.factors}
    assert kinds <= {"gate slope", "squash slope", "gate value", "memory value", "weight"}


def test_a_path_has_a_ledger():
    h, (h0, _) = run(CELLS["lstm of 2"], 2)
    flow = mr.flow(h.sum(), h0)
    (path,) = flow.top(1)
    rows = flow.ledger(path)
    assert flow.ledger()[-1] == rows[-1]
    assert rows[-1].running == pytest.approx(path.product, rel=1e-12)
    assert [row.kind for row in rows if row.kind == "weight"] == ["weight"] * 2 or len(rows) > 3
    tensor = flow.top(1, level="tensor")[0]
    assert flow.ledger(tensor)[-1].running == pytest.approx(tensor.product, rel=1e-12)


def test_a_table_of_paths_shows_and_converts():
    h, (h0,) = run(CELLS["gru of 2"], 12)
    found = mr.flow(h.sum(), h0).top(2)
    heading, first, _ = str(found).splitlines()
    assert heading.split() == ["contribution", "share", "path"]
    assert "…" in first
    assert "t0.h[" in first
    frame = pytest.importorskip("pandas").DataFrame(found)
    assert list(frame.columns) == ["contribution", "share", "log10", "way"]
    assert frame["contribution"][0] == found[0].contribution


@pytest.mark.parametrize(("k", "level", "error"), [(0, "scalar", "≥ 1"), (1, "op", "none of")])
def test_what_top_cannot_do(k, level, error):
    x = mr.tensor(1.0)
    with pytest.raises(ValueError, match=error):
        mr.flow(x * x, x).top(k, level=level)


# -- the choice itself -----------------------------------------------------------------------------


def test_the_cheapest_are_those_of_a_full_sort():
    costs = np.random.default_rng(0).integers(0, 6, size=(50, 40)) + 0.0
    for k in (1, 5, 39, 45):
        order = np.argsort(costs, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(cheapest(costs, k), order)
        noisy = costs + np.random.default_rng(1).uniform(0, 1e-12, costs.shape)
        np.testing.assert_array_equal(cheapest(noisy, k), order)


def test_a_planted_defect_is_seen(monkeypatch):
    """A choice that forgets ties, or keeps one too few, makes the comparison red."""
    import microrecur.flows.unit_paths as unit_paths

    h, (h0, _) = run(CELLS["lstm"], 3)
    ways = biggest(every_way(h, h0), 5)
    monkeypatch.setattr(
        unit_paths, "cheapest", lambda costs, k: np.argsort(costs, axis=1)[:, : max(k - 1, 1)]
    )
    with pytest.raises(AssertionError):
        same_paths(mr.flow(h, h0).top(5), ways)


def test_a_data_frame_says_which_path_each_row_is():
    h, (h0, _) = run(cells()["lstm"], 2)
    paths = mr.flow(h, h0).top(3)
    frame = pytest.importorskip("pandas").DataFrame(paths)
    assert list(frame.columns) == ["contribution", "share", "log10", "way"]
    assert list(frame["way"]) == [path.way for path in paths]
    assert frame["way"][0].startswith("t2.h → ")
    assert frame["way"][0].endswith(" → t0.h")
