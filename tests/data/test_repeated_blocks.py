"""Boilerplate that no tag marks is found by its repetition within a folder."""

import json
from pathlib import Path

from vecsmith.data import RepeatedBlocks, Section, SourceFile


def document(number, folder="site", kind="html"):
    return SourceFile(f"{folder}/{number}.html", Path(f"{number}"), kind, 1, 0, str(number))


def page(number):
    return [
        Section(("T",), f"Home | Shop | Page {number}\n\nOwn words {'x' * number}.", "prose"),
        Section(("T", "Foot"), "All rights reserved 2024.", "prose"),
    ]


def observed(pages=20, **options):
    blocks = RepeatedBlocks(**options)
    for number in range(pages):
        blocks.observe(document(number), page(number))
    return blocks


def test_shared_blocks_are_dropped_and_counted():
    blocks = observed()
    kept = list(blocks.clean(document(3), page(3)))
    assert [section.text for section in kept] == ["Own words xxx."]
    assert blocks.dropped == {"site/3.html": 2}


def test_other_folders_and_kinds_are_untouched():
    blocks = observed()
    for file in (document(1, folder="docs"), document(1, kind="text"), document(1, kind="csv")):
        assert list(blocks.clean(file, page(1))) == page(1)


def test_few_documents_prove_nothing():
    blocks = observed(pages=4)
    assert list(blocks.clean(document(1), page(1))) == page(1)


def test_repetition_within_one_document_does_not_count():
    blocks = RepeatedBlocks()
    for number in range(20):
        own = Section(("T",), "\n\n".join([f"Only in {chr(97 + number)}."] * 50), "prose")
        blocks.observe(document(number), [own])
    own = [Section(("T",), "Only in c.", "prose")]
    assert list(blocks.clean(document(2), own)) == own


def test_a_document_of_nothing_else_stays_whole():
    blocks = observed()
    only = [
        Section(("T", "Foot"), "All rights reserved 2024.", "prose"),
        Section(("T",), "Home | Shop | Page 7", "prose"),
    ]
    assert list(blocks.clean(document(7), only)) == only
    assert not blocks.dropped


def test_rows_and_short_code_are_kept():
    blocks = RepeatedBlocks()
    sections = [Section(("t",), "a: 1", "record"), Section(("m",), "import os", "code")]
    for number in range(20):
        blocks.observe(document(number), sections)
    assert list(blocks.clean(document(1), sections)) == sections


def test_table_stays_small_and_still_finds_what_repeats():
    blocks = RepeatedBlocks(capacity=300)
    for number in range(100):
        unique = "\n\n".join(f"u{chr(97 + number % 26)}{'y' * n}{'z' * number}" for n in range(20))
        blocks.observe(document(number), [*page(number), Section(("T",), unique, "prose")])
    assert blocks._held == sum(map(len, blocks._counts.values())) <= 300
    assert blocks.is_boilerplate(document(0), "All rights reserved 1999.")


def test_only_so_many_documents_are_looked_at():
    blocks = observed(pages=30, documents=10)
    assert not blocks.wants(document(31))
    assert blocks.full == 1


def test_what_was_found_is_kept_and_used_again():
    blocks = observed()
    again = RepeatedBlocks.from_dict(json.loads(json.dumps(blocks.to_dict())))
    for file in (document(3), document(1, folder="docs")):
        assert list(again.clean(file, page(3))) == list(blocks.clean(file, page(3)))
    assert again._held < blocks._held


def recounted(before, after, **options):
    """Count pages, then as many as there are later; the object and the groups that changed."""
    kept = RepeatedBlocks.from_dict(observed(before, **options).to_dict())
    files = [document(number) for number in range(after)]
    looked = []

    def sections(file):
        looked.append(file)
        return page(int(file.sha256))

    return kept, kept.recount(files, sections), looked


def test_a_folder_that_grew_is_counted_anew():
    kept, changed, looked = recounted(3, 20)
    assert changed == {RepeatedBlocks.group(document(0))} and len(looked) == 20
    assert kept.to_dict() == observed(20).to_dict()
    kept, changed, looked = recounted(10, 20)
    assert not changed and len(looked) == 20 and kept.to_dict() == observed(20).to_dict()


def test_a_folder_that_did_not_grow_keeps_its_counts():
    for before, after in ((20, 20), (20, 10), (200, 300), (2, 4)):
        kept, changed, looked = recounted(before, after)
        assert not changed and not looked
        assert kept.to_dict() == observed(before).to_dict()


def test_counts_of_the_first_indexes_are_left_aside():
    old = {"share": 0.3, "least": 5, "seen": {"site\nhtml": 20}, "counts": {"123": 20}}
    kept = RepeatedBlocks.from_dict(old)
    assert list(kept.clean(document(3), page(3))) == page(3)
    assert kept.recount([document(n) for n in range(20)], lambda file: page(int(file.sha256)))
    assert kept.to_dict() == observed().to_dict()
