"""The course on the command line: lab, check, hint, show, progress, solution, grade, dev."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

FAILED, REFUSED = 1, 2  # exit codes: an answer is not right; what was asked cannot be done

LAB = """\
examples:
  a workspace of your own, open in JupyterLab
    microrecur lab my-course
  the workspace alone: no server is started, and JupyterLab need not be there
    microrecur lab my-course --make-only
  only say what would be copied and started
    microrecur lab my-course --dry-run

What is missing is copied; a file that is there stays as it is. Your answers are in answers/,
one file per function; plain `pytest` in the workspace checks them all.
"""
CHECK = """\
examples:
  microrecur check                     every answer
  microrecur check e06                 those of one lesson
  microrecur check e06.rnn_backward    one
  microrecur check e06 --watch         again at every save, until Ctrl-C
"""
HINT = """\
examples:
  microrecur hint e06.rnn_backward     the next rung: where, which slip, picture, lesson, solution
"""
SHOW = """\
examples:
  microrecur show e06.rnn_backward     the graph of the task; what your last answer lacks is red
  microrecur show e06.rnn_backward -o lacking.svg
"""
SOLUTION = """\
examples:
  microrecur solution e06.rnn_backward             once yours has passed
  microrecur solution e06.rnn_backward --give-up   before
"""
RESET = """\
examples:
  microrecur reset e06.rnn_backward    the stub again; your answer goes to rnn_backward.py.bak
"""
PACK = """\
examples:
  microrecur pack                      answers and progress as one .zip, to hand in
  microrecur pack -o kim.zip
"""
GRADE = """\
examples:
  microrecur grade handed-in --seed 7 --out class.csv --html class.html --junitxml class.xml

DIR holds one .zip per person, made by `microrecur pack`. Take a seed of your own: answers that only
know the learner's numbers fail. Strong isolation needs a container; docs/course.md has the command.
"""
DEV = """\
examples:
  microrecur dev new e06.my_function   stub, check and solution to fill in, in the lessons' folder
  microrecur dev check e06             the gates of every exercise of a lesson

From a clone that pip has installed as a copy, say which lessons you mean: --lessons lessons
"""


def add(commands: Any, whole: Callable[..., Callable[[str], int]]) -> None:
    """Add the course's commands to those of `microrecur`; `whole` reads numbers such as seeds."""
    lab = _add(commands, "lab", "run_lab", "open the course in JupyterLab, in a workspace", LAB)
    lab.add_argument("dir", nargs="?", default="microrecur-course", metavar="DIR")
    lab.add_argument("--no-browser", action="store_true", help="start the server alone")
    lab.add_argument("--make-only", action="store_true", help="copy what is missing, and stop")
    lab.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    check = _add(
        commands, "check", "run_check", "check answers, and say which term is wrong", CHECK
    )
    _asked(check, optional=True)
    check.add_argument("--watch", action="store_true", help="check again at every save")
    check.add_argument("--seed", type=whole(), default=0, metavar="N", help="of the cases (0)")
    check.add_argument("--json", action="store_true", help=argparse.SUPPRESS)  # for %%exercise
    hint = _add(commands, "hint", "run_hint", "take the next hint for an exercise", HINT)
    _asked(hint)
    show = _add(commands, "show", "run_show", "draw what your last answer lacks, in red", SHOW)
    _asked(show)
    show.add_argument("-o", dest="file", metavar="FILE", help=".svg, .png or .html")
    _add(commands, "progress", "run_progress", "say what has passed, and what is left", "")
    reset = _add(commands, "reset", "run_reset", "put a stub back (keeps a .bak)", RESET)
    _asked(reset)
    solution = _add(commands, "solution", "run_solution", "print the course's own answer", SOLUTION)
    _asked(solution)
    solution.add_argument("--give-up", action="store_true", help="before yours has passed")
    pack = _add(commands, "pack", "run_pack", "put your answers into one .zip", PACK)
    pack.add_argument("-o", dest="file", metavar="FILE", help="(answers.zip)")
    _add(commands, "doctor", "run_doctor", "say whether all that the course needs is here", "")
    _add_grade(commands, whole)
    _add_dev(commands)


