"""Backpropagation through time written by hand in numpy: the answers the cells are held to.

Each function runs a cell over xs of shape (T, …, I) from the states before the first step and
returns values and gradients by name, of the loss  Σ_t ⟨a_t, h_t⟩ + ⟨e, c_T⟩  with given a and e.
"""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gates(p, x, h):
    """The pre-activations of all gates at once, x Wᵀ + b + h Uᵀ + b, without recurrent twists."""
    return x @ p["weight_ih"].T + p.get("bias_ih", 0) + h @ p["weight_hh"].T + p.get("bias_hh", 0)


class Gathered:
    """Gradients of the packed parameters, summed over steps as they come."""

    def __init__(self, p):
        self.p, self.by_name = p, {name: np.zeros_like(value) for name, value in p.items()}

    def step(self, dz, x, h, rows=slice(None)):
        """Add one step's: dz of the rows, from the x and h that these rows read."""
        add = {"weight_ih": dz.T @ x, "weight_hh": dz.T @ h}
        add |= {name: dz.sum(0) for name in ("bias_ih", "bias_hh") if name in self.p}
        for name, value in add.items():
            self.by_name[name][rows] += value
        return dz @ self.p["weight_ih"][rows], dz @ self.p["weight_hh"][rows]


def in_batches(run):
    """Let `run`, written for (T, N, I), take one sequence without a batch axis too."""

    def any_shape(p, xs, a, **given):
        lead = xs.shape[1:-1]

        def flat(v):
            return v.reshape(*v.shape[: v.ndim - len(lead) - 1], -1, v.shape[-1])

        answer = run(p, flat(xs), flat(a), **{k: flat(v) for k, v in given.items()})
        per_step = {"h": lead, "c": lead, "x": lead, "h0": lead, "c0": lead}
        return {
            k: v.reshape(*v.shape[:-2], *per_step[k], v.shape[-1]) if k in per_step else v
            for k, v in answer.items()
        }

    return any_shape


@in_batches
def sigmoid_rnn(p, xs, a, h0):
    """h = σ(x Wᵀ + b + h Uᵀ + b)."""
    hs = [h0]
    for x in xs:
        hs.append(sigmoid(gates(p, x, hs[-1])))
    grads, dxs, dh = Gathered(p), [], np.zeros_like(h0)
    for t in reversed(range(len(xs))):
        h = hs[t + 1]
        dz = (dh + a[t]) * h * (1 - h)
        dx, dh = grads.step(dz, xs[t], hs[t])
        dxs.insert(0, dx)
    return {"h": np.array(hs[1:]), "x": np.array(dxs), "h0": dh, **grads.by_name}


@in_batches
def peephole_lstm(p, xs, a, e, h0, c0):
    """Gers & Schmidhuber: i and f see the old c, o sees the new one, through diagonal weights."""
    hs, cs, saved = [h0], [c0], []
    for x in xs:
        z_i, z_f, z_g, z_o = np.split(gates(p, x, hs[-1]), 4, axis=1)
        i = sigmoid(z_i + p["weight_pi"] * cs[-1])
        f = sigmoid(z_f + p["weight_pf"] * cs[-1])
        g = np.tanh(z_g)
        c = f * cs[-1] + i * g
        o = sigmoid(z_o + p["weight_po"] * c)
        saved.append((i, f, g, o))
        cs.append(c)
        hs.append(o * np.tanh(c))
    grads, dxs = Gathered(p), []
    dh, dc = np.zeros_like(h0), e
    for t in reversed(range(len(xs))):
        (i, f, g, o), before, after = saved[t], cs[t], cs[t + 1]
        dh = dh + a[t]
        dz_o = dh * np.tanh(after) * o * (1 - o)
        dc = dc + dh * o * (1 - np.tanh(after) ** 2) + dz_o * p["weight_po"]
        dz_i = dc * g * i * (1 - i)
        dz_f = dc * before * f * (1 - f)
        dz_g = dc * i * (1 - g**2)
        grads.by_name["weight_pi"] += (dz_i * before).sum(0)
        grads.by_name["weight_pf"] += (dz_f * before).sum(0)
        grads.by_name["weight_po"] += (dz_o * after).sum(0)
        dc = dc * f + dz_i * p["weight_pi"] + dz_f * p["weight_pf"]
        dx, dh = grads.step(np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1), xs[t], hs[t])
        dxs.insert(0, dx)
    states = {"h": np.array(hs[1:]), "c": np.array(cs[1:])}
    return {**states, "x": np.array(dxs), "h0": dh, "c0": dc, **grads.by_name}


@in_batches
def reset_before_gru(p, xs, a, h0):
    """Cho et al. 2014: the reset gate acts on h before the candidate's weights see it."""
    size = h0.shape[-1]
    upper, last = slice(0, 2 * size), slice(2 * size, 3 * size)
    of_n = {name: value[last] for name, value in p.items()}
    hs, saved = [h0], []
    for x in xs:
        h = hs[-1]
        r, z = np.split(sigmoid(gates(p, x, h)[:, upper]), 2, axis=1)
        n = np.tanh(gates(of_n, x, r * h))
        saved.append((r, z, n))
        hs.append((1 - z) * n + z * h)
    grads, dxs, dh = Gathered(p), [], np.zeros_like(h0)
    for t in reversed(range(len(xs))):
        (r, z, n), h = saved[t], hs[t]
        dh = dh + a[t]
        da_n = dh * (1 - z) * (1 - n**2)
        da_z = dh * (h - n) * z * (1 - z)
        dx_n, d_rh = grads.step(da_n, xs[t], r * h, last)
        da_r = d_rh * h * r * (1 - r)
        dx, dh_gates = grads.step(np.concatenate([da_r, da_z], axis=1), xs[t], h, upper)
        dh = dh * z + d_rh * r + dh_gates
        dxs.insert(0, dx + dx_n)
    return {"h": np.array(hs[1:]), "x": np.array(dxs), "h0": dh, **grads.by_name}
