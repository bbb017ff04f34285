"""Passages, documents and the lexical index (BM25) in one SQLite file.

FTS5 computes BM25 over stemmed words; words that a quarter of the passages hold are left out of a
query that has others, which keeps a query over many passages within milliseconds.
"""

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import StoreError
from vecsmith.data import SAME_CONTENT, Link, Passage, Skipped, SourceFile

from ._stemmer import Stemmer

SCHEMA = """
PRAGMA journal_mode = DELETE;
CREATE TABLE IF NOT EXISTS documents (
  id INTEGER PRIMARY KEY, path BLOB UNIQUE NOT NULL, kind TEXT NOT NULL, sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS passages (
  row INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents(id),
  position INTEGER NOT NULL, section INTEGER NOT NULL, headings TEXT NOT NULL, text TEXT NOT NULL,
  kind TEXT NOT NULL, summary TEXT NOT NULL, anchor TEXT NOT NULL, links TEXT NOT NULL,
  hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS passages_document ON passages(document);
CREATE INDEX IF NOT EXISTS passages_hash ON passages(hash);
CREATE TABLE IF NOT EXISTS skipped (path BLOB NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS dropped (path BLOB PRIMARY KEY, blocks INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS replaced (row INTEGER PRIMARY KEY, content TEXT NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS lexicon USING fts5(
  content, content='', tokenize="porter unicode61 remove_diacritics 2");
"""
# The lexical index keeps combining accents within a word and folds them.
_WORD = re.compile(r"\w[\w\u0300-\u0331]*")
_MOST_TERMS = 48
_COMMON_SHARE = 0.25
_ROWS_OF = "SELECT row FROM passages WHERE document IN (SELECT value FROM json_each(?))"


class StoredPassage(NamedTuple):
    """A passage with its row in the index.

    Attributes:
        row: Row of its vector.
        group: Id of its document.
        section: Running id of its section over all documents.
        passage: The passage.
    """

    row: int
    group: int
    section: int
    passage: Passage


