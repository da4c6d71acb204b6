// What is shown below a derivative: steps, diagram, code, check, cost.

import { button, byId, copy, download, drawing, fragment, make, reachable, tabs, worded } from "./dom.js";

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
  panel.querySelectorAll(".wide, .code, .diagram, .tc-table, .tc-steps td").forEach(reachable);
}

const problem = (words) => make("p", { className: "problem" }, ...worded(words[0].toUpperCase() + words.slice(1)));

const SHOW = { steps, diagram, code, check, cost };

// What a reader has folded or opened stays so in the next answer.
const opened = new Map();

function steps({ html }) {
  const shown = fragment(html);
  for (const way of shown.querySelectorAll(".tc-way")) {
    const title = way.firstChild.textContent;
    way.open = opened.get(title) ?? way.open;
    way.firstChild.addEventListener("click", () => opened.set(title, !way.open));
  }
  return [shown];
}

function diagram(record) {
  const shown = ["function", "derivative"].filter((what) => record[what]);
  if (!shown.length) return [problem("This formula has no diagram.")];
  const figures = shown.map((what) => make("figure", {}, make("figcaption", {}, what), drawing(record[what]),
    make("div", { className: "copies" },
      button("Download SVG", () => download(record[what], `${what}.svg`, "image/svg+xml")),
      record.tikz?.[what] ? button("Copy TikZ", (from) => copy(record.tikz[what], from, "TikZ")) : null)));
  return [make("div", { className: "figures" }, ...figures)];
}

function code(record) {
  const list = make("div", { className: "tabs", role: "tablist", "aria-label": "Code for" });
  const text = make("pre", { className: "code", tabIndex: 0, "aria-label": "Source" }, record[language]);
  const inner = make("div", { role: "tabpanel" }, text);
  tabs(list, inner, LANGUAGES, language, (name) => {
    language = name;
    text.textContent = record[name];
  });
  return [list, make("div", { className: "copies" },
    button("Copy code", (from) => copy(record[language], from, `${LANGUAGES[language]} code`)),
    button("Download", () => download(record[language], `derivative_${language}.py`, "text/x-python")),
    make("span", { className: "note" }, "Function and derivative; needs nothing of this package.")), inner];
}

export const shortError = (error) => {
  const [digits, power] = error.toExponential(1).split("e");
  return error ? `${digits}e${Number(power)}` : "0";
};

export const largest = (entries) => Math.max(...entries.map((entry) => entry.error));

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
  if (n < 1e6) return n.toLocaleString("en").replaceAll(",", "\u202f");
  const [digits, power] = n.toExponential(1).split("e+");
  return make("span", {}, `${digits.replace(".0", "")}·10`, make("sup", {}, power));
};

function bytes(n) {
  let k = 0;
  for (; n >= 1000 && k < 6; k++) n /= 1000;
  return `${n < 10 && k ? n.toFixed(1) : Math.round(n)} ${["B", "kB", "MB", "GB", "TB", "PB", "EB"][k]}`;
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

/** How a result can be copied; what has no such form is left out. */
function spellings(answer) {
  const result = answer.derivative ?? answer.formula;
  const title = answer.derivative?.title ?? "function";
  return {
    Text: result.text,
    LaTeX: result.latex,
    Markdown: `Function \`${answer.formula.text}\`, ${title}:\n\n$$\n${result.latex}\n$$\n`,
    einsum: result.einsum,
    Index: result.index?.text,
  };
}

export function showSpellings(answer) {
  const all = spellings(answer);
  byId("spelled").textContent = all.Text;
  const box = byId("copies");
  box.replaceChildren(make("span", { className: "note" }, "Copy"), ...Object.entries(all)
    .filter(([, text]) => text)
    .map(([label, text]) => button(label, (from) => {
      byId("spelled").textContent = text;
      copy(text, from, label);
    })));
}
