// A line chart draws what was measured: a gap stays a gap, and every value can be read as text.
import { draw, make, showNumber, toNumber, unique, visible, words, pane } from "./dom.js";

const DASHES = { solid: "", dashed: "8 5", dotted: "2 5" };
const LARGEST = 1e300;
const COLOURS = 6;

export function roundTicks(low, high, count, whole) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(count - 1, 1);
  const power = Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].find((size) => size * 10 ** power >= rough * 0.999) * 10 ** power;
  if (whole) step = Math.max(1, Math.round(step));
  const ticks = [];
  const last = Math.floor(high / step + 1e-9);
  for (let index = Math.ceil(low / step - 1e-9); index <= last; index += 1) {
    ticks.push(Number((index * step).toPrecision(12)));
  }
  return ticks.length ? ticks : [low];
}

function tickNames(ticks) {
  const short = ticks.map(showNumber);
  if (new Set(short).size === short.length) return short;
  return ticks.map((tick) => String(Number(tick.toPrecision(12))));
}

function extent(values) {
  if (!values.length) return [0, 1];
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low < high) return [low, high];
  const room = Math.abs(low) * 0.5 || 1;
  return [low - room, high + room];
}

function marker(kind, x, y) {
  const size = 4;
  const shapes = [
    () => draw("circle", { cx: x, cy: y, r: size }),
    () => draw("rect", { x: x - size + 0.5, y: y - size + 0.5, width: 7, height: 7 }),
    () => draw("path", { d: `M${x} ${y - 5}l5 9h-10z` }),
    () => draw("path", { d: `M${x} ${y - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5z` }),
  ];
  const shape = shapes[kind % shapes.length]();
  shape.setAttribute("class", "dot");
  return shape;
}

function sample(line, index) {
  return draw(
    "svg",
    { class: `sample line-${index % COLOURS}`, width: 40, height: 14, "aria-hidden": "true" },
    draw("path", { class: "curve", d: "M2 7H38", "stroke-dasharray": DASHES[line.style] || null }),
    marker(index, 20, 7),
  );
}

function path(points) {
  let d = "";
  let pen = false;
  for (const point of points) {
    if (point.finite) d += `${pen ? "L" : "M"}${point.px.toFixed(1)} ${point.py.toFixed(1)}`;
    pen = point.finite;
  }
  return d;
}

function valueTable(block, xs, lines) {
  const limit = 1000;
  const head = make("tr", {}, make("th", { scope: "col" }, block.x_label));
  lines.forEach((line) => head.append(make("th", { scope: "col" }, line.label)));
  const body = make("tbody");
  xs.slice(0, limit).forEach((x, index) => {
    const row = make("tr", {}, make("th", { scope: "row" }, showNumber(x)));
    lines.forEach((line) =>
      row.append(make("td", { class: "number" }, showNumber(line.ys[index]))),
    );
    body.append(row);
  });
  const left = xs.length - limit;
  return [
    pane(`${block.title}, as a table`, make("table", {}, make("thead", {}, head), body)),
    left > 0 && make("p", { class: "muted" }, `${left} more rows are in the JSON export.`),
  ];
}

export function chart(block) {
  const xs = block.x.map(toNumber);
  const lines = block.lines.map((line) => ({ ...line, ys: line.values.map(toNumber) }));
  const figure = make("figure", { class: "chart" });
  const title = unique("chart");
  const caption = make("figcaption", { id: title }, ...words(block.title));
  const plot = make("div", {
    class: "plot",
    role: "slider",
    tabindex: 0,
    "aria-labelledby": title,
    "aria-orientation": "horizontal",
    "aria-valuemin": 0,
    "aria-valuemax": Math.max(xs.length - 1, 0),
  });
  const where = make("span", { class: "where" });
  const readings = lines.map(() => make("span", { class: "reading" }));
  const legend = make("ul", { class: "legend" }, make("li", {}, where));
  lines.forEach((line, index) => {
    legend.append(
      make("li", {}, sample(line, index), make("span", {}, line.label), readings[index]),
    );
  });
  const details = make("details", { class: "data" }, make("summary", {}, "The values as a table"));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1)
      details.append(...valueTable(block, xs, lines).filter(Boolean));
  });
  figure.append(caption, legend, plot, details);

  let cursor = Math.max(xs.length - 1, 0);
  let frame = null;
  const point = (index) => {
    if (!xs.length) return;
    cursor = Math.max(0, Math.min(xs.length - 1, index));
    where.textContent = visible(`${block.x_label} ${showNumber(xs[cursor])}`);
    const said = lines.map((line, number) => {
      const value = showNumber(line.ys[cursor]);
      readings[number].textContent = value;
      return `${line.label} ${value}`;
    });
    plot.setAttribute("aria-valuenow", cursor);
    plot.setAttribute("aria-valuetext", `${where.textContent}: ${said.join(", ")}`);
    frame?.move(cursor);
  };
  plot.addEventListener("keydown", (event) => {
    const steps = {
      ArrowLeft: -1,
      ArrowDown: -1,
      ArrowRight: 1,
      ArrowUp: 1,
      Home: -Infinity,
      End: Infinity,
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    point(cursor + steps[event.key]);
  });
  plot.addEventListener("pointermove", (event) => frame && point(frame.nearest(event.clientX)));
  let width = 0;
  const redraw = () => {
    const room = Math.round(plot.clientWidth);
    if (!room || room === width) return;
    width = room;
    frame = sketch(block, xs, lines, plot, width);
    point(cursor);
  };
  new ResizeObserver(redraw).observe(plot);
  point(cursor);
  return figure;
}

