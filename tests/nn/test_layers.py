"""What the layers record, what they have beyond torch, and what they say of bad input."""

import copy
import pickle

import numpy as np
import pytest

import microrecur as mr
from microrecur.drawing.roles import read_cell

from .layers_beside import every_layer, states_of
from .messages import message, says

# -- what is recorded ----------------------------------------------------------------------------


def ids(y, level="all"):
    return {node.id: node.role for node in mr.graph(y).at(level).nodes}


@pytest.mark.parametrize("wrap", [np.asarray, mr.tensor])
def test_a_layer_of_one_cell_files_as_unroll_does(wrap):
    xs = np.random.default_rng(0).normal(size=(3, 2))
    layer = mr.LSTM(2, 3, seed=0)
    _, (h_n, _) = layer(wrap(xs))
    unrolled = mr.unroll(layer.cells[0], list(xs))[-1][0]
    steps = {k: role for k, role in ids(h_n, "gate").items() if k.startswith("t")}
    expected = ids(unrolled, "gate")
    assert {k for k in steps if not k.endswith(".x")} == {k for k in expected if k[-1] != "x"}
    assert {"t3.f", "t0.h", "t0.c", "t1.x"} <= set(steps)
    assert read_cell(mr.graph(h_n.sum()).at("gate")).kind == "lstm"


def test_ids_of_layers_and_directions():
    layer = mr.LSTM(2, 3, 2, bidirectional=True, seed=0)
    output, _ = layer(np.ones((3, 1, 2)))
    found = ids(output)
    assert {
        "layer0.t1.x", "layer0.t3.f", "layer0.reverse.t3.c", "layer1.t2.x", "layer1.reverse.t1.o",
        "layer0.U_f", "layer1.reverse.U_f", "weight_hh_l1_reverse", "output",
    } <= set(found)  # fmt: skip
    assert not any("#" in k for k in found), "two records share a place"


def test_states_of_both_directions_are_states_from_the_first_to_the_last():
    output, _ = mr.LSTM(2, 3, 2, bidirectional=True, seed=0)(np.ones((3, 1, 2)))
    expected = {
        f"{layer}{direction}t{t}.{letter}"
        for layer in ("layer0.", "layer1.")
        for direction, steps in (("", range(4)), ("reverse.", range(1, 5)))
        for t in steps
        for letter in "hc"
    }
    roles = ids(output, "step")
    assert {k for k, role in roles.items() if role == "state"} == expected


def test_the_reverse_direction_reads_the_step_after():
    output, _ = mr.GRU(2, 3, bidirectional=True, seed=0)(np.ones((3, 1, 2)))
    g = mr.graph(output).at("step")
    sources = {e.source for e in g.into("layer0.reverse.t2.h")}
    assert "layer0.reverse.t3.h" in sources
    assert "layer0.reverse.t1.h" not in sources
    assert "layer0.t1.h" in {e.source for e in g.into("layer0.t2.h")}


def test_flow_finds_the_states_of_a_reverse_direction_by_their_ids():
    layer = mr.GRU(2, 3, bidirectional=True, seed=0)
    h_0 = mr.tensor(np.zeros((2, 1, 3)), requires_grad=True)
    output, _ = layer(np.ones((3, 1, 2)), h_0)
    loss = output[0].sum()
    loss.backward()
    gradient = mr.flow(loss, "layer0.reverse.t4.h").gradient
    np.testing.assert_allclose(gradient, h_0.grad[1], rtol=1e-12)
    assert np.abs(gradient).min() > 0


def test_which_sequences_are_over_is_a_constant_and_the_held_state_a_state():
    layer = mr.LSTM(2, 3, seed=0)
    _, (h_n, _) = layer(np.ones((3, 2, 2)), lengths=[1, 3])
    shown = ids(h_n, "op")
    assert shown["t2.held h"] == shown["t2.held c"] == "state"
    assert not any("number" in k for k in shown)
    assert {e.source for e in mr.graph(h_n).at("step").into("t3.c")} == {"t2.held h", "t2.held c"}


