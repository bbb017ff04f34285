"""Settings: YAML and flags are the dataclasses written down."""

import pytest

from vecsmith.core import ConfigError
from vecsmith.recipe import (
    DataSource,
    TrainingConfig,
    config_from,
    kind_of,
    parse_objective,
    read_config,
    write_config,
)


def test_round_trip(tmp_path):
    config = TrainingConfig(
        data=(DataSource("a.jsonl", weight=2.0, columns=("q", "p")), DataSource("b.csv")),
        dims=(64, 32),
        evaluate=("lee",),
        steps=7,
    )
    write_config(config, tmp_path / "run.yaml")
    assert config_from(read_config(tmp_path / "run.yaml")) == config


def test_texts_become_what_the_field_is():
    config = config_from(
        {
            "data": "a.jsonl@0.5",
            "learning_rate": "2e-5",
            "steps": "30",
            "dims": "64,32",
            "evaluate": "lee, simlex999",
            "bf16": True,
            "mini_batch": None,
        }
    )
    assert config.data == (DataSource("a.jsonl", weight=0.5),)
    assert (config.learning_rate, config.steps, config.dims) == (2e-5, 30, (64, 32))
    assert config.evaluate == ("lee", "simlex999") and config.bf16 is True
    assert config_from({"data": "me@home.jsonl"}).data[0].path == "me@home.jsonl"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "needs data"),
        ({"data": "a", "stepz": 3}, "steps"),
        ({"data": "a", "steps": "many"}, "steps must be int"),
        ({"data": "a", "steps": 2.5}, "whole number"),
        ({"data": "a", "bf16": "maybe"}, "true or false"),
        ({"data": "a", "batch_size": 1}, "batch_size must be at least 2"),
        ({"data": "a", "temperature": 0}, "temperature must be above 0"),
        ({"data": "a", "warmup": 1.0}, "warmup"),
        ({"data": "a", "keep": "first"}, "keep"),
        ({"data": [{"file": "a"}]}, "'path'"),
        ({"data": [{"path": "a", "columnz": []}]}, "columns"),
        ({"data": "a@0"}, "weight"),
    ],
)
def test_errors_say_what_is_wrong(values, words):
    with pytest.raises(ConfigError, match=words):
        config_from(values)


def test_config_files_that_cannot_be_read(tmp_path):
    for content in ("- a\n- b\n", "data: [", "\x00"):
        (tmp_path / "x.yaml").write_text(content)
        with pytest.raises(ConfigError, match=r"x\.yaml"):
            read_config(tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "none.yaml")


def test_kinds():
    import dataclasses

    kinds = {f.name: kind_of(f) for f in dataclasses.fields(TrainingConfig)}
    assert kinds["steps"] == "int | None" and kinds["out"] == "str"
    assert kinds["dims"] == "tuple[int, ...]"


def test_objectives_are_read():
    found = parse_objective("Gist + peg+duplicates")
    assert (found.base, found.modifiers) == ("gist", ("duplicates", "peg"))
    assert found.needs_guide and found.needs_keys and found.columns == 2
    assert parse_objective("peg").base == "contrastive"
    assert parse_objective("own-negatives").columns == 3
    with pytest.raises(ConfigError, match="gist"):
        parse_objective("gisst")
    with pytest.raises(ConfigError, match="gist and gte"):
        parse_objective("gist+gte")
    with pytest.raises(ConfigError, match="empty"):
        parse_objective(" + ")
