"""The one palette: what each kind of factor looks like, in the light and in the dark theme.

Colour stands for the kind of factor and is never the only sign of it: each kind has a shape, a
printed symbol and a bound besides. Lines are Okabe and Ito's colours (2008), which survive colour
blindness; small text is darker (in the dark theme: lighter) so that it reads at 11 points (WCAG 2.1
AA, a contrast of 4.5 : 1).
"""

from __future__ import annotations

from dataclasses import dataclass

FONT = "DejaVu Sans"  # one name: a list of families would be measured as Times
NODE_TEXT = 12.0
OPERATOR_TEXT = 16.0  # the sign in a circle: ⊙, +
SMALL_TEXT = 11.0


@dataclass(frozen=True, slots=True)
class Look:
    """How one kind is drawn: colours of a shape, its text, its lines, the small text beside."""

    fill: str
    line: str  # outline of a node
    text: str  # text inside a node
    edge: str  # an arrow of this kind
    small: str  # text beside an arrow
    shape: str = "box"
    rounded: bool = True
    dashed: bool = False
    pen: float = 1.6  # outline width in points
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Theme:
    """A palette: a look per kind, and the colours that belong to no kind."""

    name: str
    background: str
    panel_fill: str
    panel_line: str
    looks: dict[str, Look]

    def look(self, kind: str) -> Look:
        """The look of a kind.

        Raises
        ------
        KeyError
            If the kind has none; the message lists those that have.

        Examples
        --------
        >>> theme("light").look("gate slope").line
        '#0072B2'
        >>> theme("light").look("gate value") == theme("light").look("product")
        True
        """
        try:
            return self.looks[ALIASES.get(kind, kind)]
        except KeyError:
            known = ", ".join(sorted(self.looks))
            raise KeyError(f"no look for kind {kind!r}; the palette has: {known}") from None


# The kinds of factors that share the look of another kind.
ALIASES = {
    "gate value": "product",
    "memory value": "product",
    "pass": "plus",
    "reduction": "plain",
    "other": "plain",
    "pre-activation": "weight",
}

LEGEND = {
    "gate slope": "σ : factor ≤ ¼",
    "squash slope": "tanh : factor ≤ 1",
    "product": "⊙ : factor = other input",
    "weight": "W·, U· : no bound",
    "plus": "+ : factor 1",
    "missing": "missing: in the first alone",
    "extra": "extra: in the second alone",
}

# What an automatic layout calls the colours of its legend, which has text alone.
COLOURS = {
    "gate slope": "blue",
    "squash slope": "green",
    "product": "purple",
    "weight": "orange",
    "plus": "grey",
    "missing": "red",
    "extra": "amber",
}

# What does not depend on the theme: shape, rounding, dashes.
_FORMS: dict[str, dict[str, object]] = {
    "gate slope": {"shape": "ellipse"},
    "squash slope": {"shape": "ellipse"},
    "product": {"shape": "circle"},
    "plus": {"shape": "circle"},
    "loss": {"rounded": False},
    "folded": {"shape": "folded", "dashed": True},
    "ghost": {"dashed": True, "pen": 1.0},
    "missing": {"dashed": True, "pen": 2.2},
    "extra": {"pen": 2.2},
    "bar": {"rounded": False, "pen": 0.0},
    "bar pale": {"rounded": False, "pen": 0.0},
}

