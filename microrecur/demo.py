"""`microrecur demo`: RNN, LSTM and GRU on the sunspot numbers, as pictures and as one table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path as File
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from microrecur.data.series import Standardiser, sunspots
from microrecur.engine.tensor import Tensor, scope, tensor
from microrecur.flows.ledger import Entry, ledger
from microrecur.flows.paths import Path, strongest_path
from microrecur.flows.tables import align, width
from microrecur.graphs.graph import Graph, graph
from microrecur.graphs.notation import bound, count, number, typeset
from microrecur.nn.cells import Cell, GRUCell, LSTMCell, RNNCell, unroll

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from microrecur.drawing.drawing import Drawing

TRAIN_UNTIL, FIRST_YEAR, STEPS = 1950, 1951, 6  # six years, up to the highest maximum on record
SEED = 1


@dataclass(frozen=True, eq=False)
class Window:
    """Some years of the series, scaled, and the value they should predict.

    Attributes
    ----------
    years : ndarray of shape (T + 1,)
        The last one is the year to predict.
    numbers, scaled : ndarray of shape (T + 1,)
        Sunspot numbers; in standard deviations of the training part from its mean.
    """

    years: np.ndarray
    numbers: np.ndarray
    scaled: np.ndarray


@dataclass(frozen=True, eq=False)
class Run:
    """A cell unrolled over the window, its loss differentiated, and one path of the chain rule.

    Attributes
    ----------
    name, file : str
        What tables and file names call the cell.
    states : list
        The state before the first step and after each: h, or (h, c).
    loss : Tensor
        L = (h_T − y)².
    graph, path : Graph, Path
        The recorded computation by gates, and its strongest path from L back to h₀.
    """

    name: str
    file: str
    cell: Cell
    states: list[Any]
    loss: Tensor
    graph: Graph
    path: Path

    def h(self, t: int) -> Tensor:
        """Return the hidden state after step t."""
        state = self.states[t]
        return state[0] if isinstance(state, tuple) else state

    def gradient(self, t: int) -> float:
        """Return ∂L/∂h_t, the sum over all paths."""
        return float(np.asarray(self.h(t).grad))


def window(steps: int = STEPS) -> Window:
    """Cut the years out of the series, scaled by what was known before them."""
    years, numbers = sunspots()
    scaling = Standardiser.fit(numbers[years < TRAIN_UNTIL])
    chosen = (years >= FIRST_YEAR) & (years <= FIRST_YEAR + steps)
    return Window(years[chosen], numbers[chosen], scaling.apply(numbers[chosen]))


def runs(data: Window, seed: int = SEED) -> list[Run]:
    """Run each cell over the window; both RNNs have the same weights, so only the slopes differ."""
    return [
        _run("RNN (tanh)", "rnn", RNNCell(1, 1, seed=seed), data),
        _run("RNN (sigmoid)", "rnn_sigmoid", RNNCell(1, 1, True, "sigmoid", seed=seed), data),
        _run("LSTM", "lstm", LSTMCell(1, 1, seed=seed), data),
        _run("GRU", "gru", GRUCell(1, 1, seed=seed), data),
    ]


def _run(name: str, file: str, cell: Cell, data: Window) -> Run:
    zeros = tuple(tensor(0.0, requires_grad=True) for _ in cell.states)
    before = zeros if len(zeros) > 1 else zeros[0]
    states = [before, *unroll(cell, data.scaled[:-1], before)]
    h = states[-1][0] if len(zeros) > 1 else states[-1]
    loss = ((h - data.scaled[-1]) ** 2).named("L")
    loss.backward()
    gates = graph(loss, level="gate")
    return Run(name, file, cell, states, loss, gates, strongest_path(gates, "t0.h"))


def last_step(run: Run, data: Window) -> Graph:
    """Record the last step anew, from the state the steps before it left: no state in it is 0."""
    t = len(run.states) - 1
    left = run.states[-2] if isinstance(run.states[-2], tuple) else (run.states[-2],)
    with scope(f"t={t - 1}"):
        held = [
            tensor(s.numpy(), requires_grad=True, name=letter)
            for letter, s in zip(run.cell.states, left)
        ]
    return graph(run.cell(data.scaled[t - 1], held), level="op")


def drawings(shown: list[Run], data: Window) -> Iterator[tuple[str, Drawing]]:
    """Yield the name and the picture of each cell's last step, and of its path through all."""
    from microrecur.drawing.draw import draw

    for run in shown:
        t, year = len(data.years) - 1, data.years[-2]
        title = f"{run.name}: one step, t = {t} (the year {year})"
        yield f"{run.file}_cell", draw(last_step(run, data), title=title)
        title = f"{run.name} on the sunspot numbers {data.years[0]}–{year}: one path from L to h₀"
        yield f"{run.file}_path", draw(run.graph, path=run.path, title=title)


