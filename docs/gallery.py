"""Draw every picture of gallery.md and write the page: `make gallery`.

The lines that stand in the page are the lines that are run.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import microrecur as mr

HERE = Path(__file__).parent
PICTURES = HERE / "pictures"
COLOURS = 128  # of a PNG: flat colours and grey edges of letters, no photographs

SETUP = """\
import microrecur as mr
from microrecur.nn.cells import Cell

xs = [0.9, -0.5, 0.7, 0.3, -0.8, 1.1]

def states(cell, steps=1):
    start = tuple(mr.tensor(value) for value in (0.35, 0.8)[: len(cell.states)])
    inputs = (xs * 5)[:steps]
    return mr.unroll(cell, inputs, start if len(start) > 1 else start[0])

def loss(cell, steps):
    last = states(cell, steps)[-1]
    h = last[0] if isinstance(last, tuple) else last
    return ((h - 0.3) ** 2).named("L")

rnn = mr.RNNCell(1, 1, seed=2)
lstm = mr.LSTMCell(1, 1, seed=1)
gru = mr.GRUCell(1, 1, seed=3)

class Minimal(Cell):  # the minimal gated unit of own_cell.md
    gates, states = ("f", "n"), ("h",)

    def step(self, x, h):
        W, U, b, _ = self._weights(x)
        with mr.scope("forget gate"):
            f = mr.sigmoid((x @ W.f + h @ U.f + b.f).named("z_f")).named("f")
        with mr.scope("candidate"):
            n = mr.tanh((x @ W.n + (f * h) @ U.n + b.n).named("z_n")).named("n")
        with mr.scope("hidden state"):
            return ((1 - f) * h + f * n).named("h")

own = Minimal(1, 1, seed=1)
"""


@dataclass(frozen=True)
class Entry:
    """One picture: the file's name, what it shows, the line that makes it."""

    name: str
    words: str
    line: str


