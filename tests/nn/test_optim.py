"""Optimisers, clipping and schedules beside torch's, step by step; saved and taken up exactly."""

import gc
import json
import math
import tracemalloc

import numpy as np
import pytest

import microrecur as mr

from .messages import message, says

OPTIMISERS = {
    "SGD": ("SGD", {"lr": 0.02}),
    "SGD momentum": ("SGD", {"lr": 0.02, "momentum": 0.9}),
    "SGD dampening, decay": (
        "SGD",
        {"lr": 0.02, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.05},
    ),
    "SGD Nesterov": ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "RMSprop": ("RMSprop", {"lr": 0.02}),
    "RMSprop all": (
        "RMSprop",
        {"lr": 0.02, "alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.02},
    ),
    "Adam": ("Adam", {"lr": 0.05}),
    "Adam decay": ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.1, "eps": 1e-6}),
    "AdamW": ("AdamW", {"lr": 0.05}),
    "AdamW decay": ("AdamW", {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.3}),
}
every = pytest.mark.parametrize(("name", "options"), OPTIMISERS.values(), ids=OPTIMISERS)

A = np.random.default_rng(0).normal(size=(4, 3))


def bowl(p, q, target, wrap):
    """Something that is no quadratic, of two parameters."""
    error = wrap(A) @ p * q - wrap(target)
    return (error * error * error * error).sum() * 0.01 + (p * p).sum()


def start(dtype=np.float64):
    rng = np.random.default_rng(1)
    return rng.normal(size=(3, 2)).astype(dtype), rng.normal(size=2).astype(dtype)


def target(step):
    return np.random.default_rng((2, step)).normal(size=(4, 2))


def one_step(optimizer, p, q, step):
    optimizer.zero_grad()
    bowl(p, q, target(step), lambda a: mr.tensor(a, dtype=p.dtype)).backward()
    optimizer.step()


@every
def test_twenty_steps_beside_torch(torch, name, options):
    ours = [mr.tensor(v, requires_grad=True) for v in start()]
    theirs = [torch.tensor(v, requires_grad=True) for v in start()]
    optimizer = getattr(mr, name)(ours, **options)
    their_optimizer = getattr(torch.optim, name)(theirs, **options)
    for step in range(20):
        one_step(optimizer, *ours, step)
        their_optimizer.zero_grad()
        bowl(*theirs, target(step), torch.tensor).backward()
        their_optimizer.step()
        for p, expected in zip(ours, theirs, strict=True):
            value = expected.detach().numpy()
            np.testing.assert_allclose(p.data, value, rtol=1e-12, atol=1e-12, err_msg=step)


@every
def test_single_precision_stays_single(name, options):
    ours = [mr.tensor(v, requires_grad=True) for v in start(np.float32)]
    optimizer = getattr(mr, name)(ours, **options)
    one_step(optimizer, *ours, 0)
    one_step(optimizer, *ours, 1)
    assert {p.dtype for p in ours} == {np.dtype(np.float32)}
    arrays = {k: a.dtype for k, a in optimizer.state_dict()["arrays"].items() if "step" not in k}
    assert set(arrays.values()) <= {np.dtype(np.float32)}


