"""Code that fails, cheats or attacks: one clear sentence each, never a pass, never a hang."""

import json
import re
import tempfile
import time
from dataclasses import replace

import pytest

from microrecur.course.diagnose import check_source, diagnose
from microrecur.course.exercise import find, folder
from microrecur.course.process import MEMORY, Process
from microrecur.course.server import Server
from microrecur.course.sources import solution, stub

HELLO = find("e00.hello_slope")


def checked(body, exercise=HELLO, seed=0, head="", **limits):
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    source = f"{head}def {exercise.function}(*args):\n    w = args[0]\n{lines}\n"
    return check_source(exercise, source, "answer.py", seed, **limits)


def test_the_right_answer_passes():
    assert checked("return w").passed


# fmt: off
CASES = {
    "nothing returned": ("w + 1", "nothing", "hello_slope returned None; is there a `return`"),
    "a wrong type": ("return 'w'", "type", "∂y/∂x is a str; one number is asked for"),
    "a wrong shape": ("import numpy as np\nreturn np.array([w])", "shape",
                      "∂y/∂x has shape (1,); one number is asked for"),
    "nan": ("return float('nan')", "finite", "∂y/∂x is nan"),
    "inf": ("return 1e999", "finite", "∂y/∂x is inf"),
    "syntax": ("return 3 +", "syntax", "line 3, `return 3 +`, is not Python: invalid syntax"),
    "an exception": ("x = 1\nreturn x / 0", "error",
                     "line 4, `return x / 0`, raised ZeroDivisionError: division by zero"),
    "a deleted variable": ("del w\nreturn w", "error",
                           "line 4, `return w`, raised UnboundLocalError: cannot access"),
    "a library's exception": ("import numpy as np\nreturn np.ones(2) @ np.ones(3)", "error",
                              "line 4, `return np.ones(2) @ np.ones(3)`, raised ValueError"),
    "recursion": ("return hello_slope(w)", "error", "raised RecursionError"),
    "exit()": ("exit()", "exit", "line 3 leaves Python (exit, quit or SystemExit)"),
    "raise SystemExit": ("raise SystemExit(0)", "exit", "line 3 leaves Python"),
    "os._exit": ("import random\nrandom._os._exit(0)", "died", "ended its process before"),
    "a crash": ("import random\nrandom._os.abort()", "died", "ended its process before"),
    "numpy replaced": ("import numpy as np\nnp.tanh = lambda x: x\nreturn w", "patched",
                       "your code replaced numpy.tanh; leave it as it is"),
    "numpy's function deleted": ("import numpy as np\ndel np.exp\nreturn w", "patched",
                                 "your code replaced numpy.exp"),
    "a builtin replaced": ("import random\nrandom._os.sys.modules['builtins'].abs = max\nreturn w",
                           "patched", "your code replaced builtins.abs"),
    "a print storm": ("while True: print('x' * 1000)", "printed", "prints more than 1 MB"),
    "a storm on stderr": ("import warnings\nwhile True: warnings.sys.stderr.write('x' * 999)",
                          "printed", "prints more than 1 MB"),
    "a list without end": ("x = [0] * 10**11", "memory",
                           f"asked for more than {MEMORY // 2**30} GB of memory"),
    "stdin": ("return float(input())", "error", "raised EOFError"),
    "microrecur": ("import microrecur as mr\nreturn w", "refused",
                   "line 3, `import microrecur as mr`, calls the reference: it imports microrecur"),
    "microrecur, swallowed": ("try:\n    from microrecur import grad\nexcept BaseException:\n"
                              "    pass\nreturn w", "refused", "calls the reference"),
    "the checks": ("from microrecur.lessons.checks import test_e00_start\nreturn w", "refused",
                   "calls the reference: it imports microrecur.lessons.checks"),
    "the reference through importlib": (
        "import typing\nsys = typing.sys\nsys.modules['importlib'].import_module('microrecur.nn')",
        "refused", "calls the reference"),
    "the reference through eval": ("return eval(\"__import__('microrecur')\").tensor(w)", "refused",
                                   "calls the reference"),
    "torch": ("import torch", "refused", "calls another engine: it imports torch"),
    "os": ("import os", "refused", "imports os; an answer may import numpy, math, itertools"),
    "the solution's file": (
        f"return open({str(folder() / 'solutions' / 'e00_start.py')!r}).read()", "refused",
        "reads the reference"),
    "a file": ("open('notes.txt', 'w')", "refused", "writes to a file"),
    "a descriptor": ("open(3, 'w')", "refused", "writes to a file"),
    "a deleted file": ("import random\nrandom._os.remove('x')", "refused", "changes files"),
    "a program": ("import random\nrandom._os.system('true')", "refused", "starts another program"),
    "a fork": ("import random\nrandom._os.fork()", "refused", "starts another program"),
    "a signal to the judge": ("import random\nrandom._os.kill(random._os.getppid(), 9)", "refused",
                              "sends signals to processes"),
    "an exception that lies": (
        "class Sly(Exception):\n    def __str__(self): raise KeyError\nraise Sly", "error",
        "raised Sly"),
    "a number that equals all": (
        "class Sly(float):\n    def __eq__(self, other): return True\nreturn Sly(0)", "type",
        "∂y/∂x is Sly; one number is asked for"),
    "an array that lies": (
        "import numpy as np\nclass Sly(np.ndarray):\n    def tobytes(self): return bytes(8)\n"
        "return np.zeros(()).view(Sly) + 1e9", "value", "∂y/∂x is wrong"),
    "a nest without end": ("x = []\nx.append(x)\nreturn x", "type", "∂y/∂x is a list of 1"),
}
# fmt: on


