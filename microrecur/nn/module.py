"""A module: parameters and other modules kept as attributes, found by name, saved and loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from microrecur.engine.tensor import Tensor, tensor


class Module:
    """Base of cells and layers; public attributes that require a gradient are its parameters.

    Attributes whose name begins with an underscore are never parameters and are not saved.
    """

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, parameter) in the order the attributes were set, each once."""
        for name, value in vars(self).items():
            if name.startswith("_"):
                continue
            if isinstance(value, Tensor) and value.is_leaf and value.requires_grad:
                yield prefix + name, value
            elif isinstance(value, Module):
                yield from value.named_parameters(f"{prefix}{name}.")

    def parameters(self) -> list[Tensor]:
        """Return the parameters in order."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> None:
        """Forget every parameter's gradient."""
        for parameter in self.parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy of every parameter's numbers by dotted name (torch's names and shapes)."""
        return {name: parameter.numpy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take every parameter's numbers from a mapping such as `state_dict()` or torch's gives.

        Nothing is changed unless everything fits.

        Raises
        ------
        KeyError
            When names are missing or unknown; both are listed.
        ValueError
            When a shape differs; every one that does is listed.
        """
        own = dict(self.named_parameters())
        missing, extra = [n for n in own if n not in state], [n for n in state if n not in own]
        if missing or extra:
            raise KeyError(
                f"{type(self).__name__}.load_state_dict: missing {missing or 'none'}, "
                f"unexpected {extra or 'none'}; this module has {list(own)}"
            )
        given = {name: np.asarray(state[name]) for name in own}
        misfits = [
            f"{name} is {given[name].shape}, this module's is {p.shape}"
            for name, p in own.items()
            if given[name].shape != p.shape
        ]
        if misfits:
            raise ValueError(f"{type(self).__name__}.load_state_dict: {'; '.join(misfits)}")
        for name, parameter in own.items():
            parameter.assign(given[name])

    def to(self, dtype: DTypeLike) -> Module:
        """Turn every parameter into this floating-point dtype (a new leaf under the same name)."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                value.to(dtype)
            elif not name.startswith("_") and isinstance(value, Tensor):
                changed = tensor(
                    value, requires_grad=value.requires_grad, name=value.name, dtype=dtype
                )
                setattr(self, name, changed)
        return self

    def __getstate__(self) -> dict[str, Any]:
        # What begins with an underscore is a cache of recorded tensors, made again when needed.
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}

    def __repr__(self) -> str:
        total = sum(p.size for p in self.parameters())
        inner = ", ".join(f"{name} {p.shape}" for name, p in self.named_parameters())
        return f"{type(self).__name__}({inner}; {total:,} parameters)"


def generator(rng: np.random.Generator | None, seed: int | None) -> np.random.Generator:
    """Return the generator given, or a new one from the seed.

    Raises
    ------
    TypeError
        When both are given: which one should count?
    """
    if rng is not None and seed is not None:
        raise TypeError("give rng= or seed=, not both: which one should draw the weights?")
    return rng if rng is not None else np.random.default_rng(seed)
