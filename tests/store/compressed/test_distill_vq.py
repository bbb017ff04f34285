import copy
import subprocess
import sys

import faiss
import numpy as np
import pytest
import torch

from vecsmith.core import Budget, ConfigError, DataError, Stamp, StoreError
from vecsmith.store.compressed import (
    CandidateSampling,
    DistillVQ,
    DistilOptions,
    dense_lists,
    overlaps,
    search_rows,
)
from vecsmith.store.compressed._vq_student import AdamWWithPlainRows, VQStudent, contrastive

SAMPLING = CandidateSampling(top_k=50, per_query=10)
OPTIONS = DistilOptions(lr_codebooks=5e-3, lr_centroids=0.1, sampling=SAMPLING)
KINDS = {
    "pq": {"subvectors": 4, "bits": 5},
    "opq": {"subvectors": 4, "bits": 5},
    "ivf": {"lists": 64, "subvectors": 4, "probes": 2},
    "ivf_pq": {"lists": 16, "subvectors": 4, "bits": 5, "probes": 16},
    "ivf_opq": {"lists": 16, "subvectors": 4, "bits": 5, "probes": 16},
}


def started(kind, documents, **options):
    chosen = DistilOptions(**{**vars(OPTIONS), **options})
    return DistillVQ(kind, **KINDS[kind], options=chosen).init(documents)


@pytest.mark.parametrize("kind", KINDS)
def test_the_learned_index_ranks_more_like_the_vectors(kind, documents, queries):
    vq = started(kind, documents)
    held_out = queries[800:]
    before, size = vq.report(held_out), len(faiss.serialize_index(vq.to_faiss()))
    assignment = copy.copy(vq.parts.assignment)
    result = vq.fit(queries[:800], budget=Budget(steps=60))
    after = vq.report(held_out)
    assert result.steps == 60
    if kind == "ivf":
        # whole lists are scored alike: what must fall is the loss
        assert result.loss < result.records[0]["loss"] - 0.1
    else:
        assert after.overlap_at_10 > before.overlap_at_10 + 0.01
    assert after.bytes == before.bytes == size
    np.testing.assert_array_equal(vq.parts.assignment, assignment)


def naive_loss(parts, batch, temperature):
    """ListNet of both students by loops over documents, with autograd for the softmax alone."""
    rotation = torch.from_numpy(parts.rotation).double()
    books = torch.from_numpy(parts.codebooks).double().requires_grad_()
    centres = torch.from_numpy(parts.centroids).double().requires_grad_()
    queries, documents = (batch[name].double() @ rotation.T for name in ("queries", "documents"))
    coarse, fine = [], []
    width = documents.shape[1] // len(books)
    for row, document in enumerate(documents):
        centre = centres[batch["lists"][row]]
        pieces = []
        for part, book in enumerate(books):
            rest = (document - centre)[part * width : (part + 1) * width]
            gaps = (rest - book).square().sum(-1)
            soft = torch.softmax(-gaps, 0)
            hard = torch.nn.functional.one_hot(gaps.argmin(), len(book))
            pieces.append((hard - soft.detach() + soft) @ book)
        coarse.append(centre)
        fine.append(centre + torch.cat(pieces))
    total = []
    for read in (fine, coarse):
        losses = []
        for row, query in enumerate(queries):
            kept = [place for place in range(len(documents)) if batch["mask"][row, place]]
            teacher = torch.stack([query @ documents[place] for place in kept]) / temperature
            student = torch.stack([query @ read[place] for place in kept]) / temperature
            losses.append(-(torch.softmax(teacher, 0) * torch.log_softmax(student, 0)).sum())
        total.append(torch.stack(losses).mean())
    scale = (total[0] / total[1]).detach()
    loss = total[0] + scale * total[1]
    loss.backward()
    return loss.detach(), books.grad, centres.grad


