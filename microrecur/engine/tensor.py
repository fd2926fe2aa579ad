"""The tensor, and what is recorded about it: its op, its inputs, its name and its scope.

This file knows no calculus. Gradients, printing, plans and pictures are clients of what it records.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ContextDecorator
from contextvars import ContextVar
from copy import copy
from functools import lru_cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from microrecur.engine.tracing import copied, forbid, look_at, tracing, without_gradient

if TYPE_CHECKING:
    from microrecur.engine.primitive import Primitive


class Filing(NamedTuple):
    """Where new tensors are filed, and whether they are recorded at all."""

    scope: tuple[str, ...]
    recording: bool


_file = partial(tuple.__new__, Filing)  # half the time of Filing(...)

# One context variable for both: the hot path of every op reads it once.
_filing: ContextVar[Filing] = ContextVar("filing", default=Filing((), True))  # noqa: B039 (a NamedTuple is immutable)
_filing_now = _filing.get
# Serial numbers are a topological order: an op is always younger than its inputs.
_serials = itertools.count(1)

STEP = "t="  # a scope "t=3" holds what belongs to step 3 of a sequence

_FLOAT64 = np.dtype(np.float64)
NO_INPUTS: tuple[Tensor, ...] = ()
NO_STATIC: dict[str, Any] = {}


def current_scope() -> tuple[str, ...]:
    """Return the scope in which tensors are filed now, outermost name first."""
    return _filing.get().scope


def is_recording() -> bool:
    """Say whether ops are recorded now (they are, except under `no_grad`)."""
    return _filing.get().recording


class _Filed(ContextDecorator):
    """Files what is recorded inside as told; a class, since a generator takes three times as long.

    Also a decorator, as every context manager made by `contextmanager` is.
    """

    __slots__ = ("_filing", "_names", "_token")

    def __init__(self, filing: Filing) -> None:
        self._filing = filing

    def __enter__(self) -> None:
        self._token = _filing.set(self._filing)

    def __exit__(self, *error: object) -> None:
        _filing.reset(self._token)

    def _recreate_cm(self) -> _Filed:
        """One token each, so that a decorated function may call itself."""
        return copy(self)


class _Within(_Filed):
    """Files under these names, within the scope that is open when it is entered."""

    __slots__ = ()

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def __enter__(self) -> None:
        scope, recording = _filing_now()
        self._token = _filing.set(_file((scope + self._names, recording)))


class _From(_Filed):
    """Files under exactly these names."""

    __slots__ = ()

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def __enter__(self) -> None:
        self._token = _filing.set(_file((self._names, _filing_now()[1])))


class _Unrecorded(_Filed):
    """Records nothing, in the scope that is open when it is entered."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    def __enter__(self) -> None:
        self._token = _filing.set(_file((_filing.get()[0], False)))


def _filed(filing: Filing) -> AbstractContextManager[None]:
    return _Filed(filing)


def scope(*names: str) -> AbstractContextManager[None]:
    """File what is recorded inside under these names, within the scope that is open already.

    Examples
    --------
    >>> with scope("t=3", "forget gate"):
    ...     tensor(1.0).scope
    ('t=3', 'forget gate')
    """
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"scope takes names: {name!r} is a {type(name).__name__}, not a str")
    return _Within(names)


def scope_from(names: tuple[str, ...]) -> AbstractContextManager[None]:
    """File what is recorded inside under exactly these names, whatever scope is open."""
    return _From(names)


def no_grad() -> AbstractContextManager[None]:
    """Compute without recording: results inside are leaves that no gradient passes.

    Examples
    --------
    >>> with no_grad():
    ...     y = tensor(2.0, requires_grad=True) * 3
    >>> y.op is None, y.requires_grad
    (True, False)
    """
    return _Unrecorded()


def by_step(filed: Sequence[str]) -> tuple[tuple[str, ...], int | None, tuple[str, ...]]:
    """Split a scope at its innermost "t=…": the names before it, t, and the names after it.

    Outside any step all names come before, and t is None.
    """
    return _by_step(tuple(filed))


@lru_cache(maxsize=1024)  # a cell asks again and again of the scope it is in
def _by_step(filed: tuple[str, ...]) -> tuple[tuple[str, ...], int | None, tuple[str, ...]]:
    for k in range(len(filed) - 1, -1, -1):
        name = filed[k]
        if name.startswith(STEP) and name[len(STEP) :].isdecimal():
            return filed[:k], int(name[len(STEP) :]), filed[k + 1 :]
    return filed, None, ()


