"""Plots: the lines are the tables' numbers, in colours and dashes that differ."""

import math

import numpy as np
import pytest

import microrecur as mr
from tests.flows.by_hand import CELLS, CoupledLSTM, flow_of, with_weights

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    from matplotlib import pyplot

    yield
    pyplot.close("all")


def lines(ax):
    return {
        line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")
    }


@pytest.mark.parametrize("name", CELLS)
def test_norms_by_step_are_those_of_the_table(name):
    flow = flow_of(CELLS[name])
    table = flow.by_step()
    shown = lines(mr.plot_by_step(flow))
    xs, ys = shown["‖∂/∂hₜ‖"].get_data()
    assert list(xs) == [0, 1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(ys, [row.total_h for row in table[::-1]])
    if "c" in table.states:
        view = shown["‖∂/∂cₜ‖, the other states held"].get_ydata()
        assert math.isnan(view[-1])  # 0: a gap, since it has no logarithm
        np.testing.assert_array_equal(view[:-1], [row.view_c for row in table[:0:-1]])


def test_no_line_of_the_legend_lies_under_another():
    shown = lines(mr.plot_by_step(flow_of(CELLS["lstm"])))
    assert list(shown) == ["‖∂/∂hₜ‖", "‖∂/∂cₜ‖", "‖∂/∂cₜ‖, the other states held"]


def test_the_scale_is_one_of_powers_of_ten():
    ax = mr.plot_by_step(flow_of(with_weights(mr.LSTMCell(1, 2, seed=0), forget=-4.0), T=250))
    ax.figure.canvas.draw()
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert {"10⁰", "10⁻¹²⁰"} <= set(labels)
    assert -1000 < lines(ax)["‖∂/∂hₜ‖"].get_ydata()[0] < -100


def test_a_ledger_runs_below_its_bounds():
    flow = flow_of(CELLS["lstm"])
    rows = flow.ledger()
    for ax in (mr.plot_ledger(flow), mr.plot_ledger(rows)):
        shown = lines(ax)
        run, bound = shown["|∏| of this run"].get_ydata(), shown["∏ of the bounds"].get_ydata()
        np.testing.assert_allclose(run, [math.log10(abs(row.running)) for row in rows])
        assert (np.asarray(bound) >= np.asarray(run) - 1e-9).all()
    expected = sum(math.log10(abs(r.value) if r.bound is None else r.bound) for r in rows)
    assert bound[-1] == pytest.approx(expected)


@pytest.mark.parametrize("of", ["h", "c"])
def test_the_ceiling_stands_above_what_is(of):
    flow = flow_of(CELLS["lstm"])
    shown = lines(mr.plot_ceiling(flow, of=of))
    rows = [row for row in flow.ceiling() if row.target == row.source == of]
    np.testing.assert_array_equal(shown["in this run"].get_ydata(), [r.log10 for r in rows])
    assert (
        shown["at most (slopes, weights)"].get_ydata() >= shown["in this run"].get_ydata()
    ).all()
    with pytest.raises(ValueError, match="no state 'q'; there are: c, h"):
        mr.plot_ceiling(flow, of="q")


@pytest.mark.parametrize("cell", [CELLS["lstm"], CELLS["peephole"], CoupledLSTM(2, 3, seed=0)])
def test_the_shares_of_a_step_stack_to_one(cell):
    ax = mr.plot_routes(flow_of(cell))
    heights, tops = {}, {}
    for bars in ax.containers:
        for bar in bars:
            step = round(bar.get_x() + bar.get_width() / 2)
            heights[step] = heights.get(step, 0.0) + bar.get_height()
            if bar.get_height() > 0:  # each stands on those before it
                assert bar.get_y() == pytest.approx(tops.get(step, 0.0))
                tops[step] = bar.get_y() + bar.get_height()
    assert heights == pytest.approx(dict.fromkeys(range(1, 7), 1.0))
    routes = [text.get_text() for text in ax.get_legend().get_texts()]
    assert routes == list(flow_of(cell).by_step().routes)
    styles = {(bars[0].get_facecolor(), bars[0].get_hatch()) for bars in ax.containers}
    assert len(styles) == len(ax.containers)


def test_three_cells_stand_on_one_axis_and_differ_without_colour():
    flows = {name: flow_of(CELLS[name]) for name in ("rnn", "lstm", "gru")}
    shown = lines(mr.plot_cells(flows))
    assert list(shown) == ["rnn", "lstm", "gru"]
    assert len({line.get_linestyle() for line in shown.values()}) == 3
    for name, line in shown.items():
        assert line.get_ydata()[0] == pytest.approx(
            math.log10(np.linalg.norm(flows[name].gradient))
        )


def test_gates_show_values_and_slopes_over_their_ceilings():
    flow = flow_of(CELLS["lstm"])
    grid = mr.plot_gates(flow)
    assert grid.shape == (2, 4)
    assert [ax.get_title() for ax in grid[0]] == ["iₜ", "fₜ", "gₜ", "oₜ"]
    f = np.stack([flow.graph.find(f"t{t}.f").tensor.numpy() for t in range(1, 7)], axis=1)
    np.testing.assert_array_equal(grid[0, 1].get_images()[0].get_array(), f)
    np.testing.assert_allclose(grid[1, 1].get_images()[0].get_array(), 4 * f * (1 - f), atol=1e-12)
    g = grid[0, 2].get_images()[0]
    assert g.get_clim() == (-1, 1)


def test_every_scale_of_the_gates_has_one_bar_that_is_named_after_them():
    grid = mr.plot_gates(flow_of(CELLS["lstm"]))
    bars = [ax for ax in grid[0, 0].figure.axes if ax not in grid.ravel()]
    named = {ax.get_ylabel(): ax.get_ylim() for ax in bars}
    assert named == {"iₜ, fₜ, oₜ": (0, 1), "gₜ": (-1, 1), "slope ÷ ceiling, all": (0, 1)}
    maps = [ax.get_images()[0].get_cmap().name for ax in (*grid[0], *grid[1])]
    assert maps[0] == maps[1] == maps[3] != maps[2]
    assert not {maps[4], *maps[5:]} & set(maps[:4])


def test_what_is_given_is_drawn_into():
    from matplotlib import pyplot

    _, axes = pyplot.subplots(2, 2)
    flow = flow_of(CELLS["gru"])
    assert mr.plot_by_step(flow, axes[0, 0]) is axes[0, 0]
    assert mr.plot_routes(flow, axes[0, 1]) is axes[0, 1]
    assert mr.plot_cells({"GRU": flow}, axes[1, 0]) is axes[1, 0]
    assert mr.plot_ledger(flow, axes[1, 1]) is axes[1, 1]


def test_matplotlib_is_loaded_by_the_first_plot_alone():
    import subprocess
    import sys

    code = (
        "import sys, microrecur as mr; mr.plot_by_step; mr.flow; "
        "sys.exit(any(m.startswith('matplotlib') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
