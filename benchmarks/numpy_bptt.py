"""BPTT by hand in NumPy as people write it: x W hoisted out of the loop, dW one product at the end.

Rows are sequences, (N, 4H) at a time, gates are slices of it; results go into arrays made before.
"""

from __future__ import annotations

import numpy as np

from benchmarks.workloads import GATES, Arrays, Workload


def sigmoid(z: np.ndarray, out: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ᶻ) into out."""
    np.negative(z, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    return np.reciprocal(out, out=out)


class Rows:
    """What the three cells share: the parameters, x W over all steps, the gradients at the end."""

    def __init__(self, work: Workload, dtype: str) -> None:
        T, N, H, G = work.steps, work.batch, work.hidden, GATES[work.cell]
        self.T, self.N, self.H = T, N, H
        self.Z, self.dZ = (np.empty((T, N, G * H), dtype) for _ in range(2))
        self.gates = np.empty((T, N, G * H), dtype)
        self.hs = np.zeros((T + 1, N, H), dtype)

    def load(self, p: Arrays) -> None:
        """Read the parameters."""
        self.W, self.U = p["weight_ih"], p["weight_hh"]
        self.b_ih, self.b_hh = p["bias_ih"], p["bias_hh"]

    def project(self, xs: np.ndarray, bias: np.ndarray) -> None:
        """Compute x W + b for all steps."""
        self.xs = xs
        np.matmul(xs, self.W.T, out=self.Z)
        self.Z += bias

    def gradients(self, dZ_h: np.ndarray) -> Arrays:
        """dW, dU and db, each one product or sum over all steps and sequences."""
        flat, of_h = self.dZ.reshape(self.T * self.N, -1), dZ_h.reshape(self.T * self.N, -1)
        return {
            "weight_ih": flat.T @ self.xs.reshape(self.T * self.N, -1),
            "weight_hh": of_h.T @ self.hs[:-1].reshape(self.T * self.N, -1),
            "bias_ih": flat.sum(axis=0),
            "bias_hh": of_h.sum(axis=0),
        }


class RNN(Rows):
    """h = tanh(x W + b + h U)."""

    def forward(self, xs: np.ndarray) -> np.ndarray:
        """Run all steps and return the last h."""
        self.project(xs, self.b_ih + self.b_hh)
        for t in range(self.T):
            z = self.hs[t] @ self.U.T
            z += self.Z[t]
            np.tanh(z, out=self.hs[t + 1])
        return self.hs[-1]

    def backward(self, dh: np.ndarray) -> Arrays:
        """Return the gradients from that of the last h."""
        for t in reversed(range(self.T)):
            np.multiply(dh, 1 - self.hs[t + 1] ** 2, out=self.dZ[t])
            dh = self.dZ[t] @ self.U
        return self.gradients(self.dZ)


class LSTM(Rows):
    """c = f⊙c + i⊙g, h = o⊙tanh(c), gates i, f, g, o."""

    def __init__(self, work: Workload, dtype: str) -> None:
        super().__init__(work, dtype)
        self.cs, self.tc = np.zeros_like(self.hs), np.zeros_like(self.hs)

    def forward(self, xs: np.ndarray) -> np.ndarray:
        """Run all steps and return the last h."""
        H = self.H
        self.project(xs, self.b_ih + self.b_hh)
        for t in range(self.T):
            z = self.hs[t] @ self.U.T
            z += self.Z[t]
            a = self.gates[t]
            i = sigmoid(z[:, :H], a[:, :H])
            f = sigmoid(z[:, H : 2 * H], a[:, H : 2 * H])
            g = np.tanh(z[:, 2 * H : 3 * H], out=a[:, 2 * H : 3 * H])
            o = sigmoid(z[:, 3 * H :], a[:, 3 * H :])
            c = np.multiply(f, self.cs[t], out=self.cs[t + 1])
            c += i * g
            np.tanh(c, out=self.tc[t])
            np.multiply(o, self.tc[t], out=self.hs[t + 1])
        return self.hs[-1]

    def backward(self, dh: np.ndarray) -> Arrays:
        """Return the gradients from that of the last h."""
        H, dc = self.H, np.zeros_like(dh)
        for t in reversed(range(self.T)):
            a, d, tc = self.gates[t], self.dZ[t], self.tc[t]
            i, f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
            dc += dh * o * (1 - tc * tc)
            np.multiply(dc * g, i * (1 - i), out=d[:, :H])
            np.multiply(dc * self.cs[t], f * (1 - f), out=d[:, H : 2 * H])
            np.multiply(dc * i, 1 - g * g, out=d[:, 2 * H : 3 * H])
            np.multiply(dh * tc, o * (1 - o), out=d[:, 3 * H :])
            dc *= f
            dh = d @ self.U
        return self.gradients(self.dZ)


class GRU(Rows):
    """h = (1−z)⊙n + z⊙h with n = tanh(x W + b + r⊙(h U + b)), gates r, z, n."""

    def __init__(self, work: Workload, dtype: str) -> None:
        super().__init__(work, dtype)
        self.m, self.dZ_h = np.zeros_like(self.hs[1:]), np.zeros_like(self.dZ)

    def forward(self, xs: np.ndarray) -> np.ndarray:
        """Run all steps and return the last h."""
        H = self.H
        self.project(xs, self.b_ih)
        for t in range(self.T):
            u = self.hs[t] @ self.U.T
            u += self.b_hh
            x, a = self.Z[t], self.gates[t]
            r = sigmoid(x[:, :H] + u[:, :H], a[:, :H])
            z = sigmoid(x[:, H : 2 * H] + u[:, H : 2 * H], a[:, H : 2 * H])
            self.m[t] = u[:, 2 * H :]
            n = np.tanh(x[:, 2 * H :] + r * self.m[t], out=a[:, 2 * H :])
            np.multiply(z, self.hs[t] - n, out=self.hs[t + 1])
            self.hs[t + 1] += n
        return self.hs[-1]

    def backward(self, dh: np.ndarray) -> Arrays:
        """Return the gradients from that of the last h."""
        H = self.H
        for t in reversed(range(self.T)):
            a, d, u = self.gates[t], self.dZ[t], self.dZ_h[t]
            r, z, n = a[:, :H], a[:, H : 2 * H], a[:, 2 * H :]
            dn = np.multiply(dh * (1 - z), 1 - n * n, out=d[:, 2 * H :])
            np.multiply(dh * (self.hs[t] - n), z * (1 - z), out=d[:, H : 2 * H])
            np.multiply(dn * self.m[t], r * (1 - r), out=d[:, :H])
            u[:, : 2 * H] = d[:, : 2 * H]
            np.multiply(dn, r, out=u[:, 2 * H :])
            dh = dh * z + u @ self.U
        return self.gradients(self.dZ_h)


CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
