"""The course on the command line and in a notebook: one answer from stub to pass, with hints."""

import json
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from microrecur.cli import main
from microrecur.course import authoring, commands, magics
from microrecur.course import exercise as lookup
from microrecur.course.exercise import find
from microrecur.course.hints import ladder
from microrecur.course.picture import failure, view
from microrecur.course.progress import Progress
from microrecur.course.sources import names, stub

NAME = "e00.hello_slope"
RIGHT, ONE = "def hello_slope(w):\n    return w\n", "def hello_slope(w):\n    return 1.0\n"


@pytest.fixture
def run(capsys):
    def words(line):
        code = main(shlex.split(line))
        out, err = capsys.readouterr()
        return code, out, err

    return words


# -- from stub to pass -----------------------------------------------------------------------------


def test_an_answer_from_stub_to_pass(workspace, run):
    assert run(f"check {NAME}") == (0, f"· {NAME}  not attempted\n", "")
    workspace.save(NAME, ONE)
    code, out, _ = run(f"check {NAME}")
    assert code == 1
    assert out.splitlines() == [
        f"✗ {NAME}  your ∂y/∂x equals ours at w = 1 alone",
        "    hint: y = 3x climbs more steeply than y = x. Where does the 3 show in your answer?",
        f"    picture: microrecur show {NAME}",
    ]
    assert run(f"solution {NAME}")[0] == 2
    workspace.save(NAME, RIGHT)
    assert run("check e00") == (0, f"✓ {NAME}  passed\n", "")
    code, out, _ = run(f"solution {NAME}")
    assert (code, "return w" in out) == (0, True)


def test_the_ladder_ends_at_the_solution_and_every_rung_is_kept(workspace, run):
    said = [run(f"hint {NAME}")[1]]  # before the first try the ladder is as long as after it
    workspace.save(NAME, ONE)
    run(f"check {NAME}")
    said += [run(f"hint {NAME}")[1] for _ in range(7)]
    assert [re.search(r"hint (\d of \d)", line)[1] for line in said] == [
        f"{place} of 6" for place in (1, 2, 3, 4, 5, 6, 6, 6)
    ]
    kinds = [rung.kind for rung in ladder(find(NAME), Progress(workspace).last(NAME))]
    assert kinds == ["where", "where", "slip", "picture", "section", "solution"]
    assert said[0].startswith(f"{NAME}, hint 1 of 6: If x moves by a little")
    assert "Where does the 3 show" in said[2]
    assert f"`microrecur show {NAME}`" in said[3]
    assert "“See, predict, write, check” in lesson 00" in said[4]
    assert "--give-up" in said[5]
    assert said[5] == said[6] == said[7]
    assert len(Progress(workspace).of(NAME)["rungs"]) == 6


def test_the_rung_of_the_slip_is_there_before_one_is_found(workspace, run):
    said = [run(f"hint {NAME}")[1] for _ in range(3)]
    assert said[2] == (
        f"{NAME}, hint 3 of 6: try an answer first; `microrecur check {NAME}` names the first "
        "number that is wrong\n"
    )
    workspace.save(NAME, "def hello_slope(w):\n    return w + 77.0\n")
    run(f"check {NAME}")
    assert (
        "is none of the known slips;" in ladder(find(NAME), Progress(workspace).last(NAME))[2].text
    )
    workspace.save(NAME, ONE)
    run(f"check {NAME}")
    assert run(f"hint {NAME}")[1].startswith(f"{NAME}, hint 3 of 6: y = 3x climbs more steeply")
    assert run(f"hint {NAME}")[1].startswith(f"{NAME}, hint 4 of 6: `microrecur show")


def test_show_draws_the_missing_path_in_red(workspace, run):
    assert "the graph of the task" in run(f"show {NAME}")[1]
    workspace.save(NAME, ONE)
    run(f"check {NAME}")
    code, out, _ = run(f"show {NAME} -o lacking.svg")
    assert (code, "in red what your last answer lacks" in out) == (0, True)
    svg = (workspace.root / "lacking.svg").read_text(encoding="utf-8")
    assert "missing" in svg
    assert run(f"show {NAME} -o lacking.jpg")[2].startswith("microrecur show: ")


def test_giving_up_is_kept(workspace, run):
    code, out, _ = run(f"solution {NAME} --give-up")
    assert (code, "def hello_slope" in out) == (0, True)
    assert Progress(workspace).of(NAME)["rungs"] == ["solution"]


