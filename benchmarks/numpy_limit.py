"""The limit: BPTT written by hand for NumPy alone, with every means it has, as a yardstick.

What makes it fast: gates are contiguous blocks of a (4H, N) column layout; all buffers and all
views of them are made once; x W + b is one product over all steps; σ(z) = ½(1 + tanh(z/2)), so one
tanh serves all gates; whatever the way back needs that is no recurrence is computed for all steps
at once; and dW, dU and db are one product. The package has nothing of the kind: there the graph
writes this code.
"""

from __future__ import annotations

import numpy as np

from benchmarks.workloads import Arrays, Workload


class Columns:
    """What LSTM and GRU share: row order, the joined product over time, one product for dW.

    z of step t is (G·H, N): rows of a gate are contiguous, and one batch is its columns. `order`
    permutes torch's gates; `halved` names the rows of gates that are σ, computed as ½(1 + tanh ½z).
    """

    def __init__(self, work: Workload, dtype: str, order: tuple[int, ...], halved: slice) -> None:
        T, N, H, I = work.steps, work.batch, work.hidden, work.features  # noqa: E741
        G = len(order)
        self.H, self.halved, self.half = H, halved, np.array(0.5, dtype)
        self.rows = np.concatenate([np.arange(k * H, (k + 1) * H) for k in order])
        self.back = np.argsort(self.rows)
        self.z = np.empty((G * H, N), dtype)
        self.P = np.empty((T, G * H, N), dtype)
        # h before each step, x, 1, side by side: the right factor of dU, dW, db.
        self.joined = np.ones((T, N, H + I + 1), dtype)
        self.WA = np.empty((G * H, I + 1), dtype)
        self.U = np.empty((G * H, H), dtype)
        self.U_scaled = np.empty((G * H, H), dtype)
        self.hs = np.zeros((T + 1, H, N), dtype)

    def load(self, p: Arrays) -> None:
        """Read the parameters: reorder the rows, halve those of σ."""
        np.take(p["weight_hh"], self.rows, axis=0, out=self.U)
        np.take(p["weight_ih"], self.rows, axis=0, out=self.WA[:, :-1])
        self.WA[:, -1] = self.shift(p)[self.rows]
        np.copyto(self.U_scaled, self.U)
        self.U_scaled[self.halved] *= self.half
        self.WA[self.halved] *= self.half

    def shift(self, p: Arrays) -> np.ndarray:
        """What is added to x W outside the recurrence."""
        return p["bias_ih"] + p["bias_hh"]

    def project(self, xs: np.ndarray) -> None:
        """Compute x W + b for all steps: P (T, G·H, N)."""
        self.joined[:, :, self.H : -1] = xs
        np.matmul(self.WA, self.joined[:, :, self.H :].transpose(0, 2, 1), out=self.P)

    def gather(self, D: np.ndarray, flat: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Σ_t of D_t (T, R, N) times [h x 1] as one product: out (R, H + I + 1)."""
        T, R, N = D.shape
        np.copyto(flat.reshape(R, T, N), D.transpose(1, 0, 2))
        return np.matmul(flat, self.joined.reshape(T * N, -1), out=out)


class LSTM(Columns):
    """Rows g, f, i, o: the three σ are one block, and so are the three gates that read dc."""

    def __init__(self, work: Workload, dtype: str) -> None:
        T, N, H = work.steps, work.batch, work.hidden
        super().__init__(work, dtype, (2, 1, 0, 3), slice(H, None))
        self.A = np.empty((T, 4 * H, N), dtype)
        self.cs = np.zeros((T + 1, H, N), dtype)
        self.tc = np.empty((T, H, N), dtype)
        self.tmp = np.empty((H, N), dtype)
        gates = ((a, a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :], a[H:]) for a in self.A)
        self.on = list(zip(self.P, gates, self.tc, self.cs[1:], self.hs[1:]))
        # K: what dc (and dh, for o and tanh c) is multiplied by on its way to each gate.
        self.K = np.empty((T, 6 * H, N), dtype)
        self.D = np.empty((T, 5 * H, N), dtype)
        views = zip(self.K.reshape(T, 6, H, N), self.D, self.D.reshape(T, 5, H, N))
        self.off = [(k[0], k[1:5], k[5], d[H:], e[:4], e[4], e[0]) for k, d, e in views][::-1]
        self.flat = np.empty((4 * H, T * N), dtype)
        self.G = np.empty((4 * H, self.joined.shape[2]), dtype)
        self.dc, self.dh = np.empty((H, N), dtype), np.empty((H, N), dtype)
        self.UT = np.empty((H, 4 * H), dtype)

    def forward(self, xs: np.ndarray) -> np.ndarray:
        """Run all steps and return the last h, (N, H)."""
        self.project(xs)
        add, mul, tanh, dot = np.add, np.multiply, np.tanh, np.dot
        U, z, half, tmp = self.U_scaled, self.z, self.half, self.tmp
        h, c = self.hs[0], self.cs[0]
        for P, (a, g, f, i, o, s), tc, c1, h1 in self.on:
            dot(U, h, z)
            add(z, P, z)
            tanh(z, a)
            mul(s, half, s)
            add(s, half, s)
            mul(f, c, c1)
            mul(i, g, tmp)
            add(c1, tmp, c1)
            tanh(c1, tc)
            mul(o, tc, h1)
            h, c = h1, c1
        return h.T

    def backward(self, dh_last: np.ndarray) -> Arrays:
        """Return the gradients from that of the last h, (N, H)."""
        H, T = self.H, len(self.A)
        self._slopes()
        np.copyto(self.UT, self.U.T)
        mul, add, UT, dc, dh = np.multiply, np.add, self.UT, self.dc, self.dh
        np.copyto(dh, dh_last.T)
        carry = np.zeros_like(dc)
        for k_c, k_gates, k_o, dz, d_gates, d_o, d_c in self.off:
            mul(dh, k_c, dc)
            add(dc, carry, dc)
            mul(k_gates, dc, d_gates)  # f for the step before, then g, f, i
            mul(k_o, dh, d_o)
            np.dot(UT, dz, dh)
            carry = d_c
        self.joined[:, :, :H] = self.hs[:T].transpose(0, 2, 1)
        G = self.gather(self.D[:, H:], self.flat, self.G)[self.back]
        return split(G, H, G[:, -1])

    def _slopes(self) -> None:
        """K for all steps at once: o(1−tc²) | f | i(1−g²) | c f(1−f) | g i(1−i) | tc o(1−o)."""
        T, _, N = self.A.shape
        H, K = self.H, self.K.reshape(T, 6, self.H, N)
        a = self.A.reshape(T, 4, H, N)
        g, f, i, o = (a[:, k] for k in range(4))
        np.multiply(self.tc, self.tc, K[:, 0])
        np.subtract(1, K[:, 0], K[:, 0])
        np.multiply(K[:, 0], o, K[:, 0])
        np.copyto(K[:, 1], f)
        np.multiply(g, g, K[:, 2])
        np.subtract(1, K[:, 2], K[:, 2])
        np.multiply(K[:, 2], i, K[:, 2])
        s = a[:, 1:]
        np.subtract(1, s, K[:, 3:])
        np.multiply(K[:, 3:], s, K[:, 3:])
        np.multiply(K[:, 3], self.cs[:-1], K[:, 3])
        np.multiply(K[:, 4], g, K[:, 4])
        np.multiply(K[:, 5], self.tc, K[:, 5])


class GRU(Columns):
    """Rows r, z, n as torch has them; n = tanh(x W + b + r ⊙ (h U + b))."""

    def __init__(self, work: Workload, dtype: str) -> None:
        T, N, H = work.steps, work.batch, work.hidden
        super().__init__(work, dtype, (0, 1, 2), slice(0, 2 * H))
        self.Pn = np.empty((T, H, N), dtype)
        self.A = np.empty((T, 3 * H, N), dtype)
        self.n = np.empty((T, H, N), dtype)
        gates = ((a, a[: 2 * H], a[:H], a[H : 2 * H], a[2 * H :]) for a in self.A)
        self.on = list(zip(self.P, self.Pn, gates, self.n, self.hs[1:]))
        self.K = np.empty((T, 5, H, N), dtype)
        self.D = np.empty((T, 5, H, N), dtype)
        rows = self.D.reshape(T, 5 * H, N)
        self.off = [(k, d, e[: 3 * H], d[4]) for k, d, e in zip(self.K, self.D, rows)][::-1]
        self.flat = np.empty((4 * H, T * N), dtype)
        self.G = np.empty((4 * H, self.joined.shape[2]), dtype)
        self.tmp, self.dh = np.empty((H, N), dtype), np.empty((H, N), dtype)
        self.UT = np.empty((H, 3 * H), dtype)

    def shift(self, p: Arrays) -> np.ndarray:
        """The bias b_hn is inside r ⊙ (…), so it is kept apart."""
        self.b_hn = p["bias_hh"][2 * self.H :, None]
        both = p["bias_ih"] + p["bias_hh"]
        both[2 * self.H :] = p["bias_ih"][2 * self.H :]
        return both

    def forward(self, xs: np.ndarray) -> np.ndarray:
        """Run all steps and return the last h, (N, H)."""
        self.project(xs)
        np.copyto(self.Pn, self.P[:, 2 * self.H :])
        self.P[:, 2 * self.H :] = self.b_hn
        add, sub, mul, tanh, dot = np.add, np.subtract, np.multiply, np.tanh, np.dot
        U, z, half, tmp = self.U_scaled, self.z, self.half, self.tmp
        h = self.hs[0]
        for P, Pn, (a, s, r, u, m), n, h1 in self.on:
            dot(U, h, z)
            add(z, P, a)
            tanh(s, s)
            mul(s, half, s)
            add(s, half, s)
            mul(r, m, tmp)
            add(tmp, Pn, tmp)
            tanh(tmp, n)
            sub(h, n, h1)
            mul(u, h1, h1)
            add(h1, n, h1)
            h = h1
        return h.T

    def backward(self, dh_last: np.ndarray) -> Arrays:
        """Return the gradients from that of the last h, (N, H)."""
        H, T = self.H, len(self.A)
        self._slopes()
        np.copyto(self.UT, self.U.T)
        mul, add, UT, tmp, dh = np.multiply, np.add, self.UT, self.tmp, self.dh
        np.copyto(dh, dh_last.T)
        for k, d, da, straight in self.off:
            mul(k, dh, d)  # r, z, h U + b, n, and z ⊙ dh
            np.dot(UT, da, tmp)
            add(tmp, straight, dh)
        self.joined[:, :, :H] = self.hs[:T].transpose(0, 2, 1)
        G = self.gather(self.D.reshape(T, 5 * H, -1)[:, : 4 * H], self.flat, self.G)
        of_x, of_h = np.concatenate([G[: 2 * H], G[3 * H :]]), G[: 3 * H]
        return {
            "weight_ih": of_x[:, H:-1],
            "weight_hh": of_h[:, :H],
            "bias_ih": of_x[:, -1],
            "bias_hh": of_h[:, -1],
        }

    def _slopes(self) -> None:
        """K for all steps at once: what dh is multiplied by for r, z, h U + b, n and h before."""
        T, _, N = self.A.shape
        a, K = self.A.reshape(T, 3, self.H, N), self.K
        r, z, m, n = a[:, 0], a[:, 1], a[:, 2], self.n
        np.multiply(n, n, K[:, 3])
        np.subtract(1, K[:, 3], K[:, 3])
        np.subtract(1, z, K[:, 4])
        np.multiply(K[:, 3], K[:, 4], K[:, 3])  # n: (1−z)(1−n²)
        np.multiply(K[:, 3], r, K[:, 2])
        np.subtract(1, r, K[:, 0])
        np.multiply(K[:, 0], K[:, 2], K[:, 0])
        np.multiply(K[:, 0], m, K[:, 0])  # r: m r(1−r) of n's
        np.multiply(K[:, 4], z, K[:, 4])
        np.subtract(self.hs[:T], n, K[:, 1])
        np.multiply(K[:, 1], K[:, 4], K[:, 1])  # z: (h−n) z(1−z)
        np.copyto(K[:, 4], z)


class RNN:
    """One gate, so rows stay as they are, (N, H), and every product over time is one GEMM."""

    def __init__(self, work: Workload, dtype: str) -> None:
        T, N, H, I = work.steps, work.batch, work.hidden, work.features  # noqa: E741
        self.H = H
        self.P, self.D, self.K = (np.empty((T, N, H), dtype) for _ in range(3))
        self.hs = np.zeros((T + 1, N, H), dtype)
        self.on = list(zip(self.P, self.hs[1:]))
        self.off = list(zip(self.K[::-1], self.D[::-1]))
        self.joined = np.ones((T, N, I + 1), dtype)
        self.WA, self.UT = np.empty((I + 1, H), dtype), np.empty((H, H), dtype)
        self.z, self.dh = np.empty((N, H), dtype), np.empty((N, H), dtype)

    def load(self, p: Arrays) -> None:
        """Read the parameters."""
        self.WA[:-1] = p["weight_ih"].T
        self.WA[-1] = p["bias_ih"] + p["bias_hh"]
        self.UT[:] = p["weight_hh"].T
        self.U = np.ascontiguousarray(p["weight_hh"])

    def forward(self, xs: np.ndarray) -> np.ndarray:
        """Run all steps and return the last h, (N, H)."""
        T, N, H = self.P.shape
        self.joined[:, :, :-1] = xs
        np.matmul(self.joined.reshape(T * N, -1), self.WA, out=self.P.reshape(T * N, H))
        add, tanh, dot, UT, z, h = np.add, np.tanh, np.dot, self.UT, self.z, self.hs[0]
        for P, h1 in self.on:
            dot(h, UT, z)
            add(z, P, z)
            tanh(z, h1)
            h = h1
        return h

    def backward(self, dh_last: np.ndarray) -> Arrays:
        """Return the gradients from that of the last h, (N, H)."""
        T, N, H = self.P.shape
        np.multiply(self.hs[1:], self.hs[1:], self.K)
        np.subtract(1, self.K, self.K)
        mul, dot, U, dh = np.multiply, np.dot, self.U, self.dh
        np.copyto(dh, dh_last)
        for k, d in self.off:
            mul(k, dh, d)
            dot(d, U, dh)
        D = self.D.reshape(T * N, H).T
        G = D @ self.joined.reshape(T * N, -1)
        G_hh = D @ self.hs[:T].reshape(T * N, H)
        return {"weight_ih": G[:, :-1], "weight_hh": G_hh, "bias_ih": G[:, -1], "bias_hh": G[:, -1]}


def split(G: np.ndarray, H: int, bias: np.ndarray) -> Arrays:
    """Cut [dU dW db] into torch's parameters; both biases have one gradient."""
    return {"weight_ih": G[:, H:-1], "weight_hh": G[:, :H], "bias_ih": bias, "bias_hh": bias}


CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
