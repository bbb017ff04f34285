"""The visible table of methods: name -> class. To add one: one file, one line, its tests run."""

from ._embedding import CompressedEmbedding
from ._full import FullTable
from .sharing._hash import HashTable

METHODS: dict[str, type[CompressedEmbedding]] = {
    kind.name: kind
    for kind in (
        FullTable,
        HashTable,
    )
}
