"""Every card of the op table, tested by having been declared.

Elementwise cards are sampled from their declared domain. What no card declares stands in two small
tables below: static arguments of elementwise cards, and sample calls of all others. A card that
needs an entry there and has none fails with a message that says so.
"""

import inspect
import re

import numpy as np
import pytest

import microrecur as mr
from microrecur.engine import kernels, ops
from microrecur.engine.intervals import Interval
from microrecur.engine.primitive import Elementwise, Linear, Selection
from microrecur.engine.tensor import ancestry
from microrecur.engine.tracing import same_numbers

from .strategies import central_difference, pulled_back, sample, samples

STATIC = {
    "pow": [{"p": 0}, {"p": 1}, {"p": 2}, {"p": 3.0}, {"p": 0.5}, {"p": -1.5}],
    "clip": [{"lo": -1.0, "hi": 1.0}, {"lo": 0.5, "hi": np.inf}],
}


def eighths(shape, seed):
    """Numbers that float32 holds exactly."""
    return np.round(8 * sample(shape, seed)) / 8


PRODUCTS = [
    *[((), ()), ((3,), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 4))],
    *[((3,), (2, 3, 4)), ((5, 1, 2, 3), (2, 3, 1))],
]

CALLS = {
    "where": [
        ([np.array([True, False, True]), *samples([(2, 3), (3,)], 1)], {}),
        ([np.array([[True], [False]]), *samples([(3,), ()], 1)], {}),
    ],
    "matmul": [(samples(pair, 1), {}) for pair in PRODUCTS],
    "sum": [
        ([sample((2, 3, 4), 1)], {"axis": axis, "keepdims": keepdims})
        for axis in (None, 0, -1, (0, 2), (-3, 1))
        for keepdims in (False, True)
    ],
    "reshape": [([sample((2, 3, 4), 1)], {"shape": s}) for s in [(6, 4), (24,), (1, 2, 12)]],
    "transpose": [([sample((2, 3, 4), 1)], {"axes": a}) for a in [(2, 1, 0), (1, 2, 0), (0, 1, 2)]],
    "broadcast_to": [
        ([sample((3, 1), 1)], {"shape": (2, 3, 4)}),
        ([sample((), 1)], {"shape": (2, 3)}),
    ],
    "concatenate": [
        (samples([(2, 1), (2, 3), (2, 2)], 1), {"axis": 1}),
        (samples([(2, 3), (1, 3)], 1), {"axis": -2}),
        (samples([(2, 3)], 1), {"axis": 0}),
    ],
    "stack": [(samples([(2, 3)] * 3, 1), {"axis": a}) for a in (0, 1, 2, -1, -3)],
    "getitem": [
        ([sample((2, 3, 4), 1)], {"index": index})
        for index in [1, (..., slice(None, None, -2)), (0, None, [2, 2, 0]), ([1, 1], [0, 0])]
    ],
    "scatter": [
        ([sample((3, 2), 1)], {"index": np.array([1, 1, 0]), "shape": (4, 2)}),
        ([sample((2,), 1)], {"index": (slice(None), 2), "shape": (2, 3)}),
    ],
    "gather": [
        ([sample((4, 3), 1), np.array([2, 2, 0])], {"index": (kernels.PLACE,)}),
        (
            [sample((2, 3, 4), 1), np.array([1, 0]), np.array([[3], [3]])],
            {"index": (kernels.PLACE, slice(None), kernels.PLACE)},
        ),
        (
            [sample((2, 3, 4), 1), np.array([3, 0, 3])],
            {"index": (..., slice(None, None, -1), kernels.PLACE)},
        ),
        ([sample((3, 4), 1), np.array([2, 2])], {"index": (np.array([0, 2]), kernels.PLACE)}),
        ([sample((3,), 1), np.array(-1)], {"index": (kernels.PLACE,)}),
    ],
    "spread": [
        ([sample((3, 2), 1), np.array([1, 1, 0])], {"index": (kernels.PLACE,), "shape": (4, 2)}),
        (
            [sample((2, 2), 1), np.array([1, 0]), np.array([3, 3])],
            {"index": (kernels.PLACE, slice(0, 2), kernels.PLACE), "shape": (2, 3, 4)},
        ),
    ],
    "plain": [
        ([sample((2, 3), 1)], {"function": np.sign}),
        ([sample((2, 3), 1)], {"function": same_numbers}),
        ([sample((2, 3), 1), sample((2, 3), 2)], {"function": np.maximum}),
    ],
    "max": [
        ([sample((2, 3, 4), 1)], {"axis": axis, "keepdims": keepdims})
        for axis in (None, 0, -1, (0, 2))
        for keepdims in (False, True)
    ],
    "held_max": [([sample((2, 3, 4), 1)], {"axis": axis}) for axis in (None, 0, -1, (0, 2))],
    "share_of_max": [([sample((2, 3, 4), 1)], {"axis": axis}) for axis in (None, 0, -1, (0, 2))],
    "cast": [
        ([eighths((3,), 1)], {"dtype": np.float32}),
        ([eighths((3,), 1).astype(np.float32)], {"dtype": np.float64}),
    ],
}

