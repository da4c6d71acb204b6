// The page: what a person changes becomes a request, and an answer becomes what is shown.

import { announce, button, byId, copy, fragment, make, reachable, segments, tabs, worded } from "./dom.js";
import { prepareHelp } from "./help.js";
import { EMPTY, fromFragment, toFragment } from "./link.js";
import { PANELS, largest, shortError, showPanel, showSpellings } from "./panels.js";
import { Asker, Gone, Refused, get } from "./server.js";
import { showVariables, space } from "./variables.js";

const REST = 180; // milliseconds without a key before the server is asked
const FIRST = { ...EMPTY, formula: "norm2(X*w-y)^2", wrt: ["w"] };
const KEPT = 20; // answers that are remembered

const field = byId("formula");
const panel = byId("panel");
const main = new Asker();
const parts = new Asker();
const kept = new Map();

let work = { ...FIRST };
let answer = null; // the last good one
let asked = null; // its request
let refusal = null; // the error that stands, if any
let chain = 0;
let scalar = true;
let typing = 0;
let showing = 0;
let again = 0;
let pause = 2;

// -- asking --

function request(wanted, wrt = work.wrt) {
  let by = wrt;
  if (by) by = work.order === 2 && by.length === 2 && by[0] !== by[1] ? by : by[0];
  return { formula: work.formula, declarations: work.declarations, wrt: by, order: work.order, symmetry: work.symmetry, parts: wanted };
}

/** Something changed: ask, at once or after a rest. `push`: the way back leads to what was before. */
function changed({ rest = 0, push = false, link = true, typed = false } = {}) {
  clearTimeout(typing);
  clearTimeout(showing);
  clearTimeout(again);
  stop();
  if (link && push) history.pushState(null, "", address());
  if (!work.formula.trim()) {
    if (link) history.replaceState(null, "", address());
    showEmpty();
    return;
  }
  for (const id of ["understood", "answer", "error"]) byId(id).classList.add("stale");
  typing = setTimeout(() => {
    if (link) history.replaceState(null, "", address());
    derive(typed);
  }, rest);
}

function stop() {
  chain++;
  main.stop();
  parts.stop();
  working("");
}

const address = () => location.pathname + location.search + toFragment(work);

function remember(question, record) {
  const key = JSON.stringify({ ...question, parts: 0 });
  const found = kept.get(key) ?? {};
  kept.delete(key);
  kept.set(key, Object.assign(found, record));
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  return found;
}

const recall = (question) => kept.get(JSON.stringify({ ...question, parts: 0 }));

async function derive(typed) {
  let question = request(["derivative"]);
  let record = recall(question);
  try {
    if (!record?.formula) {
      working("working…");
      try {
        record = await main.derive(question, busy);
      } catch (error) {
        // The variable is not in the formula as it stands now: the server chooses.
        if (!(error instanceof Refused) || error.what.field !== "wrt" || !work.wrt) throw error;
        question = request(["derivative"], null);
        record = await main.derive(question, busy);
      }
      if (!record) return;
      remember(question, record);
    }
    working("");
    calm();
    asked = question;
    showAnswer(record);
    await more();
  } catch (error) {
    working("");
    failed(error, typed);
  }
}

/** The open panel, then the check; each for the answer that is shown. */
async function more() {
  const mine = ++chain;
  const name = work.show;
  panel.classList.add("stale");
  panel.setAttribute("aria-busy", "true");
  const found = await part(name);
  if (mine !== chain) return;
  showPanel(panel, name, found);
  panel.removeAttribute("aria-busy");
  if (!answer.derivative) return;
  const check = await part("check");
  if (mine === chain) showCheck(check);
}

/** A part of the answer, or its error; null where something newer came between. */
async function part(name) {
  const found = recall(asked)?.[name];
  if (found) return found;
  if (name === "check" && !answer.derivative) return { error: { message: "Only a derivative can be checked; choose an order." } };
  const question = asked;
  let value;
  try {
    value = (await parts.derive({ ...question, parts: [name] }, busy))?.[name];
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { error: error.what };
  }
  if (!value) return null;
  working("");
  remember(question, { [name]: value });
  return value;
}

