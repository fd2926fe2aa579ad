"""A learner's own cell as a plain class, and what a function takes from elsewhere."""

import itertools

import numpy as np
import pytest

import microrecur as mr

X = np.array([1.0, 2.0])


class Cell:
    def __init__(self):
        self.cfg, self.ws = {"k": 2.0}, [mr.tensor([1.0, 2.0])]
        self.act, self.steps = [mr.tanh], itertools.count()

    def __call__(self, x):
        return self.act[0](x * self.cfg["k"] * self.ws[0])


class Narrow:
    __slots__ = ("__p", "k", "w")

    def __init__(self):
        self.k, self.__p, self.w = 2.0, [1.0], np.ones(2)

    def __call__(self, x):
        return x * self.k * self.__p[0] * self.w

    def set_p(self):
        self.__p[0] = 5.0


CHANGES = {
    "entry of a dict": (Cell, lambda c: c.cfg.update(k=3.0)),
    "entry of a list": (Cell, lambda c: c.ws.__setitem__(0, mr.tensor([5.0, 6.0]))),
    "numbers of a tensor in a list": (Cell, lambda c: c.ws[0].assign([7.0, 8.0])),
    "function in a list": (Cell, lambda c: c.act.__setitem__(0, mr.sin)),
    "slot": (Narrow, lambda c: setattr(c, "k", 3.0)),
    "list in a private slot": (Narrow, lambda c: c.set_p()),
    "array in a slot": (Narrow, lambda c: c.w.__setitem__(0, 4.0)),
    "another array in a slot": (Narrow, lambda c: setattr(c, "w", np.zeros(2))),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("how", ["itself", "closed over"])
def test_what_a_plain_cell_holds_is_seen(what, how):
    kind, change = CHANGES[what]
    cell = kind()
    f = mr.compile(cell if how == "itself" else lambda x: cell(x))
    before = f(X).data
    change(cell)
    expected = cell(mr.tensor(X)).data
    assert not np.array_equal(before, expected)
    np.testing.assert_allclose(f(X).data, expected, rtol=1e-15)


class Counting(Cell):
    def __call__(self, x):
        return x * next(self.steps)


class Remembering(Narrow):
    __slots__ = ("rows",)

    def __init__(self):
        super().__init__()
        self.rows = []

    def __call__(self, x):
        self.rows.append(1)
        return x


counter = itertools.count()
pairs = zip([1.0, 2.0], [3.0, 4.0], strict=True)


def closing_over_a_generator():
    numbers = (k for k in (1.0, 2.0))
    return lambda x: x * next(numbers)


def closing_over_an_iterator():
    numbers = iter([1.0, 2.0])
    return lambda x: x * next(numbers)


@pytest.mark.parametrize(
    ("f", "said"),
    [
        (lambda x: x * next(counter), "reads the global counter, a count, which"),
        (lambda x: x * next(pairs)[0], "reads the global pairs, a zip, which"),
        (closing_over_a_generator(), "reads numbers, a generator, which"),
        (closing_over_an_iterator(), "reads numbers, a list_iterator, which"),
        (Counting(), "reads Counting.steps, a count, which"),
        (Remembering(), "Remembering.rows while it runs"),
        (lambda x: x * np.random.default_rng().normal(), "of a generator made without a seed"),
        (lambda x: x * np.random.RandomState().normal(), "of a generator made without a seed"),
        (lambda x: mr.LSTMCell(2, 2)(x)[0], "of a generator made without a seed"),
    ],
)
def test_what_every_call_would_take_anew_is_refused(f, said):
    with pytest.raises(mr.CompileError, match="(?s)" + said) as error:
        mr.compile(f)(X)
    assert "it is recorded once" in str(error.value)


@pytest.mark.parametrize("run", [lambda f: f, mr.compile], ids=["recorded", "compiled"])
def test_a_place_that_is_not_there_is_no_matter_of_shapes(run):
    f = run(lambda v, n: v[n] * 2)
    with pytest.raises(IndexError, match=r"^getitem: the index does not fit: .*index 7 is out"):
        f(mr.tensor(np.ones(5)), np.array([7]))


def test_what_is_the_same_at_every_call_is_not():
    waiting = itertools.count()  # held, not read

    class Held(Cell):
        def __init__(self):
            super().__init__()
            self.pairs = zip([1], [2], strict=True)

    for f in (
        lambda x: x * next(iter([2.0, 3.0])),
        lambda x: x * np.random.default_rng(0).normal(),
        lambda x: mr.LSTMCell(2, 2, seed=0)(x)[0] + (0 if waiting else 1),
        Held(),
    ):
        g = mr.compile(f)
        np.testing.assert_allclose(g(X).data, f(mr.tensor(X)).data, rtol=1e-14)
        np.testing.assert_array_equal(g(X).data, g(X).data)
    np.random.default_rng()  # nobody is asked outside of a recording