def _path_blob(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", " ")


def _cleaned(passage: Passage) -> Passage:
    """What SQLite can hold of a passage, so that its hash is that of what is read back."""
    return replace(
        passage,
        headings=tuple(_clean(heading) for heading in passage.headings),
        text=_clean(passage.text),
        summary=_clean(passage.summary),
        anchor=_clean(passage.anchor),
    )


class PassageTable:
    """The SQLite file of an index.

    Args:
        path: The file.
        write: Open for writing, making the file and its tables if needed.

    Raises:
        StoreError: The file is missing or damaged.
    """

    def __init__(self, path: str | Path, *, write: bool = False) -> None:
        self.path = Path(path)
        if not write and not self.path.is_file():
            raise StoreError(f"{str(path)!r} is missing from the index; build it again")
        mode = "rwc" if write else "ro"
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        try:
            self.db = sqlite3.connect(uri, uri=True, check_same_thread=False)
            if write:
                self.db.executescript(SCHEMA)
            self.db.execute("SELECT count(*) FROM documents").fetchone()
        except sqlite3.Error as error:
            raise StoreError(
                f"{str(path)!r} cannot be opened as a passage table ({error}); build it again"
            ) from error
        self._together = False
        self._stems = Stemmer()
        self._common: frozenset[str] | None = None

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def __enter__(self) -> "PassageTable":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of passages."""
        return int(self.db.execute("SELECT count(*) FROM passages").fetchone()[0])

    # Writing -------------------------------------------------------------------------------

    def add_document(
        self,
        file: SourceFile,
        passages: Iterable[Passage],
        notes: Sequence[Skipped] = (),
        dropped: Mapping[str, int] | None = None,
    ) -> int:
        """Add a document with its passages in one transaction.

        Args:
            file: Where it came from.
            passages: Its passages in order; they are streamed.
            notes: What was left out of it; read after the passages, so the stream may add to it.
            dropped: Path -> repeated blocks left out; read after the passages as well.

        Returns:
            How many passages were added; a document without any is not kept.

        Raises:
            StoreError: The disk is full or the file cannot be written.
        """
        with contextlib.nullcontext() if self._together else self._writing():
            try:
                added = self._insert(file, passages)
            except sqlite3.IntegrityError as error:
                raise StoreError(
                    f"document {file.path!r} is in the table already; each path is added once"
                ) from error
            if not added and not notes:
                notes = [Skipped(file.path, "no text in it")]
            for note in notes:
                self._note(note)
            if blocks := (dropped or {}).get(file.path, 0):
                values = (_path_blob(file.path), blocks)
                self.db.execute("INSERT OR REPLACE INTO dropped VALUES (?, ?)", values)
            return added

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Add several documents in one transaction, which spares waiting for the disk at each."""
        with self._writing():
            self._together = True
            try:
                yield
            finally:
                self._together = False

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self.db:
                yield
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"cannot write {str(self.path)!r}: {error}; free space and run again, "
                "what was finished is kept"
            ) from error

    def _insert(self, file: SourceFile, passages: Iterable[Passage]) -> int:
        values = (_path_blob(file.path), file.kind, file.sha256, file.bytes, file.mtime_ns)
        document = self.db.execute(
            "INSERT INTO documents (path, kind, sha256, bytes, mtime_ns) VALUES (?,?,?,?,?)",
            values,
        ).lastrowid
        # Sections are numbered in the order of rows; a maximum of them would read the whole table.
        last = "SELECT row, section FROM passages ORDER BY row DESC LIMIT 1"
        first, section = self.db.execute(last).fetchone() or (-1, -1)
        row, before = first, None
        for raw in passages:
            passage = _cleaned(raw)
            row += 1
            key = passage.position if passage.kind == "record" else passage.headings[:2]
            section += key != before
            before = key
            self._insert_passage(row, int(document or 0), section, passage)
        if row == first:
            self.db.execute("DELETE FROM documents WHERE id = ?", (document,))
        return row - first

    def _insert_passage(self, row: int, document: int, section: int, passage: Passage) -> None:
        links = [[link.text, link.target, link.fragment] for link in passage.links]
        self.db.execute(
            "INSERT INTO passages VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (
                row,
                document,
                passage.position,
                section,
                json.dumps(passage.headings),
                passage.text,
                passage.kind,
                passage.summary,
                passage.anchor,
                json.dumps(links),
                passage.hash,
            ),
        )
        content = (row, passage.content)
        self.db.execute("INSERT INTO lexicon (rowid, content) VALUES (?, ?)", content)

    def replace_contents(self, contents: Mapping[int, str]) -> None:
        """Change what the lexical index holds of passages (the passages themselves stay).

        Args:
            contents: Row -> new words.
        """
        rows = sorted(contents)
        with self.db:
            for start in range(0, len(rows), 500):
                for stored in self.take(rows[start : start + 500]):
                    self._replace_content(stored, contents[stored.row])

    def _replace_content(self, stored: StoredPassage, content: str) -> None:
        row = stored.row
        found = self.db.execute("SELECT content FROM replaced WHERE row = ?", (row,)).fetchone()
        held = found[0] if found else _clean(stored.passage.content)
        # A contentless FTS5 table forgets a row only if told the words that it held.
        self.db.execute(
            "INSERT INTO lexicon (lexicon, rowid, content) VALUES ('delete', ?, ?)", (row, held)
        )
        values = (row, _clean(content))
        self.db.execute("INSERT INTO lexicon (rowid, content) VALUES (?, ?)", values)
        self.db.execute("INSERT OR REPLACE INTO replaced VALUES (?, ?)", values)

    def copy_document(
        self,
        other: "PassageTable",
        path: str,
        file: SourceFile,
        notes: Sequence[Skipped] = (),
        dropped: Mapping[str, int] | None = None,
    ) -> int:
        """Take a document over from another table without reading it again.

        Args:
            other: The table that has it.
            path: Its path there.
            file: What to record of the file.
            notes: What was left out of it, as the other table's `skipped` says.
            dropped: Path -> repeated blocks left out, as the other table's `dropped` says.

        Returns:
            How many passages were copied.
        """
        where = "WHERE d.path = ? ORDER BY p.row"
        stream = (stored.passage for stored in other._select(where, (_path_blob(path),)))
        return self.add_document(file, stream, notes, dropped)

    def _note(self, note: Skipped) -> None:
        values = (_path_blob(note.path), _clean(note.reason))
        self.db.execute("INSERT INTO skipped VALUES (?, ?)", values)

    def begin(self, listing: str, skipped: Iterable[Skipped]) -> None:
        """Note the source's listing and what was left out of it, in one transaction.

        Args:
            listing: Hash of the listing.
            skipped: Entries that are not read at all.
        """
        with self.db:
            for note in skipped:
                self._note(note)
            row = ("listing", json.dumps(listing))
            self.db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", row)

    def set_fact(self, name: str, value: Any) -> None:
        """Keep a JSON value beside the passages."""
        row = (name, json.dumps(value))
        self.db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", row)
        self.db.commit()

    def finish(self) -> None:
        """Merge the lexical index and note which words are common; call once, at the end."""
        self.db.execute("INSERT INTO lexicon (lexicon) VALUES ('optimize')")
        self.db.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, lexicon, row)")
        most = max(50.0, _COMMON_SHARE * len(self))
        found = self.db.execute("SELECT term FROM temp.vocabulary WHERE doc > ?", (most,))
        common = sorted(term for (term,) in found)
        self.db.execute("DROP TABLE temp.vocabulary")
        self.set_fact("common_terms", common)
        self._common = None

    # Reading -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{str(self.path)!r} is damaged and cannot be read ({error}); build it again"
            ) from error

    def fact(self, name: str, default: Any = None) -> Any:
        """Return a value of `set_fact`, or the default."""
        row = self.db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else default

    def documents(self) -> list[SourceFile]:
        """List the documents in the order of reading; `absolute` is not known here."""
        rows = self._rows("SELECT path, kind, sha256, bytes, mtime_ns FROM documents ORDER BY id")
        return [
            SourceFile(
                bytes(path).decode("utf-8", "surrogateescape"), Path(), kind, size, mtime, sha
            )
            for path, kind, sha, size, mtime in rows
        ]

    def document_ids(self) -> dict[str, int]:
        """Map paths to document ids."""
        rows = self._rows("SELECT path, id FROM documents")
        return {bytes(path).decode("utf-8", "surrogateescape"): number for path, number in rows}

    def skipped(self) -> list[tuple[str, str]]:
        """List what was left out: path and reason."""
        rows = self._rows("SELECT path, reason FROM skipped")
        return [(bytes(path).decode("utf-8", "surrogateescape"), why) for path, why in rows]

    def duplicates(self) -> dict[str, str]:
        """Map files that were left out as doubles to the path that was kept."""
        return {
            path: why.removeprefix(SAME_CONTENT)
            for path, why in self.skipped()
            if why.startswith(SAME_CONTENT)
        }

    def dropped(self) -> dict[str, int]:
        """Map paths to the number of repeated blocks that were left out of them."""
        rows = self._rows("SELECT path, blocks FROM dropped ORDER BY rowid")
        return {bytes(path).decode("utf-8", "surrogateescape"): count for path, count in rows}

    def _rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        with self._reading():
            yield from self.db.execute(query, values)

    def _select(self, where: str, values: Sequence[Any] = ()) -> Iterator[StoredPassage]:
        query = (
            "SELECT p.row, p.document, p.section, d.path, p.position, p.headings, p.text, p.kind,"
            " p.summary, p.anchor, p.links FROM passages p JOIN documents d ON d.id = p.document "
        )
        for row, group, section, path, position, headings, *rest in self._rows(
            query + where, values
        ):
            text, kind, summary, anchor, links = rest
            yield StoredPassage(
                row,
                group,
                section,
                Passage(
                    bytes(path).decode("utf-8", "surrogateescape"),
                    position,
                    tuple(json.loads(headings)),
                    text,
                    kind,
                    summary,
                    anchor,
                    tuple(Link(*link) for link in json.loads(links)),
                ),
            )

    def passages(self, start: int = 0, stop: int | None = None) -> Iterator[StoredPassage]:
        """Stream passages in the order of rows.

        Args:
            start: First row.
            stop: Row after the last; None goes to the end.

        Yields:
            Stored passages.
        """
        end = len(self) if stop is None else stop
        yield from self._select("WHERE p.row >= ? AND p.row < ? ORDER BY p.row", (start, end))

    def take(self, rows: Sequence[int]) -> list[StoredPassage]:
        """Return the passages of some rows, in that order.

        Args:
            rows: Row numbers.

        Returns:
            One passage a row.
        """
        found: dict[int, StoredPassage] = {}
        for start in range(0, len(rows), 500):
            part = [int(row) for row in rows[start : start + 500]]
            marks = ",".join("?" * len(part))
            found.update((p.row, p) for p in self._select(f"WHERE p.row IN ({marks})", part))
        return [found[int(row)] for row in rows]

    def with_hash(self, digest: str) -> list[StoredPassage]:
        """Return the passages whose content has this hash, in the order of rows."""
        return list(self._select("WHERE p.hash = ? ORDER BY p.row", (digest,)))

    def twins_before(self, stored: StoredPassage) -> int:
        """Count the passages of equal content that stand before one in its document."""
        ask = "SELECT count(*) FROM passages WHERE document = ? AND hash = ? AND row < ?"
        ((count,),) = self._rows(ask, (stored.group, stored.passage.hash, stored.row))
        return int(count)

    def rows_of(self, documents: Sequence[int]) -> NDArray[np.int64]:
        """Return the rows of the passages of some documents, ascending."""
        found = self._rows(f"{_ROWS_OF} ORDER BY row", (json.dumps(list(documents)),))
        return np.array([row for (row,) in found], dtype=np.int64)

    def column(self, name: str) -> list[Any]:
        """Return one column ("document", "section" or "hash") of all passages, by row."""
        if name not in ("document", "section", "hash"):
            raise StoreError(f"column must be 'document', 'section' or 'hash'; got {name!r}")
        return [v for (v,) in self._rows(f"SELECT {name} FROM passages ORDER BY row")]

    def stems(self, text: str) -> list[str]:
        """Return the stemmed words of a text as the lexical index sees them.

        Args:
            text: Any text.

        Returns:
            Distinct stems in the order of the text.
        """
        return self._stems(_clean(text))

    def telling_stems(self, query: str) -> list[str]:
        """Return the stems of a query without those that stand in most passages.

        Args:
            query: Free text.

        Returns:
            Distinct stems in the order of the text; all of them if all are common.
        """
        if self._common is None:
            self._common = frozenset(self.fact("common_terms", []))
        terms = self.stems(query)
        return [term for term in terms if term not in self._common] or terms

    def search(
        self, query: str, k: int, *, documents: Sequence[int] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rank passages by BM25.

        Args:
            query: Free text; it needs no syntax and has none.
            k: How many.
            documents: Ids of the documents to look in; by default all.

        Returns:
            Rows and BM25 scores (positive, higher is better), best first, at most k.
        """
        rare = self.telling_stems(query)
        if not rare:
            return np.empty(0, np.int64), np.empty(0)
        # Terms are stems already, and a stem may stem further; the words themselves are asked for.
        wanted = set(rare[:_MOST_TERMS])
        words = [w for w in dict.fromkeys(_WORD.findall(_clean(query))) if self._holds(w, wanted)]
        match = " OR ".join(f'"{word}"' for word in words)
        within, values = "", [match]
        if documents is not None:
            # The plus keeps SQLite from looking each row of the documents up among the words.
            within = f"AND +rowid IN ({_ROWS_OF}) "
            values.append(json.dumps(list(documents)))
        ask = (
            "SELECT rowid, -bm25(lexicon) FROM lexicon WHERE lexicon MATCH ? "
            f"{within}ORDER BY rank LIMIT ?"
        )
        found = list(self._rows(ask, (*values, k))) if match else []
        rows = np.array([row for row, _ in found], dtype=np.int64)
        return rows, np.array([score for _, score in found], dtype=np.float64)

    def _holds(self, word: str, wanted: set[str]) -> bool:
        return any(stem in wanted for stem in self._stems(word))
