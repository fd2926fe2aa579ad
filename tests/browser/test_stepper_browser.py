"""The stepper in real Chromium: clicks, keys, slider, questions; and nothing typed ever runs."""

import re

import pytest

import microrecur as mr
from microrecur.drawing.page import page as html_page
from microrecur.drawing.quoting import printable

pytestmark = pytest.mark.browser

ORANGE, BLACK = "rgb(230, 159, 0)", "rgb(17, 17, 17)"


def loss():
    cell = mr.RNNCell(1, 1, seed=0)
    weights = {"weight_ih": 0.7, "weight_hh": 1.2, "bias_ih": 0.0, "bias_hh": 0.0}
    for name, parameter in cell.named_parameters():
        parameter.assign(mr.tensor(weights[name]).numpy() + 0.0 * parameter.data)
    h = mr.unroll(cell, [0.9, -0.4, 1.1, 0.3, -0.8], mr.tensor(0.3))[-1]
    return (0.5 * (h - 1.0) ** 2).named("L")


@pytest.fixture(scope="module")
def stepper():
    return mr.step(loss())


@pytest.fixture
def opened(watch, tmp_path):
    """Open a stepper as a file; at the end nothing may have gone wrong, nothing been fetched."""

    def open_it(stepper):
        path = stepper.save(tmp_path / "step.html")
        watch.page.goto(path.as_uri())
        watch.page.wait_for_selector(".mrs-toolbar")
        return watch.page

    yield open_it
    assert watch.faults == []
    assert set(watch.requests) == {(tmp_path / "step.html").as_uri()}


def said(page):
    return page.inner_text(".mrs-says")


def at(page):
    return int(page.inner_text(".mrs-count").split()[1].split("/")[0])


def shapes(stepper, *keys):
    parts = stepper.drawing.parts
    return [id for key in keys for id in (parts.nodes.get(key) or parts.edges[key])]


def stroke(page, id):
    shape = page.locator(f"#{id} > :is(path, polygon, ellipse)").first
    page.wait_for_timeout(200)  # the transition
    return shape.evaluate("shape => getComputedStyle(shape).stroke")


def is_shown(page, id):
    return page.eval_on_selector(f"#{id}", "e => getComputedStyle(e).visibility") == "visible"


# ------------------------------------------------------------------ moving


def test_buttons_walk_and_stop_at_both_ends(opened, stepper):
    page = opened(stepper)
    last = len(stepper) - 1
    press = lambda name: page.get_by_role("button", name=name).click()  # noqa: E731
    press("one step back")
    assert at(page) == 0 and said(page) == stepper.steps[0].says
    press("one step on")
    assert at(page) == 1 and said(page) == stepper.steps[1].says
    press("last step")
    press("one step on")
    assert at(page) == last and said(page) == stepper.steps[-1].says
    press("one step back")
    assert at(page) == last - 1
    press("first step")
    assert at(page) == 0


def test_keys_walk_wherever_the_focus_is(opened, stepper):
    page = opened(stepper)
    for key, place in [
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("End", len(stepper) - 1),
        ("Home", 0),
        ("ArrowUp", 1),
    ]:
        page.keyboard.press(key)
        assert at(page) == place, key
    page.keyboard.press("Control+ArrowRight")  # the browser's own
    assert at(page) == 1
    page.locator(".mrs-slider").focus()  # which has arrow keys of its own
    page.keyboard.press("ArrowRight")
    assert at(page) == 2


def test_every_step_says_what_python_says(opened, stepper):
    page = opened(stepper)
    for step in stepper.steps:
        assert said(page) == step.says
        page.keyboard.press("ArrowRight")


def test_space_plays_and_pauses(opened, stepper):
    page = opened(stepper)
    page.keyboard.press("Space")
    page.locator(".mrs-count", has_text="forward 2/").wait_for()
    assert page.get_by_role("button", name="pause").is_visible()
    page.keyboard.press("Space")
    here = at(page)
    page.wait_for_timeout(1300)
    assert at(page) == here and page.get_by_role("button", name="play").is_visible()


def test_the_slider_goes_anywhere(opened, stepper):
    page = opened(stepper)
    page.locator(".mrs-slider").fill("9")
    assert at(page) == 9 and said(page) == stepper.steps[9].says


# ------------------------------------------------------------------ what is seen


