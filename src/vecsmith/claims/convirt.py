"""Does pretraining on pictures with words let a tenth of the labels do for all of them?

Pictures: emoji in four drawing styles, 32 pixels. "Report" of a picture: its name, or three of its
keywords, one sentence drawn each time; encoded by MiniLM, frozen, with the pooling that it was
trained with. Task: 98 subgroups ("animal-bird", …). Test: a fifth of the concepts, neither
pretrained on nor labelled. Out-of-domain start: the same net trained for the same steps on the
topic folders of a clip-art library, with all its labels: the counterpart of ImageNet weights, made
once, like those.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.claims._contract import Claim, Measurement
from vecsmith.claims._encodings import MINILM
from vecsmith.core import (
    Budget,
    FitOptions,
    atomic_path,
    cache_dir,
    hash_text,
    numpy_generator,
)

if TYPE_CHECKING:
    from vecsmith.encode import VisionEncoder
    from vecsmith.evaluate import LabelledImages
    from vecsmith.train import ImageViews, PairedDataset, PairedPretrainer, TextTower

SIDE = 32
FREE = ("twitter", "google")
STYLES = (*FREE, "apple", "facebook")
FRACTIONS = (0.01, 0.1, 1.0)
RUN = {"batch": 256, "steps": 300}
QUICK = {"batch": 64, "steps": 12}
RATE = 3e-3
FINETUNE_STEPS = 200


@dataclass(frozen=True)
class World:
    """Pictures of a seed, and what is known of them.

    Attributes:
        images: Shape (pictures, side, side, 3).
        emoji: Columns of `load_emoji`.
        labels: Subgroup of each picture.
        train: Numbers of the pictures for pretraining and labels.
        test: Numbers of the held-out pictures.
        run: "batch", "steps" and "seed".
    """

    images: NDArray[np.uint8]
    emoji: dict[str, list[Any]]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    run: dict[str, int]


@functools.lru_cache(maxsize=2)
def _emoji(quick: bool) -> tuple[dict[str, list[Any]], NDArray[np.uint8]]:
    from vecsmith.data.samples import load_emoji, thumbnails

    # one style of the four is what tests fetch
    columns = load_emoji(STYLES[:1] if quick else STYLES)[:]
    return columns, thumbnails(columns["image"], SIDE)


def make_world(seed: int, *, quick: bool, unseen: bool = False) -> World:
    """Lay out the pictures of a seed; the split by concept is the same for all.

    Args:
        seed: Seed of weights, batches, views and label draws.
        quick: One style, few steps.
        unseen: Train on Twemoji and Noto alone, and test on Apple's and Facebook's drawings.

    Returns:
        The world of a seed; no concept is on both sides.
    """
    emoji, images = _emoji(quick)
    out = np.array(emoji["part"]) == "test"
    free = np.array([style in FREE for style in emoji["style"]])
    _, labels = np.unique(emoji["subgroup"], return_inverse=True)
    return World(
        images=images,
        emoji=emoji,
        labels=labels,
        train=np.flatnonzero(~out & free if unseen else ~out),
        test=np.flatnonzero(out & ~free if unseen else out),
        run={**(QUICK if quick else RUN), "seed": seed},
    )


def fresh_encoder(seed: int) -> "VisionEncoder":
    """Build the untrained net: a ResNet of 0.31 M weights for 32 pixels.

    Args:
        seed: Seed of the weights.

    Returns:
        The encoder.
    """
    import torch
    from transformers import AutoModel, ResNetConfig

    from vecsmith.encode import VisionEncoder

    base = VisionEncoder.tiny("resnet", image_size=SIDE)
    torch.manual_seed(seed)
    config = ResNetConfig(
        embedding_size=32, hidden_sizes=[32, 64, 128], depths=[1, 1, 1], layer_type="basic"
    )
    model = AutoModel.from_config(config).to(memory_format=torch.channels_last)
    return VisionEncoder(model, base.processor)


def sentences(emoji: dict[str, list[Any]], row: int) -> list[str]:
    """List what is said of a picture: its name, and twice three of its concept's keywords.

    Args:
        emoji: Columns of `load_emoji`.
        row: Number of the picture.

    Returns:
        The sentences, the same for every seed.
    """
    tags = emoji["tags"][row]
    rng = numpy_generator(0, "sentences", emoji["concept"][row])
    drawn = [", ".join(rng.permutation(tags)[:3]) for _ in range(2) if tags]
    return [emoji["name"][row], *drawn]


def pairs_of(world: World) -> "PairedDataset":
    """Pair each training picture with its sentences.

    Args:
        world: Pictures and split.

    Returns:
        The pairs, grouped by concept.
    """
    from vecsmith.train import PairedDataset

    texts = [sentences(world.emoji, row) for row in world.train]
    return PairedDataset(
        world.images[world.train],
        texts,
        groups=[world.emoji["concept"][row] for row in world.train],
        may_flip=[world.emoji["may_flip"][row] for row in world.train],
    )


@functools.lru_cache(maxsize=1)
def text_tower(quick: bool) -> "TextTower":
    """Load MiniLM, frozen; it remembers what it encoded, and so does the cache.

    Args:
        quick: See `make_world`; the pictures of one style have all the sentences.

    Returns:
        The tower, which knows the sentences of all pictures.
    """
    from safetensors.torch import load_file, save_file

    from vecsmith.train import TextTower

    tower = TextTower.from_pretrained(MINILM, pool="mean", freeze="all", max_tokens=32)
    emoji, _ = _emoji(quick)
    rows = [row for row, style in enumerate(emoji["style"]) if style == STYLES[0]]
    texts = sorted({text for row in rows for text in sentences(emoji, row)})
    path = cache_dir("claims") / f"sentences-{hash_text(MINILM, 'mean', '32', *texts)}.safetensors"
    if not path.exists():
        with atomic_path(path) as temporary:
            save_file({"vectors": tower.encode(texts)}, temporary)
    tower.known.update(zip(texts, load_file(path)["vectors"], strict=True))
    return tower


def views() -> "ImageViews":
    """Draw views that a picture of 32 pixels bears: no blur, small turns."""
    from vecsmith.train import ImageViews

    return ImageViews(
        crop=(0.8, 1.0),
        degrees=10.0,
        translate=0.05,
        brightness=(0.8, 1.2),
        contrast=(0.8, 1.2),
        blur=(0.0, 0.0),
    )


@functools.lru_cache(maxsize=1)
def out_of_domain(steps: int) -> "VisionEncoder":
    """Train on the topic folders of clip art.

    Args:
        steps: As many as pretraining has.

    Returns:
        The encoder, the same for all seeds.
    """
    from vecsmith.claims._image_arms import classification
    from vecsmith.data.samples import load_openclipart, thumbnails

    art = load_openclipart()[:]
    _, labels = np.unique(art["folder"], return_inverse=True)
    run = {**RUN, "steps": steps, "seed": 0}
    images = thumbnails(art["image"], SIDE)
    return classification(fresh_encoder(0), images, labels, views(), **run)


def pretrain(world: World, *, quick: bool) -> "PairedPretrainer":
    """Train with ConVIRT.

    Args:
        world: Pictures and split.
        quick: See `make_world`.

    Returns:
        The trained pair of encoders.
    """
    from vecsmith.train import PairedPretrainer

    seed = world.run["seed"]
    model = PairedPretrainer(fresh_encoder(seed), text_tower(quick), proj_dim=128, seed=seed)
    options = FitOptions(
        lr=RATE, weight_decay=1e-4, schedule="cosine", seed=seed, description="pretraining"
    )
    model.fit(
        pairs_of(world),
        budget=Budget(steps=world.run["steps"]),
        batch_size=world.run["batch"],
        views=views(),
        options=options,
    )
    return model


def concept_parts(
    correct: NDArray[np.bool_], world: World, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Turn hits of pictures into one number a concept, of the same mean.

    The pictures of a concept are right or wrong together: the concept is what chance draws.
    Accuracy is a ratio of two sums over concepts, and these are its first-order parts.

    Args:
        correct: Whether each picture was classified rightly, shape (pictures,).
        world: Pictures and split.
        rows: Numbers of the pictures.

    Returns:
        Shape (concepts,).
    """
    _, places = np.unique([world.emoji["concept"][row] for row in rows], return_inverse=True)
    sizes, mean = np.bincount(places), correct.mean()
    sums = np.bincount(places, correct)
    return np.asarray(mean + (sums - mean * sizes) / sizes.mean())


