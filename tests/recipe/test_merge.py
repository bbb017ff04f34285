"""Merging by name: the table before and after, choices on one half, the command."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from vecsmith.cli import _reshape, main
from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.recipe import METHODS, MergeSettings, merge_models, read_probe
from vecsmith.recipe._merge_probe import halves
from vecsmith.reshape import TwinModel

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder, two experts, and a probe of three tasks."""
    import copy

    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    root = tmp_path_factory.mktemp("merge")
    (root / "bert").mkdir()
    (root / "bert" / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(root / "bert" / "vocab.txt")).save_pretrained(str(root / "bert"))
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
    config = BertConfig(vocab_size=len(WORDS), num_hidden_layers=1, **sizes)
    BertModel(config).save_pretrained(str(root / "bert"))
    base = SentenceTransformer(str(root / "bert"), device="cpu")
    base.save_pretrained(str(root / "base"))
    for seed, name in enumerate(("x", "y")):
        expert = copy.deepcopy(base)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for value in expert.parameters():
                value += 0.03 * torch.randn(value.shape, generator=generator)
        expert.save_pretrained(str(root / name))
    rng = np.random.default_rng(0)

    def text() -> str:
        return " ".join(rng.choice(WORDS[5:], 4))

    rows = [{"task": t, "query": text(), "positive": text()} for t in "xy" for _ in range(12)]
    scored = [
        {"task": "sts", "first": text(), "second": text(), "score": float(rng.random())}
        for _ in range(12)
    ]
    for name, lines in (("pairs.jsonl", rows), ("all.jsonl", rows + scored)):
        (root / name).write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    return root


def settings(place: Path, out: Path, **changed: object) -> MergeSettings:
    values: dict = {
        "experts": {"x": str(place / "x"), "y": str(place / "y")},
        "base": str(place / "base"),
        "probe": str(place / "all.jsonl"),
        "out": str(out),
    }
    return MergeSettings(**{**values, **changed})


