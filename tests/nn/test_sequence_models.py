"""Every sequence model learns what it can and not what it cannot; every pattern by hand."""

import numpy as np
import pytest

import microrecur as mr

from .messages import message, says


def waves(count, length, seed=0):
    """Sines of one frequency, any phase: x_{t+1} = 2 cos ω · x_t − x_{t−1}, so two are enough."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, (count, 1))
    return np.sin(0.7 * np.arange(length) + phase)


def train(model, loss_of, steps, lr):
    optimizer = mr.Adam(model, lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        mr.clip_grad_norm_(model, 1.0)
        optimizer.step()
    return loss_of().item()


def error_of_next(model, series):
    """Mean squared error of x̂ after a past of all but the last value."""
    return lambda: mr.mse_loss(model(series[:, :-1]), series[:, -1:])


BLIND, SEEING = 0.1, 0.005  # the variance is 0.5; one value alone leaves sin² 0.7 · 0.5 = 0.21


@pytest.mark.parametrize(
    ("model", "steps", "learns"),
    [
        (mr.Naive(7, seed=0), 200, True),
        (mr.Autoregressive(1, seed=0), 200, False),  # Markov: the phase is not in one value
        (mr.Autoregressive(2, seed=0), 200, True),
        (mr.Autoregressive(4, hidden=8, seed=0), 200, True),
        (mr.Autoregressive(1, hidden=8, seed=0), 200, False),
    ],
    ids=["naive", "Markov", "AR(2)", "AR(4) MLP", "Markov MLP"],
)
def test_a_model_of_the_past_learns_a_wave_when_it_sees_two_values(model, steps, learns):
    error = train(model, error_of_next(model, waves(40, 8)), steps, lr=0.05)
    assert error < SEEING if learns else error > BLIND


CELLS = {
    "vanilla RNN": lambda: mr.RNNCell(1, 8, seed=0),
    "LSTM": lambda: mr.LSTMCell(1, 8, seed=0),
    "peephole LSTM": lambda: mr.LSTMCell(1, 8, peephole=True, seed=0),
    "GRU": lambda: mr.GRUCell(1, 8, seed=0),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_latent_model_learns_the_same_wave_from_one_value_at_a_time(name):
    model, series = mr.Latent(CELLS[name](), seed=1), waves(20, 9)[..., None]

    def loss_of():
        guesses = model(series[:, :-1])
        return mr.mse_loss(guesses[:, 2:], series[:, 3:])  # after two values it can know

    assert train(model, loss_of, 150, lr=0.02) < 0.02


def test_ar_is_the_regression_on_the_last_tau_values():
    model, past = mr.Autoregressive(3, seed=0), np.random.default_rng(0).normal(size=(4, 6))
    w, b = model.out.weight.data, model.out.bias.data
    np.testing.assert_allclose(model(past).data, past[:, -3:] @ w.T + b, rtol=1e-14)


def test_a_naive_model_has_its_own_weights_for_every_length():
    model, past = mr.Naive(4, seed=0), np.random.default_rng(0).normal(size=(3, 4))
    for length in (1, 2, 3, 4):
        own = model.by_length[length - 1]
        expected = past[:, :length] @ own.weight.data.T + own.bias.data
        np.testing.assert_allclose(model(past[:, :length]).data, expected, rtol=1e-14)
    assert sum(p.size for p in model.parameters()) == 1 + 2 + 3 + 4 + 4


# -- the patterns --------------------------------------------------------------------------------


@pytest.fixture(params=CELLS)
def cell(request):
    return CELLS[request.param]()


@pytest.fixture
def head():
    return mr.Linear(8, 1, seed=2)


def h_of(state):
    return state[0] if isinstance(state, tuple) else state


XS = np.random.default_rng(0).normal(size=(3, 2, 1))  # T, N, I


def test_one_to_one(cell, head):
    np.testing.assert_array_equal(
        mr.one_to_one(cell, head, XS[0]).data, head(h_of(cell(XS[0]))).data
    )


def test_many_to_one(cell, head):
    state = None
    for x in XS:
        state = cell(x, state)
    np.testing.assert_array_equal(mr.many_to_one(cell, head, XS).data, head(h_of(state)).data)


def test_aligned_many_to_many(cell, head):
    state, expected = None, []
    for x in XS:
        state = cell(x, state)
        expected.append(head(h_of(state)).data)
    answers = mr.many_to_many(cell, head, XS)
    np.testing.assert_array_equal([y.data for y in answers], expected)
    assert [n.id for n in mr.graph(answers).nodes if n.name == "y"] == ["t1.y", "t2.y", "t3.y"]


def test_one_to_many_reads_its_own_answers(cell, head):
    x, state, expected = XS[0], None, []
    for _ in range(4):
        state = cell(x, state)
        x = head(h_of(state)).data
        expected.append(x)
    answers = mr.one_to_many(cell, head, XS[0], steps=4)
    np.testing.assert_array_equal([y.data for y in answers], expected)
    answers[-1].sum().backward()
    assert all(np.abs(p.grad).max() > 0 for p in cell.parameters())


def test_encoder_decoder_starts_from_the_last_state(cell, head):
    decoder = type(cell)(1, 8, seed=5)
    state = None
    for x in XS:
        state = cell(x, state)
    y, expected = np.zeros((2, 1)), []
    for _ in range(5):
        state = decoder(y, state)
        y = head(h_of(state)).data
        expected.append(y)
    answers = mr.encoder_decoder(cell, decoder, head, XS, np.zeros((2, 1)), steps=5)
    np.testing.assert_array_equal([y.data for y in answers], expected)
    ids = {n.id for n in mr.graph(answers).nodes}
    assert {"encoder.t3.h", "decoder.t4.h", "decoder.t8.y", "encoder.t0.h"} <= ids
    answers[-1].sum().backward()
    assert all(np.abs(p.grad).max() > 0 for p in cell.parameters())


def test_what_bad_input_is_told():
    text = message(mr.ShapeError, lambda: mr.Naive(2)(np.ones((1, 3))))
    says(text, "3 values", "1 to 2", "longest=2")
    text = message(mr.ShapeError, lambda: mr.Autoregressive(3)(np.ones((1, 2))))
    says(text, "(1, 2)", "(N, t)", "tau=3")
    text = message(mr.ShapeError, lambda: mr.Latent(mr.RNNCell(1, 2))(np.ones((5, 1))))
    says(text, "(N, T, I)", "(5, 1)")
    head = mr.Linear(2, 1)
    text = message(ValueError, lambda: mr.one_to_many(mr.RNNCell(1, 2), head, [1.0], 0))
    says(text, "steps", "≥ 1")
