"""Checks of lesson 06: which term of a hand-written backward pass is missing, doubled or wrong."""

from __future__ import annotations

import numpy as np

import microrecur as mr
from microrecur.course import Exercise, Slip
from microrecur.lessons.checks import recorded_rnn
from microrecur.lessons.checks.recorded_rnn import gathered, loss, record, three_steps

GRADIENTS = ("∂L/∂X", "∂L/∂Wx", "∂L/∂Wh", "∂L/∂b", "∂L/∂h₀")
AXES = {
    "∂L/∂X": ("step", "sequence", "input"),
    "∂L/∂Wx": ("input", "unit"),
    "∂L/∂Wh": ("unit before", "unit"),
    "∂L/∂b": ("unit",),
    "∂L/∂h₀": ("sequence", "unit"),
}
CARRY = ("t1.h->t2.mul2", "t2.h->t3.mul2")
LATER_USES = ("Wh->t2.mul2", "Wh->t3.mul2")
ALL_USES = ("Wh->t1.mul2", *LATER_USES)
SLOPES = ("t1.z->t1.h", "t2.z->t2.h", "t3.z->t3.h")
EARLY_LOSS = ("t1.h->L", "t2.h->L")


def probe(rng):
    """Two sequences of five steps, and three of six."""
    return [recorded_rnn.probe(rng), recorded_rnn.probe(rng, T=6, N=3, D=2, H=5)]


def _states(X, h0, Wx, Wh, b):
    hs = [h0]
    for x in X:
        hs.append(np.tanh(x @ Wx + hs[-1] @ Wh + b))
    return hs


def _walk(
    X, h0, Wx, Wh, b, dH,
    slope=lambda h: 1 - h**2, back=lambda dz, Wh: dz @ Wh.T, uses="h before", cut=(), stored="sum",
):  # fmt: skip
    """Backpropagation in plain numpy, one part of which a slip replaces."""
    hs = _states(X, h0, Wx, Wh, b)
    dX, sums = np.empty(X.shape), [np.zeros(W.shape) for W in (Wx, Wh, b)]
    carry = np.zeros(h0.shape)
    for t in reversed(range(len(X))):
        dz = (dH[t] + carry) * slope(hs[t + 1])
        used = hs[t] if uses == "h before" else hs[t + 1]
        terms = (X[t].T @ dz, used.T @ dz, dz.sum(axis=0))
        sums = [term if stored == "last" else s + term for s, term in zip(sums, terms)]
        dX[t] = dz @ Wx.T
        carry = back(dz, Wh) * (t not in cut)
    scale = 1 / len(X) if stored == "mean" else 1
    return dX, *(s * scale for s in sums), carry


# -- rnn_backward ----------------------------------------------------------------------------------


def rnn_backward_reference(X, h0, Wx, Wh, b, dH):
    """Record the run and let the graph differentiate it."""
    run = record(X, h0, Wx, Wh, b)
    return gathered(run, mr.grad(loss(run, dH), run.leaves))


def rnn_backward_by_differences(X, h0, Wx, Wh, b, dH, eps=1e-6):
    """Nudge every number up and down and see what becomes of L."""
    arguments = [np.array(part) for part in (X, h0, Wx, Wh, b)]
    found = [np.empty(part.shape) for part in arguments]
    for part, slopes in zip(arguments, found):
        for at in np.ndindex(part.shape):
            kept, L = part[at], []
            for nudge in (eps, -eps):
                part[at] = kept + nudge
                L.append(float((np.stack(_states(*arguments)[1:]) * dH).sum()))
            part[at] = kept
            slopes[at] = (L[0] - L[1]) / (2 * eps)
    dX, dh0, dWx, dWh, db = found
    return dX, dWx, dWh, db, dh0


def _no_carry(X, h0, Wx, Wh, b, dH):
    return _walk(X, h0, Wx, Wh, b, dH, cut=range(1, len(X)))


def _only_last_dh(X, h0, Wx, Wh, b, dH):
    last = np.zeros(dH.shape)
    last[-1] = dH[-1]
    return _walk(X, h0, Wx, Wh, b, last)


def _no_slope(*case):
    return _walk(*case, slope=lambda h: 1.0)


