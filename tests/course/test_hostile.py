"""Code that fails, cheats or attacks: one clear sentence each, never a pass, never a hang."""

import tempfile
import time
from dataclasses import replace

import pytest

from microrecur.course.diagnose import check_source
from microrecur.course.exercise import find, folder
from microrecur.course.process import MEMORY
from microrecur.course.server import Server
from microrecur.course.sources import solution

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
    verdict = checked(body, seconds=0.2, wall=1.5)
    assert verdict.stage == "slow"
    assert verdict.sentence == "no answer after 1.5 s; does it wait for something, or never end?"
    assert time.monotonic() - begun < 5


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


FORGED = """\
import json
frame = None
try:
    raise ValueError
except ValueError as error:
    frame = error.__traceback__.tb_frame
while "request" not in frame.f_locals:
    frame = frame.f_back
import random
line = {"kind": KIND, "outcomes": [{"value": 7.0, "mutated": []}] * 3}
text = frame.f_locals["request"]["token"] + str(line).replace("'", '"') + chr(10)
random._os.write(3, text.encode())
random._os._exit(0)
"""


@pytest.mark.parametrize("kind", ["ran", "passed", "", "patched"])
def test_a_forged_report_is_judged_by_its_values(kind):
    body = FORGED.replace("KIND", repr(kind)).replace("import json\n", "")
    verdict = checked(body)
    assert verdict.status == "failed", verdict


def test_two_reports_are_none():
    body = FORGED.replace("KIND", "'ran'").replace("import json\n", "")
    verdict = checked(body.replace("random._os._exit(0)", "return w"))
    assert (verdict.status, verdict.stage) == ("failed", "died")


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


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert checked("return w").passed
    assert list(tmp_path.iterdir()) == []