def test_a_returned_state_goes_on_counting_and_passes_the_gradient():
    layer = mr.LSTM(2, 3, seed=0)
    xs = np.random.default_rng(0).normal(size=(5, 2, 2))
    whole, _ = layer(xs)
    _, state = layer(xs[:3])
    output, (h_n, _) = layer(xs[3:], state)
    np.testing.assert_allclose(output.data, whole.data[3:], rtol=1e-14)
    assert {"t3.f", "t4.f", "t5.f"} <= set(ids(h_n))
    answers = []
    for y in (whole[4].sum(), output[1].sum()):
        layer.zero_grad()
        y.backward()
        answers.append([p.grad for p in layer.parameters()])
    for a, b in zip(*answers, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_nothing_is_recorded_without_grad():
    with mr.no_grad():
        output, (h_n, _) = mr.LSTM(2, 3, 2, seed=0)(np.ones((3, 1, 2)))
    assert output.op is None and h_n.op is None


# -- more than torch -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 2), (4, 5, 2)])
@pytest.mark.parametrize("batch_first", [False, True])
def test_cell_states_and_gates_over_time(shape, batch_first):
    layer = mr.LSTM(2, 3, 2, bidirectional=True, batch_first=batch_first, seed=0)
    x = np.random.default_rng(0).normal(size=shape)
    if batch_first and x.ndim == 3:
        x = x.swapaxes(0, 1)
    output, (_, c_n), c, gates = layer(x, return_cell_states=True, return_gates=True)
    assert list(gates) == ["i", "f", "g", "o"]
    assert c.shape == gates["f"].shape == (4, *x.shape[:-1], 3)
    time = 2 if batch_first and x.ndim == 3 else 1
    last = [np.take(c.data[k], -1 if k % 2 == 0 else 0, axis=time - 1) for k in range(4)]
    np.testing.assert_array_equal(last, c_n.data)
    h = gates["o"].data[2:] * np.tanh(c.data[2:])
    np.testing.assert_allclose(np.concatenate(h, axis=-1), output.data, rtol=1e-14)
    for letter in "if":
        np.testing.assert_array_equal(
            np.take(gates[letter].data[1], 1, axis=time - 1),
            mr.graph(output).find(f"layer0.reverse.t2.{letter}").tensor.data,
        )


def test_gates_of_padding_are_0_and_asking_changes_no_number():
    layer = mr.GRU(2, 3, seed=0)
    x = np.random.default_rng(0).normal(size=(3, 2, 2))
    output, h_n = layer(x, lengths=[3, 1])
    again, h_again, gates = layer(x, lengths=[3, 1], return_gates=True)
    np.testing.assert_array_equal(output.data, again.data)
    np.testing.assert_array_equal(h_n.data, h_again.data)
    assert list(gates) == ["r", "z", "n"]
    assert not gates["z"].data[0, 1:, 1].any() and gates["z"].data[0, :, 0].all()


def test_forget_bias_starts_every_layer_and_direction():
    layer = mr.LSTM(2, 3, 2, bidirectional=True, forget_bias=1.5, seed=0)
    plain = mr.LSTM(2, 3, 2, bidirectional=True, seed=0).state_dict()
    state = layer.state_dict()
    for suffix in ("l0", "l0_reverse", "l1", "l1_reverse"):
        both_biases = state[f"bias_ih_{suffix}"] + state[f"bias_hh_{suffix}"]
        np.testing.assert_array_equal(both_biases[3:6], 1.5)
        for rows in (slice(0, 3), slice(6, 12)):
            name = f"bias_hh_{suffix}"
            np.testing.assert_array_equal(state[name][rows], plain[name][rows])


def test_layer_norm_is_layer_norm_of_each_gate(torch):
    cell = mr.LSTMCell(2, 4, layer_norm=True, seed=0)
    rng = np.random.default_rng(0)
    for name in ("weight_ln", "bias_ln"):
        getattr(cell, name).assign(rng.normal(size=16))
    x, h, c = rng.normal(size=(3, 2)), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    p = {name: torch.tensor(v) for name, v in cell.state_dict().items()}
    z = torch.tensor(x) @ p["weight_ih"].T + p["bias_ih"]
    z = z + torch.tensor(h) @ p["weight_hh"].T + p["bias_hh"]
    rows = [slice(4 * k, 4 * k + 4) for k in range(4)]
    i, f, g, o = (
        torch.nn.functional.layer_norm(z[:, r], (4,), p["weight_ln"][r], p["bias_ln"][r])
        for r in rows
    )
    expected_c = f.sigmoid() * torch.tensor(c) + i.sigmoid() * g.tanh()
    got_h, got_c = cell(x, (h, c))
    np.testing.assert_allclose(got_c.data, expected_c.numpy(), rtol=1e-12)
    np.testing.assert_allclose(got_h.data, (o.sigmoid() * expected_c.tanh()).numpy(), rtol=1e-12)


def test_dropout_acts_between_layers_in_training_alone():
    plain = mr.LSTM(2, 3, 2, seed=0)
    layer = mr.LSTM(2, 3, 2, dropout=0.5, seed=0)
    layer.load_state_dict(plain.state_dict())
    x = np.random.default_rng(0).normal(size=(4, 5, 2))
    expected = plain(x)[0].data
    np.testing.assert_array_equal(layer.eval()(x)[0].data, expected)
    trained = layer.train()(x)[0]
    assert not np.allclose(trained.data, expected)
    g = mr.graph(trained)
    for t in (1, 2, 3, 4):
        h, dropped = (g.find(f"layer{k}.t{t}.{name}") for k, name in ((0, "h"), (1, "x")))
        (mask,) = (v for v in dropped.tensor.inputs if v is not h.tensor)
        np.testing.assert_array_equal(dropped.tensor.data, h.tensor.data * mask.data)
        assert set(np.unique(mask.data)) <= {0.0, 2.0}


def test_dropout_is_the_same_again_from_the_same_seed_and_other_at_each_call():
    x = np.random.default_rng(0).normal(size=(4, 5, 2))
    runs = []
    for _ in range(2):
        layer = mr.GRU(2, 3, 2, dropout=0.3, seed=7)
        runs.append([layer(x)[0].data for _ in range(2)])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[0][1])