CARDS = list(ops.TABLE.values())
ELEMENTWISE = [card for card in CARDS if isinstance(card, Elementwise)]


def named(cards):
    return pytest.mark.parametrize("card", cards, ids=lambda card: card.name)


def statics(card):
    """The static arguments to try a card with; [{}] where it takes none."""
    parameters = inspect.signature(card.forward).parameters.values()
    needed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if isinstance(card.forward, np.ufunc) or not needed:
        return [{}]
    assert card.name in STATIC, (
        f"the card {card.name!r} takes {needed}: add values of them to STATIC in this file"
    )
    return STATIC[card.name]


def arity(card):
    return len(card.partials)


def window(card, k, width=3.0):
    """A finite part of operand k's domain, a little inside its ends."""
    lo, hi = card.domain[k]
    lo, hi = max(lo + 0.1, -width), min(hi - 0.1, width)
    assert lo < hi, f"the domain of {card.name!r}, operand {k}, has no inside"
    return lo, hi


def away_from_kinks(card, k, shape, seed):
    """Samples of operand k on a grid of its own: never 0, never ±1, never another operand's."""
    lo, hi = window(card, k)
    drawn = sample(shape, (seed, k), lo, hi - 0.05)
    return np.asarray(np.floor(drawn / 0.05) * 0.05 + 0.01 + 0.015 * k)


def operands(card, shapes, seed=1):
    """One array per operand, shapes repeated in turn."""
    drawn = [shapes[k % len(shapes)] for k in range(arity(card))]
    return [away_from_kinks(card, k, shape, seed) for k, shape in enumerate(drawn)]


SHAPES = {
    "scalars": [()],
    "vectors": [(3,)],
    "broadcast": [(2, 1), (1, 3)],
    "scalar and vector": [(), (2,)],
}


def elementwise_calls(card):
    return [
        (operands(card, shapes), static) for shapes in SHAPES.values() for static in statics(card)
    ]


def calls(card):
    """All sample calls (operands, static) of any card."""
    if isinstance(card, Elementwise):
        return elementwise_calls(card)
    assert card.name in CALLS, (
        f"the card {card.name!r} has no sample calls: add some to CALLS in this file"
    )
    return CALLS[card.name]


def rules(card, count):
    """What a card declares of its derivative, per operand; None where it has none."""
    if isinstance(card, Selection):
        return (card.weights,)
    assert isinstance(card, Elementwise | Linear), (
        f"{card.name!r} is of a kind unknown here: say how its derivative is tested"
    )
    declared = card.partials if isinstance(card, Elementwise) else card.transposes
    return (declared,) * count if callable(declared) else declared


def moving(card, arrays):
    """The operands with a derivative: floats with a rule."""
    declared = rules(card, len(arrays))
    return [k for k, a in enumerate(arrays) if a.dtype.kind == "f" and declared[k] is not None]


