// What is shown below a derivative: steps, diagram, code, check, cost.

import { byId, copy, download, drawing, fragment, make, reachable, tabs, worded } from "./dom.js";

export const PANELS = { steps: "Steps", diagram: "Diagram", code: "Code", check: "Check", cost: "Cost" };
const LANGUAGES = { numpy: "NumPy", torch: "PyTorch", jax: "JAX" };
let language = "numpy";

/** Show a part of an answer; `record` as the contract says, an error in its place included. */
export function showPanel(panel, name, record) {
  panel.classList.remove("stale");
  // A new answer begins at its beginning.
  panel.scrollLeft = 0;
  if (!record || record.error) {
    panel.replaceChildren(problem(record?.error?.message ?? "There is nothing to show here."));
    return;
  }
  panel.replaceChildren(...SHOW[name](record));
  panel.querySelectorAll(".math, .wide, .code, .diagram").forEach(reachable);
}

const problem = (words) => make("p", { className: "error" }, ...worded(words));

const SHOW = { steps, diagram, code, check, cost };

function steps({ html }) {
  const box = make("div", { className: "steps wide" });
  box.append(fragment(html));
  return [box];
}

function diagram(record) {
  const shown = ["function", "derivative"].filter((what) => record[what]);
  if (!shown.length) return [problem("This formula has no diagram.")];
  const figures = shown.map((what) => {
    const save = make("button", { type: "button" }, "Download SVG");
    save.addEventListener("click", () => download(record[what], `${what}.svg`, "image/svg+xml"));
    const buttons = make("div", { className: "copies" }, save);
    if (record.tikz?.[what]) {
      const tikz = make("button", { type: "button" }, "Copy TikZ");
      tikz.addEventListener("click", () => copy(record.tikz[what], tikz, "TikZ"));
      buttons.append(tikz);
    }
    return make("figure", {}, make("figcaption", {}, what), drawing(record[what]), buttons);
  });
  return [make("div", { className: "figures" }, ...figures)];
}

function code(record) {
  const list = make("div", { className: "tabs", role: "tablist", "aria-label": "Library" });
  const text = make("pre", { className: "code python", tabIndex: 0, "aria-label": "Source" });
  const take = make("button", { type: "button" }, "Copy code");
  const save = make("button", { type: "button" }, "Download");
  const source = () => (typeof record[language] === "string" ? record[language] : null);
  const show = () => {
    const missing = source() === null;
    if (missing) text.replaceChildren(record[language]?.error?.message ?? "There is no code for this library.");
    else text.replaceChildren(...coloured(source()));
    take.disabled = save.disabled = missing;
  };
  const inner = make("div", { role: "tabpanel", className: "inner" }, text);
  tabs(list, inner, LANGUAGES, language, (name) => { language = name; show(); });
  take.addEventListener("click", () => copy(source(), take, `${LANGUAGES[language]} code`));
  save.addEventListener("click", () => download(source(), `derivative_${language}.py`, "text/x-python"));
  show();
  const all = make("div", {}, list, make("div", { className: "copies" }, take, save,
    make("span", { className: "note" }, "Function and derivative; needs nothing of this package.")), inner);
  return [all];
}

