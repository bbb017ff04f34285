"""Real corpora with real queries: folders of documents, and known-item queries that others wrote.

- manual: the Python manual without its general index; queries are the index's terms, relevant the
  pages that the index points to.
- handbook: the Debian handbook (English) without its table of contents; queries are the entries
  of that table, relevant the pages that they point to.
- stdlib: Python's own standard library (source code, tests left out); queries are the first
  sentences by which the manual describes functions and classes, relevant the file that defines
  them.
"""

import html
import json
import re
import shutil
import sysconfig
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import lxml.html

from vecsmith.core import cache_dir, numpy_generator
from vecsmith.data.samples import fetch

MOST = 1000
LEFT_OUT = ("test", "tests", "idle_test", "lib2to3", "idlelib", "site-packages", "__pycache__")


def _copy(source: Path, target: Path, keep: Callable[[Path], bool]) -> None:
    if target.exists():
        return
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and not path.is_symlink() and keep(relative):
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / relative)


def _write(queries: dict[str, set[str]], target: Path) -> Path:
    texts = sorted(text for text, pages in queries.items() if 0 < len(pages) <= 5)
    picked = numpy_generator(0, "queries").permutation(len(texts))[:MOST]
    rows = [{"query": texts[i], "documents": sorted(queries[texts[i]])} for i in sorted(picked)]
    path = target.with_suffix(".queries.jsonl")
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def manual() -> tuple[Path, Path]:
    """Prepare the Python manual; returns folder and query file."""
    root = fetch("python-manual") / "usr/share/doc/python3.11/html"
    target = cache_dir("corpora") / "python-manual"
    _copy(root, target, lambda p: p.suffix == ".html" and not p.name.startswith("genindex"))
    queries: dict[str, set[str]] = defaultdict(set)
    for page in sorted(root.glob("genindex-*.html")):
        tree = lxml.html.fromstring(page.read_bytes())
        for item in tree.cssselect("table.genindextable li"):
            links = [a for a in item.findall("a") if a.get("href")]
            words = " ".join(t for t in [item.text, *(a.text_content() for a in links)] if t)
            if (parent := item.getparent().getparent()) is not None and parent.tag == "li":
                above = parent.find("a")
                lead = (above.text_content() if above is not None else parent.text) or ""
                words = f"{lead.strip()} {words}"
            text = " ".join(re.sub(r"\[\d+\]", " ", html.unescape(words)).split()).strip(" ,;")
            for link in links:
                queries[text].add(link.get("href").split("#")[0])
    return target, _write({t: p for t, p in queries.items() if len(t) > 2}, target)


def handbook() -> tuple[Path, Path]:
    """Prepare the Debian handbook; returns folder and query file."""
    root = fetch("debian-handbook") / "usr/share/doc/debian-handbook/html/en-US"
    target = cache_dir("corpora") / "debian-handbook"
    _copy(root, target, lambda p: p.suffix == ".html" and p.name != "index.html")
    tree = lxml.html.fromstring((root / "index.html").read_bytes())
    queries: dict[str, set[str]] = defaultdict(set)
    for link in tree.cssselect(".toc a[href]"):
        page = link.get("href").split("#")[0]
        text = re.sub(r"^[\dA-Z]+(\.\d+)*\.\s*", "", " ".join(link.text_content().split()))
        if (target / page).exists() and text:
            queries[text].add(page)
    return target, _write(queries, target)


def stdlib() -> tuple[Path, Path]:
    """Prepare Python's standard library; returns folder and query file."""
    root = Path(sysconfig.get_paths()["stdlib"])
    target = cache_dir("corpora") / "stdlib"
    _copy(root, target, lambda p: p.suffix == ".py" and not set(LEFT_OUT) & set(p.parts))
    pages = fetch("python-manual") / "usr/share/doc/python3.11/html/library"
    queries: dict[str, set[str]] = defaultdict(set)
    for page in sorted(pages.glob("*.html")):
        tree = lxml.html.fromstring(page.read_bytes())
        for entry in tree.cssselect("dl.py.function, dl.py.class"):
            name, body = entry.find("dt"), entry.find("dd")
            file = _file_of(name.get("id") or "", target) if name is not None else None
            first = body.find("p") if body is not None else None
            if file is None or first is None:
                continue
            text = re.split(r"(?<=[.!?])\s", " ".join(first.text_content().split()))[0]
            if len(text.split()) >= 4:
                queries[text].add(file)
    return target, _write(queries, target)


def _file_of(name: str, root: Path) -> str | None:
    *parts, leaf = name.split(".")
    defined = re.compile(rf"^\s*(?:async\s+)?(?:def|class)\s+{re.escape(leaf)}\b", re.M)
    while parts:
        base = "/".join(parts)
        if (root / f"{base}.py").exists():
            return f"{base}.py"
        if (root / base).is_dir():
            # A package: the file of it that defines the name, if just one does.
            files = [p for p in (root / base).glob("*.py") if defined.search(p.read_text("utf-8"))]
            return files[0].relative_to(root).as_posix() if len(files) == 1 else None
        parts = parts[:-1]
    return None


CORPORA = {"manual": manual, "handbook": handbook, "stdlib": stdlib}
