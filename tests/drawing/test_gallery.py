"""The gallery: its page is what its script writes, and every line in it draws."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from microrecur.drawing.drawing import Drawing

DOCS = Path(__file__).parents[2] / "docs"


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("gallery", DOCS / "gallery.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["gallery"] = module
    spec.loader.exec_module(module)
    return module


GALLERY = _script()
ENTRIES = [entry for entries in GALLERY.CHAPTERS.values() for entry in entries]


def test_the_page_is_what_the_script_writes() -> None:
    written = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert written == GALLERY.page(), "run `make gallery`"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_line_draws_and_has_its_picture(entry: Any) -> None:
    drawing = GALLERY.drawing(entry)
    assert isinstance(drawing, Drawing)
    assert drawing.scene.nodes
    assert (DOCS / "pictures" / f"{entry.name}.png").stat().st_size < 100_000


def test_names_are_unique() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
