// The notation and the table of functions, in a dialog.

import { button, byId, make } from "./dom.js";
import { get } from "./server.js";

let functions = null;

/** `onInsert(text)` puts a call into the formula. */
export function prepareHelp(onInsert) {
  const dialog = byId("help");
  const search = byId("search");
  const open = async () => {
    dialog.showModal();
    search.focus();
    if (functions) return;
    byId("found").textContent = "Reading the table…";
    try {
      functions = await get("api/functions");
      show();
    } catch (error) {
      byId("found").textContent = error.message;
    }
  };
  const show = () => {
    if (!functions) return;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = functions.filter((f) => {
      const text = [f.name, f.meaning, f.group, ...(f.aliases ?? [])].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    // Those named so come first.
    if (words.length === 1) hits.sort((a, b) => b.name.startsWith(words[0]) - a.name.startsWith(words[0]));
    let group = null;
    byId("functions").replaceChildren(...hits.flatMap((f) => {
      const call = `${f.name}(${f.arguments})`;
      const put = button(call, () => {
        dialog.close();
        onInsert(f);
      });
      const meaning = f.meaning + (f.aliases?.length ? `; also ${f.aliases.join(", ")}` : "");
      const head = f.group !== group && !words.length ? [make("li", { className: "group" }, f.group)] : [];
      group = f.group;
      return [...head, make("li", {}, put, make("span", {}, meaning))];
    }));
    byId("found").textContent = words.length ? `${hits.length} of ${functions.length} functions` : `${functions.length} functions; choose one to put it into the formula`;
  };
  search.addEventListener("input", show);
  byId("help-open").addEventListener("click", open);
  byId("help-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  return open;
}
