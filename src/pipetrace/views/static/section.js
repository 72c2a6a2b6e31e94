// A section draws its blocks, and draws again only those whose data has changed.
import { make, unique, words } from "./dom.js";
import { drawBlock } from "./blocks.js";
import { answersTo } from "./question.js";

const FOCUSABLE = "a, button, input, select, summary, [tabindex]";

// What a block is drawn with: its own memory, its part of the address, and the page around it.
function contextFor(host, view, block, key) {
  const { address, memory, act, learner, offers, titled, visit } = host;
  memory[key] ??= {};
  const context = {
    block,
    title: view.section.title,
    memory: memory[key],
    state: address.of(key),
    act,
    learner,
    offers,
    titled,
    visit,
    section: view.section.id,
    inner: [],
    keep(name, value) {
      address.keep(key, name, value);
      context.state = address.of(key);
    },
    renew() {
      context.state = address.of(key);
      context.restore?.();
      context.inner.forEach((each) => each.renew());
    },
    chosen: (stage) => host.chosen(view, stage),
    drawBlock(nested, name) {
      const inner = contextFor(host, view, nested, `${key}.${name}`);
      context.inner.push(inner);
      return drawBlock(nested, inner);
    },
  };
  return context;
}

// Draws over a block's place, and leaves the keyboard where it was.
function putIn(place, node) {
  const focused = place.contains(document.activeElement)
    ? [...place.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement)
    : -1;
  place.replaceChildren(node);
  if (focused >= 0) place.querySelectorAll(FOCUSABLE)[focused]?.focus({ preventScroll: true });
}

// With those of blocks inside of blocks.
export function allOf(contexts) {
  return contexts.flatMap((context) => [context, ...allOf(context.inner)]);
}

export function sectionView(section, host) {
  const id = unique("section");
  const heading = make("h2", { id, tabindex: -1 });
  const score = make("p.score", { role: "status" });
  const intro = make("p.intro");
  const body = make("section", { "aria-labelledby": id }, heading);
  const view = { section: null, body, contexts: [], asked: 0, places: [], drawn: [] };
  view.count = () => {
    const questions = view.contexts.filter((context) => context.block.block === "question");
    const firsts = questions.map(({ block }) => answersTo(host.learner, block)[0]);
    const graded = firsts.filter(Boolean);
    const right = graded.filter((answer) => answer.right).length;
    view.asked = questions.length;
    const first = graded.length
      ? `Score so far: ${right} of ${graded.length} right`
      : "None answered yet";
    score.textContent = `${first}, ${questions.length} in all. First answers count.`;
    view.told?.(right, graded.length);
  };
  view.show = (next) => {
    const offered = Boolean(host.act);
    if (view.section === next && view.offered === offered) return;
    view.section = next;
    view.offered = offered;
    heading.replaceChildren(...words(next.title));
    score.remove();
    intro.remove();
    if (next.blocks.some((block) => block.block === "question")) heading.after(score);
    if (next.intro) {
      intro.replaceChildren(...words(next.intro));
      heading.after(intro);
    }
    // A block is known by its kind: one of another kind before it does not take its choices.
    const kinds = {};
    next.blocks.forEach((block, index) => {
      const nth = (kinds[block.block] = (kinds[block.block] ?? 0) + 1);
      const before = view.drawn[index];
      const again = offered && /"again":"|"block":"experiment"/.test(JSON.stringify(block));
      if (before?.again === again && JSON.stringify(before.block) === JSON.stringify(block)) return;
      view.drawn[index] = { block, again };
      const key = `${next.id}.${block.block}${nth > 1 ? nth : ""}`;
      const context = contextFor(host, view, block, key);
      view.contexts[index] = context;
      view.places[index] ??= body.appendChild(make("div"));
      view.places[index].className = `block is-${block.block}`;
      putIn(view.places[index], drawBlock(block, context));
    });
    view.places.splice(next.blocks.length).forEach((place) => place.remove());
    view.contexts.length = view.drawn.length = next.blocks.length;
    view.count();
  };
  body.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    if (target.matches("input:not([type=radio], [type=range]), select")) return;
    const act = allOf(view.contexts).find((context) => context.keys)?.keys[key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  view.show(section);
  return view;
}
