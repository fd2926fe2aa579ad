"""Sketches for lessons 04 to 07: windows of a series, a loop unrolled, a ceiling beside truth."""

from __future__ import annotations

import base64
import math
from html import escape
from typing import TYPE_CHECKING

from microrecur.graphs import notation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from microrecur.drawing.drawing import Drawing
    from microrecur.flows.flow import Flow

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#B8B8B8"

# -- 04: windows -----------------------------------------------------------------------------------


def sliding_window(points: int, w: int, ax: Axes | None = None) -> Axes:
    """Draw every window of w points, one per row, each with the point that follows it.

    Parameters
    ----------
    points : int
        The length of the series; its points are numbered 1, 2, ….
    w : int
        Points in a window.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
        The last row is grey: nothing follows that window.
    """
    rows = points - w + 1
    if ax is None:
        from matplotlib import pyplot

        size = (0.55 * (points + 4), 0.5 * (rows + 1))
        ax = pyplot.subplots(figsize=size, layout="constrained")[1]
    for row in range(rows):
        paired = row + w < points
        for k in range(row, row + w):
            _box(ax, k, row, str(k + 1), BLUE if paired else GREY, "x" if k == row else "")
        if paired:
            _box(ax, row + w, row, str(row + w + 1), ORANGE, "y")
        else:
            ax.text(points + 0.25, row + 0.5, "no y: nothing comes after it", va="center")
    ax.set(xlim=(-0.2, points + 4.4), ylim=(rows + 0.2, -0.4))
    ax.set_axis_off()
    return ax


def _box(ax: Axes, x: float, y: float, text: str, colour: str, mark: str) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x + 0.04, y + 0.1), 0.92, 0.8, facecolor=colour, edgecolor="none"))
    dark = "black" if colour == GREY else "white"
    ax.text(x + 0.5, y + 0.5, text, color=dark, ha="center", va="center", fontsize=9)
    if mark == "y":
        ax.text(x + 0.86, y + 0.3, mark, color="white", ha="center", va="center", fontsize=7)


# -- 05: one loop, or a chain ----------------------------------------------------------------------

_LOOP = """
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 420 190" width="420" role="img">
<title>An RNN as a loop: the cell reads x and its own last state</title>
<defs><marker id="a" markerWidth="9" markerHeight="9" refX="7" refY="4" orient="auto">
<path d="M0,0 L8,4 L0,8 z" fill="context-stroke"/></marker></defs>
<g font-family="DejaVu Sans, sans-serif" font-size="15" text-anchor="middle">
<g fill="none" stroke-width="2" marker-end="url(#a)">
<path d="M95,130 L163,130" stroke="#777777"/><path d="M257,130 L325,130" stroke="#8A7A00"/>
<path d="M240,106 C300,15 120,15 178,104" stroke="#D55E00"/></g>
<rect x="45" y="112" width="50" height="36" rx="8" fill="#F2F2F2" stroke="#777777"/>
<rect x="165" y="106" width="92" height="48" rx="10" fill="#C9EBDD" stroke="#009E73"
 stroke-width="2"/>
<rect x="327" y="112" width="50" height="36" rx="8" fill="#FFF6C9" stroke="#8A7A00"/>
<text x="70" y="135">x</text><text x="211" y="135">tanh</text><text x="352" y="135">h</text>
<text x="129" y="121" fill="#A84A00" font-size="13">Wx</text>
<text x="209" y="28" fill="#A84A00" font-size="13">Wh, one step later</text>
</g></svg>
"""

_PAGE = """<!doctype html><meta charset="utf-8"><style>
body{margin:0;font:15px "DejaVu Sans",sans-serif;background:#fff;color:#222}
label{display:inline-block;margin:8px 0 8px 8px;padding:4px 12px;border:1px solid #0072B2;
border-radius:6px;cursor:pointer}
input{position:absolute;opacity:0} input:checked+label{background:#0072B2;color:#fff}
input:focus-visible+label{outline:3px solid #E69F00}
figure{margin:4px 8px;display:none} img,svg{max-width:100%;max-height:205px}
#loop:checked~.loop,#chain:checked~.chain{display:block}
</style><input type="radio" name="view" id="loop" checked><label for="loop">as a loop</label>
<input type="radio" name="view" id="chain"><label for="chain">step by step</label>
"""


class Toggle:
    """A loop and its chain of steps, of which the reader sees one at a time.

    Parameters
    ----------
    chain : Drawing
        The recorded steps.
    """

    def __init__(self, chain: Drawing) -> None:
        self.chain = chain

    def __repr__(self) -> str:
        return f"the loop x → tanh → h, h read again one step later; unrolled:\n{self.chain}"

    def page(self) -> str:
        """The two pictures and two buttons, without a script."""
        data = base64.b64encode(self.chain.svg().encode()).decode()
        alt = escape(str(self.chain).splitlines()[0], quote=True)
        image = f'<img alt="{alt}" src="data:image/svg+xml;base64,{data}">'
        return f'{_PAGE}<figure class="loop">{_LOOP}</figure><figure class="chain">{image}</figure>'

    def _repr_html_(self) -> str:
        page = escape(self.page(), quote=True)
        style = "width:100%;height:270px;border:1px solid #ddd"
        return f'<iframe sandbox="" srcdoc="{page}" style="{style}"></iframe>'


def loop_or_chain(chain: Drawing) -> Toggle:
    """Show an RNN as a loop and, at a click, as the chain of steps it stands for."""
    return Toggle(chain)


# -- 07: a ceiling beside what is ------------------------------------------------------------------


def ceiling_bars(flow: Flow, ax: Axes | None = None) -> Axes:
    """Draw, factor by factor back from the loss, the running product and its ceiling as bars.

    Parameters
    ----------
    flow : Flow
        Of a chain of single numbers, with one path.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
        A logarithmic axis; a bar hangs from 1 downwards, or stands on it. A weight has no ceiling
        and counts with its own size.
    """
    from matplotlib.ticker import MaxNLocator

    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=(9.5, 3.4), layout="constrained")[1]
    ceiling, heights, labels = 0.0, [], []
    for entry in flow.ledger():
        ceiling += math.log10(abs(entry.value) if entry.bound is None else entry.bound)
        heights.append((ceiling, math.log10(abs(entry.running))))
        labels.append("w" if entry.kind == "weight" else f"≤ {notation.bound(entry.bound or 1)}")
    places = range(len(heights))
    ax.bar([k - 0.2 for k in places], [c for c, _ in heights], 0.4, color=ORANGE, label="ceiling")
    actual = [a for _, a in heights]
    ax.bar([k + 0.2 for k in places], actual, 0.4, color=BLUE, hatch="//", edgecolor="white")
    ax.bar([0], [0], color=BLUE, hatch="//", edgecolor="white", label="in this run")
    ax.axhline(0, color="#444444", linewidth=0.8)
    ax.set_xticks(list(places), labels, rotation=0 if len(labels) < 14 else 90, fontsize=8)
    ax.set_ylabel("running product")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(lambda value, _: notation.power_of_ten(round(value)))
    ax.set_xlabel("factors passed, from the last state back to the first")
    ax.legend(frameon=False, loc="lower left")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax
