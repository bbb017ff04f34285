"""One table that shows the quality of vectors and their bias, before and after a treatment.

Each column is one state of the same words (untouched, hard, soft); each row one measure, with the
number of items that it rests on and its change against the first column. What cannot be measured
because words are missing is listed with the reason, and is not a zero.

Words come from a table, or from any encoder: `report_words` lists what the report asks for, and
`vecsmith.encode.vectors_of_words` gives them the vectors of sentences made from templates.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vecsmith.core import ConfigError, DataError, did_you_mean
from vecsmith.data.samples import AssociationTest
from vecsmith.encode.words import WordVectors, nearest
from vecsmith.evaluate.words import word_analogies, word_similarity
from vecsmith.reshape.debias import BiasSubspace

from ._association import association_test
from ._direct import direct_bias, equidistance_gap, indirect_bias, stereotype_correlation
from ._generated import generate_analogies, specific_share
from ._residual import most_biased, residual_bias

Table = WordVectors | tuple[WordVectors, BiasSubspace]
SIMILARITY = ("wordsim353", "men", "simlex999", "mturk771")
ANALOGIES = ("msr", "google")


@dataclass(frozen=True)
class BiasQuestions:
    """What a report measures.

    Attributes:
        neutral: Words that should carry no bias, not those that define the subspace.
        ratings: Word -> how much people think of it as going with the first members of the sets.
        sets: Sets whose members should stand alike to neutral words.
        specific: Words that hold the concept by definition; left out where sides are looked for.
        tests: Association tests.
        similarity: Names of word similarity data, or none.
        analogies: Names of analogies, or none (an encoder has no vocabulary to search).
        residual: Words of a side that are looked for again; 0 leaves it out.
        generated: Analogies to generate; 0 leaves it out.
        seed: Seed of halves, clusters and permutations.
    """

    neutral: tuple[str, ...]
    ratings: Mapping[str, float] = field(default_factory=dict)
    sets: tuple[tuple[str, ...], ...] = ()
    specific: frozenset[str] = frozenset()
    tests: tuple[AssociationTest, ...] = ()
    similarity: tuple[str, ...] = SIMILARITY
    analogies: tuple[str, ...] = ANALOGIES
    residual: int = 500
    generated: int = 0
    seed: int = 0

    @classmethod
    def gender(cls, **changes: Any) -> "BiasQuestions":
        """Ask about gender: occupations, their ratings, and the tests of male and female terms.

        Args:
            **changes: Attributes that differ from these.

        Returns:
            The questions.

        Raises:
            DataError: The lists cannot be fetched.
        """
        from vecsmith.data.samples import load_association_tests, load_gender_lists

        lists = load_gender_lists()
        pairs = (*lists.definitional_pairs, *lists.equalize_pairs)
        specific = frozenset(lists.specific) | {word for pair in pairs for word in pair}
        rated = [row for row in lists.occupations if row.name not in specific]
        tests = [t for t in load_association_tests() if "Male" in t.name or "Female" in t.name]
        given = {
            "neutral": tuple(row.name for row in rated),
            # the lists rate male as 1; the pairs name the female word first
            "ratings": {row.name: -row.stereotype for row in rated},
            "sets": lists.equalize_pairs,
            "specific": specific,
            "tests": tuple(tests),
        }
        return cls(**{**given, **changes})


@dataclass(frozen=True)
class ReportRow:
    """One measure.

    Attributes:
        group: "quality" or "bias".
        measure: What was measured.
        values: One a column; NaN where it is not defined.
        items: What it rests on, for people.
    """

    group: str
    measure: str
    values: tuple[float, ...]
    items: str


@dataclass(frozen=True)
class BiasReport:
    """Quality and bias, side by side.

    Attributes:
        columns: Names of the states.
        rows: The measures.
        skipped: Measure -> why it is not there.
    """

    columns: tuple[str, ...]
    rows: tuple[ReportRow, ...]
    skipped: dict[str, str]

    def value(self, measure: str, column: str | None = None) -> float:
        """Look a figure up.

        Args:
            measure: Name of a row.
            column: Name of a column; None takes the last.

        Returns:
            The figure.

        Raises:
            ConfigError: No such row or column.
        """
        rows = {row.measure: row for row in self.rows}
        if measure not in rows:
            reason = self.skipped.get(measure)
            why = f"it was skipped: {reason}" if reason else did_you_mean(measure, rows)
            raise ConfigError(f"the report has no measure {measure!r}; {why}")
        if column is not None and column not in self.columns:
            raise ConfigError(
                f"the report has no column {column!r}; {did_you_mean(column, self.columns)}"
            )
        place = -1 if column is None else self.columns.index(column)
        return rows[measure].values[place]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values; a figure that is not defined is null."""
        rows = [
            {
                "group": row.group,
                "measure": row.measure,
                "values": [None if math.isnan(v) else v for v in row.values],
                "items": row.items,
            }
            for row in self.rows
        ]
        return {"columns": list(self.columns), "rows": rows, "skipped": dict(self.skipped)}

    def markdown(self) -> str:
        """Return it as a table: figures, and in brackets their change against the first column."""
        head = ["", *self.columns, "items"]
        lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        for group in dict.fromkeys(row.group for row in self.rows):
            lines.append(f"| **{group}** |{' |' * (len(head) - 1)}")
            for row in self.rows:
                if row.group == group:
                    shown = [_shown(v, row.values[0], i) for i, v in enumerate(row.values)]
                    lines.append(f"| {row.measure} | {' | '.join(shown)} | {row.items} |")
        lines += [f"\nNot measured: {name}: {why}" for name, why in self.skipped.items()]
        return "\n".join(lines) + "\n"


