"""Answers that came close to the checks of lessons 01 to 07: wrong ones fail, right ones pass.

Each was written by someone who read the task and not the check.
"""

import numpy as np
import pytest

from microrecur.course.diagnose import FAILED, PASSED, check_source, diagnose
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


# -- e03.gradcheck: what a checker may be blind to -------------------------------------------------


def checker(holds, eps=1e-6):
    """A checker that measures by central differences and judges by `holds`(claimed, measured)."""

    def gradcheck(f, params):
        _, claims = f(params)
        report = {}
        for name, x in params.items():
            found = np.zeros(x.shape)
            for index in np.ndindex(x.shape):
                up, down = x.copy(), x.copy()
                up[index] += eps
                down[index] -= eps
                found[index] = (f(params | {name: up})[0] - f(params | {name: down})[0]) / (2 * eps)
            report[name] = bool(holds(claims[name], found))
        return report

    return gradcheck


def largest(claim, found):
    return max(np.abs(claim).max(), np.abs(found).max())


def within(tolerance, scale=largest):
    return lambda c, m: np.abs(c - m).max() <= tolerance * scale(c, m)


WRONG_CHECKERS = {
    "signs ignored": lambda c, m: np.abs(np.abs(c) - np.abs(m)).max() <= 1e-4 * largest(c, m),
    "the mean error": lambda c, m: np.abs(c - m).mean() <= 1e-4 * largest(c, m),
    "too low is let pass": lambda c, m: (c - m).max() <= 1e-4 * largest(c, m),
    "too high is let pass": lambda c, m: (m - c).max() <= 1e-4 * largest(c, m),
    "too generous": within(1e-1),
    " at 1e-2": within(1e-2),
    " at 1e-3": within(1e-3),
    " median": lambda c, m: np.median(np.abs(c - m)) <= 1e-4 * largest(c, m),
    " root of the mean square": lambda c, m: np.sqrt(((c - m) ** 2).mean()) <= 1e-4 * largest(c, m),
    " norms": lambda c, m: abs(np.linalg.norm(c) - np.linalg.norm(m)) <= 1e-4 * largest(c, m),
    " sum of errors": lambda c, m: abs((c - m).sum()) <= 1e-4 * largest(c, m),
    " one of them": lambda c, m: (np.abs(c - m) <= 1e-4 * largest(c, m)).any(),
    " size of one side": lambda c, m: np.abs(c - m).max() <= 1e-4 * c.max(),
    " allclose as it comes": np.allclose,
}
STEPS = {"too wide a step": 1e-2, " 1e-3": 1e-3}


@pytest.mark.parametrize("seed", [*SEEDS, 7, 123])
def test_a_checker_that_is_blind_to_something_fails(seed):
    cases = find("e03.gradcheck").cases(seed)
    right = [find("e03.gradcheck").reference(*case) for case in cases]
    for name, holds in WRONG_CHECKERS.items():
        assert [checker(holds)(*case) for case in cases] != right, name
    for name, eps in STEPS.items():
        assert [checker(within(1e-4), eps)(*case) for case in cases] != right, name


@pytest.mark.parametrize("title", [n for n in (*WRONG_CHECKERS, *STEPS) if n[0] != " "])
def test_a_blind_checker_is_told_to_what(title):
    answer = (
        checker(within(1e-4), STEPS[title]) if title in STEPS else checker(WRONG_CHECKERS[title])
    )
    assert judged("e03.gradcheck", answer).slip == title


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "answer",
    [
        checker(within(1e-4), eps=1e-5),
        checker(within(1e-4), eps=3e-7),
        checker(within(2e-4, lambda c, m: (np.abs(c).max() + np.abs(m).max()) / 2)),
        checker(lambda c, m: np.allclose(c, m, rtol=0, atol=1e-4 * largest(c, m))),
        checker(lambda c, m: not (np.abs(c - m) > 1e-4 * largest(c, m)).any()),
    ],
)
def test_a_right_checker_passes_however_it_measures(answer, seed):
    exercise = find("e03.gradcheck")
    for case in exercise.cases(seed):
        assert answer(*case) == exercise.reference(*case)


