"""Bit cipher: the order of codes by the rule itself, laws, smoothing, bad input."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.words import BitCipher, cipher_rounds, least_bits, smoothing_shares


def by_the_rule(words, bits):
    """Codes as the paper makes them: |a - b|, kept if it has k ones and is new."""
    basis = [tuple(int(i == j) for j in range(bits)) for i in range(bits)]
    before, found = [(0,) * bits], []
    k = 1
    while len(found) < words:
        now = []
        for unit in basis if k == 1 else basis[::-1]:
            for code in before if k == 1 else before[::-1]:
                fresh = tuple(abs(a - b) for a, b in zip(code, unit, strict=True))
                if sum(fresh) == k and fresh not in found and fresh not in now:
                    now.append(fresh)
        found += now
        before = now
        k += 1
    return found[:words]


@settings(max_examples=40, deadline=None)
@given(bits=st.integers(1, 7), data=st.data())
def test_codes_come_in_the_order_of_the_rule(bits, data):
    words = data.draw(st.integers(1, 2**bits - 1))
    names = [f"w{i:03}" for i in range(words)]
    cipher = BitCipher(bits).fit_order(names, np.arange(words, 0, -1))
    assert [tuple(row) for row in cipher.codes.tolist()] == by_the_rule(words, bits)


def test_exact_order_for_three_bits():
    expected = ["100", "010", "001", "011", "101", "110", "111"]
    cipher = BitCipher(3).fit({f"w{i}": 9 - i for i in range(7)})
    assert ["".join(map(str, row)) for row in cipher.codes] == expected


@settings(max_examples=30, deadline=None)
@given(words=st.integers(1, 400), extra=st.integers(0, 30))
def test_laws_of_codes(words, extra):
    bits = least_bits(words) + extra
    assert 2**bits > words
    cipher = BitCipher(bits).fit({f"w{i}": words - i for i in range(words)})
    codes = cipher.codes
    assert len({tuple(row) for row in codes.tolist()}) == words
    assert (np.diff(codes.sum(1, dtype=int)) >= 0).all()
    np.testing.assert_array_equal(codes[:bits], np.eye(bits, dtype=np.uint8)[:words])
    np.testing.assert_array_equal(codes.sum(1), cipher.ones)
    for word in cipher.words[:: max(1, words // 20)]:
        assert cipher.decipher(cipher.encipher(word)) == word
        row = cipher.words.index(word)
        np.testing.assert_array_equal(cipher.sparse(word), np.flatnonzero(codes[row]))
        assert cipher.encipher(word).sum() == pytest.approx(1)
    np.testing.assert_array_equal(cipher.table(), codes / codes.sum(1, keepdims=True))


def test_frequency_decides_and_then_the_alphabet():
    cipher = BitCipher().fit({"b": 2, "a": 2, "c": 9})
    assert cipher.words == ["c", "a", "b"] and cipher.bits == 2 and len(cipher) == 3
    assert cipher.counts.tolist() == [9, 2, 2] and "a" in cipher and "z" not in cipher
    np.testing.assert_array_equal(cipher.encipher("z"), [0, 0])


def test_many_words_are_deciphered_at_once(monkeypatch):
    from vecsmith.encode.words import _bit_cipher

    cipher = BitCipher(9).fit({f"w{i}": 500 - i for i in range(300)})
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(12, 9))
    scores = rows @ cipher.codes.T.astype(float)
    expected = [cipher.words[i] for i in scores.argmax(1)]
    assert cipher.decipher(rows) == expected and cipher.decipher(rows[3]) == expected[3]
    monkeypatch.setattr(_bit_cipher, "_SCORES", 1)
    assert cipher.decipher(rows) == expected


COUNTS = np.array([9, 4, 4, 1, 1, 1])
DOCUMENTS = np.array([5, 3, 4, 1, 1, 1])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("none", [1, 1, 1, 1, 1, 1]),
        ("nf", [1, 1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3]),
        ("f", [9 / 10, 4 / 5, 4 / 5, 1 / 2, 1 / 2, 1 / 2]),
        ("df", [5 / 8, 3 / 8, 4 / 8, 1 / 8, 1 / 8, 1 / 8]),
    ],
)
def test_shares_by_hand(kind, expected):
    found = smoothing_shares(kind, COUNTS, documents=DOCUMENTS, total_documents=8)
    np.testing.assert_allclose(found, expected)


def test_all_is_the_geometric_mean():
    given_ = {"documents": DOCUMENTS, "total_documents": 8}
    parts = [smoothing_shares(kind, COUNTS, **given_) for kind in ("nf", "f", "df")]
    np.testing.assert_allclose(
        smoothing_shares("all", COUNTS, **given_), np.prod(parts, axis=0) ** (1 / 3)
    )


def test_blurred_codes_are_the_formula():
    words = [f"w{i}" for i in range(6)]
    cipher = BitCipher(4).fit_order(words, COUNTS)
    q = np.zeros(4)
    for word, count in zip(words, COUNTS, strict=True):
        q += count * cipher.encipher(word)
    q /= q.sum()
    far = (1 - q) / (1 - q).sum()
    found = cipher.table(smoothing="nf")
    for word, beta, row in zip(words, smoothing_shares("nf", COUNTS), found, strict=True):
        np.testing.assert_allclose(row, beta * cipher.encipher(word) + (1 - beta) * far)
    np.testing.assert_allclose(found.sum(1), 1)
    assert BitCipher(1).fit({"a": 1}).table(smoothing="nf").tolist() == [[1.0]]


def test_bad_input():
    with pytest.raises(ConfigError, match="bits must be at least 1"):
        BitCipher(0)
    with pytest.raises(
        ConfigError, match=r"2 bits give 3 codes, and there are 4 .*at least 3 bits"
    ):
        BitCipher(2).fit({str(i): 1 for i in range(4)})
    with pytest.raises(ConfigError, match="0 bits"):
        cipher_rounds(3, 0)
    with pytest.raises(DataError, match="vocabulary is empty"):
        BitCipher(2).fit({})
    for words, counts in (
        (["a"], [0]),
        (["a", "b"], [1]),
        (["a", "b"], [1, 2]),
        (["a", "b"], [1.0, np.nan]),
    ):
        with pytest.raises(DataError, match="count of 1 or above"):
            BitCipher(4).fit_order(words, counts)
    with pytest.raises(DataError, match="must differ"):
        BitCipher(4).fit_order(["a", "a"], [2, 1])
    cipher = BitCipher(4).fit({"a": 1})
    with pytest.raises(DataError, match="'b' is not among"):
        cipher.sparse("b")
    for vectors in ([1.0], [np.nan] * 4, [[1.0] * 5]):
        with pytest.raises(DataError, match="4 bits"):
            cipher.decipher(vectors)
    with pytest.raises(DataError, match="fitted"):
        BitCipher(4).decipher([0.0] * 4)
    with pytest.raises(ConfigError, match="smoothing must be"):
        cipher.table(smoothing="much")
    for kind in ("df", "all"):
        with pytest.raises(ConfigError, match="needs the documents"):
            cipher.table(smoothing=kind)


def test_every_code_of_a_full_round_is_used():
    codes = [tuple(row) for part in cipher_rounds(2**6 - 1, 6) for row in part.tolist()]
    every = [c for k in range(1, 7) for c in itertools.combinations(range(6), k)]
    assert sorted(codes) == sorted(every)
