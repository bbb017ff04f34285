"""The stamp: round trip, refusals, files of other versions."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import Stamp, StoreError

STAMP = Stamp("owner/name", "ab12", 384, query_prompt="query: ", reshape=("truncate:128",))
stamps = st.builds(
    Stamp,
    model=st.text(),
    weights=st.text(),
    dims=st.integers(1, 10**5),
    pooling=st.text(),
    query_prompt=st.text(),
    document_prompt=st.text(),
    max_tokens=st.integers(1, 10**5),
    reshape=st.lists(st.text()).map(tuple),
)


@given(stamps)
def test_round_trip_through_json(stamp: Stamp) -> None:
    back = Stamp.from_dict(json.loads(json.dumps(stamp.to_dict())))
    assert back == stamp and hash(back) == hash(stamp)
    stamp.check(back)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", "cd34"),
        ("dims", 128),
        ("pooling", "cls"),
        ("query_prompt", ""),
        ("document_prompt", "passage: "),
        ("reshape", ()),
    ],
)
def test_another_space_is_refused_and_named(name: str, value: object) -> None:
    other = dataclasses.replace(STAMP, model="else/where", **{name: value})
    with pytest.raises(StoreError) as caught:
        STAMP.check(other)
    text = str(caught.value)
    assert f"{name} {getattr(STAMP, name)!r} here, {value!r} there" in text
    assert "'owner/name'" in text and "'else/where'" in text and "build the index again" in text


def test_name_and_length_do_not_change_the_space() -> None:
    STAMP.check(dataclasses.replace(STAMP, model="/a/copy/of/it", max_tokens=64))


def test_order_of_reshape_steps_counts() -> None:
    one = dataclasses.replace(STAMP, reshape=("a", "b"))
    with pytest.raises(StoreError, match="reshape"):
        one.check(dataclasses.replace(STAMP, reshape=("b", "a")))


def test_files_of_later_and_broken_versions() -> None:
    values = {**STAMP.to_dict(), "invented later": 1}
    assert Stamp.from_dict(values) == STAMP
    del values["weights"]
    with pytest.raises(StoreError, match=r"incomplete.*weights"):
        Stamp.from_dict(values)
    minimal = Stamp.from_dict({"model": "m", "weights": "w", "dims": 3})
    assert minimal == Stamp("m", "w", 3)


def test_stamp_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        STAMP.dims = 3  # type: ignore[misc]
