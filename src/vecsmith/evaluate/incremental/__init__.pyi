from ._protocol import IncrementalCurve as IncrementalCurve
from ._protocol import Learner as Learner
from ._protocol import class_sessions as class_sessions
from ._protocol import evaluate_incremental as evaluate_incremental

__all__ = ["IncrementalCurve", "Learner", "class_sessions", "evaluate_incremental"]
