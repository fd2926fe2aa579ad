"""The cells by hand: one step in NumPy, and its Jacobian split by gate: an independent answer."""

import numpy as np

import microrecur as mr
from microrecur.nn.cells import Cell


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def parts(cell):
    """Each gate's W, U and summed bias, for row vectors."""
    n = cell.hidden_size
    numbers = [p.numpy() for p in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)]
    return {
        gate: tuple(p[k * n : (k + 1) * n].T for p in numbers) for k, gate in enumerate(cell.gates)
    }


def peeps(cell):
    if not cell.peephole:
        return {gate: np.zeros(cell.hidden_size) for gate in "ifo"}
    return {gate: getattr(cell, f"weight_p{gate}").numpy() for gate in "ifo"}


def lstm(cell, x, h, c):
    p, peep = parts(cell), peeps(cell)
    z = {k: x @ W + h @ U + a + b for k, (W, U, a, b) in p.items()}
    i, f = sigmoid(z["i"] + peep["i"] * c), sigmoid(z["f"] + peep["f"] * c)
    g = np.tanh(z["g"])
    after = f * c + i * g
    o = sigmoid(z["o"] + peep["o"] * after)
    return o * np.tanh(after), after, (i, f, g, o)


def gru(cell, x, h):
    (Wr, Ur, ar, br), (Wz, Uz, az, bz), (Wn, Un, an, bn) = parts(cell).values()
    r, z = sigmoid(x @ Wr + h @ Ur + ar + br), sigmoid(x @ Wz + h @ Uz + az + bz)
    m = h @ Un + bn if cell.reset_after else (r * h) @ Un + bn
    n = np.tanh(x @ Wn + an + (r * m if cell.reset_after else m))
    return (1 - z) * n + z * h, (r, z, n, m)


def rnn(cell, x, h):
    ((W, U, a, b),) = parts(cell).values()
    z = x @ W + h @ U + a + b
    return {"tanh": np.tanh, "sigmoid": sigmoid, "relu": lambda z: np.maximum(z, 0)}[
        cell.nonlinearity
    ](z)


def lstm_routes(cell, x, h, c):
    """Of (target, source): route → matrix ∂target/∂source, one row per unit of the target."""
    _, after, (i, f, g, o) = lstm(cell, x, h, c)
    U, peep = {k: u for k, (_, u, _, _) in parts(cell).items()}, peeps(cell)
    down = {"i": g * i * (1 - i), "f": c * f * (1 - f), "g": i * (1 - g**2)}
    to_c = {f"via {k}": down[k][:, None] * U[k].T for k in "ifg"}
    from_c = {"direct": np.diag(f)} | {f"via {k}": np.diag(down[k] * peep[k]) for k in "if"}
    out = o * (1 - np.tanh(after) ** 2)
    by_o = np.tanh(after) * o * (1 - o)
    back = by_o * peep["o"]
    found = {("c", "h"): dict(to_c), ("c", "c"): dict(from_c)}
    found["h", "h"] = {k: out[:, None] * part for k, part in to_c.items()}
    found["h", "h"]["via o"] = by_o[:, None] * U["o"].T
    found["h", "c"] = {k: out[:, None] * part for k, part in from_c.items()}
    found["h", "c"]["via o"] = np.diag(back * f)
    found["h", "h"] |= {f"{k}→o": back[:, None] * part for k, part in to_c.items()}
    found["h", "c"] |= {f"via {k}→o": back[:, None] * from_c[f"via {k}"] for k in "if"}
    return {
        block: {k: part for k, part in parts.items() if np.any(part)}
        for block, parts in found.items()
    }


def gru_routes(cell, x, h):
    _, (r, z, n, m) = gru(cell, x, h)
    U = {k: u for k, (_, u, _, _) in parts(cell).items()}
    slope = (1 - z) * (1 - n**2)
    if cell.reset_after:
        via_n = (slope * r)[:, None] * U["n"].T
        via_r = (slope * m * r * (1 - r))[:, None] * U["r"].T
    else:
        via_n = slope[:, None] * (U["n"].T * r)
        via_r = slope[:, None] * (U["n"].T * (h * r * (1 - r))) @ U["r"].T
    via_z = ((h - n) * z * (1 - z))[:, None] * U["z"].T
    return {("h", "h"): {"direct": np.diag(z), "via z": via_z, "via n": via_n, "via r→n": via_r}}


