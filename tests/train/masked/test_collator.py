"""Masks: words are whole, masks nested, decoder rows blind to themselves."""

import pytest
import torch

from vecsmith.core import ConfigError
from vecsmith.train.masked import TextCollator, WordMasker, mask_places, visible_keys

from .conftest import bert_tokenizer, byte_tokenizer


@pytest.fixture(params=["wordpiece", "byte", "metaspace"])
def tokenizer(request, tmp_path, texts):
    if request.param == "wordpiece":
        return bert_tokenizer(tmp_path)
    if request.param == "byte":
        return byte_tokenizer()
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
    )
    inner.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=60,
        special_tokens=["<unk>", "<mask>", "<pad>"],
        unk_token="<unk>",
        show_progress=False,
    )
    inner.train_from_iterator(texts * 5, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", mask_token="<mask>", pad_token="<pad>"
    )


def rows(*sizes):
    """Words of the given sizes in tokens, between two special tokens."""
    inner = [number for number, size in enumerate(sizes) for _ in range(size)]
    return torch.tensor([[-1, *inner, -1]])


def test_words_are_those_of_the_tokenizer(tokenizer, texts):
    masker = WordMasker(tokenizer)
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    words = masker.words(batch["input_ids"], batch["attention_mask"])
    for row in range(len(texts)):
        # the tokenizer's own count, but that a lone space mark opens the word behind it
        ours, last = words[row].tolist(), None
        theirs = batch.word_ids(row)
        for place, (mine, own) in enumerate(zip(ours, theirs, strict=True)):
            if own is None:
                assert mine == -1
                continue
            assert mine >= 0
            if last is not None and theirs[place - 1] is not None:
                assert (mine == ours[place - 1]) == (own == theirs[place - 1]), (row, place)
            last = own
    assert len(set(words[0].tolist())) > 5


def test_masks_are_whole_and_nested_and_of_the_right_share():
    words = rows(1, 3, 1, 2, 1, 4, 1, 1, 2, 1, 1, 2).expand(4000, -1)
    places = mask_places(words, generator=torch.Generator().manual_seed(0))
    few, many = places < 0.2, places < 0.5
    assert not (few & ~many).any()
    assert not many[words < 0].any()
    for number in range(12):
        of_word = many[:, words[0] == number]
        assert (of_word.all(1) == of_word.any(1)).all()
    assert few.any(1).all()
    share = many.sum(1).float().mean() / 20
    assert share == pytest.approx(0.5, abs=0.02)
    # every word has its turn
    assert many.float().mean(0)[1:-1].min() > 0.3


def test_places_by_hand():
    words = rows(2, 1, 1)
    places = mask_places(words, generator=torch.Generator().manual_seed(3))[0, 1:-1]
    by_word = dict(zip(words[0, 1:-1].tolist(), places.tolist(), strict=True))
    order = sorted(by_word, key=by_word.get)
    sizes, before = {0: 2, 1: 1, 2: 1}, 0
    for rank, word in enumerate(order):
        want = 0.0 if rank == 0 else (before + sizes[word] / 2) / 4
        assert by_word[word] == pytest.approx(want)
        before += sizes[word]


def test_rows_never_see_themselves_and_always_the_sentence():
    words = torch.cat([rows(1, 2, 1, 1, 3), torch.tensor([[-1, 0, 0, 1, -1, -1, -1, -1, -1, -1]])])
    attention = torch.tensor([[1] * 10, [1] * 5 + [0] * 5])
    shares = []
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        seen = visible_keys(words, attention, 0.5, generator=generator)
        assert seen[:, :, 0].all()
        assert not seen.diagonal(dim1=1, dim2=2)[:, 1:].any()
        assert not seen[1, :, 5:].any()
        # rows differ: one mask for all would be a plain masked auto-encoder
        shares.append((seen[0, 1:] != seen[0, :1]).any(1).float().mean())
        # words are hidden as a whole, but for the row's own token
        assert (seen[0, 9, 2] == seen[0, 9, 3]).all()
    assert sum(shares) / len(shares) > 0.8


def test_empty_texts_have_no_masks():
    words = torch.full((2, 3), -1)
    assert torch.isinf(mask_places(words)).all()
    assert visible_keys(words, torch.ones(2, 3), 0.5)[:, :, 0].all()


def test_corruption_has_its_shares(tmp_path):
    masker = WordMasker(bert_tokenizer(tmp_path))
    ids = torch.full((100, 200), int(masker.ordinary[7]))
    hidden = torch.rand(100, 200, generator=torch.Generator().manual_seed(0)) < 0.5
    done = masker.corrupt(ids, hidden, generator=torch.Generator().manual_seed(1))
    assert (done[~hidden] == ids[~hidden]).all()
    masked = (done == masker.mask_id)[hidden].float().mean()
    kept = (done == ids)[hidden].float().mean()
    assert masked == pytest.approx(0.8, abs=0.02) and kept == pytest.approx(0.1, abs=0.02)
    other = done[hidden & (done != masker.mask_id)]
    assert not masker.special[other].any()


def test_global_seed_repeats_masks():
    words = rows(1, 2, 1, 3)
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(mask_places(words))
    assert torch.equal(*drawn)


def test_tokenizers_without_mask_are_refused(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(ConfigError, match="mask token"):
        WordMasker(tokenizer)
    with pytest.raises(ConfigError, match="fast"):
        WordMasker(object())


def test_random_crops_fit_and_differ(tmp_path):
    tokenizer = bert_tokenizer(tmp_path)
    tokenizer.model_max_length = 8
    text = "valve pump motor fever rash arm opens stops and the valve"
    collate = TextCollator(
        lambda texts: tokenizer(texts, padding=True, truncation=True, return_tensors="pt"),
        tokenizer,
        random_crop=True,
    )
    torch.manual_seed(0)
    batch = collate([text] * 30 + ["motor"])
    assert batch["input_ids"].shape == (31, 8)
    assert batch["attention_mask"][:30].all()
    assert len(set(batch["input_ids"][:, 1].tolist())) > 3
    assert tokenizer.decode(batch["input_ids"][-1], skip_special_tokens=True) == "motor"
