"""The learner's folder: nothing is overwritten, lost in a crash, or torn by two kernels."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from microrecur.course import answer, predict, reveal
from microrecur.course.checking import check_all, progress_table
from microrecur.course.diagnose import Verdict
from microrecur.course.exercise import UnknownExercise, find
from microrecur.course.progress import Progress
from microrecur.course.sources import names, solution, stub
from microrecur.course.workspace import NoWorkspace, Workspace, digest

NAME = "e00.hello_slope"
RIGHT, WRONG = "def hello_slope(w):\n    return w\n", "def hello_slope(w):\n    return -w\n"


def check(workspace, name=NAME):
    (verdict,) = check_all(workspace, [find(name)])
    return verdict


# -- files -----------------------------------------------------------------------------------------


def test_every_exercise_has_its_own_file_with_its_stub(workspace):
    for name in names():
        text = workspace.answer_file(name).read_text(encoding="utf-8")
        assert text == stub(name)
        assert text.count("NotImplementedError") == 1
    assert (workspace.root / "00_start.ipynb").is_file()
    assert workspace.lacking() == {}


def test_what_is_there_is_never_overwritten(workspace):
    file, book = workspace.answer_file(NAME), workspace.root / "00_start.ipynb"
    file.write_text(RIGHT)
    book.write_text("{}")
    other = workspace.answer_file("e06.rnn_backward")
    other.unlink()
    assert workspace.fill() == [other]
    assert (file.read_text(), book.read_text()) == (RIGHT, "{}")


def test_a_replaced_answer_goes_to_a_bak(workspace):
    file = workspace.save(NAME, WRONG)
    workspace.save(NAME, RIGHT)
    assert file.read_text() == RIGHT
    assert file.with_name("hello_slope.py.bak").read_text() == WRONG
    workspace.save(NAME, RIGHT)  # the same once more is no new version
    assert file.with_name("hello_slope.py.bak").read_text() == WRONG
    workspace.reset(NAME)
    assert file.read_text() == stub(NAME)
    assert file.with_name("hello_slope.py.bak").read_text() == RIGHT


@pytest.mark.parametrize("name", ["../../etc.passwd", "e00.../x", "e00", "e00.a/b", ""])
def test_a_name_is_no_path(workspace, name):
    with pytest.raises(UnknownExercise, match=r"named like e06\.rnn_backward"):
        workspace.answer_file(name)


def test_a_workspace_is_found_from_below(workspace):
    assert Workspace.find(workspace.root / "answers" / "e00").root == workspace.root


def test_outside_a_workspace_it_is_said_how_to_make_one(tmp_path):
    with pytest.raises(NoWorkspace, match=r"is in no workspace .*`microrecur lab DIR"):
        Workspace.find(tmp_path)


SAVING = """
import sys
from microrecur.course.workspace import Workspace
workspace = Workspace(sys.argv[1])
print("ready", flush=True)
k = 0
while True:
    k += 1
    workspace.save("e00.hello_slope", f"# {k}\\n" + "x = 1\\n" * 20_000 + f"# {k}\\n")
"""


def test_a_kill_during_a_save_loses_nothing(workspace):
    whole = re.compile(r"# (\d+)\n(x = 1\n){20000}# \1\n")
    dice = random.Random(0)
    workspace.save(NAME, "# 0\n" + "x = 1\n" * 20_000 + "# 0\n")
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVING, str(workspace.root)], stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"ready\n"
        time.sleep(dice.uniform(0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        file = workspace.answer_file(NAME)
        assert whole.fullmatch(file.read_text())
        backup = file.with_name(file.name + ".bak")
        assert not backup.exists() or whole.fullmatch(backup.read_text())


# -- progress --------------------------------------------------------------------------------------

COUNTING = """
import sys
from microrecur.course.progress import Progress
from microrecur.course.workspace import Workspace
progress = Progress(Workspace(sys.argv[1]))
for k in range(40):
    progress.take("e00.hello_slope", f"{sys.argv[2]} {k}")
