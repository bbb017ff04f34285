from ._aspects import AspectDataset as AspectDataset
from ._aspects import AspectFold as AspectFold
from ._documents import Link as Link
from ._documents import Passage as Passage
from ._documents import Section as Section
from ._documents import Skipped as Skipped
from ._documents import SourceFile as SourceFile
from ._files import SAME_CONTENT as SAME_CONTENT
from ._files import list_files as list_files
from ._pairs import Pair as Pair
from ._pairs import clean_query as clean_query
from ._pairs import first_sentence as first_sentence
from ._pairs import heading_query as heading_query
from ._pairs import neighbour_pairs as neighbour_pairs
from ._pairs import structure_pairs as structure_pairs
from ._pairs import without_heading as without_heading
from ._passages import split_passages as split_passages
from ._repeated import RepeatedBlocks as RepeatedBlocks
from .readers._table import READERS as READERS
from .readers._table import content_kind as content_kind
from .readers._table import read_sections as read_sections

__all__ = [
    "Link",
    "Pair",
    "Passage",
    "READERS",
    "RepeatedBlocks",
    "SAME_CONTENT",
    "Section",
    "Skipped",
    "SourceFile",
    "clean_query",
    "content_kind",
    "first_sentence",
    "heading_query",
    "list_files",
    "neighbour_pairs",
    "read_sections",
    "split_passages",
    "structure_pairs",
    "without_heading",
    "AspectDataset",
    "AspectFold",
]
