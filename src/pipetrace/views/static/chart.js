// A line chart draws what was measured: a gap stays a gap, and every value can be read as text.
import { draw, make, showNumber, sign, SIGNS, tableBelow } from "./dom.js";
import { toNumber, unique, visible, words } from "./dom.js";

const DASHES = { solid: null, dashed: "8 5", dotted: "2 5" };
const SMOOTH = { off: 0, some: 0.6, much: 0.9 };
const MARKS = [
  "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
  "M-3.5-3.5h7v7h-7z",
  "M0-5l5 9h-10z",
  "M0-5.5l5.5 5.5-5.5 5.5-5.5-5.5z",
];
const LARGEST = 1e300;
const COLOURS = 6;
const FEW = 12;

function roundTicks(low, high, count, whole) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(count - 1, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].find((size) => size * power >= rough * 0.999) * power;
  if (whole) step = Math.max(1, Math.round(step));
  const first = Math.ceil(low / step - 1e-9);
  const length = Math.floor(high / step + 1e-9) - first + 1;
  const ticks = Array.from({ length }, (_, at) => Number(((first + at) * step).toPrecision(12)));
  return ticks.length ? ticks : [low];
}

function decades(low, high) {
  const powers = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
    powers.push(power);
  const each = powers.length > 8 ? [1] : powers.length > 3 ? [1, 3] : [1, 2, 5];
  const ticks = powers.flatMap((power) => each.map((size) => Number(`${size}e${power}`)));
  const inside = ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  return inside.length > 1 ? inside : [low, high];
}

function tickNames(ticks) {
  const short = ticks.map(showNumber);
  if (new Set(short).size === short.length) return short;
  return ticks.map((tick) => String(Number(tick.toPrecision(12))));
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low < high) return [low, high];
  const room = Math.abs(low) * 0.5 || 1;
  return [low - room, high + room];
}

// The exponential moving average without the bias of its beginning.
function smoothed(values, weight) {
  let [sum, share] = [0, 0];
  return values.map((value) => {
    if (!weight || value === null || !Number.isFinite(value)) return value;
    [sum, share] = [sum * weight + value * (1 - weight), share * weight + 1 - weight];
    return sum / share;
  });
}

function marker(kind, x, y) {
  const around = { class: "dot", transform: `translate(${x} ${y})` };
  return draw("path", { ...around, d: MARKS[kind % MARKS.length] });
}

function sample(line, index) {
  const around = { class: `sample line-${index % COLOURS}`, width: 40, height: 14 };
  const curve = { class: "curve", d: "M2 7H38", "stroke-dasharray": DASHES[line.style] };
  return draw("svg", { ...around, "aria-hidden": true }, draw("path", curve), marker(index, 20, 7));
}

function path(points) {
  let [d, pen] = ["", false];
  for (const point of points) {
    if (point.finite) d += `${pen ? "L" : "M"}${point.px.toFixed(1)} ${point.py.toFixed(1)}`;
    pen = point.finite;
  }
  return d;
}