def rnn_routes(cell, x, h):
    y, U = rnn(cell, x, h), parts(cell)["h"][1]
    slope = {"tanh": 1 - y**2, "sigmoid": y * (1 - y), "relu": 1.0 * (y > 0)}[cell.nonlinearity]
    return {("h", "h"): {"via h": slope[:, None] * U.T}}


# -- sequences to ask about ------------------------------------------------------------------------

CELLS = {
    "rnn": mr.RNNCell(2, 3, seed=1),
    "rnn sigmoid": mr.RNNCell(2, 3, nonlinearity="sigmoid", seed=2),
    "rnn relu": mr.RNNCell(2, 3, nonlinearity="relu", seed=3),
    "lstm": mr.LSTMCell(2, 3, seed=4),
    "peephole": mr.LSTMCell(2, 3, peephole=True, seed=5),
    "gru": mr.GRUCell(2, 3, seed=6),
    "gru before": mr.GRUCell(2, 3, reset_after=False, seed=7),
}


def states_of(cell, seed=0, size=0.7, zero=False):
    """The states of step 0, as leaves."""
    numbers = np.random.default_rng(seed)
    held = [numbers.normal(size=cell.hidden_size) * (0 if zero else size) for _ in cell.states]
    return tuple(mr.tensor(h, requires_grad=True) for h in held)


def sequence(cell, T=6, seed=0, zero=False, scale=1.0):
    """Inputs, initial states, and what `unroll` gives (a tuple of states per step)."""
    xs = np.random.default_rng(seed + 100).normal(size=(T, cell.input_size)) * scale
    start = states_of(cell, seed, zero=zero)
    after = mr.unroll(cell, xs, start if len(start) > 1 else start[0])
    return xs, start, [s if isinstance(s, tuple) else (s,) for s in after]


def flow_of(cell, T=6, seed=0, zero=False, wrt="h0", scale=1.0):
    _, _, after = sequence(cell, T, seed, zero, scale)
    return mr.flow(after[-1][0].sum().named("L"), wrt)


def with_weights(cell, times=1.0, forget=None):
    """The cell with its recurrent weights scaled and, if given, its forget bias set."""
    cell.weight_hh.assign(cell.weight_hh.numpy() * times)
    if forget is not None:
        n = cell.hidden_size
        for bias, value in ((cell.bias_ih, forget), (cell.bias_hh, 0.0)):
            numbers = bias.numpy()
            numbers[n : 2 * n] = value
            bias.assign(numbers)
    return cell


class MinimalGatedUnit(Cell):
    """A learner's cell (Zhou et al. 2016): h = (1−f)⊙h + f⊙n, n = tanh(x W + (f⊙h) U + b)."""

    gates = ("f", "n")

    def step(self, x, h):
        W, U, b, _ = self._weights(x)
        with mr.scope("forget gate"):
            f = mr.sigmoid((x @ W.f + h @ U.f + b.f).named("z_f")).named("f")
        with mr.scope("candidate"):
            n = mr.tanh((x @ W.n + (f * h) @ U.n + b.n).named("z_n")).named("n")
        with mr.scope("hidden state"):
            return ((1 - f) * h + f * n).named("h")


class CoupledLSTM(Cell):
    """A learner's cell: an LSTM whose input gate is 1 − f."""

    gates = ("f", "g", "o")
    states = ("h", "c")

    def step(self, x, h, c):
        W, U, b, _ = self._weights(x)
        with mr.scope("forget gate"):
            f = mr.sigmoid((x @ W.f + h @ U.f + b.f).named("z_f")).named("f")
        with mr.scope("candidate"):
            g = mr.tanh((x @ W.g + h @ U.g + b.g).named("z_g")).named("g")
        with mr.scope("cell state"):
            c = (f * c + (1 - f) * g).named("c")
        with mr.scope("output gate"):
            o = mr.sigmoid((x @ W.o + h @ U.o + b.o).named("z_o")).named("o")
        with mr.scope("hidden state"):
            return (o * mr.tanh(c)).named("h"), c
