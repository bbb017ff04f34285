from ._factors import FactorEncoder as FactorEncoder
from ._lexical import LexicalEncoder as LexicalEncoder
from ._lexical import LexicalOptions as LexicalOptions

__all__ = ["FactorEncoder", "LexicalEncoder", "LexicalOptions"]