def test_the_table_compares_with_base_and_experts(place: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    table = merge_models(settings(place, tmp_path / "out", settings={"scale": [0.5]}))
    assert table.judged == {"x": 12, "y": 12, "sts": 12}  # nothing was chosen: all judge
    assert set(table.others) == {"base", "x", "y"}
    model = SentenceTransformer(str(tmp_path / "out"), device="cpu")
    rows = read_probe(place / "all.jsonl")["x"]
    queries, pool = [r["query"] for r in rows], [r["positive"] for r in rows]
    similar = model.similarity(model.encode(queries), model.encode(pool)).numpy()
    ranks = (similar >= similar.diagonal()[:, None]).sum(1)
    expected = np.where(ranks <= 10, 1.0 / ranks, 0.0).mean()
    score = next(s for s in table.scores if s.name == "x")
    assert score.value.mean == pytest.approx(expected, abs=1e-6)
    assert score.against is not None
    assert score.against.mean == pytest.approx(table.others["base"]["x"])
    shown = table.to_markdown().splitlines()
    assert shown[0].startswith("| task | metric | examples | base | x | y | merged | merged - base")
    assert len(shown) == 5 and json.dumps(table.as_dict())
    assert json.loads((tmp_path / "out" / "merge.json").read_text())["settings"] == {"scale": 0.5}


def test_settings_are_chosen_on_one_half_and_judged_on_the_other(
    place: Path, tmp_path: Path
) -> None:
    grid = {"scale": [0.1, 0.5, 0.9]}
    table = merge_models(settings(place, tmp_path / "out", settings=grid))
    assert table.chosen["scale"] in grid["scale"]
    assert table.judged == {"x": 6, "y": 6, "sts": 6}
    rows = read_probe(place / "all.jsonl")
    choose, judge = halves(rows)
    for task in rows:
        key = "first" if task == "sts" else "query"
        assert not {r[key] for r in choose[task]} & {r[key] for r in judge[task]}
        assert len(choose[task]) + len(judge[task]) == len(rows[task])


def test_equal_queries_stay_in_one_half() -> None:
    rows = [{"task": "t", "query": f"q{i % 8}", "positive": f"p{i}"} for i in range(40)]
    choose, judge = halves({"t": rows})
    assert {r["query"] for r in choose["t"]}.isdisjoint({r["query"] for r in judge["t"]})
    assert len(choose["t"]) + len(judge["t"]) == 40


@pytest.mark.parametrize("method", METHODS)
def test_each_method_writes_a_model(method: str, place: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    probe = place / ("pairs.jsonl" if method in ("fisher", "regmean", "twin") else "all.jsonl")
    out = tmp_path / "out"
    linear = {"name": ["linear"], "parameters": [{"weight": 1.0}]}
    changed = {"settings": linear} if method == "mergekit" else {}
    table = merge_models(settings(place, out, method=method, probe=str(probe), steps=3, **changed))
    assert table.scores and table.method == method
    if method == "twin":
        assert TwinModel.from_pretrained(out).encode(["a b", "c"]).shape == (2, 8)
        assert 0.0 <= table.chosen["router accuracy"] <= 1.0
    else:
        assert SentenceTransformer(str(out), device="cpu").encode(["a b"]).shape == (1, 8)
        assert (out / "merge.json").is_file()
    if method == "self_positioning":
        assert set(table.chosen) == {"alpha", "lambda"}


@pytest.mark.parametrize("method", ["average", "slerp"])
def test_two_rules_need_no_base(method: str, place: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    table = merge_models(settings(place, tmp_path / "out", method=method, base=None))
    assert list(table.others) == ["x", "y"] and "merged - x" in table.to_markdown()
    x, y, merged = (
        SentenceTransformer(str(path), device="cpu").state_dict()
        for path in (place / "x", place / "y", tmp_path / "out")
    )
    if method == "average":
        for name, value in merged.items():
            torch.testing.assert_close(value, (x[name] + y[name]) / 2, rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match="give the base"):
        settings(place, tmp_path / "out", method="ties", base=None)


def test_what_does_not_go_together_is_told(place: Path, tmp_path: Path) -> None:
    make: Callable[..., MergeSettings] = lambda **changed: settings(  # noqa: E731
        place, tmp_path / "out", **changed
    )
    with pytest.raises(ConfigError, match="method must be one of"):
        make(method="mean")
    with pytest.raises(ConfigError, match="give a probe"):
        make(probe=None, settings={"scale": [1, 2]})
    with pytest.raises(ConfigError, match="give a probe"):
        make(probe=None, method="fisher")
    with pytest.raises(ConfigError, match="name them alike"):
        merge_models(make(method="twin"))
    with pytest.raises(ConfigError, match="no setting 'sale'"):
        merge_models(make(settings={"sale": [1]}))
    with pytest.raises(ModelError, match="nowhere"):
        merge_models(make(experts={"x": str(place / "nowhere")}))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "line, text",
    [
        ("{", "line 2 .*no JSON"),
        ('{"task": "x", "query": "a"}', "line 2 .*positive"),
        ('{"task": "x", "query": " ", "positive": "b"}', "line 2"),
        ('{"task": "s", "first": "a", "second": "b", "score": "high"}', "the score 'high'"),
        ('{"task": "s", "first": "a", "second": "b", "score": NaN}', "the score nan"),
        ('{"task": "x", "first": "a", "second": "b", "score": 1}', "mixes pairs"),
        ("[1]", "line 2"),
    ],
)
def test_a_malformed_probe_is_told_by_line(line: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "probe.jsonl"
    path.write_text('{"task": "x", "query": "a", "positive": "b"}\n' + line + "\n")
    with pytest.raises(DataError, match=text):
        read_probe(path)


def test_a_probe_that_says_nothing_is_refused(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "probe.jsonl"
    with pytest.raises(DataError, match="cannot be read"):
        read_probe(path)
    path.write_text("\n")
    with pytest.raises(DataError, match="no examples"):
        read_probe(path)
    rows = [{"task": "x", "query": f"q{i}", "positive": f"p{i}"} for i in range(4)]
    path.write_text("\n".join(map(json.dumps, rows)))
    merge_models(settings(place, tmp_path / "out", probe=str(path)))
    with pytest.raises(DataError, match="too few"):
        merge_models(
            settings(place, tmp_path / "out", probe=str(path), settings={"scale": [0.1, 0.2]})
        )


def test_the_command(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["reshape", "merge", str(place / "x"), f"second={place / 'y'}"]
    words += ["--base", str(place / "base"), "--out", str(tmp_path / "out")]
    probe = ["--probe", str(place / "all.jsonl")]
    assert main([*words, *probe, "--set", "scale=0.2/0.4"]) == 0
    shown = capsys.readouterr()
    assert "| x | mrr@10 | 6 |" in shown.out and "written: " in shown.out
    assert "task_arithmetic: scale 0." in shown.err
    assert main([*words, *probe, "--method", "ties", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["method"] == "ties" and list(found["others"]) == ["base", "x", "second"]
    assert main(words) == 0 and capsys.readouterr().out.startswith("written")
    assert main([*words, "--set", "scale"]) == 2
    assert "--set should be NAME=VALUE" in capsys.readouterr().err
    assert main(["reshape", "merge", str(place / "x"), f"x={place / 'y'}", *words[4:]]) == 2
    assert "two models are called 'x'" in capsys.readouterr().err
    assert _reshape.METHODS == METHODS
