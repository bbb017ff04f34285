"""The trainer: it learns, repeats, goes on, is saved, streams, and refuses bad input."""

import json
from itertools import islice

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError, ModelError, StoreError
from vecsmith.encode import WordVectors
from vecsmith.train import WordCorpus, WordEmbeddingTrainer, WordTraining
from vecsmith.train.words.models import MODELS

ALL = sorted(MODELS)


def texts(number=300, seed=0):
    """Three topics of ten words; a text keeps to its topic."""
    rng = np.random.default_rng(seed)
    for topic in rng.integers(0, 3, number):
        yield [f"t{topic}w{i}" for i in rng.integers(0, 10, 12)]


def trainer(model="skipgram", **changed):
    settings = {"epochs": 2, "min_count": 1, "subsample": 0.0, "engine": "torch", "batch": 64}
    return WordEmbeddingTrainer(
        model, 6, window=2, negative=3, options=WordTraining(**(settings | changed))
    )


@pytest.mark.parametrize("model", ALL)
def test_a_model_learns_what_goes_together(model):
    # what goes together must pass through C&W's layer, which takes longer to find
    slow = {"glove": {"epochs": 40}, "cw": {"epochs": 30, "hidden": 24, "engine": "auto"}}
    made = trainer(model, **{"epochs": 8, **slow.get(model, {})}).fit(texts())
    losses = [row.loss for row in made.passes]
    # untrained output vectors are zero, and each of 1 + 3 candidates costs log 2
    assert losses[-1] < (losses[0] if model == "glove" else 0.95 * 4 * np.log(2))
    vectors = made.vectors()
    assert isinstance(vectors, WordVectors) and len(vectors) == 30 and vectors.dims == 6
    topics = np.array([word[:2] for word in vectors.words])
    units = vectors.normalized().vectors
    alike = units @ units.T
    same = topics[:, None] == topics
    np.fill_diagonal(same, False)
    assert alike[same].mean() > alike[topics[:, None] != topics].mean() + 0.2


@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_a_seed_repeats_a_run(engine):
    pytest.importorskip(engine)
    runs = [trainer(engine=engine, seed=seed).fit(texts(40)).vectors() for seed in (0, 0, 1)]
    assert (runs[0].vectors == runs[1].vectors).all()
    assert (runs[0].vectors != runs[2].vectors).any()


@pytest.mark.parametrize("model", ["skipgram", "cw", "glove"])
def test_a_run_goes_on_after_loading(model, tmp_path):
    whole = trainer(model, epochs=3).fit(texts(60))
    part = trainer(model, epochs=1).fit(texts(60))
    part.save(tmp_path / "run")
    loaded = WordEmbeddingTrainer.load(tmp_path / "run")
    assert (loaded.vectors().vectors == part.vectors().vectors).all()
    loaded.partial_fit(texts(60), epochs=2)
    assert (loaded.vectors().vectors == whole.vectors().vectors).all()
    assert [row.loss for row in loaded.passes] == [row.loss for row in whole.passes]
    assert loaded.vectors().words == whole.vectors().words


def test_a_checkpoint_takes_a_run_up(tmp_path):
    folder = tmp_path / "run"

    class Stopped(Exception):
        pass

    def stop(made, row):
        if row.epoch == 2:
            raise Stopped

    with pytest.raises(Stopped):
        trainer(epochs=3).fit(texts(60), checkpoint=folder, callback=stop)
    seen = []
    made = trainer(epochs=3).fit(
        texts(60), checkpoint=folder, callback=lambda made, row: seen.append(row.epoch)
    )
    # the pass whose callback was cut off is made again
    assert seen == [2, 3]
    assert (made.vectors().vectors == trainer(epochs=3).fit(texts(60)).vectors().vectors).all()
    # done already
    trainer(epochs=3).fit(texts(60), checkpoint=folder, callback=lambda *_: pytest.fail("again"))
    with pytest.raises(ConfigError, match="other settings"):
        trainer(epochs=3, rate=0.2).fit(texts(60), checkpoint=folder)
    with pytest.raises(ConfigError, match="other settings or texts"):
        trainer(epochs=3).fit([["a", "b"]], checkpoint=folder)


