"""Checks of lesson 04: windows one too many, logarithms that underflow, means from the future."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

import microrecur as mr
from microrecur.course import Exercise, Slip

# -- make_windows ----------------------------------------------------------------------------------


def windows_probe(rng):
    """Nineteen numbers in windows of four, and 1 … 1000 in windows of ten."""
    return [(rng.uniform(1.0, 9.0, 19), 4), (np.arange(1.0, 1001.0), 10)]


def windows_reference(series, w):
    """The package's own windows."""
    return mr.windows(series, w)


def _cut(series, w, count, ahead=0, stride=1):
    starts = range(0, count, stride)
    X = np.stack([series[n : n + w] for n in starts])
    return X, np.array([series[n + w + ahead] for n in starts if n + w + ahead < len(series)])


def _window_without_next(series, w):
    return _cut(series, w, len(series) - w + 1)


def _next_of_every_window(series, w):
    return np.array([series[n + w] for n in range(len(series) - w + 1)])  # raises at the last


def _last_pair_lost(series, w):
    return _cut(series, w, len(series) - w - 1)


def _answer_inside(series, w):
    return _cut(series, w, len(series) - w, ahead=-1)


def _one_too_far(series, w):
    return _cut(series, w, len(series) - w - 1, ahead=1)


def _end_to_end(series, w):
    return _cut(series, w, len(series) - w, stride=w)


make_windows = Exercise(
    name="e04.make_windows",
    task="Cut a series into windows and the value that follows each.",
    probe=windows_probe,
    reference=windows_reference,
    outputs=("X", "y"),
    axes={"X": ("window", "point"), "y": ("window",)},
    slips=(
        Slip(
            "a window without a next value",
            wrong=_window_without_next,
            also=(_next_of_every_window,),
            said="with one window more, the one after which nothing comes",
            hint="Which y belongs to your last row?",
        ),
        Slip(
            "one pair too few",
            wrong=_last_pair_lost,
            said="without its last row",
            hint="Of 1 … 1000, in windows of ten, your last y is 999. Is there a window that 1000 "
            "follows?",
        ),
        Slip(
            "the answer inside the window",
            wrong=_answer_inside,
            said="with y taken one step early, out of the window itself",
            hint="Compare the last column of your X with y: does x already contain the answer?",
        ),
        Slip(
            "y two steps after the window",
            wrong=_one_too_far,
            said="with y taken one step late",
            hint="Python counts from 0: if the window is s[n], …, s[n+w−1], which index comes "
            "right after it?",
        ),
        Slip(
            "windows laid end to end",
            wrong=_end_to_end,
            said="with only every w-th window",
            hint="Your second window begins where the first one ended. May two windows share "
            "points?",
        ),
    ),
    hints=(
        "Take 14 points and windows of 10, on paper: where does the last window begin that still "
        "has a value after it?",
        "T points hold T − w + 1 windows. How many of them have no y?",
        "y is simply a part of the series: which point does it begin with?",
    ),
    section="One window too many",
    probe_rules="1 … 1000 is the series of the lesson, whose y is to be seen in the numbers",
)


# -- counting weights ------------------------------------------------------------------------------


def naive_reference(T):
    """Build the naive model and count what it holds, biases apart."""
    if T < 2:
        return 0
    return sum(linear.weight.size for linear in mr.Naive(longest=T - 1, seed=0).by_length)


def _naive_off_by_one(T):
    return T * (T + 1) // 2


def _naive_longest_alone(T):
    return T - 1


def _naive_square(T):
    return T * T


count_naive_weights = Exercise(
    name="e04.count_naive_weights",
    task="Count the weights of a model with an equation for every length of the past.",
    probe=lambda rng: [(1,), (5,), (int(rng.integers(8, 30)),)],
    reference=naive_reference,
    outputs=("number of weights",),
    slips=(
        Slip(
            "counts the present",
            wrong=_naive_off_by_one,
            said="when x_t counts as a past of its own",
            hint="How many values does the model know before it predicts x_1?",
        ),
        Slip(
            "the longest equation alone",
            wrong=_naive_longest_alone,
            said="for the last equation alone",
            hint="x_5 is predicted from four values. From how many is x_4, and do the two "
            "equations share their weights?",
        ),
        Slip(
            "T weights at every step",
            wrong=_naive_square,
            said="if every step read all T values",
            hint="When x_2 is predicted, which values are already known?",
        ),
    ),
    hints=(
        "How many weights does the equation for x_1 have, and that for x_2?",
        "Write the five equations for T = 5 one under another: the weights form a triangle.",
    ),
    section="What comes next: four answers",
    probe_rules="the case is one whole number",
)


