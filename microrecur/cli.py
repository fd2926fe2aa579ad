"""The command line: `demo`, `draw`, `flow` and `audit`; `microrecur --help` teaches the rest."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from microrecur import __version__
from microrecur.course.commands import add as add_course

if TYPE_CHECKING:
    from microrecur.flows.flow import Flow
    from microrecur.flows.paths import Path
    from microrecur.flows.tables import Table
    from microrecur.graphs.graph import Graph
    from microrecur.nn.cells import Cell

EXAMPLES = """\
examples:
  microrecur demo
  microrecur draw lstm
  microrecur draw lstm --steps 4 --path h0 -o lstm_path.png
  microrecur flow lstm --steps 20 --csv lstm.csv
  microrecur audit weights.safetensors --steps 100

`microrecur demo --help`, `draw --help`, `flow --help` and `audit --help` have more.
"""
DEMO_EXAMPLES = """\
examples:
  microrecur demo
  microrecur demo --out pictures --seed 3
  microrecur demo > table.txt
"""
DRAW_EXAMPLES = """\
examples:
  one step of an LSTM: every gate, every edge with its factor and bound
    microrecur draw lstm
  six steps of an RNN, and the chain rule from the loss back to h₀
    microrecur draw rnn --steps 6 --path h0 -o rnn_path.svg
  the same with σ in place of tanh: each step multiplies by at most ¼
    microrecur draw rnn --nonlinearity sigmoid --steps 6 --path h0 -o rnn_sigmoid.svg
  back to the first input of a GRU, pre-activations shown, as PNG in dark colours
    microrecur draw gru --steps 2 --path x1 --level op --theme dark -o gru.png
  gates that see the cell state; a GRU that resets h before its weights
    microrecur draw lstm --peephole -o peephole.svg
    microrecur draw gru --reset-before -o cho.svg
  three units: shapes and norms in place of numbers
    microrecur draw lstm --hidden 3 --seed 7 -o three.svg
  all routes of the gradient at once; one unit of eight:
    microrecur draw lstm --steps 3 --path h0 --routes -o routes.png
    microrecur draw gru --hidden 8 --unit 3 -o unit.svg
  states alone with the gradient in each; the chain rule as an animation
    microrecur draw rnn --steps 8 --level step --show value,grad --title "A gradient" -o steps.svg
    microrecur draw rnn --steps 2 --path h0 -o walk.gif
"""
FLOW_EXAMPLES = """\
examples:
  does the gradient of a fresh LSTM reach back 50 steps, and by which gates?
    microrecur flow lstm
  the same with the forget gates held open
    microrecur flow lstm --forget-bias 3
  recurrent weights ten times as large; every step into a file
    microrecur flow lstm --scale 10 --csv large.csv
  one path factor by factor, each beside its bound; the step's Jacobian by gates
    microrecur flow gru --steps 5 --hidden 1 --table ledger
    microrecur flow lstm --steps 20 --table routes
  how much passed through how many gate slopes; all there is, the norms by lag too
    microrecur flow lstm --steps 30 --table spectrum --csv spectrum.csv
    microrecur flow rnn --steps 10 --hidden 2 --table all
  an RNN of σ: each step multiplies by at most ¼‖U‖
    microrecur flow rnn --nonlinearity sigmoid --steps 20 --hidden 1
"""
AUDIT_EXAMPLES = """\
examples:
  why does this LSTM not learn? its weights as torch or microrecur saved them
    microrecur audit weights.safetensors
  on the series it is meant for, 200 steps back
    microrecur audit weights.safetensors --steps 200 --data series.csv --column close
  one layer of several; a GRU of Keras that resets before its weights
    microrecur audit model.pt --layer encoder.lstm --out encoder
    microrecur audit gru.npz --reset-before
