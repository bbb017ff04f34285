"""Train models, and draw the charts of the guides that show them.

Usage: trained_charts.py knowledge | taxonomies | formulas SNIP DECODER (writes docs/images/).

The first two train what they draw, in some minutes on one core. SNIP and DECODER are folders that
`save_pretrained` wrote; those of the picture are trained as `vecsmith.claims.snip` does.
"""

import sys
import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from vecsmith.core import numpy_generator
from vecsmith.data.samples import load_hpo, load_icd9
from vecsmith.data.taxonomy import Taxonomy, icd10cm
from vecsmith.encode import load_sentence_transformer, resolve_model
from vecsmith.encode.knowledge import matched_random
from vecsmith.evaluate.taxonomy import zero_shot_split
from vecsmith.reshape.adapt import EmbeddingAligner, MLPOptions, hit_at_k
from vecsmith.train.graphs import Node2Vec
from vecsmith.train.knowledge import KGEmbedder, KGOptions
from vecsmith.train.taxonomy import Text2Node, Text2NodeOptions, TokenTable

ROOT = Path(__file__).resolve().parent.parent
BLUE, ORANGE, GREEN, DARK, GREY = "#0b6fb8", "#b8560b", "#3c8a3c", "#444444", "#bbbbbb"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"

# label, kind, pairs, options, colour, line
MAPS = (
    ("mlp", "mlp", "all", MLPOptions(), BLUE, "-"),
    ("iternorm, all names", "iternorm", "all", None, GREEN, "-"),
    ("linear, all names", "linear", "all", None, GREEN, "--"),
    (
        "mlp, the authors' settings",
        "mlp",
        "all",
        MLPOptions(decay=1e-3, scaled=False, stretched=False),
        BLUE,
        ":",
    ),
    ("linear, names of one sub-word", "linear", "single", None, ORANGE, "--"),
)
PLACES = (1, 3, 10, 30, 100, 300)
CHAPTER, TITLES = "4", 8


def alignment_figures() -> list[tuple[list[float], float]]:
    """Train vectors of a graph, and align them by each map, random vectors last.

    Returns:
        For each, hits by k, and how far entities lie apart where names have 1.
    """
    rows = load_hpo()[:]
    names = dict(zip(rows["id"], rows["name"], strict=True))
    links = zip(rows["id"], rows["parents"], strict=True)
    triples = [(i, "is a", p) for i, parents in links for p in parents]
    how = KGOptions(epochs=30, cpu=True)
    kge = KGEmbedder("distmult", dim=50, options=how).fit(triples, names)
    left = np.random.default_rng(0).permutation(len(kge.ids))[:1000].tolist()
    lm = str(resolve_model(MINILM).path)
    tables = []
    for _, kind, pairs, options, *_ in MAPS:
        aligner = EmbeddingAligner(kind, pairs=pairs, options=options)
        tables.append(aligner.fit(kge, lm=lm, leave_out=left).transform(kge))
    assert aligner.targets_ is not None
    targets = aligner.targets_.vectors
    tables.append(matched_random(tables[1]))
    return [
        ([hit_at_k(own, targets, left, k=k) for k in PLACES], apart(own) / apart(targets))
        for own in tables
    ]


def knowledge_alignment(target: Path, found: list[tuple[list[float], float]]) -> None:
    """How often a mapped vector finds its own name, by map, and how far entities lie apart."""
    figure, (curves, bars) = plt.subplots(
        1, 2, figsize=(10, 4.2), width_ratios=(3, 2), layout="constrained"
    )
    looks = [(label, colour, style) for label, *_, colour, style in MAPS]
    looks.append(("random vectors", DARK, "-"))
    for (label, colour, style), (hits, _) in zip(looks, found, strict=True):
        curves.plot(PLACES, hits, "o", ms=4, ls=style, color=colour, label=label)
    curves.set(
        xscale="log",
        xlabel="k, of 19,000 names",
        ylabel="own name among the k nearest",
        title="Entities that were left out find their names",
    )
    curves.set_xticks(PLACES, [str(k) for k in PLACES])
    curves.minorticks_off()
    curves.legend(frameon=False, fontsize="small")
    rows = list(zip(looks, found, strict=True))[-2::-1]
    for place, ((_, colour, style), (_, spread)) in enumerate(rows):
        bars.barh(place, spread, color=colour, alpha=0.4 if style == ":" else 1)
        bars.annotate(f"{spread:.2f}", (spread, place), (4, -3), textcoords="offset points", size=8)
    bars.axvline(1, color=DARK, lw=0.8, ls=":")
    bars.set_yticks(range(len(rows)), [label for (label, *_), _ in rows], fontsize="small")
    bars.set(xlabel="names = 1", title="How far entities lie apart")
    finish(figure, (curves, bars), target)