def demo(folder: str = "out", seed: int = SEED) -> list[File]:
    """Print the table, write the pictures, and list them.

    Parameters
    ----------
    folder : str
        Where the pictures go; made if it is missing.
    seed : int
        What the weights are drawn from.

    Returns
    -------
    list of pathlib.Path
        The files, in the order they were written.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    RenderError
        If no engine can draw the pictures.
    """
    from rich.console import Console

    console = Console(highlight=False)
    data = window()
    shown = runs(data, seed)
    console.print(_wrapped(introduction(data, seed), console.width), soft_wrap=True, end="\n\n")
    for table in side_by_side(shown, console.width):
        console.print(table, soft_wrap=True, end="\n\n")
    console.print(_wrapped(moral(shown), console.width), soft_wrap=True, end="\n\n")
    return _save([run for run in shown if run.file != "rnn_sigmoid"], data, File(folder), console)


def _save(shown: list[Run], data: Window, folder: File, console: Console) -> list[File]:
    """Write each picture as SVG and PNG; a bar appears where that takes more than two seconds."""
    from tqdm import tqdm

    written = []
    todo = tqdm(
        drawings(shown, data), "drawing", 2 * len(shown), leave=False, delay=2, disable=None
    )
    for name, drawing in todo:
        written += [drawing.save(folder / f"{name}{ending}") for ending in (".svg", ".png")]
    for svg, png in zip(written[::2], written[1::2]):
        console.print(f"wrote {svg}  {png}", soft_wrap=True, markup=False)
    return written


def _wrapped(text: str, room: int) -> str:
    """Wrap each line at words, for a reader: no line is longer than 100 columns."""
    return "\n".join(fill(line, min(room, 100)) for line in text.splitlines())


# -- the table -------------------------------------------------------------------------------------

# The terminal's colours, as near to those of the pictures as sixteen come.
STYLES = {
    "gate slope": "blue",
    "squash slope": "green",
    "weight": "yellow",
    "gate value": "magenta",
    "memory value": "magenta",
}
LEGEND = (
    ("gate slope", "σ′ gate slope ≤ ¼"),
    ("squash slope", "tanh′ squash slope ≤ 1"),
    ("gate value", "f, i, o, z gate value ≤ 1"),
    ("memory value", "c, g memory value"),
    ("weight", "U weight, no bound"),
)


Line = tuple[str, str, str, str]  # kind, symbol, value, bound
Row = tuple[str, list[Line]]  # a label, and the line of each cell
EMPTY: Line = ("", "", "", "")


def introduction(data: Window, seed: int) -> str:
    """Say what was run, on what, and what the table shows."""
    steps, numbers = len(data.years) - 1, ", ".join(f"{n:.0f}" for n in data.numbers[:-1])
    return (
        f"Yearly sunspot numbers {data.years[0]}–{data.years[-2]} ({numbers}), to predict "
        f"{data.years[-1]} ({data.numbers[-1]:.0f}), scaled by mean and deviation of the years "
        f"before {TRAIN_UNTIL}. One hidden unit, h₀ = c₀ = 0, weights from seed {seed}, the same "
        f"in both RNNs. L = ({typeset('h', steps)} − y)². From L back to h₀ by the chain rule, "
        "along the path of largest product; ∏ is that path's product so far, ‖∂L/∂hₜ‖ the gradient "
        "of all paths:"
    )


