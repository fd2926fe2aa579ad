"""What is trained here reaches these numbers: `python benchmarks/results.py adding` and so on.

Each experiment prints its section and puts it into docs/results.md between its two marks. Set
OMP_NUM_THREADS=1: the matrices are too small to be shared out.
"""

from __future__ import annotations

import platform
import re
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

import microrecur as mr

PAGE = Path(__file__).parents[1] / "docs" / "results.md"


class Reader(mr.Module):
    """The last h of a recurrent layer, through a Linear."""

    def __init__(self, layer, classes, seed):
        self.layer = layer
        self.head = mr.Linear(layer.hidden_size, classes, seed=seed, dtype=layer.cells[0]._dtype)

    def forward(self, x):
        """Read (N, T, I) and return (N, classes)."""
        last = self.layer(x)[1]
        return self.head((last[0] if isinstance(last, tuple) else last)[0])


class Show(mr.Callback):
    """A line per epoch; training stops once the validation loss is low enough."""

    def __init__(self, enough=0.0):
        self.enough, self.begun = enough, time.perf_counter()

    def after_epoch(self, training):
        """Print the epoch."""
        row = training.history[-1]
        print(row, f"{time.perf_counter() - self.begun:.0f} s", file=sys.stderr, flush=True)
        if row.validation is not None and row.validation < self.enough:
            training.stop()


# -- the adding problem ----------------------------------------------------------------------------

ADDING = {"T": 100, "hidden": 16, "batch": 32, "lr": 0.01, "clip": 1.0, "steps": 4000}
ADDING_SEEDS = (0, 1, 2)


def adding():
    """Train LSTM and tanh RNN on the adding problem with the same budget."""
    lines = ["| cell | seed | steps | test MSE | minutes |", "|---|---|---|---|---|"]
    lines += ["| always 1 | | | 0.1667 | |"]
    for name, make in (
        ("LSTM, forget bias 1", partial(mr.LSTM, forget_bias=1)),
        ("RNN, tanh", mr.RNN),
    ):
        for seed in ADDING_SEEDS:
            begun = time.perf_counter()
            history = adding_run(make, seed)
            best = min(row.validation for row in history)
            minutes = (time.perf_counter() - begun) / 60
            lines.append(
                f"| {name} | {seed} | {history[-1].steps:,} | {best:.4f} | {minutes:.1f} |"
            )
    return "\n".join(
        [
            f"T = {ADDING['T']}, hidden {ADDING['hidden']}, batches of {ADDING['batch']} drawn "
            f"anew each step, Adam {ADDING['lr']:g}, clip {ADDING['clip']:g}, at most "
            f"{ADDING['steps']:,} steps, stopped below 0.008. Test: 500 other sequences; the best "
            "of all epochs (100 steps each) is shown.",
            "",
            *lines,
        ]
    )


def adding_run(make, seed):
    """Train one cell; the history's validation is the test error after each 100 steps."""
    layer = make(2, ADDING["hidden"], batch_first=True, seed=seed, dtype=np.float32)
    model = Reader(layer, 1, seed + 1)
    task = partial(single, partial(mr.adding_problem, steps=ADDING["T"]))
    return mr.fit(
        model,
        mr.FreshBatches(task, size=ADDING["batch"], batches=100, seed=seed),
        loss=mr.mse_loss,
        optimizer=mr.Adam(model, ADDING["lr"]),
        epochs=ADDING["steps"] // 100,
        clip=ADDING["clip"],
        validation=mr.FreshBatches(task, size=500, batches=1, seed=999),
        callbacks=[Show(enough=0.008)],
    )


def single(task, count, *, rng):
    """Draw a task's arrays in single precision."""
    return [array.astype(np.float32) for array in task(count, rng=rng)]


# -- recall of the first bit -----------------------------------------------------------------------

