"""What the grids of LSTM and GRU share: gates in panels, rows by gate, the lane of the input."""

from __future__ import annotations

from dataclasses import dataclass

from microrecur.drawing.blueprint import GatePanel, Route, rail
from microrecur.drawing.scene import Point

LANE = -30.0  # from the middle of x to its line up: left of all gates, whose legs carry labels


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows by gate of one density: legs of x, below them the bus of h and room for labels."""

    input_bus: float
    hidden: float
    input: float
    labels: str  # beside the lines of the gates: "wanted" or "optional"
    input_labels: str  # beside the lines from x: where legs are short there is no room

    def from_input(self, offset: float) -> Route:
        """From x up its lane, along its bus, into a gate."""
        return rail(self.input_bus, offset, self.input_labels, lane=LANE)


def gate_panel(
    parts: tuple[str, ...], title: str, single: bool, low: Point, high: Point, caption: float
) -> GatePanel:
    """The panel of a gate; among several steps its title leaves out the word gate."""
    title = title if single else title.removesuffix(" gate")
    return GatePanel(parts, low, high, title, ((low[0] + high[0]) / 2, caption))
