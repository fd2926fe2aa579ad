"""Plain `pytest` in a workspace checks the answers; elsewhere the plugin costs nothing."""

import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from microrecur.course.progress import Progress
from microrecur.course.sources import names

ANSWERS = {
    "e00.hello_slope": "def hello_slope(w):\n    print('w', w)\n    return -w\n",
    "e01.sigmoid_backward": "def sigmoid_backward(s, g):\n    return s * (1 - s) * g\n",
    "e06.rnn_backward": "def rnn_backward(:\n",
}


def run_pytest(folder, *words, alone=True, **environment):
    """Run pytest with our plugin alone, or with all that are installed."""
    if alone:
        words = ("-p", "microrecur.course.plugin", *words)
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_the_plugin_is_registered():
    (found,) = (e for e in entry_points(group="pytest11") if e.name == "microrecur")
    assert found.value == "microrecur.course.plugin"


def test_elsewhere_it_imports_the_standard_library_and_pytest_alone(tmp_path):
    (tmp_path / "test_here.py").write_text(
        "import sys\n"
        "def test_it(request):\n"
        "    ours = sorted(name for name in sys.modules if name.startswith('microrecur'))\n"
        "    assert ours == ['microrecur', 'microrecur.course', 'microrecur.course.plugin']\n"
        "    assert not {'numpy', 'matplotlib', 'graphviz', 'rich'} & set(sys.modules)\n"
        "    assert not hasattr(request.config.option, 'seed')\n"
    )
    (tmp_path / "answers" / "e00").mkdir(parents=True)
    (tmp_path / "answers" / "e00" / "hello_slope.py").write_text("1 / 0\n")
    run = run_pytest(tmp_path, "-q")  # the plugins of others may import what they like
    assert "1 passed" in run.stdout, run.stdout + run.stderr


def test_another_projects_seed_is_left_alone(tmp_path):
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--seed', default='theirs')\n"
    )
    (tmp_path / "test_here.py").write_text(
        "def test_it(pytestconfig): assert pytestconfig.getoption('--seed') == 'theirs'\n"
    )
    run = run_pytest(tmp_path, "-q")
    assert "1 passed" in run.stdout, run.stdout + run.stderr


@pytest.fixture
def tried(workspace):
    for name in names():
        if not name.startswith(("e00", "e01")) and name not in ANSWERS:
            workspace.answer_file(name).unlink()  # fewer to wait for
    for name, text in ANSWERS.items():
        workspace.answer_file(name).write_text(text)
    return workspace


def test_in_a_workspace_it_says_which_term_is_wrong_and_no_more(tried):
    run = run_pytest(tried.root, alone=False)
    untouched = sum(name.startswith(("e00", "e01")) for name in names()) - 2
    assert f"2 failed, 1 passed, {untouched} skipped" in run.stdout, run.stdout + run.stderr
    assert "your ∂y/∂x equals ours with the other sign" in run.stdout
    assert "hint: If w is 2 and x grows, does y grow or shrink?" in run.stdout
    assert "line 1, `def rnn_backward(:`, is not Python" in run.stdout
    assert f"SKIPPED [{untouched}]" in run.stdout
    assert "not attempted yet; `microrecur progress` lists them" in run.stdout
    assert "w 0.58" in run.stdout  # what the answer printed
    assert "Traceback" not in run.stdout
    assert "diagnose" not in run.stdout
    assert Progress(tried).passed("e01.sigmoid_backward")


def test_one_answer_and_another_seed(tried):
    file = "answers/e01/sigmoid_backward.py"
    run = run_pytest(tried.root, "--seed", "5", file, "-q")
    assert "1 passed" in run.stdout, run.stdout + run.stderr
    above = run_pytest(tried.root.parent, "--seed", "5", f"course/{file}", "-q")
    assert "1 passed" in above.stdout, above.stdout + above.stderr


def test_a_file_of_the_learners_own_is_no_answer(tried):
    (tried.root / "answers" / "e00" / "scratch.py").write_text("1 / 0\n")
    run = run_pytest(tried.root, "answers/e00", "-q")
    assert "1 failed" in run.stdout
    assert "ZeroDivisionError" not in run.stdout
