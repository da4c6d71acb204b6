// What a person works on, as the fragment of the address. The server sees it only as any other input.

export const EMPTY = Object.freeze({ formula: "", declarations: {}, wrt: null, order: 1, symmetry: "projected", show: "steps" });

// Brackets and quotes would end a link early where it is pasted into text.
const spell = (text) => encodeURIComponent(text).replace(/[!'()*~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

function read(text) {
  try {
    return decodeURIComponent(text.replaceAll("+", "%20"));
  } catch {
    return text;
  }
}

export function toFragment(work) {
  if (!work.formula.trim()) return "";
  const parts = [`f=${spell(work.formula)}`];
  const declared = Object.entries(work.declarations).map(([name, spec]) => `${name}:${spec}`);
  if (declared.length) parts.push(`d=${spell(declared.join(";"))}`);
  if (work.wrt) parts.push(`wrt=${work.wrt.map(spell).join(",")}`);
  parts.push(`order=${work.order}`);
  if (work.symmetry === "full") parts.push("symmetry=full");
  if (work.show !== EMPTY.show) parts.push(`show=${spell(work.show)}`);
  return `#${parts.join("&")}`;
}

/** The work that a fragment describes, or null where it holds no formula. */
export function fromFragment(fragment) {
  const found = new Map();
  for (const part of fragment.replace(/^#/, "").split("&")) {
    const at = part.indexOf("=");
    if (at > 0) found.set(part.slice(0, at), part.slice(at + 1));
  }
  const formula = read(found.get("f") ?? "");
  if (!formula.trim()) return null;
  const declarations = {};
  for (const entry of read(found.get("d") ?? "").split(";")) {
    const at = entry.indexOf(":");
    if (at > 0) declarations[entry.slice(0, at).trim()] = entry.slice(at + 1).trim();
  }
  const names = (found.get("wrt") ?? "").split(",").map((name) => read(name).trim()).filter(Boolean);
  const order = Number(found.get("order"));
  return {
    formula,
    declarations,
    wrt: names.length ? names.slice(0, 2) : null,
    order: [0, 1, 2].includes(order) && found.has("order") ? order : 1,
    symmetry: found.get("symmetry") === "full" ? "full" : "projected",
    show: read(found.get("show") ?? EMPTY.show),
  };
}
