"""Manual pages of Debian packages: technical English, and Chinese.

A page has two labels that its readers gave it: the section of the manual (2 calls, 3 library,
5 files, …) and the package that it comes with.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vecsmith.core import DataError, did_you_mean, require

from ._packages import fetch
from ._roff import roff_paragraphs

if TYPE_CHECKING:
    from datasets import Dataset

ENGLISH = (
    "manpages",
    "manpages-dev",
    "git-man",
    "libssl-doc",
    "tcl8.6-doc",
    "libcurl4-doc",
    "erlang-manpages",
)
# language -> folder of the pages and packages that hold them
LANGUAGES = {"en": ("", ENGLISH), "zh-CN": ("zh_CN", ("manpages-zh",))}
# the shortest pages say that they are another one
MINIMUM = 40


class Page(NamedTuple):
    """One page.

    Attributes:
        page: Its name: "abs".
        section: Section of the manual, the first digit alone: "3".
        package: The Debian package.
        text: Paragraphs, one a line; code, tables and headings left out.
    """

    page: str
    section: str
    package: str
    text: str


def load_manpages(language: str = "en") -> "Dataset":
    """Read manual pages.

    Args:
        language: "en" (seven packages) or "zh-CN" (manpages-zh).

    Returns:
        A `datasets.Dataset` with the columns of `Page`, packages and pages in order; pages that
        only point to another one are left out, and pages with the same text come once.

    Raises:
        DataError: Unknown language, or a package cannot be fetched or is damaged.
    """
    if language not in LANGUAGES:
        hint = did_you_mean(language, LANGUAGES)
        raise DataError(f"there are no manual pages in {language!r}; {hint}")
    datasets = require("datasets", "train")
    folder, packages = LANGUAGES[language]
    rows, seen = [], set()
    for package in packages:
        for page in _pages(package, folder):
            if page.text not in seen:
                seen.add(page.text)
                rows.append(page)
    columns = zip(*rows, strict=True)
    return datasets.Dataset.from_dict(dict(zip(Page._fields, map(list, columns), strict=True)))


def _pages(package: str, language: str) -> Iterator[Page]:
    root = fetch(package) / "usr" / "share" / "man" / language
    paths = sorted(root.glob("man[1-9]*/*"))
    if not paths:
        raise DataError(
            f"the package {package} should hold manual pages below {str(root)!r} but has none; "
            "delete its folder in the cache and fetch it again"
        )
    for path in paths:
        # a link leads to a page that comes itself
        if path.is_symlink():
            continue
        text = "\n".join(text for _, text in roff_paragraphs(_read(path)))
        if len(text) >= MINIMUM:
            name = path.name.removesuffix(".gz").rpartition(".")[0]
            yield Page(name, path.parent.name[3], package, text)


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"the manual page {str(path)!r} cannot be read ({error}); "
            "delete the package's folder in the cache and fetch it again"
        ) from error
    return data.decode("utf-8", "replace")
