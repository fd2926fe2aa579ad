"""A class is graded whatever is handed in; the report counts misconceptions and runs nothing."""

import csv
import io
import os
import stat
import subprocess
import sys
import zipfile
from xml.etree import ElementTree

import pytest

from microrecur.cli import main
from microrecur.course import grade as grading
from microrecur.course import pack as packing
from microrecur.course.diagnose import FAILED, Verdict
from microrecur.course.grade import Report, graded
from microrecur.course.pack import Submission, pack, unpack
from microrecur.course.report import write_csv, write_html, write_junit
from microrecur.course.sources import solution

NAME, OTHER = "e00.hello_slope", "e01.sigmoid_backward"
WRONG = "def hello_slope(w):\n    return -w\n"


def archive(path, files, **extra):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in files.items():
            made.writestr(name, text)
        for info, text in extra.values():
            made.writestr(info, text)
    return path


def entry(name, mode=0, text=""):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info, text


# -- archives --------------------------------------------------------------------------------------


def test_what_is_packed_is_what_is_unpacked(workspace):
    workspace.save(NAME, WRONG)
    file, count = pack(workspace)
    first = file.read_bytes()
    found = unpack(file)
    assert (found.who, found.notes, len(found.answers)) == ("answers", [], count)
    assert found.answers[NAME] == WRONG
    assert pack(workspace)[0].read_bytes() == first  # the same answers, the same archive


@pytest.mark.parametrize(
    ("name", "mode", "note"),
    [
        ("../../answers/e00/hello_slope.py", 0, "since its path climbs"),
        ("answers/../answers/e00/hello_slope.py", 0, "since its path climbs"),
        ("/etc/cron.d/job", 0, "since its path climbs"),
        ("answers/e00/hello_slope.py", stat.S_IFLNK | 0o777, "since it is a link"),
        ("notes.txt", 0, "holds no answers/eNN/name.py"),
    ],
)
def test_an_entry_that_is_no_answer_comes_to_nothing(tmp_path, name, mode, note):
    path = archive(tmp_path / "kim.zip", {}, evil=entry(name, mode, "/etc/passwd"))
    found = unpack(path)
    assert found.answers == {}
    assert note in found.notes[0]
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_bomb_is_left_out_unread(tmp_path):
    path = archive(
        tmp_path / "kim.zip",
        {"answers/e00/hello_slope.py": b"#" * 30_000_000, "answers/e01/sigmoid_backward.py": ""},
    )
    found = unpack(path)
    assert found.notes == [f"left out, since it is larger than 200 kB: {NAME}"]
    assert list(found.answers) == [OTHER]


def test_an_archive_that_is_none(tmp_path):
    for name, content in (("a", b""), ("b", b"PK\x03\x04 not really"), ("c", b"\x00" * 1000)):
        (tmp_path / f"{name}.zip").write_bytes(content)
        assert "the archive cannot be read" in unpack(tmp_path / f"{name}.zip").notes[0]
    (tmp_path / "d.zip").symlink_to("/etc/passwd")
    assert "it is no ordinary file" in unpack(tmp_path / "d.zip").notes[0]
    (tmp_path / "e.zip").mkdir()
    assert "it is no ordinary file" in unpack(tmp_path / "e.zip").notes[0]


def test_too_many_entries_and_too_large_an_archive(tmp_path, monkeypatch):
    path = archive(tmp_path / "kim.zip", {f"x{k}": "" for k in range(20)})
    monkeypatch.setattr(packing, "_ENTRIES", 10)
    assert "it has 20 entries" in unpack(path).notes[0]
    monkeypatch.setattr(packing, "_ARCHIVE", 10)
    assert "it is larger than" in unpack(path).notes[0]


def test_a_damaged_answer_is_noted_and_the_others_are_read(tmp_path):
    path = archive(
        tmp_path / "kim.zip",
        {"answers/e00/hello_slope.py": "x = 1\n" * 500, "answers/e01/sigmoid_backward.py": "y = 1"},
    )
    raw = bytearray(path.read_bytes())
    raw[60:70] = b"\xff" * 10
    path.write_bytes(raw)
    found = unpack(path)
    assert f"{NAME} cannot be unpacked" in found.notes[0]
    assert list(found.answers) == [OTHER]


# -- grading ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    """A class with a good pupil, two of one misconception, and all the hostile ones."""
    folder = tmp_path_factory.mktemp("class")
    hello, other = "answers/e00/hello_slope.py", "answers/e01/sigmoid_backward.py"
    right = solution(OTHER)
    answers = {
        "good": solution(NAME),
        "swapped": WRONG,
        "swapped too": WRONG,
        "storm": "while True: print('x' * 10000)\n",
        "killer": "import random\nrandom._os.kill(random._os.getppid(), 9)\n",
        "=HYPERLINK(1)": "def hello_slope(w): raise ValueError('<script>alert(1)</script>\\x00')\n",
        "by heart": "def hello_slope(w): return {0.5821770123928727: 0.5821770123928727}[w]\n",
        "leaver": "import random\nrandom._os._exit(0)\n",
    }
    for who, text in answers.items():
        archive(folder / f"{who}.zip", {f"{who}/{hello}": text, f"{who}/{other}": right})
    (folder / "broken.zip").write_bytes(b"not a zip")
    return folder


