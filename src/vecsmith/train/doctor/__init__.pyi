from ._before import examine_data as examine_data
from ._during import DoctorCallback as DoctorCallback
from ._during import TrainingError as TrainingError
from ._during import gradient_findings as gradient_findings
from ._during import loss_findings as loss_findings
from ._findings import Finding as Finding
from ._findings import report_text as report_text
from ._findings import worst as worst
from ._space import SpaceHealth as SpaceHealth
from ._space import space_findings as space_findings
from ._space import space_health as space_health

__all__ = [
    "DoctorCallback",
    "Finding",
    "SpaceHealth",
    "TrainingError",
    "examine_data",
    "gradient_findings",
    "loss_findings",
    "report_text",
    "space_findings",
    "space_health",
    "worst",
]
