// What one stage did: sentences, values in three views, pictures, tokens, lines, and a rerun.
import { make, showNumber, sign, toNumber, unique, unseen, words } from "./dom.js";

const FIRST_VALUES = 64;
const PICTURE = 160;
export const VIEWS = { numbers: "Numbers", heat: "Heat strips", histogram: "Histograms" };

const note = (...children) => make("span", { class: "note" }, ...children);
const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

// How a value was come by stands before it is explained: exact, sampled, about.
export function definitions(facts) {
  const list = make("dl", { class: "facts" });
  for (const fact of facts) {
    const value = make("dd", {}, ...words(fact.value));
    const [found, known] = /^(exact|sampled|derived)\b[,:]?\s*/.exec(fact.note ?? "") ?? [""];
    const kind = known ?? (fact.value.startsWith("~") ? "approximate" : "");
    if (kind) value.append(" ", make("span", { class: `badge ${kind}` }, kind));
    const rest = (fact.note ?? "").slice(found.length);
    if (rest) value.append(" ", note(...words(rest)));
    list.append(make("div", {}, make("dt", {}, ...words(fact.label)), value));
  }
  return list;
}

export function badge(mode) {
  return mode && make("span", { class: mode.startsWith("train") ? "badge train" : "badge" }, mode);
}

const size = (value) => (Number.isFinite(value) ? Math.abs(value) : 0);
const largest = (values) => values.reduce((most, value) => Math.max(most, size(value)), 1e-300);

function numbers({ values, struck, label }) {
  const most = largest(values);
  const cells = make("ol", { class: "cells", "aria-labelledby": label });
  const add = (from, to) => {
    for (let index = from; index < Math.min(to, values.length); index += 1) {
      const value = values[index];
      const bar = make("span", { class: value < 0 ? "size below" : "size", "aria-hidden": "true" });
      bar.style.setProperty("--share", (size(value) / most).toFixed(3));
      const shown = showNumber(value);
      cells.append(
        struck[index]
          ? make("li", { class: "struck" }, make("s", {}, shown), unseen(" dropped"))
          : make("li", {}, shown, bar),
      );
    }
  };
  add(0, FIRST_VALUES);
  if (values.length <= FIRST_VALUES) return [cells];
  const all = `Show all ${values.length} values`;
  const more = make("button", { type: "button", class: "quiet" }, all);
  more.addEventListener("click", () => {
    add(FIRST_VALUES, values.length);
    cells.tabIndex = -1;
    cells.focus();
    more.remove();
  });
  return [cells, more];
}

// Cells that are read one at a time: by pointer, or with the arrow keys as a slider is.
function readable(kind, label, cells, say) {
  const reading = make("p", { class: "note" });
  const strip = make("div", { class: kind, role: "slider", tabindex: 0 }, ...cells);
  strip.setAttribute("aria-labelledby", label);
  strip.setAttribute("aria-valuemin", 1);
  strip.setAttribute("aria-valuemax", cells.length);
  let at = 0;
  const point = (to) => {
    cells[at].classList.remove("here");
    at = Math.max(0, Math.min(cells.length - 1, to));
    cells[at].classList.add("here");
    reading.textContent = say(at);
    strip.setAttribute("aria-valuenow", at + 1);
    strip.setAttribute("aria-valuetext", say(at));
  };
  strip.addEventListener("pointermove", (event) => {
    const to = cells.indexOf(event.target.closest(".cell"));
    if (to >= 0) point(to);
  });
  strip.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10 };
    const by = { ...steps, PageDown: -10, Home: -cells.length, End: cells.length }[event.key];
    if (!by) return;
    event.preventDefault();
    point(at + by);
  });
  point(0);
  return [strip, reading];
}

function heat({ values, struck, label, scale }) {
  const cells = values.map((value, index) => {
    const kind = struck[index] ? "crossed" : value < 0 ? "below" : "above";
    const mark = struck[index] ? "×" : Number.isFinite(value) ? "" : "!";
    const cell = make("span", { class: `cell ${kind}` }, mark);
    cell.style.setProperty("--share", `${Math.round((size(value) / scale) * 100)}%`);
    return cell;
  });
  const gone = (index) => (struck[index] ? ", dropped" : "");
  const say = (index) =>
    `value ${index + 1} of ${values.length}: ${showNumber(values[index])}${gone(index)}`;
  const ramp = make("span", { class: "ramp", "aria-hidden": "true" });
  const [low, high] = [showNumber(-scale), showNumber(scale)];
  const legend = make("p", { class: "scale note" }, low, ramp, `${high}, 0 is blank`);
  return [...readable("heat", label, cells, say), legend];
}