function showCheck(record) {
  if (record.error) showBadge("waiting", "not checked", record.error.message);
  else if (!record.ok) showBadge("bad", "✗ check failed", "Does not agree with numerical derivatives");
  else {
    const error = shortError(largest(record.entries));
    showBadge("good", `✓ checked: error ${error}`, `Agrees with numerical derivatives up to a relative error of ${error}`);
  }
}

// -- showing --

function working(words) {
  byId("state").textContent = words;
  byId("state").classList.toggle("working", words !== "");
}

const busy = (seconds) => working(`The server is busy; asking again in ${Math.round(seconds)} s`);

function showBadge(kind, words, title) {
  const badge = byId("badge");
  badge.className = `badge ${kind}`;
  badge.textContent = words;
  badge.title = title;
}

function showEmpty() {
  answer = null;
  refusal = null;
  working("");
  clearError();
  byId("understood").hidden = true;
  showNothing("Type a formula, or choose an example.");
  for (const id of ["wrt-set", "then-set", "symmetry-set"]) byId(id).hidden = true;
  showOrders();
  showRows();
  document.title = "tensorcalculus";
}

function showNothing(words) {
  byId("answer").hidden = true;
  byId("empty").hidden = false;
  byId("empty-text").textContent = words;
}

/** MathML of the server, or the text where it is too long for the browser to lay out. */
const typeset = ({ mathml, text }) => (mathml ? fragment(mathml) : make("code", { className: "long" }, text));

function showAnswer(record) {
  answer = record;
  refusal = null;
  clearError();
  byId("empty").hidden = true;
  byId("answer").hidden = false;
  const understood = byId("understood");
  understood.hidden = false;
  understood.replaceChildren(typeset(record.formula));
  for (const id of ["understood", "answer"]) byId(id).classList.remove("stale");
  const { derivative } = record;
  if (derivative) scalar = /^(gradient|hessian)/i.test(derivative.title);
  const result = derivative ?? record.formula;
  const title = byId("result-title");
  title.textContent = derivative ? derivative.title : "function";
  const shape = result.shape?.length ? ` (${result.shape.join(", ")})` : "";
  byId("layout").textContent = derivative ? `${result.kind}${shape}; ${record.layout}` : "";
  const box = byId("derivative");
  box.replaceChildren(typeset(result));
  showSpellings(record);
  showOrders();
  showChoices();
  showRows();
  showBadge("waiting", "checking…", "");
  byId("badge").hidden = !derivative;
  reachable(understood);
  reachable(box);
  document.title = `${work.formula.slice(0, 60)} · tensorcalculus`;
  announce(`${title.textContent}: ${result.text.slice(0, 300)}`);
}

function showOrders() {
  const labels = ["function", scalar ? "gradient" : "Jacobian", scalar ? "Hessian" : "second"];
  segments(byId("order"), "order", labels.map((label, k) => ({ value: String(k), label })), String(work.order), (value) => {
    work.order = Number(value);
    changed();
  });
}

function showChoices() {
  const names = answer.variables.map((v) => ({ value: v.name }));
  const by = () => [answer.wrt[0], answer.wrt[1] ?? answer.wrt[0]];
  const [first, second] = by();
  byId("wrt-set").hidden = work.order === 0 || !names.length;
  segments(byId("wrt"), "wrt", names, first, (name) => {
    const [before, then] = by();
    // A mixed derivative stays mixed.
    work.wrt = before === then ? [name] : [name, then];
    changed();
  });
  byId("then-set").hidden = work.order !== 2 || names.length < 2;
  segments(byId("then"), "then", names, second, (name) => {
    work.wrt = [by()[0], name];
    changed();
  });
  const spaces = new Set(answer.variables.filter((v) => answer.wrt.includes(v.name)).map((v) => space(v.declaration)).filter(Boolean));
  byId("symmetry-set").hidden = !spaces.size;
  segments(byId("symmetry"), "symmetry", [
    { value: "projected", label: `kept ${[...spaces].join(" and ")}` }, { value: "full", label: "all independent" },
  ], work.symmetry, (value) => {
    work.symmetry = value;
    changed();
  });
  byId("symmetry-note").textContent = answer.symmetry ?? "";
}

