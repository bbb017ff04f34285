"""The level-wise loss against loops in float64, its gradients, and training with it."""

import math

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError
from vecsmith.data import Hierarchy
from vecsmith.train import HierarchicalMultiSimilarityLoss, HierarchicalRule, HierarchyTrainer
from vecsmith.train.contrastive import multi_similarity_rows

# six terms: 0 above 1 and 2; 3 and 4 below 1; 5 below 2
PARENTS = [[], [0], [0], [1], [1], [2]]
NAMES = [
    ["disease", "illness"],
    ["heart disease", "cardiac disorder"],
    ["liver disease", "hepatic disorder"],
    ["heart attack", "myocardial infarction"],
    ["cardiac arrest", "asystole"],
    ["hepatitis", "inflamed liver"],
]


@pytest.fixture
def tree():
    return Hierarchy([str(i) for i in range(6)], NAMES, PARENTS)


def example(rows=8):
    terms = np.array([0, 0, 1, 3, 4, 5, 2, 3])[:rows]
    tree = Hierarchy([str(i) for i in range(6)], NAMES, PARENTS)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(rows, 5, generator=generator, dtype=torch.float64)
    return vectors, torch.from_numpy(tree.distances(terms, cap=6))


def naive_multi_similarity(S, i, positives, negatives, threshold, a, b, mine):
    if mine is not None:
        low = min((S[i][k] for k in positives), default=math.inf)
        high = max((S[i][k] for k in negatives), default=-math.inf)
        positives = [k for k in positives if S[i][k] < high + mine]
        negatives = [k for k in negatives if S[i][k] > low - mine]
    near = math.log(1 + sum(math.exp(-a * (S[i][k] - threshold)) for k in positives)) / a
    return near + math.log(1 + sum(math.exp(b * (S[i][k] - threshold)) for k in negatives)) / b


def cosines(vectors):
    unit = vectors.numpy() / np.linalg.norm(vectors.numpy(), axis=1, keepdims=True)
    return (unit @ unit.T).tolist()


@pytest.mark.parametrize("mine", [None, 0.1, 0.6])
def test_levels_are_those_of_a_loop(mine):
    vectors, distances = example()
    distances[0, 4] = distances[4, 0] = -1
    lambdas, weights = (0.8, 0.6, 0.3), (1.0, 0.5, 2.0)
    S, expected = cosines(vectors), 0.0
    for i in range(8):
        others = [k for k in range(8) if k != i and distances[i, k] >= 0]
        for t, (threshold, weight) in enumerate(zip(lambdas, weights, strict=True)):
            near = [k for k in others if distances[i, k] <= t]
            far = [k for k in others if distances[i, k] > t]
            part = naive_multi_similarity(S, i, near, far, threshold, 2.0, 50.0, mine)
            expected += weight * part / 8
    rule = HierarchicalRule(lambdas=lambdas, weights=weights, mine=mine)
    assert float(rule(vectors, distances)) == pytest.approx(expected, rel=1e-10)


def test_one_level_is_the_synonym_loss():
    vectors, distances = example()
    unit = torch.nn.functional.normalize(vectors, dim=1)
    other = ~torch.eye(8, dtype=torch.bool)
    same = (distances == 0) & other
    plain = multi_similarity_rows(unit @ unit.T, same, ~same & other, threshold=0.5, mine=0.2)
    rule = HierarchicalRule(lambdas=(0.5,), mine=0.2)
    assert float(rule(vectors, distances)) == pytest.approx(float(plain.mean()), rel=1e-12)


def test_rank_and_regression_are_those_of_loops():
    vectors, distances = example()
    distances[1, 2] = distances[2, 1] = -1
    S, cap, margin = cosines(vectors), 3, 0.2
    rank = regression = 0.0
    for i in range(8):
        others = [k for k in range(8) if k != i and distances[i, k] >= 0]
        d = {k: min(int(distances[i, k]), cap) for k in others}
        short = [
            max(0.0, S[i][k] - S[i][j] + margin * (d[k] - d[j]))
            for j in others
            for k in others
            if d[j] < d[k]
        ]
        rank += sum(short) / max(len(short), 1) / 8
        errors = [
            np.mean([(S[i][k] - (1 - step / cap)) ** 2 for k in others if d[k] == step])
            for step in sorted(set(d.values()))
        ]
        regression += np.mean(errors) / 8
    lambdas = (0.8, 0.6, 0.3)
    found = HierarchicalRule(lambdas=lambdas, form="rank", margin=margin)(vectors, distances)
    assert float(found) == pytest.approx(rank, rel=1e-10)
    found = HierarchicalRule(lambdas=lambdas, form="regression")(vectors, distances)
    assert float(found) == pytest.approx(regression, rel=1e-10)


@pytest.mark.parametrize("form", ["levels", "rank", "regression"])
def test_gradients(form):
    vectors, distances = example()
    rule = HierarchicalRule(lambdas=(0.7, 0.4), form=form, mine=None, beta=5.0, margin=0.07)
    vectors.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: rule(z, distances), (vectors,))


def test_a_sharp_beta_does_not_overflow_in_half_precision():
    vectors = torch.ones(4, 3, dtype=torch.bfloat16) + torch.eye(4, 3, dtype=torch.bfloat16) / 9
    distances = 6 * (1 - torch.eye(4, dtype=torch.int64))
    loss = HierarchicalRule(beta=5000.0, mine=None)(vectors, distances)
    assert torch.isfinite(loss) and loss > 0