def labelled(world: World) -> "LabelledImages":
    """Hand the pictures to `label_curve`, which refuses concepts on both sides.

    Args:
        world: Pictures and split.

    Returns:
        The pictures with their classes.
    """
    from vecsmith.evaluate import LabelledImages

    concepts = np.array(world.emoji["concept"])
    return LabelledImages(world.images, world.labels, world.train, world.test, concepts)


def probes(encoder: "VisionEncoder", world: World) -> dict[float, NDArray[np.bool_]]:
    """Fit linear probes at every label fraction.

    Args:
        encoder: The encoder.
        world: Pictures and split.

    Returns:
        Fraction -> whether each held-out picture is classified rightly.
    """
    from vecsmith.evaluate import label_curve

    seeds = (world.run["seed"],)
    rows = label_curve(encoder, labelled(world), fractions=FRACTIONS, seeds=seeds)
    return {row["fraction"]: row["correct"] for row in rows}


def finetuned(encoder: "VisionEncoder", world: World, fraction: float) -> float:
    """Fine-tune on labels and return the accuracy on held-out pictures.

    Args:
        encoder: Where to start.
        world: Pictures and split.
        fraction: Part of the labels.

    Returns:
        The accuracy.
    """
    from vecsmith.evaluate import label_curve

    (row,) = label_curve(
        encoder,
        labelled(world),
        fractions=(fraction,),
        modes=("finetune",),
        seeds=(world.run["seed"],),
        budget=Budget(steps=min(FINETUNE_STEPS, world.run["steps"])),
    )
    return float(row["correct"].mean())