function showRows() {
  const known = answer?.variables ?? [];
  const wrong = refusal?.field?.startsWith("declarations.") ? refusal.field.slice(13) : null;
  const declared = new Map(Object.entries(work.declarations));
  const specs = new Map(known.map((v) => [v.name, v.declaration]));
  for (const [name, spec] of declared) if (refusal || !specs.has(name)) specs.set(name, spec);
  const rows = [...specs].map(([name, spec]) => ({
    name,
    spec,
    declared: declared.has(name),
    unused: !refusal && !known.some((v) => v.name === name),
    wrong: name === wrong ? refusal.message : null,
  }));
  showVariables(byId("variables"), rows, (name, spec) => {
    const { [name]: _, ...others } = work.declarations;
    work.declarations = spec === null ? others : { ...others, [name]: spec };
    changed({ rest: REST });
  });
  byId("variables-short").textContent = rows.map((r) => (r.spec ? `${r.name}: ${r.spec}` : r.name)).join(", ");
  if (wrong) byId("variables-card").open = true;
}

// -- errors --

function failed(error, typed) {
  if (error instanceof Gone) {
    pause = Math.min(pause * 1.5, 15);
    trouble(`${error.message} Is “tcalc serve” still running? Asking again every few seconds.`);
    again = setTimeout(() => derive(typed), pause * 1000);
  } else if (!(error instanceof Refused)) throw error;
  else if ([400, 413, 422].includes(error.status)) {
    calm();
    // While a formula is being typed it is wrong half of the time: say so after a rest.
    showing = setTimeout(() => showError(error.what), typed ? 350 : 0);
  } else trouble(error.status === 429 ? "The server has too much to do; nothing is lost." : error.message);
}

function trouble(words) {
  byId("trouble-text").textContent = words;
  byId("trouble").hidden = false;
}

function calm() {
  pause = 2;
  byId("trouble").hidden = true;
}

/** Offsets count characters, strings of the browser count halves of some. */
const place = (offset) => [...work.formula].slice(0, offset).join("").length;

function showError(what) {
  refusal = what;
  showRows();
  const line = byId("error");
  line.classList.remove("stale");
  line.hidden = false;
  line.replaceChildren(...worded(what.message[0].toUpperCase() + what.message.slice(1)));
  if (!answer) showNothing("The result appears as soon as the formula can be read.");
  field.setAttribute("aria-invalid", "true");
  const hint = what.hint ?? "";
  const meant = /'([^']+)'/.exec(hint)?.[1];
  const marked = Number.isInteger(what.start);
  const from = marked ? place(what.start) : 0;
  const to = marked ? place(what.end) : 0;
  if (marked) {
    mirror(from, to);
    line.append(" ", make("span", { className: "where" }, `(at character ${what.start + 1})`));
  }
  if (!marked || !meant) line.append(" ", hint);
  else {
    line.append(button(hint, () => {
      // Of a call, the name alone is meant.
      const name = /^\w+/.exec(work.formula.slice(from, to))?.[0];
      type(meant, from, name ? from + name.length : to);
    }));
  }
  announce(`Error: ${line.textContent}`, 900);
}

function clearError() {
  byId("error").hidden = true;
  byId("error").replaceChildren();
  field.removeAttribute("aria-invalid");
  mirror();
}

