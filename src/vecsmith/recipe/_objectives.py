"""Objectives by name: a base, what changes it, and what wraps it, joined by "+".

``gist+peg+matryoshka`` is the guided loss with rows weighed from easy to hard, at all sizes of the
model at once. Order does not matter. To add one: a row in one of the three tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vecsmith.core import ConfigError, did_you_mean

from ._config import TrainingConfig

if TYPE_CHECKING:
    from datasets import Dataset

    from vecsmith.train import Objective


@dataclass(frozen=True)
class Base:
    """A loss that others change or wrap.

    Attributes:
        columns: Text columns it needs.
        make: Model, guide, config and options of modifiers -> loss.
        does: What it does, for the help.
        masked: Whether it is masked pre-training, which looks at each text by itself.
    """

    columns: int
    make: Callable[[Any, Any, TrainingConfig, dict[str, Any]], Any]
    does: str
    masked: bool = False


def _contrastive(model: Any, guide: Any, config: TrainingConfig, options: Any) -> "Objective":
    from vecsmith.train import ContrastiveLoss

    return ContrastiveLoss(model, temperature=config.temperature, **options)


def _gte(model: Any, guide: Any, config: TrainingConfig, options: Any) -> "Objective":
    from vecsmith.train import ContrastiveLoss

    blocks = ("qp", "qn", "qq", "pp")
    return ContrastiveLoss(model, temperature=config.temperature, blocks=blocks, **options)


def _gist(model: Any, guide: Any, config: TrainingConfig, options: Any) -> "Objective":
    from vecsmith.train import GuidedContrastiveLoss, NegativeFilter

    if guide is None:
        raise ConfigError(
            'objective "gist" needs a guide: give a stronger model with --guide, or use "gte"'
        )
    options = dict(options)
    duplicates = options.pop("rule", NegativeFilter()).duplicates
    rule = NegativeFilter(config.margin, duplicates=duplicates)
    return GuidedContrastiveLoss(model, guide, temperature=config.temperature, rule=rule, **options)


def _unsupervised(kind: str) -> Callable[..., "Objective"]:
    def make(model: Any, guide: Any, config: TrainingConfig, options: Any) -> "Objective":
        from vecsmith.train import (
            MomentumQueue,
            ProjectionHead,
            ShuffledGroupWhitening,
            SubwordRepetition,
            UnsupervisedContrastiveLoss,
        )

        width = int(model.get_embedding_dimension())
        white = kind == "whitened-cse"
        if white and options.get("sliced"):
            raise ConfigError(
                "'whitened-cse' whitens whole embeddings, and a wrapper cuts them: the cut ones "
                "would not be trained; take simcse or esimcse"
            )
        esimcse = kind == "esimcse"
        before = ShuffledGroupWhitening(_groups(width)) if white else None
        return UnsupervisedContrastiveLoss(
            model,
            views=[None, SubwordRepetition(model.tokenizer)] if esimcse else 3 if white else 2,
            head=None if options.get("sliced") else ProjectionHead(width, before=before),
            queue=MomentumQueue(model, round(2.5 * config.batch_size)) if esimcse else None,
            temperature=config.temperature,
            cached_mini_batch=config.mini_batch,
        )

    return make


def _groups(width: int) -> int:
    # groups of six to eight channels, as in the paper
    sizes = [size for size in (6, 8, 7, 5, 4, 3, 2) if width % size == 0]
    return width // sizes[0] if sizes else width


def _dupmae(model: Any, guide: Any, config: TrainingConfig, options: Any) -> Any:
    from vecsmith.train import DupMAE

    pools = {getattr(module, "pooling_mode", None) for module in model}
    # what is trained is the vector that the model will give
    return DupMAE(model, bottleneck="cls" if "cls" in pools else "sentence", seed=config.seed)


def _smae(model: Any, guide: Any, config: TrainingConfig, options: Any) -> Any:
    from vecsmith.train import SMAE, Menu

    menu = [_size(text) for text in config.menu]
    return SMAE(model, menu or [(s.layers, s.dim) for s in Menu.halving(model)], seed=config.seed)


BASES: dict[str, Base] = {
    "contrastive": Base(2, _contrastive, "pairs against the other rows of the batch"),
    "gte": Base(2, _gte, "pairs against the other rows, on both sides of the pair"),
    "gist": Base(2, _gist, "as gte; a guide strikes out false negatives"),
    "simcse": Base(1, _unsupervised("simcse"), "raw sentences: a text and itself"),
    "esimcse": Base(
        1, _unsupervised("esimcse"), "as simcse; repeated sub-words and a queue of negatives"
    ),
    "whitened-cse": Base(
        1, _unsupervised("whitened-cse"), "as simcse; three views, whitened in shuffled groups"
    ),
    "dupmae": Base(
        1, _dupmae, "masked pre-training on raw texts: rebuild text and its words", True
    ),
    "smae": Base(1, _smae, "masked pre-training on raw texts for a menu of sizes", True),
}


@dataclass(frozen=True)
class Modifier:
    """What changes a base.

    Attributes:
        options: Options that the base's loss gets.
        does: What it does, for the help.
    """

    options: Callable[[], dict[str, Any]]
    does: str


def _peg() -> dict[str, Any]:
    from vecsmith.train import ProgressiveWeights

    return {"weighting": ProgressiveWeights()}


def _duplicates() -> dict[str, Any]:
    from vecsmith.train import NegativeFilter

    return {"rule": NegativeFilter(duplicates=True)}


MODIFIERS: dict[str, Modifier] = {
    "duplicates": Modifier(_duplicates, "equal texts are no negatives"),
    "own-negatives": Modifier(lambda: {"in_batch": False}, "only a row's own negatives count"),
    "peg": Modifier(_peg, "rows are weighed from easy to hard"),
}


@dataclass(frozen=True)
class Wrapper:
    """What wraps a loss.

    Attributes:
        wrap: Model, loss and config -> loss.
        does: What it does, for the help.
    """

    wrap: Callable[[Any, Any, TrainingConfig], Any]
    does: str


def _matryoshka(model: Any, loss: Any, config: TrainingConfig) -> Any:
    from vecsmith.train import MatryoshkaLoss

    width = int(model.get_embedding_dimension())
    dims = config.dims or sorted({width, width * 2 // 3, width // 3, width // 6} - {0})
    return MatryoshkaLoss(loss, dims, cached_mini_batch=config.mini_batch)


def _two_d(model: Any, loss: Any, config: TrainingConfig) -> Any:
    from vecsmith.train import Grid2D, TwoDMatryoshkaLoss

    grid = Grid2D(dims=config.dims or "geometric", seed=config.seed)
    return TwoDMatryoshkaLoss(loss, grid, cached_mini_batch=config.mini_batch)


def _starbucks(model: Any, loss: Any, config: TrainingConfig) -> Any:
    from vecsmith.train import StarbucksLoss

    return StarbucksLoss(
        loss,
        [_size(text) for text in config.menu] or None,
        similarity="cosine",
        temperature=config.temperature,
        cached_mini_batch=config.mini_batch,
    )


def _size(text: str) -> tuple[int, int]:
    layers, times, dim = text.lower().partition("x")
    if not (times and layers.isdigit() and dim.isdigit()):
        raise ConfigError(f"a size of the menu must be LAYERSxDIMS, such as 2x64; got {text!r}")
    return int(layers), int(dim)


WRAPPERS: dict[str, Wrapper] = {
    "matryoshka": Wrapper(_matryoshka, "leading dimensions serve alone"),
    "starbucks": Wrapper(_starbucks, "a menu of sizes (layers, dims) serves alone"),
    "two-d-matryoshka": Wrapper(_two_d, "any layer and any leading dimensions serve alone"),
}


@dataclass(frozen=True)
class Expression:
    """An objective that was read.

    Attributes:
        base: Name in `BASES`.
        modifiers: Names in `MODIFIERS`.
        wrapper: Name in `WRAPPERS`, or "".
    """

    base: str
    modifiers: tuple[str, ...]
    wrapper: str

    @property
    def columns(self) -> int:
        """Text columns that it needs."""
        return 3 if "own-negatives" in self.modifiers else BASES[self.base].columns

    @property
    def needs_guide(self) -> bool:
        """Whether it reads a guide."""
        return self.base == "gist"

    @property
    def repeats(self) -> bool:
        """Whether equal texts may meet in a batch: no row sees the texts of others."""
        return "own-negatives" in self.modifiers

    @property
    def needs_keys(self) -> bool:
        """Whether the label column must carry keys of texts."""
        return self.needs_guide or "duplicates" in self.modifiers


def parse_objective(text: str) -> Expression:
    """Read an expression such as "gist+peg+matryoshka".

    Args:
        text: Names joined by "+".

    Returns:
        The expression; the base is "contrastive" where none is named.

    Raises:
        ConfigError: An unknown name, two bases or two wrappers.
    """
    names = [name.strip().lower() for name in text.split("+") if name.strip()]
    every = (*BASES, *MODIFIERS, *WRAPPERS)
    for name in names:
        if name not in every:
            raise ConfigError(f"no objective is called {name!r}; {did_you_mean(name, every)}")
    bases = [name for name in names if name in BASES]
    wrappers = [name for name in names if name in WRAPPERS]
    if len(bases) > 1 or len(wrappers) > 1:
        several = bases if len(bases) > 1 else wrappers
        raise ConfigError(
            f"objective {text!r} names {' and '.join(several)}, of which there can be one; give "
            "data sets objectives of their own to mix them"
        )
    if not names:
        raise ConfigError(f"objective is empty; known are {', '.join(every)}")
    modifiers = tuple(sorted({name for name in names if name in MODIFIERS}))
    return Expression(
        bases[0] if bases else "contrastive", modifiers, wrappers[0] if wrappers else ""
    )


def build_objective(
    expression: Expression, model: Any, config: TrainingConfig, guide: Any = None
) -> Any:
    """Make the loss.

    Args:
        expression: What was read.
        model: The student.
        config: Settings.
        guide: A `GuideCache`, where one is needed.

    Returns:
        The loss for `SentenceTransformerTrainer`.

    Raises:
        ConfigError: Parts that do not go together.
    """
    options: dict[str, Any] = {}
    for name in expression.modifiers:
        options |= MODIFIERS[name].options()
    base = BASES[expression.base]
    if options and base.columns < 2:
        raise ConfigError(
            f"{', '.join(expression.modifiers)} changes losses of pairs, and {expression.base!r} "
            "is none: leave it out"
        )
    wrapped = bool(expression.wrapper)
    if base.masked:
        _check_masked(expression, config)
    if wrapped and base.columns < 2:
        # a head is thrown away after training: sizes must be trained on the embeddings themselves
        options["sliced"] = True
    elif base.columns >= 2 and not wrapped:
        options["cached_mini_batch"] = config.mini_batch
    loss = base.make(model, guide, config, options)
    return WRAPPERS[expression.wrapper].wrap(model, loss, config) if wrapped else loss


def _check_masked(expression: Expression, config: TrainingConfig) -> None:
    refused = {
        f"+ {expression.wrapper} (it wraps losses of embeddings; smae takes a menu of sizes)": (
            expression.wrapper
        ),
        "mini_batch (texts are looked at one by one: lower batch_size)": config.mini_batch,
        "lora (all weights are trained)": config.lora,
    }
    for words, given in refused.items():
        if given:
            raise ConfigError(
                f"{expression.base!r} is masked pre-training and goes without {words}; leave it out"
            )


def attach_labels(expression: Expression, rows: "Dataset", guide: Any, student: Any) -> "Dataset":
    """Add what the loss reads as labels: keys of texts.

    Args:
        expression: The objective.
        rows: Columns of texts.
        guide: A `GuideCache`, or None.
        student: The model that will be trained.

    Returns:
        The data set to train on.
    """
    if not expression.needs_keys:
        return rows
    if guide is not None:
        return guide.attach(rows, student=student)
    from vecsmith.train import with_text_keys

    return with_text_keys(rows)


def objective_help() -> str:
    """Write one line a name, for the help."""
    tables: Mapping[str, Mapping[str, Any]] = {
        "one of": BASES,
        "changed by": MODIFIERS,
        "wrapped in": WRAPPERS,
    }
    lines = []
    for title, table in tables.items():
        lines += [f"{title}:", *(f"  {name:<16} {part.does}" for name, part in table.items())]
    return "\n".join(lines)
