from ._rows import TECHNIQUES as TECHNIQUES
from ._technique import Technique as Technique
from ._technique import get as get
from ._technique import make as make
from ._technique import table as table

__all__ = ["TECHNIQUES", "Technique", "get", "make", "table"]
