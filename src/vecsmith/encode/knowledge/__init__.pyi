from ._controls import matched_random as matched_random
from ._controls import mean_vectors as mean_vectors
from ._definition_vectors import DefinitionVectors as DefinitionVectors
from ._dictionary_linker import DictionaryLinker as DictionaryLinker
from ._dictionary_linker import EntitySpan as EntitySpan
from ._entity_fuser import EntityFuser as EntityFuser
from ._entity_fuser import FusedWindow as FusedWindow
from ._folding import Word as Word
from ._folding import folded_words as folded_words
from ._growth import grow_embeddings as grow_embeddings
from ._layouts import LAYOUTS as LAYOUTS

__all__ = [
    "DefinitionVectors",
    "DictionaryLinker",
    "EntityFuser",
    "EntitySpan",
    "FusedWindow",
    "LAYOUTS",
    "Word",
    "folded_words",
    "grow_embeddings",
    "matched_random",
    "mean_vectors",
]
