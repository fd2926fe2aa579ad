"""The layers beside torch's, beside their cells, and beside each sequence run alone."""

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings

import microrecur as mr

from .layers_beside import cases, every_layer, first, ours, problem, states_of, theirs
from .running import agree

TORCH = {
    "RNN tanh": ("RNN", {"nonlinearity": "tanh"}),
    "RNN relu": ("RNN", {"nonlinearity": "relu"}),
    "LSTM": ("LSTM", {}),
    "LSTM proj_size": ("LSTM", {"proj_size": 1}),
    "GRU": ("GRU", {}),
}


def both(torch, name, arguments, dtype=np.float64):
    """Our layer and torch's, of the same weights."""
    kind, options = TORCH[name]
    their_layer = getattr(torch.nn, kind)(**arguments, **options)
    their_layer = their_layer.double() if dtype == np.float64 else their_layer.float()
    layer = getattr(mr, kind)(**arguments, **options, dtype=dtype)
    layer.load_state_dict(their_layer.state_dict())
    return layer, their_layer


def state_sizes(name, case):
    return (1, case.hidden) if "proj" in name else (case.hidden,) * (2 if "LSTM" in name else 1)


# -- the numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TORCH)
@settings(max_examples=40, deadline=None)
@drawn(case=cases)
def test_values_and_all_gradients_beside_torch(torch, name, case):
    layer, their_layer = both(torch, name, case.arguments)
    given, lengths = problem(case, state_sizes(name, case))
    agree(ours(layer, given, lengths), theirs(torch, their_layer, given, lengths))


# torch has no oneDNN kernel for projections in single precision, and says so.
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", TORCH)
@settings(max_examples=8, deadline=None)
@drawn(case=cases)
def test_single_precision_beside_torch(torch, name, case):
    layer, their_layer = both(torch, name, case.arguments, np.float32)
    given, lengths = problem(case, state_sizes(name, case), np.float32)
    found = ours(layer, given, lengths)
    assert {v.dtype for v in found.values()} == {np.dtype(np.float32)}
    agree(found, theirs(torch, their_layer, given, lengths), 1e-5)


@pytest.mark.parametrize(
    ("options", "output", "state", "parameters"),
    [
        ({}, (1, 35, 20), (1, 1, 20), 2_560),
        ({"num_layers": 2}, (1, 35, 20), (2, 1, 20), 5_920),
        ({"num_layers": 2, "bidirectional": True}, (1, 35, 40), (4, 1, 20), 15_040),
    ],
)
def test_shapes_and_counts_of_lstm_10_20(options, output, state, parameters):
    lstm = mr.LSTM(10, 20, batch_first=True, seed=0, **options)
    got, (h_n, c_n) = lstm(np.ones((1, 35, 10)))
    assert (got.shape, h_n.shape, c_n.shape) == (output, state, state)
    assert sum(p.size for p in lstm.parameters()) == parameters


def test_the_digits_classifier_has_821770_parameters():
    class Classifier(mr.Module):
        def __init__(self):
            self.lstm = mr.LSTM(28, 256, num_layers=2, batch_first=True, seed=0)
            self.head = mr.Linear(256, 10, seed=1)

        def forward(self, rows):
            _, (h_n, _) = self.lstm(rows)
            return self.head(h_n[-1])

    model = Classifier()
    assert sum(p.size for p in model.parameters()) == 821_770
    assert "821,770 parameters" in repr(model).splitlines()[0]
    assert model(np.zeros((2, 3, 28))).shape == (2, 10)


@pytest.mark.parametrize("name", TORCH)
def test_names_order_and_shapes_are_torchs_both_ways(torch, name):
    arguments = {"input_size": 2, "hidden_size": 3, "num_layers": 2, "bidirectional": True}
    layer, their_layer = both(torch, name, arguments)
    state = layer.state_dict()
    expected = {k: tuple(p.shape) for k, p in their_layer.named_parameters()}
    assert {k: v.shape for k, v in state.items()} == expected
    assert list(state) == list(expected)
    assert [p.name for p in layer.parameters()] == list(expected)
    their_layer.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    for key in expected:
        np.testing.assert_array_equal(getattr(layer, key).data, state[key])


@every_layer
def test_a_layer_is_its_cells_unrolled_one_after_the_other(make, options):
    layer = make(2, 3, 2, bidirectional=True, seed=0, **options)
    xs = np.random.default_rng(1).normal(size=(4, 5, 2))
    output, *_ = layer(xs)
    for forward, reverse in (layer.cells[:2], layer.cells[2:]):
        there = [first(s) for s in mr.unroll(forward, list(xs))]
        back = [first(s) for s in mr.unroll(reverse, list(xs[::-1]))][::-1]
        xs = np.array([np.hstack([a.data, b.data]) for a, b in zip(there, back, strict=True)])
    np.testing.assert_allclose(output.data, xs, rtol=1e-13)


@every_layer
def test_lengths_are_each_sequence_run_alone(make, options):
    layer = make(2, 3, 2, bidirectional=True, seed=0, **options)
    xs, lengths = np.random.default_rng(1).normal(size=(4, 3, 2)), [2, 4, 1]
    output, *_ = answer = layer(xs, lengths=lengths)
    for k, length in enumerate(lengths):
        alone = layer(xs[:length, k])
        np.testing.assert_allclose(output.data[:length, k], alone[0].data, rtol=1e-12)
        assert not output.data[length:, k].any()
        for s, expected in zip(states_of(answer), states_of(alone), strict=True):
            np.testing.assert_allclose(s.data[:, k], expected.data, rtol=1e-12)


@every_layer
def test_padding_is_never_read_not_even_nan(make, options):
    layer = make(2, 3, 2, bidirectional=True, seed=0, **options)
    xs, lengths = np.random.default_rng(1).normal(size=(4, 3, 2)), [2, 4, 1]
    spoilt = xs.copy()
    for k, length in enumerate(lengths):
        spoilt[length:, k] = np.nan
    gradients = []
    for given in (xs, spoilt):
        layer.zero_grad()
        x = mr.tensor(given, requires_grad=True)
        output, *_ = layer(x, lengths=lengths)
        (output * output).sum().backward()
        gradients.append([x.grad, *(p.grad for p in layer.parameters())])
    for clean, with_nan in zip(*gradients, strict=True):
        np.testing.assert_array_equal(clean, with_nan)


@every_layer
def test_second_order_gradients_through_a_whole_layer(make, options):
    layer = make(2, 3, 1, bidirectional=True, seed=0, **options)
    x = mr.tensor(np.random.default_rng(0).normal(size=(2, 2, 2)), requires_grad=True)
    assert mr.gradcheck(lambda x: layer(x, lengths=[1, 2])[0].sum(), [x])
