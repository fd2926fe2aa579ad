"""Measure every figure of what_the_bound_says.md, write them into its tables, draw its pictures.

Run it with `make figures`. Each table stands in the page between two comments, and each row says
what theory or an earlier trial has, what microrecur measures here, and the exact setup.
"""

from __future__ import annotations

import importlib.util
import math
import re
import time
from pathlib import Path

import mpmath
import numpy as np

import microrecur as mr
from microrecur.flows.horizon import exponents, links, power
from microrecur.flows.routes import steps_of

HERE = Path(__file__).parent
PAGE = HERE / "what_the_bound_says.md"
HEAD = "| what | theory or trial | measured here | setup |\n|---|---|---|---|\n"
INPUTS = "inputs N(0, 1), default_rng(0)"


# -- setups ----------------------------------------------------------------------------------------


def lstm(hidden, inputs=8, seed=0, times=1.0, forget=None):
    """An LSTM with torch's default weights, its recurrent ones scaled, its forget bias set."""
    cell = mr.LSTMCell(inputs, hidden, seed=seed)
    cell.weight_hh.assign(cell.weight_hh.numpy() * times)
    if forget is not None:
        for bias, value in ((cell.bias_ih, forget), (cell.bias_hh, 0.0)):
            numbers = bias.numpy()
            numbers[hidden : 2 * hidden] = value
            bias.assign(numbers)
    return cell


def flow_of(cell, T, wrt="h0", seed=0, size=0.0):
    """L = Σ h_T of a sequence of normal inputs, from initial states of this size."""
    numbers = np.random.default_rng(seed)
    xs = numbers.normal(size=(T, cell.input_size))
    start = tuple(mr.tensor(numbers.normal(size=cell.hidden_size) * size) for _ in cell.states)
    last = mr.unroll(cell, xs, start if len(start) > 1 else start[0])[-1]
    h = last[0] if isinstance(last, tuple) else last
    return mr.flow(h.sum().named("L"), wrt)


def rnn(U, nonlinearity="tanh", xs=None):
    """An RNN of these recurrent weights, W = 1 and b = 0, run over given inputs from h₀ = 0."""
    n = len(U)
    cell = mr.RNNCell(n, n, nonlinearity=nonlinearity, seed=0)
    for parameter, value in zip(cell.parameters(), (np.eye(n), U, 0, 0), strict=True):
        parameter.assign(np.broadcast_to(value, parameter.shape))
    h0 = mr.tensor(np.zeros(n))
    return mr.flow(mr.unroll(cell, xs, h0)[-1].sum().named("L"), h0)


def small(number):
    """A number as text, in powers of ten when it is small."""
    return power(math.log10(number)) if number else "0"


def norm(log10):
    """10^log10 as text."""
    return power(log10)


# -- §1 and §2: slopes and bounds ------------------------------------------------------------------


def slopes():
    """The ceilings of the slopes, and where tanh′ falls below σ′."""
    x = np.linspace(-20, 20, 400_001)
    sigma, tanh = (op.partial(0, op(x), [x], {}) for op in (mr.sigmoid, mr.tanh))
    low, high = 1.0, 3.0
    for _ in range(60):
        middle = (low + high) / 2
        s, t = mr.sech2(middle / 2) / 4, mr.sech2(middle)
        low, high = (middle, high) if t > s else (low, middle)
    same = np.abs(np.tanh(x) - (2 * mr.sigmoid(2 * x) - 1)).max()
    grid = "x from −20 to 20 in steps of 10⁻⁴"
    return [
        ("sup σ′", "¼, at 0", f"{sigma.max():.6g}, at {abs(x[sigma.argmax()]):.0f}", grid),
        ("sup tanh′", "1, at 0", f"{tanh.max():.6g}, at {abs(x[tanh.argmax()]):.0f}", grid),
        ("tanh′ < σ′ beyond", "1.66289", f"{low:.5f}", "bisection"),
        ("tanh(x) = 2σ(2x) − 1", "0", f"{small(same)}", f"largest difference, {grid}"),
    ]


