"""What the engine is to reach, one row per number, and the table that says whether it does."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.workloads import OPS, Arrays

EAGER, COMPILED, COMPILED_64 = "microrecur eager", "microrecur compiled", "microrecur compiled f64"

# workload → entrant → the seconds of one step, round by round
Seconds = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class Row:
    """One target: ours over theirs on a workload, both at most `must`, hopefully `reach`."""

    workload: str
    mode: str
    against: str
    must: float
    reach: float
    ours: tuple[str, str]  # workload, entrant
    theirs: tuple[str, str]
    unit: str = ""


@dataclass(frozen=True)
class Found:
    """A row with what was measured: the median and the middle half of the rounds' ratios."""

    row: Row
    now: float | None = None
    low: float | None = None
    high: float | None = None
    why: str = ""

    @property
    def verdict(self) -> str:
        """What the number means against its targets."""
        if self.now is None:
            return "not available"
        if self.now <= self.row.reach:
            return "reached"
        if self.now <= self.row.must:
            return "met"
        return f"missed by {self.now / self.row.must - 1:.0%}"


def _pair(
    workload: str, mode: str, ours: str, against: str, theirs: str, must: float, reach: float
) -> Row:
    return Row(workload, mode, against, must, reach, (workload, ours), (workload, theirs))


def _rows() -> list[Row]:
    # fmt: off
    rows = [
        _pair("OPS", "eager", EAGER, "torch eager, per op", "torch eager", 0.6, 0.35),
        _pair("W2 LSTM", "eager", EAGER, "torch, 8 matmuls too", "torch same way", 0.75, 0.5),
        _pair("W2 LSTM", "eager", EAGER, "MyGrad", "mygrad", 0.4, 0.2),
    ]
    for peer, must, reach in (("torch eager", 0.15, 0.10), ("numpy limit", 1.5, 1.15)):
        for cell in ("LSTM", "RNN", "GRU"):
            rows.append(_pair(f"W2 {cell}", "compiled", COMPILED, peer, peer, must, reach))
    rows += [
        _pair("W2 RNN", "compiled", COMPILED, "torch nn.RNN", "torch nn", 0.25, 0.15),
        _pair("W2 GRU", "compiled", COMPILED, "torch nn.GRU", "torch nn", 0.25, 0.15),
        _pair("W2 LSTM", "compiled", COMPILED, "torch nn.LSTM", "torch nn", 1.5, 1.1),
        _pair("W2 LSTM", "compiled f64", COMPILED_64, "torch nn.LSTM f64", "torch nn f64",
              0.2, 0.14),
        _pair("W3", "compiled", COMPILED, "torch eager", "torch eager", 0.85, 0.7),
        _pair("W3", "compiled", COMPILED, "numpy limit", "numpy limit", 1.2, 1.05),
        _pair("W4", "compiled", COMPILED, "torch eager", "torch eager", 0.25, 0.16),
        _pair("W4", "compiled", COMPILED, "numpy limit", "numpy limit", 1.6, 1.15),
        _pair("W1", "eager", EAGER, "micrograd", "micrograd", 0.4, 0.2),
        _pair("W1", "compiled", COMPILED, "micrograd", "micrograd", 0.04, 0.03),
    ]
    for mode, name in (("eager", EAGER), ("compiled", COMPILED)):
        long, short = ("W1 T=1000", name), ("W1", name)
        rows.append(Row("W1", mode, "T=1000 over T=100", 12, 10.5, long, short))
    return rows
    # fmt: on


ROWS = _rows()

# Peak memory of W4 above the warm process, and what compiling takes: no rounds, no ratio of times.
MEMORY = [
    Row("W4", "eager", "torch eager, peak memory", 2, 1, ("W4", EAGER), ("W4", "torch eager")),
    Row("W4", "compiled", "torch eager, peak memory", 1.5, 0.8, ("W4", COMPILED),
        ("W4", "torch eager")),
]  # fmt: skip
# The same once the plan is there: recording it takes what an eager run takes.
MEMORY_RUNNING = [
    Row("W4", "compiled", "the same, once compiled", 1.5, 0.8, ("W4", COMPILED),
        ("W4", "torch eager")),
]  # fmt: skip
# Folded over time, W4 compiles in what W2 takes: that is what the last `reach` asks.
BUILD = [
    Row("W2 LSTM", "compiled", "compile time", 60, 60, ("W2 LSTM", COMPILED), ("", ""), "ms"),
    Row("W4", "compiled", "compile time", 1000, 60, ("W4", COMPILED), ("", ""), "ms"),
]


def compare(row: Row, seconds: Seconds, why: Callable[[str], str]) -> Found:
    """Return the median over the rounds of ours over theirs within the same round."""
    taken = []
    for workload, name in (row.ours, row.theirs):
        rounds = seconds.get(workload, {}).get(name)
        if not rounds:
            return Found(row, why=why(name))
        taken.append(rounds)
    ratios = [a / b for a, b in zip(*taken)]
    low, high = np.quantile(ratios, (0.25, 0.75)).tolist()
    return Found(row, statistics.median(ratios), low, high)


def largest_difference(found: Arrays, wanted: Arrays) -> float:
    """How far gradients lie apart, of max(1, the largest entry); inf where one is missing."""
    if set(found) != set(wanted):
        return float("inf")
    apart = [
        np.max(np.abs(found[name] - wanted[name])) / max(1.0, float(np.max(np.abs(wanted[name]))))
        for name in wanted
    ]
    worst = float(np.max(apart))  # nan stays nan, and nan is within no tolerance
    return worst


def table(found: Sequence[Found]) -> list[str]:
    """Return the lines of the table."""
    head = ("workload", "mode", "against", "must", "reach", "now", "middle half", "")
    lines = [head]
    for f in found:
        unit = f" {f.row.unit}" if f.row.unit else ""
        now = "—" if f.now is None else f"{f.now:.3g}{unit}"
        spread = "" if f.low is None else f"{f.low:.3g} … {f.high:.3g}"
        row = f.row
        must, reach = f"≤ {row.must:g}{unit}", f"≤ {row.reach:g}{unit}"
        lines.append((row.workload, row.mode, row.against, must, reach, now, spread, f.verdict))
    return aligned(lines)


def peers_table(seconds: Seconds, base: str = "torch eager") -> list[str]:
    """Return each entrant's time on each workload: microseconds, and over torch eager's."""
    lines: list[tuple[str, ...]] = [("workload", "who", "µs per step", "of torch eager")]
    for workload, taken in seconds.items():
        for name, rounds in sorted(taken.items(), key=lambda pair: statistics.median(pair[1])):
            step = statistics.median(rounds) * 1e6
            said = f"{step:,.0f}"
            if workload == "OPS":
                said += f" ({step / OPS.ops:.2f} per op)"
            ratio = ""
            if base in taken:
                ratio = f"{statistics.median(a / b for a, b in zip(rounds, taken[base])):.3f}"
            lines.append((workload, name, said, ratio))
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lay cells out in columns."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    made = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip() for line in lines]
    return [made[0], "─" * (sum(widths) + 2 * len(widths) - 2), *made[1:]]


def as_json(found: Sequence[Found]) -> list[dict[str, object]]:
    """Return the rows for a file."""
    return [{**asdict(f.row), "now": f.now, "low": f.low, "high": f.high, "verdict": f.verdict,
             "why": f.why} for f in found]  # fmt: skip
