// Masks that a layer drew over real values; whatever is multiplied here is said to be.
import { draw, make, showNumber, sign, toNumber, unique, unseen, visible, words } from "./dom.js";
import { rerun } from "./rerun.js";

const MOST_ELEMENTS = 64;
const MODES = { train: "train: drops", eval: "eval: passes" };

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

// Shares are drawn as bars; of other numbers a bar would say nothing.
function areShares({ label, off, draws }) {
  const sum = off.reduce((total, value) => total + value, 0);
  const inside = [off, ...draws.flat()].every((row) => row.every((x) => x >= 0 && x <= 1));
  return inside && (Math.abs(sum - 1) < 1e-3 || /probab/i.test(label));
}

function effectTable(effect, rate, number, on) {
  const off = effect.off.map(toNumber);
  const now = on ? effect.draws[rate]?.[number]?.map(toNumber) : off;
  const shares = areShares(effect);
  const best = (values) => values.indexOf(Math.max(...values));
  const name = (at) => visible(effect.names?.[at] || at);
  const cell = (values, at) =>
    make(
      "td.number",
      at === best(values) && [make("span", { "aria-hidden": "true" }, "▲ "), unseen("largest: ")],
      showNumber(values[at]),
    );
  const bar = (at) => {
    const track = make("span.track", make("span.fill"));
    track.append(make("span.off"));
    track.style.setProperty("--share", now?.[at] ?? 0);
    track.style.setProperty("--off", off[at]);
    return make("td.gauge", { "aria-hidden": "true" }, track);
  };
  const rows = off.map((_, at) =>
    make(
      "tr",
      make("th", { scope: "row" }, name(at)),
      cell(off, at),
      now ? cell(now, at) : make("td.number", "–"),
      shares && bar(at),
    ),
  );
  const head = ["dropping off", on ? "this mask" : "shown"].map((text) =>
    make("th", { scope: "col", class: "number" }, text),
  );
  let said = now ? "" : "not recorded for this mask";
  if (now && shares && best(now) !== best(off))
    said = [sign("warning"), `largest: ${name(best(now))}; with dropping off: ${name(best(off))}`];
  return make(
    "div.effect",
    make(
      "table",
      make("caption", ...words(effect.label)),
      make("thead", make("tr", make("td"), head, shares && make("td"))),
      make("tbody", rows),
    ),
    make("p.note", said),
    effect.note && make("p.note", words(effect.note)),
  );
}

