"""The audit: figures equal to those worked out beside it, and each kind of file and fault."""

import csv
import math
import re

import numpy as np
import pytest

import microrecur as mr
from microrecur import cli
from microrecur.audit import audit, load_layer, noise, read_inputs

XS = np.random.default_rng(0).normal(size=(30, 2))


def only(found):
    (cell,) = found.cells
    return cell


def layer_with(kind, seed=0, **biases):
    """A layer of 4 units some of whose gates have a bias of their own."""
    layer = kind(2, 4, seed=seed)
    gates = "ifgo" if kind is mr.LSTM else "rzn"
    bias = layer.bias_ih_l0.numpy()
    for gate, value in biases.items():
        k = gates.index(gate)
        bias[4 * k : 4 * k + 4] = value
    layer.bias_ih_l0.assign(bias)
    return layer


# --- what it says -------------------------------------------------------------------------------


def test_the_gradient_over_all_steps_is_that_of_torch():
    torch = pytest.importorskip("torch")
    layer = mr.LSTM(2, 4, seed=3)
    theirs = torch.nn.LSTM(2, 4, dtype=torch.float64)
    theirs.load_state_dict(mr.to_torch_state_dict(layer))
    h0 = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    theirs(torch.tensor(XS), (h0, torch.zeros(1, 4, dtype=torch.float64)))[1][0].sum().backward()
    expected = math.log10(h0.grad.norm().item()) - math.log10(2)  # ‖∂L/∂h_T‖ = √4
    assert only(audit(layer, XS)).reach.log10 == pytest.approx(expected, abs=1e-9)


def test_gates_are_measured_over_steps_and_units():
    layer = layer_with(mr.LSTM, f=2.0, i=-30.0)
    cell = mr.load_torch(layer.state_dict()).cells[0]
    values, state = {"f": [], "g": []}, None
    for x in XS:
        gates = {}
        state = cell(x, state, gates=gates)
        for name, seen in values.items():
            seen.append(gates[name].numpy())
    rows = {row.gate: row for row in only(audit(layer, XS)).gates}
    assert list(rows) == ["i", "f", "g", "o"]
    f, g = (np.concatenate(values[name]) for name in "fg")
    assert rows["f"].mean == pytest.approx(f.mean())
    assert [rows["f"].low, rows["f"].high] == pytest.approx(np.quantile(f, [0.05, 0.95]))
    assert rows["f"].slope == pytest.approx((4 * f * (1 - f)).mean())
    assert rows["g"].slope == pytest.approx((1 - g**2).mean())
    assert rows["f"].saturated == pytest.approx((4 * f * (1 - f) < 0.1).mean())
    assert rows["i"].saturated == 1.0 and rows["i"].mean < 1e-8


def test_a_closed_and_an_open_forget_gate_are_told_apart():
    closed, opened = (only(audit(layer_with(mr.LSTM, f=b), XS)) for b in (-3.0, 6.0))
    assert closed.reach.horizon < 10 and opened.reach.horizon is None
    assert closed.reach.half_life < 1 < opened.reach.half_life
    assert closed.reach.log10 < opened.reach.log10 - 20
    assert closed.verdict[0].startswith("The gradient vanishes: 0.13 per step")


def test_cells_of_a_stack_meet_the_inputs_they_meet_in_the_stack():
    layer = mr.GRU(2, 3, num_layers=2, bidirectional=True, seed=0)
    output = layer(XS)[0].data
    found = audit(layer, XS)
    assert [cell.name for cell in found.cells] == [
        "layer0", "layer0/reverse", "layer1", "layer1/reverse",
    ]  # fmt: skip
    last = {cell.name: cell.flow.y.inputs[0].data for cell in found.cells}
    np.testing.assert_allclose(last["layer1"], output[-1, :3], atol=1e-12)
    np.testing.assert_allclose(last["layer1/reverse"], output[0, 3:], atol=1e-12)


def test_reach_is_that_of_the_gradient_and_agrees_with_torch():
    """‖∂Σh_T/∂h_t‖ of every step by torch's autograd: horizon and half-life are read off it."""
    torch = pytest.importorskip("torch", reason="no PyTorch to compare with")
    layer = layer_with(mr.LSTM, f=-1.0)
    found = only(audit(layer, XS))
    cell = torch.nn.LSTMCell(layer.input_size, layer.hidden_size, dtype=torch.float64)
    state = {name.removesuffix("_l0"): torch.tensor(a) for name, a in layer.state_dict().items()}
    cell.load_state_dict(state)
    h = torch.zeros(layer.hidden_size, dtype=torch.float64, requires_grad=True)
    c, hs = torch.zeros_like(h), [h]
    for x in torch.tensor(np.asarray(XS, float)):
        h, c = cell(x, (h, c))
        hs.append(h)
    norms = np.array([float(g.norm()) for g in torch.autograd.grad(h.sum(), hs)])[::-1]
    lags = norms / norms[0]
    lasting = np.nonzero(lags >= 1e-3)[0]
    assert found.reach.horizon == lasting[-1] + 1
    assert found.reach.log10 == pytest.approx(np.log10(lags[-1]), rel=1e-9)
    expected = -(len(lags) - 1) * np.log(2) / np.log(lags[-1])
    assert found.reach.half_life == pytest.approx(expected, rel=1e-9)
    assert "Each cell is looked at by itself" in str(audit(layer, XS))


