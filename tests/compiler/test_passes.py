"""What the passes make of a recording: loops, joined gates, one product per weight."""

import re

import numpy as np
import pytest

import microrecur as mr
from microrecur.compiler.plan import build

from .graphs import changed, check, layer_graph, numbers, rerun, same


def last_state(kind, T=9, **options):
    """The teaching workload: gradients of the parameters alone."""
    inputs, _ = layer_graph(kind, T=T, N=4, I=2, H=5, **options)
    layer = {"rnn": mr.RNN, "lstm": mr.LSTM, "gru": mr.GRU}[kind](2, 5, seed=1, **options)
    x = mr.tensor(numbers((T, 4, 2), 1), name="x")
    output, last = layer(x)[:2]
    h = last[0] if kind == "lstm" else last
    target = mr.tensor(numbers(h.shape, 2))
    loss = mr.mse_loss(h, target)
    parameters = [p for _, p in layer.named_parameters()]
    del inputs, output
    return [x, target, *parameters], [loss, *mr.grad(loss, parameters, by_result=True)]


def loops(plan):
    """[calls of each loop's body]"""
    found, inside = [], False
    for line in plan.source.splitlines():
        if line.startswith("    for t "):
            found.append([])
            inside = True
        elif inside and line.startswith("        "):
            if not line.strip().startswith("#"):
                found[-1].append(line.strip().split("(")[0].removeprefix("np."))
        else:
            inside = False
    return found


# The calls of one step by hand: forward, backward.
BY_HAND = {"rnn": (3, 2), "lstm": (10, 4), "gru": (12, 3)}


@pytest.mark.parametrize("kind", BY_HAND)
def test_a_step_takes_as_many_calls_as_by_hand(kind):
    plan = check(*last_state(kind))
    forward, backward = loops(plan)
    assert (len(forward), len(backward)) == BY_HAND[kind], plan.source
    assert forward.count("dot") == backward.count("dot") == 1


@pytest.mark.parametrize("kind", BY_HAND)
def test_calls_do_not_grow_with_the_sequence_but_for_the_loops(kind):
    short, long = (build(*last_state(kind, T=T)).source.count("\n") for T in (8, 40))
    assert short == long


@pytest.mark.parametrize("kind", BY_HAND)
def test_gradients_of_weights_are_one_product_each(kind):
    plan = build(*last_state(kind))
    outside = [line for line in plan.source.splitlines() if line.startswith("    np.dot")]
    assert len(outside) <= 4, plan.source


def test_stacked_and_both_ways_make_a_loop_each():
    inputs, outputs = layer_graph("lstm", T=9, num_layers=2, bidirectional=True)
    assert len(loops(check(inputs, outputs))) >= 8


def test_equal_computations_are_merged():
    x = mr.tensor([0.5, 1.0])
    a, b = mr.tanh(x) * 2, mr.tanh(x) * 2
    plan = check([x], [a + b, mr.tanh(x)])
    assert plan.source.count("tanh(") == 1
    assert re.search(r"merged with an equal one +3", plan.report())


def test_what_no_output_needs_is_not_computed():
    x = mr.tensor([0.5, 1.0])
    y = mr.exp(x)
    mr.tanh(y)
    assert "tanh" not in build([x], [y]).source


def test_a_cell_of_ones_own():
    """A leaky cell with a skip over two steps: what can be joined is, the rest is as recorded."""
    W, U, a = (mr.tensor(numbers(s, k)) for k, s in enumerate([(2, 3), (3, 3), (3,)]))
    xs = mr.tensor(numbers((8, 4, 2), 5))
    h = older = mr.tensor(np.zeros((4, 3)))
    for t in range(8):
        with mr.scope(f"t={t + 1}"):
            gate = mr.sigmoid(a)
            new = gate * h + (1 - gate) * mr.tanh(xs[t] @ W + h @ U + 0.1 * older)
            h, older = new, h
    loss = (h * h).sum()
    plan = check([xs, W, U, a], [loss, *mr.grad(loss, [W, U, a, xs])])
    assert "for " in plan.source


def test_a_step_that_differs_in_the_middle_is_right():
    xs, W = mr.tensor(numbers((6, 2, 3), 1)), mr.tensor(numbers((3, 3), 2))
    h = mr.tensor(np.zeros((2, 3)))
    for t in range(6):
        with mr.scope(f"t={t + 1}"):
            h = mr.tanh(xs[t] + h @ W)
            if t == 3:
                h = h * 2 + 1
    check([xs, W], [h, *mr.grad(h.sum(), [xs, W])])


def test_the_same_steps_twice_are_kept_apart():
    layer = mr.RNN(2, 3, seed=0)
    x = mr.tensor(numbers((5, 2, 2), 1))
    first, h = layer(x)
    second, _ = layer(x * 2, h * 0)
    loss = (first * second).sum()
    parameters = [p for _, p in layer.named_parameters()]
    check([x, *parameters], [loss, *mr.grad(loss, parameters)])


