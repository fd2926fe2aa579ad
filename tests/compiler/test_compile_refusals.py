"""What cannot be compiled is refused where it happens, in words that say what to write instead."""

import copy
import random
import re

import numpy as np
import pytest

import microrecur as mr

X = np.array([1.0, 2.0, 3.0])


def branch(x):
    y = (x * 2).named("y")
    return y if y.sum() > 0 else -y


def early(x):
    while x.sum() < 10:
        x = x * 2
    return x


LOOKING = {
    "float": (lambda x: x * float(x[0]), "the number of getitem ()"),
    "int": (lambda x: x * int(x[0]), "the number of getitem ()"),
    "item": (lambda x: x * (x * x).named("square").sum().item(), "the number of sum ()"),
    "data": (lambda x: x * x.data.max(), ".data of x (3,)"),
    "numpy": (lambda x: x * x.numpy().max(), ".numpy() of x (3,)"),
    "asarray": (lambda x: x * np.asarray(x).max(), "an array of x (3,)"),
    "if": (branch, "whether it is true, of greater ()"),
    "while": (early, "whether it is true, of less ()"),
    "and": (lambda x: x if x[0] and x[1] else x * 2, "whether it is true, of getitem ()"),
    "max": (lambda x: max(x), "whether it is true, of greater ()"),
    "index": (lambda x: [1, 2][x[0] > 0], "the number of greater ()"),
    "range": (lambda x: x * len(range(mr.tensor([2])[0] + x[0])), None),
    "slice": (lambda x: x[: (x > 1).sum()], "the number of sum ()"),
    "mask": (
        lambda x: x[x > 1],
        "the number of entries that x[mask] picks, by the mask of greater",
    ),
    "format": (lambda x: print(f"{x[0]:.2f}"), "the number of getitem ()"),
    "deepcopy": (lambda x: copy.deepcopy(x) * x, "a copy of x (3,)"),
    "vjp": (lambda x: x * mr.vjp((x * x).sum(), x), "vjp(), which gives numbers where mr.grad"),
    "jvp": (lambda x: x * mr.jvp(x * x, x, np.ones(3)), "jvp(), which gives numbers, of mul (3,)"),
    "jacobian": (lambda x: mr.jacobian(x * x, x) @ x, "jacobian(), which gives numbers, of mul"),
    "hessian": (lambda x: mr.hessian((x * x).sum(), x) @ x, "jacobian(), which gives numbers, of"),
    "flow": (lambda x: x * mr.flow((x * x).sum(), x).gradient, "flow(), which gives numbers, of"),
    "graph": (lambda x: mr.graph(x * x) and x, "graph(), which shows numbers, of mul (3,)"),
    "scope": (lambda x: scoped(x), "the number of h at t=1/hidden state ()"),
}


def scoped(x):
    with mr.scope("t=1", "hidden state"):
        return x * (x.sum() * 2).named("h").item()


@pytest.mark.parametrize("how", LOOKING)
@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_a_number_that_decides_in_python_is_refused(how, kind):
    function, said = LOOKING[how]
    given = X if kind == "array" else mr.tensor(X)
    if said is None:
        with pytest.raises(TypeError):
            mr.compile(function)(given)
        return
    with pytest.raises(mr.CompileError, match=re.escape(said)) as error:
        mr.compile(function)(given)
    text = str(error.value)
    assert "which is being compiled" in text
    assert "mr.where(condition, a, b)" in text
    assert "given as an argument (recorded once per value; int(n)" in text


def test_the_message_in_full():
    with pytest.raises(mr.CompileError) as error:
        mr.compile(branch)(X)
    assert str(error.value) == (
        "whether it is true, of greater () in branch, which is being compiled: it is recorded once "
        "and then run with other numbers, so what Python does with this one would be frozen. To "
        "choose by numbers write mr.where(condition, a, b); what decides how the function runs "
        "must be a Python number or a bool given as an argument (recorded once per value; "
        "int(n) or bool(flag) where it is NumPy's); what is only looked at belongs outside, after "
        "the call"
    )