def _slope_not_squared(*case):
    return _walk(*case, slope=lambda h: 1 - h)


def _slope_of_slope(*case):
    return _walk(*case, slope=lambda h: 1 - np.tanh(h) ** 2)


def _sigmoid_rule(*case):
    return _walk(*case, slope=lambda h: h * (1 - h))


def _slope_on_carry_alone(X, h0, Wx, Wh, b, dH):
    slopes = [1 - h**2 for h in _states(X, h0, Wx, Wh, b)[1:]]
    return _walk(X, h0, Wx, Wh, b, dH / np.stack(slopes))


def _from_zeros(X, h0, Wx, Wh, b, dH):
    return _walk(X, np.zeros(h0.shape), Wx, Wh, b, dH)


def _state_after(*case):
    return _walk(*case, uses="h after")


def _overwritten(*case):
    return _walk(*case, stored="last")


def _mean(*case):
    return _walk(*case, stored="mean")


def _not_transposed(*case):
    return _walk(*case, back=lambda dz, Wh: dz @ Wh)


def _from_the_left(*case):
    return _walk(*case, back=lambda dz, Wh: Wh @ dz)  # as for one column; rows do not fit


def _weights_on_their_side(*case):
    dX, dWx, dWh, db, dh0 = _walk(*case)
    return dX, dWx, dWh.T, db, dh0


def _added_on_their_side(X, h0, Wx, Wh, b, dH):
    dz, dWx = dH[-1] * (1 - _states(X, h0, Wx, Wh, b)[-1] ** 2), np.zeros(Wx.shape)
    dWx += dz.T @ X[-1]  # raises: units × inputs into inputs × units
    return dWx


def _summed_on_their_side(X, h0, Wx, Wh, b, dH):
    dz = dH[-1] * (1 - _states(X, h0, Wx, Wh, b)[-1] ** 2)
    return np.zeros(Wx.shape) + dz.T @ X[-1]  # raises with other words


