"""Answers that came close to the checks of lessons 01 to 07: wrong ones fail, right ones pass.

Each was written by someone who read the task and not the check.
"""

import numpy as np
import pytest

from microrecur.course.diagnose import FAILED, PASSED, diagnose
from microrecur.course.exercise import find
from microrecur.course.process import run_here

SEEDS = range(5)


def judged(name, answer, seed=0):
    exercise = find(name)
    return diagnose(exercise, run_here(exercise, answer, exercise.cases(seed)), seed)


# -- e07.regime: verdicts that nobody measured -----------------------------------------------------


def regime_by_gain(border):
    def regime(phi, gain, H):
        ceiling = 0.25 if phi == "sigmoid" else 1.0
        return "explode" if H > 1 and ceiling * gain > border else "vanish"

    return regime


def regime_by_norm(border):
    def regime(phi, gain, H):
        U = gain * np.random.default_rng(0).normal(size=(H, H)) / np.sqrt(H)
        ceiling = 0.25 if phi == "sigmoid" else 1.0
        return "explode" if ceiling * np.linalg.norm(U, 2) > border else "vanish"

    return regime


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("border", [1.0, 1.3, 1.6, 1.7, 1.75, 1.8, 2.5, 3.2, 3.4, 5.0])
def test_no_rule_of_weights_alone_tells_the_regime(border, seed):
    exercise = find("e07.regime")
    cases = exercise.cases(seed)
    for rule in (regime_by_gain(border), regime_by_norm(border)):
        assert any(rule(*case) != exercise.reference(*case) for case in cases)


def test_a_rule_of_gain_and_ceiling_is_told_as_such():
    verdict = judged("e07.regime", regime_by_gain(1.6))
    assert verdict.slip == "ceiling times gain"


# -- e07.bound: the mistake the lesson is about ----------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("answer", "slip"),
    [
        (lambda phi, w, T: (1 / 4) ** T, "¼ to the power T, and no more"),
        (lambda phi, w, T: T / 4, "¼ times T"),
        (lambda phi, w, T: ({"sigmoid": 0.25, "tanh": 1}[phi] * abs(w)) ** T, ""),
    ],
)
def test_a_bound_of_slopes_alone_is_recognised(answer, slip, seed):
    verdict = judged("e07.bound", answer, seed)
    assert (verdict.status, verdict.slip) == (FAILED if slip else PASSED, slip)
