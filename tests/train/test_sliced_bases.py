"""What may stand inside the losses that cut embeddings: no head, but a queue, which is cut too."""

import pytest
import torch

from vecsmith.core import ConfigError
from vecsmith.train import (
    MatryoshkaLoss,
    MomentumQueue,
    ProjectionHead,
    UnsupervisedContrastiveLoss,
)

QUERIES = ["open the valve", "red sensor cable", "pump", "close door", "read file"]


def nce(query, answers, temperature):
    """Naive loss in float64; the answer of a row is in its place."""
    total = 0.0
    for row, vector in enumerate(query):
        scores = torch.stack([torch.cosine_similarity(vector, a, dim=0) for a in answers])
        total += float(torch.logsumexp(scores / temperature, 0) - scores[row] / temperature)
    return total / len(query)


def test_a_head_that_mixes_dimensions_is_refused(layered_model) -> None:
    model = layered_model()
    base = UnsupervisedContrastiveLoss(model, head=ProjectionHead(32))
    with pytest.raises(ConfigError, match="head=None"):
        MatryoshkaLoss(base, [8, 32])


def test_a_queue_fills_and_is_cut_inside_a_wrapper(layered_model) -> None:
    model = layered_model()
    queue = MomentumQueue(model, 7)
    base = UnsupervisedContrastiveLoss(model, queue=queue, temperature=0.5)
    loss = MatryoshkaLoss(base, [8, 32]).train()
    texts = model.preprocess(QUERIES)
    loss([dict(texts)])
    assert queue.vectors.shape == (5, 32)
    with torch.no_grad():
        views = model(dict(texts))["sentence_embedding"]
    kept = queue.vectors.clone()
    expected = 0.0
    for dim in (8, 32):
        both = torch.cat([views, kept])[:, :dim]
        expected += nce(views[:, :dim].double(), both.double(), 0.5)
    loss.eval()
    assert float(loss([dict(texts)]).detach()) == pytest.approx(expected, rel=1e-4)
