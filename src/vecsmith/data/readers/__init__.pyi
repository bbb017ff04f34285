from ._table import READERS as READERS
from ._table import Reader as Reader
from ._table import content_kind as content_kind
from ._table import read_sections as read_sections

__all__ = ["READERS", "Reader", "content_kind", "read_sections"]
