// A page is drawn once from its blocks; where the reader is stands in the address.
import { make, unique, visible, words } from "./dom.js";
import { drawBlock } from "./blocks.js";
import { answers } from "./question.js";

function readHash() {
  const [section, stage] = location.hash
    .slice(1)
    .split("/")
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
  return { section: section || "", stage: stage ?? "" };
}

function writeHash(section, stage) {
  const hash = `#${encodeURIComponent(section)}${stage ? `/${encodeURIComponent(stage)}` : ""}`;
  if (hash === location.hash) return;
  try {
    history.replaceState(history.state, "", hash);
  } catch {
    // A frame without an address of its own keeps its state to itself.
  }
}

function header(page) {
  return make(
    "header",
    { class: "top" },
    make("h1", {}, ...words(page.title)),
    page.subtitle && make("p", { class: "subtitle" }, ...words(page.subtitle)),
    page.contents && make("p", { class: "contents" }, ...words(page.contents)),
  );
}

function drawSection(section, memory, chosen) {
  const id = unique("section");
  const score = make("p", { class: "score", role: "status" });
  const body = make("section", { "aria-labelledby": id });
  const view = { section, body, score, contexts: [], asked: 0 };
  body.append(make("h2", { id, tabindex: -1 }, ...words(section.title)));
  if (section.intro) body.append(make("p", { class: "intro" }, ...words(section.intro)));
  const count = () => {
    const questions = view.contexts.filter((context) => context.block.block === "question");
    const graded = questions.filter((context) => context.memory.first !== undefined);
    const right = graded.filter((context) => context.memory.first).length;
    view.asked = questions.length;
    const first = graded.length
      ? `Score so far: ${right} of ${graded.length} right`
      : "None answered yet";
    score.textContent = `${first}, ${questions.length} in all. First answers count.`;
    view.told?.(right, graded.length);
  };
  section.blocks.forEach((block, index) => {
    const key = `${section.id}/${index}`;
    memory[key] ??= {};
    const context = { block, title: section.title, memory: memory[key], scored: count };
    context.chosen = (stage) => chosen(view, context, stage);
    view.contexts.push(context);
    body.append(make("div", { class: `block is-${block.block}` }, drawBlock(block, context)));
  });
  if (section.blocks.some((block) => block.block === "question")) {
    body.querySelector("h2").after(score);
    count();
  }
  return view;
}

function navigation(views, go) {
  const list = make("ol", {});
  const here = make("span", { class: "here" });
  const opener = make(
    "button",
    { type: "button", "aria-expanded": "false", class: "opener" },
    "☰ Sections",
    here,
  );
  const nav = make("nav", { "aria-label": "Sections" }, opener, list);
  const close = () => {
    nav.classList.remove("open");
    opener.setAttribute("aria-expanded", "false");
  };
  opener.addEventListener("click", () => {
    const open = nav.classList.toggle("open");
    opener.setAttribute("aria-expanded", String(open));
  });
  nav.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !nav.classList.contains("open")) return;
    close();
    opener.focus();
  });
  for (const view of views) {
    const tally = make("span", { class: "tally" });
    view.link = make(
      "a",
      { href: `#${encodeURIComponent(view.section.id)}` },
      make("span", {}, ...words(view.section.title)),
      tally,
    );
    view.told = (right, graded) => (tally.textContent = graded ? `${right}/${graded}` : "");
    view.link.addEventListener("click", (event) => {
      event.preventDefault();
      close();
      go(view);
    });
    list.append(make("li", {}, view.link));
  }
  return { nav, here };
}