CELLS = {
    "σ-RNN": partial(mr.RNN, nonlinearity="sigmoid"),
    "tanh-RNN": mr.RNN,
    "LSTM b_f = 0": partial(mr.LSTM, forget_bias=0),
    "LSTM b_f = 1": partial(mr.LSTM, forget_bias=1),
    "LSTM b_f = 3": partial(mr.LSTM, forget_bias=3),
    "GRU": mr.GRU,
}
LENGTHS, SEEDS = (5, 10, 20, 40, 80), (0, 1, 2)


def recall():
    """Train six cells to say the first of T bits."""
    lines = [f"| T | {' | '.join(CELLS)} |", "|---" * (len(CELLS) + 1) + "|"]
    for steps in LENGTHS:
        cells = []
        for name, make in CELLS.items():
            found = [recall_run(make, steps, seed) for seed in SEEDS]
            cells.append(" ".join(f"{accuracy:.2f}".rstrip("0").rstrip(".") for accuracy in found))
            print(steps, name, found, file=sys.stderr, flush=True)
        lines.append(f"| {steps} | {' | '.join(cells)} |")
    return "\n".join(
        [
            "Hidden 16, 300 steps of Adam 0.01, clip 1, batches of 32 drawn anew, float32; "
            f"accuracy on 1,000 others, seeds {', '.join(map(str, SEEDS))} (guessing: 0.5).",
            "",
            *lines,
        ]
    )


def recall_run(make, steps, seed):
    """Return the accuracy after 300 steps."""
    model = Reader(make(1, 16, batch_first=True, seed=seed, dtype=np.float32), 1, seed + 100)
    task = partial(single, partial(mr.recall_first_bit, steps=steps))
    mr.fit(
        model,
        mr.FreshBatches(task, size=32, batches=300, seed=seed),
        loss=mr.binary_cross_entropy_with_logits,
        optimizer=mr.Adam(model, 0.01),
        clip=1.0,
    )
    X, y = task(1000, rng=np.random.default_rng(10_000 + seed))
    with mr.no_grad():
        return float(((model(X).data > 0) == (y > 0.5)).mean())


# -- digits, row by row ----------------------------------------------------------------------------


def digits():
    """Train an LSTM to read 8×8 digits row by row."""
    images, labels = mr.digits()
    X = images.astype(np.float32)
    shuffled = np.random.default_rng(0).permutation(len(X))
    splits = {
        "1,437 for training, 360 for testing, at random (seed 0)": shuffled,
        "the first 1,437 and the last 360, as the file has them": np.arange(len(X)),
    }
    lines = ["| split | test accuracy | seconds |", "|---|---|---|"]
    for name, order in splits.items():
        train, test = order[:1437], order[1437:]
        begun = time.perf_counter()
        layer = mr.LSTM(8, 64, batch_first=True, forget_bias=1, seed=0, dtype=np.float32)
        model = Reader(layer, 10, 1)
        data = mr.Batches(X[train], labels[train], size=64, seed=0)
        optimizer = mr.Adam(model, 0.005)
        schedule = mr.CosineAnnealingLR(optimizer, 30)
        told = {"loss": mr.cross_entropy, "optimizer": optimizer, "schedule": schedule}
        mr.fit(model, data, epochs=30, clip=1.0, callbacks=[Show()], **told)
        seconds = time.perf_counter() - begun
        with mr.no_grad():
            accuracy = (model(X[test]).data.argmax(axis=1) == labels[test]).mean()
        lines.append(f"| {name} | {accuracy:.1%} | {seconds:.0f} |")
    said = "LSTM 8 → 64, 30 epochs of Adam 0.005 down a cosine, batches of 64, float32."
    return "\n".join([said, "", *lines])


# -- sunspots --------------------------------------------------------------------------------------

TEST, VALIDATION, WINDOW = 1950, 1910, 22