@every
def test_a_saved_optimiser_goes_on_bit_for_bit(name, options):
    def fresh():
        leaves = [mr.tensor(v, requires_grad=True) for v in start()]
        return leaves, getattr(mr, name)(leaves, **options)

    leaves, optimizer = fresh()
    for step in range(20):
        one_step(optimizer, *leaves, step)
    again, resumed = fresh()
    for step in range(7):
        one_step(resumed, *again, step)
    saved = resumed.state_dict()
    numbers = [p.numpy() for p in again]
    one_step(resumed, *again, 7)  # what was saved must not follow
    saved["settings"] = json.loads(json.dumps(saved["settings"]))
    others, other = fresh()
    other.lr = 99.0
    for p, value in zip(others, numbers, strict=True):
        p.assign(value)
    other.load_state_dict(saved)
    for held in (saved, other.state_dict()):  # what the caller holds is a copy
        for array in held["arrays"].values():
            array[...] = 0
    for step in range(7, 20):
        one_step(other, *others, step)
    for p, q in zip(leaves, others, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


@every
def test_the_callers_gradient_is_his_own(name, options):
    """Scaling .grad in place between steps must not reach back into what is kept."""
    answers = []
    for spoil in (False, True):
        leaves = [mr.tensor(v, requires_grad=True) for v in start()]
        optimizer = getattr(mr, name)(leaves, **options)
        for step in range(3):
            one_step(optimizer, *leaves, step)
            if spoil:
                for p in leaves:
                    p.grad *= 0
        answers.append([p.numpy() for p in leaves])
    for clean, spoilt in zip(*answers, strict=True):
        np.testing.assert_array_equal(clean, spoilt)


@every
def test_a_parameter_without_a_gradient_stays_and_does_not_count(torch, name, options):
    ours = [mr.tensor(v, requires_grad=True) for v in start()]
    theirs = [torch.tensor(v, requires_grad=True) for v in start()]
    optimizer = getattr(mr, name)(ours, **options)
    their_optimizer = getattr(torch.optim, name)(theirs, **options)
    for step in range(4):
        for (p, q), o in ((ours, optimizer), (theirs, their_optimizer)):
            o.zero_grad()
            ((p * p).sum() + ((q * q).sum() if step > 1 else 0.0)).backward()
            o.step()
        if step == 1:
            np.testing.assert_array_equal(ours[1].data, start()[1])
    for p, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.data, expected.detach().numpy(), rtol=1e-13)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_memory_is_flat_over_many_steps(name):
    model = mr.LSTM(2, 3, seed=0)
    optimizer = getattr(mr, name)(model, lr=0.01)
    x = np.random.default_rng(0).normal(size=(5, 2, 2))

    def train(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            output, _ = model(x)
            mr.mse_loss(output, np.ones(output.shape)).backward()
            mr.clip_grad_norm_(model, 1.0)
            optimizer.step()

    tracemalloc.start()
    try:
        train(10)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        train(100)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


def test_a_step_makes_the_graph_stale_by_name():
    model = mr.Linear(2, 1, bias=False, seed=0)
    loss = model(np.ones(2)).sum()
    loss.backward()
    mr.SGD(model, lr=0.1).step()
    says(message(mr.StaleGraphError, loss.backward), "weight", "assigned")


def test_what_bad_settings_are_told():
    p = mr.tensor(1.0, requires_grad=True)
    says(message(ValueError, lambda: mr.SGD([])), "SGD", "no parameters")
    says(message(ValueError, lambda: mr.SGD([p, p])), "listed twice")
    says(message(TypeError, lambda: mr.Adam([p * 2])), "parameter 0", "leaf", "gradient")
    says(message(TypeError, lambda: mr.Adam([mr.tensor(1.0)])), "parameter 0", "gradient")
    says(message(ValueError, lambda: mr.Adam([p], lr=-1.0)), "lr", "-1.0")
    says(message(ValueError, lambda: mr.Adam([p], betas=(0.9, 1.0))), "betas", "1.0")
    says(message(ValueError, lambda: mr.SGD([p], nesterov=True)), "nesterov", "momentum > 0")
    says(message(RuntimeError, mr.SGD([p]).step), "no parameter has a gradient", "backward()")


def test_what_a_state_that_does_not_fit_is_told():
    p = mr.tensor([1.0, 2.0], requires_grad=True)
    adam = mr.Adam([p])
    (p * p).sum().backward()
    adam.step()
    saved = adam.state_dict()
    says(
        message(KeyError, lambda: mr.SGD([p]).load_state_dict(saved)),
        "missing settings ['momentum'",
        "unexpected ['betas', 'eps']",
    )
    q = mr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    says(message(ValueError, lambda: mr.Adam([q]).load_state_dict(saved)), "0.mean (2,)")
    moved = {**saved, "arrays": {"4.mean": np.zeros(2)}}
    says(message(ValueError, lambda: adam.load_state_dict(moved)), "4.mean", "1 parameters")


# -- clipping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 1e3])
def test_clipping_beside_torch(torch, max_norm):
    ours = [mr.tensor(v, requires_grad=True) for v in start()]
    theirs = [torch.tensor(v, requires_grad=True) for v in start()]
    for clip in ("norm", "value"):
        for (p, q), wrap in ((ours, mr.tensor), (theirs, torch.tensor)):
            p.grad = q.grad = None
            bowl(p, q, target(0), wrap).backward()
        if clip == "norm":
            norm = mr.clip_grad_norm_(ours, max_norm)
            expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
            assert norm == pytest.approx(expected.item(), rel=1e-13)
        else:
            mr.clip_grad_value_(ours, max_norm)
            torch.nn.utils.clip_grad_value_(theirs, max_norm)
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_norm_whose_squares_overflow_still_clips_to_its_direction(dtype):
    p = mr.tensor(np.zeros(2), requires_grad=True, dtype=dtype)
    huge = np.finfo(dtype).max / 10
    p.grad = np.array([huge, -huge], dtype)
    assert mr.clip_grad_norm_(p, 1.0) == pytest.approx(huge * math.sqrt(2), rel=1e-6)
    np.testing.assert_allclose(p.grad, [0.5**0.5, -(0.5**0.5)], rtol=1e-6)
    assert p.grad.dtype == dtype


def test_a_norm_that_is_not_finite_names_its_parameters():
    p = mr.tensor(np.zeros(2), requires_grad=True, name="weight_hh_l0")
    p.grad = np.array([np.nan, 1.0])
    text = message(RuntimeError, lambda: mr.clip_grad_norm_(p, 1.0, error_if_nonfinite=True))
    says(text, "nan", "weight_hh_l0")
    assert math.isnan(mr.clip_grad_norm_(p, 1.0))
    assert np.isnan(p.grad).all()  # as torch: what went wrong shows


def test_nothing_to_clip():
    assert mr.clip_grad_norm_(mr.Linear(1, 1), 1.0) == 0.0


# -- schedules -----------------------------------------------------------------------------------

SCHEDULES = {
    "StepLR": {"step_size": 4, "gamma": 0.3},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingLR": {"T_max": 10, "eta_min": 0.01},
    "LinearLR": {"start_factor": 0.1, "total_iters": 6},
}


def sgd():
    return mr.SGD([mr.tensor(1.0, requires_grad=True)], lr=0.5)


def their_sgd(torch):
    p = torch.tensor(1.0, requires_grad=True)
    p.grad = torch.tensor(0.0)
    return torch.optim.SGD([p], lr=0.5)


def rates(schedule, optimizer, rate, steps=25):
    found = [rate(optimizer)]
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        found.append(rate(optimizer))
    return found


def our_rates(schedule):
    schedule.optimizer.parameters[0].grad = np.zeros(())
    return rates(schedule, schedule.optimizer, lambda o: o.lr)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_beside_torch(torch, name):
    ours = getattr(mr, name)(sgd(), **SCHEDULES[name])
    optimizer = their_sgd(torch)
    theirs = getattr(torch.optim.lr_scheduler, name)(optimizer, **SCHEDULES[name])
    expected = rates(theirs, optimizer, lambda o: o.param_groups[0]["lr"])
    np.testing.assert_allclose(our_rates(ours), expected, rtol=1e-12, atol=1e-15)


# torch's own SequentialLR passes an epoch to step(), which torch itself warns about.
@pytest.mark.filterwarnings("ignore:The epoch parameter in")
def test_a_warm_up_and_then_a_cosine_beside_torch(torch):
    optimizer, schedulers = their_sgd(torch), torch.optim.lr_scheduler
    warm_up = schedulers.LinearLR(optimizer, 0.1, 1.0, 5)
    cosine = schedulers.CosineAnnealingLR(optimizer, 20)
    theirs = schedulers.SequentialLR(optimizer, [warm_up, cosine], [5])
    expected = rates(theirs, optimizer, lambda o: o.param_groups[0]["lr"], 20)
    ours = sgd()
    schedule = mr.SequentialLR(
        ours, [mr.LinearLR(ours, 0.1, 1.0, 5), mr.CosineAnnealingLR(ours, 20)], [5]
    )
    np.testing.assert_allclose(our_rates(schedule)[:21], expected, rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_saved_schedule_goes_on(name):
    whole = our_rates(getattr(mr, name)(sgd(), **SCHEDULES[name]))
    begun = getattr(mr, name)(sgd(), **SCHEDULES[name])
    for _ in range(9):
        begun.step()
    saved = json.loads(json.dumps(begun.state_dict()))
    resumed = getattr(mr, name)(sgd(), **SCHEDULES[name])
    resumed.load_state_dict(saved)
    assert our_rates(resumed)[:10] == whole[9:19]


def test_what_bad_schedules_are_told():
    says(message(ValueError, lambda: mr.StepLR(sgd(), 0)), "StepLR: step_size", "0")
    says(message(ValueError, lambda: mr.LinearLR(sgd(), total_iters=0)), "total_iters")
    text = message(ValueError, lambda: mr.SequentialLR(sgd(), [mr.LinearLR(sgd())], [3]))
    says(text, "1 schedules need 0 rising milestones", "[3]")


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_a_limit_that_would_turn_gradients_uphill_is_refused(limit):
    p = mr.tensor([3.0, 4.0], requires_grad=True)
    (p * p).sum().backward()
    with pytest.raises(ValueError, match=r"clip_grad_norm_: max_norm is a number from 0 up, not"):
        mr.clip_grad_norm_(p, limit)
    with pytest.raises(ValueError, match=r"clip_grad_value_: clip_value is a number from 0 up"):
        mr.clip_grad_value_(p, limit)
    np.testing.assert_array_equal(p.grad, [6, 8])
