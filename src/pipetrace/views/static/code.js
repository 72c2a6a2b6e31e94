// Source text: a block of its own, or beside the stages that its lines made and called.
import { make, visible } from "./dom.js";

const CHUNK = 50;
const SIGN = { made: "◆", called: "▸", failed: "✗" };
const DID = { made: "made", called: "called", failed: "failed in" };

const numbered = (block) =>
  (block.text ?? "")
    .replace(/\n$/, "")
    .split("\n")
    .map((text, index) => [(block.first ?? 1) + index, text]);

// One element a line: sign and number are written by the style sheet, and never copied.
function codeLine(tag, line, text, sign) {
  const element = document.createElement(tag);
  element.className = "code-line";
  element.dataset.line = line;
  if (sign) element.dataset.sign = sign;
  element.textContent = `${visible(text)}\n`;
  return element;
}

// Out of sight a whole chunk of lines is left unlaid: see `content-visibility` in the style sheet.
function textOf(lines, properties) {
  const text = make("pre", properties);
  for (let at = 0; at < lines.length; at += CHUNK) {
    const chunk = make("code", lines.slice(at, at + CHUNK));
    chunk.style.setProperty("--count", chunk.children.length);
    text.append(chunk);
  }
  text.style.setProperty("--digits", lines.at(-1)?.dataset.line.length ?? 1);
  return text;
}

export function code(block) {
  const marks = new Set(block.marks ?? []);
  const lines = numbered(block).map(([line, text]) => {
    const element = codeLine("span", line, text, marks.has(line) && "▸");
    element.classList.toggle("marked", marks.has(line));
    return element;
  });
  const label = block.path || "source text";
  const text = textOf(lines, { tabindex: 0, role: "group", "aria-label": label });
  return make("figure.code", block.path && make("figcaption", block.path), text);
}

const parts = (role) => (role ? role.split(" and ") : []);

function tally(entries) {
  const said = [];
  for (const role of Object.keys(DID)) {
    const count = entries.filter((entry) => parts(entry.role).includes(role)).length;
    if (count) said.push(`${DID[role]} ${count} stage${count > 1 ? "s" : ""}`);
  }
  return said.join(" and ") || "belongs to a stage";
}

