"""A small masked language model from MiniLM: fewer blocks, and a vocabulary cut to a corpus.

Trained from scratch a model of this size is still at unigram level after minutes; cut from MiniLM
it starts with real word vectors and real attention.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vecsmith.claims._encodings import MINILM
from vecsmith.core import cache_dir, hash_text

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def cached_backbone(texts: Sequence[str], *, blocks: int, pieces: int) -> Path:
    """Return the folder of a small backbone, cut on first use; see `small_backbone`."""
    folder = cache_dir("claims") / f"backbone-{hash_text(str(blocks), str(pieces), *texts)}"
    if not (folder / "config.json").exists():
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            fresh = small_backbone(texts, Path(scratch) / "fresh", blocks=blocks, pieces=pieces)
            fresh.rename(folder)
    return folder


def small_backbone(
    texts: Sequence[str], folder: Path, *, blocks: int = 2, pieces: int = 5000
) -> Path:
    """Cut MiniLM and save it as transformers loads it.

    Args:
        texts: Corpus whose commonest pieces are kept.
        folder: Where to.
        blocks: How many blocks are kept, from the first.
        pieces: Size of the vocabulary; single characters of the corpus are kept beside the
            commonest, so that every word can still be spelled.

    Returns:
        The folder.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer, BertTokenizerFast

    from vecsmith.encode import quiet_hosts, resolve_model

    source = str(resolve_model(MINILM).path)
    with quiet_hosts():
        whole: Any = AutoModel.from_pretrained(source)
        tokenizer: Any = AutoTokenizer.from_pretrained(source)
    by_id = {number: piece for piece, number in tokenizer.get_vocab().items()}
    rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    counts = Counter(number for row in rows for number in row)
    known = tokenizer.get_vocab()
    letters = {form for text in texts for c in text.lower() for form in (c, "##" + c)}
    kept = [known[piece] for piece in SPECIAL]
    kept += sorted(known[piece] for piece in letters if piece in known)
    kept = list(dict.fromkeys([*kept, *(number for number, _ in counts.most_common(pieces))]))
    kept = kept[:pieces]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(by_id[number] for number in kept), "utf-8")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(str(folder))
    with torch.no_grad():
        vectors = whole.get_input_embeddings().weight[kept].clone()
    whole.encoder.layer = whole.encoder.layer[:blocks]
    whole.config.num_hidden_layers = blocks
    whole.resize_token_embeddings(len(kept), mean_resizing=False)
    whole.get_input_embeddings().weight.data.copy_(vectors)
    whole.config.pad_token_id = 0
    with quiet_hosts():
        whole.save_pretrained(str(folder))
    return folder
