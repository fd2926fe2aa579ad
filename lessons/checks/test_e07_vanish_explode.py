"""Checks of lesson 07: ceilings, products in the right order, verdicts that are measured."""

from __future__ import annotations

from functools import cache

import numpy as np

import microrecur as mr
from microrecur.course import Exercise, Slip

# -- bound -----------------------------------------------------------------------------------------


def bound_probe(rng):
    """Both functions, both signs of w, odd and even T."""
    w = rng.uniform(1.2, 3.5)
    return [
        ("sigmoid", 1.0, 10),
        ("sigmoid", -w, 7),
        ("tanh", w, 6),
        ("tanh", -0.9, 5),
        ("sigmoid", w, 20),
    ]


def bound_reference(phi, w, T):
    """Read the ceiling of the product off a recorded run of one unit."""
    cell = mr.RNNCell(1, 1, nonlinearity=phi, seed=0)
    cell.weight_hh.assign([[w]])
    h0 = mr.tensor(0.5)
    table = mr.flow(mr.unroll(cell, [0.3] * T, h0)[-1], h0).ceiling()
    return float(10.0 ** table[-1].log10_bound)


CEILING = {"sigmoid": 0.25, "tanh": 1.0}


def _without_w(phi, w, T):
    return CEILING[phi] ** T


def _times_T(phi, w, T):
    return CEILING[phi] * abs(w) * T


def _quarter_to_the_T(phi, w, T):
    return 0.25**T


def _quarter_times_T(phi, w, T):
    return 0.25 * T


def _quarter_for_tanh(phi, w, T):
    return (0.25 * abs(w)) ** T


def _one_for_sigmoid(phi, w, T):
    return abs(w) ** T


def _signed(phi, w, T):
    return (CEILING[phi] * w) ** T


def _ceiling_once(phi, w, T):
    return CEILING[phi] * abs(w) ** T


def _w_once(phi, w, T):
    return CEILING[phi] ** T * abs(w)


bound = Exercise(
    name="e07.bound",
    task="The ceiling of |∂h_T/∂h_0| for an RNN with one unit.",
    probe=bound_probe,
    reference=bound_reference,
    outputs=("bound",),
    slips=(
        Slip(
            "the weight left out",
            wrong=_without_w,
            said="if w were 1",
            hint="From h_{t−1} to h_t a path crosses two edges. What is the factor on the other "
            "one?",
        ),
        Slip(
            "times T, not to the power T",
            wrong=_times_T,
            said="with the factors added up",
            hint="Along a path, do the factors of T steps add or multiply?",
        ),
        Slip(
            "¼ to the power T, and no more",
            wrong=_quarter_to_the_T,
            said="if w were 1 and every φ were σ",
            hint="Neither φ nor w stands in your formula. What does a step multiply by besides the "
            "slope, and is tanh nowhere steeper than ¼?",
        ),
        Slip(
            "¼ times T",
            wrong=_quarter_times_T,
            said="with T slopes of ¼ added up, whatever φ and w are",
            hint="Yours grows with T. Along a path, do the factors of T steps add or multiply, and "
            "is a slope the only factor of a step?",
        ),
        Slip(
            "¼ for tanh",
            wrong=_quarter_for_tanh,
            said="with the ceiling of σ′ used for tanh too",
            hint="How steep is tanh at 0?",
        ),
        Slip(
            "1 for the sigmoid",
            wrong=_one_for_sigmoid,
            said="with the ceiling of tanh′ used for σ too",
            hint="How steep is σ at its steepest, at 0?",
        ),
        Slip(
            "sign of w kept",
            wrong=_signed,
            said="but for its sign",
            hint="Can a bound on a size be negative?",
        ),
        Slip(
            "slope counted once",
            wrong=_ceiling_once,
            said="when only one slope is passed",
            hint="Each of the T steps has a φ of its own. How many slopes are in your product?",
        ),
        Slip(
            "w counted once",
            wrong=_w_once,
            said="when w is passed only once",
            hint="How often does a path from h_T to h_0 meet the recurrent edge?",
        ),
    ),
    hints=(
        "What is the factor of a single step, and how large can each of its two parts be?",
        "The slope has a ceiling that depends on φ alone; the weight has none, it is just there.",
    ),
    section="A ceiling for every step",
    probe_rules="the cases are one name and two numbers; w = 1 makes (¼)¹⁰ visible",
)


