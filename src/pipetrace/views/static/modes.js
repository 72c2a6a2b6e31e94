// Of a page with modes the sections of one are shown at a time.
import { make, unique, words } from "./dom.js";
import { tabList } from "./tabs.js";

export function modesOf(choose, onward) {
  const uid = unique("modes");
  const panel = make("div", { id: uid, role: "tabpanel" });
  const intro = make("p.intro");
  const element = make("div.modes", { role: "region", "aria-label": "Modes", hidden: true });
  const next = make("button", { type: "button" });
  const further = make("p.onward", next);
  let modes = [];
  let bar = null;
  let after = "";
  next.addEventListener("click", () => onward(after));
  const numbered = (mode) => [
    make("span.count", String(modes.indexOf(mode) + 1)),
    " ",
    make("span", ...words(mode.label)),
  ];
  return {
    element,
    heading: (mode) => make("h2.mode", ...numbered(mode)),
    panel,
    further,
    show(given, id) {
      if (JSON.stringify(given) !== JSON.stringify(modes)) {
        modes = given;
        bar = tabList("Modes", uid, modes.map(numbered), (index) => choose(modes[index].id));
        element.replaceChildren(bar.list, intro);
      }
      element.hidden = !modes.length;
      if (!modes.length) return;
      const index = modes.findIndex((mode) => mode.id === id);
      bar.mark(index);
      // Where the tabs do not fit, the chosen one is in sight.
      const chosen = bar.buttons[index];
      requestAnimationFrame(() => {
        bar.list.scrollLeft = chosen.offsetLeft - bar.list.offsetLeft - 16;
      });
      panel.setAttribute("aria-labelledby", bar.buttons[index].id);
      intro.replaceChildren(...words(modes[index].words ?? ""));
      const following = modes[index + 1];
      after = following?.id;
      further.hidden = !following;
      if (following) next.replaceChildren("Next: ", ...words(following.label), " →");
    },
  };
}
