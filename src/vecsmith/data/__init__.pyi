from ._aspects import AspectDataset as AspectDataset
from ._aspects import AspectFold as AspectFold
from ._cocitation import CitedPair as CitedPair
from ._cocitation import cocitation_pairs as cocitation_pairs
from ._contamination import Overlap as Overlap
from ._contamination import find_overlaps as find_overlaps
from ._documents import Link as Link
from ._documents import Passage as Passage
from ._documents import Section as Section
from ._documents import Skipped as Skipped
from ._documents import SourceFile as SourceFile
from ._files import SAME_CONTENT as SAME_CONTENT
from ._files import list_files as list_files
from ._hierarchy import UNKNOWN as UNKNOWN
from ._hierarchy import Hierarchy as Hierarchy
from ._hierarchy_batches import HierarchyBatch as HierarchyBatch
from ._hierarchy_batches import concept_distances as concept_distances
from ._hierarchy_batches import sample_batch as sample_batch
from ._hierarchy_batches import synonym_batch as synonym_batch
from ._pairs import Pair as Pair
from ._pairs import clean_query as clean_query
from ._pairs import first_sentence as first_sentence
from ._pairs import heading_query as heading_query
from ._pairs import neighbour_pairs as neighbour_pairs
from ._pairs import structure_pairs as structure_pairs
from ._pairs import without_heading as without_heading
from ._passages import split_passages as split_passages
from ._repeated import RepeatedBlocks as RepeatedBlocks
from .formulas import Expression as Expression
from .formulas import ExpressionGenerator as ExpressionGenerator
from .formulas import ExpressionOptions as ExpressionOptions
from .formulas import FormulaTokenizer as FormulaTokenizer
from .formulas import PointOptions as PointOptions
from .formulas import property_of as property_of
from .readers._table import READERS as READERS
from .readers._table import content_kind as content_kind
from .readers._table import read_sections as read_sections

__all__ = [
    "AspectDataset",
    "AspectFold",
    "CitedPair",
    "Expression",
    "ExpressionGenerator",
    "ExpressionOptions",
    "FormulaTokenizer",
    "Hierarchy",
    "HierarchyBatch",
    "Link",
    "Overlap",
    "Pair",
    "Passage",
    "PointOptions",
    "READERS",
    "RepeatedBlocks",
    "SAME_CONTENT",
    "Section",
    "Skipped",
    "SourceFile",
    "UNKNOWN",
    "clean_query",
    "cocitation_pairs",
    "concept_distances",
    "content_kind",
    "find_overlaps",
    "first_sentence",
    "heading_query",
    "list_files",
    "neighbour_pairs",
    "property_of",
    "read_sections",
    "sample_batch",
    "split_passages",
    "structure_pairs",
    "synonym_batch",
    "without_heading",
]
