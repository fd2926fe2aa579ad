"""The page of figures holds what its script measures; every table and picture has its place."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def figures():
    spec = importlib.util.spec_from_file_location("figures", DOCS / "figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page():
    return (DOCS / "what_the_bound_says.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["slopes", "saturation", "ceilings", "views", "counts"])
def test_the_page_has_what_is_measured_now(figures, page, name):
    measured = figures.table(getattr(figures, name)())
    assert f"<!-- {name} -->\n{measured}<!-- end {name} -->" in page


def test_every_table_is_filled(figures, page):
    for measure in figures.TABLES:
        assert f"<!-- {measure.__name__} -->\n| what |" in page
    assert "<!-- verdicts -->\n```\nLSTM" in page


def test_the_counts_are_those_of_theory(figures):
    for what, theory, measured, _ in figures.counts():
        assert theory.split(" = ")[-1] in (measured, measured.split(".")[0]), what


def test_the_textbooks_slopes_are_lost_where_theory_says(figures):
    measured = [row[2] for row in figures.saturation()]
    assert measured[1] == "z = 37"
    assert measured[3:5] == ["|z| = 19", "17% wrong"]
    assert float(measured[0].split("·")[0]) < 10
    assert measured[0].endswith("10⁻¹⁶")


def test_the_direction_of_h_detach_is_the_papers(figures):
    small, _, large = (row[2] for row in figures.detach())
    assert float(small.split()[0]) > 0.1
    assert "10⁻" in large.split()[0]


def test_a_page_without_its_place_is_refused(figures, page):
    with pytest.raises(ValueError, match="0 places for the table 'missing'"):
        figures.filled(page, "missing", "")
    other = figures.filled(page, "slopes", "planted\n")
    assert "planted" in other
    assert figures.filled(other, "slopes", figures.table(figures.slopes())) == page
