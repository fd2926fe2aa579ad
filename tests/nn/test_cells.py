"""The cells beside torch's, and beside backpropagation written by hand where torch has none."""

import copy
import gc
import pickle

import numpy as np
import pytest
from hypothesis import given, settings

import microrecur as mr
from microrecur.engine.tensor import ancestry

from . import reference
from .messages import message, says
from .running import Sizes, agree, ours, problem, sizes, theirs

examples = settings(max_examples=50, deadline=None)

TORCH = {
    "RNN tanh": (mr.RNNCell, "RNNCell", {"nonlinearity": "tanh"}),
    "RNN relu": (mr.RNNCell, "RNNCell", {"nonlinearity": "relu"}),
    "LSTM": (mr.LSTMCell, "LSTMCell", {}),
    "GRU": (mr.GRUCell, "GRUCell", {}),
}
BY_HAND = {
    "RNN sigmoid": (mr.RNNCell, {"nonlinearity": "sigmoid"}, reference.sigmoid_rnn),
    "LSTM peephole": (mr.LSTMCell, {"peephole": True}, reference.peephole_lstm),
    "GRU reset before": (mr.GRUCell, {"reset_after": False}, reference.reset_before_gru),
}
EVERY = {
    "RNN": (mr.RNNCell, {}),
    **{name: (cell, options) for name, (cell, options, _) in BY_HAND.items()},
    "LSTM": (mr.LSTMCell, {}),
    "GRU": (mr.GRUCell, {}),
}
every_cell = pytest.mark.parametrize(("cell", "options"), EVERY.values(), ids=EVERY)


def keeps_c(cell):
    return cell is mr.LSTMCell


def first_state(state):
    return state[0] if isinstance(state, tuple) else state


# -- the numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TORCH)
@examples
@given(case=sizes)
def test_values_and_all_gradients_beside_torch(torch, name, case):
    make, torch_name, options = TORCH[name]
    their_cell = getattr(torch.nn, torch_name)(case.inputs, case.hidden, case.bias, **options)
    their_cell = their_cell.double()
    our_cell = make(case.inputs, case.hidden, case.bias, **options)
    our_cell.load_state_dict({k: v.numpy() for k, v in their_cell.state_dict().items()})
    given = problem(case, with_c=keeps_c(make))
    agree(ours(our_cell, given), theirs(torch, their_cell, given))


@pytest.mark.parametrize("name", BY_HAND)
@examples
@given(case=sizes)
def test_values_and_all_gradients_beside_hand_written_bptt(name, case):
    make, options, by_hand = BY_HAND[name]
    cell = make(case.inputs, case.hidden, case.bias, seed=case.seed, **options)
    given = problem(case, with_c=keeps_c(make))
    agree(ours(cell, given), by_hand(cell.state_dict(), **given))


def loss_by_hand(by_hand, parameters, given):
    answer = by_hand(parameters, **given)
    loss = np.vdot(given["a"], answer["h"])
    return loss + np.vdot(given["e"], answer["c"][-1]) if "e" in given else loss


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("batch", [None, 3])
def test_the_hand_written_bptt_itself_by_central_differences(name, batch):
    """Along random directions in one array at a time: parameters, xs, initial states."""
    make, options, by_hand = BY_HAND[name]
    case = Sizes(inputs=2, hidden=3, batch=batch, steps=3, bias=True, seed=4)
    parameters = make(2, 3, seed=1, **options).state_dict()
    given = problem(case, with_c=keeps_c(make))
    answer = by_hand(parameters, **given)
    rng, h = np.random.default_rng(2), 1e-5
    leaves = {**parameters, "x": given["xs"], "h0": given["h0"]}
    leaves |= {"c0": given["c0"]} if "c0" in given else {}
    for name, value in leaves.items():
        for _ in range(3):
            v = rng.normal(size=value.shape)
            ends = []
            for step in (h, -h):
                moved = {"xs" if name == "x" else name: value + step * v}
                moved_parameters = {k: moved.get(k, p) for k, p in parameters.items()}
                moved_given = {k: moved.get(k, a) for k, a in given.items()}
                ends.append(loss_by_hand(by_hand, moved_parameters, moved_given))
            numeric = (ends[0] - ends[1]) / (2 * h)
            assert np.vdot(answer[name], v) == pytest.approx(numeric, rel=1e-7, abs=1e-8)


