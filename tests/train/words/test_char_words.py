"""Characters and words: the loss by a loop, gradients, new words, parts, seeds, bad input."""

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError, ModelError, StoreError
from vecsmith.train import CharWordEmbedding, WordTraining
from vecsmith.train.words._char_words import char_word_loss

OPTIONS = {"min_count": 1, "subsample": 0.0, "batch": 32, "epochs": 8}


def texts(number=200):
    rng = np.random.default_rng(0)
    topics = ["山水 河水 山石 河石".split(), "书本 书报 纸本 纸报".split()]
    for topic in rng.integers(0, 2, number):
        yield [topics[topic][i] for i in rng.integers(0, 4, 8)]


def made(**changed):
    options = WordTraining(**OPTIONS)
    return CharWordEmbedding(8, window=2, negative=3, options=options, **changed).fit(texts())


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def toy():
    torch.manual_seed(0)
    ids = {
        "e": torch.tensor([[0, 1], [9, 2], [9, 9]]),
        "a": torch.tensor([[[0, 1], [2, 7]], [[7, 7], [3, 4]], [[7, 7], [7, 7]]]),
        "o": torch.tensor([[3, 4], [5, 5], [6, 1]]),
        "q": torch.tensor([[0, 1], [7, 2], [3, 3], [4, 0], [5, 1], [6, 2]]),
    }
    rows = {n: torch.randn(*i.shape, 4, dtype=torch.float64) for n, i in ids.items()}
    return rows, ids


@pytest.mark.parametrize("used", ["eaoq", "eo", "aq"])
def test_loss_is_that_of_a_loop(used):
    rows, ids = toy()
    rows = {name: rows[name] for name in used}
    total = 0.0
    for b in range(3):
        around = []
        for i in range(2):
            if ids["e"][b, i] == 9:
                continue
            parts = [rows["e"][b, i]] if "e" in used else []
            if "a" in used:
                spelled = [rows["a"][b, i, j] for j in range(2) if ids["a"][b, i, j] != 7]
                parts.append(sum(spelled) / len(spelled))
            around.append(sum(parts) / len(parts))
        if not around:
            continue
        x = sum(around) / len(around)
        places = [("o", b)] * ("o" in used) + [("q", 2 * b), ("q", 2 * b + 1)] * ("q" in used)
        for name, row in places:
            target, noise = ids[name][row].tolist()
            if name == "q" and target == 7:
                continue
            total += np.log1p(np.exp(-(x @ rows[name][row, 0]).item()))
            if noise != target:
                total += np.log1p(np.exp((x @ rows[name][row, 1]).item()))
    # the shares are float32
    assert char_word_loss(rows, ids, (9, 7)).item() == pytest.approx(total, rel=1e-6)


def test_gradients_are_right():
    rows, ids = toy()
    names = list(rows)
    given = [rows[name].requires_grad_(True) for name in names]
    loss = lambda *r: char_word_loss(dict(zip(names, r, strict=True)), ids, (9, 7))  # noqa: E731
    assert torch.autograd.gradcheck(loss, given)


@pytest.mark.parametrize("parts", ["both", "words", "characters"])
def test_topics_are_told_apart(parts):
    model = made(parts=parts)
    near = cosine(model.vector("山水"), model.vector("河石"))
    assert near > cosine(model.vector("山水"), model.vector("书本")) + 0.3
    assert model.vectors().dims == 8 and len(model.vectors()) == 8


def test_new_words_come_from_characters():
    model = made()
    new = model.vector("河山")
    want = model._tables["a"][[model.characters["河"], model.characters["山"]]].mean(0).numpy()
    np.testing.assert_allclose(new, want)
    assert cosine(new, model.vector("山水")) > cosine(new, model.vector("纸报"))
    word = model._tables["e"][model.vocabulary.places["山水"]].numpy()
    chars = model._tables["a"][[model.characters["山"], model.characters["水"]]].mean(0).numpy()
    np.testing.assert_allclose(model.vector("山水"), word + chars, rtol=1e-6)
    assert "河山" in model and "木" not in model and len(model.vectors(["河山", "山水"])) == 2
    with pytest.raises(DataError, match="not known"):
        model.vector("木")
    words = made(parts="words")
    assert "河山" not in words
    with pytest.raises(DataError, match="parts='words'"):
        words.vector("河山")


def test_a_seed_repeats_a_run():
    assert (made().vectors().vectors == made().vectors().vectors).all()


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="parts one of"):
        CharWordEmbedding(parts="all")
    with pytest.raises(ConfigError, match="at least 1"):
        CharWordEmbedding(0)
    with pytest.raises(DataError, match="segment it first"):
        CharWordEmbedding().fit(["没有分词"])
    for call in (lambda: CharWordEmbedding().vector("水"), CharWordEmbedding().vectors):
        with pytest.raises(ModelError, match="call fit first"):
            call()


@pytest.mark.parametrize("parts", ["both", "words", "characters"])
def test_saved_vectors_come_back(parts, tmp_path):
    found = made(parts=parts)
    found.save(tmp_path / "zh")
    again = CharWordEmbedding.load(tmp_path / "zh")
    assert again.parts == parts and again.vocabulary.words == found.vocabulary.words
    np.testing.assert_array_equal(again.vectors().vectors, found.vectors().vectors)
    if parts != "words":
        np.testing.assert_array_equal(again.vector("山书"), found.vector("山书"))
    assert ("山书" in again) == ("山书" in found)


def test_damaged_folders_are_told(tmp_path):
    with pytest.raises(ModelError, match="call fit first"):
        CharWordEmbedding().save(tmp_path / "none")
    made().save(tmp_path / "zh")
    settings = tmp_path / "zh" / "settings.json"
    settings.write_text(settings.read_text().replace('"dim": 8', '"dim": 9'))
    with pytest.raises(StoreError, match="does not fit together"):
        CharWordEmbedding.load(tmp_path / "zh")
    (tmp_path / "zh" / "arrays.safetensors").write_bytes(b"short")
    with pytest.raises(StoreError, match="missing or damaged"):
        CharWordEmbedding.load(tmp_path / "zh")
