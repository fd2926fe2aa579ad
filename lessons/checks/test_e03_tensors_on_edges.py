"""Checks of lesson 03: gradients of the shapes of their tensors, and a checker that is checked."""

import numpy as np

import microrecur as mr
from microrecur.course import Exercise, Slip
from microrecur.lessons.checks.planted_ops import generic, ops

# ---------------------------------------------------------------- broadcasting


def stretched(rng: np.random.Generator) -> list[tuple]:
    """Axes in front, axes of size 1 at an end and in the middle, both at once, all, and none.

    The last has an axis in front that is as long as x: who goes by sizes alone keeps the wrong one.
    """
    shapes = [(4,), (2, 1, 4), (3, 1), (2, 3, 4), ()]
    return [(generic(rng, 2, 3, 4), shape) for shape in shapes] + [(generic(rng, 4, 3, 4), (4,))]


def engine_unbroadcast(g, shape):
    """Ours: the engine's gradient through `broadcast_to`."""
    x = mr.tensor(np.zeros(shape), requires_grad=True)
    (gradient,) = mr.vjp(mr.broadcast_to(x, g.shape), [x], g)
    return gradient


def summed(g, shape, added=True, repeated=True, keepdims=True, by=np.sum):
    """The right sums for these arguments; others make a slip."""
    if added:
        g = by(g, axis=tuple(range(g.ndim - len(shape))))
    offset = g.ndim - len(shape)
    ones = tuple(k + offset for k, size in enumerate(shape) if size == 1)
    return by(g, axis=ones, keepdims=keepdims) if repeated and ones else g


def by_size(g, shape):  # noqa: D103
    sizes = list(shape)
    gone = []
    for axis, size in enumerate(g.shape):
        if size in sizes:
            sizes.remove(size)
        else:
            gone.append(axis)
    return g.sum(axis=tuple(gone)).reshape(shape)


def first_copy(g, shape):  # noqa: D103
    g = g[(0,) * (g.ndim - len(shape))]
    return g[tuple(slice(1) if size == 1 else slice(None) for size in shape)] + 0.0


unbroadcast = Exercise(
    name="e03.unbroadcast",
    task="Take a gradient back through broadcasting.",
    probe=stretched,
    probe_rules="a case is a gradient and a shape; axes of size 1 are what it is about",
    reference=engine_unbroadcast,
    outputs=("∂L/∂x",),
    slips=(
        Slip(
            "everything summed",
            wrong=lambda g, shape: np.full(shape, g.sum()),
            said="with all axes summed, also those that were never stretched",
            hint="Every entry of your gradient is the same. Does x[2] get a share of what arrives "
            "at copies of x[0]?",
        ),
        Slip(
            "only the axes in front",
            wrong=lambda g, shape: summed(g, shape, repeated=False),
            said="with the axes in front summed, and those of size 1 left stretched",
            hint="A bias of shape (3, 1) was used for every column. How many columns may its "
            "gradient have?",
        ),
        Slip(
            "only the axes of size 1",
            wrong=lambda g, shape: summed(g, shape, added=False),
            said="with the axes of size 1 summed, and those in front still there",
            hint="A bias of shape (4,) was used for every row. Which axis of g did x never have?",
        ),
        Slip(
            "axes of size 1 lost",
            wrong=lambda g, shape: summed(g, shape, keepdims=False),
            said="without its axes of size 1",
            hint="The numbers are right. What is the shape of a (2, 1, 4) array summed over its "
            "middle axis, and which argument of sum keeps that axis?",
        ),
        Slip(
            "axes told by their size",
            wrong=by_size,
            said="with an axis in front kept because x has one of that length",
            hint="g is 4×3×4 and x has 4 entries. NumPy lines shapes up at their last axis: which "
            "of the two axes of length 4 is x's?",
        ),
        Slip(
            "averaged",
            wrong=lambda g, shape: summed(g, shape, by=np.mean),
            said="divided by the number of copies",
            hint="x was copied three times and each copy changes L. If x moves by 1, does L feel "
            "one copy's worth or three?",
        ),
        Slip(
            "one copy alone",
            wrong=first_copy,
            said="with what the first copy brings, alone",
            hint="The bias was added to every row. Which rows have a say in your gradient?",
        ),
        Slip(
            "cut to size",
            wrong=lambda g, shape: np.resize(g, shape),
            said="with the first numbers of g put into the right shape",
            hint="The shape is right. Where did the numbers of g go that did not fit?",
        ),
    ),
    hints=(
        "Which entries of g stand where copies of one entry of x stood?",
        "Two kinds of axes were stretched: those in front that x never had, and those of size 1. "
        "A copy forward is a sum backward.",
        "Sum the axes in front away, as many as g has more than shape. Then sum every axis where "
        "shape has a 1, and keep it as an axis.",
    ),
    section="Copies forward, a sum backward",
)

