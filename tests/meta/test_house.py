"""The house keeps its own rules: exports, rooms, systems, sizes."""

import ast
import fnmatch
import importlib
import pkgutil
from pathlib import Path

import pytest

import vecsmith
from vecsmith.systems import SYSTEMS

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "vecsmith"
MODULES = sorted(SOURCE.rglob("*.py"))
ROOMS = [
    name
    for _, name, is_package in pkgutil.walk_packages(vecsmith.__path__, "vecsmith.")
    if is_package and (SOURCE.parent / name.replace(".", "/") / "__init__.pyi").exists()
]


@pytest.mark.parametrize("room", ROOMS)
def test_every_exported_name_is_there(room):
    module = importlib.import_module(room)
    assert module.__all__, room
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("room", ROOMS)
def test_stub_lists_what_it_imports(room):
    stub = ast.parse((SOURCE.parent / room.replace(".", "/") / "__init__.pyi").read_text())
    imported = {a.asname for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    (listed,) = [ast.literal_eval(n.value) for n in stub.body if isinstance(n, ast.Assign)]
    assert imported == set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("slug", sorted(SYSTEMS))
def test_every_system_is_whole(slug):
    system = SYSTEMS[slug]
    module, _, name = system.name.partition(":")
    assert hasattr(importlib.import_module(module), name), system.import_line
    claim = importlib.import_module(f"vecsmith.claims.{slug.replace('-', '_')}").CLAIM
    assert claim.slug == slug
    assert (ROOT / "docs" / "systems" / f"{slug}.md").is_file()
    assert (ROOT / "docs" / "claims" / f"{slug}.json").is_file()
    tests = [
        p.read_text("utf-8") for p in (ROOT / "tests").rglob("test_*.py") if p != Path(__file__)
    ]
    assert any(name in text for text in tests), f"no test names {name}"


def test_every_claim_file_is_in_the_table():
    files = {p.stem.replace("_", "-") for p in (SOURCE / "claims").glob("[a-z]*.py")}
    assert files == set(SYSTEMS)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_module_is_too_long(path):
    assert len(path.read_text("utf-8").splitlines()) <= 500


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_print_is_for_the_command_line_alone(path):
    if path.is_relative_to(SOURCE / "cli"):
        return
    calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
    assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_nothing_is_unpickled(path):
    text = path.read_text("utf-8")
    for word in ("import pickle", "joblib.load", "allow_pickle=True", "weights_only=False"):
        assert word not in text


def test_pytest_goes_into_every_folder_of_tests(pytestconfig):
    left_out = pytestconfig.getini("norecursedirs")
    for folder in {path.parent.name for path in (ROOT / "tests").rglob("test_*.py")}:
        assert not [p for p in left_out if fnmatch.fnmatch(folder, p)], folder
