"""Run a recurrent layer here and in torch, and collect values and all gradients by name."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import strategies as st

import microrecur as mr


class Case(NamedTuple):
    """One drawn layer and the sequences it is given; batch None is one without a batch axis."""

    inputs: int
    hidden: int
    layers: int
    bidirectional: bool
    bias: bool
    batch_first: bool
    batch: int | None
    steps: int
    state: bool
    lengths: bool
    seed: int

    @property
    def arguments(self):
        return {
            "input_size": self.inputs,
            "hidden_size": self.hidden,
            "num_layers": self.layers,
            "bias": self.bias,
            "batch_first": self.batch_first,
            "bidirectional": self.bidirectional,
        }


cases = st.builds(
    Case,
    inputs=st.integers(1, 3),
    hidden=st.integers(2, 3),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    batch_first=st.booleans(),
    batch=st.none() | st.integers(1, 3),
    steps=st.integers(1, 4),
    state=st.booleans(),
    lengths=st.booleans(),
    seed=st.integers(0, 2**16),
)


def problem(case, sizes, dtype=np.float64):
    """The input, initial states of these sizes (h, or h and c), lengths, and a weight per output.

    The weights are drawn when the outputs' shapes are known: `weigh` does it in their order.
    """
    rng = np.random.default_rng(case.seed)
    lead = () if case.batch is None else (case.batch,)
    shape = (case.steps, *lead, case.inputs)
    if case.batch_first and lead:
        shape = (*lead, case.steps, case.inputs)
    given = {"x": rng.normal(size=shape).astype(dtype)}
    if case.state:
        rows = case.layers * (1 + case.bidirectional)
        for letter, size in zip("hc", sizes, strict=False):
            given[f"{letter}_0"] = rng.normal(size=(rows, *lead, size)).astype(dtype)
    lengths = None
    if case.lengths and lead:
        lengths = rng.integers(1, case.steps + 1, size=case.batch)
    return given, lengths


def weigh(values, wrap):
    """A loss that depends on every number of the outputs, each with a weight of its own."""
    rng = np.random.default_rng(1)
    return sum((wrap(rng.normal(size=tuple(v.shape)), v) * v).sum() for v in values)


def flat(answer):
    """(output, h_n) or (output, (h_n, c_n)) as one list."""
    output, state = answer
    return [output, *(state if isinstance(state, tuple) else (state,))]


def collected(outputs, leaves, layer, value_of, gradient_of):
    found = dict(zip(("output", "h_n", "c_n"), map(value_of, outputs), strict=False))
    everything = [*leaves.items(), *layer.named_parameters()]
    return found | {f"∂{name}": gradient_of(leaf.grad) for name, leaf in everything}


def ours(layer, given, lengths):
    leaves = {name: mr.tensor(value, requires_grad=True) for name, value in given.items()}
    x, *state = leaves.values()
    state = tuple(state) if len(state) > 1 else state[0] if state else None
    outputs = flat(layer(x, state, lengths=lengths))
    weigh(outputs, lambda a, like: mr.tensor(a, dtype=like.dtype)).backward()
    return collected(outputs, leaves, layer, mr.Tensor.numpy, np.array)


def theirs(torch, layer, given, lengths):
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in given.items()}
    x, *state = leaves.values()
    state = tuple(state) if len(state) > 1 else state[0] if state else None
    if lengths is None:
        outputs = flat(layer(x, state))
    else:
        rnn, first = torch.nn.utils.rnn, layer.batch_first
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=first, enforce_sorted=False)
        packed, *state = flat(layer(packed, state))
        steps = x.shape[1 if first else 0]
        output, _ = rnn.pad_packed_sequence(packed, batch_first=first, total_length=steps)
        outputs = [output, *state]
    weigh(outputs, lambda a, like: torch.tensor(a, dtype=like.dtype)).backward()
    return collected(outputs, leaves, layer, lambda v: v.detach().numpy(), lambda g: g.numpy())


# -- every kind of layer, also those torch lacks


def first(state):
    return state[0] if isinstance(state, tuple) else state


def states_of(answer):
    return answer[1] if isinstance(answer[1], tuple) else (answer[1],)


LAYERS = {
    "RNN": (mr.RNN, {}),
    "LSTM": (mr.LSTM, {}),
    "LSTM peephole": (mr.LSTM, {"peephole": True}),
    "LSTM layer-norm": (mr.LSTM, {"layer_norm": True, "peephole": True, "proj_size": 2}),
    "GRU": (mr.GRU, {}),
    "GRU reset before": (mr.GRU, {"reset_after": False}),
    "GRU layer-norm": (mr.GRU, {"layer_norm": True}),
    "RNN layer-norm": (mr.RNN, {"layer_norm": True, "nonlinearity": "sigmoid"}),
}
every_layer = pytest.mark.parametrize(("make", "options"), LAYERS.values(), ids=LAYERS)
