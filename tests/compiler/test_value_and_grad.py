"""`mr.value_and_grad`: value and gradients, compiled or not, beside `backward` and torch."""

import copy

import numpy as np
import pytest

import microrecur as mr

RNG = np.random.default_rng(1)


def close(got, wanted, tolerance=1e-12):
    """Equal to 1e-12 of the largest entry."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    atol = tolerance * max(1, np.abs(wanted).max(initial=0))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=atol)


def both(f, wrt):
    """Uncompiled and compiled."""
    plain = mr.value_and_grad(f, wrt)
    return [plain, mr.compile(plain)]


@pytest.fixture(params=["recorded", "compiled"])
def make(request):
    """value_and_grad, simply running or compiled."""
    compiled = request.param == "compiled"
    return lambda f, wrt: both(f, wrt)[compiled]


class Reader(mr.Module):
    """A layer of some kind, its last output through a head."""

    def __init__(self, kind, **options):
        self.layer = getattr(mr, kind)(3, 4, seed=0, **options)
        width = self.layer(np.zeros((1, 3)))[0].shape[-1]
        self.head = mr.Linear(width, 5, seed=1)

    def forward(self, x):
        return self.head(self.layer(x)[0][-1])


KINDS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
    ("LSTM", {}),
    ("LSTM", {"peephole": True, "bidirectional": True}),
    ("LSTM", {"num_layers": 2, "proj_size": 2, "layer_norm": True}),
    ("GRU", {}),
    ("GRU", {"reset_after": False, "num_layers": 2, "bidirectional": True}),
]


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
@pytest.mark.parametrize("length", [1, 7])
def test_gradients_are_those_of_backward(make, kind, options, length):
    model = Reader(kind, **options)
    f = make(lambda x, y: mr.cross_entropy(model(x), y), model)
    for _ in range(3):
        x, y = RNG.normal(size=(length, 6, 3)), RNG.integers(0, 5, 6)
        value, gradients = f(x, y)
        assert all(p.grad is None for p in model.parameters())
        loss = mr.cross_entropy(model(x), y)
        loss.backward()
        close(value.data, loss.data)
        for g, p in zip(gradients, model.parameters(), strict=True):
            assert type(g) is np.ndarray
            close(g, p.grad)
            p.assign(p.data - 0.3 * g)
        model.zero_grad()


def test_gradients_are_torchs(make):
    torch = pytest.importorskip("torch")
    model = Reader("LSTM", num_layers=2)
    theirs, head = torch.nn.LSTM(3, 4, 2).double(), torch.nn.Linear(4, 5).double()
    theirs.load_state_dict(mr.to_torch_state_dict(model.layer))
    head.load_state_dict(mr.to_torch_state_dict(model.head))
    f = make(lambda x, y: mr.cross_entropy(model(x), y), model)
    for _ in range(3):
        x, y = RNG.normal(size=(5, 6, 3)), RNG.integers(0, 5, 6)
        loss = torch.nn.functional.cross_entropy(
            head(theirs(torch.tensor(x))[0][-1]), torch.tensor(y)
        )
        wanted = torch.autograd.grad(loss, [*theirs.parameters(), *head.parameters()])
        value, gradients = f(x, y)
        close(value.data, loss.detach().numpy())
        names = dict(zip([n for n, _ in model.named_parameters()], gradients, strict=True))
        ordered = [f"layer.{n}" for n, _ in theirs.named_parameters()] + [
            "head.weight",
            "head.bias",
        ]
        for name, g in zip(ordered, wanted, strict=True):
            close(names[name], g.numpy())


def test_a_cell_of_ones_own(make):
    class Minimal(mr.Module):
        """h = (1−f)⊙h + f⊙tanh(x W + (f⊙h) U), the minimal gated unit."""

        def __init__(self):
            draw = np.random.default_rng(0).normal
            for name, shape in (("W", (3, 4)), ("U", (4, 4)), ("W_f", (3, 4)), ("U_f", (4, 4))):
                setattr(self, name, mr.tensor(0.5 * draw(size=shape), requires_grad=True))

        def forward(self, x, h):
            h = mr.tensor(np.zeros((2, 4))) if h is None else h
            f = mr.sigmoid(x @ self.W_f + h @ self.U_f).named("f")
            return ((1 - f) * h + f * mr.tanh(x @ self.W + (f * h) @ self.U)).named("h")

    cell = Minimal()
    f = make(lambda x: (mr.unroll(cell, x)[-1] ** 2).sum(), cell)
    for _ in range(2):
        x = RNG.normal(size=(6, 2, 3))
        value, gradients = f(x)
        loss = (mr.unroll(cell, x)[-1] ** 2).sum()
        close(value.data, loss.data)
        for g, p in zip(gradients, cell.parameters(), strict=True):
            close(g, mr.vjp(loss, p))
        cell.U.assign(cell.U.data * 1.2)


def test_by_arguments(make):
    def f(x, y, n):
        return (x * x * y).sum() * n

    for _ in range(2):
        x, y = RNG.normal(size=3), RNG.normal(size=3)
        value, gradient = make(f, 0)(x, y, 2)
        close(value.data, 2 * (x * x * y).sum())
        close(gradient, 4 * x * y)
        _, (by_y, by_x) = make(f, (1, 0))(x, mr.tensor(y), 2)
        close(by_x, 4 * x * y)
        close(by_y, 2 * x * x)


def test_by_a_nested_argument(make):
    f = make(lambda p, x: (p["w"] * x + p["b"][0]).sum(), 0)
    for _ in range(2):
        w, b, x = RNG.normal(size=3), RNG.normal(size=3).astype(np.float32), RNG.normal(size=3)
        _, gradient = f({"w": w, "b": [b, "kept"]}, x)
        close(gradient["w"], x)
        close(gradient["b"][0], np.ones(3, np.float32))
        assert gradient["b"][1] == "kept"


def test_by_tensors_in_their_order(make):
    w, b, unused = (mr.tensor(RNG.normal(size=3), requires_grad=True) for _ in range(3))

    def f(x):
        return (w * x + b).sum()

    x = RNG.normal(size=3)
    _, gradients = make(f, [b, w, unused])(x)
    for g, wanted in zip(gradients, (np.ones(3), x, np.zeros(3)), strict=True):
        close(g, wanted)
    close(make(f, w)(x)[1], x)
    close(make(lambda x: w.sum() * 1.0, w)(x)[1], np.ones(3))


def test_the_value_may_be_a_leaf_or_not_depend_on_it(make):
    w = mr.tensor(3.0, requires_grad=True)
    value, gradient = make(lambda x: x, 0)(mr.tensor(2.0))
    assert (value.item(), gradient) == (2.0, 1.0)
    value, gradient = make(lambda x: w, w)(1.0)
    assert (value.item(), gradient) == (3.0, 1.0)
    value, gradient = make(lambda x: x * 2, w)(mr.tensor(2.0))
    assert (value.item(), gradient) == (4.0, 0.0)


def test_neither_grad_nor_history_is_left(make):
    layer = mr.Linear(3, 1, seed=0)
    layer.weight.grad = before = np.ones((1, 3))
    value, gradients = make(lambda x: layer(x).sum(), layer)(RNG.normal(size=(2, 3)))
    assert layer.weight.grad is before
    assert not value.inputs or value.op.name == "compiled"
    gradients[0][...] = 7  # the caller's own
    again = make(lambda x: layer(x).sum(), layer)(np.ones((2, 3)))[1][0]
    close(again, np.full((1, 3), 2.0))


def test_gradients_outlive_the_next_call(make):
    f = make(lambda x: (x * x).sum(), 0)
    first = f(np.ones(3))[1]
    f(np.full(3, 5.0))
    close(first, np.full(3, 2.0))


def test_under_no_grad_it_is_still_asked_for(make):
    layer = mr.Linear(3, 1, seed=0)
    with mr.no_grad():
        _, gradients = make(lambda x: layer(x).sum(), layer)(np.ones((2, 3)))
    close(gradients[1], np.array([2.0]))


def test_a_gradient_of_a_gradient(make):
    penalty = make(lambda x: (mr.grad((x**3).sum(), x) ** 2).sum(), 0)
    for x in (np.array([1.0, 2.0]), np.array([-1.0, 0.5])):
        value, gradient = penalty(x)
        close(value.data, (9 * x**4).sum())
        close(gradient, 36 * x**3)


def test_single_precision(make):
    model = Reader("GRU", dtype=np.float32)
    model.to(np.float32)
    f = make(lambda x, y: mr.mse_loss(model(x), y), model)
    exact = copy.deepcopy(model).to(np.float64)
    g = mr.value_and_grad(lambda x, y: mr.mse_loss(exact(x), y), exact)
    for _ in range(2):
        x, y = RNG.normal(size=(5, 2, 3)), RNG.normal(size=(2, 5))
        value, gradients = f(x, y)
        assert value.dtype == np.float32
        for a, b in zip(gradients, g(x, y)[1], strict=True):
            assert a.dtype == np.float32
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1e-310, 1.0, 40.0, 1e5])
def test_denormal_and_saturated_inputs(size):
    """Where the recorded run keeps digits that rounding loses, entries are within 1e-12."""
    for kind in ("RNN", "LSTM", "GRU"):
        model = Reader(kind)
        plain, compiled = both(lambda x, y, m=model: mr.cross_entropy(m(x), y), model)
        for _ in range(2):
            x, y = size * RNG.normal(size=(5, 2, 3)), RNG.integers(0, 5, 2)
            (value, wanted), (got, gradients) = plain(x, y), compiled(x, y)
            close(got.data, value.data)
            for a, b in zip(gradients, wanted, strict=True):
                close(a, b)


def test_numbers_that_are_none():
    layer = mr.GRU(3, 4, seed=0)
    plain, compiled = both(lambda x: (layer(x)[0] ** 2).sum(), layer)
    for bad in (np.inf, -np.inf, np.nan):
        x = RNG.normal(size=(4, 2, 3))
        x[1, 0, 1] = bad
        with np.errstate(all="ignore"):
            (value, wanted), (got, gradients) = plain(x), compiled(x)
        np.testing.assert_array_equal(np.isfinite(got.data), np.isfinite(value.data))
        for a, b in zip(gradients, wanted, strict=True):
            np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
    close(compiled(np.ones((4, 2, 3)))[0].data, plain(np.ones((4, 2, 3)))[0].data)


def test_one_number_at_a_time():
    cell = mr.LSTMCell(1, 1, seed=0)

    def f(xs):
        return (mr.unroll(cell, xs)[-1][0] - 0.5) ** 2

    plain, compiled = both(f, cell)
    for _ in range(3):
        xs = RNG.normal(size=8)
        (value, wanted), (got, gradients) = plain(xs), compiled(xs)
        close(got.data, value.data)
        for a, b in zip(gradients, wanted, strict=True):
            close(a, b)
        cell.weight_hh.assign(cell.weight_hh.data + 0.1)


def test_what_wrt_cannot_be():
    f = mr.tanh
    for wrt, said in (
        ("x", "not 'x'|not a str"),
        (-1, "the numbers of arguments from 0, not -1"),
        (True, "not a bool"),
        ([mr.tensor(1.0), 0], "one kind and at least one"),
        ([], "one kind and at least one"),
        ([mr.Linear(1, 1)], "a sequence of tensors"),
        (1.5, "not 1.5|iterable"),
    ):
        with pytest.raises(TypeError, match=said):
            mr.value_and_grad(f, wrt)
    with pytest.raises(ValueError, match=r"^value_and_grad: Dropout has no parameters$"):
        mr.value_and_grad(f, mr.Dropout())
    with pytest.raises(TypeError, match=r"^value_and_grad takes a function, not a Tensor; mr\.vjp"):
        mr.value_and_grad(mr.tensor(1.0), 0)


def test_what_cannot_be_differentiated(make):
    def total(x, n=1):
        return x.sum()

    for args, wrt, said in (
        ((np.ones(3, int),), 0, "argument 0 holds int64, and a gradient of whole numbers means"),
        ((1.5,), 0, "argument number 0 of total is a float: a gradient belongs to arrays and"),
        ((np.ones(3),), 1, "argument number 1 of total is wanted, but 1 were given by place"),
    ):
        with pytest.raises(TypeError, match=said):
            make(total, wrt)(*args)
    with pytest.raises(mr.ShapeError, match=r"has shape \(3,\), 3 numbers, so there is no single"):
        make(lambda x: x * 2, 0)(np.ones(3))
    with pytest.raises(TypeError, match=r"must return one number as a tensor, not a tuple of 2"):
        make(lambda x: (x.sum(), x), 0)(np.ones(3))
    with pytest.raises(TypeError, match=r"must return one number as a tensor, not a float"):
        make(lambda x: 3.0, 0)(np.ones(3))
