"""Checks of lesson 01: σ and tanh without overflow, and the slopes they hand back."""

import math
from contextlib import ContextDecorator, contextmanager, nullcontext
from functools import partial

import numpy as np

import microrecur as mr
from microrecur.course import Exercise, Slip

# ---------------------------------------------------------------- σ and tanh, far out too


def far_and_near(rng: np.random.Generator) -> list[tuple]:
    """Both signs, two of them far out, none symmetric to another."""
    near = np.array([-2.1, 0.3, 1.7, -0.8]) + rng.uniform(-0.15, 0.15, 4)
    return [(np.array([[-1000.0, near[0], near[1]], [near[2], near[3], 1000.0]]),)]


class NotHushed(ContextDecorator, nullcontext):
    """Stands in for np.errstate, and changes nothing."""

    def __init__(self, *args, **kwargs):
        super().__init__()


@contextmanager
def heard():
    """No overflow is hushed: whoever asks NumPy for silence is not given it."""
    kept = np.errstate, np.seterr
    try:
        np.errstate, np.seterr = NotHushed, lambda *args, **kwargs: np.geterr()
        yield
    finally:
        np.errstate, np.seterr = kept


def values_and_overflows(f, case: tuple) -> tuple:
    """What f returns, and at which x it overflowed (1) on the way."""
    (x,) = case
    overflowed = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        try:
            with np.errstate(over="raise", invalid="raise", divide="raise"), heard():
                f(x[index].reshape(1))
        except (FloatingPointError, OverflowError):  # NumPy's, and that of math.exp
            overflowed[index] = 1.0
    try:
        with np.errstate(all="ignore"):
            values = f(x.copy())
    except OverflowError:
        values = np.full(x.shape, np.nan)
    return values, overflowed


def engine_sigmoid(x):
    """Ours: the engine's σ."""
    return mr.sigmoid(mr.tensor(x)).numpy()


def engine_tanh(x):
    """Ours: the engine's tanh."""
    return mr.tanh(mr.tensor(x)).numpy()


def sigmoid_as_written(x):  # noqa: D103 (a slip's name says what it does)
    return 1 / (1 + np.exp(-x))


def sigmoid_by_math(x):  # noqa: D103
    return np.array([1 / (1 + math.exp(-value)) for value in x.flat]).reshape(x.shape)


def sigmoid_times_e_x(x):  # noqa: D103
    return np.exp(x) / (1 + np.exp(x))


def sigmoid_where(x):  # noqa: D103
    return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))


def sigmoid_mirrored(x):  # noqa: D103
    return engine_sigmoid(-x)


def sigmoid_even(x):  # noqa: D103
    return engine_sigmoid(np.abs(x))


def sigmoid_from_tanh_unhalved(x):  # noqa: D103
    return (1 + np.tanh(x)) / 2


OVERFLOWS = "record of overflows"

