"""Printed formulas, read back by a parser that sees only a string and its symbols' numbers."""

import dataclasses
import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import microrecur as mr
from microrecur.engine import kernels, ops
from microrecur.engine.tracing import same_numbers
from microrecur.flows.paths import strongest_path
from microrecur.graphs.symbols import escaped
from microrecur.nn.cells import Cell
from tests.engine.test_table import CARDS, calls, moving, named

_SPEC = importlib.util.spec_from_file_location(
    "latex_parser", Path(__file__).with_name("latex_parser.py")
)
parser = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(parser)
evaluate, solve, sides_of = parser.evaluate, parser.solve, parser.sides_of

RNG = np.random.default_rng(7)


class MinimalGatedUnit(Cell):
    """A learner's cell: f = σ(…), g = tanh(… (f ⊙ h) …), h = (1 − f) ⊙ h + f ⊙ g."""

    gates = ("f", "g")

    def step(self, x, h):
        W, U, b_ih, b_hh = self._weights(x)
        with mr.scope("forget gate"):
            f = mr.sigmoid((x @ W.f + b_ih.f + h @ U.f + b_hh.f).named("z_f")).named("f")
        with mr.scope("candidate"):
            g = mr.tanh((x @ W.g + b_ih.g + (f * h) @ U.g + b_hh.g).named("z_g")).named("g")
        with mr.scope("hidden state"):
            return ((1 - f) * h + f * g).named("h")


class CoupledLSTM(Cell):
    """An LSTM whose input gate is 1 − f, bare of biases and of named pre-activations."""

    gates = ("f", "g", "o")
    states = ("h", "c")

    def step(self, x, h, c):
        W, U, _, _ = self._weights(x)
        with mr.scope("forget gate"):
            f = mr.sigmoid(x @ W.f + h @ U.f).named("f")
        with mr.scope("candidate"):
            g = mr.tanh(x @ W.g + h @ U.g).named("g")
        with mr.scope("output gate"):
            o = mr.sigmoid(x @ W.o + h @ U.o).named("o")
        with mr.scope("cell state"):
            c = (f * c + (1 - f) * g).named("c")
        with mr.scope("hidden state"):
            return (o * mr.tanh(c)).named("h"), c


CELLS = {
    "rnn": lambda i, n: mr.RNNCell(i, n, seed=1),
    "sigmoid rnn": lambda i, n: mr.RNNCell(i, n, nonlinearity="sigmoid", seed=1),
    "relu rnn": lambda i, n: mr.RNNCell(i, n, nonlinearity="relu", seed=1),
    "lstm": lambda i, n: mr.LSTMCell(i, n, seed=2),
    "peephole": lambda i, n: mr.LSTMCell(i, n, peephole=True, seed=3),
    "no bias": lambda i, n: mr.LSTMCell(i, n, bias=False, seed=3),
    "gru": lambda i, n: mr.GRUCell(i, n, seed=4),
    "reset before": lambda i, n: mr.GRUCell(i, n, reset_after=False, seed=5),
    "minimal gated unit": lambda i, n: MinimalGatedUnit(i, n, seed=6),
    "coupled": lambda i, n: CoupledLSTM(i, n, seed=7),
}
every_cell = pytest.mark.parametrize("kind", CELLS)

# (shape of x without its features, one-number cell)
SHAPES = {"vector": (), "one row": (1,), "batch": (3,), "number": None}
every_shape = pytest.mark.parametrize("shape", SHAPES)


def run(kind, shape="vector", steps=1):
    """Unroll from states that are not zero: (those states, [the states after each step])."""
    lead = SHAPES[shape]
    cell = CELLS[kind](3, 4) if lead is not None else CELLS[kind](1, 1)
    size = (*lead, 4) if lead is not None else ()
    start = tuple(mr.tensor(RNG.uniform(-0.9, 0.9, size), requires_grad=True) for _ in cell.states)
    xs = RNG.uniform(-2, 2, (steps, *lead, 3) if lead is not None else (steps,))
    states = mr.unroll(cell, xs, start if len(start) > 1 else start[0])
    return start, [s if isinstance(s, tuple) else (s,) for s in states]


def numbers_of(y, t):
    """The numbers of every named record under its textbook symbol, written down independently."""
    names = {}
    for record in mr.graph(y).nodes:
        if record.name is None:
            continue
        letter, _, marks = record.name.partition("_")
        *above, below = marks.split("_") if marks else [""]
        step = "" if record.step is None else f"t{record.step - t:+d}" if record.step != t else "t"
        scripts = ",".join(part for part in (below, step) if part)
        braced = scripts if len(scripts) == 1 else f"{{{scripts}}}"
        text = letter + (f"^{{{above[0]}}}" if above else "") + (f"_{braced}" if scripts else "")
        names[text] = record.tensor.data
    return names


def row_of(names, n, rows):
    """What one row of a batch sees: its row of everything that has rows."""
    return {k: v[n] if v.ndim and len(v) == rows and v.ndim == 2 else v for k, v in names.items()}


def named_tensor(array, name):
    return mr.tensor(array, requires_grad=np.asarray(array).dtype.kind == "f").named(name)


# -- forward ---------------------------------------------------------------------------------------