# -- e01.max_slope: where to look, and which way is up ---------------------------------------------


def chords(x):
    return lambda f: np.diff(f(x)) / np.diff(x)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "answer",
    [
        lambda f, lo, hi: chords(np.linspace(-100, 100, 400_001))(f).max(),
        lambda f, lo, hi: chords(np.linspace(-4.2, 6.1, 20_001))(f).max(),
        lambda f, lo, hi: chords(np.linspace(lo, 10, 20_001))(f).max(),
        lambda f, lo, hi: chords(np.linspace(-10, hi, 20_001))(f).max(),
        lambda f, lo, hi: np.abs(chords(np.linspace(lo, hi, 20_001))(f)).max(),
        lambda f, lo, hi: -chords(np.linspace(lo, hi, 20_001))(f).min(),
        lambda f, lo, hi: np.median(chords(np.linspace(lo, hi, 20_001))(f)),
        lambda f, lo, hi: np.diff(f(np.linspace(lo, hi, 1001))).max() * 100,
    ],
)
def test_a_slope_from_elsewhere_or_of_a_fall_is_wrong(answer, seed):
    assert judged("e01.max_slope", answer, seed).status == FAILED


def one_by_one(f, lo, hi):
    best = -np.inf
    for x in np.linspace(lo, hi, 3000):
        best = max(best, (f(x + 1e-5) - f(x - 1e-5)) / 2e-5)
    return float(best)


def ever_finer(f, lo, hi):
    for _ in range(3):
        x = np.linspace(lo, hi, 201)
        slopes = np.diff(f(x)) / np.diff(x)
        k = int(slopes.argmax())
        lo, hi = x[max(k - 1, 0)], x[min(k + 2, 200)]
    return slopes.max()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "answer",
    [
        lambda f, lo, hi: chords(np.linspace(lo, hi, 5001))(f).max(),
        lambda f, lo, hi: chords(np.arange(lo, hi, 1e-3))(f).max(),
        lambda f, lo, hi: np.gradient(f(x := np.linspace(lo, hi, 4001)), x).max(),
        one_by_one,
        ever_finer,
    ],
)
def test_a_slope_may_be_measured_in_many_ways(answer, seed):
    verdict = judged("e01.max_slope", answer, seed)
    assert verdict.status == PASSED, verdict.sentence


# -- e01.sigmoid, e01.tanh: silence is not safety --------------------------------------------------


def hushed(x):
    with np.errstate(all="ignore"):
        return 1 / (1 + np.exp(-x))


def hushed_for_good(x):
    before = np.seterr(all="ignore")
    try:
        return 1 / (1 + np.exp(-x))
    finally:
        np.seterr(**before)


def hushed_tanh(x):
    with np.errstate(over="ignore"):
        return 1 - 2 / (np.exp(2 * x) + 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "answer", "slip"),
    [
        ("e01.sigmoid", hushed, "1 / (1 + e^−x) as it stands"),
        ("e01.sigmoid", hushed_for_good, "1 / (1 + e^−x) as it stands"),
        ("e01.tanh", hushed_tanh, "1 − 2/(e^2x + 1)"),
    ],
)
def test_an_overflow_that_is_hushed_is_an_overflow(name, answer, slip, seed):
    verdict = judged(name, answer, seed)
    assert (verdict.status, verdict.slip) == (FAILED, slip)
    with pytest.raises(FloatingPointError), np.errstate(over="raise"):  # NumPy is as it was
        np.exp(np.array([1000.0]))


def test_a_safe_formula_may_ask_for_silence():
    def cautious(x):
        with np.errstate(under="ignore"):
            small = np.exp(-np.abs(x))
        return np.where(x >= 0, 1, small) / (1 + small)

    assert judged("e01.sigmoid", cautious).status == PASSED


# -- lessons 04 to 06: the likely form of a slip, also where it raises -----------------------------

