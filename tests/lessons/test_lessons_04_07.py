"""What lessons 04 to 07 stand on besides their gates: sketches, references, probes, pictures."""

import re
from itertools import pairwise

import matplotlib
import numpy as np
import pytest

import microrecur as mr
from microrecur.course import picture
from microrecur.course.diagnose import check_source
from microrecur.course.exercise import find
from microrecur.lessons import sketches
from microrecur.lessons.checks import recorded_rnn, test_e06_bptt, test_e07_vanish_explode
from microrecur.lessons.solutions import e07_vanish_explode as solved

SEEDS = (0, 1)


@pytest.fixture(autouse=True)
def figures():
    matplotlib.use("agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


# -- sketches --------------------------------------------------------------------------------------


def colours(ax):
    return [matplotlib.colors.to_hex(box.get_facecolor()).upper() for box in ax.patches]


@pytest.mark.parametrize(("points", "w"), [(14, 10), (7, 3), (5, 5)])
def test_a_sketch_of_windows_has_a_grey_row_and_no_other_without_y(points, w):
    ax = sketches.sliding_window(points, w)
    found = colours(ax)
    assert found.count(sketches.GREY) == w
    assert found.count(sketches.ORANGE) == points - w
    assert found.count(sketches.BLUE) == w * (points - w)
    assert [t.get_text() for t in ax.texts].count("no y: nothing comes after it") == 1


def chain(phi, w, steps):
    cell = mr.RNNCell(1, 1, bias=False, nonlinearity=phi, seed=0)
    cell.weight_hh.assign([[w]])
    h0 = mr.tensor(0.4)
    return mr.flow(mr.unroll(cell, [0.3, -0.8, 1.1, 0.2][:steps], h0)[-1], h0)


@pytest.mark.parametrize(("phi", "ceiling"), [("sigmoid", 0.25), ("tanh", 1.0)])
def test_the_last_bars_are_the_ceiling_and_the_gradient(phi, ceiling):
    flow = chain(phi, -3.0, 4)
    ax = sketches.ceiling_bars(flow)
    allowed, actual = ([bar.get_height() for bar in bars] for bars in ax.containers[:2])
    assert len(allowed) == len(actual) == 8
    assert allowed[-1] == pytest.approx(4 * np.log10(3 * ceiling))
    assert actual[-1] == pytest.approx(np.log10(abs(float(flow.gradient))))
    assert all(a <= c + 1e-12 for a, c in zip(actual, allowed))
    words = [label.get_text() for label in ax.get_xticklabels()]
    assert words == [f"≤ {'¼' if phi == 'sigmoid' else '1'}", "w"] * 4


def test_the_toggle_shows_one_of_two_pictures_without_a_script():
    toggle = sketches.loop_or_chain(mr.draw(recorded_rnn.three_steps()))
    page = toggle.page()
    assert page.count("<figure") == 2 and page.count('type="radio"') == 2
    assert "<script" not in page and not re.search(r"(?:src|href)=\"?https?:", page)
    assert 'sandbox=""' in toggle._repr_html_() and "<svg" not in toggle._repr_html_()
    assert "h₃" in repr(toggle)


# -- references ------------------------------------------------------------------------------------


def test_the_loss_hands_dH_to_the_states():
    X, h0, Wx, Wh, b, dH = recorded_rnn.probe(np.random.default_rng(0))
    run = recorded_rnn.record(X, h0, Wx, Wh, b)
    cut = [mr.tensor(h.numpy(), requires_grad=True) for h in run.states]  # no way between steps
    given = mr.grad(recorded_rnn.loss(run._replace(states=cut), dH), cut)
    assert np.allclose(np.stack([g.numpy() for g in given]), dH)


def test_terms_sum_to_the_gradient_and_no_cut_is_the_whole_one():
    case = recorded_rnn.probe(np.random.default_rng(1))
    whole = test_e06_bptt.rnn_backward_reference(*case)
    terms, norms = test_e06_bptt.contributions_reference(*case)
    assert np.allclose(terms.sum(axis=0), whole[2])
    assert np.allclose(norms, np.sqrt((terms**2).sum(axis=(1, 2))))
    for k in (5, 6):
        uncut = test_e06_bptt.truncated_reference(*case, k)
        assert all(np.allclose(a, b) for a, b in zip(uncut, whole))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_a_truncated_gradient_is_the_sum_over_chunks_run_apart(k):
    X, h0, Wx, Wh, b, dH = recorded_rnn.probe(np.random.default_rng(2))
    states = [h0, *(h.numpy() for h in recorded_rnn.record(X, h0, Wx, Wh, b).states)]
    starts = [0, *[t for t in range(1, 5) if (5 - t) % k == 0], 5]
    parts = [
        test_e06_bptt.rnn_backward_reference(X[a:z], states[a], Wx, Wh, b, dH[a:z])
        for a, z in pairwise(starts)
    ]
    found = test_e06_bptt.truncated_reference(X, h0, Wx, Wh, b, dH, k)
    assert np.allclose(found[0], np.concatenate([part[0] for part in parts]))
    for place in (1, 2, 3):
        assert np.allclose(found[place], sum(part[place] for part in parts))
    assert np.allclose(found[4], parts[0][4])


def test_the_engine_and_numpy_measure_the_same_norm():
    drawn, again = np.random.default_rng(3), np.random.default_rng(3)
    for phi in ("sigmoid", "tanh", "relu"):
        by_engine = test_e07_vanish_explode._norm_of_draw(phi, 1.3, 9, drawn)
        assert by_engine == pytest.approx(solved._measured(phi, 1.3, 9, again), rel=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_case_of_the_regime_hangs_on_the_draw(seed):
    """Whoever measures with other random numbers comes to the same verdicts."""
    exercise = find("e07.regime")
    rng = np.random.default_rng(1000 + seed)
    for case in exercise.cases(seed):
        norms = [solved._measured(*case, rng) for _ in range(5)]
        with np.errstate(divide="ignore"):
            assert abs(np.log10(np.median(norms))) > 1, case
        assert ("explode" if np.median(norms) > 1 else "vanish") == exercise.reference(*case)


# -- what a learner is shown -----------------------------------------------------------------------

PICTURED = [
    (name, slip.title)
    for name in ("e05.rnn_forward", "e06.rnn_backward", "e06.contributions")
    for slip in find(name).slips
    if slip.missing
]


@pytest.mark.parametrize(("name", "title"), PICTURED)
def test_what_a_slip_lacks_is_red_in_its_picture(name, title):
    exercise = find(name)
    (slip,) = [slip for slip in exercise.slips if slip.title == title]
    drawing = picture.failure(exercise, slip.missing, slip.extra)
    red = {edge.id for edge in drawing.scene.edges if "missing" in [t.text for t in edge.labels]}
    assert red == {tuple(edge.split("->")) for edge in slip.missing}


OVERWRITES = """
import numpy as np


def rnn_backward(X, h0, Wx, Wh, b, dH):
    hs = [h0]
    for x in X:
        hs.append(np.tanh(x @ Wx + hs[-1] @ Wh + b))
    dX, carry, dWx, db = np.empty_like(X), 0, 0, 0
    for t in reversed(range(len(X))):
        dz = (dH[t] + carry) * (1 - hs[t + 1] ** 2)
        dX[t], carry = dz @ Wx.T, dz @ Wh.T
        dWx, db = dWx + X[t].T @ dz, db + dz.sum(axis=0)
        dWh = hs[t].T @ dz
    return dX, dWx, dWh, db, carry
"""


def test_one_overwritten_sum_is_told_by_its_name():
    verdict = check_source(find("e06.rnn_backward"), OVERWRITES, "rnn_backward.py")
    assert verdict.sentence == "your ∂L/∂Wh equals ours with only one step's share of the sum"
    assert verdict.hint == "W was used T times; how many of those uses are in your sum?"
    assert verdict.missing == ("Wh->t2.mul2", "Wh->t3.mul2")


def test_an_unknown_mistake_is_told_by_its_place_and_by_central_differences():
    off = OVERWRITES.replace("dWh = hs[t].T @ dz", "dWh = 0.3 * hs[t].T @ dz + (t > 2)")
    verdict = check_source(find("e06.rnn_backward"), off, "rnn_backward.py")
    assert not verdict.slip
    assert "∂L/∂Wh[0, 0] (unit before 1, unit 1) is the first that is wrong" in verdict.sentence
    assert "central differences agree with ours" in verdict.sentence
