// The search page: puts the parts together and passes each change of the state to them.
import { ask, server, ServerError } from "./api.js";
import * as documents from "./document.js";
import * as filters from "./filters.js";
import * as keyboard from "./keyboard.js";
import { offerToForget } from "./key.js";
import * as map from "./map.js";
import * as results from "./results.js";
import { patient, Search } from "./search.js";
import { change, onChange, state } from "./state.js";
import { byId, markedWords } from "./text.js";

const TYPING = 150;
const SETTLING = 300;
let info = null;

const search = new Search({
  begin() {
    results.wait();
  },
  found(answer, milliseconds) {
    quiet();
    const [told, aside] = results.sentence(answer, milliseconds);
    say(told, aside);
    const more = search.more ? () => search.longer(state()) : null;
    results.show(answer, {
      more, filtered: filters.used(state()) > 0, unfilter: filters.unfilter,
    });
    documents.mark(markedWords(answer.hits));
    map.light(answer.hits);
  },
  failed(error) {
    say("", "");
    results.clear();
    map.light([]);
    complain(error, () => search.start(state()));
  },
  empty() {
    quiet();
    say("", "");
    map.light([]);
    if (info) results.welcome(info, (folder) => filters.toggle("paths", folder));
    else results.clear();
  },
});

function say(told, aside) {
  if (byId("status").textContent !== told) byId("status").textContent = told;
  byId("aside").textContent = aside;
}

function quiet() {
  byId("notice").hidden = true;
}

function complain(error, again) {
  const notice = byId("notice");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = error instanceof ServerError && error.status === 401 ? "Enter the key" : "Try again";
  button.addEventListener("click", again);
  notice.replaceChildren(`${error.message} `, button);
  notice.hidden = false;
}

async function load() {
  try {
    info = await ask("v1/index");
  } catch (error) {
    complain(error, start);
    return false;
  }
  byId("name").textContent = info.name;
  offerToForget(info.needs_key);
  filters.fill(info);
  title();
  return true;
}

function title() {
  const name = info?.name ?? "Search";
  document.title = state().q ? `${state().q} · ${name}` : name;
}

function show(now, before) {
  const asked = (value) =>
    JSON.stringify([value.q, value.mode, value.paths, value.kinds, value.after, value.before]);
  title();
  filters.sync();
  // The field is left alone while its own letters are on their way into the state.
  if (now.q !== before.q && now.q !== byId("query").value.trim()) byId("query").value = now.q;
  if (asked(now) !== asked(before)) search.start(now);
  if (now.open !== before.open) {
    if (now.open) openDocument(now.open);
    else documents.close(before.open);
    map.ring(now.open);
  }
  if (now.map !== before.map) map.toggle(now.map);
  map.filter(now.paths);
}

async function openDocument(id) {
  const passage = await documents.open(id);
  if (passage) map.know(passage);
}

async function start() {
  quiet();
  // Before waiting: what is typed meanwhile must not be overwritten.
  byId("query").value ||= state().q;
  if (!(await load())) return;
  const now = state();
  search.start(now);
  if (now.open) {
    openDocument(now.open);
    map.ring(now.open);
  }
  map.toggle(now.map);
}

const typed = patient(() => change({ q: byId("query").value.trim() }, "type"), TYPING);
byId("query").addEventListener("input", typed);
byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  typed.flush();
});
byId("results").addEventListener("click", (event) => {
  const link = event.target.closest("a.hit");
  // A middle click, or one with a key held, opens a tab of its own, as with every link.
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  change({ open: link.dataset.id });
});
for (const kind of ["mouseover", "focusin"]) {
  byId("results").addEventListener(kind, (event) => {
    map.point(event.target.closest("article")?.dataset.id ?? "");
  });
}
byId("results").addEventListener("mouseleave", () => map.point(""));

server.addEventListener("busy", (event) => {
  const seconds = Math.ceil(event.detail);
  say("", `The server is busy; trying again in ${seconds} s …`);
});
// Answers that were on their way when the index was swapped still come from the old one.
server.addEventListener("index", patient(async () => {
  if (!(await load())) return;
  search.start(state());
  map.reload();
}, SETTLING));

onChange(show);
filters.listen();
documents.listen();
keyboard.listen();
map.listen();
offerToForget();
start();