# -- jacobian_product ------------------------------------------------------------------------------


def jacobian_probe(rng):
    """States away from 0 and ±1, weights without symmetry."""
    cases = []
    for T, H in ((5, 4), (6, 3)):
        hs = rng.uniform(0.2, 0.8, (T, H)) * rng.choice([-1.0, 1.0], (T, H))
        cases.append((hs, rng.uniform(0.3, 0.9, (H, H)) * rng.choice([-1.0, 1.0], (H, H))))
    return cases


def jacobian_reference(hs, Wh):
    """Record a run that has these states, and differentiate it."""
    h = h0 = mr.tensor(np.zeros(len(Wh)))
    for state in hs:
        rest = np.arctanh(state) - h.numpy() @ Wh  # what the inputs must have been
        h = mr.tanh(h @ Wh + rest)
    return np.asarray(mr.jacobian(h, h0))


def _product(hs, Wh, slope=lambda h: 1 - h**2):
    product = np.eye(len(Wh))
    for h in hs:
        product = slope(h)[:, None] * Wh.T @ product
    return product


def _reversed(hs, Wh):
    return _product(hs[::-1], Wh)


def _no_slopes(hs, Wh):
    return np.linalg.matrix_power(Wh.T, len(hs))


def _not_transposed(hs, Wh):
    return _product(hs, Wh.T)


def _whole_transposed(hs, Wh):
    return _product(hs, Wh).T


def _slopes_on_the_right(hs, Wh):
    product = np.eye(len(Wh))
    for h in hs:
        product = Wh.T @ ((1 - h**2)[:, None] * product)
    return product


def _slope_linear(hs, Wh):
    return _product(hs, Wh, slope=lambda h: 1 - h)


def _entrywise(hs, Wh):
    product = np.ones(Wh.shape)
    for h in hs:
        product = product * ((1 - h**2)[:, None] * Wh.T)
    return product


jacobian_product = Exercise(
    name="e07.jacobian_product",
    task="∂h_T/∂h_0 as a product of T matrices.",
    probe=jacobian_probe,
    reference=jacobian_reference,
    outputs=("∂h_T/∂h₀",),
    axes={"∂h_T/∂h₀": ("unit of h_T", "unit of h₀")},
    slips=(
        Slip(
            "product in reverse order",
            wrong=_reversed,
            said="with the matrices multiplied in the opposite order",
            hint="A change of h_0 meets step 1 first. At which end of the product must J_1 stand "
            "to act first?",
        ),
        Slip(
            "slopes left out",
            wrong=_no_slopes,
            said="without tanh′: a power of the weights alone",
            hint="Your answer does not depend on hs. At which states would that be right?",
        ),
        Slip(
            "Wh not transposed",
            wrong=_not_transposed,
            said="with Wh where its transpose should be",
            hint="Rows are what comes out: row i collects all that leads into unit i. Which index "
            "of Wh names the unit a weight leads into?",
        ),
        Slip(
            "transposed as a whole",
            wrong=_whole_transposed,
            said="transposed",
            hint="In your answer, is unit i of h_T a row or a column?",
        ),
        Slip(
            "slopes on the wrong side",
            wrong=_slopes_on_the_right,
            said="with the slopes before the weights at each step",
            hint="Going forward through step t, which comes first: the weights or tanh? And which "
            "of the two factors must then act first?",
        ),
        Slip(
            "h not squared",
            wrong=_slope_linear,
            said="with the slope of tanh taken linear in h",
            hint="Can tanh be steeper at h = −0.9 than at 0?",
        ),
        Slip(
            "entry by entry",
            wrong=_entrywise,
            said="when the matrices are multiplied entry by entry",
            hint="Unit 1 of h_2 reads all units of h_1. Where does your product sum over them?",
        ),
    ),
    hints=(
        "What is the Jacobian of one step, and in which order do T of them act on a change of h_0?",
        "One step: every row i of a matrix of weights is scaled by the slope of unit i.",
        "Start from the identity and let each step act from the left, step 1 first.",
    ),
    section="Factors that are matrices",
)


# -- regime ----------------------------------------------------------------------------------------


