"""`step`: walk through a computation, forward value by value and back factor by factor."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import asdict
from functools import cached_property
from html import escape
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from microrecur.drawing import export, labels, page, stepper_steps
from microrecur.drawing.chosen import chosen_path
from microrecur.drawing.dot import NODE_LIMIT
from microrecur.drawing.draw import check_options, picture, view_of
from microrecur.drawing.drawing import LIMIT, TIMEOUT, Drawing
from microrecur.drawing.quoting import printable
from microrecur.drawing.steady import without_collecting
from microrecur.drawing.stepper_steps import Stage, Step
from microrecur.drawing.stepper_words import Words
from microrecur.drawing.style import theme as palette
from microrecur.engine.errors import RenderError
from microrecur.files import write_whole
from microrecur.flows.paths import Path, source_id, strongest_path

if TYPE_CHECKING:
    from microrecur.drawing.widget import StepperWidget
    from microrecur.engine.tensor import Tensor
    from microrecur.graphs.graph import Graph

_TEXT_LIMIT = 400  # characters of one sentence
_CONTROLS = 250  # pixels of a stepper that are not picture
_PIXELS = 4 / 3  # of a point, in a browser
_VALUE = re.compile(r"(^|[=≈] )(−?(\d[\d.]*(·10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?|∞)|nan)$")
_MOUNT = """
const data = JSON.parse(document.getElementById("steps").textContent);
mountStepper(document.getElementById("stepper"), data, { keys: document });
"""


class Stepper:
    """A picture and the steps through it.

    Parameters
    ----------
    drawing : Drawing
        What is walked through.
    steps : tuple of Step
        Forward, then backward.
    blanks : dict
        SVG id of a node → its lines before its value is known.

    Examples
    --------
    >>> import microrecur as mr
    >>> states = mr.unroll(mr.RNNCell(1, 1, seed=0), [0.9])
    >>> print(step(states[-1]))  # doctest: +ELLIPSIS
    The inputs and initial states are given; step forward to compute.
    zₜ = W·xₜ + U·hₜ₋₁ + b = −1.64
    hₜ = tanh(zₜ) = −0.93
    ∂hₜ/∂hₜ = 1: the gradient starts here and walks back, edge by edge.
    ∂hₜ/∂zₜ = ∂hₜ/∂hₜ · tanh′(zₜ) = 1 · 0.14 = 0.14
    ∂hₜ/∂hₜ₋₁ = ∂hₜ/∂zₜ · U = 0.14 · −0.46 = −0.065
    """

    def __init__(
        self, drawing: Drawing, steps: tuple[Step, ...], blanks: dict[str, tuple[str, ...]]
    ) -> None:
        self.drawing, self.steps, self.blanks = drawing, steps, blanks

    @cached_property
    def data(self) -> dict[str, Any]:
        """All of it as plain data, as `stepper.js` reads it.

        Raises
        ------
        RenderError
            If the picture cannot be made.
        """
        scene, parts = self.drawing.scene, self.drawing.parts
        colours = palette(scene.theme)
        scale = stepper_steps.log_scale(s.size for s in self.steps if s.size is not None)
        kinds = dict.fromkeys(chip.kind for step in self.steps for chip in step.chips)
        return {
            "title": printable(scene.title),
            "theme": scene.theme,
            "svg": self.drawing.svg(),
            "parts": {
                name: [id for ids in getattr(parts, name).values() for id in ids]
                for name in ("nodes", "edges", "labels", "bars")
            },
            "blanks": self.blanks,
            "scale": stepper_steps.scale_text(scale),
            "looks": {
                kind: (look.fill, look.line, look.text)
                for kind, look in ((kind, colours.look(kind)) for kind in kinds)
            },
            "steps": [_plain(step, scale) for step in self.steps],
        }

    def html(self) -> str:
        """A page of its own, which asks for nothing but itself.

        Raises
        ------
        RenderError
            If the picture cannot be made.
        """
        title = printable(self.drawing.scene.title)
        told = escape(printable(str(self.drawing), limit=20_000))
        body = (
            f'<div id="stepper"></div>\n<noscript><p>Stepping needs JavaScript.</p>'
            f"<pre>{told}</pre></noscript>\n{page.json_block(self.data, 'steps')}"
        )
        style = page.asset("stepper.css") + f"body{{margin:0;background:{self._background}}}"
        return page.page(title, body, style=style, script=page.asset("stepper.js") + _MOUNT)

    @property
    def _background(self) -> str:
        return palette(self.drawing.scene.theme).background

    def save(self, path: str | os.PathLike[str]) -> FilePath:
        """Write the page to a file that ends in .html; it is replaced whole, or stays as it is.

        Raises
        ------
        ValueError
            For another ending.
        OSError
            If the folder cannot be written to.
        RenderError
            If the picture cannot be made.
        """
        target = FilePath(path)
        if target.suffix.lower() not in (".html", ".htm"):
            raise ValueError(
                f"cannot save {str(target)!r}: a stepper is a page, so the name ends in .html; "
                "a picture of it is stepper.drawing.save(…)"
            )
        write_whole(target, self.html())
        return target

    def widget(self) -> StepperWidget:
        """A live widget for a notebook: its `.step` follows the clicks, and can be set.

        Raises
        ------
        ImportError
            Without anywidget; the message says how to install it.
        """
        from microrecur.drawing.widget import StepperWidget

        return StepperWidget(self)

    def __len__(self) -> int:
        return len(self.steps)

    def __str__(self) -> str:
        return "\n".join(printable(step.says, len(step.says)) for step in self.steps)

    def __repr__(self) -> str:
        back = sum(step.phase == "backward" for step in self.steps)
        title = printable(self.drawing.scene.title)
        return f"Stepper({title!r}, {len(self.steps) - back} steps forward, {back} back)"

    def _repr_html_(self) -> str:
        """A sandboxed frame as high as the picture, at any width, and the controls below it.

        The words inside the frame show where a notebook that is not trusted drops the frame. Where
        no picture can be made the steps stand in words, with what is missing.
        """
        try:
            return self._frame()
        except RenderError as error:
            told = f"{self}\n[no stepper: {' '.join(str(error).split())}]"
            return f"<pre>{escape(told)}</pre>"

    def _frame(self) -> str:
        page_text, title = self.html(), escape(printable(self.drawing.scene.title))
        width, height = export.size(self.drawing.svg())
        room = f"position:relative;padding-bottom:calc({100 * height / width:.2f}% + {_CONTROLS}px)"
        return (
            f'<div style="max-width:{width * _PIXELS + 24:.0f}px"><div style="{room}">'
            f'<iframe sandbox="allow-scripts" title="Stepper: {title}" '
            'style="position:absolute;width:100%;height:100%;border:0" '
            f'srcdoc="{escape(page_text)}">'
            "Trust this notebook to step through the picture.</iframe></div></div>"
        )

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        """The stepper for a notebook; text and one line of advice where it cannot be drawn."""
        bundle = {"text/plain": str(self)}
        try:
            bundle["text/html"] = self._frame()
        except Exception as error:  # a notebook swallows what a repr raises, and shows nothing
            bundle["text/plain"] += f"\n[no stepper: {' '.join(str(error).split())}]"
        return page.wanted(bundle, include, exclude)


def _plain(step: Step, scale: tuple[int, int]) -> dict[str, Any]:
    """A step as JSON holds it: text that can be shown, and its size as a share of the bar."""
    plain = _printable(asdict(step))
    level = stepper_steps.level(plain.pop("size"), scale)
    return {**plain, "level": level}


def _printable(data: Any) -> Any:
    if isinstance(data, str):
        return printable(data, _TEXT_LIMIT)
    if isinstance(data, dict):
        return {key: _printable(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_printable(value) for value in data]
    return data


@without_collecting()
def step(
    loss: Tensor | Graph | Any,
    path: str | Tensor | Path | None = None,
    *,
    source: str | Tensor | None = None,
    routes: bool = False,
    level: str | None = None,
    unit: int | None = None,
    steps: str | int | slice = "auto",
    fold: bool = True,
    title: str | None = None,
    theme: str = "light",
    limit: tuple[int, int] | None = LIMIT,
    engine: str = "auto",
    timeout: float = TIMEOUT,
) -> Stepper:
    """Walk through a computation: values forward, then the gradient back along one path or all.

    Parameters
    ----------
    loss
        A recorded tensor, what `unroll` returned, a graph, or a cell, as in `draw`.
    path
        The chain-rule path the gradient walks: the strongest back to this node ("h0", "t0.h", a
        tensor), or the path itself. When not given, the strongest to the earliest state.
    source
        Where the path ends, when `path` is not given.
    routes
        True walks every edge instead, and adds where routes meet; for cells of one number each.
    level : {"step", "gate", "op", "all"}, optional
    unit
        Walk through this hidden unit alone, from 0.
    steps, fold, title, theme, limit, engine, timeout
        As in `draw`.

    Returns
    -------
    Stepper
        Shows itself in a notebook; `.save("step.html")` writes a page of its own.

    Raises
    ------
    UnknownNode
        When the path's node is not in the graph; the nearest ids are named.
    ValueError
        When `routes` is asked of tensors of more than one number.
    RenderError
        When it is shown and the picture cannot be made.

    Examples
    --------
    >>> import microrecur as mr
    >>> h = mr.unroll(mr.RNNCell(1, 1, seed=0), [0.9, -0.4, 0.7])[-1]
    >>> step(((h - 1) ** 2).named("L"), path="h0")
    Stepper('RNN cell, 3 steps', 8 steps forward, 8 back)
    """
    check_options(title, theme, limit, engine, timeout)
    view, caption = view_of(loss, level, unit)
    root = view.id_of(view.root)
    chosen = None if routes else chosen_path(view, path if path is not None else source)
    if chosen is None and not routes:
        chosen = _to_earliest_state(view, root)
    drawing = picture(view, caption, path=chosen, steps=steps, fold=fold, title=title, theme=theme)
    drawing.limit, drawing.engine, drawing.timeout = limit, engine, timeout
    symbolic = view.steps[-1] if len(view.steps) == 1 else None
    names = labels.Names(symbolic, signed=chosen is None or chosen.signed)
    stage = Stage(view, Words(view, names, root), drawing.parts)
    back = stepper_steps.along(stage, chosen) if chosen else stepper_steps.everywhere(stage, root)
    walk = (*stepper_steps.forward(stage), *back)
    return Stepper(drawing, walk, _blanks(drawing, view))


def _to_earliest_state(view: Graph, root: str) -> Path:
    """The strongest path to a state of the earliest step, else to the oldest input."""
    reached = _reached(view, root)
    states = [node for node in reached if node.role == "state" and node.step is not None]
    first = min((node.step for node in states if node.step is not None), default=None)
    ends = [node for node in states if node.step == first] or reached[:1]
    paths = [strongest_path(view, source_id(view, node.id), root) for node in ends]
    return max(paths, key=lambda path: abs(path.product))


def _reached(view: Graph, root: str) -> list[Any]:
    """What the root depends on, oldest first; the root alone if it depends on nothing."""
    found = {root}
    for node in reversed(view.nodes):
        if node.id in found:
            found.update(edge.source for edge in view.into(node.id))
    behind = [node for node in view.nodes if node.id in found and node.id != root]
    return behind or [view.find(root)]


def _blanks(drawing: Drawing, view: Graph) -> dict[str, tuple[str, ...]]:
    """What stands in each computed node before its value is known: ? in place of the number."""
    computed = {node.id for node in view.nodes if node.op is not None}
    return {
        f"{drawing.prefix}-n{i}": tuple(
            _VALUE.sub(r"\1?", printable(line, NODE_LIMIT)) for line in node.lines
        )
        for i, node in enumerate(drawing.scene.nodes)
        if node.id in computed
    }