export function chart(block, context) {
  const xs = block.x.map(toNumber);
  const lines = block.lines.map((line) => ({ ...line, ys: line.values.map(toNumber) }));
  const known = (y) => Math.abs(y ?? NaN) <= LARGEST;
  const finite = lines.flatMap((line) => line.ys.filter(known));
  const view = { log: false, smooth: "off" };
  const title = unique("chart");
  const named = { class: "plot", role: "slider", tabindex: 0, "aria-labelledby": title };
  const ends = { "aria-valuemin": 0, "aria-valuemax": Math.max(xs.length - 1, 0) };
  const plot = make("div", { ...named, ...ends, "aria-orientation": "horizontal" });
  const where = make("span.where");
  const readings = lines.map(() => make("span.reading"));
  const legend = make("ul.legend", make("li", where));
  lines.forEach((line, at) => {
    legend.append(make("li", sample(line, at), make("span", line.label), readings[at]));
  });
  const pinned = make("ul.pinned");
  const details = tableBelow("The values as a table", block.title, () => ({
    heads: [block.x_label, ...lines.map((line) => line.label)],
    rows: xs.map((x, index) => [x, ...lines.map((line) => line.ys[index])].map(showNumber)),
  }));
  const toggle = { type: "button", onclick: () => change("log", !view.log) };
  const log = make("button", toggle, "Log scale");
  const choices = Object.keys(SMOOTH).map((name) => make("option", { value: name }, name));
  const smooth = make("select", { onchange: () => change("smooth", smooth.value) }, ...choices);
  const tools = make("div.tools");
  if (finite.length > 1 && finite.every((y) => y > 0)) tools.append(log);
  if (xs.length > FEW) tools.append(make("label", "Smoothing ", smooth));

  let [cursor, frame, width] = [0, null, 0];
  const pinsAt = (index) => (block.pins ?? []).filter((pin) => Number(pin.x) === xs[index]);
  const point = (index) => {
    if (!xs.length) return;
    cursor = Math.max(0, Math.min(xs.length - 1, index));
    where.textContent = visible(`${block.x_label} ${showNumber(xs[cursor])}`);
    const said = lines.map((line, number) => {
      readings[number].textContent = showNumber(line.ys[cursor]);
      return `${line.label} ${readings[number].textContent}`;
    });
    const pins = pinsAt(cursor);
    const told = pins.length ? [...said, ...pins.map((pin) => visible(pin.text))] : said;
    plot.setAttribute("aria-valuenow", cursor);
    plot.setAttribute("aria-valuetext", `${where.textContent}: ${told.join(", ")}`);
    const rule = (pin) => make("span.rule", ` ${pin.id ?? ""}`);
    const item = (pin) => make("li", sign(pin.tone), ...words(pin.text), rule(pin));
    pinned.replaceChildren(...pins.map(item));
    frame?.move(cursor);
  };
  // A reader who has not chosen a place sees the last, also when it is a new one.
  const settle = (index) => {
    point(index);
    context.keep("at", cursor === xs.length - 1 ? "" : String(cursor));
  };
  plot.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -1e9, End: 1e9 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    settle(cursor + steps[event.key]);
  });
  plot.addEventListener("pointermove", (event) => frame && point(frame.nearest(event.clientX)));
  plot.addEventListener("click", (event) => frame && settle(frame.nearest(event.clientX)));
  const redraw = () => {
    width = Math.round(plot.clientWidth);
    if (width) frame = sketch(block, xs, lines, plot, { ...view, width, pinsAt, finite });
    point(cursor);
  };
  const apply = () => {
    view.log = tools.contains(log) && context.state.log === "on";
    view.smooth = context.state.smooth in SMOOTH ? context.state.smooth : "off";
    log.setAttribute("aria-pressed", String(view.log));
    smooth.value = view.smooth;
    cursor = Number(context.state.at ?? xs.length - 1);
    redraw();
  };
  const change = (name, value) => {
    context.keep(name, { true: "on", false: "", off: "" }[value] ?? value);
    apply();
  };
  context.restore = apply;
  new ResizeObserver(() => Math.round(plot.clientWidth) !== width && redraw()).observe(plot);
  const caption = make("figcaption", { id: title }, ...words(block.title));
  const parts = [caption, tools.firstChild && tools, legend, plot, block.pins && pinned, details];
  const figure = make("figure.chart", ...parts);
  apply();
  return figure;
}

