from ._run import QUICK as QUICK
from ._run import STEPS as STEPS
from ._run import run as run
from ._run import write as write
from ._step import Floor as Floor
from ._step import StepResult as StepResult
from ._texts import sense_areas as sense_areas
from ._texts import states_of as states_of
from ._texts import usages as usages

__all__ = [
    "Floor",
    "QUICK",
    "STEPS",
    "StepResult",
    "run",
    "sense_areas",
    "states_of",
    "usages",
    "write",
]