def test_single_precision_is_looked_at_in_double_and_stays_what_it_is():
    single = mr.RNN(2, 4, seed=0, dtype=np.float32)
    double = mr.RNN(2, 4)
    double.load_state_dict(single.state_dict())
    found, expected = only(audit(single, XS)), only(audit(double, XS))
    assert found.reach == expected.reach
    assert found.gates == expected.gates
    assert single.training and {p.dtype for p in single.parameters()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    "module",
    [
        mr.LSTM(2, 4, peephole=True, seed=0),
        mr.LSTM(2, 4, proj_size=3, seed=0),
        mr.LSTM(2, 4, layer_norm=True, num_layers=2, seed=0),
        mr.RNN(2, 4, nonlinearity="relu", seed=0),
        mr.GRUCell(2, 4, reset_after=False, seed=0),
    ],
)
@pytest.mark.parametrize("steps", [1, 12])
def test_every_kind_of_cell_has_a_report_and_a_figure(module, steps, tmp_path):
    found = audit(module, XS[:steps])
    assert str(found).startswith("Run on the inputs given.")
    assert found.draw(tmp_path / "a.svg").stat().st_size > 5_000
    assert found.by_step().to_csv(tmp_path / "a.csv").stat().st_size > 50


def test_weights_that_are_all_zero_pass_nothing_on():
    layer = mr.LSTM(2, 4)
    for parameter in layer.parameters():
        parameter.assign(parameter.data * 0)
    cell = only(audit(layer, XS))
    assert cell.reach.log10 == -math.inf
    assert "exactly 0" in cell.verdict[0]


def test_the_report_has_it_all():
    text = str(audit(mr.LSTM(2, 4, num_layers=2, seed=0), XS, "these inputs"))
    assert text.startswith("Run on these inputs.")
    assert re.search(r"^layer1 +LSTM 4 → 4 ", text, re.M)
    assert re.search(r"^layer0 +f ", text, re.M)
    assert "\nlayer1: The gradient vanishes" in text


# --- from files -----------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mr.save_weights("lstm.safetensors", mr.LSTM(1, 4, seed=0))
    mr.save_weights("rnn.npz", mr.RNN(1, 4, seed=0))
    state = {f"{name}.{k}": v for name in "ab" for k, v in mr.GRU(2, 3).state_dict().items()}
    mr.save_weights("two.safetensors", state)
    keras = mr.to_keras_weights(mr.GRU(2, 3, reset_after=False, seed=0))
    np.savez("keras.npz", *keras)
    rows = "".join(f"{t},{t % 7},{t % 5}\n" for t in range(40))
    (tmp_path / "series.csv").write_text("day,open,close\n" + rows)
    return tmp_path


