"""The course: exercises that are run, diagnosed, hinted at, drawn and graded.

``from microrecur.course import Exercise, Slip`` declares an exercise; in a notebook,
``%load_ext microrecur.course`` gives ``%%exercise``, and ``answer("e06.rnn_backward")`` the
learner's function once it has passed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microrecur.course.answers import answer as answer
    from microrecur.course.exercise import Exercise as Exercise
    from microrecur.course.exercise import Slip as Slip
    from microrecur.course.predict import predict as predict
    from microrecur.course.predict import reveal as reveal

# Nothing is imported before it is used: pytest loads this package in every project.
_MODULE_OF = {
    "Exercise": "exercise",
    "Slip": "exercise",
    "answer": "answers",
    "predict": "predict",
    "reveal": "predict",
}
__all__ = ["Exercise", "Slip", "answer", "predict", "reveal"]

if not TYPE_CHECKING:

    def __getattr__(name: str):
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value


def load_ipython_extension(shell: Any) -> None:
    """Give a notebook `%%exercise`: what `%load_ext microrecur.course` calls."""
    from microrecur.course.magics import load

    load(shell)