export function draws(block, context) {
  const own = readDraws(block);
  const usual = { rate: block.chosen ?? 0, draw: 0, mode: "train", element: 0 };
  const { memory } = context;
  const id = unique("draws");
  const root = make("div.draws", { role: "group", "aria-labelledby": id });
  root.append(make("h3", { id }, words(block.title)));
  if (!own.values.length || !own.masks.length || !own.masks.every((masks) => masks.length)) {
    root.append(make("p.muted", "No mask was recorded."));
    return root;
  }
  const at = (memory.at ??= { ...usual });
  memory.again ??= { p: own.rates[usual.rate], seed: 0, mode: "train" };
  const take = (rest) => {
    const { state } = context;
    for (const name of ["rate", "draw", "element"])
      at[name] = Math.abs(parseInt(state[name] ?? rest[name], 10)) || 0;
    at.rate = Math.min(at.rate, own.rates.length - 1);
    at.mode = (state.mode ?? rest.mode) === "eval" ? "eval" : "train";
  };
  const keep = (name) => context.keep(name, at[name] === usual[name] ? "" : String(at[name]));
  const note = (...children) => make("p.note", ...children);
  const caption = (text) => make("p.caption", text);
  const set = (element, name, value) => element.setAttribute(name, value);

  const last = own.rates.length - 1;
  const slider = make("input", { type: "range", max: last, "aria-label": "p" });
  const rate = make("strong.rate");
  const name = unique("mode");
  const radios = Object.keys(MODES).map((value) => make("input", { type: "radio", name, value }));
  const status = make("p", { role: "status" });
  const list = make("div.elements", { role: "listbox", "aria-label": "Elements" });
  const sum = make("p.sum", { role: "status" });
  const kept = draw("path");
  const row = draw("rect", { height: 1 });
  const column = draw("rect.thin", { width: 1 });
  const stretched = { role: "img", preserveAspectRatio: "none" };
  const raster = draw("svg.raster", { ...stretched }, kept, column, row);
  const rasterSaid = note();
  const kinds = ["curve line-0", "goal", "rule"];
  const [mean, goal, moment] = kinds.map((kind) => draw("path", { class: kind }));
  const plot = { class: "means", viewBox: "0 0 100 100", ...stretched };
  const means = draw("svg", plot, moment, goal, mean);
  const [top, bottom] = [make("span"), make("span")];
  const meanSaid = make("p");
  const effects = make("div.effects");
  const origin = note();
  let live = null;
  let cells = [];
  let now = null;

  const look = (element) => {
    const { source, p, scale, masks, number, on, factor } = now;
    const x = source.values[element];
    const stays = masks[number][element];
    const usually = Math.abs(scale - 1 / (1 - p)) <= 1e-4;
    const by = usually ? `1/(1−${showNumber(p)})` : showNumber(scale);
    const [shown, y] = [x, x * factor(masks[number], element)].map(showNumber);
    let done = `${shown} stays ${shown} (dropping off)`;
    if (on) done = stays ? `${shown} × 1 × ${by} = ${y}` : `${shown} × 0 = ${y} (dropped)`;
    if (on && stays && !usually)
      done += ` (recorded scale ${by}; 1/(1−p) is ${showNumber(1 / (1 - p))})`;
    sum.textContent = `${source.name(element)}: ${done}`;
    let total = 0;
    const path = masks.map((mask, count) => (total += x * factor(mask, element)) / (count + 1));
    const drawn = [x, ...path].every(Number.isFinite);
    const [low, high] = [Math.min(x, 0, ...path), Math.max(x, 0, ...path)];
    const height = (value) => 95 - (90 * (value - low)) / (high - low || 1);
    const across = (count) => ((count + 0.5) * 100) / path.length;
    const points = path.map((value, count) => `${across(count)} ${height(value)}`);
    set(mean, "d", drawn ? `M${points.join("L")}h.1` : "");
    set(goal, "d", drawn ? `M0 ${height(x)}H100` : "");
    set(moment, "d", `M${across(number)} 0V100`);
    top.textContent = showNumber(high);
    bottom.textContent = showNumber(low);
    meanSaid.textContent =
      `${source.name(element)}: mean of ${number + 1} draw${number ? "s" : ""} ` +
      `${showNumber(path[number])}, of all ${path.length} ${showNumber(path.at(-1))}, x ${shown}`;
    set(means, "aria-label", meanSaid.textContent);
    set(column, "x", element);
  };
  const choose = (index) => {
    at.element = Math.max(0, Math.min(cells.length - 1, index));
    cells.forEach(({ element }, each) => {
      element.tabIndex = each === at.element ? 0 : -1;
      set(element, "aria-selected", each === at.element);
    });
    look(at.element);
  };
  const paint = () => {
    const source = live ?? own;
    const which = live ? 0 : at.rate;
    const masks = source.masks[which];
    const number = Math.min(live ? 0 : at.draw, masks.length - 1);
    const [p, scale, mask] = [source.rates[which], source.scales[which], masks[number]];
    const on = at.mode === "train";
    const factor = (each, element) => (!on ? 1 : each[element] ? scale : 0);
    now = { source, p, scale, masks, number, on, factor };
    const kind = live ? ", live" : which === usual.rate ? ", the layer's own" : "";
    rate.textContent = `p = ${showNumber(p)}${kind}`;
    slider.value = at.rate;
    set(slider, "aria-valuetext", rate.textContent);
    radios.forEach((radio) => (radio.checked = radio.value === at.mode));
    const count = (some) => some.reduce((total, bit) => total + bit, 0);
    const mine = live ? "live mask" : `mask ${number + 1} of ${masks.length}`;
    status.textContent = on
      ? `${mine}: ${count(mask)} of ${mask.length} kept`
      : `dropping off: all ${mask.length} pass unchanged`;
    cells.forEach(({ element, parts }, index) => {
      const x = source.values[index];
      const factors = masks.slice(0, number + 1).map((each) => factor(each, index));
      const numbers = [x, 0, x * factors[number], (x * count(factors)) / (number + 1)];
      parts.forEach((part, each) => (part.textContent = showNumber(numbers[each])));
      parts[1].textContent = !on ? "off" : mask[index] ? "1" : "0 ✕";
      element.classList.toggle("struck", on && !mask[index]);
    });
    let squares = "";
    masks.forEach((each, y) =>
      each.join("").replace(/1+/g, ({ length }, x) => {
        squares += `M${x} ${y}h${length}v1h${-length}z`;
      }),
    );
    set(kept, "d", squares);
    set(raster, "viewBox", `0 0 ${mask.length} ${masks.length}`);
    raster.style.setProperty("--rows", masks.length);
    set(row, "y", number);
    set(row, "width", on ? mask.length : 0);
    set(column, "height", masks.length);
    const [share, all] = [count(masks.map(count)), masks.length * mask.length];
    rasterSaid.textContent =
      `A row for each draw, a column for each element, filled where kept: ${share} of ${all}, ` +
      `${showNumber(share / all)} (1 − p is ${showNumber(1 - p)}).`;
    set(raster, "aria-label", rasterSaid.textContent);
    effects.replaceChildren(...source.effects.map((each) => effectTable(each, which, number, on)));
    choose(at.element);
  };
  const arrange = () => {
    const source = live ?? own;
    cells = source.values.map((_, index) => {
      const parts = ["x", "mask", "y", "mean"].map((kind) => make("span", { class: kind }));
      const lines = parts.map((part) => [make("i", part.className), part]);
      const heading = make("span.name", source.name(index));
      return { parts, element: make("div", { role: "option" }, heading, lines.flat()) };
    });
    list.replaceChildren(...cells.map((cell) => cell.element));
    origin.textContent =
      (live ? "x, mask and effects: from the live run. " : "x, masks and effects: recorded. ") +
      "y and means: computed here from them." +
      (source.more ? ` ${source.more} more elements are not shown.` : "");
    paint();
  };
  const recorded = () => {
    const draw = live ? arrange : paint;
    live = memory.again.blocks = null;
    draw();
  };
  const step = (by) => {
    const { length } = own.masks[at.rate];
    at.draw = (Math.min(at.draw, length - 1) + by + length) % length;
    recorded();
    keep("draw");
  };
  const button = (by, text) => make("button", { type: "button", onclick: () => step(by) }, text);
  const indexOf = (event) => cells.findIndex(({ element }) => element.contains(event.target));
  const go = (index) => {
    choose(index);
    cells[at.element].element.focus();
    keep("element");
  };

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
  list.addEventListener("click", (event) => cells[indexOf(event)] && go(indexOf(event)));
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Enter: 0, " ": 0 };
    const moves = { ...by, Home: -Infinity, End: Infinity };
    if (!(event.key in moves) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(at.element + moves[event.key]);
  });

  const legend = make("legend.unseen", "Mode");
  const choices = radios.map((radio) => make("label", radio, MODES[radio.value]));
  root.append(
    make(
      "div.tools",
      last > 0 && slider,
      rate,
      make("fieldset", legend, choices),
      button(-1, "Previous mask"),
      button(1, "Next mask"),
    ),
    status,
    list,
    sum,
    make(
      "div.sights",
      make("div", caption("All masks at this p"), raster, rasterSaid),
      make(
        "div",
        caption("Mean of y over the draws"),
        make("div.measure", make("div.limits", top, bottom), means),
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
    const show = ([first, ...others]) => {
      if (first?.block === "draws") {
        live = readDraws(first);
        at.mode = memory.again.mode;
        arrange();
      }
      context.inner.length = 0;
      const drawn = others.map((each, index) => context.drawBlock(each, `again${index}`));
      rest.replaceChildren(...drawn);
    };
    const modes = { train: true, eval: false };
    const asked = { again: block.again, label: "Run the layer again", modes, rated: true };
    asked.where = "Shown above as the live mask.";
    root.append(rerun(context, memory.again, asked, show), rest);
  }
  take(at);
  context.restore = () => {
    take(usual);
    recorded();
  };
  arrange();
  return root;
}
