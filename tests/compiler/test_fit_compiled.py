"""`mr.fit(compile=True)`: the same losses and parameters, and what cannot be compiled is said."""

import numpy as np
import pytest

import microrecur as mr
from microrecur.train.callbacks import Callback

TOLERANCE = 1e-10


class Classifier(mr.Module):
    """An embedding, two LSTM layers with dropout in between, a head for 4 classes."""

    def __init__(self, dropout=0.3):
        self.embedding = mr.Embedding(7, 5, seed=0)
        self.rnn = mr.LSTM(5, 6, num_layers=2, dropout=dropout, batch_first=True, seed=1)
        self.out = mr.Linear(6, 4, seed=2)
        self.unused = mr.Linear(2, 2, seed=3)

    def forward(self, symbols):
        return self.out(self.rnn(self.embedding(symbols))[0][:, -1])


class Regressor(mr.Module):
    """A GRU over sequences of different lengths."""

    def __init__(self, dtype=None):
        self.rnn = mr.GRU(2, 6, batch_first=True, seed=0, dtype=dtype)
        self.out = mr.Linear(6, 1, seed=1, dtype=dtype)

    def forward(self, x, lengths):
        return self.out(self.rnn(x, lengths=lengths)[1][-1])


def classification(**options):
    rng = np.random.default_rng(0)
    data = mr.Batches(rng.integers(0, 7, (20, 6)), rng.integers(0, 4, 20), size=6, seed=3)
    model = Classifier()
    optimizer = mr.Adam(model, 0.02, weight_decay=0.01)
    return {
        "model": model,
        "data": data,
        "loss": mr.cross_entropy,
        "optimizer": optimizer,
        "epochs": 4,
        "clip": 0.5,
        "schedule": mr.ExponentialLR(optimizer, 0.8),
        "validation": (rng.integers(0, 7, (7, 6)), rng.integers(0, 4, 7)),
        **options,
    }


def regression(**options):
    rng = np.random.default_rng(1)
    x, n = rng.normal(size=(20, 5, 2)), rng.integers(1, 6, 20)
    y = np.array([[row[:k].sum()] for row, k in zip(x, n)])
    model = Regressor()
    optimizer = mr.SGD(model, 0.05, momentum=0.9, nesterov=True)
    return {
        "model": model,
        "data": mr.Batches(x, n, y, size=8, seed=4),
        "loss": mr.huber_loss,
        "optimizer": optimizer,
        "epochs": 4,
        "schedule": mr.CosineAnnealingLR(optimizer, 4),
        **options,
    }


def rows(history):
    """The numbers of the history, without its seconds."""
    return np.array([(r.epoch, r.steps, r.loss, r.validation or 0.0, r.lr) for r in history])


def same(a, b):
    """The same run, to rounding: history and parameters."""
    (history, told), (other, others) = a, b
    np.testing.assert_allclose(rows(history), rows(other), rtol=TOLERANCE)
    for name, array in told["model"].state_dict().items():
        theirs = others["model"].state_dict()[name]
        np.testing.assert_allclose(array, theirs, rtol=0, atol=TOLERANCE)


def run(make, **options):
    told = make(**options)
    return mr.fit(**told), told


@pytest.mark.parametrize("make", [classification, regression])
def test_it_is_the_same_run(make):
    losses = {True: [], False: []}

    class Note(Callback):
        def __init__(self, kept):
            self.kept = kept

        def after_step(self, training):
            self.kept.append(training.loss.item())

    runs = [run(make, callbacks=[Note(losses[c])], compile=c) for c in (False, True)]
    same(*runs)
    np.testing.assert_allclose(losses[True], losses[False], rtol=TOLERANCE)
    assert len(losses[True]) == 4 * len(runs[0][1]["data"])
    before = make()["model"].state_dict()
    moved = runs[1][1]["model"].state_dict()
    assert any(not np.array_equal(before[name], moved[name]) for name in before)


def test_a_parameter_that_nothing_reads_is_left_alone():
    """Weight decay moves what has a gradient of 0, and nothing that has none."""
    _, told = run(classification, compile=True)
    unused, fresh = told["model"].unused, classification()["model"].unused
    assert unused.weight.grad is None
    np.testing.assert_array_equal(unused.weight.data, fresh.weight.data)


def test_a_run_that_was_stopped_goes_on_either_way(tmp_path):
    whole = run(classification)
    for first, then in [(True, True), (True, False), (False, True)]:
        path = tmp_path / f"{first}{then}.safetensors"
        run(classification, epochs=2, checkpoint=path, compile=first)
        same(run(classification, resume=path, compile=then), whole)


