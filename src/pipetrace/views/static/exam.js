// A test asks one question after the other, and says nothing of right or wrong before its end.
import { make, sign, words } from "./dom.js";
import { answerEvent, answersTo, asking, letter, placeLink, solution } from "./question.js";

const VERDICTS = {
  strong: ["●●●", "Strong"],
  growing: ["●●○", "Growing"],
  "not yet": ["●○○", "Not yet"],
};

export const formOf = (block, form) =>
  (block.forms[form] ?? []).map((at) => block.questions[at]).filter(Boolean);

const marked = (verdict) => {
  const [dots, said] = VERDICTS[verdict] ?? ["", verdict];
  return [make("span.dots", { "aria-hidden": "true" }, dots), said];
};
const percent = (share) => `${Math.round(Number(share) * 100)} %`;
const hardIn = (asked) => asked.filter((each) => each.level === "hard").length;
const countOf = (number, one) => `${number} ${one}${number === 1 ? "" : "s"}`;

// The limits as the block has them; a block leaves out what holds its default.
function limitsOf(block) {
  const { strong = 8, hard = 2, growing = 6 } = block;
  return { strong, hard, growing };
}

export function verdictOf(block, right, hard) {
  const limits = limitsOf(block);
  if (right >= limits.strong && hard >= limits.hard) return "strong";
  return right >= limits.growing ? "growing" : "not yet";
}

// All that is known of this test's sittings, from what the learner did.
function sittingsOf(block, learner) {
  const found = new Map();
  for (const each of learner.events) {
    if (each.event !== "sitting" || !each.sitting.startsWith(`${block.id}-`)) continue;
    const { sitting, verdict, at } = each;
    const begun = found.get(sitting)?.begun ?? at;
    found.set(sitting, { ...each, form: each.form ?? 0, begun, ended: Boolean(verdict) });
  }
  return [...found.values()].filter(({ form }) => block.forms[form]);
}

// The form not yet sat, else the one that was sat longest ago.
function nextForm(block, sittings) {
  const last = block.forms.map((_, form) =>
    Math.max(0, ...sittings.filter((each) => each.form === form).map((each) => each.begun)),
  );
  return last.indexOf(Math.min(...last));
}

