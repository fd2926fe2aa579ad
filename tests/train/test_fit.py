"""The loop: equal to one written by hand, and gone on from bit for bit, however it ended."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import microrecur as mr
from microrecur.train.callbacks import Callback

X, Y = mr.adding_problem(20, 5, seed=1)


class Last(mr.Module):
    """The last output of an LSTM, dropped out, through a Linear: every kind of state there is."""

    def __init__(self, seed=0):
        self.rnn = mr.LSTM(2, 4, num_layers=2, dropout=0.3, batch_first=True, seed=seed)
        self.out = mr.Linear(4, 1, seed=seed)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


def setting(epochs=4, **options):
    """Everything a training needs, made anew and equal each time."""
    model = Last()
    optimizer = mr.Adam(model, 0.01)
    return {
        "model": model,
        "data": mr.Batches(X, Y, size=6, seed=3),
        "loss": mr.mse_loss,
        "optimizer": optimizer,
        "epochs": epochs,
        "clip": 0.5,
        "schedule": mr.ExponentialLR(optimizer, 0.9),
        "validation": (X[:7], Y[:7]),
        "callbacks": [mr.GradientMonitor(every=3), mr.EarlyStopping(50, restore=False)],
        **options,
    }


def same(model, other):
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)


def rows(history):
    """The history without its seconds."""
    return [(r.epoch, r.steps, r.loss, r.validation, r.lr) for r in history]


# --- what it computes ---------------------------------------------------------------------------


def test_it_does_what_a_loop_by_hand_does():
    told = setting()
    history = mr.fit(**told)
    model = Last()
    optimizer = mr.Adam(model, 0.01)
    schedule = mr.ExponentialLR(optimizer, 0.9)
    data, expected = mr.Batches(X, Y, size=6, seed=3), []
    for epoch in range(1, 5):
        losses, sizes = [], []
        for x, y in data:
            optimizer.zero_grad()
            loss = mr.mse_loss(model(x), y)
            loss.backward()
            mr.clip_grad_norm_(model, 0.5)
            optimizer.step()
            losses.append(loss.item())
            sizes.append(len(x))
        model.eval()
        validation = mr.mse_loss(model(X[:7]), Y[:7]).item()
        model.train()
        mean = np.average(losses, weights=sizes)
        expected.append(
            (epoch, 4 * epoch, pytest.approx(mean, rel=1e-12), validation, optimizer.lr)
        )
        schedule.step()
    same(told["model"], model)
    assert rows(history) == expected
    assert history[0].loss > history[-1].loss


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_torch_goes_through_the_same_losses(kind):
    torch = pytest.importorskip("torch")
    layer, head = getattr(mr, kind)(2, 8, seed=0), mr.Linear(8, 1, seed=1)
    theirs, their_head = getattr(torch.nn, kind)(2, 8).double(), torch.nn.Linear(8, 1).double()
    theirs.load_state_dict(mr.to_torch_state_dict(layer))
    their_head.load_state_dict(mr.to_torch_state_dict(head))
    parameters = [*theirs.parameters(), *their_head.parameters()]
    optimizer, expected, losses = torch.optim.Adam(parameters, 0.01), [], []
    for x, y in mr.Batches(X, Y, size=6, seed=3):
        optimizer.zero_grad()
        output = their_head(theirs(torch.tensor(x).swapaxes(0, 1))[0][-1])
        loss = torch.nn.functional.mse_loss(output, torch.tensor(y))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.1)
        optimizer.step()
        expected.append(loss.item())

    class Model(mr.Module):
        def __init__(self):
            self.layer, self.head = layer, head

        def forward(self, x):
            return self.head(self.layer(x.swapaxes(0, 1))[0][-1])

    class Note(Callback):
        def after_step(self, training):
            losses.append(training.loss.item())

    model = Model()
    told = {"loss": mr.mse_loss, "optimizer": mr.Adam(model, 0.01), "clip": 0.1}
    mr.fit(model, mr.Batches(X, Y, size=6, seed=3), **told, callbacks=[Note()])
    np.testing.assert_allclose(losses, expected, rtol=1e-10)
    for name, array in theirs.state_dict().items():
        np.testing.assert_allclose(layer.state_dict()[name], array.numpy(), rtol=0, atol=1e-9)


def test_history_shows_as_a_table():
    text = str(mr.fit(**setting(epochs=2)))
    assert text.splitlines()[0].split() == ["epoch", "steps", "loss", "validation", "lr", "seconds"]


def test_several_inputs_go_before_the_target():
    class Sum(mr.Linear):
        def forward(self, a, b):
            return super().forward(a) + super().forward(b)

    model = Sum(2, 1, seed=0)
    w, b = model.weight.data.copy(), model.bias.data.copy()
    first, second = X[:, 0], X[:, 1]
    batches = mr.Batches(first, second, Y, size=len(Y), seed=0)
    mr.fit(model, batches, loss=mr.mse_loss, optimizer=mr.SGD(model, 0.1))
    error = 2 * (first @ w.T + second @ w.T + 2 * b - Y) / Y.size
    np.testing.assert_allclose(model.weight.data, w - 0.1 * error.T @ (first + second), rtol=1e-12)
    np.testing.assert_allclose(model.bias.data, b - 0.1 * 2 * error.sum(axis=0), rtol=1e-12)


def test_evaluation_leaves_everything_as_it_was():
    model = Last()
    model.out.eval()
    batches = mr.Batches(X, Y, size=6, seed=0)
    next(iter(batches))
    place = batches.state_dict()
    first, again = (mr.evaluate(model, batches, mr.mse_loss) for _ in range(2))
    assert first == again
    assert batches.state_dict() == place
    assert model.rnn.training and not model.out.training
    assert model.rnn.dropout.calls == 0


# --- saved and gone on from -----------------------------------------------------------------------


class StopAt(Callback):
    """What a power cut does, as far as this process can tell."""

    def __init__(self, step):
        self.at = step

    def after_step(self, training):
        if training.step == self.at:
            raise RuntimeError("power cut")


@pytest.mark.parametrize("cut", range(2, 17))
def test_going_on_from_a_checkpoint_is_bit_for_bit_the_same(tmp_path, cut):
    whole = setting()
    expected = mr.fit(**whole)
    path = tmp_path / "run.safetensors"
    broken = setting()
    broken["callbacks"].append(StopAt(cut))
    with pytest.raises(RuntimeError, match="power cut"):
        mr.fit(**broken, checkpoint=path, every=1)
    resumed = setting()
    resumed["callbacks"].append(StopAt(0))
    history = mr.fit(**resumed, resume=path)
    same(resumed["model"], whole["model"])
    assert rows(history) == rows(expected)
    assert resumed["callbacks"][0].table == whole["callbacks"][0].table
    assert resumed["callbacks"][1].best == whole["callbacks"][1].best
    for a, b in zip(resumed["optimizer"].state, whole["optimizer"].state):
        assert all(np.array_equal(a[name], b[name]) for name in b)


PROGRAM = """
    import sys, time
    sys.path.insert(0, {tests!r})
    import numpy as np, microrecur as mr
    from test_fit import setting
    from microrecur.train.callbacks import Callback

    class Slow(Callback):
        def after_step(self, training):
            print(training.step, flush=True)
            time.sleep({pause})

    told = setting(epochs=6)
    told["callbacks"].append(Slow())
    resume = {resume!r}
    mr.fit(**told, checkpoint={path!r}, every=1, resume=resume)
    mr.save_weights({path!r} + ".npz", told["model"])