def test_an_lstm_step_is_the_textbooks():
    cell = mr.LSTMCell(3, 4, bias=False, seed=0)
    assert str(mr.latex(cell)).split("\n") == [
        r"\begin{aligned}",
        r"i_t &= \sigma(x_t W_i + h_{t-1} U_i) \\",
        r"f_t &= \sigma(x_t W_f + h_{t-1} U_f) \\",
        r"g_t &= \tanh(x_t W_g + h_{t-1} U_g) \\",
        r"o_t &= \sigma(x_t W_o + h_{t-1} U_o) \\",
        r"c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\",
        r"h_t &= o_t \odot \tanh(c_t)",
        r"\end{aligned}",
    ]


@pytest.mark.parametrize(
    ("after", "candidate"),
    [
        (True, r"n_t &= \tanh(x_t W_n + b^{ih}_n + r_t \odot m_t) \\"),
        (False, r"n_t &= \tanh(x_t W_n + b^{ih}_n + (r_t \odot h_{t-1}) U_n + b^{hh}_n) \\"),
    ],
)
def test_a_gru_step_says_where_it_resets(after, candidate):
    lines = str(mr.latex(mr.GRUCell(3, 4, reset_after=after))).split("\n")
    assert lines[-3:-1] == [candidate, r"h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}"]
    assert lines[3:-3] == ([r"m_t &= h_{t-1} U_n + b^{hh}_n \\"] if after else [])


@every_cell
@every_shape
def test_a_derivative_speaks_of_nothing_that_the_step_does_not_define(kind, shape):
    _, states = run(kind, shape, steps=2)
    defined = {left for left, *_ in map(sides_of, parser.lines_of(str(mr.latex(states[-1]))))}
    spoken = set()
    for y in states[-1]:
        known = [n for n in mr.graph(y).nodes if n.op is None or n.role == "parameter"]
        for x in [*states[0], *(n.tensor for n in known if n.name and n.step in (2, None))]:
            try:
                symbols = mr.latex(y).derivative(x).symbols
            except ValueError as refusal:
                assert "does not depend" in str(refusal)
                continue
            step_2 = {r for r in symbols.values() if "t=2" in r.scope and r.op is not None}
            spoken |= {text for text, record in symbols.items() if record in step_2}
    assert spoken and spoken <= defined


def test_a_peephole_gate_comes_after_the_state_it_sees():
    lines = str(mr.latex(mr.LSTMCell(3, 4, bias=False, peephole=True))).split("\n")
    assert [line[0] for line in lines[1:-1]] == list("ifgcoh")
    assert lines[5] == r"o_t &= \sigma(x_t W_o + h_{t-1} U_o + p_o \odot c_t) \\"


@every_cell
@every_shape
def test_every_line_of_a_step_gives_the_recorded_numbers(kind, shape):
    _, states = run(kind, shape, steps=2)
    y = states[-1]
    names = numbers_of(y, 2)
    lines = solve(str(mr.latex(y)), names)
    assert len(lines) >= len(y)
    for left, value in lines:
        np.testing.assert_allclose(value, names[left], rtol=1e-12, atol=1e-14)


@every_cell
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_deeper_formula_gives_the_same_numbers(kind, depth):
    _, states = run(kind, steps=2)
    h = states[-1][0]
    ((left, value),) = solve(str(mr.latex(h, depth=depth)), numbers_of(h, 2))
    assert left == "h_t"
    np.testing.assert_allclose(value, h.data, rtol=1e-12)


def test_depth_counts_layers_of_names():
    _, ((h, c),) = run("no bias")
    assert str(mr.latex(h, depth=0)) == "h_t"
    assert str(mr.latex(c, depth=1)) == r"c_t = f_t \odot c_{t-1} + i_t \odot g_t"
    assert r"\sigma(x_t W_f + h_{t-1} U_f) \odot c_{t-1}" in str(mr.latex(c, depth=2))


def test_steps_are_counted_from_the_records_own_or_numbered():
    _, states = run("lstm", steps=3)
    c = states[-1][1]
    assert str(mr.latex(c, 1, steps="numbers")) == r"c_3 = f_3 \odot c_2 + i_3 \odot g_3"
    assert str(mr.latex(states[0][1], 1)) == r"c_t = f_t \odot c_{t-1} + i_t \odot g_t"
    loss = (states[-1][0] ** 2).sum().named("L")
    assert str(mr.latex(loss)) == r"L = \sum h_T^2"


def test_numbers_of_the_run_follow_the_symbols():
    _, states = run("lstm", "number", steps=2)
    y = states[-1]
    names = numbers_of(y, 2)
    for left, symbols, in_numbers, result in solve(str(mr.latex(y, numbers=True)), names):
        np.testing.assert_allclose(symbols, names[left])
        np.testing.assert_allclose([in_numbers, result], symbols, atol=0.02)


def test_shapes_are_said_in_a_last_line():
    _, ((_, c),) = run("no bias")
    text = str(mr.latex(c, depth=1, shapes=True))
    assert text.endswith("& c_t, f_t, c_{t-1}, i_t, g_t \\in \\mathbb{R}^{4}\n\\end{aligned}")


def test_without_a_name_the_formula_stands_alone():
    a, b = named_tensor(2.0, "a"), named_tensor(3.0, "b")
    assert str(mr.latex((a + b) * (a - (b - 1)) / a)) == r"\frac{(a + b) \odot (a - (b - 1))}{a}"
    assert str(mr.latex(-a * (-b) + 2 * a**2)) == r"a \odot b + 2 \cdot a^2"
    assert str(mr.latex(0 - a)) == "0 - a"
    assert str(mr.latex(mr.log1p(-named_tensor(0.5, "u")))) == r"\log(1 + (-u))"
    assert str(mr.latex(mr.matmul(a, 2.0))) == "a (2)"
    assert str(mr.latex(named_tensor(1.0, "b_ih_f") ** 2)) == "(b^{ih}_f)^2"
    assert str(mr.latex(mr.exp(a) ** 2)) == "(e^a)^2"
    assert str(mr.latex(a)) == "a"