def test_every_shape_of_batch_is_recorded_once(monkeypatch):
    from microrecur.compiler import compiled

    recorded, record = [], compiled.Compiled._record

    def counted(self, *args):
        recorded.append(self.name)
        return record(self, *args)

    monkeypatch.setattr(compiled.Compiled, "_record", counted)
    run(classification, compile=True)  # 20 = 6 + 6 + 6 + 2, and 7 to validate
    assert recorded == ["the loss of Classifier"] * 3


def test_single_precision_follows_the_model():
    runs = [
        run(regression, model=(m := Regressor(np.float32)), optimizer=(o := mr.SGD(m, 0.05)),
            schedule=mr.StepLR(o, 2), compile=c)
        for c in (False, True)
    ]  # fmt: skip
    (history, told), (other, others) = runs
    np.testing.assert_allclose(rows(other), rows(history), rtol=1e-5)
    for p, q in zip(told["model"].parameters(), others["model"].parameters()):
        assert q.dtype == np.float32
        np.testing.assert_allclose(q.data, p.data, atol=1e-5)


def test_a_monitor_gets_its_graph():
    monitors = [mr.GradientMonitor(every=3), mr.GradientMonitor(every=3)]
    runs = [
        run(classification, callbacks=[monitor], compile=c)
        for monitor, c in zip(monitors, (False, True))
    ]
    same(*runs)
    tables = [[(r.training_step, r.layer, r.t, r.state) for r in m.table] for m in monitors]
    assert tables[0] == tables[1] and len(tables[0]) == 6 * 6 * 2 * 2
    np.testing.assert_allclose(
        [r.log10 for r in monitors[1].table], [r.log10 for r in monitors[0].table], atol=1e-8
    )


def test_a_loss_without_history_says_so():
    class Asks(Callback):
        def after_backward(self, training):
            mr.grad(training.loss, training.model.out.weight)

    with pytest.raises(RuntimeError, match="returns numbers without their history"):
        run(regression, callbacks=[Asks()], compile=True)

    class AsksForIt(Asks):
        def needs_graph(self, training):
            return True

    run(regression, callbacks=[AsksForIt()], compile=True)


@pytest.mark.parametrize("compile", [False, True])
def test_numbers_that_are_none_name_the_first_node(compile):
    told = regression(compile=compile)
    told["data"].arrays[0][3, 0, 1] = np.nan if hasattr(told["data"], "arrays") else 0
    with pytest.raises(FloatingPointError, match=r"epoch 1, step \d: the loss is nan; the first"):
        mr.fit(**told)


@pytest.mark.parametrize("compile", [False, True])
def test_a_gradient_that_is_not_finite_names_its_parameter(compile):
    class Root(mr.Module):
        def __init__(self):
            self.w = mr.tensor([0.0], requires_grad=True, name="w")

        def forward(self, x):
            return mr.sqrt(self.w * x)

    model = Root()
    with pytest.raises(FloatingPointError, match="the loss is finite, but its gradient at w is"):
        mr.fit(
            model,
            (np.ones((4, 1)), np.ones((4, 1))),
            loss=mr.mse_loss,
            optimizer=mr.SGD(model, 0.1),
            compile=compile,
        )


def test_masks_after_a_refused_step_are_those_of_the_recorded_run():
    """The step that is tried compiled and then recorded draws its masks once."""
    seen = {}
    for c in (False, True):
        told = classification(compile=c)
        told["model"].out.bias.assign([np.nan] * 4)
        with pytest.raises(FloatingPointError):
            mr.fit(**told)
        seen[c] = told["model"].rnn.dropout.calls
    assert seen[True] == seen[False] > 0


def test_what_cannot_be_compiled_is_said():
    class Branches(mr.Linear):
        def forward(self, x):
            y = super().forward(x)
            return y if y.sum() > 0 else -y

    model = Branches(2, 1, seed=0)
    told = {"loss": mr.mse_loss, "optimizer": mr.SGD(model)}
    data = (np.ones((4, 2)), np.ones((4, 1)))
    with pytest.raises(mr.CompileError) as error:
        mr.fit(model, data, **told, compile=True)
    text = str(error.value)
    assert text.startswith("fit(compile=True): whether it is true, of greater () in the loss of ")
    assert text.endswith("Or leave compile=True out: the same, at the speed of recording")
    mr.fit(model, data, **told)


def test_evaluation_in_between_changes_nothing():
    told = classification(compile=True)
    history = mr.fit(**told)
    model = told["model"]
    assert model.training
    expected = mr.evaluate(model, told["validation"], mr.cross_entropy)
    assert history[-1].validation == pytest.approx(expected, rel=1e-12)
