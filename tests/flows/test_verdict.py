"""Verdicts: the sentence names the cause, and the cause is in the numbers."""

import math
import re

import numpy as np
import pytest

import microrecur as mr
from microrecur.flows.by_step import arrivals
from microrecur.flows.horizon import power
from tests.flows.by_hand import CELLS, flow_of, sequence, with_weights


def test_a_default_lstm_vanishes_because_the_forget_gate_is_near_a_half():
    text = flow_of(mr.LSTMCell(8, 32, seed=0), T=20, zero=True).verdict()
    assert text[0].startswith("The gradient vanishes: 0.6")
    assert "from 5.66 at step 20 to " in text[0]
    assert text[2].startswith("Most of it goes direct (")
    assert "alone 0.5" in text[2]
    assert "because f ≈ 0.5" in text[2]
    assert "mean 0.5" in text[2]


def test_with_a_forget_bias_of_three_it_holds_because_the_gate_is_near_one():
    cell = with_weights(mr.LSTMCell(8, 32, seed=0), forget=3.0)
    flow = flow_of(cell, T=20, zero=True)
    text = flow.verdict()
    assert text[0].startswith("The gradient holds: 0.9")
    half = f"half-life of what lasts longest {flow.half_life('direct'):.1f} steps"
    assert f"({half}), because f ≈ 0.9" in text[2]
    assert "half" not in text[0]


def test_the_mean_and_the_least_of_a_gate_are_those_recorded():
    flow = flow_of(CELLS["lstm"], T=9)
    means = {t: flow.graph.find(f"t{t}.f").tensor.numpy().mean() for t in range(1, 10)}
    least = min(means, key=means.get)
    mean = np.mean(list(means.values()))
    told = next(line for line in flow.verdict() if "goes direct" in line)
    assert f"(mean {mean:.2f}, least {means[least]:.2f} at step {least})" in told


def test_large_weights_grow_through_a_gate_that_is_named_with_its_weight():
    cell = with_weights(mr.LSTMCell(8, 32, seed=1), 10.0)
    text = flow_of(cell, T=50).verdict()
    assert text[0].startswith("The gradient grows: 1.")
    norm = np.linalg.norm(cell.weight_hh.numpy()[64:96], 2)
    assert "Most of it goes via g" in text[2]
    assert f"‖Uᵍ‖ = {norm:.2f}" in text[2]
    assert text[3].startswith("No route alone grows: direct, via g and via o")
    assert "together do, 1." in text[3]


def factors_of(sentence):
    """The numbers that a cause multiplies: of a gate or slope after ≈ or =, of a weight after ×."""
    cause = re.sub(r"\([^()]*\)", "", sentence.split("because ")[1]).rstrip(".")
    return [float(re.search(r"([\d.]+)\s*$", part)[1]) for part in cause.split(" · ")]


@pytest.mark.parametrize(
    ("cell", "T", "named"),
    [
        (with_weights(mr.LSTMCell(8, 32, seed=1), 10.0), 50, ["o", "tanh′ of c", "i", "zᵍ", "Uᵍ"]),
        (mr.LSTMCell(8, 32, seed=0), 50, ["f"]),
        (mr.GRUCell(8, 32, seed=0), 50, ["z"]),
        (mr.RNNCell(8, 32, seed=0), 50, ["tanh′ of z", "U"]),
        (mr.RNNCell(8, 32, nonlinearity="sigmoid", seed=0), 50, ["σ′ of z", "U"]),
        (with_weights(mr.GRUCell(8, 32, seed=1), 8.0), 50, []),
    ],
)
def test_the_factors_named_multiply_to_the_rate_named(cell, T, named):
    for sentence in flow_of(cell, T=T).verdict():
        if "because" in sentence:
            rate = float(re.search(r"alone ([\d.]+) per step", sentence)[1])
            assert np.prod(factors_of(sentence)) == pytest.approx(rate, rel=0.06)
            assert all(name in sentence for name in named)