def test_a_parent_settles_between_a_synonym_and_a_stranger():
    # anchor, synonym, parent, stranger: each vector is free
    distances = torch.tensor([[0, 0, 1, 9], [0, 0, 1, 9], [1, 1, 0, 9], [9, 9, 9, 0]])
    torch.manual_seed(0)
    vectors = torch.randn(4, 4, requires_grad=True)
    rule = HierarchicalRule(lambdas=(0.8, 0.4), mine=None)
    optimizer = torch.optim.Adam([vectors], lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        rule(vectors, distances).backward()
        optimizer.step()
    unit = torch.nn.functional.normalize(vectors.detach(), dim=1)
    synonym, parent, stranger = (unit[0] @ unit[1:].T).tolist()
    assert synonym > 0.85 > parent > 0.45 > stranger


def test_trained_in_chunks_and_columns_as_in_one_piece(tree, tiny_model, tmp_path):
    model = tiny_model(1, tmp_path)
    terms = [0, 1, 3, 4, 5, 2]
    first, second = ([NAMES[t][k] for t in terms] for k in (0, 1))
    rule = HierarchicalRule(lambdas=(0.9, 0.7, 0.5), mine=0.3)
    results = []
    for texts, labels, chunk in (
        ([first + second], torch.tensor(terms * 2), None),
        ([first + second], torch.tensor(terms * 2), 5),
        ([first, second], torch.tensor(terms), None),
        ([first, second], torch.tensor(terms), 4),
    ):
        model.zero_grad()
        loss = HierarchicalMultiSimilarityLoss(model, tree, rule=rule, cached_mini_batch=chunk)
        value = loss([model.preprocess(column) for column in texts], labels)
        value.backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        results.append((value.item(), gradient.clone()))
    vectors = model.encode(first + second, convert_to_tensor=True)
    by_hand = rule(vectors, torch.from_numpy(tree.distances(np.array(terms * 2), cap=3)))
    assert results[0][0] == pytest.approx(float(by_hand), rel=1e-4)
    for value, gradient in results[1:]:
        assert value == pytest.approx(results[0][0], rel=1e-4)
        torch.testing.assert_close(gradient, results[0][1], rtol=2e-3, atol=2e-5)


def test_training_lowers_the_loss_and_repeats(tree, tiny_model, tmp_path):
    texts = [name for row in NAMES for name in row]
    concepts = torch.arange(6).repeat_interleave(2)
    rule, ends = HierarchicalRule(lambdas=(0.8, 0.5, 0.2)), []
    for attempt in range(2):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        model = tiny_model(2, folder)
        trainer = HierarchyTrainer(model, tree, rule, batch_size=8, hops=2)
        features = model.preprocess(texts)
        before = trainer.loss([dict(features)], concepts).item()
        trained = trainer.fit(20, lr=5e-3)
        assert trained is model and not model.training
        after = trainer.loss([dict(features)], concepts).item()
        assert after < 0.8 * before
        ends.append(model.encode(texts))
    assert (ends[0] == ends[1]).all()


def test_several_hierarchies_and_the_host_trainer(tree, tiny_model, tmp_path):
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    model = tiny_model(3, tmp_path)
    loss = HierarchicalMultiSimilarityLoss(model, [tree, tree], between=9)
    rows = Dataset.from_dict(
        {
            "name": [row[0] for row in NAMES],
            "synonym": [row[1] for row in NAMES],
            "label": [[i % 2, i] for i in range(6)],
        }
    )
    arguments = SentenceTransformerTrainingArguments(
        str(tmp_path / "out"),
        max_steps=2,
        per_device_train_batch_size=6,
        report_to="none",
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
    )
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=rows, loss=loss).train()
    model.save_pretrained(str(tmp_path / "saved"))
    again = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert np.allclose(again.encode(NAMES[0]), model.eval().encode(NAMES[0]), atol=1e-6)
    assert loss.get_config_dict()["hierarchies"] == 2 and "cai2023" in loss.citation


def test_bad_input(tree, tiny_model, tmp_path):
    with pytest.raises(ConfigError, match=r"falling.*got \(0.3, 0.8\)"):
        HierarchicalRule(lambdas=(0.3, 0.8))
    with pytest.raises(ConfigError, match="got 1 and 2"):
        HierarchicalRule(lambdas=(0.8, 0.3), weights=(1.0,))
    with pytest.raises(ConfigError, match="form cannot be 'ranks'; did you mean 'rank'"):
        HierarchicalRule(form="ranks")
    with pytest.raises(ConfigError, match="above 0; got 0"):
        HierarchicalRule(alpha=0)
    model = tiny_model(4, tmp_path)
    with pytest.raises(ConfigError, match="synonym_ratio must be from 0 to 1; got 2"):
        HierarchyTrainer(model, tree, synonym_ratio=2)
    loss = HierarchicalMultiSimilarityLoss(model, [tree, tree])
    with pytest.raises(ConfigError, match=r"where there are several; got \(2,\)"):
        loss([model.preprocess(NAMES[0])], torch.tensor([0, 1]))
    with pytest.raises(ConfigError, match="got None"):
        loss([model.preprocess(NAMES[0])])