def test_a_peephole_of_zero_is_the_plain_lstm():
    plain, peephole = mr.LSTMCell(2, 3, seed=1), mr.LSTMCell(2, 3, peephole=True, seed=1)
    nothing = {f"weight_p{gate}": np.zeros(3) for gate in "ifo"}
    peephole.load_state_dict(plain.state_dict() | nothing)
    given = problem(Sizes(2, 3, 2, 3, True, 5), with_c=True)
    expected, got = ours(plain, given), ours(peephole, given)
    agree({name: got[name] for name in expected}, expected, 1e-13)


@pytest.mark.parametrize("name", TORCH)
def test_a_second_backward_accumulates_as_torch(torch, name):
    """The shared weight views are named intermediates: they must not be counted twice."""
    make, torch_name, options = TORCH[name]
    cell = make(2, 3, seed=0, **options)
    their_cell = getattr(torch.nn, torch_name)(2, 3, **options).double()
    their_cell.load_state_dict({k: torch.tensor(v) for k, v in cell.state_dict().items()})
    for seed in (1, 2, 3):
        given = problem(Sizes(2, 3, 2, 2, True, seed), with_c=keeps_c(make))
        agree(ours(cell, given), theirs(torch, their_cell, given))


def test_backward_twice_through_one_graph_doubles_the_parameters_alone():
    cell = mr.LSTMCell(2, 3, seed=0)
    h, c = mr.unroll(cell, np.ones((3, 2)))[-1]
    loss = (h * c).sum()
    loss.backward()
    once = {name: p.grad.copy() for name, p in cell.named_parameters()}
    at_c = c.grad.copy()
    loss.backward()
    for name, p in cell.named_parameters():
        np.testing.assert_allclose(p.grad, 2 * once[name], rtol=1e-14)
    np.testing.assert_array_equal(c.grad, at_c)


@every_cell
def test_single_precision(cell, options):
    exact = cell(3, 4, seed=0, **options)
    single = cell(3, 4, seed=0, dtype=np.float32, **options)
    xs = np.random.default_rng(1).normal(size=(4, 2, 3))
    h, expected = (first_state(mr.unroll(c, xs.astype(c.weight_ih.dtype))[-1])
                   for c in (single, exact))  # fmt: skip
    assert h.dtype == np.float32
    np.testing.assert_allclose(h.data, expected.data, rtol=1e-4, atol=1e-6)
    h.sum().backward()
    assert all(p.grad.dtype == np.float32 for p in single.parameters())


@every_cell
def test_a_cell_turned_to_single_precision(cell, options):
    c = cell(3, 4, seed=0, **options)
    first_state(c(np.ones(3)))
    expected = cell(3, 4, seed=0, dtype=np.float32, **options)
    assert c.to(np.float32) is c
    h = first_state(c(np.ones(3)))
    assert h.dtype == np.float32
    np.testing.assert_array_equal(h.data, first_state(expected(np.ones(3))).data)
    h.sum().backward()
    assert all(p.grad.dtype == np.float32 for p in c.parameters())


@every_cell
def test_one_number_at_a_time_equals_a_batch_of_one(cell, options):
    """The same cell on 0-d tensors, on shape (1,) and on shape (1, 1)."""
    answers = []
    for shape in [(), (1,), (1, 1)]:
        one = cell(1, 1, seed=3, **options)
        given = problem(Sizes(1, 1, None, 3, True, 7), with_c=keeps_c(cell))
        given = {
            k: v.reshape(3, *shape) if k in ("xs", "a") else v.reshape(shape)
            for k, v in given.items()
        }
        found = ours(one, given)
        assert found["h"].shape == (3, *shape)
        answers.append({k: v.ravel() for k, v in found.items()})
    agree(answers[0], answers[1], 1e-14)
    agree(answers[0], answers[2], 1e-14)


@every_cell
def test_without_a_state_it_starts_from_zero(cell, options):
    c = cell(2, 3, seed=0, **options)
    x = np.random.default_rng(0).normal(size=(4, 2))
    zero = np.zeros((4, 3))
    given = (zero, zero) if keeps_c(cell) else zero
    np.testing.assert_array_equal(first_state(c(x)).data, first_state(c(x, given)).data)


@every_cell
def test_unroll_is_the_cell_called_again_and_again(cell, options):
    c = cell(2, 3, seed=0, **options)
    xs = np.random.default_rng(0).normal(size=(5, 2))
    state, called = None, []
    for x in xs:
        state = c(x, state)
        called.append(first_state(state).data)
    for sequence in (xs, list(xs), mr.tensor(xs), [mr.tensor(x) for x in xs]):
        unrolled = [first_state(s).data for s in mr.unroll(c, sequence)]
        np.testing.assert_array_equal(unrolled, called)


