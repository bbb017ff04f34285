"""Vectors of a graph's entities, by any scoring model of PyKEEN, behind `fit`.

A fact (h, r, t) is scored by the vectors of its parts, true facts above wrong ones:

    transe    -|h + r - t|                    A. Bordes and others, 2013
    distmult  sum h r t                       B. Yang and others, 2015
    complex   Re sum h r conj(t)              T. Trouillon and others, 2016
    rotate    -|h r - t|, |r_i| = 1           Z. Sun and others, 2019

PyKEEN (M. Ali and others, 2021) holds the models; what is trained here is `_negatives`' loss, on
negatives that a batch shares, through the one training loop of the house.

Use where entities matter through their links. Avoid "distmult" for relations with a direction: its
score is the same both ways (is-a then says only "near"); "complex" and "rotate" tell them apart.
Cost: a step is a product of batch and negatives, and Adam over all entities: 115,000 triples of
24,000 entities in 50 dimensions take about 4 s an epoch on one core; memory 16 bytes an entry.
"rotate" and others without such a product take the batch times negatives times dimensions: give
them fewer negatives.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import Budget, ConfigError, DataError, EpochBatches, FitOptions, fit
from vecsmith.core import numpy_generator as generator
from vecsmith.encode._state import read_state, reading, write_state
from vecsmith.encode.knowledge._ids import packed, unpacked

from ._link_scores import LinkScores, filtered_ranks, summarise_ranks
from ._negatives import self_adversarial_loss
from ._options import KGOptions
from ._products import shared_scores
from ._pykeen import MARGINS, entity_table, make_model, quiet_pykeen
from ._triples import KnowledgeGraph, few, number_of

KIND = "knowledge graph embedding"
_WEIGHTS = "model."
_BLOCK = 256


class KGEmbedder:
    """Entity vectors from triples.

    Args:
        model: "transe", "distmult", "complex", "rotate", or another of PyKEEN's names.
        dim: Dimensions of a vector; complex ones count once and take two columns.
        options: How to train.
        settings: Further arguments of PyKEEN's model, JSON values if it is to be saved.

    Attributes:
        graph: The numbered triples.
        ids: Entities, in the order of the rows of `entity_vectors`.
        names: Name of each entity; its id as text where none was given.

    Raises:
        ConfigError: dim out of range.
    """

    def __init__(
        self,
        model: str = "distmult",
        *,
        dim: int = 50,
        options: KGOptions | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(dim, int) or dim < 1:
            raise ConfigError(f"dim must be a whole number from 1; got {dim!r}")
        self.model, self.dim = model.lower(), dim
        self.options, self.settings = options or KGOptions(), dict(settings or {})
        self.graph: KnowledgeGraph | None = None
        self.names: tuple[str, ...] = ()
        self.losses: tuple[float, ...] = ()
        self._net: Any = None

    def fit(
        self, triples: Iterable[Sequence[Any]], names: Mapping[Any, str] | None = None
    ) -> "KGEmbedder":
        """Train on triples.

        Args:
            triples: Head, relation and tail of each fact.
            names: Entity to its name.

        Returns:
            Itself.

        Raises:
            DataError: An empty graph or bad triples.
            ConfigError: An unknown model or settings that it does not take.
            ModelError: The loss got out of hand.
            MissingExtra: PyKEEN is not installed.
        """
        graph = KnowledgeGraph.from_triples(triples)
        net = self._make(graph)
        rows = graph.triples
        how = self.options
        steps = -(-len(rows) // how.batch_size)

        def batches(epoch: int) -> EpochBatches:
            return EpochBatches(steps, _batches(graph, how, epoch))

        import torch

        options = FitOptions(
            lr=how.lr,
            schedule="linear",
            warmup=0.0,
            max_norm=None,
            log_every=steps,
            checkpoint_every=10**9,
            seed=how.seed,
            cpu=how.cpu,
            description=f"{self.model} vectors",
        )
        with quiet_pykeen():
            result = fit(
                net,
                lambda model, batch: self._loss(model, *batch),
                batches,
                budget=Budget(epochs=how.epochs),
                options=options,
                optimizer=torch.optim.Adam(net.parameters(), lr=how.lr),
            )
            net.cpu().post_parameter_update()
        self._net, self.graph = net.eval(), graph
        self.losses = tuple(row["loss"] for row in result.records if "loss" in row)
        self.names = tuple(str((names or {}).get(i, i)) for i in graph.ids)
        return self

    @property
    def ids(self) -> tuple[Hashable, ...]:
        """Entities, in the order of the rows."""
        return self._fitted().ids

    @property
    def entity_vectors(self) -> NDArray[np.float32]:
        """Vectors, shape (entities, width); complex ones as real parts, then imaginary ones."""
        self._fitted()
        return np.asarray(entity_table(self._net))

    def transform(self, ids: Iterable[Hashable]) -> NDArray[np.float32]:
        """Look entities up.

        Args:
            ids: Entities.

        Returns:
            Shape (ids, width).

        Raises:
            DataError: An entity that was not in the graph.
        """
        number, wanted = number_of(self._fitted().ids), list(ids)
        unknown = [i for i in wanted if i not in number]
        if unknown:
            raise DataError(
                f"ids must be entities of the graph; unknown: {few(unknown)}; leave them out, or "
                "fit on a graph that holds them"
            )
        return self.entity_vectors[[number[i] for i in wanted]]

    def score(self, triples: Iterable[Sequence[Any]]) -> NDArray[np.float64]:
        """Score facts.

        Args:
            triples: Head, relation and tail of each.

        Returns:
            Higher is more likely, shape (triples,); comparable within one relation.

        Raises:
            DataError: Unknown entities or relations.
        """
        import torch

        rows = torch.from_numpy(self._fitted().numbered(triples))
        with torch.no_grad(), quiet_pykeen():
            found = [self._net.score_hrt(part).flatten() for part in rows.split(4096)]
        return torch.cat(found).double().numpy()

    def evaluate(
        self,
        triples: Iterable[Sequence[Any]],
        *,
        known: Iterable[Sequence[Any]] = (),
        ks: Sequence[int] = (1, 3, 10),
    ) -> LinkScores:
        """Rank the true head and tail of held-out facts among all entities, filtered.

        Args:
            triples: Held-out facts; `split_triples` makes them.
            known: Further true facts that are no rivals; those fitted and judged always count.
            ks: The k of hits@k.

        Returns:
            MRR, mean rank and hits.

        Raises:
            DataError: Unknown entities or relations.
        """
        import torch

        graph = self._fitted()
        rows = graph.numbered(triples)
        more = list(known)
        facts = np.concatenate([graph.triples, rows, graph.numbered(more) if more else rows])
        ranks = np.empty((2, len(rows)))
        sides = ((0, [1, 2], self._net.score_h), (1, [0, 1], self._net.score_t))
        for side, given, scorer in sides:
            true: dict[tuple[int, ...], list[int]] = {}
            hole = 0 if side == 0 else 2
            for fact in facts.tolist():
                true.setdefault((fact[given[0]], fact[given[1]]), []).append(fact[hole])
            for start in range(0, len(rows), _BLOCK):
                part = rows[start : start + _BLOCK]
                with torch.no_grad(), quiet_pykeen():
                    scores = scorer(torch.from_numpy(part[:, given])).double().numpy()
                others = [true[a, b] for a, b in part[:, given].tolist()]
                ranks[side, start : start + _BLOCK] = filtered_ranks(scores, part[:, hole], others)
        return summarise_ranks(ranks, ks)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write settings and ids as JSON, weights and triples as safetensors.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            ConfigError: Not fitted, or ids or settings that JSON cannot hold.
            StoreError: The place cannot be written.
        """
        graph = self._fitted()
        values = {
            "model": self.model,
            "dim": self.dim,
            "options": asdict(self.options),
            "settings": self.settings,
            "ids": [packed(i) for i in graph.ids],
            "relations": [packed(i) for i in graph.relations],
            "names": list(self.names),
            "losses": list(self.losses),
            "duplicates": graph.duplicates,
        }
        weights = {_WEIGHTS + k: v.numpy() for k, v in self._net.state_dict().items()}
        write_state(folder, KIND, values, {"triples": graph.triples, **weights})

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "KGEmbedder":
        """Read what `save_pretrained` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The embedder, with the same vectors.

        Raises:
            StoreError: Missing, damaged, or of another kind.
        """
        import torch

        values, arrays = read_state(folder, KIND)
        with reading(folder):
            made = cls(
                values["model"],
                dim=values["dim"],
                options=KGOptions(**values["options"]),
                settings=values["settings"],
            )
            ids, relations = (tuple(map(unpacked, values[k])) for k in ("ids", "relations"))
            made.graph = KnowledgeGraph(arrays["triples"], ids, relations, values["duplicates"])
            made.names, made.losses = tuple(values["names"]), tuple(values["losses"])
            net = made._make(made.graph)
            state = {
                k.removeprefix(_WEIGHTS): torch.from_numpy(v)
                for k, v in arrays.items()
                if k.startswith(_WEIGHTS)
            }
            try:
                net.load_state_dict(state)
            except RuntimeError as error:
                raise DataError(str(error)) from error
            made._net = net.eval()
        return made

    def _make(self, graph: KnowledgeGraph) -> Any:
        sizes = len(graph.ids), len(graph.relations)
        seed = int(generator(self.options.seed, "knowledge", "start").integers(2**31))
        return make_model(self.model, sizes=sizes, dim=self.dim, seed=seed, settings=self.settings)

    def _fitted(self) -> KnowledgeGraph:
        if self.graph is None:
            raise ConfigError("this KGEmbedder holds no vectors yet; call fit first")
        return self.graph

    def _loss(self, model: Any, rows: Any, heads: Any, tails: Any) -> Any:
        """Loss of a batch against wrong heads and wrong tails."""
        # constraints of the step before
        model.post_parameter_update()
        how = self.options
        margin = MARGINS.get(self.model, 0.0) if how.margin is None else how.margin
        positive = model.score_hrt(rows).flatten()
        total = model.collect_regularization_term()
        sides = (
            (
                shared_scores(self.model, model, rows[:, :2], tails, heads=False),
                rows[:, 2:] != tails,
            ),
            (
                shared_scores(self.model, model, rows[:, 1:], heads, heads=True),
                rows[:, :1] != heads,
            ),
        )
        for negative, allowed in sides:
            total = total + self_adversarial_loss(
                positive, negative, margin=margin, temperature=how.temperature, allowed=allowed
            )
        if how.decay:
            used = rows[:, [0, 2]].flatten()
            vectors = [part(used) for part in model.entity_representations]
            total = total + how.decay * sum(v.abs().square().sum(-1).mean() for v in vectors)
        return total


def _batches(graph: KnowledgeGraph, how: KGOptions, epoch: int) -> Iterable[Any]:
    import torch

    rng = generator(how.seed, "knowledge", f"epoch {epoch}")
    rows = torch.from_numpy(graph.triples[rng.permutation(len(graph.triples))])
    for part in rows.split(how.batch_size):
        heads, tails = rng.integers(len(graph.ids), size=(2, how.negatives))
        yield part, torch.from_numpy(heads), torch.from_numpy(tails)
