"""Frames of a path, edge by edge, and the animations made of them."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import microrecur as mr
from microrecur.drawing.animation import frames, to_animation

Image = pytest.importorskip("PIL.Image")


def drawing(steps: int = 3, **options: Any) -> Any:
    states = mr.unroll(mr.RNNCell(1, 1, seed=2), [0.9, -0.5, 0.7][:steps], mr.tensor(0.35))
    return mr.draw(((states[-1] - 0.3) ** 2).named("L"), **({"path": "h0"} | options))


def hidden(svg: str) -> set[str]:
    groups = re.findall(r"<g [^>]*>", svg)
    return {
        found[1] for g in groups if 'opacity="0"' in g and (found := re.search(r'id="([^"]*)"', g))
    }


def test_one_frame_per_edge_of_the_path_and_one_before_and_after() -> None:
    drawn = drawing()
    made = frames(drawn)
    on_path = [edge for edge in drawn.scene.edges if edge.on_path]
    assert len(on_path) == 7
    assert len(made) == len(on_path) + 2
    assert made[-1] == drawn.svg()


def test_each_frame_shows_more_than_the_one_before() -> None:
    kept = [hidden(svg) for svg in frames(drawing())]
    assert kept[0]
    assert all(later < earlier for earlier, later in pairwise(kept[:-1]))
    assert kept[-1] == kept[-2] == set()


def test_the_root_edge_comes_first() -> None:
    drawn = drawing()
    ids = drawn.parts.edges["t3.h", "L"]
    first, second = (hidden(svg) for svg in frames(drawn)[:2])
    assert set(ids) <= first
    assert not set(ids) & second


def test_a_picture_without_a_path_is_one_frame() -> None:
    drawn = drawing(path=None)
    assert frames(drawn) == [drawn.svg()]


def test_frames_are_written_in_order(tmp_path: Path) -> None:
    drawn = drawing(2)
    written = drawn.save_frames(tmp_path / "frames")
    assert [path.name for path in written] == [f"{k:04}.svg" for k in range(1, len(written) + 1)]
    assert [path.read_text(encoding="utf-8") for path in written] == drawn.frames()


@pytest.mark.parametrize("kind", ["gif", "apng"])
def test_an_animation_has_every_frame_and_the_last_stands_longest(
    kind: str, tmp_path: Path
) -> None:
    drawn = drawing(2)
    path = drawn.save(tmp_path / f"walk.{kind}", scale=0.5)
    with Image.open(path) as picture:
        assert picture.is_animated
        # A GIF joins frames that show the same.
        assert len(drawn.frames()) - 1 <= picture.n_frames <= len(drawn.frames())
        durations = []
        for k in range(picture.n_frames):
            picture.seek(k)
            picture.load()
            durations.append(picture.info["duration"])
    assert max(durations) == durations[-1] >= 2700


def test_the_last_frame_of_an_apng_is_the_picture() -> None:
    drawn = drawing(2)
    with Image.open(io.BytesIO(to_animation(drawn, "apng", 0.5))) as moving:
        moving.seek(moving.n_frames - 1)
        last = moving.convert("RGB")
    with Image.open(io.BytesIO(drawn.png(0.5))) as still:
        assert last.tobytes() == still.convert("RGB").tobytes()


def test_too_many_frames_are_refused_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microrecur.drawing.animation.MOST", 5)
    with pytest.raises(mr.RenderError, match="fold its middle"):
        frames(drawing())
