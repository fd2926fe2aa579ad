"""`%%exercise e09.lstm_backward`: the cell becomes the answer, and is checked and told of there."""

from __future__ import annotations

import ast
import html
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from microrecur.course import sources
from microrecur.course.commands import told
from microrecur.course.diagnose import FAILED, UNTOUCHED, Verdict
from microrecur.course.progress import Progress
from microrecur.course.workspace import NoWorkspace, Workspace

if TYPE_CHECKING:
    from microrecur.drawing.drawing import Drawing

_LOOKS = {"passed": ("✓", "#15803D"), "failed": ("✗", "#B91C1C")}
_UNTOUCHED = ("·", "#6B7280")
_TODO = "Write the function in place of its last line, and run the cell again."
_PRINTED = 2000  # characters of what the answer printed
_PATIENCE = 30.0  # s; the check itself is over within ten


class Result:
    """A verdict as a notebook shows it: a sentence, the hint below it, what the answer printed.

    It has the colours of the page, light or dark, but for a bar and a mark on a ground of its own.

    Parameters
    ----------
    verdict : Verdict
    picture : Drawing, optional
        What the answer's graph lacks; it is shown below.
    note : str
        What else is to be known, such as that it is not the cell that was checked.
    """

    def __init__(self, verdict: Verdict, picture: Drawing | None = None, note: str = "") -> None:
        self.verdict, self.picture, self.note = verdict, picture, note

    def __repr__(self) -> str:
        return told(self.verdict, alone=True) + (f"\n    {self.note}" if self.note else "")

    def _repr_html_(self) -> str:
        verdict = self.verdict
        mark, colour = _LOOKS.get(verdict.status, _UNTOUCHED)
        badge = f"background: {colour}; color: #fff; border-radius: 3px; padding: 0 0.45em"
        said = verdict.sentence if verdict.status == FAILED else verdict.status
        lines = [
            f'<div><span style="{badge}">{mark}</span> <b>{html.escape(verdict.name)}</b>'
            f"&ensp;{html.escape(said)}</div>"
        ]
        if hint := verdict.hint or (_TODO if verdict.status == UNTOUCHED else ""):
            lines.append(f'<div style="margin-top: 0.3em"><i>{html.escape(hint)}</i></div>')
        if self.note:
            lines.append(f'<div style="margin-top: 0.3em">{html.escape(self.note)}</div>')
        if printed := verdict.printed.strip():
            box = "margin: 0.2em 0 0; max-height: 16em; overflow: auto"
            lines.append(
                '<div style="margin-top: 0.3em">it printed:</div>'
                f'<pre style="{box}">{html.escape(printed[-_PRINTED:])}</pre>'
            )
        style = (
            f"border-left: 4px solid {colour}; padding: 0.3em 0.8em; overflow-wrap: anywhere; "
            "max-width: 60em"
        )
        kind = verdict.stage or "said"
        return f'<div class="microrecur-{kind}" style="{style}">{"".join(lines)}</div>'


def exercise(line: str, cell: str) -> Any:
    """Save a cell as the answer, check it in a process of its own, show what is to be said."""
    name = line.strip()
    if not name:
        print("%%exercise is followed by a name: %%exercise e06.rnn_backward")
        return
    note = ""
    try:
        workspace = Workspace.find()
        file = workspace.answer_file(name)
        if not untouched(name, cell):  # "run all" puts no stub over an answer in the file
            workspace.save(name, cell)
        elif not file.exists():
            workspace.reset(name)
        elif not untouched(name, file.read_text(encoding="utf-8", errors="replace")):
            note = f"This is {file.relative_to(workspace.root)}; the cell is still the stub."
    except (NoWorkspace, ValueError) as error:
        print(f"%%exercise: {error}")
        return
    result = checked(workspace, name)
    if isinstance(result, str):
        print(f"%%exercise {name}: {result}")
        return
    from IPython.display import display

    result.note = note
    display(result)
    if result.picture is not None:
        display(result.picture)


def untouched(name: str, cell: str) -> bool:
    """Whether a cell defines the function as the stub does: it raises NotImplementedError."""
    try:
        body = ast.parse(cell).body
    except (SyntaxError, ValueError):
        return False
    wanted = name.partition(".")[2]
    return any(
        isinstance(n, ast.FunctionDef) and n.name == wanted and sources.is_stub(n) for n in body
    )


def checked(workspace: Workspace, name: str) -> Result | str:
    """The verdict on an answer, from a fresh process: what the notebook replaced is not there."""
    if name in sources.names() and workspace.untouched(name) and not Progress(workspace).of(name):
        return Result(Verdict(name, UNTOUCHED, "still raises NotImplementedError"))
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
    return Result(verdict, _picture(name, verdict))


def _picture(name: str, verdict: Verdict) -> Drawing | None:
    """The picture of what is missing, where the verdict names edges."""
    if not verdict.missing and not verdict.extra:
        return None
    from microrecur.course.exercise import find
    from microrecur.course.picture import failure

    try:
        return failure(find(name), verdict.missing, verdict.extra)
    except Exception as error:  # the sentence and the hint are worth more than the picture
        print(f"(the picture could not be drawn: {error})")
        return None


def load(shell: Any) -> None:
    """Register `%%exercise` with an IPython shell."""
    shell.register_magic_function(exercise, magic_kind="cell", magic_name="exercise")
