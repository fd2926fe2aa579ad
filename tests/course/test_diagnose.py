"""What is said of a wrong answer: the stage it fails at, the slip it is, the first wrong number."""

import numpy as np
import pytest

from microrecur.course import Exercise, Slip
from microrecur.course.cases import which
from microrecur.course.compare import agreeing, distance, fault
from microrecur.course.diagnose import check_source, diagnose
from microrecur.course.exercise import find
from microrecur.course.process import run_here
from microrecur.course.sources import solution

TWO = Exercise(
    name="e98.scaled",
    task="Twice A, and the sum of each row.",
    probe=lambda rng: [(rng.uniform(0.6, 0.9, (2, 3)),), (rng.uniform(0.6, 0.9, (3, 4)),)],
    reference=lambda A: (2 * A, A.sum(axis=1)),
    outputs=("2A", "∂L/∂b"),
    axes={"2A": ("row", "unit"), "∂L/∂b": ("step",)},
    slips=(
        Slip(
            "sums columns", lambda A: (2 * A, A.sum(axis=0)), "over the other axis", "Which axis?"
        ),
        Slip("mean of rows", lambda A: (2 * A, A.mean(axis=1)), "as a mean", "Sum or mean?"),
    ),
    hints=("Which two things are asked for?",),
)


NUMBERS = ("finite", "value")  # stages at which a number is wrong


def said(function, exercise=TWO):
    return diagnose(exercise, run_here(exercise, function, exercise.cases(0)), 0)


def spoilt(A, at, value):
    B = 2 * A
    B[at] = value
    return B