@every_layer
def test_the_view_for_those_who_come_from_keras(make, options):
    layer = make(2, 3, 2, bidirectional=True, seed=0, **options)
    x = np.random.default_rng(0).normal(size=(5, 4, 2))  # (N, T, I)
    output, *_ = answer = layer(x.swapaxes(0, 1))
    every = layer.sequences(x, return_sequences=True)
    np.testing.assert_array_equal(every.data, output.data.swapaxes(0, 1))
    h_n = states_of(answer)[0].data
    np.testing.assert_array_equal(layer.sequences(x).data, np.hstack([h_n[-2], h_n[-1]]))


@every_layer
def test_copies_and_dtypes(make, options):
    layer = make(2, 3, 2, dropout=0.5, seed=0, **options)
    x = np.ones((3, 1, 2))
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(twin(x)[0].data, layer(x)[0].data)
        twin.dropout.calls = layer.dropout.calls = 0
    assert layer.to(np.float32) is layer
    output, *_ = layer(x)
    assert output.dtype == np.float32
    output.sum().backward()
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(np.float32)}


# -- bad input -----------------------------------------------------------------------------------


def test_what_bad_input_is_told():
    lstm = mr.LSTM(3, 4, 2, bidirectional=True)
    x = np.zeros((5, 2, 3))
    says(message(mr.ShapeError, lambda: lstm(np.zeros(3))), "LSTM", "(3,)", "(T, N, I)", "(T, I)")
    text = message(mr.ShapeError, lambda: mr.RNN(3, 4, batch_first=True)(np.zeros((1, 2, 3, 4))))
    says(text, "RNN", "(1, 2, 3, 4)", "(N, T, I)")
    text = message(mr.ShapeError, lambda: lstm(np.zeros((5, 2, 7))))
    says(text, "7 features", "(5, 2, 7)", "weight_ih_l0", "input_size=3")
    says(message(mr.ShapeError, lambda: lstm(np.zeros((0, 2, 3)))), "empty", "T = 0")
    zero = np.zeros((4, 2, 4))
    says(message(mr.ShapeError, lambda: lstm(x, zero)), "(h_0, c_0)", "one array")
    says(message(mr.ShapeError, lambda: lstm(x, (zero,) * 3)), "(h_0, c_0)", "3 of them")
    text = message(mr.ShapeError, lambda: lstm(x, (zero[:2], zero[:2])))
    says(text, "h_0 has shape (2, 2, 4)", "(4, 2, 4)", "2 layer(s) × 2 direction(s)", "batch 2")
    text = message(mr.ShapeError, lambda: lstm(x, (zero, zero[..., :3])))
    says(text, "c_0 has shape (4, 2, 3)", "(4, 2, 4)")
    text = message(mr.ShapeError, lambda: lstm(x[:, 0], (zero, zero)))
    says(text, "(4, 4)", "no batch axis")


