"""Arrays and shapes for the engine's tests, and derivatives by central differences."""

import gc

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

import microrecur as mr

dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**16)


def examples(count):
    """The number of examples; no deadline, since a busy machine is not a defect."""
    return settings(max_examples=count, deadline=None)


def shapes(min_dims=0, max_dims=3, min_side=1):
    return array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=3)


def broadcastable(count=2):
    """Tuples of shapes that broadcast together, 0-d and size-1 axes included."""
    together = mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=3)
    return together.map(lambda drawn: drawn.input_shapes)


@st.composite
def shape_and_axis(draw, none=True, min_dims=1):
    """A shape and an axis of it, positive or negative (or None for all axes)."""
    shape = draw(shapes(min_dims=min_dims))
    axis = st.integers(-len(shape), len(shape) - 1) if shape else st.none()
    return shape, draw(st.none() | axis if none else axis)


def sample(shape, seed, lo=-2.0, hi=2.0, dtype=np.float64):
    """Seeded values: only the shape shrinks, and no two entries tie by accident."""
    return np.asarray(np.random.default_rng(seed).uniform(lo, hi, shape), dtype=dtype)


def samples(shape_list, seed, lo=-2.0, hi=2.0, dtype=np.float64):
    return [sample(shape, (seed, i), lo, hi, dtype) for i, shape in enumerate(shape_list)]


def leaves(*arrays):
    return [mr.tensor(a, requires_grad=True) for a in arrays]


def as_array(y):
    return y.numpy() if isinstance(y, mr.Tensor) else np.asarray(y)


def central_difference(f, arrays, k, h=1e-3):
    """∂f/∂arrays[k], shape f.shape + arrays[k].shape, by the five-point rule (error ~ h⁴)."""

    def at(step):
        moved = [a.copy() for a in arrays]
        moved[k][index] += step
        return as_array(f(*moved)).astype(float)

    base = as_array(f(*arrays))
    jacobian = np.zeros(base.shape + arrays[k].shape)
    for index in np.ndindex(arrays[k].shape):
        slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        jacobian[(..., *index)] = slope
    return jacobian


def pulled_back(jacobian, seed):
    """Jᵀ·seed, for a Jacobian of shape seed.shape + x.shape."""
    return np.tensordot(seed, jacobian, axes=seed.ndim)


def ancestry(y):
    """Every tensor y is computed from, y included."""
    seen, todo = {}, [y]
    while todo:
        t = todo.pop()
        if id(t) not in seen:
            seen[id(t)] = t
            todo.extend(t.inputs)
    return list(seen.values())


def live_tensors():
    """How many tensors there are, whether or not anything can still reach them."""
    return sum(type(o) is mr.Tensor for o in gc.get_objects())
