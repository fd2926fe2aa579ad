"""Who is timed, in processes of their own: the names, what each needs, and how one is driven."""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import statistics
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import microrecur
from benchmarks.workloads import ALL, INPUTS

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Entrant:
    """One competitor: its class for cells and for OPS, and the package it stands on."""

    cells: str
    ops: str = ""
    needs: str = "numpy"
    install: str = ""
    dtype: str = "float32"

    def make(self, workload: str, dtype: str | None = None) -> Any:
        """Build it for a workload (imports its library)."""
        work = ALL[workload]
        module, name, *kind = (self.ops if work.cell == "ops" else self.cells).split(":")
        made = getattr(importlib.import_module(f"benchmarks.{module}"), name)
        return made(*kind, work, dtype or self.dtype)


TORCH = {
    "needs": "torch",
    "install": "torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu",
}
MYGRAD = {"needs": "mygrad", "install": "mygrad"}

# fmt: off
ENTRANTS = {
    "microrecur eager":        Entrant("own_peers:Eager", "own_peers:Chain"),
    "microrecur compiled":     Entrant("own_peers:Compiled", "own_peers:CompiledChain"),
    "microrecur compiled f64": Entrant("own_peers:Compiled", dtype="float64"),
    "torch eager":             Entrant("torch_peers:Joined", "torch_peers:Chain", **TORCH),
    "torch same way":          Entrant("torch_peers:Named", **TORCH),
    "torch cells":             Entrant("torch_peers:Cells", **TORCH),
    "torch nn":                Entrant("torch_peers:Layer", **TORCH),
    "torch nn f64":            Entrant("torch_peers:Layer", dtype="float64", **TORCH),
    "mygrad":                  Entrant("tape_peers:MyGrad", "tape_peers:MyGrad", **MYGRAD),
    "mygrad, guard off":       Entrant("tape_peers:MyGradUnguarded", "tape_peers:MyGradUnguarded",
                                       **MYGRAD),
    "autograd":                Entrant("tape_peers:Autograd", "tape_peers:Autograd",
                                       "autograd", "autograd"),
    "micrograd":               Entrant("tape_peers:Micrograd", "", "micrograd", "micrograd",
                                       "float64"),
    "jax":                     Entrant("tape_peers:Jax", "tape_peers:Jax", "jax", "jax"),
    "numpy BPTT":              Entrant("numpy_peers:ByHand:numpy BPTT"),
    "numpy limit":             Entrant("numpy_peers:ByHand:numpy limit",
                                       "numpy_peers:ChainByHand"),
}
# fmt: on

_ALL_TWO = ["microrecur eager", "microrecur compiled", "torch eager", "torch same way"]
_ALL_TWO += ["torch cells", "torch nn", "mygrad", "mygrad, guard off", "autograd", "jax"]
_ALL_TWO += ["numpy BPTT", "numpy limit"]

# Who runs what. MyGrad and autograd take seconds over 1,000 steps, and micrograd's T = 1,000
# eighty times its T = 100: they are left out of W4 and of the long W1.
RUNS = {
    "OPS": ["microrecur eager", "microrecur compiled", "torch eager", "mygrad",
            "mygrad, guard off", "autograd", "jax", "numpy limit"],
    "W1": ["microrecur eager", "microrecur compiled", "torch same way", "micrograd"],
    "W1 T=1000": ["microrecur eager", "microrecur compiled"],
    "W2 RNN": _ALL_TWO,
    "W2 LSTM": [*_ALL_TWO, "microrecur compiled f64", "torch nn f64"],
    "W2 GRU": _ALL_TWO,
    "W3": ["microrecur eager", "microrecur compiled", "torch eager", "torch cells", "torch nn",
           "jax", "numpy BPTT", "numpy limit"],
    "W4": ["microrecur eager", "microrecur compiled", "torch eager", "torch cells", "torch nn",
           "jax", "numpy BPTT", "numpy limit"],
}  # fmt: skip
# Numbers one at a time are Python floats and numpy's float64 everywhere.
DTYPES = {"W1": "float64", "W1 T=1000": "float64"}


def dtype_of(name: str, workload: str) -> str:
    """Return the precision in which an entrant runs a workload."""
    return DTYPES.get(workload, ENTRANTS[name].dtype)


def why_missing(name: str) -> str | None:
    """Say why an entrant cannot run here, and what to do; None when it can."""
    entrant = ENTRANTS[name]
    if importlib.util.find_spec(entrant.needs) is None:
        return f"{entrant.needs} is not installed: pip install {entrant.install}"
    if "compiled" in name and not hasattr(microrecur, "compile"):
        return "this microrecur has no compile()"
    return None