// Lines that belong to stages are buttons, one of them a tab stop; each file is built once.
export function sourcePane(sources, rows, memory, choose) {
  const files = new Map();
  for (const block of sources) {
    const named = block.path ?? "";
    if (!files.has(named)) files.set(named, { texts: [], stages: new Map() });
    files.get(named).texts.push(...numbered(block));
  }
  for (const { stage, key } of rows)
    for (const { file: path, line, role } of stage.spots ?? []) {
      const stages = files.get(path)?.stages;
      if (stages?.has(line)) stages.get(line).push({ key, role });
      else stages?.set(line, [{ key, role }]);
    }
  const paths = [...files.keys()];
  const place = paths.length > 1 ? make("select") : make("span.place", paths[0]);
  const status = make("span.note", { role: "status" });
  const scroller = make("div.lines", { role: "group" });
  const label = paths.length > 1 ? make("label", "File ", place) : place;
  const root = make(
    "div.beside",
    { role: "group", "aria-label": "Source" },
    make("div.source-head", label, status),
    scroller,
  );
  let [path, file, stop] = [];
  let marked = [];

  const button = (line, text, entries) => {
    const did = new Set(entries.flatMap((entry) => parts(entry.role)));
    const role = Object.keys(SIGN).find((each) => did.has(each));
    const element = codeLine("button", line, text, SIGN[role] ?? "•");
    element.type = "button";
    element.tabIndex = -1;
    element.title = `line ${line} ${tally(entries)}`;
    return element;
  };
  const build = () => {
    const shown = [];
    let before = 0;
    for (const [line, text] of file.texts.sort((one, other) => one[0] - other[0])) {
      if (line === before) continue;
      if (before && line > before + 1)
        shown.push(codeLine("span", "⋯", `${line - before - 1} lines`));
      const entries = file.stages.get(line);
      shown.push(entries ? button(line, text, entries) : codeLine("span", line, text));
      before = line;
    }
    file.lines = new Map(shown.map((element) => [Number(element.dataset.line), element]));
    file.buttons = shown.filter((element) => element.type);
    file.pre = textOf(shown, {});
  };
  const stopAt = (element) => {
    if (stop) stop.tabIndex = -1;
    stop = element;
    if (stop) stop.tabIndex = 0;
  };
  const open = (wanted) => {
    if (wanted === path) return;
    path = wanted;
    file = files.get(path);
    if (!file.pre) build();
    scroller.replaceChildren(file.pre);
    scroller.setAttribute("aria-label", visible(path || "source text"));
    scroller.tabIndex = file.buttons.length ? -1 : 0;
    place.value = paths.indexOf(path);
    stopAt(file.buttons[0]);
  };
  const stagesOf = (line) => [...new Set(file.stages.get(line).map(({ key }) => key))];
  // Both lines where they fit, else the first, which made the stage.
  const reveal = (at, aims = marked.length ? marked : file.buttons.slice(0, 1)) => {
    const room = scroller.clientHeight;
    if (at !== undefined) scroller.scrollTop = at;
    if (at !== undefined || !aims.length || !room) return;
    const tall = aims[0].offsetHeight;
    const above = scroller.getBoundingClientRect().top - scroller.scrollTop;
    const tops = aims.map((element) => element.getBoundingClientRect().top - above);
    const [first, last] = [Math.min(...tops), Math.max(...tops)];
    const [top, end] = last + tall - first < room ? [first, last] : [tops[0], tops[0]];
    if (top < scroller.scrollTop || end + tall > scroller.scrollTop + room)
      scroller.scrollTop = (top + end + tall - room) / 2;
  };
  const show = ({ stage, key }, wanted) => {
    for (const element of marked) {
      element.classList.remove("marked", "made");
      element.removeAttribute("aria-current");
      element.dataset.sign = element.dataset.sign.split(" ")[0];
    }
    const spots = (stage.spots ?? []).filter((spot) => files.has(spot.file));
    const stays = !spots.length || spots.some((spot) => spot.file === path);
    open(wanted?.file ?? (stays && path !== undefined ? path : (spots[0]?.file ?? paths[0])));
    marked = [];
    for (const { file: where, line, role } of spots) {
      const element = where === path && file.lines.get(line);
      if (!element) continue;
      const [first = "", second] = parts(role);
      element.dataset.sign = visible(`${SIGN[first] ?? "•"} ${second ? "both" : first}`);
      element.classList.add("marked");
      element.classList.toggle("made", first === "made");
      element.setAttribute("aria-current", "true");
      marked.push(element);
    }
    status.textContent = marked.length ? "" : "No line of this file is known for the stage.";
    const aim = file.lines.get(wanted?.line);
    if (marked.length && !root.contains(document.activeElement)) stopAt(marked[0]);
    reveal(undefined, aim && [aim]);
    aim?.focus();
  };

  if (paths.length > 1) {
    place.append(...paths.map((each) => make("option", { value: paths.indexOf(each) }, each)));
    place.addEventListener("change", () => choose(memory.selected, { file: paths[place.value] }));
  }
  scroller.addEventListener("scroll", () => (memory.line = scroller.scrollTop), { passive: true });
  scroller.addEventListener("click", (event) => {
    const element = event.target.closest("button");
    if (!element) return;
    const line = Number(element.dataset.line);
    const keys = stagesOf(line);
    const next = (keys.indexOf(memory.selected) + 1) % keys.length;
    stopAt(element);
    choose(keys[next], { file: path });
    const which = keys.length > 1 ? `; this is ${next + 1} of ${keys.length}` : "";
    status.textContent = `Line ${line} ${tally(file.stages.get(line))}${which}.`;
  });
  scroller.addEventListener("keydown", (event) => {
    const at = file.buttons.indexOf(event.target);
    const last = file.buttons.length - 1;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    stopAt(file.buttons[Math.max(0, Math.min(last, to))]);
    stop.focus();
  });
  return { root, show, reveal, has: (each) => files.has(each) };
}
