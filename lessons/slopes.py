"""`slope_slider`: drag x along σ and tanh, and see their slopes against their ceilings."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

import microrecur as mr
from microrecur.drawing import page
from microrecur.drawing.style import theme

_HEIGHT = 306  # pixels: the slider, the panels, a line of text
_TITLE = "σ and tanh with their slopes at x"


class SlopeSlider:
    """Two curves and a slider; every number in it is the engine's, the browser only looks them up.

    Parameters
    ----------
    reach : float
        x runs from −reach to reach.
    points : int
        How many places the slider has.

    Examples
    --------
    >>> slider = SlopeSlider()
    >>> print(slider)
    x = −6.00   σ′ = 0.0025   tanh′ = 0.0000
    x = −3.00   σ′ = 0.0452   tanh′ = 0.0099
    x =  0.00   σ′ = 0.2500   tanh′ = 1.0000
    x =  3.00   σ′ = 0.0452   tanh′ = 0.0099
    x =  6.00   σ′ = 0.0025   tanh′ = 0.0000
    """

    def __init__(self, reach: float = 6.0, points: int = 241) -> None:
        self.x = np.linspace(-reach, reach, points)
        self.curves = [
            _curve("σ", mr.sigmoid, self.x, (0.0, 1.0), 0.25, "¼", "gate slope"),
            _curve("tanh", mr.tanh, self.x, (-1.0, 1.0), 1.0, "1", "squash slope"),
        ]

    @property
    def data(self) -> dict[str, Any]:
        """All of it as plain data, as `slopes.js` reads it."""
        return {"x": self.x.tolist(), "curves": self.curves}

    def html(self) -> str:
        """A page of its own, which asks for nothing but itself."""
        body = (
            '<div id="slopes"></div>\n<noscript><p>Dragging needs JavaScript.</p>'
            f"<pre>{escape(str(self))}</pre></noscript>\n{page.json_block(self.data, 'data')}"
        )
        style, script = (
            (files(__package__) / f"slopes.{end}").read_text() for end in ("css", "js")
        )
        return page.page(_TITLE, body, style=style, script=script)

    def __str__(self) -> str:
        sigma, tanh = (curve["slopes"] for curve in self.curves)
        rows = range(0, len(self.x), (len(self.x) - 1) // 4)
        lines = [f"x ={self.x[k]:6.2f}   σ′ = {sigma[k]:.4f}   tanh′ = {tanh[k]:.4f}" for k in rows]
        return "\n".join(lines).replace("-", "−")

    def _repr_html_(self) -> str:
        """A sandboxed frame; its words show where a notebook that is not trusted drops it."""
        return (
            f'<iframe sandbox="allow-scripts" title="{_TITLE}" style="width:100%;max-width:960px;'
            f'height:{_HEIGHT}px;border:0" srcdoc="{escape(self.html())}">'
            "Trust this notebook to drag x.</iframe>"
        )

    def __repr__(self) -> str:
        return str(self)


def _curve(
    name: str,
    op: Any,
    x: np.ndarray,
    span: tuple[float, float],
    ceiling: float,
    said: str,
    kind: str,
) -> dict[str, Any]:
    """A squash at every x: its values, its slopes, what they lie between, its colour."""
    at = mr.tensor(x, requires_grad=True)
    y = op(at)
    (slopes,) = mr.vjp(y, [at], np.ones(x.shape))
    return {
        "name": name,
        "values": y.numpy().tolist(),
        "slopes": slopes.tolist(),
        "span": span,
        "ceiling": ceiling,
        "said": said,
        "colour": theme("light").look(kind).line,
    }


def slope_slider() -> SlopeSlider:
    """The slider of lesson 01."""
    return SlopeSlider()
