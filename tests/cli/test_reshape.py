"""The chain command: steps, listing, undoing, refusals."""

import json
from pathlib import Path

import pytest
import torch

from vecsmith.cli import main
from vecsmith.encode import load_sentence_transformer
from vecsmith.reshape import ReshapeChain

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder and a file of texts."""
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    root = tmp_path_factory.mktemp("chain")
    (root / "bert").mkdir()
    (root / "bert" / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(root / "bert" / "vocab.txt")).save_pretrained(str(root / "bert"))
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
    config = BertConfig(vocab_size=len(WORDS), num_hidden_layers=1, **sizes)
    BertModel(config).save_pretrained(str(root / "bert"))
    SentenceTransformer(str(root / "bert"), device="cpu").save_pretrained(str(root / "model"))
    rows = [" ".join(WORDS[5 + (i + j) % 16] for j in range(1 + i % 5)) for i in range(40)]
    (root / "texts").write_text("\n".join(rows) + "\n\n")
    return root


def test_steps_are_made_listed_and_taken_back(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["reshape", "chain", str(place / "model")]
    assert main(words) == 0 and capsys.readouterr().out == "no steps\n"
    steps = ["--step", "whiten:6", "--step", "truncate:4", "--step", "quantise:8"]
    made = tmp_path / "made"
    assert main([*words, *steps, "--texts", str(place / "texts"), "--out", str(made)]) == 0
    shown = capsys.readouterr()
    assert shown.out == "whiten:6\ntruncate:4\nquantise:8\n" and "written: " in shown.err
    assert load_sentence_transformer(made).encode(["a b"]).shape == (1, 4)
    back = tmp_path / "back"
    assert main(["reshape", "chain", str(made), "--undo", "2", "--out", str(back), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["label"] for row in found["steps"]] == ["whiten:6"]
    assert ReshapeChain(back).labels == ("whiten:6",)


@pytest.mark.parametrize(
    "words, text",
    [
        (["--step", "truncate:4"], "--out goes together"),
        (["--out", "x"], "--out goes together"),
        (["--step", "shrink:4", "--out", "x"], "got 'shrink:4'"),
        (["--step", "truncate:few", "--out", "x"], "got 'truncate:few'"),
        (["--step", "truncate:99", "--out", "x"], "below the encoder's 8; got 99"),
        (["--step", "whiten:4", "--out", "x"], "at least 9 texts; got 0"),
        (["--step", "whiten:4", "--texts", "none", "--out", "x"], "cannot be read"),
        (["--undo", "1", "--out", "x"], "no step to undo"),
    ],
)
def test_what_does_not_go_is_told(
    words: list[str],
    text: str,
    place: Path,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reshape", "chain", str(place / "model"), *words]) == 2
    assert text in capsys.readouterr().err and not (tmp_path / "x").exists()
