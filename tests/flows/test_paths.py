"""The strongest path and the count of paths, beside every path written out one by one."""

import math

import numpy as np
import pytest

import microrecur as mr
from microrecur.flows.paths import count_paths, source_id, strongest_path


def every_path(graph, source, root):
    """All paths from the root back to the source, each a list of edges: brute force."""
    if root == source:
        return [[]]
    return [
        [edge, *rest]
        for edge in graph.into(root)
        for rest in every_path(graph, source, edge.source)
    ]


def state(number, **options):
    return mr.tensor(number, requires_grad=True, **options)


def unrolled(cell, steps, seed=0):
    """The last states of a cell unrolled over seeded numbers from a state that is not zero."""
    numbers = np.random.default_rng(seed)
    lstm = isinstance(cell, mr.LSTMCell)
    held = tuple(state(v) for v in numbers.normal(size=2)) if lstm else state(numbers.normal())
    return mr.unroll(cell, numbers.normal(size=steps), held)[-1]


CELLS = {
    "rnn": lambda: mr.RNNCell(1, 1, seed=1),
    "rnn relu": lambda: mr.RNNCell(1, 1, nonlinearity="relu", seed=3),
    "lstm": lambda: mr.LSTMCell(1, 1, seed=1),
    "peephole": lambda: mr.LSTMCell(1, 1, peephole=True, seed=1),
    "gru": lambda: mr.GRUCell(1, 1, seed=1),
    "gru before": lambda: mr.GRUCell(1, 1, reset_after=False, seed=1),
}


def last_h(cell, steps, seed=0):
    after = unrolled(cell, steps, seed)
    return after[0] if isinstance(after, tuple) else after


# -- counts ----------------------------------------------------------------------------------------


def counts_by_steps(cell, steps=range(1, 6), source="t0.h"):
    return [count_paths(mr.graph(last_h(cell, t)), source)[f"t{t}.h"] for t in steps]


def test_the_lstm_counts_are_those_of_the_theory():
    assert counts_by_steps(CELLS["lstm"]()) == [4, 19, 91, 436, 2089]


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_gru_has_five_paths_a_step(reset_after):
    cell = mr.GRUCell(1, 1, reset_after=reset_after, seed=0)
    assert counts_by_steps(cell) == [5**t for t in range(1, 6)]


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid"])
def test_an_rnn_has_one_path(nonlinearity):
    assert counts_by_steps(mr.RNNCell(1, 1, nonlinearity=nonlinearity, seed=0)) == [1] * 5


@pytest.mark.parametrize(
    ("name", "rate"), [("lstm", (5 + math.sqrt(21)) / 2), ("peephole", 5 + math.sqrt(22))]
)
def test_the_counts_grow_at_the_rate_of_the_theory(name, rate):
    twenty, more = counts_by_steps(CELLS[name](), steps=[20, 21])
    assert more / twenty == pytest.approx(rate, rel=1e-12)


def test_long_counts_are_exact_whole_numbers():
    (count,) = counts_by_steps(CELLS["lstm"](), steps=[100])
    assert isinstance(count, int)
    assert count == lstm_count(100)
    assert f"{count:.1e}" == "9.2e+67"


