"""The stepper as a live widget: the extra `[widget]`, loaded when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise ImportError(
        'the live stepper needs anywidget: pip install "microrecur[widget]"; '
        "without it a stepper still shows itself in a notebook"
    ) from error

from microrecur.drawing import page

if TYPE_CHECKING:
    from microrecur.drawing.stepper import Stepper

_RENDER = """
function render({ model, el }) {
  const stepper = mountStepper(el, model.get("data"), {
    start: model.get("step"),
    onStep: (at) => {
      model.set("step", at);
      model.save_changes();
    },
  });
  const follow = () => stepper.go(model.get("step"));
  model.on("change:step", follow);
  return () => {
    stepper.stop();
    model.off("change:step", follow);
  };
}
export default { render };
"""


class StepperWidget(anywidget.AnyWidget):
    """A stepper whose `.step` can be read and set from Python while it is clicked.

    Parameters
    ----------
    stepper : Stepper
        What is walked through.

    Attributes
    ----------
    step : int
        The step shown, from 0; what lies beyond either end stays at it.
    """

    _esm = page.asset("stepper.js") + _RENDER
    _css = page.asset("stepper.css")
    data = traitlets.Dict().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(self, stepper: Stepper, step: int = 0) -> None:
        super().__init__(data=stepper.data, step=step)

    @traitlets.validate("step")
    def _inside(self, proposal: dict[str, int]) -> int:
        last = len(self.data["steps"]) - 1
        return max(0, min(last, proposal["value"]))
