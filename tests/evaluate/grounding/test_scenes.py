"""Scenes: what is drawn, the choice, the reward of cells, bad input."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.evaluate.grounding import choose, goal_accuracy, make_scenes, reward

NAMES = ["cat", "dog", "cat", "tree", "car", "sun", "moon", "fish", "bird"]


class ByName:
    """Knows names perfectly, or turns all vectors."""

    def __init__(self, right=True):
        kinds = sorted(set(NAMES))
        self.place = {name: i for i, name in enumerate(kinds)}
        self.right = right

    def encode(self, items, *, modality):
        words = [item.split()[-1] for item in items]
        rows = np.eye(len(self.place), dtype=np.float32)[[self.place[w] for w in words]]
        return rows if self.right or modality == "text" else -rows


def test_scenes_hold_different_names_on_different_cells():
    scenes = make_scenes(NAMES, 50, objects=6, size=4)
    for scene in scenes:
        names = [NAMES[item] for item in scene.objects]
        assert len(set(names)) == 6 and len({tuple(cell) for cell in scene.places}) == 6
        assert scene.places.min() >= 0 and scene.places.max() < 4
        assert scene.instruction == f"go to the {names[scene.goal]}"
    assert {0, 2} <= {item for scene in scenes for item in scene.objects}
    again = make_scenes(NAMES, 50, objects=6, size=4)
    assert [s.objects for s in again] == [s.objects for s in scenes]
    assert [s.objects for s in make_scenes(NAMES, 50, objects=6, seed=1)] != [
        s.objects for s in scenes
    ]


def test_a_space_that_knows_the_names_finds_every_goal():
    scenes = make_scenes(NAMES, 40, objects=4)
    found = goal_accuracy(ByName(), scenes, NAMES)
    assert found == (1.0, 0.25, 40)
    assert goal_accuracy(ByName(right=False), scenes, NAMES).accuracy == 0


def test_the_choice_is_the_largest_cosine():
    objects = np.array([[10, 10], [0, 1], [1, 0.2], [0, 0]], np.float32)
    chosen, cosines = choose(np.array([2, 0], np.float32), objects)
    assert chosen == 2
    np.testing.assert_allclose(cosines, [2**-0.5, 0, 1 / np.hypot(1, 0.2), 0], atol=1e-6)


def test_the_reward_falls_with_distance_from_the_goal():
    scene = make_scenes(NAMES, 1, objects=3, size=5)[0]
    cosines = np.array([0.2, -0.5, 0.1])
    found = reward(scene, cosines, reach=2.0)
    assert found.shape == (5, 5)
    for row in range(5):
        for column in range(5):
            gaps = [np.hypot(row - r, column - c) for r, c in scene.places]
            wanted = max(max(v, 0) * np.exp(-g / 2) for v, g in zip(cosines, gaps, strict=True))
            assert found[row, column] == pytest.approx(wanted)
    assert np.unravel_index(found.argmax(), found.shape) == tuple(scene.places[0])


def test_bad_input_is_named():
    with pytest.raises(DataError, match="template"):
        make_scenes(NAMES, 1, template="go")
    for change in ({"objects": 9}, {"objects": 1}, {"objects": 8, "size": 2}, {"count": 0}):
        with pytest.raises(ConfigError, match="objects must be from 2"):
            make_scenes(NAMES, **{"count": 1, **change})
    with pytest.raises(DataError, match="at least one"):
        goal_accuracy(ByName(), [], NAMES)

    class Torn(ByName):
        def encode(self, items, *, modality):
            rows = super().encode(items, modality=modality)
            return rows if modality == "text" else rows[:, :3]

    with pytest.raises(DataError, match="share a space"):
        goal_accuracy(Torn(), make_scenes(NAMES, 2, objects=3), NAMES)
