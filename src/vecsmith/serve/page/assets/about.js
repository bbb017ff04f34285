// "About this index": what it holds, what ships and why, the cut-off, the models, the report.
import { ask } from "./api.js";
import { offerToForget } from "./key.js";
import { comparison, verdict } from "./quality.js";
import { byId, count, day, element, number, percent, rankingName, shareBelow } from "./text.js";

async function start() {
  byId("notice").hidden = true;
  try {
    const [info, report] = await Promise.all([ask("v1/index"), ask("v1/report")]);
    byId("name").textContent = info.name;
    document.title = `About ${info.name}`;
    dates(info);
    holds(info, report);
    ships(info, report);
    cutoff(info, report);
    byId("models").replaceChildren(...info.models.map((model) => card(model, info)));
    byId("content").hidden = false;
  } catch (error) {
    const button = element("button", { type: "button" }, "Try again");
    button.addEventListener("click", start);
    byId("notice").replaceChildren(`${error.message} `, button);
    byId("notice").hidden = false;
    byId("dates").textContent = "";
  }
}

function dates(info) {
  const parts = [info.name, `built ${day(info.built)}`];
  if (info.updated) parts.push(`updated ${day(info.updated)}`);
  parts.push(`generation ${info.index}`);
  byId("dates").textContent = parts.join(" · ");
}

function holds(info, report) {
  const facts = [
    [number(info.documents), info.documents === 1 ? "document" : "documents"],
    [number(info.passages), info.passages === 1 ? "passage" : "passages"],
  ];
  if (info.kinds.length === 1) facts.push([info.kinds[0].name, "kind"]);
  if (report.read) facts.push([number(report.read.skipped), "left out"]);
  byId("facts").replaceChildren(...facts.map(([amount, name]) =>
    element("li", {}, element("b", {}, amount), ` ${name}`)));
  const parts = [];
  if (info.folders.length) parts.push(shares("Folders", info.folders, "passages"));
  if (info.kinds.length > 1) parts.push(shares("Kinds of document", info.kinds, "documents"));
  byId("holds").replaceChildren(...parts);
  if (info.first_date) {
    const span = info.first_date === info.last_date
      ? `All documents were last changed on ${day(info.first_date)}.`
      : `The documents were last changed between ${day(info.first_date)} and ${day(info.last_date)}.`;
    byId("holds").after(element("p", {}, span));
  }
}

function shares(title, entries, key) {
  const most = 10;
  const shown = entries.slice(0, entries.length > most + 1 ? most : most + 1);
  const rest = entries.slice(shown.length);
  const total = entries.reduce((sum, entry) => sum + entry[key], 0) || 1;
  const rows = shown.map((entry) => [entry.name, entry[key]]);
  if (rest.length) rows.push([`${number(rest.length)} others`, rest.reduce((sum, entry) => sum + entry[key], 0)]);
  const items = rows.map(([name, amount]) => {
    const fill = element("span", { class: "fill" });
    fill.style.width = `${(100 * amount) / total}%`;
    return element(
      "tr", {},
      element("th", { scope: "row" }, element("bdi", {}, name)),
      element("td", { class: "n" }, number(amount)),
      element("td", { class: "bar-cell", "aria-hidden": "true" }, fill),
    );
  });
  return element("table", {}, element("caption", {}, `${title}, by ${key}`), element("tbody", {}, ...items));
}

function ships(info, report) {
  const chosen = report.judge?.chosen;
  const told = verdict(report);
  const box = element(
    "div",
    { class: `verdict ${told.kind}` },
    element("p", {}, element("strong", {}, `Ships: ${rankingName(info.shipped)}`), " ", element("code", {}, info.shipped)),
  );
  if (chosen?.reason) box.append(element("p", {}, `Why: ${withNames(chosen.reason)}.`));
  box.append(element("p", {}, told.text));
  byId("ships").replaceChildren(box, ...comparison(report));
}

/** The names of rankings in a sentence, in words. */
const withNames = (sentence) =>
  sentence.replace(/\b(?:bm25|(?:base|adapted)(?:_hybrid)?)\b(?! model)/g, rankingName);

function cutoff(info, report) {
  const noted = report.judge?.cutoff ?? {};
  const parts = [];
  if (info.cutoff === null) {
    const why = noted.reason ? `: ${noted.reason}` : "";
    parts.push(element("p", {}, `This index has no cut-off${why}. A search always shows the nearest passages, relevant or not.`));
  } else {
    parts.push(element("p", {}, `A passage counts as relevant from a calibrated probability of ${percent(info.cutoff)}; of what lies below, fewer than ${shareBelow(info.cutoff)} are likely relevant. It was set to reach ${noted.target ?? "its target"}.`));
    if (noted.test) {
      parts.push(element("p", {}, `On ${count(noted.test.queries, "test query", "test queries")} ${percent(noted.test.recall)} of the answers in the list passed, with ${noted.test.per_query.toFixed(1)} passages shown a query. Where the answers had been taken out, ${percent(noted.test.told)} were told that nothing is relevant; where there was one, ${percent(noted.test.silent)} were shown nothing.`));
    }
    parts.push(element("p", { class: "dim" }, "It belongs to the ranking that ships; other rankings show everything."));
  }
  byId("cutoff").replaceChildren(...parts);
}

const STAMP = {
  model: "Model", weights: "Weights", dims: "Dimensions", pooling: "Pooling",
  query_prompt: "Prompt of queries", document_prompt: "Prompt of documents",
  max_tokens: "Tokens at most", reshape: "Reshaped by",
};

function card(model, info) {
  const facts = element("dl", { class: "stamp" });
  for (const [name, value] of Object.entries(model.stamp)) {
    if (value === "" || value === null || (Array.isArray(value) && !value.length)) continue;
    const told = typeof value === "object" ? JSON.stringify(value) : String(value);
    facts.append(element("dt", {}, STAMP[name] ?? name), element("dd", { class: name === "weights" ? "mono" : null }, told));
  }
  const shipped = info.shipped === model.id || info.shipped.startsWith(`${model.id}_`);
  const title = element("h3", {}, model.id, " ", ...(shipped ? [element("span", { class: "mini" }, "ships")] : []));
  const node = element("div", { class: "model" }, title, facts);
  if (model.card) node.append(lazy("Model card", () => cardText(model.id)));
  return node;
}

async function cardText(id) {
  const text = await ask(`v1/models/${encodeURIComponent(id)}/card`, { as: "text" });
  return element("pre", { tabindex: 0, role: "region", "aria-label": `Card of the model ${id}` }, text);
}

/** A part that is fetched when it is first opened, and again if that failed. */
function lazy(title, make) {
  const details = element("details", {}, element("summary", {}, title));
  fillWhenOpened(details, make);
  return details;
}

function fillWhenOpened(details, make) {
  let filled = false;
  details.addEventListener("toggle", async () => {
    if (!details.open || filled) return;
    filled = true;
    try {
      details.append(await make());
    } catch (error) {
      filled = false;
      details.open = false;
      details.querySelector("summary").append(element("span", { class: "bad" }, ` ${error.message}`));
    }
  });
}

fillWhenOpened(byId("report"), () =>
  element("iframe", { src: "report.html", title: "Report of the build" }));
offerToForget();
start();
