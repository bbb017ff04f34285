"""The report page: sections complete, absence explained, nothing from outside or injected."""

import copy
import html.parser
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from vecsmith.build._charts import Axes, Bar, Line, bars, escaped, lines, ticks
from vecsmith.build._map import MOST_DOTS, passage_map
from vecsmith.build._report import (
    date,
    duration,
    group_skipped,
    inline_json,
    number,
    render,
    size,
    verdict,
    write_report,
)
from vecsmith.core import shown
from vecsmith.data import Passage, SourceFile
from vecsmith.store import (
    PassageTable,
    build_vectors,
    group_names,
    principal_plane,
    save_vectors,
)

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">{{ 7*7 }}'
SURROGATE = "caf\udce9/\u202egpj.exe"
RANKINGS = ("bm25", "base", "base_hybrid", "adapted", "adapted_hybrid")
METRICS = ("ndcg@10", "mrr@10", "recall@10")
SECTIONS = (
    "What ships, and why", "Quality on held-out test queries", "Training",
    "Merge of base and tuned model", "Cut-off", "Mixing words and vectors", "Map of the passages",
    "What was left out", "Pairs and queries", "Cost", "Model card",
)  # fmt: skip


def comparison(difference=0.1, word="better", p=0.0004):
    return {"difference": difference, "ci95": [difference - 0.05, difference + 0.05], "p": p,
            "verdict": word}  # fmt: skip


def full_report():
    scores = {
        name: {m: {"mean": 0.5 + i / 20, "ci95": [0.4 + i / 20, 0.6 + i / 20]} for m in METRICS}
        for i, name in enumerate(RANKINGS)
    }
    against = {n: {m: comparison() for m in METRICS} for n in RANKINGS if n != "base_hybrid"}
    grid = [
        {"method": m, "weight": w, "scale": 9.0, "ndcg@10": 0.5 + w / 10}
        for m in ("convex", "rrf")
        for w in (0.1, 0.5, 0.9)
    ]
    fusion = {"method": "rrf", "weight": 0.9, "scale": 9.0}
    curve = [
        {"tau": t / 10, "precision": t / 10, "recall": 1 - t / 10, "per_query": 10.0 - t}
        for t in range(1, 10)
    ]
    return {
        "id": "0123abcd",
        "settings": {"source": "/documents", "model": "some/model", "pairs": None, "seed": 0},
        "date": "2026-01-02T03:04:05+00:00",
        "hardware": "a processor",
        "versions": {"vecsmith": "0.1.0", "torch": "2.0"},
        "read": {"documents": 3, "passages": 12345, "skipped": 3, "copied": 0, "listing": "feed",
                 "boilerplate": {"a/1.html": 7, "b.html": 2}},
        "skipped": [["x.bin", "not text"], ["y.bin", "not text"], ["z.pdf", "encrypted"]],
        "pairs": {"unit": "document", "pairs": {"heading": 2500, "link": 500}, "probe": 40,
                  "queries": {"validation": {"heading": 30}, "test": {"heading": 31}},
                  "masked_passages": 61, "left_out": ["line 3: is no JSON"]},
        "backend": {"precision": "bf16",
                    "measured": {"f32": {"texts_per_second": 30.0, "ndcg@10": 0.5}}},
        "train": {"trained": True, "plan": {"steps": 4}, "steps": 4, "best_step": 2,
                  "guide": {"used": False, "reason": "no guide was given"},
                  "best_mrr": 0.7, "base_mrr": 0.6,
                  "curve": [{"step": s, "mrr@10": 0.6 + s / 40} for s in (0, 2, 4)],
                  "loss": [{"step": s, "loss": 3.0 - s / 2} for s in (1, 2, 3, 4)]},
        "merge": {"lambda": 0.75, "trace": [],
                  "mrr@10": {n: {"collection": 0.61, "general": 0.62}
                             for n in ("base", "tuned", "merged")}},
        "judge": {
            "chosen": {"shipped": "adapted_hybrid", "means": dict.fromkeys(RANKINGS, 0.5),
                       "comparison": comparison(), "against": "base_hybrid",
                       "candidate": "adapted_hybrid", "reason": "it is significantly ahead"},
            "fusions": {"base_hybrid": fusion, "adapted_hybrid": fusion},
            "grids": {"base_hybrid": grid, "adapted_hybrid": grid},
            "cutoff": {"tau": 0.35, "target": "recall 0.95", "family": "quadratic", "lists": 72,
                       "test": {"precision": 0.25, "recall": 0.875, "per_query": 2.5,
                                "silent": 0.03125, "told": 0.625, "curve": curve}},
            "test": {"queries": 31, "shipped": "adapted_hybrid", "rankings": scores,
                     "best_untouched": "base_hybrid", "against_best_untouched": against,
                     "by_view": {"as shipped": dict.fromkeys(RANKINGS, 0.7654)},
                     "by_origin": {"heading": {"queries": 29, **dict.fromkeys(RANKINGS, 0.3210)}},
                     "latency_ms": {n: {"median": 5.0, "p95": 9.0} for n in RANKINGS}},
        },
        "shipped": "adapted_hybrid",
        "bytes_per_passage": {"base": 1536.0, "adapted": 1536.0, "passages and words": 805.8},
        "seconds": {"total": 75.0, "read": 5.0, "train": 61.0},
        "peak_memory_mb": 2299.0,
    }  # fmt: skip