def test_loss_and_gradients_equal_a_loop(documents, queries):
    vq = started("ivf_opq", documents)
    rows = np.arange(0, 2000, 170)
    batch = {
        "queries": torch.from_numpy(queries[:3]),
        "documents": torch.from_numpy(documents[rows]),
        "lists": torch.from_numpy(vq.parts.assignment[rows]),
        "mask": torch.rand(3, len(rows), generator=torch.Generator().manual_seed(0)) < 0.7,
    }
    student = VQStudent(vq.parts, loss="listnet", temperature=0.05, code_temperature=1.0).double()
    doubles = {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}
    loss = student(doubles)
    loss.backward()
    expected, books, centres = naive_loss(vq.parts, batch, 0.05)
    torch.testing.assert_close(loss.detach(), expected)
    torch.testing.assert_close(student.quantiser.codebooks.grad, books)
    torch.testing.assert_close(student.centroids.weight.grad.to_dense(), centres)


def test_the_weight_of_the_centroids_is_set_once(documents, queries):
    vq = started("ivf_pq", documents)
    student = VQStudent(vq.parts, loss="mse", temperature=1.0, code_temperature=1.0)
    assert student.ratio.isnan()
    ratios = []
    for rows in (slice(0, 20), slice(20, 40)):
        student(
            {
                "queries": torch.from_numpy(queries[:4]),
                "documents": torch.from_numpy(documents[rows]),
                "lists": torch.from_numpy(vq.parts.assignment[rows]),
                "mask": torch.ones(4, 20, dtype=torch.bool),
            }
        )
        ratios.append(student.ratio.item())
    assert 0 < ratios[0] < 1  # codes on top of centroids are nearer than centroids alone
    assert ratios[0] == ratios[1]


def test_centroids_take_plain_steps_on_touched_rows_only():
    plain = torch.nn.Embedding(5, 2, sparse=True)
    other = torch.nn.Parameter(torch.ones(2))
    start = plain.weight.detach().clone()
    optimizer = AdamWWithPlainRows(
        [{"params": plain.parameters(), "lr": 0.5, "plain": True}, {"params": [other], "lr": 0.1}]
    )
    for _ in range(3):
        optimizer.zero_grad()
        (plain(torch.tensor([1, 1, 3])).sum() + other.sum()).backward()
        optimizer.step()
    moved = (start - plain.weight.detach())[:, 0]
    torch.testing.assert_close(moved, torch.tensor([0.0, 3.0, 0.0, 1.5, 0.0]))
    assert (other < 0.8).all()


