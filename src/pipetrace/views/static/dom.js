// Every string of a page reaches the document as text, never as markup.

const CONTROLS = "\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f";
const DIRECTIONS = "\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f";
const INVISIBLE = "\\u00ad\\u180e\\u200b\\ufeff\\ufff9-\\ufffb";
const HIDDEN = new RegExp(`[${CONTROLS}${DIRECTIONS}${INVISIBLE}]|[\\u{e0000}-\\u{e007f}]`, "gu");
const SVG = "http://www.w3.org/2000/svg";
const MOST_ROWS = 1000;
// Tables of more rows stay folded on paper: what they show is in the picture above.
const LONG = 60;
let made = 0;

export function visible(text) {
  return String(text ?? "")
    .replace(/\r\n/g, "\n")
    .replace(HIDDEN, (character) => {
      const code = character.codePointAt(0).toString(16);
      if (code.length > 4) return `\\U${code.padStart(8, "0")}`;
      return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
    });
}

export function unique(word) {
  made += 1;
  return `pipetrace-${word}-${made}`;
}

// Parts are properties, elements and text, in any order and however deep.
function fill(element, parts) {
  for (const part of parts.flat(Infinity)) {
    if (part instanceof Node) element.append(part);
    else if (typeof part !== "object" && part !== undefined && part !== false && part !== "")
      element.append(visible(part));
    else if (part) set(element, part);
  }
  return element;
}

function set(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : visible(value));
  }
}

function named(name, make) {
  const [tag, ...classes] = name.split(".");
  const element = make(tag);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  return element;
}

// Classes stand behind the tag: make("p.note", "text").
export function make(name, ...parts) {
  return fill(
    named(name, (tag) => document.createElement(tag)),
    parts,
  );
}

export function draw(name, ...parts) {
  return fill(
    named(name, (tag) => document.createElementNS(SVG, tag)),
    parts,
  );
}

// Text with `code` between backticks set apart.
export function words(text) {
  return visible(text)
    .split(/`([^`\n]+)`/)
    .map((piece, index) => (index % 2 ? make("code", piece) : piece));
}

export function unseen(text) {
  return make("span.unseen", text);
}

export function toNumber(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "number" ? value : Number(value);
}

export function showNumber(value) {
  const number = toNumber(value);
  if (number === null) return "not measured";
  if (Number.isNaN(number)) return "NaN";
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "-∞";
  const size = Math.abs(number);
  if (Number.isInteger(number) && size < 1e6) return String(number === 0 ? 0 : number);
  if (size >= 1e-4 && size < 1e4) {
    const short = Number(number.toPrecision(4));
    if (Math.abs(short) < 1e4) return String(short);
  }
  const [mantissa, exponent] = number.toExponential(3).split("e");
  return `${Number(mantissa)}e${Number(exponent)}`;
}

export const SIGNS = { key: "★", good: "✓", warning: "!", bad: "✗" };
const SAID = { key: "key point", good: "good", warning: "warning", bad: "problem" };

export function sign(tone) {
  if (!SIGNS[tone]) return null;
  return make(
    "span",
    { class: `sign ${tone}`, role: "img", "aria-label": SAID[tone] },
    SIGNS[tone],
  );
}

// A pane that scrolls sideways on its own, reachable by keyboard.
export function pane(label, ...children) {
  return make("div.pane", { role: "group", tabindex: 0, "aria-label": label }, ...children);
}

// What a picture shows as a table below it, written when somebody opens it.
export function tableBelow(summary, label, content) {
  const details = make("details.data", make("summary", summary));
  details.isLong = () => content().rows.length > LONG;
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const { heads, rows, note } = content();
    const row = ([first, ...cells]) =>
      make(
        "tr",
        make("th", { scope: "row" }, first),
        ...cells.map((cell) => make("td.number", cell)),
      );
    const head = heads.map((each) => make("th", { scope: "col" }, each));
    const body = make("tbody", ...rows.slice(0, MOST_ROWS).map(row));
    details.append(
      pane(`${label}, as a table`, make("table", make("thead", make("tr", head)), body)),
    );
    const left = rows.length - MOST_ROWS;
    if (left > 0) details.append(make("p.muted", `${left} more rows are in the JSON export.`));
    if (note) details.append(make("p.note", note));
  });
  return details;
}