rnn_backward = Exercise(
    name="e06.rnn_backward",
    task="Carry the gradient back through T steps of an RNN, to X, Wx, Wh, b and h₀.",
    probe=probe,
    reference=rnn_backward_reference,
    outputs=GRADIENTS,
    axes=AXES,
    slips=(
        Slip(
            "carries nothing back",
            wrong=_no_carry,
            said="when nothing that later steps say of h_t is counted",
            hint="h_2 feeds two places: L, and z_3. Your gradient at h_2 has come from one of "
            "them; what does the other one send?",
            missing=CARRY,
        ),
        Slip(
            "reads the last dH alone",
            wrong=_only_last_dh,
            said="when the loss reads h_T alone",
            hint="dH has T rows. Which of them has your walk read by the time it stands at h_1?",
            missing=EARLY_LOSS,
        ),
        Slip(
            "no tanh'",
            wrong=_no_slope,
            said="when every tanh′ is taken as 1",
            hint="Between h_t and z_t stands a tanh. By what does a gradient change when it "
            "passes one?",
            missing=SLOPES,
        ),
        Slip(
            "h not squared in tanh'",
            wrong=_slope_not_squared,
            said="with the slope of tanh taken linear in h",
            hint="Try your slope at h = −0.9. Can tanh be steeper there than at 0, where its slope "
            "is 1?",
            missing=SLOPES,
        ),
        Slip(
            "tanh applied twice",
            wrong=_slope_of_slope,
            said="with the slope of tanh taken at h, not at z",
            hint="h has been through tanh already. What is left to do to it to get the slope?",
            missing=SLOPES,
        ),
        Slip(
            "the slope of the sigmoid",
            wrong=_sigmoid_rule,
            said="with the slope of σ in place of that of tanh",
            hint="What does your slope give at h = 0, where tanh is steepest?",
            missing=SLOPES,
        ),
        Slip(
            "dH not through tanh'",
            wrong=_slope_on_carry_alone,
            said="when dH goes around tanh and only what later steps send goes through it",
            hint="dH[t] is the gradient at h_t, too. Which edge still lies between it and z_t?",
        ),
        Slip(
            "h0 taken as 0",
            wrong=_from_zeros,
            said="when h₀ is taken as zeros",
            hint="Which state did step 1 read when it ran forward, and which one do your numbers "
            "use in its place?",
            missing=("t0.h->t1.mul2",),
        ),
        Slip(
            "h_t in place of the state before",
            wrong=_state_after,
            said="with each step paired with the state it made, not the one it read",
            hint="By which state was Wh multiplied inside z_3: h_2 or h_3? Which one stands in "
            "your term of step 3?",
            missing=ALL_USES,
        ),
        Slip(
            "overwrites the weight gradient",
            wrong=_overwritten,
            said="with only one step's share of the sum",
            hint="W was used T times; how many of those uses are in your sum?",
            missing=LATER_USES,
        ),
        Slip(
            "mean over the steps",
            wrong=_mean,
            said="divided by T",
            hint="Every use of W adds its own term to the gradient. Does anything in the chain "
            "rule divide by their number?",
        ),
        Slip(
            "Wh not transposed",
            wrong=_not_transposed,
            said="when the way back through Wh uses Wh itself",
            hint="Forward, unit i reaches unit j by the entry Wh[i, j]. Going back you arrive at j "
            "and want i: along which axis do you sum?",
            missing=CARRY,
        ),
        Slip(
            "a weight to the left of its rows",
            wrong=_from_the_left,
            said="with a weight to the left of its rows",
            hint="dz holds one sequence per row, and forward a weight stood to the right of its "
            "rows. On which side does its transpose stand on the way back?",
        ),
        Slip(
            "a gradient of the weights on its side",
            wrong=_weights_on_their_side,
            also=(_added_on_their_side, _summed_on_their_side),
            said="transposed",
            hint="Row i of Wh belongs to unit i before the step, row i of Wx to input i. In your "
            "product, which of the two gives the rows: what was read, or dz?",
        ),
    ),
    hints=(
        "Where does each h_t go? Draw its arrows in the unrolled graph and count them: how many "
        "gradients meet there?",
        "Run forward and keep all states, h_0 included. Then walk from t = T to 1 with one array "
        "in hand: what later steps say of the state where you stand.",
        "At a step: add what arrives, pass the tanh, and hand the result to five receivers: x_t, "
        "Wx, Wh, b, and the state before. Three of them are shared by all steps.",
    ),
    section="Where W gathers its gradient",
    picture=three_steps,
    numeric=rnn_backward_by_differences,
)


# -- contributions ---------------------------------------------------------------------------------


def contributions_reference(X, h0, Wx, Wh, b, dH):
    """Read the terms off the recorded graph, use by use of Wh."""
    run = record(X, h0, Wx, Wh, b)
    rows = mr.contributions(loss(run, dH), run.Wh)
    terms = np.stack([row.term for row in rows])
    return terms, np.array([np.linalg.norm(term) for term in terms])


def _with_norms(terms, norm=np.linalg.norm):
    return terms, np.array([norm(term) for term in terms])


def _terms(X, h0, Wx, Wh, b, dH, uses="h before", cut=()):
    hs, carry, terms = _states(X, h0, Wx, Wh, b), np.zeros(h0.shape), []
    for t in reversed(range(len(X))):
        dz = (dH[t] + carry) * (1 - hs[t + 1] ** 2)
        terms.append((hs[t] if uses == "h before" else hs[t + 1]).T @ dz)
        carry = dz @ Wh.T * (t not in cut)
    return np.stack(terms[::-1])


def _contributions_backwards(*case):
    return _with_norms(_terms(*case)[::-1])


def _contributions_without_carry(*case):
    return _with_norms(_terms(*case, cut=range(1, len(case[0]))))


def _contributions_state_after(*case):
    return _with_norms(_terms(*case, uses="h after"))


def _contributions_running(*case):
    return _with_norms(np.cumsum(_terms(*case)[::-1], axis=0)[::-1])


def _contributions_squared(*case):
    return _with_norms(_terms(*case), lambda term: (term**2).sum())


def _contributions_largest(*case):
    return _with_norms(_terms(*case), lambda term: np.linalg.norm(term, 2))


def _contributions_on_their_side(*case):
    terms, norms = _with_norms(_terms(*case))
    return terms.transpose(0, 2, 1), norms