def test_a_notebook_gets_display_mathematics_and_a_terminal_the_source():
    formula = mr.latex((named_tensor(2.0, "a") + 1).named("y"))
    assert formula._repr_latex_() == r"$\displaystyle y = a + 1$"
    assert repr(formula) == "<Latex y = a + 1>"
    assert list(formula.symbols) == ["y", "a"]


# -- the table -------------------------------------------------------------------------------------


@named(CARDS)
def test_every_card_prints_what_it_computes(card):
    for arrays, static in calls(card):
        y = card(*map(named_tensor, arrays, "abcd"), **static)
        value = evaluate(str(mr.latex(y)), dict(zip("abcd", arrays, strict=False)))
        assert value.shape == y.shape
        np.testing.assert_allclose(
            value.astype(float), y.data.astype(float), rtol=1e-9, atol=1e-12, err_msg=str(y)
        )


@named(CARDS)
def test_every_cards_derivative_prints_what_it_computes(card):
    for arrays, static in calls(card):
        for k in moving(card, arrays):
            leaves = list(map(named_tensor, arrays, "abcd"))
            y = card(*leaves, **static).named("y")
            check_derivative(y, leaves[k])


@pytest.mark.parametrize("latex", [r"\operatorname{sine}(#1)", r"\sine(#1)", r"\sin(#1)"])
def test_a_card_of_ones_own_is_read_back_by_its_name(latex, monkeypatch):
    card = dataclasses.replace(ops.sin, name="sine", latex=latex)
    monkeypatch.setitem(ops.TABLE, "sine", card)
    test_every_card_prints_what_it_computes(card)
    test_every_cards_derivative_prints_what_it_computes(card)
    with pytest.raises(AssertionError, match="no reader knows cosine: write it in latex_parser"):
        evaluate(r"\operatorname{cosine}(a)", {"a": 1.0})


def test_places_that_are_operands_stand_in_the_brackets():
    x, k = named_tensor(np.arange(12.0).reshape(3, 4), "x"), named_tensor([2, 0], "k")
    both = ops.gather(x, k, k, index=(kernels.PLACE, kernels.PLACE)).named("y")
    assert str(mr.latex(both)) == "y = x[k, k]"
    right = sides_of(str(mr.latex(both).derivative(x)))[1]
    assert right == r"\operatorname{scatter}_{3 \times 4}^{k, k}(\overline{y})"
    last = ops.gather(x, mr.tensor(3), index=(..., slice(None, None, 2), kernels.PLACE))
    assert str(mr.latex(last)) == r"x[\ldots, ::2, 3]"
    moved = ops.gather(x, k + 1, index=(slice(None), kernels.PLACE))
    assert str(mr.latex(moved)) == "x[:, k + 1]"


def test_nothing_passes_into_a_place():
    x = named_tensor([0.5, 1.5, 2.5], "x")
    y = ops.gather(x, ops.cast(x, dtype=np.dtype(int)), index=(kernels.PLACE,)).named("y")
    assert str(mr.latex(y)) == "y = x[x]"
    check_derivative(y, x)
    assert [(e.source, e.factors[-1].name) for e in mr.graph(y).into("y")] == [
        ("x", "1"),
        ("cast1", "0"),
    ]


def test_softmax_says_that_its_shift_is_held():
    x = named_tensor([[1.0, 3.0, 3.0], [800.0, -1.0, 0.0]], "x")
    e = r"e^{x - \operatorname{sg}(\max_{\overline{1}}(x))}"
    p = mr.softmax(x).named("p")
    assert str(mr.latex(p)) == rf"p = \frac{{{e}}}{{\sum_{{\overline{{1}}}} {e}}}"
    np.testing.assert_allclose(evaluate(sides_of(str(mr.latex(p)))[1], {"x": x.data}), p.data)
    check_derivative(p, x)
    for loss in (mr.cross_entropy(x, [1, 0]), mr.cross_entropy(x, [1, 0], mask=[True, False])):
        names = {text: record.data for text, record in mr.latex(loss).symbols.items()}
        ((left, value),) = solve(str(mr.latex(loss)), names)
        assert left == "L"
        np.testing.assert_allclose(value, loss.data, rtol=1e-12)
        check_derivative(loss, x)


def test_entries_that_tie_for_the_maximum_share_it_in_print():
    x = named_tensor([[1.0, 3.0, 3.0], [8.0, -1.0, 0.0]], "x")
    y = mr.max(x, axis=1).named("y")
    chosen = r"[x = \max_{\overline{1}}(x)]"
    text = str(mr.latex(y).derivative(x))
    assert text.endswith(rf"\frac{{{chosen}}}{{\sum_{{\overline{{1}}}} {chosen}}}")
    share = text[text.index(r"\frac{[") :]
    np.testing.assert_array_equal(evaluate(share, {"x": x.data}), [[0, 0.5, 0.5], [1, 0, 0]])
    check_derivative(y, x)
    of_truths = ops.share_of_max(ops.cast(x < 2.0, dtype=np.dtype(float)), axis=0)
    text = str(mr.latex(of_truths))
    assert text.startswith(r"\frac{[(x < 2) = \max")
    np.testing.assert_array_equal(evaluate(text, {"x": x.data}), of_truths.data)


