"""What a trained network does to gradients: routes, horizon, saturation and verdict, cell by cell.

Every cell of a stack is looked at alone, on the inputs it meets in the stack: L is the sum of its
last h, and the question is what of ∂L/∂h arrives how many steps before.
"""

from __future__ import annotations

import copy
import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microrecur.data.series import Standardiser, read_series
from microrecur.engine.primitive import Elementwise
from microrecur.engine.tensor import Tensor, step_of, tensor
from microrecur.files import write_whole
from microrecur.flows.flow import Flow, flow
from microrecur.flows.horizon import power
from microrecur.flows.tables import Table, column
from microrecur.graphs import notation
from microrecur.interop.keras import load_keras
from microrecur.interop.torch import load_torch
from microrecur.interop.weights import load_weights
from microrecur.nn.cell import Cell
from microrecur.nn.cells import unroll
from microrecur.nn.recurrent import Recurrent
from microrecur.plots import COLOURS, plot_by_step, plot_routes

SATURATED = 0.1  # a slope below this part of its ceiling
EPSILON = 1e-3  # below this part a gradient counts as gone: the horizon


def percent(part: float) -> str:
    """Set a share: "12%", "under 1%"."""
    return f"{part:.0%}" if part == 0 or part >= 0.01 else "under 1%"


@dataclass(frozen=True)
class Gate:
    """What one gate did over all steps and units.

    Attributes
    ----------
    layer, gate : str
        Which.
    mean, low, high : float
        Its mean value, and what 5 % and 95 % of its values lie below.
    slope : float
        Its mean slope, as part of the highest it can have (σ′ = ¼, tanh′ = 1).
    saturated : float
        How many of its values have a slope below a tenth of that: 0 to 1.
    """

    layer: str
    gate: str = field(metadata=column("gate", notation.typeset))
    mean: float
    low: float = field(metadata=column("5%"))
    high: float = field(metadata=column("95%"))
    slope: float = field(metadata=column("slope ÷ ceiling", percent))
    saturated: float = field(metadata=column("saturated", percent))


@dataclass(frozen=True)
class Reach:
    """How far back one cell's gradient reaches.

    Attributes
    ----------
    layer, cell : str
        Which, and what it is: "LSTM 8 → 32".
    log10 : float
        log₁₀ of ‖∂L/∂h₀‖ ÷ ‖∂L/∂h_T‖.
    horizon : int or None
        The lag from which on ‖∂L/∂h‖ stays below a thousandth of what it is at the last step; None
        where it is longer than the sequence.
    half_life : float
        In how many steps ‖∂L/∂h‖ halves, on the average over the sequence; ∞ where it does not
        shrink, 0 where nothing arrives.
    """

    layer: str
    cell: str
    log10: float = field(metadata=column("over all steps", power))
    horizon: int | None
    half_life: float = field(metadata=column("half-life"))


@dataclass(frozen=True, eq=False)
class Looked:
    """One cell: its flow from L back to h₀, and what was read off it."""

    name: str
    flow: Flow
    reach: Reach
    gates: tuple[Gate, ...]
    verdict: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found; `str()` is the report.

    Attributes
    ----------
    cells : tuple of Looked
        In the order of h_n: layer 0, layer 0 reverse, layer 1, …
    inputs : str
        What it was run on.
    """

    cells: tuple[Looked, ...]
    inputs: str

    def __str__(self) -> str:
        about = (
            "Each cell is looked at by itself: L is the sum of its last h, not the training loss."
        )
        found = [f"Run on {self.inputs}.", about, str(Table(Reach, (c.reach for c in self.cells)))]
        found.append(str(Table(Gate, (gate for c in self.cells for gate in c.gates))))
        for cell in self.cells:
            title = f"{cell.name}: " if len(self.cells) > 1 else ""
            found.append(title + "\n".join(cell.verdict))
        return "\n\n".join(found)

    def by_step(self) -> Table[Any]:
        """Return the gradient's norms and the routes' shares, by layer and step."""
        tables = [(cell.name, cell.flow.by_step()) for cell in self.cells]
        columns: list[Any] = [("layer", str)]
        columns += [(f.name, f.type, field(metadata=f.metadata)) for f in fields(tables[0][1].of)]
        of = make_dataclass("AtLayerAndStep", columns, frozen=True)
        return Table(of, (of(name, **asdict(row)) for name, table in tables for row in table))

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write that table; columns that hold log₁₀ of a norm are called so."""
        norms = {
            name
            for cell in self.cells
            for pair in cell.flow.by_step().states.values()
            for name in pair
        }
        return self.by_step().to_csv(path, {name: f"log10_{name}" for name in norms})

    def draw(self, path: str | os.PathLike[str]) -> Path:
        """Write a figure, one row per cell: norms by step, shares of routes, saturation."""
        from matplotlib.figure import Figure

        rows = len(self.cells)
        figure = Figure(figsize=(15, 3.6 * rows), layout="constrained")
        grid = figure.subplots(rows, 3, squeeze=False, width_ratios=(4, 5, 3))
        for axes, cell in zip(grid, self.cells):
            plot_by_step(cell.flow, axes[0])
            plot_routes(cell.flow, axes[1])
            _plot_saturation(cell.gates, axes[2])
            axes[0].set_title(f"{cell.name}  {cell.reach.cell}".strip(), loc="left")
        made = io.BytesIO()
        kind = Path(path).suffix.removeprefix(".")
        figure.savefig(made, format=kind, dpi=120)
        return write_whole(path, made.getvalue())