def test_a_route_that_grows_alone_needs_no_other():
    text = str(flow_of(with_weights(mr.RNNCell(4, 8, seed=0), 3.0), T=10).verdict())
    assert "No route alone" not in text


# -- where the loss enters, and what is asked about ------------------------------------------------


def every_step(T=20):
    cell = mr.LSTMCell(8, 32, seed=0)
    _, start, after = sequence(cell, T, zero=True)
    loss = after[0][0].sum()
    for h, _ in after[1:]:
        loss = loss + h.sum()
    return loss.named("L"), after[-1][0].sum().named("L"), start


def test_a_loss_at_every_step_vanishes_like_one_at_the_last():
    every, last, start = every_step()
    told, alone = (mr.flow(y, start[0]).verdict() for y in (every, last))
    assert told[0] == alone[0]
    assert told[0].startswith("The gradient vanishes: 0.6")
    assert told[1].startswith("L enters at every step; the figures are of what enters at step 20. ")
    norms = [np.linalg.norm(mr.flow(every, s).gradient) for s in start]
    assert f"{math.hypot(*norms):.2f} arrives at step 0." in told[1]
    assert not any("enters" in line for line in alone)


def test_a_loss_at_two_steps_says_at_how_many():
    _, start, after = sequence(CELLS["lstm"])
    text = mr.flow((after[1][0].sum() + after[-1][0].sum()).named("L"), start[0]).verdict()
    assert text[1].startswith("L enters at 2 of 6 steps; ")


def test_steps_that_the_loss_does_not_reach_are_passed_over():
    net = mr.LSTM(2, 3, seed=0)
    out, _ = net(np.random.default_rng(0).normal(size=(5, 2)))
    text = mr.flow(out[1].sum().named("L"), "t0.h").verdict()
    assert "from 1.73 at step 2 to " in text[0]
    assert text[1].startswith("‖∂L/∂h₀‖ = ")


def test_of_a_weight_its_own_gradient_is_told_with_the_steps_that_bring_it():
    flow = flow_of(CELLS["lstm"], wrt="weight_hh")
    text = flow.verdict()
    assert text[0].startswith("The gradient through the states ")
    size = np.linalg.norm(flow.gradient)
    share = {row.step: row.share for row in mr.contributions(flow.y, "weight_hh")}
    assert text[1].startswith(f"‖∂L/∂weight_hh‖ = {size:.2f}, the sum over its uses in 6 steps: ")
    assert text[1].endswith(f"step 6 alone brings {share[6]:.0%} of it.") or "steps" in text[1]


def test_of_a_gate_its_own_gradient_is_told_with_the_factors_that_lead_to_it():
    flow = flow_of(CELLS["lstm"], wrt="t2.z_f")
    text = flow.verdict()
    assert text[0].startswith("The gradient through the states ")
    told = next(line for line in text if line.startswith("‖∂L/∂zᶠ₂‖ = "))
    reaches = float(re.search(r"the ([\d.]+) that", told)[1])
    f, c, after = (flow.graph.find(name).tensor for name in ("t2.f", "t1.c", "t2.c"))
    way = arrivals(flow)[after].view.value() * c.numpy() * f.numpy() * (1 - f.numpy())
    numbers = [float(x) for x in re.findall(r" · [^≈=]*[≈=] ([\d.]+)", told)]
    assert "by way of c₂" in told
    assert "c₁ ≈ " in told
    assert "σ′ of zᶠ ≈ " in told
    assert reaches * np.prod(numbers) == pytest.approx(np.linalg.norm(way), rel=0.05)
    assert power(math.log10(np.linalg.norm(flow.gradient))) in told


def test_over_one_step_there_is_no_trend():
    text = flow_of(mr.LSTMCell(8, 32, seed=0), T=1, zero=True).verdict()
    assert text[0].startswith("Over one step the gradient is multiplied by 0.")
    assert not re.search("vanish|hold|grow|per step", str(text))


