from ._schemes import SCHEMES as SCHEMES
from ._schemes import NumericEncoder as NumericEncoder

__all__ = ["SCHEMES", "NumericEncoder"]