@pytest.fixture(scope="module")
def report(handed_in):
    people = [unpack(path) for path in sorted(handed_in.glob("*.zip"))]
    return graded(people, [NAME, OTHER], seed=7, jobs=2, bar=False)


def test_one_hostile_submission_harms_no_other(report):
    done = {who: report.of(who, NAME).status for who in report.people}
    assert [who for who, status in done.items() if status == "passed"] == ["good"]
    assert done["broken"] == "not attempted"
    others = [who for who in report.people if who != "broken"]
    assert {report.of(who, OTHER).status for who in others} == {"passed"}


def test_each_is_told_what_it_did(report):
    said = {who: report.of(who, NAME).sentence for who in report.people}
    assert "prints more than 1 MB" in said["storm"]
    assert "sends signals to processes" in said["killer"]
    assert "ended its process" in said["leaver"]
    assert "raised KeyError" in said["by heart"]


def test_misconceptions_are_counted(report):
    assert report.misconceptions() == [(2, NAME, "the wrong sign")]


def test_the_table_holds_no_formula(report, tmp_path):
    rows = list(csv.reader(io.StringIO(write_csv(report, tmp_path / "class.csv").read_text())))
    assert rows[0] == ["who", "passed", NAME, OTHER, "notes"]
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    by_name = {row[0]: row for row in rows}
    assert by_name["good"][1:4] == ["2", "passed", "passed"]
    assert by_name["swapped"][2] == "failed: the wrong sign"
    assert "'=HYPERLINK(1)" in by_name


def test_the_page_escapes_everything(report, tmp_path):
    page = write_html(report, tmp_path / "class.html").read_text(encoding="utf-8")
    assert "<b>2 of 9</b>: the wrong sign" in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_xml_can_be_read(report, tmp_path):
    root = ElementTree.parse(write_junit(report, tmp_path / "class.xml")).getroot()
    suites = {suite.get("name"): suite for suite in root}
    assert suites["good"].attrib == {
        "name": "good", "tests": "2", "failures": "0", "skipped": "0",
    }  # fmt: skip
    (failure,) = suites["swapped"].iter("failure")
    assert failure.text == "failed: the wrong sign"
    assert len(list(suites["broken"].iter("skipped"))) == 2


def test_a_hostile_name_runs_nowhere(tmp_path):
    who = '"><img src=x onerror=alert(1)>\x1b[2J'
    evil = Report([NAME], 0, {who: Submission(who, notes=["@SUM(1)\n=cmd"])})
    evil.verdicts[who, NAME] = Verdict(NAME, FAILED, "'\"<b>\ufffe", "value", slip="=1+1")
    assert "<img" not in write_html(evil, tmp_path / "a.html").read_text()
    assert "\x1b" not in write_csv(evil, tmp_path / "a.csv").read_text()
    assert "'@SUM(1) =cmd" in write_csv(evil, tmp_path / "a.csv").read_text()
    ElementTree.parse(write_junit(evil, tmp_path / "a.xml"))


def test_the_command_writes_what_it_is_asked_for(handed_in, tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    (one / "swapped.zip").write_bytes((handed_in / "swapped.zip").read_bytes())
    words = f"grade {one} --seed 7 --only e00 --out class.csv --html c.html --junitxml c.xml"
    run = subprocess.run(
        [sys.executable, "-m", "microrecur", *words.split()],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8",
        env=os.environ | {"COLUMNS": "80"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stderr == "graded 1 of 1 answers\n"  # no terminal, so no bar
    lines = run.stdout.splitlines()
    assert lines[0] == "1 submission, 1 exercise, seed 7"
    assert lines[1] == "  1 of 1: the wrong sign  (e00.hello_slope)"
    assert lines[2:] == ["wrote class.csv", "wrote c.html", "wrote c.xml"]
    assert all((tmp_path / name).stat().st_size for name in ("class.csv", "c.html", "c.xml"))


def test_without_a_terminal_every_tenth_is_told(capsys, monkeypatch):
    lines = grading._Lines(25)
    for _ in range(25):
        lines.step()
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == ["graded 3 of 25 answers", "graded 5 of 25 answers"]
    assert (len(told), told[-1]) == (10, "graded 25 of 25 answers")
    monkeypatch.setattr(grading, "_QUIET", -1.0)  # half a minute without a word
    lines = grading._Lines(1000)
    lines.step()
    assert capsys.readouterr().err == "graded 1 of 1000 answers\n"


def test_an_empty_folder_is_refused(tmp_path, capsys):
    assert main(["grade", str(tmp_path)]) == 2
    assert "holds no .zip; `microrecur pack` makes one" in capsys.readouterr().err