def report_words(questions: BiasQuestions, subspace: BiasSubspace | None = None) -> list[str]:
    """List the words that a report asks for, to be encoded.

    Args:
        questions: What is measured.
        subspace: Its defining words are listed too.

    Returns:
        Words, each once.

    Raises:
        DataError: Data cannot be fetched.
    """
    from vecsmith.data.samples import load_word_similarity

    words = [*questions.neutral, *questions.ratings]
    words += [word for members in questions.sets for word in members]
    for test in questions.tests:
        words += [*test.first_target, *test.second_target]
        words += [*test.first_attribute, *test.second_attribute]
    for name in questions.similarity:
        rows = load_word_similarity(name)[:]
        words += [*rows["text_a"], *rows["text_b"]]
    words += [] if subspace is None else sorted(subspace.words)
    return list(dict.fromkeys(words))


def bias_report(
    tables: WordVectors | Mapping[str, Table],
    subspace: BiasSubspace,
    questions: BiasQuestions | None = None,
    *,
    extra: Mapping[str, Callable[[str], float]] | None = None,
) -> BiasReport:
    """Measure quality and bias of one or several states of the same words.

    Args:
        tables: Word vectors, or name -> word vectors, the untouched first; with a subspace of
            their own where the treatment turned it (`SoftDebias.subspace_`).
        subspace: Of the untouched vectors.
        questions: What to measure; None asks about gender.
        extra: Name of a further quality measure -> function of a column's name.

    Returns:
        The report.

    Raises:
        ConfigError: No table, or tables of different words.
    """
    questions = BiasQuestions.gender() if questions is None else questions
    columns = {"vectors": tables} if isinstance(tables, WordVectors) else dict(tables)
    states = {
        name: (table, subspace) if isinstance(table, WordVectors) else table
        for name, table in columns.items()
    }
    if not states:
        raise ConfigError("tables must hold at least one table of word vectors; got none")
    words = [table.words for table, _ in states.values()]
    if any(other != words[0] for other in words):
        raise ConfigError("all tables must hold the same words in one order; take subset of each")
    report = _Report(states, questions)
    report.quality(extra or {})
    report.bias()
    return BiasReport(tuple(states), tuple(report.rows), report.skipped)