def test_what_stands_outside_the_table_is_called_by_its_name():
    def _two_words(a, b, *, c=1):
        return a + b * c

    a, b = named_tensor(2.0, "a"), named_tensor(3.0, "b")
    assert str(mr.latex(ops.plain(a, b, function=_two_words))) == (
        r"\operatorname{two-words}(a, b)"
    )
    assert str(mr.latex(ops.plain(a, function=same_numbers) * a)) == (
        r"\operatorname{sg}(a) \odot a"
    )


def check_derivative(y, x):
    """Any formula of ∂y/∂x, in whichever of its forms, against reverse mode."""
    formula = mr.latex(y).derivative(x)
    names = {text: record.data for text, record in formula.symbols.items()}
    seed = np.round(8 * RNG.normal(size=y.shape)) / 8  # what float32 holds exactly
    names |= {rf"\overline{{{s}}}": seed for s, record in formula.symbols.items() if record is y}
    text = str(formula)
    if r"\overline" in sides_of(parser.lines_of(text)[-1])[0]:
        found = solve(text, names)[-1][1]
    elif y.size == 1:
        found = solve(text, names)[-1][1] * seed.reshape(())
    else:
        found = handed_back(text, names, y, seed)
    (expected,) = mr.vjp(y, [x], seed)
    if np.size(found) != x.size:
        found = np.broadcast_to(found, x.shape)
    found = np.reshape(found, x.shape).astype(float)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11, err_msg=text)


def handed_back(text, names, y, seed):
    """seed · J row by row: a Jacobian's formula is that of one row of a batch."""
    rows = y.shape[:-1]
    found = []
    for n in np.ndindex(rows):
        seen = {k: v[n] if v.shape[:-1] == rows else v for k, v in names.items()}
        found.append(seed[n] @ solve(text, seen, size=y.shape[-1])[-1][1])
    return np.array(found)


# -- derivatives of a step -------------------------------------------------------------------------

F_TERM = r"\operatorname{diag}(c_{t-1} \odot f_t \odot (1 - f_t)) U_f^{\top}"
I_TERM = r"\operatorname{diag}(g_t \odot i_t \odot (1 - i_t)) U_i^{\top}"
G_TERM = r"\operatorname{diag}(i_t \odot (1 - g_t^2)) U_g^{\top}"


def test_three_terms_lead_from_an_lstms_cell_state_to_the_hidden_state():
    _, ((_, c),) = run("lstm")
    left = r"\frac{\partial c_t}{\partial h_{t-1}}"
    assert str(mr.latex(c).derivative("t0.h")) == f"{left} = {F_TERM} + {I_TERM} + {G_TERM}"


def test_what_paths_share_is_written_once():
    _, ((h, _),) = run("lstm")
    o_term = r"\operatorname{diag}(\tanh(c_t) \odot o_t \odot (1 - o_t)) U_o^{\top}"
    shared = r"\operatorname{diag}(o_t \odot (1 - \tanh(c_t)^2))"
    right = sides_of(str(mr.latex(h).derivative("t0.h")))[1]
    assert right == f"{o_term} + {shared} ({F_TERM} + {I_TERM} + {G_TERM})"


def test_a_grus_update_gate_weighs_the_difference():
    _, ((h,),) = run("gru")
    n = r"\operatorname{diag}((1 - z_t) \odot (1 - n_t^2))"
    r = r"\operatorname{diag}(m_t \odot r_t \odot (1 - r_t)) U_r^{\top}"
    assert sides_of(str(mr.latex(h).derivative("t0.h")))[1] == (
        r"\operatorname{diag}((h_{t-1} - n_t) \odot z_t \odot (1 - z_t)) U_z^{\top}"
        rf" + {n} ({r} + \operatorname{{diag}}(r_t) U_n^{{\top}})"
        r" + \operatorname{diag}(z_t)"
    )


def test_a_minimal_gated_units_gate_weighs_the_difference_too():
    """Also where a third path leads to the gate, through what it resets."""
    _, ((h,),) = run("minimal gated unit")
    slope = r"\odot f_t \odot (1 - f_t)) U_f^{\top}"
    assert sides_of(str(mr.latex(h).derivative("t0.h")))[1] == (
        rf"\operatorname{{diag}}((g_t - h_{{t-1}}) {slope} + \operatorname{{diag}}(1 - f_t)"
        r" + \operatorname{diag}(f_t \odot (1 - g_t^2)) U_g^{\top}"
        rf" (\operatorname{{diag}}(h_{{t-1}} {slope} + \operatorname{{diag}}(f_t))"
    )


@pytest.mark.parametrize(
    ("f", "number", "vector"),
    [
        (lambda h: h * h, r"2 \cdot h", r"2 \operatorname{diag}(h)"),
        (lambda h: h + h, "2", "2 I"),
        (lambda h: h * h * h, r"3 \cdot h \cdot h", r"3 \operatorname{diag}(h \odot h)"),
        (lambda h: -h * h - h * h, r"-4 \cdot h", r"-4 \operatorname{diag}(h)"),
        (
            lambda h: mr.tanh((u := h + 1) * u),
            r"2 \cdot (1 - y^2) \cdot (h + 1)",
            r"\operatorname{diag}(2 \cdot (1 - y^2) \odot (h + 1))",
        ),
        (lambda h: (h * h).sum(), r"2 \cdot h", r"2 \cdot h"),
    ],
)
def test_equal_terms_are_counted(f, number, vector):
    for array, expected in ((0.3, number), (np.array([0.3, -0.5]), vector)):
        h = named_tensor(array, "h")
        y = f(h).named("y")
        assert sides_of(str(mr.latex(y).derivative(h)))[1] == expected
        check_derivative(y, h)


