"""Casting labelled data, and the plan of two stages."""

import numpy as np
import pytest
import torch
from datasets import Dataset

from vecsmith.core import ConfigError, DataError
from vecsmith.train import StageSet, TwoStage, to_contrastive
from vecsmith.train._contrastive_rows import bm25_scores

TEXTS = [f"text {i} of class {i % 3}" for i in range(12)]
CLASSES = Dataset.from_dict({"text": TEXTS, "label": [i % 3 for i in range(12)]})


def by_row(table):
    return [list(row) for row in zip(*table[:].values(), strict=True)]


def test_examples_are_of_the_class_and_negatives_are_not():
    positives = set()
    for seed in range(20):
        table = to_contrastive(CLASSES, kind="classification", negatives=5, seed=seed)
        rows = by_row(table)
        assert table.column_names == ["query", "positive", *(f"negative_{i}" for i in range(1, 6))]
        assert len(rows) == 12
        for query, positive, *wrong in rows:
            assert positive != query and positive[-1] == query[-1]
            assert all(text[-1] != query[-1] for text in wrong)
            assert len(set(wrong)) == 5
            positives.add((query, positive))
    # every text of the class serves as positive
    assert len(positives) == 12 * 3


def test_labels_are_texts_and_all_others_are_negatives():
    names = {0: "zero", 1: "one", 2: "two"}
    rows = by_row(
        to_contrastive(
            CLASSES, kind="clustering", negatives=2, positives="label", label_texts=names
        )
    )
    for row, (_, positive, *wrong) in enumerate(rows):
        assert positive == names[row % 3]
        assert set(wrong) == set(names.values()) - {positive}


def test_names_of_classes_are_their_texts():
    from datasets import ClassLabel

    named = CLASSES.cast_column("label", ClassLabel(names=["zero", "one", "two"]))
    kind = {"kind": "classification", "negatives": 2, "positives": "label"}
    rows = by_row(to_contrastive(named, **kind))
    assert [row[1] for row in rows] == ["zero", "one", "two"] * 4
    assert {*rows[0][2:]} == {"one", "two"}
    # what is given goes before them
    rows = by_row(to_contrastive(named, label_texts={1: "uno"}, **kind))
    assert [row[1] for row in rows[:3]] == ["zero", "uno", "two"]


def test_a_text_is_never_its_own_positive_nor_its_negative():
    texts = ["same", "same", "other", "alone", "both", "both", "far"]
    labels = ["a", "a", "a", "c", "a", "b", "b"]
    data = Dataset.from_dict({"text": texts, "label": labels})
    alike = {
        label: {t for t, n in zip(texts, labels, strict=True) if n == label} for label in "abc"
    }
    for seed in range(30):
        for row, (query, positive, *wrong) in enumerate(
            by_row(to_contrastive(data, kind="classification", negatives=4, seed=seed))
        ):
            assert positive != query and query not in wrong and positive not in wrong
            assert any({query, positive} <= group for group in alike.values()), row
        rows = by_row(
            to_contrastive(data, kind="classification", negatives=2, positives="label", seed=seed)
        )
        assert all("a" not in row[2:] and "b" not in row[2:] for row in rows if row[0] == "both")


def test_texts_that_are_of_every_class_are_no_negatives():
    data = Dataset.from_dict({"text": ["x", "y", "x", "y"], "label": [0, 0, 1, 1]})
    for positives in ("label", "example"):
        with pytest.raises(DataError, match="nothing"):
            to_contrastive(data, kind="classification", positives=positives)


def test_sts_pairs_go_both_ways_with_safe_negatives():
    data = Dataset.from_dict(
        {
            "sentence1": ["a cat sits", "a cat sits", "a dog runs", "cat food is a meal"],
            "sentence2": ["a cat is sitting", "a dog runs", "a cat ran", "a meal for a cat"],
            "score": [4.5, 1.0, 3.0, 4.0],
        }
    )
    rows = by_row(to_contrastive(data, kind="sts", negatives=2))
    assert [row[:2] for row in rows] == [
        ["a cat sits", "a cat is sitting"],
        ["a cat is sitting", "a cat sits"],
        ["cat food is a meal", "a meal for a cat"],
        ["a meal for a cat", "cat food is a meal"],
    ]
    assert rows[0][2] == "a dog runs"  # scored low by hand
    for query, positive, *wrong in rows:
        assert query not in wrong and positive not in wrong