"""


def program(path, pause, resume=None):
    text = PROGRAM.format(
        tests=os.path.dirname(__file__), path=str(path), pause=pause, resume=resume
    )
    tree = os.path.dirname(os.path.dirname(mr.__file__))
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tree,
    )


def wait_for(process, step):
    for line in process.stdout:
        if line.strip() == str(step):
            return
    raise AssertionError(process.stderr.read())


def finish(process):
    _, errors = process.communicate()
    assert process.returncode == 0, errors


@pytest.mark.slow
def test_a_process_killed_in_mid_epoch_is_gone_on_from(tmp_path):
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    finish(program(whole, 0))
    process = program(broken, 0.05)
    wait_for(process, 10)  # an epoch has 4 steps
    process.kill()
    process.communicate()
    assert mr.load_checkpoint(broken).state["step"] % 4 in (1, 2, 3)
    finish(program(broken, 0, resume=str(broken)))
    expected, found = mr.load_weights(f"{whole}.npz"), mr.load_weights(f"{broken}.npz")
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_of_the_step_at_hand(tmp_path):
    path = tmp_path / "run.safetensors"
    process = program(path, 0.05)
    wait_for(process, 6)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert "KeyboardInterrupt: stopped after step" in errors
    done = int(re.search(r"stopped after step (\d+)", errors)[1])
    assert mr.load_checkpoint(path).state["step"] == done >= 6
    resumed = setting(epochs=6)
    resumed["callbacks"].append(type("Slow", (Callback,), {})())
    whole = setting(epochs=6)
    mr.fit(**resumed, resume=path)
    mr.fit(**whole)
    same(resumed["model"], whole["model"])


def test_ctrl_c_without_a_checkpoint_stops_between_two_steps():
    class Press(Callback):
        def after_backward(self, training):
            if training.step == 2:
                signal.raise_signal(signal.SIGINT)

    told = setting()
    told["callbacks"].append(Press())
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 3"):
        mr.fit(**told)
    assert told["optimizer"].state[0]["step"] == 3  # the step was finished
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_wait():
    class Press(Callback):
        def after_backward(self, training):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    told = setting()
    told["callbacks"].append(Press())
    with pytest.raises(KeyboardInterrupt):
        mr.fit(**told)
    assert not told["optimizer"].state[0]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    mr.fit(**setting(epochs=1), checkpoint=path)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    message = "cannot write 'run.safetensors' in the folder .*No space left on device.*untouched"
    with pytest.raises(OSError, match=message):
        mr.fit(**setting(epochs=2), resume=path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"callbacks": []}, "saved with callbacks ['GradientMonitor', 'EarlyStopping'], this one"),
        ({"schedule": None}, "saved with schedule True, this one has False"),
        ({"data": (X, Y)}, "these are other batches: seed was 3, is 0; size was 6, is 32"),
    ],
)
def test_another_training_is_not_taken_for_this_one(tmp_path, change, message):
    path = tmp_path / "run.safetensors"
    mr.fit(**setting(epochs=1), checkpoint=path)
    with pytest.raises(ValueError, match=re.escape(message)):
        mr.fit(**setting(**change), resume=path)
    told = setting()
    told["optimizer"] = mr.SGD(told["model"])
    told["schedule"] = mr.ExponentialLR(told["optimizer"], 0.9)
    with pytest.raises(ValueError, match="saved with optimizer Adam, this one has SGD"):
        mr.fit(**told, resume=path)


# --- callbacks ------------------------------------------------------------------------------------


def test_early_stopping_takes_the_best_back():
    model = mr.Linear(1, 1, seed=0)
    optimizer = mr.SGD(model, 0.1)
    stopping, kept = mr.EarlyStopping(patience=3), {}

    class Spoil(Callback):
        def after_epoch(self, training):
            kept[training.epoch] = training.model.state_dict()
            if training.epoch >= 4:
                model.weight.assign(model.weight.data + 10)

    x = np.ones((4, 1))
    told = {"loss": mr.mse_loss, "optimizer": optimizer, "epochs": 50}
    history = mr.fit(model, (x, x), **told, callbacks=[stopping, Spoil()])
    best = min(history, key=lambda row: row.loss)
    assert len(history) == best.epoch + 3 < 50
    assert (stopping.best, stopping.best_epoch) == (best.loss, best.epoch)
    np.testing.assert_array_equal(model.weight.data, kept[best.epoch]["weight"])


def test_the_monitor_has_the_norms_of_backward():
    seen = []

    class Look(Callback):
        def after_backward(self, training):
            graph = mr.graph(training.loss).at("all")
            nodes = [n for n in graph.nodes if n.name in ("h", "c") and n.step]
            grads = {n.id: n.tensor.grad for n in nodes}
            seen.append({k: np.log10(np.linalg.norm(g)) for k, g in grads.items() if g is not None})

    told = setting(epochs=1)
    monitor = mr.GradientMonitor(every=2)
    told["callbacks"] = [monitor, Look()]
    mr.fit(**told)
    assert [r.training_step for r in monitor.table[:: 2 * 2 * 5]] == [1, 3]
    for row in monitor.table:
        expected = seen[row.training_step - 1][f"{row.layer}.t{row.t}.{row.state}"]
        assert row.log10 == pytest.approx(expected, abs=1e-9)
    assert {(r.layer, r.state, r.t) for r in monitor.table} == {
        (layer, state, t) for layer in ("layer0", "layer1") for state in "hc" for t in range(1, 6)
    }


def test_the_monitor_reads_norms_below_the_range_of_squares():
    class Tiny(Last):
        def forward(self, x):
            return super().forward(x) * 1e-200

    told = setting(epochs=1, model=(model := Tiny()), optimizer=mr.SGD(model), schedule=None)
    told["callbacks"] = [monitor := mr.GradientMonitor(every=100)]
    mr.fit(**told)
    assert all(-230 < row.log10 < -190 for row in monitor.table)


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_names_the_first_node_and_the_step():
    class Log(Last):
        def forward(self, x):
            y = super().forward(x)
            return y if self.out.weight.data[0, 0] < 0 else mr.log(y.named("y") * 0 - 1.0)

    model = Log()

    class Turn(Callback):
        def after_step(self, training):
            sign = -1 if training.step < 5 else 1
            model.out.weight.assign(abs(model.out.weight.data) * sign)

    model.out.weight.assign(-abs(model.out.weight.data))
    told = setting(model=model, optimizer=mr.SGD(model), schedule=None, callbacks=[Turn()])
    with pytest.raises(FloatingPointError) as caught:
        mr.fit(**told)
    message = str(caught.value)
    assert message.startswith("epoch 2, step 6: the loss is nan; the first node that is not finite")
    assert "log1 (made by log), which holds nan" in message
    assert np.isfinite(model.rnn.weight_hh_l0.data).all()


def test_inputs_that_are_no_numbers_are_named_as_given():
    x = X.copy()
    x[:, 2, 0] = np.nan
    with pytest.raises(FloatingPointError, match=r"is .*t3\.x \(given, not computed\), .* nan"):
        mr.fit(**setting(data=(x, Y)))


def test_a_gradient_that_is_no_number_is_named():
    class Root(mr.Linear):
        def forward(self, x):
            return mr.sqrt((super().forward(x) * 0.0).named("zero")).named("root")

    model = Root(2, 1, seed=0)
    with pytest.raises(FloatingPointError) as caught:
        mr.fit(model, (X[:, 0], Y), loss=mr.mse_loss, optimizer=mr.SGD(model))
    message = "epoch 1, step 1: the loss is finite, but its gradient at weight is not: the deriv"
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "fit: epochs is a whole number ≥ 1, not 0"),
        ({"epochs": 1.5}, ValueError, "fit: epochs is a whole number ≥ 1, not 1.5"),
        ({"data": (X,)}, ValueError, "fit: data are inputs and a target, (X, y); one array"),
        (
            {"data": [X, Y]},
            TypeError,
            "fit: data are arrays (X, y), Batches or FreshBatches",
        ),
        ({"data": (X[:0], Y[:0])}, ValueError, "Batches: there are no examples"),
        ({"optimizer": mr.SGD(Last())}, ValueError, "the optimiser changes none of Last's param"),
        (
            {"model": (m := mr.RNN(2, 1, batch_first=True)), "optimizer": mr.SGD(m)},
            TypeError,
            "RNN returned a tuple of 2; wrap it in a module whose forward returns what the loss",
        ),
        (
            {"loss": lambda output, target: output},
            TypeError,
            "loss(output, target) must be a tensor of one number, not shape (6, 1)",
        ),
        ({"loss": lambda *_: 0.5}, TypeError, "must be a tensor of one number, not float"),
    ],
)
def test_what_cannot_be_trained_is_told(change, error, message):
    with pytest.raises(error, match=re.escape(message)):
        mr.fit(**setting(**{"schedule": None, **change}))


# --- progress -------------------------------------------------------------------------------------


def test_a_bar_shows_only_where_it_takes_long(capsys, monkeypatch):
    class Slow(Callback):
        def after_step(self, training):
            time.sleep(0.6)

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    mr.fit(**setting(epochs=1))
    assert capsys.readouterr().err == ""
    mr.fit(**setting(epochs=1, callbacks=[Slow()]))
    assert re.search(r"4/4 .*loss=", capsys.readouterr().err)
