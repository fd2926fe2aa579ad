"""Lessons 01 to 03: what their checks stand on, answers no slip lists, the slider, the cells."""

import json
import math
import re

import numpy as np
import pytest

import microrecur as mr
from microrecur.course import sources
from microrecur.course.diagnose import FAILED, PASSED, diagnose
from microrecur.course.exercise import find, folder
from microrecur.course.process import run_here
from microrecur.lessons.checks import planted_ops, small_graphs
from microrecur.lessons.slopes import slope_slider

STEMS = ("01_two_slopes", "02_record_the_graph", "03_tensors_on_edges")


def judged(name, answer, seed=0):
    exercise = find(name)
    return diagnose(exercise, run_here(exercise, answer, exercise.cases(seed)), seed)


# -- wrong answers that no slip lists --------------------------------------------------------------


def hundred_points(f, lo, hi):
    x = np.linspace(lo, hi, 60)
    return np.max(np.diff(f(x)) / np.diff(x))


def shape_by_size(g, shape):
    keep = [k for k in range(g.ndim) if g.shape[k] in shape]
    return g.sum(axis=tuple(k for k in range(g.ndim) if k not in keep))


def two_parts(g, sizes):
    return [g[..., : sizes[0]], g[..., sizes[0] :]]


def two_rows(g, sizes):
    ends = np.cumsum(sizes)
    return [g[:, end - size : end] for size, end in zip(sizes, ends)]


def grad_by_value(root):
    totals = {root.value: 1.0}
    for node in reversed(small_graphs.engine_order(root)):
        node.grad = totals.get(node.value, 0.0)
        for source, slope in zip(node.inputs, node.slopes):
            totals[source.value] = totals.get(source.value, 0.0) + node.grad * slope


def coarse_claims(f, params):
    right = find("e03.gradcheck").reference(f, params)
    return right | {name: True for name in params if name in ("W", "b")}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("e01.sigmoid", lambda x: np.clip(0.5 + x / 4, 0, 1)),
        ("e01.sigmoid", lambda x: (x > 0) * 1.0),
        ("e01.tanh", lambda x: x / np.sqrt(1 + x**2)),
        ("e01.tanh", np.sign),
        ("e01.sigmoid_backward", lambda s, g: g * s * (s - 1)),
        ("e01.sigmoid_backward", lambda s, g: g / (s * (1 - s))),
        ("e01.tanh_backward", lambda h, g: g * (1 - np.abs(h))),
        ("e01.tanh_backward", lambda h, g: g * 4 * h * (1 - h)),
        ("e01.max_slope", lambda f, lo, hi: 0.25),
        ("e01.max_slope", hundred_points),
        ("e02.topo_order", lambda root: []),
        ("e02.topo_order", lambda root: [root, *root.inputs][::-1]),
        ("e02.backprop", lambda root: None),
        ("e02.backprop", grad_by_value),
        ("e02.path_products", lambda root, leaf: []),
        ("e02.path_products", lambda root, leaf: [1.0]),
        ("e02.numgrad", lambda f, x, eps: np.zeros(x.shape)),
        ("e03.unbroadcast", lambda g, shape: np.zeros(shape)),
        ("e03.unbroadcast", shape_by_size),
        ("e03.matmul_backward", lambda A, B, g: (np.zeros(A.shape), A.T @ g)),
        ("e03.matmul_backward", lambda A, B, g: (g @ B.T, np.zeros(B.shape))),
        ("e03.concat_backward", two_parts),
        ("e03.concat_backward", two_rows),
        ("e03.gradcheck", coarse_claims),
    ],
)
def test_a_wrong_answer_that_no_slip_lists_fails(name, answer, seed):
    verdict = judged(name, answer, seed)
    assert verdict.status == FAILED and verdict.sentence


# -- right answers that look otherwise -------------------------------------------------------------


def by_masks(x):
    y, high = np.empty(x.shape), x >= 0
    y[high] = 1 / (1 + np.exp(-x[high]))
    small = np.exp(x[~high])
    y[~high] = small / (1 + small)
    return y


def every_path_again(root):
    """No order at all: each path carries its own product. Slow, and right."""

    def push(node, arriving):
        node.grad += arriving
        for source, slope in zip(node.inputs, node.slopes):
            push(source, arriving * slope)

    push(root, 1.0)


