"""Fit of vectors to matrices of people and responses of brains: loops, chance, bad input."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import Ridge

from vecsmith.core import ConfigError, DataError, numpy_generator
from vecsmith.evaluate.cognition import cosine_matrix, encode_ridge, ridge_predictions, rsa


@pytest.fixture
def items():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(15, 6))
    noise = rng.normal(size=(15, 15))
    return rows, cosine_matrix(rows) + 0.2 * (noise + noise.T)


class TestSimilarity:
    def test_correlations_are_scipys_over_all_pairs(self, items):
        rows, human = items
        pairs = [(i, j) for i in range(15) for j in range(i + 1, 15)]
        cosines = [
            rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j]) for i, j in pairs
        ]
        gold = [human[i, j] for i, j in pairs]
        assert rsa(rows, human).correlation == pytest.approx(pearsonr(cosines, gold).statistic)
        ranked = rsa(rows, human, kind="spearman").correlation
        assert ranked == pytest.approx(spearmanr(cosines, gold).statistic)
        assert rsa(rows, human).pairs == 105 and np.isnan(rsa(rows, human).p)

    def test_sparse_vectors_give_the_same(self, items):
        rows, human = items
        sparse = csr_array(np.where(rows > 0, rows, 0))
        assert rsa(sparse, human) == pytest.approx(rsa(sparse.toarray(), human), nan_ok=True)

    def test_permutations_tell_chance(self, items):
        rows, human = items
        assert rsa(rows, human, permutations=199).p == pytest.approx(1 / 200)
        weak = np.random.default_rng(5).normal(size=(15, 6))
        as_naive = rsa(weak, human, permutations=50, seed=3)
        model, rng = cosine_matrix(weak), numpy_generator(3, "rsa")
        upper, beaten = np.triu_indices(15, 1), 0
        for _ in range(50):
            order = rng.permutation(15)
            shuffled = np.array([[model[i, j] for j in order] for i in order])
            beaten += np.corrcoef(shuffled[upper], human[upper])[0, 1] >= as_naive.correlation
        assert as_naive.p == (beaten + 1) / 51
        assert rsa(weak, human, permutations=199).p > 0.05

    def test_missing_entries_are_left_out(self, items):
        rows, human = items
        human = human.copy()
        human[0, 1] = human[1, 0] = np.nan
        assert rsa(rows, human).pairs == 104

    def test_bad_input_is_named(self, items):
        rows, human = items
        with pytest.raises(DataError, match="same 15 items"):
            rsa(rows, human[:3])
        with pytest.raises(DataError, match="symmetric"):
            rsa(rows, human + np.triu(np.ones((15, 15)), 1))
        with pytest.raises(DataError, match="three pairs"):
            rsa(rows, np.full((15, 15), np.nan))
        with pytest.raises(ConfigError, match="kind"):
            rsa(rows, human, kind="cosine")


class TestEncodingModel:
    def test_one_penalty_is_ridge_regression(self):
        rng = np.random.default_rng(0)
        x, y, new = rng.normal(size=(20, 5)), rng.normal(size=(20, 3)), rng.normal(size=(4, 5))
        found = ridge_predictions(x, y, new, (2.5,))
        np.testing.assert_allclose(found, Ridge(alpha=2.5).fit(x, y).predict(new), atol=1e-10)

    def test_the_penalty_is_that_of_the_least_leave_one_out_error(self):
        rng = np.random.default_rng(0)
        x, new = rng.normal(size=(8, 6)), rng.normal(size=(3, 6))
        responses = x[:, :1] + 2 * rng.normal(size=(8, 60))
        penalties = (0.01, 1.0, 3.0, 30.0)
        found = ridge_predictions(x, responses, new, penalties)
        for column, y in enumerate(responses.T):
            errors = []
            for penalty in penalties:
                gaps = []
                for i in range(8):
                    rest = Ridge(alpha=penalty).fit(np.delete(x, i, 0), np.delete(y, i))
                    gaps.append(rest.predict(x[i : i + 1])[0] - y[i])
                errors.append(np.square(gaps).mean())
            best = Ridge(alpha=penalties[int(np.argmin(errors))]).fit(x, y)
            np.testing.assert_allclose(found[:, column], best.predict(new), atol=1e-10)

    def test_signal_is_found_and_noise_is_not(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(120, 10))
        y = np.stack([x @ rng.normal(size=10), rng.normal(size=120)], 1)
        found = encode_ridge(x, y)
        assert found.correlation[0] > 0.99 and abs(found.correlation[1]) < 0.35
        assert found.mean == pytest.approx(found.correlation.mean())
        assert encode_ridge(x, x @ rng.normal(size=(10, 5))).pairs_told > 0.95
        chance = encode_ridge(rng.normal(size=(120, 10)), rng.normal(size=(120, 5))).pairs_told
        assert 0.35 < chance < 0.65

    def test_a_stimulus_is_predicted_without_its_group(self):
        rng = np.random.default_rng(0)
        groups = np.repeat(np.arange(20), 6)
        x = np.eye(20)[groups] + 0.01 * rng.normal(size=(120, 20))
        y = rng.normal(size=20)[groups]
        leaky, honest = encode_ridge(x, y), encode_ridge(x, y, groups=groups)
        assert leaky.correlation[0] > 0.9 and honest.correlation[0] < 0.5

    def test_a_constant_response_is_not_defined(self):
        rng = np.random.default_rng(0)
        y = np.stack([np.ones(30), rng.normal(size=30)], 1)
        assert np.isnan(encode_ridge(rng.normal(size=(30, 3)), y).correlation).tolist() == [
            True,
            False,
        ]

    @pytest.mark.parametrize(
        ("change", "error", "named"),
        [
            ({"responses": np.ones(3)}, DataError, "pair up"),
            ({"responses": np.full(30, np.nan)}, DataError, "finite"),
            ({"folds": 1}, ConfigError, "folds"),
            ({"folds": 31}, DataError, "31 folds"),
            ({"penalties": (0.0,)}, ConfigError, "penalties"),
        ],
    )
    def test_bad_input_is_named(self, change, error, named):
        given = {"vectors": np.ones((30, 2)), "responses": np.arange(30.0), **change}
        with pytest.raises(error, match=named):
            encode_ridge(given.pop("vectors"), given.pop("responses"), **given)