def apart(rows: NDArray[np.floating[Any]]) -> float:
    """Mean length of rows about their mean."""
    return float(np.linalg.norm(rows - rows.mean(0), axis=1).mean())


def finish(figure: Any, panels: tuple[Any, ...], target: Path) -> None:
    """Take needless lines off, and write."""
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, dpi=150)
    plt.close(figure)


def icd9_titles(tax: Taxonomy) -> tuple[list[tuple[str, tuple[str, ...]]], list[str]]:
    """Titles of ICD-9-CM with their codes in a part of ICD-10-CM, and titles that have none there.

    Args:
        tax: The part.

    Returns:
        (title, right codes) of the first, and titles of the second.
    """
    inside, outside = [], []
    for row in load_icd9():
        if row["no_map"] or row["combination"] or not row["targets"]:
            continue
        known = [code in tax for code in row["targets"]]
        if all(known):
            inside.append((row["title"], tuple(dict.fromkeys(row["targets"]))))
        elif not any(known):
            outside.append(row["title"])
    return inside, outside


def taxonomy_map(target: Path) -> None:
    """Titles of ICD-9-CM on a map of a chapter of ICD-10-CM, and what a threshold does."""
    tax = icd10cm([CHAPTER])
    inside, outside = icd9_titles(tax)
    nodes = Node2Vec(128, walk_length=40, window=2).fit(tax.graph)
    words = TokenTable.from_model(load_sentence_transformer(MINILM))
    options = Text2NodeOptions(hidden=64, dropout=0.0, epochs=20, share=0.1)
    split = zero_shot_split(tax.pairs(), inside, drop=0.3, seed=0)
    alone = Text2Node(words, nodes, mapper="cnn", options=options).fit(split.pairs)
    whole = Text2Node(words, nodes, mapper="cnn", options=options).fit(tax.pairs())
    figure = plt.figure(figsize=(11, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(3, 2), height_ratios=(3, 4))
    atlas, table, curves = (figure.add_subplot(s) for s in (grid[:, 0], grid[0, 1], grid[1, 1]))
    rng = numpy_generator(0, "docs", "titles")
    short = [test for test in split.unseen if len(test[0]) <= 46]
    chosen = [short[i] for i in np.sort(rng.permutation(len(short))[:TITLES])]
    draw_atlas(atlas, table, tax, alone, chosen)
    some = [outside[i] for i in rng.permutation(len(outside))[: len(inside)]]
    draw_thresholds(curves, whole, inside, some)
    finish(figure, (curves,), target)


def draw_atlas(
    axes: Any, table: Any, tax: Taxonomy, model: Text2Node, chosen: list[tuple[str, Any]]
) -> None:
    """Draw concepts by block, and a line from each title to its right code."""
    from sklearn.manifold import TSNE

    images = model.transform([title for title, _ in chosen])
    both = np.concatenate([model.node_vectors, images])
    flat = TSNE(metric="cosine", init="pca", random_state=0).fit_transform(both)
    places, titles = flat[: len(tax)], flat[len(tax) :]
    blocks = [block_of(tax, node) for node in tax.ids]
    counts = {block: blocks.count(block) for block in dict.fromkeys(blocks) if block}
    large = sorted(counts, key=lambda block: -counts[block])[:5]
    palette = dict(zip(large, mpl.colormaps["Set2"].colors, strict=False))
    for block in [None, *large]:
        rows = [i for i, own in enumerate(blocks) if (own if own in large else None) == block]
        label = "other blocks" if block is None else tax.name(block)
        colour = GREY if block is None else palette[block]
        axes.scatter(*places[rows].T, s=9, color=colour, label=label, lw=0)
    lines = []
    for number, ((title, right), point) in enumerate(zip(chosen, titles, strict=True), 1):
        found = model.predict([title], lexical=0)[0].ids[0]
        steps = int(tax.distances([(found, code) for code in right]).min())
        end = min(
            (places[tax.ids.index(code)] for code in right), key=lambda p: abs(p - point).sum()
        )
        axes.plot(*np.stack([point, end]).T, lw=1, color=DARK)
        axes.plot(*end, "o", ms=5, mfc="none", color=DARK)
        axes.annotate(
            str(number),
            point,
            ha="center",
            va="center",
            size=8,
            color="white",
            bbox={"boxstyle": "circle,pad=0.25", "fc": DARK, "ec": "none"},
        )
        lines.append(f"{number}  {title}: {steps}")
    axes.set_axis_off()
    axes.set_title(f"Chapter {CHAPTER} of ICD-10-CM by its node vectors, coloured by block")
    axes.legend(
        frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2
    )
    table.set_axis_off()
    table.set_title("Titles of ICD-9-CM whose codes had no phrase,\nand steps from answer to code")
    table.text(0, 1, "\n".join(lines), va="top", size=8.5, linespacing=1.6)


def block_of(tax: Taxonomy, node: Any) -> Any:
    """Climb to the block that a code lies in; None for what lies above."""
    while node is not None and "-" not in str(node)[1:]:
        node = next(iter(tax.parents.get(node, ())), None)
    return None if node == "ICD-10-CM" else node


def draw_thresholds(
    axes: Any, model: Text2Node, inside: list[tuple[str, Any]], outside: list[str]
) -> None:
    """Draw what a threshold does to half of the titles; the others calibrate."""
    rng = numpy_generator(0, "docs", "halves")
    inside = [inside[i] for i in rng.permutation(len(inside))]
    half = len(inside) // 2
    known, apart = outside[:half], outside[half:]
    first = model.predict([title for title, _ in inside[:half]])
    wanted = [
        m.ids[0] if m.ids[0] in codes else codes[0]
        for m, (_, codes) in zip(first, inside[:half], strict=True)
    ]
    titles = [title for title, _ in inside[:half]]
    model.calibrate([*titles, *known], [*wanted, *[None] * len(known)])
    asked = inside[half:]
    found = model.predict([title for title, _ in asked])
    right = np.array([m.ids[0] in codes for m, (_, codes) in zip(found, asked, strict=True)])
    own = np.array([m.confidence for m in found])
    others = np.array([m.confidence for m in model.predict(apart)])
    cuts = np.linspace(0, 1, 201)
    rows = (
        (
            "titles with a code here: the right one is given",
            BLUE,
            (right & (own >= cuts[:, None])).mean(1),
        ),
        ("a wrong one is given", ORANGE, (~right & (own >= cuts[:, None])).mean(1)),
        ('titles without: "no such concept"', GREEN, (others < cuts[:, None]).mean(1)),
    )
    for label, colour, values in rows:
        axes.plot(cuts, values, color=colour, label=label)
    axes.set(xlabel="min_confidence", ylabel="part of the titles", ylim=(0, 1.02), xlim=(0, 1))
    axes.set_title("What a threshold does")
    axes.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.2))


