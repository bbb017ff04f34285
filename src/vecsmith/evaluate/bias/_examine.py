"""From a file of word vectors, or the name of a model, to a report of its bias and a treated copy.

What `bias_report` and the methods of `vecsmith.reshape` do piece by piece, in one call: find the
subspace of the defining sets, measure, treat if asked, and measure again in the same table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.words import WordVectors, vectors_of_words
from vecsmith.reshape.debias import BiasSubspace, HardDebias, SoftDebias, debias_encoder

from ._report import BiasQuestions, BiasReport, Table, bias_report, report_words

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

METHODS = ("none", "hard", "soft")
TEMPLATES = ("This is the {}.", "That is the {}.", "Here is the {}.")
_SUFFIXES = (".bin", ".txt", ".vec", ".gz")


@dataclass(frozen=True)
class BiasConcept:
    """What kind of bias is meant.

    Attributes:
        sets: Defining sets, such as ("she", "he"); members of each in the same order of groups.
        neutral: Words that should not lean to any group.
        directions: Dimensions of the subspace.
    """

    sets: tuple[tuple[str, ...], ...]
    neutral: tuple[str, ...]
    directions: int = 1

    @classmethod
    def read(cls, sets: str | Path, neutral: str | Path, *, directions: int = 1) -> "BiasConcept":
        """Read the words from files.

        Args:
            sets: One set a line, words set apart by spaces.
            neutral: Words, set apart by spaces or lines.
            directions: Dimensions of the subspace.

        Returns:
            The concept.

        Raises:
            DataError: A file is missing, empty or no text, or a set has fewer than two words.
        """
        lines = [tuple(line.split()) for line in _text(sets).splitlines() if line.strip()]
        for line in lines:
            if len(set(line)) < 2:
                raise DataError(
                    f"{str(sets)!r} must hold sets of two words or more, one a line; got "
                    f"{' '.join(line)!r}"
                )
        return cls(tuple(lines), tuple(dict.fromkeys(_text(neutral).split())), directions)


@dataclass(frozen=True)
class Examined:
    """What was found.

    Attributes:
        report: Quality and bias; a second column after treatment.
        subspace: What was measured along, before treatment.
        result: The treated vectors or model; what was given where no treatment was asked for.
    """

    report: BiasReport
    subspace: BiasSubspace
    result: Union[WordVectors, "SentenceTransformer"]


def examine_bias(
    source: str | Path,
    concept: BiasConcept | None = None,
    *,
    method: str = "none",
    strength: float = 1.0,
    limit: int | None = None,
    templates: Sequence[str] = TEMPLATES,
    questions: BiasQuestions | None = None,
) -> Examined:
    """Measure quality and bias of word vectors or of a sentence encoder, and treat it if asked.

    Args:
        source: File or folder of word vectors; or folder or hub id of a sentence encoder, which
            gets words in sentences.
        concept: None means gender, by the lists of T. Bolukbasi and others (2016).
        method: "none", "hard" (for encoders a projection behind the pooling), or "soft" (word
            vectors alone).
        strength: Weight of the bias in soft debiasing, on the relative scale.
        limit: Read so many words from the top of a file.
        templates: Sentences for encoders, with "{}" for the word.
        questions: What to measure; None goes by the concept.

    Returns:
        Report, subspace and what came out.

    Raises:
        ConfigError: Unknown method, or one that does not fit the source.
        DataError: No such vectors, or no defining set has vectors.
        ModelError: No such model.
    """
    if method not in METHODS:
        raise ConfigError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    questions = _questions(concept) if questions is None else questions
    if _holds_words(Path(source)):
        vectors = WordVectors.load(source, limit=limit)
        return _examine_words(vectors, concept, questions, (method, strength))
    if method == "soft":
        raise ConfigError(
            "method 'soft' works on word vectors; for a sentence encoder take 'hard', which adds "
            "a projection behind its pooling"
        )
    return _examine_encoder(str(source), concept, questions, (method, tuple(templates)))


def _examine_words(
    vectors: WordVectors,
    concept: BiasConcept | None,
    questions: BiasQuestions,
    treatment: tuple[str, float],
) -> Examined:
    method, strength = treatment
    subspace = _subspace(vectors, concept)
    tables: dict[str, Table] = {"before": vectors}
    result = vectors
    if method == "hard":
        hard = HardDebias(subspace) if concept is None else _hard(subspace, concept)
        tables[method] = result = hard.transform(vectors)
    elif method == "soft":
        specific = "gender" if concept is None else sorted(subspace.words)
        soft = SoftDebias(subspace, lam=strength, scale="relative", specific=specific)
        result = soft.fit_transform(vectors)
        tables[method] = (result, soft.subspace_)
    return Examined(bias_report(tables, subspace, questions), subspace, result)


def _examine_encoder(
    source: str,
    concept: BiasConcept | None,
    questions: BiasQuestions,
    treatment: tuple[str, tuple[str, ...]],
) -> Examined:
    from dataclasses import replace

    from vecsmith.encode.text import load_sentence_transformer

    method, templates = treatment
    # an encoder has no vocabulary to search for analogies or for the most biased words
    questions = replace(questions, analogies=(), generated=0, residual=0)
    model = load_sentence_transformer(source)
    words = [*report_words(questions), *(word for words in _sets(concept) for word in words)]
    before = vectors_of_words(model.encode, words, templates=templates, name=source)
    subspace = _subspace(before, concept)
    tables: dict[str, Table] = {"before": before}
    result = model
    if method == "hard":
        result = debias_encoder(model, subspace)
        tables[method] = vectors_of_words(result.encode, words, templates=templates, name=source)
    return Examined(bias_report(tables, subspace, questions), subspace, result)


def _sets(concept: BiasConcept | None) -> Sequence[Sequence[str]]:
    if concept is not None:
        return concept.sets
    from vecsmith.data.samples import load_gender_lists

    return load_gender_lists().definitional_pairs


def _subspace(vectors: WordVectors, concept: BiasConcept | None) -> BiasSubspace:
    if concept is None:
        return BiasSubspace.from_pairs(vectors, "gender")
    return BiasSubspace.from_sets(vectors, concept.sets, k=concept.directions)


def _hard(subspace: BiasSubspace, concept: BiasConcept) -> HardDebias:
    words = sorted({word for words in concept.sets for word in words})
    return HardDebias(subspace, specific=words, equalize=concept.sets)


def _questions(concept: BiasConcept | None) -> BiasQuestions:
    if concept is None:
        return BiasQuestions.gender()
    specific = frozenset(word for words in concept.sets for word in words)
    neutral = tuple(word for word in concept.neutral if word not in specific)
    if not neutral:
        raise DataError("neutral must hold words that are in no defining set; got none")
    return BiasQuestions(neutral=neutral, sets=concept.sets, specific=specific)


def _holds_words(path: Path) -> bool:
    if path.is_dir():
        return (path / "word_vectors.json").is_file()
    # a name that ends as word vectors do is told as missing vectors, not as a missing model
    return path.is_file() or path.suffix in _SUFFIXES


def _text(path: str | Path) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{str(path)!r} must be a text file of words ({error})") from error
    if not text.strip():
        raise DataError(f"{str(path)!r} must hold words but is empty")
    return text