PLAIN = {
    "e04.make_windows": """
def make_windows(s, w):
    X, y = [], []
    for n in range(len(s) - w):
        X.append(s[n : n + w])
        y.append(s[n + w])
    return np.array(X), np.array(y)
""",
    "e04.markov_logprob": """
def markov_logprob(seq, p0, P):
    return np.log(p0[seq[0]]) + np.log([P[i, j] for i, j in zip(seq, seq[1:])]).sum()
""",
    "e04.standardise": """
def standardise(s, n):
    known = s[:n]
    return (s - known.mean()) / known.std()
""",
    "e05.rnn_cell": """
def rnn_cell(x, h, Wx, Wh, b):
    return np.tanh(x @ Wx + h @ Wh + b)
""",
    "e05.rnn_forward": """
def rnn_forward(X, h, Wx, Wh, b, return_sequences):
    states = []
    for x in X:
        h = np.tanh(x @ Wx + h @ Wh + b)
        states.append(h)
    return np.array(states) if return_sequences else h
""",
    "e06.rnn_backward": """
def rnn_backward(X, h0, Wx, Wh, b, dH):
    hs = [h0]
    for x in X:
        hs.append(np.tanh(x @ Wx + hs[-1] @ Wh + b))
    dX, dWx, dWh, db, carry = map(np.zeros_like, (X, Wx, Wh, b, h0))
    for t in reversed(range(len(X))):
        dz = (dH[t] + carry) * (1 - hs[t + 1] ** 2)
        dX[t] = dz @ Wx.T
        dWx += X[t].T @ dz
        dWh += hs[t].T @ dz
        db += dz.sum(axis=0)
        carry = dz @ Wh.T
    return dX, dWx, dWh, db, carry
""",
}


def checked(name, spoilt=None, seed=0):
    """The plain answer, with one part of it spoilt, checked as a learner's file is."""
    source = f"import numpy as np\n{PLAIN[name]}"
    if spoilt:
        assert source.count(spoilt[0]) == 1
        source = source.replace(*spoilt)
    return check_source(find(name), source, "answer.py", seed)


@pytest.mark.parametrize("name", PLAIN)
def test_the_plain_answer_is_right(name):
    assert checked(name).status == PASSED


LEFT = "a weight to the left of its rows"


@pytest.mark.parametrize(
    ("name", "part", "spoilt", "slip"),
    [
        ("e04.make_windows", "len(s) - w", "len(s) - w + 1", "a window without a next value"),
        (
            "e04.markov_logprob",
            "np.log(p0[seq[0]]) + np.log([P[i, j] for i, j in zip(seq, seq[1:])]).sum()",
            "p0[seq[0]] * np.prod([P[i, j] for i, j in zip(seq, seq[1:])])",
            "no logarithm",
        ),
        (
            "e04.standardise",
            "(s - known.mean()) / known.std()",
            "(s - s.min()) / (s.max() - s.min())",
            "min and max of the whole series",
        ),
        ("e05.rnn_cell", "h @ Wh", "Wh @ h", LEFT),
        ("e05.rnn_forward", "h @ Wh", "Wh @ h", LEFT),
        ("e06.rnn_backward", "dz @ Wh.T", "Wh @ dz", LEFT),
        ("e06.rnn_backward", "dz @ Wh.T", "Wh.T @ dz", LEFT),
        ("e06.rnn_backward", "dz @ Wx.T", "Wx @ dz", LEFT),
        (
            "e06.rnn_backward",
            "hs[t].T @ dz",
            "dz.T @ hs[t]",
            "a gradient of the weights on its side",
        ),
        ("e06.rnn_backward", "X[t].T @ dz", "dz.T @ X[t]", "a gradient of the weights on its side"),
    ],
)
def test_a_likely_mistake_is_recognised(name, part, spoilt, slip):
    verdict = checked(name, (part, spoilt), seed=1)
    assert (verdict.status, verdict.slip) == (FAILED, slip), verdict.sentence
    assert "?" in verdict.hint
