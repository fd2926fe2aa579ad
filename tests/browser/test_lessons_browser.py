"""Lessons in real JupyterLab as `microrecur lab` opens them: run all, step, drag, answer.

One server serves them all; each lesson has a page of its own.
"""

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from microrecur.course.exercise import find
from microrecur.course.sources import solution

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).parents[2]
SETTINGS = """
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = 0
c.ServerApp.allow_root = True
c.LabApp.news_url = None
c.LabApp.extension_manager = "readonly"
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
"""
NO_NEWS = {"fetchNews": "false", "checkForUpdates": False}
SECONDS = 60  # of the clock, on a busy machine
WIDTH = 1200
CONTRAST = """element => {  // of a text and what is behind it, as WCAG 2.1 computes it
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => numbers(colour).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  let behind = element;
  while ((numbers(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0)
    behind = behind.parentElement;
  const both = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
  const [a, b] = both.map(light).sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}"""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The address of JupyterLab as `microrecur lab` starts it, its token, the workspace."""
    pytest.importorskip("jupyterlab", reason="no jupyterlab: pip install 'microrecur[test]'")
    folder = tmp_path_factory.mktemp("lab")
    extension = folder / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    for needed in (extension, folder / "runtime"):
        needed.mkdir(parents=True)
    (folder / "config" / "jupyter_server_config.py").write_text(SETTINGS)
    (extension / "notification.jupyterlab-settings").write_text(json.dumps(NO_NEWS))
    environment = {
        **os.environ,
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "PYTHONPATH": str(REPOSITORY),
    }
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "microrecur", "lab", "course", "--no-browser"],
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            yield *_address(folder, server), folder / "course"
        finally:
            os.killpg(server.pid, 15)  # JupyterLab is a process of the command's
            server.wait(20)


def _address(folder, server):
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and server.poll() is None:
        for file in (folder / "runtime").glob("jpserver-*.json"):
            if file.stat().st_size:
                info = json.loads(file.read_text())
                return info["url"], info["token"]
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{(folder / 'log').read_text()}")


class Lesson:
    """A lesson that is open in JupyterLab, tall enough for all its cells at once."""

    def __init__(self, name, course, watch):
        url, token, self.workspace = course
        self.page = watch.page
        self.page.set_default_timeout(SECONDS * 1000)
        self.page.set_viewport_size({"width": WIDTH, "height": 9000})
        self.page.goto(f"{url}doc/tree/{name}.ipynb?token={token}")
        self.page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()

    def run_all(self):
        """Run every cell; those that raise are told."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text="Run").click()
        self.page.get_by_text("Run All Cells", exact=True).click()
        self.page.wait_for_function(
            """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(
                 prompt => /^\\[\\d+\\]:$/.test(prompt.textContent))"""
        )
        errors = self.page.locator(".jp-OutputArea-output[data-mime-type$='.error']")
        assert errors.all_text_contents() == []

    def dress(self, theme):
        """Change the theme as a person would, by the menu."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text="Settings").click()
        self.page.locator(".lm-Menu-itemLabel", has_text="Theme").first.hover()
        self.page.get_by_text(f"JupyterLab {theme}", exact=True).click()
        self.page.locator(f"body[data-jp-theme-light={str(theme == 'Light').lower()}]").wait_for(
            state="attached"
        )

    def cell(self, text):
        return self.page.locator(".jp-CodeCell", has_text=text).first

    def run(self, cell, source):
        """Type over what a cell holds, and run it."""
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Shift+Enter")


@pytest.fixture
def lesson(course, watch):
    """Open a lesson by its name; afterwards nothing has been complained of, nor asked abroad."""
    yield lambda name: Lesson(name, course, watch)
    ours = ("srcdoc", "mrs-", "mountStepper", "Stepper", "microrecur", "data:")
    assert [fault for fault in watch.faults if any(sign in fault for sign in ours)] == []
    assert watch.foreign() == []


def test_a_lesson_with_a_stepper_runs_unsolved_and_steps_with_keys(lesson):
    book = lesson("02_record_the_graph")
    book.run_all()
    assert book.page.locator("[class^=microrecur-]", has_text="not attempted").count() == 4

    stepper = book.page.locator(".jp-OutputArea-output iframe").first
    frame = stepper.content_frame
    drawn = frame.locator("svg").first.bounding_box()
    assert drawn["width"] > 200 and _inside(drawn, stepper.bounding_box())
    frame.get_by_role("button", name="one step on").click()
    book.page.keyboard.press("ArrowRight")
    frame.locator(".mrs-count", has_text="forward 2/").wait_for()
    book.page.keyboard.press("End")
    says = frame.locator(".mrs-says").inner_text()
    assert says.endswith("Routes that meet add: ∂L/∂x = 3.00 + 2.00 + 2.00 = 7.00")


def test_a_lesson_with_a_slider_runs_unsolved_and_shows_both_slopes(lesson):
    book = lesson("01_two_slopes")
    book.run_all()
    frame = book.page.locator(".jp-OutputArea-output iframe").first.content_frame
    slider = frame.locator("input")
    slider.fill("120")  # the middle of 241 places
    assert frame.locator("text.number").all_text_contents() == ["0.2500", "1.0000"]
    slider.press("ArrowRight")
    assert frame.locator("output").inner_text() == "x = 0.05"
    assert frame.locator("svg").count() == 3


def test_an_answer_is_told_its_slip_with_a_picture_and_then_is_what_the_lesson_uses(lesson):
    name, book = "e06.rnn_backward", lesson("06_bptt")
    cell = book.cell(f"%%exercise {name}")
    book.cell("%load_ext").locator(".cm-content").click()
    book.page.keyboard.press("Shift+Enter")
    right = solution(name).replace('"""Gradients', '"""My own gradients')
    slipped = right.replace("dWh += before", "dWh = before")
    assert slipped != right

    book.run(cell, f"%%exercise {name}\n{slipped}")
    slip = next(slip for slip in find(name).slips if "only one step" in slip.said)
    said = cell.locator("[class^=microrecur-]")
    said.get_by_text("your ∂L/∂Wh equals ours with only one step's share of the sum").wait_for()
    assert said.get_by_text(slip.hint).is_visible()
    picture = cell.locator(".jp-OutputArea-output img[src^='data:image/svg']")
    picture.wait_for()
    assert "red: your answer leaves these out" in _svg(picture)
    for width in (WIDTH, 600):  # narrower than the picture is drawn
        book.page.set_viewport_size({"width": width, "height": 6000})
        assert _inside(picture.bounding_box(), cell.locator(".jp-OutputArea").bounding_box())
    assert picture.evaluate("image => image.width < image.naturalWidth")
    for theme in ("Light", "Dark"):
        book.dress(theme)
        for text in said.locator("div, span").all():
            assert text.evaluate(CONTRAST) > 4.5, (theme, text.inner_text())

    book.run(cell, f"%%exercise {name}\n{right}")
    said.get_by_text("passed").wait_for()
    assert picture.count() == 0 and not said.get_by_text(slip.hint).is_visible()
    file = book.workspace / "answers" / "e06" / "rnn_backward.py"
    assert file.read_text() == right
    assert file.with_name("rnn_backward.py.bak").read_text() == slipped
    used = book.cell(f'rnn_backward = answer("{name}")')
    book.run(used, f'rnn_backward = answer("{name}")\nprint(rnn_backward.__doc__)')
    used.get_by_text("My own gradients").wait_for()
    assert used.get_by_text("the course's own solution").count() == 0


def _inside(box, outer):
    return (
        outer["x"] <= box["x"] + 1
        and box["x"] + box["width"] <= outer["x"] + outer["width"] + 1
        and box["y"] + box["height"] <= outer["y"] + outer["height"] + 1
    )


def _svg(picture):
    return base64.b64decode(picture.get_attribute("src").partition(",")[2]).decode()
