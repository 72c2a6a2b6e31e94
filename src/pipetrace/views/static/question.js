// A question is graded on the page; the first answer is the one that counts.
import { make, sign, unique, words } from "./dom.js";
import { code } from "./code.js";

export function letter(index) {
  const low = String.fromCharCode(65 + (index % 26));
  return index < 26 ? low : letter(Math.floor(index / 26) - 1) + low;
}

// The answers to this question, the oldest first; `sitting` names the test they were given in.
export function answersTo(learner, { id, form }, sitting = "") {
  return learner.events.filter(
    (each) =>
      each.event === "answer" &&
      each.question === id &&
      (each.form ?? 0) === (form ?? 0) &&
      (each.sitting ?? "") === sitting,
  );
}

export function answerEvent(block, option, sitting = "") {
  const { correct, misconception } = block.options[option];
  return {
    event: "answer",
    question: block.id,
    form: block.form ?? 0,
    option,
    right: Boolean(correct),
    level: block.level ?? "",
    misconception: misconception ?? "",
    sitting,
  };
}

// Leads to where the answer can be seen, if the page has that place.
export function placeLink(block, context, said = "See it in the trace: ") {
  const title = block.place && context.titled?.(block.place);
  if (!title) return null;
  const onclick = (event) => {
    event.preventDefault();
    context.visit(block.place);
  };
  return make("a.place-link", { href: `#${block.place}`, onclick }, said, ...words(title));
}

export function solution(block) {
  const parts = [];
  if (block.steps?.length) {
    parts.push(
      make("h3", "Solution"),
      make("ol", ...block.steps.map((step) => make("li", ...words(step)))),
    );
  }
  if (block.answer) parts.push(make("p", make("strong", "Final answer: "), ...words(block.answer)));
  if (block.check) parts.push(make("p", make("strong", "Quick check: "), ...words(block.check)));
  if (block.mistakes?.length) {
    parts.push(make("h3", "Common mistakes"));
    parts.push(make("ul", ...block.mistakes.map((mistake) => make("li", ...words(mistake)))));
  }
  return parts;
}

export function answers(block) {
  const right = block.options
    .map((option, index) => [option, index])
    .filter(([option]) => option.correct);
  return make(
    "div.answers",
    make("p", ...words(block.text)),
    ...right.map(([option, index]) =>
      make("p", make("strong", `${letter(index)}  `), ...words(option.text)),
    ),
    ...solution(block),
  );
}

// The question with its options to choose from; `grade` shows what each of them is.
export function asking(block, choose) {
  const name = unique("question");
  const options = block.options.map((option, index) => {
    const input = make("input", { type: "radio", name, value: index, id: `${name}-${index}` });
    const feedback = make("span", { class: "feedback", id: `${name}-${index}-feedback` });
    const label = make(
      "label.option",
      { for: input.id },
      input,
      make("span.letter", letter(index)),
      make("span.choice", make("span", ...words(option.text)), feedback),
    );
    input.addEventListener("change", () => choose(index));
    return { option, input, label, feedback };
  });
  const form = make(
    "fieldset",
    make("legend", block.level && make("span.badge", block.level), ...words(block.text)),
    block.code && code({ text: block.code }),
    ...options.map(({ label }) => label),
  );
  const pick = (chosen) =>
    options.forEach(({ input }, index) => (input.checked = index === chosen));
  const grade = (chosen) => {
    pick(chosen);
    options.forEach(({ option, input, label, feedback }, index) => {
      input.disabled = true;
      label.classList.toggle("right", Boolean(option.correct));
      label.classList.toggle("wrong", index === chosen && !option.correct);
      label.classList.toggle("chosen", index === chosen);
      const said = option.correct
        ? "Right"
        : index === chosen
          ? "Your answer, not right"
          : "Not right";
      feedback.replaceChildren(
        sign(option.correct ? "good" : "bad"),
        ` ${said}. `,
        ...words(option.feedback),
      );
    });
  };
  const clear = (chosen) => {
    pick(chosen);
    options.forEach(({ input, label, feedback }) => {
      input.disabled = false;
      label.classList.remove("right", "wrong", "chosen");
      feedback.replaceChildren();
    });
  };
  return { form, pick, grade, clear, focus: () => options[0]?.input.focus() };
}

export function question(block, context) {
  const { memory, learner } = context;
  const result = make("div.result");
  const status = make("p.verdict", { role: "status" });
  const check = make("button.primary", { type: "button" }, "Check");
  const asked = asking(block, (index) => {
    memory.chosen = index;
    status.textContent = "";
  });
  // What is shown: the latest answer, until it is tried again.
  let shown;
  const show = () => {
    const latest = answersTo(learner, block).at(-1);
    const answer = latest && block.options[latest.option] && latest.at > (memory.again ?? 0);
    const now = answer ? latest : undefined;
    if (now && now.at === shown?.at) return;
    if (!now && shown === null) return;
    shown = now ?? null;
    if (!now) {
      asked.clear(memory.chosen);
      status.textContent = "";
      result.replaceChildren();
      check.textContent = "Check";
      return;
    }
    const right = Boolean(block.options[now.option].correct);
    asked.grade(now.option);
    status.replaceChildren(
      sign(right ? "good" : "bad"),
      right ? ` ${letter(now.option)} is right.` : ` ${letter(now.option)} is not right.`,
    );
    check.textContent = "Try again";
    const link = placeLink(block, context);
    result.replaceChildren(...[link && make("p.seen", link), ...solution(block)].filter(Boolean));
  };
  check.addEventListener("click", () => {
    if (shown) {
      memory.again = shown.at;
      memory.chosen = undefined;
      show();
      asked.focus();
    } else if (memory.chosen === undefined) status.textContent = "Choose an answer first.";
    else learner.add(answerEvent(block, memory.chosen));
  });
  const hint =
    block.hint && make("details.hint", make("summary", "Hint"), make("p", ...words(block.hint)));
  context.learned = show;
  const root = make("div.question", asked.form, hint, make("div.tools", check, status), result);
  show();
  return root;
}
