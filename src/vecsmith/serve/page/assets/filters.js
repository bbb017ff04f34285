// Folder, kind, dates, path and ranking: the controls, and the chips that show what is in use.
import { change, NO_FILTER, state } from "./state.js";
import { byId, element, number } from "./text.js";

let folders = [];

/** Fill the controls from what the index holds. */
export function fill(info) {
  folders = info.folders.map((folder) => folder.name);
  ticks("folders", info.folders, "paths");
  ticks("kinds", info.kinds, "kinds");
  for (const id of ["after", "before"]) {
    byId(id).min = info.first_date ?? "";
    byId(id).max = info.last_date ?? "";
  }
  const models = info.rankings.some((name) => name !== "bm25");
  for (const option of byId("mode").options) {
    option.disabled = !models && (option.value === "vector" || option.value === "hybrid");
  }
  sync();
}

function ticks(id, entries, key) {
  const box = byId(id);
  box.hidden = entries.length < 2;
  box.querySelector(".ticks").replaceChildren(...entries.map((entry) => {
    const input = element("input", { type: "checkbox", value: entry.name });
    input.addEventListener("change", () => toggle(key, entry.name));
    const amount = element("span", { class: "dim" }, number(entry.documents));
    return element("label", {}, input, " ", element("bdi", {}, entry.name), " ", amount);
  }));
}

/** Add a value to a filter, or take it out. */
export function toggle(key, value) {
  const held = state()[key];
  const kept = held.includes(value) ? held.filter((other) => other !== value) : [...held, value];
  change({ [key]: kept });
}

/** Set a filter to these values, or to none if it holds exactly them. */
export function toggleAll(values) {
  const held = state().paths;
  const same = held.length === values.length && values.every((value) => held.includes(value));
  change({ paths: same ? [] : values });
}

export const used = (value) =>
  value.paths.length + value.kinds.length + Boolean(value.after) + Boolean(value.before);

/** Bring controls and chips in line with the state. */
export function sync() {
  const value = state();
  for (const [id, key] of [["folders", "paths"], ["kinds", "kinds"]]) {
    for (const input of byId(id).querySelectorAll("input")) {
      input.checked = value[key].includes(input.value);
    }
  }
  byId("after").value = value.after;
  byId("before").value = value.before;
  byId("mode").value = value.mode;
  const amount = used(value);
  byId("filters-open").textContent = amount ? `Filters (${amount})` : "Filters";
  chips(value);
}

function chips(value) {
  const parts = [
    ...value.paths.map((path) => [path, () => toggle("paths", path)]),
    ...value.kinds.map((kind) => [`kind ${kind}`, () => toggle("kinds", kind)]),
  ];
  if (value.after) parts.push([`from ${value.after}`, () => change({ after: "" })]);
  if (value.before) parts.push([`to ${value.before}`, () => change({ before: "" })]);
  const items = parts.map(([name, remove]) => chip(name, `Remove the filter ${name}`, remove));
  if (parts.length > 1) items.push(chip("clear all", "Remove all filters", unfilter));
  byId("chips").replaceChildren(...items);
}

function chip(name, label, remove) {
  const button = element("button", { type: "button", class: "tag", "aria-label": label }, element("bdi", {}, name), " ×");
  button.addEventListener("click", () => {
    remove();
    // The button is gone with its filter; the focus must not fall to the top of the page.
    byId("query").focus();
  });
  return element("li", {}, button);
}

export const unfilter = () => change({ ...NO_FILTER });

/** Show or hide the controls. */
export function open(shown = byId("filters").hidden) {
  byId("filters").hidden = !shown;
  byId("filters-open").setAttribute("aria-expanded", String(shown));
}

export function listen() {
  byId("filters-open").addEventListener("click", () => open());
  byId("mode").addEventListener("change", (event) => change({ mode: event.target.value }));
  for (const id of ["after", "before"]) {
    byId(id).addEventListener("change", (event) => change({ [id]: event.target.value }));
  }
  const add = () => {
    const path = byId("path").value.trim();
    byId("path").value = "";
    if (path && !state().paths.includes(path)) change({ paths: [...state().paths, path] });
  };
  byId("path-add").addEventListener("click", add);
  byId("path").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    add();
  });
}

/** The folders that stand behind a group of the map; empty where it cannot be filtered by. */
export function foldersOf(group, groups) {
  const is = (folder, name) => folder === name || folder.endsWith(`/${name}`);
  const own = folders.filter((folder) => is(folder, group));
  if (own.length) return own;
  const named = groups.map(([name]) => name);
  const last = named.at(-1) === group && /^[\d,]+ other folders$/.test(group);
  return last ? folders.filter((folder) => !named.some((name) => is(folder, name))) : [];
}
