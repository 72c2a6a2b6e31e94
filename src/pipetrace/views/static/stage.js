// What one stage did: sentences, values in three views, pictures, tokens, lines, and a rerun.
import { make, showNumber, sign, toNumber, unique, unseen, words } from "./dom.js";
import { rerun } from "./rerun.js";

const FIRST_VALUES = 64;
const PICTURE = 160;
const REPLAYED = { "as recorded": null, train: true, eval: false };

const aside = (...children) => make("span.note", ...children);
const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

// How a value was come by stands before it is explained: exact, sampled, about.
export function definitions(facts) {
  const list = make("dl.facts");
  for (const fact of facts) {
    const value = make("dd", ...words(fact.value));
    const [found, known] = /^(exact|sampled|derived)\b[,:]?\s*/.exec(fact.note ?? "") ?? [""];
    const kind = known ?? (fact.value.startsWith("~") ? "approximate" : "");
    if (kind) value.append(" ", make("span", { class: `badge ${kind}` }, kind));
    const rest = (fact.note ?? "").slice(found.length);
    if (rest) value.append(" ", aside(...words(rest)));
    list.append(make("div", make("dt", ...words(fact.label)), value));
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
  const cells = make("ol.cells", { "aria-labelledby": label });
  const add = (from, to) => {
    for (let index = from; index < Math.min(to, values.length); index += 1) {
      const value = values[index];
      const bar = make("span", { class: value < 0 ? "size below" : "size", "aria-hidden": "true" });
      bar.style.setProperty("--share", (size(value) / most).toFixed(3));
      const shown = showNumber(value);
      cells.append(
        struck[index]
          ? make("li.struck", make("s", shown), unseen(" dropped"))
          : make("li", shown, bar),
      );
    }
  };
  add(0, FIRST_VALUES);
  if (values.length <= FIRST_VALUES) return [cells];
  const onclick = () => {
    add(FIRST_VALUES, values.length);
    cells.tabIndex = -1;
    cells.focus();
    more.remove();
  };
  const all = `Show all ${values.length} values`;
  const more = make("button.quiet", { type: "button", onclick }, all);
  return [cells, more];
}

// Cells that are read one at a time: by pointer, or with the arrow keys as a slider is.
function readable(kind, label, cells, say) {
  const reading = make("p.note");
  const range = { "aria-labelledby": label, "aria-valuemin": 1, "aria-valuemax": cells.length };
  const strip = make("div", { class: kind, role: "slider", tabindex: 0, ...range }, cells);
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
    const ends = { Home: -cells.length, End: cells.length };
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, ...ends }[event.key];
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
    const mark = struck[index] ? "×" : !Number.isFinite(value) && "!";
    const cell = make("span", { class: `cell ${kind}` }, mark);
    cell.style.setProperty("--share", `${Math.round((size(value) / scale) * 100)}%`);
    return cell;
  });
  const gone = (index) => (struck[index] ? ", dropped" : "");
  const say = (index) =>
    `value ${index + 1} of ${values.length}: ${showNumber(values[index])}${gone(index)}`;
  const ramp = make("span.ramp", { "aria-hidden": "true" });
  const ends = [showNumber(-scale), ramp, `${showNumber(scale)}, 0 is blank`];
  return [...readable("heat", label, cells, say), make("p.scale.note", ends)];
}

function histogram({ values, struck, label }) {
  const finite = values.filter(Number.isFinite);
  if (!finite.length) return [make("p.muted", "None of the values is finite.")];
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
    return make("span.cell", ...bars);
  });
  const edge = (index) => showNumber(low + (high / count - low / count) * index);
  const say = (index) => {
    const [kept, gone] = bins[index];
    const dropped = gone ? `, ${gone} of them dropped` : "";
    return `${edge(index)} to ${edge(index + 1)}: ${counted(kept + gone, "value")}${dropped}`;
  };
  const ends = make("p.ends", make("span", edge(0)), edge(count));
  const [bars, reading] = readable("histogram", label, cells, say);
  return [bars, ends, reading];
}

export const VIEWS = {
  numbers: ["Numbers", numbers, "struck out"],
  heat: ["Heat strips", heat, "crossed out"],
  histogram: ["Histograms", histogram, "hatched"],
};

function headed(block, said, fill) {
  const label = unique("strip");
  const name = make("strong", { id: label }, ...words(block.label));
  const head = make("p.strip-head", name, " ", aside(said));
  const below = block.note && make("p.note", ...words(block.note));
  return make("div.strip", head, ...fill(label), below);
}

