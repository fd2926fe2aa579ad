"""`%%exercise e09.lstm_backward`: the cell becomes the answer, and is checked and told of there."""

from __future__ import annotations

import ast
import html
import json
import subprocess
import sys
from typing import Any

from microrecur.course.commands import told
from microrecur.course.diagnose import FAILED, Verdict
from microrecur.course.sources import is_stub
from microrecur.course.workspace import NoWorkspace, Workspace

_COLOUR = {"passed": "#15803D", "failed": "#B91C1C"}
_PATIENCE = 30.0  # s; the check itself is over within ten


class Result:
    """A verdict as a notebook shows it: a sentence, a hint, the picture of what is missing.

    Parameters
    ----------
    verdict : Verdict
    svg : str
        The picture; empty where there is none.
    """

    def __init__(self, verdict: Verdict, svg: str = "") -> None:
        self.verdict, self.svg = verdict, svg

    def __repr__(self) -> str:
        return told(self.verdict, alone=True)

    def _repr_html_(self) -> str:
        verdict = self.verdict
        colour = _COLOUR.get(verdict.status, "#6B7280")
        said = verdict.sentence if verdict.status == FAILED else verdict.status
        parts = [f"<b>{html.escape(verdict.name)}</b>: {html.escape(said)}"]
        if verdict.hint:
            parts.append(f"<i>{html.escape(verdict.hint)}</i>")
        if verdict.printed.strip():
            parts.append(f"<pre>{html.escape(verdict.printed.strip()[-2000:])}</pre>")
        body = "<br>".join(parts)
        style = f"border-left: 4px solid {colour}; padding: 0.3em 0.8em"
        return f'<div class="microrecur-{verdict.stage or "said"}" style="{style}">{body}</div>'


def exercise(line: str, cell: str) -> Any:
    """Save a cell as the answer, check it in a process of its own, show what is to be said."""
    name = line.strip()
    if not name:
        print("%%exercise is followed by a name: %%exercise e06.rnn_backward")
        return
    try:
        workspace = Workspace.find()
        if not untouched(name, cell):  # "run all" puts no stub over an answer in the file
            workspace.save(name, cell)
        elif not workspace.answer_file(name).exists():
            workspace.reset(name)
    except (NoWorkspace, ValueError) as error:
        print(f"%%exercise: {error}")
        return
    result = checked(workspace, name)
    if isinstance(result, str):
        print(f"%%exercise {name}: {result}")
        return
    from IPython.display import SVG, display

    display(result)
    if result.svg:
        display(SVG(result.svg))


def untouched(name: str, cell: str) -> bool:
    """Whether a cell defines the function as the stub does: it raises NotImplementedError."""
    try:
        body = ast.parse(cell).body
    except (SyntaxError, ValueError):
        return False
    wanted = name.partition(".")[2]
    return any(isinstance(n, ast.FunctionDef) and n.name == wanted and is_stub(n) for n in body)


def checked(workspace: Workspace, name: str) -> Result | str:
    """The verdict on an answer, from a fresh process: what the notebook replaced is not there."""
    command = [sys.executable, "-m", "microrecur", "check", name, "--json"]
    try:
        run = subprocess.run(
            command, cwd=workspace.root, capture_output=True, timeout=_PATIENCE, text=True,
            encoding="utf-8", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        verdict = Verdict.of(json.loads(run.stdout.strip().splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return f"no verdict after {_PATIENCE:g} s"
    except (ValueError, IndexError):
        lines = run.stderr.strip().splitlines()
        return lines[-1].removeprefix("microrecur check: ") if lines else "no verdict came back"
    return Result(verdict, _svg(name, verdict))


def _svg(name: str, verdict: Verdict) -> str:
    """The picture of what is missing, where the verdict names edges."""
    if not verdict.missing and not verdict.extra:
        return ""
    from microrecur.course.exercise import find
    from microrecur.course.picture import failure

    try:
        return str(failure(find(name), verdict.missing, verdict.extra).svg())
    except Exception as error:  # the sentence and the hint are worth more than the picture
        return _apology(error)


def _apology(error: Exception) -> str:
    print(f"(the picture could not be drawn: {error})")
    return ""


def load(shell: Any) -> None:
    """Register `%%exercise` with an IPython shell."""
    shell.register_magic_function(exercise, magic_kind="cell", magic_name="exercise")