def ar_reference(tau):
    """Build AR(τ) and count what it holds, the bias apart."""
    return mr.Autoregressive(tau, seed=0).out.weight.size


def _ar_with_present(tau):
    return tau + 1


def _ar_per_step(tau):
    return tau * (tau + 1) // 2


def _ar_short(tau):
    return tau - 1


count_ar_weights = Exercise(
    name="e04.count_ar_weights",
    task="Count the weights of AR(τ).",
    probe=lambda rng: [(1,), (2,), (int(rng.integers(5, 30)),)],
    reference=ar_reference,
    outputs=("number of weights",),
    slips=(
        Slip(
            "one weight too many",
            wrong=_ar_with_present,
            said="and one more",
            hint="Is x_t itself, or a bias, among what the sum multiplies?",
        ),
        Slip(
            "an equation for every length",
            wrong=_ar_per_step,
            said="if there were an equation for each length up to τ",
            hint="The sum has no w with a t in its index. So how many steps use the same w_1?",
        ),
        Slip(
            "one weight too few",
            wrong=_ar_short,
            said="less one",
            hint="AR(1) predicts from yesterday. How many weights does that take?",
        ),
    ),
    hints=(
        "How many values does x̂_t read, and does that number change with t?",
        "Write AR(2) out for t = 5 and for t = 6, and mark the weights that are the same.",
    ),
    section="What comes next: four answers",
    probe_rules="the case is one whole number",
)


# -- markov_logprob --------------------------------------------------------------------------------


def markov_probe(rng):
    """Six steps among three states; two thousand among four, where the product underflows."""

    def chain(T, S):
        p0, P = rng.dirichlet(np.full(S, 2.0)), rng.dirichlet(np.full(S, 2.0), size=S)
        return rng.integers(0, S, T), p0 * 0.9 + 0.1 / S, P * 0.9 + 0.1 / S

    return [chain(6, 3), chain(2000, 4)]


def markov_reference(seq, p0, P):
    """The engine's log and take, one term per step."""
    first = mr.log(mr.tensor(p0)[int(seq[0])])
    steps = mr.log(mr.tensor(P)[seq[:-1], seq[1:]])
    return float(first + steps.sum())


def _product_first(seq, p0, P):
    product = p0[seq[0]]
    for before, now in pairwise(seq):
        product *= P[before, now]
    with np.errstate(divide="ignore"):
        return float(np.log(product))


def _never_a_logarithm(seq, p0, P):
    return float(p0[seq[0]] * P[seq[:-1], seq[1:]].prod())


def _transposed(seq, p0, P):
    return float(np.log(p0[seq[0]]) + np.log(P[seq[1:], seq[:-1]]).sum())


def _no_start(seq, p0, P):
    return float(np.log(P[seq[:-1], seq[1:]]).sum())


def _independent(seq, p0, P):
    return float(np.log(p0[seq]).sum())


def _other_base(seq, p0, P):
    return markov_reference(seq, p0, P) / np.log(10)


markov_logprob = Exercise(
    name="e04.markov_logprob",
    task="Compute the log-probability of a sequence under a Markov chain.",
    probe=markov_probe,
    reference=markov_reference,
    outputs=("log P",),
    slips=(
        Slip(
            "multiplies probabilities",
            wrong=_product_first,
            said="as long as the product fits into a float64; then it is −∞",
            hint="What is 0.25 to the power 2000 in float64? At which point of the sum is the "
            "logarithm better taken?",
        ),
        Slip(
            "no logarithm",
            wrong=_never_a_logarithm,
            said="before the logarithm is taken; of two thousand steps nothing is left but 0",
            hint="You return the probability itself. What is asked for, and what becomes of a "
            "product when its logarithm is taken?",
        ),
        Slip(
            "P transposed",
            wrong=_transposed,
            said="when P is read the other way round, from column to row",
            hint="P[i, j] goes from i to j, and its rows sum to 1. Which of your two indices is "
            "the earlier state?",
        ),
        Slip(
            "forgets the start",
            wrong=_no_start,
            said="without the probability of the first state",
            hint="T states make T − 1 steps. What is the T-th factor of the joint probability?",
        ),
        Slip(
            "another base",
            wrong=_other_base,
            said="with logarithms to the base 10",
            hint="To which base is the logarithm of e equal to 1, and to which one is yours?",
        ),
        Slip(
            "steps independent",
            wrong=_independent,
            said="if every state were drawn from p0, whatever came before",
            hint="Which of your factors depends on the state before?",
        ),
    ),
    hints=(
        "Where does the first state of the sequence get its probability from, and where do all "
        "the others?",
        "A product of thousands of numbers below 1 is 0 in floating point. Its logarithm is a "
        "sum of moderate numbers.",
        "NumPy picks many entries at once: P[rows, columns] with two arrays of indices.",
    ),
    section="A Markov chain, and why logarithms",
    probe_rules="states are counted from 0; two thousand of them make the product underflow",
)


