// A flow is one tree with one selected stage; only the rows in sight exist.
import { make, sign, unique } from "./dom.js";
import { sourcePane } from "./code.js";
import { VIEWS, badge, details } from "./stage.js";

const UNFOLDED = 24;
const MARGIN = 8;
const WITHOUT_SEARCH = 6;
const FOLDS_KEPT = 60;

// Every stage in the order of the page; what is inside of one stands before its `end`.
function everyRow(stages, above = null, all = []) {
  stages.forEach((stage, index) => {
    const key = above ? `${above.key}.${index}` : String(index);
    const number = `${above ? `${above.number}.` : ""}${index + 1}`;
    const row = { stage, key, number, index, above, of: stages.length, at: all.length };
    row.depth = above ? above.depth + 1 : 1;
    all.push(row);
    everyRow(stage.stages ?? [], row, all);
    row.end = all.length;
  });
  return all;
}

// Spaces and the sign of multiplication do not matter: `32x20` finds `32 × 20`.
const squeeze = (text) => text.toLowerCase().replaceAll("×", "x").replace(/\s+/g, "");

function searched(row) {
  const { name, mode, shape, words, facts } = row.stage;
  const module = facts?.find((fact) => fact.label === "module")?.value ?? /`[^`]+`/.exec(words);
  row.text ??= [name, mode, shape, module].map((part) => squeeze(String(part ?? ""))).join("\n");
  return row.text;
}

export function flow(block, context) {
  const uid = unique("flow");
  const list = everyRow(block.stages);
  if (!list.length) return make("p.muted", "No stage was recorded.");
  const all = new Map(list.map((row) => [row.key, row]));
  const parents = list.filter((row) => row.end > row.at + 1).map((row) => row.key);
  const find = (id) => list.find((row) => row.stage.id === id)?.key;
  const { memory } = context;
  const keep = (name, value) => {
    context.keep(name, value);
    memory.state = JSON.stringify(context.state);
  };
  const recall = () => {
    const { open, find: text = "", view, stage } = context.state;
    memory.state = JSON.stringify(context.state);
    const whole = open ? open === "all" : list.length <= UNFOLDED;
    memory.open = new Set(whole ? parents : open?.split(",").filter((key) => all.has(key)));
    memory.filter = text;
    memory.view = view in VIEWS ? view : "numbers";
    memory.selected = find(stage) ?? "0";
    memory.id = all.get(memory.selected).stage.id;
  };
  const keepFolds = () => {
    const keys = [...memory.open];
    const whole = keys.length === parents.length;
    keep("open", whole ? "all" : keys.length > FOLDS_KEPT ? "" : keys.join(",") || "none");
  };
  if (!memory.open) recall();
  // A page that grows may have moved the stage to another place.
  if (all.get(memory.selected)?.stage.id !== memory.id) memory.selected = find(memory.id);
  memory.selected ??= "0";
  memory.turned ??= new Set();

  let rows = [];
  let places = new Map();
  let height = 56;
  let version = 0;
  let drawnAs = "";
  let hits = null;
  let over = new Set();
  let shown = new Set();
  const space = make("div.space", { role: "presentation" });
  const tree = make(
    "div.tree",
    { role: "tree", tabindex: 0, "aria-label": context.title ?? "Stages" },
    space,
  );
  const button = (text, onclick, kind) =>
    make("button", { type: "button", class: kind, onclick }, text);
  const key = (name) => make("kbd", name);
  const panel = make("div.stage", { role: "group", "aria-label": "Selected stage" });
  const previous = button("← Previous", () => move(-1));
  const next = button("Next →", () => move(1));
  const status = make("span.status", { role: "status" });
  const foldAll = () => {
    memory.open = new Set(memory.open.size ? [] : parents);
    if (!memory.open.size) memory.selected = memory.selected.split(".")[0];
    flatten();
    select(memory.selected, false);
    keepFolds();
  };
  const folder = button("", foldAll, "quiet");
  const many = list.length > WITHOUT_SEARCH;
  const hint = ["keys: ", key("j"), " next, ", key("k"), " previous"];
  if (many) hint.push(", ", key("/"), " find");
  const tools = make("div.tools", previous, next, status);
  if (parents.length) tools.append(folder);
  tools.append(make("span.hint", hint));
  const search = make("input", { type: "search", placeholder: "name, shape, module" });
  const said = make("p.note", { role: "status" });
  const finder = make("div.find", make("label", "Find ", search), said);
  const rail = make("div.rail", many && finder, tree);
  const choose = (which, spot) => select(which, true, spot);
  const source = block.sources?.length && sourcePane(block.sources, list, memory, choose);
  const views = make("div.views", { role: "radiogroup", "aria-label": "Values as" });
  views.append("Values as");
  for (const [view, [text]] of Object.entries(VIEWS)) {
    const onchange = () => {
      memory.view = view;
      keep("view", view === "numbers" ? "" : view);
      showStage();
    };
    const radio = { type: "radio", name: `${uid}-view`, value: view, onchange };
    views.append(make("label", make("input", radio), text));
  }
  const strips = list.some((row) => row.stage.strips?.length);
  const seen = make("div.seen", strips && views, panel);
  const halves = make("div.halves", rail, source && source.root, seen);
  halves.classList.toggle("sourced", Boolean(source));
  const root = make("div.flow", { tabindex: -1 }, tools, halves);

  const isOpen = (key) => (hits ? over.has(key) !== memory.turned.has(key) : memory.open.has(key));
  const setOpen = (key, open) => {
    const keys = hits ? memory.turned : memory.open;
    if (hits ? over.has(key) !== open : open) keys.add(key);
    else keys.delete(key);
  };
  // While a filter is on: what matches, what stands over it, and what is inside of it.
  const sift = () => {
    const needle = squeeze(memory.filter);
    const found = needle ? list.filter((row) => searched(row).includes(needle)) : [];
    hits = needle ? new Set(found.map((row) => row.key)) : null;
    over = new Set();
    shown = new Set();
    for (const row of found) {
      for (let up = row.above; up; up = up.above) over.add(up.key);
      for (let at = row.at; at < row.end; at += 1) shown.add(list[at].key);
    }
    over.forEach((key) => shown.add(key));
    search.value = memory.filter;
    said.textContent = hits ? `${hits.size} of ${list.length} stages match` : "";
    folder.hidden = Boolean(hits);
  };
  const flatten = () => {
    version += 1;
    rows = [];
    for (let at = 0; at < list.length;) {
      const row = list[at];
      const here = !hits || shown.has(row.key);
      if (here) rows.push(row);
      at = here && isOpen(row.key) ? at + 1 : row.end;
    }
    places = new Map(rows.map((row, at) => [row.key, at]));
    space.style.height = `${rows.length * height}px`;
    folder.textContent = memory.open.size ? "Fold all" : "Unfold all";
  };
  const item = (row, at) => {
    const { stage, key, depth } = row;
    const opened = row.end > row.at + 1 ? isOpen(key) : null;
    const fold = make("span.fold", { "aria-hidden": "true" }, opened ? "▾" : "▸");
    const name = [sign(stage.tone), stage.name, stage.mode && [" ", badge(stage.mode)]].flat();
    const element = make(
      "div",
      {
        id: `${uid}-${key}`,
        class: hits && !hits.has(key) ? "row around" : "row",
        role: "treeitem",
        "aria-level": depth,
        "aria-posinset": row.index + 1,
        "aria-setsize": row.of,
        "aria-selected": String(key === memory.selected),
        "aria-expanded": opened === null ? null : String(opened),
        "data-key": key,
      },
      opened !== null && fold,
      make("span.ordinal", row.number),
      make("span.label", make("span.name", name), stage.shape && make("span.small", stage.shape)),
    );
    element.style.setProperty("--depth", Math.min(depth - 1, 6));
    element.style.top = `${at * height}px`;
    return element;
  };
  const windowed = () => {
    const view = tree.clientHeight || 600;
    const first = Math.max(0, Math.floor(tree.scrollTop / height) - MARGIN);
    const last = Math.min(rows.length, Math.ceil((tree.scrollTop + view) / height) + MARGIN);
    const chosen = places.get(memory.selected);
    // A row that is replaced while it is pressed is never clicked.
    const inSight = [first, last, memory.selected, height, version].join();
    if (inSight === drawnAs) return;
    drawnAs = inSight;
    const drawn = [];
    if (chosen < first) drawn.push(item(rows[chosen], chosen));
    for (let at = first; at < last; at += 1) drawn.push(item(rows[at], at));
    if (chosen >= last) drawn.push(item(rows[chosen], chosen));
    space.replaceChildren(...drawn);
    if (chosen === undefined) tree.removeAttribute("aria-activedescendant");
    else tree.setAttribute("aria-activedescendant", `${uid}-${memory.selected}`);
  };
  const reveal = (at) => {
    const top = space.offsetTop + at * height;
    const room = tree.clientHeight - height;
    if (top < tree.scrollTop || top > tree.scrollTop + room) tree.scrollTop = top - room / 2;
  };
  const showRows = () => {
    const at = places.get(memory.selected);
    if (at !== undefined) reveal(at);
    windowed();
    const of = `${rows.length}${hits ? " shown" : ""}`;
    status.textContent = at === undefined ? `Not among the ${of}` : `Stage ${at + 1} of ${of}`;
    previous.setAttribute("aria-disabled", String(!step(-1)));
    next.setAttribute("aria-disabled", String(!step(1)));
  };
  const given = { choose, context, memory, source };
  const showStage = () => {
    context.inner.length = 0;
    panel.replaceChildren(...details(all.get(memory.selected), given));
  };
  const refilter = (text) => {
    memory.filter = text;
    memory.turned.clear();
    sift();
    flatten();
    showRows();
  };
  const showChosen = (spot) => {
    memory.id = all.get(memory.selected).stage.id;
    showRows();
    showStage();
    if (source) source.show(all.get(memory.selected), spot);
  };
  const select = (key, told = true, spot = undefined) => {
    if (!all.has(key)) return;
    memory.selected = key;
    if (hits && !shown.has(key)) {
      keep("find", "");
      refilter("");
    }
    if (!places.has(key)) {
      for (let up = all.get(key).above; up; up = up.above) setOpen(up.key, true);
      flatten();
    }
    showChosen(spot);
    if (!told) return;
    keep("stage", key === "0" ? "" : memory.id);
    context.chosen(memory.id);
  };
  // The stage may be filtered out: then its neighbours are those that stand around its place.
  const step = (by) => {
    const at = places.get(memory.selected);
    if (at !== undefined) {
      const to = Math.max(0, Math.min(rows.length - 1, at + by));
      return to === at ? undefined : rows[to];
    }
    const after = rows.findIndex((row) => row.at > all.get(memory.selected).at);
    return rows[by > 0 ? after : (after < 0 ? rows.length : after) - 1];
  };
  const move = (by) => {
    const row = step(by);
    if (row) select(row.key);
  };
  const fold = (key, open) => {
    const row = all.get(key);
    if (row.end === row.at + 1) return;
    setOpen(key, open);
    if (!open && memory.selected.startsWith(`${key}.`)) memory.selected = key;
    flatten();
    select(memory.selected, false);
    if (!hits) keepFolds();
  };

  const scrolled = () => {
    memory.top = tree.scrollTop;
    windowed();
  };
  tree.addEventListener("scroll", scrolled, { passive: true });
  space.addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]")?.dataset.key;
    if (!key) return;
    if (event.target.closest(".fold")) fold(key, !isOpen(key));
    else select(key);
  });
  search.addEventListener("input", () => refilter(search.value));
  search.addEventListener("change", () => keep("find", memory.filter));
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault();
      refilter("");
      keep("find", "");
    } else if (event.key === "Enter" && hits?.size) select([...hits][0]);
    else if (event.key === "ArrowDown") tree.focus();
    else return;
    event.stopPropagation();
  });
  root.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.matches("input:not([type=radio]), select")) return;
    const row = all.get(memory.selected);
    const opened = row.end > row.at + 1 && isOpen(row.key);
    const turn = () => fold(row.key, !opened);
    const inTree = {
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      PageDown: () => move(10),
      PageUp: () => move(-10),
      Home: () => select(rows[0].key),
      End: () => select(rows.at(-1).key),
      ArrowRight: () => (opened ? select(`${row.key}.0`) : fold(row.key, true)),
      ArrowLeft: () => (opened ? turn() : row.above && select(row.above.key)),
      Enter: turn,
      " ": turn,
    };
    const act = context.keys[event.key] ?? (event.target === tree ? inTree[event.key] : null);
    if (!act) return;
    event.preventDefault();
    act();
  });

  // They work wherever in the section the keyboard is.
  context.keys = { j: () => move(1), k: () => move(-1), "/": () => search.focus() };
  context.find = find;
  context.select = (key) => select(key, false);
  const showAll = () => {
    views.querySelector(`[value=${memory.view}]`).checked = true;
    sift();
    flatten();
    showChosen();
  };
  context.restore = () => {
    if (JSON.stringify(context.state) === memory.state) return;
    recall();
    showAll();
  };
  context.paper = () => {
    const stage = (row) => make("div.stage", details(row, null));
    return make("div.paper", list.slice(0, 200).map(stage));
  };
  context.root = root;

  showAll();
  let placed = false;
  new ResizeObserver(() => {
    const measured = space.querySelector(".row")?.offsetHeight;
    if (measured && measured !== height) {
      height = measured;
      space.style.height = `${rows.length * height}px`;
    }
    // Nothing scrolls before it stands on the page.
    if (!placed && tree.clientHeight) {
      placed = true;
      if (memory.top !== undefined) tree.scrollTop = memory.top;
      else if (places.has(memory.selected)) reveal(places.get(memory.selected));
      if (source) source.reveal(memory.line);
    }
    windowed();
  }).observe(tree);
  return root;
}
