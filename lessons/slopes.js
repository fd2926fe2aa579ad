// Two curves with the tangent at x, and both slopes as bars on one scale, each under its ceiling.
const NS = "http://www.w3.org/2000/svg";
const { x, curves } = JSON.parse(document.getElementById("data").textContent);
const W = 400, H = 244, LEFT = 34, RIGHT = 390, TOP = 20, BOTTOM = 208; // of a curve's panel
const NARROW = 200, BAR = 44; // of the bars' panel, and of one bar
const SLOPE = "#e69f00";

function add(parent, tag, attributes, text) {
  const made = parent.appendChild(document.createElementNS(NS, tag));
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const minus = (number, digits) => number.toFixed(digits).replace("-", "−");
const across = (value) => LEFT + (RIGHT - LEFT) * (value - x[0]) / (x[x.length - 1] - x[0]);

function panel(curve, parent) {
  const [low, high] = curve.span;
  const up = (value) => BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low);
  const box = parent.appendChild(document.createElement("div"));
  const svg = add(box, "svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${curve.name} and its slope` });
  for (const edge of [low, high]) {
    add(svg, "line", { x1: LEFT, x2: RIGHT, y1: up(edge), y2: up(edge), stroke: "#ccc" });
    add(svg, "text", { x: LEFT - 6, y: up(edge) + 5, "text-anchor": "end" }, minus(edge, 0));
  }
  add(svg, "line", { x1: across(0), x2: across(0), y1: TOP, y2: BOTTOM, stroke: "#ccc" });
  for (const tick of [x[0], 0, x[x.length - 1]])
    add(svg, "text", { x: across(tick), y: BOTTOM + 18, "text-anchor": "middle" }, minus(tick, 0));
  const points = x.map((at, k) => `${across(at).toFixed(1)},${up(curve.values[k]).toFixed(1)}`);
  add(svg, "polyline", { points: points.join(" "), fill: "none", stroke: curve.colour, "stroke-width": 2.5 });
  const tangent = add(svg, "line", { stroke: SLOPE, "stroke-width": 3, "stroke-linecap": "round" });
  const dot = add(svg, "circle", { r: 6, fill: curve.colour, stroke: "#fff", "stroke-width": 2 });
  const says = box.appendChild(document.createElement("p"));
  says.className = "says";
  return (k) => {
    const value = curve.values[k], slope = curve.slopes[k], half = 0.9; // of the tangent, in x
    // On the page the tangent keeps one length, so that a steep one does not leave the field.
    const run = across(half) - across(0), rise = slope * (up(0) - up(half));
    const shrink = run / Math.hypot(run, rise);
    const cx = across(x[k]), cy = up(value);
    tangent.setAttribute("x1", cx - run * shrink * 1.6);
    tangent.setAttribute("x2", cx + run * shrink * 1.6);
    tangent.setAttribute("y1", cy + rise * shrink * 1.6);
    tangent.setAttribute("y2", cy - rise * shrink * 1.6);
    dot.setAttribute("cx", cx);
    dot.setAttribute("cy", cy);
    says.textContent = `${curve.name}(x) = ${minus(value, 4)}`;
  };
}

function bars(parent) {
  const box = parent.appendChild(document.createElement("div"));
  const svg = add(box, "svg", { viewBox: `0 0 ${NARROW} ${H}`, role: "img", "aria-label": "both slopes" });
  const made = curves.map((curve, k) => {
    const middle = 50 + 92 * k, left = middle - BAR / 2, top = BOTTOM - (BOTTOM - TOP) * curve.ceiling;
    add(svg, "rect", { x: left, y: top, width: BAR, height: BOTTOM - top, fill: "#f2f2f2" });
    const bar = add(svg, "rect", { x: left, width: BAR, fill: SLOPE });
    add(svg, "line", { x1: left - 8, x2: left + BAR + 8, y1: top, y2: top, stroke: "#c00000", "stroke-width": 2 });
    add(svg, "text", { x: middle, y: top - 7, "text-anchor": "middle" }, `at most ${curve.said}`);
    add(svg, "text", { x: middle, y: BOTTOM + 17, "text-anchor": "middle" }, `${curve.name}′`);
    return { bar, says: add(svg, "text", { x: middle, y: BOTTOM + 33, "text-anchor": "middle", class: "number" }) };
  });
  return (k) => {
    made.forEach(({ bar, says }, which) => {
      const slope = curves[which].slopes[k], height = (BOTTOM - TOP) * slope;
      bar.setAttribute("y", BOTTOM - height);
      bar.setAttribute("height", height);
      says.textContent = minus(slope, 4);
    });
  };
}

const root = document.getElementById("slopes");
const label = root.appendChild(document.createElement("label"));
label.append("x");
const slider = label.appendChild(document.createElement("input"));
Object.assign(slider, { type: "range", min: 0, max: x.length - 1, step: 1, value: 150 });
slider.setAttribute("aria-label", "x");
const shown = label.appendChild(document.createElement("output"));
const panels = root.appendChild(document.createElement("div"));
panels.className = "panels";
const shows = [...curves.map((curve) => panel(curve, panels)), bars(panels)];

function show() {
  const k = Number(slider.value);
  shown.textContent = `x = ${minus(x[k], 2)}`;
  shows.forEach((draw) => draw(k));
}
slider.addEventListener("input", show);
show();
