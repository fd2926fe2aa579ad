"""MyGrad, HIPS autograd, micrograd and JAX: the same cells, each as its own users write them."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from benchmarks.workloads import OPS, Arrays, Workload


def cell_loss(np_: Any, sigmoid: Any, p: Any, work: Workload, xs: Any, target: Any) -> Any:
    """Run a cell with two matmuls per step and the loss, in whatever library np_ and p are of."""
    H, h = work.hidden, np.zeros((work.batch, work.hidden), xs.dtype)
    c = h
    W, U = p["weight_ih"].T, p["weight_hh"].T
    for t in range(work.steps):
        a, u = np_.matmul(xs[t], W) + p["bias_ih"], np_.matmul(h, U) + p["bias_hh"]
        if work.cell == "rnn":
            h = np_.tanh(a + u)
        elif work.cell == "lstm":
            z = a + u
            i, f = sigmoid(z[:, :H]), sigmoid(z[:, H : 2 * H])
            g, o = np_.tanh(z[:, 2 * H : 3 * H]), sigmoid(z[:, 3 * H :])
            c = f * c + i * g
            h = o * np_.tanh(c)
        else:
            r = sigmoid(a[:, :H] + u[:, :H])
            z = sigmoid(a[:, H : 2 * H] + u[:, H : 2 * H])
            n = np_.tanh(a[:, 2 * H :] + r * u[:, 2 * H :])
            h = (1 - z) * n + z * h
    return loss_of(np_, p, work, h, target)


def loss_of(np_: Any, p: Any, work: Workload, h: Any, target: Any) -> Any:
    """Return the mean squared error of h, or the cross-entropy of a linear layer on it."""
    if work.loss == "mse":
        error = h - target
        return np_.mean(error * error)
    logits = np_.matmul(h, p["head_weight"].T) + p["head_bias"]
    shifted = logits - np_.max(logits, axis=1, keepdims=True)
    log_p = shifted - np_.log(np_.sum(np_.exp(shifted), axis=1, keepdims=True))
    return -np_.mean(log_p[np.arange(len(target)), target])


def chain_loss(np_: Any, p: Any, xs: Any, target: Any) -> Any:
    """OPS: x ← tanh(x⊙a + b), then ½ Σ (x − target)²."""
    x, a, b = xs, p["a"], p["b"]
    for _ in range(OPS.links):
        x = np_.tanh(x * a + b)
    error = x - target
    return 0.5 * np_.sum(error * error)


class Peer:
    """Loss and gradients of one library; a subclass writes `value_and_grad`."""

    trains = False

    def __init__(self, work: Any, dtype: str) -> None:
        self.work, self.dtype = work, dtype

    def load(self, parameters: Arrays) -> None:
        """Start from these parameters."""
        self.p: Any = {name: value.copy() for name, value in parameters.items()}

    def value_and_grad(self, xs: np.ndarray, target: Any) -> tuple[float, Arrays]:
        """Return the loss and all gradients."""
        raise NotImplementedError

    def step(self, xs: np.ndarray, target: Any) -> None:
        """Do what is timed."""
        self.value_and_grad(xs, target)


class MyGrad(Peer):
    """MyGrad, as it comes (its memory guard locks the arrays it reads)."""

    guard = True

    def load(self, parameters: Arrays) -> None:
        """Start from these parameters."""
        import mygrad

        if not self.guard:
            mygrad.turn_memory_guarding_off()
        self.p = {name: mygrad.tensor(value.copy()) for name, value in parameters.items()}

    def value_and_grad(self, xs: np.ndarray, target: Any) -> tuple[float, Arrays]:
        """Return the loss and all gradients."""
        import mygrad
        from mygrad.nnet.activations import sigmoid

        if self.work.cell == "ops":
            loss = chain_loss(mygrad, self.p, xs, target)
        else:
            loss = cell_loss(mygrad, sigmoid, self.p, self.work, xs, target)
        loss.backward()
        return loss.item(), {name: p.grad for name, p in self.p.items()}


class MyGradUnguarded(MyGrad):
    """MyGrad with its memory guard off."""

    guard = False


class Autograd(Peer):
    """HIPS autograd."""

    def value_and_grad(self, xs: np.ndarray, target: Any) -> tuple[float, Arrays]:
        """Return the loss and all gradients."""
        import autograd
        import autograd.numpy as anp

        def sigmoid(z: Any) -> Any:
            return 0.5 * (anp.tanh(0.5 * z) + 1)

        def loss(p: Any) -> Any:
            if self.work.cell == "ops":
                return chain_loss(anp, p, xs, target)
            return cell_loss(anp, sigmoid, p, self.work, xs, target)

        return autograd.value_and_grad(loss)(self.p)


class Micrograd(Peer):
    """micrograd, with the tanh and σ that its users add to it as ops of their own."""

    def load(self, parameters: Arrays) -> None:
        """Start from these parameters."""
        from micrograd.engine import Value

        sys.setrecursionlimit(100_000)  # its sort recurses once per op
        self.Value = Value
        self.p = {n: [Value(float(v)) for v in a.ravel()] for n, a in parameters.items()}

    def _squash(self, x: Any, y: float, slope: float) -> Any:
        out = self.Value(y, (x,), "squash")

        def _backward() -> None:
            x.grad += slope * out.grad

        out._backward = _backward
        return out

    def sigmoid(self, x: Any) -> Any:
        """σ as one op."""
        y = 1 / (1 + math.exp(-x.data))
        return self._squash(x, y, y * (1 - y))

    def tanh(self, x: Any) -> Any:
        """Tanh as one op."""
        y = math.tanh(x.data)
        return self._squash(x, y, 1 - y * y)

    def value_and_grad(self, xs: np.ndarray, target: Any) -> tuple[float, Arrays]:
        """Return the loss and all gradients."""
        W, U, b, d = (self.p[n] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        for values in self.p.values():
            for value in values:
                value.grad = 0
        h, c = self.Value(0.0), self.Value(0.0)
        for number in xs.tolist():
            x = self.Value(number)
            z = [x * W[k] + b[k] + h * U[k] + d[k] for k in range(4)]
            i, f, g, o = self.sigmoid(z[0]), self.sigmoid(z[1]), self.tanh(z[2]), self.sigmoid(z[3])
            c = f * c + i * g
            h = o * self.tanh(c)
        error = h - float(target)
        loss = error * error
        loss.backward()
        return loss.data, {n: np.array([v.grad for v in vs]) for n, vs in self.p.items()}


class Jax(Peer):
    """JAX: `jit` of `value_and_grad` over `lax.scan`."""

    def load(self, parameters: Arrays) -> None:
        """Start from these parameters."""
        import jax

        jax.config.update("jax_enable_x64", True)
        if not hasattr(self, "run"):
            self.run = jax.jit(jax.value_and_grad(self._loss))
        self.p = {name: jax.numpy.asarray(value) for name, value in parameters.items()}

    def _loss(self, p: Any, xs: Any, target: Any) -> Any:
        import jax
        from jax import lax
        from jax import numpy as jnp

        if self.work.cell == "ops":
            return chain_loss(jnp, p, xs, target)

        def step(state: Any, x: Any) -> Any:
            h, c = state
            a = x @ p["weight_ih"].T + p["bias_ih"]
            u = h @ p["weight_hh"].T + p["bias_hh"]
            if self.work.cell == "rnn":
                return (jnp.tanh(a + u), c), None
            if self.work.cell == "lstm":
                i, f, g, o = jnp.split(a + u, 4, axis=1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None
            (a_r, a_z, a_n), (u_r, u_z, u_n) = jnp.split(a, 3, axis=1), jnp.split(u, 3, axis=1)
            r, z = jax.nn.sigmoid(a_r + u_r), jax.nn.sigmoid(a_z + u_z)
            n = jnp.tanh(a_n + r * u_n)
            return ((1 - z) * n + z * h, c), None

        start = jnp.zeros((self.work.batch, self.work.hidden), xs.dtype)
        (h, _), _ = lax.scan(step, (start, start), xs)
        return loss_of(jnp, p, self.work, h, target)

    def value_and_grad(self, xs: np.ndarray, target: Any) -> tuple[float, Arrays]:
        """Return the loss and all gradients."""
        loss, gradients = self.run(self.p, xs, target)
        return float(loss), {name: np.asarray(g) for name, g in gradients.items()}
