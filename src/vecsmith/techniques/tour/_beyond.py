"""Steps beyond words: users, pictures, scenes, numbers."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._step import Floor, StepResult, bars

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SIDE = 32


def users(quick: bool, seed: int = 0) -> StepResult:
    """Predict ratings with and without a vector of the user."""
    from vecsmith.data.samples import load_movielens
    from vecsmith.train.tables import roc_auc

    table, _ = load_movielens()
    train, _, test = table.take(np.arange(len(table.labels))).split()
    scores = {
        name: _rating_model(train, test, personal, quick, seed)
        for name, personal in (("film alone", False), ("film and user", True))
    }
    figures = {name: roc_auc(test.labels, found) for name, found in scores.items()}
    figures["gain"] = figures["film and user"] - figures["film alone"]
    return StepResult(
        "Persons: the same film, another user",
        f"{len(train.labels):,} ratings of MovieLens-100k, liked or not; a network over vectors of "
        "films, and the same with a vector of the user beside it.",
        figures,
        (Floor("gain", 0.02, "set beforehand"),),
        ("user-table",),
        bars(figures, "AUC on held-out ratings"),
    )


def _rating_model(
    train: Any, test: Any, personal: bool, quick: bool, seed: int
) -> NDArray[np.float64]:
    import torch
    from torch import nn

    from vecsmith.core import Budget, FitOptions, fit, numpy_generator
    from vecsmith.encode import UserTable

    torch.manual_seed(seed)
    user, film = train.names.index("user"), train.names.index("item")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.films = nn.Embedding(train.sizes[film], 16)
            self.users = UserTable(train.sizes[user], 16, combine="concat", scale=0.1)
            self.head = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))

        def forward(self, batch: Any) -> Any:
            films, who = batch
            return self.head(self.users(self.films(films), who))[:, 0]

    def columns(part: Any) -> tuple[Any, Any]:
        ids = torch.from_numpy(part.ids.astype(np.int64))
        # an unknown user adds nothing: the same network, without the person
        who = ids[:, user] if personal else torch.full((len(ids),), -1)
        return ids[:, film], who

    films, who = columns(train)
    labels = torch.from_numpy(train.labels.astype(np.float32))

    def batches(epoch: int) -> Iterator[tuple[Any, Any, Any]]:
        order = numpy_generator(seed, "ratings", str(epoch)).permutation(len(labels))
        for rows in np.array_split(order, max(1, len(order) // 512)):
            yield films[rows], who[rows], labels[rows]

    def step(model: nn.Module, batch: Any) -> Any:
        return nn.functional.binary_cross_entropy_with_logits(model(batch[:2]), batch[2])

    model = Model()
    epochs = 1 if quick else 4
    steps = epochs * max(1, len(labels) // 512)
    options = FitOptions(lr=5e-3, weight_decay=0.0, seed=seed, description="ratings")
    fit(model, step, batches, budget=Budget(steps=steps), options=options)
    with torch.no_grad():
        return np.asarray(model.eval()(columns(test)).numpy(), np.float64)


@functools.lru_cache(maxsize=2)
def _pictures(quick: bool, seed: int) -> tuple[Any, NDArray[np.uint8], list[str]]:
    """Train two towers on emoji and their names; give them with held-out pictures and names."""
    import torch
    from transformers import AutoModel, ResNetConfig

    from vecsmith.core import Budget, FitOptions
    from vecsmith.data.samples import load_emoji, thumbnails
    from vecsmith.encode import VisionEncoder
    from vecsmith.train import (
        BidirectionalContrastiveLoss,
        ImageViews,
        PairedDataset,
        PairedPretrainer,
        TextTower,
    )

    rows = load_emoji(("twitter",))[:]
    images = thumbnails(rows["image"], SIDE)
    train = [i for i, part in enumerate(rows["part"]) if part == "train"]
    # one picture a concept: tones would be the same answer
    seen: set[str] = set()
    held = []
    for i, part in enumerate(rows["part"]):
        if part == "test" and rows["concept"][i] not in seen:
            seen.add(rows["concept"][i])
            held.append(i)
    base = VisionEncoder.tiny("resnet", image_size=SIDE)
    torch.manual_seed(seed)
    config = ResNetConfig(
        embedding_size=32, hidden_sizes=[32, 64, 128], depths=[1, 1, 1], layer_type="basic"
    )
    vision = VisionEncoder(
        AutoModel.from_config(config).to(memory_format=torch.channels_last), base.processor
    )
    tower = TextTower.from_pretrained(MINILM, pool="mean", freeze="all", max_tokens=32)
    model = PairedPretrainer(vision, tower, proj_dim=128, seed=seed)
    texts = [[rows["name"][i], ", ".join(rows["tags"][i][:3]) or rows["name"][i]] for i in train]
    pairs = PairedDataset(
        images[train],
        texts,
        groups=[rows["concept"][i] for i in train],
        may_flip=[rows["may_flip"][i] for i in train],
    )
    model.fit(
        pairs,
        budget=Budget(steps=10 if quick else 250),
        batch_size=64 if quick else 192,
        views=ImageViews(blur=(0.0, 0.0)),
        loss=BidirectionalContrastiveLoss(tau=0.1),
        options=FitOptions(lr=3e-3, weight_decay=1e-4, seed=seed, description="pictures"),
    )
    return model, images[held], [rows["name"][i] for i in held]


class Towers:
    """Both towers as one joint encoder.

    Args:
        model: A `PairedPretrainer`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def encode(self, items: Sequence[Any], *, modality: str) -> NDArray[np.float32]:
        """Encode texts or pictures into the shared space.

        Args:
            items: Texts, or pictures.
            modality: "text" or "image".

        Returns:
            Unit vectors, shape (items, dims).
        """
        if modality == "text":
            rows = self.model.encode_texts(list(items), space="u")
        else:
            rows = self.model.encode_images(np.stack(items), space="v")
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def pictures(quick: bool, seed: int = 0) -> StepResult:
    """Find the name of a picture whose concept was never trained on."""
    model, images, names = _pictures(quick, seed)
    joint = Towers(model)
    cosines = joint.encode(list(images), modality="image") @ joint.encode(names, modality="text").T
    own = np.diag(cosines)
    ranks = (cosines > own[:, None]).sum(1)
    figures = {f"recall@{k}": float((ranks < k).mean()) for k in (1, 10, 50)}
    chance = 10 / len(names)
    figures["chance of recall@10"] = chance
    return StepResult(
        "Pictures: images and words in one space",
        "A small network over 32 x 32 pixels and MiniLM, trained on emoji and their names; "
        f"{len(names)} held-out emoji look for their name among all of them.",
        figures,
        () if quick else (Floor("recall@10", 5 * chance, "five times chance"),),
        ("paired", "vision"),
        bars(figures, "recall"),
    )