contributions = Exercise(
    name="e06.contributions",
    task="Split ∂L/∂Wh into the terms of its T uses.",
    probe=probe,
    reference=contributions_reference,
    outputs=("terms", "norms"),
    axes={"terms": ("step", "unit before", "unit"), "norms": ("step",)},
    slips=(
        Slip(
            "filed from the end",
            wrong=_contributions_backwards,
            said="in the order of the walk back, last step first",
            hint="Your walk meets step T first. At which index does its term have to lie when "
            "terms[0] belongs to step 1?",
        ),
        Slip(
            "no carry",
            wrong=_contributions_without_carry,
            said="when nothing that later steps say of h_t is counted",
            hint="Wh in step 1 changes h_1, and h_1 changes every state after it. Which of those "
            "effects has your first term counted?",
            missing=CARRY,
        ),
        Slip(
            "h_t in place of the state before",
            wrong=_contributions_state_after,
            said="with each step paired with the state it made, not the one it read",
            hint="In step 1, Wh was multiplied by a state. Is that state in your first term?",
            missing=ALL_USES,
        ),
        Slip(
            "running sum",
            wrong=_contributions_running,
            said="added up as the walk goes, so that each holds those of all later steps too",
            hint="If terms[0] is already the whole of ∂L/∂Wh, what do all T of them sum to?",
        ),
        Slip(
            "terms on their side",
            wrong=_contributions_on_their_side,
            said="transposed, each by itself",
            hint="Row i of Wh belongs to unit i before the step, row i of Wx to input i. In your "
            "product, which of the two gives the rows: what was read, or dz?",
        ),
        Slip(
            "a weight to the left of its rows",
            wrong=_from_the_left,
            said="with a weight to the left of its rows",
            hint="dz holds one sequence per row, and forward a weight stood to the right of its "
            "rows. On which side does its transpose stand on the way back?",
        ),
        Slip(
            "norm squared",
            wrong=_contributions_squared,
            said="before the square root is taken",
            hint="Double a matrix: should its norm become twice as large, or four times?",
        ),
        Slip(
            "largest singular value",
            wrong=_contributions_largest,
            said="taken as the largest singular value",
            hint="np.linalg.norm of a matrix knows several norms. Which one is the root of the sum "
            "of all squared entries?",
        ),
    ),
    hints=(
        "Where in your `rnn_backward` does the gradient of Wh grow, and by what at each step?",
        "The walk is the same. Keep what each step adds, filed under that step, before it is lost "
        "in the sum.",
        "Check yourself: terms.sum(axis=0) has to be the third answer of `rnn_backward`.",
    ),
    section="Who contributed what",
    picture=three_steps,
)


# -- truncated_backward ----------------------------------------------------------------------------


def truncated_probe(rng):
    """Chunks of two, of three (twice), and no cut at all."""
    case = recorded_rnn.probe(rng)
    longer = recorded_rnn.probe(rng, T=7, N=3, D=2, H=5)
    return [(*case, 2), (*case, 3), (*longer, 3), (*case, 5)]


def truncated_reference(X, h0, Wx, Wh, b, dH, k):
    """Cut the recorded graph before every k-th step from the end and sweep what is left."""
    run = record(X, h0, Wx, Wh, b)
    rows = {row.leaf: row.gradient for row in mr.truncate(loss(run, dH), k)}
    names = [f"t{t + 1}.x" for t in range(len(X))] + ["Wx", "Wh", "b", "t0.h"]
    return gathered(run, [rows[name] for name in names])


def _cuts(T, k):
    return [t for t in range(1, T) if (T - t) % k == 0]


def _not_cut(X, h0, Wx, Wh, b, dH, k):
    return _walk(X, h0, Wx, Wh, b, dH)


def _forward_cut(X, h0, Wx, Wh, b, dH, k):
    """Every chunk begins from zeros."""
    dX, sums, dh0 = [], [np.zeros(W.shape) for W in (Wx, Wh, b)], None
    starts = [0, *_cuts(len(X), k)]
    for first, last in zip(starts, [*starts[1:], len(X)]):
        start = h0 if first == 0 else np.zeros(h0.shape)
        part = _walk(X[first:last], start, Wx, Wh, b, dH[first:last])
        dX.append(part[0])
        sums = [s + g for s, g in zip(sums, part[1:4])]
        dh0 = part[4] if first == 0 else dh0
    return np.concatenate(dX), *sums, dh0