sigmoid = Exercise(
    name="e01.sigmoid",
    task="Write σ so that x = ±1000 neither overflows nor warns.",
    probe=far_and_near,
    reference=engine_sigmoid,
    observe=values_and_overflows,
    outputs=("σ(x)", OVERFLOWS),
    axes=dict.fromkeys(("σ(x)", OVERFLOWS), ("row", "column")),
    slips=(
        Slip(
            "1 / (1 + e^−x) as it stands",
            wrong=sigmoid_as_written,
            said="when σ is computed as 1 / (1 + e^−x), which overflows where x is far below 0",
            hint="What is e^1000 in float64? Which sign of x leads there, and which sign is safe?",
        ),
        Slip(
            "math.exp as it stands",
            wrong=sigmoid_by_math,
            said="without the numbers for which math.exp raises OverflowError",
            hint="math.exp raises where np.exp gives inf. Which sign of x leads there, and which "
            "exponential of x is never above 1?",
        ),
        Slip(
            "e^x / (1 + e^x) for every x",
            wrong=sigmoid_times_e_x,
            said="when it is computed as e^x / (1 + e^x), which is ∞/∞ where x is far above 0",
            hint="That form is safe below 0. What do its numerator and denominator become at "
            "x = 1000, and what is ∞/∞?",
        ),
        Slip(
            "np.where over both forms",
            wrong=sigmoid_where,
            said="when both forms are computed at every x, before np.where chooses",
            hint="The values are right. np.where chooses between two finished arrays: which of "
            "them were computed at x = −1000? Is there one exponential that is safe everywhere?",
        ),
        Slip(
            "the sign of x turned round",
            wrong=sigmoid_mirrored,
            said="at −x",
            hint="Should σ rise or fall as x grows? What does yours give at x = 1000?",
        ),
        Slip(
            "the sign of x lost",
            wrong=sigmoid_even,
            said="at |x|",
            hint="e^−|x| is a safe choice. Is σ(−2) the same as σ(2)?",
        ),
        Slip(
            "from tanh(x) instead of tanh(x/2)",
            wrong=sigmoid_from_tanh_unhalved,
            said="at 2x",
            hint="tanh(x) = 2σ(2x) − 1. Solve it for σ at x, not at 2x: which tanh does it ask "
            "for?",
        ),
    ),
    hints=(
        "Where does your formula break first: at x = −1000, at x = 1000, or at both?",
        "e^−x and e^x are both too large somewhere. Which exponential of x never exceeds 1, "
        "whatever the sign of x?",
        "For x ≥ 0 the given formula is safe. For x < 0 multiply its numerator and denominator by "
        "e^x. Both cases then need one and the same small number.",
    ),
    section="Far out",
)


def tanh_as_written(x):  # noqa: D103
    return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))


def tanh_overflows_above(x):  # noqa: D103
    return 1 - 2 / (np.exp(2 * x) + 1)


def tanh_quotient_above(x):  # noqa: D103
    return (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1)


def tanh_overflows_below(x):  # noqa: D103
    return 2 / (1 + np.exp(-2 * x)) - 1


def tanh_where(x):  # noqa: D103
    return np.where(x >= 0, tanh_overflows_below(x), tanh_overflows_above(x))


def tanh_inner_two_lost(x):  # noqa: D103
    return 2 * engine_sigmoid(x) - 1


def tanh_not_shifted(x):  # noqa: D103
    return 2 * engine_sigmoid(2 * x)


def tanh_not_stretched(x):  # noqa: D103
    return engine_sigmoid(2 * x) - 1


def tanh_even(x):  # noqa: D103
    return np.tanh(np.abs(x))


tanh = Exercise(
    name="e01.tanh",
    task="Write tanh so that x = ±1000 neither overflows nor warns.",
    probe=far_and_near,
    reference=engine_tanh,
    observe=values_and_overflows,
    outputs=("tanh(x)", OVERFLOWS),
    axes=dict.fromkeys(("tanh(x)", OVERFLOWS), ("row", "column")),
    slips=(
        Slip(
            "the quotient as it stands",
            wrong=tanh_as_written,
            said="when the quotient is computed as it stands, which is ∞/∞ far out on either side",
            hint="At x = 1000, which of e^x and e^−x overflows, and at x = −1000? What is ∞/∞?",
        ),
        Slip(
            "1 − 2/(e^2x + 1)",
            wrong=tanh_overflows_above,
            said="when tanh is computed from e^2x, which overflows where x is far above 0",
            hint="The values are right. e^2x is safe for one sign of x only: which? tanh(−x) = "
            "−tanh(x) may spare you the other sign.",
        ),
        Slip(
            "(e^2x − 1)/(e^2x + 1)",
            wrong=tanh_quotient_above,
            said="when e^2x stands above and below the line, which is ∞/∞ far above 0",
            hint="What do numerator and denominator become at x = 1000? Which sign in the exponent "
            "keeps both finite there?",
        ),
        Slip(
            "2/(1 + e^−2x) − 1",
            wrong=tanh_overflows_below,
            said="when tanh is computed from e^−2x, which overflows where x is far below 0",
            hint="Your identity is right. Is the σ in it your stable σ, or 1 / (1 + e^−x) once "
            "more?",
        ),
        Slip(
            "np.where over both forms",
            wrong=tanh_where,
            said="when both forms are computed at every x, before np.where chooses",
            hint="np.where chooses between two finished arrays. Which exponential of x is safe "
            "whatever its sign?",
        ),
        Slip(
            "2σ(x) − 1",
            wrong=tanh_inner_two_lost,
            said="at x/2",
            hint="2σ(x) − 1 has slope ½ at 0. tanh has slope 1 there: where does the missing "
            "factor 2 belong?",
        ),
        Slip(
            "2σ(2x), not shifted",
            wrong=tanh_not_shifted,
            said="plus 1",
            hint="tanh(0) should be 0. What is yours?",
        ),
        Slip(
            "σ(2x) − 1, not stretched",
            wrong=tanh_not_stretched,
            said="squeezed into (−1, 0)",
            hint="σ fills an interval of length 1. How long is the interval that tanh fills?",
        ),
        Slip(
            "the sign of x lost",
            wrong=tanh_even,
            said="at |x|",
            hint="e^−2|x| is a safe choice. Where does the sign of x come back in?",
        ),
    ),
    hints=(
        "Which of the two exponentials overflows at x = 1000, and which at x = −1000?",
        "tanh is odd. If you had it for x ≥ 0 only, how would you get it for x < 0?",
        "Divide numerator and denominator by the larger exponential: one exponential is left, and "
        "it never exceeds 1. Or stretch and shift the σ you have.",
    ),
    section="One curve, twice",
)

