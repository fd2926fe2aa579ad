"""Lesson 00: probe, reference and known slips."""

import microrecur as mr
from microrecur.course import Exercise, Slip


def probe(rng):
    """Weights far from 0, 1 and each other, of both signs; one short of 1."""
    sizes = rng.uniform((0.2, 1.5, 3.0), (0.8, 2.5, 4.0))
    return [(float(sign * size),) for sign, size in zip((1, -1, 1), sizes)]


def reference(w):
    """What the engine says at some x."""
    x = mr.tensor(0.7, requires_grad=True)
    (w * x).backward()
    return x.grad.item()


def picture():
    """One edge with its factor: y = w·x at w = 3, x = 0.7."""
    x, w = mr.tensor(0.7).named("x"), mr.tensor(3.0).named("w")
    return (w * x).named("y")


hello_slope = Exercise(
    name="e00.hello_slope",
    task="The derivative of w·x with respect to x.",
    probe=probe,
    reference=reference,
    outputs=("∂y/∂x",),
    slips=(
        Slip(
            "the value in place of the slope",
            wrong=lambda w: w * 0.7,
            said="times an x, which a slope of a straight line does not depend on",
            hint="If x goes from 0 to 1, by how much does w·x grow? And from 5 to 6?",
        ),
        Slip(
            "the slope with respect to w",
            wrong=lambda w: 0.7,
            said="for the other letter: it is the slope with respect to w",
            hint="Which of the two letters moves a little here, and which one is held still?",
        ),
        Slip(
            "as if w were 1",
            wrong=lambda w: 1.0,
            said="at w = 1 alone",
            hint="y = 3x climbs more steeply than y = x. Where does the 3 show in your answer?",
            missing=("x->y",),
        ),
        Slip(
            "the wrong sign",
            wrong=lambda w: -w,
            said="with the other sign",
            hint="If w is 2 and x grows, does y grow or shrink?",
        ),
    ),
    hints=(
        "If x moves by a little, by how much does w·x move?",
        "Take w = 3 and count: x from 1 to 1.1 moves y from 3 to 3.3.",
    ),
    section="See, predict, write, check",
    picture=picture,
)