# ---------------------------------------------------------------- the matrix product


def rectangles(rng: np.random.Generator) -> list[tuple]:
    """N = 2, K = 3, M = 4."""
    return [(generic(rng, 2, 3), generic(rng, 3, 4), generic(rng, 2, 4))]


def engine_matmul(A, B, g):
    """Ours: the engine's gradient through @."""
    A, B = (mr.tensor(x, requires_grad=True) for x in (A, B))
    return tuple(mr.vjp(A @ B, [A, B], g))


MISFIT = "a product whose shapes do not fit"


def fitting(matmul_backward, case: tuple):
    """What it returns; a product of shapes that do not fit is an answer of its own."""
    try:
        return matmul_backward(*case)
    except ValueError as error:
        if "matmul" not in str(error) and "not aligned" not in str(error):
            raise
        return MISFIT, MISFIT


MATRICES = {"∂L/∂A": ("row", "column"), "∂L/∂B": ("row", "column")}

matmul_backward = Exercise(
    name="e03.matmul_backward",
    task="Take a gradient back through Y = A @ B, to both factors.",
    probe=rectangles,
    reference=engine_matmul,
    observe=fitting,
    outputs=("∂L/∂A", "∂L/∂B"),
    axes=MATRICES,
    slips=(
        Slip(
            "the two gradients exchanged",
            wrong=lambda A, B, g: (A.T @ g, g @ B.T),
            said="with the gradient of B in its place",
            hint="Yours has the shape of B. Which shape must the gradient of A have, whatever else "
            "it is?",
        ),
        Slip(
            "a transpose missing",
            wrong=lambda A, B, g: (g @ B, A @ g),
            said="with a transpose missing: two shapes that do not fit were multiplied",
            hint="g is N×M, A is N×K, B is K×M. Which of A and B can stand beside g so that the "
            "result is N×K, and which way round?",
        ),
        Slip(
            "reshaped, not transposed",
            wrong=lambda A, B, g: (g @ B.reshape(B.shape[::-1]), A.reshape(A.shape[::-1]) @ g),
            said="with reshape where a transpose should be",
            hint="reshape reads the same numbers in the same order. What is row 0 of B.T, and what "
            "is row 0 of B.reshape(4, 3)?",
        ),
        Slip(
            "each gradient transposed",
            wrong=lambda A, B, g: (B @ g.T, g.T @ A),
            said="transposed",
            hint="The numbers are right and lie on their side. What is the shape of A?",
        ),
        Slip(
            "g left out",
            wrong=lambda A, B, g: (np.ones(g.shape) @ B.T, A.T @ np.ones(g.shape)),
            said="for g = 1 everywhere",
            hint="That is the gradient of Y.sum(). What arrives at Y[0, 1] here?",
        ),
        Slip(
            "divided by the number of rows",
            wrong=lambda A, B, g: (g @ B.T, A.T @ g / len(A)),
            said="divided by N",
            hint="B was used for each of N rows. Does L feel the mean of those uses, or all of "
            "them?",
        ),
    ),
    hints=(
        "Which shape does each gradient have to have?",
        "Take one entry: Y[n, m] changes with A[n, k] at the rate B[k, m]. So A[n, k] collects "
        "g[n, m]·B[k, m] over every m. Which product is that?",
        "Of all ways to multiply g with B or its transpose, one gives N×K. For the other factor: "
        "one way gives K×M.",
    ),
    section="The only product that fits",
)