def test_unroll_hands_the_gradient_to_a_tensor_of_all_steps():
    cell = mr.GRUCell(2, 3, seed=0)
    given = problem(Sizes(2, 3, 2, 4, True, 1), with_c=False)
    expected = ours(cell, given)
    xs = mr.tensor(given["xs"], requires_grad=True)
    hs = mr.unroll(cell, xs, given["h0"])
    sum((mr.tensor(a) * h).sum() for a, h in zip(given["a"], hs, strict=True)).backward()
    np.testing.assert_allclose(xs.grad, expected["x"], rtol=1e-13, atol=1e-15)


def test_unroll_of_nothing_says_so():
    with pytest.raises(ValueError, match=r"unroll.*empty"):
        mr.unroll(mr.RNNCell(1, 1), [])


# -- what is recorded ----------------------------------------------------------------------------

GATES = {
    "RNN": {"z": "hidden state", "h": "hidden state"},
    "LSTM": {
        "z_i": "input gate",
        "i": "input gate",
        "z_f": "forget gate",
        "f": "forget gate",
        "z_g": "candidate",
        "g": "candidate",
        "z_o": "output gate",
        "o": "output gate",
        "c": "cell state",
        "h": "hidden state",
    },
    "GRU": {
        "a_r": "reset gate",
        "r": "reset gate",
        "a_z": "update gate",
        "z": "update gate",
        "a_n": "candidate",
        "n": "candidate",
        "h": "hidden state",
    },
}


@every_cell
def test_every_gate_is_a_named_node_in_its_scope(cell, options):
    c = cell(2, 3, seed=0, **options)
    nodes = ancestry([first_state(mr.unroll(c, np.ones((4, 2)))[-1])])
    for name, gate in GATES[cell.__name__.removesuffix("Cell")].items():
        for t in (1, 2, 3, 4):
            found = [n for n in nodes if n.name == name and n.scope == (f"t={t}", gate)]
            assert len(found) == 1, (name, gate, t)


def test_the_gates_hold_the_rows_torch_packs_there():
    """i, f, g, o of step 3 from the packed rows, by hand: swap two and this is red."""
    cell, xs = mr.LSTMCell(2, 3, seed=0), np.random.default_rng(0).normal(size=(3, 2))
    states = mr.unroll(cell, xs)
    h, c = (s.data for s in states[1])
    z = np.split(reference.gates(cell.state_dict(), xs[2], h), 4)
    expected = {
        k: reference.sigmoid(v) for k, v in zip("if_o", z, strict=True) if k != "_"
    } | {"g": np.tanh(z[2])}  # fmt: skip
    nodes = {n.name: n for n in ancestry([states[2][0]]) if n.scope[:1] == ("t=3",)}
    for name, value in expected.items():
        np.testing.assert_allclose(nodes[name].data, value, rtol=1e-13)
    np.testing.assert_allclose(nodes["c"].data, expected["f"] * c + expected["i"] * expected["g"])


def test_the_gates_of_a_gru_hold_the_rows_torch_packs_there():
    cell, xs = mr.GRUCell(2, 3, seed=0), np.random.default_rng(0).normal(size=(3, 2))
    hs = mr.unroll(cell, xs)
    a_r, a_z, _ = np.split(reference.gates(cell.state_dict(), xs[2], hs[1].data), 3)
    nodes = {n.name: n for n in ancestry([hs[2]]) if n.scope[:1] == ("t=3",)}
    for name, value in {
        "a_r": a_r,
        "r": reference.sigmoid(a_r),
        "z": reference.sigmoid(a_z),
    }.items():
        np.testing.assert_allclose(nodes[name].data, value, rtol=1e-13)


@pytest.mark.parametrize("T", [1, 4])
def test_all_steps_share_one_view_of_each_weight(T):
    cell = mr.LSTMCell(2, 3, seed=0)
    h, _ = mr.unroll(cell, np.ones((T, 2)))[-1]
    nodes = ancestry([h])
    for letter in "ifgo":
        for prefix in ("U", "W", "b_ih", "b_hh"):
            views = [n for n in nodes if n.name == f"{prefix}_{letter}"]
            assert len(views) == 1
            assert not any(name.startswith("t=") for name in views[0].scope)
    (U_f,) = (n for n in nodes if n.name == "U_f")
    rows = cell.weight_hh.data[3:6]
    np.testing.assert_array_equal(U_f.data, rows.T)
    assert cell.weight_hh in ancestry([U_f])