# -- standardise -----------------------------------------------------------------------------------


def standardise_probe(rng):
    """A rising series: the later part has another mean and another spread."""
    series = rng.uniform(1.0, 3.0, 40) * np.linspace(1.0, 4.0, 40)
    return [(series, 13), (series[::-1].copy(), 29)]


def standardise_reference(series, n_train):
    """Fit on the training part, apply to all."""
    return mr.Standardiser.fit(series[:n_train]).apply(series)


def _whole_series(series, n_train):
    return (series - series.mean()) / series.std()


def _each_its_own(series, n_train):
    parts = series[:n_train], series[n_train:]
    return np.concatenate([(part - part.mean()) / part.std() for part in parts])


def _ddof_one(series, n_train):
    train = series[:n_train]
    return (series - train.mean()) / train.std(ddof=1)


def _minmax(series, n_train):
    train = series[:n_train]
    return (series - train.min()) / (train.max() - train.min())


def _minmax_of_all(series, n_train):
    return (series - series.min()) / (series.max() - series.min())


def _not_divided(series, n_train):
    return series - series[:n_train].mean()


def _by_variance(series, n_train):
    train = series[:n_train]
    return (series - train.mean()) / train.var()


def _spread_of_all(series, n_train):
    return (series - series[:n_train].mean()) / series.std()


standardise = Exercise(
    name="e04.standardise",
    task="Scale a series by the mean and spread of its training part.",
    probe=standardise_probe,
    reference=standardise_reference,
    outputs=("scaled series",),
    axes={"scaled series": ("point",)},
    slips=(
        Slip(
            "mean of the whole series",
            wrong=_whole_series,
            said="with mean and spread of the whole series, the future included",
            hint="At the end of the training part, could you have known that mean?",
        ),
        Slip(
            "spread of the whole series",
            wrong=_spread_of_all,
            said="with the mean of the training part, but the spread of all",
            hint="Your mean was known when the training part ended. Was the number you divide by?",
        ),
        Slip(
            "each part by itself",
            wrong=_each_its_own,
            said="when the test part is scaled by its own mean and spread",
            hint="One single new value arrives. With which mean and spread would you scale it?",
        ),
        Slip(
            "divides by n − 1",
            wrong=_ddof_one,
            said="with the squares divided by n − 1",
            hint="By what does the task divide the sum of squared deviations: the number of "
            "points, or one less?",
        ),
        Slip(
            "min and max",
            wrong=_minmax,
            said="scaled to 0 … 1 by minimum and maximum",
            hint="After your scaling, is the mean of the training part 0 and its standard "
            "deviation 1?",
        ),
        Slip(
            "min and max of the whole series",
            wrong=_minmax_of_all,
            said="scaled to 0 … 1 by minimum and maximum of the whole series, the future included",
            hint="Two things at once: could you have known that maximum when the training part "
            "ended? And does the task scale by minimum and maximum?",
        ),
        Slip(
            "not divided",
            wrong=_not_divided,
            said="before it is divided by the spread",
            hint="What is the standard deviation of your training part now, and what should it be?",
        ),
        Slip(
            "divides by the variance",
            wrong=_by_variance,
            said="divided by the variance",
            hint="If the values were in metres, in which unit would be what you divide by, and in "
            "which one your result?",
        ),
    ),
    hints=(
        "Which of the points may shape the two numbers you scale by?",
        "Two numbers from the first part; one formula for all points.",
    ),
    section="A mean from the future",
)