def step_of(filed: Sequence[str]) -> int | None:
    """Return t of the innermost "t=…" of a scope; None outside any step."""
    return _by_step(tuple(filed))[1]


def outside_steps(filed: Sequence[str]) -> tuple[str, ...]:
    """Return the part of a scope that comes before its step."""
    return _by_step(tuple(filed))[0]


class Tensor:
    """An array that remembers how it was made.

    Made by `tensor()` (a leaf) or by an op (recorded). One class serves one number (0-d) and many.

    Attributes
    ----------
    op : Primitive or None
        The card of the op that made it; None for a leaf.
    inputs : tuple of Tensor
        What the op read, in order and with multiplicity: `x * x` has two edges.
    static : dict
        The op's arguments that are no tensors (an axis, an index).
    name : str or None
        The textbook name, such as "f" or "z_f".
    scope : tuple of str
        Where it is filed, such as ("t=3", "forget gate").
    grad : ndarray or None
        ∂L/∂self after `L.backward()`, of the shape of self. Leaves accumulate it, named
        intermediates have it overwritten.
    requires_grad : bool
        Whether `backward` brings it a gradient.
    serial : int
        Its place in the order of creation.
    """

    __slots__ = (
        "__weakref__",
        "_array",
        "_number",
        "grad",
        "inputs",
        "name",
        "op",
        "requires_grad",
        "scope",
        "serial",
        "static",
    )

    # One float64 number goes from op to op as a Python float, twenty times as fast as a 0-d array:
    # `_number` is that float, or None, and `_array` is made of it when `_data` is first asked for.
    # (A `__getattr__` would do, but with one Python reads every attribute the long way.)
    _array: Any
    _number: float | None
    op: Primitive | None
    inputs: tuple[Tensor, ...]
    static: dict[str, Any]
    name: str | None
    scope: tuple[str, ...]
    grad: np.ndarray | None
    requires_grad: bool
    serial: int

    def __init__(
        self,
        data: np.ndarray,
        op: Primitive | None = None,
        inputs: tuple[Tensor, ...] = NO_INPUTS,
        static: dict[str, Any] = NO_STATIC,
        requires_grad: bool = False,
        scope: tuple[str, ...] = (),
    ) -> None:
        self._array = data
        self._number = None
        self.op = op
        self.inputs = inputs
        self.static = static
        self.name = None
        self.scope = scope
        self.grad = None
        self.requires_grad = requires_grad
        self.serial = next(_serials)

    # -- what it holds ---------------------------------------------------------------------------

    @property
    def _data(self) -> np.ndarray:
        """The numbers themselves, not to be written to."""
        if self._array is None:
            self._array = np.array(self._number)
        return self._array

    @property
    def data(self) -> np.ndarray:
        """A read-only view of the numbers."""
        look_at(self, ".data")
        self._data.flags.writeable = False  # else the view's flag could be set back
        return self._data.view()

    @data.setter
    def data(self, value: object) -> None:
        raise AttributeError(
            f"{self._label()}: .data cannot be set, since recorded results were computed from it; "
            "use .assign(value) on a leaf, or make a new tensor"
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis; () for one number."""
        return self._array.shape if self._number is None else ()

    @property
    def ndim(self) -> int:
        """The number of axes; 0 for one number."""
        return self._array.ndim if self._number is None else 0

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return self._array.size if self._number is None else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its numbers."""
        return self._array.dtype if self._number is None else _FLOAT64

    @property
    def is_leaf(self) -> bool:
        """Whether it was given, not computed."""
        return self.op is None

    def item(self) -> float | int | bool:
        """Return the one number it holds as a Python number; ValueError when it holds more."""
        look_at(self, "the number")
        if self._number is not None:
            return self._number
        if self._data.size != 1:
            raise ValueError(
                f"{self._label()} holds {self._data.size} numbers, shape {self.shape}: .item() "
                "takes exactly one; index it first, or use .numpy()"
            )
        return self._data.item()

    def numpy(self) -> np.ndarray:
        """Return a copy of the numbers."""
        look_at(self, ".numpy()")
        return self._data.copy()

    def detach(self) -> Tensor:
        """Return a leaf with the same numbers, through which no gradient passes."""
        if tracing() is not None:
            return without_gradient(self)
        leaf = Tensor(self._data, scope=self.scope)
        leaf._number, leaf.name = self._number, self.name
        return leaf

    def named(self, name: str) -> Tensor:
        """Give it its textbook name and return it.

        Examples
        --------
        >>> (tensor(1.0) + 2).named("z").name
        'z'
        """
        if not isinstance(name, str) or not name:
            raise TypeError(f"a name is a non-empty str, not {name!r}")
        self.name = name
        return self

    def assign(self, value: ArrayLike) -> None:
        """Give a leaf new numbers of the same shape; graphs recorded from the old ones go stale.

        Parameters
        ----------
        value : array_like
            The new numbers, copied; of the leaf's shape, cast to its dtype.

        Raises
        ------
        ValueError
            When the shape differs.
        RuntimeError
            When the tensor was computed: its numbers belong to its inputs.
        """
        if self.op is not None:
            raise RuntimeError(
                f"{self._label()} was computed by {self.op.name}: only a leaf can be assigned"
            )
        forbid(self, ".assign()", "return the new numbers, and assign them outside")
        new = np.array(value._data if isinstance(value, Tensor) else value, dtype=self.dtype)
        if new.shape != self.shape:
            raise ValueError(f"{self._label()} has shape {self.shape}: cannot assign {new.shape}")
        self._array, self._number = new, _number_of(new)
        # Younger than every op that read the old numbers: that is how a stale graph is known.
        self.serial = next(_serials)

    def backward(self, gradient: ArrayLike | None = None) -> None:
        """Bring ∂self/∂leaf to `.grad` of every leaf that requires it; see `calculus.backward`."""
        from microrecur.engine.calculus import backward

        forbid(
            self, ".backward()", "compile mr.value_and_grad(f, wrt), which returns the gradients"
        )
        backward(self, gradient)

    def _label(self) -> str:
        """Say which tensor this is, for messages: its name, else its op, with its scope."""
        what = self.name or (self.op.name if self.op is not None else "tensor")
        return f"{what} at {'/'.join(self.scope)}" if self.scope else what

    # -- as a Python and NumPy citizen -----------------------------------------------------------
    # Identity is the meaning of == and hash: object's own, so tensors serve as dictionary keys.

    if TYPE_CHECKING:  # Ops attach themselves in ops.py; this tells the type checker of them.

        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __getattr__(self, name: str) -> Any: ...

    @property
    def T(self) -> Tensor:
        """The tensor with its axes reversed."""
        return self.transpose()

    def __setitem__(self, index: object, value: object) -> None:
        raise TypeError(
            f"{self._label()}: a recorded tensor cannot be written to, since results were computed "
            "from it; use .assign(value) on a leaf, or where(mask, new, old) for a new tensor"
        )

    def __bool__(self) -> bool:
        look_at(self, "whether it is true,")
        if self._data.size != 1:
            raise ValueError(
                f"{self._label()} holds {self._data.size} numbers, shape {self.shape}: is it true? "
                "Write (t.data > 0).all() or .any(), or choose elementwise with where(t > 0, a, b)"
            )
        return bool(self._data)

    def __float__(self) -> float:
        return float(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec and self.size == 1 else str(self), spec)

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        look_at(self, "the number")
        if self._data.size == 1 and self._data.dtype.kind in "iu":
            return int(self._data.item())
        raise TypeError(f"{self._label()}: only a tensor of one integer serves as an index")

    def __len__(self) -> int:
        if self._data.ndim == 0:
            raise TypeError(f"{self._label()} is one number: it has no length")
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError(f"{self._label()}: an array of a tensor is a copy; use .data to view")
        look_at(self, "an array")
        return np.array(self._data, dtype=dtype)

    def __repr__(self) -> str:
        value = np.array2string(self._data, precision=4, separator=", ", threshold=20)
        facts = [value.replace("\n", "\n       ")]
        facts += [f"name={self.name!r}"] if self.name else []
        facts += [f"op={self.op.name}"] if self.op is not None else []
        facts += ["requires_grad=True"] if self.requires_grad and self.op is None else []
        facts += [f"dtype={self.dtype}"] if self.dtype != np.float64 else []
        return f"tensor({', '.join(facts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        look_at(self, "a copy")
        if self.op is not None:
            raise TypeError(
                f"{self._label()} was computed by {self.op.name}: only leaves are pickled or "
                "deep-copied; use .detach() first"
            )
        return _leaf, (self._data, self.requires_grad, self.name, self.scope, self.grad)


_new = Tensor.__new__


def of_number(
    number: float,
    op: Primitive | None = None,
    inputs: tuple[Tensor, ...] = NO_INPUTS,
    requires_grad: bool = False,
    scope: tuple[str, ...] = (),
) -> Tensor:
    """Return the tensor of one number, its array not yet made."""
    made = _new(Tensor)
    made._array = made.name = made.grad = None
    made._number = number
    made.op = op
    made.inputs = inputs
    made.static = NO_STATIC
    made.scope = scope
    made.requires_grad = requires_grad
    made.serial = next(_serials)
    return made


def of_array(
    data: np.ndarray,
    op: Primitive,
    inputs: tuple[Tensor, ...],
    requires_grad: bool,
    scope: tuple[str, ...],
) -> Tensor:
    """Return what Tensor(...) does of an op without static arguments, in two thirds of the time."""
    made = _new(Tensor)
    made._array = data
    made._number = made.name = made.grad = None
    made.op = op
    made.inputs = inputs
    made.static = NO_STATIC
    made.scope = scope
    made.requires_grad = requires_grad
    made.serial = next(_serials)
    return made


def _number_of(array: np.ndarray) -> float | None:
    return array.item() if array.ndim == 0 and array.dtype == _FLOAT64 else None


def _leaf(
    data: np.ndarray,
    requires_grad: bool,
    name: str | None,
    where: tuple[str, ...],
    grad: np.ndarray | None = None,
) -> Tensor:
    leaf = Tensor(data.copy(), requires_grad=requires_grad, scope=where)
    leaf._number = _number_of(leaf._data)
    leaf.name = name
    leaf.grad = None if grad is None else grad.copy()
    return leaf


def tensor(
    data: ArrayLike,
    *,
    requires_grad: bool = False,
    name: str | None = None,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Make a leaf from numbers, copying them.

    Parameters
    ----------
    data : array_like
        Numbers of any shape. Python floats become float64; arrays keep float32 and float64.
    requires_grad : bool
        Whether `backward` brings it a gradient; only floating-point numbers can have one.
    name : str, optional
        Its textbook name.
    dtype : dtype, optional
        Another type for the numbers.

    Raises
    ------
    TypeError
        When gradients are asked for of integers, or the data is not numeric.

    Examples
    --------
    >>> x = tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.])
    """
    trace = tracing()
    if trace is not None:
        if isinstance(data, Tensor):
            return copied(data, requires_grad, name, dtype)
        trace.watch(data)
    source = data._data if isinstance(data, Tensor) else data
    array = np.array(source, dtype=dtype)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"a tensor holds numbers: {type(data).__name__} gave dtype {array.dtype}")
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):  # half, or long
        array = array.astype(np.float64)
    if requires_grad and array.dtype.kind != "f":
        raise TypeError(
            f"requires_grad=True needs floating-point numbers, but {name or 'the data'} has dtype "
            f"{array.dtype}: a gradient of integers means nothing; pass dtype=float or write 1.0"
        )
    leaf = Tensor(array, requires_grad=requires_grad, scope=current_scope())
    leaf._number = _number_of(array)
    if trace is not None:
        trace.made.add(leaf)
    if name is not None:
        leaf.named(name)
    return leaf


def ancestry(roots: Sequence[Tensor]) -> list[Tensor]:
    """Return the roots and all they were computed from, oldest first; nothing recurses.

    Raises
    ------
    StaleGraphError
        When a leaf has been assigned since an op read it.
    """
    seen = set(roots)
    nodes = list(seen)
    for node in nodes:  # which grows meanwhile
        serial = node.serial
        for source in node.inputs:
            if source.serial > serial:
                _refuse_stale(source, node)
            if source not in seen:
                seen.add(source)
                nodes.append(source)
    nodes.sort(key=_serial_of)
    return nodes


_serial_of = attrgetter("serial")


def _refuse_stale(leaf: Tensor, reader: Tensor) -> None:
    from microrecur.engine.errors import StaleGraphError

    raise StaleGraphError(
        f"{leaf.name or 'a leaf'} was assigned a new value after {reader._label()} had read it: "
        "the recorded numbers no longer belong to it. Run the forward pass again, then ask"
    )
