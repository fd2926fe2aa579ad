"""Layers without a memory: Linear, Embedding, Dropout, LayerNorm, and a Sequential of modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from microrecur.engine import ops
from microrecur.engine.errors import ShapeError
from microrecur.engine.tensor import Tensor, scope, tensor
from microrecur.engine.tracing import plain, stands_for_array, taken, tracing
from microrecur.nn.module import Module, generator


class Linear(Module):
    """y = x Wᵀ + b, with torch's parameters.

    Parameters
    ----------
    in_features, out_features : int
        weight is (out, in), bias (out,), both drawn from U(−1/√in, 1/√in).
    bias : bool
        Whether there is a bias.
    rng, seed : numpy Generator or int, optional
        What draws the weights.
    dtype : dtype, optional
        float64 when not given.

    Examples
    --------
    >>> Linear(3, 2, seed=0)(np.ones((4, 3))).shape
    (4, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        seed: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.in_features = whole("Linear: in_features", in_features)
        self.out_features = whole("Linear: out_features", out_features)
        draw, limit = generator(rng, seed), 1 / np.sqrt(in_features)

        def parameter(name: str, *shape: int) -> Tensor:
            numbers = draw.uniform(-limit, limit, shape)
            return tensor(numbers, requires_grad=True, name=name, dtype=dtype)

        self.weight = parameter("weight", self.out_features, self.in_features)
        self.bias = parameter("bias", self.out_features) if bias else None

    def forward(self, x: Any) -> Tensor:
        """Return y of shape (…, out) for x of shape (…, in)."""
        x = as_tensor(x, self.weight)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"Linear: {x.name or 'x'} has shape {x.shape}, weight expects "
                f"(…, {self.in_features}) (in_features={self.in_features})"
            )
        y = x @ self._kept_view(self.weight, "W", lambda weight: weight.T, "W")
        return y if self.bias is None else y + self.bias

    def _options(self) -> str:
        return f"{self.in_features}, {self.out_features}"