def _from_the_start(X, h0, Wx, Wh, b, dH, k):
    return _walk(X, h0, Wx, Wh, b, dH, cut=range(k, len(X), k))


def _last_chunk_alone(X, h0, Wx, Wh, b, dH, k):
    kept = dH.copy()
    kept[: max(len(X) - k, 0)] = 0
    return _walk(X, h0, Wx, Wh, b, kept, cut=_cuts(len(X), k))


def _cut_at_h0_too(X, h0, Wx, Wh, b, dH, k):
    return _walk(X, h0, Wx, Wh, b, dH, cut=[t for t in range(len(X)) if (len(X) - t) % k == 0])


def _chunks_too_long(X, h0, Wx, Wh, b, dH, k):
    return _walk(X, h0, Wx, Wh, b, dH, cut=_cuts(len(X), k + 1))


def _cut_on_their_side(X, h0, Wx, Wh, b, dH, k):
    dX, dWx, dWh, db, dh0 = _walk(X, h0, Wx, Wh, b, dH, cut=_cuts(len(X), k))
    return dX, dWx, dWh.T, db, dh0


def _cut_from_the_left(X, h0, Wx, Wh, b, dH, k):
    return _from_the_left(X, h0, Wx, Wh, b, dH)


def _cut_added_on_their_side(X, h0, Wx, Wh, b, dH, k):
    return _added_on_their_side(X, h0, Wx, Wh, b, dH)


truncated_backward = Exercise(
    name="e06.truncated_backward",
    task="Backpropagate in chunks of k steps, counted from the end.",
    probe=truncated_probe,
    reference=truncated_reference,
    outputs=GRADIENTS,
    axes=AXES,
    slips=(
        Slip(
            "cuts nothing",
            wrong=_not_cut,
            said="without any cut",
            hint="With k = 2 and T = 5, which arrows from a step to the one before does your walk "
            "refuse to cross?",
        ),
        Slip(
            "cuts the states too",
            wrong=_forward_cut,
            said="when each chunk also starts its states anew, from zeros",
            hint="Truncation saves work on the way back. Does the first step of a chunk still know "
            "what happened before it?",
        ),
        Slip(
            "chunks counted from the start",
            wrong=_from_the_start,
            said="when the chunks are counted from step 1",
            hint="T = 5, k = 2: is the short chunk of one step the first or the last in the task?",
        ),
        Slip(
            "the last chunk alone",
            wrong=_last_chunk_alone,
            said="from the loss of the last chunk alone",
            hint="Every chunk has losses of its own. After the first cut, does your walk go on to "
            "collect them?",
        ),
        Slip(
            "cut before step 1 too",
            wrong=_cut_at_h0_too,
            said="but where k divides T: there nothing reaches h₀",
            hint="With k = T nothing is to be cut. What does your dh0 hold then?",
        ),
        Slip(
            "chunks one step too long",
            wrong=_chunks_too_long,
            said="with chunks of k + 1 steps",
            hint="T = 5, k = 2: the last chunk is steps 4 and 5. How many steps are in yours?",
        ),
        Slip(
            "a weight to the left of its rows",
            wrong=_cut_from_the_left,
            said="with a weight to the left of its rows",
            hint="dz holds one sequence per row, and forward a weight stood to the right of its "
            "rows. On which side does its transpose stand on the way back?",
        ),
        Slip(
            "a gradient of the weights on its side",
            wrong=_cut_on_their_side,
            also=(_cut_added_on_their_side,),
            said="transposed",
            hint="Row i of Wh belongs to unit i before the step, row i of Wx to input i. In your "
            "product, which of the two gives the rows: what was read, or dz?",
        ),
    ),
    hints=(
        "Where in the walk back does one step hand something to the step before, and what would "
        "it mean to hand on nothing there?",
        "The states are those of `rnn_backward`, and so is every line but one. After which steps "
        "of the walk do k, 2k, 3k … steps lie behind you?",
        "With k = T nothing may differ from `rnn_backward`. With k = 1 no step knows of a later "
        "one.",
    ),
    section="Cutting the chain on purpose",
)