def test_the_contrastive_loss_is_that_of_the_labels():
    scores = torch.tensor([[1.0, 2.0, 0.5], [0.0, 1.0, 3.0]])
    relevant = torch.tensor([[True, False, False], [False, True, False]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    first = -np.log(np.exp(2) / (np.exp(2) + np.exp(4)))
    second = -np.log(np.exp(2) / (1 + np.exp(2) + np.exp(6)))
    found = contrastive(scores, relevant, mask, temperature=0.5)
    assert found.item() == pytest.approx((first + second) / 2)


def test_labels_alone_can_teach(documents, queries):
    _, near = dense_lists(queries[:800], documents, 1)
    vq = started("opq", documents, loss="contrastive")
    before = vq.report(queries[800:]).overlap_at_10
    vq.fit(queries[:800], relevant=near.tolist(), budget=Budget(steps=60))
    assert vq.report(queries[800:]).overlap_at_10 != before
    with pytest.raises(ConfigError, match="learns from labels"):
        vq.fit(queries)


def test_saved_in_plain_faiss_form_and_loaded_alike(documents, queries, tmp_path):
    vq = started("ivf_opq", documents)
    vq.fit(queries[:200], budget=Budget(steps=5))
    vq.save(tmp_path / "vq")
    expected = vq.to_faiss().search(queries[:9], 10)
    # a faiss that knows nothing of vecsmith
    np.save(tmp_path / "queries.npy", queries[:9])
    code = (
        "import faiss, numpy, sys; index = faiss.read_index(sys.argv[1] + '/vq/index.faiss'); "
        "numpy.save(sys.argv[1] + '/rows.npy', "
        "index.search(numpy.load(sys.argv[1] + '/queries.npy'), 10)[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), expected[1])

    mine, other = (Stamp("tiny", weights, 32) for weights in ("aa", "bb"))
    vq.save(tmp_path / "vq", stamp=mine)
    with pytest.raises(StoreError, match="weights 'aa' here, 'bb' there"):
        DistillVQ.load(tmp_path / "vq", stamp=other)
    again = DistillVQ.load(tmp_path / "vq", documents, stamp=mine)
    assert again.options == vq.options
    np.testing.assert_array_equal(again.to_faiss().search(queries[:9], 10)[1], expected[1])
    # documents coded anew from the loaded parts, in the lists they had
    again._index = None
    np.testing.assert_array_equal(again.to_faiss().search(queries[:9], 10)[1], expected[1])


def test_a_seed_repeats_and_another_differs(documents, queries):
    found = []
    for seed in (0, 0, 1):
        vq = started("pq", documents, seed=0)
        vq.options = DistilOptions(**{**vars(OPTIONS), "seed": seed})
        vq.fit(queries[:300], budget=Budget(steps=8))
        found.append(vq.parts.codebooks)
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_lists_at_hand_teach_the_same(documents, queries):
    found = []
    for near in (None, dense_lists(queries[:100], documents, 50)[1]):
        vq = started("pq", documents)
        vq.fit(queries[:100], budget=Budget(steps=4), near=near)
        found.append(vq.parts.codebooks)
    np.testing.assert_array_equal(*found)


def test_a_killed_run_goes_on(documents, queries, tmp_path):
    whole = started("ivf_pq", documents)
    whole.fit(queries[:300], budget=Budget(steps=12))
    cut = started("ivf_pq", documents)

    def broken(*arguments, **keywords):
        if cut_after[0] == 0:
            raise KeyboardInterrupt
        cut_after[0] -= 1
        return forward(*arguments, **keywords)

    cut_after, forward = [7], VQStudent.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VQStudent, "forward", broken)
        with pytest.raises(KeyboardInterrupt):
            cut.fit(queries[:300], budget=Budget(steps=12), checkpoint=tmp_path / "run")
    again = started("ivf_pq", documents)
    again.fit(queries[:300], budget=Budget(steps=12), checkpoint=tmp_path / "run")
    np.testing.assert_allclose(again.parts.codebooks, whole.parts.codebooks, atol=1e-6)
    np.testing.assert_allclose(again.parts.centroids, whole.parts.centroids, atol=1e-6)


def test_from_faiss_keeps_lists_and_bytes(documents, queries):
    stock = faiss.index_factory(32, "IVF8,PQ4x4", faiss.METRIC_INNER_PRODUCT)
    stock.train(documents)
    stock.add(documents)
    stock.nprobe = 8
    vq = DistillVQ.from_faiss(stock, documents, OPTIONS)
    rows = stock.search(queries[:9], 10)[1]
    np.testing.assert_array_equal(vq.to_faiss().search(queries[:9], 10)[1], rows)
    vq.fit(queries[:300], budget=Budget(steps=10))
    assert vq.report(queries[:9]).bytes == len(faiss.serialize_index(stock))
    with pytest.raises(StoreError, match="holds 2000 documents, but 5 came"):
        DistillVQ.from_faiss(stock, documents[:5])


def test_report_equals_counting(documents, queries):
    vq = started("ivf_pq", documents)
    excluded = np.arange(20)[:, None]
    relevant = [[row, row + 1] for row in range(30, 50)]
    report = vq.report(queries[:20], relevant=relevant, excluded=excluded)
    index = vq.to_faiss()
    _, rows = index.search(queries[:20], 2000)
    exact = queries[:20].astype(np.float64) @ documents.T
    shared, ranks, at_10, at_100 = [], [], [], []
    for query in range(20):
        mine = [row for row in rows[query] if row not in (-1, query)]
        best = [row for row in np.argsort(-exact[query]) if row != query][:10]
        shared.append(len(set(mine[:10]) & set(best)) / 10)
        places = [mine.index(row) + 1 for row in relevant[query]]
        ranks.append(max((1 / place for place in places if place <= 10), default=0))
        at_10.append(np.mean([place <= 10 for place in places]))
        at_100.append(np.mean([place <= 100 for place in places]))
    assert report.overlap_at_10 == pytest.approx(np.mean(shared))
    assert report.mrr_at_10 == pytest.approx(np.mean(ranks))
    assert report.recall_at_10 == pytest.approx(np.mean(at_10))
    assert report.recall_at_100 == pytest.approx(np.mean(at_100))
    faiss.extract_index_ivf(index).make_direct_map(True)
    decoded = index.reconstruct_n(0, 2000)
    error = np.square(decoded - documents).sum() / np.square(documents).sum()
    assert report.reconstruction_error == pytest.approx(error, rel=1e-4)
    assert np.isnan(vq.report(queries[:5]).mrr_at_10)


def test_overlap_counts_what_is_shared():
    found = np.array([[1, 2, 3], [4, -1, -1]])
    exact = np.array([[3, 9, 1], [4, 5, -1]])
    assert overlaps(found, exact, 3).tolist() == [2 / 3, 1 / 2]


def test_bad_input_is_named(documents, queries, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'ivf_opq'"):
        DistillVQ("ivf_oqp")
    with pytest.raises(ConfigError, match="bits"):
        DistillVQ(bits=13)
    with pytest.raises(ConfigError, match="probes from 1 to lists"):
        DistillVQ(lists=4, probes=5)
    with pytest.raises(ConfigError, match="did you mean 'listnet'"):
        DistilOptions(loss="lisnet")
    with pytest.raises(ConfigError, match="subvectors must divide the 32 dimensions"):
        DistillVQ("pq", subvectors=5).init(documents)
    with pytest.raises(ConfigError, match="call init"):
        DistillVQ("pq").fit(queries)
    vq = started("pq", documents)
    with pytest.raises(DataError, match="queries must have shape"):
        vq.fit(queries[:, :5])
    with pytest.raises(ConfigError, match="queries are texts"):
        vq.fit(["a text"])
    broken = documents.copy()
    broken[3, 0] = np.inf
    with pytest.raises(DataError, match="row 3"):
        started("pq", broken)
    with pytest.raises(DataError, match="near must hold documents"):
        vq.fit(queries, near=np.zeros((3, 5), np.int64))
    vq.save(tmp_path / "vq")
    file = tmp_path / "vq" / "index.faiss"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StoreError, match="damaged"):
        DistillVQ.load(tmp_path / "vq")


def test_a_query_encoder_learns_from_what_it_was(documents):
    from sentence_transformers import SentenceTransformer

    from vecsmith.encode import resolve_model

    folder = str(resolve_model("sentence-transformers/all-MiniLM-L6-v2").path)
    encoder = SentenceTransformer(folder, device="cpu")
    texts = [f"a {a} {b}" for a in ("red", "old", "wet", "kind") for b in ("cat", "door", "sky")]
    vectors = encoder.encode(texts * 8, show_progress_bar=False)
    vq = DistillVQ("pq", subvectors=8, bits=3, options=OPTIONS).init(vectors)
    weights = {k: v.clone() for k, v in encoder.state_dict().items()}
    first = dense_lists(vectors[:12], vectors, 10)[1]
    vq.fit(texts, encoder=encoder, budget=Budget(steps=2))
    changed = [k for k, v in encoder.state_dict().items() if not torch.equal(v, weights[k])]
    assert len(changed) > 50
    with pytest.raises(ConfigError, match="queries must be texts"):
        vq.fit(vectors, encoder=encoder)
    now = search_rows(vq.to_faiss(), encoder.encode(texts, show_progress_bar=False), 10)
    assert now.shape == first.shape
