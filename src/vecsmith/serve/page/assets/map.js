// The panel of the map: loads it when it is first opened, legend, tip, what is lit.
import { ask, currentIndex, ServerError } from "./api.js";
import { foldersOf, toggleAll } from "./filters.js";
import { change, state } from "./state.js";
import { byId, element, number, percent } from "./text.js";

const HOVER = 60;

let facts = null; // answer of /v1/map
let drawing = null;
let loading = null;
let turn = 0; // a load that is no longer the newest draws nothing
let hits = [];
let pointed = "";
let rung = "";
const hidden = new Set(); // groups switched off by hand, where no filter can stand for them
const known = new Map(); // row -> passage, of this generation of the index

/** Show or hide the panel. */
export function toggle(open) {
  byId("map").hidden = !open;
  byId("page").classList.toggle("with-map", open);
  const button = byId("map-open");
  button.setAttribute("aria-expanded", String(open));
  if (open) loading ??= load();
}

/** Fetch everything anew: the index has changed. */
export function reload() {
  forget();
  if (!byId("map").hidden) loading = load();
}

function forget() {
  drawing?.end();
  drawing = null;
  facts = null;
  loading = null;
  known.clear();
  hidden.clear();
}

async function load() {
  const mine = (turn += 1);
  say("Loading the map …");
  if (!document.createElement("canvas").getContext("webgl2")) {
    return say("The map needs WebGL 2, which this browser does not offer. Search works without it.");
  }
  try {
    const [answer, { Drawing }] = await Promise.all([ask("v1/map"), import("./map-draw.js")]);
    const bytes = await ask("v1/map/points", { as: "bytes" });
    if (mine !== turn) return undefined;
    if (!answer.count) return say("There are no passages to draw.");
    facts = answer;
    legend();
    drawing = new Drawing(byId("canvas"), bytes, answer.count, {
      colours: colours(), hover, pick, failed: broken,
    });
    say("");
    paint();
    note();
  } catch (error) {
    if (mine !== turn) return undefined;
    loading = null;
    const words = error instanceof ServerError ? error.message : `It could not be drawn: ${error.message}.`;
    say(`The map is not there. ${words}`);
  }
  return undefined;
}

function broken(error) {
  drawing?.end();
  drawing = null;
  say(`The map cannot be drawn on this machine (${error.message}). Search works without it.`);
}

function say(words) {
  byId("map-words").textContent = words;
  byId("map-words").hidden = !words;
}

function note() {
  const sampled = facts.count < facts.total;
  const part = sampled ? `${number(facts.count)} of ${number(facts.total)}` : number(facts.total);
  byId("map-note").textContent = `${part} passages, placed by the two strongest directions of the vectors of the ${facts.model} model. These hold ${percent(facts.share)} of the variance: dots far apart differ, dots close together may still differ.`;
}

// Legend ------------------------------------------------------------------------------------------

function legend() {
  byId("legend").replaceChildren(...facts.groups.map(([name, passages], at) => {
    const button = element(
      "button",
      { type: "button", class: "tag", "aria-pressed": "true" },
      element("span", { class: `swatch g${at}` }), element("bdi", {}, name), " ",
      element("span", { class: "dim" }, number(passages)),
    );
    button.addEventListener("click", () => {
      const folders = foldersOf(name, facts.groups);
      if (folders.length) return toggleAll(folders);
      if (!hidden.delete(at)) hidden.add(at);
      return paint();
    });
    return element("li", {}, button);
  }));
}

/** The colours of the theme in use, as the browser resolves them. */
function colours() {
  const probe = (node) => getComputedStyle(node).backgroundColor.match(/[\d.]+/g).slice(0, 3).map(Number);
  const ink = getComputedStyle(document.body).color.match(/[\d.]+/g).slice(0, 3).map(Number);
  return { groups: [...document.querySelectorAll("#legend .swatch")].map(probe), ink };
}

