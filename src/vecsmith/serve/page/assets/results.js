// The list of results: what passes the cut-off, the line, and the weaker ones folded away.
import { address } from "./state.js";
import { byId, count, element, marked, number, percent, rankingName, shareBelow } from "./text.js";

const place = () => byId("results");

/** Where a probability lies on the bar: four decades, 0.01% to 100%. */
export function onBar(probability) {
  return Math.min(1, Math.max(0.02, 1 + Math.log10(Math.max(probability, 1e-9)) / 4));
}

/** Show an answer. `more` is what a button for more results does, or null. */
export function show(answer, { more, filtered, unfilter }) {
  const strong = answer.hits.filter((hit) => hit.relevant);
  const weak = answer.hits.filter((hit) => !hit.relevant);
  const parts = [element("h2", { class: "unseen" }, "Results")];
  if (answer.nothing_relevant || !strong.length) parts.push(nothing(answer, filtered, unfilter));
  if (strong.length) parts.push(list(strong, answer.cutoff));
  const rest = more ? [longer(more)] : [];
  if (weak.length) parts.push(...folded(weak, strong.length, answer, rest));
  else parts.push(...rest);
  place().replaceChildren(...parts);
  place().classList.remove("old");
}

/** Dim the list while a newer answer is on its way. */
export const wait = () => place().classList.add("old");

export function clear(...content) {
  place().replaceChildren(...content);
  place().classList.remove("old");
}

/** The sentence for the live region, and what else is worth a word beside it. */
export function sentence(answer, milliseconds) {
  const strong = answer.hits.filter((hit) => hit.relevant).length;
  const weak = answer.hits.length - strong;
  let told = strong ? count(strong, "relevant passage") : "Nothing relevant found";
  if (answer.cutoff === null) told = answer.hits.length ? count(strong, "passage") : "Nothing found";
  if (strong && weak) told += `, ${number(weak)} below the cut-off`;
  const aside = [rankingName(answer.ranking), `${number(Math.max(1, Math.round(milliseconds)))} ms`];
  if (answer.cutoff === null && answer.hits.length) aside.push("no cut-off for this ranking");
  return [told, aside.join(" · ")];
}

function list(hits, cutoff) {
  const items = hits.map((hit) => element("li", {}, article(hit, cutoff)));
  return element("ol", { class: "hits", start: hits[0].rank }, ...items);
}

function article(hit, cutoff) {
  const file = hit.path.split("/").pop();
  const title = hit.headings.at(-1) || file;
  const trail = hit.headings.slice(0, -1);
  const link = element(
    "a",
    { class: "hit", href: address({ open: hit.id }), "data-id": hit.id, "data-row": hit.row, dir: "auto" },
    title,
  );
  const node = element(
    "article",
    { "data-id": hit.id, class: hit.relevant ? null : "weak" },
    element("p", { class: "path" }, element("bdi", {}, hit.path)),
    element("h3", {}, link),
  );
  if (trail.length) node.append(element("p", { class: "trail", dir: "auto" }, trail.join(" › ")));
  node.append(element("p", { class: "snippet", dir: "auto" }, ...marked(hit.snippet, hit.highlights)));
  if (hit.probability !== null) node.append(chance(hit.probability, cutoff));
  return node;
}

function chance(probability, cutoff) {
  const fill = element("span", { class: "fill" });
  fill.style.width = `${100 * onBar(probability)}%`;
  const bar = element("span", { class: "gauge", "aria-hidden": "true" }, fill);
  if (cutoff !== null) {
    const notch = element("span", { class: "notch" });
    notch.style.left = `${100 * onBar(cutoff)}%`;
    bar.append(notch);
  }
  const words = element("span", { class: "unseen" }, " likely relevant");
  return element(
    "p",
    { class: "chance", title: "Calibrated chance that this is relevant; the bar is logarithmic" },
    percent(probability), words, bar,
  );
}

function longer(more) {
  const button = element("button", { type: "button" }, "Show more results");
  button.addEventListener("click", more);
  return element("p", { class: "end-of-list" }, button);
}

function folded(weak, strong, { query, cutoff }, rest) {
  const line = cutoff === null ? [] : [element(
    "p",
    { class: "cut" },
    element("strong", {}, "Cut-off: "),
    `below this, fewer than ${shareBelow(cutoff)} are likely relevant`,
  )];
  const told = strong ? count(weak.length, "weaker passage") : `The nearest ${count(weak.length, "passage")}`;
  // What was unfolded for a query stays so when more of its results arrive.
  const open = place().querySelector(".fold[open]")?.dataset.query === query;
  return [...line, element(
    "details",
    { class: "fold", "data-query": query, open },
    element("summary", {}, told), list(weak, cutoff), ...rest,
  )];
}

function nothing(answer, filtered, unfilter) {
  const found = answer.hits.length;
  const why = found
    ? "The passages nearest to this query are all below the cut-off: by what the test searches taught, none of them is likely to answer it. They are folded away below, in case one does."
    : "No passage of the collection matches this query.";
  const advice = element("ul", {}, element("li", {}, "Try the words that the documents themselves would use, or a whole sentence that says what you want to know."));
  if (filtered) {
    const button = element("button", { type: "button" }, "Search without filters");
    button.addEventListener("click", unfilter);
    advice.append(element("li", {}, "Only part of the collection was searched. ", button));
  }
  advice.append(element("li", {}, "Perhaps the collection does not hold it: ", element("a", { href: "about" }, "see what it holds"), "."));
  return element(
    "div",
    { class: "nothing" },
    element("p", { class: "nothing-title" }, "Nothing relevant found"),
    element("p", {}, why),
    advice,
  );
}

/** What stands in place of results before there is a query. */
export function welcome(info, pick) {
  const hint = element("p", {}, `${count(info.passages, "passage")} in ${count(info.documents, "document")} can be searched. Ask in a sentence or with a few words.`);
  const parts = [element("div", { class: "welcome" }, hint)];
  if (info.folders.length > 1) {
    const items = info.folders.slice(0, 16).map((folder) => {
      const button = element("button", { type: "button", class: "tag" }, folder.name, " ", element("span", { class: "dim" }, number(folder.passages)));
      button.addEventListener("click", () => pick(folder.name));
      return element("li", {}, button);
    });
    parts[0].append(
      element("h2", { class: "small-title" }, "Search in one folder only"),
      element("ul", { class: "tags" }, ...items),
    );
  }
  clear(...parts);
}
