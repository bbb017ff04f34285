"""Text2Node: map any phrase to the concepts of a taxonomy, also to those without a known phrase.

Paper: Text2Node: a Cross-Domain System for Mapping Arbitrary Phrases to a Taxonomy (R. Soltani and
A. Tomkins, 2019). Three parts, trained apart: word vectors w; vectors y of the nodes, by random
walks on the taxonomy; and a map from the one space to the other,

    g: (w_1, ..., w_n) -> R^m,   trained so that cos(g(phrase), y_concept) is high.

A phrase goes to the nodes with the highest cosine, out of all of them. Node vectors are centred and
brought to unit length first, since those of skip-gram share a direction. Ours besides: the TF-IDF
similarity with the known phrases can be added, and confidences are calibrated.

Use when code systems are joined, or free text is coded, and many concepts have no or few phrases.
Avoid where every concept has phrases and they are worded alike (`NearestPhrase` is better at the
first place), or where leaves must be told apart that share all neighbours.

Cost: training, phrases times epochs times the mapper; a phrase then costs the mapper, n * m
multiplications, and n numbers of memory for each of a block of phrases.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError, ModelError, fresh_dir, numpy_generator, shown
from vecsmith.data.graphs._graph import find_places
from vecsmith.encode._state import read_state, reading, write_state_into

from ._confidence import Confidence, confidence_features, fit_confidence, held_out
from ._nearest import NearestPhrase, top
from ._options import LOSS_NAMES, MAPPER_NAMES, Text2NodeOptions, check_name
from ._phrases import as_phrase_encoder, load_phrase_encoder

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

KIND = "text2node"


@dataclass(frozen=True)
class Mapped:
    """What a phrase was mapped to.

    Attributes:
        phrase: The phrase.
        ids: Nearest concepts, best first; () where no word of the phrase is known.
        names: Their names.
        scores: Their scores.
        confidence: How likely the first is right; NaN where confidences were not calibrated.
    """

    phrase: str
    ids: tuple[Hashable, ...]
    names: tuple[str, ...]
    scores: tuple[float, ...]
    confidence: float

    def answer(self, min_confidence: float = 0.5) -> Hashable | None:
        """Decide.

        Args:
            min_confidence: Below it, there is no such concept.

        Returns:
            The first concept, or None for "no such concept".

        Raises:
            ModelError: There is no confidence to decide by.
        """
        if self.confidence != self.confidence and min_confidence > 0:
            raise ModelError(
                "no confidence was calibrated for this answer: fit with share above 0 and keep the "
                "options' lexical, call calibrate with phrases of your own, or take answer(0)"
            )
        return self.ids[0] if self.ids and not self.confidence < min_confidence else None


class Text2Node:
    """A map from phrases to concepts.

    Args:
        words: `WordVectors`, `SubwordVectors`, a `TokenTable`, or a sentence-transformers model.
        nodes: A fitted node embedder (`vecsmith.train.graphs`), its graph being the taxonomy's.
        mapper: "bilstm", "cnn" or "linear".
        loss: "cosine", "mse" or "infonce".
        options: Further settings.

    Attributes:
        loss_: Of the last steps of training, once fitted.

    Raises:
        ConfigError: Unknown mapper or loss, or words that are none.
        DataError: A node without a vector.
    """

    def __init__(
        self,
        words: Any,
        nodes: Any,
        *,
        mapper: str = "bilstm",
        loss: str = "cosine",
        options: Text2NodeOptions | None = None,
    ) -> None:
        check_name("mapper", mapper, MAPPER_NAMES)
        check_name("loss", loss, LOSS_NAMES)
        self.words = as_phrase_encoder(words)
        self.mapper, self.loss, self.options = mapper, loss, options or Text2NodeOptions()
        self._take(nodes.node_ids_, nodes.labels_, _centred(nodes.embedding_, nodes.node_ids_))
        self._net: Any = None
        self._confidence: Confidence | None = None
        self.loss_ = float("nan")

    def _take(self, ids: Sequence[Hashable], names: Sequence[str], vectors: Floats) -> None:
        self.node_ids, self.names, self.node_vectors = tuple(ids), tuple(names), vectors
        self._places = {node: place for place, node in enumerate(self.node_ids)}

    def fit(self, phrases: Sequence[Any], nodes: Sequence[Hashable] | None = None) -> "Text2Node":
        """Learn the map; what was learned before is forgotten.

        Args:
            phrases: Texts, or (phrase, concept) pairs as `Taxonomy.pairs` gives them.
            nodes: Id of the concept of each text; None where pairs are given.

        Returns:
            Itself.

        Raises:
            DataError: An empty phrase, one of which no word is known, a concept that the graph
                does not have, other lengths, or too few phrases.
        """
        import torch

        from ._mappers import MAPPERS
        from ._training import train_mapper

        texts, places = self._pairs(phrases, nodes)
        sequences = self.words.sequences(texts, self.options.max_tokens)
        _refuse_unknown(texts, sequences)
        o = self.options
        rng = numpy_generator(o.seed, "text2node", "held out")
        held = held_out(places, int(len(texts) * o.share), rng)
        kept = np.setdiff1d(np.arange(len(texts)), held)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(o.seed)
            net = MAPPERS[self.mapper](self.words.dims, self.node_vectors.shape[1], o)
        self.loss_ = train_mapper(
            net,
            [sequences[row] for row in kept],
            places[kept],
            self.node_vectors,
            loss=self.loss,
            options=o,
        )
        self._net, self._confidence = net, None
        if o.share > 0:
            self._learn_phrases([texts[row] for row in kept], places[kept])
            self._calibrate([texts[row] for row in held], places[held])
        # what was held out of the map is still known as a phrase
        self._learn_phrases(texts, places)
        return self

    def _pairs(
        self, phrases: Sequence[Any], nodes: Sequence[Hashable] | None
    ) -> tuple[list[str], Ids]:
        if isinstance(phrases, str) or not len(phrases):
            raise DataError("phrases must be a list of texts and hold one at least; give some")
        if nodes is None:
            wrong = next((p for p in phrases if isinstance(p, str) or len(p) != 2), None)
            if wrong is not None:
                raise DataError(
                    f"without nodes, phrases must be (phrase, concept) pairs; got {wrong!r}"
                )
            texts, wanted = [p for p, _ in phrases], [node for _, node in phrases]
        else:
            texts, wanted = list(phrases), list(nodes)
        if len(texts) != len(wanted):
            raise DataError(f"each phrase needs one node; got {len(texts)} and {len(wanted)}")
        for row, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise DataError(f"phrase {row} must be a text with a word in it; got {text!r}")
        return texts, find_places(self._places, wanted)

    def _learn_phrases(self, texts: list[str], places: Ids) -> None:
        self._known, self._of = texts, places
        self._nearest = NearestPhrase(texts, places, len(self.node_ids))

    def _calibrate(self, texts: list[str], places: Ids) -> None:
        features, right = [], []
        for rows, scores, cosines in self._blocks(texts, self.options.lexical):
            wanted = places[rows]
            best, of = confidence_features(scores, cosines)
            features.append(of)
            right.append(best == wanted)
            scores[np.arange(len(rows)), wanted] = -np.inf
            features.append(confidence_features(scores, cosines)[1])
            right.append(np.zeros(len(rows), np.bool_))
        made = np.concatenate(features) if features else np.zeros((0, 3), np.float32)
        self._confidence = fit_confidence(made, np.concatenate(right or [np.zeros(0, np.bool_)]))

    def calibrate(self, phrases: Sequence[str], nodes: Sequence[Hashable | None]) -> "Text2Node":
        """Learn confidences anew, from phrases as they will come.

        What `fit` learns them from are the taxonomy's own phrases, half of them without their
        concept; where yours are worded otherwise, or few of them lack a concept, give some.

        Args:
            phrases: At least ten texts that were not trained on.
            nodes: Right concept of each; None where there is none.

        Returns:
            Itself.

        Raises:
            ModelError: Not fitted.
            DataError: Too few phrases, other lengths, or a concept that the graph does not have.
        """
        self._check(phrases)
        if len(phrases) != len(nodes):
            raise DataError(f"each phrase needs one node; got {len(phrases)} and {len(nodes)}")
        named = [row for row, node in enumerate(nodes) if node is not None]
        wanted = np.full(len(phrases), -1, np.int64)
        wanted[named] = find_places(self._places, [nodes[row] for row in named])
        features, right = [np.zeros((0, 3), np.float32)], [np.zeros(0, np.bool_)]
        for rows, scores, cosines in self._blocks(phrases, self.options.lexical):
            best, of = confidence_features(scores, cosines)
            # a phrase without a known word gets confidence 0 anyway
            known = scores.any(1)
            features.append(of[known])
            right.append((best == wanted[rows])[known])
        self._confidence = fit_confidence(np.concatenate(features), np.concatenate(right))
        return self

    def transform(self, phrases: Sequence[str]) -> Floats:
        """Bring phrases into the space of the nodes.

        Args:
            phrases: Any texts.

        Returns:
            Unit vectors, zeros where no word is known, shape (phrases, m).

        Raises:
            ModelError: Not fitted.
            DataError: Something is no text.
        """
        from ._training import images_of

        self._check(phrases)
        sequences = self.words.sequences(list(phrases), self.options.max_tokens)
        return images_of(self._net, sequences, self.node_vectors.shape[1], self.options.device)

    def _check(self, phrases: Sequence[str]) -> None:
        if self._net is None:
            raise ModelError("this Text2Node has learned no map yet; call fit with phrases")
        if isinstance(phrases, str):
            raise DataError("phrases must be a list of texts but is a single text; put it in one")
        for row, text in enumerate(phrases):
            if not isinstance(text, str):
                raise DataError(f"phrase {row} must be a text; got {text!r}")

    def score_blocks(
        self, phrases: Sequence[str], *, lexical: float | None = None
    ) -> Iterator[tuple[Ids, Floats]]:
        """Score all concepts, block by block.

        Args:
            phrases: Any texts.
            lexical: Weight of the TF-IDF similarity; None takes that of the options.

        Yields:
            Numbers of phrases, and their scores of all concepts, shape (block, n).

        Raises:
            ModelError: Not fitted.
            DataError: Something is no text.
        """
        weight = self.options.lexical if lexical is None else lexical
        for rows, scores, _ in self._blocks(phrases, weight):
            yield rows, scores

    def _blocks(
        self, phrases: Sequence[str], lexical: float
    ) -> Iterator[tuple[Ids, Floats, Floats]]:
        images = self.transform(phrases)
        size = max(min(256, (1 << 26) // max(len(self.node_ids), len(self._known))), 1)
        for start in range(0, len(phrases), size):
            rows = np.arange(start, min(start + size, len(phrases)))
            cosines = images[rows] @ self.node_vectors.T
            scores = cosines.copy()
            if lexical:
                near = self._nearest.scores(list(phrases[start : start + size]))
                scores += np.float32(lexical) * near
            yield rows, scores, cosines

    def predict(
        self, phrases: Sequence[str], k: int = 1, *, lexical: float | None = None
    ) -> list[Mapped]:
        """Map phrases.

        Args:
            phrases: Any texts; one without a known word (empty, or in another script) gets no
                concept and confidence 0.
            k: Concepts a phrase.
            lexical: Weight of the TF-IDF similarity; None takes that of the options, for which
                confidences are calibrated. Others give none.

        Returns:
            What each was mapped to; `Mapped.answer` decides whether there is such a concept.

        Raises:
            ModelError: Not fitted.
            DataError: Something is no text, or `k` is below 1.
        """
        if k < 1:
            raise DataError(f"k must be at least 1; got {k}")
        weight = self.options.lexical if lexical is None else lexical
        made: list[Mapped] = []
        for rows, scores, cosines in self._blocks(phrases, weight):
            found = top(scores, k)
            sure = np.full(len(rows), np.nan)
            if self._confidence is not None and weight == self.options.lexical:
                sure = self._confidence.probabilities(confidence_features(scores, cosines)[1])
            for row, line, best, value in zip(rows, scores, found, sure, strict=True):
                if not line.any():
                    made.append(Mapped(phrases[row], (), (), (), 0.0))
                    continue
                ids, names = zip(*((self.node_ids[i], self.names[i]) for i in best), strict=True)
                values = tuple(float(line[i]) for i in best)
                made.append(Mapped(phrases[row], ids, names, values, float(value)))
        return made

    def save_pretrained(self, folder: str | Path) -> None:
        """Save words, nodes, map, phrases and confidences.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            ModelError: Not fitted.
            DataError: Ids are neither text nor numbers.
            StoreError: The place cannot be written.
        """
        from vecsmith.train.graphs._base import _as_json

        self._check([])
        arrays = {f"mapper.{k}": v.cpu().numpy() for k, v in self._net.state_dict().items()}
        sure = self._confidence
        values = {
            "mapper": self.mapper,
            "loss": self.loss,
            "options": asdict(self.options),
            "node_ids": [_as_json(node) for node in self.node_ids],
            "names": list(self.names),
            "phrases": self._known,
            "confidence": None if sure is None else [list(sure.weights), sure.bias],
        }
        with fresh_dir(folder) as fresh:
            self.words.save(fresh / "words")
            write_state_into(
                fresh, KIND, values, {**arrays, "nodes": self.node_vectors, "concepts": self._of}
            )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Text2Node":
        """Load what `save_pretrained` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The fitted map.

        Raises:
            StoreError: Missing or damaged.
        """
        import torch

        from vecsmith.train.graphs._base import _from_json

        from ._mappers import MAPPERS

        values, arrays = read_state(folder, KIND)
        words = load_phrase_encoder(Path(folder) / "words")
        with reading(folder):
            made = cls.__new__(cls)
            made.words, made.loss_ = words, float("nan")
            made.mapper, made.loss = values["mapper"], values["loss"]
            made.options = Text2NodeOptions(**values["options"])
            ids = [_from_json(node) for node in values["node_ids"]]
            made._take(ids, values["names"], arrays["nodes"])
            if not len(made._places) == len(made.names) == len(made.node_vectors):
                raise ValueError(f"{len(made.node_vectors)} vectors of {len(ids)} nodes")
            made._net = MAPPERS[made.mapper](words.dims, arrays["nodes"].shape[1], made.options)
            states = {
                key.removeprefix("mapper."): torch.from_numpy(value)
                for key, value in arrays.items()
                if key.startswith("mapper.")
            }
            _load_states(made._net, states)
            made._net.to(made.options.device).eval()
            made._learn_phrases(values["phrases"], arrays["concepts"])
            sure = values["confidence"]
            made._confidence = None if sure is None else Confidence(tuple(sure[0]), sure[1])
        return made


def _load_states(net: Any, states: dict[str, Any]) -> None:
    try:
        net.load_state_dict(states)
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def _refuse_unknown(texts: list[str], sequences: Sequence[Floats]) -> None:
    lost = [row for row, one in enumerate(sequences) if not len(one)]
    if lost:
        raise DataError(
            f"{len(lost)} of {len(texts)} phrases have no word with a vector, the first is phrase "
            f"{lost[0]}, {shown(texts[lost[0]])!r}; leave them out, or give vectors that know "
            "their script (sub-words, or a multilingual model)"
        )


def _centred(vectors: Floats, ids: Sequence[Hashable]) -> Floats:
    bare = ~np.asarray(vectors).any(1)
    if bare.any():
        first = ids[int(np.flatnonzero(bare)[0])]
        raise DataError(
            f"{int(bare.sum())} of {len(ids)} nodes have no vector since no edge joins them, the "
            f"first {first!r}; hang them under a root (Taxonomy.rooted) and fit the nodes again"
        )
    if len(ids) < 3:
        raise DataError(f"a taxonomy of {len(ids)} nodes is too small to map to; give 3 or more")
    made = np.asarray(vectors, np.float64) - np.mean(vectors, 0, dtype=np.float64)
    lengths = np.linalg.norm(made, axis=1, keepdims=True)
    return np.ascontiguousarray(made / np.where(lengths == 0, 1, lengths), np.float32)
