"""Calculus on a recorded graph: both modes, Jacobian and Hessian, all from the cards' one rule.

Reverse mode walks the ancestry from the youngest to the oldest, handing each op's cotangent to its
inputs. On arrays that gives numbers (`backward`, `vjp`); on tensors it records the gradient as a
graph (`grad`), to differentiate again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sys import getrefcount
from typing import Any, overload
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike

from microrecur.engine.errors import ShapeError
from microrecur.engine.reverse import fitted, swept
from microrecur.engine.tensor import Tensor, ancestry, current_scope, scope_from
from microrecur.engine.tracing import look_at, tracing

Seed = ArrayLike | Tensor | None
ALONE = 2  # references to an array that nobody else holds: a local name, and getrefcount's own

# Recorded cotangent -> (y, x) of the ∂y/∂x it holds; forgotten with the cotangent.
_GRADIENTS: WeakKeyDictionary[Tensor, tuple[Tensor, Tensor]] = WeakKeyDictionary()


def gradient_of(t: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return (y, x) when t was recorded as ∂y/∂x by `grad`; None otherwise.

    Where one tensor is the gradient by several (of a sum's terms, say) it is the named one's.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> x = tensor(3.0, name="x")
    >>> y = x**3
    >>> [t is found for t, found in zip((y, x), gradient_of(grad(y, x)))]
    [True, True]
    """
    return _GRADIENTS.get(t)


def recorded_gradients() -> dict[Tensor, Tensor]:
    """Return the x of every ∂y/∂x that was recorded and still is somewhere."""
    return {g: x for g, (_, x) in _GRADIENTS.items()}


def _remember(g: Tensor, y: Tensor, x: Tensor) -> None:
    trace = tracing()
    if trace is not None:  # let go with the recording, so nothing weak is needed
        if g.op is not None and (g not in trace.gradients or x.name is not None):
            trace.gradients[g] = x
        return
    known = _GRADIENTS.get(g)
    if g.op is not None and (known is None or (known[1].name is None and x.name is not None)):
        _GRADIENTS[g] = y, x


def _dependents(nodes: Sequence[Tensor], sources: Iterable[Tensor]) -> set[Tensor]:
    """Those of the nodes (oldest first) that were computed from a source, sources included."""
    found = set(sources)
    for node in nodes:
        if node.op is not None and node.op.differentiable and not found.isdisjoint(node.inputs):
            found.add(node)
    return found


def _on_the_way(y: Tensor, sources: Iterable[Tensor]) -> list[Tensor]:
    """What y was computed from that depends on a source, oldest first."""
    nodes = ancestry([y])
    found = _dependents(nodes, sources)
    return [node for node in nodes if node in found]


def _recorded_sweep(
    nodes: Sequence[Tensor],
    wanted: set[Tensor],
    keep: set[Tensor],
    y: Tensor,
    seed: Tensor,
    by_result: bool,
) -> dict[Tensor, Tensor]:
    """Hand cotangents from y back along the wanted nodes, oldest given first; return `keep`'s.

    Each is a tensor, filed under ∂/ + its forward node's scope. Partials are written in the results
    where cards do so, if `by_result`.
    """
    cotangents: dict[Tensor, Any] = {y: seed}
    for node in reversed(nodes):
        if node.op is None or node not in wanted:
            continue
        # What is not asked for is let go as soon as it has been handed on.
        g = cotangents.get(node) if node in keep else cotangents.pop(node, None)
        if g is None:
            continue
        _remember(g, y, node)
        op: Any = node.op
        pull = op.pull_by_result if by_result else op.pull
        with scope_from(("∂", *node.scope)):
            for k, x in enumerate(node.inputs):
                part = pull(k, g, node, node.inputs, node.static) if x in wanted else None
                if part is None:
                    continue
                part = fitted(part, x)
                before = cotangents.get(x)
                cotangents[x] = part if before is None else before + part
    return cotangents


