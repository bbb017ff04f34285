"""Names: a linear window tagger with words, shapes and endings, and the vectors as features more.

L. Ratinov and D. Roth (2009) and J. Turian and others (2010), as S. Lai's study has it: the vectors
of five words, scaled by 0.3 / their standard deviation, are added to the features of a tagger that
works without them; they are not trained. The tags of a sentence are decoded so that no name goes on
that has not begun.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import Budget, ConfigError, DataError, EpochBatches, fit, numpy_generator
from vecsmith.encode.words import WordVectors

from ._class_task import TaggerTraining
from ._protocol import TaskScore, WordTask
from ._tagged import TaggedTexts, Words, as_bio, entity_f1, word_windows

Ids = NDArray[np.int64]
SIDE = 2
# rows of the features' table: none (padding), and one of a kind never seen in training
_NONE, _FIRST = 0, 1


class EntityTask(WordTask):
    """F1 of names under a linear tagger that has the vectors as features.

    Args:
        data: Sentences with tags "B-TYPE", "I-TYPE" and "O".
        name: Name of the task.
        scale: Standard deviation of the vectors' entries as features.
        minimum: Occurrences in the training sentences from which a word feature is used.
        training: How the tagger is trained; the development sentences choose the pass.

    Raises:
        ConfigError: `scale` is not above 0, or `minimum` below 1.
        DataError: The training sentences hold no name.
    """

    metric = "f1"

    def __init__(
        self,
        data: TaggedTexts,
        *,
        name: str = "ner",
        scale: float = 0.3,
        minimum: int = 2,
        training: TaggerTraining | None = None,
    ) -> None:
        if not scale > 0 or minimum < 1:
            raise ConfigError(
                f"scale must be above 0 and minimum at least 1; got {scale} and {minimum}"
            )
        self.data, self.name, self.scale, self.minimum = data, name, scale, minimum
        self.training = training or TaggerTraining(lr=0.01, batch_size=512)
        gold = [[as_bio(row) for row in part[1]] for part in self._parts()]
        self._gold = gold
        self.tags = sorted({tag for row in gold[0] for tag in row} | {"O"})
        if self.tags == ["O"]:
            raise DataError(
                'the training sentences hold no name; tags must read "B-TYPE" and "I-TYPE"'
            )
        self._features: tuple[list[Ids], int] | None = None

    def _parts(self) -> tuple[Any, Any, Any]:
        return self.data.train, self.data.development, self.data.test

    def score(self, vectors: WordVectors) -> TaskScore:
        """Train and judge.

        Args:
            vectors: Word vectors.

        Returns:
            F1 over the names of the test sentences.
        """
        import torch

        features, size = self.features()
        table = scaled_table(vectors, self.scale)
        # a word without a vector, and the outside, are zeros
        windows = [
            np.maximum(word_windows(vectors, part[0], SIDE), -1) + 1 for part in self._parts()
        ]
        numbers = {tag: number for number, tag in enumerate(self.tags)}
        wanted = np.array([numbers[tag] for row in self._gold[0] for tag in row])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.training.seed)
            model = _linear_tagger(size, table, len(self.tags))
            data = (features[0], windows[0], wanted)
            self._train(model, data, (features[1], windows[1]))
        figures = [self._f1(model, (features[i], windows[i]), i) for i in (1, 2)]
        covered = float((windows[2][:, SIDE] > 0).mean())
        items = sum(tag.startswith("B-") for row in self._gold[2] for tag in row)
        details = {"development": figures[0]}
        return TaskScore(self.name, self.metric, figures[1], items, covered, details)

    def features(self) -> tuple[list[Ids], int]:
        """Number the features that need no vectors.

        Returns:
            Rows of the features of each word, shape (words, features) for each part, 0 for none;
            and how many rows there are.
        """
        if self._features is None:
            named = [_features(part[0]) for part in self._parts()]
            counts = Counter(feature for row in named[0] for feature in row)
            used = sorted(f for f, n in counts.items() if n >= self.minimum)
            rows = {feature: number for number, feature in enumerate(used, _FIRST)}
            numbered = [np.array([[rows.get(f, _NONE) for f in r] for r in part]) for part in named]
            self._features = numbered, len(used) + _FIRST
        return self._features

    def _train(self, model: Any, data: tuple[Ids, Ids, Ids], held: tuple[Ids, Ids]) -> None:
        import torch

        how = self.training
        steps = -(-len(data[0]) // how.batch_size)

        def batches(epoch: int) -> EpochBatches:
            order = numpy_generator(how.seed, "names", f"epoch {epoch}").permutation(len(data[0]))
            parts: Iterator[Ids] = iter(np.array_split(order, steps))
            rows = (tuple(torch.from_numpy(x[part]) for x in data) for part in parts)
            return EpochBatches(steps, rows)

        def step(net: Any, batch: Any) -> Any:
            return torch.nn.functional.cross_entropy(net(*batch[:2]), batch[2])

        fit(
            model,
            step,
            batches,
            budget=Budget(epochs=how.epochs),
            options=how.options(steps),
            optimizer=torch.optim.Adam(model.parameters(), lr=how.lr),
            validate=lambda net: self._f1(net, held, 1),
        )

    def _f1(self, model: Any, inputs: tuple[Ids, Ids], part: int) -> float:
        import torch

        with torch.no_grad():
            pieces = [
                model(*(torch.from_numpy(x[i : i + 8192]) for x in inputs)).log_softmax(1).numpy()
                for i in range(0, len(inputs[0]), 8192)
            ]
        scores = np.concatenate(pieces)
        ends = np.cumsum([len(row) for row in self._gold[part]])[:-1]
        found = [best_tags(rows, self.tags) for rows in np.split(scores, ends)]
        return entity_f1(self._gold[part], found)


def scaled_table(vectors: WordVectors, scale: float) -> NDArray[np.float32]:
    """Scale vectors as features, with a row of zeros before them.

    Args:
        vectors: Word vectors.
        scale: Standard deviation of their entries.

    Returns:
        Shape (words + 1, dims).
    """
    spread = float(vectors.vectors.std()) or 1.0
    zeros = np.zeros((1, vectors.dims), np.float32)
    return np.concatenate([zeros, vectors.vectors * np.float32(scale / spread)])


def best_tags(scores: NDArray[np.float32], tags: Sequence[str]) -> list[str]:
    """Decode a sentence: the likeliest tags of which no "I-TYPE" goes on what has not begun.

    Args:
        scores: Log probability of each tag, shape (words, tags).
        tags: Names of the tags.

    Returns:
        A tag a word.
    """
    if not len(scores):
        return []
    kinds = [tag.partition("-")[2] for tag in tags]
    inner = np.array([tag.startswith("I-") for tag in tags])
    # after which tag (row) a tag (column) may stand
    same = np.array([[one == two for two in kinds] for one in kinds])
    barred = np.where(inner[None] & ~same, -np.inf, 0.0)
    total = np.where(inner, -np.inf, scores[0].astype(np.float64))
    back = []
    for row in scores[1:]:
        reached = total[:, None] + barred
        back.append(reached.argmax(axis=0))
        total = reached.max(axis=0) + row
    path = [int(total.argmax())]
    for pointer in reversed(back):
        path.append(int(pointer[path[-1]]))
    return [tags[i] for i in reversed(path)]


def _shape(word: str) -> str:
    if word.isupper():
        return "all" if len(word) > 1 else "one"
    if word[:1].isupper():
        return "first"
    return "digit" if any(c.isdigit() for c in word) else "low" if word.islower() else "other"


def _features(sentences: Words) -> list[list[str]]:
    """Name the features of each word: words and shapes around it, its beginnings and endings."""
    rows = []
    for words in sentences:
        padded = [""] * SIDE + list(words) + [""] * SIDE
        for place, word in enumerate(words):
            around = padded[place : place + 2 * SIDE + 1]
            row = [f"w{i}={w.lower()}" for i, w in enumerate(around)]
            row += [f"s{i}={_shape(w)}" for i, w in enumerate(around)]
            lower = word.lower()
            row += [f"p{n}={lower[:n]}" for n in (2, 3, 4)]
            row += [f"e{n}={lower[-n:]}" for n in (1, 2, 3, 4)]
            row.append(f"start={place == 0}{_shape(word)}")
            rows.append(row)
    return rows


def _linear_tagger(features: int, table: NDArray[np.float32], tags: int) -> Any:
    import torch
    from torch import nn

    class LinearTagger(nn.Module):
        """Scores tags by a sum over features, and a linear map of the window's vectors."""

        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.EmbeddingBag(features, tags, mode="sum", padding_idx=_NONE)
            nn.init.zeros_(self.weights.weight)
            self.table = nn.Embedding.from_pretrained(torch.from_numpy(table), freeze=True)
            self.map = nn.Linear((2 * SIDE + 1) * table.shape[1], tags)
            nn.init.zeros_(self.map.weight)

        def forward(self, rows: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
            return self.weights(rows) + self.map(self.table(windows).flatten(1))

    return LinearTagger()
