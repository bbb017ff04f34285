from ._property_head import HeadTraining as HeadTraining
from ._property_head import PropertyHead as PropertyHead
from ._snip_trainer import SnipTrainer as SnipTrainer
from ._snip_trainer import SnipTraining as SnipTraining
from ._snip_trainer import matched as matched
from ._source import PairBatch as PairBatch
from ._source import PairSource as PairSource
from ._symmetric import symmetric_contrastive as symmetric_contrastive

__all__ = [
    "HeadTraining",
    "PairBatch",
    "PairSource",
    "PropertyHead",
    "SnipTrainer",
    "SnipTraining",
    "matched",
    "symmetric_contrastive",
]
