"""OptEmbed in its parts: search once, look at what was found, retrain.

    search = OptEmbedSearch("deepfm", alpha=1e-3, threshold_lr=1.0)
    found = search.fit(train, validation)          # supernet and evolution
    model = found.retrain(train, validation)       # dense tables, from the weights of the start
    found.report(model, test)

`fit_ctr` on a `CTRModel` over the method "opt_embed" runs the same stages in one go.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vecsmith.core import ConfigError
from vecsmith.data.tables import FieldTable
from vecsmith.encode.tables import CompressedEmbedding, OptEmbed
from vecsmith.encode.tables.shrinking import EvolutionOptions

from ._auc import log_loss, roc_auc
from ._bodies import Body
from ._ctr_model import CTRModel
from ._fit import CTROptions, fit_ctr, predict


@dataclass(frozen=True)
class OptEmbedReport:
    """What a retrained model is worth, and how small its table is.

    Attributes:
        auc: Test AUC.
        log_loss: Test log-loss.
        params: Numbers in the frozen table.
        sparsity: 1 - params / (values * dim).
        by_field: For each field its name, values, rows kept and width.
    """

    auc: float
    log_loss: float
    params: int
    sparsity: float
    by_field: tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class OptEmbedFound:
    """What the search found.

    Attributes:
        row_keep: Which values keep a vector, shape (values of all fields,).
        dims: Width of each field.
        history: For each generation its best validation AUC and the best so far.
        params: Numbers that are left.
        supernet: The model after supernet and evolution.
        options: How it was trained.
    """

    row_keep: NDArray[np.bool_]
    dims: tuple[int, ...]
    history: tuple[tuple[float, float], ...]
    params: int
    supernet: CTRModel
    options: CTROptions

    def retrain(
        self,
        train: FieldTable,
        validation: FieldTable,
        *,
        rewind: bool = True,
        row_keep: NDArray[np.bool_] | None = None,
    ) -> CTRModel:
        """Train a model over dense tables of the rows and widths that were found.

        Args:
            train: Rows to learn from.
            validation: Rows for early stopping.
            rewind: Start from the weights of the start; otherwise from those of the supernet.
            row_keep: Other rows than those that were found, to compare with.

        Returns:
            A new model; the supernet stays as it is.

        Raises:
            ConfigError: `row_keep` has another length.
        """
        model = copy.deepcopy(self.supernet)
        table = model.embedding
        assert isinstance(table, OptEmbed)
        if row_keep is not None:
            if row_keep.shape != self.row_keep.shape:
                raise ConfigError(
                    f"row_keep must have shape {self.row_keep.shape}; got {row_keep.shape}"
                )
            table.keep = torch.from_numpy(np.asarray(row_keep, bool)).to(table.thresholds.device)
        table.rewind_to_start(rewind)
        (stage,) = [s for s in table.stages() if s.name == "retrain"]
        fit_ctr(model, train, validation, options=self.options, stages=(stage,))
        return model

    def report(self, model: CTRModel, test: FieldTable) -> OptEmbedReport:
        """Score a retrained model, and count its table from the frozen tensors.

        Args:
            model: From `retrain`.
            test: Rows that were not trained on.
        """
        logits, labels = predict(model, test), np.asarray(test.labels)
        frozen = model.embedding.freeze()
        tables = [frozen.tensors[f"table{f}"] for f in range(frozen.shape.fields)]
        params = sum(table.numel() for table in tables)
        whole = frozen.shape.total * frozen.shape.dim
        rows = tuple(
            (name, size, int(table.shape[0]), int(table.shape[1]))
            for name, size, table in zip(test.names, test.sizes, tables, strict=True)
        )
        return OptEmbedReport(
            roc_auc(labels, logits), log_loss(labels, logits), params, 1 - params / whole, rows
        )


@dataclass(frozen=True)
class OptEmbedSearch:
    """How to search.

    Attributes:
        body: Network, or its name in `BODIES`.
        dim: Largest width.
        alpha: Weight of sum exp(-t), which pushes thresholds up.
        threshold_lr: Rate of the thresholds; 1.0 for a few thousand steps, 1e-4 for millions.
        threshold: One a "field", or one a "value".
        norm: 1 or 2, the norm of a row that is compared with its threshold.
        rows: Whether rows go.
        widths: Whether widths are searched.
        max_params: Candidates with more numbers are not scored.
        evolution: How widths are searched.
        options: How supernet and retraining are trained; coupled L2 matters.
    """

    body: Body | str = "deepfm"
    dim: int = 16
    alpha: float = 1e-4
    threshold_lr: float = 1.0
    threshold: str = "field"
    norm: int = 1
    rows: bool = True
    widths: bool = True
    max_params: int | None = None
    evolution: EvolutionOptions = field(default_factory=EvolutionOptions)
    options: CTROptions = field(default_factory=lambda: CTROptions(l2=1e-5))

    def fit(self, train: FieldTable, validation: FieldTable) -> OptEmbedFound:
        """Train the supernet, drop rows, search widths.

        Args:
            train: Rows to learn from.
            validation: Rows that candidates are scored on.

        Returns:
            Rows and widths.
        """
        settings: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "alpha",
                "threshold_lr",
                "threshold",
                "norm",
                "rows",
                "widths",
                "max_params",
                "evolution",
            )
        }
        seed = self.options.seed
        table = CompressedEmbedding.build(
            "opt_embed", train.sizes, dim=self.dim, seed=seed, **settings
        )
        assert isinstance(table, OptEmbed)
        numbers = 0 if train.numbers is None else train.numbers.shape[1]
        model = CTRModel(table, self.body, numbers=numbers, seed=seed)
        stages = tuple(stage for stage in table.stages() if stage.name != "retrain")
        fit_ctr(model, train, validation, options=self.options, stages=stages)
        history = () if table.evolution is None else table.evolution.history
        return OptEmbedFound(
            table.rows_mask().cpu().numpy(),
            table.dims,
            history,
            table.params(table.dims),
            model,
            self.options,
        )
