"""Gain ratios, random vectors, shared vocabulary, comparison; tasks that look vectors up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.words import WordVectors
from vecsmith.evaluate.words import (
    AnalogyTask,
    ChoiceQuestion,
    ChoiceTask,
    SimilarityTask,
    TaskScore,
    WordTask,
    compare_word_vectors,
    make_choice_questions,
    performance_gain_ratio,
    random_vectors,
    read_choice_questions,
    share_vocabulary,
    word_similarity,
)

WORDS = ["a", "b", "c", "d", "e"]
PAIRS = [("a", "b", 9.0), ("a", "c", 4.0), ("B", "d", 1.0), ("c", "d", 5.0), ("a", "zz", 3.0)]


def table(words=WORDS, dims=4, seed=0):
    return WordVectors(words, np.random.default_rng(seed).normal(size=(len(words), dims)))


def test_gain_ratio_by_hand():
    found = performance_gain_ratio({"x": 0.5, "y": 0.3, "z": 0.1}, 0.2)
    assert found == pytest.approx({"x": 1.0, "y": 1 / 3, "z": -1 / 3})
    assert performance_gain_ratio({"x": 0.5}, 0.25, best=0.75) == {"x": 0.5}
    assert np.isnan(performance_gain_ratio({"x": 0.2, "y": 0.1}, 0.2)["y"])
    for bad in ({}, {"x": float("nan")}):
        with pytest.raises(ConfigError, match="finite"):
            performance_gain_ratio(bad, 0.2)
    with pytest.raises(ConfigError, match="random=inf"):
        performance_gain_ratio({"x": 1.0}, float("inf"))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6), st.floats(0.1, 9), st.floats(-5, 5))
def test_gain_ratio_knows_neither_unit_nor_zero(scores, scale, shift):
    rows = {str(i): s for i, s in enumerate(scores)}
    moved = {name: scale * s + shift for name, s in rows.items()}
    random = min(scores) - 1.0
    one = performance_gain_ratio(rows, random)
    two = performance_gain_ratio(moved, scale * random + shift)
    assert one == pytest.approx(two) and max(one.values()) == pytest.approx(1.0)


def test_random_vectors_have_the_shape_and_spread():
    vectors = WordVectors(
        [str(i) for i in range(500)], np.random.default_rng(0).normal(0, 3, (500, 20))
    )
    found = random_vectors(vectors, 1)
    assert found.words == vectors.words and found.vectors.shape == (500, 20)
    assert found.vectors.std() == pytest.approx(vectors.vectors.std(), rel=0.05)
    np.testing.assert_array_equal(found.vectors, random_vectors(vectors, 1).vectors)
    assert not np.array_equal(found.vectors, random_vectors(vectors, 2).vectors)
    assert random_vectors(WordVectors(["a"], [[0.0]])).vectors.any()


def test_shared_vocabulary_keeps_the_first_order():
    one, two = table(["c", "a", "b"]), table(["b", "x", "c"], dims=2)
    first, second = share_vocabulary([one, two])
    assert first.words == second.words == ["c", "b"]
    np.testing.assert_array_equal(second["b"], two["b"])
    np.testing.assert_array_equal(first["c"], one["c"])
    assert share_vocabulary([one])[0] is one
    with pytest.raises(DataError, match="share no word"):
        share_vocabulary([one, table(["x"])])
    with pytest.raises(DataError, match="at least one table"):
        share_vocabulary([])


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_similarity_task(metric):
    score = SimilarityTask(PAIRS, metric=metric, name="mine").score(table())
    expected = word_similarity(table(), PAIRS, fold_case=True)
    assert score.value == getattr(expected, metric) and score.task == "mine"
    assert (score.items, score.covered) == (4, 0.8)
    assert score.details == {"pearson": expected.pearson, "spearman": expected.spearman}
    assert "4 items, 80% covered" in str(score)
    with pytest.raises(ConfigError, match="metric"):
        SimilarityTask(PAIRS, metric="kendall")


def test_analogy_parts():
    rows = [[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1], [-1, -1, 0.1]]
    vectors = WordVectors(["man", "king", "woman", "queen", "tree"], rows)
    data = [
        ("royal", "man", "king", "woman", "queen"),
        ("gram1", "man", "king", "woman", "tree"),
        ("gram1", "Woman", "queen", "man", "king"),
        ("gram1", "nothing", "queen", "man", "king"),
    ]
    found = {part: AnalogyTask(part, data).score(vectors) for part in ("semantic", "syntactic")}
    assert (found["semantic"].value, found["semantic"].covered) == (1.0, 1.0)
    assert (found["syntactic"].value, found["syntactic"].covered) == (0.5, 2 / 3)
    assert AnalogyTask("all", data).run(vectors) == pytest.approx(2 / 3)
    assert [AnalogyTask(p).name for p in ("semantic", "syntactic", "all")] == [
        "sem",
        "syn",
        "analogies",
    ]
    with pytest.raises(DataError, match="no syntactic question"):
        AnalogyTask("syntactic", data[:1]).score(vectors)
    with pytest.raises(ConfigError, match="part"):
        AnalogyTask("both")


def test_choices_by_cosine():
    rows = [[1, 0], [5, 1], [0, 9], [-1, 0], [0, 0], [10, 2]]
    vectors = WordVectors(["w", "near", "far", "back", "zero", "twin"], rows)
    questions = [
        ChoiceQuestion("w", "near", ("far", "back", "zero")),
        # length must not count: far is longer
        ChoiceQuestion("W", "far", ("near", "back")),
        ChoiceQuestion("w", "near", ("twin", "far")),
        ChoiceQuestion("w", "near", ("unknown", "far")),
    ]
    score = ChoiceTask(questions).score(vectors)
    assert score.value == pytest.approx((1 + 0 + 0.5) / 3)
    assert (score.items, score.covered, score.metric) == (3, 0.75, "accuracy")
    # vectors that tell nothing apart are as good as chance
    flat = WordVectors(vectors.words, np.ones((6, 2)))
    assert ChoiceTask(questions[:1]).run(flat) == 0.25
    with pytest.raises(DataError, match="none of the 1 questions"):
        ChoiceTask(questions[3:]).score(vectors)
    for bad in ([], [ChoiceQuestion("w", "near", ())]):
        with pytest.raises(DataError, match="wrong choice"):
            ChoiceTask(bad)


def test_made_questions_are_fair():
    rng = np.random.default_rng(0)
    words = [f"{chr(97 + i % 26)}{chr(97 + i // 26)}word{i}" for i in range(400)]
    counts = {word: int(1e6 / (i + 1)) for i, word in enumerate(words)}
    synonyms = {w: [words[int(rng.integers(400))], "unknown"] for w in words}
    related = {w: [words[(i + 1) % 400], words[(i + 2) % 400]] for i, w in enumerate(words)}
    questions = make_choice_questions(synonyms, counts, 100, related=related, seed=3)
    assert len(questions) == 100 and len({q.word for q in questions}) == 100
    place = {word: i for i, word in enumerate(words)}
    for q in questions:
        assert q.answer in synonyms[q.word] and q.answer != q.word
        assert len(set(q.wrong)) == 3 and not {q.word, q.answer} & set(q.wrong)
        for wrong in q.wrong:
            assert abs(place[wrong] - place[q.answer]) <= 40
            for one, two in ((wrong, q.word), (wrong, q.answer)):
                assert two not in synonyms[one] + related[one]
                assert one not in synonyms[two] + related[two]
    assert questions == make_choice_questions(synonyms, counts, 100, related=related, seed=3)
    assert questions != make_choice_questions(synonyms, counts, 100, related=related, seed=4)
    # frequency alone is worth no more than chance
    by_count = [max((q.answer, *q.wrong), key=counts.get) == q.answer for q in questions]
    assert 0.1 < np.mean(by_count) < 0.4


def test_made_questions_leave_forms_of_one_word_out():
    counts = dict.fromkeys(["happy", "happily", "glad", "x1", "x2", "x3", "x4"], 5)
    synonyms = {"happy": ["happily"], "x1": ["x9"], "x2": ["x9"], "x3": ["x9"], "glad": ["x9"]}
    with pytest.raises(DataError, match="none gives a question"):
        make_choice_questions(synonyms, counts)
    synonyms["happy"] = ["glad"]
    (question,) = make_choice_questions(synonyms, counts)
    assert question.answer == "glad" and set(question.wrong) == {"x1", "x2", "x3"}
    for bad in ({"number": 0}, {"choices": 1}):
        with pytest.raises(ConfigError, match="at least"):
            make_choice_questions(synonyms, counts, **bad)


def test_questions_from_a_file(tmp_path):
    path = tmp_path / "questions.tsv"
    path.write_text("# mine\nbig\tlarge\tred\tslow\n\nfast\tquick\tblue\n")
    assert read_choice_questions(path) == [
        ChoiceQuestion("big", "large", ("red", "slow")),
        ChoiceQuestion("fast", "quick", ("blue",)),
    ]
    for text, words in [
        ("big\tlarge\n", "line 1"),
        ("a\tb\t\n", "line 1"),
        ("# x\n", "no question"),
    ]:
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            read_choice_questions(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_choice_questions(tmp_path / "none")


class Length(WordTask):
    """Mean length of vectors."""

    name, metric = "length", "mean"

    def score(self, vectors):
        value = float(np.linalg.norm(vectors.vectors, axis=1).mean())
        return TaskScore(self.name, self.metric, value, len(vectors), 1.0)


def test_comparison_shares_words_and_scales_by_random():
    one, two = table(["a", "b", "x"], 4), table(["y", "b", "a"], 9, seed=1)
    found = compare_word_vectors({"one": one, "two": two}, [Length()], seed=5)
    assert found.words == 2
    cut = {"one": one.subset(["a", "b"]), "two": two.subset(["a", "b"])}
    value = {n: Length().run(v) for n, v in cut.items()}
    chance = {n: Length().run(random_vectors(v, 5)) for n, v in cut.items()}
    top = max(value.values())
    for name in cut:
        assert found.scores["length"][name].value == value[name]
        assert found.random["length"][name] == chance[name]
        expected = (
            (value[name] - chance[name]) / (top - chance[name]) if top > chance[name] else np.nan
        )
        assert found.gains["length"][name] == pytest.approx(expected, nan_ok=True)
    text = found.table()
    assert "| one | two |" in text and "2 shared words" in text
    again = compare_word_vectors({"one": one, "two": two}, {"other name": Length()}, seed=5)
    assert list(again.scores) == ["other name"]
    mean = compare_word_vectors({"one": one}, [Length()], seed=5, draws=3).random["length"]["one"]
    each = [Length().run(random_vectors(one, 5 + i)) for i in range(3)]
    assert mean == pytest.approx(np.mean(each))
    with pytest.raises(ConfigError, match="draws=0"):
        compare_word_vectors({"one": one}, [Length()], draws=0)
    for bad in (({}, [Length()]), ({"one": one}, [])):
        with pytest.raises(ConfigError, match="tables and tasks"):
            compare_word_vectors(*bad)
