// What a reader asks for is revealed, one step after the other; a host may do a step again.
import { make, sign, visible, words } from "./dom.js";

const SHOWN = "shown";

// Blocks in places of their own, drawn by the page.
export function drawnIn(context, blocks, name) {
  return (blocks ?? []).map((each, index) =>
    make("div", { class: `block is-${each.block}` }, context.drawBlock(each, `${name}${index}`)),
  );
}

// Asks the host for blocks; `own` survives redraws, and says what came back or went wrong.
export const askHost = async (context, own, name, given, tell) => {
  if (own.busy) return;
  Object.assign(own, { busy: true, said: "Running …", error: undefined, blocks: [] });
  own.tell = tell;
  own.tell();
  try {
    own.blocks = await context.act(name, given);
    own.said = own.blocks.length ? "" : "The process answered with nothing.";
  } catch (error) {
    own.error = String(error?.message ?? error);
    own.said = "";
  }
  own.busy = false;
  own.tell();
};

export function saidOf(own) {
  return own.error ? [sign("bad"), visible(own.error)] : [own.said ?? ""];
}

export function steps(block, context) {
  const { memory } = context;
  const count = block.steps.length;
  const list = make("ol.revealed");
  const next = make("button.primary", { type: "button" });
  const done = make("p.note", { role: "status" });
  const root = make(
    "div.steps",
    block.title && make("p.caption", ...words(block.title)),
    ...drawnIn(context, block.blocks, "given."),
    list,
    make("div.tools", next, done),
  );

  const rerun = (step, index) => {
    const own = (memory[`again${index}`] ??= {});
    const status = make("p.note", { role: "status" });
    const place = make("div");
    const button = make("button", { type: "button" }, "Run again here");
    own.tell = () => {
      status.replaceChildren(...saidOf(own));
      place.replaceChildren(...drawnIn(context, own.blocks, `again${index}.`));
    };
    button.addEventListener("click", () =>
      askHost(context, own, "again", { again: step.again }, own.tell),
    );
    own.tell();
    return make("div.rerun", make("div.tools", button, status), place);
  };
  const item = (step, index, live = true) =>
    make(
      "li",
      make("h3", { tabindex: -1 }, ...words(step.label)),
      ...drawnIn(context, step.blocks, `step${index}.`),
      live && step.again && context.offers("again") && rerun(step, index),
    );
  const show = (wanted) => {
    const shown = Math.min(Math.max(wanted, 0), count);
    while (list.children.length > shown) list.lastChild.remove();
    for (let index = list.children.length; index < shown; index += 1)
      list.append(item(block.steps[index], index));
    memory[SHOWN] = shown;
    next.hidden = shown === count;
    if (shown < count) next.replaceChildren(...words(block.steps[shown].label));
    done.textContent = shown === count ? "All steps are shown." : `Step ${shown + 1} of ${count}`;
  };
  next.addEventListener("click", () => {
    const shown = memory[SHOWN] + 1;
    show(shown);
    context.keep(SHOWN, shown);
    list.lastChild.querySelector("h3").focus({ preventScroll: false });
  });
  const kept = () => Number.parseInt(context.state[SHOWN], 10);
  context.restore = () => show(kept() || 0);
  context.root = root;
  context.paper = () =>
    make(
      "ol.paper",
      { start: memory[SHOWN] + 1 },
      ...block.steps
        .slice(memory[SHOWN])
        .map((step, index) => item(step, memory[SHOWN] + index, false)),
    );
  show(kept() || memory[SHOWN] || 0);
  return root;
}