@pytest.mark.parametrize("case", CASES)
def test_one_clear_sentence(case):
    body, stage, said = CASES[case]
    verdict = checked(body, seconds=2.0, wall=6.0)
    assert (verdict.status, verdict.stage) == ("failed", stage), verdict
    assert said in verdict.sentence
    assert "\n" not in verdict.sentence
    assert len(verdict.sentence) < 500
    assert "Traceback" not in verdict.sentence + verdict.printed


@pytest.mark.parametrize("text", ["", "hello_slope = 3\n", "def other(w): return w\n"])
def test_a_file_without_the_function(text):
    verdict = check_source(HELLO, text, "answer.py")
    assert verdict.sentence.startswith("the answer defines no function hello_slope")


def test_the_line_of_a_loop_that_does_not_end():
    verdict = checked("while True:\n    w = w + 1", seconds=0.3)
    assert verdict.stage == "timeout"
    assert verdict.sentence.startswith("line ")
    assert "was still computing after 0.3 s; does the loop end?" in verdict.sentence


def test_a_loop_that_swallows_its_end_is_ended():
    begun = time.monotonic()
    body = "while w:\n    try:\n        while True:\n            w = w + 1\n"
    body += "    except BaseException:\n        w = 1.0"
    verdict = checked(body, seconds=0.2, wall=8.0)
    assert verdict.stage in ("timeout", "slow")  # by processor or by clock, as busy as it is here
    assert re.match(r"line [56], `w(hile True:| = w \+ 1)`, was still", verdict.sentence)
    assert time.monotonic() - begun < 9


@pytest.mark.parametrize("body", ["while True: w = w + 1", "import time\ntime.sleep(99)"])
def test_at_the_limit_of_the_clock_the_line_is_named(body):
    verdict = checked(body, wall=1.6)  # so busy a machine that no second of its processor fits in
    last = body.splitlines()[-1]
    assert verdict.stage == "slow"
    assert verdict.sentence == (
        f"line {2 + len(body.splitlines())}, `{last}`, was still running after 1.2 s; "
        "does it wait for something, or never end?"
    ), verdict


@pytest.mark.slow
def test_with_its_own_limits_a_check_is_over_within_ten_seconds():
    begun = time.monotonic()
    assert checked("import time\ntime.sleep(1000)").stage == "slow"
    assert time.monotonic() - begun < 10


def test_a_loop_at_the_top_of_the_file_counts_too():
    verdict = check_source(HELLO, "while True: pass\n", "answer.py", seconds=0.3)
    assert verdict.stage == "timeout"


def test_inputs_that_are_changed():
    exercise = find("e06.rnn_backward")
    wrong = solution(exercise.name) + "\n\n_right = rnn_backward\n\n\n"
    wrong += "def rnn_backward(X, *rest):\n    found = _right(X, *rest)\n    X[0] += 1\n"
    wrong += "    return found\n"
    verdict = check_source(exercise, wrong, "answer.py")
    assert verdict.stage == "mutated"
    assert verdict.sentence.startswith("rnn_backward changed its input X; work on a copy")


def test_numbers_learnt_by_heart_fail_under_another_seed():
    known = {case[0]: case[0] for case in HELLO.cases(0)}
    body = f"return {known!r}.get(w, 0.0)"
    assert checked(body).passed
    assert checked(body, seed=1).status == "failed"


# -- what is not to be reached ---------------------------------------------------------------------

HIDE = {"__traceback__": "__trace", "tb_frame": "tb_", "f_back": "f_ba", "f_locals": "f_lo",
        "__globals__": "__glo", "__subclasses__": "__subcl", "get_objects": "get_",
        "_getframe": "_get", "gi_frame": "gi_"}  # fmt: skip