function sketch(block, xs, lines, plot, { log, smooth, width, pinsAt, finite }) {
  const height = Math.round(Math.min(320, Math.max(200, width * 0.42)));
  const places = xs.filter(Number.isFinite);
  if (!finite.length || !places.length) {
    const nothing = "Nothing to draw: no finite value was measured.";
    plot.replaceChildren(make("p.muted", nothing));
    return null;
  }
  let [low, high] = extent(finite);
  const ticks = log ? decades(low, high) : roundTicks(low, high, 5);
  const step = ticks.length > 1 && !log ? ticks[1] - ticks[0] : 0;
  const next = (tick, by) => Number((tick + by * step).toPrecision(12));
  if (step && low < ticks[0] - step * 1e-9) ticks.unshift(next(ticks[0], -1));
  if (step && high > ticks.at(-1) + step * 1e-9) ticks.push(next(ticks.at(-1), 1));
  [low, high] = [Math.min(low, ticks[0]), Math.max(high, ticks.at(-1))];
  const names = tickNames(ticks);
  const [left, right, top] = [14 + 8 * Math.max(...names.map((name) => name.length)), 14, 34];
  const [first, last] = extent(places);
  const floor = height - 46;
  const across = (x) => left + ((x - first) / (last - first)) * (width - left - right);
  const scale = log ? Math.log10 : (y) => y;
  const down = (y) => {
    const inside = scale(Math.min(Math.max(y, low), high));
    return floor - ((inside - scale(low)) / (scale(high) - scale(low))) * (floor - top);
  };
  const box = `0 0 ${width} ${height}`;
  const svg = draw("svg", { width, height, viewBox: box, "aria-hidden": true });
  const line = (kind, x1, y1, x2, y2) => svg.append(draw("line", { class: kind, x1, y1, x2, y2 }));
  const write = (text, x, y, anchor, kind) =>
    svg.append(draw("text", { x, y, class: kind, "text-anchor": anchor }, text));
  ticks.forEach((tick, index) => {
    line("grid", left, down(tick), width - right, down(tick));
    write(names[index], left - 8, down(tick) + 4, "end");
  });
  line("axis", left, floor, width - right, floor);
  const whole = places.every(Number.isInteger);
  const ends = [places[0], places.at(-1)].map((x) => showNumber(x).length);
  const wide = Math.max(...ends, whole ? 1 : 4) * 8 + 28;
  const count = Math.max(2, Math.floor((width - left) / wide));
  const marks = new Set(places).size === 1 ? [places[0]] : roundTicks(first, last, count, whole);
  tickNames(marks).forEach((name, index) => {
    line("axis", across(marks[index]), floor, across(marks[index]), floor + 5);
    write(name, across(marks[index]), floor + 20, "middle");
  });
  write(block.y_label + (log ? ", log scale" : ""), 2, 14, "start", "name");
  write(block.x_label, width - right, height - 6, "end", "name");
  const rule = draw("line.rule", { y1: top, y2: floor });
  const focus = draw("g.focus");
  svg.append(rule);
  const plotted = lines.map((each, number) => {
    const place = (y, index) => {
      const shown = Number.isFinite(xs[index]) && !Number.isNaN(y ?? NaN);
      const known = shown && Math.abs(y) <= LARGEST;
      return { px: across(xs[index]), py: shown ? down(y) : 0, shown, finite: known };
    };
    const points = smoothed(each.ys, SMOOTH[smooth]).map(place);
    const group = draw("g", { class: `line-${number % COLOURS}` });
    if (SMOOTH[smooth]) group.append(draw("path.curve.raw", { d: path(each.ys.map(place)) }));
    const dash = DASHES[each.style];
    group.append(draw("path.curve", { d: path(points), "stroke-dasharray": dash }));
    const every = Math.max(1, Math.ceil(points.length / (width / 28)));
    points.forEach((at, index) => {
      if (at.shown && !at.finite)
        group.append(draw("text", { x: at.px, y: at.py, "text-anchor": "middle" }, "∞"));
      else if (at.finite && index % every === 0) group.append(marker(number, at.px, at.py));
    });
    svg.append(group);
    return points;
  });
  xs.forEach((x, index) => {
    const [pin, ...more] = Number.isFinite(x) ? pinsAt(index) : [];
    const text = `${SIGNS[pin?.tone] ?? "•"}${more.length ? more.length + 1 : ""}`;
    if (pin) write(text, across(x), top - 6, "middle", `pin ${pin.tone ?? ""}`);
  });
  svg.append(focus);
  plot.replaceChildren(svg);
  const distance = (x, from) => Math.abs(across(x) - from);
  return {
    move(index) {
      rule.setAttribute("x1", across(xs[index]));
      rule.setAttribute("x2", across(xs[index]));
      const rings = plotted.map((points, number) => {
        const { px, py, finite: known } = points[index];
        const kind = `ring line-${number % COLOURS}`;
        return known && draw("circle", { class: kind, cx: px, cy: py, r: 8 });
      });
      focus.replaceChildren(...rings.filter(Boolean));
    },
    nearest(clientX) {
      const from = clientX - plot.getBoundingClientRect().left;
      const nearer = (best, x, at) => (distance(x, from) < distance(xs[best], from) ? at : best);
      return xs.reduce(nearer, 0);
    },
  };
}
