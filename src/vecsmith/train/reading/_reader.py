"""Fine-tune a reading model: a span of the context, a label (yes, no, maybe), or one of choices.

The heads are those of transformers: start and end logits, cross entropy over both (J. Devlin and
others, 2019); a classifier on the first token; a score a choice. Long contexts are read in windows
that overlap. Of the windows without the answer only some are trained on, else they would outvote
the others; in prediction the best span of all windows wins, at its place in the context as given.

Use with an `EntityFuser` of any layout, "plain" among them. For a training with callbacks, several
machines or early stopping, give `Reader.dataset` and `Reader.collate` to transformers' Trainer.
Cost: of the model itself; Adam also over all input embeddings.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import (
    Budget,
    ConfigError,
    EpochBatches,
    FitOptions,
    ModelError,
    fit,
    fresh_dir,
    like_length_batches,
    numpy_generator,
    require,
    seed_everything,
)
from vecsmith.data.questions import ReadingQuestion
from vecsmith.encode import quiet_hosts
from vecsmith.encode.knowledge import EntityFuser

from ._features import Feature, reading_features
from ._options import ReadingOptions
from ._spans import Span, best_span

TASKS = {
    "span": "AutoModelForQuestionAnswering",
    "label": "AutoModelForSequenceClassification",
    "choice": "AutoModelForMultipleChoice",
}


class Reader:
    """A model of transformers, its entities, and how it is fine-tuned.

    Args:
        model: For question answering, sequence classification or multiple choice; `fuser.extend`
            must have given it the entities.
        fuser: Makes its inputs.
        task: "span", "label" or "choice".
        labels: Of "label", in the order of the model's.
        options: How to fine-tune.

    Raises:
        ConfigError: Unknown task, or labels that do not fit the model.
        ModelError: The model lacks rows of the entities.
    """

    def __init__(
        self,
        model: Any,
        fuser: EntityFuser,
        *,
        task: str,
        labels: Sequence[str] = (),
        options: ReadingOptions | None = None,
    ) -> None:
        if task not in TASKS:
            raise ConfigError(f"task must be one of {sorted(TASKS)}; got {task!r}")
        if task == "label" and len(labels) != model.config.num_labels:
            raise ConfigError(
                f"labels must name the model's {model.config.num_labels} labels; got {list(labels)}"
            )
        rows = model.get_input_embeddings().num_embeddings
        if max(fuser.token_ids.values(), default=0) >= rows:
            raise ModelError(
                f"the model has {rows} input embeddings, fewer than the entities need; "
                "give fuser.extend(model)"
            )
        self.model, self.fuser, self.task = model, fuser, task
        self.labels, self.options = tuple(labels), options or ReadingOptions()
        if labels:
            model.config.id2label = dict(enumerate(labels))
            model.config.label2id = {label: i for i, label in enumerate(labels)}

    def dataset(self, questions: Sequence[ReadingQuestion], *, train: bool = True) -> list[Feature]:
        """Cut questions into features.

        Args:
            questions: At least one.
            train: Leave most windows without an answer out.

        Returns:
            Features, a data set for transformers' Trainer together with `collate`.

        Raises:
            DataError: Questions that do not fit the task.
        """
        how = self.options
        return reading_features(
            questions,
            self.fuser,
            task=self.task,
            labels=self.labels,
            max_length=how.max_length,
            stride=how.stride,
            negative_windows=how.negative_windows if train else None,
            rng=numpy_generator(how.seed, "reading", "windows"),
        )

    def collate(self, features: Sequence[Feature]) -> dict[str, Any]:
        """Make a batch, labels among it.

        Args:
            features: Of `dataset`.

        Returns:
            What the model takes.
        """
        import torch

        inputs = self.fuser.collate([w for feature in features for w in feature.windows])
        targets = torch.tensor([feature.target for feature in features])
        if self.task == "span":
            return {**inputs, "start_positions": targets[:, 0], "end_positions": targets[:, 1]}
        if self.task == "choice":
            many = {len(feature.windows) for feature in features}
            if len(many) > 1:
                raise ConfigError(f"choices of a batch must be as many everywhere; got {many}")
            inputs = {k: v.view(len(features), -1, v.shape[-1]) for k, v in inputs.items()}
        return {**inputs, "labels": targets[:, 0]}

    def fit(self, questions: Sequence[ReadingQuestion]) -> "Reader":
        """Fine-tune on questions.

        Args:
            questions: With answers, labels or right choices.

        Returns:
            Itself.

        Raises:
            DataError: Questions that do not fit the task.
            ModelError: The loss got out of hand.
        """
        how, features = self.options, self.dataset(questions)
        seed_everything(how.seed)
        steps = -(-len(features) // how.batch_size)
        lengths = [len(feature.windows[0].input_ids) for feature in features]

        def batches(epoch: int) -> Iterator[dict[str, Any]]:
            rng = numpy_generator(how.seed, "reading", f"epoch {epoch}")
            for part in like_length_batches(lengths, how.batch_size, rng):
                yield self.collate([features[i] for i in part])

        fit(
            self.model,
            lambda model, batch: model(**batch).loss,
            lambda epoch: EpochBatches(steps, batches(epoch)),
            budget=Budget(epochs=how.epochs),
            options=FitOptions(
                lr=how.lr,
                warmup=how.warmup,
                checkpoint_every=10**9,
                seed=how.seed,
                cpu=how.cpu,
                description="reading",
            ),
            optimizer=self._optimizer(),
        )
        self.model.eval()
        return self

    def _optimizer(self) -> Any:
        import torch

        how = self.options
        table = self.model.get_input_embeddings().weight
        groups: dict[tuple[float, float], list[Any]] = {}
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                rate = (how.entity_lr or how.lr) if parameter is table else how.lr
                # decay would also pull rows of words that are never read
                decay = how.decay if parameter.ndim >= 2 and parameter is not table else 0.0
                groups.setdefault((rate, decay), []).append(parameter)
        return torch.optim.AdamW(
            [{"params": p, "lr": r, "weight_decay": d} for (r, d), p in groups.items()], fused=True
        )

    def logits(self, features: Sequence[Feature]) -> list[Any]:
        """Run the model, windows of like length together.

        Args:
            features: Of `dataset`.

        Returns:
            For each feature starts and ends, shape (2, tokens), or scores, shape (labels,).
        """
        import torch

        order = sorted(range(len(features)), key=lambda i: len(features[i].windows[0].input_ids))
        found: list[Any] = [None] * len(features)
        self.model.eval()
        for start in range(0, len(order), self.options.batch_size):
            places = order[start : start + self.options.batch_size]
            batch = self.collate([features[i] for i in places])
            kept = ("input_ids", "attention_mask", "token_type_ids")
            inputs = {k: v.to(self.model.device) for k, v in batch.items() if k in kept}
            with torch.no_grad():
                out = self.model(**inputs)
            if self.task == "span":
                rows = torch.stack([out.start_logits, out.end_logits], dim=1)
            else:
                rows = out.logits
            for place, row in zip(places, rows.float().cpu().numpy(), strict=True):
                found[place] = row
        return found

    def predict(self, questions: Sequence[ReadingQuestion]) -> list[Any]:
        """Answer questions.

        Args:
            questions: Answers are not looked at.

        Returns:
            For each a span's text as it stands in the context ("" for no answer), a label, or the
            number of a choice.

        Raises:
            DataError: Questions that do not fit the task.
        """
        if self.task == "span":
            spans = self.spans(questions)
            return [
                (item.context or "")[span.start : span.end] if span.start is not None else ""
                for item, span in zip(questions, spans, strict=True)
            ]
        best = self.scores(questions).argmax(axis=1)
        return [self.labels[i] for i in best] if self.task == "label" else best.tolist()

    def scores(self, questions: Sequence[ReadingQuestion]) -> NDArray[np.float32]:
        """Score labels or choices.

        Args:
            questions: As many choices for all.

        Returns:
            Logits, shape (questions, labels or choices).

        Raises:
            ConfigError: The task is to find spans.
        """
        if self.task == "span":
            raise ConfigError("spans have no table of scores; use spans")
        return np.stack(self.logits(self.dataset(questions, train=False)))

    def spans(self, questions: Sequence[ReadingQuestion]) -> list[Span]:
        """Find the best span of each question over all its windows.

        Args:
            questions: With contexts.

        Returns:
            Places in the contexts as given.
        """
        features = self.dataset(questions, train=False)
        found: list[Span | None] = [None] * len(questions)
        how = self.options
        for feature, (starts, ends) in zip(features, self.logits(features), strict=True):
            offsets = feature.windows[0].offsets
            span = best_span(
                starts, ends, offsets, max_tokens=how.answer_tokens, no_answer=how.no_answer
            )
            old = found[feature.question]
            # logits of windows are not of one scale; how far a span is above "none" is
            score = _margin(span, starts, ends, how)
            if old is None or score > old.score:
                found[feature.question] = Span(score, span.start, span.end)
        return [span or Span(-np.inf, None, None) for span in found]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model as transformers does, with the grown tokenizer, and the fuser beside it.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            StoreError: The place cannot be written.
        """
        with fresh_dir(folder) as fresh, quiet_hosts():
            self.model.save_pretrained(fresh)
            self.fuser.tokenizer.save_pretrained(fresh)
            self.fuser.save(fresh / "fuser")

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, task: str, options: ReadingOptions | None = None
    ) -> "Reader":
        """Read what `save_pretrained` wrote.

        Args:
            folder: Where it lies.
            task: "span", "label" or "choice".
            options: How to read and to fine-tune on.

        Returns:
            The reader.

        Raises:
            ConfigError: Unknown task.
            StoreError: The fuser is missing or damaged.
        """
        if task not in TASKS:
            raise ConfigError(f"task must be one of {sorted(TASKS)}; got {task!r}")
        transformers = require("transformers", "train")
        fuser = EntityFuser.load(Path(folder) / "fuser")
        with quiet_hosts():
            model = getattr(transformers, TASKS[task]).from_pretrained(folder)
        names = model.config.id2label
        labels = [names[i] for i in sorted(names)] if task == "label" else ()
        return cls(model.eval(), fuser, task=task, labels=labels, options=options)


def _margin(span: Span, starts: Any, ends: Any, how: ReadingOptions) -> float:
    """Return the score of a span above that of no answer in its window."""
    if span.start is None:
        return 0.0 if how.no_answer else -np.inf
    return float(span.score - starts[0] - ends[0])