def audit(module: Recurrent | Cell, xs: np.ndarray, inputs: str = "the inputs given") -> Audit:
    """Run a layer or a cell on a sequence and look at what becomes of gradients in it.

    Parameters
    ----------
    module : RNN, LSTM, GRU or a cell
        Trained or not; it is run in float64, without dropout.
    xs : ndarray of shape (T, I)
        One sequence.
    inputs : str
        What these are, for the report.

    Returns
    -------
    Audit

    Raises
    ------
    ValueError
        The inputs do not fit, or a weight is not finite; the message names it.

    Examples
    --------
    >>> import microrecur as mr
    >>> found = audit(mr.LSTM(2, 4, seed=0), np.random.default_rng(0).normal(size=(30, 2)))
    >>> [reach] = [cell.reach for cell in found.cells]
    >>> reach.cell, reach.horizon
    ('LSTM 2 → 4', 11)
    """
    xs = np.asarray(xs, float)
    if xs.ndim != 2 or not len(xs) or xs.shape[1] != module.input_size:
        raise ValueError(
            f"audit: xs has shape {xs.shape}, it must be (T, {module.input_size}): one sequence, "
            f"as many numbers a step as the {type(module).__name__} reads"
        )
    for name, array in module.state_dict().items():
        if not np.isfinite(array).all():
            raise ValueError(
                f"audit: {name} holds {array[~np.isfinite(array)][0]}: the training that made it "
                "has failed; take a checkpoint from before"
            )
    module = copy.deepcopy(module).to(np.float64).eval()  # what was given stays as it is
    return Audit(tuple(_looked_at(*each) for each in _cells_on(module, xs)), inputs)


def _cells_on(module: Recurrent | Cell, xs: np.ndarray) -> Iterator[tuple[str, Cell, np.ndarray]]:
    """Yield each cell's name, the cell, and the inputs it meets, in the order it reads them."""
    if isinstance(module, Cell):
        yield "", module, xs
        return
    directions, several = 2 if module.bidirectional else 1, len(module.cells) > 1
    for layer in range(module.num_layers):
        outputs = []
        for reverse in range(directions):
            cell = module.cells[layer * directions + reverse]
            read = xs[::-1] if reverse else xs
            yield (f"layer{layer}" + "/reverse" * reverse) * several, cell, read
            hs = np.stack([_h(after).data for after in unroll(cell, list(read))])
            outputs.append(hs[::-1] if reverse else hs)
        xs = np.concatenate(outputs, axis=1)


def _h(state: Any) -> Tensor:
    return state[0] if isinstance(state, tuple) else state


def _looked_at(name: str, cell: Cell, xs: np.ndarray) -> Looked:
    start = tuple(tensor(np.zeros(cell._state_size(letter))) for letter in cell.states)
    last = _h(unroll(cell, list(xs), start if len(start) > 1 else start[0])[-1])
    found = flow(last.sum().named("L"), start[0])
    gates = tuple(_gates(name, cell, found))
    return Looked(name, found, _reach(name, cell, found), gates, tuple(found.verdict()))


def _reach(name: str, cell: Cell, found: Flow) -> Reach:
    table = found.by_step()
    norm = table.states["h"][0]
    # Relative to the last step, which comes first: entry k is the lag of k steps.
    lags = [getattr(row, norm) - getattr(table[0], norm) for row in table]
    lasting = [lag for lag, size in enumerate(lags) if size >= math.log10(EPSILON)]
    horizon = lasting[-1] + 1 if lasting else 0
    halvings = -lags[-1] / math.log10(2)
    kind = type(cell).__name__.removesuffix("Cell")
    # What the weights alone do not tell is said: it was given, or assumed.
    variant = getattr(cell, "nonlinearity", None) or {
        True: "reset after",
        False: "reset before",
    }.get(getattr(cell, "reset_after", None), "")  # type: ignore[arg-type]
    return Reach(
        name,
        f"{kind} {cell.input_size} → {cell.hidden_size}" + (f", {variant}" if variant else ""),
        lags[-1],
        horizon if horizon < len(lags) else None,
        (len(lags) - 1) / halvings if halvings > 0 else math.inf,
    )