function sketch(block, xs, lines, plot, width) {
  const height = Math.round(Math.min(320, Math.max(200, width * 0.42)));
  const finite = lines.flatMap((line) => line.ys.filter((y) => Math.abs(y ?? NaN) <= LARGEST));
  const places = xs.filter(Number.isFinite);
  if (!finite.length || !places.length) {
    plot.replaceChildren(
      make("p", { class: "muted" }, "Nothing to draw: no finite value was measured."),
    );
    return null;
  }
  let [low, high] = extent(finite);
  const ticks = roundTicks(low, high, 5);
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 0;
  if (step && low < ticks[0] - step * 1e-9)
    ticks.unshift(Number((ticks[0] - step).toPrecision(12)));
  if (step && high > ticks.at(-1) + step * 1e-9)
    ticks.push(Number((ticks.at(-1) + step).toPrecision(12)));
  low = Math.min(low, ticks[0]);
  high = Math.max(high, ticks.at(-1));
  const names = tickNames(ticks);
  const margin = {
    left: 14 + 8 * Math.max(...names.map((name) => name.length)),
    right: 14,
    top: 28,
    bottom: 46,
  };
  const [first, last] = extent(places);
  const across = (x) =>
    margin.left + ((x - first) / (last - first)) * (width - margin.left - margin.right);
  const down = (y) =>
    height -
    margin.bottom -
    ((Math.min(Math.max(y, low), high) - low) / (high - low)) *
      (height - margin.top - margin.bottom);
  const svg = draw("svg", {
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    "aria-hidden": "true",
  });
  ticks.forEach((tick, index) => {
    const y = down(tick);
    svg.append(
      draw("line", { class: "grid", x1: margin.left, x2: width - margin.right, y1: y, y2: y }),
    );
    svg.append(draw("text", { x: margin.left - 8, y: y + 4, "text-anchor": "end" }, names[index]));
  });
  const floor = height - margin.bottom;
  svg.append(
    draw("line", {
      class: "axis",
      x1: margin.left,
      x2: width - margin.right,
      y1: floor,
      y2: floor,
    }),
  );
  const whole = places.every(Number.isInteger);
  const widest = Math.max(
    showNumber(places[0]).length,
    showNumber(places.at(-1)).length,
    whole ? 1 : 4,
  );
  const single = new Set(places).size === 1;
  const count = Math.max(2, Math.floor((width - margin.left) / (widest * 8 + 28)));
  const marks = single ? [places[0]] : roundTicks(first, last, count, whole);
  tickNames(marks).forEach((name, index) => {
    const x = across(marks[index]);
    svg.append(draw("line", { class: "axis", x1: x, x2: x, y1: floor, y2: floor + 5 }));
    svg.append(draw("text", { x, y: floor + 20, "text-anchor": "middle" }, name));
  });
  svg.append(draw("text", { class: "name", x: 2, y: 14 }, block.y_label));
  svg.append(
    draw(
      "text",
      { class: "name", x: width - margin.right, y: height - 6, "text-anchor": "end" },
      block.x_label,
    ),
  );
  const rule = draw("line", { class: "rule", y1: margin.top, y2: floor });
  svg.append(rule);
  const focus = draw("g", { class: "focus" });
  const plotted = lines.map((line, number) => {
    const points = xs.map((x, index) => {
      const y = line.ys[index] ?? NaN;
      const shown = Number.isFinite(x) && !Number.isNaN(y);
      return {
        px: across(x),
        py: shown ? down(y) : 0,
        shown,
        finite: shown && Math.abs(y) <= LARGEST,
      };
    });
    const group = draw("g", { class: `line-${number % COLOURS}` });
    group.append(
      draw("path", {
        class: "curve",
        d: path(points),
        "stroke-dasharray": DASHES[line.style] || null,
      }),
    );
    const every = Math.max(1, Math.ceil(points.length / (width / 28)));
    points.forEach((at, index) => {
      if (at.shown && !at.finite)
        group.append(draw("text", { x: at.px, y: at.py, "text-anchor": "middle" }, "∞"));
      else if (at.finite && index % every === 0) group.append(marker(number, at.px, at.py));
    });
    svg.append(group);
    return points;
  });
  svg.append(focus);
  plot.replaceChildren(svg);
  return {
    move(index) {
      rule.setAttribute("x1", across(xs[index]));
      rule.setAttribute("x2", across(xs[index]));
      const rings = plotted
        .map((points, number) => [points[index], number])
        .filter(([at]) => at.finite);
      focus.replaceChildren(
        ...rings.map(([at, number]) =>
          draw("circle", { class: `ring line-${number % COLOURS}`, cx: at.px, cy: at.py, r: 8 }),
        ),
      );
    },
    nearest(clientX) {
      const x = clientX - plot.getBoundingClientRect().left;
      let best = 0;
      xs.forEach((value, index) => {
        if (Math.abs(across(value) - x) < Math.abs(across(xs[best]) - x)) best = index;
      });
      return best;
    },
  };
}
