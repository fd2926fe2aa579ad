"""Batches in a seeded order, whose place can be saved and found again exactly.

The order of an epoch is a function of seed and epoch alone, so three whole numbers say where one
stands: no generator's state has to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from microrecur.nn.simple import whole

Batch = tuple[np.ndarray, ...]


class _Places:
    """What both kinds share: the seed, and the place (epoch, batch) they stand at.

    Iterating gives what is left of the present epoch; when it is through, the next one is due.
    """

    def __init__(self, seed: int) -> None:
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
            raise ValueError(f"{type(self).__name__}: seed is a whole number ≥ 0, not {seed!r}")
        self.seed, self.epoch, self.position = int(seed), 0, 0

    def __len__(self) -> int:
        raise NotImplementedError

    def _batch(self, epoch: int, k: int) -> Batch:
        raise NotImplementedError

    def _kind(self) -> dict[str, Any]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Batch]:
        while self.position < len(self):
            batch = self._batch(self.epoch, self.position)
            self.position += 1  # before it is handed out: what is saved now begins with the next
            yield batch
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands, and what it can be told by."""
        return {"epoch": self.epoch, "position": self.position, **self._kind()}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on with exactly the batch that would have come next.

        Raises
        ------
        ValueError
            When it was saved from other data, another batch size or another seed.
        """
        kind = self._kind()
        differ = [
            f"{k} was {saved.get(k)!r}, is {v!r}" for k, v in kind.items() if saved.get(k) != v
        ]
        if differ:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: these are other batches: "
                f"{'; '.join(differ)}"
            )
        self.epoch, self.position = int(saved["epoch"]), int(saved["position"])


class Batches(_Places):
    """Cut arrays that share their first axis into batches, in a new seeded order each epoch.

    Parameters
    ----------
    *arrays : array_like
        Inputs, then targets: X of shape (N, …), y of shape (N, …).
    size : int
        Examples in a batch; the last one is smaller where N is no multiple.
    shuffle : bool
        Whether each epoch has an order of its own; else they come as they are.
    drop_last : bool
        Leave out a last batch that is smaller.
    seed : int
        What the orders are drawn from.

    Raises
    ------
    ValueError
        When there is no array, no example, or the first axes differ.

    Examples
    --------
    >>> batches = Batches(np.arange(5), np.arange(5) ** 2, size=2, seed=0)
    >>> for x, y in batches:
    ...     print(x, y)
    [2 4] [ 4 16]
    [3 0] [9 0]
    [1] [1]
    >>> batches.epoch, len(batches)
    (1, 3)
    """

    def __init__(
        self,
        *arrays: ArrayLike,
        size: int = 32,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self.arrays = tuple(np.asarray(array) for array in arrays)
        _check_arrays(self.arrays)
        self.count, self.size = len(self.arrays[0]), whole("Batches: size", size)
        self.shuffle, self.drop_last = shuffle, drop_last
        if drop_last and self.count < size:
            raise ValueError(
                f"Batches: {self.count} examples do not fill one batch of {size}, and "
                "drop_last=True leaves out what is smaller: nothing would be left"
            )
        self._order: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        whole, rest = divmod(self.count, self.size)
        return whole + bool(rest and not self.drop_last)

    def _batch(self, epoch: int, k: int) -> Batch:
        chosen: Any = slice(k * self.size, (k + 1) * self.size)
        if self.shuffle:
            chosen = self._order_of(epoch)[chosen]
        return tuple(array[chosen] for array in self.arrays)

    def _order_of(self, epoch: int) -> np.ndarray:
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.count)
            self._order = (epoch, order)
        return self._order[1]

    def _kind(self) -> dict[str, Any]:
        told = ("seed", "size", "count", "shuffle", "drop_last")
        return {name: getattr(self, name) for name in told}

    def __repr__(self) -> str:
        return f"Batches({self.count:,} examples in {len(self):,} of {self.size})"


class FreshBatches(_Places):
    """Draw every batch anew, as for a task whose examples never run out.

    Parameters
    ----------
    make : callable
        ``make(count, rng=generator)`` returns arrays whose first axis is `count`.
    size : int
        Examples in a batch.
    batches : int
        How many batches count as an epoch.
    seed : int
        What they are drawn from: batch k of epoch e is a function of (seed, e, k) alone.

    Examples
    --------
    >>> from functools import partial
    >>> from microrecur.data.tasks import adding_problem
    >>> data = FreshBatches(partial(adding_problem, steps=10), size=4, batches=100)
    >>> X, y = next(iter(data))
    >>> X.shape, y.shape, len(data)
    ((4, 10, 2), (4, 1), 100)
    """

    def __init__(
        self, make: Callable[..., Any], *, size: int = 32, batches: int = 100, seed: int = 0
    ) -> None:
        super().__init__(seed)
        self.make = make
        self.size = whole("FreshBatches: size", size)
        self.batches = whole("FreshBatches: batches", batches)

    def __len__(self) -> int:
        """Return how many batches count as an epoch."""
        return self.batches

    def _batch(self, epoch: int, k: int) -> Batch:
        return tuple(self.make(self.size, rng=np.random.default_rng((self.seed, epoch, k))))

    def _kind(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("seed", "size", "batches")}

    def __repr__(self) -> str:
        return f"FreshBatches({self.batches:,} of {self.size} an epoch)"


def _check_arrays(arrays: tuple[np.ndarray, ...]) -> None:
    if not arrays:
        raise ValueError("Batches: there is no array to cut; give Batches(X, y)")
    if any(array.ndim == 0 for array in arrays):
        raise ValueError("Batches: each array needs a first axis, one entry per example")
    counts = [len(array) for array in arrays]
    if len(set(counts)) > 1:
        raise ValueError(
            f"Batches: the arrays hold {', '.join(f'{n:,}' for n in counts)} examples; "
            "their first axes must be equal"
        )
    if not counts[0]:
        raise ValueError(f"Batches: there are no examples: an array has shape {arrays[0].shape}")
