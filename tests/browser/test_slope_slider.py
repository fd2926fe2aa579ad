"""The slider of lesson 01 in a browser: drag x, and no bar ever leaves its ceiling."""

import pytest

from microrecur.lessons.slopes import slope_slider

pytestmark = pytest.mark.browser


@pytest.fixture
def frame(watch, tmp_path):
    file = tmp_path / "slider.html"
    file.write_text(slope_slider()._repr_html_(), encoding="utf-8")
    watch.page.goto(file.as_uri())
    return watch.page.frame_locator("iframe")


def slopes(frame):
    return tuple(float(text) for text in frame.locator("text.number").all_text_contents())


def test_dragging_moves_both_bars_and_neither_leaves_its_ceiling(frame, watch):
    slider, seen = frame.locator("input"), []
    for place in (0, 60, 120, 153, 154, 240):  # of 241 from −6 to 6
        slider.fill(str(place))
        seen.append(slopes(frame))
        for bar, said in zip(frame.locator("rect[fill='#e69f00']").all(), seen[-1]):
            assert float(bar.get_attribute("height")) == pytest.approx(188 * said, abs=0.01)
    assert all(sigma <= 0.25 and tanh <= 1 for sigma, tanh in seen)
    assert seen[2] == (0.25, 1.0) and seen[0] == seen[-1]  # the middle; and both are even
    assert seen[3][0] < seen[3][1] and seen[4][0] > seen[4][1]  # x = 1.65 and 1.70: σ′ takes over
    assert frame.locator("output").inner_text() == "x = 6.00"
    assert not watch.faults and not watch.foreign()


def test_the_arrow_keys_move_x(frame):
    slider = frame.locator("input")
    slider.fill("120")
    slider.press("ArrowRight")
    assert frame.locator("output").inner_text() == "x = 0.05"
