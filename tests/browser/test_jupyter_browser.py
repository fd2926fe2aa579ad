"""A notebook in real JupyterLab: run all, see the picture, step with keys, set the live widget."""

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
c.ServerApp.open_browser = False
c.ServerApp.allow_root = True
c.ServerApp.allow_remote_access = False
c.LabApp.news_url = None
c.LabApp.extension_manager = "readonly"
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
"""
CELLS = [
    """import microrecur as mr
h = mr.unroll(mr.RNNCell(1, 1, seed=0), [0.9, -0.4, 0.7])[-1]
loss = ((h - 1.0) ** 2).named("L")
mr.draw(loss, path="h0")""",
    "mr.step(loss)",
    "live = mr.step(loss).widget()\nlive",
    """from pathlib import Path
live.observe(lambda change: Path("seen").write_text(str(change["new"])), "step")
live.step = 4""",
]


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab that knows nothing of this machine's settings, and its folder."""
    pytest.importorskip("jupyterlab", reason="no jupyterlab: pip install 'microrecur[test]'")
    pytest.importorskip("anywidget", reason="no anywidget: pip install 'microrecur[test]'")
    for folder in ("config", "runtime", "work"):
        (tmp_path / folder).mkdir()
    (tmp_path / "config" / "jupyter_server_config.py").write_text(SETTINGS)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "PYTHONPATH": str(REPOSITORY),
    }
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", f"--notebook-dir={tmp_path / 'work'}"],
        env=environment,
        stdout=log,
        stderr=log,
    )
    try:
        yield _address(tmp_path, server), tmp_path / "work"
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def _address(folder, server):
    """Where the server says it listens, with the token that lets us in."""
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        for file in (folder / "runtime").glob("jpserver-*.json"):
            if file.stat().st_size:
                info = json.loads(file.read_text())
                return f"{info['url']}lab/tree/steps.ipynb?token={info['token']}"
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{(folder / 'log').read_text()}")


def write_notebook(path):
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, path)


def ours(fault):
    """JupyterLab has complaints of its own; ours come from a frame's document or our script."""
    return any(
        sign in fault for sign in ("srcdoc", "mrs-", "mountStepper", "Stepper", "microrecur")
    )


def test_a_notebook_shows_the_picture_and_steps_with_keys(lab, watch):
    address, folder = lab
    write_notebook(folder / "steps.ipynb")
    page = watch.page
    page.set_default_timeout(45_000)
    page.set_viewport_size({"width": 1400, "height": 2400})  # all cells at once
    page.goto(address)
    page.locator(".jp-Notebook .jp-CodeCell").nth(len(CELLS) - 1).wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").click()
    page.get_by_text("Run All Cells", exact=True).click()

    picture = page.locator(".jp-OutputArea-output img[src^='data:image/svg']")
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") > 300
    assert picture.get_attribute("alt").startswith("RNN cell, 3 steps.")

    frame = page.frame_locator(".jp-OutputArea-output iframe")
    frame.get_by_role("button", name="one step on").click()
    page.keyboard.press("ArrowRight")
    frame.locator(".mrs-count", has_text="forward 2/").wait_for()
    assert frame.locator(".mrs-says").inner_text().startswith("h₁ = tanh(z₁) = ")
    page.keyboard.press("End")
    assert frame.locator(".mrs-says").inner_text().startswith("∂L/∂h₀ = ∂L/∂z₁ · U = ")

    live = page.locator(".jp-OutputArea-output .mrs")
    live.locator(".mrs-count", has_text="forward 4/").wait_for()  # set by the cell below it
    live.get_by_role("button", name="one step on").click()
    live.get_by_role("button", name="one step on").press("ArrowRight")
    assert "forward 6/" in live.locator(".mrs-count").inner_text()
    seen = folder / "seen"  # written by the kernel, whenever the step changes
    until = time.monotonic() + 10
    while seen.read_text() != "6" and time.monotonic() < until:
        page.wait_for_timeout(50)
    assert seen.read_text() == "6"

    assert [fault for fault in watch.faults if ours(fault)] == []
    assert watch.foreign() == []
