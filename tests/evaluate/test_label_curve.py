"""Label curves and precision among the first k."""

import numpy as np
import pytest
import torch

from vecsmith.core import Budget, ConfigError, DataError
from vecsmith.encode import VisionEncoder
from vecsmith.evaluate import LabelledImages, finetune, label_curve, linear_probe, precision_at_k
from vecsmith.evaluate._label_curve import draw_labels


def bars(count=80, side=32):
    """Bars of three colours, as pictures."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 3, count)
    images = rng.integers(0, 80, (count, side, side, 3))
    for row, kind in enumerate(kinds):
        images[row, :, : side // 2, kind] += 120
    return images.astype(np.uint8), kinds.astype(np.int64) + 5


@pytest.fixture
def data():
    images, labels = bars()
    return LabelledImages(images, labels, np.arange(60), np.arange(60, 80))


class TestCurve:
    def test_draws_are_nested_and_of_the_training_part(self, data):
        small, whole = (set(draw_labels(data, f, 3).tolist()) for f in (0.1, 1.0))
        assert len(small) == 6 and small < whole == set(range(60))
        assert small != set(draw_labels(data, 0.1, 4).tolist())
        with pytest.raises(ConfigError, match="above 0 and up to 1"):
            draw_labels(data, 0.0, 0)

    def test_groups_on_both_sides_are_refused(self):
        images, labels = bars(10)
        groups = np.array(list("aabbccddee"))
        with pytest.raises(DataError, match="1 groups are in both"):
            LabelledImages(images, labels, np.arange(5), np.arange(5, 10), groups)

    def test_rows(self, data):
        model = VisionEncoder.tiny(image_size=32)
        weights = {n: p.clone() for n, p in model.state_dict().items()}
        rows = label_curve(
            model,
            data,
            fractions=(0.1, 1.0),
            modes=("linear", "finetune"),
            seeds=(0, 1),
            budget=Budget(steps=3),
        )
        assert [(r["mode"], r["fraction"], r["seed"], r["labels"]) for r in rows] == [
            (mode, fraction, seed, labels)
            for mode in ("linear", "finetune")
            for fraction, labels in ((0.1, 6), (1.0, 60))
            for seed in (0, 1)
        ]
        assert all(row["correct"].shape == (20,) for row in rows)
        assert all(torch.equal(p, weights[n]) for n, p in model.state_dict().items())
        whole = [row["correct"].mean() for row in rows if row["fraction"] == 1.0]
        assert min(whole[:2]) > 0.9
        with pytest.raises(ConfigError, match="did you mean 'linear'"):
            label_curve(model, data, modes=("linea",))

    def test_finetuning_learns(self, data):
        model = VisionEncoder.tiny(image_size=32)
        guess = finetune(model, data, data.train, budget=Budget(steps=30), batch_size=20)
        assert (guess == data.labels[data.test]).mean() > 0.8
        again = finetune(model, data, data.train, budget=Budget(steps=30), batch_size=20)
        assert np.array_equal(guess, again)

    def test_pictures_go_where_the_trained_copy_is(self, data, monkeypatch):
        """`fit` moves the copy to an accelerator; the encoder that was given stays where it is."""
        from vecsmith.evaluate import _label_curve

        def far_away(model, *_args, **_options):
            model.to("meta")

        monkeypatch.setattr(_label_curve, "fit", far_away)
        seen = []

        def forward(self, pixels):
            seen.append(pixels.device.type)
            return torch.zeros(len(pixels), 3)

        monkeypatch.setattr(_label_curve._Classifier, "forward", forward)
        model = VisionEncoder.tiny(image_size=32)
        finetune(model, data, data.train, budget=Budget(steps=1))
        assert seen == ["meta"] and model.device.type == "cpu"


class TestProbe:
    def test_is_at_the_minimum_that_scikit_learn_finds(self):
        linear = pytest.importorskip("sklearn.linear_model")
        rng = np.random.default_rng(0)
        x = rng.normal(size=(200, 6)).astype(np.float32)
        y = (x @ rng.normal(size=(6, 4)) + rng.normal(size=(200, 4))).argmax(1)
        scaled = (x - x.mean(0)) / (x.std(0) + 1e-6)
        other = linear.LogisticRegression(C=1 / (2 * 1e-3 * len(x)), max_iter=1000, tol=1e-8)
        other.fit(scaled, y)
        test = rng.normal(size=(300, 6)).astype(np.float32)
        wanted = other.predict((test - x.mean(0)) / (x.std(0) + 1e-6))
        assert (linear_probe(x, y, test) == wanted).mean() > 0.98

    def test_weight_of_the_squares_counts(self):
        """With much of it weights are nothing, and the commoner class is all that is left."""
        x = np.array([[0.0], [0.1], [0.2], [5.0]], np.float32)
        y = np.array([0, 0, 0, 1])
        assert linear_probe(x, y, x, l2=1e-3).tolist() == [0, 0, 0, 1]
        assert linear_probe(x, y, x, l2=1e3).tolist() == [0, 0, 0, 0]

    def test_classes_keep_their_numbers(self):
        x = np.array([[0.0], [1.0]], np.float32)
        found = linear_probe(x, np.array([7, 3]), np.array([[-1.0], [2.0]], np.float32))
        assert found.tolist() == [7, 3]


class TestPrecision:
    def test_hand_made_case(self):
        queries = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32)
        candidates = np.array([[5, 0], [3, 1], [0, 1], [1, 1.1]], np.float32)
        found = precision_at_k(queries, candidates, ["a", "b"], ["a", "b", "b", "a"], ks=(1, 2, 4))
        assert found[1].tolist() == [1.0, 1.0]
        assert found[2].tolist() == [0.5, 0.5]
        assert found[4].tolist() == [0.5, 0.5]

    def test_bad_input(self):
        rows = np.ones((3, 2), np.float32)
        with pytest.raises(DataError, match="needs one label"):
            precision_at_k(rows, rows, [0, 1], [0, 1, 2])
        with pytest.raises(DataError, match="one space"):
            precision_at_k(rows, np.ones((3, 4), np.float32), [0, 1, 2], [0, 1, 2], ks=(1,))
        with pytest.raises(DataError, match="from 1 to 3"):
            precision_at_k(rows, rows, [0, 1, 2], [0, 1, 2], ks=(5,))