def sunspots():
    """Predict next year's sunspots by an LSTM, by persistence and by AR(τ)."""
    years, values = mr.sunspots()
    scaling = mr.Standardiser.fit(values[years < VALIDATION])
    X, y = mr.windows(scaling.apply(values), WINDOW)
    when = years[WINDOW:]
    parts = [when < VALIDATION, (when >= VALIDATION) & (when < TEST), when >= TEST]
    X_parts, y_parts = [X[part] for part in parts], [y[part] for part in parts]

    def error(predicted, part):
        return float(np.sqrt(np.mean((predicted - y_parts[part]) ** 2)) * scaling.std)

    rows = [("persistence: next year is this year", *(error(X_parts[p][:, -1], p) for p in (1, 2)))]
    for tau in (2, 9, 11, 22):
        rows.append((f"AR({tau}), least squares", *autoregression(X_parts, y_parts, tau, error)))
    for seed in (0, 1, 2):
        rows.append((f"LSTM 1 → 16, seed {seed}", *sunspot_lstm(X_parts, y_parts, seed, error)))
    lines = ["| model | validation RMSE | test RMSE |", "|---|---|---|"]
    lines += [f"| {name} | {v:.1f} | {t:.1f} |" for name, v, t in rows]
    said = (
        f"One year ahead, in sunspots. Fitted on years before {VALIDATION}, validated to "
        f"{TEST - 1}, tested on {TEST} to {years[-1]} ({parts[2].sum()} years); windows of "
        f"{WINDOW} years. The LSTM stops early by validation and keeps its best epoch."
    )
    return "\n".join([said, "", *lines])


def autoregression(X_parts, y_parts, tau, error):
    """Fit AR(τ) on the training part; return validation and test error."""
    made = [np.column_stack([X[:, -tau:], np.ones(len(X))]) for X in X_parts]
    weights = np.linalg.lstsq(made[0], y_parts[0])[0]
    return [error(made[part] @ weights, part) for part in (1, 2)]


def sunspot_lstm(X_parts, y_parts, seed, error):
    """Train an LSTM on the training part; return validation and test error."""
    model = Reader(mr.LSTM(1, 16, batch_first=True, forget_bias=1, seed=seed), 1, seed + 100)
    pairs = [(X[..., None], y[:, None]) for X, y in zip(X_parts, y_parts)]
    mr.fit(
        model,
        mr.Batches(*pairs[0], size=32, seed=seed),
        loss=mr.mse_loss,
        optimizer=mr.Adam(model, 0.005),
        epochs=200,
        clip=1.0,
        validation=pairs[1],
        callbacks=[mr.EarlyStopping(25), Show()],
    )
    with mr.no_grad():
        return [error(model(pairs[part][0]).data[:, 0], part) for part in (1, 2)]


# -- the page --------------------------------------------------------------------------------------

EXPERIMENTS = {f.__name__: f for f in (adding, recall, digits, sunspots)}


def put(name, section):
    """Replace what stands between an experiment's marks in the page."""
    page = PAGE.read_text(encoding="utf-8")
    marks = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marks.search(page):
        raise SystemExit(f"{PAGE} has no marks <!-- {name} --> … <!-- /{name} -->")
    PAGE.write_text(marks.sub(lambda m: f"{m[1]}{section}\n{m[2]}", page), encoding="utf-8")


def main(names):
    """Run the experiments named; all of them when none is."""
    unknown = set(names) - set(EXPERIMENTS)
    if unknown:
        raise SystemExit(f"there is no {', '.join(unknown)}; there are {', '.join(EXPERIMENTS)}")
    for name in names or EXPERIMENTS:
        begun = time.perf_counter()
        section = EXPERIMENTS[name]()
        took = f"Took {(time.perf_counter() - begun) / 60:.1f} minutes on {platform.machine()}."
        print(f"\n{section}\n\n{took}")
        put(name, f"{section}\n\n{took}")


if __name__ == "__main__":
    main(sys.argv[1:])
