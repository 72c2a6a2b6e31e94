// A list of events that the tabs of a browser share; what cannot be stored stays with this page.

export const nameOf = ({ event, at, question, card, sitting, experiment, verdict }) =>
  [event, at, question ?? card ?? sitting ?? experiment, verdict ?? ""].join(" ");

export const sound = (list) =>
  Array.isArray(list)
    ? list.filter((each) => typeof each?.event === "string" && Number.isFinite(each.at))
    : [];

// A frame may have no storage: null says so.
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

// A storage may be full, or refuse for a reason of its own.
function storeAt(key, list) {
  try {
    if (list.length) localStorage.setItem(key, JSON.stringify(list));
    else localStorage.removeItem(key);
    return true;
  } catch {
    return false;
  }
}

export function drawerAt(key) {
  // By their names: what is not in the storage but should be, and what is there but should not.
  let missing = new Map();
  let left = new Set();
  const named = (list) => new Map(list.map((event) => [nameOf(event), event]));
  const drawer = {
    all() {
      const known = new Map([...named(storedAt(key) ?? []), ...missing]);
      left.forEach((name) => known.delete(name));
      return [...known.values()];
    },
    put(list) {
      const wanted = named(list);
      const there = storeAt(key, list) ? wanted : named(storedAt(key) ?? []);
      missing = new Map([...wanted].filter(([name]) => !there.has(name)));
      left = new Set([...there.keys()].filter((name) => !wanted.has(name)));
    },
    add: (...events) => drawer.put([...drawer.all(), ...events]),
    drop: (event) => drawer.put(drawer.all().filter((each) => nameOf(each) !== nameOf(event))),
    get opens() {
      return storedAt(key) !== null;
    },
    get full() {
      return missing.size > 0;
    },
  };
  return drawer;
}
