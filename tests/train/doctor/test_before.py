"""The doctor on data that is broken on purpose."""

import numpy as np
import pytest
from datasets import Dataset

from vecsmith.core import DataError
from vecsmith.train.doctor import examine_data, report_text, worst
from vecsmith.train.doctor._findings import Finding, graded

WORDS = "heart bone liver skin brain eye ear hand foot lung blood nerve tooth hair nail rib".split()


def rows(n=64, **changed):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 4)) + f" {i}" for i in range(2 * n)]
    return Dataset.from_dict({"q": texts[:n], "p": texts[n:], **changed})


class Reader:
    """Encodes a text as the vector it is told to."""

    max_seq_length = 8

    def __init__(self, vector):
        self.vector = vector

    class tokenizer:
        @staticmethod
        def encode_batch(texts):
            class Row:
                def __init__(self, text):
                    self.ids = text.split()

            return [Row(t) for t in texts]

    def encode(self, texts, **_):
        vectors = np.array([self.vector(t) for t in texts], float)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def random_vector(text):
    return np.random.default_rng(abs(hash(text)) % 2**32).normal(size=32)


def found(data, model=None, **options):
    model = model or Reader(random_vector)
    return {f.name: f for f in examine_data(data, model, batch_size=16, **options)}


def test_fine_data_is_fine():
    near = {f"t{i}": random_vector(f"t{i}") for i in range(64)}
    data = Dataset.from_dict(
        {"q": [f"t{i} q" for i in range(64)], "p": [f"t{i} p" for i in range(64)]}
    )
    model = Reader(lambda t: near[t.split()[0]] + (0.8 * random_vector(t)))
    report = found(data, model, temperature=0.1)
    assert worst(report.values()) == "fine", report_text(list(report.values()))


def test_duplicate_positives_count_a_batch():
    # classes as positives: each of 4 labels stands in a quarter of the rows
    report = found(rows(p=[f"label {i % 4}" for i in range(64)]))
    chance = 1 - (1 - 15 / 64) ** 15
    assert report["duplicate positives"].value == pytest.approx(chance)
    assert report["duplicate positives"].level == "error"
    assert "own-negatives" in report["duplicate positives"].advice


def test_repeated_rows():
    data = rows()
    twice = Dataset.from_dict({k: list(data[k]) + list(data[k])[:32] for k in ("q", "p")})
    assert found(twice)["repeated rows"].value == pytest.approx(1 / 3)


def test_likely_false_negatives():
    # eight rows say the same in other words
    same = np.ones(32)
    model = Reader(lambda t: same if "same" in t else random_vector(t))
    data = rows(p=[f"same {i}" if i < 8 else f"other {i}" for i in range(64)])
    share = np.mean([1 - (1 - (7 / 63 if i < 8 else 0)) ** 15 for i in range(64)])
    assert found(data, model)["likely false negatives"].value == pytest.approx(share)


def test_truncation_counts_tokens():
    long = " ".join(["word"] * 16)
    report = found(rows(p=[f"{long} {i}" for i in range(64)]))
    assert report["truncation"].value == pytest.approx(1 - 8 / 17)
    assert report["truncation"].level == "error" and "'p'" in report["truncation"].text


def test_negatives_that_are_too_easy():
    # each row has an axis of its own: nothing is left to learn
    axes = np.eye(64)
    model = Reader(lambda t: axes[int(t.split()[-1]) % 64])
    data = Dataset.from_dict(
        {"q": [f"q {i}" for i in range(64)], "p": [f"p {i}" for i in range(64)]}
    )
    report = found(data, model)
    assert report["first loss"].level == "warning" and "hard ones" in report["first loss"].advice


@pytest.mark.parametrize(("temperature", "word"), [(10.0, "too high"), (0.0005, "too low")])
def test_temperature(temperature, word):
    finding = found(rows(), temperature=temperature)["temperature"]
    assert finding.level in ("notice", "warning") and word in finding.advice


def test_anisotropy_and_collapse():
    model = Reader(lambda t: np.ones(32) + 0.01 * random_vector(t))
    assert found(rows(), model)["anisotropy"].level == "error"
    line = Reader(lambda t: np.eye(32)[0] * (1 if hash(t) % 2 else -1) + 1e-4 * random_vector(t))
    assert found(rows(), line)["collapse"].level == "error"


def test_one_column_and_tiny_data():
    report = found(rows().select_columns(["q"]))
    assert "duplicate positives" not in report and "anisotropy" in report
    with pytest.raises(DataError, match="2 rows"):
        found(rows().select([0]))
    assert found(rows(4))["size"].level == "warning"


def test_grades():
    levels = [graded("x", v, (1, 2, 3), "t", "a").level for v in (0.5, 1, 2.5, 3)]
    assert levels == ["fine", "notice", "warning", "error"]
    assert graded("x", 0, (1,), "t", "a").advice == ""
    text = report_text([Finding("a", "fine", 0, "ok"), Finding("b", "error", 1, "bad", "do")])
    assert text.splitlines()[0] == "[FAIL] b: bad" and "next: do" in text
