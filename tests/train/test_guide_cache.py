import subprocess
import sys

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.train import GuideCache, text_keys
from vecsmith.train.contrastive._guide_files import characters_read, fingerprint

datasets = pytest.importorskip("datasets")


@pytest.fixture(scope="module")
def guide(tiny_model, tmp_path_factory):
    return tiny_model(1, tmp_path_factory.mktemp("models"))


@pytest.fixture
def counted(guide, monkeypatch):
    seen = []
    plain = guide.encode

    def encode(texts, **options):
        seen.extend(texts)
        return plain(texts, **options)

    monkeypatch.setattr(guide, "encode", encode)
    return guide, seen


def test_vectors_are_those_of_the_guide(guide, pairs, tmp_path):
    cache = GuideCache(guide, tmp_path)
    want = guide.encode(pairs["query"], normalize_embeddings=True)
    np.testing.assert_allclose(cache.vectors(pairs["query"]), want, atol=1e-3)
    assert cache.vectors(["fever"]).dtype == np.float16


def test_each_text_is_encoded_once_even_over_processes(counted, tmp_path):
    guide, seen = counted
    cache, other = GuideCache(guide, tmp_path), GuideCache(guide, tmp_path)
    assert cache.add(["a", "b", "a"]) == 2
    assert other.add(["b", "c"]) == 1
    assert GuideCache(guide, tmp_path).add(["a", "b", "c"]) == 0
    assert sorted(seen) == ["a", "b", "c"] and len(cache) == 2 and len(other) == 3


def test_a_reader_sees_what_others_add_later(guide, tmp_path):
    reader = GuideCache(None, tmp_path)
    code = (
        "import numpy as np; from vecsmith.train import GuideCache\n"
        f"c = GuideCache(None, {str(tmp_path)!r})\n"
        "c.add_vectors(['x', 'y'], np.array([[3.0, 4.0], [0.0, 2.0]]))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    np.testing.assert_allclose(reader.rows(text_keys(["y", "x"])), [[0, 1], [0.6, 0.8]], atol=1e-3)


def test_many_writers_at_once(tmp_path):
    code = (
        "import sys, numpy as np; from vecsmith.train import GuideCache, text_keys\n"
        f"c = GuideCache(None, {str(tmp_path)!r})\n"
        "for i in range(20):\n"
        "    t = [f'{(i + int(sys.argv[1])) % 25}', f'{i}-{sys.argv[1]}']\n"
        "    c.add_vectors(t, np.array([[len(t[0]), 1.0], [1.0, i + 1]]))\n"
        "    c.rows(text_keys(t))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(n)]) for n in range(4)]
    assert [process.wait(timeout=60) for process in running] == [0] * 4
    cache = GuideCache(None, tmp_path)
    for n in range(4):
        rows = cache.rows(text_keys([f"{i}-{n}" for i in range(20)]))
        np.testing.assert_allclose(rows[:, 1] / rows[:, 0], np.arange(1, 21), rtol=5e-2)


def test_prompts_give_other_vectors_and_other_keys(guide, tmp_path):
    cache = GuideCache(guide, tmp_path, prompt={"query": "query: "})
    data = datasets.Dataset.from_dict({"query": ["fever"], "positive": ["fever"]})
    labels = torch.tensor(cache.attach(data)["label"])
    assert labels.shape == (1, 2) and labels[0, 0] != labels[0, 1]
    query, positive = cache.lookup(labels)
    want = guide.encode(["query: fever", "fever"], normalize_embeddings=True)
    np.testing.assert_allclose(torch.cat([query, positive]).numpy(), want, atol=1e-3)


def test_attach_keeps_order_and_survives_shuffling(guide, pairs, tmp_path):
    cache = GuideCache(guide, tmp_path)
    data = cache.attach(datasets.Dataset.from_dict(pairs), ["query", "positive"]).shuffle(seed=1)
    assert data.column_names == ["query", "positive", "label"]
    found = cache.lookup(torch.tensor(data["label"][:]))
    for column, vectors in zip(("query", "positive"), found, strict=True):
        want = guide.encode(list(data[column]), normalize_embeddings=True)
        np.testing.assert_allclose(vectors.numpy(), want, atol=1e-3)


def test_attach_refuses_what_it_cannot_use(guide, tmp_path):
    cache = GuideCache(guide, tmp_path)
    with pytest.raises(DataError, match="score"):
        cache.attach(datasets.Dataset.from_dict({"a": ["x"], "b": ["y"], "score": [1.0]}))
    with pytest.raises(DataError, match="must hold texts"):
        cache.attach(datasets.Dataset.from_dict({"a": ["x"], "n": [1]}))


def test_unknown_keys_and_missing_guides(tmp_path):
    cache = GuideCache.from_vectors(["a"], [[1.0, 0.0]], tmp_path)
    with pytest.raises(DataError, match="attach"):
        cache.rows([7])
    with pytest.raises(DataError, match="'b'"):
        cache.add(["a", "b"])
    with pytest.raises(ConfigError, match="folder"):
        GuideCache(None)
    with pytest.raises(ConfigError, match="truncation"):
        cache.truncation(["a"], None)


def test_bad_vectors(tmp_path):
    cache = GuideCache.from_vectors(["a"], [[1.0, 0.0]], tmp_path)
    for vectors in ([[0.0, 0.0]], [[np.nan, 1.0]], [1.0], [[1.0, 0.0], [0.0, 1.0]]):
        with pytest.raises(DataError):
            cache.add_vectors(["b"], vectors)
    with pytest.raises(DataError, match="dimensions"):
        cache.add_vectors(["b"], [[1.0, 0.0, 0.0]])


def test_a_damaged_segment_is_named(tmp_path):
    GuideCache.from_vectors(["a"], [[1.0, 0.0]], tmp_path)
    path = next(tmp_path.glob("rows-*"))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(StoreError, match="rows-"):
        GuideCache(None, tmp_path)


def test_truncation_is_reported(tiny_model, guide, tmp_path):
    student = tiny_model(1, tmp_path)
    student.max_seq_length = 10
    texts = ["fever", "one two three four five six seven eight nine ten", "a b c d e f g h"]
    assert characters_read(student, texts).tolist() == [5, 39, 15]
    cache = GuideCache(guide, tmp_path / "g")
    report = cache.truncation(texts, student)
    assert (report.texts, report.guide_cut, report.guide_sees_less) == (3, 0.0, 0.0)
    assert report.student_cut == pytest.approx(1 / 3)
    short = GuideCache(student, tmp_path / "s")
    assert short.truncation(texts, guide).guide_sees_less == pytest.approx(1 / 3)
    data = datasets.Dataset.from_dict({"query": texts, "positive": texts})
    with pytest.warns(UserWarning, match="reads less"):
        short.attach(data, student=guide)


def test_another_guide_has_another_folder(tiny_model, guide, tmp_path, monkeypatch):
    monkeypatch.setenv("VECSMITH_CACHE", str(tmp_path / "cache"))
    other = tiny_model(2, tmp_path)
    assert fingerprint(guide) == fingerprint(guide) != fingerprint(other)
    assert GuideCache(guide).folder != GuideCache(other).folder
