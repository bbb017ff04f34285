import numpy as np
import pytest
import torch

from vecsmith.core import DataError
from vecsmith.data.tables import FieldTable
from vecsmith.encode.tables import CompressedEmbedding
from vecsmith.evaluate import evaluate_ctr
from vecsmith.train.tables import CTRModel, SingleLayer


def test_scores_are_those_of_the_logits():
    ids = np.array([[0], [1], [2], [3]])
    table = CompressedEmbedding.build("full", [4], dim=1)
    model = CTRModel(table, SingleLayer())
    with torch.no_grad():
        table.table[:, 0] = torch.tensor([0.0, 1.0, 2.0, 3.0])
        model.body.net[0].weight.fill_(1.0)
        model.body.net[0].bias.zero_()
    rows = FieldTable(ids, np.array([0.0, 1.0, 0.0, 1.0]), ("a",), (4,))
    scores = evaluate_ctr(model, rows, batch_size=3)
    assert scores.auc == 0.75 and scores.rows == 4 and scores.seconds > 0
    logits = np.arange(4.0)
    expected = np.mean(
        [np.log1p(np.exp(z)) - y * z for y, z in zip(rows.labels, logits, strict=True)]
    )
    assert scores.log_loss == pytest.approx(expected, rel=1e-6)
    with pytest.raises(DataError, match="both labels"):
        evaluate_ctr(model, rows.take(np.array([0, 2])))
