// Elements, marked words and numbers. Text only ever enters the page as text, never as markup.

/** Make an element; attributes that are null, undefined or false are left out. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, String(value));
    }
  }
  node.append(...children);
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Mark parts of a text. The server counts code points, JavaScript counts UTF-16 units. */
export function marked(text, spans) {
  const points = Array.from(text);
  const parts = [];
  let done = 0;
  for (const [start, end] of spans) {
    if (start < done || end > points.length) continue;
    if (start > done) parts.push(points.slice(done, start).join(""));
    parts.push(element("mark", {}, points.slice(start, end).join("")));
    done = end;
  }
  if (done < points.length) parts.push(points.slice(done).join(""));
  return parts;
}

/** The words that the server marked in an answer: its stemming decides, this page has none. */
export function markedWords(hits) {
  const words = new Set();
  for (const hit of hits) {
    const points = Array.from(hit.snippet);
    for (const [start, end] of hit.highlights) {
      words.add(points.slice(start, end).join("").toLowerCase());
    }
  }
  return words;
}

const WORD = /[\p{L}\p{N}_][\p{L}\p{N}\p{M}_]*/gu;

/** Mark whole words of a text, whatever their case. */
export function withWords(text, words) {
  if (!words.size) return [text];
  const parts = [];
  let done = 0;
  for (const match of text.matchAll(WORD)) {
    if (!words.has(match[0].toLowerCase())) continue;
    parts.push(text.slice(done, match.index), element("mark", {}, match[0]));
    done = match.index + match[0].length;
  }
  parts.push(text.slice(done));
  return parts;
}

const grouped = new Intl.NumberFormat("en");
export const number = (value) => grouped.format(value);

export const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

/** A probability with as many digits as it deserves. */
export function percent(value) {
  const share = 100 * value;
  if (share >= 99.5) return ">99%";
  if (share >= 10) return `${share.toFixed(0)}%`;
  if (share >= 1) return `${share.toFixed(1)}%`;
  return share >= 0.01 ? `${share.toFixed(2)}%` : "<0.01%";
}

/** "fewer than …" of what lies below a cut-off. */
export function shareBelow(cutoff) {
  if (cutoff >= 0.015) return `${number(Math.ceil(100 * cutoff))} in 100`;
  return `1 in ${number(Math.max(1, Math.floor(1 / Math.max(cutoff, 1e-9))))}`;
}

export function day(text) {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) return text ?? "";
  return moment.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
}

const RANKINGS = {
  bm25: "words (BM25)",
  base: "base model",
  base_hybrid: "base model + words",
  adapted: "adapted model",
  adapted_hybrid: "adapted model + words",
};
export const rankingName = (name) => RANKINGS[name] ?? name;

/** Bytes in the unit that reads best. */
export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
}