function strip(block, view, scale) {
  const values = block.values.map(toNumber);
  const struck = block.struck ?? [];
  const dropped = struck.filter(Boolean).length;
  const total = Math.max(block.total ?? 0, values.length);
  const of = total > values.length ? ` of ${total}` : "";
  const [, drawn, marked] = VIEWS[view ?? "numbers"];
  let said = of ? `${values.length}${of} values` : counted(values.length, "value");
  if (drawn === histogram)
    said = `histogram of the ${counted(values.length, "value")} shown${of}, computed here`;
  const odd = values.filter((value) => !Number.isFinite(value)).length;
  if (odd && drawn === histogram) said += `, ${odd} not finite and left out`;
  if (dropped) said += `, ${dropped} dropped, ${marked}`;
  return headed(block, said, (label) => drawn({ values, struck, label, scale }));
}

// Strips of one stage share their colours, unless one would be blank beside the others.
function strips(blocks, view) {
  const sizes = blocks.map((block) => largest(block.values.map(toNumber)));
  const most = Math.max(...sizes);
  return blocks.map((block, at) => strip(block, view, sizes[at] * 10 < most ? sizes[at] : most));
}

function picture(block) {
  const { width, height, channels, label, note } = block;
  let bytes = "";
  try {
    bytes = atob(block.pixels);
  } catch {
    // Told below: it does not fit.
  }
  if (!bytes.length || bytes.length !== width * height * channels)
    return make("p", `The pixels of ${label} do not fit its size.`);
  const kind = channels > 1 ? "in colour" : "grey";
  const said = `${label}: ${width} × ${height} pixels, ${kind}`;
  const canvas = make("canvas", { width, height, role: "img", "aria-label": said });
  const image = new ImageData(width, height);
  image.data.forEach((_, at) => {
    const place = Math.floor(at / 4) * channels + (channels > 1 ? at % 4 : 0);
    image.data[at] = at % 4 === 3 ? 255 : bytes.charCodeAt(place);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  const times = Math.max(1, Math.round(PICTURE / Math.max(width, height)));
  canvas.style.setProperty("width", `${width * times}px`);
  const name = make("strong", ...words(label));
  const caption = make("figcaption", name, " ", note && aside(...words(note)));
  return make("figure.picture", canvas, caption);
}

function tokens(block) {
  const seen = { " ": "·", "\n": "⏎", "\t": "⇥" };
  const chips = block.ids.map((id, index) => {
    const text = block.texts?.[index]?.replace(/[ \n\t]/g, (each) => seen[each]);
    return make("li", text && make("span", text), aside(id));
  });
  const count = chips.length;
  const said = block.total > count ? `${count} of ${block.total} tokens` : counted(count, "token");
  const list = (label) => [make("ol.tokens", { "aria-labelledby": label }, chips)];
  return headed(block, said, list);
}

// What a rerun gave stays with the stage.
function again(stage, { context, memory }) {
  memory.again ??= {};
  const own = (memory.again[stage.id] ??= { p: stage.rate, seed: 0, mode: "as recorded" });
  const rated = typeof stage.rate === "number";
  const result = make("div.result");
  const show = (blocks) => {
    const drawn = blocks.map((each, at) => context.drawBlock(each, `${stage.id}.${at}`));
    result.replaceChildren(...drawn);
  };
  const asked = { again: stage.again, label: "Run this layer again", modes: REPLAYED, rated };
  asked.where = "Shown below.";
  return make("div", rerun(context, own, asked, show), result);
}

function lineOf(spot, tools) {
  const shown = tools?.source?.has(spot.file);
  const choose = () => tools.choose(tools.memory.selected, spot);
  const place = make(
    shown ? "button" : "span",
    { class: "quiet place", type: shown && "button", onclick: shown && choose },
    `${spot.file}:${spot.line}`,
  );
  const text = spot.text && make("code", spot.text.trim());
  return make("div.spot", place, spot.role && aside(spot.role), text);
}

// Without tools it is for paper: numbers, and nothing to press.
export function details(row, tools) {
  const stage = row.stage;
  const head = [make("span.ordinal", row.number), sign(stage.tone)];
  const parts = [make("h3", ...head, ...words(stage.name), badge(stage.mode))];
  if (stage.shape) parts.push(make("p.shape", stage.shape));
  if (stage.words) parts.push(make("p.told", ...words(stage.words)));
  if (stage.pictures?.length) parts.push(make("div.pictures", ...stage.pictures.map(picture)));
  parts.push(...(stage.tokens ?? []).map(tokens));
  parts.push(...strips(stage.strips ?? [], tools?.memory.view));
  if (stage.facts?.length) parts.push(definitions(stage.facts));
  for (const spot of stage.spots ?? []) parts.push(lineOf(spot, tools));
  if (stage.again && tools?.context.act) parts.push(again(stage, tools));
  if (stage.stages?.length && tools) {
    const label = `Go inside: ${counted(stage.stages.length, "stage")}`;
    const onclick = () => tools.choose(`${row.key}.0`);
    parts.push(make("button.quiet", { type: "button", onclick }, label));
  }
  return parts;
}
