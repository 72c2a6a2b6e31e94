// On paper everything is open, what is interactive is written out, and the answers come last.
import { make } from "./dom.js";
import { formOf } from "./exam.js";
import { answers } from "./question.js";
import { allOf } from "./section.js";

const asked = (block) =>
  block.block === "question" ? [block] : block.block === "exam" ? formOf(block, 0) : [];

// `unfold` shows what a screen shows at other times, and returns what folds it again.
export function onPaper(root, views, unfold) {
  let undo = [];
  const before = () => {
    if (undo.length) return;
    const fold = unfold();
    const contexts = () => allOf(views().flatMap((view) => view.contexts));
    const add = (place, element) => {
      place.append(element);
      undo.push(() => element.remove());
    };
    for (const context of contexts()) {
      if (context.paper) add(context.root, context.paper());
    }
    for (const details of root.querySelectorAll("details:not([open])")) {
      if (details.isLong?.()) continue;
      details.open = true;
      // The event of the browser itself comes too late for what is written on opening.
      details.dispatchEvent(new Event("toggle"));
      undo.push(() => (details.open = false));
    }
    const questions = contexts().flatMap(({ block }) => asked(block));
    if (questions.length) {
      const list = questions.map((each) => make("li", answers(each)));
      const keys = make("section.keys", make("h2", "Answers"));
      keys.append(make("ol", ...list));
      add(root.querySelector("main"), keys);
    }
    undo.push(fold);
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
