"""Plots of where the gradient goes: by step, beside its bounds, by route, and what the gates do.

Each function draws into the axes it is given, or into a figure of its own, and returns the axes.
Colour never stands alone: lines differ in dash, areas in hatching, and all are labelled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from microrecur.engine.primitive import Elementwise
from microrecur.flows.flow import Flow
from microrecur.flows.routes import steps_of
from microrecur.flows.tables import Table
from microrecur.graphs import notation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from microrecur.flows.ledger import Entry

# Okabe and Ito's colours, which differ for every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B0568A", "#E69F00", "#56B4E9", "#111111", "#8A7A00")
DASHES = ("-", "--", "-.", ":")
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "+++", "ooo", "---")


def plot_by_step(flow: Flow, ax: Axes | None = None) -> Axes:
    """Plot the norm of the gradient at each state, step by step, on a log scale.

    Dotted, one step's view of it (the other states held), where that is another number.

    Parameters
    ----------
    flow : Flow
        Of a sequence.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax)
    table = flow.by_step()
    for k, (name, (total, view)) in enumerate(table.states.items()):
        letter = notation.typeset(name, "t")
        pairs = [(getattr(row, total), getattr(row, view)) for row in table]
        numbers = {row.step: pair for row, pair in zip(table, pairs, strict=True)}
        colour = COLOURS[k % 8]
        _line(ax, [(t, a) for t, (a, _) in numbers.items()], colour, "-", f"‖∂/∂{letter}‖")
        if any(a != b for a, b in pairs):  # else the line would lie under the other
            label = f"‖∂/∂{letter}‖, the other states held"
            _line(ax, [(t, b) for t, (_, b) in numbers.items()], colour, ":", label)
    _finish(ax, "step", "norm of the gradient", powers=True)
    return ax


def plot_ledger(ledger: Flow | Table[Entry], ax: Axes | None = None) -> Axes:
    """Plot the running product along one path beside that of its bounds, on a log scale.

    A weight has no bound: the bounds multiply with its own norm there.

    Parameters
    ----------
    ledger : Flow or Table of Entry
        A ledger, or the flow whose largest path is meant.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax)
    rows = ledger.ledger() if isinstance(ledger, Flow) else ledger
    bound, points = 0.0, []
    for k, row in enumerate(rows, start=1):
        bound += _log10(abs(row.value) if row.bound is None else row.bound)
        points.append((k, bound, _log10(abs(row.running))))
    _line(ax, [(k, b) for k, b, _ in points], COLOURS[1], "--", "∏ of the bounds")
    _line(ax, [(k, r) for k, _, r in points], COLOURS[0], "-", "|∏| of this run")
    _finish(ax, "factors passed, from the loss back", "running product", powers=True)
    return ax


def plot_ceiling(flow: Flow, of: str | None = None, ax: Axes | None = None) -> Axes:
    """Plot what slopes and weights allow beside what is, by lag, over all paths at once.

    Parameters
    ----------
    flow : Flow
        Of a sequence.
    of : str, optional
        The state at both ends, "h" or "c"; the one the last step computes last when not given.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax)
    table = flow.ceiling()
    known = list(dict.fromkeys(row.target for row in table))
    of = of or known[-1]
    if of not in known:
        raise ValueError(f"plot_ceiling: there is no state {of!r}; there are: {', '.join(known)}")
    rows = [row for row in table if row.target == row.source == of]
    _line(ax, [(r.lag, r.log10_bound) for r in rows], COLOURS[1], "--", "at most (slopes, weights)")
    _line(ax, [(r.lag, r.log10) for r in rows], COLOURS[0], "-", "in this run")
    _finish(ax, "lag k", f"norm of ∂{of} by {of}, k steps before", powers=True)
    return ax


