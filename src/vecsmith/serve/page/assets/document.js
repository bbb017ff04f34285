// The whole document at the passage: a drawer that loads more of the text as the reader asks for it.
import { ask, ServerError } from "./api.js";
import { closeDocument, change } from "./state.js";
import { byId, count, day, element, size, withWords } from "./text.js";

const BEFORE = 20;
const PAGE = 60;

let shown = null; // { document, first, last, passage }
let words = new Set(); // marked in the text
let loading = null;

const gentle = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Open the document that holds a passage, at that passage; gives the passage, or null. */
export async function open(id) {
  loading?.abort();
  loading = new AbortController();
  const { signal } = loading;
  const dialog = byId("document");
  if (!dialog.open) {
    byId("document-title").textContent = "Opening …";
    byId("document-facts").textContent = "";
    byId("document-body").replaceChildren();
    dialog.showModal();
  }
  try {
    const passage = await ask(`v1/passages/${encodeURIComponent(id)}`, { signal });
    const start = Math.max(0, passage.position - BEFORE);
    const document = await page(passage.document_id, start, signal);
    shown = { document, passage, first: start, last: start + document.passages.length };
    render();
    return passage;
  } catch (error) {
    if (!signal.aborted) failed(error);
    return null;
  }
}

const page = (id, start, signal, limit = PAGE) =>
  ask(`v1/documents/${encodeURIComponent(id)}?start=${start}&limit=${limit}`, { signal });

function failed(error) {
  const gone = error instanceof ServerError && error.status === 404;
  byId("document-title").textContent = gone ? "This passage is no longer there" : "The document cannot be shown";
  byId("document-facts").textContent = "";
  const told = gone
    ? "The index has been updated since this address was made, or it belongs to another index."
    : error.message;
  byId("document-body").replaceChildren(element("p", { class: "notice" }, told));
}

function render() {
  const { document, passage } = shown;
  byId("document-title").replaceChildren(element("bdi", {}, document.path));
  const facts = [document.kind, size(document.bytes), count(document.count, "passage")];
  if (document.modified) facts.push(`changed ${day(document.modified)}`);
  byId("document-facts").textContent = facts.join(" · ");
  const body = byId("document-body");
  body.replaceChildren(
    edge("earlier"), element("div", { class: "passages" }, ...sections(document.passages, [])), edge("later"),
  );
  edges();
  const found = body.querySelector(".found");
  if (!found) return;
  found.scrollIntoView({ block: "start" });
  body.scrollTop = Math.max(0, body.scrollTop - 24);
  found.focus({ preventScroll: true });
}

function sections(passages, before) {
  let trail = before;
  return passages.map((passage) => {
    const here = passage.id === shown.passage.id;
    const node = element("section", {
      class: here ? "passage found" : "passage",
      "data-id": passage.id,
      "data-kind": passage.kind,
      tabindex: here ? -1 : null,
      "aria-label": here ? "The passage that was found" : null,
    });
    const shared = passage.headings.findIndex((heading, at) => heading !== trail[at]);
    const from = shared < 0 ? passage.headings.length : shared;
    passage.headings.slice(from).forEach((heading, at) => {
      const level = Math.min(6, 3 + from + at);
      node.append(element(`h${level}`, { dir: "auto" }, heading));
    });
    trail = passage.headings;
    if (here) node.append(element("p", { class: "found-note" }, "found here"));
    if (passage.summary) node.append(text("summary", passage.summary));
    if (passage.text) node.append(text(passage.kind === "prose" ? "prose" : "fixed", passage.text));
    return node;
  });
}

const text = (look, value) =>
  element("p", { class: `words ${look}`, dir: "auto" }, ...withWords(value, words));

function edge(side) {
  const button = element("button", { type: "button" }, `Show ${side} passages`);
  button.addEventListener("click", () => extend(side, button));
  return element("p", { class: "edge", "data-side": side }, button);
}

function edges() {
  const body = byId("document-body");
  body.querySelector("[data-side=earlier]").hidden = shown.first <= 0;
  body.querySelector("[data-side=later]").hidden = shown.last >= shown.document.count;
}

async function extend(side, button) {
  const start = side === "later" ? shown.last : Math.max(0, shown.first - PAGE);
  const limit = side === "later" ? PAGE : shown.first - start;
  const held = shown;
  button.disabled = true;
  try {
    const more = await page(shown.document.id, start, loading.signal, limit);
    if (shown !== held || !more.passages.length) return;
    const body = byId("document-body");
    const list = body.querySelector(".passages");
    if (side === "later") {
      const last = held.document.passages.at(-1);
      held.document.passages.push(...more.passages);
      list.append(...sections(more.passages, last?.headings ?? []));
      held.last += more.passages.length;
    } else {
      // What the reader looks at stays where it is while text is put in above it.
      const below = body.scrollHeight - body.scrollTop;
      list.prepend(...sections(more.passages, []));
      held.document.passages.unshift(...more.passages);
      held.first = start;
      body.scrollTop = body.scrollHeight - below;
    }
    edges();
    if (button.closest("[hidden]")) body.focus({ preventScroll: true });
  } catch (error) {
    if (error.name !== "AbortError") button.textContent = `${error.message} Try again`;
  } finally {
    button.disabled = false;
  }
}

/** Mark other words: the answer to the query may come after the document. */
export function mark(other) {
  if (same(other, words)) return;
  words = other;
  for (const node of byId("document-body").querySelectorAll(".words")) {
    node.replaceChildren(...withWords(node.textContent, words));
  }
}

const same = (one, other) => one.size === other.size && [...one].every((word) => other.has(word));

/** Close the drawer and give the focus back to the result that opened it. */
export function close(id) {
  loading?.abort();
  shown = null;
  const dialog = byId("document");
  if (dialog.open) dialog.close();
  const link = document.querySelector(`a.hit[data-id="${CSS.escape(id)}"]`);
  if (link?.checkVisibility()) link.focus({ preventScroll: gentle() });
}

export function listen() {
  const dialog = byId("document");
  byId("document-close").addEventListener("click", closeDocument);
  // Escape: the address changes first, and closes the drawer in its turn.
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    closeDocument();
  });
  dialog.addEventListener("close", () => change({ open: "" }, "replace"));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) closeDocument();
  });
}
