"""What ended an answer before there was a value to judge, in a sentence each."""

from __future__ import annotations

import ast
from pathlib import Path

from microrecur.course.exercise import Exercise
from microrecur.course.process import MEMORY, Run

LONGEST = 300  # of what the learner's own code says


def ended(exercise: Exercise, run: Run, source: str) -> str:
    """What ended a run before there was an answer."""
    at = f"line {run.line}" if run.line else "your code"
    why, text = clean(run.why), _line_of(source, run.line)
    quoted = f", `{text}`," if text else ""
    if run.kind == "error":
        told = f"{clean(run.error)}: {why}" if why else clean(run.error)
        return f"{at}{quoted} raised {told}"
    sentences = {
        "missing": f"the answer defines no function {exercise.function}{_defines(source)}",
        "syntax": f"{at}{quoted} is not Python: {why}",
        "exit": f"{at} leaves Python (exit, quit or SystemExit); a function answers by `return`",
        "refused": f"{at}{quoted} {why}",
        "patched": f"your code replaced {why}; leave it as it is, and write your own beside it",
        "memory": f"{at}{quoted} asked for more than {MEMORY // 2**30} GB of memory",
        "timeout": f"{at}{quoted} was still computing after {why} s; does the loop end?",
        "slow": (
            f"{at}{quoted} was still running after {why} s; does it wait for something, or never "
            "end?"
            if run.line
            else f"no answer after {why} s; does it wait for something, or never end?"
        ),
        "unjudged": _unjudged(exercise, run),
        "printed": "your code prints more than 1 MB; take the print out of the loop",
        "died": f"your code ended its process before it answered: {why}",
        "garbled": "what came back cannot be read as numbers, text, lists or arrays",
    }
    return sentences.get(run.kind, f"no answer came back ({clean(run.kind)})")


def _unjudged(exercise: Exercise, run: Run) -> str:
    """What the check file says of an answer it cannot go on with."""
    why, named = clean(run.why), exercise.function
    if why.startswith(f"{named} "):
        return why
    told = f"{clean(run.error)}: {why}" if why else clean(run.error)
    return f"what {named} returned is not what the check can read ({told})"


def _defines(source: str) -> str:
    """The functions that a source does define: a name is soon mistyped."""
    try:
        found = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return f"; it defines {clean(', '.join(found))}" if found else ""


def _line_of(source: str, line: int | None) -> str:
    lines = source.splitlines()
    text = lines[line - 1].strip() if line and line <= len(lines) else ""
    return clean(text)[:80]


def clean(text: str) -> str:
    """The learner's own words on one line, without what moves a terminal's cursor."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * LONGEST])
    return " ".join(plain.split())[:LONGEST]


def short_path(file: Path) -> str:
    """The last parts of a path: answers and what is in them."""
    return "/".join(file.parts[-3:])
