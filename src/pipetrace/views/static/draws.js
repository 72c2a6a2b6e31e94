// Masks that a layer drew over real values; whatever is multiplied here is said to be.
import { draw, make, showNumber, sign, toNumber, unique, unseen, visible, words } from "./dom.js";

const MOST_ELEMENTS = 256;
const MODES = ["train", "eval"];
const RUNNING = "running";

function readDraws(block) {
  const values = block.values.slice(0, MOST_ELEMENTS).map(toNumber);
  const kept = (mask) => (_, at) => (parseInt(mask[at >> 2], 16) >> (3 - (at & 3))) & 1;
  return {
    values,
    rates: block.rates.map(toNumber),
    scales: block.scales.map(toNumber),
    masks: block.masks.map((masks) => masks.map((mask) => values.map(kept(mask)))),
    effects: block.effects ?? [],
    more: block.values.length - values.length,
    name: (at) => visible(block.names?.[at] || `element ${at}`),
  };
}

function largest(values) {
  return values.reduce((best, value, at) => (value > (values[best] ?? -Infinity) ? at : best), -1);
}

// Shares are drawn as bars; of other numbers a bar would say nothing.
function isShares({ label, off, draws }) {
  const sum = off.reduce((total, value) => total + value, 0);
  const inside = [off, ...draws.flat()].every((row) => row.every((x) => x >= 0 && x <= 1));
  return inside && (Math.abs(sum - 1) < 1e-3 || /probab/i.test(label));
}

function effectTable(effect) {
  const off = effect.off.map(toNumber);
  const shares = isShares(effect);
  const best = largest(off);
  const name = (at) => visible(effect.names?.[at] || at);
  const mark = () => [make("span", { "aria-hidden": "true" }, "▲ "), unseen("largest: ")];
  const said = make("p", { class: "note" });
  const heading = make("th", { scope: "col", class: "number" });
  const cells = off.map(() => make("td", { class: "number" }));
  const bars = off.map(() => make("span", { class: "fill" }));
  const rows = off.map((value, at) => {
    const before = make("td", { class: "number" }, at === best && mark(), showNumber(value));
    const track = make("span", { class: "track" }, bars[at], make("span", { class: "off" }));
    track.style.setProperty("--off", value);
    const bar = shares && make("td", { class: "bar", "aria-hidden": "true" }, track);
    return make("tr", {}, make("th", { scope: "row" }, ...words(name(at))), before, cells[at], bar);
  });
  const first = make("th", { scope: "col", class: "number" }, "dropping off");
  const head = make("tr", {}, make("td"), first, heading, shares && make("td"));
  const caption = make("caption", {}, ...words(effect.label));
  const table = make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...rows));
  const note = effect.note && make("p", { class: "note" }, ...words(effect.note));
  const paint = (rate, number, on) => {
    const values = on ? effect.draws[rate]?.[number]?.map(toNumber) : off;
    const most = largest(values ?? []);
    heading.textContent = on ? "this mask" : "shown";
    cells.forEach((cell, at) => {
      cell.replaceChildren(...(at === most ? mark() : []), values ? showNumber(values[at]) : "–");
      bars[at].style.setProperty("--share", values?.[at] || 0);
    });
    said.textContent = values ? "" : "not recorded for this mask";
    if (values && shares && most !== best)
      said.append(sign("warning"), `largest: ${name(most)}; with dropping off: ${name(best)}`);
  };
  return { element: make("div", { class: "effect" }, table, said, note), paint };
}