class Embedding(Module):
    """A vector for each of K symbols: row k of weight, (K, D), drawn from N(0, 1).

    A symbol that occurs several times gathers the gradient of all its places.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        K and D.
    rng, seed, dtype
        As for `Linear`.

    Examples
    --------
    >>> Embedding(10, 4, seed=0)([[1, 2, 1]]).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        rng: np.random.Generator | None = None,
        seed: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.num_embeddings = whole("Embedding: num_embeddings", num_embeddings)
        self.embedding_dim = whole("Embedding: embedding_dim", embedding_dim)
        numbers = generator(rng, seed).normal(size=(num_embeddings, embedding_dim))
        self.weight = tensor(numbers, requires_grad=True, name="weight", dtype=dtype)

    def forward(self, indices: Any) -> Tensor:
        """Return the rows of the indices, of shape (*indices.shape, D)."""
        return self.weight[plain(_checked_places, indices, rows=self.num_embeddings)]

    def _options(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


def _checked_places(places: np.ndarray, *, rows: int) -> np.ndarray:
    if places.dtype.kind not in "iu":
        raise TypeError(f"Embedding: indices are whole numbers, these have dtype {places.dtype}")
    if places.size and (places.min() < 0 or places.max() >= rows):
        raise IndexError(
            f"Embedding: indices run from {places.min()} to {places.max()}, but there are "
            f"rows 0 to {rows - 1} (num_embeddings={rows})"
        )
    return places


class Dropout(Module):
    """In training each number is 0 with probability p, and the others grow by 1/(1−p).

    The mask is recorded, and so is what it came from: the scope says p, the seed and the number of
    the call, and `keep_mask(seed, call, shape, p)` is that mask again.

    Parameters
    ----------
    p : float
        From 0 to 1.
    seed : int, optional
        Chosen at random when None; either way it is `self.seed`. With the number of calls so far,
        `self.calls`, it says all that later masks depend on.

    Examples
    --------
    >>> drop = Dropout(0.5, seed=0)
    >>> drop(np.ones(6)).data
    array([2., 0., 0., 0., 2., 2.])
    >>> drop.eval()(np.ones(6)).data
    array([1., 1., 1., 1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, *, seed: int | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is a probability from 0 to 1, not {p!r}")
        self.p = float(p)
        self.seed = int(np.random.default_rng().integers(2**32)) if seed is None else int(seed)
        self.calls = 0

    def forward(self, x: Any) -> Tensor:
        """Return x with numbers dropped; x itself in evaluation."""
        x = x if isinstance(x, Tensor) and not stands_for_array(x) else tensor(x)
        if not self.training or self.p == 0:
            return x
        trace = tracing()
        if trace is not None:  # a compiled call draws the mask that this call would have drawn
            like = np.ones(x.shape, x.dtype)
            with scope(f"dropout p={self.p:g} seed={self.seed}"):
                return x * trace.drawn(lambda: self._mask(like), like, "mask")
        with scope(f"dropout p={self.p:g} seed={self.seed} call={self.calls}"):
            return x * tensor(self._mask(x), name="mask", dtype=x.dtype)

    def _mask(self, like: Any) -> np.ndarray:
        """What the next call multiplies by: 0 or 1/(1−p), of the shape and dtype of `like`."""
        call, self.calls = self.calls, self.calls + 1
        kept = keep_mask(self.seed, call, like.shape, self.p)
        scaled = kept / (1 - self.p) if self.p < 1 else kept * 0.0
        return scaled.astype(like.dtype)

    def _options(self) -> str:
        return f"p={self.p:g}"


def keep_mask(seed: int, call: int, shape: tuple[int, ...], p: float) -> np.ndarray:
    """Which numbers a `Dropout` of this seed keeps in its call number `call` (from 0)."""
    return np.random.default_rng((seed, call)).random(shape) >= p


class LayerNorm(Module):
    """(x − mean) / √(variance + eps) over the last axes, times a gain, plus a shift.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The last axes of x; weight and bias have this shape.
    eps : float
        Added to the variance.
    dtype : dtype, optional
        float64 when not given.

    Examples
    --------
    >>> LayerNorm(3)([1.0, 2.0, 3.0]).data.round(2)
    array([-1.22,  0.  ,  1.22])
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        *,
        dtype: DTypeLike | None = None,
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(whole("LayerNorm: normalized_shape", n) for n in shape)
        self.eps = eps
        ones = np.ones(self.normalized_shape)
        self.weight = tensor(ones, requires_grad=True, name="weight", dtype=dtype)
        self.bias = tensor(0 * ones, requires_grad=True, name="bias", dtype=dtype)

    def forward(self, x: Any) -> Tensor:
        """Return x normalised, of its shape."""
        x = as_tensor(x, self.weight)
        if x.shape[-len(self.normalized_shape) :] != self.normalized_shape:
            raise ShapeError(
                f"LayerNorm: {x.name or 'x'} has shape {x.shape}, its last axes must be "
                f"{self.normalized_shape} (normalized_shape)"
            )
        return layer_norm(x, self.weight, self.bias, self.eps)

    def _options(self) -> str:
        return f"{', '.join(map(str, self.normalized_shape))}"


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """(x − mean) / √(variance + eps) · weight + bias, over as many last axes as weight has."""
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    centred = x - ops.mean(x, axis=axes, keepdims=True)
    variance = ops.mean(centred * centred, axis=axes, keepdims=True)
    return centred / ops.sqrt(variance + eps) * weight + bias


class Sequential(Module):
    """Modules one after the other, each given what the one before returns.

    Module k files what it records under the scope "k", so that ids begin as its parameters' names
    do: the forget gate of an LSTM that comes first is `0.t3.f`.

    Parameters
    ----------
    *modules : Module

    Examples
    --------
    >>> model = Sequential(Linear(3, 4, seed=0), Dropout(0.1), Linear(4, 2, seed=1))
    >>> model(np.ones((5, 3))).shape
    (5, 2)
    >>> list(model.state_dict())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *modules: Module) -> None:
        for k, module in enumerate(modules):
            if not callable(module):
                raise TypeError(f"Sequential: argument {k + 1}, {module!r}, cannot be called")
        self.modules = modules

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield ("0", first module), ("1", second module), …; plain functions are left out."""
        for k, module in enumerate(self.modules):
            if isinstance(module, Module):
                yield str(k), module

    def forward(self, x: Any) -> Any:
        """Return what the last module makes of it."""
        for k, module in enumerate(self.modules):
            with scope(str(k)):
                x = module(x)
        return x

    def __len__(self) -> int:
        return len(self.modules)

    def __getitem__(self, k: int) -> Module:
        return self.modules[k]


def whole(what: str, size: Any) -> int:
    """Return a size as an int.

    Raises
    ------
    ValueError
        When it is no whole number ≥ 1; `what` says which argument it is.
    """
    if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
        raise ValueError(f"{what} is a whole number ≥ 1, not {size!r}")
    return int(size)


def as_tensor(x: Any, like: Tensor) -> Tensor:
    """Return x as a tensor; numbers and arrays take the dtype of the parameter they meet."""
    x = taken(x, like.dtype)
    return x if isinstance(x, Tensor) else tensor(x)
