"""Names and numbers as text, and that the font of the pictures has every letter used."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from microrecur.graphs import notation
from microrecur.graphs.notation import bound, count, number, power_of_ten, typeset


@pytest.mark.parametrize(
    ("name", "step", "text"),
    [
        ("U_f", None, "Uᶠ"),
        ("f", 3, "f₃"),
        ("c", "t−1", "cₜ₋₁"),
        ("h", "t", "hₜ"),
        ("z_f", 3, "zᶠ₃"),
        ("tanh c", 3, "tanh c₃"),
        ("1−z", "t", "1−zₜ"),
        ("h", 30, "h₃₀"),
        ("x_1", None, "x₁"),
        ("weight_hh", None, "weight_hh"),
        ("my_gate", 2, "my_gate₂"),
        ("U_q", None, "U_q"),  # Unicode has no superscript q
        ("σ′", None, "σ′"),
        ("", None, ""),
        ("_f", None, "_f"),
    ],
)
def test_names_read_as_in_a_textbook(name: str, step: int | str | None, text: str) -> None:
    assert typeset(name, step) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.854, "0.85"),
        (-0.6, "−0.60"),
        (1.0, "1.00"),
        (0.0996, "0.10"),
        (0.0346, "0.035"),
        (0.001, "0.001"),
        (3.14e-4, "3.1·10⁻⁴"),
        (-4e-12, "−4.0·10⁻¹²"),
        (1e-320, "1.0·10⁻³²⁰"),
        (9999.0, "9999.00"),
        (12345.0, "1.2·10⁴"),
        (0.0, "0"),
        (-0.0, "0"),
        (math.nan, "nan"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_have_two_digits_and_a_real_minus(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.25, "¼"),
        (0.5, "½"),
        (1.0, "1"),
        (2.0, "2"),
        (-1.0, "−1"),
        (1.84, "1.84"),
        (math.inf, "∞"),
    ],
)
def test_bounds_are_the_textbooks(value: float, text: str) -> None:
    assert bound(value) == text


def test_long_counts_are_powers_of_ten() -> None:
    assert count(1) == "1"
    assert count(2089) == "2,089"
    assert count(10**5000) == "≈10⁵⁰⁰⁰"  # Python refuses str() of such an int
    assert power_of_ten(0) == "10⁰"


def test_the_font_has_every_letter_used() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    ttlib = pytest.importorskip("fontTools.ttLib")
    font = ttlib.TTFont(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    tables = (notation._SUBSCRIPTS, notation._EXPONENTS)
    letters = {chr(code) for table in tables for code in table.values()}
    letters |= set(notation._SUPERSCRIPTS.values()) | set(notation._FRACTIONS.values())
    letters |= set("σ⊙∏∂‖·×−′≤≈∞…Σ")
    assert not {letter for letter in letters if ord(letter) not in font.getBestCmap()}
