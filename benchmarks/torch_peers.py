"""PyTorch, written four ways: two matmuls per step, eight as in the equations, cells, layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.workloads import GATES, OPS, Arrays, Workload

torch.set_num_threads(1)
LAYERS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
CELLS = {"rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}


class Peer:
    """What all of them share: parameters as leaves, the loss, and Adam where the work trains."""

    def __init__(self, work: Workload, dtype: str) -> None:
        self.work, self.dtype = work, getattr(torch, dtype)
        self.trains = work.loss == "head"

    def load(self, parameters: Arrays) -> None:
        """Start from these parameters."""
        self.p = {n: torch.tensor(v, requires_grad=True) for n, v in parameters.items()}
        self.prepare()
        self.adam = torch.optim.Adam(self.p.values(), foreach=True) if self.trains else None

    def prepare(self) -> None:
        """Build what stands on the parameters."""

    def last(self, xs: torch.Tensor) -> torch.Tensor:
        """Return the last h, (N, H)."""
        raise NotImplementedError

    def loss(self, xs: np.ndarray, target: Any) -> torch.Tensor:
        """Run forward."""
        h = self.last(torch.from_numpy(xs))
        if self.work.loss == "head":
            logits = F.linear(h, self.p["head_weight"], self.p["head_bias"])
            return F.cross_entropy(logits, torch.from_numpy(target))
        return F.mse_loss(h, torch.as_tensor(target).reshape(h.shape))

    def run(self, xs: np.ndarray, target: Any) -> torch.Tensor:
        """Forward and backward."""
        for p in self.p.values():
            p.grad = None
        loss = self.loss(xs, target)
        loss.backward()
        return loss

    def value_and_grad(self, xs: np.ndarray, target: Any) -> tuple[float, Arrays]:
        """Return the loss and all gradients."""
        loss = self.run(xs, target)
        return loss.item(), {n: p.grad.numpy().copy() for n, p in self.p.items()}  # type: ignore[union-attr]

    def step(self, xs: np.ndarray, target: Any) -> None:
        """Do what is timed."""
        self.run(xs, target)
        if self.adam is not None:
            self.adam.step()


class Joined(Peer):
    """A cell by hand with two matmuls per step, all gates at once."""

    def last(self, xs: torch.Tensor) -> torch.Tensor:
        """Return the last h, (N, H)."""
        W, U = self.p["weight_ih"], self.p["weight_hh"]
        b, d = self.p["bias_ih"], self.p["bias_hh"]
        h = c = xs.new_zeros(self.work.batch, self.work.hidden)
        for x in xs:
            if self.work.cell == "rnn":
                h = torch.tanh(F.linear(x, W, b) + F.linear(h, U, d))
            elif self.work.cell == "lstm":
                i, f, g, o = (F.linear(x, W, b) + F.linear(h, U, d)).chunk(4, 1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            else:
                a_r, a_z, a_n = F.linear(x, W, b).chunk(3, 1)
                u_r, u_z, u_n = F.linear(h, U, d).chunk(3, 1)
                r, z = torch.sigmoid(a_r + u_r), torch.sigmoid(a_z + u_z)
                n = torch.tanh(a_n + r * u_n)
                h = (1 - z) * n + z * h
        return h


class Named(Peer):
    """The same cells written as microrecur writes them: a matmul for each gate and operand."""

    def _by_gate(self) -> list[list[Any]]:
        H, G = self.work.hidden, GATES[self.work.cell]
        found = []
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            blocks = self.p[name].split(H)
            if self.work.scalar:
                found.append([block.reshape(()) for block in blocks])
            else:
                found.append([block.T if block.ndim == 2 else block for block in blocks])
        assert len(found[0]) == G
        return found

    def last(self, xs: torch.Tensor) -> torch.Tensor:
        """Return the last h, (N, H); one number where the workload is."""
        W, U, b, d = self._by_gate()
        matmul = torch.mul if self.work.scalar else torch.matmul
        shape = () if self.work.scalar else (self.work.batch, self.work.hidden)
        h = c = xs.new_zeros(shape)

        def z(x: Any, h: Any, k: int) -> Any:
            return matmul(x, W[k]) + b[k] + matmul(h, U[k]) + d[k]

        for x in xs:
            if self.work.cell == "rnn":
                h = torch.tanh(z(x, h, 0))
            elif self.work.cell == "lstm":
                i, f = torch.sigmoid(z(x, h, 0)), torch.sigmoid(z(x, h, 1))
                g, o = torch.tanh(z(x, h, 2)), torch.sigmoid(z(x, h, 3))
                c = f * c + i * g
                h = o * torch.tanh(c)
            else:
                r, u = torch.sigmoid(z(x, h, 0)), torch.sigmoid(z(x, h, 1))
                n = torch.tanh(matmul(x, W[2]) + b[2] + r * (matmul(h, U[2]) + d[2]))
                h = (1 - u) * n + u * h
        return h


class Cells(Peer):
    """torch.nn.LSTMCell, RNNCell or GRUCell in a loop."""

    def prepare(self) -> None:
        """Build the cell on the parameters."""
        self.cell = CELLS[self.work.cell](self.work.features, self.work.hidden, dtype=self.dtype)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            self._give(self.cell, name, self.p[name])

    def _give(self, module: Any, name: str, value: torch.Tensor) -> None:
        kept = torch.nn.Parameter(value.detach())
        setattr(module, name, kept)
        self.p[name.removesuffix("_l0")] = kept

    def last(self, xs: torch.Tensor) -> torch.Tensor:
        """Return the last h, (N, H)."""
        state: Any = None
        for x in xs:
            state = self.cell(x, state)
        return state[0] if isinstance(state, tuple) else state


class Layer(Cells):
    """torch.nn.LSTM, RNN or GRU: one call for the whole sequence."""

    def prepare(self) -> None:
        """Build the layer on the parameters."""
        self.layer = LAYERS[self.work.cell](self.work.features, self.work.hidden, dtype=self.dtype)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            self._give(self.layer, f"{name}_l0", self.p[name])
        self.layer.flatten_parameters()

    def last(self, xs: torch.Tensor) -> torch.Tensor:
        """Return the last h, (N, H)."""
        return self.layer(xs.reshape(self.work.steps, self.work.batch, self.work.features))[0][-1]


class Chain(Peer):
    """OPS: x ← tanh(x⊙a + b), then ½ Σ (x − target)²."""

    def __init__(self, work: Any, dtype: str) -> None:
        self.trains = False

    def loss(self, xs: np.ndarray, target: Any) -> torch.Tensor:
        """Run forward."""
        x, a, b = torch.from_numpy(xs), self.p["a"], self.p["b"]
        for _ in range(OPS.links):
            x = torch.tanh(x * a + b)
        error = x - torch.from_numpy(target)
        return 0.5 * (error * error).sum()
