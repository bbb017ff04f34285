from ._geometry import Geometry as Geometry
from ._geometry import anisotropy as anisotropy
from ._geometry import geometry as geometry
from ._geometry import intrinsic_dimension as intrinsic_dimension
from ._geometry import isotropy as isotropy
from ._numbers import NumeracyScore as NumeracyScore
from ._numbers import numeracy as numeracy
from ._probe import Probe as Probe
from ._probe import control_labels as control_labels
from ._probe import probe as probe
from ._sparse_codes import SparseCodes as SparseCodes
from ._sparse_codes import sparse_codes as sparse_codes

__all__ = [
    "Geometry",
    "NumeracyScore",
    "Probe",
    "SparseCodes",
    "anisotropy",
    "control_labels",
    "geometry",
    "intrinsic_dimension",
    "isotropy",
    "numeracy",
    "probe",
    "sparse_codes",
]
