"""The duplex retriever: scores of both halves, files, calibration, its loss."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.store import DuplexIndex
from vecsmith.train import DuplexContrastiveLoss, DuplexRetriever


@pytest.fixture
def retriever(masked_folder):
    torch.manual_seed(0)
    made = DuplexRetriever.from_pretrained(masked_folder("bert", head=True), dense_dim=12, topk=9)
    return made.eval()


def naive_scores(retriever, queries, documents):
    """From logits of single texts, in plain loops."""

    def halves(text):
        features = retriever.model.preprocess([text])
        out = retriever.model(features)
        words = retriever.model[0].model.get_input_embeddings().weight
        logits = retriever.head(out["token_embeddings"], words)[0, 1:]
        u = logits.max(0).values - retriever.centre
        return out["sentence_embedding"][0].tolist(), u.tolist()

    w1, w2 = retriever.weights.tolist()
    scores = []
    for query in queries:
        d_q, u_q = halves(query)
        row = []
        for document in documents:
            d_p, u_p = halves(document)
            top = sorted(range(len(u_p)), key=lambda v: -u_p[v])[: retriever.topk]
            dense = sum(a * b for a, b in zip(d_q, d_p, strict=True))
            row.append(w1 * dense + w2 * sum(u_q[v] * u_p[v] for v in top))
        scores.append(row)
    return np.array(scores)


def test_scores_are_those_of_plain_loops(retriever, texts):
    retriever.calibrate(texts)
    queries = ["pump stops", "fever"]
    with torch.no_grad():
        want = naive_scores(retriever, queries, texts)
    q, d = retriever.encode_query(queries), retriever.encode_document(texts)
    np.testing.assert_allclose(retriever.score(q, d), want, rtol=5e-3, atol=5e-3)
    index = DuplexIndex(d.dense, d.ids, d.values, vocabulary=q.lexical.shape[1])
    np.testing.assert_allclose(index.scores(q.dense, q.lexical), want, rtol=5e-3, atol=5e-3)


def test_the_stamp_tells_retrievers_apart(retriever, tmp_path):
    retriever.save_pretrained(tmp_path / "retriever")
    again = DuplexRetriever.from_pretrained(tmp_path / "retriever")
    assert again.stamp == retriever.stamp
    with torch.no_grad():
        again.log_weights[0] += 0.1
    assert again.stamp.weights != retriever.stamp.weights


def test_batch_size_and_order_do_not_matter(retriever, texts):
    one, four = (retriever.encode_document(texts, batch_size=size) for size in (1, 4))
    np.testing.assert_allclose(one.dense, four.dense, rtol=1e-4, atol=1e-5)
    back = retriever.encode_document(texts[::-1])
    np.testing.assert_allclose(back.dense[::-1], four.dense, rtol=1e-4, atol=1e-5)


def test_calibration_centres_and_spreads_by_one(retriever, texts):
    retriever.calibrate(texts)
    q, d = retriever.encode_query(texts), retriever.encode_document(texts)
    apart = ~np.eye(len(texts), dtype=bool)
    dense = q.dense @ d.dense.T
    assert dense[apart].std(ddof=1) == pytest.approx(1.0, abs=0.01)
    lexical = retriever.score(q, d) - dense
    assert lexical[apart].std(ddof=1) == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(q.lexical.mean(0), 0.0, atol=1e-3)


@pytest.mark.parametrize("half", ["dense", "lexical"])
def test_each_half_works_alone(masked_folder, texts, half):
    torch.manual_seed(0)
    one = DuplexRetriever.from_pretrained(masked_folder("bert", head=True), halves=[half])
    one.calibrate(texts)
    q, d = one.encode_query(texts[:2]), one.encode_document(texts)
    assert (d.dense.shape[1] == 0) == (half == "lexical")
    assert (d.ids.shape[1] == 0) == (half == "dense")
    index = DuplexIndex(d.dense, d.ids, d.values, vocabulary=max(q.lexical.shape[1], 1))
    np.testing.assert_allclose(
        index.scores(q.dense, q.lexical), one.score(q, d), rtol=1e-4, atol=1e-4
    )
    loss = DuplexContrastiveLoss(one)
    features = [one.model.preprocess(texts[:2]), one.model.preprocess(texts[2:])]
    assert torch.isfinite(loss(features))


def test_saved_and_loaded_is_the_same(retriever, texts, tmp_path):
    from sentence_transformers import SentenceTransformer

    retriever.calibrate(texts)
    retriever.save_pretrained(tmp_path / "duplex")
    again = DuplexRetriever.from_pretrained(tmp_path / "duplex")
    queries = ["pump stops"]
    want = retriever.score(retriever.encode_query(queries), retriever.encode_document(texts))
    got = again.score(again.encode_query(queries), again.encode_document(texts))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    # the dense half is a folder of the host library
    plain = SentenceTransformer(str(tmp_path / "duplex"), device="cpu")
    np.testing.assert_allclose(
        plain.encode(texts), retriever.encode_document(texts).dense, rtol=1e-4, atol=1e-5
    )
    (tmp_path / "duplex" / "lexical.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="damaged"):
        DuplexRetriever.from_pretrained(tmp_path / "duplex")


@pytest.mark.parametrize("mini", [None, 2])
def test_loss_is_cross_entropy_of_summed_scores(retriever, texts, mini):
    retriever.calibrate(texts)
    queries, positives, negatives = texts[:3], texts[1:], [texts[0], texts[3], texts[1]]
    teacher = torch.tensor([[3.0, 1.0], [0.5, 2.0], [1.0, 1.0]])
    loss = DuplexContrastiveLoss(
        retriever, temperature=2.0, distil_weight=0.7, cached_mini_batch=mini
    )
    columns = [retriever.model.preprocess(c) for c in (queries, positives, negatives)]
    got = loss(columns, teacher)
    got.backward()
    assert retriever.log_weights.grad.abs().min() > 0
    assert retriever.head.dense.weight.grad.abs().sum() > 0
    with torch.no_grad():
        scores = torch.tensor(naive_scores(retriever, queries, positives + negatives)) / 2.0
    want = F.cross_entropy(scores, torch.arange(3))
    own = torch.stack([scores[range(3), range(3)], scores[range(3), range(3, 6)]], 1)
    t = teacher.double().softmax(1)
    want = want + 0.7 * (t * (t.log() - own.log_softmax(1))).sum(1).mean()
    assert got.item() == pytest.approx(want.item(), rel=1e-4)


def test_bad_input_is_refused(retriever, masked_folder, texts):
    with pytest.raises(ConfigError, match="halves"):
        DuplexRetriever(retriever.model, retriever.head, halves=["sparse"])
    with pytest.raises(ConfigError, match="temperature"):
        DuplexContrastiveLoss(retriever, temperature=0.0)
    with pytest.raises(DataError, match="at least one"):
        retriever.encode_query([])
    with pytest.raises(DataError, match="three texts"):
        retriever.calibrate(texts[:2])
    loss = DuplexContrastiveLoss(retriever, distil_weight=1.0)
    columns = [retriever.model.preprocess(texts[:2])] * 2
    with pytest.raises(DataError, match="teacher"):
        loss(columns)