def run(line, capsys):
    code = cli.main(["audit", *line.split()])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_writes_a_figure_and_a_table(here, capsys):
    code, out, _ = run("lstm.safetensors --steps 20 --out look/lstm", capsys)
    assert code == 0
    assert out.startswith("Run on 20 steps of noise, N(0, 1) from seed 0.")
    assert "wrote look/lstm.png and look/lstm.csv" in out
    assert (here / "look/lstm.png").read_bytes().startswith(b"\x89PNG")
    with open("look/lstm.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(t) for t in range(20, -1, -1)]
    assert float(rows[0]["log10_total_h"]) == pytest.approx(math.log10(2))
    shares = [float(v) for k, v in rows[3].items() if k.startswith("share_")]
    assert sum(shares) == pytest.approx(1)


def test_the_same_command_says_the_same(here, capsys):
    first, again = (run("rnn.npz --steps 9 --seed 4", capsys) for _ in range(2))
    assert first == again
    assert first != run("rnn.npz --steps 9 --seed 5", capsys)


def test_the_examples_of_the_help_run(here, capsys):
    mr.save_weights("weights.safetensors", mr.LSTM(1, 4, seed=0))
    (here / "series.csv").write_text("day,close\n" + "".join(f"{t},{t % 5}\n" for t in range(300)))
    state = {f"encoder.lstm.{k}": v for k, v in mr.LSTM(2, 3).state_dict().items()}
    torch = pytest.importorskip("torch")
    torch.save({k: torch.tensor(v) for k, v in state.items()}, "model.pt")
    np.savez("gru.npz", *mr.to_keras_weights(mr.GRU(2, 3, reset_after=False, seed=0)))
    lines = [line.strip() for line in cli.AUDIT_EXAMPLES.splitlines()]
    commands = [line for line in lines if line.startswith("microrecur ")]
    assert len(commands) == 4
    for line in commands:
        assert run(line.removeprefix("microrecur audit "), capsys)[0] == 0


def test_a_column_of_a_series_is_scaled_unless_told_otherwise(here, capsys):
    code, out, _ = run("lstm.safetensors --steps 20 --data series.csv --column close", capsys)
    assert code == 0 and "the last 20 rows of series.csv, column close, scaled to mea" in out
    close = np.arange(40) % 5
    scaled, _ = read_inputs("series.csv", 20, 1, "close")
    np.testing.assert_allclose(scaled[:, 0], ((close - close.mean()) / close.std())[-20:])
    raw, said = read_inputs("series.csv", 20, 1, "close", as_is=True)
    np.testing.assert_array_equal(raw[:, 0], close[-20:])
    assert said == "the last 20 rows of series.csv, column close, as they are"


def test_columns_after_the_time_are_what_a_wider_layer_reads(here):
    xs, _ = read_inputs("series.csv", 40, 2, as_is=True)
    np.testing.assert_array_equal(xs, np.stack([np.arange(40) % 7, np.arange(40) % 5], axis=1))


def test_keras_arrays_and_one_layer_of_several(here, capsys):
    code, out, _ = run("keras.npz --reset-before --steps 5", capsys)
    assert code == 0 and "GRU 2 → 3" in out
    assert not load_layer("keras.npz").cells[0].reset_after
    assert run("two.safetensors --layer b --steps 5", capsys)[0] == 0


def test_a_checkpoint_of_a_training_can_be_looked_at(here, capsys):
    class Model(mr.Module):
        def __init__(self):
            self.lstm, self.head = mr.LSTM(1, 4, batch_first=True, seed=0), mr.Linear(4, 1, seed=0)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    model = Model()
    told = {"loss": mr.mse_loss, "optimizer": mr.Adam(model), "callbacks": [mr.EarlyStopping()]}
    mr.fit(model, mr.recall_first_bit(8, 3, seed=0), **told, checkpoint="run.safetensors")
    code, out, _ = run("run.safetensors --steps 5", capsys)
    assert code == 0 and "LSTM 1 → 4" in out


# --- what cannot be looked at -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("none.npz", "load_weights: no file at "),
        ("series.csv", "series.csv must end in .safetensors, .npz, .pt, .pth"),
        ("two.safetensors", "several recurrent layers; --layer is one of 'a', 'b'"),
        ("two.safetensors --layer c", "no recurrent layer 'c'; --layer is one of 'a', 'b'"),
        ("rnn.npz --reset-before", "reset_after is no option here: by their shapes these are"),
        ("keras.npz --nonlinearity relu", "nonlinearity is no option here: by their"),
        ("lstm.safetensors --data none.csv", "no file at "),
        ("lstm.safetensors --data series.csv", "series.csv has 3 columns, and the layer reads 1"),
        ("lstm.safetensors --data series.csv --column high", "there is no column 'high'"),
        ("two.safetensors --layer a --data series.csv --column open", "one column is not enough"),
        ("keras.npz --data series.csv", "series.csv has 40 rows, and 100 steps need as many"),
        ("lstm.safetensors --steps 0", "'0' is not a whole number from 1 to 10,000"),
        ("lstm.safetensors --steps 3 --out series.csv/x", "cannot write 'x.png' in the folder"),
        ("nan.npz", "weight_hh_l0 holds nan: the training that made it has failed"),
        ("lacking.npz", "weight_hh_l0 missing; there are ['weight_ih_l0', 'bias_ih_l0'"),
        ("broken.safetensors", "is no sound safetensors file"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(here, capsys, line, said):
    state = mr.LSTM(1, 4, seed=0).state_dict()
    mr.save_weights("lacking.npz", {k: v for k, v in state.items() if k != "weight_hh_l0"})
    state["weight_hh_l0"][3, 1] = np.nan
    mr.save_weights("nan.npz", state)
    (here / "broken.safetensors").write_bytes(b"0123456789")
    code, _, err = run(line, capsys)
    assert code == 2
    assert said in err and "Traceback" not in err
    assert "--steps 0" in line or err.count("\n") == 1


@pytest.mark.parametrize("shape", [(5,), (5, 3), (0, 2)])
def test_inputs_that_do_not_fit_are_told(shape):
    with pytest.raises(ValueError, match=r"audit: xs has shape .* it must be \(T, 2\)"):
        audit(mr.GRU(2, 3), np.ones(shape))


def test_noise_is_seeded():
    np.testing.assert_array_equal(noise(5, 2, 1)[0], noise(5, 2, 1)[0])
    assert noise(5, 2, 1)[0].shape == (5, 2)


def test_the_report_says_what_the_weights_alone_do_not_tell():
    """The same weights serve a tanh and a relu RNN, and both orders of a GRU's reset."""
    relu = only(audit(mr.RNN(2, 3, nonlinearity="relu", seed=0), XS)).reach.cell
    assert relu == "RNN 2 → 3, relu"
    before = only(audit(mr.GRU(2, 3, reset_after=False, seed=0), XS)).reach.cell
    assert before == "GRU 2 → 3, reset before"
