// Keys of the whole page. They are listed in the help; nothing is done while another key is held.
import { open as openFilters } from "./filters.js";
import { change, state } from "./state.js";
import { byId } from "./text.js";

const hits = () => [...document.querySelectorAll("a.hit")].filter((link) => link.checkVisibility());

const writing = (target) =>
  target.matches("textarea, select, input:not([type=checkbox], [type=radio])");

function step(by) {
  const all = hits();
  const at = all.indexOf(document.activeElement);
  if (at < 0 && by < 0) return false;
  const next = at < 0 ? 0 : at + by;
  if (next < 0) {
    byId("query").focus();
    return true;
  }
  if (next >= all.length) return false;
  all[next].focus();
  all[next].closest("article").scrollIntoView({ block: "nearest" });
  return true;
}

export function openHelp() {
  byId("help").showModal();
}

const ACTIONS = {
  "/": () => {
    byId("query").focus();
    byId("query").select();
  },
  "?": openHelp,
  f: () => openFilters(),
  m: () => change({ map: !state().map }, "replace"),
  j: () => step(1),
  k: () => step(-1),
};

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]")) return;
  const { target, key } = event;
  const inList = target.matches?.("a.hit");
  if (target.id === "query") {
    if (key === "ArrowDown" && step(1)) event.preventDefault();
    return;
  }
  if (inList && (key === "ArrowDown" || key === "ArrowUp")) {
    event.preventDefault();
    step(key === "ArrowDown" ? 1 : -1);
  } else if (inList && key === "Escape") {
    byId("query").focus();
  } else if (!writing(target) && Object.hasOwn(ACTIONS, key)) {
    event.preventDefault();
    ACTIONS[key]();
  }
}

export function listen() {
  document.addEventListener("keydown", pressed);
  byId("help-open").addEventListener("click", openHelp);
  byId("help-close").addEventListener("click", () => byId("help").close());
  // A fragment of its own would replace the state of the page.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("results").focus();
  });
}
