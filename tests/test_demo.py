"""What `microrecur demo` prints and draws, beside numbers worked out by hand in numpy."""

import io
import math
import re

import numpy as np
import pytest
from rich.console import Console

from microrecur import demo as room
from microrecur.demo import demo, groups, introduction, moral, runs, side_by_side, window
from microrecur.flows.ledger import ledger
from microrecur.flows.tables import width
from microrecur.graphs.notation import number

NUMBER = re.compile(r"−?\d+\.?\d*(?:·10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")


@pytest.fixture(scope="module")
def data():
    return window()


@pytest.fixture(scope="module")
def shown(data):
    return runs(data)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What one run prints and writes."""
    folder = tmp_path_factory.mktemp("demo") / "not there yet"
    with pytest.MonkeyPatch.context() as patch:
        out = io.StringIO()
        patch.setattr("sys.stdout", out)
        patch.setenv("COLUMNS", "80")
        files = demo(str(folder))
    return out.getvalue(), files


# -- the numbers -----------------------------------------------------------------------------------


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


PHI = {
    "RNN (tanh)": (np.tanh, lambda h: 1 - h**2),
    "RNN (sigmoid)": (sigmoid, lambda h: h * (1 - h)),
}


def backpropagation_through_time(run, data):
    """∂L/∂h_t for t = 0 … T, and the slope of every step: the RNN written by hand."""
    phi, slope = PHI[run.name]
    W, U, b, c = (p.numpy().item() for p in run.cell.parameters())
    xs, y = data.scaled[:-1], data.scaled[-1]
    h = [0.0]
    for x in xs:
        h.append(phi(x * W + b + h[-1] * U + c))
    gradients = [2 * (h[-1] - y)]
    for t in range(len(xs), 0, -1):
        gradients.insert(0, gradients[0] * slope(h[t]) * U)
    return np.array(gradients), np.array([slope(v) for v in h[1:]]), U


@pytest.mark.parametrize("name", PHI)
def test_the_gradients_of_an_rnn_are_those_of_hand_written_bptt(data, shown, name):
    run = next(run for run in shown if run.name == name)
    gradients, slopes, U = backpropagation_through_time(run, data)
    ours = [run.gradient(t) for t in range(len(gradients))]
    np.testing.assert_allclose(ours, gradients, rtol=1e-12)
    entries = ledger(run.graph, run.path)
    ours = [entry.value for entry in entries if entry.symbol in ("tanh′", "σ′")]
    np.testing.assert_allclose(ours, slopes[::-1], rtol=1e-12)
    assert {entry.value for entry in entries if entry.symbol == "U"} == {U}


@pytest.mark.parametrize("name", PHI)
def test_the_printed_numbers_are_those_of_hand_written_bptt(data, shown, name):
    k = [run.name for run in shown].index(name)
    gradients, slopes, U = backpropagation_through_time(shown[k], data)
    expected = []
    for t in range(len(slopes), -1, -1):
        if t < len(slopes):
            expected += [number(slopes[t]), number(U)]
        expected += [number(gradients[t]), number(abs(gradients[t]))]  # one path: ∏ = ∂L/∂h
    (table, _legend) = side_by_side([shown[k]], 60)
    rows = [line[10:].replace("≤ 1", "").replace("≤ ¼", "") for line in table.plain.splitlines()]
    numbers = [found for row in rows[2:] for found in NUMBER.findall(row)]
    assert numbers == [number(gradients[-1]), *expected]


def forward(name, parameters, xs, h0):
    """h_T of an LSTM or GRU of one unit, c₀ = 0, by hand."""
    W, U, b, d = (p.numpy().ravel() for p in parameters)
    h, c = h0, 0.0
    for x in xs:
        if name == "LSTM":
            i, f, g, o = W * x + b + U * h + d
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            r, z = sigmoid((W * x + b + U * h + d)[:2])
            n = np.tanh(W[2] * x + b[2] + r * (U[2] * h + d[2]))
            h = (1 - z) * n + z * h
    return h


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_the_gradient_of_a_gated_cell_is_that_of_central_differences(data, shown, name):
    run = next(run for run in shown if run.name == name)

    def loss(h0):
        h = forward(name, run.cell.parameters(), data.scaled[:-1], h0)
        return (h - data.scaled[-1]) ** 2

    assert run.loss.item() == pytest.approx(loss(0.0), rel=1e-12)
    assert run.gradient(0) == pytest.approx((loss(1e-5) - loss(-1e-5)) / 2e-5, rel=1e-7)


def test_both_rnns_have_the_same_weights(shown):
    tanh, logistic = (run.cell.state_dict() for run in shown[:2])
    assert all(np.array_equal(tanh[name], logistic[name]) for name in tanh)


def test_the_ceilings_are_seen_at_work(shown):
    """No factor exceeds its bound, and σ′ shrinks the same path more than tanh′."""
    for run in shown:
        ratios = [e.ratio for e in ledger(run.graph, run.path) if e.ratio is not None]
        assert max(ratios) <= 1
    assert abs(shown[1].path.product) < 1e-2 * abs(shown[0].path.product)


def test_the_window_is_scaled_by_the_years_before_it(data):
    years, numbers = room.sunspots()
    before = numbers[years < data.years[0]]
    expected = (data.numbers - before[:250].mean()) / before[:250].std()
    assert (years[249], data.years[0], data.years[-1]) == (1949, 1951, 1957)
    np.testing.assert_allclose(data.scaled, expected, rtol=1e-12)


def test_the_step_that_is_drawn_is_the_last_one_of_the_run(data, shown):
    for run in shown:
        step = room.last_step(run, data)
        assert step.steps == (6,)
        assert step.find("t6.h").value == run.h(6).item()
        assert step.find("t5.h").value == run.h(5).item() != 0


# -- the table -------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120, 140, 160, 300])
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_no_line_is_longer_than_the_terminal(data, columns, seed):
    for table in side_by_side(runs(data, seed), columns):
        lines = table.plain.splitlines()
        assert max(map(width, lines)) <= max(columns, 40)
        assert lines == [line.rstrip() for line in lines]


def test_all_four_stand_side_by_side_at_80_columns(shown):
    tables = side_by_side(shown, 80)
    heading = tables[0].plain.splitlines()[0]
    assert re.split(r"\s{2,}", heading.strip()) == ["RNN (tanh)", "RNN (sigmoid)", "LSTM", "GRU"]
    assert len(tables) == 2  # the table, and what its symbols mean


def test_kinds_are_named_where_there_is_room(shown):
    wide, narrow = side_by_side(shown, 140)[0].plain, side_by_side(shown, 80)[0].plain
    for kind in ("squash slope", "gate slope", "gate value", "weight"):
        assert kind in wide
        assert kind not in narrow


def test_narrow_terminals_get_tables_below_each_other(shown):
    assert [table.plain.split("\n")[0].split()[0] for table in side_by_side(shown, 50)[:-1]] == [
        *("RNN", "LSTM")
    ]
    assert len(side_by_side(shown, 40)) == 5


def test_the_legend_tells_every_kind_on_a_path(shown):
    legend = side_by_side(shown, 80)[-1].plain
    kinds = {entry.kind for run in shown for entry in ledger(run.graph, run.path)}
    assert all(kind in legend for kind in kinds - {"other", "pass"})


def test_every_step_has_its_rows(shown):
    for run in shown:
        labels = [label for label, _ in groups(run)]
        assert labels[::3] == ["L", *(f"t = {t}" for t in range(6, 0, -1))]
        assert labels[1::3] == ["∏"] * 7
        assert labels[2::3] == [f"‖∂L/∂h{'₀₁₂₃₄₅₆'[t]}‖" for t in range(6, -1, -1)]


def test_lines_are_coloured_by_kind_in_a_terminal(shown):
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system="standard", width=80).print(
        side_by_side(shown, 80)[0], soft_wrap=True
    )
    coloured = [line for line in out.getvalue().splitlines() if "σ′" in line]
    assert all("\x1b[34mσ′" in line and "\x1b[32mtanh′" in line for line in coloured)


def test_the_sentences_hold_the_numbers(shown):
    tanh, logistic, lstm, gru = moral(shown).splitlines()
    assert tanh.startswith("RNN (tanh): 6 squash slopes, each ≤ 1, multiply to ")
    assert logistic.startswith("RNN (sigmoid): 6 gate slopes, each ≤ ¼, multiply to ")
    assert f"never more than {number(0.25**6)}" in logistic
    assert f"∏ is ∂L/∂h₀ = {number(shown[0].gradient(0))}, there being no other" in tanh
    assert "all 10,009 together" in lstm
    assert f"all {5**6:,} together are ∂L/∂h₀ = {number(shown[3].gradient(0))}." in gru


def test_a_product_is_called_a_gradient_only_where_it_is_one(shown):
    for run, sentence in zip(shown, moral(shown).splitlines()):
        alone = run.path.count == 1
        assert ("there being no other path" in sentence) == alone
        assert math.isclose(run.path.product, run.gradient(0), rel_tol=1e-9) == alone


# -- the whole -------------------------------------------------------------------------------------


def test_what_is_piped_is_plain_and_whole(printed):
    text, _ = printed
    assert "\x1b" not in text
    assert "…" not in text
    table = [line for line in text.splitlines() if not line.startswith("wrote")]
    assert max(map(width, table)) <= 80


def test_it_says_which_years_and_which_weights(data, printed):
    text = " ".join(printed[0].split())
    assert introduction(data, room.SEED) in text
    assert "1951–1956 (69, 32, 14, 4, 38, 142), to predict 1957 (190)" in text


def test_it_writes_the_pictures_and_lists_them(printed):
    text, files = printed
    names = [f"{c}_{what}{e}" for c in ("rnn", "lstm", "gru") for what in ("cell", "path")
             for e in (".svg", ".png")]  # fmt: skip
    assert [file.name for file in files] == names
    assert sorted(path.name for path in files[0].parent.iterdir()) == sorted(names)
    assert all(str(file) in text for file in files)
    for file in files:
        start = file.read_bytes()[:8]
        assert start[:4] == b"<svg" if file.suffix == ".svg" else start == b"\x89PNG\r\n\x1a\n"


def test_the_pictures_show_the_factors_of_the_table(printed, shown):
    _, files = printed
    svg = {file.stem: file.read_text(encoding="utf-8") for file in files if file.suffix == ".svg"}
    assert "one path among 10,009" in svg["lstm_path"]
    assert "the only path" in svg["rnn_path"]
    for run in (shown[0], shown[2], shown[3]):
        assert f"∏ = {number(run.path.product)}" in svg[f"{run.file}_path"]
    lstm = room.last_step(shown[2], window())
    for gate in "ifgo":
        (edge,) = lstm.into(f"t6.{gate}")
        assert f"= {number(edge.value)}" in svg["lstm_cell"]


def test_a_seed_gives_the_same_words_again(data):
    first, again = (side_by_side(runs(data, 7), 80)[0].plain for _ in range(2))
    assert first == again != side_by_side(runs(data, 8), 80)[0].plain