def test_what_the_message_says_works():
    f = mr.compile(lambda x: mr.where(x.sum() > 0, x, -x))
    for x in (X, -X):
        np.testing.assert_array_equal(f(x).data, X)
    g = mr.compile(lambda x, positive: x if positive else -x)
    np.testing.assert_array_equal(g(X, True).data, X)
    np.testing.assert_array_equal(g(X, False).data, -X)


def test_a_parameters_number_is_refused_too():
    layer = mr.Linear(3, 1, seed=0)
    with pytest.raises(mr.CompileError, match=r"^\.data of weight \(1, 3\) in <lambda>"):
        mr.compile(lambda x: layer(x) / layer.weight.data.max())(X)


def test_a_number_that_no_call_changes_may_be_looked_at():
    def f(x):
        t = mr.tensor([1.0, 2.0]) * 3
        cell = mr.LSTMCell(3, 2, forget_bias=1.0, seed=0)
        return cell(x)[0] * t.data.max() * float(t[0])

    np.testing.assert_allclose(mr.compile(f)(X).data, f(X).data, atol=1e-12)


WITH_EFFECT = {
    "backward": (
        lambda x: (x * x).sum().backward(),
        r"sum\.backward\(\) in <lambda>, which is being compiled: it would happen once, while the "
        r"function is recorded, and at no later call; compile mr\.value_and_grad\(f, wrt\)",
    ),
    "assign": (
        lambda x: x.assign(X),
        r"x\.assign\(\) in <lambda>, .* return the new numbers, and assign them outside",
    ),
}


@pytest.mark.parametrize("how", WITH_EFFECT)
def test_what_would_happen_once_is_refused(how):
    function, said = WITH_EFFECT[how]
    with pytest.raises(mr.CompileError, match=said):
        mr.compile(function)(mr.tensor(X, requires_grad=True))


def test_writing_into_an_argument_is_refused():
    def f(x):
        x[0] = 5.0
        return x

    with pytest.raises(TypeError, match="x: a recorded tensor cannot be written to"):
        mr.compile(f)(X.copy())


def test_a_state_that_is_kept_is_refused():
    class Counts(mr.Module):
        def __init__(self):
            self.seen, self.h = 0, None

        def forward(self, x):
            self.seen += 1
            return x * self.seen

    class Keeps(Counts):
        def forward(self, x):
            self.h = x if self.h is None else self.h + x
            return self.h

    for kind, name in ((Counts, "seen"), (Keeps, "h")):
        with pytest.raises(mr.CompileError, match=f"changes {kind.__name__}.{name} while it runs"):
            mr.compile(kind())(X)
    total = np.zeros(3)

    def adds(x):
        total[...] = total + 1
        return x + total

    with pytest.raises(mr.CompileError, match=r"^adds changes the array total while it runs"):
        mr.compile(adds)(X)
    rows = []
    with pytest.raises(mr.CompileError, match="changes rows while it runs"):
        mr.compile(lambda x: (rows.append(1), x)[1])(X)


def test_writing_into_a_list_or_a_dict_that_is_given_is_refused():
    cell = mr.LSTMCell(3, 2, seed=0)
    with pytest.raises(mr.CompileError, match=r"^LSTMCell writes into a list or a dict that"):
        mr.compile(cell)(X, gates={})
    with pytest.raises(mr.CompileError, match=r"^<lambda> writes into a list or a dict"):
        mr.compile(lambda x, kept: (kept[0].append(x), x)[1])(X, [[1]])

    def f(x):
        gates = {}
        cell(x, gates=gates)
        return gates

    found = mr.compile(f)(X)
    assert list(found) == ["i", "f", "g", "o"]
    np.testing.assert_allclose(found["o"].data, f(X)["o"].data, atol=1e-12)


class Foreign:
    """An array of another library."""

    def __array__(self, dtype=None, copy=None):
        return np.ones(3)


rng = np.random.default_rng(0)


