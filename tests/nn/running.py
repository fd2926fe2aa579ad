"""Run a cell over a sequence, here and in torch, and collect values and all gradients by name."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import microrecur as mr


class Sizes(NamedTuple):
    """One drawn case; batch None is one sequence without a batch axis."""

    inputs: int
    hidden: int
    batch: int | None
    steps: int
    bias: bool
    seed: int

    @property
    def lead(self):
        return () if self.batch is None else (self.batch,)


sizes = st.builds(
    Sizes,
    inputs=st.integers(1, 4),
    hidden=st.integers(1, 4),
    batch=st.none() | st.integers(1, 3),
    steps=st.integers(1, 4),
    bias=st.booleans(),
    seed=st.integers(0, 2**16),
)


def problem(case, *, with_c):
    """Inputs, initial states, and the loss's weights: a on every h, e on the last c."""
    rng = np.random.default_rng(case.seed)
    state = (*case.lead, case.hidden)
    drawn = {
        "xs": rng.normal(size=(case.steps, *case.lead, case.inputs)),
        "a": rng.normal(size=(case.steps, *state)),
        "h0": rng.normal(size=state),
    }
    return drawn | ({"e": rng.normal(size=state), "c0": rng.normal(size=state)} if with_c else {})


def collected(hs, cs, loss, to_array):
    values = {"h": np.array([to_array(h) for h in hs])}
    if cs:
        values["c"] = np.array([to_array(c) for c in cs])
    loss.backward()
    return values


def gradients(tensors, parameters, to_array):
    """Gradients by name; those of the xs stacked in order of time."""
    xs, states = tensors
    found = {"x": np.array([to_array(x.grad) for x in xs])}
    found |= {name: to_array(s.grad) for name, s in states.items()}
    return found | {name: to_array(p.grad) for name, p in parameters}


def loss_of(hs, cs, given, wrap):
    loss = sum((wrap(a) * h).sum() for a, h in zip(given["a"], hs, strict=True))
    return loss + (wrap(given["e"]) * cs[-1]).sum() if cs else loss


def ours(cell, given):
    """Values and gradients of our cell, unrolled."""
    xs = [mr.tensor(x, requires_grad=True) for x in given["xs"]]
    states = {k: mr.tensor(given[k], requires_grad=True) for k in ("h0", "c0") if k in given}
    before = tuple(states.values()) if len(states) > 1 else states["h0"]
    after = mr.unroll(cell, xs, before)
    hs, cs = zip(*after, strict=True) if len(states) > 1 else (after, ())
    values = collected(hs, cs, loss_of(hs, cs, given, mr.tensor), mr.Tensor.numpy)
    return values | gradients((xs, states), cell.named_parameters(), np.array)


def theirs(torch, cell, given):
    """Values and gradients of torch's cell, stepped by hand."""

    def leaf(a):
        return torch.tensor(a, requires_grad=True)

    def to_array(t):
        return t.detach().numpy()

    xs = [leaf(x) for x in given["xs"]]
    states = {k: leaf(given[k]) for k in ("h0", "c0") if k in given}
    state = tuple(states.values()) if len(states) > 1 else states["h0"]
    hs, cs = [], []
    for x in xs:
        state = cell(x, state)
        hs.append(state[0] if len(states) > 1 else state)
        cs += [state[1]] if len(states) > 1 else []
    values = collected(hs, cs, loss_of(hs, cs, given, torch.tensor), to_array)
    return values | gradients((xs, states), cell.named_parameters(), to_array)


def agree(got, expected, tolerance=1e-10):
    """The same names, and behind each the same numbers."""
    assert sorted(got) == sorted(expected)
    for name, value in expected.items():
        message = f"{name} differs"
        np.testing.assert_allclose(
            got[name], value, rtol=tolerance, atol=tolerance, err_msg=message, strict=True
        )