def test_parameters_and_views_belong_to_no_step():
    cell = mr.GRUCell(2, 3, seed=0)
    h = mr.unroll(cell, np.ones((2, 2)))[-1]
    for node in ancestry([h]):
        if any(node is p for p in cell.parameters()):
            assert not any(name.startswith("t=") for name in node.scope)


def test_initial_states_are_filed_under_step_zero_and_inputs_under_theirs():
    h, _ = mr.unroll(mr.LSTMCell(2, 3, seed=0), np.ones((3, 2)))[-1]
    leaves = [(n.name, n.scope) for n in ancestry([h]) if n.op is None and n.scope]
    assert ("h", ("t=0",)) in leaves
    assert ("c", ("t=0",)) in leaves
    assert [scope for name, scope in sorted(leaves) if name == "x"] == [
        ("t=1",),
        ("t=2",),
        ("t=3",),
    ]


def test_a_cell_called_alone_opens_the_step_after_its_state():
    cell = mr.RNNCell(1, 1, seed=0)
    h1 = cell([0.5])
    h2 = cell([0.25], h1)
    assert h1.scope == ("t=1", "hidden state")
    assert h2.scope == ("t=2", "hidden state")
    (h5,) = mr.unroll(cell, [[0.1]], mr.unroll(cell, np.ones((4, 1)))[-1])
    assert h5.scope == ("t=5", "hidden state")


def test_layers_keep_the_scope_that_is_open():
    with mr.scope("layer1"):
        h = mr.unroll(mr.RNNCell(1, 1, seed=0), [[1.0], [2.0]])[-1]
    assert h.scope == ("layer1", "t=2", "hidden state")


class TestViews:
    """The cached views must never serve old numbers, or numbers without a gradient."""

    def run(self, cell):
        return mr.unroll(cell, np.ones((2, 2)))[-1]

    def test_follow_an_assigned_parameter(self):
        cell, fresh = mr.RNNCell(2, 3, seed=0), mr.RNNCell(2, 3, seed=1)
        self.run(cell)
        cell.load_state_dict(fresh.state_dict())
        h = self.run(cell)
        np.testing.assert_array_equal(h.data, self.run(fresh).data)
        h.sum().backward()
        self.run(fresh).sum().backward()
        for p, q in zip(cell.parameters(), fresh.parameters(), strict=True):
            np.testing.assert_array_equal(p.grad, q.grad)

    def test_made_under_no_grad_are_not_used_for_recording(self):
        cell = mr.RNNCell(2, 3, seed=0)
        with mr.no_grad():
            assert self.run(cell).op is None
        self.run(cell).sum().backward()
        assert all(np.abs(p.grad).sum() > 0 for p in cell.parameters())

    def test_do_not_leak_into_another_cell(self):
        cell = mr.RNNCell(2, 3, seed=0)
        self.run(cell)
        twin = copy.deepcopy(cell)
        self.run(twin).sum().backward()
        assert all(p.grad is None for p in cell.parameters())
        assert all(p.grad is not None for p in twin.parameters())

    def test_hold_no_graph_alive(self):
        cell = mr.LSTMCell(2, 3, seed=0)
        self.run(cell)
        gc.collect()
        gc.disable()
        try:
            before = sum(type(o) is mr.Tensor for o in gc.get_objects())
            first_state(self.run(cell)).sum().backward()
            assert sum(type(o) is mr.Tensor for o in gc.get_objects()) == before
        finally:
            gc.enable()


def test_a_graph_older_than_an_assignment_is_refused_by_name():
    cell = mr.LSTMCell(2, 3, seed=0)
    h, _ = mr.unroll(cell, np.ones((2, 2)))[-1]
    cell.weight_hh.assign(np.zeros((12, 3)))
    with pytest.raises(mr.StaleGraphError, match="weight_hh"):
        h.sum().backward()


# -- parameters ----------------------------------------------------------------------------------

