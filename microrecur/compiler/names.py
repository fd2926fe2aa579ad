"""Names of buffers, from the recording: what lies in each, step by step and lane by lane."""

from __future__ import annotations

import os
import re
from keyword import iskeyword
from typing import Any

import numpy as np

from microrecur.compiler.families import COPY, Family
from microrecur.compiler.kinds import ABSORBED, VIEW
from microrecur.compiler.places import Places
from microrecur.compiler.program import BACKWARD, CONSTANT
from microrecur.compiler.storage import Block

_LONG = 14  # a name of more letters is not put together with others
_SIGNS = {"add": "plus", "sub": "minus"}


class Names:
    """What a reader needs to know of the memory of a plan.

    Attributes
    ----------
    inputs : list of (str, ndarray)
        The inputs' names, and where each lies.
    outputs : list of ndarray
    given : set
        Buffers (by id) that an input fills alone: the input itself, for a reader.
    constants : dict
        Constant numbers of the buffers that hold one constant alone.
    partly : dict
        Constants that lie in a buffer beside what is computed.
    ones : set
        Buffers that begin as ones.
    """

    def __init__(self, places: Places, ones: set[int]) -> None:
        self.program = program = places.program
        self.ones = ones
        self._places = places
        self._taken = {"run", "np", "t", "sigmoid", "sech2"}
        self._known: dict[int, str] = {}
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._notes: dict[int, str] = {}
        self.given: set[int] = set()
        self.constants: dict[int, np.ndarray] = {}
        self.partly: dict[int, list[np.ndarray]] = {}
        self._numbers: dict[int, Any] = {}
        self._roots: dict[int, np.ndarray] = {}
        self.inputs = [(self._input(n), places.spots[n].array()) for n in _once(program.inputs)]
        self.outputs = [places.spots[n].array() for n in program.outputs]
        self._aliases: dict[Any, tuple[str, np.ndarray]] = {}
        self._lanes: dict[int, tuple[Block, dict[int, str]]] = {}
        self._lane_names: dict[tuple[int, int], str] = {}
        self._name_constants()
        self._name_blocks()
        self._name_rest()
        self._name_views()
        del self._places

    def fresh(self, base: str) -> str:
        """A name that nothing else has."""
        base = re.sub(r"\W", "_", base) or "v"
        if not base.isidentifier() or iskeyword(base):
            base = f"v_{base}"
        name, count = base, 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name

    # -- asked by a reader -------------------------------------------------------------------------

    def root_of(self, x: np.ndarray) -> np.ndarray:
        """The whole buffer that x is a part of."""
        while x.base is not None:
            x = x.base
        return x

    def root_name(self, root: np.ndarray) -> str:
        """What a buffer is called."""
        name = self._known.get(id(root))
        if name is None:
            self._roots[id(root)] = root  # its id stays its own
            name = self._known[id(root)] = self.fresh(
                "ones_below" if self.is_ones(root) else "rows"
            )
        return name

    def is_ones(self, root: np.ndarray) -> bool:
        """Whether the buffer begins as ones."""
        return id(root) in self.ones

    def shape(self, root: np.ndarray) -> tuple[int, ...]:
        """The shape in which a reader sees a buffer."""
        return self._shapes.get(id(root), root.shape)

    def note(self, root: np.ndarray) -> str:
        """What lies in a buffer, in words."""
        return self._notes.get(id(root), "")

    def number(self, x: np.ndarray) -> Any:
        """The number, where x is a constant of no axes."""
        if x.ndim:
            return None
        root = self.root_of(x)
        found = self._numbers.get(id(root))
        if found is None and id(root) not in self._known and root.ndim == 0:
            return root[()]
        return found

    def alias_of(self, x: np.ndarray) -> tuple[str, np.ndarray, bool] | None:
        """(name, array, whether x is its transpose) where x is a named part of an input."""
        for turned, a in ((False, x), (True, x.T)):
            found = self._aliases.get(_key(a))
            if found is not None:
                return (*found, turned)
        return None

    def lane_of(self, root: np.ndarray, cuts: list[Any]) -> tuple[str, int, str] | None:
        """(name, axis, its slice) of one lane of a buffer, where the cuts are within one."""
        found = self._lanes.get(id(root))
        if found is None:
            return None
        block, said = found
        axis = 0 if block.last == block.first else 1
        cut, rows = cuts[axis], block.shape[-1]
        if not isinstance(cut, tuple) or cut[1] - cut[0] != rows or cut[0] % rows or cut[2] != 1:
            return None
        lane = cut[0] // rows
        if lane not in said or block.seen[axis] == rows:
            return None
        name = self._lane_names.get((id(root), lane))
        if name is None:
            name = self._lane_names[id(root), lane] = self.fresh(said[lane])
        inside = f"{cut[0]}:{cut[1]}"
        return name, axis, f"{self.root_name(root)}[{':, ' if axis else ''}{inside}]"

    def scope_of(self, n: int) -> str:
        """Where a value was recorded, t for the step."""
        program = self.program
        before, after = program.places[program.place[n]]
        t = program.step_of(n)
        return "/".join([*before, *([] if t is None else ["t"]), *after])

    # -- naming ------------------------------------------------------------------------------------

    def _root(self, root: np.ndarray, name: str, shape: tuple[int, ...], note: str = "") -> None:
        self._roots[id(root)] = root
        self._known[id(root)] = self.fresh(name)
        self._shapes[id(root)] = shape
        self._notes[id(root)] = note

    def _input(self, n: int) -> str:
        spot, shape = self._places.spots[n], self.program.shape[n]
        name = self.program.names[n] or "x"
        alone = spot.root.nbytes == int(np.prod(shape)) * spot.root.itemsize and not spot.offset
        if alone and spot.array().flags.c_contiguous and id(spot.root) not in self._known:
            self._root(spot.root, name, shape)
            self.given.add(id(spot.root))
            return self._known[id(spot.root)]
        return self.fresh(name)

    def _name_constants(self) -> None:
        program, spots = self.program, self._places.spots
        for n, data in program.data.items():
            spot = spots.get(n)
            if spot is None:
                continue
            root = spot.root
            if id(root) in self._places.blocks:
                self.partly.setdefault(id(root), []).append(spot.array())
            elif id(root) not in self._known:
                if not data.ndim:
                    self._numbers[id(root)] = data[()]
                self._root(root, program.names[n] or "constant", data.shape)
                self.constants[id(root)] = data

    def _name_blocks(self) -> None:
        lanes: dict[int, dict[int, list[tuple[Family, int]]]] = {}
        blocks, shape = self._places.blocks, self.program.shape
        for family in self._places.kind:
            n = family.nodes[len(family.nodes) // 2]
            spot = self._places.spots.get(n)
            block = None if spot is None else blocks.get(id(spot.root))
            if spot is not None and block is not None and len(shape[n]) == len(block.shape):
                lane = spot.offset % block.step // block.lane
                lanes.setdefault(id(spot.root), {}).setdefault(lane, []).append((family, n))
        for key, block in blocks.items():
            found = lanes.get(key, {})
            said = [self._best(found[lane]) for lane in sorted(found)]
            self._root(block.root, _joined(said), block.seen, self._note_of(block, said))
            if len(said) > 1 and len(block.shape) in (1, 2):
                self._lanes[key] = block, dict(zip(sorted(found), said, strict=True))

    def _best(self, there: list[tuple[Family, int]]) -> str:
        """What a lane holds in the end; a name of the recording before one put together."""
        read = {g for family, _ in there for g in self._places.families.reads(family)}
        there = sorted(there, key=lambda f: (f[0] in read, -f[0].number))
        for family, n in there:
            name = self._name_in(family, n)
            if name is not None:
                return name
        return self._described(there[0][1])

    def _name_in(self, family: Family, n: int) -> str | None:
        names = self.program.names
        for k in (n, family.nodes[0], family.nodes[-1]):
            if names[k] is not None:
                return names[k]
        return None

    def _described(self, n: int) -> str:
        """A name for what has none: of what it is computed, else its scope."""
        program = self.program
        args = program.args[n]
        op = program.op[n]
        if op is COPY:
            return program.names[args[0]] or self._described(args[0])
        if op is not None and op.name == "transpose" and self._short(args[0]):
            return f"{self._short(args[0])}_T"
        if op is not None and op.name == "mul" and self._short(args[1]) == "half":
            return f"half_{self._short(args[0]) or self._described(args[0])}"
        said = [self._short(a) for a in args]
        name = "" if op is None else _SIGNS.get(op.name, op.name)
        if said and all(s is not None for s in said):
            if len(said) == 1 and name not in ("reshape", "getitem", "total", "sum"):
                return f"{name}_{said[0]}"
            if len(said) == 2 and name in ("plus", "minus", "mul"):
                middle = "_" if name == "mul" else f"_{name}_"
                return f"{said[0]}{middle}{said[1]}"
        return self._scope_name(n)

    def _short(self, a: int) -> str | None:
        program = self.program
        if program.kind[a] == CONSTANT and not program.shape[a]:
            value = program.data[a].item()
            return {0.5: "half", 1: "one", 2: "two"}.get(value)
        name = program.names[a]
        return name if name is not None and len(name) <= _LONG else None

    def _scope_name(self, n: int) -> str:
        program = self.program
        before, after = program.places[program.place[n]]
        op = program.op[n]
        said = "_".join(after[-1:]) or ("number" if op is None else op.name)
        return f"d_{said}" if before[:1] == (BACKWARD,) else said

    def _note_of(self, block: Block, said: list[str]) -> str:
        parts = []
        if block.last > block.first:
            parts.append(f"t = {block.first} … {block.last}")
        if len(said) > 1:
            parts.append(", ".join(said) + " side by side")
        if len(block.shape) == 2:
            parts.append(f"each {block.shape}, turned")
        return "; ".join(parts)

    def _name_rest(self) -> None:
        """Values that have a buffer each."""
        spots, program = self._places.spots, self.program
        for family, kind in self._places.kind.items():
            first = spots.get(family.nodes[0])
            if kind in (ABSORBED, VIEW) or (
                first is not None and id(first.root) in self._known and len(family.nodes) > 1
            ):
                continue
            for n in family.nodes:
                spot = spots.get(n)
                if spot is not None and id(spot.root) not in self._known:
                    lone = spot.root.nbytes == int(np.prod(program.shape[n])) * spot.root.itemsize
                    shape = program.shape[n] if lone else spot.root.shape
                    self._root(spot.root, program.names[n] or self._described(n), shape)

    def _name_views(self) -> None:
        """Parts of the inputs that have a name of their own, as W_f has in a packed weight."""
        names, spots = self.program.names, self._places.spots
        for family, kind in self._places.kind.items():
            n = family.nodes[0]
            name = names[n]
            if kind != VIEW or family.steps[0] is not None or name is None or n not in spots:
                continue
            if id(spots[n].root) in self.given:
                array = spots[n].array()
                self._aliases.setdefault(_key(array), (self.fresh(name), array))


def _joined(said: list[str]) -> str:
    """One name for what lies side by side: i, f, o are ifo; d_i, d_f are d_if."""
    if not said:
        return "weights"
    if len(said) == 1:
        return said[0]
    bare = [s.removeprefix("half_") for s in said]
    end = "_T" if all(s.endswith("_T") for s in bare) else ""
    bare = [s.removesuffix(end) for s in bare]
    common = os.path.commonprefix(bare)  # noqa: RUF071, letter by letter is what is meant
    start = common[: common.rfind("_") + 1]
    rest = [s.removeprefix(start) for s in bare]
    if all(len(s) <= 2 for s in rest):
        return start + "".join(rest) + end
    for start in ("d_z_", "z_"):
        if sum(s.startswith(start) for s in bare) > 1:
            return f"{start}gates"
    short = [s for s in said if len(s) <= _LONG]
    return "_".join(short[:3]) if short else f"{said[0]}_and_others"


def _key(a: np.ndarray) -> Any:
    return a.__array_interface__["data"][0], a.shape, a.strides


def _once(numbers: list[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


__all__ = ["Names"]
