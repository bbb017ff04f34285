"""Data of the claim about experts: siblings are siblings, and no test text is trained on."""

import pytest

from vecsmith.claims.moe_contrastive import DOMAINS, _domains, _with_siblings


def test_siblings_by_hand() -> None:
    pairs = [("a", "A"), ("b", "B"), None, ("d", "D"), ("e", "E")]
    parents = ["x", "x", "x", "y", ""]
    names = ["A", "B", "C", "D", "E"]
    # the next one below the same parent; one without siblings and one without parent have none
    assert _with_siblings(pairs, parents, names) == [("a", "A", "B"), ("b", "B", "C")]


@pytest.mark.slow
def test_wrong_texts_differ_from_right_ones() -> None:
    found = _domains()
    assert set(found) == {*DOMAINS}
    for triples in found.values():
        assert len(triples) > 5000
        assert all(right.lower() != wrong.lower() for _, right, wrong in triples)