def matrices():
    """Norm and spectral radius of U beside what the product of Jacobians does."""
    numbers = np.random.default_rng(0)
    U = numbers.normal(size=(8, 8))
    U *= 1.5 / np.linalg.norm(U, 2)
    vanishing = rnn(U, xs=numbers.normal(size=(60, 8)) * 2).lags()[-1]
    N, h, xs = np.array([[3.0, 3.0], [-3.0, -3.0]]), np.zeros(2), []
    for _ in range(20):
        xs.append(np.array([0.0, 12.0]) - N @ h)
        h = np.tanh([0.0, 12.0])
    nilpotent = rnn(N, xs=xs).lags()[-1]
    rows = [
        (
            "‖U‖₂ = 1.5, tanh: ‖∂h_T/∂h₀‖ at T = 60",
            "10⁻¹⁹ (trial)",
            norm(vanishing.log10),
            "H = 8, U normal and scaled, inputs 2·N(0, 1), default_rng(0)",
        ),
        (
            "U = [[3, 3], [−3, −3]], ρ(U) = 0, T = 20",
            "√2·3²⁰ = 4.9·10⁹ at most",
            norm(nilpotent.log10),
            "inputs that hold z at (0, 12): tanh′ = (1, 0)",
        ),
    ]
    for phi, gamma in (("sigmoid", 0.25), ("tanh", 1.0)):
        V = np.random.default_rng(1).normal(size=(8, 8))
        V *= 0.9 / gamma / np.linalg.norm(V, 2)
        row = rnn(V, phi, np.random.default_rng(2).normal(size=(40, 8)) * 0.1).lags()[-1]
        bound = norm(40 * math.log10(0.9))
        setup = f"‖U‖₂ = 0.9/γ = {0.9 / gamma:g}, H = 8, T = 40, inputs 0.1·N(0, 1)"
        what = f"γ‖U‖₂ = 0.9 with γ = {gamma:g} ({phi})"
        rows.append((what, f"≤ 0.9⁴⁰ = {bound}", norm(row.log10), setup))
    return rows


def ceilings():
    """The matrix bound over 50 steps beside the norm."""
    rows = []
    for hidden in (16, 32, 64):
        table = flow_of(lstm(hidden), 50).ceiling()
        last = next(r for r in table if (r.lag, r.target, r.source) == (50, "h", "h"))
        measured = f"{norm(last.log10_bound)}, {norm(last.log10)}"
        setup = f"LSTM 8 → {hidden}, default weights (seed 0), zero states, {INPUTS}"
        rows.append(("‖∂h₅₀/∂h₀‖: bound, actual", "10⁴⁶, 10⁻¹⁰ (trial)", measured, setup))
    states = mr.unroll(mr.LSTMCell(1, 1, seed=0), np.ones(50))
    gru = mr.unroll(mr.GRUCell(1, 1, seed=0), np.ones(50), mr.tensor(2.5))
    c, h = (mr.bounds(found)[f"t50.{state}"].hi for found, state in ((states, "c"), (gru, "h")))
    hull = "by the convex hull; plain intervals would give 52.5"
    rows.append(("|c₅₀| at most, c₀ = 0", "‖c₀‖ + t = 50", f"{c:g}", "LSTM, nothing given"))
    rows.append(("|h₅₀| of a GRU at most, h₀ = 2.5", "max(1, |h₀|) = 2.5", f"{h:g}", hull))
    return rows


def views():
    """Total gradient and one step's view, at the same c_t."""
    h0, c0 = mr.tensor(0.3, requires_grad=True), mr.tensor(-0.2, requires_grad=True)
    states = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4, 1.1], (h0, c0))
    loss = (states[-1][0] + states[-1][1]).named("L")
    row = next(r for r in mr.flow(loss, h0).by_step() if r.step == 2)
    loss.backward()
    setup = "LSTM of one unit (seed 0), x = 0.9, −0.4, 1.1, L = h₃ + c₃"
    assert math.isclose(10**row.total_c, abs(states[1][1].grad.item()))
    what, trial = "∂L/∂c₂ with h₂ held, and total (`.grad`)", "they differ: .695, .761 (trial)"
    return [(what, trial, f"{10**row.view_c:.3f}, {10**row.total_c:.3f}", setup)]


# -- §3: path algebra ------------------------------------------------------------------------------


