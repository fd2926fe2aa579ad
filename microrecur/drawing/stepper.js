// Steps through a picture of a recorded graph: values fill in, then the gradient multiplies back.
// `mountStepper(root, {svg, steps, …})` builds everything inside `root`; it needs nothing else.
// Every text arrives by textContent, and the SVG is rebuilt from the tags and attributes below.

const SVG = "http://www.w3.org/2000/svg";
const TAGS = new Set(
  "svg g path polygon polyline ellipse circle rect line text title desc".split(" "),
);
const NUMBERS = /^[-+0-9.,eE\s]*$/;
const WORDS = /^[\w\s,.:#-]*$/;
const ATTRIBUTES = {
  d: /^[-+0-9.,eE\sMmLlHhVvCcSsQqTtAaZz]*$/,
  transform: /^((scale|rotate|translate)\([-+0-9.,eE\s]*\)\s*)*$/,
};
for (const name of "x y x1 y1 x2 y2 cx cy r rx ry points viewBox font-size stroke-width".split(" "))
  ATTRIBUTES[name] = NUMBERS;
for (const name of "stroke-dasharray fill-opacity stroke-opacity".split(" "))
  ATTRIBUTES[name] = NUMBERS;
for (const name of "id class fill stroke text-anchor font-family font-weight font-style".split(" "))
  ATTRIBUTES[name] = WORDS;
for (const name of ["role", "aria-labelledby"]) ATTRIBUTES[name] = WORDS;

const PLAY_EVERY = 1100; // milliseconds
const STATES = ["now", "done", "ahead", "dim"].map((state) => `mrs-${state}`);

function safeSvg(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (parsed.localName !== "svg") throw new Error("the picture is no SVG");
  const svg = rebuilt(parsed);
  const [, , width] = svg.getAttribute("viewBox").split(/[\s,]+/);
  svg.style.maxWidth = `${(width * 4) / 3}px`; // a point is 4/3 pixels
  return svg;
}

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

function element(tag, name, attributes = {}, ...children) {
  const made = document.createElement(tag);
  made.className = `mrs-${name}`;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A number as people type it: 0,27 · −0.27 · 1/4 · 3·10^-4; NaN for anything else. */
function typed(text) {
  const ascii = text.trim().replace(/[−–]/g, "-").replace(",", ".");
  const plain = ascii.replace(/\s*[·*x×]\s*10\^?/, "e");
  const [above, below = "1", ...more] = plain.split("/");
  const whole = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
  return !more.length && whole.test(above) && whole.test(below) ? above / below : NaN;
}

function isRight(answer, value) {
  const off = Math.abs(answer - value);
  return off <= 0.05 * Math.abs(value) || off <= 0.005 + 1e-12;
}

class Stepper {
  constructor(root, data, { start = 0, keys = root, onStep = () => {} } = {}) {
    Object.assign(this, { root, data, onStep, at: -1, timer: null, right: 0, asked: 0 });
    this.build();
    this.shapes = this.found([...data.parts.nodes, ...data.parts.edges]);
    this.texts = this.found([...data.parts.labels, ...data.parts.bars]);
    this.blanks = this.readBlanks();
    this.lit = { forward: new Set(), backward: new Set() };
    for (const step of data.steps) step.now.forEach((id) => this.lit[step.phase].add(id));
    keys.addEventListener("keydown", (event) => this.onKey(event));
    this.go(start);
  }

  // ------------------------------------------------------------------ what there is

  build() {
    this.picture = element("div", "picture", {}, safeSvg(this.data.svg));
    this.says = element("p", "says", { "aria-live": "polite", role: "status" });
    this.verdict = element("p", "verdict", { "aria-live": "polite", role: "status" });
    this.chips = element("div", "chips", { role: "list", "aria-label": "factors so far" });
    this.total = element("strong", "total");
    this.fill = element("div", "fill");
    this.meter = element("div", "meter", { role: "img" }, this.fill);
    this.scale = element("span", "scale");
    this.result = element("div", "result", {}, this.chips, this.total, this.meter, this.scale);
    this.root.classList.add("mrs", this.data.theme === "dark" ? "mrs-dark" : "mrs-light");
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", `Stepper: ${this.data.title}`);
    this.root.replaceChildren(
      this.toolbar(), this.picture, this.says, this.question(), this.verdict, this.result,
    );
  }

  toolbar() {
    const button = (text, label, act) => {
      const named = { type: "button", "aria-label": label, title: label };
      const made = element("button", "button", named, text);
      made.addEventListener("click", act);
      return made;
    };
    const last = this.data.steps.length - 1;
    this.play = button("▶▶", "play", () => this.toggle());
    const range = { type: "range", min: 0, max: last, "aria-label": "step" };
    this.slider = element("input", "slider", range);
    this.slider.addEventListener("input", () => this.stop().go(Number(this.slider.value)));
    this.predict = element("input", "predict", { type: "checkbox" });
    this.predict.addEventListener("change", () => this.close());
    this.count = element("span", "count");
    return element(
      "div", "toolbar", { role: "toolbar", "aria-label": "steps" },
      button("|◀", "first step (Home)", () => this.stop().go(0)),
      button("◀", "one step back (←)", () => this.stop().go(this.at - 1)),
      this.play,
      button("▶", "one step on (→)", () => this.stop().next()),
      button("▶|", "last step (End)", () => this.stop().go(last)),
      this.slider, this.count,
      element("label", "switch", {}, this.predict, "predict"),
    );
  }

  question() {
    this.prompt = element("label", "prompt");
    const plain = { type: "text", inputmode: "decimal", autocomplete: "off" };
    this.answer = element("input", "answer", plain);
    const check = element("button", "button", {}, "check");
    this.form = element("form", "form", {}, this.prompt, check);
    this.form.hidden = true;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.judge();
    });
    return this.form;
  }

  found(ids) {
    const pairs = ids.map((id) => [id, this.picture.querySelector(`#${CSS.escape(id)}`)]);
    return new Map(pairs.filter(([, shape]) => shape));
  }

  /** The text lines of each node that is computed: as they are, and with ? for the value. */
  readBlanks() {
    return Object.entries(this.data.blanks).flatMap(([id, blank]) => {
      const lines = [...(this.shapes.get(id)?.querySelectorAll("text") ?? [])];
      if (lines.length !== blank.length) return [];
      return [{ id, lines, blank, full: lines.map((line) => line.textContent) }];
    });
  }

  // ------------------------------------------------------------------ moving

  go(k) {
    const at = Math.max(0, Math.min(this.data.steps.length - 1, Math.round(k) || 0));
    this.close();
    if (at === this.at) return this;
    this.at = at;
    this.paint();
    this.onStep(at);
    return this;
  }

  next() {
    const ask = this.data.steps[this.at + 1]?.ask;
    if (!ask || !this.predict.checked) return this.go(this.at + 1);
    if (!this.form.hidden) return this.answer.focus();
    this.prompt.replaceChildren(ask.prompt, " ", this.answer);
    this.answer.value = this.verdict.textContent = "";
    this.form.hidden = false;
    this.answer.focus();
    return this.stop();
  }

  /** Say whether the answer was right, then show the step; an empty answer only shows it. */
  judge() {
    const { ask } = this.data.steps[this.at + 1];
    const text = this.answer.value.trim();
    const answer = typed(text);
    if (text && Number.isNaN(answer)) {
      this.opine("Type a number such as 0.25, or nothing to see it.", false);
      return;
    }
    const right = isRight(answer, ask.value);
    this.asked += 1;
    this.right += right ? 1 : 0;
    this.go(this.at + 1);
    const opinion = right ? "Right" : text ? `Not quite, you typed ${text}` : "Shown";
    this.opine(`${opinion}: it is ${ask.shown}. ${this.right} of ${this.asked} right.`, right);
    this.slider.focus();
  }

  opine(text, right) {
    this.verdict.textContent = text;
    this.verdict.classList.toggle("mrs-right", right);
  }

  close() {
    this.form.hidden = true;
    this.verdict.textContent = "";
  }

  toggle() {
    if (this.timer) return this.stop();
    if (this.at === this.data.steps.length - 1) this.go(0);
    this.timer = setInterval(() => {
      if (this.at === this.data.steps.length - 1) this.stop();
      else this.next();
    }, PLAY_EVERY);
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
    if (key === " " && target.matches?.("button, input[type=checkbox]")) return; // presses it
    const act = {
      ArrowRight: () => this.stop().next(),
      ArrowUp: () => this.stop().next(),
      ArrowLeft: () => this.stop().go(this.at - 1),
      ArrowDown: () => this.stop().go(this.at - 1),
      Home: () => this.stop().go(0),
      End: () => this.stop().go(this.data.steps.length - 1),
      " ": () => this.toggle(),
      Escape: () => this.close(),
    }[key];
    if (!act) return;
    event.preventDefault(); // or the slider would move once more, and the page scroll
    act();
  }

  // ------------------------------------------------------------------ showing

  paint() {
    const step = this.data.steps[this.at];
    const past = this.data.steps.slice(0, this.at + 1).filter(({ phase }) => phase === step.phase);
    const done = new Set(past.flatMap(({ now }) => now));
    const told = new Set(past.flatMap(({ tells }) => tells));
    this.picture.classList.toggle("mrs-backward", step.phase === "backward");
    for (const [id, shape] of this.shapes) {
      shape.classList.remove(...STATES);
      const state = this.stateOf(id, step, done);
      if (state) shape.classList.add(`mrs-${state}`);
    }
    for (const [id, text] of this.texts) text.classList.toggle("mrs-hidden", !told.has(id));
    for (const { id, lines, blank, full } of this.blanks) {
      const empty = step.phase === "forward" && !done.has(id);
      lines.forEach((line, i) => { line.textContent = (empty ? blank : full)[i]; });
    }
    this.tell(step, past);
  }

  stateOf(id, step, done) {
    if (step.now.includes(id)) return "now";
    if (done.has(id)) return "done";
    if (this.lit[step.phase].has(id)) return "ahead";
    return step.phase === "backward" ? "dim" : "";
  }

  tell(step, past) {
    this.says.textContent = step.says;
    this.count.textContent = `${step.phase} ${this.at}/${this.data.steps.length - 1}`;
    this.slider.value = this.at;
    this.slider.setAttribute("aria-valuetext", `${this.count.textContent}: ${step.says}`);
    const kept = past.slice(past.findLastIndex(({ fresh }) => fresh));
    const chips = kept.flatMap(({ chips, sign }) => chips.map((chip) => this.chip(chip, sign)));
    this.chips.replaceChildren(...chips);
    this.result.classList.toggle("mrs-hidden", step.phase === "forward");
    this.total.textContent = step.total;
    this.result.scrollTop = this.result.scrollHeight;
    this.fill.style.width = `${100 * step.level}%`;
    this.scale.textContent = `log scale ${this.data.scale}`;
    const size = `size of ${step.total} on a log scale, ${this.data.scale}`;
    this.meter.setAttribute("aria-label", size);
  }

  chip({ text, bound, kind }, sign) {
    const [fill, line, ink] = this.data.looks[kind];
    const made = element("span", "chip", { role: "listitem" }, element("b", "text", {}, text));
    if (bound) made.append(element("small", "bound", {}, bound));
    Object.assign(made.style, { background: fill, borderColor: line, color: ink });
    made.dataset.sign = sign;
    return made;
  }
}

function mountStepper(root, data, options) {
  return new Stepper(root, data, options);
}
