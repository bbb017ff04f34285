"""Train the small vision encoder that the package ships, and write it into the package.

Usage: vision_encoder.py [--steps 1200] [--out FOLDER]

Pictures: Twemoji, Noto Emoji and Open Clip Art, four fifths of their concepts; see
`vecsmith.data.samples.emoji_part`. Method: `PairedPretrainer` against frozen MiniLM sentence
vectors. Measured on what was left out, Apple's and Facebook's drawings among it; those are looked
at only, and never trained on.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vecsmith.core import Budget, FitOptions, numpy_generator, write_json
from vecsmith.data.samples import STYLES, load_emoji, load_openclipart, thumbnails
from vecsmith.encode import VisionEncoder, weights_hash
from vecsmith.evaluate import LabelledImages, label_curve
from vecsmith.train import (
    BidirectionalContrastiveLoss,
    ImageViews,
    PairedDataset,
    PairedPretrainer,
)

FOLDER = Path(__file__).resolve().parent.parent / "src/vecsmith/encode/images/tiny-resnet"
TEXT = "sentence-transformers/all-MiniLM-L6-v2"
SIZE, BATCH, SEED = 64, 256, 0
TRAINED_ON = ("twitter", "google")
# names of icon themes and patterns say little about the picture
LEFT_OUT = ("computer/icons", "shapes/stars", "special", "buttons", "shapes/arrows")
VIEWS = ImageViews(crop=(0.7, 1.0), brightness=(0.8, 1.2), contrast=(0.8, 1.2), blur=(0.0, 0.0))


def sentences(name: str, tags: list[str], rng: np.random.Generator) -> list[str]:
    """Return the name, and three draws of three tags."""
    if len(tags) < 2:
        return [name]
    draws = [", ".join(rng.permutation(tags)[:3]) for _ in range(3)]
    return [name, name, name, *draws]


def pairs() -> PairedDataset:
    """Collect the training pairs."""
    rng = numpy_generator(SEED, "sentences")
    emoji, art = load_emoji(TRAINED_ON)[:], load_openclipart()[:]
    rows = [i for i, part in enumerate(emoji["part"]) if part == "train"]
    paths = [emoji["image"][i] for i in rows]
    texts = [sentences(emoji["name"][i], emoji["tags"][i], rng) for i in rows]
    groups = [emoji["concept"][i] for i in rows]
    flips = [emoji["may_flip"][i] for i in rows]
    for i, (title, folder) in enumerate(zip(art["title"], art["folder"], strict=True)):
        if art["part"][i] == "train" and not folder.startswith(LEFT_OUT):
            paths.append(art["image"][i])
            texts.append([title, title, f"{title}, {folder.rpartition('/')[2].replace('_', ' ')}"])
            groups.append(f"art: {title.lower()}")
            flips.append("signs" not in folder and "flags" not in folder)
    return PairedDataset(thumbnails(paths, SIZE), texts, groups=groups, may_flip=flips)


def measured(model: PairedPretrainer) -> dict[str, Any]:
    """Measure on the concepts that were left out."""
    figures = {}
    for name, styles in (("seen styles", TRAINED_ON), ("unseen styles", ("apple", "facebook"))):
        emoji = load_emoji(styles)[:]
        rows = [i for i, part in enumerate(emoji["part"]) if part == "test"]
        v = model.encode_images(thumbnails(emoji["image"], SIZE)[rows], space="v")
        names = sorted({emoji["name"][i] for i in rows})
        u = model.encode_texts(names)
        scores = unit(u) @ unit(v).T
        order = np.argsort(-scores, axis=1)[:, :10]
        of_row = np.array([emoji["name"][i] for i in rows])
        right = of_row[order] == np.array(names)[:, None]
        figures[f"text to image, {name}"] = {
            f"recall@{k}": round(float(right[:, :k].any(1).mean()), 4) for k in (1, 5, 10)
        } | {"queries": len(names), "pictures": len(rows)}
    return figures | {"linear probe": probe(model.image_encoder)}


def probe(encoder: VisionEncoder) -> dict[str, float]:
    """Accuracy over 98 subgroups on left-out concepts in four styles."""
    emoji = load_emoji(STYLES)[:]
    images = thumbnails(emoji["image"], SIZE)
    _, labels = np.unique(emoji["subgroup"], return_inverse=True)
    part = np.array(emoji["part"])
    data = LabelledImages(
        images,
        labels,
        np.flatnonzero(part == "train"),
        np.flatnonzero(part == "test"),
        np.array(emoji["concept"]),
    )
    rows = label_curve(encoder, data, fractions=(0.01, 0.1, 1.0), seeds=(0,))
    return {
        f"{row['fraction']:.0%} of labels": round(float(row["correct"].mean()), 4) for row in rows
    }


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = PairedPretrainer(
        VisionEncoder.tiny("resnet", seed=SEED),
        TEXT,
        proj_dim=256,
        text_pool="mean",
        freeze_text="all",
        seed=SEED,
    )
    # convolutions on the CPU are a third faster so
    model.image_encoder.model.to(memory_format=torch.channels_last)
    data = pairs()
    result = model.fit(
        data,
        budget=Budget(steps=options.steps),
        batch_size=BATCH,
        views=VIEWS,
        loss=BidirectionalContrastiveLoss(tau=0.1, lam=0.75),
        options=FitOptions(
            lr=3e-3, weight_decay=1e-4, schedule="cosine", precision="bf16", seed=SEED, log_every=50
        ),
    )
    model.image_encoder.model.half()
    model.image_encoder.save_pretrained(options.out / "weights")
    model.image_encoder.model.float()
    settings = {
        "content": weights_hash(options.out / "weights"),
        "data": "Twemoji (CC-BY 4.0, Twitter and contributors), Noto Emoji (Apache-2.0, OFL-1.1; "
        "Google), Open Clip Art Library (public domain); four fifths of the concepts",
        "licence": "Apache-2.0, with attribution of the pictures above",
        "pairs": len(data),
        "steps": result.steps,
        "batch": BATCH,
        "loss": round(result.loss, 4),
        "text": TEXT,
        "measured on left-out concepts": measured(model),
    }
    write_json(options.out / "vision.json", settings)
    sys.stdout.write(json.dumps(settings | {"seconds": round(result.seconds)}, indent=2) + "\n")


if __name__ == "__main__":
    main()
