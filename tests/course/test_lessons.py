"""Every lesson runs from top to bottom, unsolved and solved; its own asserts are its claims."""

import asyncio
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest

from microrecur.course.diagnose import PASSED, Verdict
from microrecur.course.exercise import folder, in_lesson, stems
from microrecur.course.progress import Progress
from microrecur.course.sources import names, solution
from microrecur.course.workspace import Workspace, digest

LESSONS = sorted(path.name for path in folder().glob("*.ipynb"))
SECONDS = 60  # of the clock for a cell, on a busy machine


def solve(workspace, lesson):
    """The solutions up to a lesson, known to have passed: the gates have tried them."""
    progress = Progress(workspace)
    for name in (name for name in names() if name[1:3] <= lesson[:2]):
        file = workspace.save(name, solution(name))
        progress.record(Verdict(name, PASSED, "right"), digest(file))


def executed(lesson, workspace):
    from nbclient import NotebookClient

    book = nbformat.read(folder() / lesson, as_version=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's own, about its transport
        client = NotebookClient(
            book, timeout=SECONDS, kernel_name="python3",
            resources={"metadata": {"path": str(workspace.root)}},
        )  # fmt: skip
        asyncio.run(client.async_execute())  # a loop of this thread's own, closed when it is over
    return book


def said(book):
    """All that the cells show as text."""
    outputs = [out for cell in book.cells for out in cell.get("outputs", ())]
    texts = [out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in outputs]
    return "\n".join(texts)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Every lesson, unsolved and solved: begun at once, two at a time, each in its workspace."""
    folder = tmp_path_factory.mktemp("lessons")
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))  # not that of whoever runs the tests
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        patch.setenv("PYTHONWARNINGS", "ignore")
        begun = {}
        for lesson in LESSONS:
            for state in ("unsolved", "solved"):
                workspace = Workspace(folder / state / lesson)
                workspace.fill()
                if state == "solved":
                    solve(workspace, lesson)
                begun[lesson, state] = pool.submit(executed, lesson, workspace)
        yield begun
        for run in begun.values():
            run.cancel()


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_runs_unsolved(lesson, runs):
    book = runs[lesson, "unsolved"].result()
    shown = said(book)
    for name in exercised(book):
        assert f"· {name}  not attempted" in shown
    assert "the course's own solution" in shown or not exercised(book)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_runs_solved(lesson, runs):
    shown = said(runs[lesson, "solved"].result())
    for name in exercised(nbformat.read(folder() / lesson, as_version=4)):
        assert f"✓ {name}  passed" in shown
    assert "the course's own solution" not in shown


def exercised(book):
    """The exercises that a lesson has a cell for."""
    return re.findall(r"^%%exercise (\S+)", "\n".join(c.source for c in book.cells), re.M)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_is_as_it_is_kept(lesson):
    book = nbformat.read(folder() / lesson, as_version=4)
    nbformat.validate(book)
    ids = [cell.id for cell in book.cells]
    assert all(re.fullmatch(rf"l{lesson[:2]}-[a-z0-9-]+", id) for id in ids), ids
    assert len(set(ids)) == len(ids)
    for cell in book.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert book.metadata.kernelspec.name == "python3"
    claims = [c for c in book.cells if c.cell_type == "code" and re.search(r"\bassert ", c.source)]
    assert claims, "a lesson's asserts are its claims"


def test_every_exercise_has_a_cell_in_its_lesson():
    for number, stem in stems().items():
        lesson = f"{stem[1:]}.ipynb"
        assert lesson in LESSONS
        book = nbformat.read(folder() / lesson, as_version=4)
        assert sorted(exercised(book)) == sorted(in_lesson(number))


def test_a_claim_that_does_not_hold_is_seen(workspace):
    from nbclient.exceptions import CellExecutionError

    file = folder() / LESSONS[0]
    book = nbformat.read(file, as_version=4)
    (cell,) = (c for c in book.cells if c.id == "l00-backward")
    cell.source = cell.source.replace("0.25", "0.5")
    planted = workspace.root / "planted.ipynb"
    nbformat.write(book, planted)
    with pytest.raises(CellExecutionError, match="AssertionError"):
        executed(planted, workspace)
