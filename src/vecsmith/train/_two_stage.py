"""Two stages of contrastive training: retrieval with in-batch negatives, then everything without.

Paper: NV-Embed (C. Lee and others, 2024). Stage 1 trains on retrieval sets, other rows of the batch
are negatives. Stage 2 blends in classification, clustering and similarity sets, with only each
row's own hard negatives: there other rows are often of the same class. Every batch comes from one
data set, and each set's queries carry its instruction.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vecsmith.core import ConfigError, DataError

from .contrastive import ContrastiveLoss

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class StageSet:
    """A data set of a stage.

    Attributes:
        name: Its name in the logs.
        data: Columns query, positive and negatives, in this order, for instance from
            `to_contrastive`.
        instruction: What stands before its queries; see `instruct`.
        symmetric: Whether positives and negatives carry the instruction too, as texts of
            classification and similarity sets do.
    """

    name: str
    data: "Dataset"
    instruction: str = ""
    symmetric: bool = False

    def prompts(self) -> dict[str, str]:
        """Return the prompt of each column that has one."""
        if not self.instruction:
            return {}
        columns = self.data.column_names if self.symmetric else self.data.column_names[:1]
        return dict.fromkeys(columns, self.instruction)


@dataclass(frozen=True)
class TwoStage:
    """The plan.

    Attributes:
        stage1: Retrieval sets.
        stage2: Retrieval sets and others.
        in_batch: Whether texts of other rows are negatives, by stage.
        temperature: What cosines are divided by.
        cached_mini_batch: Rows a step of gradient caching.
    """

    stage1: Sequence[StageSet]
    stage2: Sequence[StageSet]
    in_batch: tuple[bool, bool] = (True, False)
    temperature: float = 0.02
    cached_mini_batch: int | None = None

    def __post_init__(self) -> None:
        for number, sets in enumerate((self.stage1, self.stage2)):
            names = [one.name for one in sets]
            if len(set(names)) != len(names):
                raise ConfigError(f"names of sets must differ within a stage; got {names}")
            for one in sets:
                if not self.in_batch[number] and len(one.data.column_names) < 3:
                    raise DataError(
                        f"set {one.name!r} of stage {number + 1} has no column of negatives, and "
                        "in_batch is off there: mine some, or use to_contrastive"
                    )
        if not self.stage1 and not self.stage2:
            raise ConfigError("a plan needs at least one data set; both stages are empty")

    def train(self, model: Any, args: Any, *, second: Mapping[str, Any] | None = None) -> list[Any]:
        """Run both stages with `SentenceTransformerTrainer`.

        Args:
            model: A `SentenceTransformer`, changed in place.
            args: `SentenceTransformerTrainingArguments` of stage 1.
            second: What differs in stage 2, for instance ``{"learning_rate": 1.5e-5}``.

        Returns:
            What the trainer gave for each stage.
        """
        results = []
        for number, sets in enumerate((self.stage1, self.stage2)):
            if sets:
                changes = {} if number == 0 else dict(second or {})
                results.append(self._run(model, _changed(args, **changes), sets, number))
        return results

    def _run(self, model: Any, args: Any, sets: Sequence[StageSet], number: int) -> Any:
        from datasets import DatasetDict
        from sentence_transformers import SentenceTransformerTrainer

        prompts = {one.name: one.prompts() for one in sets if one.prompts()}
        if prompts:
            args = _changed(args, prompts=prompts)
        loss = ContrastiveLoss(
            model,
            temperature=self.temperature,
            in_batch=self.in_batch[number],
            cached_mini_batch=self.cached_mini_batch,
        )
        # a dictionary of sets is drawn batch by batch from one of them
        data = DatasetDict({one.name: one.data for one in sets})
        trainer = SentenceTransformerTrainer(model=model, args=args, train_dataset=data, loss=loss)
        return trainer.train()


def _changed(args: Any, **changes: Any) -> Any:
    # made anew, arguments would be checked and derived a second time
    args = copy(args)
    for name, value in changes.items():
        if not hasattr(args, name):
            raise ConfigError(f"training arguments have no {name!r}")
        setattr(args, name, value)
    return args