def _seed(y: Tensor, seed: Seed, asked: str) -> np.ndarray:
    """The cotangent to start from: ones for one number, else what the caller gives."""
    if not isinstance(y, Tensor):
        raise TypeError(f"{asked} differentiates a recorded tensor, not a {type(y).__name__}")
    if seed is None:
        if y.size != 1:
            raise ShapeError(
                f"{asked}: {y._label()} has shape {y.shape}, {y.size} numbers, so there is no "
                f"single gradient; reduce it first (y.sum()), or pass a gradient of shape {y.shape}"
            )
        return np.ones(y.shape, y.dtype)
    given = np.asarray(seed._data if isinstance(seed, Tensor) else seed, dtype=y.dtype)
    if given.shape != y.shape:
        raise ShapeError(
            f"{asked}: the gradient given has shape {given.shape}, but {y._label()} has {y.shape}"
        )
    return given


def backward(y: Tensor, gradient: Seed = None) -> None:
    """Bring ∂y/∂leaf to the `.grad` of every leaf that requires it.

    Leaves accumulate over calls (as torch); named intermediates have theirs overwritten, so a
    second call leaves no half-sums behind.

    Parameters
    ----------
    y : Tensor
        What to differentiate.
    gradient : array_like, optional
        Of y's shape: ∂L/∂y of what comes after y. Ones when y is one number.

    Raises
    ------
    ShapeError
        When y has more than one number and no gradient is given, or the shapes differ.
    StaleGraphError
        When a leaf was assigned a new value after y had been computed.
    RuntimeError
        When nothing that y was computed from requires a gradient.
    """
    seed = _seed(y, gradient, "backward()")
    if not y.requires_grad:
        raise RuntimeError(
            f"backward(): {y._label()} was computed from nothing that requires a gradient; make a "
            "leaf with tensor(..., requires_grad=True), and compute outside no_grad()"
        )
    found = swept([node for node in ancestry([y]) if node.requires_grad], y, seed)
    while found:
        node, g = found.popitem()
        if node.op is None and node.grad is not None:
            node.grad = node.grad + g
        else:
            # A copy where the same array may have been handed to several nodes.
            alone = type(g) is np.ndarray and g.base is None and getrefcount(g) == ALONE
            node.grad = g if alone and g is not seed else np.array(g)


@overload
def grad(y: Tensor, xs: Tensor, seed: Seed = None, *, by_result: bool = ...) -> Tensor: ...
@overload
def grad(
    y: Tensor, xs: Sequence[Tensor], seed: Seed = None, *, by_result: bool = ...
) -> list[Tensor]: ...


def grad(
    y: Tensor, xs: Tensor | Sequence[Tensor], seed: Seed = None, *, by_result: bool = False
) -> Tensor | list[Tensor]:
    """Return ∂y/∂x of each x as recorded tensors, to be drawn or differentiated again.

    Parameters
    ----------
    y : Tensor
        What to differentiate.
    xs : Tensor or sequence of Tensor
        Leaves or intermediates.
    seed : array_like or Tensor, optional
        Cotangent of y, of its shape; ones when y is one number.
    by_result : bool
        Write σ′ as y(1−y) and tanh′ as 1−y²: fewer nodes, the same to 1e-15 absolute, but without
        the digits that sech² keeps in deep saturation.

    Returns
    -------
    Tensor or list of Tensor
        Each of its x's shape; zeros where y does not depend on x.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> x = tensor(3.0)
    >>> g = grad(x**3, x)
    >>> g.item(), grad(g, x).item()
    (27.0, 18.0)
    """
    many = [xs] if isinstance(xs, Tensor) else list(xs)
    checked = _seed(y, seed, "grad()")
    start = seed if isinstance(seed, Tensor) else Tensor(checked, scope=current_scope())
    nodes = ancestry([y])
    wanted = _dependents(nodes, many)
    cotangents = _recorded_sweep(nodes, wanted, set(many), y, start, by_result)
    found = [cotangents.get(x) for x in many]
    for x, g in zip(many, found, strict=True):
        if g is not None:
            _remember(g, y, x)
    gradients = [
        Tensor(np.zeros(x.shape, x.dtype)) if g is None else g
        for x, g in zip(many, found, strict=True)
    ]
    return gradients[0] if isinstance(xs, Tensor) else gradients


