"""Parts of the claim of SNIP: formulas parted by skeleton, rows and their scores."""

import numpy as np
import pytest

from vecsmith.claims._formula_task import Arms, Features, Task, draw, held_out, skill, token_counts
from vecsmith.claims.snip import LAWS, QUICK
from vecsmith.data.formulas import Expression
from vecsmith.encode.formulas import Snip
from vecsmith.train.formulas import PropertyHead

SHAPE = {"width": 16, "layers": 1, "heads": 2, "feedforward": 32, "latent": 8, "number_dims": 4}


@pytest.fixture(scope="module")
def formulas():
    return draw(0, 600, 60, without={Expression.parse("x**3 - 2*x").skeleton})


def test_skeletons_are_in_one_part_alone(formulas):
    train = {s.expression.skeleton for s in formulas.train}
    labelled = [s.expression.skeleton for s in formulas.labelled]
    test = [s.expression.skeleton for s in formulas.test]
    assert not train & set(test) and set(labelled) <= train
    assert len(set(test)) == len(test) == 60 and len(set(labelled)) == len(labelled)
    assert all(map(held_out, test)) and not any(map(held_out, train))


def test_what_is_left_out_is_nowhere():
    law = draw(0, 300, 60, without=set()).train[0].expression.skeleton
    made = draw(0, 300, 60, without={law})
    found = {s.expression.skeleton for s in (*made.train, *made.labelled, *made.test)}
    assert law not in found


def test_laws_are_defined_where_they_are_asked():
    for text, low, high in LAWS.values():
        values = Expression.parse(text).evaluate(np.linspace(low, high, 101)[1:-1])
        assert np.isfinite(values).all() and np.ptp(values) > 0, text
    assert len(LAWS) == 20 and QUICK.laws <= 20


def test_mean_of_the_skill_is_r2():
    rng = np.random.default_rng(0)
    wanted, predicted = rng.normal(size=(2, 50))
    r2 = 1 - ((predicted - wanted) ** 2).sum() / ((wanted - wanted.mean()) ** 2).sum()
    assert skill(predicted, wanted).mean() == pytest.approx(r2)


def test_tokens_are_counted():
    snip = Snip.from_config("tiny", **SHAPE, digits=1)
    rows = token_counts(snip, [Expression.parse("x*x + x"), Expression.parse("x")])
    assert rows.sum(axis=1).tolist() == [7, 3] and rows.max() == 3


def test_features_are_the_heads_own(formulas):
    snip = Snip.from_config("tiny", **SHAPE, digits=1)
    arms = Arms.of(formulas, snip, Snip.from_config("tiny", **SHAPE, digits=1, seed=1), 0)
    texts = [s.expression for s in formulas.labelled]
    labels = np.array([float(len(t)) for t in texts])
    task = Task([*texts, *(s.expression for s in formulas.test)], np.zeros(0), len(texts))
    found = arms.head("frozen").fit(texts, labels).predict(task.formulas)
    wanted = PropertyHead(snip).fit(texts, labels).predict(task.formulas)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_development_never_sees_the_test():
    texts = [Expression((float(i),)) for i in range(40)]
    labels = np.arange(40.0)
    features = Features(texts, np.arange(40.0)[:, None])
    task = Task(texts, labels, 30)
    seen = []
    fit, predict = features.fit, features.predict
    features.fit = lambda f, y: (seen.extend(y.tolist()), fit(f, y))[1]
    features.predict = lambda f: (seen.extend(f_.symbols[0] for f_ in f), predict(f))[1]
    assert task.development(features, 20) > 0.99
    assert max(seen) == 19 and len(seen) == 20
    seen.clear()
    assert task.score(features, 20).mean() > 0.9 and seen[20:] == list(range(30, 40))
