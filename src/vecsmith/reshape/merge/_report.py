"""Why joint training of several tasks loses: task vectors and gradients, compared.

Task conflict shows as negative cosines between the tasks' gradients at the base; data imbalance as
task vectors whose length, and whose cosine with the jointly trained model's, grow with the task's
amount of data.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from vecsmith.core import ConfigError

from ._probe import Probe
from ._set import MergeSet, State, check_structure


@dataclass(frozen=True)
class TaskVectorReport:
    """Norms and cosines.

    Attributes:
        norms: Expert -> length of its task vector.
        relative: Expert -> that length over the length of the base's tensors.
        cosines: Expert -> expert -> cosine of the task vectors.
        joint_norm: Length of the joint model's task vector; None without one.
        joint_cosines: Expert -> cosine with the joint model's task vector.
        sizes: Expert -> amount of its training data, as given.
        conflicts: Task -> task -> cosine of the losses' gradients at the base.
    """

    norms: dict[str, float]
    relative: dict[str, float]
    cosines: dict[str, dict[str, float]]
    joint_norm: float | None = None
    joint_cosines: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    conflicts: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return asdict(self)

    def to_markdown(self) -> str:
        """Return the report as a table, one row an expert."""
        tasks = list(self.norms)
        head = [
            "expert",
            "rows",
            "norm",
            "of base",
            "cos to joint",
            *(f"cos to {t}" for t in tasks),
        ]
        rows = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for task in tasks:
            joint = self.joint_cosines.get(task)
            cells = [
                task,
                str(self.sizes.get(task, "")),
                f"{self.norms[task]:.3f}",
                f"{self.relative[task]:.3f}",
                "" if joint is None else f"{joint:.3f}",
                *(f"{self.cosines[task][other]:.3f}" for other in tasks),
            ]
            rows.append(f"| {' | '.join(cells)} |")
        return "\n".join(rows) + "\n"


def task_vector_report(
    ms: MergeSet,
    *,
    joint: nn.Module | None = None,
    sizes: Mapping[str, int] | None = None,
    probe: Probe | None = None,
) -> TaskVectorReport:
    """Compare task vectors, and the tasks' gradients at the base.

    Args:
        ms: Base and experts.
        joint: A model trained on all tasks together from the same base.
        sizes: Expert -> amount of its training data, for the table.
        probe: A probe of the base (``Probe(ms.base, loss, data)``) for the gradients.

    Returns:
        The report.

    Raises:
        ModelError: The joint model differs from the base in structure.
        ConfigError: The probe is of another model.
    """
    vectors = {task: ms.task_vector(task) for task in ms.tasks}
    start = {name: ms.start(name) for name in ms.names}
    norms = {task: dot(v, v) ** 0.5 for task, v in vectors.items()}
    joint_norm, joint_cosines = None, {}
    if joint is not None:
        check_structure(ms.base, joint, "joint")
        state = joint.state_dict()
        pull = {name: state[name].detach().to(start[name]) - start[name] for name in ms.names}
        joint_norm = dot(pull, pull) ** 0.5
        joint_cosines = {task: cosine(pull, vector) for task, vector in vectors.items()}
    if probe is not None and probe.model is not ms.base:
        raise ConfigError("probe must be of the base: make it with Probe(ms.base, loss, data)")
    gradients = {} if probe is None else {t: probe.gradient(t, ms.names) for t in probe.tasks}
    return TaskVectorReport(
        norms=norms,
        relative={task: norm / dot(start, start) ** 0.5 for task, norm in norms.items()},
        cosines=_table(vectors),
        joint_norm=joint_norm,
        joint_cosines=joint_cosines,
        sizes=dict(sizes or {}),
        conflicts=_table(gradients),
    )


def dot(first: State, second: State) -> float:
    """Return the inner product of two sets of tensors, in double precision.

    Args:
        first: Name -> tensor.
        second: The same names.
    """
    return sum(float((first[name].double() * second[name].double()).sum()) for name in first)


def cosine(first: State, second: State) -> float:
    """Return the cosine of two sets of tensors; 0 where one is all zeros.

    Args:
        first: Name -> tensor.
        second: The same names.
    """
    norm = (dot(first, first) * dot(second, second)) ** 0.5
    return dot(first, second) / norm if norm else 0.0


def _table(rows: Mapping[str, State]) -> dict[str, dict[str, float]]:
    return {a: {b: cosine(rows[a], rows[b]) for b in rows} for a in rows}
