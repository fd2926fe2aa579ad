"""The pages hold what they promise: their code runs, their links lead somewhere, make has them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).parents[1]
PAGES = sorted([*TREE.glob("*.md"), *(TREE / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_map_of_the_house_shows_every_room():
    rooms = {path.name for path in (TREE / "microrecur").iterdir() if not path.name.startswith("_")}
    shown = set(re.findall(r"^\| \d \| `([\w.]+)/?`", (TREE / "README.md").read_text(), re.M))
    assert shown == rooms - {"py.typed"}


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_knows_the_commands_the_pages_name():
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"`make (\w+)`|^make (\w+)", pages, re.M))
    listed = subprocess.run(["make"], cwd=TREE, capture_output=True, text=True, check=True).stdout
    for target in {"".join(pair) for pair in named}:
        assert f"make {target} " in listed, target