class _Report:
    """Rows as they are measured."""

    def __init__(
        self, states: dict[str, tuple[WordVectors, BiasSubspace]], questions: BiasQuestions
    ) -> None:
        self.states, self.questions = states, questions
        self.first, self.subspace = next(iter(states.values()))
        self.rows: list[ReportRow] = []
        self.skipped: dict[str, str] = {}
        self.neutral = [word for word in questions.neutral if word in self.first]
        self.specific = questions.specific | self.subspace.words
        lost = len(questions.neutral) - len(self.neutral)
        self.counted = f"{len(self.neutral)} words" + (f", {lost} without vector" if lost else "")

    def add(
        self,
        group: str,
        measure: str,
        items: str,
        values: Callable[[WordVectors, BiasSubspace], float],
    ) -> None:
        try:
            found = tuple(values(*state) for state in self.states.values())
        except DataError as error:
            self.skipped[measure] = str(error)
            return
        self.rows.append(ReportRow(group, measure, found, items))

    def quality(self, extra: Mapping[str, Callable[[str], float]]) -> None:
        for name in self.questions.similarity:
            try:
                scores = [word_similarity(table, name) for table, _ in self.states.values()]
            except DataError as error:
                self.skipped[f"{name}, Spearman"] = str(error)
                continue
            items = f"{scores[0].pairs} pairs, {scores[0].missing} without vectors"
            values = tuple(score.spearman for score in scores)
            self.rows.append(ReportRow("quality", f"{name}, Spearman", values, items))
        for name in self.questions.analogies:
            try:
                found = [word_analogies(table, name) for table, _ in self.states.values()]
            except DataError as error:
                self.skipped[f"{name} analogies, accuracy"] = str(error)
                continue
            items = f"{found[0].questions} questions, {found[0].missing} without vectors"
            kinds = ("accuracy", "semantic", "syntactic")
            for kind in kinds[: 1 if math.isnan(found[0].semantic) else 3]:
                values = tuple(getattr(score, kind) for score in found)
                self.rows.append(ReportRow("quality", f"{name} analogies, {kind}", values, items))
        for name, measure in extra.items():
            values = tuple(float(measure(column)) for column in self.states)
            self.rows.append(ReportRow("quality", name, values, "given"))

    def bias(self) -> None:
        neutral = self.neutral
        self.add("bias", "direct bias", self.counted, lambda v, b: direct_bias(v, b, neutral))
        self.add(
            "bias",
            "direct bias, direction found anew",
            self.counted,
            lambda v, b: direct_bias(
                v, BiasSubspace.from_sets(v, self.subspace.sets, k=len(b.basis)), neutral
            ),
        )
        self._indirect()
        self._stereotypes()
        if self.questions.sets:
            self.add(
                "bias",
                "largest gap of cosines in a set",
                f"{len(self.questions.sets)} sets, {self.counted}",
                lambda v, b: equidistance_gap(v, self.questions.sets, neutral),
            )
        for test in self.questions.tests:
            self._association(test)
        self._sides()
        if self.questions.generated:
            self.add(
                "bias",
                "generated analogies, specific words on both sides",
                f"{self.questions.generated} pairs",
                lambda v, b: specific_share(
                    generate_analogies(v, self._ends(), topn=self.questions.generated),
                    self.specific,
                ),
            )

    def _ends(self) -> tuple[str, str]:
        named = [words for words in self.subspace.sets if set(words) == {"she", "he"}]
        words = (named or list(self.subspace.sets))[0]
        return words[0], words[-1]

    def _indirect(self) -> None:
        if len(self.neutral) < 3:
            self.skipped["indirect bias, median"] = "fewer than three neutral words have vectors"
            return
        table = self.first.vectors[self.first.ids(self.neutral)]
        own = np.arange(len(table))[:, None]
        _, found = nearest(table, table, 1, exclude=own)
        pairs = [(w, self.neutral[i]) for w, i in zip(self.neutral, found[:, 0], strict=True)]
        self.add(
            "bias",
            "indirect bias, median",
            f"{len(pairs)} words, each with its nearest",
            lambda v, b: float(np.nanmedian(np.abs(indirect_bias(v, b, pairs)))),
        )

    def _stereotypes(self) -> None:
        ratings = self.questions.ratings
        if ratings:
            known = sum(word in self.first for word in ratings)
            self.add(
                "bias",
                "coordinate against ratings, Spearman",
                f"{known} words, {len(ratings) - known} without vector",
                lambda v, b: stereotype_correlation(v, b, ratings).spearman,
            )

    def _association(self, test: AssociationTest) -> None:
        seed = self.questions.seed
        try:
            found = [association_test(v, test, seed=seed) for v, _ in self.states.values()]
        except DataError as error:
            self.skipped[f"{test.name}, effect"] = str(error)
            return
        counts = (*found[0].targets, *found[0].attributes)
        items = f"{'+'.join(map(str, counts))} words, {len(found[0].missing)} without vector"
        effects, shares = ([getattr(f, key) for f in found] for key in ("effect", "p"))
        self.rows.append(ReportRow("bias", f"{test.name}, effect", tuple(effects), items))
        self.rows.append(ReportRow("bias", f"{test.name}, p", tuple(shares), items))

    def _sides(self) -> None:
        if not self.questions.residual:
            return
        lower = {word.lower() for word in self.specific}
        words = [word for word in self.first.words if word.lower() not in lower]
        count = min(self.questions.residual, len(words) // 4)
        names = ("old side told by a classifier", "old side told by clusters")
        if count < 10:
            self.skipped.update(dict.fromkeys(names, "fewer than 40 words are not specific"))
            return
        first, second = most_biased(self.first, self.subspace, words, count)
        found = [
            residual_bias(v, first, second, seed=self.questions.seed)
            for v, _ in self.states.values()
        ]
        items = f"{count} words a side"
        for name, values in zip(names, zip(*[f[:2] for f in found], strict=True), strict=True):
            self.rows.append(ReportRow("bias", name, tuple(values), items))


def _shown(value: float, first: float, place: int) -> str:
    if math.isnan(value):
        return "–"
    text = f"{value:.4f}" if abs(value) >= 1e-4 or value == 0 else f"{value:.1e}"
    if place == 0 or math.isnan(first):
        return text
    return f"{text} ({value - first:+.4f})"
