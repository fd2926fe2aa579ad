"""Every exercise passes the gates, and each gate finds what is planted before it."""

from dataclasses import replace

import numpy as np
import pytest

import microrecur as mr
from microrecur.course import Exercise, Slip, gates, sources
from microrecur.course.exercise import UnknownExercise, exercises, find, in_lesson, stems

EXERCISES = {exercise.name: exercise for exercise in exercises()}


@pytest.mark.parametrize("gate", gates.GATES)
@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_passes_its_gates(name, gate):
    assert gates.GATES[gate](EXERCISES[name]) == []


def test_every_stub_has_a_check_and_every_check_a_stub():
    assert sorted(sources.names()) == sorted(EXERCISES)


def test_a_module_attribute_is_named_like_its_function():
    from importlib import import_module

    for stem in stems().values():
        module = import_module(f"microrecur.lessons.checks.test_{stem}")
        for key, value in vars(module).items():
            if isinstance(value, Exercise):
                assert key == value.function, f"{stem}: {key} is {value.name}"


# -- what is planted -------------------------------------------------------------------------------

SOUND = find("e00.hello_slope")


def slip(**changes):
    return replace(SOUND.slips[0], **changes)


def found(gate, **changes):
    return " | ".join(gates.GATES[gate](replace(SOUND, **changes)))


def test_a_reference_that_is_wrong_fails_the_solution():
    assert "the solution fails" in found("solution", reference=lambda w: 2 * w, slips=())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"wrong": lambda w: w}, "is told as: right"),
        ({"wrong": lambda w: w * (1 + 1e-5)}, "is too near to the right answer"),
        ({"wrong": lambda w: -w}, "and 'the wrong sign' are not apart"),
    ],
)
def test_a_slip_that_says_nothing_of_its_own_is_found(changes, said):
    assert said in found("slips", slips=(slip(**changes), *SOUND.slips[1:]))


def test_two_slips_of_one_name_are_found():
    assert "two slips are called" in found("slips", slips=(SOUND.slips[0], SOUND.slips[0]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hints": ()}, "there are no hints"),
        ({"hints": ("Look at x.",)}, "the first hint is to end with '?'"),
        ({"hints": ("Why?", "x" * 241)}, "241 characters, 240 is the most"),
        ({"slips": (slip(hint="Look at the sign."),)}, "asks nothing"),
        ({"slips": ()}, "there are no slips"),
    ],
)
def test_a_hint_against_the_rules_is_found(changes, said):
    assert said in found("hints", **changes)


def test_a_hint_that_gives_the_solution_away_is_found():
    exercise = find("e01.sigmoid_backward")
    (given, *_) = gates._expressions(exercise)
    told = gates.hints(replace(exercise, hints=(f"What about {given} ?",)))
    assert any("of the solution" in fault for fault in told)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array([[1.5, 0.0, 2.0], [1.1, 2.2, 3.3]]), "holds 0, where wrong answers are right"),
        (0.5, "holds 0.5"),
        (np.full((2, 3), 0.7), "is filled with one number"),
        (np.array([[1.5, 2.0], [2.0, 3.0]]), "is symmetric"),
        (np.arange(1.25, 28).reshape(3, 3, 3), "has two axes of the same length"),
        (np.array([[1.5, 2.5]]), "has an axis of length 1"),
        (np.array([1.5, np.nan]), "holds what is not finite"),
    ],
)
def test_a_lazy_probe_is_found(value, said):
    assert said in " ".join(gates._lazy(value))


def test_a_probe_that_knows_no_seed_is_found():
    assert "same cases for another seed" in found("probe", probe=lambda rng: [(2.5,)])
    rng = np.random.default_rng(0)
    assert "other cases for the same seed" in found("probe", probe=lambda _: [(rng.uniform(2, 3),)])
    fixed = found("probe", probe=lambda rng: [(0.5,)], probe_rules="one number")
    assert fixed == ""


def test_an_edge_that_is_not_in_the_picture_is_found():
    said = found("picture", slips=(slip(missing=("x->nowhere",)),))
    assert "no level of the picture has x->nowhere" in said
    assert "and there is no picture" in found(
        "picture", picture=None, slips=(slip(missing=("x->y",)),)
    )


def test_a_section_that_is_no_heading_is_found():
    assert "the lesson has no heading 'Nowhere'" in found("picture", section="Nowhere")


def test_central_differences_that_disagree_are_found():
    assert "from the reference" in found("numeric", numeric=lambda w: w + 0.1)
    assert found("numeric", numeric=lambda w: ((w * 1.1) - (w * 0.9)) / 0.2) == ""


def test_a_gate_that_breaks_is_a_fault_and_no_crash():
    def broken(rng):
        raise RuntimeError("no numbers")

    assert gates.faults(replace(SOUND, probe=broken))["probe"] == ["RuntimeError: no numbers"]


# -- declaring -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "hello"}, "is named like 'e06.rnn_backward', not 'hello'"),
        ({"outputs": "y"}, "outputs is a tuple"),
        ({"slips": SOUND.slips[0]}, "slips is a tuple"),
        ({"outputs": ()}, "is empty"),
        ({"axes": {"z": ("row",)}}, "axes names ['z'], which is not among the outputs"),
        ({"probe_rules": False}, "probe_rules is True or the reason"),
    ],
)
def test_an_exercise_that_is_declared_wrongly_says_how(changes, said):
    with pytest.raises(ValueError) as error:
        replace(SOUND, **changes)
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["e00.helo_slope", "e42.hello_slope", "hello"])
def test_an_unknown_exercise_names_the_nearest(name):
    with pytest.raises(UnknownExercise, match="the nearest are: e0"):
        find(name)


def test_an_unknown_lesson_names_those_there_are():
    with pytest.raises(UnknownExercise, match="no lesson 'e77'; there are: e00, e01"):
        in_lesson("e77")


def test_a_slip_names_itself_with_what_it_says():
    assert isinstance(SOUND.slips[0], Slip)
    assert mr.__name__ == "microrecur"
