"""The report of an assessment: a table, values for JSON, a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import atomic_path, require

from ._reconstruction import HopScore
from ._semantics import SemanticScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class MethodScores:
    """What one method kept.

    Attributes:
        name: Name of the method.
        scored_by: How its vectors tell of an edge; "decoder" needs more than the vectors.
        parameters: Numbers that scores are made from.
        reconstruction: One score a distance.
        weight_error: ||A - A^|| / ||A|| over the edges; 1 is what scores of 0 have.
        distances: Hops -> mean Euclidean distance of unit vectors; 0 stands for random pairs.
        semantic: One score a word test.
    """

    name: str
    scored_by: str
    parameters: int
    reconstruction: tuple[HopScore, ...]
    weight_error: float
    distances: dict[int, float]
    semantic: tuple[SemanticScore, ...]


@dataclass(frozen=True)
class RestoreReport:
    """Scores of several methods on one graph.

    Attributes:
        methods: One row a method.
        nodes: Nodes of the graph.
        edges: Its edges.
        directed: Whether they have a direction.
        hop_mode: Which nodes are right at k hops.
        hops: The distances.
    """

    methods: tuple[MethodScores, ...]
    nodes: int
    edges: int
    directed: bool
    hop_mode: str
    hops: tuple[int, ...]

    def __getitem__(self, name: str) -> MethodScores:
        for row in self.methods:
            if row.name == name:
                return row
        raise KeyError(name)

    def table(self) -> str:
        """Give two Markdown tables, of the graph and, where words were tested, of their meaning."""
        kind = "directed" if self.directed else "undirected"
        first = self.methods[0].reconstruction
        floors = ", ".join(f"{h.floor:.3f} at {h.hops}" for h in first)
        head = (
            f"Reconstruction of {self.nodes} nodes and {self.edges} edges ({kind}), hops: "
            f"{self.hop_mode}, {first[0].sources} nodes ranked at {first[0].hops}. mAP of a random "
            f"order: {floors}."
        )
        columns = [
            "method",
            "scored by",
            "numbers",
            *(f"mAP {k}" for k in self.hops),
            *(f"lift {k}" for k in self.hops),
            *(f"P@{k}" for k in first[0].precision),
            "weight error",
        ]
        rows = [
            [
                row.name,
                row.scored_by,
                f"{row.parameters:,}",
                *(f"{h.mean_ap:.3f}" for h in row.reconstruction),
                *(f"{h.lift:.3f}" for h in row.reconstruction),
                *(f"{p:.3f}" for p in row.reconstruction[0].precision.values()),
                f"{row.weight_error:.3f}",
            ]
            for row in self.methods
        ]
        parts = [head, "", _markdown(columns, rows), "", self._distances()]
        if self.methods[0].semantic:
            parts += ["", self._meaning()]
        return "\n".join(parts)

    def _distances(self) -> str:
        hops = [k for k in self.methods[0].distances if k]
        columns = ["Euclidean distance of unit vectors", *(f"{k} hops" for k in hops), "random"]
        rows = [
            [row.name, *(f"{row.distances[k]:.3f}" for k in hops), f"{row.distances[0]:.3f}"]
            for row in self.methods
        ]
        return _markdown(columns, rows)

    def _meaning(self) -> str:
        columns = ["test", "covered", "method", "Spearman", "acc@1", "acc@10", "Euclid", "random"]
        rows = []
        for place, test in enumerate(self.methods[0].semantic):
            for row in self.methods:
                s = row.semantic[place]
                values = (s.spearman, s.accuracy_1, s.accuracy_10, s.euclid, s.euclid_random)
                covered = f"{test.items} of {test.items + test.missing}"
                rows.append([test.name, covered, row.name, *map(_shown, values)])
        return _markdown(columns, rows)

    def to_json(self) -> dict[str, Any]:
        """Give everything as values for JSON."""
        return {
            "nodes": self.nodes,
            "edges": self.edges,
            "directed": self.directed,
            "hop_mode": self.hop_mode,
            "methods": [
                {
                    "name": row.name,
                    "scored_by": row.scored_by,
                    "parameters": row.parameters,
                    "weight_error": row.weight_error,
                    "distances": {str(k): value for k, value in row.distances.items()},
                    "reconstruction": [_hop_json(hop) for hop in row.reconstruction],
                    "semantic": [score.to_json() for score in row.semantic],
                }
                for row in self.methods
            ],
        }

    def plot(self, path: str | Path) -> None:
        """Draw lifts by distance and, where words were tested, rank correlations.

        Args:
            path: Picture to write; its ending says the format (.png, .svg).

        Raises:
            MissingExtra: matplotlib is not installed.
            StoreError: The place cannot be written.
        """
        require("matplotlib", "plots")
        from matplotlib.figure import Figure

        tests = [s.name for s in self.methods[0].semantic if s.spearman is not None]
        width = 2 if tests else 1
        figure = Figure(figsize=(5.2 * width, 4.2), layout="constrained")
        axes = figure.subplots(1, width, squeeze=False)[0]
        self.draw_lifts(axes[0])
        if tests:
            self._draw_meaning(axes[1], tests)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=Path(path).suffix.lstrip(".") or "png", dpi=150)

    def draw_lifts(self, axes: "Axes") -> None:
        """Draw lifts by distance on axes of matplotlib.

        Args:
            axes: Where.
        """
        for row in self.methods:
            lifts = [hop.lift for hop in row.reconstruction]
            axes.plot(self.hops, lifts, "o-", label=f"{row.name} ({row.scored_by})")
        axes.axhline(0, color="#444444", lw=0.8, ls=":")
        axes.set_xticks(list(self.hops))
        axes.set(
            xlabel=f"hops ({self.hop_mode})",
            ylabel="lift: random 0, perfect 1",
            title="The graph, rebuilt",
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")

    def _draw_meaning(self, axes: "Axes", tests: Sequence[str]) -> None:
        for place, row in enumerate(self.methods):
            found = {s.name: s.spearman for s in row.semantic}
            shift = (place - (len(self.methods) - 1) / 2) * 0.8 / len(self.methods)
            places = [i + shift for i in range(len(tests))]
            axes.bar(places, [found[t] or 0 for t in tests], 0.8 / len(self.methods))
        axes.set_xticks(range(len(tests)), tests)
        axes.axhline(0, color="#444444", lw=0.8)
        axes.set(ylabel="Spearman with people", title="The words on its nodes")
        axes.spines[["top", "right"]].set_visible(False)


def _hop_json(hop: HopScore) -> dict[str, Any]:
    return {
        "hops": hop.hops,
        "mode": hop.mode,
        "map": hop.mean_ap,
        "floor": hop.floor,
        "lift": hop.lift,
        "prevalence": hop.prevalence,
        "precision": {str(k): value for k, value in hop.precision.items()},
        "sources": hop.sources,
    }


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
