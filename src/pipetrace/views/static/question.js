// A question is graded on the page; the first answer is the one that counts.
import { make, sign, unique, words } from "./dom.js";
import { code } from "./code.js";

export function letter(index) {
  const low = String.fromCharCode(65 + (index % 26));
  return index < 26 ? low : letter(Math.floor(index / 26) - 1) + low;
}

function solution(block) {
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

export function question(block, context) {
  const name = unique("question");
  const memory = context.memory ?? {};
  const result = make("div.result");
  const status = make("p.verdict", { role: "status" });
  const check = make("button.primary", { type: "button" }, "Check");
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
    input.addEventListener("change", () => {
      memory.chosen = index;
      status.textContent = "";
    });
    return { option, input, label, feedback };
  });
  const grade = () => {
    const chosen = memory.chosen;
    const right = block.options[chosen].correct;
    memory.first ??= right;
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
    status.replaceChildren(
      sign(right ? "good" : "bad"),
      right ? ` ${letter(chosen)} is right.` : ` ${letter(chosen)} is not right.`,
    );
    check.textContent = "Try again";
    result.replaceChildren(...solution(block));
    memory.graded = true;
    context.scored?.();
  };
  const again = () => {
    memory.graded = false;
    memory.chosen = undefined;
    options.forEach(({ input, label, feedback }) => {
      input.disabled = false;
      input.checked = false;
      label.classList.remove("right", "wrong", "chosen");
      feedback.replaceChildren();
    });
    status.textContent = "";
    result.replaceChildren();
    check.textContent = "Check";
    options[0]?.input.focus();
  };
  check.addEventListener("click", () => {
    if (memory.graded) again();
    else if (memory.chosen === undefined) status.textContent = "Choose an answer first.";
    else grade();
  });
  const form = make(
    "fieldset",
    make("legend", block.level && make("span.badge", block.level), ...words(block.text)),
    block.code && code({ text: block.code }),
    ...options.map(({ label }) => label),
  );
  const hint =
    block.hint && make("details.hint", make("summary", "Hint"), make("p", ...words(block.hint)));
  const root = make("div.question", form, hint, make("div.tools", check, status), result);
  if (memory.chosen !== undefined) {
    options[memory.chosen].input.checked = true;
    if (memory.graded) grade();
  }
  return root;
}
