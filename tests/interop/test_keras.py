"""Keras' weights: outputs as Keras' documented equations give them, written out in numpy here."""

import re

import numpy as np
import pytest

from microrecur.interop.keras import load_keras, to_keras_weights
from microrecur.nn.layers import GRU, LSTM, RNN

D, H, N, T = 3, 4, 2, 6
DRAW = np.random.default_rng(8)
X = DRAW.normal(size=(N, T, D))


def weights(gates, bias):
    arrays = [DRAW.normal(size=(D, gates * H)), DRAW.normal(size=(H, gates * H))]
    shape = {"one": (gates * H,), "two": (2, gates * H)}.get(bias)
    return arrays + ([DRAW.normal(size=shape)] if shape else [])


def σ(x):
    return 1 / (1 + np.exp(-x))


def simple_rnn(x, kernel, recurrent, bias=0.0):
    h = np.zeros((len(x), H))
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ kernel + bias + h @ recurrent)
        yield h


def lstm(x, kernel, recurrent, bias=0.0):
    h = c = np.zeros((len(x), H))
    for t in range(x.shape[1]):
        z_i, z_f, z_c, z_o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = σ(z_f) * c + σ(z_i) * np.tanh(z_c)
        h = σ(z_o) * np.tanh(c)
        yield h


def gru_after(x, kernel, recurrent, bias=np.zeros((2, 1))):  # noqa: B008
    h = np.zeros((len(x), H))
    for t in range(x.shape[1]):
        x_z, x_r, x_h = np.split(x[:, t] @ kernel + bias[0], 3, axis=1)
        inner_z, inner_r, inner_h = np.split(h @ recurrent + bias[1], 3, axis=1)
        z, r = σ(x_z + inner_z), σ(x_r + inner_r)
        h = z * h + (1 - z) * np.tanh(x_h + r * inner_h)
        yield h


def gru_before(x, kernel, recurrent, bias=0.0):
    h = np.zeros((len(x), H))
    for t in range(x.shape[1]):
        x_z, x_r, x_h = np.split(x[:, t] @ kernel + bias, 3, axis=1)
        z = σ(x_z + h @ recurrent[:, :H])
        r = σ(x_r + h @ recurrent[:, H : 2 * H])
        h = z * h + (1 - z) * np.tanh(x_h + (r * h) @ recurrent[:, 2 * H :])
        yield h


CASES = {
    "SimpleRNN": (simple_rnn, 1, "one", {}),
    "LSTM": (lstm, 4, "one", {}),
    "LSTM without bias": (lstm, 4, "none", {}),
    "GRU reset_after": (gru_after, 3, "two", {}),
    "GRU reset_after without bias": (gru_after, 3, "none", {"reset_after": True}),
    "GRU reset before": (gru_before, 3, "one", {}),
    "GRU reset before without bias": (gru_before, 3, "none", {"reset_after": False}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_layer_of_keras_gives_the_same_here_and_back(case):
    forward, gates, bias, options = CASES[case]
    theirs = weights(gates, bias)
    ours = load_keras(theirs, **options)
    assert type(ours) is {1: RNN, 3: GRU, 4: LSTM}[gates]
    expected = np.stack(list(forward(X, *theirs)), axis=1)
    np.testing.assert_allclose(ours(X)[0].data, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.sequences(X).data, expected[:, -1], rtol=0, atol=1e-12)
    for a, b in zip(to_keras_weights(ours), theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", CASES)
def test_a_layer_of_ours_by_keras_equations(case):
    forward, gates, bias, _ = CASES[case]
    kind = {1: RNN, 3: GRU, 4: LSTM}[gates]
    told = {"reset_after": forward is gru_after} if gates == 3 else {}
    ours = kind(D, H, bias=bias != "none", batch_first=True, seed=2, **told)
    expected = np.stack(list(forward(X, *to_keras_weights(ours))), axis=1)
    np.testing.assert_allclose(ours(X)[0].data, expected, rtol=0, atol=1e-12)


def test_bidirectional_reads_the_second_half_from_the_end():
    forward, backward = weights(4, "one"), weights(4, "one")
    ours = load_keras([*forward, *backward])
    one = np.stack(list(lstm(X, *forward)), axis=1)
    two = np.stack(list(lstm(X[:, ::-1], *backward)), axis=1)[:, ::-1]
    np.testing.assert_allclose(ours(X)[0].data, np.concatenate([one, two], axis=2), atol=1e-12)
    for a, b in zip(to_keras_weights(ours), [*forward, *backward], strict=True):
        np.testing.assert_array_equal(a, b)


def test_stacked_layers_come_out_one_by_one():
    ours = LSTM(D, H, num_layers=2, batch_first=True, seed=0)
    with pytest.raises(ValueError, match="this has 2 layers, and Keras stacks them itself: say"):
        to_keras_weights(ours)
    with pytest.raises(ValueError, match="number is from 0 to 1, not 2"):
        to_keras_weights(ours, 2)
    below, above = load_keras(to_keras_weights(ours, 0)), load_keras(to_keras_weights(ours, 1))
    np.testing.assert_allclose(above(below(X)[0].data)[0].data, ours(X)[0].data, atol=1e-12)


def test_through_a_file(tmp_path):
    theirs = weights(3, "two")
    np.savez(tmp_path / "gru.npz", *theirs)
    ours = load_keras(tmp_path / "gru.npz")
    for a, b in zip(to_keras_weights(ours), theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    np.savez(tmp_path / "named.npz", kernel=theirs[0], bias=theirs[2])
    with pytest.raises(
        ValueError, match=re.escape("the file has kernel, bias, where arr_0, arr_1")
    ):
        load_keras(tmp_path / "named.npz")


def test_float32_stays():
    ours = load_keras([a.astype(np.float32) for a in weights(4, "one")])
    assert {p.dtype for p in ours.parameters()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ([np.ones((3, 16))], {}, "a layer has kernel, recurrent_kernel, bias (2 or 3 arrays; 4"),
        (weights(2, "one"), {}, "shapes [(3, 8), (4, 8), (8,)] fit no layer: kernel"),
        (weights(4, "two"), {}, "shapes [(3, 16), (4, 16), (2, 16)] fit no layer"),
        (weights(3, "none"), {}, "a GRU without bias does not tell whether it resets after"),
        (
            weights(3, "one"),
            {"reset_after": True},
            "reset_after=True, but the bias has shape (12,)",
        ),
        (weights(4, "one"), {"reset_after": True}, "reset_after belongs to a GRU"),
        (weights(4, "one"), {"nonlinearity": "relu"}, "nonlinearity is no option here: by their"),
        (
            weights(4, "one") + weights(3, "one"),
            {},
            "the two directions differ in shape: [(3, 16), (4, 16), (16,)] and [(3, 12)",
        ),
    ],
)
def test_arrays_that_fit_no_layer_are_told(arrays, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        load_keras(arrays, **options)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (LSTM(D, H, peephole=True), "this has peephole=True, which Keras has not"),
        (LSTM(D, H, proj_size=2), "this has proj_size, which Keras has not"),
        (GRU(D, H, layer_norm=True), "this has layer_norm=True, which Keras has not"),
    ],
)
def test_what_keras_has_not_is_refused(layer, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        to_keras_weights(layer)
