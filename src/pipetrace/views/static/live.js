// A page that follows its run: what is new arrives as server-sent events, and is merged into it.
import { make } from "./dom.js";
import { render } from "./viewer.js";

const GONE =
  "The server of this page cannot be reached: it has ended. What stands here was read before.";
const MOST = 300;

function toldIn(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function follow(el) {
  const token = new URLSearchParams(location.search).get("token") ?? "";
  const address = (part, more = "") =>
    `${location.pathname}/${part}?token=${encodeURIComponent(token)}${more}`;
  const listeners = new Set();
  const values = { owns_address: true };
  const model = {
    get: (name) => values[name],
    on: (event, listener) => event === "change:page" && listeners.add(listener),
    off: (event, listener) => listeners.delete(listener),
  };
  const lost = make("p.pipetrace-lost", { role: "status" });
  let version = 0;
  let source = null;
  let drawing = 0;

  const act = async (name, args) => {
    const gone = () => {
      throw new Error(GONE);
    };
    const answer = await fetch(address("act"), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name, arguments: args }),
    }).catch(gone);
    const text = await answer.text().catch(gone);
    const told = toldIn(text);
    if (answer.ok && told?.blocks) return told.blocks;
    const said =
      told?.error ?? `The server answered ${answer.status}: ${text.trim().slice(0, MOST)}`;
    throw Object.assign(new Error(said), { status: answer.status });
  };
  const merge = (news) => {
    const { sections, order, actions, since, events, ...head } = news;
    const known = new Map((values.page?.sections ?? []).map((section) => [section.id, section]));
    const before = since ? (values.page?.events ?? []) : [];
    values.page = {
      ...head,
      events: [...before, ...(events ?? [])],
      sections: order.map((id) => sections[id] ?? known.get(id)),
    };
    version = head.version;
    model.act = actions.length ? act : undefined;
    model.actions = actions;
    if (document.title !== head.title) document.title = head.title;
  };
  const draw = () => {
    drawing = 0;
    listeners.forEach((listener) => listener());
  };
  const leave = () => {
    source?.close();
    source = null;
  };
  // A browser keeps few connections to one server: a tab that nobody sees gives its own back.
  const join = () => {
    if (document.hidden || source) return;
    source = new EventSource(address("events", `&since=${version}`));
    source.addEventListener("open", () => lost.replaceChildren());
    source.addEventListener("error", () => lost.replaceChildren(GONE));
    source.addEventListener("message", (event) => {
      merge(JSON.parse(event.data));
      drawing ||= requestAnimationFrame(draw);
    });
  };
  merge(JSON.parse(document.getElementById("data").textContent));
  render({ model, el });
  const all = `/?token=${encodeURIComponent(token)}`;
  el.before(
    make("nav.pipetrace-back", { "aria-label": "Runs" }, make("a", { href: all }, "All runs")),
    lost,
  );
  join();
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : join()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", join);
}

follow(document.getElementById("page"));