def scenes(quick: bool, seed: int = 0) -> StepResult:
    """Choose the object that an instruction names."""
    from vecsmith.evaluate.grounding import choose, goal_accuracy, make_scenes, reward

    model, images, names = _pictures(quick, seed)
    joint = Towers(model)
    drawn = make_scenes(names, 300, objects=8, size=6, template="{}", seed=seed)
    score = goal_accuracy(joint, drawn, list(images))
    figures = {"right object": score.accuracy, "chance": score.chance}
    scene = drawn[0]
    text = joint.encode([scene.instruction], modality="text")[0]
    _, cosines = choose(text, joint.encode(list(images[list(scene.objects)]), modality="image"))
    worth = reward(scene, cosines)

    def draw(axes: Any) -> None:
        axes.imshow(worth, cmap="Blues", extent=(-0.5, 5.5, 5.5, -0.5))
        for item, (row, column) in zip(scene.objects, scene.places, strict=True):
            box = (column - 0.3, column + 0.3, row + 0.3, row - 0.3)
            axes.imshow(images[item], extent=box, zorder=2)
        axes.set(xlim=(-0.5, 5.5), ylim=(5.5, -0.5), xticks=[], yticks=[])
        axes.set_title(f'reward of "{scene.instruction}"', size=9)

    return StepResult(
        "Scenes: which object is meant?",
        "Eight held-out emoji on a grid, one is named; the choice is the nearest vector. The "
        "picture shows the reward of each cell for one scene.",
        figures,
        ()
        if quick
        else (Floor("right object", 1.5 * score.chance, "half as much again as chance"),),
        ("grounding", "paired"),
        draw,
    )


def numbers(quick: bool, seed: int = 0) -> StepResult:
    """Read sizes off numbers that were not seen."""
    from vecsmith.encode.numbers import SCHEMES, NumericEncoder
    from vecsmith.encode.text import load_sentence_transformer
    from vecsmith.evaluate import numeracy

    rng = np.random.default_rng(seed)
    values = np.unique(np.round(10 ** rng.uniform(0, 5, 800)))
    encoders: dict[str, Any] = {
        scheme: NumericEncoder(scheme, low=0, high=1e5, seed=seed).encode for scheme in SCHEMES
    }
    if not quick:
        model = load_sentence_transformer("all-MiniLM-L6-v2")
        encoders["MiniLM"] = lambda n: model.encode([f"{value:.0f}" for value in n])
    scores = {
        name: numeracy(encode, values.tolist(), seed=seed) for name, encode in encoders.items()
    }
    figures = {name: score.rmse for name, score in scores.items()}
    figures["always the mean"] = scores["log"].constant
    figures["digits less log"] = figures["digits"] - figures["log"]
    return StepResult(
        "Numbers: how large is 4,096?",
        f"{len(values)} numbers to 100,000; error of log10 on those that a linear regression did "
        "not see.",
        figures,
        (Floor("digits less log", 0.0, "log below digits"),),
        tuple(f"number-{scheme}" for scheme in SCHEMES),
        bars({name: v for name, v in figures.items() if name != "digits less log"}, "error, log10"),
    )