def _gates(name: str, cell: Cell, found: Flow) -> Iterator[Gate]:
    """Values and slopes of every gate; of a plain RNN, of its h."""
    values: dict[str, list[np.ndarray]] = {gate: [] for gate in cell.gates}
    slopes: dict[str, list[np.ndarray]] = {gate: [] for gate in cell.gates}
    for node in found.linearised.nodes:
        card: Any = node.op
        if node.name in values and step_of(node.scope) and isinstance(card, Elementwise):
            ceiling = card.slope[0]
            if ceiling:
                values[node.name].append(node.numpy())
                slopes[node.name].append(np.abs(found.linearised.partial(node, 0)) / ceiling)
    for gate in cell.gates:
        if values[gate]:
            value, slope = np.concatenate(values[gate]), np.concatenate(slopes[gate])
            low, high = np.quantile(value, [0.05, 0.95])
            saturated = float((slope < SATURATED).mean())
            yield Gate(
                name, gate, float(value.mean()), float(low), float(high), float(slope.mean()),
                saturated,
            )  # fmt: skip


def _plot_saturation(gates: Sequence[Gate], ax: Any) -> None:
    names = [notation.typeset(gate.gate, "t") for gate in gates]
    bars = ax.barh(names, [100 * gate.saturated for gate in gates], color=COLOURS[0])
    ax.bar_label(bars, [percent(gate.saturated) for gate in gates], padding=3)
    ax.set_xlim(0, 112)
    ax.set_xlabel("% with a slope below a tenth of its ceiling")
    ax.invert_yaxis()
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


# -- from files ------------------------------------------------------------------------------------


def load_layer(
    path: str | os.PathLike[str], prefix: str | None = None, **options: Any
) -> Recurrent | Cell:
    """Make the recurrent layer whose weights a file holds: torch's names, or Keras' arr_0, arr_1 ….

    Parameters
    ----------
    path : str or path
        As for `load_weights`.
    prefix : str, optional
        Which of several layers.
    **options
        What weights do not tell, as for `load_torch`.
    """
    weights = load_weights(path)
    if weights and all(re.fullmatch(r"arr_\d+", name) for name in weights):
        return load_keras([weights[f"arr_{k}"] for k in range(len(weights))], **options)
    return load_torch(weights, prefix, **options)


def noise(steps: int, size: int, seed: int = 0) -> tuple[np.ndarray, str]:
    """Return inputs from N(0, 1), and what they are."""
    xs = np.random.default_rng(seed).normal(size=(steps, size))
    return xs, f"{steps} steps of noise, N(0, 1) from seed {seed}"


def read_inputs(
    path: str | os.PathLike[str],
    steps: int,
    size: int,
    name: str | None = None,
    as_is: bool = False,
) -> tuple[np.ndarray, str]:
    """Return the last rows of a csv file as inputs, and what they are.

    Parameters
    ----------
    path : str or path
        A file for `read_series`: `size` columns of numbers, or one more, the first the time.
    steps, size : int
        T and I.
    name : str, optional
        The column to read where size is 1 and there are several.
    as_is : bool
        Keep the file's units; else each column is scaled to mean 0 and standard deviation 1.

    Raises
    ------
    ValueError
        The columns or rows do not suffice, or a number is none.
    """
    columns = _columns(path, size, name)
    values = np.stack([read_series(Path(path), k).values for k in columns], axis=1)
    if len(values) < steps:
        raise ValueError(
            f"{path} has {len(values):,} rows, and {steps:,} steps need as many: --steps "
            f"{len(values)} uses all"
        )
    if not as_is:
        values = np.stack([Standardiser.fit(v).apply(v) for v in values.T], axis=1)
    scaled = "as they are" if as_is else "scaled to mean 0 and standard deviation 1"
    if len(columns) == 1:
        which = "column " + (columns[0] if name is not None else str(columns[0] + 1))
    else:
        which = f"columns {columns[0] + 1} to {columns[-1] + 1}"
    return values[-steps:], f"the last {steps} rows of {Path(path).name}, {which}, {scaled}"


def _columns(path: str | os.PathLike[str], size: int, name: str | None) -> Sequence[Any]:
    if name is not None:
        if size != 1:
            raise ValueError(f"the layer reads {size} numbers a step: one column is not enough")
        return [name]
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file at {Path(path).absolute()}")
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    held = max(len(first.split(mark)) for mark in ",;\t")
    if held - size not in (0, 1):
        raise ValueError(
            f"{path} has {held} columns, and the layer reads {size} numbers a step: it needs "
            f"{size}, or {size + 1} with the time first{'; --column says which' * (size == 1)}"
        )
    return range(held - size, held)
