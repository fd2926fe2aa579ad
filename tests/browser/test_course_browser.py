"""A lesson in real JupyterLab, opened by `microrecur lab`: run all, step, get it wrong, then right."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
EXERCISE = "%%exercise e00.hello_slope\ndef hello_slope(w):\n    return {}\n"


@pytest.fixture
def course(tmp_path):
    """The address of the course as `microrecur lab` serves it, and its workspace."""
    pytest.importorskip("jupyterlab", reason="no jupyterlab: pip install 'microrecur[test]'")
    for folder in ("config", "runtime"):
        (tmp_path / folder).mkdir()
    (tmp_path / "config" / "jupyter_server_config.py").write_text(SETTINGS)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "PYTHONPATH": str(REPOSITORY),
    }
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "microrecur", "lab", "course", "--no-browser"],
            cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            yield _address(tmp_path, server), tmp_path / "course"
        finally:
            os.killpg(server.pid, 15)  # JupyterLab is a process of the command's
            server.wait(20)


def _address(folder, server):
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        for file in (folder / "runtime").glob("jpserver-*.json"):
            if file.stat().st_size:
                info = json.loads(file.read_text())
                return f"{info['url']}lab/tree/00_start.ipynb?token={info['token']}"
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{(folder / 'log').read_text()}")


def test_a_lesson_runs_steps_and_says_which_term_is_wrong(course, watch):
    address, workspace = course
    page = watch.page
    page.set_default_timeout(45_000)
    page.set_viewport_size({"width": 1400, "height": 5000})  # all cells at once
    page.goto(address)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").click()
    page.get_by_text("Run All Cells", exact=True).click()

    cell = page.locator(".jp-CodeCell", has_text="%%exercise e00.hello_slope")
    cell.get_by_text("not attempted").first.wait_for()
    last = page.locator(".jp-CodeCell", has_text="largest slope of σ")
    last.get_by_text("fifty of them in a row: 7.9e-31").wait_for()

    frame = page.frame_locator(".jp-OutputArea-output iframe")
    frame.get_by_role("button", name="one step on").click()
    page.keyboard.press("End")
    assert frame.locator(".mrs-says").inner_text().startswith("∂y/∂x = ")

    answer(page, cell, "1.0")
    cell.get_by_text("your ∂y/∂x equals ours at w = 1 alone").wait_for()
    cell.get_by_text("Where does the 3 show in your answer?").wait_for()
    picture = cell.locator(".jp-OutputArea-output img[src^='data:image/svg'], .jp-RenderedSVG svg")
    picture.first.wait_for()
    assert picture.first.bounding_box()["width"] > 150

    answer(page, cell, "w")
    cell.locator(".microrecur-said", has_text="passed").wait_for()
    assert cell.get_by_text("Where does the 3 show").count() == 0
    file = workspace / "answers" / "e00" / "hello_slope.py"
    assert file.read_text().rstrip().endswith("return w")
    assert "return 1.0" in file.with_name("hello_slope.py.bak").read_text()

    assert [fault for fault in watch.faults if "mrs-" in fault or "microrecur" in fault] == []
    assert watch.foreign() == []


def answer(page, cell, value):
    """Type an answer over what the cell holds, and run it."""
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(EXERCISE.format(value))
    page.keyboard.press("Shift+Enter")
