from ._others import add_low_rank as add_low_rank
from ._others import fold_low_rank as fold_low_rank
from ._others import moved as moved
from ._others import renew_statistics as renew_statistics
from ._parallel import Bottleneck as Bottleneck
from ._parallel import add_parallel as add_parallel
from ._prompts import Prompted as Prompted
from ._prompts import add_prompts as add_prompts
from ._scale_shift import ScaleShift as ScaleShift
from ._scale_shift import add_scale_shift as add_scale_shift
from ._scale_shift import fold_scale_shift as fold_scale_shift

__all__ = [
    "Bottleneck",
    "Prompted",
    "ScaleShift",
    "add_low_rank",
    "add_parallel",
    "add_prompts",
    "add_scale_shift",
    "fold_low_rank",
    "fold_scale_shift",
    "moved",
    "renew_statistics",
]