class NotAvailable(RuntimeError):
    """An entrant that cannot run here, with the reason."""


class Running:
    """An entrant in a process of its own, kept alive and asked one thing at a time."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.wire, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, name), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, what: str, *details: Any) -> Any:
        """Return its answer; NotAvailable with its traceback when it fails."""
        self.send(what, *details)
        return self.answer()

    def send(self, what: str, *details: Any) -> None:
        """Ask without waiting."""
        self.wire.send((what, details))

    def answer(self) -> Any:
        """Wait for the answer to what was asked."""
        try:
            done, answer = self.wire.recv()
        except EOFError:
            raise NotAvailable(f"{self.name}: its process ended") from None
        if not done:
            raise NotAvailable(answer)
        return answer

    def close(self) -> None:
        """End the process."""
        self.wire.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.terminate()


def serve(wire: Connection, name: str) -> None:
    """Answer in the entrant's own process until the other end is closed."""
    served = Served(name)
    while True:
        try:
            what, details = wire.recv()
        except EOFError:
            return
        try:
            answer = True, getattr(served, what)(*details)
        except Exception as error:
            trace = traceback.format_exc().strip().splitlines()
            answer = False, f"{type(error).__name__}: {error} ({trace[-3].strip()})"
        wire.send(answer)


class Served:
    """What an entrant can be asked."""

    def __init__(self, name: str) -> None:
        self.name, self.made = name, {}

    def competitor(self, workload: str, dtype: str | None = None) -> Any:
        """Return the one made for this workload, made and loaded when first asked for."""
        dtype = dtype or dtype_of(self.name, workload)
        key = workload, dtype
        if key not in self.made:
            made = ENTRANTS[self.name].make(workload, dtype)
            made.load(ALL[workload].parameters(0, dtype))
            self.made[key] = made
        return self.made[key]

    def ready(self, workload: str, dtype: str | None = None) -> None:
        """Make it and run it twice, so that nothing is done for the first time while timed."""
        made, work = self.competitor(workload, dtype), ALL[workload]
        for seed in range(2):
            made.step(*work.batch_of(seed, dtype or dtype_of(self.name, workload)))

    def gradients(self, workload: str, dtype: str, weights: int, batch: int) -> Any:
        """Return loss and gradients with these weights on this batch."""
        work, made = ALL[workload], self.competitor(workload, dtype)
        made.load(work.parameters(weights, dtype))
        loss, found = made.value_and_grad(*work.batch_of(batch, dtype))
        return float(loss), {name: found[name].reshape(-1).copy() for name in found}

    def seconds(self, workload: str, slot: float) -> float:
        """Run on changing inputs until the slot (s) is over; return the median step.

        Counted is the processor's time, not the clock's: on a busy machine a long step is
        interrupted more often than a short one, and its clock would count what others do.
        """
        made, dtype = self.competitor(workload), dtype_of(self.name, workload)
        batches = [ALL[workload].batch_of(seed, dtype) for seed in range(INPUTS)]
        took: list[float] = []
        over = time.perf_counter() + slot
        while True:
            begun = time.process_time()
            made.step(*batches[len(took) % INPUTS])
            took.append(time.process_time() - begun)
            if time.perf_counter() >= over:
                return statistics.median(took)

    def memory(self, workload: str, warm: str) -> tuple[float, float]:
        """Return the peak above the warm process in bytes: of all, and once it has been built."""
        dtype = dtype_of(self.name, workload)
        self.ready(warm, dtype)
        before = resident()
        forget_peak()
        self.ready(workload, dtype)
        whole = peak() - before
        forget_peak()
        self.ready(workload, dtype)
        return whole, peak() - before

    def build(self, workload: str) -> float:
        """Return the seconds that compiling takes."""
        dtype = dtype_of(self.name, workload)
        return self.competitor(workload).build_seconds(*ALL[workload].batch_of(0, dtype))


def resident() -> int:
    """Return the bytes this process holds now."""
    return _status("VmRSS")


def peak() -> int:
    """Return the most bytes it has held since `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let the peak be what is held now (Linux)."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def _status(key: str) -> int:
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            line = next(line for line in file if line.startswith(key + ":"))
    except OSError:
        raise NotAvailable("peak memory is read from /proc, which only Linux has") from None
    return int(line.split()[1]) * 1024


def one_thread() -> None:
    """Let every library compute with one thread; for this process and those it starts."""
    for name in THREADS:
        os.environ[name] = "1"
