// A page is drawn from its blocks; when it changes, only what changed is drawn again.
import { make, visible, words } from "./dom.js";
import { addressOf } from "./address.js";
import { learnerOf, offersOf } from "./learner.js";
import { modesOf } from "./modes.js";
import { onPaper } from "./paper.js";
import { allOf, sectionView } from "./section.js";

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
  // Sections are drawn when they are first shown; those of another mode wait.
  const made = new Map();
  let page = model.get("page");
  let views = [];
  let current = null;
  let mode = "";
  let printed = false;
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
    address.keep("page", "mode", view.section.mode ? "" : mode);
    address.go(view.section.id, stage ?? view.stage);
  };
  const titled = (place) => {
    const [id] = addressOf.parts(place);
    return page.sections.find((section) => section.id === id)?.title;
  };
  const visit = (place) => {
    if (owns) address.note();
    address.go(...addressOf.parts(place));
    settle();
  };
  const host = {
    address,
    titled,
    visit,
    memory: {},
    get learner() {
      return learner;
    },
    offers: (name) => offersOf(model, name),
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
  const learner = learnerOf(model, () => made.forEach(learned));
  const modes = modesOf(
    (id) => choose(id),
    (id) => {
      turn(id);
      const view = firstOf(id);
      if (view) go(view);
    },
  );
  const { nav, list, here, close } = navigation();
  const title = make("h1");
  const subtitle = make("p.subtitle");
  const contents = make("p.contents");
  const main = make("main");
  const foot = make("footer");
  const top = make("header.top", title, subtitle, contents);
  const frame = make("div.frame", top, modes.element, nav, main, learner.element, foot);
  const root = make("div.pipetrace", frame);

  const firstOf = (id) => views.find((view) => view.section.mode === id) ?? views[0];
  const turn = (id) => {
    if (id === mode) return;
    mode = id;
    still = Date.now() + 400;
    show();
  };
  const choose = (id) => {
    turn(id);
    const view = firstOf(id);
    if (view) arrive(view);
  };
  // The mode that the address names, else the one that is shown, else the first.
  const modeOf = (known) => {
    const { mode: own } = page.sections.find((each) => each.id === address.section) ?? {};
    const wanted = [mode, own, address.of("page").mode].find((id) => known.includes(id));
    return wanted ?? known[0] ?? "";
  };
  // What stands already is not moved: that would scroll it, and take the keyboard from it.
  const place = (parent, elements) => {
    for (const child of [...parent.children]) if (!elements.includes(child)) child.remove();
    elements.forEach((element, index) => {
      if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index]);
    });
  };
  const viewOf = (section) => {
    const view = made.get(section.id) ?? sectionView(section, host);
    made.set(section.id, view);
    if (!view.link) linkTo(view, go);
    else view.show(section);
    view.named();
    view.count();
    return view;
  };
  const show = () => {
    const known = (page.modes ?? []).map((each) => each.id);
    mode = modeOf(known);
    const pieces = { title, subtitle, contents, generator: foot };
    for (const [name, element] of Object.entries(pieces)) {
      element.replaceChildren(...words(page[name] ?? ""));
      element.hidden = !page[name];
    }
    const ids = page.sections.map((section) => section.id);
    for (const id of made.keys()) if (!ids.includes(id)) made.delete(id);
    const of = (id) => (section) => (known.includes(section.mode) ? section.mode === id : !id);
    const shared = page.sections.filter(of(""));
    const listed = page.sections.filter((section) => shared.includes(section) || of(mode)(section));
    views = (printed ? page.sections : listed).map(viewOf);
    modes.show(page.modes ?? [], mode);
    const bodies = (sections) => sections.map((section) => made.get(section.id).body);
    const parts = !printed
      ? bodies(listed)
      : [
          ...bodies(shared),
          ...(page.modes ?? []).flatMap((each) => [
            modes.heading(each),
            ...bodies(page.sections.filter(of(each.id))),
          ]),
        ];
    if (known.length) place(modes.panel, parts);
    place(main, known.length ? [modes.panel, modes.further] : parts);
    place(
      list,
      views.map((view) => view.item),
    );
    if (!views.includes(current)) {
      current?.link.removeAttribute("aria-current");
      current = views[0] ?? null;
      current?.link.setAttribute("aria-current", "true");
    }
    here.textContent = visible(current?.section.title ?? "");
  };

  const spy = () => {
    if (Date.now() < still || sought || printed) return;
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
    const named = page.sections.find((each) => each.id === section);
    const known = (page.modes ?? []).map((each) => each.id);
    const wanted = [named?.mode, address.of("page").mode].find((id) => known.includes(id));
    if (named && wanted) turn(wanted);
    const view = views.find((each) => each.section === named);
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
    for (const view of made.values()) view.contexts.forEach((context) => context.renew());
    settle();
  };
  const learned = (view) => {
    for (const context of allOf(view.contexts)) context.learned?.();
    view.count();
  };
  // On paper the sections of every mode follow each other.
  const unfold = () => {
    const before = current;
    const height = scrollY;
    printed = true;
    show();
    return () => {
      printed = false;
      still = Date.now() + 400;
      show();
      scrollTo(scrollX, height);
      if (views.includes(before)) arrive(before);
    };
  };
  learner.show(page);
  show();
  el.replaceChildren(root);
  undo.push(
    onPaper(root, () => views, unfold),
    () => learner.clear(),
  );
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
    page = model.get("page");
    const news = learner.show(page);
    show();
    if (news) made.forEach(learned);
    if (sought) settle();
  };
  model.on?.("change:page", change);
  return () => {
    model.off?.("change:page", change);
    undo.forEach((step) => step());
  };
}

export default { render };