def groups(run: Run) -> Iterator[tuple[str, list[Line]]]:
    """Yield the lines of one cell with their labels: per step its factors, ∏, and the gradient."""
    entries = [entry for entry in ledger(run.graph, run.path) if entry.symbol != "1"]
    last = len(run.states) - 1
    running = 1.0
    for step in (None, *range(last, 0, -1)):
        here = [entry for entry in entries if entry.step == step]
        running = here[-1].running if here else running
        reached = last if step is None else step - 1
        yield "L" if step is None else f"t = {step}", [_line(entry) for entry in here]
        yield "∏", [("", "", number(running), "")]
        size = number(abs(run.gradient(reached)))
        yield f"‖∂L/∂{typeset('h', reached)}‖", [("", "", size, "")]


def _line(entry: Entry) -> Line:
    limit = "" if entry.bound is None else f"≤ {bound(entry.bound)}"
    symbol = "L′" if entry.step is None else entry.symbol
    return entry.kind, symbol, number(entry.value), limit


def side_by_side(shown: list[Run], room: int) -> list[Text]:
    """Lay the cells beside each other: as many as the room holds, with kinds in words if it can.

    Parameters
    ----------
    shown : list of Run
        The cells, all over the same number of steps.
    room : int
        Columns of the terminal.

    Returns
    -------
    list of Text
        One table, or several to be printed below each other, and what the colours mean.
    """
    for abreast, words in ((4, True), (4, False), (2, True), (2, False), (1, True), (1, False)):
        parts = [shown[k : k + abreast] for k in range(0, len(shown), abreast)]
        tables = [_table(part, words) for part in parts]
        if all(width(line) <= room for table in tables for line in table.plain.splitlines()):
            break
    return [*tables, _legend(room)]


def _rows(shown: list[Run]) -> Iterator[Row]:
    yield "paths", [("", "", count(run.path.count), "") for run in shown]
    yield "", [EMPTY] * len(shown)
    for together in zip(*map(groups, shown)):
        label = together[0][0]
        lines = zip_longest(*(block for _, block in together), fillvalue=EMPTY)
        for k, line in enumerate(lines):
            yield label if k == 0 else "", list(line)
        if label.startswith("‖"):
            yield "", [EMPTY] * len(shown)


def _table(shown: list[Run], words: bool) -> Text:
    from rich.text import Text

    labels, lines = zip(*_rows(shown))
    first = 0 if words else 1  # the kind stands in the colour alone
    blocks = [
        [" ".join(cells) for cells in align([line[k][first:] for line in lines], {2 - first})]
        for k in range(len(shown))
    ]
    table = Text()
    grid = align([["", *(run.name for run in shown)], *zip(labels, *blocks)])
    styles = [["bold"] * len(shown), *([STYLES.get(line[0], "") for line in row] for row in lines)]
    for row, kinds in zip(grid, styles):
        text = Text(row[0])
        for cell, style in zip(row[1:], kinds):
            text.append("  ").append(cell, style)
        text.rstrip()
        table.append(text).append("\n")
    table.rstrip()
    return table


def _legend(room: int) -> Text:
    from rich.text import Text

    legend, used = Text(), 0
    for kind, meaning in LEGEND:
        gap = "" if not used else " · " if used + 3 + width(meaning) <= room else "\n"
        used = width(meaning) + (used + 3 if gap == " · " else 0)
        legend.append(gap).append(meaning, STYLES[kind])
    return legend


def moral(shown: list[Run]) -> str:
    """Say of each cell, from the numbers above, what its ceilings did."""
    return "\n".join(map(_sentence, shown))


def _sentence(run: Run) -> str:
    """Say what the factors of the path's most frequent bounded kind come to, and the whole."""
    entries = [e for e in ledger(run.graph, run.path) if e.bound is not None and e.symbol != "1"]
    ((kind, _),) = Counter(entry.kind for entry in entries).most_common(1)
    those = [entry for entry in entries if entry.kind == kind]
    product = math.prod(entry.value for entry in those)
    ceiling = math.prod(entry.bound or 0.0 for entry in those)
    gradient = number(run.gradient(0))
    whole = (
        f"∏ is ∂L/∂h₀ = {gradient}, there being no other path"
        if run.path.count == 1
        else f"∏ = {number(run.path.product)} is one path, all {count(run.path.count)} "
        f"together are ∂L/∂h₀ = {gradient}"
    )
    return (
        f"{run.name}: {len(those)} {kind}s, each ≤ {bound(those[0].bound or 0.0)}, multiply to "
        f"{number(product)} (never more than {bound(ceiling)}); {whole}."
    )