def _add_grade(commands: Any, whole: Callable[..., Callable[[str], int]]) -> None:
    grade = _add(commands, "grade", "run_grade", "grade a folder of .zips, by misconception", GRADE)
    grade.add_argument("dir", metavar="DIR")
    grade.add_argument("--seed", type=whole(), default=1, metavar="N", help="of the cases (1)")
    grade.add_argument("--only", metavar="e06", help="one lesson or exercise")
    grade.add_argument("--jobs", type=whole(1, 1_000), metavar="K", help="processes (one per core)")
    for flag, what in (
        ("--out", "a table, one row per person (class.csv)"),
        ("--html", "the report by misconception"),
        ("--junitxml", "for a build server"),
    ):
        default = "class.csv" if flag == "--out" else None
        grade.add_argument(flag, metavar="FILE", default=default, help=what)


def _add_dev(commands: Any) -> None:
    dev = _add(commands, "dev", "run_dev", "write an exercise: `dev new`, `dev check`", DEV)
    dev.add_argument("what", choices=("new", "check"))
    dev.add_argument("name", nargs="?", metavar="NAME", help="e06 or e06.rnn_backward")
    dev.add_argument("--lessons", metavar="DIR", help="of a clone (where microrecur runs from)")


def _add(commands: Any, name: str, run: str, help: str, epilog: str) -> Any:
    command = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=_told(name, run))
    return command


def _asked(command: Any, optional: bool = False) -> None:
    what = "a lesson or an exercise (all)" if optional else "an exercise"
    command.add_argument(
        "name", nargs="?" if optional else None, metavar="e06.rnn_backward", help=what
    )


def _told(name: str, run: str) -> Callable[[argparse.Namespace], int]:
    """Run a command; what a person can mend is told in one line."""

    def told(options: argparse.Namespace) -> int:
        from microrecur.course.exercise import UnknownExercise
        from microrecur.course.workspace import NoWorkspace

        try:
            return int(globals()[run](options) or 0)
        except (UnknownExercise, NoWorkspace, Refused) as error:
            print(f"microrecur {name}: {error}", file=sys.stderr)
            return REFUSED

    return told


class Refused(Exception):
    """What was asked for cannot be done; the message says why and what can."""


# -- learners --------------------------------------------------------------------------------------


def run_lab(options: argparse.Namespace) -> int:
    """Copy what is missing, and start JupyterLab on it."""
    import importlib.util
    import subprocess

    from microrecur.course.workspace import Workspace

    workspace = Workspace(options.dir)
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={workspace.root}"]
    command += ["--no-browser"] if options.no_browser else []
    if options.dry_run:
        for path in workspace.lacking():
            print(f"would make {path.relative_to(workspace.root)}")
        if not options.make_only:
            print(f"would start {' '.join(command[1:])}")
        return 0
    made = workspace.fill()
    print(f"{workspace.root}: {len(made)} files made, the others left as they are")
    if options.make_only:
        return 0
    if importlib.util.find_spec("jupyterlab") is None:
        raise Refused(
            "the workspace is made, and JupyterLab is not installed: "
            "pip install 'microrecur[lessons]'"
        )
    # What the lessons and a terminal in JupyterLab start is what belongs to this Python.
    programs = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    try:
        return subprocess.call(command, env=os.environ | {"PATH": programs})
    except KeyboardInterrupt:
        return 0


def run_check(options: argparse.Namespace) -> int:
    """Check answers of this workspace."""
    from microrecur.course.checking import check_all, watch
    from microrecur.course.exercise import select
    from microrecur.course.workspace import Workspace

    workspace, asked = Workspace.find(), select(options.name)
    if options.json:
        import json

        (verdict,) = check_all(workspace, asked, options.seed)
        print(json.dumps(verdict.as_dict()))
        return 0
    if options.watch:
        return watch(workspace, asked, options.seed)
    verdicts = []
    for verdict in check_all(workspace, asked, options.seed):
        verdicts.append(verdict)
        print(told(verdict, alone=len(asked) == 1), flush=True)
    if len(asked) > 1:
        print(summary(verdicts))
    return FAILED if any(verdict.status == "failed" for verdict in verdicts) else 0


def told(verdict: Any, alone: bool = False) -> str:
    """A verdict as text: one line, the hint below it."""
    mark = {"passed": "✓", "failed": "✗"}.get(verdict.status, "·")
    said = verdict.sentence if verdict.status == "failed" else verdict.status
    lines = [f"{mark} {verdict.name}  {said}"]
    if verdict.hint:
        lines.append(f"    hint: {verdict.hint}")
    if verdict.missing or verdict.extra:
        lines.append(f"    picture: microrecur show {verdict.name}")
    if alone and verdict.printed.strip():
        lines.append("    it printed:")
        lines += [f"    | {line}" for line in verdict.printed.strip().splitlines()[-20:]]
    return "\n".join(lines)


