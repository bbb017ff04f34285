"""Memory stays bounded: reading and cutting a file takes far less than the file."""

import json
import tracemalloc

import pytest

from vecsmith.data import list_files, read_sections, split_passages


def word_count(texts):
    return [len(text.split()) for text in texts]


def generated(name, size):
    """Give lines of a file of about `size` bytes, none like another."""
    number = written = 0
    while written < size:
        words = " ".join(f"{(number * k) % 9973:x}word" for k in range(1, 30))
        line = {
            "text": f"{words}.\n" + ("\n" if number % 4 == 0 else ""),
            "jsonl": json.dumps({"title": f"row {number}", "text": words}) + "\n",
            "csv": f"{number},row {number},{words}\n" if number else "id,title,text\n",
            "markdown": f"## Part {number}\n\n{words}.\n\n",
            "rst": f"Part {number}\n{'-' * 20}\n\n{words}.\n\n",
            "html": f"<h2>Part {number}</h2><p>{words}.</p>\n",
            "oneline": words + " ",
        }[name]
        number += 1
        written += len(line)
        yield line


@pytest.mark.parametrize(
    ("name", "suffix", "limit"),
    [
        ("text", "txt", 6),
        ("oneline", "txt", 6),
        ("jsonl", "jsonl", 6),
        ("csv", "csv", 6),
        ("rst", "rst", 6),
    ],
)
def test_stream_takes_a_fraction_of_the_file(tmp_path, name, suffix, limit):
    size = 6_000_000
    path = tmp_path / f"big.{suffix}"
    with path.open("w") as handle:
        handle.writelines(generated(name, size))
    (file,) = list_files(path, skipped=lambda item: pytest.fail(str(item)))
    tracemalloc.start()
    try:
        sections = read_sections(file, skipped=lambda item: pytest.fail(str(item)))
        passages = sum(1 for _ in split_passages(file, sections, word_count))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert passages > 1000
    assert peak < limit * 1e6


@pytest.mark.parametrize(("name", "suffix"), [("markdown", "md"), ("html", "html")])
def test_pieces_bound_what_a_parser_holds(tmp_path, monkeypatch, name, suffix):
    monkeypatch.setattr("vecsmith.data.readers._html.PIECE", 1 << 18)
    path = tmp_path / f"big.{suffix}"
    with path.open("w") as handle:
        handle.writelines(generated(name, 2_500_000))
    (file,) = list_files(path, skipped=lambda item: pytest.fail(str(item)))
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_sections(file, skipped=lambda item: None))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count > 5_000
    assert peak < 14e6
