"""Stems of words as the lexical index sees them."""

import sqlite3

_MOST_KEPT = 50_000
_LONGEST_KEPT = 32


class Stemmer:
    """FTS5's own tokenizer as a function, through a table in memory."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", check_same_thread=False)
        self.db.executescript(
            'CREATE VIRTUAL TABLE t USING fts5(c, tokenize="porter unicode61 remove_diacritics 2");'
            "CREATE VIRTUAL TABLE v USING fts5vocab(t, instance);"
        )
        self._known: dict[str, list[str]] = {}

    def __call__(self, text: str) -> list[str]:
        """Return the distinct stems of a text, in its order."""
        if text in self._known:
            return self._known[text]
        with self.db:
            self.db.execute("DELETE FROM t")
            self.db.execute("INSERT INTO t VALUES (?)", (text,))
        found = self.db.execute("SELECT term FROM v ORDER BY offset").fetchall()
        stems = list(dict.fromkeys(term for (term,) in found))
        # Words come again and again; whole queries and passages seldom do.
        if len(text) <= _LONGEST_KEPT:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[text] = stems
        return stems
