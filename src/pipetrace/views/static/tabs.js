// Of several views one is shown at a time; on paper all stand one after the other.
import { make, sign, unique, words } from "./dom.js";

const holds = (stages, id) =>
  stages.some((stage) => stage.id === id || holds(stage.stages ?? [], id));

// The row of tabs that choose what stands in the panel of this id; `mark` says which is chosen.
export function tabList(title, panel, labels, choose) {
  let shown = 0;
  const buttons = labels.map((label, index) =>
    make(
      "button",
      {
        type: "button",
        role: "tab",
        id: `${panel}-${index}`,
        "aria-controls": panel,
        onclick: () => choose(index),
      },
      ...label,
    ),
  );
  const list = make("div", { role: "tablist", "aria-label": title }, ...buttons);
  list.addEventListener("keydown", (event) => {
    const last = buttons.length - 1;
    const to = { ArrowLeft: shown - 1, ArrowRight: shown + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose((to + last + 1) % (last + 1));
    buttons[shown].focus();
  });
  const mark = (index) => {
    shown = index;
    buttons.forEach((button, each) => {
      button.setAttribute("aria-selected", String(each === index));
      button.tabIndex = each === index ? 0 : -1;
    });
  };
  return { list, buttons, mark };
}

export function tabs(block, context) {
  const uid = unique("tabs");
  const panel = make("div", { role: "tabpanel", id: uid, tabindex: 0 });
  const labels = block.tabs.map((tab) => [sign(tab.tone), ...words(tab.label)]);
  const { list, buttons, mark } = tabList(block.title, uid, labels, (index) => choose(index));
  const root = make("div.tabs", list, panel);
  const content = (tab) => [
    tab.note && make("p.note", ...words(tab.note)),
    ...tab.blocks.map((each, index) =>
      make(
        "div",
        { class: `block is-${each.block}` },
        context.drawBlock(each, `${tab.id}.${index}`),
      ),
    ),
  ];
  const place = (id) =>
    Math.max(
      0,
      block.tabs.findIndex((tab) => tab.id === id),
    );
  let shown = -1;
  const show = (index) => {
    if (index === shown || !block.tabs.length) return;
    shown = index;
    context.memory.tab = block.tabs[index].id;
    context.inner.length = 0;
    panel.replaceChildren(...content(block.tabs[index]).filter(Boolean));
    panel.setAttribute("aria-labelledby", buttons[index].id);
    mark(index);
  };
  const choose = (index) => {
    show(index);
    context.keep("tab", index ? block.tabs[index].id : "");
  };
  // A stage that the address names may stand in a view that is not shown.
  const tabOf = (id) =>
    block.tabs.findIndex((tab) =>
      tab.blocks.some((each) => each.block === "flow" && holds(each.stages, id)),
    );
  context.find = (id) => (tabOf(id) < 0 ? undefined : id);
  context.select = (id) => {
    choose(tabOf(id));
    for (const inner of context.inner) {
      const key = inner.find?.(id);
      if (key !== undefined) inner.select(key);
    }
  };
  context.restore = () => show(place(context.state.tab));
  context.paper = () => {
    const before = context.inner.length;
    const others = block.tabs.filter((_, index) => index !== shown);
    const paper = make(
      "div.paper",
      ...others.flatMap((tab) => [make("h3", ...words(tab.label)), ...content(tab)]),
    );
    for (const inner of context.inner.splice(before)) {
      if (inner.paper) inner.root.append(inner.paper());
    }
    return paper;
  };
  context.root = root;
  show(place(context.state.tab ?? context.memory.tab));
  return root;
}