def lstm_count(steps):
    """h₀ → h_T by hand: c_t takes i, f, g from h_{t−1} and f from c_{t−1}; h_t takes o, and c_t."""
    to_h, to_c = 1, 0
    for _ in range(steps):
        to_c = 3 * to_h + to_c  # z_i, z_f, z_g, and the belt
        to_h = to_h + to_c  # z_o, and tanh(c)
    return to_h


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("level", ["all", "op", "gate", "step"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_counts_are_those_of_brute_force_at_every_level(name, level, steps):
    graph = mr.graph(last_h(CELLS[name](), steps), level=level)
    listed = every_path(graph, "t0.h", f"t{steps}.h")
    expected = sum(math.prod(edge.paths for edge in path) for path in listed)
    assert count_paths(graph, "t0.h")[f"t{steps}.h"] == expected
    assert strongest_path(graph, "t0.h").count == expected


def test_h_times_h_is_two_paths_and_a_power_is_one():
    h = state(0.3, name="h")
    assert strongest_path(mr.graph((h * h).named("y")), "h").count == 2
    assert strongest_path(mr.graph((h**2).named("y")), "h").count == 1


def test_what_does_not_depend_on_the_source_has_no_count():
    a, b = state(0.3, name="a"), state(0.4, name="b")
    counts = count_paths(mr.graph([(a * 2.0).named("y"), (b * 2.0).named("w")]), "a")
    assert counts == {"a": 1, "y": 1}


# -- the strongest path ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("level", ["op", "gate", "step"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_the_strongest_of_all(name, level, steps, seed):
    graph = mr.graph(last_h(CELLS[name](), steps, seed), level=level)
    path = strongest_path(graph, "t0.h")
    strength = max(
        math.prod(edge.norm for edge in listed)
        for listed in every_path(graph, "t0.h", f"t{steps}.h")
    )
    assert math.prod(edge.norm for edge in path.edges) == pytest.approx(strength, rel=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_it_leads_from_the_root_back_to_the_source_without_a_gap(name):
    path = strongest_path(mr.graph(last_h(CELLS[name](), 4), level="gate"), "t0.h")
    assert (path.ids[0], path.ids[-1]) == ("t4.h", "t0.h")
    assert path.ids[:-1] == tuple(edge.target for edge in path.edges)
    assert path.ids[1:] == tuple(edge.source for edge in path.edges)


@pytest.mark.parametrize("name", ["rnn", "rnn relu"])
def test_the_only_path_is_the_gradient(name):
    h0 = state(0.2)
    h = mr.unroll(CELLS[name](), [0.9, 0.4, 1.1], h0)[-1]
    h.backward()
    path = strongest_path(mr.graph(h, level="gate"), "t0.h")
    assert path.count == 1
    assert path.product == pytest.approx(h0.grad.item(), rel=1e-12)


@pytest.mark.parametrize("name", ["lstm", "peephole", "gru", "gru before"])
@pytest.mark.parametrize("level", ["all", "op", "gate", "step"])
def test_all_paths_together_are_the_gradient(name, level):
    h = last_h(CELLS[name](), 2)
    graph = mr.graph(h, level=level)
    h.backward()
    listed = every_path(graph, "t0.h", "t2.h")
    total = sum(math.prod(edge.value for edge in path) for path in listed)
    assert total == pytest.approx(graph.find("t0.h").tensor.grad.item(), rel=1e-12)


def test_the_running_product_keeps_the_signs():
    path = strongest_path(mr.graph(last_h(mr.RNNCell(1, 1, seed=0), 3), level="op"), "t0.h")
    values = [edge.value for edge in path.edges]
    assert min(values) < 0
    np.testing.assert_allclose(path.running, np.cumprod(values), rtol=1e-14)
    assert path.product == path.running[-1]


def test_of_vectors_the_running_product_is_of_norms():
    numbers = np.random.default_rng(0)
    cell = mr.RNNCell(2, 3, seed=0)
    h0 = state(numbers.normal(size=3))
    h = mr.unroll(cell, numbers.normal(size=(2, 2)), h0)[-1]
    path = strongest_path(mr.graph(h.sum().named("L"), level="op"), "t0.h")
    U = np.linalg.norm(cell.weight_hh.numpy(), 2)
    expected = [math.sqrt(3)]  # the norm of the sum of three numbers
    for t in (2, 1):
        values = mr.graph(h).find(f"t{t}.h").tensor.numpy()
        expected += [np.max(1 - values**2), U]
    np.testing.assert_allclose([edge.norm for edge in path.edges], expected, rtol=1e-12)
    np.testing.assert_allclose(path.running, np.cumprod(expected), rtol=1e-12)


def test_a_tie_goes_to_the_older_edge():
    x = state(0.5, name="x")
    first, second = (x * 2.0).named("first"), (x * 2.0).named("second")
    for y in ((first + second).named("y"), (second + first).named("y")):
        older = mr.graph(y).into("y")[0].source
        assert strongest_path(mr.graph(y), "x").ids == ("y", older, "x")


def test_a_zero_edge_loses_against_the_weakest_other():
    x = state(0.5, name="x")
    dead = (x * 0.0).named("dead") * 1e300
    weak = (x * 1e-300).named("weak") * 1e-300
    graph = mr.graph((dead + weak).named("y"))
    assert "weak" in strongest_path(graph, "x").ids


def test_among_dead_paths_one_is_still_found():
    x = state(0.5, name="x")
    path = strongest_path(mr.graph(((x * 0.0) * 3.0).named("y")), "x")
    assert len(path.edges) == 2
    assert path.product == 0


def test_the_sweep_does_not_underflow():
    """Of two paths whose products are both 0 in floating point, the stronger one is found."""
    x = state(0.5, name="x")
    weak, strong = x, x
    for _ in range(40):
        weak, strong = weak * 1e-20, strong * 1e-19
    path = strongest_path(mr.graph((weak.named("weak") + strong.named("strong")).named("y")), "x")
    assert path.ids[1] == "strong"


def test_source_and_root_may_be_one_node():
    graph = mr.graph(last_h(CELLS["rnn"](), 2))
    path = strongest_path(graph, "t1.h", root="t1.h")
    assert (path.ids, path.edges, path.count, path.product) == (("t1.h",), (), 1, 1.0)


def test_a_root_in_the_middle():
    graph = mr.graph(last_h(CELLS["lstm"](), 3), level="gate")
    path = strongest_path(graph, "t0.h", root="t2.c")
    assert (path.ids[0], path.ids[-1]) == ("t2.c", "t0.h")
    assert path.count == lstm_count(2) - lstm_count(1)  # all but those through z_o


# -- ids that are not there ------------------------------------------------------------------------


def test_a_source_the_root_does_not_depend_on():
    a, b = state(0.3, name="a"), state(0.4, name="b")
    graph = mr.graph([(a * 2.0).named("y"), (b * 2.0).named("w")])
    with pytest.raises(ValueError, match=r"^w does not depend on a: no path leads back to it$"):
        strongest_path(graph, "a")


def test_an_unknown_source_names_the_nearest():
    graph = mr.graph(last_h(CELLS["lstm"](), 2), level="gate")
    with pytest.raises(mr.UnknownNode, match=r"no node 't0\.hh' .* nearest ids are: t0\.h"):
        strongest_path(graph, "t0.hh")


def test_what_a_level_folds_is_unknown_there():
    graph = mr.graph(last_h(CELLS["lstm"](), 2), level="gate")
    assert graph.at("op").find("t1.z_f")
    with pytest.raises(mr.UnknownNode, match=r"'t1\.z_f'"):
        strongest_path(graph, "t1.z_f")


def test_an_unknown_root_is_named():
    graph = mr.graph(last_h(CELLS["rnn"](), 2))
    with pytest.raises(mr.UnknownNode, match=r"'t9\.h'"):
        strongest_path(graph, "t0.h", root="t9.h")


# -- short forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("short", "id"), [("h0", "t0.h"), ("c2", "t2.c"), ("x12", "t12.x"), ("z_f3", "t3.z_f")]
)
def test_short_forms_are_understood(short, id):
    graph = mr.graph(last_h(CELLS["lstm"](), 12))
    assert source_id(graph, short) == id
    assert source_id(graph, id) == id


def test_a_tensor_is_found_by_itself():
    h0 = state(0.2)
    h = mr.unroll(CELLS["rnn"](), [0.9], h0)[-1]
    assert source_id(mr.graph(h), h0) == "t0.h"


def test_a_name_that_ends_in_a_digit_stays_itself():
    x = state(0.5, name="x1")
    assert source_id(mr.graph((x * 2.0).named("y")), "x1") == "x1"


@pytest.mark.parametrize(
    ("unknown", "message"),
    [
        *((unknown, "the nearest ids are: ") for unknown in ("q7", "t1.hh", "")),
        ("h", "'h' may mean one of several nodes: give 't0.h', 't1.h', 't2.h'"),
    ],
)
def test_an_unknown_id_or_short_form(unknown, message):
    graph = mr.graph(last_h(CELLS["rnn"](), 2))
    with pytest.raises(mr.UnknownNode, match=message):
        source_id(graph, unknown)


def test_a_tensor_of_another_graph():
    graph = mr.graph(last_h(CELLS["rnn"](), 2))
    with pytest.raises(mr.UnknownNode, match="elsewhere"):
        source_id(graph, state(0.1, name="elsewhere"))
