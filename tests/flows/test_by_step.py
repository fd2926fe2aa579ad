"""The gradient by step beside `.grad`, a step's view by hand, and routes through time."""

import math

import numpy as np
import pandas
import pytest

import microrecur as mr
from microrecur.flows.by_step import arrivals
from microrecur.flows.routes import steps_of
from tests.flows import by_hand
from tests.flows.by_hand import CELLS, flow_of, sequence, with_weights


@pytest.mark.parametrize("name", CELLS)
def test_the_totals_are_what_backward_brings(name):
    cell = CELLS[name]
    _, start, after = sequence(cell)
    loss = (after[-1][0] * after[-1][0]).sum() + sum(s[0].sum() for s in after[:-1]) * 0.1
    table = mr.flow(loss, start[0]).by_step()
    loss.backward()
    assert [row.step for row in table] == [6, 5, 4, 3, 2, 1, 0]
    for row, states in zip(table, [*after[::-1], start], strict=True):
        for letter, state in zip(cell.states, states, strict=True):
            total = getattr(row, table.states[letter][0])
            norm = 0.0 if state.grad is None else np.linalg.norm(state.grad)
            assert 10**total == pytest.approx(norm, rel=1e-12)


def test_a_steps_view_holds_the_other_states_fixed():
    """Total and view at c_t, from the recurrence s̄_{t−1} = s̄_t J_t worked out by hand."""
    cell = CELLS["lstm"]
    xs, start, after = sequence(cell)
    flow = mr.flow(after[-1][0].sum(), start[0])
    found = arrivals(flow)
    h_bar, c_bar = np.ones(3), np.zeros(3)
    for t in range(6, 0, -1):
        h, c = after[t - 1]
        assert found[h].total.value() == pytest.approx(h_bar, rel=1e-12)
        assert found[h].view.value() == pytest.approx(h_bar, rel=1e-12)
        np.testing.assert_allclose(found[c].view.value(), c_bar, rtol=1e-12, atol=0)
        before = start if t == 1 else after[t - 2]
        *_, (_, _, _, o) = by_hand.lstm(cell, xs[t - 1], *(s.numpy() for s in before))
        total = c_bar + h_bar * o * (1 - np.tanh(c.numpy()) ** 2)
        np.testing.assert_allclose(found[c].total.value(), total, rtol=1e-12)
        parts = by_hand.lstm_routes(cell, xs[t - 1], *(s.numpy() for s in before))
        h_bar, c_bar = (
            h_bar @ sum(parts["h", s].values()) + c_bar @ sum(parts["c", s].values()) for s in "hc"
        )
    np.testing.assert_allclose(flow.gradient, h_bar, rtol=1e-12)


def test_the_two_views_differ_and_the_last_cell_state_is_seen_by_nobody_but_h():
    row = flow_of(CELLS["lstm"]).by_step()[0]
    assert row.view_c == -math.inf  # the loss reads h alone
    assert math.isfinite(row.total_c)


@pytest.mark.parametrize("name", CELLS)
def test_the_shares_of_a_step_sum_to_one(name):
    table = flow_of(CELLS[name]).by_step()
    for row in table[:-1]:
        shares = [getattr(row, column) for column in table.routes.values()]
        assert sum(shares) == pytest.approx(1, abs=1e-12)
    assert all(getattr(table[-1], column) is None for column in table.routes.values())


def test_the_shares_are_those_of_the_parts_by_hand():
    cell = CELLS["gru"]
    xs, start, after = sequence(cell, T=2)
    table = mr.flow(after[-1][0].sum(), start[0]).by_step()
    parts = by_hand.gru_routes(cell, xs[1], after[0][0].numpy())["h", "h"]
    handed = {route: np.ones(3) @ part for route, part in parts.items()}
    whole = sum(handed.values())
    for route, part in handed.items():
        share = getattr(table[0], table.routes[route])
        assert share == pytest.approx(part @ whole / (whole @ whole), rel=1e-12)


def test_what_is_cut_has_no_share():
    table = flow_of(CELLS["lstm"]).cut("via o", at=4).by_step()
    shares = {row.step: getattr(row, table.routes["via o"]) for row in table}
    assert shares[4] == 0
    assert shares[5] != 0


def test_a_loss_that_reads_an_output_of_each_step():
    """What is read of a state within its own step still counts as seen by that step."""
    cell = mr.LSTMCell(1, 2, seed=0)
    with mr.scope("t=0"):
        state = tuple(mr.tensor(np.full(2, 0.3), requires_grad=True, name=n) for n in "hc")
    start, losses, kept = state, [], []
    for t in (1, 2, 3):
        with mr.scope(f"t={t}"):
            state = cell([0.5 * t], state)
            losses.append((state[0] * state[0]).sum().named("l"))
            kept.append(state)
    loss = losses[0] + losses[1] + losses[2]
    found = arrivals(mr.flow(loss, start[0]))
    loss.backward()
    for h, c in kept:
        np.testing.assert_allclose(found[h].total.value(), h.grad, rtol=1e-12)
        np.testing.assert_allclose(found[c].total.value(), c.grad, rtol=1e-12)