def test_a_one_number_cell_prints_products_of_numbers():
    _, ((_, c),) = run("lstm", "number")
    assert sides_of(str(mr.latex(c).derivative("t0.h")))[1] == (
        r"c_{t-1} \cdot f_t \cdot (1 - f_t) \cdot U_f + g_t \cdot i_t \cdot (1 - i_t) \cdot U_i"
        r" + i_t \cdot (1 - g_t^2) \cdot U_g"
    )


@every_cell
@every_shape
def test_the_step_jacobian_is_what_its_formula_says(kind, shape):
    start, (states,) = run(kind, shape)
    for y, x in itertools.product(states, start):
        if not np.any(mr.jacobian(y, x)):
            continue
        names = numbers_of(y, 1)
        text = str(mr.latex(y).derivative(x))
        expected = mr.jacobian(y, x)
        for n in range(y.shape[0] if y.ndim == 2 else 1):
            seen = row_of(names, n, y.shape[0]) if y.ndim == 2 else names
            ((_, value),) = solve(text, seen, size=4)
            block = expected[n, :, n] if y.ndim == 2 else expected
            np.testing.assert_allclose(value, block, rtol=1e-10, atol=1e-13, err_msg=text)


@every_cell
def test_a_later_step_prints_as_the_first_with_the_other_states_held(kind):
    _, states = run(kind, steps=3)
    for y, x in itertools.product(states[-1], states[-2]):
        try:
            later = str(mr.latex(y).derivative(x))
        except ValueError:
            continue
        first = str(mr.latex(states[0][states[-1].index(y)]).derivative(f"t0.{x.name}"))
        assert sides_of(later)[1] == sides_of(first)[1]
    if kind == "lstm":
        c, before = states[-1][1], states[-2][1]
        assert str(mr.latex(c).derivative(before)) == (
            r"\left. \frac{\partial c_t}{\partial c_{t-1}} \right|_{h_{t-1}}"
            r" = \operatorname{diag}(f_t)"
        )


def test_an_unnamed_gate_shows_its_slope_too():
    a, x = named_tensor(RNG.normal(size=3), "a"), named_tensor(RNG.normal(size=3), "x")
    y = (mr.sigmoid(a * x) * mr.tanh(x + a)).named("y")
    text = str(mr.latex(y).derivative(x))
    assert r"\sigma(a \odot x) \odot (1 - \sigma(a \odot x))" in text
    assert r"1 - \tanh(x + a)^2" in text
    check_derivative(y, x)


def test_a_recorded_gradient_prints_the_slope_by_its_gates_name():
    z = named_tensor(0.3, "z")
    f = mr.sigmoid(z).named("f")
    assert str(mr.latex(mr.grad(f * f, f))) == "f + f"
    slope = mr.sech2(z / 2) / 4
    assert r"\operatorname{sech}^2(\frac{z}{2})" in str(mr.latex(slope))
    assert str(mr.latex(slope + 0 * f)) == r"f \odot (1 - f) + 0 \cdot f"


# -- through time ----------------------------------------------------------------------------------


@every_cell
@every_shape
def test_a_losss_lines_are_backpropagation_through_time(kind, shape):
    start, states = run(kind, shape, steps=3)
    loss = ((states[-1][0] - 0.25) ** 2).mean().named("L")
    parameters = [n.tensor for n in mr.graph(loss).nodes if n.role == "parameter" and n.name]
    for x in (*start, *parameters):
        check_derivative(loss, x)


@every_cell
@pytest.mark.parametrize("shape", ["vector", "batch", "number"])
def test_a_states_lines_are_its_jacobian(kind, shape):
    start, states = run(kind, shape, steps=3)
    for x in (*start, *states[0]):
        for y in states[-1]:
            check_derivative(y, x)


def test_an_rnn_is_a_product_over_the_steps():
    _, states = run("rnn", steps=2)
    right = sides_of(str(mr.latex(states[-1][0]).derivative("t0.h")))[1]
    assert right == (
        r"\operatorname{diag}(1 - h_t^2) U^{\top} \operatorname{diag}(1 - h_{t-1}^2) U^{\top}"
    )


def test_a_weights_gradient_has_one_term_per_step():
    _, states = run("rnn", steps=3)
    loss = states[-1][0].sum().named("L")
    last = str(mr.latex(loss).derivative("U")).split("\n")[-2]
    assert last.startswith(r"\frac{\partial L}{\partial U} &= h_{T-1}^{\top} ")
    assert [last.count(rf"h_{{T-{k}}}^{{\top}}") for k in (1, 2, 3)] == [1, 1, 1]


def test_numbers_follow_a_derivatives_symbols():
    _, states = run("lstm", "number", steps=2)
    h = states[-1][0]
    formula = mr.latex(h, numbers=True).derivative("t0.h")
    names = {text: record.data for text, record in formula.symbols.items()}
    lines = solve(str(formula), names)
    for _, symbols, in_numbers, result in lines:
        np.testing.assert_allclose([in_numbers, result], symbols, atol=0.02)
    expected = mr.jacobian(h, mr.graph(h).find("t0.h").tensor)
    np.testing.assert_allclose(lines[-1][1], expected)


