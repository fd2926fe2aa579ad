"""Tasks: the answer follows from the sequence by the task's own rule, and a seed gives it again."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microrecur.data.tasks import (
    TEMPORAL_SYMBOLS,
    adding_problem,
    copy_task,
    parity,
    recall_first_bit,
    temporal_order,
)

SIZES = st.tuples(st.integers(1, 20), st.integers(2, 30), st.integers(0, 2**32))


@given(SIZES)
def test_adding_marks_one_number_in_each_half(sizes):
    count, steps, seed = sizes
    X, y = adding_problem(count, steps, seed=seed)
    assert X.shape == (count, steps, 2) and y.shape == (count, 1)
    for sequence, answer in zip(X, y):
        (first, second) = np.flatnonzero(sequence[:, 1])
        assert first < steps // 2 <= second
        assert answer[0] == sequence[first, 0] + sequence[second, 0]
    assert set(np.unique(X[..., 1])) <= {0.0, 1.0}


def test_a_constant_answer_to_the_adding_problem_has_an_error_of_a_sixth():
    _, y = adding_problem(200_000, 4, seed=0)
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, rel=0.01)
    X, _ = adding_problem(20_000, 4, seed=0)
    assert X[..., 1].mean(axis=0) == pytest.approx([0.5] * 4, abs=0.02)  # every place is drawn


@given(st.integers(1, 8), st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.integers(0))
def test_copy_asks_for_what_was_shown(count, blanks, symbols, length, seed):
    X, y = copy_task(count, blanks, symbols, length, seed=seed)
    assert X.shape == y.shape == (count, blanks + 2 * length)
    np.testing.assert_array_equal(X[:, :length], y[:, -length:])
    assert X[:, :length].min() >= 1 and X[:, :length].max() <= symbols
    assert not y[:, :-length].any()
    (places,) = {tuple(np.flatnonzero(x == symbols + 1)) for x in X}
    assert places == (length + blanks - 1,)  # the signal comes right before the first answer
    silent = [t for t in range(X.shape[1]) if t >= length and t != places[0]]
    assert not X[:, silent].any()


@given(SIZES)
def test_recall_and_parity_read_bits(sizes):
    count, steps, seed = sizes
    X, y = recall_first_bit(count, steps, seed=seed)
    assert set(np.unique(X)) <= {-1.0, 1.0}
    np.testing.assert_array_equal(y[:, 0], [1.0 if x[0, 0] > 0 else 0.0 for x in X])
    X, y = parity(count, steps, seed=seed)
    for bits, odd in zip(X[..., 0], y[..., 0]):
        assert [sum(bits[: t + 1]) % 2 for t in range(steps)] == list(odd)


@given(st.integers(1, 20), st.integers(10, 60), st.integers(0))
def test_temporal_order_is_read_off_the_two_symbols(count, steps, seed):
    X, y = temporal_order(count, steps, seed=seed)
    assert (X.sum(axis=2) == 1).all()
    for x, answer in zip(X, y):
        text = "".join(TEMPORAL_SYMBOLS[k] for k in x.argmax(axis=1))
        assert text[0] == "E" and text[-1] == "B" and set(text[1:-1]) <= set("abcdXY")
        (first, second) = (t for t, letter in enumerate(text) if letter in "XY")
        assert steps // 10 <= first < steps // 5 and steps // 2 <= second < 3 * steps // 5
        assert ["XX", "XY", "YX", "YY"][answer] == text[first] + text[second]


def test_all_four_orders_are_equally_frequent():
    _, y = temporal_order(8_000, 10, seed=0)
    assert np.bincount(y) / 8_000 == pytest.approx([0.25] * 4, abs=0.02)


@pytest.mark.parametrize(
    "task", [adding_problem, copy_task, recall_first_bit, parity, temporal_order]
)
def test_a_seed_gives_the_same_sequences_again(task):
    first, again, other = (task(5, 12, seed=seed) for seed in (3, 3, 4))
    with_generator = task(5, 12, rng=np.random.default_rng(3))
    for a, b, c in zip(first, again, with_generator):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert any((a != d).any() for a, d in zip(first, other))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adding_problem(0, 5), "adding_problem: count is a whole number ≥ 1, not 0"),
        (lambda: adding_problem(2, 1), "adding_problem: steps is a whole number ≥ 2, not 1"),
        (lambda: copy_task(2, 0), "copy_task: blanks is a whole number ≥ 1, not 0"),
        (lambda: copy_task(2, 3, symbols=0), "copy_task: symbols is a whole number ≥ 1, not 0"),
        (lambda: temporal_order(2, 9), "temporal_order: steps is a whole number ≥ 10, not 9"),
    ],
)
def test_sizes_that_make_no_task_are_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_rng_and_seed_together_are_refused():
    with pytest.raises(TypeError, match="parity: give rng= or seed=, not both"):
        parity(2, 3, rng=np.random.default_rng(0), seed=0)
