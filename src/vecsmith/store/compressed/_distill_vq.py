"""Learned vector quantisation: an index in few bytes that ranks as the vectors themselves do.

S. Xiao and others, "Distill-VQ: Learning Retrieval Oriented Vector Quantization By Distilling
Knowledge from Dense Embeddings" (2022). The centroids O and codebooks C of a faiss index are
trained so that the scores of quantised documents,

    S_ivf = <q, o(d)>,   S_pq = <q, o(d) + c(d)>,   T = <q, d>,   loss = f(T, S_pq) + w f(T, S_ivf),

order each query's candidates as the dense scores T do. The rotation and the list of a document stay
what they were; its code is the nearest codeword, found anew in each step, with gradients through
the softmax of the distances. w makes both losses equal in the first batch. No labels are needed;
where there are some, the relevant documents are always candidates. With an encoder, the query
vectors are trained, too, and a third loss f(T, <q, d>) keeps them near their start.

Use when memory forces 8 to 96 bytes a document and there are queries, or texts that stand for some.
Avoid below about 50,000 documents, where the vectors themselves fit. The reconstruction error may
rise while the ranking gets better: that is the point. Cost of a step: candidates * codewords * dims
multiplications; the dense lists take one exact search of the training queries.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vecsmith.core import (
    Budget,
    ConfigError,
    DataError,
    EpochBatches,
    FitOptions,
    FitResult,
    Stamp,
    StoreError,
    did_you_mean,
    fit,
    fresh_dir,
    numpy_generator,
    read_json,
    require,
    write_json,
)
from vecsmith.store._vectors import load_vectors, save_vectors

from ._index_parts import KINDS, IndexParts, Vectors, put_together, take_apart, train_parts
from ._index_report import IndexReport, index_report
from ._lists import (
    CandidateSampling,
    Rows,
    batches_of_candidates,
    checked_vectors,
    dense_lists,
)

FORMAT = 1
LOSSES = ("listnet", "kl", "ranknet", "mse", "margin_mse", "contrastive")
_SAMPLE = 200_000
_CONFIG, _INDEX = "config.json", "index.faiss"


@dataclass(frozen=True)
class DistilOptions:
    """How the quantiser is learned.

    Attributes:
        loss: "listnet", "kl", "ranknet", "mse" or "margin_mse"; or "contrastive", which learns from
            labels alone, as methods before this one do.
        temperature: Divides the scores of both sides. The paper's 1 suits raw vectors of length 10
            or more; on unit vectors it leaves the lists nearly flat, and .05 is better.
        code_temperature: Divides squared distances in the softmax over codewords.
        lr_codebooks: Peak rate of the codebooks (AdamW).
        lr_centroids: Peak rate of the centroids (plain gradient steps).
        lr_encoder: Peak rate of the query encoder.
        batch_size: Queries a step.
        sampling: Which candidates.
        seed: Seed of order and candidates.
    """

    loss: str = "listnet"
    temperature: float = 0.05
    code_temperature: float = 1.0
    lr_codebooks: float = 1e-3
    lr_centroids: float = 1e-3
    lr_encoder: float = 5e-6
    batch_size: int = 64
    sampling: CandidateSampling = field(default_factory=CandidateSampling)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ConfigError(f"no loss is called {self.loss!r}; {did_you_mean(self.loss, LOSSES)}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1; got {self.batch_size}")


class DistillVQ:
    """A vector index whose centroids and codebooks learn from the scores of the vectors themselves.

    Args:
        method: "pq", "opq", "ivf", "ivf_opq_flat", "ivf_pq" or "ivf_opq".
        lists: Lists of the IVF kinds.
        subvectors: Parts of a code.
        bits: Bits of a part, 1 to 12.
        probes: Lists that a search visits.
        options: How it is learned.

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self,
        method: str = "ivf_opq",
        *,
        lists: int = 1024,
        subvectors: int = 32,
        bits: int = 8,
        probes: int = 16,
        options: DistilOptions | None = None,
    ) -> None:
        if method not in KINDS:
            raise ConfigError(f"no method is called {method!r}; {did_you_mean(method, KINDS)}")
        if not 1 <= bits <= 12:
            raise ConfigError(f"bits must be from 1 to 12; got {bits}")
        if lists < 1 or subvectors < 1 or not 1 <= probes <= lists:
            raise ConfigError(
                "lists and subvectors must be at least 1 and probes from 1 to lists; got "
                f"{lists}, {subvectors} and {probes}"
            )
        self.method, self.lists, self.subvectors, self.bits = method, lists, subvectors, bits
        self.probes = probes
        self.options = options or DistilOptions()
        self.parts: IndexParts | None = None
        self._documents: Vectors | None = None
        self._index: Any = None

    def init(self, documents: Vectors, *, rotation_rounds: int = 50) -> "DistillVQ":
        """Train the start as faiss does, and assign each document to its list.

        Args:
            documents: Vectors, shape (n, dims); a memory map will do.
            rotation_rounds: Rounds of OPQ, as faiss has them.

        Returns:
            Itself.

        Raises:
            DataError: Vectors that are no finite matrix.
            ConfigError: subvectors do not divide dims, or there are too few documents.
        """
        checked_vectors(documents, "documents")
        if documents.shape[1] % self.subvectors and self.method != "ivf":
            raise ConfigError(
                f"subvectors must divide the {documents.shape[1]} dimensions; got {self.subvectors}"
            )
        rng = numpy_generator(self.options.seed, "distill-vq", "sample")
        few = min(len(documents), _SAMPLE)
        rows = np.sort(rng.choice(len(documents), few, replace=False))
        self.parts = train_parts(
            documents[rows],
            self.method,
            lists=self.lists,
            parts=self.subvectors,
            bits=self.bits,
            rounds=rotation_rounds,
        )
        self.parts.probes = self.probes
        if self.parts.centroids is not None:
            self.parts.assignment = self.parts.nearest_lists(documents)
        self._documents, self._index = documents, None
        return self

    @classmethod
    def from_faiss(
        cls, index: Any, documents: Vectors, options: DistilOptions | None = None
    ) -> "DistillVQ":
        """Start from an index that is there.

        Args:
            index: A faiss index (see `take_apart`) or its file.
            documents: The vectors it holds, in its order.
            options: How it is learned.

        Returns:
            The quantiser; documents keep the lists of the index.

        Raises:
            StoreError: Another kind of index, or one of other documents.
        """
        found = load_vectors(index) if isinstance(index, (str, Path)) else index
        parts = take_apart(found)
        checked_vectors(documents, "documents", parts.dims)
        if found.ntotal != len(documents):
            raise StoreError(f"the index holds {found.ntotal} documents, but {len(documents)} came")
        shape = (1, 1) if parts.codebooks is None else parts.codebooks.shape[:2]
        vq = cls(
            parts.kind,
            lists=1 if parts.centroids is None else len(parts.centroids),
            subvectors=shape[0],
            bits=max(shape[1].bit_length() - 1, 1),
            probes=parts.probes,
            options=options,
        )
        vq.parts, vq._documents = parts, documents
        return vq

    def fit(
        self,
        queries: Vectors | Sequence[str],
        *,
        budget: Budget | None = None,
        relevant: Sequence[Sequence[int]] | None = None,
        excluded: Rows | None = None,
        near: Rows | None = None,
        encoder: Any = None,
        checkpoint: str | Path | None = None,
    ) -> FitResult:
        """Learn from queries.

        Args:
            queries: Vectors (queries, dims); texts where an encoder is trained.
            budget: How long; by default 10 epochs.
            relevant: Relevant documents of each query, where there are labels.
            excluded: Documents that are no candidates of a query, (queries, any), padded with -1.
            near: Best documents of each query under the dense scores, shape (queries, any), padded
                with -1, where they are at hand (`dense_lists`, or a search elsewhere).
            encoder: A `SentenceTransformer` for queries that is trained, too, in place.
            checkpoint: Folder for checkpoints; a killed run goes on from there.

        Returns:
            How the training went.

        Raises:
            ConfigError: `init` was not called; texts without encoder; the contrastive loss without
                labels.
            DataError: Queries of other dimensions, or not finite.
        """
        require("accelerate", "train")
        parts, documents = self._started()
        vectors, texts = self._queries(queries, encoder)
        if self.options.loss == "contrastive" and relevant is None:
            raise ConfigError('the loss "contrastive" learns from labels; give relevant')
        from ._vq_student import AdamWWithPlainRows, BatchSource

        student = self._student(parts, encoder)
        groups = student.groups(
            codebooks=self.options.lr_codebooks,
            centroids=self.options.lr_centroids,
            encoder=self.options.lr_encoder,
        )
        source = BatchSource(vectors, documents, parts.assignment, relevant, (texts, encoder))
        result = fit(
            student,
            lambda model, batch: model(batch),
            self._epochs(source, near, excluded),
            budget=budget or Budget(epochs=10),
            options=FitOptions(
                max_norm=None, seed=self.options.seed, description="learning the index"
            ),
            optimizer=AdamWWithPlainRows(groups, weight_decay=0.0),
            checkpoint=checkpoint,
        )
        if student.centroids is not None:
            parts.centroids = student.centroids.weight.detach().cpu().numpy().copy()
        if student.quantiser is not None:
            parts.codebooks = student.quantiser.codebooks.detach().cpu().numpy().copy()
        self._index = None
        return result

    def _student(self, parts: IndexParts, encoder: Any) -> Any:
        from ._vq_student import VQStudent

        return VQStudent(
            parts,
            loss=self.options.loss,
            temperature=self.options.temperature,
            code_temperature=self.options.code_temperature,
            encoder=encoder,
        )

    def _epochs(
        self, source: Any, near: Rows | None, excluded: Rows | None
    ) -> Callable[[int], EpochBatches]:
        chosen, queries = self.options, source.queries
        if near is None:
            depth = chosen.sampling.top_k
            _, near = dense_lists(queries, source.documents, depth, excluded=excluded)
        if near.ndim != 2 or len(near) != len(queries) or near.max() >= len(source.documents):
            raise DataError(
                f"near must hold documents of the index for each of {len(queries)} queries; got "
                f"shape {near.shape} with numbers up to {near.max(initial=-1)}"
            )
        lists: Rows = near

        def epoch(number: int) -> EpochBatches:
            drawn = batches_of_candidates(
                lists,
                chosen.sampling,
                numpy_generator(chosen.seed, "distill-vq", "epoch", str(number)),
                batch_size=chosen.batch_size,
                relevant=source.relevant,
                excluded=excluded,
            )
            count = -(-len(queries) // chosen.batch_size)
            return EpochBatches(count, (source.batch(*rows) for rows in drawn))

        return epoch

    def _started(self) -> tuple[IndexParts, Vectors]:
        if self.parts is None or self._documents is None:
            raise ConfigError("the index has no start and no documents; call init(documents) first")
        return self.parts, self._documents

    def _queries(self, queries: Any, encoder: Any) -> tuple[Vectors, list[str] | None]:
        parts, _ = self._started()
        if isinstance(queries, np.ndarray):
            if encoder is not None:
                raise ConfigError("to train an encoder, queries must be texts; got vectors")
            return checked_vectors(queries, "queries", parts.dims), None
        if encoder is None:
            raise ConfigError("queries are texts, so an encoder must be given; or give vectors")
        texts = list(queries)
        # the teacher's: those of the encoder before training
        vectors = encoder.encode(texts, show_progress_bar=False, convert_to_numpy=True)
        return checked_vectors(np.asarray(vectors, np.float32), "queries", parts.dims), texts

    def to_faiss(self) -> Any:
        """Return the index: plain faiss, all documents coded anew, each in the list it had."""
        if self._index is None:
            self._index = put_together(*self._started())
        return self._index

    def report(
        self,
        queries: Vectors,
        *,
        relevant: Sequence[Sequence[int]] | None = None,
        excluded: Rows | None = None,
    ) -> IndexReport:
        """Measure the index on queries that were not trained on.

        Args:
            queries: Vectors, shape (queries, dims).
            relevant: Relevant documents of each query, where there are labels.
            excluded: Documents that a query must not find, (queries, any), padded with -1.

        Returns:
            Overlap with the dense search, MRR, recall, reconstruction error, bytes, milliseconds.
        """
        parts, documents = self._started()
        checked_vectors(queries, "queries", parts.dims)
        _, exact = dense_lists(queries, documents, 10, excluded=excluded)
        return index_report(
            self.to_faiss(), documents, queries, exact, relevant=relevant, excluded=excluded
        )

    def save(self, folder: str | Path, *, stamp: Stamp | None = None) -> None:
        """Save the faiss index and the settings.

        Args:
            folder: Where to; replaced as a whole.
            stamp: Space of the documents (`encoder.stamp`); `load` then refuses another one.
        """
        settings = {
            "format": FORMAT,
            "method": self.method,
            "lists": self.lists,
            "subvectors": self.subvectors,
            "bits": self.bits,
            "probes": self.probes,
            "options": asdict(self.options),
            "stamp": None if stamp is None else stamp.to_dict(),
        }
        with fresh_dir(folder) as temporary:
            save_vectors(self.to_faiss(), temporary / _INDEX)
            write_json(temporary / _CONFIG, settings)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        documents: Vectors | None = None,
        *,
        stamp: Stamp | None = None,
    ) -> "DistillVQ":
        """Load what `save` saved.

        Args:
            folder: The folder.
            documents: The vectors; only further training and reports need them.
            stamp: Of the encoder that is to ask.

        Returns:
            The quantiser.

        Raises:
            StoreError: Missing, damaged, of a later version, or of another space.
        """
        index = load_vectors(Path(folder) / _INDEX)
        settings = read_json(Path(folder) / _CONFIG)
        try:
            if settings.pop("format") > FORMAT:
                raise StoreError(f"{str(folder)!r} is of a later format; upgrade vecsmith")
            options, known = settings.pop("options"), settings.pop("stamp")
            sampling = CandidateSampling(**options.pop("sampling"))
            vq = cls(**settings, options=DistilOptions(**options, sampling=sampling))
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{str(folder)!r} holds no learned index ({error})") from error
        if stamp is not None and known is not None:
            Stamp.from_dict(known).check(stamp)
        vq.parts, vq._documents, vq._index = take_apart(index), documents, index
        return vq