def plot_cells(flows: Mapping[str, Flow], ax: Axes | None = None) -> Axes:
    """Plot the norm of several gradients by step on one axis: RNN, LSTM, GRU.

    Parameters
    ----------
    flows : mapping of str to Flow
        By the name each line is labelled with.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax)
    for k, (name, flow) in enumerate(flows.items()):
        table = flow.by_step()
        column = next(iter(table.states.values()))[0]
        numbers = [(row.step, getattr(row, column)) for row in table]
        _line(ax, numbers, COLOURS[k % 8], DASHES[k % 4], name)
    _finish(ax, "step", "norm of the gradient at hₜ", powers=True)
    return ax


def plot_routes(flow: Flow, ax: Axes | None = None) -> Axes:
    """Plot each route's share of what a step hands on, stacked by step; negative ones below 0.

    Parameters
    ----------
    flow : Flow
        Of a sequence.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax)
    table = flow.by_step()
    rows = [row for row in table if getattr(row, next(iter(table.routes.values()))) is not None]
    steps = np.array([row.step for row in rows])
    above, below = np.zeros(len(rows)), np.zeros(len(rows))
    for k, (route, column) in enumerate(table.routes.items()):
        share = np.nan_to_num(np.array([getattr(row, column) for row in rows], float))
        bottom = np.where(share >= 0, above, below)
        style: dict[str, Any] = {"hatch": HATCHES[k % 8], "edgecolor": "white", "linewidth": 0.3}
        ax.bar(steps, share, 0.9, bottom, color=COLOURS[k % 8], label=route, **style)
        above, below = above + np.maximum(share, 0), below + np.minimum(share, 0)
    ax.axhline(0, color="#444444", linewidth=0.8)
    _finish(ax, "step", "share of what the step hands on")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def plot_gates(flow: Flow, axes: Any = None) -> np.ndarray:
    """Plot every gate as a strip, one row per unit: its value, and its slope beside its ceiling.

    A slope near its ceiling (σ′ = ¼, tanh′ = 1) is bright; a saturated one is dark. Values of one
    scale (0 to 1, −1 to 1) share a colour map, and the bar to the right is named after them.

    Parameters
    ----------
    flow : Flow
        Of a sequence.
    axes : two rows of matplotlib Axes, optional
        One column per gate.

    Returns
    -------
    ndarray of matplotlib Axes
        Of shape (2, gates): values above, slopes below.
    """
    gates = _gates(flow)
    if axes is None:
        from matplotlib import pyplot

        shape: dict[str, Any] = {"figsize": (2.3 * len(gates) + 1.8, 3.8), "squeeze": False}
        axes = pyplot.subplots(2, len(gates), layout="constrained", sharex=True, **shape)[1]
    grid = np.asarray(axes).reshape(2, len(gates))
    scales: dict[float, list[Any]] = {}
    for k, (name, (steps, values, slopes, low)) in enumerate(gates.items()):
        extent = (min(steps) - 0.5, max(steps) + 0.5, values.shape[0] + 0.5, 0.5)
        style: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest", "extent": extent}
        colours = "cividis" if low == 0 else "PuOr"
        shown = grid[0, k].imshow(values, vmin=low, vmax=1, cmap=colours, **style)
        share = grid[1, k].imshow(slopes, vmin=0, vmax=1, cmap="gray", **style)
        scales.setdefault(low, []).append((notation.typeset(name, "t"), shown))
        for ax in grid[:, k]:
            ax.set_yticks([1, values.shape[0]] if values.shape[0] > 1 else [1])
        grid[0, k].set_title(notation.typeset(name, "t"))
        grid[1, k].set_xlabel("step")
    grid[0, 0].set_ylabel("value, by unit")
    grid[1, 0].set_ylabel("slope ÷ ceiling")
    for strips in scales.values():  # one bar per scale, each named after the gates it is of
        _bar(grid[0], strips[0][1], ", ".join(name for name, _ in strips))
    _bar(grid[1], share, "slope ÷ ceiling, all")
    return grid


def _bar(row: np.ndarray, image: Any, label: str) -> None:
    """A colour bar at the right end of a row of strips."""
    row[0].figure.colorbar(image, ax=list(row), fraction=0.03, pad=0.01).set_label(label)


# -- helpers ---------------------------------------------------------------------------------------


def _gates(flow: Flow) -> dict[str, tuple[list[int], np.ndarray, np.ndarray, float]]:
    """Of each gate: its steps, its values, its slopes over their ceiling, its lowest value."""
    steps = steps_of(flow)
    found: dict[str, list[tuple[int, np.ndarray, np.ndarray, float]]] = {}
    for t in sorted(steps):
        for node, name in steps[t].marks.items():
            card: Any = node.op
            if not isinstance(card, Elementwise) or not card.slope[0]:
                continue
            slope = flow.linearised.partial(node, 0) / card.slope[0]
            low = 0.0 if card.kind == "gate slope" else -1.0
            numbers = node.numpy().reshape(-1), np.broadcast_to(slope, node.shape).reshape(-1)
            found.setdefault(name, []).append((t, *numbers, low))
    return {name: _stacked(rows) for name, rows in found.items()}


def _stacked(rows: list[Any]) -> tuple[list[int], np.ndarray, np.ndarray, float]:
    steps, values, slopes, lows = zip(*rows)
    return list(steps), np.stack(values, axis=1), np.stack(slopes, axis=1), lows[0]


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(6.4, 3.4), layout="constrained")[1]


def _line(
    ax: Axes, points: Iterable[tuple[int, float | None]], colour: str, dash: str, label: str
) -> None:
    """A line through logarithms; what is 0, ∞ or unknown leaves a gap."""
    pairs = sorted((x, y) for x, y in points if y is not None)
    heights = [y if math.isfinite(y) else math.nan for _, y in pairs]
    mark = "." if len(pairs) <= 60 else None
    xs = [x for x, _ in pairs]
    ax.plot(xs, heights, dash, color=colour, marker=mark, label=label, linewidth=1.6)


def _finish(ax: Axes, x: str, y: str, powers: bool = False) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if powers:  # logarithms are plotted, since the numbers themselves may leave floating point
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: notation.power_of_ten(round(v))))
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(axis="y", color="#E5E5E5", linewidth=0.6)
    ax.set_axisbelow(True)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False)


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else -math.inf
