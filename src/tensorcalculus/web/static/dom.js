// Small helpers for the page's elements; what a user typed only ever becomes text.

export const byId = (id) => document.getElementById(id);

/** An element with properties (`data`: its dataset, other keys with a dash: attributes) and children. */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "data") Object.assign(node.dataset, value);
    else if (key.includes("-") || key === "role" || key === "scope") node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A button; `onClick` is given the button. */
export function button(label, onClick, properties = {}) {
  const made = make("button", { type: "button", ...properties }, label);
  made.addEventListener("click", () => onClick(made));
  return made;
}

function parsed(markup) {
  const found = document.createDocumentFragment();
  const { body } = new DOMParser().parseFromString(markup, "text/html");
  for (const child of body.childNodes) found.append(document.importNode(child, true));
  return found;
}

/** A fragment of markup that the server made: MathML, or steps with drawings among them. */
export function fragment(markup) {
  const drawings = [];
  const found = parsed(markup.replace(/<svg[^]*?<\/svg>/g, (svg) => `<b data-drawing="${drawings.push(svg) - 1}"></b>`));
  for (const place of found.querySelectorAll("[data-drawing]")) place.replaceWith(drawing(drawings[place.dataset.drawing]));
  return found;
}

/**
 * A drawing with its own styles. The policy of the page forbids a style element, so its text becomes
 * a style sheet of a shadow tree, where it applies to nothing but the drawing.
 */
export function drawing(svg) {
  const host = make("div", { className: "diagram" });
  const root = host.attachShadow({ mode: "open" });
  let styles = "svg{display:block}";
  root.append(parsed(svg.replace(/<style[^>]*>([^]*?)<\/style>/g, (_, text) => {
    styles += text;
    return "";
  })));
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles);
  root.adoptedStyleSheets = [sheet];
  return host;
}

/** Boxes that scroll sideways can be reached by Tab, where there is something to scroll to. */
export function reachable(box) {
  if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
  else box.removeAttribute("tabindex");
}

/** Words for screen readers; the last ones win, and only after a rest. */
let later = 0;
export function announce(words, rest = 600) {
  clearTimeout(later);
  later = setTimeout(() => { byId("announce").textContent = words; }, rest);
}

/** Copy a text; where the clipboard is closed (no https, not this machine), by a selection. */
export async function copy(text, from, words) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = make("textarea", { value: text, className: "sr", readOnly: true });
    document.body.append(field);
    field.select();
    done = document.execCommand("copy");
    field.remove();
    from.focus();
  }
  const label = from.dataset.label ??= from.textContent;
  from.textContent = done ? "Copied" : "Not copied";
  from.classList.toggle("good", done);
  announce(done ? `${words} copied` : "The browser did not allow to copy", 50);
  clearTimeout(from.timer);
  from.timer = setTimeout(() => {
    from.textContent = label;
    from.classList.remove("good");
  }, 1600);
}

export function download(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Words of the server, in which code stands between backticks. */
export const worded = (text) => text.split("`").map((words, k) => (k % 2 ? make("code", {}, words) : words));

/** Tabs: one is reached by Tab, the others by arrow keys, Home and End. */
export function tabs(list, panel, names, chosen, onChange) {
  const choose = (name, focus) => {
    for (const tab of list.children) {
      const selected = tab.dataset.name === name;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      if (selected) panel.setAttribute("aria-labelledby", tab.id);
      if (selected && focus) tab.focus();
      if (selected) list.scrollLeft = tab.offsetLeft - list.offsetLeft - (list.clientWidth - tab.offsetWidth) / 2;
    }
  };
  const keys = Object.keys(names);
  list.replaceChildren(...keys.map((name) => {
    const tab = button(names[name], () => { choose(name, false); onChange(name); }, { role: "tab", id: `tab-${name}`, data: { name } });
    tab.addEventListener("keydown", (event) => {
      const at = keys.indexOf(name);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: keys.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = keys[(to + keys.length) % keys.length];
      choose(next, true);
      onChange(next);
    });
    return tab;
  }));
  choose(chosen, false);
  return choose;
}

/** Radio buttons in a row; those that are there already stay, so that the focus does. */
export function segments(box, group, options, chosen, onChange) {
  const same = [...box.querySelectorAll("input")].map((i) => i.value).join() === options.map((o) => o.value).join();
  if (!same) {
    const focused = box.contains(document.activeElement) ? document.activeElement.value : null;
    box.replaceChildren(...options.map(({ value }) => {
      const input = make("input", { type: "radio", name: group, value });
      input.addEventListener("change", () => onChange(input.value));
      return make("label", {}, input, make("span"));
    }));
    if (focused !== null) [...box.querySelectorAll("input")].find((i) => i.value === focused)?.focus();
  }
  [...box.children].forEach((label, k) => {
    label.lastChild.textContent = options[k].label ?? options[k].value;
    label.firstChild.checked = options[k].value === chosen;
  });
}
