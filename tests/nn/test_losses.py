"""The losses beside torch's, with gradients, far from 0, and with entries that do not count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import microrecur as mr

from .messages import message, says

PLAIN = {
    "mse_loss": {},
    "huber_loss": {"delta": 0.7},
    "binary_cross_entropy_with_logits": {},
}
reductions = st.sampled_from(["mean", "sum", "none"])
shapes = st.sampled_from([(), (1,), (3,), (2, 3), (2, 1, 4)])


def value_and_gradient(loss, x, weights):
    """The loss, and the gradient of its entries weighted (those of "none" are many)."""
    if isinstance(x, mr.Tensor):
        loss.backward(weights if loss.ndim else None)
        return loss.numpy(), x.grad
    loss.backward(None if loss.ndim == 0 else x.new_tensor(weights))
    return loss.detach().numpy(), x.grad.numpy()


def beside(torch, name, x, target, tolerance=1e-12, **options):
    ours, theirs = mr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    got = getattr(mr, name)(ours, target, **options)
    expected = getattr(torch.nn.functional, name)(theirs, torch.as_tensor(target), **options)
    weights = np.random.default_rng(3).normal(size=got.shape)
    got = value_and_gradient(got, ours, weights)
    for a, b in zip(got, value_and_gradient(expected, theirs, weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        assert a.dtype == b.dtype


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=30, deadline=None)
@given(shape=shapes, reduction=reductions, seed=st.integers(0, 999), single=st.booleans())
def test_values_and_gradients_beside_torch(torch, name, shape, reduction, seed, single):
    rng, dtype = np.random.default_rng(seed), np.float32 if single else np.float64
    x, target = rng.normal(size=shape), rng.uniform(size=shape)
    tolerance = 1e-5 if single else 1e-12
    x, target = np.asarray(x, dtype), np.asarray(target, dtype)
    beside(torch, name, x, target, tolerance, reduction=reduction, **PLAIN[name])


@settings(max_examples=50, deadline=None)
@given(
    shape=st.sampled_from([(4,), (3, 4), (2, 4, 3), (2, 4, 1, 2)]),
    reduction=reductions,
    ignored=st.booleans(),
    seed=st.integers(0, 999),
)
def test_cross_entropy_beside_torch(torch, shape, reduction, ignored, seed):
    rng = np.random.default_rng(seed)
    axis = 0 if len(shape) == 1 else 1
    target = rng.integers(0, shape[axis], size=shape[:axis] + shape[axis + 1 :])
    some_count = ignored and target.ndim and (target != 2).any()
    options = {"ignore_index": 2} if some_count else {}
    x = rng.normal(size=shape)
    beside(torch, "cross_entropy", x, target, reduction=reduction, **options)


@pytest.mark.parametrize("logit", [-1000.0, 1000.0, 0.0])
@pytest.mark.parametrize("y", [0.0, 1.0, 0.25])
def test_logits_far_from_0_give_exact_finite_losses(torch, logit, y):
    beside(torch, "binary_cross_entropy_with_logits", np.array([logit]), np.array([y]))
    target = np.array([int(y)])
    beside(torch, "cross_entropy", np.array([[logit, 0.0, -logit]]), target)


@pytest.mark.parametrize(("logit", "y"), [(-40.0, 0.0), (40.0, 1.0)])
def test_a_certain_and_right_answer_keeps_its_last_digits(logit, y):
    loss = mr.binary_cross_entropy_with_logits(mr.tensor([logit]), [y])
    assert loss.item() == pytest.approx(np.exp(-40.0), rel=1e-12, abs=0)


def test_huber_is_the_square_inside_delta_and_a_line_outside():
    x = mr.tensor([-3.0, -1.0, 0.0, 0.5, 1.0], requires_grad=True)
    loss = mr.huber_loss(x, np.zeros(5), delta=1.0, reduction="none")
    np.testing.assert_array_equal(loss.data, [2.5, 0.5, 0.0, 0.125, 0.5])
    loss.sum().backward()
    np.testing.assert_array_equal(x.grad, [-1.0, -1.0, 0.0, 0.5, 1.0])


@pytest.mark.parametrize("name", [*PLAIN, "cross_entropy"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_mask_is_as_if_only_those_entries_were_there(name, reduction):
    rng = np.random.default_rng(0)
    mask = np.array([True, False, True, True, False])
    shape = (5, 3) if name == "cross_entropy" else (5,)
    x = rng.normal(size=shape)
    target = rng.integers(0, 3, 5) if name == "cross_entropy" else rng.uniform(size=5)
    loss = getattr(mr, name)
    whole, part = (mr.tensor(v, requires_grad=True) for v in (x, x[mask]))
    masked = loss(whole, target, mask=mask, reduction=reduction)
    alone = loss(part, target[mask], reduction=reduction)
    if reduction == "none":
        assert not masked.data[~mask].any()
        np.testing.assert_allclose(masked.data[mask], alone.data)
        masked, alone = masked.sum(), alone.sum()
    assert masked.item() == pytest.approx(alone.item(), rel=1e-14)
    masked.backward()
    alone.backward()
    np.testing.assert_allclose(whole.grad[mask], part.grad, rtol=1e-14)
    assert not whole.grad[~mask].any()


def test_a_mean_of_nothing_is_nan_as_torch_has_it(torch):
    nothing = mr.cross_entropy(mr.tensor(np.zeros((2, 3))), [-100, -100])
    assert np.isnan(nothing.item())
    expected = torch.nn.functional.cross_entropy(torch.zeros(2, 3), torch.tensor([-100, -100]))
    assert expected.isnan()


def test_the_loss_is_the_node_L():
    x = mr.tensor([1.0, 2.0], requires_grad=True)
    assert mr.graph(mr.mse_loss(x, [0.0, 0.0])).find("L").tensor.size == 1


@pytest.mark.parametrize("name", [*PLAIN, "cross_entropy"])
def test_second_order_gradients(name):
    rng = np.random.default_rng(0)
    x = mr.tensor(rng.normal(size=(3, 4)), requires_grad=True)
    target = [0, 2, 1] if name == "cross_entropy" else rng.uniform(size=(3, 4))
    assert mr.gradcheck(lambda x: getattr(mr, name)(x, target), [x])


def test_what_bad_input_is_told():
    x = mr.tensor(np.zeros((2, 3)))
    text = message(mr.ShapeError, lambda: mr.mse_loss(mr.tensor(np.zeros((4, 1))), np.zeros(4)))
    says(text, "mse_loss", "(4, 1)", "(4,)", "must be equal")
    text = message(ValueError, lambda: mr.mse_loss(x, x, reduction="average"))
    says(text, "reduction", "'mean', 'sum', 'none'", "'average'")
    text = message(mr.ShapeError, lambda: mr.mse_loss(x, x, mask=[True]))
    says(text, "mask has shape (1,)", "(2, 3)")
    text = message(mr.ShapeError, lambda: mr.cross_entropy(x, [0, 1, 2]))
    says(text, "(2, 3)", "target must be (2,)", "(3,)")
    text = message(ValueError, lambda: mr.cross_entropy(x, [0, 3]))
    says(text, "target 3 is no class", "0 to 2", "ignore_index")
    says(message(TypeError, lambda: mr.cross_entropy(x, [0.0, 1.0])), "whole numbers", "float64")
    name = "binary_cross_entropy_with_logits"
    says(message(ValueError, lambda: getattr(mr, name)(x, x - 2)), name, "0 to 1", "-2")
    says(message(ValueError, lambda: mr.huber_loss(x, x, delta=0)), "delta", "> 0")
