// Histograms move with one common moment; each keeps its axis, so that what moves is the data.
import { draw, make, showNumber, tableBelow, unique, visible, words } from "./dom.js";

const WIDTH = 220;
const HEIGHT = 64;

function extentOf(panel) {
  const known = panel.histograms.filter(Boolean);
  const low = Math.min(...known.map((each) => Number(each.low)));
  const high = Math.max(...known.map((each) => Number(each.high)));
  // One value alone stands in the middle.
  return high > low ? { low, high } : { low: low - 0.5, high: high + 0.5 };
}

function outline(histogram, extent) {
  const { counts } = histogram;
  const across = (value) => ((value - extent.low) / (extent.high - extent.low)) * WIDTH;
  const [first, last] = [across(histogram.low), across(histogram.high)];
  // What has no width would not be seen.
  const width = Math.max(last - first, 3);
  const start = Math.min(first, WIDTH - width);
  const most = Math.max(...counts, 1);
  const bars = counts.map((count, index) => {
    const y = HEIGHT - (count / most) * (HEIGHT - 4);
    return `V${y.toFixed(1)}H${(start + (width * (index + 1)) / counts.length).toFixed(1)}`;
  });
  return `M${start.toFixed(1)} ${HEIGHT}${bars.join("")}V${HEIGHT}Z`;
}

function mean({ low, high, counts }) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const place = counts.reduce((sum, count, at) => sum + count * (at + 0.5), 0) / total;
  return total ? low + ((high - low) / counts.length) * place : NaN;
}

function tableOf(block) {
  const written = (each) =>
    each
      ? `${showNumber(each.low)} to ${showNumber(each.high)}, mean ${showNumber(mean(each))}`
      : "not measured";
  return {
    heads: [
      "distribution",
      ...block.moments.map((moment) => `${block.x_label} ${showNumber(moment)}`),
    ],
    rows: block.panels.map((panel) => [panel.label, ...panel.histograms.map(written)]),
    note: "Each mean is that of the bins' middles, computed here.",
  };
}

export function distributions(block, context) {
  const last = block.moments.length - 1;
  const id = unique("moment");
  const said = make("output", { for: id });
  const slider = make("input", { id, type: "range", min: 0, max: last, step: 1 });
  const panels = block.panels.map((panel) => {
    const curve = draw("path.mass");
    const extent = extentOf(panel);
    const at = (-extent.low / (extent.high - extent.low)) * WIDTH;
    const inside = extent.low < 0 && extent.high > 0;
    const zero = inside && draw("line.rule", { x1: at, x2: at, y1: 0, y2: HEIGHT });
    const range = make("p.small");
    const picture = draw(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", preserveAspectRatio: "none" },
      zero,
      curve,
    );
    const element = make(
      "li",
      make("p.label", ...words(panel.label)),
      picture,
      make("p.ends", showNumber(extent.low), make("span", showNumber(extent.high))),
      range,
      panel.note && make("p.note", ...words(panel.note)),
    );
    return { panel, extent, curve, range, element };
  });
  const show = (index) => {
    const at = Math.max(0, Math.min(last, index));
    context.memory.at = at;
    slider.value = at;
    const moment = visible(`${block.x_label} ${showNumber(block.moments[at])}`);
    said.textContent = moment;
    slider.setAttribute("aria-valuetext", moment);
    for (const { panel, extent, curve, range } of panels) {
      const histogram = panel.histograms[at];
      curve.setAttribute("d", histogram ? outline(histogram, extent) : "");
      range.textContent = histogram
        ? `from ${showNumber(histogram.low)} to ${showNumber(histogram.high)}`
        : "not measured here";
    }
  };
  slider.addEventListener("input", () => {
    show(Number(slider.value));
    context.keep("at", Number(slider.value) === last ? "" : slider.value);
  });
  context.restore = () => show(Number(context.state.at ?? last));
  const root = make(
    "figure.distributions",
    make("figcaption", ...words(block.title)),
    make("div.tools", make("label", { for: id }, ...words(block.x_label)), slider, said),
    make("ul.panels", ...panels.map((each) => each.element)),
    tableBelow("The ranges as a table", block.title, () => tableOf(block)),
  );
  // A reader who has not chosen a moment sees the last, also when it is a new one.
  show(context.state.at === undefined ? last : Number(context.state.at));
  return root;
}
