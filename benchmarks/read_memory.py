"""Peak memory and speed of reading: one file of 500 MB of each kind, and a folder of 2 GB.

Run: python benchmarks/read_memory.py [--scratch FOLDER] [--scale 1.0] [--json FILE]
Each source is generated, read and cut in a process of its own, then deleted. Tokens are counted
as words, so that the figures are those of reading alone.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from vecsmith.core import hardware, peak_memory_mb, write_json
from vecsmith.data import list_files, read_sections, split_passages

KINDS = {
    "text": "txt",
    "one line": "txt",
    "csv": "csv",
    "jsonl": "jsonl",
    "markdown": "md",
    "rst": "rst",
    "html": "html",
}


def paragraphs(seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    words = [f"{rng.getrandbits(24):x}" for _ in range(20_000)]
    while True:
        yield " ".join(rng.choices(words, k=80)).capitalize() + "."


def lines(kind: str, size: int, seed: int = 0) -> Iterator[str]:
    """Give the lines of a file of one kind, about `size` bytes in all."""
    written = 0
    for number, text in enumerate(paragraphs(seed)):
        line = {
            "text": f"{text}\n\n",
            "one line": f"{text} ",
            "csv": f'{number},row {number},"{text}"\n' if number else "id,title,text\n",
            "jsonl": json.dumps({"title": f"row {number}", "text": text}) + "\n",
            "markdown": f"## Part {number}\n\n{text}\n\n",
            "rst": f"Part {number}\n{'-' * 20}\n\n{text}\n\n",
            "html": f"<h2 id='p{number}'>Part {number}</h2><p>{text}</p>\n",
        }[kind]
        yield line
        written += len(line)
        if written >= size:
            return


def make(folder: Path, case: str, scale: float) -> None:
    if case != "folder":
        with (folder / f"big.{KINDS[case]}").open("w") as handle:
            handle.writelines(lines(case, int(5e8 * scale)))
        return
    for number in range(int(4000 * scale)):
        kind = list(KINDS)[number % len(KINDS)]
        place = folder / f"part {number % 50}"
        place.mkdir(exist_ok=True)
        with (place / f"{number}.{KINDS[kind]}").open("w") as handle:
            handle.writelines(lines(kind, 500_000, seed=number))


def count(texts: Sequence[str]) -> list[int]:
    return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]


def measure(folder: Path) -> dict[str, float]:
    """Read and cut a folder; give its figures."""
    # The packages of all readers are loaded before, so that the growth is that of the data.
    import lxml.html  # noqa: F401
    import markdown_it  # noqa: F401

    before = peak_memory_mb()
    begin = time.perf_counter()
    size = files = passages = 0
    for file in list_files(folder, skipped=lambda item: print(item, file=sys.stderr)):
        files += 1
        size += file.bytes
        sections = read_sections(file, skipped=lambda item: print(item, file=sys.stderr))
        passages += sum(1 for _ in split_passages(file, sections, count))
    seconds = time.perf_counter() - begin
    return {
        "files": files,
        "megabytes": size / 1e6,
        "passages": passages,
        "seconds": seconds,
        "megabytes_a_second": size / 1e6 / seconds,
        "growth_mb": peak_memory_mb() - before,
        "peak_mb": peak_memory_mb(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", default=tempfile.gettempdir())
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--cases", nargs="*", default=[*KINDS, "folder"])
    parser.add_argument("--json", dest="out")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Path(options.measure))))
        return
    results = {}
    for case in options.cases:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            make(Path(folder), case, options.scale)
            run = subprocess.run(
                [sys.executable, __file__, "--measure", folder],
                capture_output=True,
                text=True,
                check=True,
            )
        results[case] = json.loads(run.stdout)
        figures = {key: round(value, 1) for key, value in results[case].items()}
        print(case, figures, run.stderr[:300])
    if options.out:
        write_json(options.out, {"hardware": hardware(), "scale": options.scale, **results})


if __name__ == "__main__":
    main()