/** The text behind the field, which makes the field grow and underlines an error. */
function mirror(from = null, to = null) {
  const text = field.value;
  const end = "\u200b";
  if (from === null) byId("mirror").textContent = (text || field.placeholder) + end;
  else byId("mirror").replaceChildren(text.slice(0, from), make("mark", {}, text.slice(from, to) || "\u00a0"), text.slice(to) + end);
}

/** Put text into the formula as typing would, so that it can be undone. */
function type(text, from, to, back = 0) {
  field.focus();
  field.setSelectionRange(from, to);
  if (!document.execCommand("insertText", false, text)) {
    field.setRangeText(text, from, to, "end");
    field.dispatchEvent(new Event("input"));
  }
  field.setSelectionRange(from + text.length - back, from + text.length - back);
}

// -- what a person does --

function restore(found, options) {
  work = { ...found, show: Object.hasOwn(PANELS, found.show) ? found.show : EMPTY.show };
  field.value = work.formula;
  mirror();
  chooseTab(work.show, false);
  changed(options);
}

field.addEventListener("input", () => {
  work.formula = field.value;
  mirror();
  changed({ rest: REST, typed: true });
});

field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing || (event.shiftKey && !event.ctrlKey)) return;
  event.preventDefault();
  work.formula = field.value;
  changed();
  if (matchMedia("(pointer: coarse)").matches) field.blur();
});

document.addEventListener("keydown", (event) => {
  if (byId("help").open || event.altKey || event.metaKey) return;
  const writing = event.target.closest("input:not([type=radio]):not([type=checkbox]), textarea, select");
  if (event.key === "Enter" && event.ctrlKey && event.target !== field) changed();
  else if (event.key === "Escape" && main.busy) stop();
  else if (!writing && !event.ctrlKey && event.key === "/") field.focus();
  else if (!writing && event.key === "?") openHelp();
  else return;
  event.preventDefault();
});

const openHelp = prepareHelp((f) => {
  type(`${f.name}()`, field.selectionStart, field.selectionEnd, f.arguments ? 1 : 0);
});

const chooseTab = tabs(byId("tabs"), panel, PANELS, work.show, (name) => {
  if (work.show === name) return;
  work.show = name;
  history.replaceState(null, "", address());
  panel.replaceChildren();
  if (answer) more().catch((error) => failed(error, false));
});

byId("badge").addEventListener("click", () => byId("tab-check").click());
byId("retry").addEventListener("click", () => {
  pause = 2;
  changed();
});
byId("copy-link").addEventListener("click", (event) => {
  history.replaceState(null, "", address());
  copy(location.href, event.currentTarget, "Link");
});

const { dataset } = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
function showTheme() {
  byId("theme").setAttribute("aria-pressed", String((dataset.theme ?? (system.matches ? "dark" : "light")) === "dark"));
}
byId("theme").addEventListener("click", (event) => {
  dataset.theme = event.currentTarget.ariaPressed === "true" ? "light" : "dark";
  showTheme();
  try {
    localStorage.setItem("theme", dataset.theme);
  } catch {
    // Then the choice lasts as long as the page.
  }
});
system.addEventListener("change", showTheme);

addEventListener("popstate", () => restore(fromFragment(location.hash) ?? FIRST, { link: false }));
addEventListener("resize", () => { for (const id of ["understood", "derivative"]) reachable(byId(id)); });

async function showExamples() {
  let examples;
  try {
    examples = await get("api/examples");
  } catch {
    return;
  }
  byId("examples").replaceChildren(...examples.map((example) => {
    const { formula, declarations, wrt, order } = example;
    return make("li", {}, button(example.title, () => {
      restore({ ...EMPTY, show: work.show, formula, declarations, wrt: wrt && [wrt].flat(), order }, { push: true });
    }, { title: formula }));
  }));
}

byId("variables-card").open = matchMedia("(min-width: 62rem)").matches;
showTheme();
showOrders();
const given = fromFragment(location.hash);
restore(given ?? FIRST, { link: false });
if (!given && matchMedia("(hover: hover)").matches) {
  field.focus();
  field.select();
}
showExamples();