def test_forward_fills_values_in(opened, stepper):
    page = opened(stepper)
    (h1,) = shapes(stepper, "t1.h")
    (z1,) = shapes(stepper, "t1.z")
    lines = lambda id: page.locator(f"#{id} text").all_text_contents()  # noqa: E731
    assert lines(z1) == ["z₁", "?"] and lines(h1) == ["tanh", "h₁ = ?"]
    page.keyboard.press("ArrowRight")
    assert lines(z1) == ["z₁", "0.99"] and lines(h1) == ["tanh", "h₁ = ?"]
    assert stroke(page, z1) == ORANGE and stroke(page, h1) != ORANGE
    page.keyboard.press("ArrowRight")
    assert lines(h1) == ["tanh", "h₁ = 0.76"] and stroke(page, h1) == ORANGE
    page.keyboard.press("Home")
    assert lines(z1) == ["z₁", "?"]


def test_backward_lights_the_path_and_tells_labels_and_bars_as_it_reaches_them(opened, stepper):
    page = opened(stepper)
    parts = stepper.drawing.parts
    k = next(i for i, s in enumerate(stepper.steps) if s.says.startswith("∂L/∂z₄"))
    page.locator(".mrs-slider").fill(str(k - 1))
    label, bar = parts.labels[("t4.z", "t4.h")][0], parts.bars["t4.z"]
    assert not is_shown(page, label) and not any(is_shown(page, id) for id in bar)
    page.keyboard.press("ArrowRight")
    assert is_shown(page, label) and all(is_shown(page, id) for id in bar)
    assert said(page) == "∂L/∂z₄ = ∂L/∂h₄ · tanh′(z₄) = −0.55 · 0.27 = −0.15"
    for id in shapes(stepper, "t4.z", ("t4.z", "t4.h")):
        assert stroke(page, id) == ORANGE
    for id in shapes(stepper, "t4.h", ("t4.h", "t5.z"), "t5.z", ("t5.h", "L")):
        assert stroke(page, id) == BLACK
    (x,), (h0,) = shapes(stepper, "t4.x"), shapes(stepper, "t0.h")
    opacity = lambda id: float(page.eval_on_selector(f"#{id}", "e => getComputedStyle(e).opacity"))  # noqa: E731
    assert opacity(x) < opacity(h0) < 1.0
    assert page.locator(".mrs-chip").all_inner_texts() == [
        "L′ = −0.56",
        "tanh′(z₅) = 0.81\n≤ 1",
        "U = 1.20\nno bound",
        "tanh′(z₄) = 0.27\n≤ 1",
    ]
    assert page.inner_text(".mrs-total") == "∏ = −0.15"
    page.wait_for_timeout(200)
    fill, meter = (
        page.locator(f".mrs-{name}").bounding_box()["width"] for name in ("fill", "meter")
    )
    level = stepper.data["steps"][k]["level"]
    assert fill / meter == pytest.approx(level, abs=0.01) and 0.5 < level < 0.65


def test_where_routes_meet_they_add(opened):
    cell = mr.LSTMCell(1, 1, seed=0)
    stepper = mr.step(mr.unroll(cell, [0.5, -0.2])[-1][0], routes=True, theme="dark")
    page = opened(stepper)
    k = max(i for i, s in enumerate(stepper.steps) if "∂h₂/∂c₁ = " in s.says)
    page.locator(".mrs-slider").fill(str(k))
    assert re.search(r"Routes that meet add: ∂h₂/∂c₁ = \S+ [+−] \S+ = \S+$", said(page))
    assert page.locator(".mrs-chip").count() == 2


def test_a_screen_reader_hears_each_step(opened, stepper):
    page = opened(stepper)
    page.keyboard.press("ArrowRight")
    assert page.locator(".mrs-says").get_attribute("aria-live") == "polite"
    slider = page.get_by_role("slider", name="step")
    assert slider.get_attribute("aria-valuetext") == f"forward 1/23: {stepper.steps[1].says}"
    names = [b.get_attribute("aria-label") for b in page.locator(".mrs-toolbar button").all()]
    assert len(names) == 5 and all(names)
    assert page.get_by_role("group", name="Stepper: RNN cell, 5 steps").is_visible()
    assert page.get_by_role("img", name="RNN cell, 5 steps").count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


# ------------------------------------------------------------------ predict, then reveal


@pytest.fixture
def asked(opened, stepper):
    """The stepper at its first question: tanh′(z₅)."""
    page = opened(stepper)
    page.get_by_label("predict").check()
    first = next(i for i, s in enumerate(stepper.steps) if s.ask)
    page.locator(".mrs-slider").fill(str(first - 1))
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".mrs-prompt").strip() == "∂h₅/∂z₅ = tanh′(z₅) = ?"
    assert at(page) == first - 1 and "0.81" not in page.inner_text(".mrs-result")
    return page


def answer(page, text):
    page.locator(".mrs-answer").fill(text)
    page.keyboard.press("Enter")
    return page.inner_text(".mrs-verdict")


