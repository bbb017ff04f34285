"""An index folder opened for searching: passages, words, vectors of each model, rankings, cut-off.

Layout of the folder::

    manifest.json            what was built from what, which ranking ships, fusions, stamps
    passages.sqlite          documents, passages, lexical index
    base/  adapted/          encoder/ (exported model) and vectors.faiss of each model
    cutoff/                  Cosine Adapter of the shipped ranking (absent if none could be fitted)
    seen_queries.json        what training and choosing asked, so that tests can leave it out
    report.html report.json checksums.json
"""

import copy
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import (
    ConfigError,
    Stamp,
    StoreError,
    did_you_mean,
    numpy_generator,
    read_json,
    recover_dir,
    verify_checksums,
)

from ._fusion import Fusion
from ._passages import PassageTable
from ._vectors import load_vectors, reconstruct, search_vectors
from .compressed import Advice, Need, advise

FORMAT = 1
RANKINGS = ("bm25", "base", "base_hybrid", "adapted", "adapted_hybrid")
DEPTH = 100
# queries that judge and teach candidates
_ADVISED_BY = 5_000


class Ranked(NamedTuple):
    """The passages found for one query, best first.

    Attributes:
        rows: Passage rows, shape (n,).
        scores: Scores of the ranking, shape (n,).
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]


def model_of(ranking: str) -> str | None:
    """Return the model that a ranking needs.

    Args:
        ranking: One of `RANKINGS`.

    Returns:
        "base", "adapted", or None for "bm25".

    Raises:
        ConfigError: Unknown name.
    """
    if ranking not in RANKINGS:
        raise ConfigError(f"no ranking is called {ranking!r}; {did_you_mean(ranking, RANKINGS)}")
    return None if ranking == "bm25" else ranking.removesuffix("_hybrid")


def _damaged(folder: Path, why: str) -> StoreError:
    name = str(folder / "manifest.json")
    return StoreError(f"{name!r} is damaged ({why}); build the index again or restore the file")


class VectorSpace:
    """The vectors of one model, with the encoder for queries.

    Args:
        folder: Holds ``encoder/`` and ``vectors.faiss``.
        stamp: Stamp under which the vectors were made.

    Raises:
        StoreError: The encoder is not the one that made the vectors.
    """

    def __init__(self, folder: Path, stamp: Stamp) -> None:
        self.folder, self.stamp = folder, stamp

    @cached_property
    def encoder(self) -> Any:
        """The encoder, checked against the stamp."""
        from vecsmith.encode import load_encoder

        encoder = load_encoder(self.folder / "encoder", dims=self.stamp.dims)
        self.stamp.check(encoder.stamp)
        return encoder

    @cached_property
    def index(self) -> Any:
        """The faiss index."""
        return load_vectors(self.folder / "vectors.faiss")


class Store:
    """An index folder.

    Args:
        folder: What `vecsmith build` made.
        verify: Compute all checksums, not only sizes.

    Raises:
        StoreError: No index, one of a later format, or a damaged one.
    """

    def __init__(self, folder: str | Path, *, verify: bool = False) -> None:
        self.folder = Path(folder)
        if not self.folder.exists():
            # A swap by a build or update that was cut off may have left it aside.
            recover_dir(Path(os.path.realpath(folder)))
        if not (self.folder / "manifest.json").is_file():
            raise StoreError(
                f"{str(folder)!r} should be an index made by vecsmith build, but has no "
                "manifest.json; build it: vecsmith build SOURCE --out " + str(folder)
            )
        self.manifest: dict[str, Any] = read_json(self.folder / "manifest.json")
        form = self.manifest.get("format") if isinstance(self.manifest, dict) else None
        if not isinstance(form, int):
            raise _damaged(self.folder, "it names no format")
        if form > FORMAT:
            raise StoreError(
                f"the index has format {self.manifest['format']}, this version reads up to "
                f"{FORMAT}; upgrade vecsmith"
            )
        verify_checksums(self.folder, content=verify)
        self.passages = PassageTable(self.folder / "passages.sqlite")
        try:
            self.shipped: str = self.manifest["shipped"]
            self.fusions = {k: Fusion(**v) for k, v in self.manifest["fusions"].items()}
            self.spaces = {
                name: VectorSpace(self.folder / name, Stamp.from_dict(stamp))
                for name, stamp in self.manifest["stamps"].items()
            }
        except (KeyError, TypeError, AttributeError, ConfigError) as error:
            raise _damaged(self.folder, repr(error)) from error

    @classmethod
    def assemble(
        cls,
        passages: PassageTable,
        spaces: dict[str, VectorSpace],
        fusions: dict[str, Fusion] | None = None,
        shipped: str = "base_hybrid",
    ) -> "Store":
        """Make a store of open parts, without a folder of its own.

        Args:
            passages: The passages.
            spaces: Model name -> vectors.
            fusions: Fusions of the hybrid rankings.
            shipped: The default ranking.

        Returns:
            The store.
        """
        store = cls.__new__(cls)
        store.folder, store.manifest = passages.path.parent, {}
        store.passages, store.spaces, store.shipped = passages, spaces, shipped
        store.fusions = dict(fusions or {})
        return store

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the build, its source made absolute.

        Raises:
            StoreError: The manifest does not tell them.
        """
        found = self.manifest.get("settings")
        if not isinstance(found, dict) or not isinstance(found.get("source"), str):
            raise _damaged(self.folder, "it names no settings with a source")
        return found

    def reader(self) -> "Store":
        """Return the same store for another thread: a connection of its own, all else shared."""
        reader = copy.copy(self)
        reader.passages = PassageTable(self.passages.path)
        return reader

    def close(self) -> None:
        """Close the files."""
        self.passages.close()

    def rankings(self) -> list[str]:
        """List the rankings that this index can give."""
        return [r for r in RANKINGS if (model := model_of(r)) is None or model in self.spaces]

    def rank(
        self,
        queries: Sequence[str],
        ranking: str | None = None,
        *,
        k: int = DEPTH,
        vectors: NDArray[np.float32] | None = None,
        fusion: Fusion | None = None,
        documents: Sequence[int] | None = None,
    ) -> list[Ranked]:
        """Rank passages for queries.

        Args:
            queries: The queries.
            ranking: One of `RANKINGS`; by default the shipped one.
            k: Passages a query.
            vectors: Query vectors of the ranking's model, if they are at hand.
            fusion: Another fusion than the stored one (hybrid rankings).
            documents: Ids of the documents to look in; by default all.

        Returns:
            One list a query.

        Raises:
            ConfigError: Unknown ranking, or one whose model this index lacks.
        """
        ranking = ranking or self.shipped
        model = model_of(ranking)
        if model is None:
            found = (self.passages.search(query, k, documents=documents) for query in queries)
            return [Ranked(*pair) for pair in found]
        if model not in self.spaces:
            raise ConfigError(f"this index holds no {model!r} model; it has {list(self.spaces)}")
        space = self.spaces[model]
        if vectors is None:
            vectors = space.encoder.encode(list(queries), kind="query")
        if not ranking.endswith("_hybrid"):
            among = None if documents is None else self.passages.rows_of(documents)
            cosines, rows = search_vectors(space.index, vectors, k, rows=among)
            kept = [row >= 0 for row in rows]
            return [
                Ranked(r[m], c[m].astype(np.float64))
                for r, c, m in zip(rows, cosines, kept, strict=True)
            ]
        candidates = self.candidates(queries, model, vectors, documents=documents)
        chosen = fusion or self.fusions[ranking]
        return [fuse(found, chosen, k) for found in candidates]

    def candidates(
        self,
        queries: Sequence[str],
        model: str,
        vectors: NDArray[np.float32],
        *,
        documents: Sequence[int] | None = None,
    ) -> list["Candidates"]:
        """Gather what both sides find, with both scores of each.

        Args:
            queries: The queries.
            model: "base" or "adapted".
            vectors: Their vectors (queries, dims).
            documents: Ids of the documents to look in; by default all.

        Returns:
            Candidates of each query.
        """
        index = self.spaces[model].index
        among = None if documents is None else self.passages.rows_of(documents)
        cosines, rows = search_vectors(index, vectors, DEPTH, rows=among)
        found = []
        for query, vector, near, near_cosines in zip(queries, vectors, rows, cosines, strict=True):
            words, scores = self.passages.search(query, DEPTH, documents=documents)
            near_cosines, near = near_cosines[near >= 0], near[near >= 0]
            extra = words[~np.isin(words, near)]
            far = reconstruct(index, extra) @ vector if len(extra) else np.empty(0)
            every = np.concatenate([near, extra])
            lexical = np.zeros(len(every))
            order = np.argsort(words)
            place = np.searchsorted(words[order], every)
            place = np.minimum(place, max(len(words) - 1, 0))
            if len(words):
                hit = words[order][place] == every
                lexical[hit] = scores[order][place[hit]]
            both = np.concatenate([near_cosines, far]).astype(np.float64)
            found.append(Candidates(every, both, lexical))
        return found


