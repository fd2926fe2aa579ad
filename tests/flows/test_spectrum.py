"""The classes of a spectrum beside all paths sorted by hand."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import assume, given, settings

import microrecur as mr
from microrecur.flows.rows import Rows
from tests.flows.brute import cells, every_tensor_path, every_way, run, summed
from tests.flows.programs import programs

CELLS = cells()
OPS = {"gate slope": ("sigmoid",), "squash slope": ("tanh", "relu")}


def crossed(way, kind):
    """How many factors of a kind a path of numbers has, told from the ops' names."""
    if kind != "weight":
        return sum(node.op.name in OPS[kind] for node, _ in way)
    others = [node.inputs[1 - k] for node, k in way if node.op.name in ("matmul", "mul")]
    return sum((other.name or " ")[0] in "UWp" for other in others)


def classes_of(y, wrt, kinds):
    """net, gross and count of each class, all paths written out."""
    ways, counts = defaultdict(list), defaultdict(int)
    for way in every_way(y, wrt):
        ways[tuple(crossed(way.edges, kind) for kind in kinds)].append(way)
    for path in every_tensor_path(y, wrt):
        counts[tuple(crossed(path, kind) for kind in kinds)] += 1
    return {
        n: (counts[n], summed(ways[n], wrt), summed(ways[n], wrt, lambda w: abs(w.contribution)))
        for n in sorted(counts)
    }


def compare(flow, rows, expected, tolerance=1e-11):
    places = [row.n if isinstance(row.n, tuple) else (row.n,) for row in rows]
    assert places == list(expected)
    square = np.sum(flow.gradient**2)
    for row, (count, net, gross) in zip(rows, expected.values()):
        assert row.count == count
        np.testing.assert_allclose(row.gross, gross, rtol=tolerance, atol=1e-15)
        assert np.max(np.abs(row.net - net)) <= tolerance * max(np.max(gross), 1e-12)
        if square > 1e-12:
            assert row.share == pytest.approx(np.sum(net * flow.gradient) / square, abs=1e-9)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(
    "by",
    [
        "gate slope",
        "squash slope",
        "weight",
        ("gate slope", "squash slope"),
        ("weight", "gate slope"),
    ],
)
def test_classes_are_those_of_all_paths_sorted_by_hand(name, by):
    h, held = run(CELLS[name], 2 if CELLS[name].hidden_size > 1 else 3)
    y = h if h.size == 1 else h.sum()
    for wrt in held:
        flow = mr.flow(y, wrt)
        rows = flow.spectrum(by)
        compare(flow, rows, classes_of(y, wrt, rows.by))


def test_batches_and_parameters():
    h, (h0, c0) = run(CELLS["lstm of 2"], 2, batch=2)
    seed = np.random.default_rng(2).normal(size=h.shape)
    y = (h * seed).sum()
    for wrt in (h0, c0, CELLS["lstm of 2"].weight_ih, CELLS["lstm of 2"].bias_hh):
        flow = mr.flow(y, wrt)
        rows = flow.spectrum()
        assert sum(row.count for row in rows) == flow.count
        compare(flow, rows, classes_of(y, wrt, rows.by))


@settings(max_examples=100)
@given(programs())
def test_any_program_beside_brute_force(program):
    y, wrt = program
    assume(all(node.op != "where" for node in mr.graph(y).nodes))
    assume(len(every_way(y, wrt)) < 3000)
    flow = mr.flow(y, wrt)
    for by in ("gate slope", ("squash slope", "gate slope")):
        rows = flow.spectrum(by)
        compare(flow, rows, classes_of(y, wrt, rows.by), 1e-9)


@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("name", ["lstm", "lstm of 2", "gru of 2"])
def test_rows_sum_to_the_totals(name, scale):
    h, (h0, *_) = run(cells()[name], 80, scale=scale)
    flow = mr.flow(h if h.size == 1 else h.sum(), h0)
    for by in ("gate slope", "squash slope", "weight", ("gate slope", "squash slope")):
        rows = flow.spectrum(by)
        assert sum(row.count for row in rows) == flow.count
        largest = max(np.max(np.abs(row.net)) for row in rows)
        off = np.max(np.abs(sum(row.net for row in rows) - flow.gradient))
        assert off <= 1e-12 * largest
        np.testing.assert_allclose(sum(row.gross for row in rows), flow.gross, rtol=1e-12)
        assert sum(row.share for row in rows) == pytest.approx(1, abs=1e-9 * largest_share(rows))


