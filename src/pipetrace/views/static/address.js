// Place and choices of the reader stand in the address: #section/stage?block~name=value.

const decode = (part) => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};

// `owns` says whether the address is the page's own; without one, choices live as long as the page.
export function addressOf(owns) {
  let section = "";
  let stage = "";
  let chosen = new URLSearchParams();
  const read = () => {
    const [place, query] = (owns ? location.hash.slice(1) : "").split(/\?(.*)/s);
    [section, stage] = addressOf.parts(place);
    chosen = new URLSearchParams(query ?? "");
  };
  const write = () => {
    if (!owns) return;
    const query = chosen.toString().replaceAll("%7E", "~");
    const place = encodeURIComponent(section) + (stage ? `/${encodeURIComponent(stage)}` : "");
    const hash = `#${place}${query && `?${query}`}`;
    if (hash === location.hash) return;
    try {
      history.replaceState(history.state, "", hash);
    } catch {
      // A frame without an address of its own keeps its state to itself.
    }
  };
  read();
  return {
    read,
    get section() {
      return section;
    },
    get stage() {
      return stage;
    },
    // What follows can be gone back from.
    note() {
      try {
        history.pushState(history.state, "");
      } catch {
        // A frame without an address of its own has no history either.
      }
    },
    go(nextSection, nextStage) {
      section = nextSection;
      stage = nextStage ?? "";
      write();
    },
    of(key) {
      const own = [...chosen].filter(([name]) => name.startsWith(`${key}~`));
      return Object.fromEntries(own.map(([name, value]) => [name.slice(key.length + 1), value]));
    },
    keep(key, name, value) {
      if (value === undefined || value === "") chosen.delete(`${key}~${name}`);
      else chosen.set(`${key}~${name}`, value);
      write();
    },
  };
}

addressOf.parts = (place) => {
  const [section, stage] = place.split("/").map(decode);
  return [section, stage ?? ""];
};
