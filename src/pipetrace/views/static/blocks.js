// Each block is drawn without its neighbours; one that fails becomes a red block.
import { make, pane, sign, words } from "./dom.js";
import { cards } from "./cards.js";
import { chart } from "./chart.js";
import { distributions } from "./distributions.js";
import { code } from "./code.js";
import { draws } from "./draws.js";
import { exam } from "./exam.js";
import { experiment } from "./experiment.js";
import { flow } from "./flow.js";
import { graph } from "./graph.js";
import { network } from "./network.js";
import { question } from "./question.js";
import { definitions } from "./stage.js";
import { steps } from "./steps.js";
import { tabs } from "./tabs.js";

const FIRST_ROWS = 200;

function paragraph(block) {
  const tone = block.tone ?? "plain";
  return make("p", { class: `text ${tone}` }, sign(tone), make("span", ...words(block.text)));
}

function checks(block) {
  const states = {
    yes: ["✓", "yes", "good"],
    no: ["✗", "no", "bad"],
    unknown: ["?", "unknown", "warning"],
  };
  return make(
    "ul.checks",
    ...block.checks.map((check) => {
      const [mark, said, tone] = states[check.state] ?? states.unknown;
      return make(
        "li",
        make("span", { class: `sign ${tone}`, role: "img", "aria-label": said }, mark),
        make(
          "span",
          ...words(check.label),
          " ",
          check.detail && make("span.note", ...words(check.detail)),
        ),
      );
    }),
  );
}

function table(block) {
  const head = make(
    "tr",
    ...block.heads.map((each) =>
      make("th", { scope: "col", class: each.number && "number" }, ...words(each.label)),
    ),
  );
  const body = make("tbody");
  const add = (rows) => {
    for (const row of rows) {
      const cells = row.map((cell, index) =>
        make("td", { class: block.heads[index]?.number && "number" }, ...words(cell)),
      );
      body.append(make("tr", ...cells));
    }
  };
  add(block.rows.slice(0, FIRST_ROWS));
  const caption = block.caption && make("caption", ...words(block.caption));
  const whole = make("div.table");
  whole.append(pane(block.caption || "Table", make("table", caption, make("thead", head), body)));
  if (block.rows.length > FIRST_ROWS) {
    const more = make(
      "button",
      { type: "button", class: "quiet" },
      `Show all ${block.rows.length} rows`,
    );
    more.addEventListener("click", () => {
      add(block.rows.slice(FIRST_ROWS));
      more.remove();
    });
    whole.append(more);
  }
  const noted = block.heads.filter((each) => each.note);
  if (noted.length) {
    const lines = noted.map((each) =>
      make("li", make("strong", ...words(each.label)), ": ", ...words(each.note)),
    );
    whole.append(make("ul.notes", ...lines));
  }
  return whole;
}

function remarks(block) {
  const bare = block.remarks.every((remark) => !remark.where && !remark.id);
  const list = make(
    bare ? "ul.listed" : "ul.remarks",
    ...block.remarks.map((remark) =>
      make(
        "li",
        bare ? [] : make("span.where", remark.where),
        make(
          "span",
          sign(remark.tone),
          ...words(remark.text),
          remark.id && [" ", make("span.rule", remark.id)],
        ),
      ),
    ),
  );
  if (!block.title) return list;
  return make("div", make("p.caption", ...words(block.title)), list);
}

function bars(block) {
  const list = make("ul.bars", { "aria-label": block.title || null });
  for (const bar of block.bars) {
    const share = Number(bar.share);
    const fill = make("span.fill");
    fill.style.setProperty("--share", Number.isNaN(share) ? 0 : Math.min(Math.max(share, 0), 1));
    list.append(
      make(
        "li",
        { class: bar.mark ? "marked" : null },
        make("span.name", ...words(bar.label), bar.mark && make("span.badge", bar.mark)),
        make("span.track", { "aria-hidden": "true" }, fill),
        make("span.number", bar.value),
      ),
    );
  }
  return make("div", block.title && make("p.caption", ...words(block.title)), list);
}

export function crash(block) {
  return make(
    "div.crash",
    { role: "group", "aria-label": block.title },
    make("p", sign("bad"), make("strong", block.title)),
    make("pre", { tabindex: 0, role: "group", "aria-label": "what happened" }, block.text),
  );
}

const DRAW = {
  text: paragraph,
  facts: (block) => definitions(block.facts),
  checks,
  table,
  chart,
  remarks,
  code,
  flow,
  bars,
  question,
  crash,
  distributions,
  tabs,
  exam,
  cards,
  steps,
  experiment,
  draws,
  network,
  graph,
};

export function drawBlock(block, context) {
  try {
    const drawn = DRAW[block.block];
    if (!drawn) throw new Error(`this viewer has no block named ${block.block}`);
    return drawn(block, context);
  } catch (error) {
    return crash({ title: "This block could not be drawn", text: String(error?.message ?? error) });
  }
}