def retrieval(pair: "PairedPretrainer", world: World) -> dict[str, float]:
    """Search held-out pictures by their names.

    Args:
        pair: The trained pair of encoders.
        world: Pictures and split.

    Returns:
        Part of the names whose picture is among the first k, and precision by subgroup.
    """
    from vecsmith.evaluate import precision_at_k

    names = np.array([world.emoji["name"][row] for row in world.test])
    queries, first = np.unique(names, return_index=True)
    u = pair.encode_texts(queries.tolist())
    v = pair.encode_images(world.images[world.test], space="v")
    ks = (1, 5, 10)
    named = precision_at_k(u, v, queries, names, ks=ks)
    of_class = world.labels[world.test]
    classed = precision_at_k(u, v, of_class[first], of_class, ks=ks)
    figures = {f"text to image, recall@{k}": float((named[k] > 0).mean()) for k in ks}
    return figures | {
        f"text to image, precision@{k} by subgroup": float(classed[k].mean()) for k in ks
    }


def side_arms(world: World, *, quick: bool) -> dict[str, float]:
    """Measure what one seed is enough for: SimCLR, matching, and styles never seen.

    Args:
        world: Pictures and split.
        quick: Leave out the styles.

    Returns:
        Figures by name.
    """
    from vecsmith.claims._image_arms import matching, simclr

    seed, pairs = world.run["seed"], pairs_of(world)
    arms = {
        "simclr": simclr(fresh_encoder(seed), pairs, views(), **world.run),
        "matching": matching(fresh_encoder(seed), pairs, text_tower(quick), views(), **world.run),
    }
    figures = {}
    for arm, encoder in arms.items():
        for fraction, correct in probes(encoder, world).items():
            figures[f"linear {fraction:.0%} {arm}, seed 0"] = float(correct.mean())
    if quick:
        return figures
    strange = make_world(seed, quick=quick, unseen=True)
    arms = {
        "random": fresh_encoder(seed),
        "out of domain": out_of_domain(world.run["steps"]),
        "convirt": pretrain(strange, quick=quick).image_encoder,
    }
    for arm, encoder in arms.items():
        for fraction, correct in probes(encoder, strange).items():
            figures[f"linear {fraction:.0%} {arm}, unseen styles, seed 0"] = float(correct.mean())
    return figures


def measure(seed: int, quick: bool) -> Measurement:
    """Pretrain and fit classifiers on label fractions.

    Args:
        seed: Seed of weights, batches, views and label draws.
        quick: One style, few steps; the out-of-domain net stays untrained, whose pictures would
            have to be fetched.

    Returns:
        Linear probe: ConVIRT with 10% of the labels against the out-of-domain start with all of
        them, one item a concept; everything else as extras.
    """
    world = make_world(seed, quick=quick)
    pair = pretrain(world, quick=quick)
    arms = {
        "random": fresh_encoder(seed),
        "out of domain": fresh_encoder(0) if quick else out_of_domain(world.run["steps"]),
        "convirt": pair.image_encoder,
    }
    correct = {arm: probes(encoder, world) for arm, encoder in arms.items()}
    extra = {
        f"linear {fraction:.0%} {arm}": float(hits.mean())
        for arm, found in correct.items()
        for fraction, hits in found.items()
    }
    for arm, fraction in (("random", 1.0), ("out of domain", 1.0), ("convirt", 0.1)):
        extra[f"finetune {fraction:.0%} {arm}"] = finetuned(arms[arm], world, fraction)
    extra |= retrieval(pair, world)
    if seed == 0:
        extra |= side_arms(world, quick=quick)
    sides = correct["out of domain"][1.0], correct["convirt"][0.1]
    baseline, system = (concept_parts(hits, world, world.test) for hits in sides)
    return Measurement(
        baseline=float(sides[0].mean()),
        system=float(sides[1].mean()),
        baseline_items=baseline.tolist(),
        system_items=system.tolist(),
        extra=extra,
    )


CLAIM = Claim(
    slug="convirt",
    claim="A linear classifier on an encoder that was pretrained on pictures with their words "
    "needs a tenth of the labels: with 10% it is at least as good as the same net, trained with "
    "labels on another kind of pictures, is with 100%; 300 steps of 256 pictures for both.",
    paper={
        "figure": "on all four classification tasks ConVIRT with 10% of the labels is as good as "
        "or better than ImageNet weights with 100%",
        "baseline": "ImageNet weights; here weights trained on the folders of clip art",
    },
    data="13,800 emoji in four styles, 98 subgroups; 368 of 1,906 concepts held out; the interval "
    "takes a concept with all its pictures as one item",
    metric="accuracy",
    baseline="out-of-domain weights, 100% of the labels",
    system="ConVIRT, 10% of the labels",
    measure=measure,
)
