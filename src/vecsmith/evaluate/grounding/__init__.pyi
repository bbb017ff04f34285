from ._scenes import GroundingScore as GroundingScore
from ._scenes import JointEncoder as JointEncoder
from ._scenes import Scene as Scene
from ._scenes import choose as choose
from ._scenes import goal_accuracy as goal_accuracy
from ._scenes import make_scenes as make_scenes
from ._scenes import reward as reward

__all__ = [
    "GroundingScore",
    "JointEncoder",
    "Scene",
    "choose",
    "goal_accuracy",
    "make_scenes",
    "reward",
]