@overload
def vjp(y: Tensor, xs: Tensor, seed: Seed = None) -> np.ndarray: ...
@overload
def vjp(y: Tensor, xs: Sequence[Tensor], seed: Seed = None) -> list[np.ndarray]: ...


def vjp(
    y: Tensor, xs: Tensor | Sequence[Tensor], seed: Seed = None
) -> np.ndarray | list[np.ndarray]:
    """Return vᵀ·∂y/∂x of each x as plain arrays; nothing is recorded and no `.grad` is touched.

    Parameters
    ----------
    y : Tensor
        What to differentiate.
    xs : Tensor or sequence of Tensor
        Leaves or intermediates.
    seed : array_like, optional
        v, of y's shape; ones when y is one number.

    Returns
    -------
    ndarray or list of ndarray
        Each of its x's shape; zeros where y does not depend on x.
    """
    look_at(y, "vjp(), which gives numbers where mr.grad gives tensors,")
    start = _seed(y, seed, "vjp()")
    many = [xs] if isinstance(xs, Tensor) else list(xs)
    cotangents = swept(_on_the_way(y, many), y, start, set(many))
    found = [np.array(cotangents.get(x, np.zeros(x.shape, x.dtype))) for x in many]
    return found[0] if isinstance(xs, Tensor) else found


def jvp(
    y: Tensor, xs: Tensor | Sequence[Tensor], tangents: ArrayLike | Sequence[ArrayLike]
) -> np.ndarray:
    """Return ∂y/∂x · t, summed over the xs, in one sweep forward.

    Parameters
    ----------
    y : Tensor
        What to differentiate.
    xs : Tensor or sequence of Tensor
        Leaves or intermediates.
    tangents : array_like or sequence of array_like
        A direction of its shape for each x.

    Returns
    -------
    ndarray
        Of y's shape.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> x = tensor([1.0, 2.0])
    >>> jvp(x * x, [x], [[1.0, 0.0]])
    array([2., 0.])
    """
    look_at(y, "jvp(), which gives numbers,")
    moving: dict[Tensor, Any] = {}
    given: Any = ([xs], [tangents]) if isinstance(xs, Tensor) else (xs, tangents)
    for x, t in zip(*given, strict=True):
        direction = np.asarray(t, dtype=x.dtype)
        if direction.shape != x.shape:
            raise ShapeError(
                f"jvp(): a tangent has shape {direction.shape}, but {x._label()} has {x.shape}"
            )
        moving[x] = moving[x] + direction if x in moving else direction
    nodes = ancestry([y])
    wanted = _dependents(nodes, list(moving))
    for node in nodes:
        if node in moving or node not in wanted or node.op is None:
            continue
        arrays = [x._data for x in node.inputs]
        t = node.op.push([moving.get(x) for x in node.inputs], node._data, arrays, node.static)
        if t is not None:
            moving[node] = t
    found: Any = moving.get(y, 0.0)
    return np.array(np.broadcast_to(found, y.shape), y.dtype)


def jacobian(y: Tensor, x: Tensor) -> np.ndarray:
    """Return ∂y/∂x, of shape y.shape + x.shape: one sweep back per number of y."""
    look_at(y, "jacobian(), which gives numbers,")
    nodes, keep = _on_the_way(y, [x]), {x}
    rows = np.zeros((y.size, *x.shape), x.dtype)
    for k in range(y.size):
        start = np.zeros(y.size, y.dtype)
        start[k] = 1
        cotangents = swept(nodes, y, start.reshape(y.shape), keep)
        if x in cotangents:
            rows[k] = cotangents[x]
    return rows.reshape(y.shape + x.shape)


def hessian(y: Tensor, x: Tensor) -> np.ndarray:
    """Return ∂²y/∂x∂x of one number y, of shape x.shape + x.shape.

    Raises
    ------
    ShapeError
        When y holds more than one number.
    """
    _seed(y, None, "hessian()")
    return jacobian(grad(y, x), x)
