"""Tasks that train: means, networks, taggers; splits, files, spans, decoding."""

import itertools

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.words import WordVectors
from vecsmith.evaluate.words import (
    STUDY_TASKS,
    CNNTask,
    EntityTask,
    LabelledTexts,
    MeanVectorTask,
    TaggedTexts,
    TaggerTraining,
    WordClassTask,
    brown_classes,
    brown_names,
    entity_f1,
    gloss_texts,
    mean_vectors,
    random_vectors,
    read_tagged,
    split_tagged,
    split_texts,
    study_tasks,
    thesaurus_questions,
)
from vecsmith.evaluate.words._name_task import _features, best_tags, scaled_table
from vecsmith.evaluate.words._tagged import as_bio, spans, word_windows
from vecsmith.evaluate.words._text_tasks import classification_score, kept_words, scale_to
from vecsmith.train.classify import ClassifierTraining

COLOURS = "red green blue white black brown".split()
BEASTS = "cat dog cow horse pig hen".split()
FILLERS = "the a of and some to".split()


def clustered(noise=0.3, dims=8, seed=0):
    """Vectors in which colours and beasts lie apart."""
    rng = np.random.default_rng(seed)
    words = [*COLOURS, *BEASTS, *FILLERS]
    centres = rng.normal(size=(3, dims))
    table = np.repeat(centres, 6, axis=0) + noise * rng.normal(size=(18, dims))
    return WordVectors(words, table)


