"""Time microrecur beside its peers, and print what it is to reach against what was measured."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # so that `python benchmarks/peers.py` finds `benchmarks`
    sys.path.insert(0, str(ROOT))

from benchmarks.entrants import (  # noqa: E402
    ENTRANTS,
    RUNS,
    NotAvailable,
    Running,
    dtype_of,
    one_thread,
    why_missing,
)
from benchmarks.targets import (  # noqa: E402
    BUILD,
    MEMORY,
    MEMORY_RUNNING,
    ROWS,
    Found,
    as_json,
    compare,
    largest_difference,
    peers_table,
    table,
)

HELP = """
Every competitor runs in a process of its own, kept alive, with one BLAS thread. A round times each
of them once, in random order, on inputs that change from step to step; what is compared is the
ratio within a round, and what is printed is the median of the rounds. So a busy machine moves all
figures of a round together, and a ratio little. Counted is the processor's time, which with one
thread is the clock's on an idle machine. Absolute times say little on a shared one.

Before and after it is timed, each competitor's loss and gradients are compared with torch's in
float64, with two sets of parameters and two batches: one that answers with old results fails.

  OPS      a chain of 300 tiny ops        W1  one-number LSTM, T = 100 and 1,000
  W2       teaching size: 8 → 16, N 4, T 50, mean squared error of the last h; LSTM, RNN, GRU
  W3       training size: LSTM 28 → 128, N 64, T 28, linear head, cross-entropy, Adam
  W4       long: LSTM 8 → 32, N 8, T 1,000

Peers come with `pip install -e .[bench]`; torch and jax are installed by hand. What is missing is
named with its pip command, and its rows say "not available".
"""
TOLERANCE = {"float64": 1e-10, "float32": 2e-4}
GRID = ((0, 0), (0, 1), (1, 1))  # parameters, batch
AFTERWARDS = ((1, 2),)
REFERENCE = "torch nn"
Grid = tuple[tuple[int, int], ...]


@dataclass
class Plan:
    """How long to measure: rounds, and the least seconds of one competitor in one round."""

    rounds: int = 15
    slot: float = 0.05


class Race:
    """All competitors, their rounds, and what went wrong."""

    def __init__(self, plan: Plan, only: list[str], progress: Any) -> None:
        self.plan, self.progress = plan, progress
        self.runs = {w: list(names) for w, names in RUNS.items() if not only or w in only}
        wanted = [n for n in ENTRANTS if any(n in names for names in self.runs.values())]
        self.missing = {n: why for n in wanted if (why := why_missing(n))}
        self.running = {n: Running(n) for n in wanted if n not in self.missing}
        self.faults: dict[str, str] = {}
        self.differences: dict[str, dict[str, float]] = {}

    def close(self) -> None:
        """End every process."""
        for running in self.running.values():
            running.close()

    def taking_part(self, workload: str) -> list[str]:
        """Who can run this workload."""
        return [
            name
            for name in self.runs[workload]
            if name in self.running and f"{workload}: {name}" not in self.faults
        ]

    def check(self, workload: str, grid: Grid = GRID, precisely: bool = True) -> None:
        """Compare everyone's loss and gradients with torch's in float64; faults are kept.

        `precisely` runs each in float64 too, besides the precision it is timed in.
        """
        reference = "torch eager" if workload == "OPS" else REFERENCE
        if reference not in self.running:
            if reference in self.missing:
                raise SystemExit("gradients are checked against torch: " + self.missing[reference])
            self.running[reference] = Running(reference)
        for weights, batch in grid:
            wanted = self.running[reference].ask("gradients", workload, "float64", weights, batch)
            for name in self.taking_part(workload):
                timed = dtype_of(name, workload)
                for dtype in sorted({"float64", timed}) if precisely else [timed]:
                    self._check_one(workload, name, dtype, (weights, batch), wanted)

    def _check_one(
        self, workload: str, name: str, dtype: str, which: tuple[int, int], wanted: Any
    ) -> None:
        try:
            loss, found = self.running[name].ask("gradients", workload, dtype, *which)
        except NotAvailable as error:
            self.faults[f"{workload}: {name}"] = str(error)
            return
        everything = {**found, "loss": loss}
        difference = largest_difference(everything, {**wanted[1], "loss": wanted[0]})
        seen = self.differences.setdefault(workload, {})
        seen[f"{name} {dtype}"] = max(difference, seen.get(f"{name} {dtype}", 0.0))
        if not difference <= TOLERANCE[dtype]:
            self.faults[f"{workload}: {name}"] = (
                f"its {dtype} gradients are {difference:.2g} away from torch's with parameters "
                f"{which[0]}, batch {which[1]}: it is not timed"
            )

    def prepare(self) -> None:
        """Let all make what they need, at once, and check them."""
        for workload in self.runs:
            asked = self.taking_part(workload)
            for name in asked:
                self.running[name].send("ready", workload)
            for name in asked:
                try:
                    self.running[name].answer()
                except NotAvailable as error:
                    self.faults[f"{workload}: {name}"] = str(error)
            self.check(workload)
            self.progress.update()

    def time(self) -> dict[str, dict[str, list[float]]]:
        """Run all rounds; return the seconds of one step, round by round."""
        order = random.Random(0)
        seconds: dict[str, dict[str, list[float]]] = {w: {} for w in self.runs}
        for _ in range(self.plan.rounds):
            turns = [(w, name) for w in self.runs for name in self.taking_part(w)]
            # T = 1,000 and T = 100 are one comparison, so a round shuffles all turns together.
            order.shuffle(turns)
            for workload, name in turns:
                took = self.running[name].ask("seconds", workload, self.plan.slot)
                seconds[workload].setdefault(name, []).append(took)
            self.progress.update()
        for workload in self.runs:
            self.check(workload, AFTERWARDS, precisely=False)
            for name in set(seconds[workload]) - set(self.taking_part(workload)):
                del seconds[workload][name]
        return seconds

    def why(self, name: str) -> str:
        """Why there is no figure of this entrant."""
        return self.missing.get(name, "") or next(
            (f"{what}: {why}" for what, why in self.faults.items() if what.endswith(name)), ""
        )


def peaks(race: Race, times: int) -> list[Found]:
    """Measure W4's peak memory, each in a fresh process, the median of several."""
    bytes_of: dict[str, list[float]] = {}
    running: dict[str, list[float]] = {}
    for row in MEMORY:
        for _, name in (row.ours, row.theirs):
            if name in bytes_of or name not in race.running:
                continue
            bytes_of[name], running[name] = [], []
            for _ in range(times):
                fresh = Running(name)
                whole, built = fresh.ask("memory", "W4", "W4 T=20")
                fresh.close()
                bytes_of[name].append(whole)
                running[name].append(built)
    race.progress.update()
    return [
        *(compare(row, {"W4": bytes_of}, race.why) for row in MEMORY),
        *(compare(row, {"W4": running}, race.why) for row in MEMORY_RUNNING),
    ]


