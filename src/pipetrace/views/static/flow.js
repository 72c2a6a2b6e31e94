// A flow is one tree with one selected stage; only the rows in sight exist.
import { make, sign, unique } from "./dom.js";
import { sourcePane } from "./code.js";
import { VIEWS, badge, details } from "./stage.js";

const UNFOLDED = 24;
const MARGIN = 8;
const FEW = 6;
const FOLDS_KEPT = 60;

function every(stages, visit, prefix = "", parent = "") {
  stages.forEach((stage, index) => {
    const key = parent ? `${parent}.${index}` : String(index);
    const number = prefix ? `${prefix}.${index + 1}` : String(index + 1);
    visit({ stage, key, number, index, of: stages.length });
    every(stage.stages ?? [], visit, number, key);
  });
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
  const all = new Map();
  every(block.stages, (row) => all.set(row.key, { ...row, at: all.size }));
  if (!all.size) return make("p", { class: "muted" }, "No stage was recorded.");
  const memory = context.memory ?? {};
  const parents = [...all.values()].filter((row) => row.stage.stages?.length);
  const inside = (key) => all.get(key).stage.stages ?? [];
  const above = (key) => key.slice(0, Math.max(0, key.lastIndexOf(".")));
  const unfolded = (text) => {
    if (text === "none") return new Set();
    if (text && text !== "all") return new Set(text.split(",").filter((key) => all.has(key)));
    return new Set(text || all.size <= UNFOLDED ? parents.map((row) => row.key) : []);
  };
  const recall = () => {
    const { open, find, view } = context.state ?? {};
    memory.open = unfolded(open);
    memory.filter = find ?? "";
    memory.view = view in VIEWS ? view : "numbers";
  };
  const keep = (name, value) => context.keep?.(name, value);
  const keepFolds = () => {
    const keys = [...memory.open];
    const whole = keys.length === parents.length ? "all" : keys.join(",") || "none";
    keep("open", whole === "all" || keys.length <= FOLDS_KEPT ? whole : "");
  };
  if (!memory.open) recall();
  // A page that grows may have moved the stage to another place.
  if (memory.id !== undefined && all.get(memory.selected)?.stage.id !== memory.id)
    memory.selected = [...all.values()].find((row) => row.stage.id === memory.id)?.key;
  if (!all.has(memory.selected)) memory.selected = "0";
  memory.turned ??= new Set();

  let rows = [];
  let places = new Map();
  let height = 56;
  let hits = null;
  let over = new Set();
  let shown = new Set();
  const space = make("div", { class: "space", role: "presentation" });
  const tree = make(
    "div",
    { class: "tree", role: "tree", tabindex: 0, "aria-label": context.title ?? "Stages" },
    space,
  );
  const panel = make("div", { class: "stage", role: "region", "aria-label": "Selected stage" });
  const previous = make("button", { type: "button" }, "← Previous");
  const next = make("button", { type: "button" }, "Next →");
  const status = make("span", { class: "status", role: "status" });
  const folder = make("button", { type: "button", class: "quiet" });
  const hint = ["keys: ", make("kbd", {}, "j"), " next, ", make("kbd", {}, "k"), " previous"];
  const tools = make("div", { class: "tools" }, previous, next, status);
  if (parents.length) tools.append(folder);
  const search = make("input", { type: "search", placeholder: "name, mode, shape or module" });
  const found = make("p", { class: "note", role: "status" });
  const find = make("div", { class: "find" }, make("label", {}, "Find ", search), found);
  const rail = make("div", { class: "rail" }, all.size > FEW && find, tree);
  if (all.size > FEW) hint.push(", ", make("kbd", {}, "/"), " find");
  tools.append(make("span", { class: "hint" }, ...hint));
  const choose = (key, path) => select(key, true, path);
  const source =
    block.sources?.length && sourcePane(block.sources, all.values(), memory, choose);
  const seen = make("div", { class: "seen" }, panel);
  const halves = make("div", { class: "halves" }, rail, source && source.root, seen);
  halves.classList.toggle("sourced", Boolean(source));
  const root = make("div", { class: "flow", tabindex: -1 }, tools, halves);

  const isOpen = (key) => (hits ? over.has(key) !== memory.turned.has(key) : memory.open.has(key));
  const setOpen = (key, open) => {
    const keys = hits ? memory.turned : memory.open;
    if (hits ? over.has(key) !== open : open) keys.add(key);
    else keys.delete(key);
  };
  // While a filter is on: what matches, what stands over it, and what is inside of it.
  const sift = () => {
    const needle = squeeze(memory.filter);
    hits = needle ? new Set() : null;
    over = new Set();
    shown = new Set();
    const sieve = (stages, parent, within) =>
      stages.reduce((any, stage, index) => {
        const key = parent ? `${parent}.${index}` : String(index);
        const hit = searched(all.get(key)).includes(needle);
        if (hit) hits.add(key);
        const below = sieve(stage.stages ?? [], key, within || hit);
        if (below) over.add(key);
        if (hit || below || within) shown.add(key);
        return any || hit || below;
      }, false);
    if (hits) sieve(block.stages, "", false);
    search.value = memory.filter;
    found.textContent = hits ? `${hits.size} of ${all.size} stages match` : "";
    folder.hidden = Boolean(hits);
  };
  const flatten = () => {
    rows = [];
    const walk = (stages, parent) =>
      stages.forEach((stage, index) => {
        const key = parent ? `${parent}.${index}` : String(index);
        if (hits && !shown.has(key)) return;
        rows.push(all.get(key));
        if (stage.stages?.length && isOpen(key)) walk(stage.stages, key);
      });
    walk(block.stages, "");
    places = new Map(rows.map((row, at) => [row.key, at]));
    space.style.height = `${rows.length * height}px`;
    folder.textContent = memory.open.size ? "Fold all" : "Unfold all";
  };
  const item = (row, at) => {
    const { stage, key } = row;
    const depth = key.split(".").length;
    const opened = inside(key).length ? isOpen(key) : null;
    const name = make("span", { class: "name" }, sign(stage.tone), stage.name, " ");
    name.append(badge(stage.mode) || "");
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
      opened !== null &&
        make("span", { class: "fold", "aria-hidden": "true" }, opened ? "▾" : "▸"),
      make("span", { class: "ordinal" }, row.number),
      make(
        "span",
        { class: "label" },
        name,
        stage.shape && make("span", { class: "small" }, stage.shape),
      ),
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
  const showStage = () => panel.replaceChildren(...details(all.get(memory.selected), given));
  const refilter = (text) => {
    memory.filter = text;
    memory.turned.clear();
    sift();
    flatten();
    showRows();
  };
  const select = (key, told = true, path = undefined) => {
    if (!all.has(key)) return;
    memory.selected = key;
    memory.id = all.get(key).stage.id;
    if (hits && !shown.has(key)) {
      keep("find", "");
      refilter("");
    }
    if (!places.has(key)) {
      for (let up = above(key); up; up = above(up)) setOpen(up, true);
      flatten();
    }
    showRows();
    showStage();
    if (source) source.show(all.get(key), path);
    if (told) context.chosen?.(memory.id);
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
    if (!inside(key).length) return;
    setOpen(key, open);
    if (!open && memory.selected.startsWith(`${key}.`)) memory.selected = key;
    flatten();
    select(memory.selected, false);
    if (!hits) keepFolds();
  };

  previous.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(1));
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
  folder.addEventListener("click", () => {
    const unfold = memory.open.size === 0;
    memory.open = new Set(unfold ? parents.map((row) => row.key) : []);
    if (!unfold) memory.selected = memory.selected.split(".")[0];
    flatten();
    select(memory.selected, false);
    keepFolds();
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
    if (event.target.matches("input:not([type=radio]), select, textarea")) return;
    const anywhere = { j: () => move(1), k: () => move(-1), "/": () => search.focus() };
    const key = memory.selected;
    const inTree = {
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      PageDown: () => move(10),
      PageUp: () => move(-10),
      Home: () => select(rows[0].key),
      End: () => select(rows.at(-1).key),
      ArrowRight: () => (isOpen(key) ? inside(key).length && select(`${key}.0`) : fold(key, true)),
      ArrowLeft: () =>
        isOpen(key) && inside(key).length ? fold(key, false) : above(key) && select(above(key)),
      Enter: () => fold(key, !isOpen(key)),
      " ": () => fold(key, !isOpen(key)),
    };
    const act = anywhere[event.key] ?? (event.target === tree ? inTree[event.key] : null);
    if (!act) return;
    event.preventDefault();
    act();
  });
  const views = make("div", { class: "views", role: "radiogroup", "aria-label": "Values as" });
  views.append("Values as");
  for (const [view, text] of Object.entries(VIEWS)) {
    const radio = make("input", { type: "radio", name: `${uid}-view`, value: view });
    radio.addEventListener("change", () => {
      memory.view = view;
      keep("view", view === "numbers" ? "" : view);
      showStage();
    });
    views.append(make("label", {}, radio, text));
  }
  const showViews = () => (views.querySelector(`[value=${memory.view}]`).checked = true);
  if ([...all.values()].some((row) => row.stage.strips?.length)) seen.prepend(views);

  context.find = (id) => [...all.values()].find((row) => row.stage.id === id)?.key;
  context.select = (key) => select(key, false);
  context.focus = () => tree.focus({ preventScroll: true });
  context.current = () => memory.id;
  context.restore = () => {
    recall();
    showViews();
    sift();
    flatten();
    select(memory.selected, false);
  };
  context.paper = () => {
    const told = [...all.values()].slice(0, 200);
    const stages = told.map((row) => make("div", { class: "stage" }, ...details(row, null)));
    return make("div", { class: "paper" }, ...stages);
  };
  context.root = root;

  showViews();
  sift();
  flatten();
  select(memory.selected, false);
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