def hidden(body):
    """The same, each name put together as it runs, so that no reading of the source finds it."""
    for name, head in HIDE.items():
        body = re.sub(rf"(\w+)\.{name}\b", rf'getattr(\1, "{head}" + "{name[len(head) :]}")', body)
    return body


WALK = """\
try:
    1 / 0
except ZeroDivisionError as error:
    trace = error.__traceback__
frame = trace.tb_frame
while frame is not None:
    held = frame.f_locals
    for value in held.values():
        if hasattr(value, "reference"):
            return value.reference(*args)
    frame = frame.f_back
"""
GENERATOR = "made = (x for x in args)\nframe = made.gi_frame\nreturn frame.f_back"
SECRETS = {
    "frames": (WALK, "__traceback__", "tb_frame"),
    "a generator's frame": (GENERATOR, "gi_frame", "gi_frame"),
    "sys._getframe": ("import random\nsys = random._os.sys\nreturn sys._getframe(0)",
                      "_getframe", "sys._getframe"),
    "the collector": ("import random\ngc = random._os.sys.modules['gc']\nreturn gc.get_objects()",
                      "get_objects", "gc.get_objects"),
    "inspect": ("import dataclasses\nask = vars(dataclasses.inspect)['current' + 'frame']\n"
                "return ask()", "", "sys._getframe"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["e00.hello_slope", "e02.topo_order"])
@pytest.mark.parametrize("way", SECRETS)
def test_no_way_leads_to_who_judges(way, name):
    body, read, found = SECRETS[way]
    if read and name == HELLO.name:
        verdict = checked(body)
        assert verdict.stage == "refused"
        assert "looks into Python itself (" in verdict.sentence
        assert read in verdict.sentence or found in verdict.sentence
    verdict = checked(hidden(body), find(name))
    assert (verdict.status, verdict.stage) == ("failed", "refused"), verdict
    assert f"looks into Python itself ({found}), and an answer only computes" in verdict.sentence


@pytest.mark.parametrize("forked", [False, True][: 1 + Server.available])
@pytest.mark.parametrize("name", ["e02.topo_order", "e02.numgrad", "e01.sigmoid"])
def test_the_learners_process_holds_no_reference(name, forked):
    body = "import random\nfound = [k for k in random._os.sys.modules if k[:11] == 'microrecur.']\n"
    body += "new = type(args[0]).__init__\nnew = args[0] if callable(args[0]) else new\n"
    body += "space = getattr(new, '__glo' + 'bals__', {})\n"
    body += "base = object\nfound += [k for k in space if not k[:2] == '__']\n"
    body += "found += [k.__qualname__ for k in base.__subclasses__() "
    body += "if k.__module__[:11] == 'microrecur.']\nraise KeyError(*found)"
    server = Server() if forked else None  # one that has loaded every check file
    try:
        verdict = checked(hidden(body), find(name), server=server)
    finally:
        if server is not None:
            server.close()
    known = {"e02.topo_order": "('np', 'Node', 'Node')", "e02.numgrad": "'np'", "e01.sigmoid": ""}
    assert verdict.stage == "error", verdict
    assert verdict.sentence.endswith(f"raised KeyError: {known[name]}".removesuffix(": "))


def test_a_name_within_a_text_is_read():
    for body in ("import operator\nreturn operator.attrgetter('__init__.__globals__')(w)",
                 "return eval('w.__globals__')"):  # fmt: skip
        assert "looks into Python itself (__globals__)" in checked(body).sentence


def test_names_are_read_only_where_they_lead_somewhere():
    body = '"""Walks f_back along the graph."""\ntext = "the __globals__ of a thing"\nreturn w'
    assert checked(body).passed
    head = "import enum, typing\nfrom dataclasses import dataclass\n"
    head += "from collections import namedtuple\nP = namedtuple('P', 'a b')\n"
    head += "E = enum.Enum('E', 'a b')\nV = typing.TypeVar('V')\n"
    head += "class T(typing.NamedTuple):\n    x: int\n"
    head += "@dataclass(slots=True)\nclass D:\n    a: int = 1\n"
    assert checked("return w * D().a", head=head).passed  # libraries may look into frames


@pytest.mark.parametrize("kind", ["ran", "passed", "", "patched", "slow", "unjudged"])
def test_a_forged_report_is_judged_by_its_values(kind):
    found = {"kind": kind, "outcomes": [{"value": 7.0, "mutated": []}] * 3}
    with Process() as process:
        process._report += f"\n{process._token}{json.dumps(found)}\n".encode()
        run = process._read(alive=False, seconds=1.0)
        process._report += bytes(process._report)
        twice = process._read(alive=False, seconds=1.0)
    assert diagnose(HELLO, run, 0).status == "failed"
    assert (diagnose(HELLO, twice, 0).status, twice.kind) == ("failed", "died")


def test_what_the_check_cannot_read_is_not_blamed_on_the_code():
    exercise = find("e02.topo_order")
    source = "import numpy as np\n" + solution(exercise.name).replace("def topo", "def _topo")
    source += "\n\ndef topo_order(root):\n    return np.array(_topo_order(root))\n"
    verdict = check_source(exercise, source, "answer.py")
    assert (verdict.stage, verdict.sentence) == (
        "unjudged", "topo_order returned no list but a ndarray",
    )  # fmt: skip
    raised = checked("return list(5)", exercise)
    assert raised.stage == "error"
    assert raised.sentence.startswith("line 3, `return list(5)`, raised TypeError")
    arity = check_source(exercise, "def topo_order(root, more): return []\n", "answer.py")
    assert arity.sentence.startswith("your code raised TypeError: topo_order() missing 1 required")


def test_noise_on_the_channel_changes_nothing():
    assert checked("import random\nrandom._os.write(3, b'passed')\nreturn w").passed
    assert checked("import random\nrandom._os.write(3, b'passed')\nreturn -w").status == "failed"


def test_a_flood_of_the_channel_ends():
    body = "import random\nwhile True: random._os.write(3, b'x' * 65536)"
    begun = time.monotonic()
    assert checked(body, seconds=2.0, wall=6.0).status == "failed"
    assert time.monotonic() - begun < 9


def test_what_is_printed_is_kept_for_the_learner():
    verdict = checked("print('w is', w)\nreturn w")
    assert verdict.passed
    assert verdict.printed.startswith("w is 0.58")


def test_control_characters_reach_no_terminal():
    verdict = checked("raise ValueError('\\x1b[2J\\x1b]0;owned\\x07 a\\nb')")
    assert verdict.sentence.endswith("raised ValueError: [2J ]0;owned a b")


def test_what_may_be_imported():
    head = (
        "import math\nimport numpy as np\nfrom collections import deque\nfrom typing import Any\n"
    )
    head += "from dataclasses import dataclass\nimport itertools, functools\n\n"
    head += "@dataclass\nclass Weight:\n    value: float\n\n"
    assert checked("return float(np.sum(deque([Weight(w).value])))", head=head).passed


def test_an_exercise_that_allows_microrecur_still_hides_the_checks():
    allowing = replace(HELLO, allows=("microrecur",))
    assert checked("import microrecur as mr\nreturn (mr.tensor(w) * 1.0).item()", allowing).passed
    hidden = checked("from microrecur.lessons.solutions import e00_start", allowing)
    assert hidden.stage == "refused"


def test_cases_that_are_functions_are_drawn_in_the_learners_process():
    exercise = find("e02.numgrad")
    assert any(callable(part) for case in exercise.cases(0) for part in case)
    assert check_source(exercise, solution(exercise.name), "answer.py").passed
    cheat = "import microrecur as mr\n" + solution(exercise.name)
    assert check_source(exercise, cheat, "answer.py").stage == "refused"


FORKED = ["os._exit", "a crash", "a print storm", "a list without end", "torch",
          "numpy replaced", "a fork", "a signal to the judge", "stdin", "exit()"]  # fmt: skip


@pytest.mark.skipif(not Server.available, reason="this system cannot fork")
def test_forks_of_one_server_are_apart_from_each_other():
    server = Server()
    try:
        for case in FORKED:
            body, stage, said = CASES[case]
            verdict = checked(body, seconds=2.0, wall=6.0, server=server)
            assert (verdict.status, verdict.stage) == ("failed", stage), verdict
            assert said in verdict.sentence
            assert checked("return w", server=server).passed
        slow = checked("while True: w = w + 1", seconds=0.3, server=server)
        assert slow.stage == "timeout"
        waits = checked("import time\ntime.sleep(99)", wall=1.0, server=server)
        assert waits.stage == "slow"
        exercise = find("e02.numgrad")  # cases made by the check file
        assert check_source(exercise, solution(exercise.name), "a.py", server=server).passed
    finally:
        server.close()


def test_an_untouched_stub_needs_no_process(monkeypatch):
    monkeypatch.setattr("microrecur.course.diagnose.Process", None)
    verdict = check_source(HELLO, stub(HELLO.name), "answer.py")
    assert (verdict.status, verdict.sentence) == (
        "not attempted", "still raises NotImplementedError",
    )  # fmt: skip
    monkeypatch.undo()
    other = stub(HELLO.name) + "\n\nhello_slope = abs\n"
    assert check_source(HELLO, other, "answer.py").stage != ""


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert checked("return w").passed
    assert list(tmp_path.iterdir()) == []