def builds(race: Race, times: int) -> list[Found]:
    """Measure how long compiling takes: the median of several."""
    found = []
    for row in BUILD:
        workload, name = row.ours
        if name not in race.taking_part(workload):
            found.append(Found(row, why=race.why(name)))
            continue
        took = sorted(race.running[name].ask("build", workload) * 1e3 for _ in range(times))
        found.append(Found(row, took[len(took) // 2], took[0], took[-1]))
    race.progress.update()
    return found


def machine() -> dict[str, str]:
    """Say what ran this: processor, cores, versions."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    from importlib.metadata import PackageNotFoundError, version

    said = {"processor": model, "cores": str(os.cpu_count()), "system": platform.system()}
    said["python"] = platform.python_version()
    for package in ("numpy", "torch", "mygrad", "autograd", "micrograd", "jax"):
        try:
            said[package] = version(package)
        except PackageNotFoundError:
            continue
    return said


def report(race: Race, seconds: Any, found: list[Found], began: float) -> None:
    """Print both tables and all that has to be said about them."""
    facts = machine()
    print("\n" + "\n".join(table(found)))
    print("\n" + "\n".join(peers_table(seconds)))
    print("\n" + ", ".join(f"{k} {v}" for k, v in facts.items()))
    print(
        f"{race.plan.rounds} rounds, one thread, {time.time() - began:.0f} s; gradients at most "
        f"{_worst(race, 'float64'):.1e} (float64) and {_worst(race, 'float32'):.1e} (float32) "
        "away from torch's in float64"
    )
    for name, why in race.missing.items():
        print(f"not here: {name}: {why}")
    for what, why in race.faults.items():
        print(f"FAULT {what}: {why}")


def _worst(race: Race, dtype: str) -> float:
    return max(
        (d for by in race.differences.values() for who, d in by.items() if who.endswith(dtype)),
        default=0.0,
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write json; 1 when a competitor's gradients were wrong."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/peers.py",
        description=__doc__,
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="3 short rounds: less than a minute")
    parser.add_argument("--rounds", type=int, help="how many rounds (15)")
    parser.add_argument("--only", nargs="+", default=[], choices=RUNS, metavar="WORKLOAD",
                        help="some workloads: " + ", ".join(RUNS))  # fmt: skip
    parser.add_argument("--json", type=Path, default=ROOT / "out" / "peers.json",
                        help="where all figures are written (out/peers.json)")  # fmt: skip
    asked = parser.parse_args(arguments)
    plan = Plan(3, 0.01) if asked.quick else Plan()
    plan.rounds = asked.rounds or plan.rounds
    one_thread()
    return run(plan, asked.only, asked.json)


def run(plan: Plan, only: list[str], file: Path) -> int:
    """Run everything and report."""
    from tqdm import tqdm

    began, few = time.time(), 1 if plan.rounds < 5 else 3
    workloads = only or list(RUNS)
    ends = ("W4" in workloads) + ({"W2 LSTM", "W4"} <= set(workloads))
    with tqdm(total=len(workloads) + plan.rounds + ends, unit="round", leave=False) as progress:
        race = Race(plan, only, progress)
        try:
            race.prepare()
            seconds = race.time()
            asked = [r for r in ROWS if {r.ours[0], r.theirs[0]} <= set(workloads)]
            found = [compare(row, seconds, race.why) for row in asked]
            if "W4" in workloads:
                found += peaks(race, few)
            if {"W2 LSTM", "W4"} <= set(workloads):
                found += builds(race, few)
        finally:
            race.close()
    report(race, seconds, found, began)
    file.parent.mkdir(parents=True, exist_ok=True)
    written = {
        "machine": machine(),
        "rounds": plan.rounds,
        "rows": as_json(found),
        "seconds": seconds,
        "largest difference": race.differences,
        "missing": race.missing,
        "faults": race.faults,
    }
    file.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(f"all figures: {file}")
    return 1 if race.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
