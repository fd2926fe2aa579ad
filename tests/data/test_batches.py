"""Batches: every example once an epoch, seeded orders, and a place that is found again exactly."""

import json
import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microrecur.data.batches import Batches, FreshBatches
from microrecur.data.tasks import adding_problem


def drawn(batches, epochs):
    return [[batch[0].tolist() for batch in batches] for _ in range(epochs)]


@given(st.integers(1, 40), st.integers(1, 12), st.booleans(), st.integers(0))
def test_an_epoch_has_every_example_once_and_rows_stay_together(count, size, shuffle, seed):
    X = np.arange(count)
    batches = Batches(X, X * 10, size=size, shuffle=shuffle, seed=seed)
    pairs = list(batches)
    assert len(pairs) == len(batches)
    assert {len(x) for x, _ in pairs[:-1]} <= {size} and 1 <= len(pairs[-1][0]) <= size
    xs = np.concatenate([x for x, _ in pairs])
    np.testing.assert_array_equal(np.sort(xs), X)
    np.testing.assert_array_equal(np.concatenate([y for _, y in pairs]), xs * 10)
    if not shuffle:
        np.testing.assert_array_equal(xs, X)


def test_each_epoch_has_an_order_of_its_own_and_a_seed_gives_them_again():
    first, second = drawn(Batches(np.arange(50), size=7, seed=1), 2)
    assert first != second
    assert drawn(Batches(np.arange(50), size=7, seed=1), 2) == [first, second]
    assert drawn(Batches(np.arange(50), size=7, seed=2), 1) != [first]


def test_a_smaller_last_batch_can_be_left_out():
    batches = Batches(np.arange(10), size=4, drop_last=True)
    assert [len(x) for (x,) in batches] == [4, 4] and len(batches) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: Batches(np.arange(23), size=5, seed=3),
        lambda: FreshBatches(partial(adding_problem, steps=6), size=3, batches=5, seed=3),
    ],
    ids=["Batches", "FreshBatches"],
)
@pytest.mark.parametrize("taken", range(12))
def test_the_place_is_found_again_after_any_batch(make, taken):
    def stream(batches):
        while True:
            yield from batches

    whole, part, resumed = make(), make(), make()
    expected = [batch[0] for batch, _ in zip(stream(whole), range(15))]
    for _ in zip(range(taken), stream(part)):
        pass
    resumed.load_state_dict(json.loads(json.dumps(part.state_dict())))
    for rest, (batch, _) in enumerate(zip(stream(resumed), range(15 - taken))):
        np.testing.assert_array_equal(batch[0], expected[taken + rest])


def test_other_batches_are_not_taken_for_these():
    saved = Batches(np.arange(10), size=5, seed=3).state_dict()
    other = Batches(np.arange(12), size=4, seed=3)
    with pytest.raises(ValueError, match=re.escape("size was 5, is 4; count was 10, is 12")):
        other.load_state_dict(saved)


def test_batches_are_copies_where_they_are_shuffled():
    X = np.arange(4)
    next(iter(Batches(X, size=4)))[0][:] = -1
    np.testing.assert_array_equal(X, np.arange(4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Batches(), "Batches: there is no array to cut; give Batches(X, y)"),
        (lambda: Batches(1.0), "Batches: each array needs a first axis, one entry per example"),
        (
            lambda: Batches(np.zeros((0, 3)), np.zeros(0)),
            "Batches: there are no examples: an array has shape (0, 3)",
        ),
        (
            lambda: Batches(np.zeros(1000), np.zeros(5)),
            "Batches: the arrays hold 1,000, 5 examples; their first axes must be equal",
        ),
        (lambda: Batches([1], size=0), "Batches: size is a whole number ≥ 1, not 0"),
        (lambda: Batches([1], size=2.5), "Batches: size is a whole number ≥ 1, not 2.5"),
        (lambda: Batches([1], seed=-1), "Batches: seed is a whole number ≥ 0, not -1"),
        (
            lambda: Batches([1, 2], size=3, drop_last=True),
            "Batches: 2 examples do not fill one batch of 3, and drop_last=True leaves out what "
            "is smaller: nothing would be left",
        ),
        (
            lambda: FreshBatches(adding_problem, batches=0),
            "FreshBatches: batches is a whole number ≥ 1, not 0",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