function histogram({ values, struck, label }) {
  const finite = values.filter(Number.isFinite);
  if (!finite.length) return [make("p", { class: "muted" }, "None of the values is finite.")];
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  const count = low === high ? 1 : Math.min(24, Math.ceil(Math.sqrt(finite.length)) + 1);
  const bins = Array.from({ length: count }, () => [0, 0]);
  values.forEach((value, index) => {
    if (!Number.isFinite(value)) return;
    const share = low === high ? 0 : (value / 2 - low / 2) / (high / 2 - low / 2);
    bins[Math.min(count - 1, Math.floor(share * count))][struck[index] ? 1 : 0] += 1;
  });
  const most = Math.max(...bins.map(([kept, gone]) => kept + gone));
  const cells = bins.map((bin) => {
    const bars = ["bar", "bar gone"].map((kind, index) => {
      const bar = make("span", { class: kind });
      bar.style.setProperty("--share", bin[index] / most);
      return bar;
    });
    return make("span", { class: "cell" }, ...bars);
  });
  const edge = (index) => showNumber(low + (high / count - low / count) * index);
  const say = (index) => {
    const [kept, gone] = bins[index];
    const dropped = gone ? `, ${gone} of them dropped` : "";
    return `${edge(index)} to ${edge(index + 1)}: ${counted(kept + gone, "value")}${dropped}`;
  };
  const ends = make("p", { class: "ends note" }, make("span", {}, edge(0)), edge(count));
  const [strip, reading] = readable("histogram", label, cells, say);
  return [strip, ends, reading];
}

function strip(block, view, scale) {
  const label = unique("strip");
  const values = block.values.map(toNumber);
  const struck = block.struck ?? [];
  const total = Math.max(block.total ?? 0, values.length);
  const of = values.length < total ? `${values.length} of ${total} values` : "";
  const shown = of || counted(values.length, "value");
  const said = [view === "histogram" ? `histogram of the ${shown} shown, computed here` : shown];
  if (view === "histogram" && of)
    said[0] = `histogram of the ${values.length} values shown of ${total}, computed here`;
  const dropped = struck.filter(Boolean).length;
  const marked = { heat: "crossed out", histogram: "hatched" }[view] ?? "struck out";
  if (dropped) said.push(`${dropped} dropped, ${marked}`);
  const name = make("strong", { id: label }, ...words(block.label));
  const drawn = { heat, histogram }[values.length ? view : ""] ?? numbers;
  return make(
    "div",
    { class: "strip" },
    make("p", { class: "strip-head" }, name, " ", note(said.join(", "))),
    ...drawn({ values, struck, label, scale }),
    block.note && make("p", { class: "note" }, ...words(block.note)),
  );
}

// Strips of one stage share their colours, unless one would be blank beside the others.
function strips(blocks, view) {
  const sizes = blocks.map((block) => largest(block.values.map(toNumber)));
  const most = Math.max(...sizes);
  return blocks.map((block, at) => strip(block, view, sizes[at] * 10 < most ? sizes[at] : most));
}

function picture(block) {
  const { width, height, channels } = block;
  const caption = make("figcaption", {}, make("strong", {}, ...words(block.label)));
  if (block.note) caption.append(" ", note(...words(block.note)));
  const whole = make("figure", { class: "picture" }, caption);
  const bytes = atob(block.pixels);
  if (!(width > 0 && height > 0) || bytes.length !== width * height * channels) {
    whole.append(make("p", {}, "The pixels of this picture do not fit its size."));
    return whole;
  }
  const kind = channels === 1 ? "grey" : "in colour";
  const said = `${block.label}: ${width} × ${height} pixels, ${kind}`;
  const canvas = make("canvas", { width, height, role: "img", "aria-label": said });
  const image = new ImageData(width, height);
  for (let at = 0; at < width * height; at += 1)
    for (let part = 0; part < 4; part += 1)
      image.data[at * 4 + part] =
        part === 3 ? 255 : bytes.charCodeAt(at * channels + (channels === 1 ? 0 : part));
  canvas.getContext("2d").putImageData(image, 0, 0);
  const times = Math.max(1, Math.round(PICTURE / Math.max(width, height)));
  canvas.style.setProperty("width", `${width * times}px`);
  whole.prepend(canvas);
  return whole;
}

function tokens(block) {
  const label = unique("tokens");
  const seen = { " ": "·", "\n": "⏎", "\t": "⇥" };
  const list = make("ol", { class: "tokens", "aria-labelledby": label });
  block.ids.forEach((id, index) => {
    const text = block.texts?.[index]?.replace(/[ \n\t]/g, (each) => seen[each]);
    list.append(make("li", {}, text && make("span", {}, text), note(id)));
  });
  const count = block.ids.length;
  const of = block.total > count ? `${count} of ${block.total} tokens` : counted(count, "token");
  const name = make("strong", { id: label }, ...words(block.label));
  const below = block.note && make("p", { class: "note" }, ...words(block.note));
  const head = make("p", { class: "strip-head" }, name, " ", note(of));
  return make("div", {}, head, list, below);
}