def test_of_two_layers_the_cause_names_its_layer():
    net = mr.LSTM(2, 3, num_layers=2, seed=0)
    out, _ = net(np.random.default_rng(0).normal(size=(9, 2)))
    text = str(mr.flow(out[-1].sum().named("L"), "layer0.t0.h").verdict())
    assert "because f of layer1 ≈ " in text


def test_what_has_no_name_is_told_by_its_id_with_a_true_cause_or_none():
    x = mr.tensor(2.0)
    shifted = x - 2
    assert str(mr.flow(shifted * shifted, x).verdict()) == (
        "∂mul1/∂number1 is exactly 0: zero because sub1 = 0."
    )
    assert str(mr.flow(mr.abs(x - 2), x).verdict()) == (
        "∂abs1/∂number1 is exactly 0: zero because |·| is flat at sub1 = 0."
    )


def test_an_rnn_names_its_slope_and_weight():
    text = flow_of(mr.RNNCell(8, 32, nonlinearity="sigmoid", seed=0), T=20).verdict()
    assert "vanishes" in text[0]
    assert "Most of it goes via h (100%" in text[1]
    assert "σ′ of z ≈ 0.2" in text[1]
    assert "‖U‖ = 1." in text[1]


def test_a_gru_names_its_update_gate():
    text = flow_of(mr.GRUCell(8, 32, seed=0), T=20).verdict()
    assert "vanishes" in text[0]
    assert "goes direct" in text[1]
    assert "because z ≈ 0.5" in text[1]


def test_the_first_sentence_has_the_gradients_own_figures():
    flow = flow_of(CELLS["rnn"], T=5)
    size = np.linalg.norm(flow.gradient)
    rate = (size / np.sqrt(3)) ** (1 / 5)
    assert flow.verdict()[0].startswith(f"The gradient vanishes: {rate:.2f} per step, from 1.73 at")
    assert "to 0." in flow.verdict()[0]


@pytest.mark.parametrize(("factor", "verb"), [(0.7, "vanishes"), (0.95, "holds"), (1.4, "grows")])
def test_the_verb_turns_at_one_part_in_n(factor, verb):
    h = h0 = mr.tensor(1.0).named("h")
    h0.scope = ("t=0",)
    for t in range(1, 11):
        with mr.scope(f"t={t}"):
            h = (h * factor).named("h")
    text = mr.flow(h, h0).verdict()
    assert text[0].startswith(f"The gradient {verb}: {factor:.2f} per step, from 1.00 at step 10")
    assert f"because ×{factor}" in text[1]


# -- zeros that have a reason ----------------------------------------------------------------------


def test_the_first_forget_gate_gets_nothing_because_the_cell_state_was_zero():
    flow = flow_of(CELLS["lstm"], zero=True)
    assert "At step 1 f₁ gets no gradient: zero because c₀ = 0, not dead." in flow.verdict()
    asked = mr.flow(flow.y, "t1.f")
    assert not asked.gradient.any()
    assert str(asked.verdict()) == "∂L/∂f₁ is exactly 0: zero because c₀ = 0, not dead."
    assert "not dead" not in str(flow_of(CELLS["lstm"]).verdict())


def test_of_two_layers_each_is_told_by_its_name():
    net = mr.LSTM(2, 3, num_layers=2, seed=0)
    out, _ = net(np.random.default_rng(0).normal(size=(4, 2)))
    text = mr.flow(out[-1].sum().named("L"), "layer0.t0.h").verdict()
    assert text[0].startswith("The gradient")
    zeros = [f"At step 1 f₁ of layer{k} gets no gradient: zero because c₀ = 0" for k in (0, 1)]
    assert all(any(line.startswith(zero) for line in text) for zero in zeros)


def test_a_bidirectional_layer_has_steps_but_no_one_chain():
    net = mr.LSTM(2, 3, bidirectional=True, seed=0)
    out, _ = net(np.random.default_rng(0).normal(size=(4, 2)))
    flow = mr.flow(out[1].sum().named("L"), "layer0.t0.h")
    assert flow.verdict()[0].startswith("‖∂L/∂h₀‖ = ")
    assert "via layer0.reverse.f" in flow.routes(at=2).names
    assert 10 ** flow.by_step()[-1].total_layer0_h == pytest.approx(np.linalg.norm(flow.gradient))


