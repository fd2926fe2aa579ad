"""Ops that claim their gradients: some rightly, the others with a planted bug.

They are plain NumPy, forward and backward, since a checker calls them hundreds of times; a test
holds those that claim rightly to the engine. A checker may be blind to much: to a sign, to one
entry among many, to an error above or below, to one that is small, to a small parameter beside a
large one. So there is a bug of each kind, whatever numbers are drawn.
"""

import numpy as np


def generic(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers of both signs, none of them small."""
    return rng.uniform(0.4, 1.6, shape) * rng.choice((-1.0, 1.0), shape)


def layer(rng: np.random.Generator, scale: float = 1.0):
    """L = scale · Σ g ⊙ tanh([h, x] @ W + b): every op of the lesson in one."""
    g = generic(rng, 2, 3) * scale
    sizes = {"h": (2, 2), "x": (2, 2), "W": (4, 3), "b": (3,)}
    params = {name: 0.5 * generic(rng, *shape) for name, shape in sizes.items()}

    def f(p):
        joined = np.concatenate([p["h"], p["x"]], axis=1)
        y = np.tanh(joined @ p["W"] + p["b"])
        z_bar = g * (1 - y**2)
        back = z_bar @ p["W"].T
        grads = {"h": back[:, :2], "x": back[:, 2:], "W": joined.T @ z_bar, "b": z_bar.sum(0)}
        return float((g * y).sum()), grads

    return f, params


def square(rng: np.random.Generator):
    """L = Σ g ⊙ (A @ W)² with W square, and a parameter that L does not depend on."""
    g = generic(rng, 2, 3)
    params = {"A": generic(rng, 2, 3), "W": generic(rng, 3, 3), "unused": generic(rng, 2)}

    def f(p):
        y = p["A"] @ p["W"]
        y_bar = 2 * g * y
        grads = {"A": y_bar @ p["W"].T, "W": p["A"].T @ y_bar, "unused": np.zeros(2)}
        return float((g * y**2).sum()), grads

    return f, params


def valley(rng: np.random.Generator):
    """L = Σ heights ⊙ (v − lowest)² + 5 Σ w², its lowest point near.

    v₁ is a hair from it: a tiny gradient beside large ones. All of w is near: seen from one side
    the slope is off by ε.
    """
    params = {
        "v": np.array([rng.uniform(0.8, 1.2), 1.0 + 1e-9, rng.uniform(0.2, 0.3)]),
        "w": rng.uniform(1e-3, 2e-3, 2),
    }
    heights, lowest = np.array([1e3, 7.0, 20.0]), np.array([0.0, 1.0, 0.0])

    def f(p):
        away, w = p["v"] - lowest, p["w"]
        loss = (heights * away**2).sum() + 5 * (w**2).sum()
        return float(loss), {"v": 2 * heights * away, "w": 10 * w}

    return f, params


def ripple(rng: np.random.Generator):
    """L = Σ g ⊙ sin(30 x), every gradient below 0: a wide step sees another slope."""
    g, params = -np.abs(generic(rng, 3)), {"x": rng.uniform(-0.03, 0.03, 3)}

    def f(p):
        return float((g * np.sin(30 * p["x"])).sum()), {"x": 30 * g * np.cos(30 * p["x"])}

    return f, params


def planted(op, spoil):
    """The same op with a bug in what it claims."""
    right, params = op

    def f(params):
        loss, grads = right(params)
        return loss, spoil(grads)

    return f, params


def last_forgotten(grads):
    """A bias whose last unit gets nothing."""
    return grads | {"b": np.append(grads["b"][:-1], 0.0)}


def slope_off(grads):
    """Every gradient a fifth too large, as by a wrong slope."""
    return {name: 1.2 * g for name, g in grads.items()}


def transposed(grads):
    """A square gradient on its side."""
    return grads | {"W": grads["W"].T}


def swapped(grads):
    """[x, h] for [h, x]."""
    return grads | {"h": grads["x"], "x": grads["h"]}


def off_by(g, share):
    """The smallest entry of a gradient off by a share of the largest."""
    g = g.copy()
    g.flat[np.abs(g).argmin()] += share * np.abs(g).max()
    return g


def a_hair_low(grads):
    """One weight's claim three parts in 10⁴ too low, all of the bias five parts too large."""
    return grads | {"W": off_by(grads["W"], -3e-4), "b": 1.0005 * grads["b"]}


def a_hair_high(grads):
    """One weight's claim three parts in 10⁴ too high, and x with its sign turned round."""
    return grads | {"W": off_by(grads["W"], 3e-4), "x": -grads["x"]}


def small_one_doubled(grads):
    """Twice a small gradient, beside one that is 10⁵ times as large."""
    return grads | {"w": 2 * grads["w"]}


RIGHT = 5  # so many of the ops claim their gradients rightly: the first


def ops(rng: np.random.Generator) -> list[tuple]:
    """Twelve ops: five claim their gradients rightly, seven do not."""
    return [
        layer(rng),
        layer(rng, scale=1e6),
        square(rng),
        valley(rng),
        ripple(rng),
        planted(layer(rng, scale=1e-6), slope_off),
        planted(square(rng), transposed),
        planted(layer(rng), last_forgotten),
        planted(layer(rng), swapped),
        planted(layer(rng), a_hair_low),
        planted(layer(rng), a_hair_high),
        planted(valley(rng), small_one_doubled),
    ]
