"""Recorded graphs to compile, and what their recording says when it is run again."""

import numpy as np

import microrecur as mr
from microrecur.compiler.plan import build
from microrecur.engine.tensor import ancestry

SEED = 7


def numbers(shape, seed, dtype=np.float64, scale=1.0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def rerun(inputs, outputs, arrays):
    """What the recorded ops say of other numbers, one by one: no plan is involved."""
    values = {x: np.asarray(a) for x, a in zip(inputs, arrays, strict=True)}
    with np.errstate(all="ignore"):
        for node in ancestry(outputs):
            if node not in values:
                values[node] = (
                    node._data
                    if node.op is None
                    else node.op.forward(*[values[x] for x in node.inputs], **node.static)
                )
    return [np.asarray(values[y]) for y in outputs]


def changed(inputs, seed=SEED, scale=1.0):
    """Other numbers for every input, of its shape and dtype."""
    return [
        numbers(x.shape, (seed, k), x.dtype, scale) if x.dtype.kind == "f" else x.data.copy()
        for k, x in enumerate(inputs)
    ]


def same(got, expected, tolerance=1e-12):
    for k, (g, e) in enumerate(zip(got, expected, strict=True)):
        assert g.shape == e.shape and g.dtype == e.dtype, k
        finite = np.isfinite(e)
        largest = np.abs(e[finite]).max(initial=1.0)
        np.testing.assert_allclose(
            g, e, rtol=0, atol=tolerance * largest, equal_nan=True, err_msg=f"output {k}"
        )


def check(inputs, outputs, tolerance=1e-12, scale=1.0):
    """Hold a plan against the recording: its own numbers, then others, then its own again."""
    plan = build(inputs, outputs)
    assert plan.fallen_back is None  # right by itself, without the net below it
    own = [x.data.copy() for x in inputs]
    for arrays in (own, changed(inputs, scale=scale), own):
        kept = [a.copy() for a in arrays]
        got = plan.run(arrays)
        same(got, rerun(inputs, outputs, arrays), tolerance)
        for a, k in zip(arrays, kept, strict=True):
            np.testing.assert_array_equal(a, k)
    return plan


LAYERS = {"rnn": mr.RNN, "lstm": mr.LSTM, "gru": mr.GRU}


def layer_graph(
    kind="lstm", T=4, N=3, I=2, H=3, dtype=np.float64, loss="last", lengths=None, state=False,  # noqa: E741
    scale=1.0, **options,
):  # fmt: skip
    """(inputs, outputs): loss and every gradient of a recurrent layer."""
    layer = LAYERS[kind](I, H, seed=1, dtype=dtype, **options)
    first = options.get("batch_first", False) and N is not None
    shape = (T, I) if N is None else (N, T, I) if first else (T, N, I)
    x = mr.tensor(numbers(shape, 1, dtype, scale), name="x")
    given = []
    if state:
        cells = len(layer.cells)
        lead = () if N is None else (N,)
        given = [
            mr.tensor(numbers((cells, *lead, H), 3 + k, dtype)) for k in range(1 + (kind == "lstm"))
        ]
    start = (tuple(given) if kind == "lstm" else given[0]) if state else None
    output, last = layer(x, start, lengths=lengths)[:2]
    h = last[0] if kind == "lstm" else last
    target = mr.tensor(numbers((output if loss == "all" else h).shape, 2, dtype))
    value = mr.mse_loss(output if loss == "all" else h, target)
    parameters = [p for _, p in layer.named_parameters()]
    wrt = [x, *given, *parameters]
    return [x, target, *given, *parameters], [
        value, output, *mr.grad(value, wrt, by_result=True)
    ]  # fmt: skip
