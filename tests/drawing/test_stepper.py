"""The steps as data: what is said, asked and lit, beside the graph and the engine's gradients."""

import builtins
import json
import math
import re
import sys

import numpy as np
import pytest

import microrecur as mr
from microrecur.drawing import page
from microrecur.drawing.stepper_steps import level, log_scale
from microrecur.flows.paths import strongest_path
from microrecur.graphs.notation import typeset


def loss(cell, xs=(0.9, -0.4, 0.7)):
    last = mr.unroll(cell, list(xs))[-1]
    h = last[0] if isinstance(last, tuple) else last
    return ((h - 0.3) ** 2).sum().named("L")


CELLS = [mr.RNNCell, mr.LSTMCell, mr.GRUCell]


def backward(stepper):
    return [step for step in stepper.steps if step.phase == "backward"]


# ------------------------------------------------------------------ forward


@pytest.mark.parametrize("Cell", CELLS)
@pytest.mark.parametrize("level", ["step", "gate", "op", "all"])
def test_forward_lights_every_computed_node_once_in_order_of_creation(Cell, level):
    y = loss(Cell(1, 1, seed=0))
    graph = mr.graph(y, level=level)
    stepper = mr.step(y, level=level, fold=False)
    nodes = stepper.drawing.parts.nodes
    computed = [node.id for node in graph.nodes if node.op is not None]
    lit = [step.now for step in stepper.steps if step.phase == "forward"]
    assert lit[0] == () and len(lit) == 1 + len(computed)
    for id, now in zip(computed, lit[1:]):
        assert now[: len(nodes[id])] == nodes[id]


def test_a_value_is_told_with_what_it_was_computed_from():
    said = [s.says for s in mr.step(loss(mr.LSTMCell(1, 1, seed=0)), level="gate").steps]
    for beginning in ("f₂ = σ(zᶠ₂) = ", "f₂ ⊙ c₁ = ", "c₂ = f₂ ⊙ c₁ + i₂ ⊙ g₂ = "):
        assert sum(s.startswith(beginning) for s in said) == 1, beginning
    said = [s.says for s in mr.step(loss(mr.RNNCell(1, 1, seed=0))).steps]
    assert "z₂ = W·x₂ + U·h₁ + b = −1.57" in said
    assert any(s.startswith("L = Σ((h₃ − 0.3)²) = ") for s in said)


def test_a_node_shows_a_question_mark_until_its_value_is_known():
    stepper = mr.step(loss(mr.RNNCell(1, 1, seed=0)))
    blank = {id: stepper.blanks[name[0]] for id, name in stepper.drawing.parts.nodes.items()
             if name[0] in stepper.blanks}  # fmt: skip
    assert blank["t1.z"] == ("z₁", "?") and blank["t1.h"] == ("tanh", "h₁ = ?")
    assert blank["L"] == ("L", "?") and "t0.h" not in blank and "t1.x" not in blank


# ------------------------------------------------------------------ one path


@pytest.mark.parametrize("Cell", CELLS)
@pytest.mark.parametrize("size", [1, 3])
def test_a_path_is_walked_edge_by_edge_with_its_running_product(Cell, size):
    y = loss(Cell(size, size, seed=0), [np.full(size, 0.5)] * 3 if size > 1 else (0.9, -0.4, 0.7))
    graph = mr.graph(y, level="gate")
    path = strongest_path(graph, "t0.h")
    steps = backward(mr.step(y, path="h0", fold=False))
    assert [s.size for s in steps] == pytest.approx([1.0, *map(abs, path.running)])
    sign = "∏" if size == 1 else "∏‖·‖"
    assert all(s.total.startswith(f"{sign} = ") for s in steps[1:])


def test_the_only_path_is_the_gradient_and_one_of_many_is_not():
    only, many = (backward(mr.step(loss(Cell(1, 1, seed=0)), path="h0")) for Cell in CELLS[:2])
    assert all(s.says.startswith("∂L/∂") for s in only)
    assert not any("∂" in s.says.split("=")[0] for s in many[1:])
    assert all(s.says.startswith("∏ at ") for s in many[1:])
    assert only[-1].says.startswith("∂L/∂h₀ = ∂L/∂z₁ · U = ")


