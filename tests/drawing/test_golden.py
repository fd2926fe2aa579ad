"""The known cells' pictures, held as DOT text, and their smallest text.

After a change that is meant to move them, `make golden` writes them anew; read the difference, and
look at the pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import microrecur as mr
from microrecur.drawing.export import smallest_text_px

FOLDER = Path(__file__).parent / "golden"
SHOWN = 1100.0  # pixels wide
LEAST = 9.0  # pixels

# Numbers of two digits, so that the last bit of a sum is never seen in a picture.
_XS = (0.9, -0.5, 0.7, 0.3, -0.8, 1.1)
CELLS: dict[str, Callable[[], Any]] = {
    "rnn": lambda: mr.RNNCell(1, 1, seed=2),
    "lstm": lambda: mr.LSTMCell(1, 1, seed=1),
    "lstm_peephole": lambda: mr.LSTMCell(1, 1, seed=1, peephole=True),
    "gru_reset_after": lambda: mr.GRUCell(1, 1, seed=3),
    "gru_reset_before": lambda: mr.GRUCell(1, 1, seed=3, reset_after=False),
}
STEPS = {"rnn": 6, "lstm": 4, "lstm_peephole": 4, "gru_reset_after": 4, "gru_reset_before": 4}


def states(name: str, steps: int) -> list[Any]:
    cell = CELLS[name]()
    start = tuple(mr.tensor(value) for value in (0.35, 0.8)[: len(cell.states)])
    xs = [_XS[t % len(_XS)] for t in range(steps)]
    return mr.unroll(cell, xs, start if len(start) > 1 else start[0])


def loss(name: str, steps: int) -> mr.Tensor:
    last = states(name, steps)[-1]
    h = last[0] if isinstance(last, tuple) else last
    return ((h - 0.3) ** 2).named("L")


def pictures() -> dict[str, Callable[[], Any]]:
    """Every pinned picture of the known cells, by name."""
    made: dict[str, Callable[[], Any]] = {}
    for name in CELLS:
        made[f"{name}_cell"] = lambda name=name: mr.draw(states(name, 1))
        made[f"{name}_by_gate"] = lambda name=name: mr.draw(states(name, 1), level="gate")
        made[f"{name}_unrolled"] = lambda name=name: mr.draw(loss(name, STEPS[name]))
        made[f"{name}_unrolled_by_op"] = lambda name=name: mr.draw(loss(name, 2), level="op")
        made[f"{name}_path"] = lambda name=name: mr.draw(loss(name, STEPS[name]), path="h0")
        made[f"{name}_path_by_op"] = lambda name=name: mr.draw(loss(name, 2), level="op", path="h0")
        made[f"{name}_folded"] = lambda name=name: mr.draw(loss(name, 30), path="h0")
    return made


PICTURES = pictures()


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_the_one_that_was_looked_at(name: str) -> None:
    kept = (FOLDER / f"{name}.dot").read_text(encoding="utf-8")
    assert PICTURES[name]().source == kept, f"{name} has changed: look at it, then `make golden`"


@pytest.mark.parametrize("name", PICTURES)
def test_every_text_is_at_least_nine_pixels_when_shown_1100_wide(name: str) -> None:
    assert smallest_text_px(PICTURES[name]().svg(), SHOWN) >= LEAST


def test_a_picture_too_wide_to_read_is_seen() -> None:
    wide = mr.draw(loss("lstm", 8), fold=False)
    assert smallest_text_px(wide.svg(), SHOWN) < LEAST


def test_no_picture_is_kept_that_nobody_makes() -> None:
    assert {path.stem for path in FOLDER.glob("*.dot")} == set(PICTURES)


def write() -> None:
    """Write every picture's DOT text anew; `make golden` runs this."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.dot"):
        old.unlink()
    for name, make in PICTURES.items():
        (FOLDER / f"{name}.dot").write_text(make().source, encoding="utf-8")


if __name__ == "__main__":
    write()
