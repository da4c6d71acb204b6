// A row for each variable: what it is, its sizes, and back to what the formula says.

import { button, make } from "./dom.js";

const NAMED = ["spd", "diag", "tri", "orth", "sym"];
const PROPERTIES = [...NAMED, "nonneg"];
const LETTERS = "mnkpqrstijl";
const WORDS = {
  0: "scalar", 1: "vector", 2: "matrix", sym: "symmetric matrix", spd: "positive definite matrix",
  diag: "diagonal matrix", tri: "lower triangular matrix", orth: "orthogonal matrix",
};
const SPACES = { diag: "diagonal", tri: "lower triangular", spd: "symmetric", sym: "symmetric" };

/** `"n n spd"` as sizes and properties. */
export function readSpec(spec) {
  const words = spec.replace(/\s*([-+*])\s*/g, "$1").split(/[\s,]+/).filter(Boolean);
  return {
    sizes: words.filter((word) => !PROPERTIES.includes(word)),
    properties: words.filter((word) => PROPERTIES.includes(word)),
  };
}

const writeSpec = ({ sizes, properties }) => [...sizes, ...properties].join(" ");

function kindOf({ sizes, properties }) {
  if (sizes.length !== 2) return String(sizes.length);
  return NAMED.find((p) => properties.includes(p)) ?? "2";
}

/** The space that a derivative by this variable is taken in, in a word; none where all entries are free. */
export function space(spec) {
  const { sizes, properties } = readSpec(spec);
  return sizes.length > 1 ? SPACES[Object.keys(SPACES).find((p) => properties.includes(p))] : undefined;
}

/** The declaration of another kind, keeping what sizes it can. */
function turned(spec, kind) {
  const { sizes, properties } = readSpec(spec);
  const named = NAMED.includes(kind);
  const axes = named ? 2 : Number(kind);
  const kept = sizes.slice(0, axes);
  for (const letter of LETTERS) {
    if (kept.length === axes) break;
    if (!kept.includes(letter)) kept.push(letter);
  }
  if (kind in SPACES) kept[1] = kept[0];
  const words = named ? [kind] : [];
  if (properties.includes("nonneg")) words.push("nonneg");
  return writeSpec({ sizes: kept, properties: words });
}

/**
 * Show the rows. `rows` has name, spec, declared, unused and wrong (a message); `onChange(name, spec)`
 * is called with null for back to what is inferred. Rows stay the same elements, so typing goes on.
 */
export function showVariables(box, rows, onChange) {
  const present = new Map([...box.children].map((row) => [row.dataset.name, row]));
  const wanted = rows.map((row) => {
    const element = present.get(row.name) ?? newRow(row.name, onChange);
    fill(element, row);
    return element;
  });
  for (const [name, element] of present) if (!rows.some((row) => row.name === name)) element.remove();
  wanted.forEach((element, k) => {
    if (box.children[k] !== element) box.insertBefore(element, box.children[k] ?? null);
  });
}

function newRow(name, onChange) {
  const select = make("select", { "aria-label": `kind of ${name}` });
  const sizes = make("div", { className: "sizes" });
  const reset = button("reset", () => {
    select.focus();
    onChange(name, null);
  }, { className: "reset" });
  const row = make("div", { className: "variable", role: "group", "aria-label": `variable ${name}`, data: { name } },
    make("span", { className: "name" }, name), select, make("span", { className: "tag" }, "inferred"), reset, sizes,
    make("p", { className: "wrong", hidden: true }));
  select.addEventListener("change", () => onChange(name, turned(row.dataset.spec, select.value)));
  row.given = () => {
    const inputs = [...sizes.querySelectorAll("input:not([type])")];
    const words = inputs.map((input) => input.value.replace(/[\s,]/g, ""));
    const empty = words.some((word) => !word);
    inputs.forEach((input, k) => input.setAttribute("aria-invalid", String(!words[k])));
    if (empty) return;
    const { properties } = readSpec(row.dataset.spec);
    const all = row.dataset.square ? [words[0], words[0]] : words;
    const free = properties.filter((p) => p !== "nonneg");
    if (sizes.querySelector("[type=checkbox]").checked) free.push("nonneg");
    onChange(name, writeSpec({ sizes: all, properties: free }));
  };
  return row;
}

function fill(row, { name, spec, declared, unused, wrong }) {
  row.dataset.spec = spec;
  const parsed = readSpec(spec);
  const kind = kindOf(parsed);
  const reset = row.querySelector(".reset");
  reset.textContent = unused ? "remove" : "reset";
  reset.setAttribute("aria-label", `${reset.textContent} ${name}`);
  reset.hidden = !declared;
  row.querySelector(".tag").hidden = declared;
  const message = row.querySelector(".wrong");
  message.textContent = wrong ?? (unused ? "declared, but not in the formula" : "");
  message.hidden = !message.textContent;

  const select = row.querySelector("select");
  const kinds = ["0", "1", "2", ...NAMED, "3", "4", "5"];
  if (!kinds.includes(kind)) kinds.push(kind);
  if (select.options.length !== kinds.length) {
    select.replaceChildren(...kinds.map((value) => make("option", { value }, WORDS[value] ?? `tensor, ${value} axes`)));
  }
  select.value = kind;

  const square = kind in SPACES && parsed.sizes[0] === parsed.sizes[1];
  row.dataset.square = square ? "yes" : "";
  const box = row.querySelector(".sizes");
  const shape = `${kind === "0" ? 0 : square ? "square" : parsed.sizes.length}`;
  if (row.dataset.shape !== shape) {
    row.dataset.shape = shape;
    const count = square ? 1 : parsed.sizes.length;
    const parts = [];
    for (let k = 0; k < count; k++) {
      const input = make("input", { autocomplete: "off", spellcheck: false, "aria-label": `size ${k + 1} of ${name}` });
      input.setAttribute("autocapitalize", "none");
      input.addEventListener("input", row.given);
      if (k) parts.push("×");
      parts.push(input);
    }
    if (square) parts.push(make("span", { className: "twice" }));
    const sign = make("input", { type: "checkbox", "aria-label": `entries of ${name} are at least 0` });
    sign.addEventListener("change", row.given);
    parts.push(make("label", { title: "No entry is negative" }, sign, "≥ 0"));
    box.replaceChildren(...parts);
  }
  box.querySelectorAll("input:not([type])").forEach((input, k) => {
    if (input !== document.activeElement) {
      input.value = parsed.sizes[k];
      input.removeAttribute("aria-invalid");
    }
  });
  box.querySelector("[type=checkbox]").checked = parsed.properties.includes("nonneg");
  const twice = box.querySelector(".twice");
  if (twice) twice.textContent = `× ${parsed.sizes[0]}`;
}