"""
TABLES: dict[str, Callable[[Flow], Table[Any]]] = {
    "through-time": lambda flow: flow.through_time(),
    "top": lambda flow: flow.top(5),
    "by-step": lambda flow: flow.by_step(),
    "ledger": lambda flow: flow.ledger(),
    "routes": lambda flow: _last_step(flow),
    "lags": lambda flow: flow.lags(),
    "spectrum": lambda flow: flow.spectrum(),
    "contributions": lambda flow: _of_recurrent_weights(flow),
}
SHOWN = ("through-time", "top", "by-step")  # where none is asked for: each fits a screen
FAILED, STOPPED = 2, 130  # exit codes: what was asked cannot be done; Ctrl-C


class Refused(Exception):
    """What was asked for cannot be done; the message says why and what can."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after `microrecur`; those of this process when not given.

    Returns
    -------
    int
        The exit code: 0, or 2 after one line on stderr that says what was wrong.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that has no ∏ prints ?, and goes on
            stream.reconfigure(errors="replace")
    parser = _parser()
    try:
        options = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has printed what there is to say
        return int(stop.code or 0)
    if options.run is None:
        parser.print_help()
        return 0
    return _guarded(options)


def _guarded(options: argparse.Namespace) -> int:
    """Run a command; what a person can mend is told in one line, without a traceback."""
    from microrecur.engine.errors import RenderError

    code = 0
    try:
        code = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough: `microrecur demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return STOPPED
    except (Refused, OSError, RenderError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        print(f"microrecur {options.command}: {reason}", file=sys.stderr)
        return FAILED
    return int(code or 0)


# -- words -----------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="microrecur",
        description="Where the gradient goes in RNN, LSTM and GRU: pictures and tables of runs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"microrecur {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    _add_demo(commands)
    _add_draw(commands)
    _add_flow(commands)
    _add_audit(commands)
    add_course(commands, _whole)
    return parser


def _add(commands: Any, name: str, run: Callable[..., None], help: str, epilog: str) -> Any:
    command = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


def _add_demo(commands: Any) -> None:
    help = "draw RNN, LSTM and GRU on real data, and print the factors their gradients meet"
    demo = _add(commands, "demo", _demo, help, DEMO_EXAMPLES)
    demo.add_argument(
        "--out", default="out", metavar="DIR", help="the folder of the pictures (out)"
    )
    demo.add_argument("--seed", type=_whole(), metavar="N", help="what the weights are drawn from")


def _add_draw(commands: Any) -> None:
    help = "draw one step of a cell, or several with a path of the chain rule"
    draw = _add(commands, "draw", _draw, help, DRAW_EXAMPLES)
    draw.add_argument("cell", choices=("rnn", "lstm", "gru"))
    draw.add_argument(
        "--steps", type=_whole(1, 1_000), default=1, metavar="T", help="how many steps (1)"
    )
    draw.add_argument(
        "--hidden", type=_whole(1, 128), default=1, metavar="H", help="hidden units (1)"
    )
    draw.add_argument(
        "--level",
        choices=("step", "gate", "op"),
        help="states alone, a gate as one node, or with its pre-activation "
        "(op for one step, gate for more)",
    )
    draw.add_argument(
        "--path", metavar="ID", help="the strongest path from the loss back to h0, c0, x1, …"
    )
    draw.add_argument(
        "--routes", action="store_true", help="all paths at once, each line with its share"
    )
    draw.add_argument(
        "--unit", type=_whole(), metavar="K", help="one hidden unit's own numbers, from 0"
    )
    draw.add_argument("--fold", metavar="N", type=_whole(1), help="draw N steps, fold the others")
    draw.add_argument(
        "--show",
        metavar="WHAT",
        type=_shown,
        help="some of value,grad,local,bound (value,local,bound)",
    )
    _add_variants(draw)
    draw.add_argument("--title", metavar="TEXT", help="stands above (cell, steps and seed)")
    draw.add_argument("--theme", choices=("light", "dark"), default="light")
    draw.add_argument(
        "-o",
        dest="file",
        metavar="FILE",
        help="a .svg, .png, .pdf, .html or .dot file, with --path also .gif or .apng, "
        "which walk back edge by edge (the cell's name, .svg)",
    )


def _add_flow(commands: Any) -> None:
    help = "say what becomes of the gradient over many steps, by which gates and why"
    flow = _add(commands, "flow", _flow, help, FLOW_EXAMPLES)
    flow.add_argument("cell", choices=("rnn", "lstm", "gru"))
    flow.add_argument(
        "--steps", type=_whole(1, 10_000), default=50, metavar="T", help="how many steps (50)"
    )
    flow.add_argument(
        "--hidden", type=_whole(1, 256), default=16, metavar="H", help="hidden units (16)"
    )
    flow.add_argument(
        "--scale", type=_number, default=1.0, metavar="K", help="recurrent weights times K (1)"
    )
    flow.add_argument("--forget-bias", type=_number, metavar="B", help="lstm: b of the forget gate")
    _add_variants(flow)
    flow.add_argument(
        "--table",
        choices=(*TABLES, "all"),
        metavar="NAME",
        help=f"one of {', '.join(TABLES)}, all ({', '.join(SHOWN)})",
    )
    flow.add_argument("--csv", metavar="FILE", help="write the table, every row (of by-step)")


def _add_audit(commands: Any) -> None:
    help = "say what a trained network does to gradients: routes, horizon, saturation, verdict"
    audit = _add(commands, "audit", _audit, help, AUDIT_EXAMPLES)
    audit.add_argument("file", metavar="FILE", help="a .safetensors, .npz, .pt or .pth file")
    audit.add_argument("--layer", metavar="NAME", help="which, where the file has several")
    audit.add_argument(
        "--steps", type=_whole(1, 10_000), default=100, metavar="T", help="how many steps (100)"
    )
    audit.add_argument("--data", metavar="CSV", help="inputs, by row; noise where none are given")
    audit.add_argument("--column", metavar="NAME", help="the column of the csv to read")
    audit.add_argument("--as-is", action="store_true", help="do not scale the columns of the csv")
    audit.add_argument("--seed", type=_whole(), default=0, metavar="N", help="of the noise (0)")
    audit.add_argument(
        "--reset-before", action="store_true", help="gru: reset h before its weights, not after"
    )
    audit.add_argument("--nonlinearity", choices=("tanh", "relu", "sigmoid"), help="rnn: φ (tanh)")
    audit.add_argument(
        "--out", default="audit", metavar="NAME", help="writes NAME.png and NAME.csv (audit)"
    )


def _add_variants(command: Any) -> None:
    """What `draw` and `flow` both take: a seed, and the variants of the cells."""
    command.add_argument(
        "--seed", type=_whole(), default=0, metavar="N", help="of weights, inputs, first state (0)"
    )
    command.add_argument("--peephole", action="store_true", help="lstm: gates see the cell state")
    command.add_argument(
        "--reset-before", action="store_true", help="gru: reset h before its weights, not after"
    )
    command.add_argument(
        "--nonlinearity", choices=("tanh", "relu", "sigmoid"), help="rnn: φ (tanh)"
    )


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number such as 0.5, 3, -1")
    return value


def _shown(word: str) -> tuple[str, ...]:
    from microrecur.drawing.labels import TOLD

    asked = tuple(part.strip() for part in word.split(","))
    if unknown := [part for part in asked if part not in TOLD]:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} is none of {', '.join(TOLD)}, which are given as {','.join(TOLD[:2])}"
        )
    return asked


def _whole(least: int = 0, most: int = 2**32 - 1) -> Callable[[str], int]:
    def read(word: str) -> int:
        if not word.isascii() or not word.isdigit() or not least <= int(word) <= most:
            reach = f"from {least} to {most:,}" if least else "such as 0, 1, 2"
            raise argparse.ArgumentTypeError(f"{word!r} is not a whole number {reach}")
        return int(word)

    return read


# -- commands --------------------------------------------------------------------------------------


def _demo(options: argparse.Namespace) -> None:
    from microrecur.demo import SEED, demo

    demo(options.out, SEED if options.seed is None else options.seed)


def _draw(options: argparse.Namespace) -> None:
    from microrecur.drawing.draw import draw

    graph = _recorded(options)
    path = None if options.path is None else _path(graph, options.path)
    try:
        picture = draw(
            graph,
            path=path,
            routes=options.routes,
            unit=options.unit,
            steps=options.fold or "auto",
            theme=options.theme,
            title=_title(options) if options.title is None else options.title,
            **({} if options.show is None else {"show": options.show}),
        )
    except ValueError as error:  # no such unit, routes of several numbers
        raise Refused(error) from error
    try:
        file = picture.save(options.file or f"{options.cell}.svg")
    except ValueError as error:  # an ending that nothing writes
        raise Refused(error) from error
    print(f"wrote {file}: {picture.scene.description}")


def _flow(options: argparse.Namespace) -> None:
    """L is the sum of the last h, so that ∂L/∂h_T is 1 in every unit."""
    import numpy as np

    from microrecur.engine.tensor import tensor
    from microrecur.flows.flow import flow
    from microrecur.nn.cells import unroll

    cell, numbers = _cell(options), np.random.default_rng(options.seed)
    cell.weight_hh.assign(cell.weight_hh.numpy() * options.scale)
    if options.forget_bias is not None:
        _open_forget_gate(options, cell)
    shape = (options.hidden,)
    start = tuple(tensor(numbers.uniform(-1, 1, shape)) for _ in cell.states)
    with np.errstate(all="ignore"):  # a run that overflows is told of below, by its first node
        after = unroll(cell, numbers.uniform(-1, 1, (options.steps, 1)), start)[-1]
        h = after[0] if isinstance(after, tuple) else after
        found = flow(h.sum().named("L"), start[0])
    try:
        parts = _told(found, options.table)
    except FloatingPointError as error:
        raise Refused(error) from error
    for part in parts.values():
        print(part if isinstance(part, str) else repr(part), end="\n\n")
    if options.csv is not None:
        name = options.table if options.table in TABLES else "by-step"
        file = _write(parts.get(name) or TABLES[name](found), options.csv)
        print(f"wrote {file}: {name}, every row")


def _told(flow: Flow, asked: str | None) -> dict[str, Any]:
    """The verdict and the tables asked for, by name; one table comes alone."""
    if asked in TABLES:
        return {asked: TABLES[asked](flow)}
    return {"verdict": str(flow.verdict())} | {
        name: make(flow) for name, make in TABLES.items() if asked == "all" or name in SHOWN
    }


def _last_step(flow: Flow) -> Table[Any]:
    from microrecur.engine.tensor import ancestry, step_of

    return flow.routes(at=max(step_of(node.scope) or 0 for node in ancestry([flow.y])))


def _of_recurrent_weights(flow: Flow) -> Table[Any]:
    from microrecur.flows.contributions import contributions

    return contributions(flow.y, "weight_hh")


def _write(table: Any, file: str) -> Any:
    """Write a table; of norms by step, whose columns are log₁₀ of them, the names say so."""
    norms = {name for pair in getattr(table, "states", {}).values() for name in pair}
    return table.to_csv(file, {name: f"log10_{name}" for name in norms})


def _audit(options: argparse.Namespace) -> None:
    from microrecur.audit import audit, load_layer, noise, read_inputs

    told: dict[str, Any] = {"reset_after": False} if options.reset_before else {}
    if options.nonlinearity is not None:
        told["nonlinearity"] = options.nonlinearity
    try:
        layer = load_layer(options.file, options.layer, **told)
        size = layer.input_size
        if options.data is None:
            xs, inputs = noise(options.steps, size, options.seed)
        else:
            xs, inputs = read_inputs(
                options.data, options.steps, size, options.column, options.as_is
            )
        found = audit(layer, xs, inputs)
    except (ValueError, ImportError, FloatingPointError) as error:
        raise Refused(str(error).replace("prefix= is", "--layer is")) from error
    except KeyError as error:  # weights that are missing
        raise Refused(str(error.args[0])) from error
    print(found)
    picture, table = found.draw(f"{options.out}.png"), found.to_csv(f"{options.out}.csv")
    print(f"\nwrote {picture} and {table}: log₁₀ of norms, and shares, by layer and step")


def _open_forget_gate(options: argparse.Namespace, cell: Cell) -> None:
    if options.cell != "lstm":
        raise Refused(f"--forget-bias belongs to lstm, and this is {options.cell}")
    rows = slice(options.hidden, 2 * options.hidden)  # gates stand in the order i, f, g, o
    for bias, value in ((cell.bias_ih, options.forget_bias), (cell.bias_hh, 0.0)):
        assert bias is not None  # the command line makes no cell without biases
        both = bias.numpy()
        both[rows] = value
        bias.assign(both)


def _recorded(options: argparse.Namespace) -> Graph:
    """Run the cell on seeded numbers: its states after one step, else L = Σ(h_T − y)²."""
    import numpy as np

    from microrecur.engine.tensor import tensor
    from microrecur.graphs.graph import graph
    from microrecur.nn.cells import unroll

    cell, numbers = _cell(options), np.random.default_rng(options.seed)
    alone = options.hidden == 1
    shape = () if alone else (options.hidden,)
    before = tuple(tensor(numbers.uniform(-1, 1, shape)) for _ in cell.states)
    xs = numbers.uniform(-1, 1, options.steps if alone else (options.steps, 1))
    after = unroll(cell, xs, before)[-1]
    level = options.level or ("op" if options.steps == 1 else "gate")
    if options.steps == 1 and options.path is None and not options.routes:
        return graph(after, level)
    h = after[0] if isinstance(after, tuple) else after
    error = (h - numbers.uniform(-1, 1, shape)) ** 2
    return graph((error if alone else error.sum()).named("L"), level)


def _cell(options: argparse.Namespace) -> Cell:
    from microrecur.nn.cells import GRUCell, LSTMCell, RNNCell

    for flag, owner in (("peephole", "lstm"), ("reset_before", "gru"), ("nonlinearity", "rnn")):
        if getattr(options, flag) and options.cell != owner:
            word = flag.replace("_", "-")
            raise Refused(f"--{word} belongs to {owner}, and this is {options.cell}")
    size = (1, options.hidden)
    if options.cell == "rnn":
        return RNNCell(*size, nonlinearity=options.nonlinearity or "tanh", seed=options.seed)
    if options.cell == "lstm":
        return LSTMCell(*size, peephole=options.peephole, seed=options.seed)
    return GRUCell(*size, reset_after=not options.reset_before, seed=options.seed)


def _path(graph: Graph, asked: str) -> Path:
    from microrecur.engine.errors import UnknownNode
    from microrecur.flows.paths import source_id, strongest_path

    try:
        return strongest_path(graph, source_id(graph, asked))
    except UnknownNode:
        raise Refused(_unknown(graph, asked)) from None
    except ValueError as error:  # a node that L does not depend on
        raise Refused(error) from error


def _unknown(graph: Graph, asked: str) -> str:
    """Name the nearest nodes a path can end at, as they are written on the command line."""
    from difflib import get_close_matches

    ends = [f"{n.name}{n.step}" for n in graph.nodes if n.name and n.step is not None]
    nearest = get_close_matches(asked, ends, n=4, cutoff=0.3) or ends[:4]
    return (
        f"--path: no node {asked!r} at level {graph.level}; the nearest are: {', '.join(nearest)}"
    )


def _title(options: argparse.Namespace) -> str:
    steps = "one step" if options.steps == 1 else f"{options.steps} steps"
    units = "" if options.hidden == 1 else f", {options.hidden} units"
    origin = f"weights, inputs and first state from seed {options.seed}"
    return f"{options.cell.upper()}, {steps}{units}; {origin}"