# ---------------------------------------------------------------- the slopes, backward


def outputs_of(squash):
    """Outputs of a squash, none at the middle, and gradients of both signs that arrive there."""

    def probe(rng: np.random.Generator) -> list[tuple]:
        x = np.array([[-2.0, 0.3, 1.7], [0.9, -0.6, -1.3]]) + rng.uniform(-0.12, 0.12, (2, 3))
        g = np.array([[0.7, -1.4, 2.1], [-0.5, 1.1, 3.2]]) + rng.uniform(-0.12, 0.12, (2, 3))
        return [(squash(x), g)]

    return probe


def engine_backward(op, undo):
    """Ours: the engine differentiates its own op at the x that gave this output."""

    def backward(y, g):
        x = mr.tensor(undo(y), requires_grad=True)
        (gradient,) = mr.vjp(op(x), [x], g)
        return gradient

    return backward


def logit(s):
    """The x whose σ is s."""
    return np.log(s / (1 - s))


ENTRY = {"∂L/∂x": ("row", "column")}

sigmoid_backward = Exercise(
    name="e01.sigmoid_backward",
    task="Take ∂L/∂s back through s = σ(x), from s alone.",
    probe=outputs_of(engine_sigmoid),
    reference=engine_backward(mr.sigmoid, logit),
    outputs=("∂L/∂x",),
    axes=ENTRY,
    slips=(
        Slip(
            "g·(1 − s)",
            wrong=lambda s, g: g * (1 - s),
            said="divided by s",
            hint="The slope of σ is a product of two things you already have. You used one: which "
            "is missing?",
        ),
        Slip(
            "g·s",
            wrong=lambda s, g: g * s,
            said="divided by 1 − s",
            hint="As s approaches 1 the curve of σ goes flat. Should the slope be large there?",
        ),
        Slip(
            "s·(1 − s), without g",
            wrong=lambda s, g: s * (1 - s),
            said="for g = 1 everywhere",
            hint="That is the slope of σ. Where did the gradient go that arrived from downstream?",
        ),
        Slip(
            "x·(1 − x)",
            wrong=lambda s, g: g * logit(s) * (1 - logit(s)),
            said="with x where s should stand",
            hint="In the formula for the slope, is the number you square the one before σ or the "
            "one after it?",
        ),
        Slip(
            "σ′(s): σ applied twice",
            wrong=lambda s, g: g * engine_sigmoid(s) * (1 - engine_sigmoid(s)),
            said="with σ(s) where s should stand",
            hint="What has already been done to the x behind s? What happens when you do it again?",
        ),
        Slip(
            "g handed on as it came",
            wrong=lambda s, g: g.copy(),
            said="without σ′",
            hint="If σ were the identity you would be right. What is its slope where s = 0.9?",
        ),
        Slip(
            "1 − s², the rule of tanh",
            wrong=lambda s, g: g * (1 - s**2),
            said="with the slope of tanh for that of σ",
            hint="1 − s² is 1 at s = 0. What is the slope of σ where its output is close to 0?",
        ),
    ),
    hints=(
        "Is your slope largest where s = ½ and 0 at both ends, s = 0 and s = 1?",
        "Differentiate 1/(1 + e^−x) and write the result with s in place of every fraction: two "
        "factors are left, and they add up to 1.",
        "Then the chain rule: what arrives, times the local slope, entry by entry.",
    ),
    section="The slope from the output",
)