def _start(cell, T):
    """From h_T back to h₀ of one unit: counts do not depend on the numbers."""
    start = tuple(mr.tensor(0.3) for _ in cell.states)
    last = mr.unroll(cell, np.full(T, 0.5), start if len(start) > 1 else start[0])[-1]
    return mr.flow(last[0] if isinstance(last, tuple) else last, start[0])


def counts():
    """Exactly how many paths there are, and by how much a step multiplies them."""
    cells = {
        "LSTM": (mr.LSTMCell(1, 1, seed=0), "(5 + √21)/2 = 4.791"),
        "LSTM with peepholes": (mr.LSTMCell(1, 1, peephole=True, seed=0), "5 + √22 = 9.690"),
        "GRU": (mr.GRUCell(1, 1, seed=0), "5"),
        "RNN": (mr.RNNCell(1, 1, seed=0), "1"),
    }
    cell = cells["LSTM"][0]
    few = ", ".join(str(int(_start(cell, T).count)) for T in range(1, 6))
    many = int(_start(cell, 100).count)
    rows = [
        ("paths h₀ → h_T", "4, 19, 91, 436, 2089", few, "LSTM, T = 1 … 5, exact"),
        ("paths h₀ → h₁₀₀", "9.2·10⁶⁷", norm(math.log10(many)), f"LSTM, exact: {many}"),
    ]
    for name, (cell, theory) in cells.items():
        growth = math.exp(math.log(_start(cell, 51).count) - math.log(_start(cell, 50).count))
        setup = f"{name}, paths at T = 51 ÷ at T = 50"
        rows.append(("paths per step", theory, f"{growth:.3f}", setup))
    for T in (5, 20):
        found = len(_start(mr.LSTMCell(1, 1, seed=0), T).spectrum(("gate slope", "squash slope")))
        what = "classes by gate slopes and squash slopes"
        theory = f"(3T² + T + 2)/2 = {(3 * T * T + T + 2) // 2}"
        rows.append((what, theory, str(found), f"LSTM, T = {T}"))
    return rows


def scales():
    """The same sums in plain float64, and with a power of two beside each."""
    rows = []
    for seed, times, forget in ((0, 1.0, -2.0), (1, 10.0, 0.0)):
        cell = lstm(32, seed=seed, times=times, forget=forget)
        flow = flow_of(cell, 1000, size=0.5)
        top, gross = flow.top(1)[0].log10, float(flow.log10_gross.max())
        plain = _plainly(flow)
        setup = f"LSTM 8 → 32 (seed {seed}), b_f = {forget:g}, U × {times:g}, T = 1,000, {INPUTS}"
        found = norm(math.log10(plain)) if 0 < plain < math.inf else f"{plain:.0f}"
        measured = f"{found}, {norm(gross)}".replace("inf", "∞")
        rows.append(("largest gross: plain, ours", "nan (trial)", measured, setup))
        measured = f"{small(10.0**top) if top > -320 else 0}, {norm(top)}"
        rows.append(("largest path: plain, ours", "10⁻⁶¹⁹ (trial)", measured, setup))
    return rows


def _plainly(flow):
    """The largest gross sum, swept in float64 alone."""
    lines, carried = flow.linearised, {flow.y: np.abs(flow.seed)}
    with np.errstate(all="ignore"):
        for node in reversed(lines.nodes):
            g = carried.get(node) if node is flow.wrt else carried.pop(node, None)
            for _, k in lines.edges(node) if g is not None else ():
                part, source = lines.pull_absolute(node, k, g), node.inputs[k]
                carried[source] = carried.get(source, 0.0) + part
        return float(np.max(carried[flow.wrt]))


def best():
    """What part of the gradient the best path has, from tensor to tensor and unit to unit."""
    rows = []
    for T, trial in ((5, ".33"), (10, ""), (20, ".005")):
        flows = [flow_of(lstm(32, seed=seed), T, seed=seed, size=0.5) for seed in range(5)]
        setup = f"LSTM 8 → 32, T = {T}, weights, inputs N(0, 1), states 0.5·N(0, 1) of seeds 0–4"
        for level in ("tensor", "scalar"):
            tops = [flow.top(1, level=level) for flow in flows]
            shares = [top[0].share for top in tops]
            middle = np.median(np.abs(shares))
            exact = "" if all(top.exact for top in tops) else "; the search ended early"
            measured = f"{middle:.2g} ({_listed(shares)}){exact}"
            what = f"share of the largest path, {level} level: median size (by seed)"
            rows.append((what, f"{trial} (trial)" if trial else "", measured, setup))
    return rows


