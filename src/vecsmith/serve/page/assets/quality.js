// What the held-out test queries showed: a sentence, a chart with intervals, a table.
import { element, number, rankingName } from "./text.js";

const METRICS = { "ndcg@10": "nDCG@10", "mrr@10": "MRR@10", "recall@10": "recall@10" };
const UNTOUCHED = ["bm25", "base", "base_hybrid"];

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
const chance = (p) => (p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`);

/** A paired difference with its interval. */
const difference = ({ difference: by, ci95: [low, high], p }) =>
  `${signed(by)} nDCG@10 (95% interval ${signed(low)} to ${signed(high)}, ${chance(p)})`;

/** Say what is known of the ranking that ships: "kind" for the colour, and "text". */
export function verdict(report) {
  const test = report.judge?.test;
  if (!test?.queries || !Object.keys(test.rankings ?? {}).length) {
    return { kind: "none", text: "There were no held-out test queries, so nothing is known about how well this index finds things." };
  }
  const { shipped, best_untouched: best } = test;
  const against = `the best ranking without training (${rankingName(best)})`;
  if (shipped === best) {
    return { kind: "even", text: `Training gained nothing that counts, so what ships is ${against}.` };
  }
  const found = test.against_best_untouched?.[shipped]?.["ndcg@10"];
  if (!found) return { kind: "none", text: "It was not compared with the untouched rankings." };
  if (UNTOUCHED.includes(shipped)) {
    return { kind: found.verdict === "worse" ? "loss" : "even", text: `Training gained nothing that counts. What ships differs from ${against} by ${difference(found)}: ${found.verdict}.` };
  }
  const told = {
    better: ["gain", "A gain: "],
    worse: ["loss", "A loss: "],
  }[found.verdict] ?? ["even", "Nothing was gained that the test queries can show: "];
  return { kind: told[0], text: `${told[1]}${difference(found)} over ${against}.` };
}

/** A chart and a table of every ranking; nothing where nothing was measured. */
export function comparison(report) {
  const test = report.judge?.test;
  const rankings = Object.entries(test?.rankings ?? {});
  if (!rankings.length) return [];
  const words = `Each ranking answered ${number(test.queries)} test queries that nothing was trained on or chosen by. 1 would be perfect; the whiskers are 95% intervals. BM25 and the base model are what there was before training.`;
  return [element("p", {}, words), chart(rankings, test), ...table(rankings, test)];
}

function chart(rankings, test) {
  const rows = rankings.map(([name, scores]) => {
    const { mean, ci95: [low, high] } = scores["ndcg@10"];
    const fill = element("span", { class: "fill" });
    fill.style.width = `${100 * mean}%`;
    const whisker = element("span", { class: "whisker" });
    whisker.style.left = `${100 * low}%`;
    whisker.style.width = `${100 * (high - low)}%`;
    return element(
      "li", { class: name === test.shipped ? "strong" : null },
      element("span", { class: "label" }, rankingName(name)),
      element("span", { class: "track" }, fill, whisker),
      element("span", { class: "value" }, mean.toFixed(3)),
    );
  });
  return element(
    "figure", { class: "chart" },
    element("figcaption", {}, "nDCG@10 on the test queries"),
    element("ul", {}, ...rows),
  );
}

function table(rankings, test) {
  const head = element(
    "tr", {},
    element("th", { scope: "col" }, "Ranking"),
    ...Object.values(METRICS).map((name) => element("th", { scope: "col" }, name)),
  );
  const body = rankings.map(([name, scores]) => {
    const tags = [];
    if (name === test.shipped) tags.push(element("span", { class: "mini" }, "ships"));
    if (name === test.best_untouched) tags.push(element("span", { class: "mini" }, "best untrained"));
    return element(
      "tr", {},
      element("th", { scope: "row" }, rankingName(name), " ", ...tags),
      ...Object.keys(METRICS).map((metric) => cell(scores[metric], test.against_best_untouched?.[name]?.[metric])),
    );
  });
  const caption = "Below each mean: its 95% interval, and the paired difference from the best ranking without training.";
  return [element("p", { class: "dim small", id: "scores-note" }, caption), element(
    "div",
    { class: "scroll", role: "region", "aria-label": "Scores and comparisons", tabindex: 0 },
    element("table", { "aria-describedby": "scores-note" }, element("thead", {}, head), element("tbody", {}, ...body)),
  )];
}

function cell(score, compared) {
  const { mean, ci95: [low, high] } = score;
  const node = element("td", {}, mean.toFixed(3), element("small", {}, `${low.toFixed(3)} to ${high.toFixed(3)}`));
  if (compared) {
    const look = { better: "good", worse: "bad" }[compared.verdict] ?? null;
    node.append(element("small", { class: look }, `${signed(compared.difference)} ${compared.verdict}`));
  }
  return node;
}