class Candidates(NamedTuple):
    """Passages that either side found for one query.

    Attributes:
        rows: Passage rows, shape (n,).
        cosines: Cosine of each, shape (n,).
        lexical: BM25 score of each, 0 where words did not find it, shape (n,).
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float64]
    lexical: NDArray[np.float64]


def fuse(found: Candidates, fusion: Fusion, k: int) -> Ranked:
    """Rank candidates by a fusion.

    Args:
        found: Candidates of one query.
        fusion: How the scores become one.
        k: How many to keep.

    Returns:
        Best first; equal scores in the order of rows.
    """
    scores = fusion.scores(found.cosines, found.lexical)
    order = np.lexsort((found.rows, -scores))[:k]
    return Ranked(found.rows[order], scores[order])


def advise_store(store: Store, need: Need | None = None, *, sample: int = 50_000) -> Advice:
    """Measure kinds of vector index on the vectors of a store's shipped model.

    Args:
        store: The index.
        need: Recall, bytes and time.
        sample: Passages to measure on.

    Returns:
        The choice and all points; queries are those that the build saw, else sampled passages.
    """
    space = store.spaces[model_of(store.shipped) or next(iter(store.spaces))]
    rng = numpy_generator(0, "advise")
    rows = np.sort(rng.permutation(space.index.ntotal)[:sample])
    vectors = reconstruct(space.index, rows)
    seen = read_json(store.folder / "seen_queries.json")
    texts = sorted({text for group in seen.values() for text in group})
    some = [texts[place] for place in rng.permutation(len(texts))[:_ADVISED_BY]]
    queries = space.encoder.encode(some, kind="query") if some else vectors[:_ADVISED_BY]
    return advise(vectors, queries, need, sample=sample)