# ---------------------------------------------------------------- concatenation


def joined(rng: np.random.Generator) -> list[tuple]:
    """[h, x] of two rows, and three parts of a deeper array."""
    return [(generic(rng, 2, 7), [4, 3]), (generic(rng, 2, 3, 15), [5, 4, 6])]


def engine_concat(g, sizes):
    """Ours: the engine's gradient through `concatenate`."""
    parts = [mr.tensor(np.zeros((*g.shape[:-1], n)), requires_grad=True) for n in sizes]
    return list(mr.vjp(mr.concatenate(parts, axis=-1), parts, g))


def cut(g, starts, sizes):
    """Parts of the last axis."""
    return [g[..., start : start + size] for start, size in zip(starts, sizes)]


concat_backward = Exercise(
    name="e03.concat_backward",
    task="Cut a gradient where its parts were joined.",
    probe=joined,
    probe_rules="a case is a gradient and the list of sizes it is made of",
    reference=engine_concat,
    outputs=("list of parts",),
    axes={"list of parts": ("part", "row", "column")},
    slips=(
        Slip(
            "[x, h] for [h, x]",
            wrong=lambda g, sizes: cut(g, np.sum(sizes) - np.cumsum(sizes), sizes),
            said="with the parts taken from the other end",
            hint="[h, x] puts h in front. Which columns of g did you hand to h?",
        ),
        Slip(
            "sizes read as positions",
            wrong=lambda g, sizes: np.split(g, sizes, axis=-1),
            said="with sizes taken for the places to cut at",
            hint="np.split is told where to cut, not how long the parts are. After sizes 5, 4, 6, "
            "where does the third part begin?",
        ),
        Slip(
            "one cut too many",
            wrong=lambda g, sizes: np.split(g, np.cumsum(sizes), axis=-1),
            said="with an empty part at the end",
            hint="np.cumsum says where each part ends. Is there anything to cut off where the last "
            "one ends?",
        ),
        Slip(
            "cut along the second axis",
            wrong=lambda g, sizes: np.split(g, np.cumsum(sizes)[:-1], axis=1),
            said="cut along the second axis, which is the last one of a matrix only",
            hint="One of the arrays has three axes. Which axis does [:, a:b] cut, and which one "
            "was joined?",
        ),
        Slip(
            "every part from the start",
            wrong=lambda g, sizes: cut(g, [0] * len(sizes), sizes),
            said="with every part cut from the start of g",
            hint="Two of your parts share columns. Where does the second part begin?",
        ),
        Slip(
            "g handed to every part",
            wrong=lambda g, sizes: [g.copy() for _ in sizes],
            said="with all of g handed to every part",
            hint="That is what + does: it hands g to both inputs. Did h change every column of y?",
        ),
        Slip(
            "parts of equal length",
            wrong=lambda g, sizes: np.array_split(g, len(sizes), axis=-1),
            said="cut into parts of equal length",
            hint="h and x need not be equally wide. What does `sizes` say?",
        ),
        Slip(
            "cut along the first axis",
            wrong=lambda g, sizes: np.split(g, np.cumsum(sizes)[:-1], axis=0),
            said="cut along the first axis",
            hint="Along which axis were the parts joined? How many rows has each of yours?",
        ),
    ),
    hints=(
        "Which entries of y did the first part decide, and which did it not touch?",
        "Joining copies every number to one place. So every number of g goes back to the one part "
        "it came from, unchanged.",
        "The first part ends where the second begins: np.cumsum turns lengths into ends.",
    ),
    section="Joined forward, cut backward",
)

# ---------------------------------------------------------------- a checker for all of them


