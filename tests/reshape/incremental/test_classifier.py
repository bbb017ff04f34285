"""SimpleCIL and ADAM: prototypes, halves, adapters, files, bad input."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vecsmith.core import ConfigError, DataError, ModelError, StoreError
from vecsmith.encode import VisionEncoder
from vecsmith.reshape import AdaptOptions, IncrementalClassifier
from vecsmith.reshape.incremental import METHODS, CosineHead, Prototypes

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop"]
QUICK = AdaptOptions(lr=0.05, epochs=2, batch=8)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    """A small sentence encoder."""
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("incremental") / "bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(str(folder))
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
    config = BertConfig(vocab_size=len(WORDS), num_hidden_layers=2, **sizes)
    BertModel(config).save_pretrained(str(folder))
    return SentenceTransformer(str(folder), device="cpu").eval()


def session(letters: str, count: int = 8, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts of one letter each and others at random: the letter is the class."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for letter in letters:
        for _ in range(count):
            others = rng.choice(list("mnop"), rng.integers(1, 4))
            texts.append(" ".join([letter, letter, *others]))
            labels.append(letter)
    return texts, labels


def test_prototypes_are_means_of_raw_vectors() -> None:
    found = Prototypes(2)
    rows = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0]])
    assert found.add(rows, ["a", "a", 7]) == ["a", 7]
    assert found.means.tolist() == [[2.0, 0.0], [0.0, 5.0]]
    cosines = found.cosines(np.array([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(cosines, [[0.6, 0.8], [0.0, 0.0]])
    found.forget("a")
    assert found.labels == [7] and found.means.tolist() == [[0.0, 5.0]]


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_sessions_in_any_order_give_the_same_prototypes(rng: object, parts: int) -> None:
    generator = np.random.default_rng(rng.randrange(10**6))  # type: ignore[attr-defined]
    rows, labels = generator.normal(size=(40, 6)), generator.integers(0, 7, 40)
    whole, pieces = Prototypes(6), Prototypes(6)
    whole.add(rows, labels.tolist())
    for chosen in np.array_split(generator.permutation(40), parts):
        if len(chosen):
            pieces.add(rows[chosen], labels[chosen].tolist())
    order = [pieces.labels.index(label) for label in whole.labels]
    np.testing.assert_allclose(pieces.means[order], whole.means, atol=1e-12)


def test_simple_cil_against_a_naive_loop(encoder: nn.Module) -> None:
    clf = IncrementalClassifier(encoder, batch=3)
    texts, labels = session("abc")
    before = copy.deepcopy(encoder.state_dict())
    clf.learn(*session("ab"))
    clf.learn(*session("c", seed=5))
    seen = session("ab")[0] + session("c", seed=5)[0]
    names = session("ab")[1] + session("c")[1]
    vectors = np.array([encoder.encode(text) for text in seen], np.float64)
    guesses = clf.predict(texts)
    for text, guess in zip(texts, guesses, strict=True):
        x = np.asarray(encoder.encode(text), np.float64)
        best, winner = -2.0, ""
        for name in "abc":
            p = np.mean([v for v, n in zip(vectors, names, strict=True) if n == name], axis=0)
            cosine = float(x @ p / np.linalg.norm(x) / np.linalg.norm(p))
            best, winner = max((best, winner), (cosine, name))
        assert guess == winner
    top = clf.predict(texts[:2], k=2)
    assert [row[0].label for row in top] == guesses[:2] and top[0][0].cosine >= top[0][1].cosine
    assert clf.classes == ["a", "b", "c"] and 0.0 <= clf.score(texts, labels) <= 1.0
    assert all(torch.equal(v, before[n]) for n, v in encoder.state_dict().items())
    clf.forget("b")
    assert "b" not in clf.predict(texts)


def test_vectors_at_hand_need_no_model() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 4)) + 4 * np.eye(4)[np.arange(30) % 3]
    clf = IncrementalClassifier()
    clf.partial_fit(rows[:15], [i % 3 for i in range(15)])
    assert clf.score(rows[15:], [i % 3 for i in range(15, 30)]) > 0.9
    doubled = IncrementalClassifier(lambda items: 2 * np.asarray(items))
    doubled.learn(rows[:15], [i % 3 for i in range(15)])
    assert doubled.predict(rows[15:]) == clf.predict(rows[15:])


@pytest.mark.parametrize("method", [m for m in METHODS if m != "bn"])
def test_adaptation_moves_a_copy_and_both_halves_count(
    method: str, encoder: nn.Module, tmp_path: Path
) -> None:
    before = copy.deepcopy(encoder.state_dict())
    options = AdaptOptions(lr=0.1, epochs=8, batch=8)
    clf = IncrementalClassifier(encoder, adapt=method, options=options)
    clf.learn(*session("abc"))
    adapted = copy.deepcopy(clf.adapted.state_dict())
    clf.learn(*session("de", seed=3))
    # later sessions only add prototypes
    assert all(torch.equal(v, adapted[n]) for n, v in clf.adapted.state_dict().items())
    assert all(torch.equal(v, before[n]) for n, v in encoder.state_dict().items())
    texts, _ = session("abcde", count=2, seed=9)
    vectors = clf.vectors(texts)
    assert vectors.shape == (10, 16)
    frozen = np.asarray(encoder.encode(texts), np.float64)
    np.testing.assert_allclose(vectors[:, :8], frozen, atol=1e-5)
    assert np.abs(vectors[:, 8:] - frozen).max() > 1e-3
    # one by one as in a batch
    alone = np.concatenate([clf.vectors([text]) for text in texts])
    np.testing.assert_allclose(alone, vectors, atol=1e-4)
    clf.save(tmp_path / "clf")
    loaded = IncrementalClassifier.load(tmp_path / "clf", encoder)
    np.testing.assert_array_equal(loaded.vectors(texts), vectors)
    assert loaded.predict(texts, k=2) == clf.predict(texts, k=2)
    again = IncrementalClassifier(encoder, adapt=method, options=options).learn(*session("abc"))
    np.testing.assert_array_equal(again.vectors(texts), vectors)


@pytest.mark.parametrize("method", ["adapter", "lora", "vpt-deep", "vpt-shallow"])
def test_only_what_is_light_is_trained(method: str, encoder: nn.Module) -> None:
    clf = IncrementalClassifier(encoder, adapt=method, options=QUICK).learn(*session("abc"))
    start = encoder.state_dict()
    frozen = [
        (n, v)
        for n, v in clf.adapted.state_dict().items()
        if n in start and "query" not in n and "value" not in n
    ]
    assert frozen and all(torch.equal(v, start[n]) for n, v in frozen)


def test_halves_raw_normalised_and_alone(encoder: nn.Module) -> None:
    both, alone, even = (
        IncrementalClassifier(encoder, adapt="ssf", options=QUICK, **settings).learn(
            *session("abc")
        )
        for settings in ({}, {"halves": "adapted"}, {"normalised": True})
    )
    texts = session("abc")[0]
    np.testing.assert_allclose(alone.vectors(texts), both.vectors(texts)[:, 8:])
    rows = even.vectors(texts)
    np.testing.assert_allclose(np.linalg.norm(rows[:, :8], axis=1), 1.0)
    np.testing.assert_allclose(np.linalg.norm(rows[:, 8:], axis=1), 1.0)
    assert not np.allclose(np.linalg.norm(both.vectors(texts)[:, :8], axis=1), 1.0)


def test_the_head_is_a_scaled_cosine() -> None:
    head = CosineHead(3, 2, 4.0, torch.Generator().manual_seed(0))
    x = torch.randn(5, 3)
    expected = 4.0 * torch.cosine_similarity(x[:, None], head.weight[None], dim=-1)
    torch.testing.assert_close(head(x), expected)
    head(x).sum().backward()
    assert head.sigma.grad is not None and head.weight.grad is not None


def test_pictures_and_statistics(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tone = {"dark": 40, "light": 200, "mid": 120}
    pictures = np.stack(
        [np.clip(rng.normal(tone[n], 20, (64, 64, 3)), 0, 255) for n in tone for _ in range(6)]
    ).astype(np.uint8)
    labels = [n for n in tone for _ in range(6)]
    encoder = VisionEncoder.tiny("resnet", image_size=64, seed=0)
    start = copy.deepcopy(encoder.state_dict())
    clf = IncrementalClassifier(encoder, adapt="bn", options=AdaptOptions(epochs=2, batch=6))
    clf.learn(list(pictures), labels)
    changed = [n for n, v in clf.adapted.state_dict().items() if not torch.equal(v, start[n])]
    assert changed and all("running" in n or "num_batches" in n for n in changed)
    assert clf.vectors(list(pictures[:2])).shape[1] == 2 * encoder.dims
    clf.save(tmp_path / "clf")
    loaded = IncrementalClassifier.load(tmp_path / "clf", encoder)
    assert loaded.predict(list(pictures)) == clf.predict(list(pictures))
    tuned = IncrementalClassifier(
        VisionEncoder.tiny("vit", seed=0), adapt="vpt-deep", options=AdaptOptions(epochs=1)
    )
    tuned.learn(list(pictures), labels)
    assert tuned.adapted is not None and tuned.vectors(list(pictures[:1])).shape == (1, 256)


def test_a_plain_transformers_model(encoder: nn.Module) -> None:
    inner, tokenizer = encoder[0].auto_model, encoder.tokenizer
    with pytest.raises(ConfigError, match="tokenizer"):
        IncrementalClassifier(inner)
    clf = IncrementalClassifier(inner, adapt="adapter", options=QUICK, tokenizer=tokenizer)
    texts, labels = session("abc")
    assert clf.learn(texts, labels).vectors(texts).shape == (24, 16)


def test_bad_input_is_told(encoder: nn.Module, tmp_path: Path) -> None:
    clf = IncrementalClassifier(encoder)
    with pytest.raises(DataError, match="no class yet"):
        clf.predict(["a"])
    with pytest.raises(DataError, match="none is known"):
        clf.forget("a")
    with pytest.raises(DataError, match="got 0 and 0"):
        clf.learn([], [])
    with pytest.raises(DataError, match="got 1 and 2"):
        clf.learn(["a"], ["x", "y"])
    with pytest.raises(DataError, match="no class yet"):
        clf.save(tmp_path / "clf")
    clf.learn(*session("ab"))
    with pytest.raises(DataError, match="no class is called 'z'"):
        clf.forget("z")
    with pytest.raises(ConfigError, match="k must"):
        clf.predict(["a"], k=0)
    plain = IncrementalClassifier()
    with pytest.raises(DataError, match="row 1 holds NaN"):
        plain.learn(np.array([[0.0, 1.0], [np.nan, 1.0]]), ["a", "b"])
    plain.learn(np.eye(2), ["a", "b"])
    with pytest.raises(DataError, match=r"\(rows, 2\); got \(1, 3\)"):
        plain.predict(np.ones((1, 3)))
    for wrong in ({"adapt": "magic"}, {"halves": "left"}, {"halves": "adapted"}):
        with pytest.raises(ConfigError):
            IncrementalClassifier(encoder, **wrong)
    with pytest.raises(ConfigError, match="needs a model"):
        IncrementalClassifier(np.asarray, adapt="ssf")
    with pytest.raises(ConfigError, match="two classes"):
        IncrementalClassifier(encoder, adapt="ssf").learn(*session("a"))
    with pytest.raises(ModelError, match="no BatchNorm"):
        IncrementalClassifier(encoder, adapt="bn", options=QUICK).learn(*session("ab"))
    resnet = VisionEncoder.tiny("resnet", image_size=64)
    pictures = list(np.zeros((4, 64, 64, 3), np.uint8))
    for method, text in (("vpt-deep", "layers"), ("adapter", "feed-forward"), ("lora", "query")):
        with pytest.raises(ModelError, match=text):
            IncrementalClassifier(resnet, adapt=method).learn(pictures, [0, 0, 1, 1])


def test_damaged_and_foreign_folders_are_refused(encoder: nn.Module, tmp_path: Path) -> None:
    clf = IncrementalClassifier(encoder, adapt="ssf", options=QUICK).learn(*session("ab"))
    clf.save(tmp_path / "clf")
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        next(other.parameters()).add_(1.0)
    with pytest.raises(StoreError, match="other weights"):
        IncrementalClassifier.load(tmp_path / "clf", other)
    path = tmp_path / "clf" / "adapted.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    with pytest.raises(StoreError, match="damaged"):
        IncrementalClassifier.load(tmp_path / "clf", encoder)
    path.write_bytes(whole)
    (tmp_path / "clf" / "classifier.json").write_text('{"format": 9}')
    with pytest.raises(StoreError, match="format"):
        IncrementalClassifier.load(tmp_path / "clf", encoder)
    with pytest.raises(ConfigError, match="texts or whole numbers"):
        IncrementalClassifier().learn(np.eye(2), [(1, 2), "b"]).save(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_labels_keep_their_kind(tmp_path: Path) -> None:
    clf = IncrementalClassifier().learn(np.eye(3), ["é", 2, "数"])
    clf.save(tmp_path / "clf")
    assert IncrementalClassifier.load(tmp_path / "clf").classes == ["é", 2, "数"]