def bare_report():
    """What a build gives when nothing could be held out and nothing was trained."""
    report = full_report()
    report["skipped"], report["read"]["boilerplate"] = [], {}
    report["pairs"].update(pairs={}, queries={"validation": {}, "test": {}}, probe=0)
    report["train"] = {"trained": False, "reason": "3 training pairs are too few to learn from"}
    report["merge"], report["shipped"] = False, "base_hybrid"
    report["backend"]["measured"] = {}
    report["judge"] = {
        "chosen": {"shipped": "base_hybrid", "reason": "too few held-out queries to choose by"},
        "fusions": {"base_hybrid": {"method": "convex", "weight": 0.5, "scale": 10.0}},
        "grids": {"base_hybrid": []},
        "cutoff": {"reason": "too few held-out queries, or a ranking without vectors"},
        "test": {"queries": 0, "shipped": "base_hybrid", "rankings": {}},
    }
    return report


def make_index(folder: Path, documents, *, model="base", passages=2, dims=8):
    rng = np.random.default_rng(0)
    count = len(documents) * passages
    vectors = rng.standard_normal((count, dims)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    folder.mkdir(exist_ok=True)
    (folder / model).mkdir(exist_ok=True)
    save_vectors(build_vectors([vectors], count, dims), folder / model / "vectors.faiss")
    table = PassageTable(folder / "passages.sqlite", write=True)
    for path, heading in documents:
        file = SourceFile(path, Path(), "text", 1, 0, "00")
        table.add_document(
            file,
            [Passage(path, i, (heading, "part"), f"t{i}", "text", "", "") for i in range(passages)],
        )
    return table


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.skip = [], [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.skip = tag in ("script", "style")

    def handle_endtag(self, tag):
        self.skip = False

    def handle_data(self, data):
        if not self.skip:
            self.text += data


@pytest.fixture
def index(tmp_path):
    documents = [("a/1.txt", "One"), ("b/2.txt", "Two"), ("3.txt", "Three")]
    with make_index(tmp_path / "index", documents, model="adapted") as table:
        make_vectors = tmp_path / "index" / "adapted" / "vectors.faiss"
        (tmp_path / "index" / "base").mkdir()
        (tmp_path / "index" / "base" / "vectors.faiss").write_bytes(make_vectors.read_bytes())
        yield table, tmp_path / "index"


def page_of(report, index):
    write_report(report, *index)
    return (index[1] / "report.html").read_text(encoding="utf-8")


def test_a_full_page_has_every_section_and_figure(index):
    text = page_of(full_report(), index)
    page = Page(text)
    for section in SECTIONS:
        assert re.search(rf"<h2[^>]*>{section}</h2>", text), section
    for words in ("it is significantly ahead", "A gain: +0.100 nDCG@10", "p < 0.001", "12,345",
                  "λ = 0.750", "not text: 2", "encrypted: 1", "9 repeated blocks", "some/model",
                  "feed", "2 January 2026, 03:04 UTC", "1 min 15 s", "2.2 GiB", "GISTEmbed",
                  "Model Merging", "Relevance Filtering", "Matryoshka", "87.5%", "3.1%", "62.5%",
                  "all, as shipped", "0.765", "headings", "0.321",
                  "line 3: is no JSON"):  # fmt: skip
        assert words in page.text, words
    assert page.tags.count("svg") == 3 + 2 + 2 + 2 + 1 + 1
    labelled = [v for tag, name, v in page.attributes if tag == "svg" and name == "aria-label"]
    assert len(labelled) == page.tags.count("svg") and all(labelled)
    assert "Undefined" not in text and "None" not in page.text


def test_what_is_absent_is_explained(index):
    page = Page(page_of(bare_report(), index))
    for section in SECTIONS:
        assert section in page.text
    for words in ("no held-out test queries", "No training took place: 3 training pairs are too",
                  "Nothing was merged, because no model was trained", "There is no cut-off: too",
                  "The mix was not tuned", "Nothing: every file", "No repeated blocks",
                  "No training pairs", "Not measured"):  # fmt: skip
        assert words in page.text, words
    assert page.tags.count("svg") == 1


@pytest.mark.parametrize("make", [full_report, bare_report])
def test_nothing_comes_from_outside(index, make):
    text = page_of(make(), index)
    page = Page(text)
    for tag, name, value in page.attributes:
        assert not name.startswith("on") and name != "style", (tag, name)
        if name in ("src", "href", "srcset", "action", "data", "xlink:href"):
            assert value.startswith(("data:", "#")), (tag, value)
    assert not re.search(r"url\(|@import|https?://", text)
    (policy,) = [v for _, n, v in page.attributes if n == "content" and "default-src" in v]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy


def test_hostile_names_stay_text(tmp_path):
    documents = [(f"{HOSTILE}/a.txt", HOSTILE), (SURROGATE, "\ud800 lone"), ("c.txt", "<b>")]
    report = full_report()
    report["shipped"] = report["judge"]["test"]["shipped"] = "base_hybrid"
    report["skipped"] = [[HOSTILE, HOSTILE], [SURROGATE, "\ud800"]]
    report["read"]["boilerplate"] = {HOSTILE: 3, SURROGATE: 2}
    report["settings"]["source"] = HOSTILE
    report["settings"]["model"] = HOSTILE
    report["pairs"]["pairs"] = {HOSTILE: 3}
    report["judge"]["chosen"]["reason"] = HOSTILE
    with make_index(tmp_path / "index", documents) as table:
        text = page_of(report, (table, tmp_path / "index"))
    page = Page(text)
    assert page.tags.count("script") == 2 and "img" not in page.tags
    assert "alert(1)" in page.text and "{{ 7*7 }}" in page.text
    assert "caf\\udce9" in page.text and "\u202e" not in text
    data = re.search(r'id="points">(.*?)</script>', text, re.S)[1]
    points = json.loads(data)
    assert f"{HOSTILE}/a.txt" in points["paths"] and "<" not in data


def test_verdict_says_plainly_what_was_gained():
    report = full_report()
    assert verdict(report)["kind"] == "gain"
    test = report["judge"]["test"]
    for word, kind, said in (("not distinguishable", "even", "Nothing was gained"),
                             ("worse", "loss", "A loss")):  # fmt: skip
        test["against_best_untouched"]["adapted_hybrid"]["ndcg@10"] = comparison(-0.01, word, 0.4)
        found = verdict(report)
        assert (
            found["kind"] == kind and found["text"].startswith(said) and "−0.010" in found["text"]
        )
    test["shipped"] = "base_hybrid"
    assert "Training gained nothing that counts" in verdict(report)["text"]
    test["shipped"] = "bm25"
    test["against_best_untouched"]["bm25"]["ndcg@10"] = comparison(-0.1, "worse")
    assert verdict(report)["kind"] == "loss"
    for name in ("adapted", "adapted_hybrid"):
        del test["rankings"][name]
    assert "No adapted model was made" in verdict(report)["text"]
    assert verdict(bare_report())["kind"] == "none"


def test_the_page_is_the_same_each_time(index):
    report = full_report()
    before = copy.deepcopy(report)
    assert page_of(report, index) == page_of(report, index)
    assert report == before


def test_map_takes_the_vectors_of_what_ships(index):
    table, folder = index
    (folder / "base" / "vectors.faiss").unlink()
    points = passage_map(table, folder, "adapted")
    assert points["model"] == "adapted" and points["total"] == len(points["dots"]) == 6
    assert points["unit"] == "folder"
    assert points["groups"] == [["(no folder)", 2], ["a", 2], ["b", 2]]
    assert {points["paths"][dot[2]] for dot in points["dots"]} == {"a/1.txt", "b/2.txt", "3.txt"}
    for x, y, path, trail, group in points["dots"]:
        assert 0 <= x <= 9999 and 0 <= y <= 9999
        assert points["headings"][trail].endswith("› part")
        name = points["paths"][path]
        assert points["groups"][group][0] == (name[0] if "/" in name else "(no folder)")


def test_map_samples_large_collections(tmp_path):
    documents = [(f"f{i % 12}/{i}.txt", "h") for i in range(60)]
    with make_index(tmp_path / "index", documents, passages=100) as table:
        points = passage_map(table, tmp_path / "index", "bm25")
        assert points == passage_map(table, tmp_path / "index", "bm25")
    assert len(points["dots"]) == MOST_DOTS and points["total"] == 6000
    assert [g[1] for g in points["groups"]] == [500] * 9 + [1500]
    assert points["groups"][-1][0] == "3 other folders"
    assert max(dot[4] for dot in points["dots"]) == 9


def test_principal_plane_against_singular_vectors():
    vectors = np.random.default_rng(1).standard_normal((50, 7)).astype(np.float32)
    vectors[:, 3] *= 4
    points, share = principal_plane(vectors)
    u, s, _ = np.linalg.svd(vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64))
    np.testing.assert_allclose(np.abs(points), np.abs(u[:, :2] * s[:2]), atol=1e-6)
    assert share == pytest.approx((s[:2] ** 2).sum() / (s**2).sum())
    same, none = principal_plane(np.ones((3, 4), np.float32))
    assert np.allclose(same, 0) and none == pytest.approx(0.0)


def test_group_names():
    assert group_names(["r/a/1", "r/b/2", "r/b/c/3"]) == (["a", "b", "b"], "folder")
    assert group_names(["x.txt", "a/y.txt"]) == (["(no folder)", "a"], "folder")
    assert group_names(["d/x.txt", "d/y.txt"]) == (["x.txt", "y.txt"], "document")
    assert group_names(["x.txt"]) == (["x.txt"], "document")
    assert group_names([]) == ([], "document")


def rects(svg):
    return [float(node.get("width")) for node in ET.fromstring(svg).iter("rect")]


def test_bars_are_as_long_as_their_values():
    rows = [Bar("a", 0.8, "0.8", 0.7, 0.9), Bar("b", 0.4, "0.4"), Bar("c", 0.0, "0")]
    widths = rects(bars(rows, title="t", description="d", top=1.0))
    assert widths[0] == pytest.approx(2 * widths[1]) and widths[2] == 0
    assert widths[0] == pytest.approx(0.8 * 300)
    root = ET.fromstring(bars(rows, title="t", description="d", top=1.0))
    (whisker,) = [n.get("d") for n in root.iter("path")]
    assert whisker.startswith("M210.00 24H270.00")
    assert max(rects(bars(rows, title="t", description="d"))) == pytest.approx(300)
    assert rects(bars([Bar("z", 0.0, "0")], title="t", description="d")) == [0]


def test_lines_follow_their_points():
    series = [Line("<one>", [(0, 0.0), (1, 0.5), (2, 1.0)], (1, 0.5)), Line("two", [(0, 1.0)])]
    axes = Axes("x", "y", rule=1.0, rule_name="here & now", y_from=0.0, y_to=1.0)
    root = ET.fromstring(lines(series, axes, title='a "t"', description="d"))
    first = next(n for n in root.iter("path") if n.get("class") == "line s0")
    places = [tuple(map(float, p.split())) for p in first.get("d")[1:].split("L")]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    rule = next(n for n in root.iter("path") if n.get("class") == "rule")
    assert rule.get("d").startswith(f"M{x1} ")
    mark = next(n for n in root.iter("circle") if n.get("class") == "mark")
    assert (float(mark.get("cx")), float(mark.get("cy"))) == (x1, y1)
    assert "<one>" in [n.text for n in root.iter("text")]
    assert lines([], axes, title="t", description="d") == ""
    ET.fromstring(lines([Line("flat", [(3, 0.0)])], Axes("x", "y"), title="t", description="d"))


def test_ticks_are_round_and_inside():
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-3, 12) == [0, 5, 10]
    for low, high in ((0.123, 0.124), (5, 5e6), (-1e-3, 1e-3)):
        found = ticks(low, high)
        assert 2 <= len(found) <= 9 and low <= found[0] and found[-1] <= high + 1e-9


def test_text_helpers():
    assert shown("a\udce9\x00\u202eb") == "a\\udce9\\u0000\\u202eb"
    assert escaped("<'\"&>") == "&lt;&#x27;&quot;&amp;&gt;"
    assert json.loads(inline_json(HOSTILE)) == HOSTILE
    assert number(-1234.5, 1) == "−1,234.5" and size(1536) == "1.5 KiB" and size(5) == "5 B"
    assert duration(3661) == "1 h 01 min" and duration(59.94) == "59.9 s"
    assert date("not a date") == "not a date"
    (group,) = group_skipped([["p", "r"]] * 2_001)
    assert group["count"] == 2_001 and len(group["paths"]) == 2_000 and group["more"] == 1


def test_page_is_plain_utf8_without_markup_from_numbers(index):
    points = passage_map(*index, "base")
    text = render(full_report(), points)
    assert text.encode("utf-8").decode() == text
    assert text.lstrip().startswith("<!doctype html>")
