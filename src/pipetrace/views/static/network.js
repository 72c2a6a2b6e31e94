// Every unit and weight of a small network: a picture for the eye, a table for everything else.
import { draw, make, showNumber, tableBelow, toNumber, unique, visible, words } from "./dom.js";

const MOST_WIRES = 3000;
const SIDE = 120;

const sizeOf = (x) => Math.min(Math.abs(x) || 0, Number.MAX_VALUE);

function readColumn({ label, values, names, struck }) {
  const numbers = values.map(toNumber);
  return {
    label: visible(label),
    values: numbers,
    largest: numbers.reduce((most, x) => Math.max(most, sizeOf(x)), 1e-300),
    named: Boolean(names?.length),
    name: (unit) => visible(names?.[unit] || `unit ${unit}`),
    struck: (unit) => Boolean(struck?.[unit]),
  };
}

export function network(block, context) {
  const { memory } = context;
  const columns = block.columns.map(readColumn);
  const wires = block.wires.flatMap(({ source, target, weights }) =>
    columns[target].values.flatMap((_, to) => {
      const wire = (weight, from) => ({ source, from, target, to, weight: toNumber(weight) });
      return weights?.length ? weights[to].map(wire) : [wire(null, to)];
    }),
  );
  const strength = ({ weight }) => sizeOf(weight);
  wires.sort((one, other) => strength(other) - strength(one));
  const strongest = (wires.length && strength(wires[0])) || 1;
  const weights = wires.filter(({ weight }) => weight !== null);
  const most = Math.max(1, ...columns.map(({ values }) => values.length));
  const last = columns.length - 1;
  const id = unique("network");
  const root = make("div.network", make("h3", { id }, ...words(block.title)));
  const split = (key) => String(key).split(".").map(Number);
  const known = ([at, unit]) => columns[at]?.values[unit] !== undefined;
  const usual = `${last}.0`;
  if (!known(split(usual))) {
    root.append(make("p.muted", "No unit was recorded."));
    return root;
  }
  const box = { class: "scene", role: "listbox", tabindex: 0, "aria-labelledby": id };
  const scene = make("div", box);
  const said = make("p", { role: "status" });
  const pitch = Math.max(9, Math.min(26, 560 / most));
  const radius = Math.min(9, pitch * 0.4);
  const arm = Math.min(8, radius + 1);
  // Where units are close, wires are thin and pale: else they hide each other.
  const room = pitch / 26;
  const overlay = draw("g.chosen", { "aria-hidden": "true" });
  const options = new Map();
  let width = 640;

  const place = ([at, unit]) => {
    const gap = Math.max(110, (width - 2 * SIDE - 24) / Math.max(last, 1));
    const above = (most - columns[at].values.length) / 2;
    return [SIDE + at * gap, 48 + (above + unit + 0.5) * pitch];
  };
  const line = (wire) => {
    const share = strength(wire) / strongest;
    const plain = wire.weight === null;
    const ends = [
      [wire.source, wire.from],
      [wire.target, wire.to],
    ];
    const pale = ends.some(([at, unit]) => columns[at].struck(unit));
    return draw("path", {
      class: `wire ${plain ? "plain" : wire.weight < 0 ? "below" : ""}`,
      d: `M${ends.map(place).join("L")}`,
      "stroke-width": plain ? 1 : 0.4 + 3 * room * share,
      opacity: pale ? 0.12 : plain ? 0.6 : (0.15 + 0.85 * share) * room,
    });
  };
  const cross = (x, y) =>
    `M${x - arm} ${y - arm}l${2 * arm} ${2 * arm}m0 ${-2 * arm}l${-2 * arm} ${2 * arm}`;
  const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
  const glyph = (column, at, unit) => {
    const [x, y] = place([at, unit]);
    const value = column.values[unit];
    const size = radius * Math.sqrt(sizeOf(value) / column.largest);
    const square = `M${x - size} ${y - size}h${2 * size}v${2 * size}h${-2 * size}z`;
    const half = (by) => `a${size} ${size} 0 1 0 ${by} 0`;
    const disc = `M${x - size} ${y}${half(2 * size)}${half(-2 * size)}`;
    const off = column.struck(unit);
    const name = column.name(unit);
    const said = `${name} of ${column.label}, ${showNumber(value)}${off ? ", dropped" : ""}`;
    const key = `${at}.${unit}`;
    const option = draw(
      "g",
      { id: `${id}-${key}`, role: "option", "aria-label": said, "data-unit": key },
      draw("circle.unit", { cx: x, cy: y, r: radius }),
      draw("path", { class: value < 0 ? "amount below" : "amount", d: value < 0 ? square : disc }),
      off && draw("path", { class: "cross", d: cross(x, y) }),
    );
    const end = at === last;
    if (pitch >= 14 && (end || (column.named && !at))) {
      const where = { x: x + (end ? 14 : -14), y: y + 4, "text-anchor": end ? "start" : "end" };
      const text = end ? `${cut(name, 8)} ${showNumber(value)}` : cut(name, 14);
      option.append(draw("text", where, text));
    }
    options.set(key, option);
    return option;
  };
  const show = (key) => {
    const [at, unit] = split(key);
    const column = columns[at];
    const [cx, cy] = place([at, unit]);
    const into = wires.filter(({ target, to }) => target === at && to === unit);
    const ring = draw("circle.ring.line-0", { cx, cy, r: radius + 4 });
    overlay.replaceChildren(...into.map(line), ring);
    const parts = [`value ${showNumber(column.values[unit])}`];
    if (column.struck(unit)) parts.push("dropped");
    const bias = block.wires.find(({ target }) => target === at)?.bias?.[unit];
    if (bias !== undefined) parts.push(`bias ${showNumber(bias)}`);
    if (into.length) {
      const [{ source, from, weight }] = into;
      const { label, named, name } = columns[source];
      const giver = named ? name(from) : `${label} ${from}`;
      const count = `${into.length} incoming weight${into.length > 1 ? "s" : ""}, strongest from`;
      parts.push(
        weight === null ? `comes from ${giver}` : `${count} ${giver} (${showNumber(weight)})`,
      );
    }
    said.textContent = `${column.name(unit)} of ${column.label}: ${parts.join("; ")}`;
  };
  const choose = (key) => {
    options.get(memory.unit)?.setAttribute("aria-selected", "false");
    memory.unit = key;
    options.get(key).setAttribute("aria-selected", "true");
    scene.setAttribute("aria-activedescendant", `${id}-${key}`);
    show(key);
  };
  const go = (key) => {
    choose(key);
    const [x, y] = place(split(key));
    if (Math.abs(x - scene.scrollLeft - scene.clientWidth / 2) > scene.clientWidth / 2 - 30)
      scene.scrollLeft = x - scene.clientWidth / 2;
    if (Math.abs(y - scene.scrollTop - scene.clientHeight / 2) > scene.clientHeight / 2 - 30)
      scene.scrollTop = y - scene.clientHeight / 2;
    context.keep("unit", key === usual ? "" : key);
  };
  const sketch = () => {
    const units = columns.map((column, at) => {
      const middle = { x: place([at, 0])[0], y: 20 + (at % 2) * 16, "text-anchor": "middle" };
      const label = draw("text", middle, cut(column.label, 24));
      const all = column.values.map((_, unit) => glyph(column, at, unit));
      return draw("g", { role: "group", "aria-label": column.label }, label, ...all);
    });
    const size = { width: place([last, 0])[0] + SIDE + 24, height: 58 + most * pitch };
    const plain = wires.filter(({ weight }) => weight === null);
    const lines = [...plain, ...weights.slice(0, MOST_WIRES).reverse()].map(line);
    const behind = draw("g", { "aria-hidden": "true" }, ...lines);
    const picture = draw("svg", { role: "presentation", ...size }, behind, overlay, ...units);
    scene.replaceChildren(picture);
    choose(memory.unit);
  };
  scene.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const [at, unit] = split(memory.unit);
    const { length } = columns[at].values;
    const aside = (to) => [to, Math.floor(((unit + 0.5) / length) * columns[to]?.values.length)];
    const to = {
      ArrowUp: [at, unit - 1],
      ArrowDown: [at, unit + 1],
      ArrowLeft: aside(at - 1),
      ArrowRight: aside(at + 1),
      Home: [at, 0],
      End: [at, length - 1],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    if (known(to)) go(to.join("."));
  });
  const keyOf = (event) => event.target.closest("[data-unit]")?.dataset.unit;
  scene.addEventListener("click", (event) => keyOf(event) && go(keyOf(event)));
  scene.addEventListener("pointerover", (event) => show(keyOf(event) ?? memory.unit));
  scene.addEventListener("pointerleave", () => show(memory.unit));

  const note = (...children) => make("p.note", ...children);
  const unitRow = ({ label, values, name, struck }) =>
    values.map((x, unit) => [label, name(unit), showNumber(x), struck(unit) && "dropped"]);
  const wireRow = ({ source, from, target, to, weight }) => [
    `${columns[source].label}, ${columns[source].name(from)}`,
    `${columns[target].label}, ${columns[target].name(to)}`,
    weight === null ? "as it is" : showNumber(weight),
  ];
  root.append(
    scene,
    said,
    note(
      "Size shows the value: a disc above 0, a square below. A cross marks a dropped unit. ",
      "Thicker wires weigh more, dashed ones are negative.",
      weights.length > MOST_WIRES &&
        ` Drawn: the ${MOST_WIRES} strongest of ${weights.length} weights; of a chosen unit, all.`,
    ),
    block.note ? note(...words(block.note)) : "",
    tableBelow("The network as a table", `${block.title}, units`, () => ({
      heads: ["column", "unit", "value", "dropped"],
      rows: columns.flatMap(unitRow),
    })),
    tableBelow("The weights as a table", `${block.title}, weights`, () => ({
      heads: ["from", "into", "weight"],
      rows: wires.map(wireRow),
      note: "The strongest come first.",
    })),
  );
  const restore = (otherwise) => {
    const wanted = context.state.unit ?? otherwise;
    return known(split(wanted)) ? wanted : usual;
  };
  memory.unit = restore(memory.unit);
  context.restore = () => choose(restore(usual));
  sketch();
  new ResizeObserver(() => {
    if (!scene.clientWidth || scene.clientWidth === width) return;
    width = scene.clientWidth;
    sketch();
  }).observe(scene);
  return root;
}
