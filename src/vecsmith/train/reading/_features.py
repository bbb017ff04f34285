"""Questions as windows with what is to be learnt of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vecsmith.core import ConfigError, DataError
from vecsmith.data.questions import ReadingQuestion
from vecsmith.encode.knowledge import EntityFuser, FusedWindow

from ._spans import span_in_window


@dataclass(frozen=True)
class Feature:
    """Windows that are read as one row: one, or one a choice.

    Attributes:
        windows: Inputs.
        question: Number of the question.
        target: First and last token of the answer; or (label,).
    """

    windows: tuple[FusedWindow, ...]
    question: int
    target: tuple[int, ...]


def reading_features(
    questions: Sequence[ReadingQuestion],
    fuser: EntityFuser,
    *,
    task: str,
    labels: Sequence[str] = (),
    max_length: int = 384,
    stride: int = 196,
    negative_windows: int | None = None,
    rng: np.random.Generator | None = None,
) -> list[Feature]:
    """Cut questions into windows.

    Args:
        questions: At least one.
        fuser: Puts entities in, and knows the tokenizer.
        task: "span", "label" or "choice".
        labels: Of "label", in the order of the model's.
        max_length: Tokens of a window.
        stride: Tokens from the start of a window to that of the next; of "span".
        negative_windows: Of the windows of a question that hold no answer, how many are kept for
            each that does; None keeps all, as prediction needs.
        rng: Draws these windows.

    Returns:
        Features in the order of the questions. Without an answer, the first token is the target.

    Raises:
        DataError: No questions, a label that is unknown, or a question without choices.
        ConfigError: negative_windows without rng.
    """
    if not questions:
        raise DataError("questions must hold at least one; got none")
    if negative_windows is not None and rng is None:
        raise ConfigError("negative_windows needs rng, which draws the windows")
    found: list[Feature] = []
    for number, item in enumerate(questions):
        if task == "span":
            made = _span_features(item, number, fuser, max_length, stride)
            if negative_windows is not None:
                made = _fewer(made, negative_windows, rng)
            found += made
        elif task == "label":
            windows = fuser.encode(item.question, item.context, max_length=max_length, stride=None)
            found.append(Feature((windows[0],), number, (_label(item, labels),)))
        else:
            found.append(_choice_feature(item, number, fuser, max_length))
    return found


def _span_features(
    item: ReadingQuestion, number: int, fuser: EntityFuser, max_length: int, stride: int
) -> list[Feature]:
    if item.context is None:
        raise DataError(f"question {number} asks for a span but has no context")
    windows = fuser.encode(item.question, item.context, max_length=max_length, stride=stride)
    targets = [span_in_window(window.offsets, item.span) or (0, 0) for window in windows]
    return [Feature((w,), number, t) for w, t in zip(windows, targets, strict=True)]


def _fewer(made: list[Feature], keep: int, rng: np.random.Generator | None) -> list[Feature]:
    assert rng is not None
    holding = [f for f in made if f.target != (0, 0)]
    others = [f for f in made if f.target == (0, 0)]
    wanted = min(len(others), keep * max(len(holding), 1))
    picked = rng.permutation(len(others))[:wanted]
    return holding + [others[i] for i in sorted(picked)]


def _label(item: ReadingQuestion, labels: Sequence[str]) -> int:
    if item.label is None:
        return -100
    if item.label not in labels:
        raise DataError(f"label must be one of {list(labels)}; got {item.label!r}")
    return list(labels).index(str(item.label))


def _choice_feature(
    item: ReadingQuestion, number: int, fuser: EntityFuser, max_length: int
) -> Feature:
    if len(item.choices) < 2:
        raise DataError(f"question {number} must have two or more choices; got {item.choices!r}")
    right = -100 if item.label is None else int(item.label)
    if item.label is not None and not 0 <= right < len(item.choices):
        raise DataError(
            f"label of question {number} must number one of its {len(item.choices)} choices; "
            f"got {item.label!r}"
        )
    windows = []
    for choice in item.choices:
        text = choice if item.context is None else f"{item.context} {choice}"
        windows += fuser.encode(item.question, text, max_length=max_length, stride=None)
    return Feature(tuple(windows), number, (right,))
