// A flow is one tree with one selected stage; only the rows in sight exist.
import { make, showNumber, sign, toNumber, unique, unseen, words } from "./dom.js";

const FIRST_VALUES = 64;
const UNFOLDED = 24;
const MARGIN = 8;

export function definitions(facts) {
  const list = make("dl", { class: "facts" });
  for (const fact of facts) {
    const value = make("dd", {}, ...words(fact.value));
    if (fact.note) value.append(" ", make("span", { class: "note" }, ...words(fact.note)));
    list.append(make("div", {}, make("dt", {}, ...words(fact.label)), value));
  }
  return list;
}

function strip(block) {
  const label = unique("strip");
  const values = block.values.map(toNumber);
  const struck = block.struck ?? [];
  const size = (value) => (Number.isFinite(value) ? Math.abs(value) : 0);
  const largest = values.reduce((most, value) => Math.max(most, size(value)), 1e-300);
  const cells = make("ol", { class: "cells", "aria-labelledby": label });
  const add = (from, to) => {
    for (let index = from; index < Math.min(to, values.length); index += 1) {
      const value = values[index];
      const share = size(value) / largest;
      const bar = make("span", { class: value < 0 ? "size below" : "size", "aria-hidden": "true" });
      bar.style.setProperty("--share", share.toFixed(3));
      const shown = showNumber(value);
      cells.append(
        struck[index]
          ? make("li", { class: "struck" }, make("s", {}, shown), unseen(" dropped"))
          : make("li", {}, shown, bar),
      );
    }
  };
  add(0, FIRST_VALUES);
  const total = Math.max(block.total ?? 0, values.length);
  const dropped = struck.filter(Boolean).length;
  const said = [
    values.length < total ? `${values.length} of ${total} values` : `${values.length} values`,
  ];
  if (dropped) said.push(`${dropped} dropped, struck out`);
  const heading = make(
    "p",
    { class: "strip-head" },
    make("strong", { id: label }, ...words(block.label)),
    " ",
    make("span", { class: "note" }, said.join(", ")),
  );
  const whole = make("div", { class: "strip" }, heading, cells);
  if (values.length > FIRST_VALUES) {
    const more = make(
      "button",
      { type: "button", class: "quiet" },
      `Show all ${values.length} values`,
    );
    more.addEventListener("click", () => {
      add(FIRST_VALUES, values.length);
      cells.tabIndex = -1;
      cells.focus();
      more.remove();
    });
    whole.append(more);
  }
  if (block.note) whole.append(make("p", { class: "note" }, ...words(block.note)));
  return whole;
}

function badge(mode) {
  return mode && make("span", { class: mode.startsWith("train") ? "badge train" : "badge" }, mode);
}

function details(row, choose) {
  const stage = row.stage;
  const parts = [
    make(
      "h3",
      {},
      make("span", { class: "ordinal" }, row.number),
      sign(stage.tone),
      ...words(stage.name),
      badge(stage.mode),
    ),
  ];
  if (stage.shape) parts.push(make("p", { class: "shape" }, stage.shape));
  if (stage.words) parts.push(make("p", {}, ...words(stage.words)));
  for (const each of stage.strips ?? []) parts.push(strip(each));
  if (stage.facts?.length) parts.push(definitions(stage.facts));
  for (const spot of stage.spots ?? []) {
    const place = make("span", { class: "place" }, `${spot.file}:${spot.line}`);
    parts.push(
      make("div", { class: "spot" }, place, spot.text && make("code", {}, spot.text.trim())),
    );
  }
  if (stage.stages?.length && choose) {
    const count = stage.stages.length;
    const inside = make(
      "button",
      { type: "button", class: "quiet" },
      `Go inside: ${count} stage${count > 1 ? "s" : ""}`,
    );
    inside.addEventListener("click", () => choose(`${row.key}.0`));
    parts.push(inside);
  }
  return parts;
}

function every(stages, visit, prefix = "", parent = "") {
  stages.forEach((stage, index) => {
    const key = parent ? `${parent}.${index}` : String(index);
    const number = prefix ? `${prefix}.${index + 1}` : String(index + 1);
    visit({ stage, key, number, index, of: stages.length });
    every(stage.stages ?? [], visit, number, key);
  });
}

