"""The error tree, optional packages, and hints."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import (
    ConfigError,
    DataError,
    MissingExtra,
    ModelError,
    StoreError,
    VecsmithError,
    did_you_mean,
    require,
)


def test_tree() -> None:
    children = (ConfigError, DataError, ModelError, StoreError)
    assert all(issubclass(child, VecsmithError) for child in children)
    assert issubclass(MissingExtra, ConfigError)
    # one does not catch another
    assert not any(issubclass(a, b) for a in children for b in children if a is not b)


def test_require_gives_the_module() -> None:
    assert require("json.decoder", "train").JSONDecodeError


def test_require_names_package_and_install_line() -> None:
    with pytest.raises(MissingExtra, match=r"'no_such_package'.*pip install 'vecsmith\[train\]'"):
        require("no_such_package", "train")
    with pytest.raises(MissingExtra, match="no_such_package"):
        require("no_such_package.part", "train")


def test_require_does_not_hide_a_missing_dependency(tmp_path, monkeypatch) -> None:
    (tmp_path / "broken_host.py").write_text("import dependency_of_it\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="dependency_of_it"):
        require("broken_host", "train")
    # a package whose name merely begins alike is not the one asked for
    (tmp_path / "host.py").write_text("import hosting_elsewhere\n")
    with pytest.raises(ModuleNotFoundError, match="hosting_elsewhere"):
        require("host", "train")


def test_did_you_mean_names_the_nearest_and_all() -> None:
    assert did_you_mean("tie", ["slerp", "ties"]) == "did you mean 'ties'? known: slerp, ties"
    assert did_you_mean("xyz", ["b", "a"]) == "known: a, b"


@given(st.text(max_size=20), st.lists(st.text(max_size=10), max_size=5))
def test_did_you_mean_takes_anything(name: str, known: list[str]) -> None:
    text = did_you_mean(name, known)
    assert all(item in text for item in known)


def test_core_imports_without_torch() -> None:
    code = (
        "import sys\n"
        "from vecsmith.core import *\n"
        "heavy = {'torch', 'transformers', 'accelerate', 'scipy', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
