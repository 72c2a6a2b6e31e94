// A card is looked at, turned and rated; the rating says when it comes again.
import { make, words } from "./dom.js";
import { code } from "./code.js";
import { scheduler } from "./fsrs.js";

const RATINGS = ["Again", "Hard", "Good", "Easy"];
const UNITS = [
  [365 * 24 * 60, "y"],
  [24 * 60, "d"],
  [60, "h"],
];
const LONGEST_WAIT = 2 ** 31 - 1;

export function untilOf(span) {
  const minutes = Math.max(1, Math.round(span / 60_000));
  const [size, unit] = UNITS.find(([each]) => minutes >= each) ?? [1, "min"];
  const count = minutes / size;
  return `${unit === "y" ? Math.round(count * 10) / 10 : Math.round(count)} ${unit}`;
}

export function cards(block, context) {
  const { learner, memory } = context;
  const plan = scheduler(block.weights, block.retention ?? 0.9);
  const ids = new Map(block.cards.map((card) => [card.id, card]));
  const head = make("div.tools");
  const face = make("div.face", { tabindex: -1, role: "group", "aria-label": "Card" });
  const tools = make("div.tools");
  const root = make("div.cards", make("p.caption", ...words(block.title)), head, face, tools);
  let stands = "";
  let timer = 0;

  const stateOf = () => {
    const states = new Map([...ids.keys()].map((id) => [id, plan.fresh]));
    for (const { event, card, rating, at } of learner.events)
      if (event === "review" && states.has(card) && RATINGS[rating - 1])
        states.set(card, plan.review(states.get(card), rating, at));
    return states;
  };
  // Those that are due come first, then new ones in their order.
  const orderOf = (states, now) => {
    const known = [...states].filter(([, { reviews }]) => reviews);
    known.sort(([, one], [, other]) => one.due - other.due);
    const fresh = [...states].filter(([, { reviews }]) => !reviews).map(([id]) => id);
    const due = known.filter(([, { due }]) => due <= now).map(([id]) => id);
    return { due, fresh, coming: known.filter(([, { due }]) => due > now) };
  };
  const turned = (card) => [
    make("div.back", ...words(card.back)),
    card.code && code({ text: card.code }),
    card.outcome && make("p", "Executed: it gives ", make("code", card.outcome), "."),
  ];
  const button = (label, onclick, name) =>
    make("button", { type: "button", class: name, onclick }, label);
  const rate = (id, rating) => {
    memory.open = memory.ahead = undefined;
    memory.focus = true;
    learner.add({ event: "review", card: id, rating });
  };
  const rest = (coming, now) => {
    const [id, { due }] = coming[0];
    const when = new Date(due);
    const day = when.toDateString() === new Date(now).toDateString() ? "" : when.toDateString();
    const hour = when.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
    face.replaceChildren(
      make("p", make("strong", "Nothing is due now.")),
      make("p.note", `The next card comes in ${untilOf(due - now)}: ${day} ${hour}.`),
    );
    const ahead = () => {
      memory.ahead = id;
      memory.focus = true;
      show();
    };
    tools.replaceChildren(button("Go on ahead", ahead));
    clearTimeout(timer);
    const wake = () => {
      if (!root.isConnected) return;
      memory.focus = root.contains(document.activeElement);
      show();
    };
    timer = setTimeout(wake, Math.min(due - now + 50, LONGEST_WAIT));
  };
  const ask = (id, state, now) => {
    const card = ids.get(id);
    const open = memory.open === id;
    face.replaceChildren(
      ...[make("div.front", ...words(card.front)), open && turned(card)].flat().filter(Boolean),
    );
    const turn = () => {
      memory.open = id;
      memory.focus = true;
      show();
    };
    const rating = (label, index) =>
      button(
        [label, " ", make("span.span", untilOf(plan.review(state, index + 1, now).due - now))],
        () => rate(id, index + 1),
        "rating",
      );
    tools.replaceChildren(
      ...(open ? RATINGS.map(rating) : [button("Show answer", turn, "primary")]),
    );
  };
  const show = () => {
    const now = Date.now();
    const states = stateOf();
    const { due, fresh, coming } = orderOf(states, now);
    // The card that lies there stays until it is rated.
    const lies = memory.card && states.get(memory.card);
    const stays = lies && (lies.reviews ?? 0) === memory.reviews && ids.has(memory.card);
    const id = memory.ahead ?? (stays ? memory.card : (due[0] ?? fresh[0]));
    memory.card = id;
    memory.reviews = (id && states.get(id).reviews) ?? 0;
    const stage = `${id} ${memory.reviews} ${memory.open} ${due.length} ${fresh.length}`;
    if (stage === stands && id) return;
    stands = stage;
    const counts = [`${due.length} due`, `${fresh.length} new`, `${ids.size} in all`];
    head.replaceChildren(...counts.map((each) => make("span.badge", each)));
    if (id) ask(id, states.get(id), now);
    else if (coming.length) rest(coming, now);
    else face.replaceChildren(make("p", "There are no cards here."));
    if (memory.focus) face.focus();
    memory.focus = false;
  };
  context.learned = show;
  context.root = root;
  context.paper = () =>
    make(
      "dl.paper",
      ...block.cards.map((card) => [
        make("dt", ...words(card.front)),
        make("dd", ...turned(card).filter(Boolean)),
      ]),
    );
  show();
  return root;
}
