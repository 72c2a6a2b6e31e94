// What a learner did is a list of events: all that a page shows of it follows from that list.
import { make, sign, visible } from "./dom.js";
import { drawerAt, nameOf, sound } from "./drawer.js";

const PAUSE = 2000;
const LONGEST = 60000;
// The status of an answer that will be the same the next time.
const REFUSED = 400;

export const offersOf = (model, name) =>
  Boolean(model.act) && (model.actions ? model.actions.includes(name) : name === "rerun");

// `told` hears that the list has changed.
export function learnerOf(model, told) {
  let lesson = "";
  let given = [];
  let own = [];
  let kept = null;
  let unsent = null;
  let hosted = false;
  let sending = false;
  let trouble = "";
  let refused = "";
  let pause = PAUSE;
  let waiting = 0;
  let last = 0;
  const store = {
    events: [],
    element: make("div.kept", { role: "region", "aria-label": "Your answers", hidden: true }),
  };

  const merge = () => {
    const known = new Map([...given, ...own].map((event) => [nameOf(event), event]));
    store.events = [...known.values()].sort((one, other) => one.at - other.at);
  };
  const note = make("span");
  const trying = make("span", { role: "status" });
  const tools = make("span.tools");
  store.element.append(note, tools, trying);
  const button = (label, onclick) =>
    make("button", { type: "button", class: "quiet", onclick }, label);
  const forget = button("Forget my answers", () => {
    const sure = button("Forget them all", () => {
      kept.put([]);
      own = [];
      changed();
      tools.replaceChildren(forget);
      forget.focus();
    });
    const keep = button("Keep them", () => {
      tools.replaceChildren(forget);
      forget.focus();
    });
    tools.replaceChildren("Forget what is kept here? ", sure, keep);
    keep.focus();
  });
  const count = () => {
    const { length } = unsent.all();
    return length === 1 ? "1 answer is" : `${length} answers are`;
  };
  const where = () => {
    if (hosted && unsent?.all().length) return `${count()} not kept in your own file yet.`;
    if (hosted) return "Your answers are kept in your own file.";
    if (!kept?.opens)
      return "Nothing can be kept here: your answers last until this page is closed.";
    return kept.full
      ? "This browser stores no more: your latest answers last only until this page is closed."
      : "Your answers are kept in this browser only.";
  };
  const say = () => {
    store.element.hidden = !lesson;
    note.textContent = where();
    if (!lesson || hosted || !kept.opens || !own.length) tools.replaceChildren();
    else if (!tools.firstChild) tools.append(forget);
    const waits =
      trouble &&
      unsent.all().length > 0 &&
      `${count()} not kept yet, and tried again as long as this page is open: ${trouble}`;
    const wrong = [refused && `1 answer was refused, and is not kept: ${refused}`, waits];
    const words = wrong.filter(Boolean).map(visible).join(" ");
    note.hidden = Boolean(words);
    store.element.classList.toggle("trouble", Boolean(words));
    trying.replaceChildren(...(words ? [sign("warning"), ` ${words}`] : []));
  };
  const changed = () => {
    merge();
    say();
    told();
  };

  // One that does not pass does not hold up the others.
  const failed = new Set();
  const next = (list) => {
    const event = list.find((each) => !failed.has(nameOf(each)));
    if (!event) failed.clear();
    return event ?? list[0];
  };
  const deliver = async () => {
    const queue = unsent;
    for (let event; (event = next(queue.all())) && offersOf(model, "learned");) {
      try {
        await model.act("learned", { event });
      } catch (error) {
        const said = String(error?.message ?? error);
        if (error?.status !== REFUSED) {
          failed.add(nameOf(event));
          trouble = said;
          clearTimeout(waiting);
          waiting = setTimeout(send, pause);
          pause = Math.min(pause * 2, LONGEST);
          return;
        }
        refused = said;
      }
      queue.drop(event);
    }
    trouble = "";
    pause = PAUSE;
  };
  // Tabs share what is unsent, and one of them sends at a time.
  const send = async () => {
    if (sending || !unsent?.all().length || !offersOf(model, "learned")) return;
    sending = true;
    try {
      await navigator.locks.request(`pipetrace/${lesson}/unsent`, deliver);
    } catch {
      await deliver();
    }
    sending = false;
    say();
    if (!trouble) send();
  };

  store.add = (event) => {
    last = Math.max(Date.now(), last + 1);
    const whole = { ...event, lesson, at: last };
    refused = "";
    (hosted ? unsent : kept)?.add(whole);
    own = kept && !hosted ? kept.all() : [...own, whole];
    changed();
    if (hosted) send();
    return whole;
  };
  store.show = (page) => {
    const known = store.events.map(nameOf).join();
    const named = page.learner ?? "";
    const offered = hosted;
    hosted ||= offersOf(model, "learned");
    given = sound(page.events ?? []);
    if (lesson !== named) {
      kept = named ? drawerAt(`pipetrace/${named}`) : null;
      unsent = named ? drawerAt(`pipetrace/${named}/unsent`) : null;
    }
    if (lesson !== named || hosted !== offered) {
      lesson = named;
      // What a browser kept before a host offered to keep it goes to the host.
      const before = (hosted && kept?.all()) || [];
      if (before.length) kept.put([]);
      if (before.length) unsent.add(...before);
      own = (hosted ? unsent : kept)?.all() ?? [];
    }
    merge();
    say();
    if (hosted) send();
    return store.events.map(nameOf).join() !== known;
  };
  const heard = ({ key }) => {
    if (hosted || !kept || (key !== null && key !== `pipetrace/${lesson}`)) return;
    own = kept.all();
    changed();
  };
  addEventListener("storage", heard);
  store.clear = () => {
    removeEventListener("storage", heard);
    clearTimeout(waiting);
  };
  return store;
}
