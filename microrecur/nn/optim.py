"""Optimisers, each step equal to torch's.

They read `.grad` and change parameters by `assign`, so a graph recorded before a step is refused
afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from microrecur.engine.tensor import Tensor
from microrecur.nn.module import Module

Arrays = dict[str, np.ndarray]


class Optimizer:
    """What the optimisers share: the parameters, their arrays of state, settings, saving.

    A subclass names its `settings` and writes `change`.

    Parameters
    ----------
    parameters : Module or iterable of Tensor
        Leaves that require gradients.
    lr : float
        The learning rate; `optimizer.lr` may be changed between steps, as schedules do.
    """

    settings: ClassVar[tuple[str, ...]] = ("lr",)

    def __init__(self, parameters: Module | Iterable[Tensor], lr: float) -> None:
        given = parameters.parameters() if isinstance(parameters, Module) else parameters
        self.parameters = list(given)
        name = type(self).__name__
        if not self.parameters:
            raise ValueError(f"{name}: there are no parameters to change")
        if len(set(self.parameters)) < len(self.parameters):
            raise ValueError(f"{name}: a parameter is listed twice")
        for k, p in enumerate(self.parameters):
            if not (isinstance(p, Tensor) and p.is_leaf and p.requires_grad):
                raise TypeError(
                    f"{name}: parameter {k} is {p!r}; it must be a leaf that requires a gradient"
                )
        self.lr = lr
        self.state: list[Arrays] = [{} for _ in self.parameters]

    def _check(self, **limits: tuple[float, float]) -> None:
        """Raise ValueError for a setting outside its limits, lo ≤ value < hi."""
        for setting, (lo, hi) in {"lr": (0.0, np.inf), **limits}.items():
            value = getattr(self, setting)
            if not lo <= value < hi:
                raise ValueError(
                    f"{type(self).__name__}: {setting} is a number from {lo:g} to less than "
                    f"{hi:g}, not {value!r}"
                )

    def zero_grad(self) -> None:
        """Forget every parameter's gradient."""
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        """Change each parameter that has a gradient.

        Raises
        ------
        RuntimeError
            When none has: `backward` has not been called.
        """
        moved = False
        for p, state in zip(self.parameters, self.state):
            if p.grad is None:
                continue
            moved = True
            state["step"] = state.get("step", np.zeros((), np.int64)) + 1
            p.assign(self.change(p._data, p.grad, state, int(state["step"])))
        if not moved:
            raise RuntimeError(
                f"{type(self).__name__}.step(): no parameter has a gradient; call loss.backward() "
                "between zero_grad() and step()"
            )

    def change(self, p: np.ndarray, g: np.ndarray, state: Arrays, step: int) -> np.ndarray:
        """Return the new p from its gradient g; step counts from 1. Keep arrays in `state`."""
        raise NotImplementedError(f"{type(self).__name__} has no change(): write its rule there")

    # -- saving ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on, besides parameters and gradients.

        Returns
        -------
        dict
            "settings": numbers by name; "arrays": a copy of every array by "k.name", k the place of
            its parameter.
        """
        arrays = {
            f"{k}.{name}": np.array(value)
            for k, state in enumerate(self.state)
            for name, value in state.items()
        }
        return {"settings": {n: getattr(self, n) for n in self.settings}, "arrays": arrays}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken; nothing changes unless everything fits.

        Raises
        ------
        KeyError
            When settings are missing or unknown.
        ValueError
            When arrays do not belong to these parameters.
        """
        name = type(self).__name__
        settings = dict(saved["settings"])
        missing = [s for s in self.settings if s not in settings]
        extra = [s for s in settings if s not in self.settings]
        if missing or extra:
            raise KeyError(
                f"{name}.load_state_dict: missing settings {missing or 'none'}, unexpected "
                f"{extra or 'none'}; this optimiser has {list(self.settings)}"
            )
        state: list[Arrays] = [{} for _ in self.parameters]
        for key, value in saved["arrays"].items():
            place, _, array_name = key.partition(".")
            array = np.array(value)
            known = place.isdecimal() and int(place) < len(state)
            shape = (
                () if array_name == "step" else self.parameters[int(place)].shape if known else None
            )
            if not known or array.shape != shape:
                raise ValueError(
                    f"{name}.load_state_dict: {key} {array.shape} belongs to none of these "
                    f"{len(state)} parameters"
                )
            state[int(place)][array_name] = array
        for setting, value in settings.items():
            setattr(self, setting, tuple(value) if isinstance(value, list) else value)
        self.state = state

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.settings)
        return f"{type(self).__name__}({said}; {len(self.parameters)} parameters)"


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's look-ahead (Sutskever et al. 2013).

    Parameters
    ----------
    parameters, lr
        As for `Optimizer`.
    momentum : float
        What stays of the last step's direction.
    dampening : float
        What is left out of the gradient once there is a direction.
    weight_decay : float
        Adds weight_decay · p to the gradient.
    nesterov : bool
        Take the gradient where momentum leads; needs momentum > 0 and no dampening.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> p = tensor(1.0, requires_grad=True)
    >>> optimizer = SGD([p], lr=0.25)
    >>> (p * p).backward()
    >>> optimizer.step()
    >>> p.item()
    0.5
    """

    settings = ("lr", "momentum", "dampening", "weight_decay", "nesterov")

    def __init__(
        self,
        parameters: Module | Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr)
        self.momentum, self.dampening = momentum, dampening
        self.weight_decay, self.nesterov = weight_decay, nesterov
        self._check(momentum=(0, np.inf), weight_decay=(0, np.inf))
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"SGD: nesterov=True needs momentum > 0 and dampening=0, not momentum={momentum!r} "
                f"and dampening={dampening!r}"
            )

    def change(self, p: np.ndarray, g: np.ndarray, state: Arrays, step: int) -> np.ndarray:
        """Return p − lr · direction."""
        if self.weight_decay:
            g = g + self.weight_decay * p
        if self.momentum:
            before = state.get("momentum")
            if before is None:
                direction = np.array(g)  # a copy: .grad is the caller's, to scale or to clear
            else:
                direction = self.momentum * before + (1 - self.dampening) * g
            state["momentum"] = direction
            g = g + self.momentum * direction if self.nesterov else direction
        return p - self.lr * g


class RMSprop(Optimizer):
    """The gradient over the root of its running mean square (Tieleman & Hinton 2012).

    Parameters
    ----------
    parameters, lr, weight_decay, momentum
        As for `SGD`.
    alpha : float
        What stays of the mean square at each step.
    eps : float
        Added to the root.
    centered : bool
        Subtract the running mean's square, so that the root is of a variance.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> p = tensor(1.0, requires_grad=True)
    >>> optimizer = RMSprop([p], lr=0.01, alpha=0.75)
    >>> (p * p).backward()
    >>> optimizer.step()
    >>> round(p.item(), 6)
    0.98
    """

    settings = ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")

    def __init__(
        self,
        parameters: Module | Iterable[Tensor],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(parameters, lr)
        self.alpha, self.eps, self.weight_decay = alpha, eps, weight_decay
        self.momentum, self.centered = momentum, centered
        self._check(
            alpha=(0, np.inf), eps=(0, np.inf), weight_decay=(0, np.inf), momentum=(0, np.inf)
        )

    def change(self, p: np.ndarray, g: np.ndarray, state: Arrays, step: int) -> np.ndarray:
        """Return p − lr · g / (√v + eps), or a step along the momentum of that."""
        if self.weight_decay:
            g = g + self.weight_decay * p
        v = state["square"] = _running(state.get("square"), g * g, self.alpha)
        if self.centered:
            mean = state["mean"] = _running(state.get("mean"), g, self.alpha)
            v = v - mean * mean
        move = g / (np.sqrt(v) + self.eps)
        if self.momentum:
            before = state.get("momentum", np.zeros_like(p))
            move = state["momentum"] = self.momentum * before + move
        return p - self.lr * move


class Adam(Optimizer):
    """Running means of the gradient and its square, both without bias (Kingma & Ba 2015).

    Parameters
    ----------
    parameters, lr, weight_decay
        As for `SGD`.
    betas : (float, float)
        What stays of the two means at each step.
    eps : float
        Added to the root.

    Examples
    --------
    >>> from microrecur.engine.tensor import tensor
    >>> p = tensor(1.0, requires_grad=True)
    >>> optimizer = Adam([p], lr=0.1)
    >>> (p * p).backward()
    >>> optimizer.step()
    >>> round(p.item(), 6)
    0.9
    """

    settings = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        parameters: Module | Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        self.betas, self.eps, self.weight_decay = tuple(betas), eps, weight_decay
        self._check(eps=(0, np.inf), weight_decay=(0, np.inf))
        if len(self.betas) != 2 or not all(0 <= b < 1 for b in self.betas):
            raise ValueError(
                f"{type(self).__name__}: betas are two numbers from 0 to less than 1, not {betas!r}"
            )

    def change(self, p: np.ndarray, g: np.ndarray, state: Arrays, step: int) -> np.ndarray:
        """Return p − lr · m̂ / (√v̂ + eps)."""
        if self.weight_decay:
            p, g = self._decay(p, g)
        keep, keep_square = self.betas
        m = state["mean"] = _running(state.get("mean"), g, keep)
        v = state["square"] = _running(state.get("square"), g * g, keep_square)
        root = np.sqrt(v) / math.sqrt(1 - keep_square**step) + self.eps
        return p - self.lr / (1 - keep**step) * (m / root)

    def _decay(self, p: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As a penalty: its gradient goes through the means."""
        return p, g + self.weight_decay * p


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself (Loshchilov & Hutter 2019).

    Parameters
    ----------
    parameters, lr, betas, eps
        As for `Adam`.
    weight_decay : float
        p shrinks by lr · weight_decay · p at each step.
    """

    def __init__(
        self,
        parameters: Module | Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def _decay(self, p: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Past the means: the parameter alone."""
        return p * (1 - self.lr * self.weight_decay), g


def _running(before: np.ndarray | None, new: np.ndarray, keep: float) -> np.ndarray:
    """The running mean after one more value; it starts from 0."""
    fresh = (1 - keep) * new
    return fresh if before is None else keep * before + fresh