export function exam(block, context) {
  const { learner, memory } = context;
  const root = make("div.exam");
  const status = make("p.note", { role: "status" });
  let stands = "";

  const givenIn = (sitting, question) => answersTo(learner, question, sitting).at(-1)?.option;
  const button = (label, onclick, primary) =>
    make("button", { type: "button", class: primary && "primary", onclick }, label);
  const heading = (...text) => make("h3", { tabindex: -1 }, ...text);
  const put = (parts, focus) => {
    status.textContent = "";
    root.replaceChildren(...parts.flat(Infinity).filter(Boolean));
    if (focus) root.querySelector("h3")?.focus();
  };

  const begin = () => {
    const form = nextForm(block, sittingsOf(block, learner));
    const word = Math.random().toString(36).slice(2, 8);
    memory.at = 0;
    memory.choice = undefined;
    keep();
    stands = "";
    memory.focus = true;
    learner.add({
      event: "sitting",
      sitting: `${block.id}-${Date.now().toString(36)}${word}`,
      form,
      total: block.forms[form].length,
    });
  };
  // The address keeps the question and a choice that is not yet an answer.
  const keep = () => {
    const { at, choice } = memory;
    context.keep("at", at || choice !== undefined ? `${at + 1}.${choice ?? ""}` : "");
  };
  const recall = () => {
    const [at, choice] = (context.state.at ?? "").split(".");
    memory.at = Math.max(0, (Number.parseInt(at, 10) || 1) - 1);
    memory.choice = choice ? Number(choice) : undefined;
  };

  const start = () => {
    const form = nextForm(block, []);
    const asked = formOf(block, form);
    const { strong, hard, growing } = limitsOf(block);
    const levels = [...new Set(asked.map((each) => each.level).filter(Boolean))]
      .map((level) => `${asked.filter((each) => each.level === level).length} ${level}`)
      .join(", ");
    const hards = hardIn(asked);
    const among =
      hards === 1 ? "the hard one among them" : `and at least ${hard} of the ${hards} hard ones`;
    const rule = (verdict, text) => make("li", make("strong", marked(verdict)), `: ${text}`);
    return [
      heading(...words(block.title)),
      make("p", countOf(asked.length, "question"), levels && `: ${levels}`, ". ", rest),
      make(
        "ul.rules",
        rule("strong", `at least ${strong} right${hard ? `, ${among}` : ""}`),
        rule("growing", `at least ${growing} right`),
        rule("not yet", "fewer"),
      ),
      block.forms.length > 1 && make("p.note", `Form ${form + 1} of ${block.forms.length}.`),
      make("div.tools", button("Begin", begin, true), status),
    ];
  };
  const rest =
    "You can go back and change an answer until you finish; what was right is said at the end.";

  const record = (sitting, question) => {
    const { choice } = memory;
    if (choice === undefined || !question.options[choice]) return;
    memory.choice = undefined;
    if (givenIn(sitting.sitting, question) === choice) return;
    learner.add(answerEvent(question, choice, sitting.sitting));
  };
  const finish = (sitting, asked) => {
    const right = asked.map((each) => each.options[givenIn(sitting.sitting, each)]?.correct);
    const hard = asked.filter((each, at) => each.level === "hard" && right[at]).length;
    const count = right.filter(Boolean).length;
    memory.at = 0;
    memory.focus = true;
    keep();
    learner.add({
      event: "sitting",
      sitting: sitting.sitting,
      form: sitting.form,
      right: count,
      total: asked.length,
      hard,
      verdict: verdictOf(block, count, hard),
    });
  };
  const ask = (sitting) => {
    const asked = formOf(block, sitting.form);
    const at = Math.min(memory.at ?? 0, asked.length - 1);
    const current = asked[at];
    const one = asking(current, (index) => {
      memory.choice = index;
      status.textContent = "";
      mark();
      keep();
    });
    one.pick(memory.choice ?? givenIn(sitting.sitting, current));
    const to = (next) => {
      record(sitting, current);
      memory.at = next;
      keep();
      put(ask(sitting), true);
    };
    const last = at === asked.length - 1;
    const answered = (index) =>
      givenIn(sitting.sitting, asked[index]) !== undefined ||
      (index === at && memory.choice !== undefined);
    const steps = asked.map((_, index) =>
      make("button", { type: "button", onclick: () => to(index) }, String(index + 1)),
    );
    const mark = () =>
      steps.forEach((step, index) => {
        const done = answered(index);
        step.classList.toggle("done", done);
        step.setAttribute("aria-label", `Question ${index + 1}, ${done ? "" : "not yet "}answered`);
        if (index === at) step.setAttribute("aria-current", "step");
      });
    mark();
    const end = button(
      "Finish",
      () => {
        record(sitting, current);
        const open = asked.flatMap((_, index) => (answered(index) ? [] : [index + 1]));
        if (!open.length || end.textContent !== "Finish") return finish(sitting, asked);
        end.textContent = "Finish all the same";
        const many = open.length > 1 ? "Questions" : "Question";
        const have = open.length > 1 ? "have" : "has";
        status.textContent = `${many} ${open.join(", ")} ${have} no answer yet.`;
        return undefined;
      },
      last,
    );
    return [
      heading(`Question ${at + 1} of ${asked.length}`),
      make("div.steps-done", { role: "group", "aria-label": "Questions" }, ...steps),
      one.form,
      make(
        "div.tools",
        at > 0 && button("← Back", () => to(at - 1)),
        !last && button("Next →", () => to(at + 1), true),
        (last || asked.every((_, index) => answered(index))) && end,
        status,
      ),
    ];
  };

  const review = (sitting, asked) =>
    asked.map((each, at) => {
      const chosen = givenIn(sitting.sitting, each);
      const option = each.options[chosen];
      const one = asking(each, () => {});
      one.grade(chosen);
      const said = option
        ? `${letter(chosen)}, ${option.correct ? "right" : "not right"}`
        : "not answered";
      return make(
        "details.asked",
        make(
          "summary",
          sign(option?.correct ? "good" : "bad"),
          `Question ${at + 1}: ${said}`,
          each.subject && make("span.note", " ", ...words(each.subject)),
        ),
        one.form,
        make("div.result", placeLink(each, context), ...solution(each)),
      );
    });
  const practise = (wrong) => {
    const subjects = [...new Set(wrong.map((each) => each.subject).filter(Boolean))];
    if (!subjects.length) return null;
    const items = subjects.map((subject) => {
      const links = new Map();
      for (const each of wrong.filter((one) => one.subject === subject))
        if (!links.has(each.place)) links.set(each.place, placeLink(each, context, "see "));
      const shown = [...links.values()].filter(Boolean).flatMap((link) => [" ", link]);
      return make("li", ...words(subject), ...shown);
    });
    return make("div.practise", make("h4", "What to practise next"), make("ul", ...items));
  };
  const result = (sitting, sittings) => {
    const asked = formOf(block, sitting.form);
    const { right = 0, total = asked.length, hard = 0, verdict } = sitting;
    const hards = hardIn(asked);
    const limits = limitsOf(block);
    const interval = block.intervals[right];
    const wrong = asked.filter((each) => !each.options[givenIn(sitting.sitting, each)]?.correct);
    const needed = limits.hard === 1 ? "1 hard one is" : `${limits.hard} hard ones are`;
    const short =
      verdict === "growing" && right >= limits.strong
        ? ` ${limits.strong} right are enough for strong; ${needed} needed too.`
        : "";
    const before = sittings.slice(0, sittings.indexOf(sitting));
    const sat = (form, among) => among.some((each) => each.ended && each.form === form);
    const again = sat(sitting.form, before);
    const next = nextForm(block, sittings);
    const alone = block.forms.length === 1;
    const comes = `${alone ? "The same form" : `Form ${next + 1}`} comes next`;
    return [
      heading(marked(verdict)),
      make(
        "p.total",
        make("strong", `${right} of ${total} right`),
        hards > 1 && `, ${hard} of the ${hards} hard ones`,
        hards === 1 && `, the hard one ${hard ? "" : "not "}among them`,
        ".",
        short,
      ),
      again
        ? make("p.note", "You had seen the answers of this form: the result measures memory too.")
        : interval &&
          make(
            "p.note",
            `${countOf(total, "question")} tell only so much: somebody who answers between ` +
              `${percent(interval[0])} and ${percent(interval[1])} of such questions right can ` +
              "well come out like this (95 % interval).",
          ),
      practise(wrong),
      make("div.reviewed", ...review(sitting, asked)),
      make(
        "div.tools",
        button(alone ? "Take it again" : "Another form", begin, true),
        make(
          "span.note",
          comes,
          sat(next, sittings) ? ", whose answers you have seen: it then measures memory." : ".",
        ),
      ),
    ];
  };

  // Drawn again only when another sitting, or another stage of it, is to be seen.
  const show = () => {
    const sittings = sittingsOf(block, learner);
    const latest = sittings.at(-1);
    const stage = latest ? `${latest.sitting} ${latest.ended}` : `none ${sittings.length}`;
    if (stage === stands) return;
    stands = stage;
    const focus = memory.focus;
    memory.focus = false;
    if (!latest) put(start(), focus);
    else put(latest.ended ? result(latest, sittings) : ask(latest), focus);
  };
  context.learned = show;
  context.restore = () => {
    recall();
    stands = "";
    show();
  };
  context.root = root;
  context.paper = () =>
    make(
      "div.paper",
      make("h3", ...words(block.title)),
      ...formOf(block, 0).map((each) => asking(each, () => {}).form),
    );
  if (memory.at === undefined) recall();
  show();
  return root;
}
