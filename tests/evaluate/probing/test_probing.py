"""Probes with control tasks, geometry against loops, sparse codes, numeracy."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.numbers import NumericEncoder
from vecsmith.evaluate.probing import (
    anisotropy,
    control_labels,
    geometry,
    intrinsic_dimension,
    isotropy,
    numeracy,
    probe,
    sparse_codes,
)


@pytest.fixture
def tokens():
    rng = np.random.default_rng(0)
    types = rng.integers(0, 40, 2000)
    labels = types % 3
    vectors = rng.normal(size=(2000, 8)) + 4 * np.eye(8)[labels]
    return vectors, labels, types


class TestProbe:
    def test_what_is_there_is_found_and_what_is_not_is_not(self, tokens):
        vectors, labels, types = tokens
        found = probe(vectors, labels, types)
        assert found.accuracy > 0.95 and found.control < 0.7 and found.tokens == 600
        assert found.selectivity == found.accuracy - found.control
        nothing = probe(np.random.default_rng(1).normal(size=(2000, 8)), labels, types)
        assert abs(nothing.accuracy - nothing.majority) < 0.08

    def test_memory_is_no_selectivity(self, tokens):
        _, labels, types = tokens
        # vectors that name the type hold every label there is, random ones too
        found = probe(np.eye(40)[types], labels, types)
        assert found.accuracy == found.control == 1 and found.selectivity == 0
        unseen = probe(np.eye(40)[types], labels, types, unseen_types=True)
        assert unseen.accuracy < 0.7

    def test_control_labels_go_by_type(self, tokens):
        _, labels, types = tokens
        found = control_labels(labels, types)
        for kind in range(40):
            assert len(set(found[types == kind])) == 1
        assert set(found) == {0, 1, 2}
        assert not np.array_equal(found, control_labels(labels, types, seed=1))

    def test_scale_and_seed(self, tokens):
        vectors, labels, types = tokens
        assert probe(vectors, labels, types) == probe(1e-4 * vectors + 5, labels, types)
        assert probe(vectors, labels, types) == probe(vectors, labels, types)

    @pytest.mark.parametrize(
        ("change", "error", "named"),
        [
            ({"labels": [0]}, DataError, "of one number"),
            ({"labels": [0] * 2000}, DataError, "at least two kinds"),
            ({"vectors": np.full((2000, 3), np.nan)}, DataError, "finite"),
            ({"held_out": 1.0}, ConfigError, "held_out"),
            ({"held_out": 0.9999, "unseen_types": True}, DataError, "too few"),
        ],
    )
    def test_bad_input_is_named(self, tokens, change, error, named):
        given = dict(zip(("vectors", "labels", "types"), tokens, strict=True)) | change
        with pytest.raises(error, match=named):
            probe(given.pop("vectors"), given.pop("labels"), given.pop("types"), **given)


class TestGeometry:
    def test_anisotropy_is_the_mean_of_a_loop(self):
        rows = np.random.default_rng(0).normal(size=(12, 4)) + 1
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        wanted = np.mean([unit[i] @ unit[j] for i in range(12) for j in range(12) if i != j])
        assert anisotropy(rows) == pytest.approx(wanted)

    def test_isotropy_is_one_where_directions_are_even(self):
        even = np.concatenate([np.eye(5), -np.eye(5)])
        assert isotropy(even) == pytest.approx(1)
        assert isotropy(even + np.array([3, 0, 0, 0, 0])) < 0.2
        assert isotropy(even) == pytest.approx(isotropy(7 * even))

    @pytest.mark.parametrize("dims", [2, 5])
    def test_the_dimension_is_that_of_the_surface(self, dims):
        rng = np.random.default_rng(0)
        flat = rng.uniform(size=(3000, dims)) @ rng.normal(size=(dims, 20))
        assert intrinsic_dimension(flat) == pytest.approx(dims, rel=0.12)

    def test_the_dimension_is_that_of_a_loop(self):
        rows = np.random.default_rng(0).normal(size=(30, 3))
        logs = []
        for i in range(30):
            gaps = sorted(np.linalg.norm(rows[i] - rows[j]) for j in range(30) if j != i)
            logs.append(np.log(gaps[1] / gaps[0]))
        assert intrinsic_dimension(np.concatenate([rows, rows[:5]])) == pytest.approx(
            30 / sum(logs)
        )

    def test_a_sample_is_measured(self):
        rows = np.random.default_rng(0).normal(size=(500, 3))
        found = geometry(rows, sample=100)
        assert found.vectors == 100 and found == geometry(rows, sample=100)

    def test_bad_input_is_named(self):
        with pytest.raises(DataError, match="at least 2 rows"):
            anisotropy([[1.0, 2.0]])
        with pytest.raises(DataError, match="zeros"):
            anisotropy([[1.0, 2.0], [0.0, 0.0]])
        with pytest.raises(DataError, match="3 different"):
            intrinsic_dimension(np.ones((9, 2)))


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(12, 20))
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    picked = np.array([rng.choice(12, 2, replace=False) for _ in range(600)])
    rows = true[picked].sum(1) + 0.02 * rng.normal(size=(600, 20))
    return rows, picked, sparse_codes(rows, atoms=16, alpha=0.1, epochs=5)


class TestSparseCodes:
    def test_few_atoms_say_nearly_all(self, made):
        rows, _, found = made
        assert found.error < 0.15 and 1 <= found.nonzero < 8
        np.testing.assert_allclose(np.linalg.norm(found.atoms, axis=1).max(), 1, atol=1e-3)
        gap = ((found.decode() - rows) ** 2).sum() / ((rows - rows.mean(0)) ** 2).sum()
        assert gap == pytest.approx(found.error, abs=1e-4)

    def test_more_weight_is_sparser(self, made):
        rows, _, found = made
        sparser = sparse_codes(rows, atoms=16, alpha=0.4, epochs=5)
        assert sparser.nonzero < found.nonzero and sparser.error > found.error

    def test_positive_codes_have_no_minus(self, made):
        found = sparse_codes(made[0], atoms=16, alpha=0.1, positive=True, epochs=3)
        assert found.codes.data.min() > 0

    def test_examples_share_an_atom(self, made):
        _, picked, found = made
        names = [f"{a} {b}" for a, b in picked]
        atom = int(np.asarray(np.abs(found.codes).sum(axis=0)).argmax())
        shown = found.examples(names, atom, topn=5)
        assert set.intersection(*[set(name.split()) for name in shown])

    def test_bad_input_is_named(self, made):
        with pytest.raises(DataError, match="as many rows as atoms"):
            sparse_codes(made[0][:5], atoms=16)
        with pytest.raises(ConfigError, match="alpha"):
            sparse_codes(made[0], alpha=0.0)
        with pytest.raises(ConfigError, match="from 0 to 15"):
            made[2].examples(["x"] * 600, 16)
        with pytest.raises(DataError, match="names must be 600"):
            made[2].examples(["x"], 0)


class TestNumeracy:
    def test_sizes_are_read_off_log_vectors_and_not_off_names(self):
        numbers = np.random.default_rng(0).integers(0, 100_000, 300).tolist()
        log, digits = (numeracy(NumericEncoder(s).encode, numbers) for s in ("log", "digits"))
        assert log.rmse < 0.01 < digits.rmse and log.numbers == digits.numbers
        names = numeracy(lambda n: np.eye(len(n)), numbers)
        assert names.rmse == pytest.approx(names.constant, rel=1e-6)

    def test_bad_input_is_named(self):
        with pytest.raises(DataError, match="at least 10 different"):
            numeracy(NumericEncoder().encode, [1.0] * 20)
        with pytest.raises(DataError, match="one finite vector a number"):
            numeracy(lambda n: np.zeros((2, 2)), range(20))
        with pytest.raises(ConfigError, match="held_out"):
            numeracy(NumericEncoder().encode, range(20), held_out=0.0)
