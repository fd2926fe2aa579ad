// Steps through a picture: values fill in, then the gradient multiplies back along its edges.
// Every text arrives by textContent; the SVG is rebuilt from these tags and attributes alone.
const SVG = "http://www.w3.org/2000/svg";
const TAGS = new Set(
  "svg g path polygon polyline ellipse circle rect line text title desc".split(" "),
);
const ATTRIBUTES = {
  d: /^[-+\d.,eE\sMmLlHhVvCcSsQqTtAaZz]*$/,
  transform: /^((scale|rotate|translate)\([-+\d.,eE\s]*\)\s*)*$/,
};
const allow = (names, form) => names.split(" ").forEach((name) => (ATTRIBUTES[name] = form));
allow("x y x1 y1 x2 y2 cx cy r rx ry points viewBox font-size stroke-width stroke-dasharray " +
  "fill-opacity stroke-opacity", /^[-+\d.,eE\s]*$/);
allow("id class fill stroke text-anchor font-family font-weight font-style role aria-labelledby",
  /^[\w\s,.:#-]*$/);
const STATES = ["mrs-now", "mrs-done", "mrs-ahead", "mrs-dim"];
const PLAY_EVERY = 1100; // milliseconds

function rebuilt(node) {
  const copy = document.createElementNS(SVG, node.localName);
  for (const { name, value } of node.attributes)
    if (Object.hasOwn(ATTRIBUTES, name) && ATTRIBUTES[name].test(value))
      copy.setAttribute(name, value);
  for (const child of node.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) copy.append(child.data);
    else if (child.namespaceURI === SVG && TAGS.has(child.localName)) copy.append(rebuilt(child));
  }
  return copy;
}

function safeSvg(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (parsed.localName !== "svg") throw new Error("the picture is no SVG");
  const svg = rebuilt(parsed);
  svg.style.maxWidth = `${(svg.getAttribute("viewBox").split(/[\s,]+/)[2] * 4) / 3}px`;
  return svg;
}

function element(tag, name, attributes = {}, ...children) {
  const made = document.createElement(tag);
  made.className = `mrs-${name}`;
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  made.append(...children);
  return made;
}

/** A number as people type it: 0,27 · −0.27 · 1/4 · 3·10^-4; NaN for anything else. */
function typed(text) {
  const plain = text.replace(/[−–]/g, "-").replace(",", ".").replace(/\s*[·*x×]\s*10\^?/, "e");
  const [above, below = "1", ...more] = plain.trim().split("/");
  const whole = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
  return !more.length && whole.test(above) && whole.test(below) ? above / below : NaN;
}

class Stepper {
  constructor(root, data, { start = 0, keys = root, onStep = () => {} } = {}) {
    Object.assign(this, { data, onStep, at: -1, timer: null, right: 0, asked: 0 });
    this.last = data.steps.length - 1;
    this.build(root);
    const found = (ids) => ids.map((id) => this.picture.querySelector(`#${CSS.escape(id)}`))
      .filter(Boolean);
    this.shapes = found([...data.parts.nodes, ...data.parts.edges]);
    this.texts = found([...data.parts.labels, ...data.parts.bars]);
    // The lines of each computed node: as they are, and with ? for the value.
    this.blanks = found(Object.keys(data.blanks)).flatMap((shape) => {
      const { id } = shape;
      const lines = [...shape.querySelectorAll("text")];
      const full = lines.map((line) => line.textContent);
      return full.length === data.blanks[id].length ? [[id, lines, data.blanks[id], full]] : [];
    });
    keys.addEventListener("keydown", (event) => this.onKey(event));
    this.go(start);
  }

  build(root) {
    const button = (text, label, act) => {
      const made = element("button", "button", { "aria-label": label, title: label }, text);
      made.type = "button";
      made.addEventListener("click", act);
      return made;
    };
    const live = { "aria-live": "polite", role: "status" };
    this.picture = element("div", "picture", {}, safeSvg(this.data.svg));
    this.says = element("p", "says", live);
    this.verdict = element("p", "verdict", live);
    this.chips = element("div", "chips", { role: "list", "aria-label": "factors so far" });
    this.total = element("strong", "total");
    this.fill = element("div", "fill");
    this.meter = element("div", "meter", { role: "img" }, this.fill);
    this.result = element("div", "result", {}, this.chips, this.total, this.meter,
      element("span", "scale", {}, `log scale ${this.data.scale}`));
    this.play = button("▶▶", "play", () => this.toggle());
    this.slider = element("input", "slider",
      { type: "range", min: 0, max: this.last, "aria-label": "step" });
    this.slider.addEventListener("input", () => this.stop().go(Number(this.slider.value)));
    this.predict = element("input", "predict", { type: "checkbox" });
    this.predict.addEventListener("change", () => this.close());
    this.count = element("span", "count");
    const toolbar = element("div", "toolbar", { role: "toolbar", "aria-label": "steps" },
      button("|◀", "first step (Home)", () => this.stop().go(0)),
      button("◀", "one step back (←)", () => this.stop().go(this.at - 1)),
      this.play,
      button("▶", "one step on (→)", () => this.stop().next()),
      button("▶|", "last step (End)", () => this.stop().go(this.last)),
      this.slider, this.count, element("label", "switch", {}, this.predict, "predict"));
    this.prompt = element("label", "prompt");
    this.answer = element("input", "answer", { inputmode: "decimal", autocomplete: "off" });
    this.form = element("form", "form", { hidden: "" }, this.prompt,
      element("button", "button", {}, "check"));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.judge();
    });
    root.classList.add("mrs", `mrs-${this.data.theme}`);
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", `Stepper: ${this.data.title}`);
    root.replaceChildren(
      toolbar, this.picture, this.says, this.form, this.verdict, this.result);
  }

  go(k) {
    this.close();
    const at = Math.max(0, Math.min(this.last, Math.round(k) || 0));
    if (at !== this.at) {
      this.at = at;
      this.paint();
      this.onStep(at);
    }
    return this;
  }

  next() {
    const ask = this.data.steps[this.at + 1]?.ask;
    if (!ask || !this.predict.checked) return this.go(this.at + 1);
    if (this.form.hidden) {
      this.prompt.replaceChildren(ask.prompt, " ", this.answer);
      this.answer.value = this.verdict.textContent = "";
      this.form.hidden = false;
    }
    this.answer.focus();
    return this.stop();
  }

  /** Say whether the answer was right, then show the step; an empty answer only shows it. */
  judge() {
    const { value, shown } = this.data.steps[this.at + 1].ask;
    const text = this.answer.value.trim();
    const off = Math.abs(typed(text) - value);
    const size = Math.abs(value); // half of the last digit shown is near enough
    const last = size >= 0.1 || size === 0 ? 0.005 : size >= 1e-3 ? 0.0005 : 0;
    const right = off <= Math.max(0.05 * size, last + 1e-12);
    this.verdict.classList.toggle("mrs-right", right);
    if (text && Number.isNaN(off)) {
      this.verdict.textContent = "Type a number such as 0.25, or nothing to see it.";
      return;
    }
    this.asked += 1;
    this.right += right;
    this.go(this.at + 1);
    const opinion = right ? "Right" : text ? `Not quite, you typed ${text}` : "Shown";
    this.verdict.textContent = `${opinion}: it is ${shown}. ${this.right} of ${this.asked} right.`;
    this.slider.focus(); // where Enter goes on
  }

  close() {
    this.form.hidden = true;
    this.verdict.textContent = "";
  }

  toggle() {
    if (this.timer) return this.stop();
    if (this.at === this.last) this.go(0);
    this.timer = setInterval(
      () => (this.at === this.last ? this.stop() : this.next()), PLAY_EVERY);
    return this.playing("❚❚", "pause");
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    return this.playing("▶▶", "play");
  }

  playing(text, label) {
    this.play.textContent = text;
    this.play.title = `${label} (space)`;
    this.play.setAttribute("aria-label", label);
    return this;
  }

  onKey(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (target === this.answer && key !== "Escape") return;
    if (" Enter".includes(key) && target.matches?.("button, [type=checkbox]")) return; // presses it
    const on = () => this.stop().next();
    const back = () => this.stop().go(this.at - 1);
    const act = {
      ArrowRight: on, ArrowUp: on, Enter: on, ArrowLeft: back, ArrowDown: back,
      Home: () => this.stop().go(0),
      End: () => this.stop().go(this.last),
      " ": () => this.toggle(),
      Escape: () => this.close(),
    }[key];
    if (!act) return;
    event.preventDefault(); // or the slider would move once more, and the page scroll
    act();
  }

  paint() {
    const { steps } = this.data;
    const step = steps[this.at];
    const phase = steps.filter((other) => other.phase === step.phase);
    const past = phase.slice(0, phase.indexOf(step) + 1);
    const ids = (from, key) => new Set(from.flatMap((other) => other[key]));
    const lit = ids(phase, "now"), done = ids(past, "now"), told = ids(past, "tells");
    const back = step.phase === "backward";
    this.picture.classList.toggle("mrs-backward", back);
    for (const { id, classList } of this.shapes) {
      classList.remove(...STATES);
      const state = [step.now.includes(id), done.has(id), lit.has(id), back].indexOf(true);
      if (state >= 0) classList.add(STATES[state]);
    }
    for (const { id, classList } of this.texts) classList.toggle("mrs-hidden", !told.has(id));
    for (const [id, lines, blank, full] of this.blanks) {
      const words = back || done.has(id) ? full : blank;
      lines.forEach((line, k) => { line.textContent = words[k]; });
    }
    this.says.textContent = step.says;
    this.count.textContent = `${step.phase} ${this.at}/${this.last}`;
    this.slider.value = this.at;
    this.slider.setAttribute("aria-valuetext", `${this.count.textContent}: ${step.says}`);
    const kept = past.slice(past.findLastIndex(({ fresh }) => fresh));
    this.chips.replaceChildren(
      ...kept.flatMap(({ chips, sign }) => chips.map((chip) => this.chip(chip, sign))));
    this.result.classList.toggle("mrs-hidden", !back);
    this.total.textContent = step.total;
    this.result.scrollTop = this.result.scrollHeight;
    this.fill.style.width = `${100 * step.level}%`;
    this.meter.setAttribute(
      "aria-label", `size of ${step.total} on a log scale, ${this.data.scale}`);
  }

  chip({ text, bound, kind }, sign) {
    const [background, borderColor, color] = this.data.looks[kind];
    const made = element("span", "chip", { role: "listitem" }, element("b", "text", {}, text));
    if (bound) made.append(element("small", "bound", {}, bound));
    Object.assign(made.style, { background, borderColor, color });
    made.dataset.sign = sign;
    return made;
  }
}

const mountStepper = (root, data, options) => new Stepper(root, data, options);
