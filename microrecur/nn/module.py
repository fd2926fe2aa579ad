"""A module: parameters and other modules kept as attributes, found by name, saved and loaded."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from microrecur.engine.tensor import (
    Tensor,
    current_scope,
    is_recording,
    outside_steps,
    scope_from,
    tensor,
)
from microrecur.engine.tracing import tracing


class Module:
    """Base of cells, layers and models; attributes that require a gradient are its parameters.

    Attributes may hold tensors, modules, and lists or tuples of modules. Those whose name begins
    with an underscore are never parameters and are not saved. A subclass writes `forward`; calling
    the module runs it.

    Examples
    --------
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = tensor(2.0, requires_grad=True, name="factor")
    ...
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> Scale()(3.0).item()
    6.0
    """

    training: bool = True

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run `forward` on the inputs."""
        result = self.forward(*inputs, **options)
        watch = _watch.get()
        if watch is not None:
            watch(self, result)
        return result

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the outputs; each module writes its equations here."""
        name = type(self).__name__
        raise NotImplementedError(f"{name} has no forward(): write what it computes there")

    # -- what it holds -----------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) of the modules it holds itself; those of a list as "name.0"."""
        for name, value in vars(self).items():
            if name.startswith("_"):
                continue
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple)):
                modules = ((k, m) for k, m in enumerate(value) if isinstance(m, Module))
                yield from ((f"{name}.{k}", module) for k, module in modules)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield (dotted name, module) of itself, named "", and of every module inside it."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def _own(self) -> Iterator[tuple[str, Tensor]]:
        """Yield (name, parameter) of those it holds itself."""
        for name, value in vars(self).items():
            held = not name.startswith("_") and isinstance(value, Tensor)
            if held and value.is_leaf and value.requires_grad:
                yield name, value

    def _entries(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, parameter), its own first; one that is held twice comes twice."""
        for name, parameter in self._own():
            yield prefix + name, parameter
        for name, child in self.named_children():
            yield from child._entries(f"{prefix}{name}.")

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, parameter), its own before its children's, each once."""
        seen: set[Tensor] = set()
        for name, parameter in self._entries(prefix):
            if parameter not in seen:
                seen.add(parameter)
                yield name, parameter

    def parameters(self) -> list[Tensor]:
        """Return the parameters in order, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    # -- how it behaves ----------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Turn on what acts in training alone (dropout), here and in all modules inside."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Turn off what acts in training alone."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget every parameter's gradient."""
        for parameter in self.parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy of every parameter's numbers by dotted name (torch's names and shapes)."""
        return {name: parameter.numpy() for name, parameter in self._entries()}

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
        own = dict(self._entries())
        missing, extra = [n for n in own if n not in state], [n for n in state if n not in own]
        if missing or extra:
            raise KeyError(
                f"{type(self).__name__}.load_state_dict: missing {missing or 'none'}, "
                f"unexpected {extra or 'none'}; this module has {list(own)}"
            )
        given = {name: np.asarray(state[name]) for name in own}
        misfits = [
            f"{name} is {given[name].shape}, this module's is {p.shape}"
            if given[name].shape != p.shape
            else f"{name} holds {given[name].dtype}, which are no real numbers"
            for name, p in own.items()
            if given[name].shape != p.shape or given[name].dtype.kind not in "biuf"
        ]
        if misfits:
            raise ValueError(f"{type(self).__name__}.load_state_dict: {'; '.join(misfits)}")
        for name, parameter in own.items():
            parameter.assign(given[name])

    def to(self, dtype: DTypeLike) -> Self:
        """Turn every parameter into this floating-point dtype (a new leaf under the same name).

        An optimiser made before keeps the old leaves: make it afterwards.
        """
        turned: dict[Tensor, Tensor] = {}  # one that is held twice stays one
        holders = [holder for _, module in self.named_modules() for holder in module._holders()]
        for holder in holders:
            for name, value in vars(holder).items():
                if name.startswith("_") or not isinstance(value, Tensor):
                    continue
                if value not in turned:
                    turned[value] = tensor(
                        value, requires_grad=value.requires_grad, name=value.name, dtype=dtype
                    )
                setattr(holder, name, turned[value])
        return self

    def _holders(self) -> Sequence[Module]:
        """The modules whose attributes its own parameters are: itself, but for a layer of cells."""
        return [self]

    def _kept_view(
        self, parameter: Tensor, key: Any, make: Callable[[Tensor], Tensor], name: str
    ) -> Tensor:
        """A named view of a parameter, filed outside any step and shared by all steps.

        It is kept as long as the parameter keeps its value, so a weight's gradient is gathered
        once.
        """
        trace = tracing()
        # A recording that is compiled has views of its own: it neither finds nor leaves any.
        views = self.__dict__.setdefault("_views", {}) if trace is None else trace.views_of(self)
        kept: dict[Any, Any] = views
        outside = outside_steps(current_scope())
        key = (key, outside, is_recording())
        version = (parameter, parameter.serial, parameter.requires_grad)
        found = kept.get(key)
        if found is None or found[0] != version:
            with scope_from(outside):
                view = make(parameter)
            found = kept[key] = (version, view.named(name))
        return found[1]

    def __getstate__(self) -> dict[str, Any]:
        # What begins with an underscore is a cache of recorded tensors, made again when needed.
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}

    # -- how it shows ------------------------------------------------------------------------------

    def _options(self) -> str:
        """What the constructor was told, as the repr shows it; empty for nothing worth showing."""
        return ""

    def _line(self) -> str:
        """One line: the type, its options, its own parameters, and how many numbers they hold."""
        own = [f"{name} {p.shape}" for name, p in self._own()]
        total = sum(p.size for p in self.parameters())
        said = [part for part in (self._options(), ", ".join(own)) if part]
        return f"{type(self).__name__}({'; '.join([*said, f'{total:,} parameters'])})"

    def __repr__(self) -> str:
        lines = [self._line()]
        for name, child in self.named_children():
            lines += textwrap.indent(f"{name}: {child!r}", "  ").splitlines()
        return "\n".join(lines)


_watch: ContextVar[Callable[[Module, Any], None] | None] = ContextVar("watch", default=None)


@contextmanager
def watching(note: Callable[[Module, Any], None]) -> Iterator[None]:
    """Call note(module, result) after each module that runs inside, innermost first."""
    token = _watch.set(note)
    try:
        yield
    finally:
        _watch.reset(token)


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