def test_what_bad_lengths_are_told():
    gru, x = mr.GRU(3, 4), np.zeros((5, 2, 3))
    says(message(ValueError, lambda: gru(x, lengths=[6, 0])), "lengths[0] = 6", "lengths[1] = 0")
    says(message(ValueError, lambda: gru(x, lengths=[6, 0])), "1 to 5", "(5, 2, 3)")
    says(message(mr.ShapeError, lambda: gru(x, lengths=[1])), "2 whole numbers", "(1,)")
    says(message(mr.ShapeError, lambda: gru(x, lengths=[1.0, 2.0])), "whole numbers", "float64")
    says(message(mr.ShapeError, lambda: gru(x[:, 0], lengths=[1])), "needs a batch", "(5, 3)")


def test_what_bad_options_are_told():
    says(message(ValueError, lambda: mr.LSTM(1, 2, 0)), "LSTM: num_layers", "≥ 1", "0")
    says(message(ValueError, lambda: mr.LSTM(1, 2, proj_size=2)), "proj_size", "hidden_size=2")
    says(message(ValueError, lambda: mr.LSTM(1, 2, bias=False, forget_bias=1.0)), "bias=True")
    says(message(ValueError, lambda: mr.GRU(1, 1, layer_norm=True)), "hidden_size=1", "constant")
    says(message(ValueError, lambda: mr.RNN(1, 2, 2, dropout=1.5)), "p is a probability", "1.5")
    says(message(AttributeError, lambda: mr.RNN(1, 2).weight_ih_l1), "RNN", "weight_ih_l1")
    with pytest.warns(UserWarning, match=r"dropout=0.5 acts between layers, and num_layers=1"):
        mr.RNN(1, 2, dropout=0.5)


def test_what_a_state_dict_that_does_not_fit_is_told():
    layer, two = mr.GRU(1, 2), mr.GRU(1, 2, 2)
    text = message(KeyError, lambda: two.load_state_dict(layer.state_dict()))
    says(text, "missing ['weight_ih_l1', 'weight_hh_l1', 'bias_ih_l1', 'bias_hh_l1']")
    text = message(KeyError, lambda: layer.load_state_dict(two.state_dict()))
    says(text, "unexpected ['weight_ih_l1'")
    text = message(ValueError, lambda: layer.load_state_dict(mr.GRU(2, 2).state_dict()))
    says(text, "weight_ih_l0 is (6, 2), this module's is (6, 1)")