export function flow(block, context) {
  const uid = unique("flow");
  const all = new Map();
  every(block.stages, (row) => all.set(row.key, row));
  const memory = context.memory ?? {};
  const parents = [...all.values()].filter((row) => row.stage.stages?.length);
  memory.open ??= new Set(all.size <= UNFOLDED ? parents.map((row) => row.key) : []);
  memory.selected ??= "0";
  if (!all.has(memory.selected)) memory.selected = "0";
  if (!all.size) return make("p", { class: "muted" }, "No stage was recorded.");

  let rows = [];
  let places = new Map();
  let height = 56;
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
  const tools = make("div", { class: "tools" }, previous, next, status);
  const root = make(
    "div",
    { class: "flow", tabindex: -1 },
    tools,
    make("div", { class: "halves" }, tree, panel),
  );

  const flatten = () => {
    rows = [];
    const walk = (stages, parent) =>
      stages.forEach((stage, index) => {
        const key = parent ? `${parent}.${index}` : String(index);
        rows.push(all.get(key));
        if (stage.stages?.length && memory.open.has(key)) walk(stage.stages, key);
      });
    walk(block.stages, "");
    places = new Map(rows.map((row, at) => [row.key, at]));
    space.style.height = `${rows.length * height}px`;
  };
  const item = (row, at) => {
    const children = row.stage.stages?.length;
    const depth = row.key.split(".").length;
    const selected = row.key === memory.selected;
    const opened = memory.open.has(row.key);
    const element = make(
      "div",
      {
        id: `${uid}-${row.key}`,
        class: "row",
        role: "treeitem",
        "aria-level": depth,
        "aria-posinset": row.index + 1,
        "aria-setsize": row.of,
        "aria-selected": String(selected),
        "aria-expanded": children ? String(opened) : null,
        "data-key": row.key,
      },
      children && make("span", { class: "fold", "aria-hidden": "true" }, opened ? "▾" : "▸"),
      make("span", { class: "ordinal" }, row.number),
      make(
        "span",
        { class: "label" },
        make(
          "span",
          { class: "name" },
          sign(row.stage.tone),
          row.stage.name,
          " ",
          badge(row.stage.mode),
        ),
        row.stage.shape && make("span", { class: "small" }, row.stage.shape),
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
    const shown = [];
    if (chosen < first) shown.push(item(rows[chosen], chosen));
    for (let at = first; at < last; at += 1) shown.push(item(rows[at], at));
    if (chosen >= last) shown.push(item(rows[chosen], chosen));
    space.replaceChildren(...shown);
    tree.setAttribute("aria-activedescendant", `${uid}-${memory.selected}`);
  };
  const unfoldTo = (key) => {
    const parts = key.split(".");
    for (let end = 1; end < parts.length; end += 1) memory.open.add(parts.slice(0, end).join("."));
  };
  const reveal = (at) => {
    const top = space.offsetTop + at * height;
    const room = tree.clientHeight - height;
    if (top < tree.scrollTop || top > tree.scrollTop + room) tree.scrollTop = top - room / 2;
  };
  const select = (key, told = true) => {
    if (!all.has(key)) return;
    memory.selected = key;
    if (!places.has(key)) {
      unfoldTo(key);
      flatten();
    }
    const at = places.get(key);
    reveal(at);
    windowed();
    panel.replaceChildren(...details(all.get(key), select));
    status.textContent = `Stage ${at + 1} of ${rows.length}`;
    previous.setAttribute("aria-disabled", String(at === 0));
    next.setAttribute("aria-disabled", String(at === rows.length - 1));
    if (told) context.chosen?.(all.get(key).stage.id);
  };
  const move = (by) => {
    const at = places.get(memory.selected) + by;
    const row = rows[Math.max(0, Math.min(rows.length - 1, at))];
    if (row.key !== memory.selected) select(row.key);
  };
  const fold = (key, open) => {
    if (!all.get(key).stage.stages?.length) return;
    if (open) memory.open.add(key);
    else memory.open.delete(key);
    if (!open && memory.selected.startsWith(`${key}.`)) memory.selected = key;
    flatten();
    select(memory.selected, false);
  };
  const parent = (key) => key.split(".").slice(0, -1).join(".");

  previous.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(1));
  tree.addEventListener("scroll", windowed, { passive: true });
  space.addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]")?.dataset.key;
    if (!key) return;
    if (event.target.closest(".fold")) fold(key, !memory.open.has(key));
    else select(key);
  });
  root.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const anywhere = { j: () => move(1), k: () => move(-1) };
    const key = memory.selected;
    const inTree = {
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      PageDown: () => move(10),
      PageUp: () => move(-10),
      Home: () => select(rows[0].key),
      End: () => select(rows.at(-1).key),
      ArrowRight: () =>
        memory.open.has(key)
          ? all.get(key).stage.stages?.length && select(`${key}.0`)
          : fold(key, true),
      ArrowLeft: () =>
        memory.open.has(key) && all.get(key).stage.stages?.length
          ? fold(key, false)
          : parent(key) && select(parent(key)),
      Enter: () => fold(key, !memory.open.has(key)),
      " ": () => fold(key, !memory.open.has(key)),
    };
    const act = anywhere[event.key] ?? (event.target === tree ? inTree[event.key] : null);
    if (!act) return;
    event.preventDefault();
    act();
  });
  if (parents.length) {
    const folder = make("button", { type: "button", class: "quiet" }, "Unfold all");
    folder.addEventListener("click", () => {
      const unfold = memory.open.size === 0;
      memory.open = new Set(unfold ? parents.map((row) => row.key) : []);
      if (!unfold) memory.selected = memory.selected.split(".")[0];
      folder.textContent = unfold ? "Fold all" : "Unfold all";
      flatten();
      select(memory.selected, false);
    });
    if (memory.open.size) folder.textContent = "Fold all";
    tools.append(folder);
  }
  tools.append(
    make(
      "span",
      { class: "hint" },
      "keys: ",
      make("kbd", {}, "j"),
      " next, ",
      make("kbd", {}, "k"),
      " previous",
    ),
  );

  context.find = (id) => [...all.values()].find((row) => row.stage.id === id)?.key;
  context.select = (key) => select(key, false);
  context.focus = () => tree.focus({ preventScroll: true });
  context.current = () => all.get(memory.selected).stage.id;
  context.paper = () =>
    make(
      "div",
      { class: "paper" },
      ...[...all.values()]
        .slice(0, 200)
        .map((row) => make("div", { class: "stage" }, ...details(row, null))),
    );
  context.root = root;

  flatten();
  select(memory.selected, false);
  new ResizeObserver(() => {
    const probe = space.querySelector(".row");
    const measured = probe ? probe.offsetHeight : 0;
    if (measured && measured !== height) {
      height = measured;
      space.style.height = `${rows.length * height}px`;
    }
    windowed();
  }).observe(tree);
  return root;
}
