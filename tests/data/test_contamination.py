"""Overlap of training and evaluation texts, against a plain double loop."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.data import find_overlaps
from vecsmith.data._contamination import NEAR, normal_words, shingles

WORDS = "the a heart bone liver pain old new left right of in with sharp dull deep".split()
texts = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), max_size=8
)


def naive(training, tested):
    exact = near = 0
    known = {normal_words(t) for t in training}
    for text in dict.fromkeys(tested):
        if normal_words(text) in known:
            exact += 1
            continue
        mine = shingles(normal_words(text))
        others = [shingles(words) for words in known]
        scores = [len(mine & o) / len(mine | o) for o in others if mine and o]
        near += any(score >= NEAR for score in scores)
    return exact, near


@settings(max_examples=60, deadline=None)
@given(texts, texts)
def test_exact_is_exact_and_near_is_never_more_than_there_is(training, tested):
    (found,) = find_overlaps(training, {"set": tested})
    exact, near = naive(training, tested)
    assert found.exact == exact and found.near <= near
    assert found.texts == len(set(tested))


def long_text(seed, n=60):
    rng = np.random.default_rng(seed)
    return [f"w{i}" for i in rng.integers(0, 5000, n)]


def test_near_texts_are_found():
    originals = [long_text(i) for i in range(40)]
    changed = [[*words[:-2], "other", "end"] for words in originals]
    (found,) = find_overlaps(
        [" ".join(w) for w in originals],
        {"changed": [" ".join(w) for w in changed]},
    )
    # 56 of 60 shingles in common: Jaccard .93
    assert found.near >= 38 and found.exact == 0 and found.share > 0.9
    assert len(found.examples) == 3 and found.examples[0][0].startswith(originals[0][0])
    (clean,) = find_overlaps(
        [" ".join(w) for w in originals], {"new": [" ".join(long_text(i)) for i in range(90, 99)]}
    )
    assert clean.share == 0 and clean.examples == ()


def test_case_punctuation_and_space_do_not_hide_a_text():
    (found,) = find_overlaps(["Heart attack, acute!"], {"x": ["heart  ATTACK acute", "stroke"]})
    assert (found.exact, found.near, found.texts) == (1, 0, 2)
    assert found.as_dict()["share"] == 0.5


def test_empty_sides():
    assert find_overlaps([], {"x": ["a"]})[0].share == 0
    assert find_overlaps(["a", "..."], {"x": [], "y": ["!!!"]})[0].texts == 0
    assert all(a <= b for a, b in pairwise([0, find_overlaps(["..."], {"y": ["!!!"]})[0].exact]))