# -- one path --------------------------------------------------------------------------------------


def every_path(view, source, root):
    """Every path of the view from the root back to the source, brute force."""
    if source == root:
        yield (root,)
        return
    for edge in view.into(root):
        for rest in every_path(view, source, edge.source):
            yield (root, *rest)


@pytest.mark.parametrize("kind", ["lstm", "gru", "coupled", "minimal gated unit"])
@pytest.mark.parametrize("level", ["step", "gate", "op", "all"])
@pytest.mark.parametrize("shape", ["number", "vector"])
def test_the_products_of_all_paths_sum_to_the_gradient(kind, level, shape):
    start, states = run(kind, shape, steps=2)
    h = states[-1][0]
    view = mr.graph(h, level=level)
    total = 0.0
    for ids in sorted(set(every_path(view, "t0.h", "t2.h"))):
        formula = mr.latex(h).derivative("t0.h", path=ids)
        names = {text: record.data for text, record in formula.symbols.items()}
        total = total + solve(str(formula), names, size=4)[0][1]
    np.testing.assert_allclose(total, mr.jacobian(h, start[0]), rtol=1e-9, atol=1e-12)


def test_one_path_among_several_is_called_a_product():
    _, states = run("lstm", steps=1)
    c = states[-1][1]
    ids = ["t1.c", "t1.cell state.mul1", "t1.f", "t0.h"]
    assert str(mr.latex(c).derivative("t0.h", path=ids)) == (
        rf"\prod_{{c_t \leftarrow f_t \leftarrow h_{{t-1}}}} = {F_TERM}"
    )


@pytest.mark.parametrize("kind", ["rnn", "lstm", "peephole", "gru", "reset before", "coupled"])
@pytest.mark.parametrize("begin", ["state", "loss"])
def test_the_largest_paths_print_what_they_multiply(kind, begin):
    start, states = run(kind, "number", steps=2)
    y = states[-1][0] if begin == "state" else (states[-1][0] ** 2).named("L")
    flow = mr.flow(y, start[0])
    for top in flow.top(6):
        products = []
        for path in (top, top.path, top.recorded, top.nodes):
            formula = mr.latex(y).derivative(start[0], path=path)
            names = {text: record.data for text, record in formula.symbols.items()}
            products.append(solve(str(formula), names)[-1][1])
        np.testing.assert_allclose(products, top.product, rtol=1e-12, err_msg=str(formula))


@pytest.mark.parametrize("kind", ["rnn", "lstm", "peephole", "gru"])
@pytest.mark.parametrize("level", ["step", "gate", "op", "all"])
def test_the_strongest_path_of_a_level_prints_what_it_multiplies(kind, level):
    _, states = run(kind, "number", steps=2)
    h = states[-1][0]
    path = strongest_path(mr.graph(h, level=level), "t0.h", "t2.h")
    formula = mr.latex(h).derivative("t0.h", path=path)
    names = {text: record.data for text, record in formula.symbols.items()}
    np.testing.assert_allclose(solve(str(formula), names)[-1][1], path.product, rtol=1e-12)


def test_a_paths_ids_may_leave_out_what_no_level_folds():
    _, states = run("lstm", "number", steps=2)
    ids = ["t2.h", "t2.hidden state.tanh1", "t2.c", "t1.c", "t1.g", "t0.h"]
    full = [*ids[:3], "t2.cell state.mul1", "t1.c", "t1.cell state.mul2", "t1.g", "t1.z_g", "t0.h"]
    formula = mr.latex(states[-1][0])
    assert str(formula.derivative("t0.h", path=ids)).endswith(
        r"o_t \cdot (1 - \tanh(c_t)^2) \cdot f_t \cdot i_{t-1} \cdot (1 - g_{t-1}^2) \cdot U_g"
    )
    in_full = formula.derivative("t0.h", path=full)
    assert sides_of(str(in_full))[1] == sides_of(str(formula.derivative("t0.h", path=ids)))[1]
    with pytest.raises(ValueError, match=r"3 ways lead along t1\.c ← t0\.h; .*adding ids .*t1\.i"):
        formula.derivative("t0.h", path=["t2.h", "t2.hidden state.tanh1", "t2.c", "t1.c", "t0.h"])


def test_a_path_longer_than_a_page_is_refused():
    start, states = run("gru", "number", steps=250)
    (top,) = mr.flow(states[-1][0], start[0]).top(1)
    for path in (top, top.path):
        with pytest.raises(
            ValueError, match=r"this path from t250\.h back to t0\.h has more than 200"
        ):
            mr.latex(states[-1][0]).derivative("t0.h", path=path)


@pytest.mark.parametrize("path", ["t1.c", 3, {"t1.c", "t0.h"}])
def test_what_is_no_path_says_what_a_path_is(path):
    _, ((_, c),) = run("lstm")
    with pytest.raises(TypeError, match=r"latex: path is a sequence of ids .*not (str|int|set)"):
        mr.latex(c).derivative("t0.h", path=path)


# -- programs --------------------------------------------------------------------------------------