def summary(verdicts: Sequence[Any]) -> str:
    """How many of each."""
    counts = {s: sum(v.status == s for v in verdicts) for s in ("passed", "failed")}
    rest = len(verdicts) - sum(counts.values())
    return f"{counts['passed']} passed, {counts['failed']} failed, {rest} not attempted"


def run_hint(options: argparse.Namespace) -> int:
    """Take the next rung."""
    from microrecur.course.exercise import find
    from microrecur.course.hints import next_rung
    from microrecur.course.progress import Progress
    from microrecur.course.workspace import Workspace

    exercise = find(options.name)
    rung, place, count = next_rung(exercise, Progress(Workspace.find()))
    print(f"{exercise.name}, hint {place} of {count}: {rung.text}")
    return 0


def run_show(options: argparse.Namespace) -> int:
    """Draw what the last answer lacks."""
    from microrecur.course.exercise import find
    from microrecur.course.progress import Progress
    from microrecur.course.workspace import Workspace

    workspace, exercise = Workspace.find(), find(options.name)
    if exercise.picture is None:
        raise Refused(f"{exercise.name} has no picture; `microrecur hint {exercise.name}` helps")
    from microrecur.course.picture import failure

    last = Progress(workspace).last(exercise.name)
    missing, extra = (last.missing, last.extra) if last and last.status == "failed" else ((), ())
    drawing = failure(exercise, missing, extra)
    try:
        file = drawing.save(options.file or workspace.root / "pictures" / f"{exercise.name}.svg")
    except ValueError as error:
        raise Refused(error) from error
    what = "in red what your last answer lacks" if missing or extra else "the graph of the task"
    print(f"wrote {file}: {what}")
    return 0


def run_progress(options: argparse.Namespace) -> int:
    """Say what has passed, with tries and hints."""
    from microrecur.course.checking import progress_table
    from microrecur.course.workspace import Workspace

    print(progress_table(Workspace.find()))
    return 0


def run_reset(options: argparse.Namespace) -> int:
    """Put the stub back."""
    from microrecur.course.exercise import find
    from microrecur.course.workspace import Workspace, digest

    workspace, name = Workspace.find(), find(options.name).name
    file = workspace.answer_file(name)
    before = digest(file)
    workspace.reset(name)
    changed = before not in ("", digest(file))
    kept = f" again; what was there is in {file.name}.bak" if changed else "; nothing was lost"
    print(f"{file} is the stub{kept}")
    return 0


def run_solution(options: argparse.Namespace) -> int:
    """Print the course's own answer, after passing or on giving up."""
    from microrecur.course.exercise import find
    from microrecur.course.progress import Progress
    from microrecur.course.sources import solution
    from microrecur.course.workspace import Workspace

    progress, text = Progress(Workspace.find()), solution(find(options.name).name)
    if not options.give_up and not progress.passed(options.name):
        raise Refused(
            f"{options.name} has not passed; `microrecur hint {options.name}` gives the next hint, "
            "--give-up shows the solution"
        )
    progress.take(options.name, "solution")
    print(text, end="")
    return 0


def run_pack(options: argparse.Namespace) -> int:
    """Put answers and progress into one archive."""
    from microrecur.course.pack import pack
    from microrecur.course.sources import names
    from microrecur.course.workspace import Workspace

    workspace = Workspace.find()
    file, count = pack(workspace, options.file)
    untouched = sum(workspace.untouched(name) for name in names())
    print(f"wrote {file}: {count} answers" + (f", {untouched} not attempted" if untouched else ""))
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """Say what is here and what is not."""
    from microrecur.course.doctor import examine

    found = examine()
    for what, well, said in found:
        print(f"{'✓' if well else '✗'} {what}: {said}")
    return 0 if all(well for _, well, _ in found) else FAILED


# -- teachers and authors --------------------------------------------------------------------------


def run_grade(options: argparse.Namespace) -> int:
    """Grade a folder of archives."""
    from microrecur.course.grade import grade

    for line in grade(options):
        print(line)
    return 0


def run_dev(options: argparse.Namespace) -> int:
    """Make a new exercise, or run the gates."""
    from microrecur.course.authoring import check, new, use

    if options.lessons is not None:
        use(options.lessons)
    if options.what == "new":
        if options.name is None:
            raise Refused("say which: microrecur dev new e06.my_function")
        for file in new(options.name):
            print(f"wrote {file}")
        return 0
    bad = 0
    for lines, faults in check(options.name):
        print(lines, flush=True)
        bad += faults
    return FAILED if bad else 0