function onPaper(root, views) {
  let undo = [];
  const before = () => {
    if (undo.length) return;
    for (const details of root.querySelectorAll("details:not([open])")) {
      details.open = true;
      undo.push(() => (details.open = false));
    }
    const add = (place, element) => {
      place.append(element);
      undo.push(() => element.remove());
    };
    for (const context of views.flatMap((view) => view.contexts)) {
      if (context.paper) add(context.root, context.paper());
    }
    const questions = views
      .flatMap((view) => view.contexts)
      .filter((context) => context.block.block === "question");
    if (questions.length) {
      const list = make(
        "ol",
        {},
        ...questions.map((context) => make("li", {}, answers(context.block))),
      );
      add(
        root.querySelector("main"),
        make("section", { class: "keys" }, make("h2", {}, "Answers"), list),
      );
    }
  };
  const after = () => {
    undo.forEach((step) => step());
    undo = [];
  };
  const media = matchMedia("print");
  const change = () => (media.matches ? before() : after());
  addEventListener("beforeprint", before);
  addEventListener("afterprint", after);
  media.addEventListener("change", change);
  return () => {
    removeEventListener("beforeprint", before);
    removeEventListener("afterprint", after);
    media.removeEventListener("change", change);
  };
}

function drawPage(page, el, memory, owns) {
  const undo = [];
  let current = null;
  const arrive = (view, stage) => {
    if (view !== current) {
      current?.link.removeAttribute("aria-current");
      view.link.setAttribute("aria-current", "true");
      here.textContent = visible(view.section.title);
      current = view;
    }
    if (owns) writeHash(view.section.id, stage ?? view.stage);
  };
  const views = page.sections.map((section) =>
    drawSection(section, memory, (view, context, stage) => {
      view.stage = stage;
      arrive(view, stage);
    }),
  );
  let still = 0;
  const go = (view) => {
    still = Date.now() + 400;
    view.body.scrollIntoView({ block: "start" });
    view.body.querySelector("h2").focus({ preventScroll: true });
    arrive(view);
  };
  const { nav, here } = navigation(views, go);
  const main = make("main", {}, ...views.map((view) => view.body));
  const foot = page.generator && make("footer", {}, ...words(page.generator));
  const root = make(
    "div",
    { class: "pipetrace" },
    make("div", { class: "frame" }, header(page), nav, main, foot),
  );
  el.replaceChildren(root);
  views.forEach((view) => view.asked && view.contexts[0].scored());
  undo.push(onPaper(root, views));

  const spy = () => {
    if (Date.now() < still) return;
    const line = Math.min(innerHeight * 0.3, 240);
    const past = views.filter((view) => view.body.getBoundingClientRect().top <= line);
    const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 2 && scrollY > 0;
    const view = (end ? views.at(-1) : past.at(-1)) ?? views[0];
    if (view && view !== current) arrive(view);
  };
  let waiting = 0;
  const later = () => {
    clearTimeout(waiting);
    waiting = setTimeout(spy, 80);
  };
  const restore = () => {
    const { section, stage } = readHash();
    const view = views.find((each) => each.section.id === section);
    if (!view) return false;
    for (const context of stage ? view.contexts : []) {
      const key = context.find?.(stage);
      if (key === undefined) continue;
      context.select(key);
      view.stage = stage;
      break;
    }
    go(view);
    return true;
  };
  addEventListener("scroll", later, { passive: true });
  undo.push(
    () => removeEventListener("scroll", later),
    () => clearTimeout(waiting),
  );
  if (owns) {
    addEventListener("hashchange", restore);
    undo.push(() => removeEventListener("hashchange", restore));
    requestAnimationFrame(() => restore() || spy());
  } else if (views.length) {
    views[0].link.setAttribute("aria-current", "true");
    here.textContent = visible(views[0].section.title);
    current = views[0];
  }
  return () => undo.forEach((step) => step());
}

export function render({ model, el }) {
  const memory = {};
  const owns = model.get("owns_address") === true;
  let clear = () => {};
  const draw = () => {
    clear();
    clear = drawPage(model.get("page"), el, memory, owns);
  };
  draw();
  model.on?.("change:page", draw);
  return () => {
    model.off?.("change:page", draw);
    clear();
  };
}

export default { render };