def _listed(numbers):
    return ", ".join(f"{x:.2g}" for x in numbers).replace("-", "−")


def headline():
    """How much of the gradient passed through no gate slope, one, two, three."""
    flows = [flow_of(lstm(32, seed=seed), 100, seed=seed, size=0.5) for seed in range(5)]
    tables = [flow.spectrum() for flow in flows]
    shares = np.array([[row.share for row in table[:4]] for table in tables])
    setup = "LSTM 8 → 32, default weights, T = 100, inputs N(0, 1), states 0.5·N(0, 1)"
    what, trial = "share through n_σ = 0, 1, 2, 3 factors ≤ ¼", ".02, .65, .49, −.16 (trial)"
    rows = [(what, trial, _listed(np.median(shares, axis=0)), f"{setup}; medians of seeds 0–4")]
    rows += [(what, "", _listed(row), f"the same, seed {k}") for k, row in enumerate(shares)]
    worst = 0.0
    for flow, table in zip(flows, tables, strict=True):
        for name, whole in (("net", flow.gradient), ("gross", flow.gross)):
            parts = [getattr(row, name) for row in table]
            largest = max(np.abs(part).max() for part in parts)
            worst = max(worst, np.abs(sum(parts) - whole).max() / largest)
    what = "Σ rows − total, over the largest row"
    rows.append((what, "≤ 10⁻¹²", small(worst), "net and gross of the five above"))
    return rows


def timings():
    """How long the largest paths and the spectrum of 1,000 steps take."""
    place = HERE.parent / "benchmarks/flows.py"
    spec = importlib.util.spec_from_file_location("flows_benchmark", place)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    rows = []
    trials = {1: ("0.4 s", "0.1 s"), 32: ("0.7 s", "0.6 s")}
    for hidden, (top, spectrum) in trials.items():
        took = benchmark.measured(hidden, 1000, 2)
        setup = f"LSTM {hidden} → {hidden}, T = 1,000, benchmarks/flows.py, best of 2"
        rows.append(("top(5)", f"{top} (trial)", f"{took['top 5']:.1f} s", setup))
        rows.append(("spectrum", f"{spectrum} (trial)", f"{took['spectrum']:.1f} s", setup))
    return rows


# -- §7: slopes in saturation ----------------------------------------------------------------------


def saturation():
    """sech² beside the textbook's y(1 − y) and 1 − y², against 50 digits."""
    zs = np.concatenate([np.linspace(0, 40, 801), np.linspace(41, 350, 310)])
    with mpmath.workdps(50):
        true = [mpmath.sech(mpmath.mpf(float(z))) ** 2 for z in zs]
        errors = [float(abs(mpmath.mpf(float(mr.sech2(z))) / t - 1)) for z, t in zip(zs, true)]
        slope = mpmath.sech(mpmath.mpf(7.5)) ** 2 / 4
        deep = mpmath.sech(mpmath.mpf(18.5)) ** 2 / 4
        y = np.float32(1) / (np.float32(1) + np.exp(np.float32(-15)))
        card = mr.sech2(np.asarray(7.5, np.float32)) / np.float32(4)
        textbook, ours = (float(abs(mpmath.mpf(float(v)) / slope - 1)) for v in (y * (1 - y), card))
    s, t = mr.sigmoid(np.arange(60.0)), np.tanh(np.arange(60.0))
    first = [int(np.argmax(numbers == 0)) for numbers in (s * (1 - s), 1 - t * t)]
    at37 = float(mr.sech2(18.5) / 4)
    return [
        ("sech²(z): largest relative error", "5·10⁻¹⁶", small(max(errors)), "0 ≤ z ≤ 350"),
        ("y(1 − y) is 0 from", "z = 37", f"z = {first[0]}", "float64, whole z"),
        ("σ′(37) there: ¼ sech²", small(float(deep)), small(at37), "float64"),
        ("1 − y² is 0 from", "|z| = 19", f"|z| = {first[1]}", "float64, whole z"),
        ("y(1 − y) in float32 at z = 15", "17 % wrong", f"{textbook:.0%} wrong", "σ"),
        ("¼ sech²(z/2) in float32 at z = 15", "", f"{small(ours)} wrong", "σ"),
    ]


