"""`mr.compile`: the same numbers as the recorded run, whatever has changed between two calls."""

import copy
import functools
import gc
import importlib
import pickle
import threading
import types
import warnings
from collections import deque
from typing import NamedTuple

import numpy as np
import pytest

import microrecur as mr
from microrecur.compiler.compiled import KEPT

RNG = np.random.default_rng(0)
TOLERANCE = 1e-12


def numbers(result):
    """All arrays of a nested result, in order."""
    if isinstance(result, dict):
        return [a for v in result.values() for a in numbers(v)]
    if isinstance(result, (tuple, list)):
        return [a for v in result for a in numbers(v)]
    return [result.data if isinstance(result, mr.Tensor) else np.asarray(result)]


def agrees(compiled, *args, function=None, **kwargs):
    """Call it, and run its function on the same; compare every number, shape and dtype."""
    got = compiled(*args, **kwargs)
    wanted = (function or compiled.function)(*args, **kwargs)
    assert len(numbers(got)) == len(numbers(wanted))
    for a, b in zip(numbers(got), numbers(wanted)):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        tolerance = TOLERANCE if a.dtype != np.float32 else 2e-5
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(b).max(initial=0)))
    return got


def recorded(compiled):
    """How often it has been recorded."""
    return compiled._recorded


# --- what is read anew --------------------------------------------------------------------------


def test_arguments_are_read_anew():
    f = mr.compile(lambda x, y: (mr.tanh(x) * y).sum(axis=0))
    for _ in range(3):
        agrees(f, mr.tensor(RNG.normal(size=(3, 2))), mr.tensor(RNG.normal(size=2)))
        agrees(f, mr.tensor(RNG.normal(size=(3, 2))), y=RNG.normal(size=2))
    assert recorded(f) == 2  # y by place as a tensor, and by name as an array


