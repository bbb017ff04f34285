from ._encoders import debias_encoder as debias_encoder
from ._encoders import debias_token_table as debias_token_table
from ._hard import HardDebias as HardDebias
from ._hard import equalize as equalize
from ._hard import neutralize as neutralize
from ._hard import spelling_variants as spelling_variants
from ._nullspace import NullspaceProjection as NullspaceProjection
from ._nullspace import rowspace as rowspace
from ._soft import SoftDebias as SoftDebias
from ._soft import soft_gram as soft_gram
from ._specific import SpecificWords as SpecificWords
from ._specific import expand_specific as expand_specific
from ._subspace import BiasSubspace as BiasSubspace

__all__ = [
    "BiasSubspace",
    "HardDebias",
    "NullspaceProjection",
    "SoftDebias",
    "SpecificWords",
    "debias_encoder",
    "debias_token_table",
    "equalize",
    "expand_specific",
    "neutralize",
    "rowspace",
    "soft_gram",
    "spelling_variants",
]