const TOKENS = /("""[^]*?"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(#[^\n]*)|\b(and|as|assert|def|elif|else|except|False|for|from|if|import|in|is|lambda|None|not|or|raise|return|True|try|while|with|yield)\b|\b(\d[\d_]*(?:\.\d*)?(?:[eE][-+]?\d+)?)\b/g;

function coloured(source) {
  const parts = [];
  let at = 0;
  for (const match of source.matchAll(TOKENS)) {
    if (match.index > at) parts.push(source.slice(at, match.index));
    const kind = ["s", "c", "k", "n"][match.slice(1).findIndex((group) => group !== undefined)];
    parts.push(make("span", { className: kind }, match[0]));
    at = match.index + match[0].length;
  }
  parts.push(source.slice(at));
  return parts;
}

export const shortError = (error) => {
  const [digits, power] = Number(error).toExponential(1).split("e");
  return Number(error) === 0 ? "0" : `${digits}e${Number(power)}`;
};

export const largest = (entries) => Math.max(...entries.map((entry) => Number(entry.error)));

function check({ ok, entries, text }) {
  const body = entries.map((entry) => make("tr", {},
    make("td", { className: "mono" }, entry.by.join(", ")),
    make("td", { className: "number" }, shortError(entry.error)),
    make("td", {}, entry.method)));
  return [
    make("p", {}, ok
      ? "The formula was evaluated with random data, and compared with derivatives that are found numerically."
      : "The formula does not agree with numerical derivatives. This is a fault of the library; please report it."),
    ...(body.length ? [table(["by", "largest relative error", "compared with"], body, [1])] : []),
    ...(text && !ok ? [make("pre", { className: "code" }, text)] : []),
  ];
}

const count = (n) => {
  if (n === null || n === undefined) return "–";
  if (n < 1e6) return Number(n).toLocaleString("en").replaceAll(",", "\u202f");
  const [digits, power] = Number(n).toExponential(1).split("e");
  return make("span", {}, `${digits.replace(/\.0$/, "")}·10`, make("sup", {}, String(Number(power))));
};

function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  let k = 0;
  for (; n >= 1000 && k < units.length - 1; k++) n /= 1000;
  return `${n < 10 && k ? n.toFixed(1) : Math.round(n)} ${units[k]}`;
}

function cost({ expressions, table: rows, text }) {
  const terms = expressions.map(({ what, symbolic, mathml }) => {
    const box = make("td", {});
    box.append(mathml ? fragment(mathml) : symbolic);
    return make("tr", {}, make("th", { scope: "row" }, what), box);
  });
  const shown = [];
  if (terms.length) shown.push(make("div", { className: "wide" }, make("table", {}, make("tbody", {}, ...terms))));
  if (rows?.length) {
    const names = Object.keys(rows[0].sizes);
    shown.push(table([...names, "operations", "memory"], rows.map((row) => make("tr", {},
      ...names.map((name) => make("td", { className: "number" }, count(row.sizes[name]))),
      make("td", { className: "number" }, count(row.flops)),
      make("td", { className: "number" }, bytes(row.bytes)))), [...names.keys(), names.length, names.length + 1]));
  }
  if (!shown.length && text) shown.push(make("pre", { className: "code" }, text));
  return shown;
}

function table(heads, body, numbers = []) {
  const cells = heads.map((head, k) => make("th", { scope: "col", className: numbers.includes(k) ? "number" : "" }, head));
  return make("div", { className: "wide" }, make("table", {}, make("thead", {}, make("tr", {}, ...cells)), make("tbody", {}, ...body)));
}

/** How a result can be copied: a label, and the text that is taken (null: not to be had). */
export function spellings(answer) {
  const result = answer.derivative ?? answer.formula;
  const title = answer.derivative?.title ?? "function";
  const shape = result.shape?.length ? ` (${[result.kind, result.shape.join(" × ")].filter(Boolean).join(" ")})` : "";
  return {
    text: { label: "Text", text: result.text },
    latex: { label: "LaTeX", text: result.latex },
    markdown: {
      label: "Markdown",
      text: `Function \`${answer.formula.text}\`, ${title}${shape}:\n\n$$\n${result.latex}\n$$\n`,
    },
    einsum: { label: "einsum", text: result.einsum ?? null },
    index: { label: "Index", text: result.index?.text ?? null },
  };
}

export function showSpellings(answer) {
  const all = spellings(answer);
  byId("spelled").textContent = all.text.text;
  const box = byId("copies");
  box.replaceChildren(make("span", { className: "note" }, "Copy"), ...Object.values(all)
    .filter(({ text }) => text)
    .map(({ label, text }) => {
      const button = make("button", { type: "button" }, label);
      button.addEventListener("click", () => {
        byId("spelled").textContent = text;
        copy(text, button, label);
      });
      return button;
    }));
}
