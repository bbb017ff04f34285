"""The check that a guide must pass before it may filter negatives.

A guide that does not beat the student on the very data strikes out useful hard negatives and does
harm, so it is measured on held-out pairs first and left out if it is not clearly better.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vecsmith.data import Pair
from vecsmith.encode import load_sentence_transformer

from ._settings import BuildSettings
from ._watch import pool_mrr

# What a guide must be ahead by on held-out pairs.
AHEAD = 0.02


def checked_guide(
    settings: BuildSettings, watch: Sequence[Pair], folder: Path
) -> tuple[Any, dict[str, Any]]:
    """Load the guide if it proves better than the student.

    Args:
        settings: Settings of the build; without `guide` there is none.
        watch: Held-out pairs.
        folder: Where the guide's vectors are kept.

    Returns:
        A `GuideCache` or None, and the verdict with both scores.
    """
    if settings.guide is None:
        return None, {"used": False, "reason": "no guide was given"}
    from vecsmith.train import GuideCache

    guide = load_sentence_transformer(settings.guide)
    scores = {
        "guide": pool_mrr(guide, watch),
        "student": pool_mrr(load_sentence_transformer(settings.model), watch),
    }
    if scores["guide"] < scores["student"] + AHEAD:
        reason = "the guide is not better than the student on held-out pairs"
        return None, {"used": False, "reason": reason, "mrr@10": scores}
    return GuideCache(guide, folder), {"used": True, "mrr@10": scores}
