"""Draw the charts of the docs from stored results.

Usage: charts.py (writes docs/images/).
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from vecsmith.core import read_json

ROOT = Path(__file__).resolve().parent.parent
# places of the labels, in points; the rest stand to the right
OFFSETS = {
    "robe 0.05": (6, 2),
    "compo_emb 0.05": (-6, -1),
    "mgqe 0.05": (-6, -4),
    "tt_rec 0.05": (-6, -12),
    "dpq 0.05": (-6, 2),
    "mde 0.1": (-6, 6),
    "alpt 0.32": (6, 5),
    "int 0.25": (-6, 4),
    "int 0.5": (0, -13),
    "opt_embed 1.0": (0, -14),
    "full 1.0": (0, 7),
}
SHARES = ("hash", "compo_emb", "tt_rec", "dhe", "robe", "adapt_emb")
QUANTISES = ("int", "alpt", "mgqe", "dpq", "dedup")


def family(method: str) -> tuple[str, str]:
    """Colour and legend of a method."""
    if method == "full":
        return "#444444", "whole table"
    if method in SHARES:
        return "#0b6fb8", "sharing"
    if method in QUANTISES:
        return "#b8560b", "quantising"
    return "#3c8a3c", "pruning and widths"


def table_compression(target: Path) -> None:
    """Test AUC against bytes, by method."""
    extra = read_json(ROOT / "docs" / "claims" / "embedding-compression.json")["extra"]
    figure, axes = plt.subplots(figsize=(8.2, 4.8), layout="constrained")
    told = set()
    for name in (key.removeprefix("auc ") for key in extra if key.startswith("auc ")):
        method = name.split()[0]
        colour, legend = family(method)
        x, y = extra[f"rate {name}"], extra[f"auc {name}"]
        label = None if legend in told else legend
        axes.plot(x, y, "o", color=colour, label=label)
        told.add(legend)
        right, up = OFFSETS.get(name, (6, -3))
        side = "right" if right < 0 else "center" if right == 0 else "left"
        axes.annotate(
            method, (x, y), (right, up), textcoords="offset points", ha=side, color=colour, size=8
        )
    axes.axhline(extra["auc full 1.0"], color="#444444", lw=0.8, ls=":")
    axes.set(
        xscale="log",
        xlim=(0.008, 1.5),
        xlabel="bytes, as part of the whole table",
        ylabel="test AUC",
        title="Click model on MovieLens-100k, by method and size of its table",
    )
    ticks = (0.01, 0.05, 0.1, 0.25, 0.5, 1)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(target, dpi=150)
    plt.close(figure)


GRAPH_LINES = {
    "sdne": ("SDNE, decoder", "#b8560b", "-"),
    "hope, as many numbers": ("HOPE, as many numbers", "#0b6fb8", "--"),
    "hope": ("HOPE", "#0b6fb8", "-"),
    "deepwalk": ("DeepWalk", "#3c8a3c", "-"),
    "node2vec": ("node2vec", "#3c8a3c", ":"),
    "sdne vectors": ("SDNE, vectors only", "#b8560b", ":"),
    "random": ("random vectors", "#444444", "-"),
}
GRAPH_PANELS = (("ring", "nodes at distance k"), ("ego", "edges within k steps of a node"))


def graph_curves(target: Path) -> None:
    """Lift by hops, in two readings."""
    extra = read_json(ROOT / "docs" / "claims" / "restore.json")["extra"]
    figure, panels = plt.subplots(1, 2, figsize=(9.2, 4.2), sharey=True, layout="constrained")
    for axes, (mode, title) in zip(panels, GRAPH_PANELS, strict=True):
        for name, (label, colour, style) in GRAPH_LINES.items():
            lifts = [extra[f"lift {hop} {mode}, {name}"] for hop in (1, 2, 3)]
            axes.plot((1, 2, 3), lifts, "o", ls=style, color=colour, label=label)
        axes.set(xlabel="k", title=f"{mode}: {title}")
        axes.set_xticks((1, 2, 3))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("lift of mAP: random 0, perfect 1")
    panels[1].legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(target, dpi=150)
    plt.close(figure)


def twin_merging(target: Path) -> None:
    """Accuracy of experts, merged and mixed, by what is kept of each."""
    result = read_json(ROOT / "docs" / "claims" / "twin-merging.json")
    extra, ours = result["extra"], result["system"]["values"]
    rows = {name: extra[f"normalised {name}"] for name in ("rank 1", "ratio .02", "full rank")}
    rows["ratio 0.1"] = sum(ours) / len(ours)
    numbers = {name: extra[f"numbers an expert, {name}"] for name in rows}
    order = sorted(rows, key=lambda name: numbers[name])
    figure, axes = plt.subplots(figsize=(8.2, 4.4), layout="constrained")
    axes.plot(
        [numbers[n] for n in order], [rows[n] for n in order], "o-", color="#0b6fb8", label="Twin"
    )
    for name in order:
        axes.annotate(
            name, (numbers[name], rows[name]), (4, -12), textcoords="offset points", size=8
        )
    static = {"average": ":", "dare": "-.", "task_arithmetic": "--", "ties": "-"}
    for rule, style in static.items():
        axes.axhline(
            extra[f"normalised {rule}"],
            color="#b8560b",
            lw=1,
            ls=style,
            label=rule.replace("_", " "),
        )
    axes.axhline(1.0, color="#444444", lw=0.8, ls=":", label="the experts themselves")
    axes.set(
        xscale="log",
        ylim=(0.6, 1.03),
        xlabel="numbers kept of each expert (static merges keep none)",
        ylabel="accuracy over the expert's",
        title="Four experts of one encoder",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(target, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    mpl.use("agg")
    images = ROOT / "docs" / "images"
    table_compression(images / "table-compression.png")
    graph_curves(images / "graph-curves.png")
    twin_merging(images / "twin-merging.png")