@pytest.mark.parametrize(
    ("answer", "stage", "sentence"),
    [
        (lambda A: None, "nothing", "scaled returned None; is there a `return` on every way out?"),
        (lambda A: 2 * A, "type", "scaled returned an array of shape (2, 3); 2 are asked for: 2A"),
        (lambda A: (1, 2, 3), "type", "scaled returned 3 values; 2 are asked for: 2A, ∂L/∂b"),
        (lambda A: (2 * A, None), "nothing", "∂L/∂b is None"),
        (lambda A: (2 * A, list(A.sum(1))), "type", "∂L/∂b is a list of 2; an array of shape (2,)"),
        (lambda A: (2 * A.T, A.sum(1)), "shape", "2A has shape (3, 2); (2, 3) is asked for"),
        (lambda A: (spoilt(A, (1, 2), np.nan), A.sum(1)), "finite",
         "2A[1, 2] (row 2, unit 3) is nan"),
        (lambda A: (spoilt(A, (1, 0), 9e9), A.sum(1)), "value",
         "2A[1, 0] (row 2, unit 1) is the first that is wrong; yours is"),
        (lambda A: (2 * A, 0.61 * A.sum(1)), "value", "every number of ∂L/∂b is 0.61 × ours"),
        (lambda A: (2 * A, A.sum(1) * (1 + 2e-6)), "value",
         "every number of ∂L/∂b is 1.000002 × ours"),
        (lambda A: (A > 1, A.sum(1)), "type", "2A holds bool; float64 is asked for"),
        (lambda A: ((2 * A).astype(str), A.sum(1)), "type", "2A holds <U"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_told_by_the_first_stage_it_fails_at(answer, stage, sentence):
    verdict = said(answer)
    assert (verdict.status, verdict.stage) == ("failed", stage)
    assert sentence in verdict.sentence
    # What another type or shape needs is in the sentence; a hint at the task would lead away.
    assert verdict.hint == ("Which two things are asked for?" if stage in NUMBERS else "")


def test_an_answer_beside_the_right_one_says_what_is_right():
    assert "; ∂L/∂b is right (case 1" in said(lambda A: (spoilt(A, (0, 0), 9.0), A.sum(1))).sentence
    both = said(lambda A: (spoilt(A, (0, 0), 9.0), A.sum(1) + 1)).sentence
    assert "; both outputs are wrong (case 1" in both


def test_right_values_in_another_order_are_told_as_such():
    verdict = said(lambda A: (A.sum(1), 2 * A))
    assert verdict.sentence.startswith("the values are right, but in another order than 2A, ∂L/∂b")
    assert verdict.stage == "shape"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((0,), ", all in step 1"),
        ((1, 3), ", all in steps 2 and 4"),
        ((0, 1, 2), ", all in steps 1 to 3"),
        ((0, 1, 3), ", all in steps 1, 2 and 4"),
        ((0, 1, 2, 3), ""),
    ],
)
def test_the_steps_that_hold_all_that_is_wrong_are_named(rows, words):
    ours = np.arange(1.0, 9.0).reshape(4, 2)
    theirs = ours.copy()
    theirs[list(rows)] = 77.0
    count = f"{2 * len(rows)} of 8 numbers are wrong"
    assert fault(theirs, ours, "∂L/∂X", ("step", "unit")).said.endswith(count + words)


def test_an_answer_that_changes_an_input_is_no_slip_of_another_type():
    source = solution("e05.rnn_forward").replace("h = h0", "h = h0.view()")
    source = source.replace("        h = np.tanh(", "        h[:] = np.tanh(")
    verdict = check_source(find("e05.rnn_forward"), source, "rnn_forward.py")
    assert (verdict.stage, verdict.slip) == ("mutated", "")
    assert verdict.sentence == "rnn_forward changed its input h0; work on a copy, such as h0.copy()"


def test_shapes_that_do_not_fit_are_told_with_those_of_the_arguments():
    source = solution("e05.rnn_cell").replace("h @ Wh", "Wh @ h")
    said = check_source(find("e05.rnn_cell"), source, "rnn_cell.py").sentence
    assert "raised ValueError: matmul:" in said
    assert said.endswith("; here x is (2, 3), h is (2, 4), Wx is (3, 4), Wh is (4, 4), b is (4,)")


def test_a_verb_agrees_with_what_is_many():
    source = solution("e05.rnn_forward").replace("return states if return_sequences else", "return")
    said = check_source(find("e05.rnn_forward"), source, "rnn_forward.py").sentence
    assert said.startswith("your states equal ours when the last state alone")
    assert agreeing("terms", "terms has shape ()") == "terms have shape ()"
    assert agreeing("∂L/∂x", "∂L/∂x is None") == "∂L/∂x is None"


def test_the_right_answer_passes_whatever_its_precision_allows():
    assert said(TWO.reference).passed
    assert said(lambda A: [2 * A, A.sum(1) * (1 + 1e-8)]).passed


def test_a_slip_is_told_by_its_own_words_whatever_stage_it_fails_at():
    verdict = said(TWO.slips[0].wrong)  # another shape
    assert verdict.sentence == "your ∂L/∂b equals ours over the other axis"
    assert (verdict.slip, verdict.hint, verdict.stage) == ("sums columns", "Which axis?", "shape")


def test_a_slip_beside_another_mistake_is_still_told():
    verdict = said(lambda A: (2 * A + 1, A.mean(axis=1)))
    assert verdict.slip == ""  # the first wrong output is none of the slips'
    both = said(lambda A: (spoilt(A, (0, 0), 2 * A[0, 0] * (1 + 1e-9)), A.mean(axis=1)))
    assert both.slip == "mean of rows"


def test_inputs_that_are_changed_are_named():
    def changes(A):
        total = A.sum(axis=1)
        A *= 2
        return A.copy(), total

    verdict = said(changes)
    assert verdict.stage == "mutated"
    assert verdict.sentence.startswith("scaled changed its input A; work on a copy")


def test_a_slip_that_changes_an_input_is_matched_by_which_input_it_changes():
    def changes(k):
        def wrong(A, B):
            total = A + B[:2, :3]
            (A, B)[k][:] = 0.7
            return total

        return wrong

    exercise = Exercise(
        name="e98.added",
        task="A plus a corner of B.",
        probe=lambda rng: [(rng.uniform(1, 2, (2, 3)), rng.uniform(1, 2, (3, 4)))],
        reference=lambda A, B: A + B[:2, :3],
        outputs=("A + B",),
        slips=(Slip("writes into A", changes(0), "and A is gone", "Whose is A?"),),
    )
    assert said(changes(0), exercise).slip == "writes into A"
    other = said(changes(1), exercise)
    assert (other.slip, other.stage) == ("", "mutated")
    assert other.sentence.startswith("added changed its input B")


def test_several_cases_say_which():
    verdict = said(lambda A: (2 * A, A.sum(1) if A.shape[0] == 2 else A.sum(1) + 1))
    assert verdict.sentence.endswith("(case 2 of 2: A of shape (3, 4))")
    forgets = said(lambda A: (2 * A, A.sum(1)) if A.shape[0] == 2 else None).sentence
    assert forgets.endswith(
        "is there a `return` on every way out? (case 2 of 2: A of shape (3, 4))"
    )
    assert said(lambda A: None).sentence.endswith("way out?")  # of any case


@pytest.mark.parametrize(
    ("name", "index", "words"),
    [
        ("e00.hello_slope", 0, "for hello_slope(0.5822)"),
        ("e05.match_task", 2, "for match_task('translation')"),
        ("e05.count_params", 1, "for count_params(7, 3, 5, False)"),
        ("e01.max_slope", 1, "case 2 of {}: lo = -4.2, hi = 6.1"),  # a function has no words
        ("e02.backprop", 0, "case 1 of {}: root L = 2.555"),
        ("e03.unbroadcast", 4, "case 5 of {}: shape = (), g of shape (2, 3, 4)"),
        ("e03.concat_backward", 0, "case 1 of {}: sizes = [4, 3], g of shape (2, 7)"),
        ("e03.gradcheck", 2, "case 3 of {}: params with A, W, unused"),
        ("e07.clip_by_global_norm", 0, "case 1 of {}: c = 1.922, 3 grads"),
        ("e06.truncated_backward", 0,
         "case 1 of {}: k = 2, X of shape (5, 2, 3), h0 of shape (2, 4), …"),
    ],
)  # fmt: skip
def test_a_case_is_told_in_plain_words(name, index, words):
    exercise = find(name)
    count = len(exercise.cases(0))
    assert which(exercise, 0, index, count) == words.format(count)


def test_an_answer_that_fails_in_a_later_case_says_in_which():
    source = "def match_task(task):\n    return {'part-of-speech tags': 'many-to-many'}[task]\n"
    said = check_source(find("e05.match_task"), source, "match_task.py").sentence
    assert said.startswith("line 2")
    assert said.endswith(
        "raised KeyError: 'sentiment of a review' (for match_task('sentiment of a review'))"
    )


def test_central_differences_are_called_in_as_a_witness():
    from dataclasses import replace

    exercise = replace(TWO, numeric=lambda A: (2 * A * (1 + 1e-9), A.sum(1)))
    told = said(lambda A: (spoilt(A, (0, 0), 1.0), A.sum(1)), exercise).sentence
    assert told.endswith(
        "; central differences agree with ours to 1e-09 (case 1 of 2: A of shape (2, 3))"
    )


# -- values beside values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "ours", "sentence"),
    [
        (1, 1.0, None),
        (np.float64(1), 1, None),
        (np.array(1.0), 1.0, None),
        (np.array([1.0]), 1.0, "y has shape (1,); one number is asked for"),
        (1 + 1e-5, 1.0, "y is wrong; yours is 1.00001 × ours"),
        (1e-13, 2e-13, "y is wrong; yours is 0.5 × ours"),  # small numbers are numbers too
        (0.0, 1e-300, "y is wrong; yours is 0, ours 1e−300"),
        (True, 1.0, "y is the truth value True; one number is asked for"),
        (1, True, "y is one number; True or False is asked for"),
        ("vanish", "explode", "y is 'vanish', and ours is not"),
        (3, "explode", "y is one number; text is asked for"),
        ([1, 2], (1, 2), None),
        (np.array([1, 2]), [1, 2], None),
        ([1, 2, 3], [1, 2], "y has length 3; 2 is asked for"),
        ([1, 5], [1, 2], "y[1] is wrong; yours is 2.5 × ours"),
        ({"a": 1}, {"a": 1, "b": 2}, "y has no entry for 'b'"),
        ({"a": 1, "c": 2}, {"a": 1}, "y has an entry 'c' that nobody asked for"),
        (5, {"a": 1}, "y is one number; a dict is asked for"),
        (None, None, None),
        (float("inf"), float("inf"), None),
        (10**400, 1.0, "y is too large a number"),
        (1j, 1.0, "y holds complex128; float64 is asked for"),
    ],
)
def test_values_are_compared_by_what_ours_is(value, ours, sentence):
    found = fault(value, ours, "y")
    assert (found.said if found else None) == sentence


