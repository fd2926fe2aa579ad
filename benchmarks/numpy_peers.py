"""NumPy by hand under its loss: "BPTT" as people write it, "limit" as fast as it goes."""

from __future__ import annotations

import math

import numpy as np

from benchmarks import numpy_bptt, numpy_limit
from benchmarks.workloads import OPS, Arrays, Workload

CELLS = {"numpy BPTT": numpy_bptt.CELLS, "numpy limit": numpy_limit.CELLS}


class ByHand:
    """A recurrent core by hand under its loss, and Adam where the workload trains."""

    def __init__(self, kind: str, work: Workload, dtype: str) -> None:
        self.core = CELLS[kind][work.cell](work, dtype)
        self.head = work.loss == "head"
        self.trains = self.head

    def load(self, parameters: Arrays) -> None:
        """Start from these parameters."""
        self.p = {name: value.copy() for name, value in parameters.items()}
        self.adam = Adam(self.p)

    def value_and_grad(self, xs: np.ndarray, target: np.ndarray) -> tuple[float, Arrays]:
        """Return the loss and all gradients."""
        self.core.load(self.p)
        h = self.core.forward(xs)
        if not self.head:
            error = h - target
            loss = np.mean(error * error)
            return loss, self.core.backward(error * (2 / error.size))
        W, b, rows = self.p["head_weight"], self.p["head_bias"], np.arange(len(target))
        logits = h @ W.T + b
        logits -= logits.max(axis=1, keepdims=True)
        e = np.exp(logits)
        total = e.sum(axis=1, keepdims=True)
        loss = np.mean(np.log(total[:, 0]) - logits[rows, target])
        d = e / total
        d[rows, target] -= 1
        d /= len(target)
        of_head = {"head_weight": d.T @ h, "head_bias": d.sum(axis=0)}
        return loss, {**self.core.backward(d @ W), **of_head}

    def step(self, xs: np.ndarray, target: np.ndarray) -> None:
        """Do what is timed."""
        _, gradients = self.value_and_grad(xs, target)
        if self.trains:
            self.adam.step(self.p, gradients)


class Adam:
    """Adam as torch has it, into arrays made once."""

    def __init__(self, p: Arrays, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999)):
        self.lr, self.betas, self.count = lr, betas, 0
        self.m = {name: np.zeros_like(value) for name, value in p.items()}
        self.v = {name: np.zeros_like(value) for name, value in p.items()}
        self.tmp = {name: np.empty_like(value) for name, value in p.items()}

    def step(self, p: Arrays, gradients: Arrays) -> None:
        """Change each parameter in place."""
        self.count += 1
        (a, b), root = self.betas, math.sqrt(1 - self.betas[1] ** self.count)
        rate = self.lr / (1 - a**self.count)
        for name, g in gradients.items():
            m, v, tmp = self.m[name], self.v[name], self.tmp[name]
            m *= a
            m += np.multiply(g, 1 - a, out=tmp)
            v *= b
            np.multiply(g, g, out=tmp)
            tmp *= 1 - b
            v += tmp
            np.sqrt(v, out=tmp)
            tmp *= 1 / root
            tmp += 1e-8
            np.divide(m, tmp, out=tmp)
            tmp *= rate
            p[name] -= tmp


class ChainByHand:
    """OPS with `out=`: x ← tanh(x⊙a + b), then ½ Σ (x − target)²."""

    trains = False

    def __init__(self, work: object, dtype: str) -> None:
        shape = (OPS.size, OPS.size)
        self.xs, self.ys = np.empty((2, OPS.links + 1, *shape), dtype)
        self.on = list(zip(self.xs, self.xs[1:]))
        self.off = list(zip(self.xs, self.ys))[:-1][::-1]
        self.tmp, self.da, self.db = np.empty((3, *shape), dtype)

    def load(self, parameters: Arrays) -> None:
        """Start from these parameters."""
        self.a, self.b = parameters["a"].copy(), parameters["b"].copy()

    def value_and_grad(self, xs: np.ndarray, target: np.ndarray) -> tuple[float, Arrays]:
        """Return the loss and ∂/∂a, ∂/∂b."""
        add, mul, tanh, a, b = np.add, np.multiply, np.tanh, self.a, self.b
        self.xs[0] = xs
        for x, y in self.on:
            mul(x, a, y)
            add(y, b, y)
            tanh(y, y)
        g, tmp, da, db = self.xs[-1] - target, self.tmp, self.da, self.db
        loss = 0.5 * np.sum(g * g)
        np.multiply(self.xs[1:], self.xs[1:], self.ys[1:])
        np.subtract(1, self.ys[1:], self.ys[:-1])
        da[...] = db[...] = 0
        for x, slope in self.off:
            mul(g, slope, g)
            add(db, g, db)
            mul(g, x, tmp)
            add(da, tmp, da)
            mul(g, a, g)
        return loss, {"a": da, "b": db}

    def step(self, xs: np.ndarray, target: np.ndarray) -> None:
        """Do what is timed."""
        self.value_and_grad(xs, target)