def test_the_gradient_of_an_only_path_is_the_engines():
    cell = mr.RNNCell(1, 1, seed=0)
    h0 = mr.tensor(0.2, requires_grad=True)
    y = ((mr.unroll(cell, [0.9, -0.4], h0)[-1] - 0.3) ** 2).named("L")
    y.backward()
    assert backward(mr.step(y))[-1].size == pytest.approx(abs(float(h0.grad)))


def test_tensors_of_many_numbers_are_never_told_a_gradient():
    steps = backward(mr.step(loss(mr.RNNCell(2, 2, seed=0), [np.ones(2)] * 2)))
    assert all(s.says.startswith("∏‖·‖ at ") for s in steps[1:])
    assert not any(s.ask for s in steps)


def test_chips_keep_factors_apart_with_their_bounds():
    steps = backward(mr.step(loss(mr.LSTMCell(1, 1, seed=0)), path="h0", level="op"))
    chips = [chip for step in steps for chip in step.chips]
    bounds = {re.split(r"[(=]", chip.text)[0].strip(): chip.bound for chip in chips}
    assert bounds["tanh′"] == "≤ 1" and bounds["1"] == "passes on"
    assert {bounds[name] for name in bounds if name.startswith(("U", "W"))} <= {"no bound"}
    via_gate = mr.step(loss(mr.LSTMCell(1, 1, seed=0)), path="t2.z_f", level="op")
    assert "≤ ¼" in [c.bound for s in backward(via_gate) for c in s.chips] or via_gate.steps


def test_without_a_path_the_strongest_to_the_earliest_state_is_walked():
    y = loss(mr.LSTMCell(1, 1, seed=0))
    graph = mr.graph(y, level="gate")
    products = {id: abs(strongest_path(graph, id).product) for id in ("t0.h", "t0.c")}
    assert backward(mr.step(y))[-1].size == pytest.approx(max(products.values()))
    for id in products:
        assert backward(mr.step(y, source=id))[-1].size == pytest.approx(products[id])
        assert backward(mr.step(y, strongest_path(graph, id)))[-1].size == products[id]
    x = mr.tensor(0.5, name="x")
    assert backward(mr.step((x * 3.0).named("y")))[-1].size == pytest.approx(3.0)


def test_an_unknown_node_names_the_nearest():
    with pytest.raises(mr.UnknownNode, match=r"t0\.h"):
        mr.step(loss(mr.RNNCell(1, 1, seed=0)), path="t0.hh")


def test_labels_and_bars_are_told_when_their_edge_is_reached():
    stepper = mr.step(loss(mr.RNNCell(1, 1, seed=0)))
    parts = stepper.drawing.parts
    (step,) = [s for s in stepper.steps if s.says.startswith("∂L/∂z₂")]
    assert step.now == (*parts.nodes["t2.z"], *parts.edges[("t2.z", "t2.h")])
    assert step.tells == (*parts.labels[("t2.z", "t2.h")], *parts.bars["t2.z"])
    told = [id for s in stepper.steps for id in s.tells]
    assert len(told) == len(set(told)) and set(told) <= {
        id for table in (parts.labels, parts.bars) for ids in table.values() for id in ids
    }


def test_a_path_lights_the_shapes_it_touches_and_no_others():
    stepper = mr.step(loss(mr.LSTMCell(1, 1, seed=1)), path="c0", level="gate")
    nodes, scene = stepper.drawing.parts.nodes, stepper.drawing.scene
    boxes = {
        f"{stepper.drawing.prefix}-n{k}" for k, n in enumerate(scene.nodes) if n.shape == "box"
    }
    (out,) = [s for s in stepper.steps if s.says.startswith("∏ at c₃")]
    assert [id for id in out.now if id in nodes["t3.c"]] == [i for i in nodes["t3.c"] if i in boxes]
    on = stepper.steps[stepper.steps.index(out) + 1]  # from the box along the conveyor into its +
    assert set(on.now) >= set(nodes["t3.c"]) - set(out.now)


