"""OptEmbed in its parts: search, retraining, other rows, report."""

import numpy as np
import pytest

from vecsmith.core import ConfigError
from vecsmith.data.samples import load_movielens
from vecsmith.encode.tables import EvolutionOptions
from vecsmith.train.tables import CTROptions, DeepFM, OptEmbedSearch, predict, roc_auc


@pytest.fixture(scope="module")
def parts():
    whole, _ = load_movielens()
    rows = np.random.default_rng(0).permutation(len(whole))[:2000]
    return whole.take(rows).split()


@pytest.fixture(scope="module")
def found(parts):
    search = OptEmbedSearch(
        DeepFM(dense=(8,)),
        dim=4,
        alpha=3e-2,
        evolution=EvolutionOptions(2, 3, 3),
        options=CTROptions(batch_size=128, epochs=3, lr=1e-2, l2=1e-5),
    )
    return search.fit(*parts[:2])


def test_search_finds_rows_and_widths(found, parts):
    assert found.row_keep.shape == (3752,) and 0 < found.row_keep.sum() < 3752
    assert len(found.dims) == 8 and all(1 <= d <= 4 for d in found.dims)
    assert len(found.history) == 3
    kept = [part.sum() for part in np.split(found.row_keep, np.cumsum(parts[0].sizes)[:-1])]
    assert found.params == sum(k * d for k, d in zip(kept, found.dims, strict=True))


def test_retrained_tables_are_dense_and_counted(found, parts):
    before = predict(found.supernet, parts[2])
    model = found.retrain(*parts[:2])
    report = found.report(model, parts[2])
    assert report.params == found.params
    assert report.sparsity == pytest.approx(1 - found.params / (3752 * 4))
    assert report.auc == pytest.approx(roc_auc(parts[2].labels, predict(model, parts[2])))
    assert [row[0] for row in report.by_field] == list(parts[2].names)
    assert [row[3] for row in report.by_field] == list(found.dims)
    # the supernet can be retrained again, and in another way
    assert np.array_equal(predict(found.supernet, parts[2]), before)
    again = found.retrain(*parts[:2])
    assert np.array_equal(predict(again, parts[2]), predict(model, parts[2]))
    other = found.retrain(*parts[:2], rewind=False)
    assert not np.array_equal(predict(other, parts[2]), predict(model, parts[2]))
    live = predict(model, parts[2])
    model.embedding = model.embedding.freeze()
    np.testing.assert_allclose(predict(model, parts[2]), live, atol=1e-5)


def test_other_rows_can_be_compared(found, parts):
    rows = np.zeros(3752, bool)
    rows[::2] = True
    model = found.retrain(*parts[:2], row_keep=rows)
    assert np.array_equal(model.embedding.rows_mask().numpy(), rows)
    assert found.report(model, parts[2]).params != found.params
    with pytest.raises(ConfigError, match="row_keep must have shape"):
        found.retrain(*parts[:2], row_keep=rows[:5])