def regime_probe(rng):
    """Ten networks, each clear of the border, which lies elsewhere for each φ and each width.

    σ at 7.2 has the larger ceiling·gain than ReLU at 1.65, and vanishes where ReLU explodes; four
    tanh units vanish at a gain at which 64 explode.
    """

    def near(value):
        return float(value * rng.uniform(0.97, 1.03))

    wide = int(rng.integers(60, 69))
    return [
        ("tanh", near(1.5), wide),
        ("tanh", near(3.2), wide),
        ("tanh", near(3.2), 1),
        ("tanh", near(3.2), 4),
        ("sigmoid", near(3.0), wide),
        ("sigmoid", near(7.2), wide),
        ("sigmoid", near(20.0), wide),
        ("relu", near(0.9), wide),
        ("relu", near(1.65), wide),
        ("relu", near(3.5), 12),
    ]


def _weights(gain, H):
    return gain * np.random.default_rng(1).normal(size=(H, H)) / np.sqrt(H)


def _said(size):
    return "explode" if size > 1 else "vanish"


@cache
def regime_reference(phi, gain, H):
    """Record three draws and let the median of the measured norms decide."""
    rng = np.random.default_rng(0)
    return _said(np.median([_norm_of_draw(phi, gain, H, rng) for _ in range(3)]))


def _norm_of_draw(phi, gain, H, rng):
    """H copies of the run side by side, one per row of the Jacobian: one walk back gives all."""
    U = mr.tensor(gain * rng.normal(size=(H, H)) / np.sqrt(H))
    f = {"sigmoid": mr.sigmoid, "tanh": mr.tanh, "relu": mr.relu}[phi]
    h = h0 = mr.tensor(np.zeros((H, H)))
    for x in rng.normal(size=(50, H)):
        h = f(h @ U + x)
    return np.linalg.norm(mr.grad((h * np.eye(H)).sum(), [h0])[0].numpy(), 2)


@cache
def _by_bound(phi, gain, H):
    return _said({"sigmoid": 0.25}.get(phi, 1.0) * np.linalg.norm(_weights(gain, H), 2))


@cache
def _by_radius(phi, gain, H):
    return _said({"sigmoid": 0.25}.get(phi, 1.0) * abs(np.linalg.eigvals(_weights(gain, H))).max())


@cache
def _weights_alone(phi, gain, H):
    return _said(np.linalg.norm(np.linalg.matrix_power(_weights(gain, H), 50), 2))


def _by_gain(phi, gain, H):
    return _said({"sigmoid": 0.25}.get(phi, 1.0) * gain / 1.6 if H > 1 else 0.0)


def _by_name(phi, gain, H):
    return "explode" if phi == "relu" else "vanish"


def _sigmoid_never(phi, gain, H):
    return "vanish" if phi == "sigmoid" else regime_reference(phi, gain, H)


def _width_ignored(phi, gain, H):
    return regime_reference(phi, gain, 64 if H == 1 else H)


def _the_other_way_round(phi, gain, H):
    return {"vanish": "explode", "explode": "vanish"}[regime_reference(phi, gain, H)]


regime = Exercise(
    name="e07.regime",
    task="Measure whether a random RNN's gradient vanishes or explodes.",
    probe=regime_probe,
    reference=regime_reference,
    outputs=("verdict",),
    slips=(
        Slip(
            "reads the bound",
            wrong=_by_bound,
            said="when the ceiling γ‖U‖ decides",
            hint="A ceiling above 1 permits growth. Has anything measured that it happens?",
        ),
        Slip(
            "reads the spectral radius",
            wrong=_by_radius,
            said="when the spectral radius of U decides",
            hint="Your verdict knows U but no state. Where do the slopes of this run come in?",
        ),
        Slip(
            "slopes left out",
            wrong=_weights_alone,
            said="when the weights multiply alone, without φ′",
            hint="Which factor of each step is missing from your product, and is it above or "
            "below 1?",
        ),
        Slip(
            "ceiling times gain",
            wrong=_by_gain,
            said="when the ceiling of φ′ times gain decides, for any φ and any width",
            hint="tanh with gain 3.2 vanishes with 4 units and explodes with 64. Which of your "
            "numbers knows where the states go?",
        ),
        Slip(
            "by the name of φ",
            wrong=_by_name,
            said="when φ alone decides, whatever gain and H are",
            hint="Does your answer change when gain goes from 0.5 to 5? Should it?",
        ),
        Slip(
            "sigmoid always vanishes",
            wrong=_sigmoid_never,
            said="if σ could only vanish",
            hint="A slope of at most ¼ times a weight of 30: must that be below 1?",
        ),
        Slip(
            "H ignored",
            wrong=_width_ignored,
            said="if H were always large",
            hint="One tanh unit with a large weight: where do its states settle, and how steep is "
            "tanh there?",
        ),
        Slip(
            "vanish and explode swapped",
            wrong=_the_other_way_round,
            said="with the two words swapped",
            hint="Your product is 10⁻¹¹ for tanh, gain 0.9, 64 units. Which of the two words is "
            "that?",
        ),
    ),
    hints=(
        "What would you have to run, and what would you have to multiply, to see the answer?",
        "Run 50 steps of one random network and multiply the Jacobians as you go; then repeat "
        "with other random numbers.",
        "The Jacobian of a step needs the slope at this step's state: s(1 − s), 1 − h², or 1 and 0 "
        "for relu.",
    ),
    section="Measure it",
    allows=("microrecur",),
    probe_rules="the cases are one name and two numbers",
)


