"""HTML pages that ask for nothing but themselves: what runs in them is named by its hash."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection
from html import escape
from importlib.resources import files
from typing import Any

# What could end a <script> or a line of one; in JSON all of it may be written as an escape.
_ESCAPES = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})

_BARE = """\
html{background:%(background)s} body{margin:0 auto;padding:8px;max-width:%(width)dpx}
svg{display:block;width:100%%;height:auto}"""


def page(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole HTML document whose content security policy allows its own style and script alone.

    Parameters
    ----------
    title : str
        Any text.
    body : str
        HTML, safe already.
    style, script : str
        CSS, and an ECMAScript module that runs once the body is there.

    Examples
    --------
    >>> "script-src" in page("t", "<p>b</p>")
    False
    """
    policy = "; ".join(
        [
            "default-src 'none'",
            *([f"style-src '{_hash(style)}'"] if style else []),
            *([f"script-src '{_hash(script)}'"] if script else []),
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title>",
        f"<style>{style}</style>" if style else "",
        f"</head>\n<body>\n{body}",
        f'<script type="module">{script}</script>' if script else "",
        "</body>\n</html>\n",
    ]
    return "\n".join(filter(None, parts))


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def json_block(data: Any, name: str) -> str:
    r"""Data as a JSON script element; no text in it can end the element.

    Examples
    --------
    >>> json_block(["</script>"], "steps")
    '<script type="application/json" id="steps">["\\u003c/script\\u003e"]</script>'
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f'<script type="application/json" id="{name}">{text.translate(_ESCAPES)}</script>'


def wanted(
    bundle: dict[str, str], include: Collection[str] | None, exclude: Collection[str] | None
) -> dict[str, str]:
    """What a notebook asked for of all it can be given."""
    return {
        kind: content
        for kind, content in bundle.items()
        if (not include or kind in include) and kind not in (exclude or ())
    }


def asset(name: str) -> str:
    """A file of this room, as text."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def picture_page(svg: str, title: str, width: float, background: str) -> str:
    """A page that shows one cleaned SVG, `width` pixels wide at most."""
    return page(title, svg, style=_BARE % {"background": background, "width": width + 16})