"""


def test_two_kernels_lose_nothing_of_each_other(workspace):
    kernels = [
        subprocess.Popen([sys.executable, "-c", COUNTING, str(workspace.root), who])
        for who in ("a", "b")
    ]
    assert [kernel.wait(60) for kernel in kernels] == [0, 0]
    rungs = Progress(workspace).of(NAME)["rungs"]
    assert sorted(rungs) == sorted(f"{who} {k}" for who in "ab" for k in range(40))


def test_a_record_that_cannot_be_read_is_kept_and_begun_anew(workspace):
    progress = Progress(workspace)
    for broken in ('{"exercises": {', "[]", '{"exercises": 3}'):
        progress.file.write_text(broken)
        assert progress.read() == {"exercises": {}, "predictions": {}}
        assert (workspace.root / "progress.json.bak").read_text() == broken
        progress.take(NAME, "where 1")
        assert progress.of(NAME)["rungs"] == ["where 1"]


def test_a_verdict_comes_back_as_it_was(workspace):
    told = Verdict(NAME, "failed", "wrong", "value", "why?", "a slip", ("x->y",), seed=3)
    Progress(workspace).record(told, "digest")
    assert Progress(workspace).last(NAME) == told
    assert Progress(workspace).of(NAME)["slips"] == ["a slip"]


def test_tries_and_hints_are_counted_untouched_stubs_are_not(workspace):
    assert check(workspace).status == "not attempted"
    assert Progress(workspace).of(NAME) == {}
    workspace.save(NAME, WRONG)
    check(workspace)
    Progress(workspace).take(NAME, "where 1")
    workspace.save(NAME, RIGHT)
    check(workspace)
    table = progress_table(workspace)
    assert re.search(rf"✓ {NAME} +passed  2 tries, 1 hint$", table, re.M)
    assert table.endswith(f"1 of {len(names())} passed")


# -- answers ---------------------------------------------------------------------------------------


def test_an_answer_is_the_learners_once_it_has_passed(workspace, capsys):
    right = "def hello_slope(w):\n    return w + 0.0 * len('mine')\n"
    workspace.save(NAME, right)
    assert answer(NAME)(3.0) == 3.0
    said = capsys.readouterr().out
    assert said == (
        f"{NAME}: your answer has not passed yet, so what follows uses the course's own solution.\n"
    )
    assert check(workspace).passed
    mine = answer(NAME)
    assert capsys.readouterr().out == ""
    assert mine.__code__.co_filename == str(workspace.answer_file(NAME))
    workspace.save(NAME, WRONG)
    assert answer(NAME)(3.0) == 3.0
    assert "has changed since it passed; check it again" in capsys.readouterr().out


def test_an_answer_needs_no_workspace(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert answer(NAME)(2.0) == 2.0
    assert "there is no workspace here" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["e00.nothing", "e77.hello", "hello"])
def test_an_answer_to_nothing_is_refused(name):
    with pytest.raises(UnknownExercise, match="no exercise"):
        answer(name)


def test_each_solution_stands_alone(workspace):
    for name in names():
        names_there = {}
        exec(compile(solution(name), name, "exec"), names_there)
        assert callable(names_there[name.partition(".")[2]])


# -- predictions -----------------------------------------------------------------------------------


def test_a_prediction_is_kept_and_shown_beside_the_truth(workspace):
    assert "no prediction yet" in repr(predict("l00.slope", ...))
    assert repr(reveal("l00.slope", 0.25)).startswith("slope: it is 0.25 (you had no prediction")
    assert repr(predict("l00.slope", 0.5)) == "slope: you expect 0.5"
    told = reveal("l00.slope", 0.25, said="a <quarter>")
    assert repr(told) == "slope: you expected 0.5; it is 0.25\na <quarter>"
    assert "&lt;quarter&gt;" in told._repr_html_()
    predict("l00.slope", 0.25)
    kept = json.loads((workspace.root / "progress.json").read_text())["predictions"]["l00.slope"]
    assert kept == {"first": 0.5, "now": 0.25}


def test_right_and_wrong_predictions_look_different(workspace):
    predict("l00.n", [1, 2])
    right, wrong = reveal("l00.n", (1, 2)), reveal("l00.n", [1, 3])
    assert "#15803D" in right._repr_html_()
    assert "#B91C1C" in wrong._repr_html_()


def test_a_prediction_needs_no_workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predict("l00.here", "vanish")
    assert repr(reveal("l00.here", "explode")) == "here: you expected vanish; it is explode"


def test_the_digest_of_nothing_is_empty(tmp_path):
    assert digest(tmp_path / "nothing") == ""