# -- clip_by_global_norm ---------------------------------------------------------------------------


def clip_probe(rng):
    """Three tensors: their norm above the limit in one case, below it in the other."""
    cases = []
    for share, shapes in ((0.13, ((4, 3), (5,), (2, 6))), (1.7, ((3, 5), (2, 2)))):
        grads = [rng.uniform(1.0, 4.0, s) * rng.choice([-1.0, 1.0], s) for s in shapes]
        norm = np.sqrt(sum((g**2).sum() for g in grads))
        cases.append((grads, float(share * norm)))
    return cases


def clip_reference(grads, c):
    """The package's own clipping, on parameters that carry these gradients."""
    parameters = [mr.tensor(np.zeros(g.shape), requires_grad=True) for g in grads]
    for p, g in zip(parameters, grads):
        p.grad = g.copy()
    mr.clip_grad_norm_(parameters, c)
    return [p.grad for p in parameters]


def _norm(grads):
    return np.sqrt(sum((g**2).sum() for g in grads))


def _per_tensor(grads, c):
    return [g * min(1.0, c / np.linalg.norm(g)) for g in grads]


def _by_value(grads, c):
    return [np.clip(g, -c, c) for g in grads]


def _always(grads, c):
    return [g * (c / _norm(grads)) for g in grads]


def _squared(grads, c):
    return [g * min(1.0, c / _norm(grads) ** 2) for g in grads]


def _to_unit_norm(grads, c):
    norm = _norm(grads)
    return [g / norm if norm > c else g.copy() for g in grads]


def _never(grads, c):
    return [g.copy() for g in grads]


clip_by_global_norm = Exercise(
    name="e07.clip_by_global_norm",
    task="Scale a list of gradients so that their common norm is at most c.",
    probe=clip_probe,
    reference=clip_reference,
    outputs=("clipped list",),
    rtol=2e-6,  # the reference divides by norm + 1e-6, as PyTorch does
    slips=(
        Slip(
            "each tensor by itself",
            wrong=_per_tensor,
            said="when each tensor is clipped by its own norm",
            hint="Is the direction of the whole step, over all tensors together, still what it "
            "was?",
        ),
        Slip(
            "number by number",
            wrong=_by_value,
            said="when each number is clipped to −c … c",
            hint="If a step points along (8, 1) and c is 1, where does yours point after clipping?",
        ),
        Slip(
            "always rescales",
            wrong=_always,
            said="when gradients below the limit are scaled up to it",
            hint="What should happen to gradients whose norm is already below c?",
        ),
        Slip(
            "norm without the root",
            wrong=_squared,
            said="when the squares are summed and no root is taken",
            hint="For the one gradient (3, 4): is your norm 5 or 25?",
        ),
        Slip(
            "scaled to norm 1",
            wrong=_to_unit_norm,
            said="scaled to norm 1, not c",
            hint="After clipping with c = 5, how long should a gradient that was too long be?",
        ),
        Slip(
            "never clips",
            wrong=_never,
            said="as they came",
            hint="Of all tensors together, is the norm of what you return at most c?",
        ),
    ),
    hints=(
        "How many norms are there to compute, and how many factors to multiply by?",
        "One number for all tensors: the root of the sum of all squares. Compare it with c first.",
    ),
    section="What clipping mends",
)
