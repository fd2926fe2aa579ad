"""Tables as text, HTML, csv and DataFrame."""

import csv
import math
import os
import pickle
import stat
import xml.etree.ElementTree as ElementTree
from dataclasses import FrozenInstanceError, dataclass, field

import pandas
import pytest

from microrecur.flows.tables import SHOWN, Table, align, column, printable, show, width


@dataclass(frozen=True)
class Slope:
    gate: str
    step: int | None = field(metadata=column("t", str))
    value: float = field(metadata=column("σ′"))
    bound: float | None = field(metadata=column("bound", lambda b: f"≤ {b:g}"))


def table():
    return Table(
        Slope,
        [
            Slope("forget", 3, 0.1234, 0.25),
            Slope("output", None, -3.14e-7, None),
            Slope("in", 1000, 12.5, 0.25),
        ],
    )


def long_table(rows):
    return Table(Slope, [Slope("g", t, t / 10, None) for t in range(rows)])


# -- text ------------------------------------------------------------------------------------------


def test_text_is_aligned_and_numbers_are_set():
    assert str(table()).splitlines() == [
        "gate       t         σ′   bound",
        "forget     3       0.12  ≤ 0.25",
        "output        −3.1·10⁻⁷",
        "in      1000      12.50  ≤ 0.25",
    ]


def test_a_prompt_shows_the_same_text():
    assert repr(table()) == str(table())


def test_a_table_without_rows_shows_its_columns():
    assert str(Table(Slope)) == "gate  t  σ′  bound"


def test_a_long_table_shows_its_ends_and_prints_whole():
    rows = long_table(SHOWN + 40)
    shown = repr(rows).splitlines()
    assert len(shown) == 1 + SHOWN + 1
    assert shown[1 + SHOWN // 2] == "… 40 rows between; print(table) shows all"
    assert shown[-1].split() == ["g", "99", "9.90"]
    assert len(str(rows).splitlines()) == 1 + SHOWN + 40


def test_a_table_is_a_list_of_frozen_rows():
    rows = table()
    assert rows[0].value == 0.1234
    assert [row.gate for row in rows] == ["forget", "output", "in"]
    with pytest.raises(FrozenInstanceError):
        rows[0].value = 1.0


def test_a_table_is_pickled():
    again = pickle.loads(pickle.dumps(table()))
    assert (again, again.of, str(again)) == (table(), Slope, str(table()))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.854, "0.85"),
        (-0.0346, "−0.035"),
        (math.nan, "nan"),
        (math.inf, "∞"),
        (2089, "2,089"),
        (436**9, "≈10²⁴"),
        (True, "True"),
        ("σ′", "σ′"),
    ],
)
def test_how_a_value_is_set(value, text):
    assert show(value) == text


def test_names_cannot_move_or_colour_a_terminal():
    evil = Slope("a\x1b[31mb\nc\u202ed", 1, 0.5, None)
    assert printable("ᶠ∂‖") == "ᶠ∂‖"
    assert str(Table(Slope, [evil])).splitlines()[1].startswith("a\ufffd[31mb\ufffdc\ufffdd")


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("Uᶠ ‖∂‖", 6), ("漢", 2), ("e\u0301", 1)]
)
def test_the_width_of_a_text(text, columns):
    assert width(text) == columns


def test_alignment_counts_what_a_terminal_shows():
    assert align([["漢", "1"], ["e\u0301", "10"]], right={1}) == [["漢", " 1"], ["e\u0301 ", "10"]]


# -- HTML ------------------------------------------------------------------------------------------


def test_html_has_the_same_cells():
    rows = [
        [cell.text or "" for cell in row] for row in ElementTree.fromstring(table()._repr_html_())
    ]
    assert rows == [
        ["gate", "t", "σ′", "bound"],
        ["forget", "3", "0.12", "≤ 0.25"],
        ["output", "", "−3.1·10⁻⁷", ""],
        ["in", "1000", "12.50", "≤ 0.25"],
    ]


def test_html_is_escaped():
    html = Table(Slope, [Slope('<script>alert("&")</script>', 1, 0.5, None)])._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;" in html


def test_a_long_table_is_short_in_a_notebook():
    html = long_table(SHOWN + 40)._repr_html_()
    assert html.count("<tr>") == 1 + SHOWN + 1
    assert "… 40 rows between" in html


# -- csv and DataFrame -----------------------------------------------------------------------------


def test_csv_keeps_every_digit(tmp_path):
    value = 0.1 + 0.2
    path = Table(Slope, [Slope('a,"b"\nc', 1, value, None)]).to_csv(tmp_path / "slopes.csv")
    with path.open(encoding="utf-8", newline="") as file:
        names, row = csv.reader(file)
    assert names == ["gate", "step", "value", "bound"]
    assert row == ['a,"b"\nc', "1", repr(value), ""]
    assert float(row[2]) == value


def test_csv_replaces_a_file_whole_and_leaves_nothing_beside_it(tmp_path):
    target = tmp_path / "slopes.csv"
    target.write_text("old")
    target.chmod(0o640)
    table().to_csv(target)
    assert target.read_text(encoding="utf-8").startswith("gate,step,value,bound")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["slopes.csv"]


def test_csv_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "slopes.csv"
    target.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=r"cannot write 'slopes\.csv' in the folder .*No space left"):
        table().to_csv(target)
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["slopes.csv"]


def test_csv_makes_a_folder_that_is_missing(tmp_path):
    assert table().to_csv(tmp_path / "new" / "a.csv").is_file()


def test_a_table_becomes_a_data_frame():
    frame = pandas.DataFrame(table())
    assert list(frame.columns) == ["gate", "step", "value", "bound"]
    assert frame["value"].tolist() == [0.1234, -3.14e-7, 12.5]