def texts(number, words_of, seed):
    """Texts whose label is the kind of their one word with a meaning."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for _ in range(number):
        kind = int(rng.integers(2))
        some = [*rng.choice(FILLERS, 3), rng.choice(words_of[kind])]
        rows.append(" ".join(rng.permutation(some)))
        labels.append(("colour", "beast")[kind])
    return rows, labels


def data():
    """The words of the test are not those of training: only the vectors help."""
    seen, unseen = (COLOURS[:4], BEASTS[:4]), (COLOURS[4:], BEASTS[4:])
    return LabelledTexts(texts(60, seen, 0), texts(30, seen, 1), texts(60, unseen, 2))


def test_means_by_a_loop():
    vectors = clustered()
    rows = ["The red cat!", ["red", "zz"], "", "zz"]
    found, covered = mean_vectors(vectors, rows)
    expected = [vectors[["the", "red", "cat"]].mean(0), vectors["red"], np.zeros(8), np.zeros(8)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert covered == 4 / 6
    assert mean_vectors(vectors, [""])[1] == 0.0


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_mean_task_finds_what_the_vectors_hold(metric):
    task = MeanVectorTask(data(), metric=metric)
    score = task.score(clustered())
    assert score.value > 0.95 and score.items == 60 and score.covered == 1.0
    assert score.details["strength"] in task.strengths
    # the words of the test are unknown to random vectors
    chance = np.mean([task.run(random_vectors(clustered(), seed)) for seed in range(5)])
    assert 0.25 < chance < 0.8
    # neither scale nor a common vector matters
    moved = WordVectors(clustered().words, 100 * clustered().vectors + 3)
    assert task.run(moved) == pytest.approx(score.value, abs=0.04)
    assert task.run(clustered()) == score.value


def test_scores_of_labels():
    from sklearn.metrics import f1_score

    true, found = list("aabbcc"), list("aabbba")
    assert classification_score("accuracy", true, found) == pytest.approx(4 / 6)
    expected = f1_score(true, found, average="macro", zero_division=0)
    assert classification_score("macro_f1", true, found) == pytest.approx(expected)
    for make in (MeanVectorTask, CNNTask):
        with pytest.raises(ConfigError, match="metric"):
            make(data(), metric="auc")
    with pytest.raises(ConfigError, match="strengths"):
        MeanVectorTask(data(), strengths=())
    with pytest.raises(ConfigError, match="seeds"):
        CNNTask(data(), seeds=0)


def test_cnn_task_starts_from_the_vectors():
    import torch

    how = ClassifierTraining(epochs=6, batch_size=16, lr=0.01)
    task = CNNTask(data(), training=how, shape={"hidden": 16, "width": 3}, seeds=2)
    before = torch.get_rng_state()
    score = task.score(clustered())
    assert torch.equal(before, torch.get_rng_state())
    assert score.value > 0.9 and set(score.details) == {"seed 0", "seed 1"}
    assert score.value == pytest.approx(np.mean(list(score.details.values())))
    assert task.run(clustered()) == score.value
    # scaled to one spread, a table of other scale is the same table
    scaled = clustered().with_vectors(clustered().vectors * 50, step="x")
    assert task.run(scaled) == pytest.approx(score.value, abs=0.02)
    assert task.run(random_vectors(clustered())) < score.value


def test_scaling_and_keeping_words():
    vectors = clustered()
    assert scale_to(vectors, 0.3).vectors.std() == pytest.approx(0.3)
    assert scale_to(vectors, None) is vectors
    flat = WordVectors(["a"], [[0.0, 0.0]])
    assert scale_to(flat, 0.3) is flat
    assert kept_words(vectors, ["Cat", "red", "zz"]).words == ["red", "cat"]
    with pytest.raises(DataError, match="no word of the task"):
        kept_words(vectors, ["zz"])
    table = scaled_table(vectors, 0.3)
    assert not table[0].any() and table[1:].std() == pytest.approx(0.3)


def test_texts_are_split_label_by_label():
    rows = [str(i) for i in range(100)]
    labels = ["x" if i % 5 else "y" for i in range(100)]
    found = split_texts(rows, labels, shares=(0.2, 0.3), seed=1)
    parts = (found.train, found.development, found.test)
    assert sorted(t for part in parts for t in part[0]) == sorted(rows)
    assert [len(p[0]) for p in parts] == [50, 20, 30]
    assert [p[1].count("y") for p in parts] == [10, 4, 6] and found.labels == ["x", "y"]
    assert all(labels[int(t)] == y for p in parts for t, y in zip(*p, strict=True))
    assert found == split_texts(rows, labels, shares=(0.2, 0.3), seed=1)
    assert found != split_texts(rows, labels, shares=(0.2, 0.3), seed=2)
    groups = [i // 10 for i in range(100)]
    found = split_texts(rows, labels, groups=groups)
    kept = [{int(t) // 10 for t in p[0]} for p in (found.train, found.development, found.test)]
    assert not (kept[0] & kept[1] or kept[0] & kept[2] or kept[1] & kept[2])
    with pytest.raises(ConfigError, match="shares"):
        split_texts(rows, labels, shares=(0.5, 0.5))
    with pytest.raises(DataError, match="100 texts and 2 labels"):
        split_texts(rows, ["x", "y"])


def test_bad_labelled_texts():
    good = (["a", "b"], ["x", "y"])
    with pytest.raises(DataError, match="development must hold"):
        LabelledTexts(good, ([], []), good)
    with pytest.raises(DataError, match="'z' does not"):
        LabelledTexts(good, good, (["a"], ["z"]))
    with pytest.raises(DataError, match="two labels"):
        LabelledTexts(*[(["a"], ["x"])] * 3)
    with pytest.raises(DataError, match="train must hold"):
        LabelledTexts((["a"], ["x", "y"]), good, good)


def sentences(number, words_of, seed):
    rng = np.random.default_rng(seed)
    words, tags = [], []
    for _ in range(number):
        kinds = rng.integers(3, size=5)
        pools = (words_of[0], words_of[1], FILLERS)
        words.append([str(rng.choice(pools[k])) for k in kinds])
        tags.append([("adj", "noun", "det")[k] for k in kinds])
    return words, tags


def classes():
    seen, unseen = (COLOURS[:4], BEASTS[:4]), (COLOURS[4:], BEASTS[4:])
    return TaggedTexts(sentences(80, seen, 0), sentences(30, seen, 1), sentences(60, unseen, 2))


def test_word_classes_of_unseen_words():
    import torch

    how = TaggerTraining(epochs=6, batch_size=32, lr=0.01)
    task = WordClassTask(classes(), hidden=16, training=how)
    before = torch.get_rng_state()
    score = task.score(clustered())
    assert torch.equal(before, torch.get_rng_state())
    assert score.value > 0.95 and score.details["development"] > 0.95 and score.items == 300
    assert task.run(clustered()) == score.value
    assert task.run(random_vectors(clustered())) < score.value - 0.05
    # words without a vector are one unknown word, and count
    part = clustered().subset([w for w in clustered().words if w not in COLOURS[4:]])
    lacking = task.score(part)
    assert lacking.items == 300 and lacking.covered < score.covered == 1.0
    with pytest.raises(ConfigError, match="window must be odd"):
        WordClassTask(classes(), window=4)
    for bad in ({"epochs": 0}, {"batch_size": 0}, {"lr": 0.0}, {"patience": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            TaggerTraining(**bad)


def test_windows_by_a_loop():
    vectors = WordVectors(["a", "b", "c"], np.eye(3))
    rows = [["a", "B", "zz"], [], ["c"], ["b", "a"]]
    found = word_windows(vectors, rows, 2)
    expected = []
    for row in rows:
        ids = vectors.ids([w.lower() for w in row], unknown="mark").tolist()
        padded = [-2, -2, *ids, -2, -2]
        expected += [padded[i : i + 5] for i in range(len(row))]
    np.testing.assert_array_equal(found, expected)


def names(number, kinds, seed):
    """Names of one or two words after "mr", of which the tagger knows the words or not."""
    rng = np.random.default_rng(seed)
    words, tags = [], []
    for _ in range(number):
        size = int(rng.integers(1, 3))
        row = [*rng.choice(FILLERS, 2), *rng.choice(kinds, size), *rng.choice(FILLERS, 2)]
        words.append([str(w) for w in row])
        tags.append(["O", "O", "B-X", *["I-X"] * (size - 1), "O", "O"])
    return words, tags


def test_names_with_vectors_as_features():
    data = TaggedTexts(
        names(60, COLOURS[:4], 0), names(20, COLOURS[:4], 1), names(60, COLOURS[4:], 2)
    )
    task = EntityTask(data, training=TaggerTraining(epochs=8, batch_size=32, lr=0.02))
    score = task.score(clustered())
    assert score.value > 0.9 and score.items == 60 and score.metric == "f1"
    assert task.run(clustered()) == score.value
    assert task.run(random_vectors(clustered())) < score.value
    # the scale of a table is taken out
    times = clustered().with_vectors(clustered().vectors * 50, step="x")
    assert task.run(times) == pytest.approx(score.value, abs=0.02)
    for bad in ({"scale": 0.0}, {"minimum": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            EntityTask(data, **bad)
    with pytest.raises(DataError, match="hold no name"):
        EntityTask(classes())


def test_features_name_words_shapes_and_endings():
    (first, second) = _features([["In", "NATO"]])
    assert {"w2=in", "w3=nato", "w1=", "s2=first", "s3=all", "p2=in", "e2=in"} <= set(first)
    assert {"w1=in", "w2=nato", "e4=nato", "start=Falseall"} <= set(second)
    assert len(first) == len(second)


def test_spans_and_their_f1():
    tags = "B-A I-A B-A O I-B I-A O B-B".split()
    assert spans(tags) == [(0, 2, "A"), (2, 3, "A"), (4, 5, "B"), (5, 6, "A"), (7, 8, "B")]
    assert as_bio(tags) == "B-A I-A B-A O B-B B-A O B-B".split()
    assert spans([]) == [] and spans(["O", "noun"]) == []
    # a right border with a wrong type, and a wrong border, count on both sides
    found = "B-A I-A O O B-B B-B O B-B".split()
    assert entity_f1([tags], [found]) == pytest.approx(2 * 3 / (5 + 4))
    assert entity_f1([["O"]], [["O"]]) == 0.0


def test_best_tags_are_those_of_all_paths():
    tags = ["B-X", "B-Y", "I-X", "I-Y", "O"]
    rng = np.random.default_rng(0)
    for length in (1, 2, 4):
        scores = rng.normal(size=(length, 5)).astype(np.float32)

        def legal(path):
            return all(
                not tags[t].startswith("I-")
                or (i and tags[path[i - 1]] != "O" and tags[path[i - 1]][2:] == tags[t][2:])
                for i, t in enumerate(path)
            )

        paths = [p for p in itertools.product(range(5), repeat=length) if legal(p)]
        best = max(paths, key=lambda p: sum(scores[i, t] for i, t in enumerate(p)))
        assert best_tags(scores, tags) == [tags[t] for t in best]
    assert best_tags(np.zeros((0, 5), np.float32), tags) == []


def test_tagged_files(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("-DOCSTART- -X- O\n\nEU NNP B-ORG\nsays VBZ O\n\n\nParis NNP B-LOC\n")
    assert read_tagged(path) == ([["EU", "says"], ["Paris"]], [["B-ORG", "O"], ["B-LOC"]])
    assert read_tagged(path, column=1)[1] == [["NNP", "VBZ"], ["NNP"]]
    for column in (0, 3, -4):
        with pytest.raises(DataError, match="line 3"):
            read_tagged(path, column=column)
    path.write_text("\n\n")
    with pytest.raises(DataError, match="no sentence"):
        read_tagged(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_tagged(tmp_path / "none")


def test_tagged_splits_and_bad_ones():
    words = [[f"w{i}"] for i in range(40)]
    tags = [[f"t{i % 3}"] for i in range(40)]
    groups = [i // 4 for i in range(40)]
    found = split_tagged(words, tags, groups=groups, shares=(0.2, 0.3))
    parts = (found.train, found.development, found.test)
    assert [len(p[0]) for p in parts] == [20, 8, 12]
    assert sorted(w for p in parts for (w,) in p[0]) == sorted(w for (w,) in words)
    assert all(int(w[1:]) % 3 == int(t[1:]) for p in parts for (w,), (t,) in zip(*p, strict=True))
    kept = [{int(w[1:]) // 4 for (w,) in p[0]} for p in parts]
    assert not (kept[0] & kept[1] or kept[0] & kept[2] or kept[1] & kept[2])
    assert found.tags == ["t0", "t1", "t2"]
    with pytest.raises(DataError, match="as many"):
        split_tagged(words, tags[:3])
    for bad in (([["a"]], [["x", "y"]]), ([], []), ([["a"]], [])):
        with pytest.raises(DataError, match="train must hold"):
            TaggedTexts(bad, found.test, found.test)


def test_the_eight_tasks_are_there(monkeypatch):
    with pytest.raises(ConfigError, match="did you mean 'avg'"):
        study_tasks(["avgg"])
    assert list(STUDY_TASKS)[:8] == ["syn", "sem", "ws", "tfl", "avg", "ner", "cnn", "pos"]
    made = study_tasks(["syn", "sem", "ws", "men"])
    assert [task.name for task in made.values()] == ["syn", "sem", "ws", "men"]


def test_tasks_on_real_data():
    found = gloss_texts(160)
    assert len(found.labels) == 41 and len(found.test[0]) == 41 * 40
    questions = thesaurus_questions(100)
    assert len(questions) == 100 and all(len(set(q.wrong)) == 3 for q in questions)
    named, classed = brown_names(20), brown_classes(20)
    assert named.tags == ["B-NAME", "B-TITLE", "I-NAME", "I-TITLE", "O"]
    assert len(classed.tags) > 60 and named.test[0] == classed.test[0]