def test_a_number_may_be_off_by_a_share_of_the_largest_beside_it():
    ours = np.array([1.0, 0.0])
    assert fault(np.array([1.0, 1e-10]), ours, "y") is None  # zero, as it comes out of a sum
    assert fault(np.array([1.0, 1e-8]), ours, "y") is not None


def test_a_transposed_square_is_told_as_such():
    A = np.arange(1.0, 10).reshape(3, 3)
    assert fault(A.T, A, "∂L/∂Wh").said == "∂L/∂Wh is ours transposed"


@pytest.mark.parametrize(
    ("a", "b", "far"),
    [(1.0, 1.0, 0), (1.1, 1.0, 0.1), ([1, 2], [1, 4], 0.5), ([1], [1, 2], np.inf),
     ("a", "b", np.inf), (np.nan, 1.0, np.inf), ({"a": 2.0}, {"a": 1.0}, 1.0), (1.0, 0.0, np.inf)],
)  # fmt: skip
def test_how_far_answers_are_from_each_other(a, b, far):
    assert distance(a, b) == pytest.approx(far)


# -- an answer that raises -------------------------------------------------------------------------


def raising(error):
    def wrong(A):
        raise error

    return wrong


def test_an_answer_that_raises_as_a_slip_does_has_its_hint():
    source = solution("e05.rnn_cell").replace("h @ Wh", "Wh @ h")
    verdict = check_source(find("e05.rnn_cell"), source, "rnn_cell.py")
    assert (verdict.stage, verdict.slip) == ("error", "a weight to the left of its rows")
    assert verdict.hint.startswith("x and h hold one sequence per row.")
    assert "raised ValueError: matmul:" in verdict.sentence
    other = solution("e05.rnn_cell").replace("h @ Wh", "h @ Wx")  # shapes again, others
    assert check_source(find("e05.rnn_cell"), other, "rnn_cell.py").slip == ""

    source = "def make_windows(s, w):\n    X, y = [], []\n    for n in range(len(s) - w + 1):\n"
    source += "        X.append(s[n : n + w])\n        y.append(s[n + w])\n    return X, y\n"
    verdict = check_source(find("e04.make_windows"), source, "make_windows.py")
    assert (verdict.stage, verdict.slip) == ("error", "a window without a next value")
    assert verdict.hint == "Which y belongs to your last row?"


def test_an_exception_that_may_be_several_slips_is_told_as_none():
    from dataclasses import replace

    late = replace(TWO.slips[0], title="late", also=(raising(IndexError("list index")),))
    early = replace(TWO.slips[1], title="early", wrong=raising(IndexError("index 4")))
    one, both = (replace(TWO, slips=slips) for slips in ((late,), (late, early)))

    def told(exercise, function):
        run = run_here(exercise, function, exercise.cases(0), may_raise=True)
        return diagnose(exercise, run, 0).slip

    assert told(one, raising(IndexError("whatever"))) == "late"
    assert told(both, raising(IndexError("whatever"))) == ""
    assert told(one, raising(KeyError("whatever"))) == ""
    other_case = lambda A: (2 * A, A.sum(1)) if len(A) == 2 else [][1]  # noqa: E731
    assert told(one, other_case) == ""  # the same kind, in another case
    assert told(one, TWO.slips[0].wrong) == "late"  # its numbers are still its own


def test_a_reference_that_raises_is_no_answer():
    with pytest.raises(ZeroDivisionError):
        run_here(TWO, raising(ZeroDivisionError()), TWO.cases(0))
