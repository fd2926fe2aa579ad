"""Stubs and solutions as text: one function with the imports and definitions it stands on."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from microrecur.course.exercise import NAME, UnknownExercise, folder


@cache
def names() -> tuple[str, ...]:
    """Every exercise that has a stub, "e06.rnn_backward", in order; no check file is loaded."""
    found = []
    for path in sorted((folder() / "exercises").glob("e??_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and is_stub(node):
                found.append(f"{path.stem[:3]}.{node.name}")
    return tuple(found)


@cache
def stub(name: str) -> str:
    """What the learner starts from: signature, shapes, mathematics, `raise NotImplementedError`."""
    return _function(name, "exercises")


def solution(name: str) -> str:
    """The course's own answer as text."""
    return _function(name, "solutions")


def is_stub(function: ast.FunctionDef) -> bool:
    """Whether a function does nothing but raise NotImplementedError."""
    last = function.body[-1]
    return (
        isinstance(last, ast.Raise)
        and isinstance(last.exc, ast.Call)
        and ast.unparse(last.exc.func) == "NotImplementedError"
        and len(function.body) <= 2
    )


def _function(name: str, where: str) -> str:
    if not NAME.fullmatch(name):
        raise UnknownExercise(f"an exercise is named like e06.rnn_backward, not {name!r}")
    lesson, _, wanted = name.partition(".")
    path = next(iter(sorted((folder() / where).glob(f"{lesson}_*.py"))), None)
    if path is None:
        raise UnknownExercise(f"no lesson {lesson!r} among the {where}")
    return _extract(path, wanted)


def _extract(path: Path, wanted: str) -> str:
    """One function of a file, after the imports and the other definitions it needs."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    defined = {name: node for node in tree.body for name in _binds(node)}
    if wanted not in defined:
        raise UnknownExercise(f"{path.name} defines no {wanted!r}")
    needed, waiting = {wanted}, [wanted]
    while waiting:
        for name in _reads(defined[waiting.pop()]) - needed:
            node = defined.get(name)
            if node is None or (isinstance(node, ast.FunctionDef) and is_stub(node)):
                continue
            needed.add(name)
            waiting.append(name)
    kept = [n for n in tree.body if _always(n) or needed.intersection(_binds(n))]
    pieces = [_text(text, node) for node in kept]
    return _joined(kept, pieces)


def _always(node: ast.stmt) -> bool:
    """Future imports and numpy: every answer may want them."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    return isinstance(node, ast.Import) and node.names[0].name == "numpy"


def _binds(node: ast.stmt) -> set[str]:
    """The names that a statement at the top of a file gives a meaning to."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    names = (n for target in targets if target for n in ast.walk(target))
    return {n.id for n in names if isinstance(n, ast.Name)}


def _reads(node: ast.stmt) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _text(text: str, node: ast.stmt) -> str:
    lines = text.splitlines()
    decorated = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorated)])
    return "\n".join(lines[first - 1 : node.end_lineno])


def _joined(kept: list[ast.stmt], pieces: list[str]) -> str:
    """Imports together, definitions two lines apart."""
    out = ""
    for k, piece in enumerate(pieces):
        plain = all(
            isinstance(n, (ast.Import, ast.ImportFrom)) for n in kept[max(0, k - 1) : k + 1]
        )
        out += ("" if not k else "\n" if plain else "\n\n\n") + piece
    return out + "\n"
