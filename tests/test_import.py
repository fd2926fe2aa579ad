"""The front door: what `import microrecur` loads, and which names it shows."""

import ast
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import microrecur as mr

PACKAGE = Path(mr.__file__).parent
ROOMS = {entry.stem for entry in PACKAGE.iterdir() if entry.suffix in {"", ".py"}} | {"lessons"}
BELOW_DRAWING = [name for name, module in mr._public().items() if ".drawing." not in module]


def loaded_beyond_numpy(statement):
    """The libraries a statement loads in a fresh interpreter that has loaded numpy already."""
    program = f"""
import sys, numpy
before = set(sys.modules)
{statement}
tops = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(tops - set(sys.stdlib_module_names) - {{"numpy", "microrecur"}}))
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.split()


def test_importing_loads_numpy_alone():
    assert loaded_beyond_numpy("import microrecur") == []


def test_everything_below_the_drawing_room_runs_on_numpy_alone():
    assert loaded_beyond_numpy(f"from microrecur import {', '.join(BELOW_DRAWING)}") == []


def test_a_library_that_is_loaded_would_be_seen():
    assert loaded_beyond_numpy("import rich, graphviz") == ["graphviz", "rich"]


@pytest.mark.parametrize("name", mr.__all__)
def test_a_public_name_is_what_its_room_calls_so(name):
    there = getattr(import_module(mr._public()[name]), name)
    assert getattr(mr, name) is there
    assert vars(mr)[name] is there  # kept: the second look-up costs nothing


def test_every_op_is_public():
    from microrecur.engine import ops

    internal = {"cast", "gather", "held_max", "plain", "power", "scatter", "share_of_max", "sign"}
    internal |= {"spread"}
    composite = "dot log_softmax logsumexp mean softmax split swapaxes take".split()
    there = {name for name, module in mr._public().items() if module == ops.__name__}
    assert there >= {*ops.TABLE, *composite} - internal
    assert not there & (internal | {"Interval", "Tensor", "corners", "summed", "pairwise"})


def test_a_card_is_public_by_being_declared(tmp_path):
    """One card more in the table, and nothing else, is one op more at the front door."""
    shutil.copytree(PACKAGE, tmp_path / "microrecur", ignore=shutil.ignore_patterns("lessons"))
    table = tmp_path / "microrecur/engine/ops.py"
    before = "# -- the linear cards"
    card = r"""softsign = _card(Elementwise(
    name="softsign", symbol="softsign", latex=r"\operatorname{softsign}(#1)", kind="squash slope",
    forward=lambda x: x / (1 + np.abs(x)), partials=(lambda y, x: (1 - abs(y)) ** 2,),
    slope=(1,), range=between(-1, 1),
))
"""
    assert table.read_text().count(before) == 1
    table.write_text(table.read_text().replace(before, card + before))
    program = """
import sys, microrecur as mr
assert "microrecur.engine" not in sys.modules
print(mr.softsign(mr.tensor(1.0)).item(), "softsign" in dir(mr), "softsign" in mr.__all__)
from microrecur import *
assert softsign is mr.softsign
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.stdout.split() == ["0.5", "True", "True"], run.stderr


def test_every_error_is_public():
    from microrecur.engine import errors

    declared = {name for name, value in vars(errors).items() if _is_error(value)}
    assert declared == {n for n, m in mr._public().items() if m == errors.__name__}


def _is_error(value):
    return isinstance(value, type) and issubclass(value, Exception)


def test_editors_are_told_the_same_names():
    (block,) = (n for n in ast.parse(Path(mr.__file__).read_text()).body if _asks_type_checking(n))
    told = {alias.asname: statement.module for statement in block.body for alias in statement.names}
    missing = [
        f"    from {module} import {name} as {name}"
        for name, module in mr._public().items()
        if told.get(name) != module
    ]
    asked = "add to `if TYPE_CHECKING` of microrecur/__init__.py:"
    assert not missing, "\n".join([asked, *missing])
    assert not told.keys() - mr._public().keys()


def _asks_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def test_no_public_name_is_a_room():
    # Importing the room would put the module where the function was.
    assert not ROOMS & set(mr.__all__)


def test_the_rooms_are_seen_by_that_test():
    assert {"engine", "nn", "graphs", "flows", "data", "drawing", "cli", "lessons"} <= ROOMS


def test_dir_shows_the_public_names_and_nothing_else():
    assert dir(mr) == sorted([*mr.__all__, "__version__"])


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'microrecur' has no attribute 'sigmiod'$"):
        mr.sigmiod  # noqa: B018


def test_python_m_microrecur_is_the_command_line():
    run = subprocess.run(
        [sys.executable, "-m", "microrecur", "--version"],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["microrecur", mr.__version__]