def largest_share(rows):
    return max(1.0, *(abs(row.share) for row in rows))


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_an_lstm_has_as_many_classes_of_two_kinds_as_the_theory_says(steps):
    h, (h0, _) = run(CELLS["lstm"], steps)
    rows = mr.flow(h, h0).spectrum(("gate slope", "squash slope"))
    assert len(rows) == (3 * steps**2 + steps + 2) / 2


def test_too_many_classes_say_how_many_there_would_be():
    h, (h0, _) = run(CELLS["lstm"], 120)
    with pytest.raises(ValueError, match="has 21,661 classes, more than 20,000; sort by one kind"):
        mr.flow(h, h0).spectrum(("gate slope", "squash slope"))


def test_counts_that_take_minutes_are_made_when_asked_for(monkeypatch):
    import microrecur.flows.spectrum as room

    h, (h0, _) = run(CELLS["lstm"], 6)
    whole = mr.flow(h, h0).spectrum()
    monkeypatch.setattr(room, "MOST_BITS", 10)
    rows = mr.flow(h, h0).spectrum()
    assert {row.count for row in rows} == {None}
    assert rows.counts() == {row.n: row.count for row in whole}
    assert [row.net for row in rows] == [row.net for row in whole]
    assert str(rows).splitlines()[1].split()[0] == "0"
    x = mr.tensor(1.0)
    assert mr.flow(h0 * 2.0, x).spectrum().counts() == {}


@pytest.mark.slow
def test_ten_thousand_steps_are_sorted_too():
    h, (h0,) = run(cells()["gru"], 10_000)
    flow = mr.flow(h, h0)
    rows = flow.spectrum()
    assert len(rows) == 10_001
    assert sum(row.share for row in rows) == pytest.approx(1, abs=1e-9 * largest_share(rows))
    logs = np.array([row.log10_gross for row in rows])
    assert np.log10(np.sum(10 ** (logs - logs.max()))) + logs.max() == pytest.approx(
        float(flow.log10_gross), abs=1e-6
    )


def test_deep_classes_keep_their_logarithms():
    h, (h0, _) = run(cells()["lstm"], 1_500)
    flow = mr.flow(h, h0)
    rows = flow.spectrum()
    assert flow.gradient == 0  # it left the range of float64
    shares = [row.share for row in rows]
    assert math.fsum(shares) == pytest.approx(1, abs=1e-12 * max(map(abs, shares)))
    best = max(rows, key=lambda row: row.share)
    assert best.log10_gross >= best.log10_net - 1e-9
    assert -2_000 < best.log10_net < -324
    assert "10⁻" in best.net_shown
    assert math.log10(sum(row.count for row in rows)) == pytest.approx(math.log10(flow.count))


def test_a_table_shows_and_converts():
    h, (h0, _) = run(CELLS["lstm of 2"], 4)
    rows = mr.flow(h.sum(), h0).spectrum()
    assert str(rows).splitlines()[0].split() == ["n", "paths", "net", "gross", "share"]
    frame = pytest.importorskip("pandas").DataFrame(rows)
    assert frame["count"].sum() == 436
    assert frame["share"].sum() == pytest.approx(1)


def test_a_kind_that_is_none_lists_them():
    x = mr.tensor(1.0)
    with pytest.raises(
        ValueError, match="'slope' is no kind of factor; there are gate slope, squash"
    ):
        mr.flow(mr.tanh(x), x).spectrum("slope")
    with pytest.raises(ValueError, match="by one kind or by two different ones"):
        mr.flow(mr.tanh(x), x).spectrum(("weight", "weight"))


def test_rows_far_below_the_largest_are_let_go_and_no_others():
    rows = Rows((3,), np.array([1e-250, 1.0, 1e250, 1e-250, 0.0])).rescaled()
    assert rows.low == (5,)
    assert rows.array.shape == (1,)
    kept = Rows((0,), np.array([1e-50, 1e100, 0.0, 1e-50])).rescaled()
    assert (kept.low, kept.array.shape) == ((0,), (4,))
    np.testing.assert_allclose(np.ldexp(kept.array, kept.exponent), [1e-50, 1e100, 0.0, 1e-50])
    assert Rows((2,), np.ones(2)).at((1,)) == 0


def test_a_planted_defect_is_seen(monkeypatch):
    """A sweep that forgets to move rows on past a slope makes the comparison red."""
    y, (h0, _) = run(CELLS["lstm"], 2)
    expected = classes_of(y, h0, ("gate slope",))
    monkeypatch.setattr(Rows, "moved", lambda self, by: self)
    flow = mr.flow(y, h0)
    with pytest.raises(AssertionError):
        compare(flow, flow.spectrum(), expected)
