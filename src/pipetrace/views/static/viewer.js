// A page is drawn from its blocks; when it changes, only what changed is drawn again.
import { make, visible, words } from "./dom.js";
import { addressOf } from "./address.js";
import { onPaper } from "./paper.js";
import { sectionView } from "./section.js";

function linkTo(view, go) {
  const tally = make("span.tally");
  const name = make("span");
  const link = make("a", { href: `#${encodeURIComponent(view.section.id)}` }, name, tally);
  view.told = (right, graded) => (tally.textContent = graded ? `${right}/${graded}` : "");
  link.addEventListener("click", (event) => {
    event.preventDefault();
    go(view);
  });
  view.link = link;
  view.item = make("li", link);
  view.named = () => name.replaceChildren(...words(view.section.title));
}

function navigation() {
  const list = make("ol");
  const here = make("span.here");
  const opener = make(
    "button",
    { type: "button", "aria-expanded": "false", class: "opener" },
    "☰ Sections",
    here,
  );
  const nav = make("nav", { "aria-label": "Sections" }, opener, list);
  const open = (wanted) => {
    nav.classList.toggle("open", wanted);
    opener.setAttribute("aria-expanded", String(wanted));
  };
  opener.addEventListener("click", () => open(!nav.classList.contains("open")));
  nav.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !nav.classList.contains("open")) return;
    open(false);
    opener.focus();
  });
  return { nav, list, here, close: () => open(false) };
}

export function render({ model, el }) {
  const owns = model.get("owns_address") === true;
  const address = addressOf(owns);
  const undo = [];
  let views = [];
  let current = null;
  let still = 0;
  // The address names a section that a page which grows may still bring.
  let sought = false;
  const arrive = (view, stage) => {
    if (view !== current) {
      current?.link.removeAttribute("aria-current");
      view.link.setAttribute("aria-current", "true");
      here.textContent = visible(view.section.title);
      current = view;
    }
    address.go(view.section.id, stage ?? view.stage);
  };
  const host = {
    address,
    memory: {},
    // A process may come to stand behind the page, and end.
    get act() {
      return model.act;
    },
    chosen(view, stage) {
      view.stage = stage;
      if (views.includes(view)) arrive(view, stage);
    },
  };
  const go = (view) => {
    sought = false;
    still = Date.now() + 400;
    close();
    view.body.scrollIntoView({ block: "start" });
    view.body.querySelector("h2").focus({ preventScroll: true });
    arrive(view);
  };
  const { nav, list, here, close } = navigation();
  const title = make("h1");
  const subtitle = make("p.subtitle");
  const contents = make("p.contents");
  const main = make("main");
  const foot = make("footer");
  const top = make("header.top", title, subtitle, contents);
  const root = make("div.pipetrace", make("div.frame", top, nav, main, foot));

  const show = (page) => {
    const pieces = { title, subtitle, contents, generator: foot };
    for (const [name, element] of Object.entries(pieces)) {
      element.replaceChildren(...words(page[name] ?? ""));
      element.hidden = !page[name];
    }
    const known = new Map(views.map((view) => [view.section.id, view]));
    views = page.sections.map((section) => {
      const view = known.get(section.id) ?? sectionView(section, host);
      if (!view.link) linkTo(view, go);
      else view.show(section);
      view.named();
      view.count();
      return view;
    });
    // What stands already is not moved: that would scroll it, and take the keyboard from it.
    const place = (parent, elements) => {
      for (const child of [...parent.children]) if (!elements.includes(child)) child.remove();
      elements.forEach((element, index) => {
        if (parent.children[index] !== element)
          parent.insertBefore(element, parent.children[index]);
      });
    };
    place(
      main,
      views.map((view) => view.body),
    );
    place(
      list,
      views.map((view) => view.item),
    );
    if (!views.includes(current)) {
      current = views[0] ?? null;
      current?.link.setAttribute("aria-current", "true");
    }
    here.textContent = visible(current?.section.title ?? "");
  };

  const spy = () => {
    if (Date.now() < still || sought) return;
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
  const settle = () => {
    const { section, stage } = address;
    const view = views.find((each) => each.section.id === section);
    sought = Boolean(model.on && section) && !view;
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
  const restore = () => {
    address.read();
    for (const view of views) view.contexts.forEach((context) => context.renew());
    settle();
  };
  show(model.get("page"));
  el.replaceChildren(root);
  undo.push(onPaper(root, () => views));
  addEventListener("scroll", later, { passive: true });
  undo.push(
    () => removeEventListener("scroll", later),
    () => clearTimeout(waiting),
  );
  if (owns) {
    addEventListener("hashchange", restore);
    undo.push(() => removeEventListener("hashchange", restore));
    requestAnimationFrame(() => settle() || spy());
  }
  const change = () => {
    show(model.get("page"));
    if (sought) settle();
  };
  model.on?.("change:page", change);
  return () => {
    model.off?.("change:page", change);
    undo.forEach((step) => step());
  };
}

export default { render };