@pytest.mark.parametrize("Cell", CELLS)
def test_a_cell_and_one_unit_step_too(Cell):
    alone = mr.step(Cell(1, 1, seed=0))
    assert "seed 0" in str(alone.drawing) and backward(alone)
    unit = mr.step(mr.unroll(Cell(1, 4, seed=0), [[0.9], [-0.4]]), unit=2)
    assert all(s.total.startswith("∏ = ") for s in backward(unit)[1:])
    assert "unit 2 of 4" in str(unit.drawing)


def test_folded_steps_are_walked_in_one():
    stepper = mr.step(loss(mr.RNNCell(1, 1, seed=0), [0.1] * 40))
    (run,) = [s for s in stepper.steps if "of the folded steps" in s.says]
    assert set(stepper.drawing.parts.nodes["folded"]) <= set(run.now)
    assert len(stepper) < 40
    whole = mr.step(loss(mr.RNNCell(1, 1, seed=0), [0.1] * 40), fold=False)
    assert backward(stepper)[-1].size == pytest.approx(backward(whole)[-1].size)


# ------------------------------------------------------------------ questions


def test_only_what_can_be_worked_out_is_asked():
    steps = backward(mr.step(loss(mr.RNNCell(1, 1, seed=0))))
    asked = [s.ask.prompt if s.ask else None for s in steps]
    assert asked[:5] == [
        None,  # where the gradient starts
        None,  # the loss
        "∂h₃/∂z₃ = tanh′(z₃) = ?",
        None,  # U was not shown yet
        "∂h₂/∂z₂ = tanh′(z₂) = ?",
    ]
    assert asked[5] == "∂z₂/∂h₁ = U = ?"
    for step in steps:
        if step.ask:
            assert step.ask.shown in step.says


def test_a_question_never_holds_its_answer():
    for step in mr.step(loss(mr.LSTMCell(1, 1, seed=0)), level="op").steps:
        if step.ask and step.chips[0].text == "1":
            assert re.fullmatch(r"∂.+/∂.+ = \?", step.ask.prompt)


# ------------------------------------------------------------------ every route


@pytest.mark.parametrize("Cell", CELLS)
def test_adding_over_every_route_gives_the_engines_gradient(Cell):
    cell = Cell(1, 1, seed=0)
    y = loss(cell)
    y.backward()
    graph = mr.graph(y, level="op")
    sums = {}
    for step in backward(mr.step(y, routes=True, level="op", fold=False)):
        sums[step.total.split(" = ")[0]] = step.size
    named = [n for n in graph.nodes if n.name and n.step and n.op and n.tensor.grad is not None]
    assert len(named) > 5
    for node in named:
        found = sums[f"∂L/∂{typeset(node.name, node.step)}"]
        assert found == pytest.approx(abs(float(node.tensor.grad)), rel=1e-9), node.id


def test_every_edge_of_the_level_is_walked_once():
    y = loss(mr.GRUCell(1, 1, seed=0))
    graph = mr.graph(y, level="gate")
    steps = backward(mr.step(y, routes=True))
    assert len(steps) == 1 + len(graph.edges)
    assert sum(s.fresh for s in steps) == len({e.source for e in graph.edges}) + 1
    assert any("Routes that meet add: " in s.says for s in steps)


def test_two_edges_between_the_same_nodes_add():
    x = mr.tensor(3.0, name="x")
    *_, last = backward(mr.step((x * x).named("y"), routes=True))
    assert last.says.endswith("Routes that meet add: ∂y/∂x = 3.00 + 3.00 = 6.00")


def test_routes_of_vectors_are_refused_with_advice():
    with pytest.raises(ValueError, match=r"shape \(2,\): take .*hidden_size=1, or give path="):
        mr.step(loss(mr.RNNCell(2, 2, seed=0), [np.ones(2)] * 2), routes=True)


# ------------------------------------------------------------------ numbers of the bar