# fmt: off
_LIGHT = {
    #                 fill       line       text       edge       small text
    "gate slope":   ("#CFE8F8", "#0072B2", "#111111", "#0072B2", "#005F94"),
    "squash slope": ("#C9EBDD", "#009E73", "#111111", "#009E73", "#00694D"),
    "weight":       ("#FBDCC8", "#D55E00", "#111111", "#D55E00", "#A84A00"),
    "product":      ("#F6DDEA", "#B0568A", "#111111", "#B0568A", "#93406F"),
    "plus":         ("#FFFFFF", "#555555", "#111111", "#555555", "#444444"),
    "state":        ("#FFF6C9", "#8A7A00", "#111111", "#8A7A00", "#5E5300"),
    "input":        ("#F2F2F2", "#777777", "#111111", "#999999", "#555555"),
    "loss":         ("#222222", "#222222", "#FFFFFF", "#222222", "#222222"),
    "plain":        ("#FFFFFF", "#555555", "#111111", "#555555", "#222222"),
    "muted":        ("#FFFFFF", "#AAAAAA", "#666666", "#AAAAAA", "#666666"),
    "constant":     ("#F7F7F7", "#999999", "#444444", "#999999", "#666666"),
    "folded":       ("#FFFFFF", "#777777", "#111111", "#555555", "#444444"),
    "path":         ("#FFFFFF", "#111111", "#111111", "#111111", "#111111"),
    "bar":          ("#E69F00", "#E69F00", "#111111", "#E69F00", "#111111"),
    "bar pale":     ("#F3D296", "#F3D296", "#111111", "#F3D296", "#111111"),
    "warning":      ("#FFE3E3", "#C00000", "#111111", "#C00000", "#A00000"),
    "missing":      ("#FFE3E3", "#C00000", "#111111", "#C00000", "#A00000"),
    "extra":        ("#FFF0D0", "#D98E00", "#111111", "#D98E00", "#7A5000"),
    "ghost":        ("#FFFFFF", "#CFCFCF", "#6E6E6E", "#D8D8D8", "#6E6E6E"),
}
_DARK = {
    #                 fill       line       text       edge       small text
    "gate slope":   ("#0D3B5A", "#56B4E9", "#F4F6FA", "#56B4E9", "#7CC6F0"),
    "squash slope": ("#0C4636", "#4CC9A0", "#F4F6FA", "#4CC9A0", "#6FD8B5"),
    "weight":       ("#5A2A0C", "#FF8A3D", "#F4F6FA", "#FF8A3D", "#FFA468"),
    "product":      ("#4A2240", "#E39BC6", "#F4F6FA", "#E39BC6", "#EBB2D3"),
    "plus":         ("#2A2E36", "#C8CCD4", "#F4F6FA", "#C8CCD4", "#D5D9E0"),
    "state":        ("#4A4310", "#F0E442", "#F4F6FA", "#F0E442", "#F3EA72"),
    "input":        ("#2A2E36", "#9AA0AA", "#F4F6FA", "#9AA0AA", "#B4B9C2"),
    "loss":         ("#F4F6FA", "#F4F6FA", "#111111", "#F4F6FA", "#F4F6FA"),
    "plain":        ("#2A2E36", "#C8CCD4", "#F4F6FA", "#C8CCD4", "#E4E7EC"),
    "muted":        ("#1B1E24", "#6B717C", "#A7ADB8", "#6B717C", "#A7ADB8"),
    "constant":     ("#23262D", "#8A909B", "#D5D9E0", "#8A909B", "#B4B9C2"),
    "folded":       ("#1B1E24", "#9AA0AA", "#F4F6FA", "#C8CCD4", "#D5D9E0"),
    "path":         ("#1B1E24", "#FFFFFF", "#FFFFFF", "#FFFFFF", "#FFFFFF"),
    "bar":          ("#E69F00", "#E69F00", "#F4F6FA", "#E69F00", "#F4F6FA"),
    "bar pale":     ("#7A5A14", "#7A5A14", "#F4F6FA", "#7A5A14", "#F4F6FA"),
    "warning":      ("#561616", "#FF7A7A", "#F4F6FA", "#FF7A7A", "#FF9C9C"),
    "missing":      ("#561616", "#FF7A7A", "#F4F6FA", "#FF7A7A", "#FF9C9C"),
    "extra":        ("#4D3705", "#FFB938", "#F4F6FA", "#FFB938", "#FFCB6B"),
    "ghost":        ("#16181D", "#3A3F49", "#9AA0AA", "#3A3F49", "#9AA0AA"),
}
# fmt: on


def _looks(colours: dict[str, tuple[str, str, str, str, str]]) -> dict[str, Look]:
    return {
        kind: Look(*five, **_FORMS.get(kind, {}), legend=LEGEND.get(kind, ""))  # type: ignore[arg-type]
        for kind, five in colours.items()
    }


_THEMES = {
    "light": Theme("light", "#FFFFFF", "#F7F7F7", "#C4C4C4", _looks(_LIGHT)),
    "dark": Theme("dark", "#16181D", "#1E2128", "#4A4F59", _looks(_DARK)),
}


def theme(name: str) -> Theme:
    """The palette of that name, "light" or "dark".

    Raises
    ------
    ValueError
        For any other name.

    Examples
    --------
    >>> theme("dark").background
    '#16181D'
    """
    if not isinstance(name, str) or name not in _THEMES:
        raise ValueError(f"no theme {name!r}; there are: {', '.join(_THEMES)}")
    return _THEMES[name]