@pytest.mark.parametrize("text", ["0.81", "0,8", "0.84", "4/5", ".8", "8.1e-1", "8.1·10^-1"])
def test_a_right_answer_is_said_to_be_right(asked, text):
    before = at(asked)
    assert answer(asked, text) == "Right: it is 0.81. 1 of 1 right."
    assert at(asked) == before + 1 and asked.locator(".mrs-form").is_hidden()


def test_enter_goes_on_after_an_answer(asked):
    before = at(asked)
    answer(asked, "0.81")
    asked.keyboard.press("Enter")  # the next factor, U, cannot be known: it is shown
    assert at(asked) == before + 2 and asked.locator(".mrs-form").is_hidden()
    asked.keyboard.press("Enter")
    assert asked.locator(".mrs-answer").evaluate("e => e === document.activeElement")


@pytest.mark.parametrize("text", ["0.7", "-0.81", "−0.81", "81", "1/0"])
def test_a_wrong_answer_is_said_to_be_wrong_and_the_step_shown(asked, text):
    before = at(asked)
    assert answer(asked, text) == f"Not quite, you typed {text}: it is 0.81. 0 of 1 right."
    assert at(asked) == before + 1


def test_what_is_no_number_is_asked_again_and_nothing_typed_just_shows(asked):
    before = at(asked)
    assert answer(asked, "one half").startswith("Type a number such as 0.25")
    assert answer(asked, "1/2/3").startswith("Type a number") and at(asked) == before
    assert answer(asked, "") == "Shown: it is 0.81. 0 of 1 right." and at(asked) == before + 1


def test_keys_typed_into_the_answer_do_not_walk(asked):
    before = at(asked)
    for key in ("Home", "ArrowLeft", "Space", "ArrowRight"):
        asked.keyboard.press(key)
    assert at(asked) == before
    asked.keyboard.press("Escape")
    assert asked.locator(".mrs-form").is_hidden() and at(asked) == before


def test_play_stops_at_a_question(asked):
    asked.keyboard.press("Escape")
    asked.get_by_role("button", name="play").click()
    asked.wait_for_selector(".mrs-form:not([hidden])")
    assert asked.get_by_role("button", name="play").is_visible()


# ------------------------------------------------------------------ where it is shown


@pytest.mark.parametrize("width", [1100, 700])
def test_a_notebook_gets_a_sandboxed_frame_that_fits(watch, stepper, width):
    page = watch.page
    page.set_content(f'<body style="width:{width}px">{stepper._repr_html_()}</body>')
    frame = page.frame_locator("iframe")
    frame.locator(".mrs-toolbar").wait_for()
    frame.get_by_role("button", name="one step on").click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    assert frame.locator(".mrs-says").inner_text() == stepper.steps[-1].says
    inside = page.frames[1]
    assert inside.evaluate(
        "document.documentElement.scrollHeight <= document.documentElement.clientHeight"
    )
    assert inside.evaluate("self.origin") == "null"  # it can read nothing of the notebook
    assert watch.faults == [] and watch.foreign() == []


def test_a_drawing_is_a_page_too(watch, stepper, tmp_path):
    path = stepper.drawing.save(tmp_path / "picture.html")
    watch.page.goto(path.as_uri())
    assert watch.page.get_by_role("img", name="RNN cell, 5 steps").is_visible()
    assert "default-src 'none'" in path.read_text() and "<script" not in path.read_text()
    assert watch.faults == [] and watch.requests == [path.as_uri()]


# ------------------------------------------------------------------ safety

RUN = "window.pwned=1;alert(1)"
HOSTILE = [
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"<!--<script>{RUN}//",
    f"<img src=x onerror='{RUN}'>",
    f"<svg onload='{RUN}'>",
    f"</svg><script>{RUN}</script>",
    f"</title><script>{RUN}</script>",
    f"</style><script>{RUN}</script>",
    f"</noscript><script>{RUN}</script>",
    f'"><script>{RUN}</script>',
    f"'><img src=x onerror={RUN}>",
    f'" srcdoc="<script>{RUN}</script>',
    f'" onload="{RUN}',
    f"javascript:{RUN}",
    f"<a href='javascript:{RUN}'>a</a>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'>",
    f"<foreignObject><body onload='{RUN}'>",
    f"]]><script>{RUN}</script>",
    f"&lt;script&gt;{RUN}&lt;/script&gt;",
    f"\\u003cscript\\u003e{RUN}",
    f"\u2028{RUN}\u2029",
    f"`${{{RUN}}}`",
    f"');{RUN};('",
    f"\\');{RUN}//",
    "{{constructor.constructor('window.pwned=1')()}}",
    "__proto__",
    "constructor",
    "\x00\x07\ud800\u202egnp.exe",
    "日本語 👩‍🔬 e\u0301 &amp; &",
    "<style>*{background:url(http://example.invalid/)}</style>",
]