UNARY = [
    mr.tanh, mr.sigmoid, mr.sin, mr.cos, mr.relu, mr.softplus, abs, mr.exp,
    lambda x: -x,
    lambda x: x**2,
    lambda x: x**3,
    lambda x: 1.0 / (1.0 + x * x),
    lambda x: mr.sqrt(x * x + 0.25),
    lambda x: mr.log(x * x + 0.5),
    lambda x: mr.log1p(x * x),
    lambda x: 0.5 - x,
    lambda x: x / -3,
    lambda x: mr.sum(x, axis=-1, keepdims=True) if x.ndim else x,
    lambda x: mr.max(x, axis=0) if x.ndim else x,
    lambda x: x.T,
    lambda x: x[..., ::-1] if x.ndim else x,
    lambda x: mr.softmax(x) if x.ndim else x,
    lambda x: x.mean(),
    lambda x: mr.clip(x, -0.5, 1.5),
]  # fmt: skip
BINARY = [
    mr.add, mr.sub, mr.mul,
    lambda x, y: x / (2.0 + mr.sin(y)),
    lambda x, y: mr.sigmoid(x) ** y,
    mr.maximum,
    mr.minimum,
    lambda x, y: mr.where(x < y, x, y * 2),
    mr.matmul,
    lambda x, y: mr.stack([x, y], axis=0),
    lambda x, y: mr.concatenate([x, y], axis=-1),
]  # fmt: skip

instruction = st.tuples(
    st.one_of(st.sampled_from([(1, f) for f in UNARY]), st.sampled_from([(2, f) for f in BINARY])),
    st.integers(0, 30),
    st.integers(0, 30),
    st.booleans(),
)


@st.composite
def programs(draw):
    """A record computed from leaves a, b, c by a random program that names some of its steps."""
    shape = draw(st.sampled_from([(), (3,), (2, 3), (1, 3), (3, 3)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    pool = [named_tensor(rng.uniform(-1.5, 1.5, shape), name) for name in "abc"]
    for (arity, f), j, k, keep in draw(st.lists(instruction, min_size=1, max_size=7)):
        x, y = pool[-1 - j % len(pool)], pool[-1 - k % len(pool)]
        try:
            made = f(x) if arity == 1 else f(x, y)
        except (ValueError, IndexError):
            continue  # shapes that do not fit
        if isinstance(made, mr.Tensor) and made.size <= 60 and np.all(np.abs(made.data) < 30):
            pool.append(made.named(f"u_{len(pool)}") if keep and made.name is None else made)
    return pool


@settings(max_examples=150, deadline=None)
@given(programs(), st.integers(1, 3))
def test_any_program_prints_what_it_computes(pool, depth):
    y = pool[-1]
    formula = mr.latex(y, depth=depth)
    names = {text: record.data for text, record in formula.symbols.items()}
    value = evaluate(sides_of(str(formula))[-1], names)
    np.testing.assert_allclose(
        np.ravel(value).astype(float), np.ravel(y.data), rtol=1e-8, atol=1e-10, err_msg=str(formula)
    )


@settings(max_examples=150, deadline=None)
@given(programs())
def test_any_programs_gradient_prints_what_it_computes(pool):
    y = (pool[-1] if pool[-1].size == 1 else pool[-1].sum()).named("y")
    read = {node.tensor for node in mr.graph(y).nodes}
    for x in pool[:3]:
        if x not in read or x is y:
            continue
        try:
            check_derivative(y, x)
        except ValueError as refusal:
            told = str(refusal)
            assert "does not depend" in told or "paths lead back" in told, told


# -- names -----------------------------------------------------------------------------------------

HOSTILE = ["a_b$c", "50% {off}", r"\input{x}", "x^2", "a&b", "<script>", "f'", "}{", "$", "_", "ü~"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_never_a_command(name):
    text = str(mr.latex(named_tensor(2.0, name) * 3 + 1))
    assert text == rf"{escaped(name)} \cdot 3 + 1"
    assert not set("$<>&%#~") & set(text.replace(r"\$", "").replace(r"\&", "").replace(r"\%", ""))
    depth = 0
    for brace in text.replace(r"\{", "").replace(r"\}", ""):
        depth += (brace == "{") - (brace == "}")
        assert depth >= 0
    assert depth == 0 and r"\input" not in text


@given(st.text(min_size=1, max_size=12))
def test_any_name_leaves_braces_balanced_and_mathematics_mode_open(name):
    text = escaped(name)
    bare = text.replace(r"\{", "").replace(r"\}", "").replace(r"\$", "")
    assert bare.count("{") == bare.count("}") and "$" not in bare and "\n" not in bare


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("U_f", "U_f"), ("b_ih_f", "b^{ih}_f"), ("loss", r"\mathrm{loss}"), ("W1", "W_1"),
        ("alpha", r"\alpha"), ("y_pred", r"y_{\mathrm{pred}}"), ("e", r"\mathrm{e}"),
        ("sigma", r"\mathrm{sigma}"),
    ],
)  # fmt: skip
def test_names_are_set_as_a_textbook_sets_them(name, text):
    assert str(mr.latex(named_tensor(1.0, name))) == text


def test_two_records_of_one_name_are_told_apart():
    a, b = named_tensor(1.0, "a"), named_tensor(2.0, "a")
    assert str(mr.latex(a - b)) == "a - a^{(2)}"


def test_layers_stand_above_when_there_are_several():
    below, above = mr.RNNCell(2, 2, seed=0), mr.RNNCell(2, 2, seed=1)
    with mr.scope("layer1"):
        h = below(np.ones(2))
    with mr.scope("layer2", "t=1"):
        h2 = above(h)
    assert str(mr.latex(h2, 1)).startswith(r"h^{(2)}_t = \tanh(h^{(1)}_t W^{(2)} + ")


# -- what cannot be --------------------------------------------------------------------------------


def test_wrt_must_be_an_ancestor():
    _, states = run("lstm", steps=2)
    (_, c), (_, later) = states
    with pytest.raises(ValueError, match=r"c at .* is no part of what t1\.c was computed from"):
        mr.latex(c).derivative(later)
    with pytest.raises(mr.UnknownNode, match=r"no node 't9\.h'.*nearest ids are"):
        mr.latex(c).derivative("t9.h")
    mask = named_tensor(1.0, "a") > 0.5
    with pytest.raises(ValueError, match=r"y does not depend on a, so that derivative is zero"):
        mr.latex((mask * named_tensor(2.0, "b")).named("y")).derivative("a")


def test_too_many_paths_are_counted_not_printed():
    x = named_tensor(0.5, "x")
    W = named_tensor(RNG.normal(size=(3, 3)), "W")
    y = x * mr.tensor(np.ones(3)).named("k")
    for _ in range(20):
        y = (y @ W + mr.tanh(y)).named("y")
    with pytest.raises(ValueError, match=r"1,048,576 paths lead back.*path=…"):
        mr.latex(y.named("y")).derivative("k")


@pytest.mark.parametrize(("steps", "length"), [(40, r"605 factors in 79"), (300, "more than 201")])
def test_a_long_product_is_refused_with_its_length(steps, length):
    _, states = run("lstm", steps=steps)
    with pytest.raises(ValueError, match=rf"has {length} .*ask for fewer steps, or for one path"):
        mr.latex(states[-1][0]).derivative("t0.h")


def test_a_formula_without_names_is_refused_before_it_fills_the_page():
    y = named_tensor(0.5, "x")
    for _ in range(100_000):
        y = mr.sin(y)
    with pytest.raises(ValueError, match=r"more than 300 signs.*\.named"):
        mr.latex(y)


def test_numbers_are_for_single_numbers():
    _, ((_, c),) = run("lstm")
    with pytest.raises(ValueError, match=r"one number per symbol, but x_t has shape \(3,\)"):
        mr.latex(c, numbers=True)
    with pytest.raises(ValueError, match=r"but f_t has shape \(4,\); use shapes=True"):
        mr.latex(c, depth=1, numbers=True)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ((), "this one is empty"),
        (("t1.c", "t1.f"), "leads from t1.c back to t0.h"),
        (("t1.c", "t1.g", "t1.f", "t0.h"), "no edge t1.g ← t1.f at any level"),
        (("t1.c", "t1.o", "t0.h"), "no node 't1.o' in this graph"),
    ],
)
def test_a_path_must_be_one(path, message):
    _, ((_, c),) = run("lstm")
    with pytest.raises((ValueError, mr.UnknownNode), match=message):
        mr.latex(c).derivative("t0.h", path=path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"steps": "words"}, "'symbolic'"), ({"depth": -1}, "0 or more")],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        mr.latex(named_tensor(1.0, "a"), **arguments)


