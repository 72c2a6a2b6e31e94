// What a learner did is a list of events: all that a page shows of it follows from that list.
import { make, sign, visible } from "./dom.js";

const PAUSE = 2000;
const LONGEST = 60000;

const nameOf = ({ event, at, question, card, sitting, experiment, verdict }) =>
  [event, at, question ?? card ?? sitting ?? experiment, verdict ?? ""].join(" ");

const sound = (list) =>
  Array.isArray(list)
    ? list.filter((each) => typeof each?.event === "string" && Number.isFinite(each.at))
    : [];

// A frame may have no storage, and a storage may be full: null says so.
function storedAt(key) {
  try {
    const text = localStorage.getItem(key);
    try {
      return sound(JSON.parse(text));
    } catch {
      return [];
    }
  } catch {
    return null;
  }
}

function storeAt(key, list) {
  try {
    if (list.length) localStorage.setItem(key, JSON.stringify(list));
    else localStorage.removeItem(key);
    return true;
  } catch {
    return false;
  }
}

export const offersOf = (model, name) =>
  Boolean(model.act) && (model.actions ? model.actions.includes(name) : name === "rerun");

// `told` hears that the list has changed.
export function learnerOf(model, told) {
  let lesson = "";
  let given = [];
  let own = [];
  let unsent = [];
  let hosted = false;
  let lasting = true;
  let sending = false;
  let trouble = "";
  let pause = PAUSE;
  let waiting = 0;
  let last = 0;
  const store = {
    events: [],
    element: make("div.kept", { role: "region", "aria-label": "Your answers", hidden: true }),
  };
  const key = (part = "") => `pipetrace/${lesson}${part}`;

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
      storeAt(key(), []);
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
  const say = () => {
    const browser = Boolean(lesson) && !hosted && lasting;
    store.element.hidden = !lesson;
    note.textContent = hosted
      ? "Your answers are kept in your own file, beside your runs."
      : lasting
        ? "Your answers are kept in this browser only."
        : "Nothing can be kept here: your answers last until this page is closed.";
    if (!browser || !own.length) tools.replaceChildren();
    else if (!tools.firstChild) tools.append(forget);
    note.hidden = Boolean(trouble);
    store.element.classList.toggle("trouble", Boolean(trouble));
    const count = unsent.length === 1 ? "1 answer is" : `${unsent.length} answers are`;
    const words = ` ${count} not kept yet, and will be tried again: ${visible(trouble)}`;
    trying.replaceChildren(...(trouble ? [sign("warning"), words] : []));
  };
  const changed = () => {
    merge();
    say();
    told();
  };

  // Tabs share what is unsent, and one of them sends at a time.
  const left = (list) => {
    if (list) storeAt(key("/unsent"), (unsent = list));
    else unsent = storedAt(key("/unsent")) ?? unsent;
    return unsent;
  };
  const deliver = async () => {
    try {
      while (left().length) {
        const [event] = unsent;
        await model.act("learned", { event });
        left(left().filter((each) => nameOf(each) !== nameOf(event)));
      }
      trouble = "";
      pause = PAUSE;
    } catch (error) {
      trouble = String(error?.message ?? error);
      // One that is refused does not hold up the others.
      const [first, ...others] = left();
      left([...others, first]);
      clearTimeout(waiting);
      waiting = setTimeout(send, pause);
      pause = Math.min(pause * 2, LONGEST);
    }
  };
  const send = async () => {
    if (sending || !lesson || !left().length || !offersOf(model, "learned")) return;
    sending = true;
    try {
      await navigator.locks.request(key("/unsent"), deliver);
    } catch {
      await deliver();
    }
    sending = false;
    say();
  };

  store.add = (event) => {
    last = Math.max(Date.now(), last + 1);
    const whole = { ...event, lesson, at: last };
    if (lesson && hosted) left([...left(), whole]);
    else if (lesson) own = storedAt(key()) ?? own;
    own = [...own, whole];
    if (lesson && !hosted) lasting = storeAt(key(), own);
    changed();
    if (hosted) send();
    return whole;
  };
  store.show = (page) => {
    const known = store.events.map(nameOf).join();
    const offered = hosted;
    hosted ||= offersOf(model, "learned");
    given = sound(page.events ?? []);
    if (lesson !== (page.learner ?? "") || hosted !== offered) {
      lesson = page.learner ?? "";
      // What a browser kept before a host offered to keep it goes to the host.
      const before = hosted && lesson ? (storedAt(key()) ?? []) : [];
      if (before.length) storeAt(key(), []);
      if (before.length) left([...left(), ...before]);
      const kept = lesson ? storedAt(key(hosted ? "/unsent" : "")) : [];
      lasting = kept !== null;
      own = kept ?? [];
    }
    merge();
    say();
    if (hosted) send();
    return store.events.map(nameOf).join() !== known;
  };
  const heard = (event) => {
    if (hosted || !lesson || (event.key !== null && event.key !== key())) return;
    own = storedAt(key()) ?? own;
    changed();
  };
  addEventListener("storage", heard);
  store.clear = () => {
    removeEventListener("storage", heard);
    clearTimeout(waiting);
  };
  return store;
}
