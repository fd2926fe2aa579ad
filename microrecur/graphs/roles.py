"""What part a record plays (input, state, gate, …) and at which level of detail it is shown.

Read off scopes, names and cards alone, so a learner's own cell is understood without any code for
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from microrecur.engine.calculus import gradient_of
from microrecur.engine.tensor import Tensor, by_step
from microrecur.graphs.ranges import is_number_of_the_formula

SLOPES = ("gate slope", "squash slope")
GRADIENT = "∂"  # begins the scope of what a gradient is computed by


@lru_cache(maxsize=1 << 15)
def place(scope: tuple[str, ...]) -> tuple[tuple[str, ...], int | None, tuple[str, ...]]:
    """Layer, t and the names inside the step of a scope: the records of one gate share it."""
    return by_step(scope)


class Roles:
    """The roles of all records of one graph, and which of them each level shows."""

    def __init__(self, tensors: Sequence[Tensor], roots: Sequence[Tensor]) -> None:
        self._roots = set(roots)
        self._place = {t: place(t.scope) for t in tensors}
        self._recurrent = any(t.op is not None and self._place[t][1] is not None for t in tensors)
        self._parameters = self._find_parameters(tensors)
        self._states = self._find_states(tensors)
        self._affine = self._find_affine(tensors)
        self._sloped = {x for t in tensors if self._is_slope(t) for x in t.inputs}
        self._interior = self._find_interior(tensors)
        self._gradients = any(self.differentiated(t) is not None for t in tensors)

    def is_parameter(self, tensor: Tensor) -> bool:
        """Whether it is a parameter, or one seen through ops that only pass numbers on."""
        return tensor in self._parameters

    def of(self, tensor: Tensor) -> str:
        """Return the role of a record."""
        if tensor in self._parameters:
            return "parameter"
        if self.differentiated(tensor) is not None:
            return "gradient"
        if tensor in self._states:
            return "state"
        if tensor.op is None:
            return "constant" if self._is_constant(tensor) else "input"
        if tensor in self._roots and self._step(tensor) is None and tensor.size == 1:
            return "loss"
        if self._is_gate(tensor):
            return "gate"
        if self._step(tensor) is not None and tensor.name and self._is_pre_activation(tensor):
            return "pre-activation"
        return "op"

    def differentiated(self, tensor: Tensor) -> tuple[Tensor, Tensor] | None:
        """(y, x) of a record that is ∂y/∂x, x being in this graph too."""
        found = gradient_of(tensor) if tensor.scope[:1] == (GRADIENT,) else None
        return found if found is not None and found[1] in self._place else None

    def shown(self, tensor: Tensor, level: str) -> bool:
        """Whether a level shows this record; what it does not show is folded into the edges."""
        role = self.of(tensor)
        if role == "gradient" or (self._gradients and tensor.scope[:1] == (GRADIENT,)):
            return tensor in self._roots or self._shows_gradient(tensor, level)
        if role in ("parameter", "constant"):
            return tensor in self._roots
        if tensor in self._roots or role == "state":
            return True
        if level == "step":
            return False
        if self._recurrent and self._step(tensor) is None and not tensor.is_leaf:
            return (
                tensor.name is not None
            )  # between the last state and the loss: named tensors only
        if role in ("input", "gate"):
            return not self._recurrent or self._step(tensor) is not None
        if level == "op":
            return tensor.name is not None or tensor not in self._affine
        if tensor in self._interior:
            return False
        return tensor.name is not None or self._is_junction(tensor)

    def _shows_gradient(self, tensor: Tensor, level: str) -> bool:
        """A gradient is shown where what it is taken by is; what computes it is folded."""
        found = self.differentiated(tensor)
        return found is not None and self.shown(found[1], level)

    def _step(self, tensor: Tensor) -> int | None:
        return self._place[tensor][1]

    def _find_parameters(self, tensors: Sequence[Tensor]) -> set[Tensor]:
        """Leaves outside any step that require a gradient, and what passes them on there.

        In a graph without steps a leaf that requires a gradient is what one differentiates by: an
        input.
        """
        found: set[Tensor] = set()
        for t in tensors:
            if self._step(t) is not None or not self._recurrent:
                continue
            passed = t.op is not None and t.op.kind == "pass" and found.issuperset(t.inputs)
            if (t.op is None and t.requires_grad) or passed:
                found.add(t)
        return found

    def _find_states(self, tensors: Sequence[Tensor]) -> set[Tensor]:
        """What one step leaves for a later one, and what bears the same name in other steps.

        A layer filed under "reverse" reads its sequence from the end: there, for an earlier one.
        """
        carried: set[Tensor] = set()
        for t in tensors:
            layer, step, _ = self._place[t]
            if step is None:
                continue
            for x in t.inputs:
                before, earlier, _ = self._place[x]
                if earlier is None or before != layer:
                    continue
                if earlier > step if "reverse" in layer else earlier < step:
                    carried.add(x)
        names = {(self._place[x][0], x.name) for x in carried if x.name is not None}
        for t in tensors:
            layer, step, _ = self._place[t]
            if step is not None and (layer, t.name) in names:
                carried.add(t)
        return carried

    def _find_affine(self, tensors: Sequence[Tensor]) -> set[Tensor]:
        """Unnamed records inside z = x W + h U + b: products with parameters, sums of those."""
        found: set[Tensor] = set()
        for t in tensors:
            if t.op is None or t in self._parameters:
                continue
            weighed = any(x in self._parameters for x in t.inputs)
            if (t.op.kind in ("weight", "product") and weighed) or (
                t.op.kind == "pass" and any(x in found or x in self._parameters for x in t.inputs)
            ):
                found.add(t)
        return found

    def _find_interior(self, tensors: Sequence[Tensor]) -> set[Tensor]:
        """What leads to a gate inside the gate's own scope: a gate-level view shows its output."""
        found: set[Tensor] = set()
        for t in reversed(tensors):
            if t in found or self._is_gate(t):
                inner = (x for x in t.inputs if x.op is not None and x.scope == t.scope)
                found.update(x for x in inner if x not in self._states and not self._is_gate(x))
        return found

    def _is_slope(self, tensor: Tensor) -> bool:
        return tensor.op is not None and tensor.op.kind in SLOPES

    def _is_gate(self, tensor: Tensor) -> bool:
        return (
            self._is_slope(tensor)
            and tensor.name is not None
            and self._step(tensor) is not None
            and tensor not in self._states
        )

    def _is_pre_activation(self, tensor: Tensor) -> bool:
        return tensor in self._sloped or tensor in self._affine

    def _is_junction(self, tensor: Tensor) -> bool:
        """Whether it is a ⊙ or + that a gate-level picture shows."""
        return (
            tensor.op is not None
            and tensor.op.name in ("mul", "add")
            and tensor not in self._affine
        )

    def _is_constant(self, leaf: Tensor) -> bool:
        if is_number_of_the_formula(leaf):
            return True
        return self._recurrent and self._step(leaf) is None