tanh_backward = Exercise(
    name="e01.tanh_backward",
    task="Take ∂L/∂h back through h = tanh(x), from h alone.",
    probe=outputs_of(np.tanh),
    reference=engine_backward(mr.tanh, np.arctanh),
    outputs=("∂L/∂x",),
    axes=ENTRY,
    slips=(
        Slip(
            "g·(1 − h)",
            wrong=lambda h, g: g * (1 - h),
            said="divided by 1 + h",
            hint="tanh is as steep at −x as at x. Is 1 − h the same for h and for −h?",
        ),
        Slip(
            "h·(1 − h), the rule of σ",
            wrong=lambda h, g: g * h * (1 - h),
            said="with the slope of σ for that of tanh",
            hint="At x = 0 tanh is at its steepest. What does your slope give there, where h = 0?",
        ),
        Slip(
            "1 − tanh²(h): tanh applied twice",
            wrong=lambda h, g: g * (1 - np.tanh(h) ** 2),
            said="with tanh(h) where h should stand",
            hint="h is what tanh returned. How many times has x been squashed in your formula?",
        ),
        Slip(
            "1 − h², without g",
            wrong=lambda h, g: 1 - h**2,
            said="for g = 1 everywhere",
            hint="That is the slope of tanh. Where did the gradient go that arrived from "
            "downstream?",
        ),
        Slip(
            "g handed on as it came",
            wrong=lambda h, g: g.copy(),
            said="without tanh′",
            hint="Handing g on unchanged assumes slope 1. At which h, and only there, is it 1?",
        ),
        Slip(
            "(1 − h)²",
            wrong=lambda h, g: g * (1 - h) ** 2,
            said="with (1 − h)² for the slope",
            hint="What is squared: h, or the whole difference? Try h = −1, where tanh is flat.",
        ),
        Slip(
            "1 + h²",
            wrong=lambda h, g: g * (1 + h**2),
            said="with 1 + h² for the slope",
            hint="Can a slope of tanh exceed 1? Look at yours where h is close to 1.",
        ),
    ),
    hints=(
        "Is your slope 1 at h = 0, 0 at h = ±1, and the same for h and −h?",
        "tanh = sinh/cosh. The quotient rule gives (cosh² − sinh²)/cosh²: divide it out.",
        "Or: tanh(x) = 2σ(2x) − 1, so its slope is 4σ′(2x). Then write s as (1 + h)/2.",
    ),
    section="The slope from the output",
)

# ---------------------------------------------------------------- how steep it gets


def rise(x, height=1.0, width=1.0, centre=0.0):
    """A stretched and moved σ, in plain NumPy: it is called thousands of times."""
    return height * (0.5 + 0.5 * np.tanh((x - centre) / width / 2))


def curves(rng: np.random.Generator) -> list[tuple]:
    """σ and tanh, and both stretched and moved, so that no known number is the answer.

    The fifth falls more steeply than it rises. The last two are steepest outside of lo … hi, once
    above and once below.
    """

    def near(value, by=0.2):
        return value + rng.uniform(-by, by)

    first, edge = near(1.5), near(4.0)

    def falls(x):
        return rise(x, first, 0.9, -0.6) - rise(x, 2.5 * first, 0.8, edge)

    moved = {"height": near(2.0), "width": near(0.7, 0.1), "centre": near(1.3)}
    lower = {"height": near(4.0), "width": near(0.35, 0.05), "centre": near(-0.9)}
    early = {"height": near(3.0), "width": near(1.4, 0.1), "centre": near(2.6)}
    late = {"height": near(2.6), "width": near(1.3, 0.1), "centre": near(-1.4)}
    wide = (-4.2, 6.1)
    return [
        (rise, *wide),
        (np.tanh, *wide),
        (partial(rise, **moved), *wide),
        (partial(rise, **lower), *wide),
        (falls, *wide),
        (partial(rise, **early), -3.1, 1.5),
        (partial(rise, **late), -0.3, 4.3),
    ]


