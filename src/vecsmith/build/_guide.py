"""The check that a guide must pass before it may filter negatives.

A guide that does not beat the student on the very data strikes out useful hard negatives and does
harm, so both are measured on held-out pairs first, and it is left out unless it is clearly better.
The student is one that has been trained for a tenth of the steps: a guide that is ahead only of the
untouched one is soon overtaken.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vecsmith.data import Pair
from vecsmith.encode import kind_prompts, load_sentence_transformer
from vecsmith.evaluate import compare

from ._heldout import LEAST_WATCHED
from ._watch import pool_scores

# What a guide must be ahead by on held-out pairs, besides that chance cannot explain it: the rest
# of the training lifts the student further.
AHEAD = 0.02


def checked_guide(
    name: str,
    student: Path,
    watch: Sequence[Pair],
    distractors: Sequence[str],
    folder: Path,
) -> tuple[Any, dict[str, Any]]:
    """Load the guide if it proves better than the student.

    Args:
        name: Hub id or folder of the guide.
        student: Folder of a student that has been trained for a while.
        watch: Held-out pairs.
        distractors: Passages near the watched queries that do not answer them.
        folder: Where the guide's vectors are kept.

    Returns:
        A `GuideCache` or None, and the verdict with both scores.
    """
    if len(watch) < LEAST_WATCHED:
        reason = f"{len(watch)} held-out pairs are too few to tell whether the guide is better"
        return None, {"used": False, "reason": reason}
    from vecsmith.train import GuideCache

    guide = load_sentence_transformer(name)
    rivals = {"guide": guide, "student": load_sentence_transformer(student)}
    scores = {who: pool_scores(model, watch, distractors) for who, model in rivals.items()}
    gain = compare(scores["guide"], scores["student"])
    verdict = {"mrr@10": {n: float(np.mean(s)) for n, s in scores.items()}, "comparison": gain}
    if gain["verdict"] != "better" or gain["difference"] < AHEAD:
        reason = "the guide is not clearly better than the student on held-out pairs"
        return None, {"used": False, "reason": reason, **verdict}
    query, passage = kind_prompts(guide)
    prompt = {"anchor": query, "positive": passage, "negative": passage}
    return GuideCache(guide, folder, prompt=prompt), {"used": True, **verdict}
