"""A path as an animation: one frame per edge, as the gradient walks back from the root."""

from __future__ import annotations

import io
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microrecur.drawing import export
from microrecur.drawing.style import theme
from microrecur.engine.errors import RenderError
from microrecur.files import write_whole

if TYPE_CHECKING:
    from microrecur.drawing.drawing import Drawing
    from microrecur.drawing.scene import SceneEdge

MOST = 600  # frames of one animation
_DIM = "0.16"
_NAMESPACE = "http://www.w3.org/2000/svg"


def frames(drawing: Drawing) -> list[str]:
    """The picture as SVGs: all but the path dimmed, then the path's edges one after the other.

    A picture without a path has one frame, itself. In the last frame nothing is dimmed.

    Raises
    ------
    RenderError
        If the picture cannot be made, or would have more than 600 frames.
    """
    whole = drawing.svg()
    walk = _walk(drawing)
    if len(walk) + 2 > MOST:
        raise RenderError(
            f"this animation would have {len(walk) + 2} frames, more than {MOST}; fold its middle "
            '(steps="auto" with fold=True)'
        )
    if not walk:
        return [whole]
    told = [set(ids) for ids in walk]
    late = set().union(*told)
    return [*(_frame(whole, late, told[:k]) for k in range(len(told) + 1)), whole]


def _walk(drawing: Drawing) -> list[set[str]]:
    """The ids in the SVG of each stage of the path, root first: edge, label, bar at its end."""
    scene, prefix = drawing.scene, drawing.prefix
    on_path = [(k, edge) for k, edge in enumerate(scene.edges) if edge.on_path]
    by_source: dict[str, list[tuple[int, SceneEdge]]] = {}
    for k, edge in on_path:
        by_source.setdefault(edge.target, []).append((k, edge))
    targets = {edge.target for _, edge in on_path}
    sources = {edge.source for _, edge in on_path}
    here = next(iter(target for target in targets if target not in sources), None)
    ids = {node.key: node.id for node in scene.nodes}
    stages: list[set[str]] = []
    seen: set[str] = set()
    while here is not None and here not in seen:
        seen.add(here)
        arriving = by_source.get(here, [])
        if not arriving:
            break
        stage: set[str] = set()
        for k, edge in arriving:
            stage |= {f"{prefix}-e{k}", *(f"{prefix}-e{k}t{i}" for i in range(len(edge.labels)))}
        here = arriving[0][1].source
        end = ids.get(here, here)
        stage |= {i for i in drawing.parts.bars.get(end, ()) if not _told(i, stages)}
        stages.append(stage)
    return stages


def _told(id: str, stages: list[set[str]]) -> bool:
    return any(id in stage for stage in stages)


def _frame(svg: str, late: set[str], told: list[set[str]]) -> str:
    """The picture with what comes later hidden, and what is not on the way so far dimmed."""
    ElementTree.register_namespace("", _NAMESPACE)
    root = ElementTree.fromstring(svg)
    shown: set[str] = set().union(*told) if told else set()
    for group in root.iter(f"{{{_NAMESPACE}}}g"):
        id = group.get("id", "")
        if id in late and id not in shown:
            group.set("opacity", "0")
        elif group.get("class") == "edge" and id not in shown:
            group.set("opacity", _DIM)
    return ElementTree.tostring(root, encoding="unicode")


def save_frames(drawing: Drawing, folder: str | os.PathLike[str]) -> list[Path]:
    """Write the frames as 0001.svg, 0002.svg, … into a folder, which is made if it is missing.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    RenderError
        If the pictures cannot be made.
    OSError
        If the folder cannot be written to.
    """
    made = frames(drawing)
    return [
        write_whole(Path(folder) / f"{k:04}.svg", svg.encode()) for k, svg in enumerate(made, 1)
    ]


def to_animation(drawing: Drawing, kind: str, scale: float = 1.0, seconds: float = 0.9) -> bytes:
    """The frames as one animated image.

    Parameters
    ----------
    drawing : Drawing
        With a path.
    kind : {"gif", "apng"}
        APNG keeps every colour; GIF 256 of them.
    scale : float
        As for a PNG.
    seconds : float
        How long a frame stands; the last stands three times as long.

    Raises
    ------
    RenderError
        If Pillow is missing or the pictures cannot be made.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise RenderError("an animation needs Pillow: pip install pillow") from error
    images = list(_images(drawing, scale, Image))
    stands = [int(1000 * seconds)] * (len(images) - 1) + [int(3000 * seconds)]
    if kind == "gif":
        palette = images[-1].quantize(colors=255)  # the whole picture has every colour there is
        images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    out = io.BytesIO()
    images[0].save(
        out,
        format="GIF" if kind == "gif" else "PNG",
        save_all=True,
        append_images=images[1:],
        duration=stands,
        loop=0,
        **({"disposal": 2} if kind == "gif" else {}),
    )
    return out.getvalue()


def _images(drawing: Drawing, scale: float, image: Any) -> Iterator[Any]:
    """Each frame as pixels; a bar shows in a terminal when it takes longer than two seconds."""
    from tqdm import tqdm

    background = theme(drawing.scene.theme).background
    for svg in tqdm(frames(drawing), delay=2, unit="frame", disable=None, leave=False):
        with image.open(io.BytesIO(export.to_png(svg, scale, background))) as picture:
            yield picture.convert("RGB")
