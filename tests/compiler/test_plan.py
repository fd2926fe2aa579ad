"""A plan gives what the recording gives: same values, same gradients, whatever the inputs."""

import threading

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import microrecur as mr
from microrecur.compiler.plan import build

from .graphs import LAYERS, changed, check, layer_graph, numbers, rerun, same


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("loss", ["last", "all"])
@pytest.mark.parametrize("T", [1, 2, 3, 7])
def test_layers_with_every_gradient(kind, loss, T):
    check(*layer_graph(kind, T=T, loss=loss))


OPTIONS = {
    "no bias": {"bias": False},
    "stacked": {"num_layers": 2},
    "bidirectional": {"bidirectional": True},
    "stacked both ways": {"num_layers": 2, "bidirectional": True},
    "batch first": {"batch_first": True},
    "layer norm": {"layer_norm": True},
    "one sequence": {"N": None},
    "batch of one": {"N": 1},
    "state given": {"state": True},
    "lengths": {"lengths": [4, 2, 1]},
    "lengths both ways": {"lengths": [3, 4, 1], "bidirectional": True},
    "wide": {"I": 5, "H": 2, "N": 5},
    "all of one size": {"I": 3, "H": 3, "N": 3},
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_kinds_of_layers(kind, options):
    check(*layer_graph(kind, loss="all", **options))


def test_peepholes_projection_and_reset_before():
    check(*layer_graph("lstm", peephole=True, loss="all"))
    check(*layer_graph("gru", reset_after=False, loss="all"))
    check(*layer_graph("rnn", nonlinearity="relu", loss="all"))
    check(*layer_graph("rnn", nonlinearity="sigmoid", loss="all"))


# Without shrinking: a failing layer is small already, and shrinking takes minutes.
@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(data=st.data())
def test_a_grid_of_layers(data):
    draw = data.draw
    kind = draw(st.sampled_from(sorted(LAYERS)))
    T, N = draw(st.sampled_from([1, 2, 3, 7])), draw(st.sampled_from([None, 1, 3]))
    options = {
        "bias": draw(st.booleans()),
        "num_layers": draw(st.sampled_from([1, 2])),
        "bidirectional": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "state": draw(st.booleans()),
        "loss": draw(st.sampled_from(["last", "all"])),
        "dtype": draw(st.sampled_from([np.float64, np.float32])),
        "I": draw(st.sampled_from([1, 2])),
        "H": draw(st.sampled_from([1, 3])),
        "scale": draw(st.sampled_from([1.0, 1e-310, 60.0])),
    }
    if kind == "lstm":
        options["peephole"] = draw(st.booleans())
    if kind == "gru":
        options["reset_after"] = draw(st.booleans())
    if N is not None and draw(st.booleans()):
        options["lengths"] = [draw(st.integers(1, T)) for _ in range(N)]
    tolerance = 1e-12 if options["dtype"] == np.float64 else 1e-5
    check(*layer_graph(kind, T=T, N=N, **options), tolerance)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 5e-324, 1e300])
def test_numbers_that_are_none_and_extremes(kind, bad):
    inputs, outputs = layer_graph(kind, loss="all")
    plan = build(inputs, outputs)
    arrays = [x.data.copy() for x in inputs]
    arrays[0][1, 0, 0] = bad
    got, expected = plan.run(arrays), rerun(inputs, outputs, arrays)
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_array_equal(np.isfinite(g), np.isfinite(e))
    same(got, expected)


def test_the_exact_slopes_are_taken_as_recorded():
    x = mr.tensor([[-50.0, -3.0, 0.5, 40.0]])
    y = mr.sigmoid(x) * mr.tanh(x)
    check([x], [y, mr.grad(y.sum(), x)])
    loss = mr.log(mr.sigmoid(x)).sum()
    plan = build([x], [loss, mr.grad(loss, x)])
    same(plan.run([x.data]), rerun([x], [loss, mr.grad(loss, x)], [x.data]))


def test_softmax_and_max_follow_their_inputs():
    x = mr.tensor(numbers((3, 4), 1))
    for f in (mr.softmax, mr.log_softmax, mr.logsumexp, lambda v, axis: mr.max(v, axis)):
        y = f(x, axis=1)
        check([x], [y, mr.grad((y * y).sum(), x)], scale=30.0)


def test_outputs_belong_to_the_caller():
    inputs, outputs = layer_graph("lstm")
    plan = build(inputs, [*outputs, inputs[0], outputs[0]])
    first = plan.run([x.data for x in inputs])
    kept = [y.copy() for y in first]
    second = plan.run(changed(inputs))
    for a, b in zip(first, kept, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not any(np.shares_memory(a, other) for other in [*second, *(x.data for x in inputs)])
        a[...] = 0
    same(plan.run([x.data for x in inputs]), kept)


def test_a_plan_serves_many_threads():
    inputs, outputs = layer_graph("gru", T=7)
    plan = build(inputs, outputs)
    given = [changed(inputs, seed=k) for k in range(8)]
    expected = [rerun(inputs, outputs, arrays) for arrays in given]
    failures = []

    def work(k):
        for _ in range(30):
            try:
                same(plan.run(given[k]), expected[k])
            except AssertionError as failure:
                failures.append(failure)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_constants_and_inputs_as_outputs():
    x, c = mr.tensor([1.0, 2.0]), mr.tensor([3.0, 4.0])
    plan = build([x], [x, c, x + c, c * 2])
    got = plan.run([np.array([5.0, 6.0])])
    same(got, [np.array(v) for v in ([5.0, 6.0], [3.0, 4.0], [8.0, 10.0], [6.0, 8.0])])
    got[1][0] = 99
    assert plan.run([np.array([0.0, 0.0])])[1][0] == 3


def test_an_input_may_be_computed():
    x = mr.tensor([1.0, 2.0])
    h = x * 3
    same(build([h], [h + 1]).run([np.array([1.0, 1.0])]), [np.array([2.0, 2.0])])
