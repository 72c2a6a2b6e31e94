// In a notebook the viewer's host is anywidget: what a block asks for goes through the kernel.
import { render } from "./viewer.js";

function inNotebook(model) {
  const waiting = new Map();
  let asked = 0;
  const heard = (message) => {
    const { number, blocks, error } = message ?? {};
    const settle = waiting.get(number);
    if (!settle) return;
    waiting.delete(number);
    if (error === undefined) settle.resolve(blocks);
    else settle.reject(new Error(error));
  };
  const act = (name, args) =>
    new Promise((resolve, reject) => {
      asked += 1;
      waiting.set(asked, { resolve, reject });
      model.send({ number: asked, name, arguments: args });
    });
  const host = {
    get: (name) => model.get(name),
    on: (event, listener) => model.on(event, listener),
    off: (event, listener) => model.off(event, listener),
    get act() {
      return model.get("actions")?.length ? act : undefined;
    },
    get actions() {
      return model.get("actions");
    },
  };
  model.on("msg:custom", heard);
  return { host, clear: () => model.off("msg:custom", heard) };
}

export default {
  render({ model, el }) {
    const { host, clear } = inNotebook(model);
    const undo = render({ model: host, el });
    return () => {
      undo();
      clear();
    };
  },
};
