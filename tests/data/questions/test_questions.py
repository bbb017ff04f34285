"""Questions from annotations and kinds: right by construction, no leaks, clear errors."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.data.questions import (
    ANSWERS,
    ReadingQuestion,
    annotation_questions,
    kind_questions,
)
from vecsmith.data.samples._hpo_annotations import annotated_frequency

NAMES = {f"d{i}": f"disease {i}" for i in range(6)} | {f"s{i}": f"sign {i}" for i in range(12)}
BRANCHES = {f"s{i}": frozenset({"heart" if i < 6 else "skin"}) for i in range(12)}
ROWS = [
    (f"d{i}", f"s{j}", [0.9, 0.1, 0.5, None][(i + j) % 4])
    for i in range(6)
    for j in range(12)
    if (i * j) % 5 < 3
]


def rng():
    return np.random.default_rng(0)


def test_answers_are_what_was_counted():
    known = {(d, s): f for d, s, f in ROWS}
    made = annotation_questions(ROWS, NAMES, BRANCHES, size=30, rng=rng())
    counts = [sum(q.label == answer for q in made) for answer in ANSWERS]
    assert len(set(counts)) == 1
    assert counts[0] > 2
    for q in made:
        disease, sign = q.facts
        assert q.question == f"Is {NAMES[sign]} seen in {NAMES[disease]}?"
        if q.label == "no":
            assert (disease, sign) not in known
            siblings = {s for d, s, _ in ROWS if d == disease}
            assert BRANCHES[sign] & frozenset().union(*(BRANCHES[s] for s in siblings))
        else:
            assert (known[disease, sign] >= 0.8) == (q.label == "yes")
            assert known[disease, sign] != 0.5
    assert len({q.facts for q in made}) == len(made)
    again = annotation_questions(ROWS, NAMES, BRANCHES, size=30, rng=rng())
    assert again == made


def test_known_pairs_are_no_no():
    every = [(f"d{i}", f"s{j}") for i in range(6) for j in range(12) if j != 3]
    made = annotation_questions(ROWS, NAMES, BRANCHES, known=every, size=6, rng=rng())
    assert {q.facts[1] for q in made if q.label == "no"} == {"s3"}
    with pytest.raises(DataError, match="each answer"):
        full = [*every, *((f"d{i}", "s3") for i in range(6))]
        annotation_questions(ROWS, NAMES, BRANCHES, known=full, rng=rng())
    with pytest.raises(ConfigError, match="seldom"):
        annotation_questions(ROWS, NAMES, BRANCHES, seldom=0.9, often=0.5, rng=rng())


def test_borders_of_often_and_seldom():
    parts = {"s0": 0.8, "s1": 0.79, "s2": 0.3, "s3": 0.29, "s4": 0.0}
    rows = [(f"d{i}", sign, part) for i in range(4) for sign, part in parts.items()]
    rows += [("d4" if j < 8 else "d5", f"s{j}", None) for j in range(5, 12)]
    made = annotation_questions(rows, NAMES, BRANCHES, size=300, rng=rng())
    assert {q.facts[1] for q in made if q.label == "yes"} == {"s0"}
    assert {q.facts[1] for q in made if q.label == "maybe"} == {"s3"}
    few = annotation_questions(rows, NAMES, BRANCHES, size=7, rng=rng())
    assert len(few) == 6
    # shuffled, and each "no" of any sign of the branch
    labels = [q.label for q in made]
    assert labels != sorted(labels, key=ANSWERS.index)
    assert len({q.facts[1] for q in made if q.label == "no"}) > 1


def test_sources_that_disagree_are_averaged():
    rows = [*ROWS, *((d, s, 0.1) for d, s, f in ROWS if f == 0.9)]
    with pytest.raises(DataError, match="'yes': 0"):
        annotation_questions(rows, NAMES, BRANCHES, rng=rng())


def test_definitions_are_read_with_the_question():
    made = annotation_questions(
        ROWS, NAMES, BRANCHES, definitions={"s1": "of one"}, size=30, rng=rng()
    )
    contexts = {q.facts[1]: q.context for q in made}
    assert all(text == ("of one" if s == "s1" else NAMES[s]) for s, text in contexts.items())


def test_one_listed_term_is_of_the_kind():
    ancestors = {f"s{i}": frozenset({"even" if i % 2 == 0 else "odd", "root"}) for i in range(12)}
    asked = {f"s{i}": ["even" if i % 2 == 0 else "odd"] for i in range(0, 12)}
    names = NAMES | {"even": "even sign", "odd": "odd sign"}
    made = kind_questions(
        [f"s{i}" for i in range(12)],
        names,
        ancestors,
        asked=asked,
        definitions={"s2": "two three four"},
        listed=4,
        words=2,
        rng=rng(),
    )
    assert len(made) == 12
    backwards = {names[s]: s for s in ancestors}
    for q in made:
        term, kind = q.facts
        assert q.answers == (names[term],)
        assert q.context[q.start :].startswith(names[term])
        listed = [part.split(":")[0].strip() for part in q.context.rstrip(".").split(". ")]
        assert len(listed) == 4
        assert [n for n in listed if kind in ancestors[backwards[n]]] == [names[term]]
    assert any("sign 2: two three." in q.context for q in made)
    assert len({q.start > 0 for q in made}) == 2
    with pytest.raises(DataError, match="list fewer"):
        kind_questions(["s0", "s2"], names, ancestors, asked=asked, definitions={}, rng=rng())


def test_answers_must_stand_in_their_context():
    item = ReadingQuestion("why?", "болит голова", ("голова",))
    assert item.span == (6, 12)
    assert ReadingQuestion("why?", "a b a", ("a",), start=4).span == (4, 5)
    assert ReadingQuestion("why?", "a").span is None
    with pytest.raises(DataError, match="stand in the context"):
        ReadingQuestion("why?", "a b", ("c",))
    with pytest.raises(DataError, match="at character 1"):
        ReadingQuestion("why?", "a b", ("a",), start=1)
    with pytest.raises(DataError, match="context is None"):
        ReadingQuestion("why?", answers=("c",))
    with pytest.raises(DataError, match="words"):
        ReadingQuestion(" ")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("HP:0040281", 0.895),
        ("3/7", 3 / 7),
        ("7 / 7", 1.0),
        ("0/0", None),
        ("12.5%", 0.125),
        ("", None),
        ("often", None),
    ],
)
def test_frequencies_are_read(text, part):
    assert annotated_frequency(text) == part


def test_annotations_of_the_package():
    from vecsmith.data.samples import load_hpo_annotations, load_hpo_genes

    rows = load_hpo_annotations()
    assert len(rows) > 250_000
    first = rows[0]
    assert first["disease"] == "OMIM:619340"
    assert (first["phenotype"], first["frequency"]) == ("HP:0011097", 0.5)
    parts = [f for f in rows["frequency"][:] if f is not None]
    assert 0 <= min(parts) <= max(parts) <= 1
    genes = load_hpo_genes()
    assert genes[0] == {"gene": "NAT2", "phenotype": "HP:0000007", "disease": "OMIM:243400"}