def test_only_recorded_tensors_print():
    with pytest.raises(TypeError, match="not ndarray"):
        mr.latex(np.ones(3))
    with pytest.raises(TypeError, match="print one record"):
        mr.latex(mr.LSTMCell(2, 2)).derivative("t0.h")


def test_nothing_is_recorded_or_changed_by_printing():
    start, ((h, _),) = run("lstm")
    with mr.no_grad():
        text = str(mr.latex(h).derivative("t0.h"))
    assert text == str(mr.latex(h).derivative(start[0]))
    assert start[0].grad is None


# -- set by an engine, and the checks checked ------------------------------------------------------


def printed():
    """Formulas of every kind, one line each."""
    for kind in CELLS:
        start, states = run(kind, steps=2)
        y = states[-1][0]
        loss = y.sum().named("L")
        formulas = [
            mr.latex(states[-1]),
            mr.latex(y, 2, shapes=True),
            mr.latex(y).derivative("t0.h"),
        ]
        formulas += [mr.latex(loss).derivative(start[0]), mr.latex(y).derivative(states[0][0])]
        yield from (line for f in formulas for line in parser.lines_of(str(f)))
    for card in CARDS:
        for arrays, static in calls(card):
            leaves = list(map(named_tensor, arrays, "abcd"))
            y = card(*leaves, **static).named("y")
            yield str(mr.latex(y))
            yield from (str(mr.latex(y).derivative(leaves[k])) for k in moving(card, arrays))


def test_mathtext_sets_every_line():
    from matplotlib.mathtext import MathTextParser

    mathtext = MathTextParser("path")
    for line in sorted({line.replace("& ", "") for line in printed()}):
        mathtext.parse(f"${line}$")


def test_a_wrong_formula_would_be_seen():
    start, ((_, c),) = run("lstm")
    text = str(mr.latex(c).derivative(start[0]))
    names, expected = numbers_of(c, 1), mr.jacobian(c, start[0])
    wrongs = [("1 - f_t", "1 - i_t"), ("g_t^2", "g_t"), (r"U_f^{\top}", "U_f"), (" + ", " - ")]
    for good, wrong in wrongs:
        ((_, value),) = solve(text.replace(good, wrong, 1), names)
        assert not np.allclose(value, expected)


def test_a_wrong_rule_on_a_card_is_printed_as_it_stands(monkeypatch):
    """The formula is read off the card that runs, so a wrong slope shows in it."""
    monkeypatch.setattr(ops.tanh, "partials", (lambda y, x: 1 + y,))
    _, ((h,),) = run("rnn")
    assert str(mr.latex(h).derivative("t0.h")).endswith(r"\operatorname{diag}(1 + h_t) U^{\top}")