def test_a_gru_whose_state_was_zero_says_so_of_its_reset_gate():
    text = flow_of(CELLS["gru before"], zero=True).verdict()
    assert "At step 1 r₁ gets no gradient: zero because h₀ = 0, not dead." in text


def test_a_relu_that_is_off_is_the_cause():
    x = mr.tensor(-2.0, name="x")
    text = mr.flow(mr.relu(x).named("y"), x).verdict()
    assert str(text) == "∂y/∂x is exactly 0: zero because relu′ of x is 0: it is saturated or off."


def test_paths_that_cancel_are_the_cause():
    x = mr.tensor(3.0, name="x")
    assert "its paths cancel" in str(mr.flow((x * x - x * x).named("y"), x).verdict())


def test_what_y_does_not_depend_on_is_said():
    _, start, after = sequence(CELLS["lstm"])
    other = mr.tensor(1.0, name="q")
    flow = mr.flow(after[-1][0].sum().named("L"), other)
    assert str(flow.verdict()) == (
        "L does not depend on q: no path leads back to it, the gradient is 0."
    )
    assert flow.count == 0
    assert not flow.gradient.any()
    assert start[0] is not other


def test_without_steps_there_is_one_sentence():
    x = mr.tensor(3.0, name="x")
    assert str(mr.flow((x * x).named("y"), x).verdict()) == (
        "‖∂y/∂x‖ = 6.00, over 2 paths; they agree to 100%."
    )
    assert "over the one path there is" in str(mr.flow(mr.tanh(x).named("y"), x).verdict())


def test_within_one_step_nothing_has_travelled():
    text = mr.flow(flow_of(CELLS["lstm"]).y, "t6.o").verdict()
    assert len(text) == 1
    assert text[0].startswith("‖∂L/∂o₆‖ = ")


def test_all_is_lost_where_a_relu_network_dies():
    cell = mr.RNNCell(1, 1, nonlinearity="relu", seed=0)
    cell.bias_ih.assign([-50.0])
    flow = flow_of(cell, T=4)
    assert "zero because relu′ of z₄ is 0" in str(flow.verdict())


def test_a_verdict_shows_one_sentence_per_line():
    text = flow_of(CELLS["lstm"]).verdict()
    assert repr(text) == str(text) == "\n".join(text)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_shut_gate_is_named_and_what_opening_it_would_keep_is_what_it_then_keeps(kind):
    made = {"lstm": mr.LSTMCell, "gru": mr.GRUCell}[kind]
    cell = with_weights(made(3, 8, seed=0), forget=-8.0)  # f of the LSTM, z of the GRU
    flow = flow_of(cell, T=20, zero=True)
    gate = {"lstm": "f", "gru": "z"}[kind]
    shut = next(line for line in flow.verdict() if line.startswith("A gate is shut: direct"))
    mean = np.mean([flow.graph.find(f"t{t}.{gate}").tensor.numpy().mean() for t in range(1, 21)])
    assert mean < 1e-3
    assert f"because {gate} ≈ " in shut
    kept = float(re.search(r"at 1 it would keep about ([\d.]+)\.$", shut)[1])
    opened = flow_of(with_weights(cell, forget=30.0), T=20, zero=True)
    alone = {row.route: row.per_step for row in opened.through_time()}
    # Opened, the cell runs on other numbers (c grows): near, not equal.
    assert kept == pytest.approx(alone["direct"], rel=0.2)
    assert kept == pytest.approx(1, rel=0.05)


def test_where_no_gate_is_shut_none_is_said_to_be():
    for forget in (0.0, 3.0):
        cell = with_weights(mr.LSTMCell(3, 8, seed=0), forget=forget)
        assert "shut" not in str(flow_of(cell, T=20, zero=True).verdict())
