"""A question as reading models take it: a span to find, a label to give, or a choice to make."""

from dataclasses import dataclass
from typing import Any

from vecsmith.core import DataError


@dataclass(frozen=True)
class ReadingQuestion:
    """A question with what is needed to answer it.

    Attributes:
        question: What is asked.
        context: Text that is read with it; None for none.
        answers: Right answers that stand in the context; empty where a span is not asked for, or
            where the context holds none.
        start: First character of the first answer in the context; None finds it.
        label: Right label or number of the right choice.
        choices: Answers to choose from.
        facts: What the question is about, as (entity, entity), for splits without leaks.
    """

    question: str
    context: str | None = None
    answers: tuple[str, ...] = ()
    start: int | None = None
    label: str | int | None = None
    choices: tuple[str, ...] = ()
    facts: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.question, str) or not self.question.strip():
            raise DataError(f"question must be a text with words; got {self.question!r}")
        if not self.answers:
            return
        if self.context is None:
            raise DataError("answers must stand in a context, but context is None; give it")
        place = self.context.find(self.answers[0]) if self.start is None else self.start
        if place < 0 or not self.context.startswith(self.answers[0], place):
            raise DataError(
                f"the answer {self.answers[0]!r} must stand in the context"
                f"{'' if self.start is None else f' at character {self.start}'}, but does not; "
                "give the text that the answer was marked in"
            )
        object.__setattr__(self, "start", place)

    @property
    def span(self) -> tuple[int, int] | None:
        """First character of the first answer in the context, and one past its last."""
        if not self.answers or self.start is None:
            return None
        return self.start, self.start + len(self.answers[0])