def measured(f, params, name, behind=1.0, eps=1e-6):
    """Central differences of f's number with respect to one parameter; behind=0: one-sided ones."""
    x = params[name]
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        ends = []
        for step in (eps, -behind * eps):
            moved = x.copy()
            moved[index] += step
            ends.append(f(params | {name: moved})[0])
        gradient[index] = (ends[0] - ends[1]) / (eps + behind * eps)
    return gradient


def scale(claim, found):
    """The largest of all numbers of both."""
    return max(np.abs(claim).max(), np.abs(found).max())


def by_scale(claim, found):
    """The rule the task gives."""
    return np.abs(claim - found).max() <= 1e-4 * scale(claim, found)


def judging(holds, names=lambda params: list(params), behind=1.0, eps=1e-6):
    """A checker that judges by `holds`; for these arguments it measures rightly, and everything."""

    def gradcheck(f, params):
        _, claims = f(params)
        found = {name: measured(f, params, name, behind, eps) for name in names(params)}
        judged = {name: bool(holds(claims[name], found[name])) for name in found}
        return dict.fromkeys(params, True) | judged

    return gradcheck


def relative_by_entry(claim, found):  # noqa: D103
    with np.errstate(all="ignore"):
        error = np.abs(claim - found) / np.maximum(np.abs(claim), np.abs(found))
    return np.nanmax(error, initial=0.0) <= 1e-4


def relative_to_zero(claim, found):  # noqa: D103
    with np.errstate(all="ignore"):
        return np.abs(claim - found).max() / max(np.abs(claim).max(), np.abs(found).max()) <= 1e-4


def signs_ignored(claim, found):  # noqa: D103
    return by_scale(np.abs(claim), np.abs(found))


def too_high_alone(claim, found):  # noqa: D103
    return (claim - found).max() <= 1e-4 * scale(claim, found)


def too_low_alone(claim, found):  # noqa: D103
    return (found - claim).max() <= 1e-4 * scale(claim, found)


def mean_error(claim, found):  # noqa: D103
    return np.abs(claim - found).mean() <= 1e-4 * scale(claim, found)


def generous(claim, found):  # noqa: D103
    return np.abs(claim - found).max() <= 1e-2 * scale(claim, found)


def ten_percent(claim, found):  # noqa: D103
    return np.abs(claim - found).max() <= 0.1 * scale(claim, found)


def scale_of_all(f, params):  # noqa: D103
    _, claims = f(params)
    found = {name: measured(f, params, name) for name in params}
    largest = max(scale(claims[name], found[name]) for name in params)
    return {
        name: bool(np.abs(claims[name] - found[name]).max() <= 1e-4 * largest) for name in params
    }


def one_verdict(f, params):  # noqa: D103
    return dict.fromkeys(params, all(judging(by_scale)(f, params).values()))