def test_there_are_thirty_of_them():
    assert len(set(HOSTILE)) == 30


@pytest.fixture
def walked(opened):
    """Open a stepper, walk to its end, and return what it said on the way."""

    def walk(stepper):
        page, heard = opened(stepper), []
        for _ in stepper.steps:
            heard.append(page.locator(".mrs").inner_text())
            page.keyboard.press("ArrowRight")
        assert page.evaluate("window.pwned") is None
        return page, "\n".join(heard)

    return walk


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_typed_runs_and_all_of_it_arrives_as_typed(walked, text):
    with mr.scope(text, "t=1", text):
        x = mr.tensor(0.5, name=text)
        y = (mr.tanh(x).named(text) * x).named(text)
    page, heard = walked(mr.step(y, title=text, routes=True))
    assert printable(text) in heard
    assert page.locator("head title").text_content() == printable(text)
    described = page.locator(".mrs-picture svg > title").text_content()
    assert described == printable(text)
    assert page.locator(".mrs").get_attribute("aria-label") == f"Stepper: {printable(text)}"


def test_a_drawing_saved_as_a_page_runs_nothing_either(watch, tmp_path):
    y = mr.tensor(0.5, name="x")
    for text in HOSTILE:
        y = (y * 2.0).named(text)
    path = mr.draw(y, title=" ".join(HOSTILE)).save(tmp_path / "picture.html")
    watch.page.goto(path.as_uri())
    title = watch.page.locator("head title").text_content()
    assert title == printable(" ".join(HOSTILE))
    shown = watch.page.locator("svg").text_content().replace("\xa0", " ")
    for text in HOSTILE:
        assert printable(text)[:40] in shown
    assert watch.page.evaluate("window.pwned") is None
    assert watch.faults == [] and watch.requests == [path.as_uri()]


def test_a_hostile_svg_is_rebuilt_from_what_is_allowed(watch, tmp_path):
    stepper = mr.step((mr.tensor(0.5, name="x") * 2.0).named("y"))
    stepper.data["svg"] = f"""
        <svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xhtml"
             viewBox="0 0 9 9" onload="{RUN}" style="background:url(http://example.invalid)">
          <script>{RUN}</script><x:script>{RUN}</x:script><style>*{{display:none}}</style>
          <foreignObject><x:img src="x" onerror="{RUN}"/></foreignObject>
          <a href="javascript:{RUN}"><text>linked</text></a><use href="http://example.invalid#a"/>
          <image href="http://example.invalid/a.png"/><animate attributeName="href"/>
          <g onclick="{RUN}" id="kept" fill="url(http://example.invalid)"><text>kept</text></g>
        </svg>"""
    page, path = watch.page, stepper.save(tmp_path / "step.html")
    page.goto(path.as_uri())
    page.wait_for_selector(".mrs-toolbar")
    tags = page.eval_on_selector_all(".mrs-picture *", "all => all.map(e => e.localName)")
    assert tags == ["svg", "g", "text"]
    attributes = page.eval_on_selector_all(
        ".mrs-picture *", "all => all.flatMap(e => e.getAttributeNames())"
    )
    assert sorted(attributes) == ["id", "style", "viewBox"]  # style: our own max-width
    assert page.locator(".mrs-picture svg").get_attribute("style") == "max-width: 12px;"
    assert page.evaluate("window.pwned") is None and watch.requests == [path.as_uri()]
    # The parser, too, finds the policy in its way; nothing else may go wrong.
    assert all("violates the following Content Security Policy" in f for f in watch.faults)


# ------------------------------------------------------------------ the watch itself


def test_the_watch_sees_dialogs_errors_and_requests(watch):
    page = watch.page
    page.set_content("<script>alert(1); console.error('c'); setTimeout(() => missing)</script>")
    page.set_content("<img src='http://example.invalid/a.png'>")
    page.wait_for_timeout(200)
    assert {fault.split(":")[0] for fault in watch.faults} == {"dialog", "console", "error"}
    assert watch.foreign() == ["http://example.invalid/a.png"]


def test_the_policy_stops_what_is_not_named_by_its_hash(watch, tmp_path):
    planted = "<img src=x onerror='window.pwned=1'><script>window.pwned=2</script>"
    path = tmp_path / "planted.html"
    path.write_text(html_page("t", planted, script="window.ours=1"))
    watch.page.goto(path.as_uri())
    assert watch.page.evaluate("[window.ours, window.pwned]") == [1, None]
    assert any("Content Security Policy" in fault for fault in watch.faults)