# -- §4: routes ------------------------------------------------------------------------------------


def routes():
    """Parts against the whole, and the whole against central differences."""
    rows = []
    cells = {
        "LSTM": mr.LSTMCell(4, 16, seed=0),
        "LSTM with peepholes": mr.LSTMCell(4, 16, peephole=True, seed=0),
        "GRU": mr.GRUCell(4, 16, seed=0),
    }
    for name, cell in cells.items():
        numbers = np.random.default_rng(0)
        x = numbers.normal(size=4)
        start = tuple(mr.tensor(numbers.normal(size=16)) for _ in cell.states)
        after = cell(x, start)
        after = after if isinstance(after, tuple) else (after,)
        table = mr.flow(after[0].sum(), start[0]).routes(at=1)
        rounding = differences = 0.0
        for a, y in zip(cell.states, after, strict=True):
            for k, (b, s) in enumerate(zip(cell.states, start, strict=True)):
                whole = table.jacobian(a, b)
                rounding = max(rounding, np.abs(whole - mr.jacobian(y, s)).max())
                slope = _difference(cell, x, start, k, cell.states.index(a))
                differences = max(differences, np.abs(whole - slope).max())
        setup = f"{name} 4 → 16, one step, normal states; routes: {', '.join(table.names)}"
        what, trial = "Σ parts − Jacobian, − central differences", "3·10⁻¹⁷, 2·10⁻¹⁰ (trial)"
        rows.append((what, trial, f"{small(rounding)}, {small(differences)}", setup))
    return rows


def _difference(cell, x, start, moved, out, step=1e-5):
    columns = []
    for unit in np.eye(16) * step:
        ends = []
        for sign in (1, -1):
            states = [s.numpy() + (sign * unit if k == moved else 0) for k, s in enumerate(start)]
            with mr.no_grad():
                y = cell(x, tuple(map(mr.tensor, states)))
            ends.append((y if isinstance(y, tuple) else (y,))[out].numpy())
        columns.append((ends[0] - ends[1]) / (2 * step))
    return np.stack(columns, axis=1)


def detach():
    """h-detach (Arpit et al. 2019): what is left of ∂L/∂c₀ when the h-routes are cut."""
    rows = []
    for times, trial in ((0.5, ".18"), (1.0, ""), (10.0, "1.5·10⁻⁴")):
        shares = []
        for seed in range(5):
            flow = flow_of(lstm(32, seed=seed, times=times, forget=1.0), 30, "c0", seed, size=0.5)
            belt = flow.cut(["via i", "via f", "via g", "via o"])
            shares.append(np.linalg.norm(belt.gradient) / np.linalg.norm(flow.gradient))
        middle, least, most = np.median(shares), min(shares), max(shares)
        measured = f"{small(middle)} ({small(least)} … {small(most)})"
        setup = f"LSTM 8 → 32, T = 30, b_f = 1, U × {times:g}, seeds 0–4, states 0.5·N(0, 1)"
        rows.append(("‖belt‖ / ‖∂L/∂c₀‖", f"{trial} (trial)" if trial else "", measured, setup))
    return rows


# -- §5: through time ------------------------------------------------------------------------------


def depth():
    """Ten thousand steps: time, size, and the error of its logarithm."""
    rows = []
    for cell in (mr.RNNCell(4, 32, seed=0), mr.LSTMCell(4, 32, seed=1)):
        flow = flow_of(cell, 10_000, size=0.5)
        flow.linearised, steps_of(flow)
        begun = time.perf_counter()
        row = flow.lags()[-1]
        taken = time.perf_counter() - begun
        name = type(cell).__name__.removesuffix("Cell")
        what, trial = "norms of all 10,000 lags: time, the last", "0.2–0.6 s, 10⁻²⁰⁰¹ (trial)"
        setup = f"{name} 4 → 32, default weights, {INPUTS}"
        rows.append((what, trial, f"{taken:.1f} s, {norm(row.log10)}", setup))
    for times in (4.0, 0.1):
        cell = mr.RNNCell(1, 1, seed=3)
        cell.weight_hh.assign(cell.weight_hh.numpy() * times)
        flow = flow_of(cell, 10_000)
        with mpmath.workdps(400):
            product = mpmath.fprod(mpmath.mpf(float(link.jacobian[0, 0])) for link in links(flow))
            true = float(mpmath.log10(abs(product)))
        row = flow.lags()[-1]
        error = abs(row.log10 / true - 1)
        what = f"one unit, U × {times:g}: size, relative error of its logarithm"
        setup = f"RNN of one unit (seed 3), T = 10,000, {INPUTS}, against 400 digits"
        rows.append((what, "8·10⁻¹⁵ (trial)", f"{norm(row.log10)}, {small(error)}", setup))
    return rows


