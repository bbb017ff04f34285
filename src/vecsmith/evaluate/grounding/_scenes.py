"""Instructions in a scene: choose the object that is meant, and score places by similarity.

The smallest form of what a robot needs from a joint space (rewards from similarity of image and
text: J. Rocamonde and others, 2023): objects stand on a grid, an instruction names one. The goal is
the object whose vector is nearest to the instruction's; the reward of a cell is the best similarity
that objects give it, falling with distance. A policy that walks is left to the user: `reward` is
what it would be given.

A joint encoder is any object with `encode(items, modality="text" | "image") -> (n, dims)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator


class JointEncoder(Protocol):
    """Puts texts and pictures in one space."""

    def encode(self, items: Sequence[Any], *, modality: str) -> NDArray[np.float32]:
        """Encode items.

        Args:
            items: Texts or pictures.
            modality: "text" or "image".

        Returns:
            Shape (items, dims).
        """
        ...


@dataclass(frozen=True)
class Scene:
    """Objects on a grid, and an instruction.

    Attributes:
        objects: Which of the items stand there.
        places: Row and column of each, shape (objects, 2).
        size: Rows and columns of the grid.
        goal: Place in `objects` of the one that is meant.
        instruction: Names it.
    """

    objects: tuple[int, ...]
    places: NDArray[np.int64]
    size: int
    goal: int
    instruction: str


class GroundingScore(NamedTuple):
    """How often the right object was chosen.

    Attributes:
        accuracy: Share of scenes.
        chance: One over the number of objects.
        scenes: How many.
    """

    accuracy: float
    chance: float
    scenes: int


def make_scenes(
    names: Sequence[str],
    count: int,
    *,
    objects: int = 8,
    size: int = 6,
    template: str = "go to the {}",
    seed: int = 0,
) -> list[Scene]:
    """Draw scenes.

    Args:
        names: Name of each item that may stand in a scene; equal names never meet in one.
        count: How many scenes.
        objects: In each.
        size: Rows and columns of the grid.
        template: Of the instruction, with "{}" for the name.
        seed: Seed of all draws.

    Returns:
        The scenes.

    Raises:
        ConfigError: Fewer names than objects, or a grid that is too small.
        DataError: A template without "{}".
    """
    if "{}" not in template:
        raise DataError(f'template must hold "{{}}" for the name; got {template!r}')
    kinds: dict[str, list[int]] = {}
    for item, name in enumerate(names):
        kinds.setdefault(name, []).append(item)
    if not 2 <= objects <= min(len(kinds), size * size) or count < 1:
        raise ConfigError(
            f"objects must be from 2 to the {len(kinds)} different names and the {size * size} "
            f"cells, count at least 1; got {objects} and {count}"
        )
    rng = numpy_generator(seed, "scenes")
    different = sorted(kinds)
    made = []
    for _ in range(count):
        drawn = [different[i] for i in rng.choice(len(different), objects, replace=False)]
        items = tuple(int(rng.choice(kinds[name])) for name in drawn)
        cells = rng.choice(size * size, objects, replace=False)
        places = np.stack([cells // size, cells % size], 1).astype(np.int64)
        goal = int(rng.integers(objects))
        made.append(Scene(items, places, size, goal, template.replace("{}", drawn[goal])))
    return made


def choose(
    instruction: NDArray[np.float32], objects: NDArray[np.float32]
) -> tuple[int, NDArray[np.float64]]:
    """Choose the object that an instruction means.

    Args:
        instruction: Vector, shape (dims,).
        objects: Vectors, shape (objects, dims).

    Returns:
        The choice, and the cosine of each object.
    """
    rows = np.asarray(objects, np.float64)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(instruction)
    cosines = rows @ np.asarray(instruction, np.float64) / np.maximum(lengths, 1e-12)
    return int(cosines.argmax()), cosines


def reward(
    scene: Scene, cosines: NDArray[np.float64], *, reach: float = 1.0
) -> NDArray[np.float64]:
    """Score every cell of a scene by the similarity of what is near.

    Args:
        scene: The scene.
        cosines: Of each object with the instruction.
        reach: Distance in cells over which similarity falls by e.

    Returns:
        Shape (size, size): max over objects of cosine * exp(-distance / reach), at least 0.
    """
    rows, columns = np.indices((scene.size, scene.size))
    gaps = np.hypot(rows[..., None] - scene.places[:, 0], columns[..., None] - scene.places[:, 1])
    return np.asarray((np.maximum(cosines, 0) * np.exp(-gaps / reach)).max(-1))


def goal_accuracy(
    encoder: JointEncoder, scenes: Sequence[Scene], items: Sequence[Any]
) -> GroundingScore:
    """Choose the goal of every scene.

    Args:
        encoder: A joint encoder.
        scenes: From `make_scenes`.
        items: Picture of each item.

    Returns:
        The score.

    Raises:
        DataError: No scenes, or vectors of different spaces.
    """
    if not scenes:
        raise DataError("scenes must hold at least one; got none")
    used = sorted({item for scene in scenes for item in scene.objects})
    pictures = encoder.encode([items[item] for item in used], modality="image")
    texts = encoder.encode([scene.instruction for scene in scenes], modality="text")
    if pictures.shape[1] != texts.shape[1]:
        raise DataError(
            f"texts and pictures must share a space; got {texts.shape[1]} and "
            f"{pictures.shape[1]} dimensions"
        )
    place = {item: row for row, item in enumerate(used)}
    right = 0
    for scene, text in zip(scenes, texts, strict=True):
        chosen, _ = choose(text, pictures[[place[item] for item in scene.objects]])
        right += chosen == scene.goal
    return GroundingScore(right / len(scenes), 1 / len(scenes[0].objects), len(scenes))
