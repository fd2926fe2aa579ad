"""How long a flow takes to be asked everything: an LSTM of 1,000 steps, of 1 and of 32 units.

    python benchmarks/flows.py [--steps 1000] [--rounds 3] [--json FILE]

One thread, the best of several rounds; recording the sequence is not counted. A round asks for
the count, the net and gross sums, the five largest paths and the spectrum, from nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402

import microrecur as mr  # noqa: E402

MUST, REACH = {1: 3.0, 32: 10.0}, {1: 1.0, 32: 3.0}

QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "count": lambda flow: flow.count,
    "net": lambda flow: flow.net,
    "gross": lambda flow: flow.absolute,
    "top 5": lambda flow: flow.top(5),
    "spectrum": lambda flow: flow.spectrum("gate slope"),
}


def recorded(hidden: int, steps: int) -> tuple[Any, Any]:
    """Record an LSTM with seeded weights; return its loss and h₀."""
    numbers = np.random.default_rng(0)
    cell = mr.LSTMCell(hidden, hidden, seed=0)
    shape = () if hidden == 1 else (hidden,)
    h0, c0 = (mr.tensor(numbers.normal(size=shape)) for _ in "hc")
    states = mr.unroll(cell, numbers.normal(size=(steps, *shape)), (h0, c0))
    return states[-1][0].sum(), h0


def measured(hidden: int, steps: int, rounds: int) -> dict[str, float]:
    """Return the least seconds of each question, and of all of them."""
    y, h0 = recorded(hidden, steps)
    best: dict[str, float] = {}
    for _ in range(rounds):
        flow, took = mr.flow(y, h0), {}
        for name, ask in QUESTIONS.items():
            begun = time.perf_counter()
            ask(flow)
            took[name] = time.perf_counter() - begun
        took["all"] = sum(took.values())
        best = {name: min(took[name], best.get(name, np.inf)) for name in took}
    return best


def main() -> None:
    """Measure, print a table, and write json where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results = {hidden: measured(hidden, asked.steps, asked.rounds) for hidden in (1, 32)}
    print(f"LSTM, {asked.steps:,} steps, seconds (best of {asked.rounds})")
    print("hidden" + "".join(f"{name:>10}" for name in (*QUESTIONS, "all", "must", "reach")))
    for hidden, took in results.items():
        cells = (*took.values(), MUST[hidden], REACH[hidden])
        print(f"{hidden:6}" + "".join(f"{seconds:10.2f}" for seconds in cells))
    if asked.json:
        machine = {"python": platform.python_version(), "numpy": np.__version__}
        report = {"steps": asked.steps, "machine": machine, "seconds": results}
        asked.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
