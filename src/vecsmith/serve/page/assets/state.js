// What the reader is looking at. It lives in the fragment of the address, which browsers never send,
// so queries reach no server's log, and back, forward and bookmarks work.

const EMPTY = { q: "", mode: "", paths: [], kinds: [], after: "", before: "", open: "", map: false };
const MODES = new Set(["", "lexical", "vector", "hybrid"]);
const DATE = /^\d{4}-\d{2}-\d{2}$/;
// Letters typed within this time of each other are one step of the history.
const ONE_STEP = 1500;

let now = read(location.hash);
let typed = -Infinity;
const listeners = [];

export const state = () => now;

export function read(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const date = (name) => (DATE.test(given.get(name) ?? "") ? given.get(name) : "");
  const mode = given.get("by") ?? "";
  return {
    q: given.get("q") ?? "",
    mode: MODES.has(mode) ? mode : "",
    paths: given.getAll("in"),
    kinds: given.getAll("kind"),
    after: date("after"),
    before: date("before"),
    open: given.get("open") ?? "",
    map: given.get("map") === "1",
  };
}

export function write(value) {
  const out = new URLSearchParams();
  if (value.q) out.set("q", value.q);
  if (value.mode) out.set("by", value.mode);
  for (const path of value.paths) out.append("in", path);
  for (const kind of value.kinds) out.append("kind", kind);
  if (value.after) out.set("after", value.after);
  if (value.before) out.set("before", value.before);
  if (value.map) out.set("map", "1");
  if (value.open) out.set("open", value.open);
  return `#${out}`;
}

/** The address of the page with something changed. */
export const address = (patch) => write({ ...now, ...patch });

/** Change the state. `how`: "push" (a step of the history), "replace", or "type" (joins steps). */
export function change(patch, how = "push") {
  const next = { ...now, ...patch };
  const hash = write(next);
  if (hash === write(now)) return;
  const moment = performance.now();
  const push = how === "push" || (how === "type" && moment - typed > ONE_STEP);
  if (how === "type") typed = moment;
  // A pushed document knows that going back closes it.
  const kept = { opened: push ? Boolean(patch.open) : Boolean(history.state?.opened) };
  if (push) history.pushState(kept, "", hash);
  else history.replaceState(kept, "", hash);
  set(next);
}

/** Close the open document: one step back if that is how it was opened. */
export function closeDocument() {
  if (!now.open) return;
  if (history.state?.opened) history.back();
  else change({ open: "" }, "replace");
}

export function onChange(listener) {
  listeners.push(listener);
}

function set(next) {
  const before = now;
  now = next;
  for (const listener of listeners) listener(now, before);
}

addEventListener("popstate", () => set(read(location.hash)));

/** The filter of a search, or null. */
export function filterOf(value) {
  const filter = {};
  if (value.paths.length) filter.paths = value.paths;
  if (value.kinds.length) filter.kinds = value.kinds;
  if (value.after) filter.after = value.after;
  if (value.before) filter.before = value.before;
  return Object.keys(filter).length ? filter : null;
}

export const NO_FILTER = {
  paths: EMPTY.paths, kinds: EMPTY.kinds, after: EMPTY.after, before: EMPTY.before,
};