LAYERS = {
    "RNN": lambda: mr.RNN(3, 4, seed=0),
    "RNN relu": lambda: mr.RNN(3, 4, nonlinearity="relu", seed=0),
    "LSTM": lambda: mr.LSTM(3, 4, seed=0),
    "LSTM peephole": lambda: mr.LSTM(3, 4, peephole=True, seed=0),
    "LSTM proj": lambda: mr.LSTM(3, 4, proj_size=2, seed=0),
    "LSTM stacked": lambda: mr.LSTM(3, 4, num_layers=2, bidirectional=True, seed=0),
    "LSTM normed": lambda: mr.LSTM(3, 4, layer_norm=True, seed=0),
    "GRU": lambda: mr.GRU(3, 4, seed=0),
    "GRU before": lambda: mr.GRU(3, 4, reset_after=False, bidirectional=True, seed=0),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_compiled_and_its_parameters_are_read_anew(kind):
    layer = LAYERS[kind]()
    whole = mr.compile(layer)
    total = mr.compile(lambda x: layer(x)[0].sum())
    for _ in range(3):
        x = RNG.normal(size=(5, 2, 3))
        agrees(whole, x)
        agrees(total, x)
        for p in layer.parameters():
            p.assign(p.data + 0.1 * RNG.normal(size=p.shape))
    layer.load_state_dict({k: v * 0.5 for k, v in layer.state_dict().items()})
    agrees(whole, x)
    agrees(total, x)
    assert recorded(whole) == recorded(total) == 1


def test_a_frozen_parameter_would_be_seen():
    """The check that the tests of this file stand on: a plan with a constant weight is no match."""
    layer = mr.Linear(3, 2, seed=0)
    f = mr.compile(layer)
    x = RNG.normal(size=(4, 3))
    f(x)
    recording = f._last[1]
    frozen = [p.numpy() for p in recording._parameters]
    for p in layer.parameters():
        p.assign(p.data + 1)
    agrees(f, x)
    recording._parameters = [mr.tensor(a) for a in frozen]  # planted
    with pytest.raises(AssertionError):
        agrees(f, x)


def test_an_optimisers_steps_are_seen():
    layer = mr.GRU(2, 3, seed=0)
    f = mr.compile(lambda x: layer(x)[1].sum())
    optimizer = mr.Adam(layer, 0.1)
    for _ in range(3):
        x = RNG.normal(size=(4, 2, 2))
        optimizer.zero_grad()
        layer(x)[1].sum().backward()
        optimizer.step()
        agrees(f, x)
    assert recorded(f) == 1


def test_a_parameter_that_was_replaced_is_seen():
    layer = mr.Linear(3, 2, seed=0)
    f, g = mr.compile(layer), mr.compile(lambda x: x @ layer.weight.T)
    x = RNG.normal(size=(4, 3))
    for _ in range(2):
        agrees(f, x)
        agrees(g, x)
        layer.weight = mr.tensor(RNG.normal(size=(2, 3)), requires_grad=True)
    agrees(f, x)
    agrees(g, x)
    layer.to(np.float32)
    agrees(f, x)
    layer.bias = None
    agrees(f, x)


def test_training_and_evaluation_are_told_apart():
    model = mr.Sequential(mr.Linear(3, 50, seed=0), mr.Dropout(0.5, seed=1))
    f = mr.compile(model)
    x = RNG.normal(size=(4, 3))
    model.eval()
    agrees(f, x)
    model.train()
    assert (f(x).data == 0).any()
    model.eval()
    assert not (agrees(f, x).data == 0).any()


def test_dropout_draws_the_masks_that_it_would_have_drawn():
    model = mr.Sequential(mr.Linear(3, 5, seed=0), mr.Dropout(0.5, seed=1), mr.Dropout(0.2, seed=2))
    plain = copy.deepcopy(model)
    f = mr.compile(model)
    x = RNG.normal(size=(4, 3))
    seen = [agrees(f, x, function=plain).numpy() for _ in range(4)]
    assert not np.array_equal(seen[0], seen[1])
    assert [m.calls for m in model.modules[1:]] == [4, 4]
    assert recorded(f) == 1


def test_a_masked_layer_between_two_of_a_stack_draws_for_every_step():
    layer = mr.LSTM(3, 4, num_layers=2, dropout=0.5, seed=0)
    plain, f = copy.deepcopy(layer), mr.compile(layer)
    for _ in range(3):
        x = RNG.normal(size=(4, 2, 3))
        for a, b in zip(numbers(f(x)), numbers(plain(x))):
            np.testing.assert_allclose(a, b, atol=1e-12)


# --- integers, masks, lengths -------------------------------------------------------------------


def test_targets_may_change():
    f = mr.compile(mr.cross_entropy)
    for _ in range(4):
        agrees(f, RNG.normal(size=(6, 4)), RNG.integers(0, 4, 6))
        agrees(f, RNG.normal(size=(6, 4, 2)), RNG.integers(0, 4, (6, 2)))
    agrees(f, RNG.normal(size=(6, 4)), np.array([0, -100, 1, 2, -100, 3]))
    agrees(f, 1e4 * RNG.normal(size=(6, 4)), RNG.integers(0, 4, 6))
    with pytest.raises(ValueError, match=r"^cross_entropy: target 4 is no class"):
        f(RNG.normal(size=(6, 4)), np.full(6, 4))
    agrees(f, RNG.normal(size=(6, 4)), RNG.integers(0, 4, 6))
    assert recorded(f) == 2


def test_masks_may_change():
    f = mr.compile(lambda x, y, mask: mr.mse_loss(x, y, mask=mask))
    g = mr.compile(lambda x, y, mask: mr.cross_entropy(x, y, mask=mask))
    for _ in range(4):
        mask = RNG.random(6) < 0.5
        mask[0] = True
        agrees(f, RNG.normal(size=6), RNG.normal(size=6), mask)
        agrees(g, RNG.normal(size=(6, 3)), RNG.integers(0, 3, 6), mask)
    assert np.isnan(f(np.ones(6), np.ones(6), np.zeros(6, bool)).data)
    assert recorded(f) == recorded(g) == 1


def test_probabilities_are_checked_at_every_call():
    f = mr.compile(mr.binary_cross_entropy_with_logits)
    for _ in range(3):
        agrees(f, RNG.normal(size=5), RNG.random(5))
    with pytest.raises(ValueError, match=r"a target is a probability from 0 to 1, not 2$"):
        f(np.ones(5), np.full(5, 2.0))


def test_symbols_may_change():
    table = mr.Embedding(5, 3, seed=0)
    f = mr.compile(table)
    for _ in range(4):
        agrees(f, RNG.integers(0, 5, (2, 4)))
    assert recorded(f) == 1
    with pytest.raises(IndexError, match=r"^Embedding: indices run from 0 to 5"):
        f(np.array([[0, 5, 0, 0]] * 2))


INDEXED = {
    "rows": lambda x, i: x[i],
    "columns": lambda x, i: x[:, i],
    "both": lambda x, i: x[i, i[::-1]],
    "take": lambda x, i: mr.take(x, i, axis=1),
    "flat": lambda x, i: mr.take(x, i),
    "one": lambda x, i: x[i[0]],
    "gradient": lambda x, i: mr.grad((x[i] * x[i] * x[i]).sum(), x),
}


@pytest.mark.parametrize("kind", INDEXED)
def test_an_index_may_change(kind):
    function = INDEXED[kind]
    f = mr.compile(function)
    for _ in range(4):
        x, i = mr.tensor(RNG.normal(size=(4, 4))), mr.tensor(RNG.integers(0, 4, 3))
        agrees(f, x, i)
    assert recorded(f) == 1


@pytest.mark.parametrize("kind", LAYERS)
def test_lengths_may_change(kind):
    layer = LAYERS[kind]()
    f = mr.compile(lambda x, n: layer(x, lengths=n))
    for lengths in ([5, 2], [1, 1], [5, 5], [3, 4]):
        x = RNG.normal(size=(5, 2, 3))
        x[lengths[1] :, 1] = np.nan  # padding is never read
        agrees(f, x, np.array(lengths))
    assert recorded(f) == 1
    with pytest.raises(ValueError, match=r"lengths\[1\] = 6: a length is from 1 to 5"):
        f(x, np.array([5, 6]))


# --- what it reads besides ----------------------------------------------------------------------

scale = 2.0
table = np.array([1.0, 2.0, 3.0])


def scaled(x):
    return x * scale + mr.tensor(table / 2)


def test_globals_and_what_is_closed_over_are_watched(monkeypatch):
    offset, rows = 1.0, np.array([1.0, 2.0, 3.0])
    f = mr.compile(lambda x: scaled(x) + offset + rows.max())
    x = mr.tensor(RNG.normal(size=3))
    agrees(f, x)
    agrees(f, x)
    assert recorded(f) == 1
    changes = [
        lambda: monkeypatch.setitem(globals(), "scale", 3.0),
        lambda: table.__setitem__(0, 9.0),
        lambda: rows.__setitem__(0, 8.0),
    ]
    for k, change in enumerate(changes):
        change()
        agrees(f, x)
        agrees(f, x)
        assert recorded(f) == 2 + k
    offset = -1.0
    agrees(f, x)
    assert recorded(f) == 5
    table[0] = 1.0


def test_an_array_of_a_module_is_watched_though_forward_works_on_it_by_numpy():
    class Shift(mr.Module):
        def __init__(self):
            self.by, self.steps = np.ones(3), [1, 2]

        def forward(self, x):
            return x + np.cumsum(self.by) * len(self.steps)

    model = Shift()
    f = mr.compile(model)
    x = mr.tensor(np.zeros(3))
    agrees(f, x)
    model.by[1] = 5
    agrees(f, x)
    model.by = -model.by
    agrees(f, x)
    model.steps.append(3)
    agrees(f, x)
    agrees(f, x)
    assert recorded(f) == 4


def test_an_array_nobody_names_is_watched_where_an_op_reads_it():
    inner = types.SimpleNamespace(array=np.array([1.0, 2.0]))
    held = {"deep": [types.SimpleNamespace(inner=inner)]}
    del inner
    for f in (
        mr.compile(lambda x: x * held["deep"][0].inner.array),
        mr.compile(lambda x: x * mr.tensor(held["deep"][0].inner.array[:, None])[:, 0]),
        mr.compile(lambda x: mr.mse_loss(x, held["deep"][0].inner.array)),
        mr.compile(lambda x: x[held["deep"][0].inner.array.astype(int) * 0] * 2),
    ):
        x = mr.tensor([1.0, 1.0])
        agrees(f, x)
        held["deep"][0].inner.array[0] += 7.0
        agrees(f, x)
        assert recorded(f) <= 2


def test_settings_given_as_an_object_are_watched():
    class Settings:
        power, steps = 2, [1]

        def __init__(self):
            self.scale = 2.0

        def offset(self):
            return len(self.steps) + scale

    settings = Settings()
    for f in (
        mr.compile(lambda x, s: x**s.power * s.scale + s.offset()),
        mr.compile(lambda x, s: x**settings.power * settings.scale + settings.offset()),
    ):
        x = mr.tensor([1.0, 3.0])
        agrees(f, x, settings)
        for k in range(3):
            settings.scale += 1
            agrees(f, x, settings)
            Settings.power += 1
            agrees(f, x, settings)
            settings.steps.append(k)
            agrees(f, x, settings)
        agrees(f, x, settings)
        assert recorded(f) == 10


def test_attributes_of_ones_own_files_are_watched(tmp_path, monkeypatch):
    (tmp_path / "my_settings.py").write_text("import numpy as np\nscale, rows = 2.0, np.ones(2)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(globals(), "my_settings", importlib.import_module("my_settings"))
    f = mr.compile(lambda x: x * my_settings.scale + my_settings.rows.sum())  # noqa: F821
    x = mr.tensor([1.0, 3.0])
    agrees(f, x)
    globals()["my_settings"].scale = 5.0
    agrees(f, x)
    globals()["my_settings"].rows[0] = 7.0
    agrees(f, x)
    agrees(f, x)
    assert recorded(f) == 3


def test_a_module_that_ran_is_watched_wherever_it_was_found():
    inner = types.SimpleNamespace(layer=mr.Linear(3, 2, seed=0))
    outer = types.SimpleNamespace(inner=inner, scale=2.0)
    f = mr.compile(lambda x: outer.inner.layer(x) * outer.scale)
    x = RNG.normal(size=(4, 3))
    agrees(f, x)
    inner.layer.weight = mr.tensor(RNG.normal(size=(2, 3)))
    agrees(f, x)
    outer.scale = 3.0
    agrees(f, x)
    agrees(f, x)
    assert recorded(f) == 3


def test_containers_closed_over_are_watched():
    names, chosen, by_name, last = ["a"], {1, 2}, {"a": 1.0}, deque([1.0], maxlen=2)

    def f(x):
        for name in names:
            x = x * by_name.get(name, 0.5)
        return x * len(by_name) * max(chosen) * sum(last)

    g = mr.compile(f)
    x = mr.tensor([1.0, 3.0])
    changes = [
        lambda: names.append("b"),
        lambda: chosen.add(7),
        lambda: by_name.update(b=4.0),
        lambda: by_name.update(a=3.0),
        lambda: names.reverse(),
        lambda: names.__setitem__(0, "c"),
        lambda: last.append(2.0),
        lambda: last.append(3.0),
    ]
    for change in changes:
        agrees(g, x)
        change()
    agrees(g, x)
    agrees(g, x)
    assert recorded(g) == 9


def test_defaults_and_helpers_are_watched():
    w = mr.tensor([1.0, 2.0])

    def helper(x, by=[2.0]):  # noqa: B006
        return x * by[0] * w

    f = mr.compile(lambda x, h=helper: h(x))
    x = mr.tensor([1.0, 3.0])
    agrees(f, x)
    helper.__defaults__[0][0] = 5.0
    agrees(f, x)
    w = mr.tensor([3.0, 3.0])
    agrees(f, x)
    assert recorded(f) == 3


def test_an_array_made_inside_is_not_watched():
    f = mr.compile(lambda x: x * np.arange(3.0) + np.zeros((2, 3))[0])
    agrees(f, mr.tensor(RNG.normal(size=3)))
    assert f._last[1].watched_arrays() == []


def test_tensors_closed_over_are_read_anew():
    w, target = mr.tensor([1.0, 2.0]), mr.tensor([0, 1])
    f = mr.compile(lambda x: mr.cross_entropy(x * w, target))
    x = RNG.normal(size=(2, 2))
    agrees(f, x)
    w.assign([3.0, -1.0])
    target.assign([1, 1])
    agrees(f, x)
    assert recorded(f) == 1
    w = mr.tensor([0.5, 0.5])
    agrees(f, x)


# --- signatures ---------------------------------------------------------------------------------


class Pair(NamedTuple):
    first: object
    second: object


def test_nested_arguments_and_results():
    def f(batch, *rest, options=None):
        x, pair = batch["x"], batch["pair"]
        total = x.sum() + pair.first * pair.second[1]
        for r in rest:
            total = total + r["v"][0]
        return {"total": total, "both": (x * 2, [x + 1, 3, None, "text"]), "pair": Pair(x, 0.5)}

    g = mr.compile(f)

    def arguments():
        x = mr.tensor(RNG.normal(size=3))
        second = [1, mr.tensor(RNG.normal(size=3))]
        return {"x": x, "pair": Pair(mr.tensor(RNG.normal()), second)}, {"v": (x * 1,)}

    for _ in range(3):
        given = arguments()
        got, wanted = g(*given, options={"k": True}), f(*given, options={"k": True})
        assert got["both"][1][1:] == [3, None, "text"]
        assert isinstance(got["pair"], Pair) and got["pair"].second == 0.5
        for path in (lambda r: r["total"], lambda r: r["both"][0], lambda r: r["pair"].first):
            np.testing.assert_allclose(path(got).data, path(wanted).data, atol=1e-12)
    assert recorded(g) == 1


def test_what_is_no_array_is_recorded_once_per_value():
    def f(x, how, n=1):
        y = x.sum(axis=0) if how == "sum" else x.mean(axis=0)
        return y * n if n else y

    g = mr.compile(f)
    x = mr.tensor(RNG.normal(size=(3, 2)))
    for how, n in [("sum", 1), ("mean", 1), ("sum", 2), ("sum", True), ("sum", 1.0), ("sum", 0)]:
        agrees(g, x, how, n)
        agrees(g, x, how, n=n)
    assert recorded(g) == 12
    for how in ("sum", "mean"):
        agrees(g, x, how)
    assert recorded(g) == 14
    agrees(g, x, "sum", 2)
    assert recorded(g) == 14
    h = mr.compile(lambda x, z: x / z)
    with np.errstate(divide="ignore"):
        assert [h(mr.tensor(1.0), z).item() for z in (0.0, -0.0)] == [np.inf, -np.inf]


def test_shapes_and_dtypes_are_recorded_apart():
    f = mr.compile(lambda x: (x @ x.T).sum())
    for shape in [(2, 3), (3, 2), (2, 3)]:
        for dtype in (np.float64, np.float32, int):
            agrees(f, mr.tensor(RNG.normal(size=shape).astype(dtype) * 3))
            agrees(
                f, (RNG.normal(size=shape) * 3).astype(dtype), function=lambda x: (x @ x.T).sum()
            )
    assert recorded(f) == 12


def test_arrays_keep_the_dtypes_of_arrays():
    """A float64 array becomes float32 in a float32 layer; a float64 tensor does not."""
    layer, head = mr.GRU(3, 4, dtype=np.float32, seed=0), mr.Linear(4, 2, seed=1, dtype=np.float32)

    def f(x, h=None):
        return head(layer(x, h)[0])

    g, x = mr.compile(f), RNG.normal(size=(5, 2, 3))
    assert agrees(g, x).dtype == np.float32
    assert agrees(g, x * 2, RNG.normal(size=(1, 2, 4))).dtype == np.float32
    assert agrees(g, mr.tensor(x)).dtype == np.float64
    loss = mr.compile(lambda x, y: mr.mse_loss(f(x[:, :, :3])[-1], y))
    assert agrees(loss, RNG.normal(size=(5, 2, 6)), RNG.normal(size=(2, 2))).dtype == np.float32
    dropped = mr.compile(mr.Sequential(mr.Dropout(0.5), head).eval())
    assert agrees(dropped, RNG.normal(size=(3, 4))).dtype == np.float64
    agrees(mr.compile(mr.LSTMCell(3, 4, dtype=np.float32, seed=0)), RNG.normal(size=(2, 3)))
    agrees(mr.compile(mr.Linear(3, 4, seed=0)), RNG.normal(size=(2, 3)).astype(np.float16))


def test_strided_readonly_and_swapped_arrays_are_arrays():
    f = mr.compile(mr.Linear(3, 2, seed=0))
    x = RNG.normal(size=(3, 4))
    x.flags.writeable = False
    agrees(f, x.T)
    agrees(f, x.T.copy())
    agrees(f, x.astype(">f8").T)
    agrees(f, np.repeat(x, 2, axis=1)[:, ::2].T)
    assert recorded(f) == 1


def test_a_module_is_an_argument():
    f = mr.compile(lambda layer, x: layer(x).sum())
    a, b = mr.Linear(3, 2, seed=0), mr.Linear(3, 2, seed=1)
    x = RNG.normal(size=(4, 3))
    for layer in (a, b, a):
        agrees(f, layer, x)
        layer.weight.assign(layer.weight.data * 2)
    assert recorded(f) == 2
    a.weight = mr.tensor(RNG.normal(size=(2, 3)))
    agrees(f, a, x)


def test_the_number_of_recordings_is_bounded():
    f = mr.compile(lambda x, n: x * n)
    x = mr.tensor([1.0, 2.0])
    for n in range(KEPT + 8):
        agrees(f, x, n)
    assert len(f._recordings) == KEPT
    assert repr(f).startswith(f"<compiled <lambda>, {KEPT} of at most {KEPT} recordings, 0.0 MB")
    agrees(f, x, KEPT)
    assert recorded(f) == KEPT + 8


def test_many_recordings_are_told_of():
    n = 0
    f = mr.compile(lambda x: x * n)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for n in range(70):
            assert f(mr.tensor(2.0)).item() == 2.0 * n
    (warning,) = told
    assert str(warning.message).startswith(
        "<lambda> has been recorded 64 times, the last time because n, which"
    )
    assert "give what changes as an array" in str(warning.message)
    assert warning.filename == __file__


def test_a_large_array_closed_over_is_told_of():
    rows = np.zeros(1_000_001)
    f = mr.compile(lambda x: x * rows[0])
    with pytest.warns(UserWarning, match="reads the array rows, 1,000,001 numbers that are"):
        f(mr.tensor(1.0))


# --- results ------------------------------------------------------------------------------------


def test_results_are_tensors_of_their_own():
    f = mr.compile(lambda x: (x, x * 2, x.T, x * 2))
    x = mr.tensor(RNG.normal(size=(2, 3)))
    first = f(x)
    kept = [t.numpy() for t in first]
    f(mr.tensor(RNG.normal(size=(2, 3))))
    for t, before in zip(first, kept):
        np.testing.assert_array_equal(t.data, before)
        assert t.is_leaf and not t.requires_grad
    assert not np.shares_memory(first[0]._data, x._data)
    assert not np.shares_memory(first[1]._data, first[3]._data)


def test_a_result_keeps_its_name():
    f = mr.compile(mr.mse_loss)
    assert f(np.ones(2), np.zeros(2)).name == "L"


def test_arrays_that_f_made_come_back_as_arrays():
    f = mr.compile(lambda x: (x * 2, np.arange(3)))
    got = f(mr.tensor(1.0))[1]
    assert type(got) is np.ndarray
    got[0] = 9
    np.testing.assert_array_equal(f(mr.tensor(1.0))[1], np.arange(3))


# --- what was recorded before and after ---------------------------------------------------------


def test_views_neither_leak_nor_are_carried_in():
    cell = mr.LSTMCell(3, 4, seed=0)
    x = RNG.normal(size=(2, 3))
    with mr.no_grad():
        cell(x)  # leaves views that are plain numbers
    f = mr.compile(cell)
    agrees(f, x)
    for p in cell.parameters():
        p.assign(p.data * 1.5)
    agrees(f, x)
    h, _ = cell(x)
    h.sum().backward()
    fresh = copy.deepcopy(cell)
    fresh.zero_grad()
    fresh(x)[0].sum().backward()
    for p, q in zip(cell.parameters(), fresh.parameters()):
        np.testing.assert_array_equal(p.grad, q.grad)
    views = dict(cell._views)
    mr.compile(cell)(x)
    assert {k: id(v) for k, v in cell._views.items()} == {k: id(v) for k, v in views.items()}


def test_views_made_without_recording_are_read_anew():
    cell = mr.GRUCell(2, 3, seed=0)

    def f(x):
        with mr.no_grad():
            h = cell(x)
        return cell(x, h)

    g, x = mr.compile(f), RNG.normal(size=(1, 2))
    agrees(g, x)
    cell.weight_hh.assign(cell.weight_hh.data * 3)
    cell.bias_ih.assign(cell.bias_ih.data + 1)
    agrees(g, x)
    assert recorded(g) == 1


def test_no_gradient_passes_what_no_grad_and_detach_cut():
    w = mr.tensor([2.0, 3.0], requires_grad=True)

    def f(x):
        y = (w * x).detach() * w
        with mr.no_grad():
            z = w * w
        return (y * z + mr.tensor(y) * w).sum()

    both = mr.value_and_grad(f, w)
    g = mr.compile(both)
    for _ in range(2):
        x = mr.tensor(RNG.normal(size=2))
        agrees(g, x, function=both)
        w.assign(w.data + 1)


def test_softmax_of_new_numbers_neither_overflows_nor_is_stale():
    f = mr.compile(lambda x: (mr.softmax(x), mr.logsumexp(x, axis=0), mr.max(x), mr.log_softmax(x)))
    g = mr.compile(lambda x: mr.grad(mr.max(x, axis=1).sum(), x))
    for size in (1.0, 1000.0, 1e5):
        x = mr.tensor(size * RNG.normal(size=(3, 4)))
        agrees(f, x)
        agrees(g, x)


def test_a_tensor_that_is_given_and_closed_over_is_one():
    w, v = (mr.tensor(RNG.normal(size=3), requires_grad=True) for _ in range(2))
    cube = mr.value_and_grad(lambda a, x: (a * a * w * x).sum(), [w])
    f = mr.compile(cube)
    for _ in range(2):
        for given in (w, v, w.numpy(), w):
            x = RNG.normal(size=3)
            got, wanted = f(given, x), cube(given, x)
            for a, b in zip(numbers(got), numbers(wanted)):
                np.testing.assert_allclose(a, b, atol=1e-12)
        for p in (w, v):
            p.assign(p.data * 1.5)
    assert recorded(f) == 3
    np.testing.assert_allclose(f(w, np.ones(3))[1][0], 3 * w.data**2)
    params = {"w": w, "b": [v]}
    g = mr.value_and_grad(lambda p, x: (p["w"] * x * p["b"][0]).sum(), [w, v])
    h = mr.compile(g)
    for _ in range(2):
        x = RNG.normal(size=3)
        np.testing.assert_allclose(h(params, x)[1][0], x * v.data)
        np.testing.assert_allclose(h(params, x)[1][1], x * w.data)
        v.assign(v.data + 1)
    assert recorded(h) == 1


def test_a_gradient_by_an_argument_is_by_that_argument_alone():
    f = mr.value_and_grad(lambda a, b: (a * a * b).sum(), 0)
    x = mr.tensor([1.0, 2.0], requires_grad=True)
    for call in (f, mr.compile(f)):
        np.testing.assert_array_equal(call(x, x)[1], 2 * x.data**2)
        np.testing.assert_array_equal(call(x, x * 1)[1], 2 * x.data**2)


def test_the_history_of_an_argument_is_not_followed():
    w = mr.tensor([1.0, 2.0], requires_grad=True)
    f = mr.value_and_grad(lambda a: (a * w).sum(), w)
    for call in (f, mr.compile(f)):
        np.testing.assert_array_equal(call(w * w)[1], w.data**2)


def test_gradients_used_within_are_numbers_as_they_are_outside():
    w = mr.tensor([1.0, 2.0], requires_grad=True)
    inner = mr.value_and_grad(lambda a: (a * a * w).sum(), 0)
    step = mr.compile(lambda x: inner(x)[1])
    x = RNG.normal(size=2)
    assert type(step(x)) is np.ndarray
    np.testing.assert_allclose(step(x), 2 * x * w.data)


@pytest.mark.parametrize("run", [lambda f: f, mr.compile], ids=["recorded", "compiled"])
def test_a_gradient_of_a_gradient_is_never_a_silent_0(run):
    inner = mr.value_and_grad(lambda a: (a**3).sum(), 0)
    outer = run(mr.value_and_grad(lambda x: (mr.tensor(inner(x)[0]) * x).sum(), 0))
    with pytest.raises(TypeError, match=r"is called within value_and_grad.*write mr\.grad\(y, x\)"):
        outer(np.array([0.5, -1.0, 2.0]))
    x = np.array([0.5, -1.0, 2.0]).copy()
    right = run(mr.value_and_grad(lambda v: (mr.grad((v**3).sum(), v) ** 2).sum(), 0))
    np.testing.assert_allclose(right(x)[1], 36 * x**3, rtol=1e-14)
    np.testing.assert_allclose(inner(x)[1], 3 * x**2)  # by itself as ever


def test_recordings_that_take_much_memory_go_sooner(monkeypatch):
    f = mr.compile(lambda x: mr.tanh(x @ x.T).sum())
    each = f.plan(np.ones((50, 50))).nbytes
    assert 50 * 50 * 8 * 3 <= each <= 50 * 50 * 8 * 8
    monkeypatch.setattr("microrecur.compiler.compiled.KEPT_BYTES", 7.5 * each)
    for n in range(41, 51):
        f(np.ones((n, n)))
    held = [found.plan.nbytes for found in f._recordings.values()]
    assert 7 <= len(held) < 10
    assert sum(held) <= 7.5 * each
    monkeypatch.setattr("microrecur.compiler.compiled.KEPT_BYTES", 1)
    x = np.ones((3, 3))
    agrees(f, x)
    assert len(f._recordings) == 4


def test_under_no_grad_it_is_the_same():
    layer = mr.Linear(3, 2, seed=0)
    f = mr.compile(lambda x: layer(x).sum())
    x = RNG.normal(size=(2, 3))
    with mr.no_grad():
        inside = f(x)
        assert not inside.requires_grad
    assert f(x).item() == inside.item()
    assert recorded(f) == 1


def test_within_another_recording_it_is_recorded_with_it():
    layer = mr.Linear(3, 2, seed=0)
    inner = mr.compile(lambda x: layer(x).tanh())
    both = mr.value_and_grad(lambda x: (inner(x) * inner(x * 2)).sum(), layer)
    outer = mr.compile(both)
    plain = mr.value_and_grad(lambda x: (layer(x).tanh() * layer(x * 2).tanh()).sum(), layer)
    for _ in range(2):
        agrees(outer, mr.tensor(RNG.normal(size=(4, 3))), function=plain)
        layer.weight.assign(layer.weight.data * 0.9)
    assert recorded(inner) == 0


def test_an_error_inside_leaves_all_as_it_was():
    layer = mr.Linear(3, 2, seed=0)

    def f(x):
        with mr.scope("somewhere"):
            layer(x)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        mr.compile(f)(RNG.normal(size=(4, 3)))
    y = layer(RNG.normal(size=(4, 3))).sum()
    assert y.scope == () and float(y) == y.data  # nothing is refused any more
    y.backward()
    assert layer.weight.grad is not None
    with pytest.raises(mr.ShapeError, match=r"^Linear: x has shape \(4, 2\), weight expects"):
        mr.compile(layer)(np.ones((4, 2)))


# --- objects ------------------------------------------------------------------------------------


def test_methods_partials_and_decorated_functions():
    class Model(mr.Module):
        def __init__(self):
            self.out = mr.Linear(3, 2, seed=0)

        @mr.compile
        def forward(self, x):
            """Say it."""
            return self.out(x)

        def scaled(self, x, by):
            return self.out(x) * by

    model, x = Model(), RNG.normal(size=(4, 3))
    np.testing.assert_allclose(model(x).data, model.out(x).data, atol=1e-12)
    assert Model.forward.__doc__ == "Say it."
    assert Model.forward.__name__ == "forward"
    for f in (mr.compile(model.scaled), mr.compile(functools.partial(model.scaled, by=3.0))):
        given = () if isinstance(f.function, functools.partial) else (3.0,)
        agrees(f, x, *given)
        model.out.weight = mr.tensor(RNG.normal(size=(2, 3)))
        agrees(f, x, *given)
    assert mr.compile(f) is f


def test_copies_and_pickles_record_for_themselves():
    layer = mr.Linear(3, 2, seed=0)
    f, x = mr.compile(layer), RNG.normal(size=(4, 3))
    f(x)
    for other in (copy.deepcopy(f), pickle.loads(pickle.dumps(f))):
        assert recorded(other) == 0
        np.testing.assert_array_equal(other(x).data, f(x).data)
        other.function.weight.assign(other.function.weight.data * 2)
        assert not np.array_equal(other(x).data, f(x).data)
        agrees(other, x)
    agrees(f, x)


def test_threads_share_it():
    layer = mr.LSTM(3, 4, seed=0)
    f = mr.compile(lambda x: layer(x)[0])
    inputs = [RNG.normal(size=(n, 2, 3)) for n in (3, 4, 5)] * 8
    wanted = [layer(x)[0].numpy() for x in inputs]
    found = [None] * len(inputs)
    gate = threading.Barrier(len(inputs))

    def work(k):
        gate.wait()
        for _ in range(10):
            found[k] = f(inputs[k]).numpy()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, expected in zip(found, wanted):
        np.testing.assert_allclose(got, expected, atol=1e-12)
    assert recorded(f) == 3


def test_while_one_thread_records_another_simply_runs():
    recording, done = threading.Event(), threading.Event()

    def f(x):
        recording.set()
        assert done.wait(10)
        return x * 2

    thread = threading.Thread(target=lambda: mr.compile(f)(mr.tensor(1.0)))
    thread.start()
    assert recording.wait(10)
    try:
        assert float(mr.tensor(3.0) * 2) == 6.0
    finally:
        done.set()
        thread.join()


def test_what_it_runs_can_be_read():
    f = mr.compile(mr.RNNCell(2, 3, seed=0))
    for ask in (lambda: f.source, f.report, lambda: f.explain("t1.h"), f.plan):
        with pytest.raises(RuntimeError, match=r"^RNNCell has not been called yet"):
            ask()
    f(np.ones((1, 2)))
    assert isinstance(f.source, str) and "tanh" in f.source
    assert f.report() is not None and f.explain("t1.h") is not None
    assert f.plan() is f.plan(np.ones((1, 2)))
    assert f.plan(np.ones((5, 2))) is not f.plan(np.ones((1, 2)))


def live_tensors():
    gc.collect()
    return sum(type(o) is mr.Tensor for o in gc.get_objects())


def test_what_was_recorded_is_let_go():
    layer = mr.LSTM(2, 3, seed=0)
    f = mr.compile(mr.value_and_grad(lambda x: layer(x)[0].sum(), layer))
    before = live_tensors()
    f(RNG.normal(size=(50, 4, 2)))
    assert live_tensors() - before < 50  # of thousands


def test_memory_stays_flat():
    """1,000 calls leave no tensor and no page behind."""
    resource = pytest.importorskip("resource")
    layer = mr.GRU(2, 8, seed=0)
    f = mr.compile(mr.value_and_grad(lambda x: layer(x)[0].sum(), layer))
    x = RNG.normal(size=(5, 4, 2))
    for _ in range(200):
        f(x)
    tensors, size = live_tensors(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1_000):
        f(x)
    assert live_tensors() <= tensors + 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size < 1_000  # kB