def test_second_derivatives():
    layer = mr.LSTM(2, 2, seed=0)
    x = mr.tensor(numbers((4, 2, 2), 1))
    loss = (layer(x)[0] ** 2).sum()
    (g,) = mr.grad(loss, [x])
    (gg,) = mr.grad((g * g).sum(), [x])
    check([x, *[p for _, p in layer.named_parameters()]], [g, gg], 1e-11)


def test_small_digits_of_a_gate_are_kept_where_something_reads_them():
    """log σ(z) at z = −60: ½ + ½ tanh(z/2) would be 0 there."""
    W = mr.tensor(np.full((1, 1), -1.0))
    xs = mr.tensor(np.full((5, 1, 1), 60.0))
    h, total = mr.tensor(np.zeros((1, 1))), mr.tensor(0.0)
    for t in range(5):
        with mr.scope(f"t={t + 1}"):
            h = mr.sigmoid(xs[t] @ W + h)
            total = total + mr.log(h).sum()
    plan = build([xs, W], [total])
    same(plan.run([xs.data, W.data]), rerun([xs, W], [total], [xs.data, W.data]))
    assert "sigmoid" in plan.source


def test_a_head_with_cross_entropy_whose_targets_change():
    layer, head = mr.LSTM(3, 4, seed=0), mr.Linear(4, 3, seed=1)
    x = mr.tensor(numbers((6, 5, 3), 1))
    h = layer(x)[1][0][0]
    loss = mr.cross_entropy(head(h), np.array([0, 1, 2, 1, 0]))
    parameters = [p for m in (layer, head) for _, p in m.named_parameters()]
    check([x, *parameters], [loss, *mr.grad(loss, parameters, by_result=True)])


def test_the_source_says_where_lines_come_from():
    plan = build(*last_state("lstm"))
    for said in ("# t = 1 … 9", "# t/cell state", "# ∂/t/", "tanh(", "for "):
        assert said in plan.source


def test_report_and_explain():
    plan = build(*last_state("lstm"))
    report = plan.report()
    for row in ("recorded computations", "calls per step, t = 1 … 9", "buffers", "bytes"):
        assert row in report
    assert "loop over t = 1 … 9" in plan.explain("t3.f")
    assert "Side by side with t3.i, t3.o" in plan.explain("t3.f")
    assert "view" in plan.explain("t3.x")
    assert "given at every call" in plan.explain("weight_ih_l0")
    assert "not computed by itself" in plan.explain("t3.z_f")
    with pytest.raises(KeyError, match=r"no node 't3\.q' in this graph; the nearest ids are"):
        plan.explain("t3.q")


def test_memory_is_made_once():
    inputs, outputs = last_state("gru")
    plan = build(inputs, outputs)
    plan.run([x.data for x in inputs])
    for arrays in (changed(inputs), changed(inputs, seed=9)):
        same(plan.run(arrays), rerun(inputs, outputs, arrays))


def test_masks_count_twice_where_both_hold():
    """h⊙m₁ + h⊙m₂ is 2h where both masks are true: their sum is no "or"."""
    xs, W = mr.tensor(numbers((6, 2, 3), 1)), mr.tensor(numbers((3, 3), 2))
    h = mr.tensor(np.full((2, 3), 0.5))
    for t in range(6):
        with mr.scope(f"t={t + 1}"):
            h = mr.tanh((h * (xs[t] > 0.0) + h * (xs[t] > -1.0)) @ W)
    check([xs, W], [h, *mr.grad(h.sum(), [xs, W])])


def test_parts_that_overlap_add_up():
    x = mr.tensor(numbers((6, 2), 1))
    y = sum(((x[k : k + 3] ** 2 * (k + 1.0)).sum() for k in range(4)), start=mr.tensor(0.0))
    twice = (x[0] * x[0]).sum() + (x[-6] * 3).sum()
    check([x], [y, mr.grad(y, x)])
    check([x], [y, mr.grad(y, x), mr.grad(y + twice, x)])


def test_a_running_total_may_be_asked_for_on_the_way():
    xs = mr.tensor(numbers((8, 2, 3), 1))
    total, on_the_way = mr.tensor(np.zeros((2, 3))), []
    for t in range(8):
        with mr.scope(f"t={t + 1}"):
            total = total + mr.tanh(xs[t])
            on_the_way.append(total)
    check([xs], [total * 2, on_the_way[4]])
    check([xs], [*on_the_way, mr.grad((total * on_the_way[2]).sum(), xs)])


@pytest.mark.parametrize("factor", [1.0, 0.5, -2.0])
def test_a_matrix_made_in_the_loop_may_be_a_weight(factor):
    """The first step's matrix multiplies in every later one.

    A multiple of it is outside of the steps and yet needs one: no loop computes that, so it is
    taken apart, step by step.
    """
    h = mr.tensor(numbers((3, 3), 1))
    inputs, kept = [h], None
    for t in range(6):
        with mr.scope(f"t={t + 1}"):
            m = mr.tanh(h)
            kept = m if kept is None else kept
            h = mr.sigmoid(factor * (m @ kept))
    check(inputs, [h])
    check(inputs, [h, *mr.grad(h.sum(), inputs)])