@pytest.mark.parametrize(
    ("sizes", "scale"), [([], (-1, 0)), ([0.0, math.nan], (-1, 0)), ([1.0], (-1, 0)),
                         ([0.15, 1.0], (-1, 0)), ([3e-7, 40.0, math.inf], (-7, 2))]
)  # fmt: skip
def test_the_scale_holds_every_size(sizes, scale):
    assert log_scale(sizes) == scale
    assert all(0.0 <= level(size, scale) <= 1.0 for size in sizes)


def test_an_infinite_gradient_is_told_and_its_page_made():
    x = mr.tensor(1e200, name="x")
    with np.errstate(over="ignore"):
        stepper = mr.step(((x * x).named("s") * x).named("y"))
    assert "∞" in str(stepper) and not any(step.ask for step in stepper.steps[-1:])
    assert max(step["level"] for step in stepper.data["steps"]) == 1.0
    assert json.loads(json.dumps(stepper.data, allow_nan=False))["title"] in stepper.html()


# ------------------------------------------------------------------ pages


def test_the_page_names_its_script_and_style_by_hash_and_allows_nothing_else():
    html = mr.step(loss(mr.RNNCell(1, 1, seed=0))).html()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for kind, tag in (("script", 'script type="module"'), ("style", "style")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{kind}>", html, re.S)
        assert rules[f"{kind}-src"] == f"'{page._hash(text)}'"
    assert len(rules) == 5 and "unsafe" not in policy
    assert not re.search(r'(src|href)="', html)


def test_json_in_a_page_ends_where_it_should():
    text = "</script><!--\u2028\u2029&"
    block = page.json_block({"a": text}, "steps")
    inside = block[block.index(">") + 1 : block.rindex("<")]
    assert not set(inside) & set("<>&\u2028\u2029") and json.loads(inside) == {"a": text}


def test_save_writes_pages_only_and_whole(tmp_path):
    stepper = mr.step(loss(mr.RNNCell(1, 1, seed=0)))
    path = stepper.save(tmp_path / "new" / "step.html")
    assert path.read_text() == stepper.html() and len(list(path.parent.iterdir())) == 1
    with pytest.raises(ValueError, match=r"ends in \.html; a picture of it is stepper\.drawing"):
        stepper.save(tmp_path / "step.png")


def test_the_same_stepper_in_another_run_is_the_same_page():
    first, second = (mr.step(loss(mr.GRUCell(1, 1, seed=0))).html() for _ in range(2))
    assert first == second


def test_a_notebook_without_engine_gets_the_steps_and_one_line_of_advice(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    stepper = mr.step(loss(mr.RNNCell(1, 1, seed=0)))
    bundle = stepper._repr_mimebundle_()
    assert set(bundle) == {"text/plain"}
    assert bundle["text/plain"].startswith(str(stepper))
    assert "\n[no stepper: no Graphviz engine" in bundle["text/plain"]


def test_a_notebook_may_ask_for_less():
    stepper = mr.step(loss(mr.RNNCell(1, 1, seed=0)))
    assert set(stepper._repr_mimebundle_()) == {"text/plain", "text/html"}
    assert set(stepper._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert (
        'sandbox="allow-scripts"' in stepper._repr_mimebundle_(exclude={"text/plain"})["text/html"]
    )


# ------------------------------------------------------------------ the live widget


def test_the_widget_keeps_its_step_inside():
    pytest.importorskip("anywidget", reason="no anywidget: pip install 'microrecur[test]'")
    stepper = mr.step(loss(mr.RNNCell(1, 1, seed=0)))
    live = stepper.widget()
    live.step = 5
    assert live.step == 5 and live.data == stepper.data
    live.step = 999
    assert live.step == len(stepper) - 1
    live.step = -3
    assert live.step == 0


def test_without_anywidget_the_message_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "anywidget":
            raise ImportError(name)
        return real(name, *rest)

    stepper = mr.step(loss(mr.RNNCell(1, 1, seed=0)))
    monkeypatch.delitem(sys.modules, "microrecur.drawing.widget", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "microrecur\[widget\]"'):
        stepper.widget()