def steepest(f, lo, hi):
    """Ours: central differences on a grid, then on a finer one around the steepest point."""
    step = 1e-5
    for points in (2_001, 2_001):
        x = np.linspace(lo, hi, points)
        slopes = (f(x + step) - f(x - step)) / (2 * step)
        top = int(np.argmax(slopes))
        lo, hi = x[max(top - 1, 0)], x[min(top + 1, points - 1)]
    return float(slopes[top])


def slope_at(f, x, step=1e-4):
    """f′(x) by a central difference."""
    return float((f(np.array([x + step])) - f(np.array([x - step])))[0] / (2 * step))


def steepest_either_way(f, lo, hi):  # noqa: D103
    x = np.linspace(lo, hi, 20_001)
    return float(np.max(np.abs(np.diff(f(x)) / np.diff(x))))


def steepest_place(f, lo, hi):  # noqa: D103
    x = np.linspace(lo, hi, 20_001)
    return float(x[np.argmax(np.diff(f(x)))])


max_slope = Exercise(
    name="e01.max_slope",
    task="Measure the largest slope of a function you can only call.",
    probe=curves,
    probe_rules="a case is a function and where to look",
    reference=steepest,
    outputs=("largest slope",),
    rtol=1e-3,
    slips=(
        Slip(
            "the largest value",
            wrong=lambda f, lo, hi: float(np.max(f(np.linspace(lo, hi, 20_001)))),
            said="when the highest value of f is returned in its place",
            hint="That is the highest point of f. What has to be divided by what before you take "
            "the largest?",
        ),
        Slip(
            "the slope at 0",
            wrong=lambda f, lo, hi: slope_at(f, 0.0),
            said="when the slope is taken at x = 0",
            hint="σ and tanh are steepest at 0. Is a curve that was moved to the right steepest "
            "there too?",
        ),
        Slip(
            "the slope in the middle",
            wrong=lambda f, lo, hi: slope_at(f, (lo + hi) / 2),
            said="when the slope is taken halfway between lo and hi",
            hint="Must the steepest place lie in the middle of where you were asked to look?",
        ),
        Slip(
            "lo and hi not heeded",
            wrong=lambda f, lo, hi: steepest(f, -100.0, 100.0),
            said="when f is searched far beyond lo and hi",
            hint="One curve is steepest to the right of hi, another to the left of lo. Where were "
            "you asked to look?",
        ),
        Slip(
            "a fall taken for a rise",
            wrong=steepest_either_way,
            said="with the steepest fall counted as a slope above 0",
            hint="One curve falls more steeply than it rises. Which sign has the slope of a fall, "
            "and is it the largest?",
        ),
        Slip(
            "the mean slope",
            wrong=lambda f, lo, hi: float(np.diff(f(np.array([lo, hi])))[0] / (hi - lo)),
            said="when slopes are averaged from lo to hi",
            hint="One long chord from lo to hi gives the average slope. How short must a chord be "
            "to find the steepest place?",
        ),
        Slip(
            "the steepest place, not the slope",
            wrong=steepest_place,
            said="when the place is returned, the x where f is steepest",
            hint="You found where f is steepest. Which question was asked: where, or how much?",
        ),
    ),
    hints=(
        "Can you get one slope first, at one x, from two calls of f?",
        "A slope is rise over run. Take many neighbouring points from lo to hi and the chord "
        "between each pair.",
        "np.linspace makes the points, np.diff the rises and the runs. The largest quotient is the "
        "answer.",
    ),
    section="How steep it gets",
)
