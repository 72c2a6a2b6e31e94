// A live process runs a layer again; what comes back, or went wrong, is kept for the next drawing.
import { make, sign, visible } from "./dom.js";

// `modes` maps what the reader chooses from to the mode that is asked for; `own` survives redraws.
export function rerun(context, own, { again, label, modes, rated, where }, show) {
  const field = (name, input) => {
    input.value = own[name];
    input.addEventListener("change", () => (own[name] = input.value));
    return make("label", `${name} `, input);
  };
  const number = (limits) => make("input", { type: "number", min: 0, required: true }, limits);
  const options = Object.keys(modes).map((mode) => make("option", mode));
  const status = make("p.note", { role: "status" });
  const form = make(
    "form.tools",
    field("mode", make("select", options)),
    rated && field("p", number({ max: 1, step: "any" })),
    field("seed", number()),
    make("button", label),
  );
  // The block may be drawn again meanwhile: the answer goes to where it stands by then.
  own.tell = () => {
    status.replaceChildren(own.error ? sign("bad") : "", visible(own.error ?? own.said));
    show(own.blocks ?? []);
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (own.busy) return;
    Object.assign(own, { busy: true, said: "Running …", error: undefined, blocks: [] });
    own.tell();
    const p = rated ? Number(own.p) : null;
    try {
      const given = { again, p, training: modes[own.mode], seed: Number(own.seed) };
      own.blocks = await context.act("rerun", given);
      own.said = own.blocks.length ? where : "The process answered with nothing.";
    } catch (error) {
      own.error = String(error?.message ?? error);
    }
    own.busy = false;
    own.tell();
  });
  own.tell();
  return make("div.rerun", form, status);
}