SHAPES = {
    "RNN": {"weight_ih": (3, 2), "weight_hh": (3, 3), "bias_ih": (3,), "bias_hh": (3,)},
    "LSTM": {"weight_ih": (12, 2), "weight_hh": (12, 3), "bias_ih": (12,), "bias_hh": (12,)},
    "GRU": {"weight_ih": (9, 2), "weight_hh": (9, 3), "bias_ih": (9,), "bias_hh": (9,)},
}


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_have_torchs_names_order_and_shapes(name):
    make = getattr(mr, f"{name}Cell")
    cell = make(2, 3)
    assert {k: p.shape for k, p in cell.named_parameters()} == SHAPES[name]
    assert list(cell.state_dict()) == list(SHAPES[name])
    assert [p.name for p in cell.parameters()] == list(SHAPES[name])
    assert list(make(2, 3, bias=False).state_dict()) == ["weight_ih", "weight_hh"]


@pytest.mark.parametrize("name", TORCH)
def test_state_goes_to_torch_and_back(torch, name):
    make, torch_name, options = TORCH[name]
    cell, other = make(2, 3, seed=0, **options), make(2, 3, seed=1, **options)
    their_cell = getattr(torch.nn, torch_name)(2, 3, **options).double()
    their_cell.load_state_dict({k: torch.tensor(v) for k, v in cell.state_dict().items()})
    other.load_state_dict(their_cell.state_dict())
    for p, q in zip(cell.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_peephole_weights_are_diagonals():
    cell = mr.LSTMCell(2, 3, peephole=True)
    shapes = {k: v.shape for k, v in cell.state_dict().items() if k.startswith("weight_p")}
    assert shapes == {"weight_pi": (3,), "weight_pf": (3,), "weight_po": (3,)}


def test_a_state_dict_is_a_copy():
    cell = mr.RNNCell(2, 3, seed=0)
    state = cell.state_dict()
    before = state["weight_ih"].copy()
    state["weight_ih"][:] = 99.0
    np.testing.assert_array_equal(cell.weight_ih.data, before)


@every_cell
def test_seeds_are_reproducible(cell, options):
    a, b, other = (cell(3, 4, seed=seed, **options) for seed in (5, 5, 6))
    by_rng = cell(3, 4, rng=np.random.default_rng(5), **options)
    for p, q, r, s in zip(*(c.parameters() for c in (a, b, other, by_rng)), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        np.testing.assert_array_equal(p.data, s.data)
        assert not np.array_equal(p.data, r.data)


def test_a_seed_draws_nothing_from_numpys_global_state():
    np.random.seed(0)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    mr.LSTMCell(2, 3, seed=1)
    mr.LSTMCell(2, 3)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_a_seed_and_a_generator_together_are_refused():
    with pytest.raises(TypeError, match=r"rng.*seed"):
        mr.RNNCell(1, 1, seed=0, rng=np.random.default_rng(0))


@every_cell
@pytest.mark.parametrize("hidden", [1, 4, 100])
def test_weights_start_within_one_over_root_h_and_fill_it(cell, options, hidden):
    limit = 1 / np.sqrt(hidden)
    for p in cell(3, hidden, seed=0, **options).parameters():
        assert np.abs(p.data).max() <= limit
        if p.size >= 100:
            assert p.data.max() > 0.9 * limit
            assert p.data.min() < -0.9 * limit
            assert abs(p.data.mean()) < 4 * limit / np.sqrt(3 * p.size)


def test_zero_grad_forgets_every_gradient():
    cell = mr.GRUCell(2, 3, seed=0)
    cell(np.ones(2)).sum().backward()
    assert all(p.grad is not None for p in cell.parameters())
    cell.zero_grad()
    assert all(p.grad is None for p in cell.parameters())


@every_cell
@pytest.mark.parametrize("again", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_compute_the_same(cell, options, again):
    c = cell(2, 3, seed=0, **options)
    first_state(c(np.ones(2))).sum().backward()
    twin = again(c)
    np.testing.assert_array_equal(
        first_state(twin(np.ones(2))).data, first_state(c(np.ones(2))).data
    )
    twin.weight_ih.assign(0 * twin.weight_ih.data)
    assert np.abs(c.weight_ih.data).max() > 0


def test_a_repr_names_the_cell_and_its_parameters():
    text = repr(mr.LSTMCell(2, 3))
    assert "LSTMCell" in text and "weight_ih" in text and "(12, 2)" in text


# -- bad input -----------------------------------------------------------------------------------


@every_cell
def test_too_many_features_name_x_its_shape_the_size_and_the_step(cell, options):
    c = cell(3, 2, **options)
    good, bad = np.ones((4, 3)), mr.tensor(np.ones((4, 5)))
    text = message(mr.ShapeError, lambda: mr.unroll(c, [good, good, bad]))
    says(text, "x", "5 features", "(4, 5)", "weight_ih", "input_size=3", "t=3")
    text = message(mr.ShapeError, lambda: c(mr.tensor(np.ones(5), name="pixels")))
    says(text, "pixels", "(5,)", "input_size=3", "t=1")


@every_cell
def test_a_state_of_the_wrong_shape_names_itself_and_what_it_must_be(cell, options):
    c = cell(3, 2, **options)
    x, bad, good = np.ones((4, 3)), np.ones((4, 5)), np.ones((4, 2))
    state = (good, bad) if keeps_c(cell) else bad
    text = message(mr.ShapeError, lambda: c(x, state))
    says(text, "state c" if keeps_c(cell) else "state h", "(4, 5)", "hidden_size=2", "(4, 2)")


def test_a_state_for_another_batch_is_refused():
    """Broadcasting would take it silently."""
    cell = mr.RNNCell(3, 2)
    says(message(mr.ShapeError, lambda: cell(np.ones((4, 3)), np.ones((1, 2)))), "(1, 2)", "(4, 2)")
    says(message(mr.ShapeError, lambda: cell(np.ones((4, 3)), np.ones(2))), "(2,)", "(4, 2)")
    says(message(mr.ShapeError, lambda: cell(np.ones(3), np.ones((4, 2)))), "(4, 2)", "(2,)")


def test_an_lstm_needs_both_of_its_states():
    text = message(mr.ShapeError, lambda: mr.LSTMCell(3, 2)(np.ones(3), np.ones(2)))
    says(text, "LSTMCell", "h", "c")


def test_one_number_for_a_cell_of_many_is_refused():
    says(message(mr.ShapeError, lambda: mr.RNNCell(3, 2)(1.0)), "()", "input_size=3")
    says(message(mr.ShapeError, lambda: mr.RNNCell(1, 2)(1.0)), "()", "hidden_size=2")


def test_missing_and_unknown_names_are_all_listed_and_nothing_changes():
    cell = mr.GRUCell(2, 3, seed=0)
    before = cell.state_dict()
    state = {k: 0 * v for k, v in before.items() if not k.startswith("bias")} | {"weight_xy": 0}
    text = message(KeyError, lambda: cell.load_state_dict(state))
    says(text, "GRUCell", "bias_ih", "bias_hh", "weight_xy", "missing", "unexpected")
    for name, value in cell.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_wrong_shapes_are_all_listed_and_nothing_changes():
    cell = mr.RNNCell(2, 3, seed=0)
    before = cell.state_dict()
    state = {k: 0 * v for k, v in before.items()}
    state |= {"weight_ih": np.zeros((3, 7)), "bias_hh": np.zeros(4)}
    text = message(ValueError, lambda: cell.load_state_dict(state))
    says(text, "weight_ih", "(3, 7)", "(3, 2)", "bias_hh", "(4,)")
    for name, value in cell.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("sizes_", [(0, 1), (1, 0), (-2, 1), (1, 2.5), ("3", 1)])
def test_sizes_are_whole_positive_numbers(sizes_):
    text = message(ValueError, lambda: mr.LSTMCell(*sizes_))
    says(text, "LSTMCell", "size")


def test_an_unknown_nonlinearity_lists_the_known():
    text = message(ValueError, lambda: mr.RNNCell(1, 1, nonlinearity="gelu"))
    says(text, "gelu", "tanh", "relu", "sigmoid")


def test_sizes_that_do_not_fit_are_refused_at_any_step():
    cell, x = mr.LSTMCell(3, 4, seed=0), np.ones((2, 3))
    state = cell(x, cell(x))
    with pytest.raises(mr.ShapeError, match="5 features"):
        cell(np.ones((2, 5)), state)
    with pytest.raises(mr.ShapeError, match="state h has shape"):
        cell(np.ones((1, 3)), state)
    assert cell(x, state)[0].shape == (2, 4)


def test_a_parameter_that_is_replaced_or_assigned_is_read_anew():
    cell, x = mr.LSTMCell(1, 2, seed=0), np.ones((1, 1))
    before = [cell(x)[0].numpy()]
    cell.bias_hh.assign(np.ones(8))
    before.append(cell(x)[0].numpy())
    cell.weight_ih = mr.tensor(np.ones((8, 1)), requires_grad=True)
    before.append(cell(x)[0].numpy())
    assert not np.allclose(before[0], before[1]) and not np.allclose(before[1], before[2])