def test_rows_end_at_the_step_of_what_is_asked_about():
    assert [row.step for row in flow_of(CELLS["gru"], wrt="t3.h").by_step()] == [6, 5, 4, 3]
    assert [row.step for row in flow_of(CELLS["gru"], wrt="weight_hh").by_step()][-1] == 0


def test_the_columns_are_named_after_states_and_routes():
    table = flow_of(CELLS["peephole"]).by_step()
    frame = pandas.DataFrame(table)
    assert {"step", "total_h", "view_h", "total_c", "view_c", "share_direct", "share_f"} <= set(
        frame.columns
    )
    assert "share_i_o" in frame
    heading = str(table).splitlines()[0]
    assert "‖∂/∂cₜ‖ view" in heading
    assert "via i→o" in heading
    assert "view" not in str(flow_of(CELLS["rnn"]).by_step()).splitlines()[0]


# -- one route at every step -----------------------------------------------------------------------


def test_a_route_through_time_brings_what_its_parts_multiply_to():
    cell = CELLS["gru"]
    xs, start, after = sequence(cell)
    rows = {row.route: row for row in mr.flow(after[-1][0].sum(), start[0]).through_time()}
    for route in ("direct", "via n", "via r→n"):
        g = np.ones(3)
        for t in range(6, 0, -1):
            before = (start if t == 1 else after[t - 2])[0].numpy()
            g = g @ by_hand.gru_routes(cell, xs[t - 1], before)["h", "h"][route]
        assert 10 ** rows[route].log10 == pytest.approx(np.linalg.norm(g), rel=1e-12)
        assert rows[route].per_step == pytest.approx(
            (np.linalg.norm(g) / math.sqrt(3)) ** (1 / 6), rel=1e-12
        )


def test_all_together_is_the_gradient():
    flow = flow_of(CELLS["rnn"])
    row = flow.through_time()[0]
    assert (row.route, row.steps) == ("all", 6)
    assert 10**row.log10 == pytest.approx(np.linalg.norm(flow.gradient), rel=1e-12)


def test_what_is_far_below_floating_point_is_still_told():
    flow = flow_of(with_weights(mr.LSTMCell(2, 3, seed=0), 0.1, forget=-3.0), T=400)
    rows = {row.route: row for row in flow.through_time()}
    belt = sum(
        np.log10(mr.sigmoid(node.tensor.inputs[0]).numpy())
        for node in flow.graph.nodes
        if node.name == "f"
    )
    assert rows["direct"].log10 == pytest.approx(max(belt), abs=1.0)
    assert rows["all"].log10 < -330
    assert len(steps_of(flow)) == 400


def test_what_enters_on_the_way_is_not_what_the_last_step_sent():
    _, start, after = sequence(CELLS["gru"])
    last, early = after[-1][0].sum(), after[0][0].sum() * 50.0
    alone, both = (mr.flow(y, start[0]).through_time()[0] for y in (last, last + early))
    assert both.log10 == pytest.approx(alone.log10, rel=1e-12)


# -- how it shows ----------------------------------------------------------------------------------


def test_layers_show_one_under_the_other():
    net = mr.LSTM(2, 3, num_layers=2, seed=0)
    out, _ = net(np.random.default_rng(0).normal(size=(4, 2)))
    table = mr.flow(out[-1].sum().named("L"), "layer0.t0.h").by_step()
    text = str(table)
    assert max(map(len, text.splitlines())) < 160
    blocks = {block.splitlines()[0]: block for block in text.split("\n\n")}
    headings = ["layer0", "layer1", "direct, in all layers", "layer0.i → other layers"]
    assert list(blocks)[:4] == headings
    assert "‖∂/∂layer1.cₜ‖ total" in blocks["layer1"]
    shown = [word for block in blocks.values() for word in table.routes if f"{word}  " in block]
    assert len(shown) >= len(table.routes) - len(blocks)
    html = table._repr_html_()
    assert html.count("<table>") == len(blocks)
    assert "<p>layer1</p>" in html
    assert len(pandas.DataFrame(table).columns) == 34


def test_of_what_y_does_not_depend_on_the_figures_are_called_the_sequences():
    other = mr.flow(flow_of(CELLS["lstm"]).y, mr.tensor(1.0, name="q"))
    note = "L does not depend on q: these are the figures of L's own sequence."
    for table in (other.by_step(), other.lags(), other.ceiling()):
        assert str(table).startswith(note)
        assert repr(table).startswith(note)
        assert table._repr_html_().startswith("<p>L does not depend on q: ")
    assert note not in str(flow_of(CELLS["lstm"]).by_step())
