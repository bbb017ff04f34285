"""Find the entities of a graph in a text by their names and synonyms.

The longest match wins, from left to right, on borders of words, whatever case, accents and spaces
are; scripts without spaces match anywhere. It knows no context: a synonym that several entities
share is left out (as the authors leave out acronyms that are not unique), names come before
synonyms, and of entities with one name the first is taken; `ambiguous` tells of all of these.

Use for names that are mostly unique (terms of an ontology). Avoid for people, places and short
acronyms, where a linker that reads the context is needed: anything with `link(text)` will do.
Cost: one walk over the words of a text; memory a small dictionary a word of the names.
"""

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vecsmith.core import ConfigError, DataError

from .._state import read_state, reading, write_state
from ._folding import folded_words
from ._ids import packed, unpacked

KIND = "dictionary linker"
_END = ""


class EntitySpan(NamedTuple):
    """A mention.

    Attributes:
        start: First character in the text as given.
        end: One past the last.
        text: The mention as it stands there.
        name: Name of the entity.
        id: The entity.
    """

    start: int
    end: int
    text: str
    name: str
    id: Hashable


class DictionaryLinker:
    """Names and synonyms, ready to be looked for.

    Args:
        names: Entity to its name.
        synonyms: Entity to further names; entities without a name of their own are refused.
        exclude: Phrases that never link, as "all" or "sign".
        min_letters: Phrases of fewer folded characters never link.

    Attributes:
        names: As given.
        ambiguous: Folded phrase to the entities that share it.

    Raises:
        DataError: No names, a name without any letter, or synonyms of an unknown entity.
        ConfigError: min_letters below 1.
    """

    def __init__(
        self,
        names: Mapping[Any, str],
        synonyms: Mapping[Any, Iterable[str]] | None = None,
        *,
        exclude: Iterable[str] = (),
        min_letters: int = 2,
    ) -> None:
        if not isinstance(min_letters, int) or min_letters < 1:
            raise ConfigError(f"min_letters must be a whole number from 1; got {min_letters!r}")
        self.names = dict(names)
        self.synonyms = {key: list(texts) for key, texts in (synonyms or {}).items()}
        self.exclude, self.min_letters = sorted(exclude), min_letters
        self.ambiguous: dict[str, tuple[Hashable, ...]] = {}
        strange = [key for key in self.synonyms if key not in self.names]
        if not self.names or strange:
            raise DataError(
                f"names must hold every entity, at least one; got {len(self.names)} names and "
                f"synonyms of the unknown {strange[:5]!r}; name these, or leave their synonyms out"
            )
        self._tree: dict[str, Any] = {}
        for phrase, entity in self._phrases().items():
            node = self._tree
            for word in phrase:
                node = node.setdefault(word, {})
            node[_END] = entity

    def _phrases(self) -> dict[tuple[str, ...], Hashable]:
        named: dict[tuple[str, ...], list[Hashable]] = {}
        for entity, name in self.names.items():
            phrase = _folded(name)
            if not phrase:
                raise DataError(
                    f"the name of {entity!r} must hold a letter or digit; got {name!r}: "
                    "give its name, or leave the entity out"
                )
            named.setdefault(phrase, []).append(entity)
        others: dict[tuple[str, ...], list[Hashable]] = {}
        for entity, texts in self.synonyms.items():
            for phrase in dict.fromkeys(map(_folded, texts)):
                if phrase and phrase not in named:
                    others.setdefault(phrase, []).append(entity)
        shared = {k: v for k, v in {**named, **others}.items() if len(v) > 1}
        self.ambiguous = {" ".join(phrase): tuple(owners) for phrase, owners in shared.items()}
        found = {phrase: owners[0] for phrase, owners in named.items()}
        found |= {phrase: owners[0] for phrase, owners in others.items() if len(owners) == 1}
        never = {_folded(text) for text in self.exclude}
        return {
            phrase: entity
            for phrase, entity in found.items()
            if phrase not in never and len("".join(phrase)) >= self.min_letters
        }

    def link(self, text: str) -> list[EntitySpan]:
        """Find mentions that do not overlap.

        Args:
            text: Any text.

        Returns:
            Mentions from left to right; their places are those of the text as given.

        Raises:
            DataError: Not a text.
        """
        if not isinstance(text, str):
            raise DataError(f"text must be a string; got {type(text).__name__}")
        words = folded_words(text)
        found: list[EntitySpan] = []
        place = 0
        while place < len(words):
            node, step, last = self._tree, place, None
            while step < len(words) and words[step].text in node:
                node = node[words[step].text]
                step += 1
                if _END in node:
                    last = (step, node[_END])
            if last is None:
                place += 1
                continue
            end, entity = last
            start, stop = words[place].start, words[end - 1].end
            found.append(EntitySpan(start, stop, text[start:stop], self.names[entity], entity))
            place = end
        return found

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold of it.

        Raises:
            ConfigError: Ids that JSON cannot hold.
        """
        return {
            "names": [[packed(key), name] for key, name in self.names.items()],
            "synonyms": [[packed(key), texts] for key, texts in self.synonyms.items()],
            "exclude": self.exclude,
            "min_letters": self.min_letters,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "DictionaryLinker":
        """Make it again.

        Args:
            state: What `state` returned.

        Returns:
            The linker.
        """
        return cls(
            {unpacked(key): name for key, name in state["names"]},
            {unpacked(key): texts for key, texts in state["synonyms"]},
            exclude=state["exclude"],
            min_letters=state["min_letters"],
        )

    def save(self, folder: str | Path) -> None:
        """Write it to a folder.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            ConfigError: Ids that JSON cannot hold.
            StoreError: The place cannot be written.
        """
        write_state(folder, KIND, self.state(), {})

    @classmethod
    def load(cls, folder: str | Path) -> "DictionaryLinker":
        """Read what `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The linker.

        Raises:
            StoreError: Missing, damaged, or of another kind.
        """
        values, _ = read_state(folder, KIND)
        with reading(folder):
            return cls.from_state(values)


def _folded(text: str) -> tuple[str, ...]:
    return tuple(word.text for word in folded_words(text))