CELLS = (
    Entry("lstm_cell", "One step of an LSTM: every gate, every edge with its factor, value and "
          "bound. The cell state is the straight line along the top.", "mr.draw(states(lstm))"),
    Entry("gru_cell", "A GRU as PyTorch has it: the reset gate stands after Uⁿ.",
          "mr.draw(states(gru))"),
    Entry("gru_reset_before", "The GRU of Cho et al. (2014): the reset gate stands before Uⁿ.",
          "mr.draw(states(mr.GRUCell(1, 1, seed=3, reset_after=False)))"),
    Entry("rnn_cell", "A plain RNN, its affine map written out.", "mr.draw(states(rnn))"),
    Entry("peephole_cell", "An LSTM whose gates see the cell state.",
          "mr.draw(states(mr.LSTMCell(1, 1, seed=1, peephole=True)))"),
    Entry("own_cell", "A cell of one's own, built from named gates: no drawing code, the grid is "
          "read off the recording.", "mr.draw(states(own))"),
    Entry("side_by_side", "Three cells on one grid; dashed is what a cell lacks.",
          "mr.draw_side_by_side(states(rnn), states(lstm), states(gru))"),
)  # fmt: skip
UNROLLED = (
    Entry("rnn_path", "Six steps of an RNN, the only path from L back to h₀: line width and bars "
          "are the running product.", 'mr.draw(loss(rnn, 6), path="h0")'),
    Entry("lstm_path", "Four steps of an LSTM by gate, the strongest of 436 paths.",
          'mr.draw(loss(lstm, 4), path="h0")'),
    Entry("lstm_routes", "All 436 paths at once: the share of the gradient on every line.",
          'mr.draw(loss(lstm, 4), path="h0", routes=True)'),
    Entry("gru_by_op", "Two steps of a GRU with every operation.",
          'mr.draw(loss(gru, 2), level="op")'),
    Entry("folded", "Thirty steps, the middle folded: × is what the folded steps multiply by.",
          'mr.draw(loss(rnn, 30), path="h0")'),
    Entry("own_cell_path", "The same for a cell of one's own.",
          'mr.draw(loss(own, 30), path="h0")'),
    Entry("slice", "Steps 11 to 13 of thirty.",
          'mr.draw(loss(lstm, 30), path="c0", steps=slice(10, 13))'),
    Entry("gradients", "Values and ∂L/∂ of every node, no factors.",
          'mr.draw(loss(gru, 4), show=("value", "grad"))'),
    Entry("bounds", "The bounds alone, in dark colours.",
          'mr.draw(states(lstm), show=("bound",), theme="dark")'),
)  # fmt: skip
LARGER = (
    Entry("unit", "One hidden unit of eight, with the numbers of the large graph; Σ is what the "
          "others add.", "mr.draw(mr.unroll(mr.GRUCell(1, 8, seed=1), [[0.9], [-0.5]]), unit=3)"),
    Entry("tensors", "The same eight units as tensors: shapes, norms, typical slopes.",
          "mr.draw(mr.unroll(mr.GRUCell(1, 8, seed=1), [[0.9]]))"),
    Entry("stacked", "Two layers: time in columns, layers in rows.",
          "mr.draw(mr.LSTM(1, 1, num_layers=2, seed=0)([[x] for x in xs[:4]])[0][-1])"),
    Entry("stacked_by_gate", "Two layers of a GRU by gate, a floor for each.",
          "mr.draw(mr.GRU(1, 1, num_layers=2, seed=0)([[x] for x in xs[:2]])[0][-1], "
          'level="gate")'),
    Entry("both_ways", "Both directions, two lanes; the reverse lane runs from right to left.",
          "mr.draw(mr.GRU(1, 1, bidirectional=True, seed=0)([[x] for x in xs[:4]])[0])"),
)  # fmt: skip
COMPARED = (
    Entry("difference", "What a plain LSTM lacks beside one with peepholes.",
          "mr.draw_difference(states(mr.LSTMCell(1, 1, seed=1, peephole=True)), states(lstm))"),
    Entry("backward", "The graph of a gradient below the steps it belongs to: each arrow turns a "
          "forward arrow round.",
          'mr.draw(mr.grad(y := loss(rnn, 3), mr.graph(y).find("t0.h").tensor))'),
    Entry("backward_lstm", "The same for an LSTM.",
          'mr.draw(mr.grad(y := loss(lstm, 2), mr.graph(y).find("t0.h").tensor))'),
    Entry("own_graph", "Any recorded computation: laid out by Graphviz.",
          'mr.draw((mr.tanh((a := mr.tensor(0.5, name="a")) * mr.tensor(2.0, name="b")) + a)'
          '.named("y"))'),
)  # fmt: skip
CHAPTERS = {
    "One step of a cell": CELLS,
    "Through time": UNROLLED,
    "More units, more layers": LARGER,
    "Beside one another": COMPARED,
}
HEAD = """\
# Gallery

Every picture here is drawn from a recorded computation by the line under it, after these:

```python
{setup}```

`.save("picture.svg")` writes it, and so do `.png`, `.pdf`, `.html`, `.dot`; a path also walks as
`.gif` and `.apng`. Of four steps by gate, lines from x, from r to n and from o to h show no factor
where none is legible: three steps, or `level="op"`, show all. `make gallery` draws this page anew.
"""


def drawing(entry: Entry) -> Any:
    """The picture an entry's line makes."""
    names: dict[str, Any] = {}
    exec(SETUP, names)
    return eval(entry.line, names)


def page() -> str:
    """The text of gallery.md."""
    parts = [HEAD.format(setup=SETUP)]
    for chapter, entries in CHAPTERS.items():
        parts.append(f"\n## {chapter}\n")
        for entry in entries:
            parts.append(
                f"\n{entry.words}\n\n![{entry.words}](pictures/{entry.name}.png)\n\n"
                f"```python\n{entry.line}\n```\n"
            )
    return "".join(parts)


def png(picture: Any) -> bytes:
    """A PNG of few colours: a third of the size, and the same to the eye."""
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(picture.png())) as image:
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(out, "PNG", optimize=True)
    return out.getvalue()


def main() -> None:
    """Write the page and its pictures."""
    PICTURES.mkdir(exist_ok=True)
    for entries in CHAPTERS.values():
        for entry in entries:
            (PICTURES / f"{entry.name}.png").write_bytes(png(drawing(entry)))
    (HERE / "gallery.md").write_text(page(), encoding="utf-8")
    print(f"{HERE / 'gallery.md'}: {sum(map(len, CHAPTERS.values()))} pictures, {mr.__version__}")


if __name__ == "__main__":
    main()
