"""The benchmarks cannot rot: NumPy by hand is right, the table means what it says, a round runs."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the peers are checked by it")

from benchmarks import entrants, peers, targets, torch_peers  # noqa: E402
from benchmarks.numpy_peers import ByHand, ChainByHand  # noqa: E402
from benchmarks.own_peers import Eager  # noqa: E402
from benchmarks.targets import Found, Row, compare, largest_difference, table  # noqa: E402
from benchmarks.workloads import ALL, OPS, W1, W2, W3  # noqa: E402

TREE = Path(__file__).parents[1]


def short(work):
    """The same workload over few steps."""
    return replace(work, steps=5) if work is not OPS else work


def answers(made, work, weights, batch):
    made.load(work.parameters(weights, "float64"))
    loss, gradients = made.value_and_grad(*work.batch_of(batch, "float64"))
    return {**{n: np.array(g).reshape(-1) for n, g in gradients.items()}, "loss": np.array(loss)}


def numbers_of(parameter):
    return (
        parameter.detach().numpy() if isinstance(parameter, torch.Tensor) else np.array(parameter)
    )


# -- everyone computes the same --------------------------------------------------------------------


@pytest.mark.parametrize("work", [*W2.values(), W3], ids=lambda w: w.name)
@pytest.mark.parametrize("kind", ["numpy BPTT", "numpy limit"])
def test_numpy_by_hand_has_torchs_gradients_whatever_it_ran_before(kind, work):
    work = short(work)
    mine, torchs = ByHand(kind, work, "float64"), torch_peers.Layer(work, "float64")
    for weights, batch in peers.GRID:
        wanted = answers(torchs, work, weights, batch)
        assert largest_difference(answers(mine, work, weights, batch), wanted) < 1e-13


@pytest.mark.parametrize("written", ["Joined", "Named", "Cells"])
@pytest.mark.parametrize("work", [*W2.values(), W3], ids=lambda w: w.name)
def test_the_ways_to_write_it_in_torch_agree(written, work):
    work = short(work)
    wanted = answers(torch_peers.Layer(work, "float64"), work, 0, 0)
    made = getattr(torch_peers, written)(work, "float64")
    assert largest_difference(answers(made, work, 0, 0), wanted) < 1e-13


def test_the_chain_by_hand_has_torchs_gradients():
    wanted = answers(torch_peers.Chain(OPS, "float64"), OPS, 0, 1)
    assert largest_difference(answers(ChainByHand(OPS, "float64"), OPS, 0, 1), wanted) < 1e-13


def test_one_number_is_the_layer_of_one_unit():
    work = short(W1)
    wanted = answers(torch_peers.Layer(work, "float64"), work, 0, 0)
    for made in (torch_peers.Named(work, "float64"), Eager(work, "float64")):
        assert largest_difference(answers(made, work, 0, 0), wanted) < 1e-13


def test_training_by_hand_goes_where_torchs_adam_goes():
    work = replace(W3, steps=3, hidden=4, batch=8)
    ends = []
    for made in (ByHand("numpy limit", work, "float64"), torch_peers.Joined(work, "float64"),
                 Eager(work, "float64")):  # fmt: skip
        made.load(work.parameters(0, "float64"))
        for seed in range(4):
            made.step(*work.batch_of(seed, "float64"))
        ends.append({n: numbers_of(p).reshape(-1) for n, p in made.p.items()})
    start = work.parameters(0, "float64")["weight_hh"].reshape(-1)
    assert abs(ends[0]["weight_hh"] - start).max() > 1e-3
    for end in ends[1:]:
        assert largest_difference(ends[0], end) < 1e-9


# -- the check finds what is wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    "found",
    [
        {"w": np.array([1.0, 2.1])},
        {"w": np.array([1.0, np.nan])},
        {"w": np.array([1.0, np.inf])},
        {},
    ],
    ids=["another number", "nan", "inf", "missing"],
)
def test_a_wrong_gradient_is_within_no_tolerance(found):
    assert not largest_difference(found, {"w": np.array([1.0, 2.0])}) <= 1e-2


class Stale:
    """Answers for ever with what it computed first."""

    def __init__(self, work):
        self.made, self.first = ByHand("numpy limit", work, "float64"), {}

    def ask(self, what, workload, dtype, weights, batch):
        if dtype not in self.first:
            work = ALL[workload]
            self.made.load(work.parameters(weights, dtype))
            self.first[dtype] = self.made.value_and_grad(*work.batch_of(batch, dtype))
        loss, found = self.first[dtype]
        return loss, {n: np.array(g).reshape(-1) for n, g in found.items()}


def a_race(running):
    race = peers.Race.__new__(peers.Race)
    race.runs, race.running, race.missing = {"W2 RNN": list(running)}, running, {}
    race.faults, race.differences = {}, {}
    return race


def test_old_results_are_a_fault_and_are_not_timed():
    here = entrants.Served("torch nn")
    honest = type("Here", (), {"ask": lambda self, what, *a: getattr(here, what)(*a)})()
    race = a_race({"numpy limit": Stale(W2["rnn"]), "torch nn": honest})
    race.check("W2 RNN", grid=((0, 0),))
    assert race.faults == {}
    race.check("W2 RNN")
    assert list(race.faults) == ["W2 RNN: numpy limit"]
    assert "batch 1: it is not timed" in race.faults["W2 RNN: numpy limit"]
    assert race.taking_part("W2 RNN") == ["torch nn"]


# -- the table -------------------------------------------------------------------------------------

ROW = Row("W", "eager", "them", 0.5, 0.25, ("W", "us"), ("W", "them"))


@pytest.mark.parametrize(
    ("now", "said"),
    [(0.2, "reached"), (0.25, "reached"), (0.5, "met"), (0.75, "missed by 50%"),
     (None, "not available")],
)  # fmt: skip
def test_the_verdict(now, said):
    assert Found(ROW, now).verdict == said


def test_what_is_compared_is_the_ratio_within_each_round():
    # The machine was ten times slower in the last round, for both: the medians' ratio would be 1.
    seconds = {"W": {"us": [1.0, 3.0, 10.0], "them": [4.0, 3.0, 40.0]}}
    found = compare(ROW, seconds, lambda name: "")
    assert found.now == 0.25 and (found.low, found.high) == (0.25, 0.625)


def test_a_missing_entrant_has_no_figure_but_a_reason():
    found = compare(ROW, {"W": {"us": [1.0]}}, {"them": "pip install them"}.get)
    assert (found.now, found.why) == (None, "pip install them")
    line = table([found])[-1]
    assert "—" in line and line.endswith("not available")


def test_every_row_compares_those_who_run_that_workload():
    for row in [*targets.ROWS, *targets.MEMORY]:
        for workload, name in (row.ours, row.theirs):
            assert name in entrants.RUNS[workload], row
        assert row.reach <= row.must


def test_what_is_not_installed_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(entrants.importlib.util, "find_spec", lambda name: None)
    assert entrants.why_missing("mygrad") == "mygrad is not installed: pip install mygrad"
    assert "torch==2.13.0" in entrants.why_missing("torch nn")


# -- the command -----------------------------------------------------------------------------------


def test_a_round_runs_from_the_command_line(tmp_path):
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, TREE / "benchmarks" / "peers.py", "--quick", "--rounds", "1",
         "--only", "OPS", "--json", file],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "torch eager, per op" in done.stdout and "1 rounds, one thread" in done.stdout
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["rows"][0]["now"] > 0 and written["faults"] == {}


def test_help_teaches(capsys):
    with pytest.raises(SystemExit):
        peers.main(["--help"])
    said = capsys.readouterr().out
    for word in ("--quick", "--only", "pip install -e .[bench]", "median of the rounds", "W4"):
        assert word in said