def formula_search(target: Path, snip: str, decoder: str) -> None:
    """A law found from data, and how the search got there."""
    from vecsmith.data.formulas import Expression
    from vecsmith.decode.equations import EquationDecoder, LatentRegressor, SearchOptions
    from vecsmith.encode.formulas import Snip

    models = Snip.from_pretrained(snip), EquationDecoder.from_pretrained(decoder)
    law, rng = Expression.parse("exp(-x/3)*cos(2*x)"), numpy_generator(0, "picture")
    X = np.sort(rng.uniform(0, 6, 60))[:, None]
    y = law.evaluate(X) + 0.02 * rng.normal(size=60)
    options = SearchOptions(stop_r2=0.9999, temperature=0.7)
    found = {
        name: LatentRegressor(*models, optimizer=name, pop=20, iters=10, options=options).fit(X, y)
        for name in ("gwo", "random")
    }
    best = found["gwo"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    grid = np.linspace(0, 6, 300)
    left.plot(X[:, 0], y, "o", ms=4, color="#888888", label="data: exp(-x/3) cos(2 x) + noise")
    left.plot(grid, best.formula_.evaluate(grid), color=BLUE, label="formula found")
    left.set(xlabel="x", ylabel="y")
    left.set_title(readable(best.expression_), fontsize=9)
    left.legend(frameon=False)
    for name, colour, label in (("gwo", BLUE, "search"), ("random", ORANGE, "random")):
        trace = found[name].trace_
        steps = [row["iteration"] for row in trace]
        for key, style, tail in (
            ("r2", "-", ""),
            ("r2_decoded", "--", ", before constants are fitted"),
        ):
            values = [row[key] for row in trace]
            right.plot(steps, values, style, color=colour, label=label + tail)
    right.set(
        xlabel="iteration (20 vectors, 40 formulas each)",
        ylabel="best R2 so far",
        ylim=(0, 1.02),
        title="How the search got there",
    )
    right.legend(
        frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2
    )
    finish(figure, (left, right), target)


def readable(expression: Any) -> str:
    """Write a formula with constants of three digits, over as many lines as it needs."""
    import sympy

    rounded = {c: sympy.Float(c, 3) for c in expression.atoms(sympy.Float)}
    text = str(expression.xreplace(rounded)).replace("x_0", "x")
    return "\n".join(textwrap.wrap(f"y = {text}", 64, break_long_words=False))


def main() -> None:
    """Draw the chart that is asked for."""
    mpl.use("agg")
    images = ROOT / "docs" / "images"
    name, *folders = sys.argv[1:]
    if name == "knowledge":
        knowledge_alignment(images / "knowledge-alignment.png", alignment_figures())
    elif name == "taxonomies":
        taxonomy_map(images / "taxonomy-map.png")
    else:
        formula_search(images / "formulas.png", *folders)


if __name__ == "__main__":
    main()
