// Settings are chosen and tried until a target is reached; the last attempts stay to be compared.
import { make, sign, words } from "./dom.js";
import { askHost, drawnIn, saidOf } from "./steps.js";

const MOST_SHOWN = 3;

export function experiment(block, context) {
  const { learner, memory } = context;
  const attempts = block.attempts ?? [];
  const own = (memory.own ??= {});
  memory.tries ??= [];
  const recorded = (choices) =>
    attempts.find((attempt) => attempt.choices.join() === choices.join());
  const usual = () => block.knobs.map((knob) => knob.chosen ?? 0);
  const kept = () => {
    const found = (context.state.choices ?? "").split(".").map(Number);
    const known = block.knobs.every((knob, index) => knob.values[found[index]] !== undefined);
    return known && found.length === block.knobs.length ? found : undefined;
  };
  const inWords = (choices) =>
    block.knobs.map((knob, index) => `${knob.label} = ${knob.values[choices[index]]}`).join(", ");

  const reached = make("p.text", { role: "status" });
  const status = make("p.note", { role: "status" });
  const shown = make("div.attempts");
  const selects = block.knobs.map((knob) =>
    make("select", ...knob.values.map((value, at) => make("option", { value: at }, value))),
  );
  selects.forEach((select) =>
    select.addEventListener("change", () => {
      const choices = chosen();
      memory.choices = choices;
      context.keep("choices", choices.join() === usual().join() ? "" : choices.join("."));
      fits();
    }),
  );
  const chosen = () => selects.map((select) => Number(select.value));
  const run = make("button.primary", { type: "button" }, "Run");
  const fits = () => {
    const can = recorded(chosen()) || context.offers("experiment");
    run.setAttribute("aria-disabled", String(!can));
    if (!own.busy) status.replaceChildren(...(can ? saidOf(own) : ["This choice was not run."]));
    return can;
  };

  const reachedBefore = () =>
    learner.events.filter(
      (each) => each.event === "reached" && each.experiment === context.section,
    );
  const tell = () => {
    const events = reachedBefore();
    const first = memory.tries.findIndex((each) => each.reached);
    const tries = (count) => `${count} ${count === 1 ? "try" : "tries"}`;
    const before = events.at(-1)?.choices;
    let said = memory.tries.length ? `Not reached yet: ${tries(memory.tries.length)}.` : "";
    if (first >= 0) said = `Reached with ${tries(first + 1)}.`;
    else if (before?.length === block.knobs.length)
      said = `You reached it before, with ${inWords(before)}.`;
    const tone = first >= 0 || before ? "good" : memory.tries.at(-1) ? "warning" : "muted";
    reached.className = `text ${tone}`;
    reached.hidden = !said;
    if (reached.textContent !== said && said) reached.replaceChildren(sign(tone) ?? "", said);
    const latest = memory.tries.slice(-MOST_SHOWN);
    context.inner.length = 0;
    shown.replaceChildren(
      ...latest
        .map((attempt, index) =>
          make(
            "div.attempt",
            { role: "group", "aria-label": inWords(attempt.choices) },
            make(
              "h3",
              `Try ${memory.tries.length - latest.length + index + 1}`,
              make("span.note", inWords(attempt.choices)),
              attempt.reached && make("span.badge.exact", "target reached"),
            ),
            ...drawnIn(context, attempt.blocks, `try${index}.`),
          ),
        )
        .reverse(),
    );
  };
  const count = (attempt) => {
    memory.tries.push(attempt);
    const known = reachedBefore().some((each) => each.choices.join() === attempt.choices.join());
    if (attempt.reached && !known)
      learner.add({ event: "reached", experiment: context.section, choices: attempt.choices });
    tell();
  };
  // A host answers with an experiment of one attempt, or with the blocks of one.
  const heard = () => {
    status.replaceChildren(...saidOf(own));
    if (own.busy || !own.blocks?.length) return;
    const [first] = own.blocks;
    const made = first.block === "experiment" ? first.attempts?.[0] : { blocks: own.blocks };
    own.blocks = [];
    if (made) count({ ...made, choices: own.choices });
  };
  run.addEventListener("click", () => {
    const choices = chosen();
    const attempt = recorded(choices);
    if (own.busy || !fits()) return;
    if (attempt) count(attempt);
    else {
      own.choices = choices;
      askHost(context, own, "experiment", { choices, seed: 0 }, heard);
    }
  });

  const set = (choices) => selects.forEach((select, at) => (select.value = choices[at]));
  context.learned = tell;
  context.restore = () => {
    set(kept() ?? usual());
    fits();
  };
  context.paper = () =>
    make(
      "ul.paper",
      ...block.knobs.map((knob) =>
        make("li", make("strong", ...words(knob.label)), `: ${knob.values.join(", ")}`),
      ),
    );
  const knobs = block.knobs.map((knob, at) => {
    const label = make("label.knob", make("span", ...words(knob.label)), selects[at]);
    return make("div", label, knob.note && make("p.note", ...words(knob.note)));
  });
  const root = make(
    "div.experiment",
    make("p.caption", ...words(block.title)),
    make("p.target", make("strong", "Target: "), ...words(block.target)),
    make("div.knobs", ...knobs),
    make("div.tools", run, status),
    reached,
    shown,
  );
  context.root = root;
  // The block may be drawn again while a host is still at it.
  own.tell = heard;
  heard();
  set(kept() ?? memory.choices ?? usual());
  fits();
  tell();
  return root;
}