def directions():
    """Exponents with QR at every step, at every tenth, and off the product."""
    flow = flow_of(lstm(16, 4), 500, size=0.5)
    maps = [link.jacobian for link in links(flow)][::-1]
    every = exponents(maps)
    tens = [np.linalg.multi_dot(maps[k : k + 10][::-1]) for k in range(0, len(maps), 10)]
    rare = exponents(tens) / 10
    setup = f"LSTM 4 → 16 (seed 0), T = 500, {INPUTS}"
    volume = sum(np.linalg.slogdet(m)[1] for m in maps) / len(maps)
    return [
        (
            "greatest exponent, QR at every step, every tenth",
            "equal",
            _pair(every[0], rare[0]),
            setup,
        ),
        ("least exponent, the same two", "the second is wrong", _pair(every[-1], rare[-1]), setup),
        ("Σ exponents: every step, mean ln|det|", "equal", _pair(every.sum(), volume), setup),
    ]


def _pair(a, b):
    return f"{a:.4f}, {b:.4f}".replace("-inf", "−∞").replace("-", "−")


def verdicts():
    """What each run says of itself."""
    runs = {
        "default": lstm(32),
        "b_f = 3": lstm(32, forget=3.0),
        "U × 10": lstm(32, seed=1, times=10.0),
    }
    text = []
    for name, cell in runs.items():
        flow = flow_of(cell, 20 if name != "U × 10" else 50)
        text.append(f"LSTM 8 → 32, {name}\n{flow.verdict()}")
    return "```\n" + "\n\n".join(text) + "\n```\n"


# -- the page --------------------------------------------------------------------------------------

# fmt: off
TABLES = (
    slopes, saturation, matrices, ceilings, views, counts, scales, best, headline, timings,
    routes, detach, depth, directions,
)
# fmt: on


def table(rows):
    """Rows as a table of the page."""
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in cells)


def filled(page, name, text):
    """The page with what stands between the comments of this name replaced."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)"
    found, count = re.subn(pattern, lambda m: m[1] + text + m[2], page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the page has {count} places for the table {name!r}, and needs one")
    return found


def pictures():
    """Draw the page's pictures."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    flow = flow_of(lstm(32), 50)
    mr.plot_ceiling(flow, of="h").figure.savefig(HERE / "pictures/ceiling.png", dpi=100)
    mr.plot_routes(flow).figure.savefig(HERE / "pictures/routes.png", dpi=100)
    cells = {
        "RNN": mr.RNNCell(8, 32, seed=0),
        "LSTM, default": lstm(32),
        "LSTM, forget bias 3": lstm(32, forget=3.0),
        "GRU": mr.GRUCell(8, 32, seed=0),
    }
    runs = {name: flow_of(cell, 50) for name, cell in cells.items()}
    mr.plot_cells(runs).figure.savefig(HERE / "pictures/cells.png", dpi=100)
    mr.plot_gates(flow_of(lstm(32, times=10.0), 50))[0, 0].figure.savefig(
        HERE / "pictures/gates.png", dpi=100
    )
    pyplot.close("all")


def main():
    """Fill the page and draw its pictures."""
    page = PAGE.read_text(encoding="utf-8")
    for measure in TABLES:
        page = filled(page, measure.__name__, table(measure()))
        print(f"measured {measure.__name__}: {measure.__doc__}")
    page = filled(page, "verdicts", verdicts())
    PAGE.write_text(page, encoding="utf-8")
    pictures()
    print(f"wrote {PAGE} and its pictures")


if __name__ == "__main__":
    main()