def test_random_draws_are_refused():
    own = np.random.default_rng(1)
    legacy = np.random.RandomState(0)

    class Noisy(mr.Module):
        def __init__(self):
            self.rng = np.random.default_rng(2)

        def forward(self, x):
            return x + self.rng.normal(size=3)

    for f, said in (
        (lambda x: x + rng.normal(size=3), "the global rng"),
        (lambda x: x + own.normal(size=3), "own"),
        (lambda x: x + legacy.normal(size=3), "legacy"),
        (Noisy(), "Noisy.rng"),
        (lambda x: x + np.random.rand(3), "numpy.random or random"),  # noqa: NPY002
        (lambda x: x + random.random(), "numpy.random or random"),
    ):
        with pytest.raises(
            mr.CompileError, match=f"draws random numbers \\(.*{said}.*Draw outside"
        ):
            mr.compile(f)(X)
    with pytest.raises(mr.CompileError, match=r"^argument 2 is a random generator: its draws"):
        mr.compile(lambda x, r: x + r.normal(size=3))(X, own)


ARGUMENTS = {
    "set": ({1, 2}, "argument 2 is a set, which can be neither varied nor compared"),
    "complex": (np.ones(2, complex), "argument 2 holds complex128, which are no real numbers"),
    "objects": ([np.array(["a"])], r"argument 2\[0\] holds <U1, which are no real numbers"),
    "masked": ({"k": np.ma.ones(2)}, r"argument 2\['k'\] is a MaskedArray: give a plain array"),
    "iterator": (iter([1.0]), "argument 2 is a list_iterator, which is used up when"),
    "foreign": ([Foreign()], r"argument 2\[0\] is a .*Foreign: give np.asarray of it, so that its"),
    "matrix": (np.ones((2, 2)).view(np.matrix), "argument 2 is a matrix: give a plain array"),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_arguments_that_cannot_be(kind):
    value, said = ARGUMENTS[kind]
    with pytest.raises(mr.CompileError, match=said):
        mr.compile(lambda x, y: x * 2)(X, value)


def test_what_only_arrays_can_do_is_explained():
    for f in (lambda x: x.astype(float) * 2, lambda x: np.sort(x) * 2):
        with pytest.raises((AttributeError, TypeError)) as error:
            mr.compile(f)(X)
        (note,) = error.value.__notes__
        assert note.startswith("While a function is compiled its array arguments are tensors: they")


def test_results_that_cannot_be():
    for f, said in (
        (lambda x: None, "<lambda> returns None: there is nothing to compute"),
        (lambda x: 3.0, "<lambda> returns a float: there is nothing to compute"),
        (lambda x: (1, [np.ones(2)]), "<lambda> returns a tuple: there is nothing to compute"),
        (lambda x: {1, 2}, "<lambda> returns a set: a compiled function returns tensors"),
        (lambda x: (x, mr.Linear(1, 1, seed=0)), "<lambda> returns a Linear: a compiled function"),
    ):
        with pytest.raises(mr.CompileError, match=re.escape(said)):
            mr.compile(f)(X)


def test_a_tensor_computed_before_is_refused():
    w = mr.tensor(X, requires_grad=True)
    doubled = (w * 2).named("doubled")
    f = mr.compile(lambda x: x * doubled)
    with pytest.raises(
        mr.CompileError, match=r"reads doubled \(3,\), which was computed before by"
    ):
        f(X)
    g = mr.compile(lambda x, d: x * d)
    for _ in range(2):
        np.testing.assert_array_equal(g(X, w * 2).data, X * 2 * w.data)
        w.assign(w.data + 1)


def test_a_gradient_through_a_result_is_refused():
    layer = mr.Linear(3, 1, seed=0)
    f = mr.compile(lambda x: layer(x).sum())
    w = mr.tensor(2.0, requires_grad=True)
    said = r"no gradient passes through its result: compile mr\.value_and_grad\(f, wrt\)"
    for ask in (
        lambda: f(X).backward(),
        lambda: (f(X) * w).backward(),
        lambda: mr.grad(f(X), layer.weight),
        lambda: mr.vjp(f(X) * 2, layer.weight),
        lambda: mr.jvp(f(X), layer.bias, [1.0]),
    ):
        with pytest.raises(RuntimeError, match=said):
            ask()
    (f(X).detach() * w).backward()
    assert w.grad == f(X).item()
    g = mr.compile(lambda x: (x * x).sum())
    with pytest.raises(RuntimeError, match=said):
        g(mr.tensor(X, requires_grad=True)).backward()


def test_what_is_no_function():
    with pytest.raises(TypeError, match=r"^compile takes a function or a module, not a int$"):
        mr.compile(3)