function runAgain(block, context, memory, show) {
  const field = (name, input) => {
    input.value = memory[name];
    input.addEventListener("change", () => (memory[name] = input.value));
    return make("label", {}, `${name} `, input);
  };
  const number = (limits) => make("input", { type: "number", min: 0, required: true, ...limits });
  const options = MODES.map((mode) => make("option", {}, mode));
  const said = make("p", { role: "status" });
  const fields = [
    field("p", number({ max: 1, step: "any" })),
    field("seed", number({})),
    field("mode", make("select", {}, ...options)),
  ];
  const form = make("form", { class: "tools" }, ...fields, make("button", {}, "Run again"), said);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (said.textContent === RUNNING) return;
    said.textContent = RUNNING;
    const { p, seed, mode } = memory;
    const training = mode === "train";
    const wanted = { again: block.again, p: Number(p), training, seed: Number(seed) };
    try {
      show(await context.act("rerun", wanted), mode);
      said.textContent = "Shown above as the live mask; “Next mask” goes back to recorded ones.";
    } catch (error) {
      said.replaceChildren(sign("bad"), visible(error?.message ?? error));
    }
  });
  return form;
}

export function draws(block, context) {
  const own = readDraws(block);
  const usual = { rate: block.chosen ?? 0, draw: 0, mode: "train", element: 0 };
  const memory = context.memory ?? {};
  memory.at ??= { ...usual };
  memory.again ??= { p: own.rates[usual.rate], seed: 0, mode: "train" };
  const at = memory.at;
  const title = unique("draws");
  const heading = make("h3", { id: title }, ...words(block.title));
  const root = make("div", { class: "draws", role: "group", "aria-labelledby": title }, heading);
  context.root = root;
  if (!own.values.length || !own.masks.length || !own.masks.every((masks) => masks.length)) {
    root.append(make("p", { class: "muted" }, "No mask was recorded."));
    return root;
  }
  const note = (...children) => make("p", { class: "note" }, ...children);
  const caption = (text) => make("p", { class: "caption" }, text);
  const take = (state, rest) => {
    const whole = (name, count) => {
      const number = /^\d+$/.test(state?.[name]) ? Number(state[name]) : rest[name];
      at[name] = Math.min(number, count - 1);
    };
    whole("rate", own.rates.length);
    whole("draw", own.masks[at.rate].length);
    whole("element", own.values.length);
    at.mode = MODES.includes(state?.mode) ? state.mode : rest.mode;
  };
  const keep = (name) => context.keep?.(name, at[name] === usual[name] ? "" : String(at[name]));

  const last = own.rates.length - 1;
  const slider = make("input", { type: "range", max: last, id: unique("rate") });
  const rate = make("output", { for: slider.id });
  const name = unique("mode");
  const radios = MODES.map((value) => make("input", { type: "radio", name, value }));
  const status = make("p", { class: "status", role: "status" });
  const list = make("div", { class: "elements", role: "listbox", "aria-label": "Elements" });
  const sum = make("p", { class: "sum", role: "status" });
  const kept = draw("path");
  const row = draw("rect", { height: 1 });
  const column = draw("rect", { class: "thin", width: 1 });
  const stretched = { role: "img", preserveAspectRatio: "none" };
  const raster = draw("svg", { class: "raster", ...stretched }, kept, column, row);
  const rasterSaid = note();
  const [mean, goal, moment] = ["curve line-0", "goal", "rule"].map((kind) =>
    draw("path", { class: kind }),
  );
  const plot = { class: "means", viewBox: "0 0 100 100", ...stretched };
  const means = draw("svg", plot, moment, goal, mean);
  const ends = [make("span"), make("span")];
  const meanSaid = make("p");
  const effects = make("div", { class: "effects" });
  const origin = note();
  let live = memory.live ? readDraws(memory.live) : null;
  let cells = [];
  let tables = [];
  let now = null;

  const look = (element) => {
    const { source, p, scale, masks, number, on, factor } = now;
    const x = source.values[element];
    const shown = showNumber(x);
    const expected = 1 / (1 - p);
    const usually = Math.abs(scale - expected) <= 1e-4;
    const by = usually ? `1/(1−${showNumber(p)})` : showNumber(scale);
    const y = showNumber(x * factor(masks[number], element));
    let done = `${shown} stays ${shown} (dropping off)`;
    if (on && !masks[number][element]) done = `${shown} × 0 = ${y} (dropped)`;
    else if (on) done = `${shown} × 1 × ${by} = ${y}`;
    if (on && !usually && masks[number][element])
      done += ` (recorded scale ${by}; 1/(1−p) is ${showNumber(expected)})`;
    const named = source.name(element);
    sum.textContent = `${named}: ${done}`;
    let total = 0;
    const path = masks.map((mask, count) => (total += x * factor(mask, element)) / (count + 1));
    const finite = [x, 0, ...path].filter(Number.isFinite);
    const [low, high] = [Math.min(...finite), Math.max(...finite)];
    const height = (value) => 95 - (90 * (value - low)) / (high - low || 1);
    const across = (count) => ((count + 0.5) * 100) / path.length;
    const points = path.map((value, count) => `${across(count)} ${height(value)}`);
    const drawn = finite.length === path.length + 2;
    mean.setAttribute("d", drawn ? `M${points.join("L")}h.1` : "");
    goal.setAttribute("d", drawn ? `M0 ${height(x)}H100` : "");
    moment.setAttribute("d", `M${across(number)} 0V100`);
    ends[0].textContent = showNumber(high);
    ends[1].textContent = showNumber(low);
    meanSaid.textContent =
      `${named}: mean of ${number + 1} draw${number ? "s" : ""} ${showNumber(path[number])}, ` +
      `of all ${path.length} ${showNumber(path.at(-1))}, x ${shown}`;
    means.setAttribute("aria-label", meanSaid.textContent);
    column.setAttribute("x", element);
  };
  const paint = () => {
    const source = live ?? own;
    const which = live ? 0 : at.rate;
    const masks = source.masks[which];
    const number = live ? 0 : Math.min(at.draw, masks.length - 1);
    const [p, scale, mask] = [source.rates[which], source.scales[which], masks[number]];
    const on = at.mode === "train";
    const factor = (each, element) => (!on ? 1 : each[element] ? scale : 0);
    now = { source, p, scale, masks, number, on, factor };
    const kind = live ? ", live" : which === usual.rate ? ", the layer's own" : "";
    rate.textContent = `p = ${showNumber(p)}${kind}`;
    slider.value = at.rate;
    slider.setAttribute("aria-valuetext", rate.textContent);
    radios.forEach((radio) => (radio.checked = radio.value === at.mode));
    const count = (some) => some.reduce((total, bit) => total + bit, 0);
    const mine = live ? "live mask" : `mask ${number + 1} of ${masks.length}`;
    status.textContent = on
      ? `${mine} at ${rate.textContent}: ${count(mask)} of ${mask.length} kept`
      : `dropping off: all ${mask.length} pass unchanged`;
    cells.forEach(({ element, parts }, index) => {
      const x = source.values[index];
      let total = 0;
      for (let each = 0; each <= number; each += 1) total += x * factor(masks[each], index);
      parts[0].textContent = showNumber(x);
      parts[1].textContent = !on ? "off" : mask[index] ? "1" : "0 ✕";
      parts[2].textContent = showNumber(x * factor(mask, index));
      parts[3].textContent = showNumber(total / (number + 1));
      element.classList.toggle("struck", on && !mask[index]);
    });
    let squares = "";
    masks.forEach((each, y) =>
      each.join("").replace(/1+/g, ({ length }, x) => {
        squares += `M${x} ${y}h${length}v1h${-length}z`;
      }),
    );
    kept.setAttribute("d", squares);
    raster.setAttribute("viewBox", `0 0 ${mask.length} ${masks.length}`);
    raster.style.setProperty("--rows", masks.length);
    row.setAttribute("y", number);
    row.setAttribute("width", on ? mask.length : 0);
    column.setAttribute("height", masks.length);
    const share = count(masks.map(count));
    const all = masks.length * mask.length;
    rasterSaid.textContent =
      `A row for each draw, a column for each element, filled where kept: ${share} of ${all}, ` +
      `${showNumber(share / all)} (1 − p is ${showNumber(1 - p)}).`;
    raster.setAttribute("aria-label", rasterSaid.textContent);
    tables.forEach((table) => table.paint(which, number, on));
    choose(at.element);
  };
  const choose = (index) => {
    at.element = Math.max(0, Math.min(cells.length - 1, index));
    cells.forEach(({ element }, each) => {
      element.tabIndex = each === at.element ? 0 : -1;
      element.setAttribute("aria-selected", String(each === at.element));
    });
    look(at.element);
  };
  const arrange = () => {
    const source = live ?? own;
    cells = source.values.map((_, index) => {
      const parts = ["x", "mask", "y", "mean"].map((kind) => make("span", { class: kind }));
      const lines = parts.flatMap((part) => [make("i", {}, part.className), part]);
      const heading = make("span", { class: "name" }, source.name(index));
      const option = { role: "option", "data-index": index };
      return { parts, element: make("div", option, heading, ...lines) };
    });
    list.replaceChildren(...cells.map((cell) => cell.element));
    tables = source.effects.map(effectTable);
    effects.replaceChildren(...tables.map((table) => table.element));
    origin.textContent = live
      ? "x, mask and effects: from the live run. "
      : "x, masks and effects: recorded. ";
    origin.append("y and means: computed here from them.");
    if (source.more) origin.append(` ${source.more} more elements are not shown.`);
    paint();
  };
  const recorded = () => {
    const was = live;
    live = memory.live = null;
    if (was) arrange();
    else paint();
  };
  const step = (by) => {
    const count = own.masks[at.rate].length;
    at.draw = (Math.min(at.draw, count - 1) + by + count) % count;
    recorded();
    keep("draw");
  };
  const button = (by, text) => make("button", { type: "button", onclick: () => step(by) }, text);
  const indexOf = (event) => cells.findIndex(({ element }) => element.contains(event.target));

  slider.addEventListener("input", () => {
    at.rate = Number(slider.value);
    recorded();
  });
  slider.addEventListener("change", () => keep("rate"));
  radios.forEach((radio) =>
    radio.addEventListener("change", () => {
      at.mode = radio.value;
      paint();
      keep("mode");
    }),
  );
  list.addEventListener("pointerover", (event) => cells[indexOf(event)] && look(indexOf(event)));
  list.addEventListener("pointerleave", () => look(at.element));
  const go = (index) => {
    choose(index);
    cells[at.element].element.focus();
    keep("element");
  };
  list.addEventListener("click", (event) => cells[indexOf(event)] && go(indexOf(event)));
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Enter: 0, " ": 0 };
    const moves = { ...by, Home: -Infinity, End: Infinity };
    if (!(event.key in moves) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(at.element + moves[event.key]);
  });

  const choices = ["train: drops", "eval: passes"].map((text, each) =>
    make("label", {}, radios[each], text),
  );
  root.append(
    make(
      "div",
      { class: "tools" },
      last > 0 && make("span", { class: "rate" }, make("label", { for: slider.id }, "p"), slider),
      rate,
      make("fieldset", {}, make("legend", { class: "unseen" }, "Mode"), ...choices),
      button(-1, "Previous mask"),
      button(1, "Next mask"),
    ),
    status,
    list,
    sum,
    make(
      "div",
      { class: "sights" },
      make("div", {}, caption("All masks at this p"), raster, rasterSaid),
      make(
        "div",
        {},
        caption("Mean of y over the draws"),
        make("div", { class: "scale" }, make("div", { class: "ends" }, ...ends), means),
        meanSaid,
        note("Solid: the mean after 1, 2, … draws. Dashed: x."),
      ),
    ),
    effects,
    origin,
  );
  if (block.note) root.append(note(...words(block.note)));
  if (context.act && block.again) {
    const rest = make("div");
    const show = (result, mode) => {
      if (result[0]?.block !== "draws") throw new Error("The process answered without a mask.");
      memory.live = result[0];
      live = readDraws(memory.live);
      at.mode = mode;
      arrange();
      rest.replaceChildren(
        ...result.slice(1).map((each, index) => context.drawBlock(each, `again${index}`)),
      );
    };
    root.append(runAgain(block, context, memory.again, show), rest);
  }
  take(context.state, at);
  context.restore = () => {
    take(context.state, usual);
    recorded();
  };
  arrange();
  return root;
}