gradcheck = Exercise(
    name="e03.gradcheck",
    task="Write a checker that flags the claims that are wrong, and no others.",
    probe=ops,
    probe_rules="a case is an op with its parameters; a gradient of exactly 0 is one of the traps",
    reference=judging(by_scale),
    outputs=("report",),
    slips=(
        Slip(
            "one tolerance for every scale",
            wrong=judging(lambda claim, found: np.abs(claim - found).max() <= 1e-4),
            said="with the same absolute tolerance for large gradients and for tiny ones",
            hint="One op works with numbers near 10⁻⁶, another near 10⁶. Is an error of 10⁻⁵ "
            "small? Compared with what?",
        ),
        Slip(
            "one sum per parameter",
            wrong=judging(lambda claim, found: by_scale(claim.sum(), found.sum())),
            said="with sums compared, not entries",
            hint="A transposed gradient has the right sum. What has to be compared one by one?",
        ),
        Slip(
            "the first entry alone",
            wrong=judging(lambda claim, found: by_scale(claim.flat[0], found.flat[0])),
            said="with the first entry of each parameter checked, no other",
            hint="One op forgets only the last entry of its bias. Which entries do you move?",
        ),
        Slip(
            "the first parameter alone",
            wrong=judging(by_scale, names=lambda params: list(params)[:1]),
            said="with the first parameter checked, and the others taken on trust",
            hint="An op may be right about h and wrong about b. Through which names does your loop "
            "go?",
        ),
        Slip(
            "one-sided differences",
            wrong=judging(by_scale, behind=0.0),
            said="when slopes are measured from one side",
            hint="One op stands close to its lowest point, where the slope changes fastest. What "
            "does (f(x + ε) − f(x))/ε say at the lowest point itself?",
        ),
        Slip(
            "too wide a step",
            wrong=judging(by_scale, eps=1e-2),
            said="when the step is too wide for an op that bends on its way",
            hint="One op is a sin(30 x). Over x ± 0.01 its argument moves by 0.6: is a sine "
            "straight over such a stretch?",
        ),
        Slip(
            "signs ignored",
            wrong=judging(signs_ignored),
            said="with sizes compared, and a wrong sign let pass",
            hint="Claimed −2, measured 2: what does your difference say? Which do you take first, "
            "the difference or its size?",
        ),
        Slip(
            "too low is let pass",
            wrong=judging(too_high_alone),
            said="with claims flagged that are too high, and not those that are too low",
            hint="If one claim is too low and all others are right, what is the largest of claimed "
            "minus measured?",
        ),
        Slip(
            "too high is let pass",
            wrong=judging(too_low_alone),
            said="with claims flagged that are too low, and not those that are too high",
            hint="If one claim is too high and all others are right, what is the largest of "
            "measured minus claimed?",
        ),
        Slip(
            "the mean error",
            wrong=judging(mean_error),
            said="with the mean error held to the tolerance, not the largest",
            hint="One entry of twelve is wrong. What is left of its error in the mean?",
        ),
        Slip(
            "too generous",
            wrong=judging(generous),
            also=(judging(ten_percent),),
            said="with a tolerance so wide that small errors fit into it",
            hint="One gradient is wrong by one part in two thousand. Which tolerance does the task "
            "name, and which is yours?",
        ),
        Slip(
            "one scale for all parameters",
            wrong=scale_of_all,
            said="with small parameters held to the scale of the largest",
            hint="An op has gradients near 1000 for v and near 0.01 for w. What is 10⁻⁴ of the "
            "first, beside the second?",
        ),
        Slip(
            "relative error entry by entry",
            wrong=judging(relative_by_entry),
            said="with every entry held to its own size",
            hint="Where a gradient is exactly 0, central differences leave a speck of rounding. "
            "How large is that speck compared with 0, and compared with the largest entry?",
        ),
        Slip(
            "0/0",
            wrong=judging(relative_to_zero),
            said="with 0/0 where a parameter does not matter",
            hint="One parameter is never used: claimed 0, measured 0. What is 0/0, and is nan ≤ "
            "10⁻⁴? What if you multiply where you divide?",
        ),
        Slip(
            "True and False exchanged",
            wrong=judging(lambda claim, found: not by_scale(claim, found)),
            said="with True and False exchanged",
            hint="What does True mean in the report: that the claim holds, or that you caught it?",
        ),
        Slip(
            "one verdict for all parameters",
            wrong=one_verdict,
            said="with one verdict for all parameters of an op",
            hint="If only b is wrong, what should the report say of W?",
        ),
        Slip(
            "everything flagged",
            wrong=lambda f, params: dict.fromkeys(params, False),
            said="with every claim flagged",
            hint="Five of the ops are right. What keeps central differences from agreeing with "
            "them: the step, or the comparison?",
        ),
        Slip(
            "nothing flagged",
            wrong=lambda f, params: dict.fromkeys(params, True),
            said="with no claim flagged",
            hint="Seven of the ops are wrong. Do you compare what is claimed with what you "
            "measured, or something with itself?",
        ),
    ),
    hints=(
        "Which two gradients do you compare, and which of them does f hand you?",
        "For each name: move one entry up and down, call f with everything else as it was, keep "
        "the number and throw the claims away.",
        "params | {name: moved} is a new dict with one parameter replaced. Compare by the scale of "
        "the gradient itself: multiply by it, and nothing is divided by 0.",
    ),
    section="Who checks the checker?",
)
