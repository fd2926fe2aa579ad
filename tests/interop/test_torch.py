"""Torch's weights here, ours there: the same outputs, and a clear word about what does not fit."""

import itertools
import re

import numpy as np
import pytest

from microrecur.interop.torch import load_torch, recurrent_groups, to_torch_state_dict
from microrecur.interop.weights import save_weights
from microrecur.nn.cells import GRUCell, LSTMCell, RNNCell
from microrecur.nn.layers import GRU, LSTM, RNN
from microrecur.nn.simple import Embedding, LayerNorm, Linear, Sequential

OURS = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}
X = np.random.default_rng(5).normal(size=(6, 2, 3))


def twin(name, **options):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch, getattr(torch.nn, name)(3, 4, dtype=torch.float64, **options)


def outputs(layer, x):
    output, last = layer(x)
    last = last if isinstance(last, tuple) else (last,)
    return [np.asarray(part.detach().numpy()) for part in (output, *last)]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    ("layers", "bidirectional", "bias"), [*itertools.product((1, 2), (False, True), (False, True))]
)
def test_a_layer_of_torch_gives_the_same_here_and_back(name, layers, bidirectional, bias):
    options = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias}
    torch, theirs = twin(name, **options)
    ours = load_torch(theirs.state_dict())
    assert type(ours) is OURS[name]
    for a, b in zip(outputs(ours, X), outputs(theirs, torch.tensor(X)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)
    back = getattr(torch.nn, name)(3, 4, dtype=torch.float64, **options)
    back.load_state_dict(to_torch_state_dict(ours))  # strict: every name, every shape
    for a, b in zip(outputs(theirs, torch.tensor(X)), outputs(back, torch.tensor(X)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_projection_and_a_relu():
    torch, theirs = twin("LSTM", proj_size=2, num_layers=2)
    for a, b in zip(outputs(load_torch(theirs.state_dict()), X), outputs(theirs, torch.tensor(X))):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)
    torch, theirs = twin("RNN", nonlinearity="relu")
    ours = load_torch(theirs.state_dict(), nonlinearity="relu")
    np.testing.assert_allclose(ours(X)[0].data, outputs(theirs, torch.tensor(X))[0], atol=1e-10)


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_a_cell_of_torch(name):
    torch, theirs = twin(name)
    ours = load_torch(theirs.state_dict())
    after, expected = ours(X[0]), theirs(torch.tensor(X[0]))
    for a, b in zip(*(s if isinstance(s, tuple) else (s,) for s in (after, expected)), strict=True):
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=0, atol=1e-10)


def test_a_whole_model_by_its_names():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(
        torch.nn.Embedding(7, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 2)
    ).double()
    ours = Sequential(Embedding(7, 3), LayerNorm(3), Linear(3, 2))
    theirs.load_state_dict(to_torch_state_dict(ours))
    tokens = [[1, 5], [6, 0]]
    expected = theirs(torch.tensor(tokens)).detach().numpy()
    np.testing.assert_allclose(ours(tokens).data, expected, rtol=0, atol=1e-10)


def test_a_file_of_several_layers_asks_which(tmp_path):
    state = {f"encoder.lstm.{k}": v for k, v in LSTM(3, 4, seed=0).state_dict().items()}
    state |= {f"decoder.{k}": v for k, v in GRU(2, 5, seed=1).state_dict().items()}
    state |= Linear(4, 1, seed=2).state_dict()
    path = save_weights(tmp_path / "m.safetensors", state)
    message = "m.safetensors has several recurrent layers; prefix= is one of 'decoder', 'enco"
    with pytest.raises(ValueError, match=re.escape(message)):
        load_torch(path)
    with pytest.raises(
        ValueError, match=r"m\.safetensors has no recurrent layer 'lstm'; prefix= is"
    ):
        load_torch(path, "lstm")
    assert isinstance(load_torch(path, "decoder"), GRU)
    encoder = load_torch(path, "encoder.lstm", batch_first=True)
    assert encoder.batch_first
    np.testing.assert_array_equal(encoder.weight_hh_l0.data, state["encoder.lstm.weight_hh_l0"])


@pytest.mark.parametrize(
    "module",
    [
        LSTM(3, 4, peephole=True, seed=0),
        LSTM(3, 4, num_layers=2, layer_norm=True, seed=0),
        LSTMCell(3, 4, peephole=True, seed=0),
        GRUCell(3, 4, seed=0, dtype=np.float32),
        RNNCell(3, 4, bias=False, seed=0),
    ],
)
def test_our_own_weights_tell_what_they_are(module):
    made = load_torch(module.state_dict())
    assert type(made) is type(module)
    assert {k: v.shape for k, v in made.state_dict().items()} == {
        k: v.shape for k, v in module.state_dict().items()
    }
    assert {p.dtype for p in made.parameters()} == {p.dtype for p in module.parameters()}
    x = X.astype(made.parameters()[0].dtype)
    x = x if isinstance(module, LSTM) else x[0]
    found, expected = made(x), module(x)
    first = [y[0] if isinstance(y, tuple) else y for y in (found, expected)]
    np.testing.assert_array_equal(first[0].data, first[1].data)


def without(name, **extra):
    state = {**LSTM(3, 4, num_layers=2, seed=0).state_dict(), **extra}
    state.pop(name, None)
    return state


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({}, ValueError, "the state dict has no recurrent weights"),
        ({"fc.weight": np.ones(3)}, ValueError, "weight_hh_l0, …); it has fc.weight"),
        (without("weight_hh_l0"), KeyError, "weight_hh_l0 missing; there are"),
        (without("bias_ih_l1"), KeyError, "missing ['bias_ih_l1'], unexpected none"),
        (
            without("", weight_ih_l0_reverse=np.ones((16, 3))),
            KeyError,
            "missing ['weight_hh_l0_reverse', 'bias_ih_l0_reverse', 'bias_hh_l0_reverse',",
        ),
        (
            {"weight_ih_l0": np.ones((8, 3)), "weight_hh_l0": np.ones((8, 4))},
            ValueError,
            "weight_ih_l0 (8, 3) and weight_hh_l0 (8, 4) fit no cell",
        ),
        (
            {"weight_ih": np.ones(8), "weight_hh": np.ones((8, 4))},
            ValueError,
            "weight_ih (8,) and weight_hh (8, 4) fit no cell",
        ),
        (without("", bias_hh_l1=np.ones(3)), ValueError, "bias_hh_l1 is (3,), this module's"),
    ],
)
def test_weights_that_fit_no_layer_are_told(state, error, message):
    with pytest.raises(error, match=re.escape(message)):
        load_torch(state)


def test_an_option_of_another_cell_is_refused():
    message = (
        "load_torch: reset_after is no option here: by their shapes these are the weights of a"
    )
    with pytest.raises(ValueError, match=message):
        load_torch(RNN(3, 4).state_dict(), reset_after=False)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (LSTM(3, 4, peephole=True), "LSTM has peephole=True, which torch has not"),
        (GRUCell(3, 4, reset_after=False), "GRUCell has reset_after=False"),
        (Sequential(GRU(3, 4, layer_norm=True)), "0 has layer_norm=True"),
        (RNN(3, 4, nonlinearity="sigmoid"), "RNN has nonlinearity='sigmoid'"),
    ],
)
def test_what_torch_has_not_is_refused(module, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        to_torch_state_dict(module)


def test_names_that_only_look_recurrent_are_left_alone():
    names = ["a.weight_ih_l0", "weight_ihx", "a.weight_ih_l0_reversed", "xweight_hh_l0"]
    assert recurrent_groups({name: np.ones(1) for name in names}) == {
        "a": {"weight_ih_l0": np.ones(1)}
    }
