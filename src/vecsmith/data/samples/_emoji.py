"""Emoji: pictures in four drawing styles, with names and keywords in many languages.

Pictures come from the npm packages emoji-datasource-STYLE (64 pixels), words from emojibase-data.
A *concept* is an emoji without its skin tone: the same hand in five tones and four styles is 24
pictures of one concept. Whoever trains on emoji splits by concept (`emoji_part`), never by picture.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import ConfigError, DataError, did_you_mean, read_json, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

STYLES = ("twitter", "google", "apple", "facebook")
TONES = ("1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF")
# where a mirror image would mean something else, or be no letter any more
SIDED = {"left", "right", "leftwards", "rightwards", "arrow", "clockwise", "counterclockwise"}
LETTERED = {"arrow", "alphanum", "keycap", "av-symbol", "hand-single-finger", "punctuation", "math"}
# a fifth of the concepts
TEST_SHARE = 0.2


def emoji_part(concept: str) -> str:
    """Say whether a concept is for training or for tests, the same on every machine.

    Args:
        concept: Code of an emoji without skin tone.

    Returns:
        "train" or "test" (one concept of five).
    """
    state = hashlib.blake2b(concept.encode(), digest_size=8).digest()
    return "test" if int.from_bytes(state, "big") < TEST_SHARE * 2**64 else "train"


def load_emoji(
    styles: Sequence[str] = ("twitter",), *, languages: Sequence[str] = ("en",)
) -> "Dataset":
    """Read pictures and words as a table, one row a picture.

    Emoji with two different skin tones are left out, and so are those without a name.

    Args:
        styles: Some of "twitter", "google", "apple", "facebook"; each is a package of its own.
        languages: Languages of names and keywords, as emojibase calls them ("en", "de", …).

    Returns:
        A `datasets.Dataset` with the columns ``style``, ``code`` ("270B-1F3FB"), ``concept`` (the
        code without tone: "270B"), ``group`` (9) and ``subgroup`` (98), ``name``, ``tags`` (of the
        first language), ``names`` (one a language, "" where it has none), ``part`` (of
        `emoji_part`), ``may_flip`` (whether the mirror image means the same) and ``image`` (path of
        a PNG of 64 x 64 pixels, transparent around).

    Raises:
        ConfigError: An unknown style or language.
        DataError: A package cannot be fetched, or does not hold what it should.
    """
    datasets = require("datasets", "train")
    for style in styles:
        if style not in STYLES:
            raise ConfigError(f"no emoji style is called {style!r}; {did_you_mean(style, STYLES)}")
    words = [_words(language) for language in languages]
    rows = [row for style in styles for row in _pictures(style, words)]
    if not rows:
        raise ConfigError(f"styles and languages need at least one entry; got {styles}")
    return datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in rows[0]})


def _words(language: str) -> dict[str, tuple[str, list[str]]]:
    """Return code -> name and keywords; codes without variation selectors."""
    folder = fetch("emojibase") / "package"
    path = folder / language / "data.json"
    if not path.exists():
        known = sorted(p.parent.name for p in folder.glob("*/data.json"))
        raise ConfigError(f"emoji have no names in {language!r}; {did_you_mean(language, known)}")
    found = {}
    for entry in read_json(path):
        for form in (entry, *entry.get("skins", ())):
            tags = [str(tag) for tag in entry.get("tags", ())]
            found[plain_code(form["hexcode"])] = (str(form["label"]), tags)
    return found


def plain_code(code: str, *, tones: bool = True) -> str:
    """Return a code without variation selectors, and without skin tones if asked.

    Args:
        code: Hexadecimal code points, joined by dashes.
        tones: Keep the skin tones.

    Returns:
        The code in capitals; packages differ in the selectors alone.
    """
    dropped = {"FE0F"} if tones else {"FE0F", *TONES}
    return "-".join(part for part in code.upper().split("-") if part not in dropped)


def _pictures(
    style: str, words: list[dict[str, tuple[str, list[str]]]]
) -> Iterator[dict[str, Any]]:
    root = fetch(f"emoji-{style}") / "package"
    path = root / "emoji.json"
    if not path.exists():
        raise DataError(
            f"the package emoji-datasource-{style} should hold emoji.json but has none; "
            "delete its folder in the cache and fetch it again"
        )
    for entry in read_json(path):
        if entry["category"] == "Component":
            # swatches of skin tones
            continue
        forms = {"": entry, **entry.get("skin_variations", {})}
        for tone, form in forms.items():
            code = plain_code(form["unified"])
            file = root / "img" / style / "64" / form["image"]
            if "-" in tone or not form.get(f"has_img_{style}") or code not in words[0]:
                continue
            yield _row(entry, code, style, file, words)


def _row(
    entry: dict[str, Any],
    code: str,
    style: str,
    file: Path,
    words: list[dict[str, tuple[str, list[str]]]],
) -> dict[str, Any]:
    concept = plain_code(code, tones=False)
    name, tags = words[0][code]
    sided = SIDED & set(name.lower().replace("-", " ").split())
    lettered = entry["category"] == "Flags" or entry["subcategory"] in LETTERED
    return {
        "style": style,
        "code": code,
        "concept": concept,
        "group": entry["category"],
        "subgroup": entry["subcategory"],
        "name": name,
        "tags": tags,
        "names": [table.get(code, ("", []))[0] for table in words],
        "part": emoji_part(concept),
        "may_flip": not sided and not lettered,
        "image": str(file),
    }
