"""A word model in training, as files: settings, words with their counts, tables."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vecsmith.core import DataError, StoreError, fresh_dir, read_json, write_json

from ._sampling import Vocabulary
from ._training_options import Pass
from .engines._tables import Tables

SETTINGS, WORDS, TABLES = "trainer.json", "words.json", "tables.safetensors"


class TrainerState(NamedTuple):
    """What is saved.

    Attributes:
        settings: Arguments of the trainer.
        vocabulary: Words and counts.
        tables: Parameters with AdaGrad's sums.
        passes: Passes so far.
    """

    settings: dict[str, Any]
    vocabulary: Vocabulary
    tables: Tables
    passes: list[Pass]


def save_state(folder: Path, state: TrainerState) -> None:
    """Write a state, whole or not at all.

    Args:
        folder: Where to; an older one is replaced.
        state: What.

    Raises:
        StoreError: The place cannot be written.
    """
    from safetensors.numpy import save_file

    with fresh_dir(folder) as fresh:
        save_file(state.tables.arrays(), fresh / TABLES)
        counts = state.vocabulary.counts.tolist()
        write_json(fresh / WORDS, {"words": state.vocabulary.words, "counts": counts})
        passes = [asdict(row) for row in state.passes]
        write_json(fresh / SETTINGS, {"format": 1, "settings": state.settings, "passes": passes})


def load_state(folder: Path) -> TrainerState:
    """Read a state.

    Args:
        folder: Where it lies.

    Returns:
        The state.

    Raises:
        StoreError: Missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    about, words = read_json(folder / SETTINGS), read_json(folder / WORDS)
    if not isinstance(about, dict) or about.get("format") != 1:
        raise StoreError(
            f"{str(folder / SETTINGS)!r} should say format 1 but does not; "
            "load it with a later vecsmith, or train again"
        )
    try:
        # arrays of safetensors cannot be written to
        arrays = {name: a.copy() for name, a in load_file(folder / TABLES).items()}
        vocabulary = Vocabulary(words["words"], np.array(words["counts"], np.int64))
        state = TrainerState(
            about["settings"],
            vocabulary,
            Tables.from_arrays(arrays),
            [Pass(**row) for row in about["passes"]],
        )
        rows = len(state.tables.values["embeddings"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, DataError) as error:
        raise StoreError(
            f"{str(folder)!r} should hold a word model but is damaged ({error!r}); train again"
        ) from error
    if rows != len(vocabulary) + 1:
        raise StoreError(f"{str(folder)!r} holds tables of other words; train again")
    return state
