// A graph of modules stands on a rail, in the order of calls; what skips a node runs beside it.
import { draw, make, sign, tableBelow, unique, visible, words } from "./dom.js";

const LANES = 8;
const LANE = 10;
const SMALL = 24;
const NAMED = 8;

function readNodes(nodes, path = [], all = new Map()) {
  nodes.forEach((node, index) => {
    const key = [...path.slice(-1), index].join(".");
    const inner = Boolean(node.nodes?.length);
    all.set(key, { node, key, path, inner, index, of: nodes.length, name: visible(node.name) });
    readNodes(node.nodes ?? [], [...path, key], all);
  });
  return all;
}

// Skips side by side get lanes of their own; beyond the last lane they share it.
function assignLanes(edges) {
  const taken = [];
  edges.sort((one, other) => one.top - other.top || one.bottom - other.bottom);
  for (const edge of edges) {
    edge.lane = 0;
    while (edge.lane < LANES - 1 && taken[edge.lane] > edge.top) edge.lane += 1;
    taken[edge.lane] = Math.max(taken[edge.lane] ?? 0, edge.bottom);
  }
  return taken.length;
}

export function graph(block, context) {
  const { memory } = context;
  const all = readNodes(block.nodes);
  const items = [...all.values()];
  const byId = new Map(items.toReversed().map((item) => [item.node.id, item]));
  const parents = items.filter(({ inner }) => inner).map(({ key }) => key);
  const links = items.flatMap((to) =>
    (to.node.sources ?? []).flatMap((id) => (byId.has(id) ? { from: byId.get(id), to } : [])),
  );
  const id = unique("graph");
  const root = make("div.graph", make("h3", { id }, ...words(block.title)));
  if (!all.size) {
    root.append(make("p.muted", "No module was recorded."));
    return root;
  }
  const usual = parents.slice(0, all.size <= SMALL ? SMALL : Number(block.nodes.length === 1));
  let rows = [];
  let places = new Map();
  let edges = [];
  let height = 44;
  let rail = 14;
  let version = 0;
  let drawnAs = "";
  const space = make("div.stations", { role: "presentation" });
  const box = { class: "rails", role: "tree", tabindex: 0, "aria-labelledby": id };
  const tree = make("div", box, space);
  const said = make("p", { role: "status" });
  const folder = make("button.quiet", { type: "button" });

  const standing = (item) => item.path.find((key) => !memory.open.has(key)) ?? item.key;
  const isStation = ({ key, inner }) => !inner || !memory.open.has(key);
  const isMine = ({ start, end }) => start === memory.node || end === memory.node;
  const flatten = () => {
    version += 1;
    rows = items.filter(({ path }) => path.every((key) => memory.open.has(key)));
    places = new Map(rows.map(({ key }, at) => [key, at]));
    const order = new Map(rows.filter(isStation).map(({ key }, at) => [key, at]));
    const found = new Map();
    for (const { from, to } of links) {
      const [start, end] = [standing(from), standing(to)];
      const ends = [places.get(start), places.get(end)];
      const [top, bottom] = [Math.min(...ends), Math.max(...ends)];
      const straight = order.get(end) === order.get(start) + 1;
      if (start !== end) found.set(`${start} ${end}`, { start, end, top, bottom, straight });
    }
    edges = [...found.values()];
    rail = 14 + LANE * assignLanes(edges.filter(({ straight }) => !straight));
    space.style.height = `${rows.length * height}px`;
    space.style.setProperty("--gutter", `${rail + 14}px`);
    folder.textContent = memory.open.size ? "Fold all" : "Unfold all";
  };
  const middle = (key) => (places.get(key) + 0.5) * height;
  const wire = (edge) => {
    const [from, to] = [middle(edge.start), middle(edge.end)];
    const x = rail - 6 - (edge.lane + 1) * LANE;
    const turn = Math.sign(to - from) * 12;
    const d = edge.straight
      ? `M${rail} ${from}V${to - 7}m-4 -5l4 5l4 -5`
      : `M${rail} ${from}H${x + 8}Q${x} ${from} ${x} ${from + turn}V${to - turn}` +
        `Q${x} ${to} ${x + 8} ${to}H${rail - 6}m-5 -4l5 4l-5 4`;
    return draw("path", { class: isMine(edge) ? "link mine" : "link", d });
  };
  const row = (item) => {
    const { key, node, inner, path } = item;
    const opened = memory.open.has(key);
    const element = make(
      "div",
      {
        id: `${id}-${key}`,
        class: isStation(item) ? "station" : "station opened",
        role: "treeitem",
        "aria-level": path.length + 1,
        "aria-posinset": item.index + 1,
        "aria-setsize": item.of,
        "aria-selected": String(key === memory.node),
        "aria-expanded": inner ? String(opened) : null,
        "data-key": key,
      },
      inner && make("span", { "aria-hidden": "true" }, opened ? "▾" : "▸"),
      make("span.name", sign(node.tone), item.name, " "),
      make("span.small", node.shape),
    );
    element.style.top = `${places.get(key) * height}px`;
    element.style.setProperty("--depth", Math.min(path.length, 6));
    return element;
  };
  const paint = () => {
    const first = Math.max(0, Math.floor(tree.scrollTop / height) - 6);
    const shown = rows.slice(first, first + Math.ceil((tree.clientHeight || 600) / height) + 12);
    // A row that is replaced while it is pressed is never clicked.
    const now = [first, shown.length, memory.node, height, version].join();
    if (now === drawnAs) return;
    drawnAs = now;
    const last = first + shown.length;
    const dot = ({ key }) => draw("circle.dot", { cx: rail, cy: middle(key), r: 5 });
    const dots = shown.filter(isStation).map(dot);
    const chosen = all.get(memory.node);
    const inSight = edges.filter(({ top, bottom }) => bottom >= first && top < last);
    const wires = [...inSight.filter((edge) => !isMine(edge)), ...inSight.filter(isMine)];
    const picture = draw(
      "svg",
      {
        "aria-hidden": "true",
        viewBox: `0 ${first * height} ${rail + 8} ${shown.length * height}`,
        width: rail + 8,
        height: shown.length * height,
      },
      ...wires.map(wire),
      ...dots,
    );
    picture.style.top = `${first * height}px`;
    if (!shown.includes(chosen)) shown.push(chosen);
    space.replaceChildren(...shown.map(row), picture);
    tree.setAttribute("aria-activedescendant", `${id}-${memory.node}`);
  };
  // Names of what a node takes from and of what it feeds, as they stand in the rail now.
  const around = (key) => {
    const within = (item) => item.key === key || item.path.includes(key);
    const sides = [new Set(), new Set()];
    for (const { from, to } of links) {
      if (within(to) && !within(from)) sides[0].add(standing(from));
      if (within(from) && !within(to)) sides[1].add(standing(to));
    }
    return sides.map((keys) => {
      const names = [...keys].slice(0, NAMED).map((each) => all.get(each).name);
      if (keys.size > NAMED) names.push(`${keys.size - NAMED} more`);
      return names.join(", ") || "nothing recorded";
    });
  };
  const select = (key) => {
    memory.node = key;
    const { node, name } = all.get(key);
    const top = places.get(key) * height;
    if (top < tree.scrollTop || top > tree.scrollTop + tree.clientHeight - height)
      tree.scrollTop = top - tree.clientHeight / 2;
    paint();
    const [takes, feeds] = around(key);
    const what = [name, node.shape, node.words?.replace(/\.$/, "")].filter(Boolean).join("; ");
    said.replaceChildren(...words(`${what}. Takes from: ${takes}. Feeds: ${feeds}.`));
  };
  const go = (key) => {
    select(key);
    context.keep("node", key === "0" ? "" : key);
  };
  const fold = (keys, open) => {
    keys.forEach((key) => (open ? memory.open.add(key) : memory.open.delete(key)));
    flatten();
    go(standing(all.get(memory.node)));
    const text = parents.filter((key) => memory.open.has(key)).join(",");
    context.keep("open", text === usual.join(",") ? "" : text || "none");
  };
  const toggle = (key) => all.get(key).inner && fold([key], !memory.open.has(key));

  folder.addEventListener("click", () => fold(parents, !memory.open.size));
  tree.addEventListener("scroll", paint, { passive: true });
  space.addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]")?.dataset.key;
    if (!key) return;
    go(key);
    toggle(key);
  });
  tree.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const key = memory.node;
    const { path } = all.get(key);
    const opened = memory.open.has(key);
    const at = places.get(key);
    const to = (place) => go(rows[Math.max(0, Math.min(rows.length - 1, place))].key);
    const act = {
      ArrowDown: () => to(at + 1),
      ArrowUp: () => to(at - 1),
      Home: () => to(0),
      End: () => to(rows.length - 1),
      ArrowRight: () => (opened ? to(at + 1) : toggle(key)),
      ArrowLeft: () => (opened ? toggle(key) : path.length && go(path.at(-1))),
      Enter: () => toggle(key),
      " ": () => toggle(key),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  const nodeLine = ({ name, path, node }) => [
    name,
    path.map((key) => all.get(key).name).join(" › "),
    node.shape,
    node.words,
    (node.sources ?? []).map((source) => byId.get(source)?.name ?? source).join(", "),
  ];
  const heads = ["node", "inside", "shape", "what it does", "takes from"];
  const restore = (open, node) => {
    const { state } = context;
    const keys = state.open?.split(",").filter((key) => all.get(key)?.inner);
    memory.open = keys ? new Set(keys) : open;
    const wanted = all.get(state.node ?? node) ?? items[0];
    wanted.path.forEach((key) => memory.open.add(key));
    flatten();
    select(wanted.key);
  };
  context.restore = () => restore(new Set(usual), "0");
  root.append(
    parents.length ? make("div.tools", folder) : "",
    tree,
    said,
    block.note ? make("p.note", ...words(block.note)) : "",
    tableBelow("The graph as a table", block.title, () => ({ heads, rows: items.map(nodeLine) })),
  );
  restore(memory.open ?? new Set(usual), memory.node);
  new ResizeObserver(() => {
    const measured = space.querySelector(".station").offsetHeight;
    if (measured && measured !== height) {
      height = measured;
      flatten();
    }
    paint();
  }).observe(tree);
  return root;
}
