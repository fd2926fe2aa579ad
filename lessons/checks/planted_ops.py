"""Eight ops that claim their gradients: four rightly, four with a planted bug.

They are plain NumPy, forward and backward, since a checker calls them hundreds of times; a test
holds the four that claim rightly to the engine.
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


def ops(rng: np.random.Generator) -> list[tuple]:
    """Eight ops: four claim their gradients rightly, four do not."""
    return [
        layer(rng),
        layer(rng, scale=1e6),
        square(rng),
        valley(rng),
        planted(layer(rng, scale=1e-6), slope_off),
        planted(square(rng), transposed),
        planted(layer(rng), last_forgotten),
        planted(layer(rng), swapped),
    ]
