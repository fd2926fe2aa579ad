"""The classes of a spectrum beside all paths sorted by hand."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import assume, given, settings

import microrecur as mr
from microrecur.flows.rows import Rows
from microrecur.flows.top import percent
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
    assert rows.cancels  # classes 10¹⁶ times the gradient and more
    assert all(math.isnan(row.share) for row in rows)
    assert all(math.isfinite(row.log10_gross) for row in rows)
    logs = np.array([row.log10_gross for row in rows])
    assert np.log10(np.sum(10 ** (logs - logs.max()))) + logs.max() == pytest.approx(
        float(flow.log10_gross), abs=1e-6
    )


def test_deep_classes_keep_their_logarithms():
    h, (h0, _) = run(mr.LSTMCell(1, 1, seed=0), 1_500)
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


def grid(*numbers, low=0, exponent=0):
    return Rows((low,), np.array(numbers), np.full(len(numbers), exponent))


def logs(rows):
    with np.errstate(divide="ignore"):
        return np.log2(np.abs(rows.array)) + rows.exponent


def test_each_class_keeps_its_own_power_of_two():
    rows = grid(1e-250, 1.0, 1e250, 0.0, low=3).rescaled()
    assert rows.low == (3,)
    np.testing.assert_allclose(logs(rows)[:3], np.log2([1e-250, 1.0, 1e250]), rtol=1e-15)
    assert np.max(np.abs(rows.array)) < 2.0**400
    deep = rows
    for _ in range(40):
        deep = deep._replace(array=deep.array * [1e-60, 1.0, 1e40, 1.0]).rescaled()
    wanted = np.array([-250 - 40 * 60, 0, 250 + 40 * 40]) * np.log2(10)
    np.testing.assert_allclose(logs(deep)[:3], wanted, rtol=1e-13)
    both = deep.plus(rows.moved((1,)))  # classes 3 to 7, where they overlap the larger tells
    np.testing.assert_allclose(
        logs(both)[[0, 1, 2, 4]], [wanted[0], 0, wanted[2], -np.inf], rtol=1e-13
    )
    assert logs(both)[3] == pytest.approx(250 * np.log2(10))
    assert rows.at((2,)).value() == rows.at((6,)).value() == both.at((7,)).value() == 0


def test_a_class_of_zeros_hides_none_that_is_small():
    zero, small = grid(0.0, 1.0, exponent=3000), grid(1.0, 1.0, exponent=-3000)
    for total in (zero.plus(small), small.plus(zero)):
        np.testing.assert_array_equal(logs(total), [-3000, 3000])


def sizes_by_hand(cell, xs, h, c):
    """log₁₀ gross of each class of h_T back to h₀: a sum of logarithms, one per class."""
    Wx, Wh = cell.weight_ih.numpy().ravel(), cell.weight_hh.numpy().ravel()
    b = (cell.bias_ih.numpy() + cell.bias_hh.numpy()).ravel()
    steps = []
    for x in xs:
        z = Wx * x + Wh * h + b
        i, f, o = 1 / (1 + np.exp(-z[[0, 1, 3]]))
        g, before = np.tanh(z[2]), c
        c = f * c + i * g
        t = np.tanh(c)
        h = o * t
        sloped = abs(g * i * (1 - i) * Wh[0]) + abs(before * f * (1 - f) * Wh[1])
        through_o = abs(t * o * (1 - o) * Wh[3])
        steps.append(np.log([sloped, abs(i * (1 - g * g) * Wh[2]), f, through_o, o * (1 - t * t)]))
    at_h, at_c = np.full(len(xs) + 1, -np.inf), np.full(len(xs) + 1, -np.inf)
    at_h[0] = 0.0

    def further(a):
        return np.concatenate([[-np.inf], a[:-1]])

    for sloped, through_g, f, through_o, into_c in reversed(steps):
        both = np.logaddexp(at_c, at_h + into_c)
        slopes = np.logaddexp(further(both) + sloped, further(at_h) + through_o)
        at_h, at_c = np.logaddexp(slopes, both + through_g), both + f
    return at_h / math.log(10)


@pytest.mark.parametrize("scale", [1.0, 0.1, 4.0])
def test_every_row_is_right_however_far_below_the_largest(scale):
    cell, xs = mr.LSTMCell(1, 1, seed=0), np.random.default_rng(0).normal(size=1000)
    cell.weight_hh.assign(cell.weight_hh.numpy() * scale)
    h = mr.unroll(cell, list(xs), (mr.tensor(0.3), mr.tensor(-0.1)))[-1][0]
    rows = mr.flow(h, "h0").spectrum()
    assert len(rows) == 1001
    wanted = sizes_by_hand(cell, xs, 0.3, -0.1)
    np.testing.assert_allclose([row.log10_gross for row in rows], wanted, rtol=0, atol=1e-9)
    assert all(row.log10_net <= row.log10_gross + 1e-9 for row in rows)
    assert all(row.gross_shown != "0" for row in rows)


def test_no_class_has_a_net_above_its_gross():
    h, (h0, _) = run(cells()["lstm of 2"], 600, scale=4.0)
    for row in mr.flow(h.sum(), h0).spectrum():
        assert row.log10_net <= row.log10_gross + 1e-6


def test_shares_that_cancel_below_rounding_are_none_and_say_so():
    x = mr.tensor(1.0)
    s = mr.sigmoid(x) * 1e20
    calm = mr.flow(s - x, x).spectrum()
    assert not calm.cancels
    assert sum(row.share for row in calm) == pytest.approx(1)
    h, (h0, _) = run(cells()["lstm"], 600)
    rows = mr.flow(h, h0).spectrum()
    largest = max(row.log10_net for row in rows)
    assert largest - 15 > rows.flow.net.log2() * math.log10(2)
    assert rows.cancels
    assert all(math.isnan(row.share) for row in rows)
    for text in (str(rows), repr(rows), rows._repr_html_()):
        assert "nan" not in text
        assert text.count("no shares: the classes cancel, the largest ≈ 10") == 1
    assert "no shares" not in str(calm) + calm._repr_html_()


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (9.99, "999.0%"),
        (237.63, "2.4·10²"),
        (-2e39, "−2.0·10³⁹"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
        (0.0, "0.0%"),
        (1e-5, "1.0·10⁻⁵"),
    ],
)
def test_shares_read_well_at_any_size(share, text):
    assert percent(share) == text


def test_a_planted_defect_is_seen(monkeypatch):
    """A sweep that forgets to move rows on past a slope makes the comparison red."""
    y, (h0, _) = run(CELLS["lstm"], 2)
    expected = classes_of(y, h0, ("gate slope",))
    monkeypatch.setattr(Rows, "moved", lambda self, by: self)
    flow = mr.flow(y, h0)
    with pytest.raises(AssertionError):
        compare(flow, flow.spectrum(), expected)