def by_waiting(root):
    """Kahn: a node is listed once all that use it are, from root back; then turned round."""
    uses, nodes = {}, [root]
    for node in nodes:
        for source in node.inputs:
            uses[source] = uses.get(source, 0) + 1
            if uses[source] == 1:
                nodes.append(source)
    order, ready = [], [root]
    while ready:
        node = ready.pop()
        order.append(node)
        for source in node.inputs:
            uses[source] -= 1
            if not uses[source]:
                ready.append(source)
    return order[::-1]


def axis_by_axis(g, shape):
    while g.ndim > len(shape):
        g = g.sum(0)
    for axis, size in enumerate(shape):
        if size == 1:
            g = g.sum(axis, keepdims=True)
    return g


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("e01.sigmoid", by_masks),
        ("e01.sigmoid", lambda x: 0.5 * (1 + np.tanh(x / 2))),
        ("e01.sigmoid", lambda x: 1 / (1 + np.exp(-np.clip(x, -500, 500)))),
        ("e01.tanh", np.tanh),
        ("e01.tanh", lambda x: 2 * by_masks(2 * x) - 1),
        ("e01.tanh_backward", lambda h, g: g * (1 + h) * (1 - h)),
        (
            "e01.max_slope",
            lambda f, lo, hi: np.gradient(f(x := np.linspace(lo, hi, 4001)), x).max(),
        ),
        ("e02.topo_order", by_waiting),
        ("e02.backprop", every_path_again),
        ("e03.unbroadcast", axis_by_axis),
        (
            "e03.matmul_backward",
            lambda A, B, g: [np.einsum("nm,km->nk", g, B), np.einsum("nk,nm->km", A, g)],
        ),
        (
            "e03.concat_backward",
            lambda g, sizes: tuple(np.split(g, np.cumsum(sizes)[:-1], axis=-1)),
        ),
    ],
)
def test_a_right_answer_passes_however_it_is_written(name, answer):
    verdict = judged(name, answer)
    assert verdict.status == PASSED, verdict.sentence


# -- what the checks stand on ----------------------------------------------------------------------


@pytest.mark.parametrize("build", [small_graphs.diamond, small_graphs.ladder])
def test_a_small_graph_is_the_engines_and_its_paths_add_up(build):
    root, x, *_ = build(np.random.default_rng(0))
    tensors = small_graphs.as_tensors(root)
    assert tensors[root].item() == pytest.approx(root.value, rel=1e-14)
    (engine,) = mr.vjp(tensors[root], [tensors[x]])
    products = find("e02.path_products").reference(root, x)
    assert sum(products) == pytest.approx(float(engine), rel=1e-12)
    assert len(products) == {"diamond": 3, "ladder": 5}[build.__name__]


def test_two_leaves_of_the_diamond_hold_one_number():
    root, _, y = small_graphs.diamond(np.random.default_rng(0))
    c = root.inputs[0]
    assert c is not y and c.value == y.value and c.name == "c"


@pytest.mark.parametrize("seed", range(5))
def test_some_ops_claim_rightly_and_the_others_do_not(seed):
    ops = planted_ops.ops(np.random.default_rng(seed))
    flagged = []
    for f, params in ops:
        _, claims = f(params)
        wrong = set()
        for name, x in params.items():
            gradient = richardson(lambda moved: f(params | {name: moved})[0], x)  # noqa: B023
            size = max(np.abs(gradient).max(), np.abs(claims[name]).max())
            if np.abs(gradient - claims[name]).max() > 1e-5 * size:
                wrong.add(name)
        flagged.append(wrong)
    assert flagged[: planted_ops.RIGHT] == [set()] * 5
    assert flagged[planted_ops.RIGHT :] == [
        {"h", "x", "W", "b"}, {"W"}, {"b"}, {"h", "x"}, {"W", "b"}, {"W", "x"}, {"w"},
    ]  # fmt: skip