def test_threads_learn_too(monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr("vecsmith.train.words._sampling.UNIT", 256)
    made = trainer(engine="numba", workers=2, epochs=6).fit(texts())
    assert made.passes[-1].loss < made.passes[0].loss


def test_the_callback_sees_each_pass():
    rows = []
    made = trainer(epochs=3, validation=0.2).fit(
        texts(50), callback=lambda made, row: rows.append((row, made.vectors()))
    )
    assert [row.epoch for row, _ in rows] == [1, 2, 3] and made.passes == [row for row, _ in rows]
    assert rows[0][0].tokens == 40 * 12
    assert (rows[0][1].vectors != rows[2][1].vectors).any()
    assert trainer(epochs=1, validation=0.0).fit(texts(50)).passes[0].loss is None


def test_one_corpus_serves_several_models():
    corpus = WordCorpus(texts(50))
    assert corpus.tokens == 600 and corpus.texts == 50 and len(corpus.words) == 30
    streamed = trainer("cbow").fit(islice(texts(1000), 50)).vectors()
    shared = trainer("cbow").fit(corpus).vectors()
    # the first fifty of more texts are others
    again = trainer("cbow").fit(corpus).vectors()
    assert (shared.vectors == again.vectors).all() and streamed.words != []
    assert trainer("nnlm").fit(corpus).vectors().words == shared.words


def test_the_vocabulary_stays_in_further_texts():
    made = trainer().fit(texts(50))
    before = made.vectors()
    made.partial_fit([["new", "t0w1", "t0w2"]] * 9)
    assert made.vectors().words == before.words and "new" not in made.vectors()
    assert (made.vectors()["t0w1"] != before["t0w1"]).any()
    with pytest.raises(DataError, match="none of"):
        made.partial_fit([["other", "words"]])
    assert len(trainer().partial_fit(texts(20)).passes) == 2


def test_vectors_are_e_without_the_padding():
    made = trainer("order").fit(texts(50))
    table = made.parameters()["embeddings"]
    assert len(table) == 31
    assert (made.vectors().vectors == table[:30]).all()
    assert (table[30] != 0).any()


def test_rare_words_are_left_out():
    rows = [["common", "words", "here"]] * 5 + [["common", "once"]]
    made = trainer(min_count=2).fit(rows)
    assert sorted(made.vectors().words) == ["common", "here", "words"]
    assert trainer(max_words=1).fit(rows).vectors().words == ["common"]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"model": "skipgramm"}, "did you mean 'skipgram'"),
        ({"objective": "nce"}, "known: neg, rank"),
        ({"dim": 0}, "at least 1"),
        ({"window": 0}, "at least 1"),
        ({"negative": 0}, "at least 1"),
        ({"model": "glove", "objective": "rank"}, "no other objective"),
    ],
)
def test_bad_settings_are_refused(settings, match):
    with pytest.raises(ConfigError, match=match):
        WordEmbeddingTrainer(**settings)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"workers": 0}, "workers must be"),
        ({"rate": 0.0}, "rate must be above 0"),
        ({"rate": float("nan")}, "rate must be above 0"),
        ({"validation": 1.0}, "below 1"),
        ({"subsample": -1.0}, "0 or above"),
        ({"engine": "fast"}, "known: auto, numba, torch"),
        ({"engine": "numba", "device": "cuda"}, "'cpu'"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_bad_options_are_refused(settings, match):
    with pytest.raises(ConfigError, match=match):
        WordTraining(**settings)


def test_bad_texts_are_refused():
    with pytest.raises(DataError, match="hold no word"):
        trainer().fit(["", []])
    with pytest.raises(DataError, match="single string"):
        trainer().fit("one text")
    with pytest.raises(DataError, match="text 0 must be"):
        trainer().fit([3])
    with pytest.raises(DataError, match="lower min_count"):
        trainer(min_count=9).fit([["a"]])
    with pytest.raises(DataError, match="stand in one text"):
        trainer("glove").fit([["a"], ["b"]])
    with pytest.raises(StoreError, match="another folder"):
        WordCorpus(["a"], folder="/nowhere at all")
    with pytest.raises(ConfigError, match="epochs must be"):
        trainer().fit(texts(9)).partial_fit(texts(9), epochs=0)
    trainer().fit([["alone"]])


def test_nothing_is_there_before_fit(tmp_path):
    made = trainer()
    for call in (made.vectors, made.parameters, lambda: made.save(tmp_path), lambda: made.shape):
        with pytest.raises(ModelError, match="call fit first"):
            call()


def test_numbers_that_get_out_of_hand_are_told():
    with pytest.raises(ModelError, match="lower rate"):
        trainer(rate=1e30, epochs=5).fit(texts(50))


@pytest.mark.parametrize("name", ["trainer.json", "words.json", "tables.safetensors"])
def test_damaged_files_are_refused(name, tmp_path):
    trainer(epochs=1).fit(texts(9)).save(tmp_path / "run")
    path = tmp_path / "run" / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError):
        WordEmbeddingTrainer.load(tmp_path / "run")
    path.unlink()
    with pytest.raises(StoreError):
        WordEmbeddingTrainer.load(tmp_path / "run")
    if name == "words.json":
        path.write_text(json.dumps({"words": ["a"], "counts": [1]}))
        with pytest.raises(StoreError, match="other words"):
            WordEmbeddingTrainer.load(tmp_path / "run")
    if name == "trainer.json":
        path.write_text(json.dumps({"format": 9}))
        with pytest.raises(StoreError, match="format 1"):
            WordEmbeddingTrainer.load(tmp_path / "run")
