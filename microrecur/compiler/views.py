"""Parts of an array as the slices a person would write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# Of one axis of the whole: a number, or (start, stop, step).
Cut = int | tuple[int, int, int]


@dataclass
class View:
    """root[cuts].reshape(shape).transpose(order)[…], or, where that cannot say it, by its strides.

    Attributes
    ----------
    root : str
        The name of the whole array.
    whole : tuple of int
        Its shape.
    cuts : list, None
        One per axis of the whole; None where slices cannot say it.
    rest : str
        What follows the brackets.
    array : ndarray
        The part itself.
    offset : int
        Bytes from the start of the whole.
    """

    root: str
    whole: tuple[int, ...]
    cuts: list[Cut] | None
    rest: str
    array: np.ndarray
    offset: int
    spread: bool = False  # repeated along axes that the cut has not

    def text(self, moving: tuple[int, str] | None = None) -> str:
        """The expression; `moving` is an axis and what stands there instead of its number."""
        if self.cuts is None:
            return self._by_strides(str(self.offset))
        parts = []
        for k, (cut, n) in enumerate(zip(self.cuts, self.whole, strict=True)):
            if moving is not None and moving[0] == k:
                parts.append(moving[1])
            elif isinstance(cut, int):
                parts.append(str(cut))
            elif cut == (0, n, 1):
                parts.append(":")
            else:
                start, stop, step = cut
                parts.append(f"{start}:{stop}" + ("" if step == 1 else f":{step}"))
        while parts and parts[-1] == ":":
            parts.pop()
        numbers = all(not isinstance(c, tuple) for c in self.cuts)
        if numbers and self.whole:
            parts.append("...")  # one number as an array, to be written to
        inside = f"[{', '.join(parts)}]" if parts else ""
        said = f"{self.root}{inside}{self.rest}"
        spread = self.array.shape
        return f"np.broadcast_to({said}, {spread})" if self.spread else said

    def _by_strides(self, offset: str) -> str:
        a = self.array
        return (
            f"np.ndarray({a.shape}, {self.root}.dtype, {self.root}, {offset}, strides={a.strides})"
        )


def seen_as(x: np.ndarray, root: np.ndarray, name: str, shape: tuple[int, ...]) -> View:
    """Say how x is cut from root, which a person sees as an array of this shape."""
    offset = _start(x) - _start(root)
    whole = root.reshape(-1)[: int(np.prod(shape, dtype=int))].reshape(shape)
    if not np.may_share_memory(whole, root):
        whole = root
    cuts = _cuts(x, offset, whole)
    if cuts is not None:
        once = x
        for k, (n, stride) in enumerate(zip(x.shape, x.strides, strict=True)):
            if n > 1 and not stride:
                once = once[(slice(None),) * k + (slice(0, 1),)]
        long: list[Cut] = [(c, c + 1, 1) if isinstance(c, int) else c for c in cuts]
        tries = [cuts] if x.size > 1 and 1 not in x.shape else [long, [*cuts[:1], *long[1:]], cuts]
        for each in tries:
            part = whole[(*(c if isinstance(c, int) else slice(*c) for c in each), ...)]
            said = _rest(once, part)
            if said is not None and (each is tries[-1] or said in ("", ".T")):
                return View(name, whole.shape, each, said, x, offset, once is not x)
    return View(name, whole.shape, None, "", x, offset)


def _cuts(x: np.ndarray, offset: int, whole: np.ndarray) -> list[Cut] | None:
    """The slices that hold exactly x's numbers; None where there are none."""
    steps, at, left = whole.strides, [], offset
    for n, step in zip(whole.shape, steps, strict=True):
        at.append(left // step if n > 1 else 0)
        left -= at[-1] * step
    if left or any(not 0 <= a < n for a, n in zip(at, whole.shape, strict=True)):
        return None
    axes = sorted(
        [(s, n) for s, n in zip(x.strides, x.shape, strict=True) if n > 1 and s], reverse=True
    )
    if any(s < 0 for s, _ in axes) or x.size == 0:
        return None
    cuts: list[Cut] = list(at)
    more = 1  # how many of the next axis outwards a cut goes over
    for k in reversed(range(whole.ndim)):
        above = steps[k] * whole.shape[k]
        mine = [(s, n) for s, n in axes if steps[k] <= s < above and whole.shape[k] > 1]
        axes = [a for a in axes if a not in mine]
        if more > 1:
            mine.append((steps[k], more))
        if not mine:
            continue
        mine.sort(reverse=True)
        count = 1
        step, inner = mine[-1]
        for s, n in reversed(mine):
            if s != step * count:
                return None
            count *= n
        stride, over = divmod(step, steps[k])
        if over:
            return None
        del inner
        more = 1
        n = whole.shape[k]
        end = at[k] + (count - 1) * stride + 1
        if end > n:
            if stride != 1 or at[k] or count % n or k == 0:
                return None
            more, count, end = count // n, n, n
        cuts[k] = (at[k], end, stride)
    return None if axes or more > 1 else cuts


def _rest(x: np.ndarray, part: np.ndarray) -> str | None:
    """What turns the cut into x: its axes parted, joined, put in another order or repeated."""
    if _same(x, part):
        return ""
    if part.ndim == x.ndim == 2 and _same(x, part.T):
        return ".T"
    still = [k for k in range(x.ndim) if x.shape[k] > 1 and x.strides[k]]
    order = sorted(still, key=lambda k: -x.strides[k])
    shape = tuple(x.shape[k] for k in order)
    said = ""
    if part.shape != shape:
        if part.size != int(np.prod(shape, dtype=int)):
            return None
        parted = part.reshape(shape)
        if _start(parted) != _start(part) and part.size:
            return None
        part, said = parted, f".reshape({', '.join(map(str, shape)) or '()'})"
    place = [order.index(k) for k in still]
    if place != sorted(place):
        turned = len(place) == 2
        part = part.T if turned else part.transpose(place)
        said += ".T" if turned else f".transpose({', '.join(map(str, place))})"
    spread = [x.shape[k] if k in still else 1 for k in range(x.ndim)]
    if part.shape != tuple(spread):
        index = tuple(slice(None) if k in still else None for k in range(x.ndim))
        part = part[index]
        said += f"[{', '.join(':' if i is not None else 'None' for i in index)}]"
    if part.shape != x.shape:
        return None
    return said if _same(x, part) else None


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return (
        a.shape == b.shape
        and _start(a) == _start(b)
        and all(n <= 1 or s == r for n, s, r in zip(a.shape, a.strides, b.strides, strict=True))
    )


def index_text(one: View, two: View, first: int, way: int) -> str:
    """The expression of what is `one` at t = first, and `two` at the step after, in t."""
    if one.cuts is not None and two.cuts is not None and one.rest == two.rest:
        moved = [k for k, (a, b) in enumerate(zip(one.cuts, two.cuts, strict=True)) if a != b]
        if len(moved) == 1:
            (k,) = moved
            a: Any = one.cuts[k]
            b: Any = two.cuts[k]
            if isinstance(a, int) and isinstance(b, int):
                return one.text((k, _in_t(a, b, first, way)))
            if isinstance(a, tuple) and isinstance(b, tuple) and a[2] == b[2] == 1:
                start, stop = _in_t(a[0], b[0], first, way), _in_t(a[1], b[1], first, way)
                return one.text((k, f"{start} : {stop}"))
    return one._by_strides(_in_t(one.offset, two.offset, first, way))


def _in_t(a: int, b: int, first: int, way: int) -> str:
    slope = (b - a) * way
    start = a - slope * first
    said = {1: "t", -1: "-t"}.get(slope, f"{slope} * t")
    if slope == -1 and start:
        return f"{start} - t"
    return said if not start else f"{said} {'+' if start > 0 else '-'} {abs(start)}"


def _start(x: np.ndarray) -> int:
    address: int = x.__array_interface__["data"][0]
    return address