def richardson(f, x, eps=1e-3):
    """Fourth-order differences: another judge than the one of the exercise."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        ends = {}
        for steps in (-2, -1, 1, 2):
            moved = x.copy()
            moved[index] += steps * eps
            ends[steps] = f(moved)
        gradient[index] = (8 * (ends[1] - ends[-1]) - (ends[2] - ends[-2])) / (12 * eps)
    return gradient


def test_the_layer_of_the_planted_ops_is_the_engines():
    f, params = planted_ops.layer(np.random.default_rng(2))
    _, claims = f(params)
    tensors = {name: mr.tensor(x, requires_grad=True) for name, x in params.items()}
    h, x, W, b = tensors.values()
    y = mr.tanh(mr.concatenate([h, x], axis=1) @ W + b)
    g = planted_ops.generic(np.random.default_rng(2), 2, 3)  # the first the layer draws
    for name, engine in zip(tensors, mr.vjp(y, list(tensors.values()), g)):
        np.testing.assert_allclose(claims[name], engine, rtol=1e-12)


def test_central_differences_are_exact_for_a_parabola():
    x = np.array([[0.4, -0.9], [1.3, 0.2]])
    numgrad = find("e02.numgrad").reference
    np.testing.assert_allclose(numgrad(lambda x: float((3 * x**2).sum()), x, 0.1), 6 * x)


def test_an_answer_that_is_no_list_of_nodes_is_told_what_it_is():
    exercise = find("e02.topo_order")
    for answer, said in (
        (lambda root: [root.name], "a list that holds a str"),
        (lambda root: iter([root]), "no list but a list_iterator"),
    ):
        with pytest.raises(TypeError, match=said):
            run_here(exercise, answer, exercise.cases(0))
    exercise = find("e02.path_products")
    for answer, said in (
        (lambda root, leaf: 7.0, "no list but a float"),
        (lambda root, leaf: [[1.0], [2.0]], "a list that holds a list"),
    ):
        with pytest.raises(TypeError, match=said):
            run_here(exercise, answer, exercise.cases(0))


# -- the slider ------------------------------------------------------------------------------------


def test_the_slider_shows_the_engines_numbers():
    data = slope_slider().data
    x = np.array(data["x"])
    for curve, f, slope in zip(
        data["curves"],
        (lambda x: 1 / (1 + math.exp(-x)), math.tanh),
        (lambda x: 0.25 / math.cosh(x / 2) ** 2, lambda x: 1 / math.cosh(x) ** 2),
    ):
        np.testing.assert_allclose(curve["values"], [f(v) for v in x], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(curve["slopes"], [slope(v) for v in x], rtol=1e-12)
        assert max(curve["slopes"]) == curve["ceiling"] and curve["slopes"][len(x) // 2] == max(
            curve["slopes"]
        )


def test_the_slider_asks_for_nothing_but_itself():
    slider = slope_slider()
    page, frame = slider.html(), slider._repr_html_()
    assert "default-src 'none'" in page and "script-src 'sha256-" in page
    assert not re.findall(r"(?:src|href)=|@import|url\(|fetch\(", page)
    assert frame.startswith('<iframe sandbox="allow-scripts"') and "<script" not in frame
    assert "tanh′ = 1.0000" in str(slider) and str(slider) in page


# -- the cells -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stem", STEMS)
def test_the_cells_are_as_the_course_wants_them(stem):
    book = json.loads((folder() / f"{stem}.ipynb").read_text(encoding="utf-8"))
    cells, lesson = book["cells"], f"l{stem[:2]}"
    assert [book["nbformat"], book["nbformat_minor"]] == [4, 5]
    assert all(re.fullmatch(rf"{lesson}-[a-z0-9-]+", cell["id"]) for cell in cells)
    texts = ["".join(cell["source"]) for cell in cells]
    assert "**The claim.**" in texts[0] and texts[-1].startswith("## What is true")
    for cell, text in zip(cells, texts):
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == [] and cell["execution_count"] is None
        if text.startswith("%%exercise"):
            name = text.split()[1]
            assert text == f"%%exercise {name}\n{sources.stub(name)}".rstrip("\n")
    asked = {text.split()[1] for text in texts if text.startswith("%%exercise")}
    assert asked == {name for name in sources.names() if name.startswith(f"e{stem[:2]}.")}
    assert sum("assert " in text for text in texts) >= 5


@pytest.mark.parametrize("stem", STEMS)
def test_what_is_predicted_is_revealed(stem):
    text = (folder() / f"{stem}.ipynb").read_text(encoding="utf-8")
    predicted = re.findall(r'predict\(\\"(l\d\d\.[\w-]+)\\"', text)
    revealed = re.findall(r'reveal\((?:\\n",\s*")?\s*\\"(l\d\d\.[\w-]+)\\"', text)
    assert len(predicted) >= 4 and set(predicted) == set(revealed)
