from ._snip import Snip as Snip
from ._snip_config import SIZES as SIZES
from ._snip_config import SnipConfig as SnipConfig
from ._towers import AttentionPooling as AttentionPooling
from ._towers import FormulaTower as FormulaTower
from ._towers import PointTower as PointTower

__all__ = [
    "AttentionPooling",
    "FormulaTower",
    "PointTower",
    "SIZES",
    "Snip",
    "SnipConfig",
]