/** Which groups take part in the search. */
function shownGroups() {
  const { paths } = state();
  return facts.groups.map(([name], at) => {
    const folders = foldersOf(name, facts.groups);
    if (!folders.length) return !hidden.has(at);
    return !paths.length || folders.some((folder) => paths.includes(folder));
  });
}

function paint() {
  if (!drawing) return;
  // Paths that are no top folder (a file, a pattern) say nothing about whole groups.
  const whole = state().paths.every((path) => facts.groups.some(([name]) => foldersOf(name, facts.groups).includes(path)));
  const shown = whole ? shownGroups() : facts.groups.map((_, at) => !hidden.has(at));
  byId("legend").querySelectorAll("button").forEach((button, at) => {
    button.setAttribute("aria-pressed", String(shown[at]));
  });
  const missing = drawing.paint({ shown, hits, ring: rowOf(pointed) ?? rowOf(rung) });
  byId("stage").dataset.lit = String(hits.length - missing);
}

// Hits, rings, tip --------------------------------------------------------------------------------

/** Light up what the search found. */
export function light(found) {
  hits = found;
  pointed = "";
  paint();
}

/** Ring the passage that the reader points at in the list. */
export function point(id) {
  if (id === pointed) return;
  pointed = id;
  paint();
}

/** Ring the passage that is open. */
export function ring(id) {
  rung = id;
  paint();
}

/** Remember a passage, so that a ring can be drawn around it. */
export function know(passage) {
  known.set(passage.row, passage);
  paint();
}

/** Fade what the filter leaves out. */
export const filter = () => paint();

function rowOf(id) {
  if (!id) return null;
  const hit = hits.find((other) => other.id === id) ?? [...known.values()].find((other) => other.id === id);
  return hit?.row ?? null;
}

/** Where a row is drawn, from the corner of the stage; null if it is not drawn. */
export const placeOf = (row) => drawing?.placeOf(row) ?? null;

/** How the map is drawn, for measurements. */
export const drawn = () => drawing;

let timer = 0;
function hover(row, x, y) {
  clearTimeout(timer);
  const tip = byId("tip");
  if (row === null) {
    tip.hidden = true;
    return;
  }
  timer = setTimeout(async () => {
    const passage = await passageOf(row);
    if (!passage) return;
    const title = passage.headings.join(" › ") || "(no heading)";
    tip.replaceChildren(element("strong", { dir: "auto" }, title), element("bdi", {}, passage.path));
    tip.hidden = false;
    const { clientWidth, clientHeight } = byId("stage");
    const left = x + 14 + tip.offsetWidth > clientWidth ? x - 14 - tip.offsetWidth : x + 14;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(y + 12, clientHeight - tip.offsetHeight - 4))}px`;
  }, HOVER);
}

async function pick(row) {
  const passage = await passageOf(row);
  if (passage) change({ open: passage.id });
}

async function passageOf(row) {
  const hit = hits.find((other) => other.row === row) ?? known.get(row);
  if (hit) return hit;
  try {
    const passage = await ask(`v1/passages?row=${row}&index=${encodeURIComponent(facts.index)}`);
    known.set(row, passage);
    return passage;
  } catch (error) {
    // Rows belong to one generation of the index; the map of another one is of no use.
    if (error.status === 409 || (error.status === 404 && currentIndex() !== facts?.index)) reload();
    else say(error.message);
    return null;
  }
}

export function listen() {
  byId("map-open").addEventListener("click", () => change({ map: !state().map }, "replace"));
  byId("map-close").addEventListener("click", () => {
    change({ map: false }, "replace");
    byId("map-open").focus();
  });
  byId("zoom-in").addEventListener("click", () => drawing?.zoom(1));
  byId("zoom-out").addEventListener("click", () => drawing?.zoom(-1));
  byId("zoom-fit").addEventListener("click", () => drawing?.fit());
  addEventListener("themechange", () => {
    if (!drawing) return;
    drawing.colours = colours();
    paint();
  });
}