def recorded(card, arrays, static):
    """The card's result on tensors, and the tensors: masks stay constants."""
    xs = [mr.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    return card(*xs, **static), xs


def in_single_precision(*arrays):
    """Whether too few digits are left for differences of small steps."""
    return any(a.dtype == np.float32 for a in arrays)


def cases(cards=CARDS):
    """(card, operands, static), one test each."""
    drawn = [(card, *call) for card in cards for call in calls(card)]
    ids = [
        # A function's repr has its address, and an id must be the same in every process.
        re.sub(r" at 0x\w+", "", f"{card.name}-{'x'.join(str(a.shape) for a in arrays)}-{static}")
        for card, arrays, static in drawn
    ]
    return pytest.mark.parametrize(("card", "arrays", "static"), drawn, ids=ids)


# -- what it declares ----------------------------------------------------------------------------


@named(CARDS)
def test_says_what_a_picture_and_a_formula_need(card):
    assert ops.TABLE[card.name] is card
    assert card.symbol and card.kind
    assert "#1" in card.latex or "#*" in card.latex
    if isinstance(card, Elementwise):
        assert len(card.domain) == len(card.slope) == arity(card)


@cases()
def test_on_plain_arrays_gives_a_plain_array(card, arrays, static):
    plain = card(*arrays, **static)
    assert isinstance(plain, np.ndarray | np.generic)
    y, xs = recorded(card, arrays, static)
    # One recorded number is computed by Python's own functions, which round the last digit as C.
    close = np.testing.assert_array_equal if y.ndim else np.testing.assert_allclose
    close(plain, y.data, **({} if y.ndim else {"rtol": 1e-15, "atol": 0}))
    assert plain.dtype == y.dtype
    assert y.op is card
    assert y.inputs == tuple(xs)


def numpys_answer(function, arrays):
    """What NumPy says of these arrays; None where it refuses them and the card may be wider."""
    try:
        return function(*arrays)
    except ValueError:
        return None


NUMPYS = [(card, function) for card in CARDS for function in card.numpy]


@pytest.mark.parametrize(
    ("card", "function"), NUMPYS, ids=[f"np.{function.__name__}" for _, function in NUMPYS]
)
def test_numpys_own_functions_mean_it(card, function):
    answers = [
        (arrays, numpys_answer(function, arrays)) for arrays, static in calls(card) if not static
    ]
    answers = [(arrays, expected) for arrays, expected in answers if expected is not None]
    assert answers
    for arrays, expected in answers:
        y, xs = recorded(function, arrays, {})
        np.testing.assert_allclose(y.data, expected, rtol=1e-14, atol=1e-300, strict=True)
        assert y.op is card
        assert y.inputs == tuple(xs)


@named(ELEMENTWISE)
def test_keeps_single_precision(card):
    for arrays, static in elementwise_calls(card):
        single = [a.astype(np.float32) for a in arrays]
        y, xs = recorded(card, single, static)
        expected = card(*[a.astype(float) for a in single], **static)
        np.testing.assert_allclose(y.data, expected, rtol=2e-5, atol=1e-6)
        if y.dtype != np.bool_:
            assert y.dtype == np.float32
        for g in mr.vjp(y, xs, np.ones(y.shape)):
            assert g.dtype == np.float32


# -- its derivative ------------------------------------------------------------------------------


@cases()
def test_derivative_by_central_differences(card, arrays, static):
    y, xs = recorded(card, arrays, static)
    seed = sample(y.shape, seed=3, dtype=y.dtype if y.dtype.kind == "f" else float)
    gradients = mr.vjp(y, xs, seed)
    coarse = in_single_precision(y, *arrays)
    for k, a in enumerate(arrays):
        if k in moving(card, arrays):
            # float32 has 7 digits: a wider step keeps half of them, exact for what is linear.
            slope = central_difference(
                lambda *xs: card(*xs, **static), arrays, k, h=0.125 if coarse else 1e-3
            )
            expected = pulled_back(slope, seed)
        else:
            expected = np.zeros(a.shape)
        tolerance = {"rtol": 1e-6, "atol": 1e-6} if coarse else {"rtol": 1e-8, "atol": 1e-9}
        np.testing.assert_allclose(gradients[k], expected, **tolerance)


@cases()
def test_second_derivative_by_central_differences_of_the_first(card, arrays, static):
    y, xs = recorded(card, arrays, static)
    if not moving(card, arrays) or in_single_precision(y, *xs):
        return
    seed = sample(y.shape, seed=3)
    weights = samples([a.shape for a in arrays], seed=4)
    movers = moving(card, arrays)

    def contracted(*moved):
        """Σ ⟨weight, gradient⟩ at these operands, as a number, from first derivatives alone."""
        result, leaves_ = recorded(card, moved, static)
        gradients = mr.vjp(result, leaves_, seed)
        return np.asarray(sum(np.vdot(weights[k], gradients[k]) for k in movers))

    gradients = mr.grad(y, [xs[k] for k in movers], seed=seed)
    total = sum((g * weights[k]).sum() for k, g in zip(movers, gradients, strict=True))
    second = mr.grad(total, [xs[k] for k in movers])
    for k, ours in zip(movers, second, strict=True):
        expected = central_difference(contracted, arrays, k)
        np.testing.assert_allclose(ours.data, expected, rtol=1e-7, atol=1e-8)


@named(CARDS)
def test_gradcheck_to_second_order(card):
    for arrays, static in calls(card):
        y, xs = recorded(card, arrays, static)
        if moving(card, arrays) and not in_single_precision(y, *xs):
            assert mr.gradcheck(lambda *xs, static=static: card(*xs, **static), xs, order=2)


@cases()
def test_forward_mode_is_the_adjoint_of_reverse_mode(card, arrays, static):
    movers = moving(card, arrays)
    y, xs = recorded(card, arrays, static)
    if not movers:
        assert not y.requires_grad
        return
    u = eighths(y.shape, seed=5)
    tangents = [eighths(arrays[k].shape, (6, k)) for k in movers]
    pulled = mr.vjp(y, [xs[k] for k in movers], u)
    pushed = mr.jvp(y, [xs[k] for k in movers], tangents)
    assert pushed.shape == y.shape
    back = sum(np.vdot(g, t) for g, t in zip(pulled, tangents, strict=True))
    np.testing.assert_allclose(np.vdot(u, pushed), back, rtol=1e-11, atol=1e-12)


@cases([card for card in CARDS if isinstance(card, Linear)])
def test_a_linear_card_is_linear_and_its_transpose_the_adjoint(card, arrays, static):
    for k in moving(card, arrays):

        def linear(v, k=k):
            """The card as a function of operand k, less what the others add."""
            with_v, without = ([*arrays[:k], w, *arrays[k + 1 :]] for w in (v, 0 * v))
            return card(*with_v, **static) - card(*without, **static)

        v, w = (eighths(arrays[k].shape, (7, k, n)).astype(arrays[k].dtype) for n in (0, 1))
        image = linear(v)
        np.testing.assert_allclose(linear(2 * v + w), 2 * image + linear(w), rtol=1e-12, atol=1e-12)
        y, xs = recorded(card, arrays, static)
        u = eighths(y.shape, seed=8)
        (pulled,) = mr.vjp(y, [xs[k]], u)
        np.testing.assert_allclose(np.vdot(u, image), np.vdot(pulled, v), rtol=1e-12, atol=1e-12)


# -- its slope -----------------------------------------------------------------------------------


def dense(card, count=60_001):
    """Operands over their whole domain, 0 among them: close together near 0, to ±40 farther off."""
    columns = []
    for k in range(arity(card)):
        lo, hi = card.domain[k]
        near, far = np.linspace(-3, 3, count), np.linspace(-40, 40, 801)
        column = np.concatenate([near, far])
        if k:  # pair every value with an unrelated one, and some with themselves
            column[: count // 2] = np.random.default_rng(k).permutation(column)[: count // 2]
        columns.append(np.clip(column, max(lo, -40) + 1e-9, min(hi, 40) - 1e-9))
    return columns


WITH_SLOPE = [
    (card, k, static)
    for card in ELEMENTWISE
    for k, bound in enumerate(card.slope)
    if bound is not None
    for static in statics(card)
]


@pytest.mark.parametrize(
    ("card", "k", "static"), WITH_SLOPE, ids=[f"{c.name}-{k}-{s}" for c, k, s in WITH_SLOPE]
)
def test_slope_is_sound_and_tight(card, k, static):
    y, xs = recorded(card, dense(card), static)
    slopes = np.abs(mr.vjp(y, [xs[k]], np.ones(y.shape))[0])
    assert slopes.max() <= card.slope[k] * (1 + 1e-12), "exceeded: the slope declared is no bound"
    assert slopes.max() >= card.slope[k] - 1e-6, "never reached: the slope declared is too large"


@cases([card for card in CARDS if isinstance(card, Linear) and any(card.slope)])
def test_slope_of_a_linear_card_is_its_greatest_entry(card, arrays, static):
    y, xs = recorded(card, arrays, static)
    for k in moving(card, arrays):
        bound = card.slope[k if len(card.slope) > 1 else 0]
        if bound is not None:
            assert np.abs(mr.jacobian(y, xs[k])).max() == bound


@named([card for card in ELEMENTWISE if card.by_result])
def test_partials_by_result_are_the_partials_to_rounding(card):
    near, far = np.linspace(-60, 60, 24_001), np.array([-np.inf, -1e300, -800.0, 800.0, np.inf])
    x = np.concatenate([near, far])
    y = card(x)
    for k, by_result in enumerate(card.by_result):
        exact = card.partial(k, y, [x], {})
        np.testing.assert_allclose(by_result(y), exact, rtol=0, atol=1e-15)
        g = np.full(x.shape, 3.0)
        np.testing.assert_allclose(
            card.pull_by_result(k, g, y, [x], {}), card.pull(k, g, y, [x], {}), rtol=0, atol=3e-15
        )


def test_softmax_and_max_record_what_they_read_of_their_numbers():
    """Nothing computed from the numbers is a constant of the graph: it could not be replayed."""
    x = mr.tensor([[1.0, 3.0], [2.0, 0.5]])
    for f in (mr.softmax, mr.log_softmax, mr.logsumexp, mr.max):
        y = f(x, axis=1)
        graph = ancestry([y, mr.grad(y.sum(), x)])
        leaves = [node for node in graph if node.op is None and node is not x]
        assert all(leaf.size == 1 and leaf.item() in (0.0, 1.0) for leaf in leaves), f.__name__


def test_the_slopes_the_course_teaches():
    """σ′ ≤ ¼, tanh′ ≤ 1, relu′ ≤ 1: equality at 0, nowhere else for the first two."""
    slopes = {name: ops.TABLE[name].slope for name in ("sigmoid", "tanh", "relu")}
    assert slopes == {"sigmoid": (0.25,), "tanh": (1,), "relu": (1,)}


# -- its range -----------------------------------------------------------------------------------


def boxes(card, seed):
    """Random operand intervals within the domain, one of them a single point."""
    intervals = []
    for k in range(arity(card)):
        ends = np.sort(sample((2,), (seed, k), *window(card, k)))
        intervals.append(Interval(*(ends[[0, 0]] if seed % 5 == k + 1 else ends).tolist()))
    return intervals


@named([card for card in ELEMENTWISE if card.range is not None])
def test_range_holds_every_result(card):
    for static in statics(card):
        for seed in range(40):
            box = boxes(card, seed)
            corners = [np.array([b.lo, b.hi]) for b in box]
            inside = [sample((50,), (seed, k, 9), b.lo, b.hi) for k, b in enumerate(box)]
            lo, hi = card.range(*box, **static)
            assert lo <= hi
            grid = np.meshgrid(*corners) if len(corners) > 1 else corners
            for arrays in (inside, grid):
                y = card(*arrays, **static)
                slack = 1e-12 * np.maximum(1, np.abs(y))
                assert np.all(y >= lo - slack), (box, static, lo, np.min(y))
                assert np.all(y <= hi + slack), (box, static, hi, np.max(y))


ENDS = [-np.inf, -1e200, -1000.0, -1.0, 0.0, 0.5, 1.0, 1000.0, 1e200, np.inf]


@named([card for card in ELEMENTWISE if card.range is not None])
def test_range_of_endless_intervals_is_an_interval(card):
    """However wide the operands, an interval comes back: no nan, no overflow, no warning."""
    rng = np.random.default_rng(1)
    for static in statics(card):
        for _ in range(60):
            box = []
            for lo, hi in card.domain:
                allowed = [e for e in ENDS if lo <= e <= hi]
                box.append(Interval(*sorted(float(e) for e in rng.choice(allowed, 2))))
            lo, hi = card.range(*box, **static)
            assert lo <= hi, (box, static)
            assert not np.isnan(lo) and not np.isnan(hi), (box, static)


@cases([card for card in CARDS if isinstance(card, Linear) and card.range is not None])
def test_range_of_a_linear_card_holds_every_result(card, arrays, static):
    box = [Interval(float(a.min()), float(a.max())) for a in arrays]
    lo, hi = card.range(*box, **static)
    y = card(*arrays, **static)
    assert lo <= y.min() and y.max() <= hi


# -- this file -----------------------------------------------------------------------------------


def test_a_card_without_samples_is_told_what_to_add():
    new = Linear(
        name="new", symbol="?", latex="#1", kind="pass", forward=np.abs, transposes=(np.abs,)
    )
    with pytest.raises(AssertionError, match=r"'new' has no sample calls"):
        calls(new)


def test_a_planted_slope_and_a_planted_derivative_are_red():
    """The tests above can fail: a bound too small or too large, a derivative one percent off."""

    def tanh(slope, factor):
        return Elementwise(
            name="planted", symbol="?", latex="#1", kind="other", forward=np.tanh,
            partials=(lambda y, x: factor * mr.sech2(x),), slope=(slope,),
        )  # fmt: skip

    for slope in (0.99, 1.01):
        with pytest.raises(AssertionError, match=r"reached|exceeded"):
            test_slope_is_sound_and_tight(tanh(slope, 1), 0, {})
    test_slope_is_sound_and_tight(tanh(1, 1), 0, {})
    with pytest.raises(AssertionError):
        test_derivative_by_central_differences(tanh(1, 1.01), [sample((3,), 1)], {})
