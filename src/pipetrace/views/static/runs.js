// The list of runs: it follows their files, and two of them can be compared.
import { make, words } from "./dom.js";

const TOKEN = new URLSearchParams(location.search).get("token") ?? "";
const COLUMNS = ["started", "state", "epochs", "loss"];

function to(path) {
  return `${path}?token=${encodeURIComponent(TOKEN)}`;
}

function problem(told) {
  return [
    make("header.top", make("h1", ...words(told.title))),
    make(
      "main",
      make("p", ...words(told.text)),
      make("p", make("a", { href: to("/") }, "All runs")),
    ),
  ];
}

function listOf(told) {
  const rows = new Map();
  const body = make("tbody");
  const count = make("p.subtitle");
  const none = make("p.intro");
  const said = make("span", { role: "status" });
  const button = make("button", { type: "button" }, "Compare the two chosen runs");
  const chosen = () => [...rows].filter(([, each]) => each.box.checked).map(([id]) => id);
  const tell = () => button.setAttribute("aria-disabled", String(chosen().length !== 2));
  const head = ["Compare", "Run", "Began", "State", "Epochs", "Last loss"].map((label, index) =>
    make("th", { scope: "col", class: index > 3 && "number" }, label),
  );
  const table = make(
    "table",
    make("caption.unseen", "Runs, the newest first"),
    make("thead", make("tr", ...head)),
    body,
  );
  const pane = make("div.pane", { role: "group", tabindex: 0, "aria-label": "Runs" }, table);
  const tools = make("div.tools", button, said);
  const row = (run) => {
    const named = { "aria-label": `Compare ${run.name}`, onchange: tell };
    const box = make("input", { type: "checkbox" }, named);
    const link = make("a", { href: to(`/run/${run.id}`) }, run.name);
    const cells = COLUMNS.map((name, index) => make("td", { class: index > 1 && "number" }));
    const element = make(
      "tr",
      make("td", make("label.choice", box)),
      make("th", { scope: "row" }, link),
      ...cells,
    );
    return { box, cells, element };
  };
  const show = (next) => {
    const ids = new Set(next.runs.map((run) => run.id));
    for (const [id, each] of rows) {
      if (ids.has(id)) continue;
      each.element.remove();
      rows.delete(id);
    }
    next.runs.forEach((run, index) => {
      const each = rows.get(run.id) ?? row(run);
      rows.set(run.id, each);
      COLUMNS.forEach((name, at) => {
        if (each.cells[at].textContent !== run[name]) each.cells[at].replaceChildren(run[name]);
      });
      if (body.children[index] !== each.element)
        body.insertBefore(each.element, body.children[index] ?? null);
    });
    const many = next.runs.length;
    count.textContent = many === 1 ? "1 run" : `${many} runs`;
    none.textContent = many ? "" : "No run is here yet. pipetrace run makes one.";
    pane.hidden = tools.hidden = !many;
    tell();
  };
  button.addEventListener("click", () => {
    const ids = chosen();
    const so = `${ids.length || "none"} ${ids.length === 1 ? "is" : "are"} chosen`;
    said.textContent = ids.length === 2 ? "" : `Choose two runs: ${so}.`;
    if (ids.length !== 2) return;
    const order = [...rows.keys()].sort(
      (a, b) => place(rows.get(b).element) - place(rows.get(a).element),
    );
    const [older, newer] = order.filter((id) => ids.includes(id));
    location.href = to(`/compare/${older}/${newer}`);
  });
  const place = (element) => [...body.children].indexOf(element);
  show(told);

  let version = told.version;
  let source = null;
  const leave = () => {
    source?.close();
    source = null;
  };
  const join = () => {
    if (document.hidden || source) return;
    source = new EventSource(`${to("/events")}&since=${version}`);
    source.addEventListener("open", () => (said.textContent = ""));
    source.addEventListener("error", () => {
      said.textContent = "The server cannot be reached: it has ended.";
    });
    source.addEventListener("message", (event) => {
      const next = JSON.parse(event.data);
      version = next.version;
      show(next);
    });
  };
  join();
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : join()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", join);
  return [
    make("header.top", make("h1", ...words(told.title)), count),
    make("main", none, tools, pane),
  ];
}

function start(el) {
  const told = JSON.parse(document.getElementById("data").textContent);
  const pieces = told.runs ? listOf(told) : problem(told);
  const frame = make("div.runs", ...pieces);
  el.replaceChildren(make("div.pipetrace", frame));
}

start(document.getElementById("page"));
