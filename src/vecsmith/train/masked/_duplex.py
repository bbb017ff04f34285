"""One model, two halves: a dense vector and the heaviest words of a text, added when scored.

The dense half is d = W c of the sentence vector c; the lexical half is u, each word's highest logit
over the tokens of a text, less its mean over a collection (words that are likely everywhere tell
nothing). Of a passage the k heaviest entries are kept, of a query all::

    score(q, p) = w_1 <d_q, d_p> + w_2 sum over the k words v of p: u_q[v] u_p[v]

Both weights are learned, from a start that `DuplexRetriever.calibrate` sets. What a passage costs
is counted with both halves: dense dims + k values + k word ids.

Paper: RetroMAE v2 (S. Xiao, Z. Liu and others, 2022), whose pre-training is `DupMAE`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import (
    ConfigError,
    DataError,
    ModelError,
    Stamp,
    fresh_dir,
    read_json,
    write_json,
)
from vecsmith.encode import quiet_hosts, resolve_model, state_hash
from vecsmith.train.contrastive import Batch, Objective

from ._dupmae import vocabulary_maxima
from ._head import VocabularyHead, backbone, word_vectors

HALVES = ("dense", "lexical")
SETTINGS = "duplex.json"
HEAD = "lexical.safetensors"


@dataclass(frozen=True)
class DuplexEmbedding:
    """Passages as they are stored.

    Attributes:
        dense: Shape (n, dims), float32; 0 dims where that half is off.
        ids: The heaviest words, shape (n, k), int32; k = 0 where that half is off.
        values: Their weights, shape (n, k), float16.
    """

    dense: NDArray[np.float32]
    ids: NDArray[np.int32]
    values: NDArray[np.float16]


@dataclass(frozen=True)
class DuplexQuery:
    """Queries: nothing is cut, and the weights of both halves are multiplied in.

    Attributes:
        dense: Shape (n, dims), float32.
        lexical: Shape (n, vocabulary), float32.
    """

    dense: NDArray[np.float32]
    lexical: NDArray[np.float32]


def keep_heaviest(lexical: Tensor, count: int) -> Tensor:
    """Set all but the heaviest entries of each row to 0; gradients flow through what is kept.

    Args:
        lexical: Shape (n, vocabulary).
        count: How many to keep.

    Returns:
        The same shape.
    """
    values, places = lexical.topk(min(count, lexical.shape[1]), dim=1)
    return torch.zeros_like(lexical).scatter(1, places, values)


def duplex_scores(queries: DuplexQuery, documents: DuplexEmbedding) -> NDArray[np.float32]:
    """Score every query against every passage.

    Args:
        queries: From `DuplexRetriever.encode_query`.
        documents: From `DuplexRetriever.encode_document`.

    Returns:
        Shape (queries, passages).
    """
    scores = queries.dense @ documents.dense.T
    for row, lexical in enumerate(queries.lexical):
        hits = lexical[documents.ids] * documents.values.astype(np.float32)
        scores[row] += hits.sum(1)
    return scores


class DuplexRetriever(nn.Module):
    """A retriever with a dense and a lexical half.

    Args:
        model: A `SentenceTransformer`: transformer, CLS pooling, dense layer.
        head: Its vocabulary head.
        topk: Words kept of a passage.
        halves: Which halves count: "dense", "lexical" or both.

    Raises:
        ConfigError: A setting is out of range.
    """

    centre: Tensor

    def __init__(
        self,
        model: Any,
        head: VocabularyHead,
        *,
        topk: int = 384,
        halves: Sequence[str] = HALVES,
    ) -> None:
        super().__init__()
        if topk < 1 or not halves or set(halves) - set(HALVES):
            raise ConfigError(
                f"topk must be at least 1 and halves be one or both of {HALVES}; "
                f"got {topk} and {tuple(halves)}"
            )
        self.model = model
        self.head = head
        self.topk = topk
        self.halves = tuple(half for half in HALVES if half in halves)
        self.log_weights = nn.Parameter(torch.zeros(2))
        self.register_buffer("centre", torch.zeros_like(head.bias.detach()))

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        dense_dim: int = 384,
        topk: int = 384,
        halves: Sequence[str] = HALVES,
        max_length: int | None = None,
    ) -> "DuplexRetriever":
        """Load a saved retriever, or start one from a pre-trained encoder.

        Args:
            name: Folder of `save_pretrained`, whose own settings then count, or what
                `DupMAE.save_encoder` wrote, or any masked language model.
            dense_dim: Dimensions of the dense half of a new one.
            topk: Words kept of a passage.
            halves: Which halves count.
            max_length: Length at which texts are cut.

        Returns:
            The retriever, on the CPU.

        Raises:
            ModelError: Not found, damaged, or not of the BERT kind.
        """
        folder = resolve_model(name).path
        if (folder / SETTINGS).exists():
            return cls._load(folder)
        with quiet_hosts():
            module = Transformer(str(folder), max_seq_length=max_length)
        dims = module.get_embedding_dimension()
        dense = Dense(dims, dense_dim, bias=False, activation_function=nn.Identity())
        # as near to a plain cut as can be: scores of the start are those of c, up to rotation
        nn.init.orthogonal_(dense.linear.weight)
        modules = [module, Pooling(dims, "cls"), dense]
        model = SentenceTransformer(modules=modules, device="cpu")
        head = VocabularyHead.of(module.model, folder)
        return cls(model, head, topk=topk, halves=halves)

    @property
    def stamp(self) -> Stamp:
        """Identity of the space: an index of another retriever's passages is refused by it."""
        return Stamp(
            model="duplex retriever",
            weights=state_hash(self),
            dims=int(self.model.get_embedding_dimension() or 0),
            pooling="cls",
            max_tokens=int(self.model.max_seq_length or 512),
            reshape=(f"words:{self.topk}", *self.halves),
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Save both halves; sentence-transformers loads the dense one from the same folder.

        Args:
            folder: Where to; what lies there is replaced.
        """
        with fresh_dir(folder) as fresh:
            with quiet_hosts():
                self.model.save_pretrained(str(fresh), create_model_card=False)
            state = {k: v for k, v in self.state_dict().items() if not k.startswith("model.")}
            save_file({k: v.contiguous() for k, v in state.items()}, str(fresh / HEAD))
            write_json(fresh / SETTINGS, {"topk": self.topk, "halves": list(self.halves)})

    @classmethod
    def _load(cls, folder: Path) -> "DuplexRetriever":
        settings = read_json(folder / SETTINGS)
        with quiet_hosts():
            model = SentenceTransformer(str(folder), device="cpu")
        head = VocabularyHead.of(backbone(model))
        retriever = cls(model, head, topk=settings["topk"], halves=settings["halves"])
        try:
            retriever.load_state_dict(load_file(str(folder / HEAD)), strict=False)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"{str(folder / HEAD)!r} is missing or damaged ({error}); save the retriever again"
            ) from error
        return retriever

    def represent(self, out: dict[str, Tensor], attention: Tensor) -> tuple[Tensor, Tensor]:
        """Turn the model's output into both halves, uncut.

        Args:
            out: What the model gives for features: token and sentence embeddings.
            attention: 1 for tokens, 0 for padding, shape (B, L).

        Returns:
            d, shape (B, dims), and u less its centre, shape (B, vocabulary); a half that is off
            has no columns.
        """
        dense = out["sentence_embedding"]
        if "lexical" not in self.halves:
            return dense, dense.new_zeros(len(dense), 0)
        logits = self.head(out["token_embeddings"], word_vectors(backbone(self.model)))
        lexical = vocabulary_maxima(logits, attention) - self.centre
        return (dense if "dense" in self.halves else dense[:, :0]), lexical

    @property
    def weights(self) -> Tensor:
        """Weights of the dense and the lexical half, shape (2,)."""
        return self.log_weights.exp()

    def _encode(
        self, texts: Sequence[str], batch_size: int, finish: Callable[[Tensor, Tensor], Any]
    ) -> list[Any]:
        """Run over texts, those of like length together; results in the order of the texts."""
        if isinstance(texts, str) or not len(texts):
            raise DataError(f"texts must be a list of at least one text; got {texts!r}")
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        results: list[Any] = [None] * len(texts)
        training = self.training
        self.eval()
        try:
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                features = self.model.preprocess([texts[row] for row in rows])
                features = {
                    k: v.to(self.centre.device) if isinstance(v, Tensor) else v
                    for k, v in features.items()
                }
                attention = features["attention_mask"]
                with torch.no_grad():
                    done = finish(*self.represent(self.model(features), attention))
                for row, *parts in zip(rows, *done, strict=True):
                    results[row] = parts
        finally:
            self.train(training)
        return results

    def encode_query(self, texts: Sequence[str], *, batch_size: int = 32) -> DuplexQuery:
        """Encode queries.

        Args:
            texts: Queries.
            batch_size: Texts a step.

        Returns:
            Both halves, nothing cut.

        Raises:
            DataError: No texts.
        """

        def finish(dense: Tensor, lexical: Tensor) -> Any:
            weights = self.weights
            return (weights[0] * dense).float().cpu(), (weights[1] * lexical).float().cpu()

        found = self._encode(texts, batch_size, finish)
        dense, lexical = (torch.stack(column).numpy() for column in zip(*found, strict=True))
        return DuplexQuery(dense, lexical)

    def encode_document(self, texts: Sequence[str], *, batch_size: int = 32) -> DuplexEmbedding:
        """Encode passages.

        Args:
            texts: Passages.
            batch_size: Texts a step.

        Returns:
            Both halves, the lexical one cut to its heaviest words.

        Raises:
            DataError: No texts.
        """

        def finish(dense: Tensor, lexical: Tensor) -> Any:
            values, ids = lexical.topk(min(self.topk, lexical.shape[1]), dim=1)
            return dense.float().cpu(), ids.int().cpu(), values.half().cpu()

        found = self._encode(texts, batch_size, finish)
        columns = [torch.stack(column).numpy() for column in zip(*found, strict=True)]
        return DuplexEmbedding(*columns)

    def score(self, queries: DuplexQuery, documents: DuplexEmbedding) -> NDArray[np.float32]:
        """Score every query against every passage; see `duplex_scores`."""
        return duplex_scores(queries, documents)

    def calibrate(self, texts: Sequence[str], *, batch_size: int = 32) -> None:
        """Set the centre of u, and the weights so that the scores of each half spread by 1.

        Trained halves of a masked model score in the hundreds: a softmax over them is 0 or 1 and
        teaches nothing. From here a temperature of 1 suits.

        Args:
            texts: Some passages of the collection, three at least; no labels are needed.
            batch_size: Texts a step.

        Raises:
            DataError: Fewer than three texts.
        """
        if len(texts) < 3:
            # two texts have one score between them, which does not spread
            raise DataError(f"calibration needs three texts or more; got {len(texts)}")
        self.centre.zero_()
        found = self._encode(texts, batch_size, lambda d, u: (d.float(), u.float()))
        dense, lexical = (torch.stack(column) for column in zip(*found, strict=True))
        if "lexical" in self.halves:
            self.centre.copy_(lexical.mean(0))
            lexical = lexical - self.centre
        scores = (dense @ dense.T, lexical @ keep_heaviest(lexical, self.topk).T)
        apart = ~torch.eye(len(dense), dtype=torch.bool, device=dense.device)
        spreads = torch.stack([found[apart].std() for found in scores])
        with torch.no_grad():
            # a half that is off scores 0 everywhere, and keeps weight 1
            self.log_weights.copy_(torch.where(spreads > 0, -spreads.clamp_min(1e-30).log(), 0.0))


class DuplexContrastiveLoss(Objective):
    """Contrastive loss on the summed score of both halves.

    Formula, for the passages of the whole batch, of all processes too::

        loss_i = CE(score(q_i, .) / T, p_i) + distil_weight KL(teacher_i || own candidates of row i)

    Args:
        retriever: What is trained; the trainer's model is `retriever.model`.
        temperature: What scores are divided by.
        distil_weight: Weight of the divergence from a cross-encoder's scores, which then come as
            labels of shape (B, passages of a row); 0 takes no labels.
        cached_mini_batch: Rows a step of gradient caching; see `Objective`.

    Columns of the data set: query, positive, and any number of negatives, in this order.

    Raises:
        ConfigError: A temperature of 0 or less, or a negative weight.
    """

    # two halves lie side by side: leading dimensions are not a smaller model
    sliceable = False

    def __init__(
        self,
        retriever: DuplexRetriever,
        *,
        temperature: float = 1.0,
        distil_weight: float = 0.0,
        cached_mini_batch: int | None = None,
    ) -> None:
        if not temperature > 0 or distil_weight < 0:
            raise ConfigError(
                "temperature must be above 0 and distil_weight at least 0; "
                f"got {temperature} and {distil_weight}"
            )
        super().__init__(retriever.model, cached_mini_batch=cached_mini_batch)
        self.retriever = retriever
        self.temperature = temperature
        self.distil_weight = distil_weight

    def embed(self, features: dict[str, Tensor]) -> Tensor:
        """Embed texts: both halves side by side.

        Args:
            features: Model inputs of B texts.

        Returns:
            Shape (B, dims + vocabulary).
        """
        attention = features["attention_mask"]
        return torch.cat(self.retriever.represent(self.model(features), attention), 1)

    def transform(self, columns: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Cut passages to their heaviest words, and weigh the halves of queries.

        Args:
            columns: Embeddings of this process's rows.

        Returns:
            The same shapes; the scores are their inner products.
        """
        vocabulary = len(self.retriever.centre) if "lexical" in self.retriever.halves else 0
        dims = columns[0].shape[1] - vocabulary
        queries, *passages = columns
        weights = self.retriever.weights
        weighed = torch.cat([weights[0] * queries[:, :dims], weights[1] * queries[:, dims:]], 1)
        if not vocabulary:
            return (weighed, *passages)
        cut = [
            torch.cat([p[:, :dims], keep_heaviest(p[:, dims:], self.retriever.topk)], 1)
            for p in passages
        ]
        return (weighed, *cut)

    def row_losses(self, batch: Batch) -> Tensor:
        """Score rows.

        Args:
            batch: Embeddings, and the rows to be scored.

        Returns:
            One loss a row, shape (rows,).

        Raises:
            DataError: Labels are no teacher scores of the row's passages.
        """
        queries = batch.local[0].float()
        passages = torch.cat(batch.pool[1:]).float()
        with torch.autocast(queries.device.type, enabled=False):
            scores = queries @ passages.T / self.temperature
            targets = batch.start + torch.arange(len(queries), device=queries.device)
            losses = F.cross_entropy(scores, targets, reduction="none")
            if self.distil_weight:
                losses = losses + self.distil_weight * self._distil(batch, scores)
        return losses

    def _distil(self, batch: Batch, scores: Tensor) -> Tensor:
        many, labels = len(batch.pool) - 1, batch.labels
        if labels is None or labels.shape[1:] != (many,):
            came = "none" if labels is None else tuple(labels.shape)
            raise DataError(
                f"distil_weight needs a teacher's scores of each row's {many} passages as labels "
                f"of shape (B, {many}); got {came}"
            )
        rows = torch.arange(len(scores), device=scores.device)
        own = [scores[rows, c * len(batch.pool[0]) + batch.start + rows] for c in range(many)]
        student = torch.stack(own, 1).log_softmax(1)
        teacher = labels[batch.rows].to(student).log_softmax(1)
        return F.kl_div(student, teacher, reduction="none", log_target=True).sum(1)

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        return {
            "temperature": self.temperature,
            "distil_weight": self.distil_weight,
            "topk": self.retriever.topk,
            "halves": list(self.retriever.halves),
            "cached_mini_batch": self.mini_batch_size or None,
        }
