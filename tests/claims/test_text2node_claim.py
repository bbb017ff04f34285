"""The claim's titles, whose right codes must be nodes of the taxonomy."""

from vecsmith.claims import text2node as claim


def test_titles_have_targets_in_the_taxonomy() -> None:
    tax, rows = claim.target(True), claim.tests(True)
    assert len(rows) > 100
    assert len({title for title, _ in rows}) == len(rows)
    assert all(right and code in tax for _, right in rows for code in right)
