"""The source that is shown computes what the plan computes, and reads like a person's."""

import re

import numpy as np
import pytest

import microrecur as mr
from microrecur.compiler.plan import build

from .graphs import changed, layer_graph
from .random_graphs import recurrent, straight
from .test_passes import last_state


def by_source(plan, inputs, outputs, arrays):
    """What the shown program gives by itself, the inputs in order, each once."""
    space = dict(plan.namespace)
    exec(plan.source, space)
    given = {id(x): a for x, a in zip(inputs, arrays, strict=True)}
    distinct = {id(x): x for x in inputs}.values()
    if "np." not in plan.source:  # a program of numbers takes and gives lists of them
        flat = [np.asarray(given[id(x)], float).reshape(-1).tolist() for x in distinct]
        return [np.reshape(y, o.shape) for y, o in zip(space["run"](*flat), outputs, strict=True)]
    return space["run"](*[np.array(given[id(x)]) for x in distinct])


def check_source(inputs, outputs, scale=1.0):
    """The source gives the plan's digits, for the recorded numbers and for others."""
    plan = build(inputs, outputs)
    for arrays in ([x._data for x in inputs], changed(inputs, scale=scale)):
        expected = plan.run(arrays)
        with np.errstate(all="ignore"):
            got = by_source(plan, inputs, outputs, arrays)
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(np.asarray(a, b.dtype), b, err_msg=plan.source)
    return plan


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_the_source_gives_the_digits_of_the_plan(kind):
    check_source(*last_state(kind))
    check_source(*last_state(kind, T=3))


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True}, {"lengths": [4, 2, 1]}]
)
def test_layers_too(kind, options):
    check_source(*layer_graph(kind, T=4, **options))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(60))
def test_and_whatever_is_recorded(seed):
    check_source(*straight(seed))
    check_source(*recurrent(seed))


def test_it_reads_as_a_person_would_write_it():
    source = build(*last_state("lstm")).source
    for said in (
        r"for t in range\(1, \d+\):",
        r"for t in range\(\d+, \d+, -1\):",
        r"np.dot\(U_\w+, h\[t - 1\], out=\w+\[t - 1\]\)",
        r"np.multiply\(f\[t - 1\], c\[t - 1\], out=c\[t\]\)",
        r"np.multiply\(o\[t - 1\], tanh_c\[t - 1\], out=h\[t\]\)",
        r"np.subtract\(1.0, f, out=d_z_f\)",
        r"out=d_h\[t - 2\]\)",
        r"# t/cell state",
        r"h = np.zeros\(\(\d+, \d+, \d+\), np.float64\)  # t = 0 … \d+",
    ):
        assert re.search(said, source), (said, source)
    assert not re.search(r"\bv_\d+|strides=", source), source


def test_arguments_and_gradients_go_by_their_names():
    rng = np.random.default_rng(0)
    W = mr.tensor(rng.normal(size=(3, 2)), requires_grad=True, name="W")
    f = mr.compile(mr.value_and_grad(lambda x, y: ((x @ W - y) ** 2).sum(), [W]))
    f(rng.normal(size=(4, 3)), rng.normal(size=(4, 2)))
    assert "def run(x, y, W):" in f.source
    assert re.search(r"return \(\w+, d_W\)", f.source), f.source
    assert f.explain("∂.W").startswith("∂.W (matmul) is computed once per call")
    with pytest.raises(KeyError, match=r"no node 'V' in this graph; the nearest ids are: x, y, W"):
        f.explain("V")


def test_the_report_says_what_was_done_and_is_a_table_in_a_notebook():
    report = build(*last_state("lstm")).report()
    for said in (
        r"merged with an equal one +\d",
        r"calls per step, t = 1 … 9 +10 × 9",
        r"hoisted or batched over all steps +\d+ \(\d+ computations\)",
        r"gathered into one product over all steps +\d",
        r"computed side by side in one call +\d+ in \d",
        r"buffers +\d+",
        r"bytes +[\d,]+",
    ):
        assert re.search(said, report), (said, report)
    html = report._repr_html_()
    assert html.startswith("<table><tr>") and html.count("<tr>") == len(report.splitlines())
    assert ">calls per step, t = 1 … 9</th><td" in html and ">10 × 9</td>" in html


def test_numbers_go_by_their_names_and_steps():
    w, u = (mr.tensor(v, requires_grad=True, name=n) for v, n in ((0.5, "w"), (0.3, "u")))

    def loss(xs):
        h = mr.tensor(0.1)
        for t in range(3):
            with mr.scope(f"t={t + 1}"):
                h = mr.tanh(xs[t] * w + h * u).named("h")
        return h * h

    f = mr.compile(mr.value_and_grad(loss, [w, u]))
    f(np.ones(3))
    assert "def run(xs, w, u):" in f.source and "xs_0, xs_1, xs_2, = xs" in f.source
    assert "h_2 = tanh(((xs_1 * w) + (h_1 * u)))" in f.source
    assert f.explain("∂.t2.h").startswith("∂.t2.h is one number")
