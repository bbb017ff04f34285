"""Scores of click models on rows that were not trained on.

AUC = P(score of a random positive > score of a random negative), ties half;
log-loss = -mean(y log p + (1 - y) log(1 - p)).
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vecsmith.data.tables import FieldTable
    from vecsmith.train.tables import CTRModel


@dataclass(frozen=True)
class CTRScores:
    """What a click model is worth.

    Attributes:
        auc: Area under the ROC curve, 0.5 is chance.
        log_loss: Binary cross-entropy in nats.
        rows: Rows that were scored.
        seconds: Wall-clock seconds of scoring.
    """

    auc: float
    log_loss: float
    rows: int
    seconds: float


def evaluate_ctr(model: "CTRModel", table: "FieldTable", *, batch_size: int = 8192) -> CTRScores:
    """Score a click model.

    Args:
        model: Any module that turns ids (and numbers) into logits.
        table: Rows with labels of both kinds.
        batch_size: Rows a step.

    Returns:
        AUC and log-loss.

    Raises:
        DataError: All labels are equal.
    """
    from vecsmith.train.tables import log_loss, predict, roc_auc

    started = time.perf_counter()
    logits = predict(model, table, batch_size=batch_size)
    seconds = time.perf_counter() - started
    labels = np.asarray(table.labels)
    return CTRScores(roc_auc(labels, logits), log_loss(labels, logits), len(table), seconds)