// A live process runs the stage's layer again; what comes back stays with the stage.
function rerun(stage, { context, memory }) {
  memory.again ??= {};
  const own = (memory.again[stage.id] ??= { p: stage.rate, mode: "", seed: "0" });
  const field = (label, control) => make("label", {}, `${label} `, control);
  const choice = (value, text) => make("option", { value, selected: own.mode === value }, text);
  const modes = [["", "as recorded"], ["train", "train"], ["eval", "eval"]];
  const mode = make("select", {}, ...modes.map(([value, text]) => choice(value, text)));
  const number = (value, more) => make("input", { type: "number", value, ...more });
  const rated = typeof stage.rate === "number";
  const p = rated && number(own.p, { min: 0, max: 1, step: "any" });
  const seed = number(own.seed, { step: 1 });
  const button = make("button", { type: "submit" }, "Run this layer again");
  const status = make("p", { class: "note", role: "status" });
  const result = make("div", { class: "result" });
  const form = make(
    "form",
    { class: "tools again", novalidate: true },
    field("Mode", mode),
    rated && field("p", p),
    field("Seed", seed),
    button,
  );
  const show = () => {
    button.setAttribute("aria-disabled", String(Boolean(own.busy)));
    status.replaceChildren(...(own.error ? [sign("bad"), own.error] : [own.busy ?? ""]));
    const blocks = own.blocks ?? [];
    result.replaceChildren(
      ...blocks.map((block, at) => context.drawBlock(block, `${stage.id}-again-${at}`)),
    );
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (own.busy) return;
    Object.assign(own, { mode: mode.value, seed: seed.value, error: "", blocks: [] });
    if (rated) own.p = p.value;
    const rate = rated && own.p !== "" ? Number(own.p) : null;
    if (rate !== null && !(rate >= 0 && rate <= 1)) own.error = "p must be between 0 and 1.";
    if (!/^-?\d+$/.test(own.seed)) own.error = "The seed must be a whole number, 0 for example.";
    if (!own.error) {
      own.busy = "Running …";
      own.show();
      const training = own.mode ? own.mode === "train" : null;
      const given = { again: stage.again, p: rate, training, seed: Number(own.seed) };
      try {
        own.blocks = await context.act("rerun", given);
      } catch (error) {
        own.error = String(error?.message ?? error);
      }
      own.busy = undefined;
    }
    own.show();
  });
  // The page may have been drawn again meanwhile: the answer goes to what stands there now.
  own.show = show;
  show();
  return make("div", { class: "rerun" }, form, status, result);
}

function line(spot, tools) {
  const where = `${spot.file}:${spot.line}`;
  let place = make("span", { class: "place" }, where);
  if (tools?.source?.has(spot.file)) {
    place = make("button", { type: "button", class: "quiet place" }, where);
    place.addEventListener("click", () => tools.choose(tools.memory.selected, spot.file));
  }
  const text = spot.text && make("code", {}, spot.text.trim());
  return make("div", { class: "spot" }, place, spot.role && note(spot.role), text);
}

// Without tools it is for paper: numbers, and nothing to press.
export function details(row, tools) {
  const stage = row.stage;
  const head = [make("span", { class: "ordinal" }, row.number), sign(stage.tone)];
  const parts = [make("h3", {}, ...head, ...words(stage.name), badge(stage.mode))];
  if (stage.shape) parts.push(make("p", { class: "shape" }, stage.shape));
  if (stage.words) parts.push(make("p", { class: "told" }, ...words(stage.words)));
  if (stage.pictures?.length)
    parts.push(make("div", { class: "pictures" }, ...stage.pictures.map(picture)));
  parts.push(...(stage.tokens ?? []).map(tokens));
  parts.push(...strips(stage.strips ?? [], tools?.memory.view));
  if (stage.facts?.length) parts.push(definitions(stage.facts));
  for (const spot of stage.spots ?? []) parts.push(line(spot, tools));
  if (stage.again && tools?.context.act) parts.push(rerun(stage, tools));
  if (stage.stages?.length && tools) {
    const label = `Go inside: ${counted(stage.stages.length, "stage")}`;
    const inside = make("button", { type: "button", class: "quiet" }, label);
    inside.addEventListener("click", () => tools.choose(`${row.key}.0`));
    parts.push(inside);
  }
  return parts;
}
