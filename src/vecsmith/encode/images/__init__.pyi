from ._vision import VisionEncoder as VisionEncoder
from ._vision import VisionOutput as VisionOutput
from ._vision import evaluating as evaluating

__all__ = ["VisionEncoder", "VisionOutput", "evaluating"]