def test_negatives_of_sts_by_hand():
    """The best that BM25 finds is left out, and so is what was scored 2.5 with the query."""
    query, near = "red valve opens", "a scarlet tap"
    best, second, third = "red valve opens now", "red valve here today", "red thing over there"
    fair, low, none = "red valve opens slowly here", "blue valve", "nothing at all"
    data = Dataset.from_dict(
        {
            "sentence1": [query, query, query, query, best, third],
            "sentence2": [near, fair, low, "grey pipe", second, none],
            "score": [4.0, 2.5, 2.4, 3.0, 0.0, 0.0],
        }
    )
    scores = bm25_scores([query], [best, fair, second, third])[0]
    assert scores.tolist() == sorted(scores, reverse=True)
    row = by_row(to_contrastive(data, kind="sts", negatives=3))[0]
    assert row == [query, near, low, second, third]


def test_bm25_by_hand():
    documents = ["red red valve", "blue valve", "pump"]
    got = bm25_scores(["red valve"], documents)[0]
    lengths, mean = [3, 2, 1], 2.0

    def part(holding, count, length):
        rare = np.log(1 + (3 - holding + 0.5) / (holding + 0.5))
        return rare * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / mean))

    want = [part(1, 2, lengths[0]) + part(2, 1, lengths[0]), part(2, 1, lengths[1]), 0.0]
    np.testing.assert_allclose(got, want)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"kind": "sorting"}, ConfigError, "kind"),
        ({"kind": "classification", "positives": "name"}, ConfigError, "positives"),
        ({"kind": "classification", "negatives": 0}, ConfigError, "negatives"),
        ({"kind": "sts"}, DataError, "sentence1"),
    ],
)
def test_bad_casts_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        to_contrastive(CLASSES, **options)


def test_one_class_is_refused():
    one = Dataset.from_dict({"text": ["a", "b"], "label": [0, 0]})
    for positives in ("label", "example"):
        with pytest.raises(DataError, match="two at least"):
            to_contrastive(one, kind="classification", positives=positives)


def test_plan_trains_both_stages_with_their_rule(tiny_model, tmp_path, monkeypatch):
    from sentence_transformers import SentenceTransformerTrainingArguments

    import vecsmith.train._two_stage as module

    model = tiny_model(0, tmp_path)
    seen = []

    class Spy(module.ContrastiveLoss):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.key = options["in_batch"]

        def forward(self, features, labels=None):
            features = list(features)
            lengths = [one.get("prompt_length", 0) for one in features]
            seen.append((self.key, len(features), [int(torch.as_tensor(x).max()) for x in lengths]))
            return super().forward(features, labels)

    monkeypatch.setattr(module, "ContrastiveLoss", Spy)
    retrieval = Dataset.from_dict({"query": TEXTS, "positive": TEXTS[::-1]})
    cast = to_contrastive(CLASSES, kind="classification", negatives=3)
    mined = to_contrastive(CLASSES, kind="classification", negatives=2, seed=1)
    plan = TwoStage(
        [StageSet("retrieval", retrieval, "Instruct: find. ")],
        [StageSet("mined", mined), StageSet("classes", cast, "Instruct: same. ", symmetric=True)],
    )
    before = model[0].model.embeddings.word_embeddings.weight.detach().clone()
    args = SentenceTransformerTrainingArguments(
        str(tmp_path / "out"),
        max_steps=4,
        per_device_train_batch_size=4,
        report_to="none",
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        learning_rate=1e-3,
    )
    results = plan.train(model, args, second={"max_steps": 6})
    assert [r.global_step for r in results] == [4, 6]
    assert args.max_steps == 4 and not args.prompts
    assert [key for key, *_ in seen] == [True] * 4 + [False] * 6
    # queries carry their set's instruction, other columns only in symmetric sets
    ours = [lengths[0] > 0 and not any(lengths[1:]) for _, _, lengths in seen[:4]]
    assert ours == [True] * 4
    for _, columns, lengths in seen[4:]:
        assert all(lengths) if columns == 5 else not any(lengths)
    # each batch comes from one set
    assert {columns for _, columns, _ in seen[:4]} == {2}
    assert {columns for _, columns, _ in seen[4:]} == {4, 5}
    assert (before != model[0].model.embeddings.word_embeddings.weight).any()


def test_bad_plans_are_refused():
    pairs = Dataset.from_dict({"query": TEXTS, "positive": TEXTS})
    with pytest.raises(DataError, match="no column of negatives"):
        TwoStage([], [StageSet("a", pairs)])
    with pytest.raises(ConfigError, match="names"):
        TwoStage([StageSet("a", pairs), StageSet("a", pairs)], [])
    with pytest.raises(ConfigError, match="empty"):
        TwoStage([], [])
