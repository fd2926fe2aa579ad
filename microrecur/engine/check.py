"""The gradient checker: recorded derivatives against central differences, to order two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from microrecur.engine.calculus import grad, vjp
from microrecur.engine.errors import GradcheckError
from microrecur.engine.tensor import Tensor, tensor

Function = Callable[..., Tensor]


def gradcheck(
    f: Function,
    inputs: Sequence[Tensor],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    order: int = 2,
    raise_exception: bool = True,
) -> bool:
    """Check the derivatives of f at the inputs against central differences (f(x+ε) − f(x−ε)) / 2ε.

    Every entry of every input that requires a gradient is moved in turn (of every floating-point
    input, when none requires one). A result of several numbers is contracted with fixed pseudo-
    random weights, so no entry can hide behind another.

    Parameters
    ----------
    f : callable
        Takes the inputs, returns a Tensor of any shape.
    inputs : sequence of Tensor
        float64 is what the tolerances are meant for.
    eps, atol, rtol : float
        The step; and how far the two numbers may differ, |a − n| ≤ atol + rtol·|n|.
    order : int
        2 also checks the gradient of the gradient.
    raise_exception : bool
        False returns False in place of raising.

    Raises
    ------
    GradcheckError
        Naming the order, the input, the index and both numbers.

    Examples
    --------
    >>> gradcheck(lambda x: (x * x).sum(), [tensor([1.0, 2.0], requires_grad=True)])
    True
    """
    leaves = [x if isinstance(x, Tensor) else tensor(x) for x in inputs]
    moved = [k for k, x in enumerate(leaves) if x.requires_grad]
    moved = moved or [k for k, x in enumerate(leaves) if x.dtype.kind == "f"]
    contracted = _contracted(f)
    levels = [contracted] + [_slope_of(contracted, moved)] * (order > 1)
    for level, g in enumerate(levels, start=1):
        for message in _differences(g, leaves, moved, eps, atol, rtol):
            if raise_exception:
                raise GradcheckError(f"order {level}: {message}")
            return False
    return True


def _weights(shape: tuple[int, ...]) -> np.ndarray:
    """Fixed weights of no special pattern: a sum of entries must not cancel by chance."""
    if np.prod(shape) == 1:
        return np.ones(shape)  # one number: the message then shows its own derivative
    return np.random.default_rng(20).uniform(0.5, 1.5, shape)


def _contracted(f: Function) -> Function:
    def number(*xs: Tensor) -> Tensor:
        y = f(*xs)
        return (y * _weights(y.shape)).sum()

    return number


def _slope_of(f: Function, moved: Sequence[int]) -> Function:
    def number(*xs: Tensor) -> Tensor:
        gradients = grad(f(*xs), [xs[k] for k in moved])
        total = tensor(0.0)
        for g in gradients:
            total = total + (g * _weights(g.shape)).sum()
        return total

    return number


def _differences(
    f: Function,
    leaves: Sequence[Tensor],
    moved: Sequence[int],
    eps: float,
    atol: float,
    rtol: float,
) -> Iterator[str]:
    """Yield a sentence per entry whose two derivatives differ."""
    analytic = vjp(f(*leaves), [leaves[k] for k in moved])
    for k, ours in zip(moved, analytic, strict=True):
        for index in np.ndindex(leaves[k].shape):
            numeric = _central(f, leaves, k, index, eps)
            if not abs(ours[index] - numeric) <= atol + rtol * abs(numeric):
                name = leaves[k].name or f"input {k}"
                at = list(index) if index else "()"
                yield (
                    f"the gradient with respect to {name} (input {k}) at index {at} is "
                    f"{ours[index]:.8g}, finite differences give {numeric:.8g}"
                )


def _central(
    f: Function, leaves: Sequence[Tensor], k: int, index: tuple[int, ...], eps: float
) -> float:
    """(f(x + ε) − f(x − ε)) / 2ε in one entry of one input; the leaves stay as they are."""
    ends = []
    for step in (eps, -eps):
        moved = leaves[k].numpy()
        moved[index] += step
        replaced = tensor(moved, requires_grad=leaves[k].requires_grad, name=leaves[k].name)
        ends.append(f(*leaves[:k], replaced, *leaves[k + 1 :]).item())
    return (ends[0] - ends[1]) / (2 * eps)
