"""What the claim of the bit cipher measures: words apart, chance where nothing is known."""

import numpy as np
import pytest

from vecsmith.claims import run_claim
from vecsmith.claims.bit_cipher import (
    QUICK_TOKENS,
    Probe,
    codes_alone,
    counted,
    judge,
    probes,
    random_codes,
    shuffled,
    split,
)
from vecsmith.encode.words import WordVectors


def test_probe_words_have_one_class_and_nouns_one_field() -> None:
    word_class, field = probes(QUICK_TOKENS)
    assert set(word_class.labels) == {"noun", "verb", "adj", "adv"}
    assert set(field.words) < set(word_class.words)
    classes = dict(zip(word_class.words, word_class.labels, strict=True))
    assert {classes[word] for word in field.words} == {"noun"} and len(set(field.labels)) > 10


def test_judge_tells_what_can_be_told_and_no_more() -> None:
    rng = np.random.default_rng(0)
    labels = np.array(["a", "b"])[rng.integers(0, 2, 200)]
    words = [f"w{i}" for i in range(200)]
    told = WordVectors(words, np.column_stack([labels == "a", rng.normal(size=200)]))
    noise = WordVectors(words, rng.normal(size=(200, 3)))
    probe = Probe(words, labels)
    assert judge(told, probe, 0).mean() > 0.95 and len(judge(told, probe, 0)) == 60
    assert judge(noise, probe, 0).mean() < 0.7
    assert judge(noise, probe, 0).tolist() != judge(noise, probe, 1).tolist()


def test_arms_share_words_and_counts() -> None:
    words, _ = split(QUICK_TOKENS)
    counter, _ = counted(QUICK_TOKENS)
    assert counter.tokens == sum(map(len, words))
    alone, dealt, mixed = (
        codes_alone(QUICK_TOKENS),
        random_codes(QUICK_TOKENS, 0),
        shuffled(QUICK_TOKENS, 0),
    )
    # shuffling moves words, and changes no count
    assert alone.words == dealt.words == mixed.words
    assert (alone.dims, dealt.dims, mixed.dims) == (100, 200, 200)


@pytest.mark.slow
def test_quick_run() -> None:
    result = run_claim("bit-cipher", seeds=2, quick=True)
    assert result["quick"] and not result["holds"] and result["effect"] > 0.05
    for row in result["extra_by_seed"]:
        assert row["A cat 50"] > row["A sum 200"] > row["A codes alone"] - 0.05
        assert row["times faster"] > 2
        assert row["lm loss 10, cipher"] < row["lm loss 10, random"]