def test_reset_keeps_the_answer_beside_the_stub(workspace, run):
    file = workspace.save(NAME, RIGHT)
    code, out, _ = run(f"reset {NAME}")
    assert (code, "hello_slope.py.bak" in out) == (0, True)
    assert file.read_text() == stub(NAME)
    code, out, _ = run(f"reset {NAME}")
    assert (code, out) == (0, f"{file} is the stub; nothing was lost\n")


def test_what_is_packed_says_how_much_of_it_was_attempted(workspace, run):
    workspace.save(NAME, RIGHT)
    code, out, _ = run("pack -o kim")
    count = len(names())
    assert (code, out) == (0, f"wrote kim.zip: {count} answers, {count - 1} not attempted\n")
    assert (workspace.root / "kim.zip").is_file()


@pytest.mark.parametrize("line", ["check e00 --seed -1", "grade . --seed -1", "grade . --jobs 0"])
def test_a_number_that_makes_no_sense_is_refused(workspace, run, line):
    code, out, err = run(line)
    assert (code, out) == (2, "")
    assert "is not a whole number" in err


def test_a_lesson_ends_with_the_counts(workspace, run):
    out = run("check e01")[1]
    count = len(lookup.in_lesson("e01"))
    assert out.splitlines()[-1] == f"0 passed, 0 failed, {count} not attempted"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("check e00.helo", "no exercise 'e00.helo'; the nearest are: e00.hello_slope"),
        ("check e77", "no lesson 'e77'; there are: e00"),
        ("hint nothing", "no exercise 'nothing'"),
        ("reset e00/../x", "no exercise 'e00/../x'; the nearest are:"),
        ("reset e00.nothing", "no exercise 'e00.nothing'; the nearest are: e00.hello_slope"),
        ("solution e00", "no exercise 'e00'; the nearest are: e00.hello_slope"),
        ("grade nowhere", "nowhere does not exist; DIR is a folder with one .zip per person"),
        ("grade pytest.ini", "pytest.ini is a file; DIR is a folder with one .zip per person"),
        ("dev new", "say which: microrecur dev new e06.my_function"),
        (f"dev new {NAME}", "has a hello_slope already"),
    ],
)
def test_a_refusal_is_one_line(workspace, run, line, said):
    code, out, err = run(line)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_outside_a_workspace_it_is_said_how_to_make_one(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    for line in ("check", f"hint {NAME}", "progress", "pack"):
        assert "is in no workspace" in run(line)[2]


@pytest.mark.parametrize("command", ["lab", "check", "hint", "show", "solution", "reset", "pack",
                                     "grade", "dev"])  # fmt: skip
def test_help_teaches_by_example(run, command):
    code, out, _ = run(f"{command} --help")
    assert code == 0
    assert f"microrecur {command}" in out.partition("examples:")[2]


def test_the_help_of_all_lists_the_course(run):
    out = run("--help")[1]
    assert re.search(r"^    check +check answers, and say which term is wrong", out, re.M)


def test_watching_checks_again_at_every_save(workspace):
    process = subprocess.Popen(
        [sys.executable, "-m", "microrecur", "check", NAME, "--watch"],
        cwd=workspace.root, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        # Whoever runs the tests in the background has it ignored, and a child inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    limit = threading.Timer(60, process.kill)
    limit.start()
    try:
        assert process.stdout.readline().startswith("watching")
        assert process.stdout.readline() == f"· {NAME}  not attempted\n"
        workspace.save(NAME, RIGHT)
        assert process.stdout.readline() == f"✓ {NAME}  passed\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        limit.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


# -- lab, doctor, authors --------------------------------------------------------------------------


def test_a_dry_run_makes_nothing(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("lab mine --no-browser --dry-run")
    assert code == 0
    assert "would make answers/e00/hello_slope.py" in out
    assert "would make 00_start.ipynb" in out
    assert out.splitlines()[-1].startswith("would start -m jupyterlab --notebook-dir=")
    assert out.splitlines()[-1].endswith("mine --no-browser")
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_can_be_made_without_a_server(tmp_path, monkeypatch, run):
    monkeypatch.setattr(subprocess, "call", lambda *a, **rest: pytest.fail("started"))
    monkeypatch.chdir(tmp_path)
    assert "would start" not in run("lab mine --make-only --dry-run")[1]
    code, out, err = run("lab mine --make-only")
    assert (code, err) == (0, "")
    assert re.fullmatch(r".*mine: \d+ files made, the others left as they are\n", out)
    monkeypatch.chdir(tmp_path / "mine")
    assert run(f"check {NAME}") == (0, f"· {NAME}  not attempted\n", "")
    assert "0 files made" in run("lab . --make-only")[1]


def test_lab_fills_the_workspace_and_starts_jupyterlab_on_it(tmp_path, monkeypatch, run):
    started = []
    monkeypatch.setattr(subprocess, "call", lambda *a, **rest: started.append((*a, rest)) or 0)
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("lab mine")
    assert (code, "files made" in out) == (0, True)
    assert (tmp_path / "mine" / "microrecur.toml").is_file()
    ((command, rest),) = started
    assert command == [sys.executable, "-m", "jupyterlab", f"--notebook-dir={tmp_path / 'mine'}"]
    assert rest["env"]["PATH"].startswith(str(Path(sys.executable).parent))


def test_the_doctor_finds_this_machine_well(workspace, run):
    code, out, _ = run("doctor")
    assert code == 0, out
    assert "✗" not in out
    assert "✓ checks: right, in " in out


def test_the_doctor_tells_what_is_missing(workspace, run, monkeypatch):
    monkeypatch.setattr("microrecur.course.sources.solution", lambda name: "exit()")
    code, out, _ = run("doctor")
    assert code == 1
    assert "✗ checks: line 1 leaves Python" in out


def dev(words, folder):
    run = subprocess.run(
        [sys.executable, "-m", "microrecur", "dev", *shlex.split(words)],
        cwd=folder, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    return run.returncode, run.stdout, run.stderr


@pytest.fixture
def clone(tmp_path):
    """The lessons of a clone that is not what is installed."""
    for where in ("exercises", "checks", "solutions"):
        (tmp_path / "lessons" / where).mkdir(parents=True)
    return tmp_path


def test_a_new_exercise_is_refused_until_it_is_filled_in(clone):
    code, out, err = dev("new e98.doubled --lessons lessons", clone)
    assert (code, err) == (0, "")
    made = [clone / "lessons" / name for name in
            ("exercises/e98_new.py", "solutions/e98_new.py", "checks/test_e98_new.py")]  # fmt: skip
    assert out.splitlines() == [f"wrote {file}" for file in made]
    code, out, err = dev("check e98.doubled --lessons lessons", clone)
    assert (code, err) == (1, "")
    told = [line.strip() for line in out.splitlines()[1:]]
    assert told == [
        "lesson: there is no notebook lessons/98_….ipynb",
        *(f"filled: the {where} still says {line!r}, as the template does" for where, line in (
            ("stub", "Say in one line what is asked for."),
            ("solution", "Why it is so, in one line."),
            ("check", "Say in one line what is asked for."),
            ("check", "A heading of the lesson"),
            ("check", "What happens to every number?"),
        )),
    ]  # fmt: skip
    for file in made:
        text = file.read_text(encoding="utf-8")
        for line, ours in zip(authoring.UNFILLED, ("Double x.", "Twice is", "Twice", "How much?")):
            text = text.replace(line, ours)
        file.write_text(text, encoding="utf-8")
    book = clone / "lessons" / "98_new.ipynb"
    cell = {"cell_type": "code", "source": ["%%exercise e98.halved\n"]}
    head = {"cell_type": "markdown", "source": ["## Twice"]}
    book.write_text(json.dumps({"cells": [head, cell]}))
    out = dev("check e98 --lessons lessons", clone)[1]
    assert "no cell that begins with %%exercise e98.doubled" in out
    book.write_text(json.dumps({"cells": [head, cell | {"source": ["%%exercise e98.doubled\n"]}]}))
    code, out, err = dev("check e98 --lessons lessons", clone)
    assert (code, out[:13], err) == (0, "✓ e98.doubled", "")
    assert dev("new e98.halved --lessons lessons", clone)[0] == 0
    assert "def doubled" in made[0].read_text()
    assert "def halved" in made[0].read_text()


def test_an_installed_copy_takes_no_new_exercise(tmp_path, monkeypatch, run):
    monkeypatch.setattr(authoring, "folder", lambda: tmp_path / "site-packages" / "lessons")
    code, out, err = run("dev new e98.doubled")
    assert (code, out) == (2, "")
    assert "is an installed copy, and what is written there is in no clone" in err
    assert "add --lessons lessons" in err
    code, _, err = run(f"dev new e98.doubled --lessons {tmp_path}")
    assert (code, "has no exercises, checks, solutions" in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_dev_check_tells_faults_and_fails(monkeypatch, run):
    assert run("dev check e00")[0] == 0
    monkeypatch.setattr("microrecur.course.gates.faults", lambda e: {"hints": ["too long"]})
    code, out, _ = run("dev check e00")
    assert (code, "    hints: too long" in out) == (1, True)


# -- pictures --------------------------------------------------------------------------------------


def test_an_edge_that_is_added_is_amber():
    drawing = failure(find(NAME), ("x->y",), ("w->x",))
    assert "missing" in drawing.source
    assert "extra" in drawing.source
    notes = [caption.text.text for caption in drawing.scene.captions]
    assert "red: your answer leaves it out · amber: your answer adds it" in notes
    assert not any("edge" in note for note in notes)  # of two graphs, which nobody asked about
    two = failure(find("e06.rnn_backward"), ("t1.h->t2.mul2", "t2.h->t3.mul2"))
    assert two.scene.captions[-1].text.text == "red: your answer leaves these out"


def test_the_coarsest_level_that_has_the_edges_is_drawn():
    exercise = find("e06.rnn_backward")
    marked = [slip for slip in exercise.slips if slip.missing]
    assert marked
    for slip in marked:
        shown = view(exercise.picture(), slip.missing, slip.extra)
        there = {f"{edge.source}->{edge.target}" for edge in shown.edges}
        assert set(slip.missing) <= there
        drawing = failure(exercise, slip.missing, slip.extra)
        assert f"{len(slip.missing)} missing edge" in str(drawing)


def test_an_exercise_without_a_picture_says_so(workspace, run):
    name = next(e.name for e in lookup.exercises() if e.picture is None)
    assert f"{name} has no picture" in run(f"show {name}")[2]
    with pytest.raises(ValueError, match="has no picture"):
        failure(find(name), ())


# -- in a notebook ---------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def shell():
    """Somebody who takes what is displayed."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def cell(line, text):
    with capture_output() as shown:
        magics.exercise(line, text)
    return shown


def test_a_cell_becomes_the_answer_and_is_told_of(workspace):
    shown = cell(NAME, ONE)
    assert workspace.answer_file(NAME).read_text() == ONE
    result, picture = shown.outputs
    text, page = result.data["text/plain"], result.data["text/html"]
    assert "your ∂y/∂x equals ours at w = 1 alone" in text
    assert "Where does the 3 show" in text
    assert "Where does the 3 show" in page
    assert "missing" in picture.data["image/svg+xml"]
    (passed,) = cell(NAME, RIGHT).outputs
    assert "passed" in passed.data["text/html"]
    assert Progress(workspace).passed(NAME)


def test_a_cell_that_is_still_the_stub_replaces_no_answer(workspace):
    workspace.save(NAME, RIGHT)
    (shown,) = cell(NAME, stub(NAME)).outputs
    assert "passed" in shown.data["text/plain"]
    note = "This is answers/e00/hello_slope.py; the cell is still the stub."
    assert all(note in shown.data[kind] for kind in ("text/plain", "text/html"))
    assert workspace.answer_file(NAME).read_text() == RIGHT
    workspace.answer_file(NAME).unlink()
    (shown,) = cell(NAME, stub(NAME)).outputs
    assert "not attempted" in shown.data["text/plain"]


def test_what_a_cell_prints_and_says_is_escaped(workspace):
    (shown,) = cell(NAME, "def hello_slope(w):\n    raise ValueError('<b>&')\n").outputs
    assert "<b>&" not in shown.data["text/html"]
    assert "&lt;b&gt;&amp;" in shown.data["text/html"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "%%exercise is followed by a name"),
        ("e00/x", "an exercise is named like e06.rnn_backward"),
        ("e00.helo", "no exercise 'e00.helo'; the nearest are: e00.hello_slope"),
    ],
)
def test_a_cell_of_no_exercise_says_so(workspace, line, said):
    shown = cell(line, RIGHT)
    assert said in shown.stdout
    assert shown.outputs == []


def test_a_cell_outside_a_workspace_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "is in no workspace" in cell(NAME, RIGHT).stdout


def test_loading_the_extension_gives_the_magic(shell):
    shell.run_line_magic("load_ext", "microrecur.course")
    assert "exercise" in shell.magics_manager.magics["cell"]


def test_the_counts_of_a_summary():
    from microrecur.course.diagnose import Verdict

    told = [Verdict(NAME, s, "") for s in ("passed", "passed", "failed", "not attempted")]
    assert commands.summary(told) == "2 passed, 1 failed, 1 not attempted"
