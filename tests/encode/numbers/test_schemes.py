"""Numbers as vectors: what each scheme keeps, inverses, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.numbers import SCHEMES, NumericEncoder

SOME = [0.0, 1.0, 7.0, 12.0, 99.0, 100.0, 998.0]


@pytest.mark.parametrize("scheme", SCHEMES)
class TestEveryScheme:
    def test_shapes_seeds_and_batches(self, scheme):
        encoder = NumericEncoder(scheme, dims=16, seed=1)
        found = encoder.encode(SOME)
        assert found.shape == (7, 16) and found.dtype == np.float32
        np.testing.assert_array_equal(found, NumericEncoder(scheme, dims=16, seed=1).encode(SOME))
        alone = np.concatenate([encoder.encode([value]) for value in SOME])
        np.testing.assert_allclose(found, alone, atol=1e-6)
        assert encoder.encode([]).shape == (0, 16)
        # all seven differ
        assert len(np.unique(found.round(5), axis=0)) == 7

    def test_bad_numbers_are_refused(self, scheme):
        for numbers in ([float("nan")], [float("inf")], np.ones((2, 2))):
            with pytest.raises(DataError, match="finite"):
                NumericEncoder(scheme).encode(numbers)


@given(st.floats(0, 1000))
def test_dice_is_a_unit_vector_whose_angle_is_the_number(value):
    encoder = NumericEncoder("dice", dims=8)
    vector, end = encoder.encode([value, 0.0])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector @ end == pytest.approx(np.cos(np.pi * value / 1000), abs=1e-5)
    assert encoder.decode([vector])[0] == pytest.approx(value, abs=0.5)


@given(st.floats(-1e5, 1e5))
def test_log_and_value_are_read_back(value):
    encoder = NumericEncoder("log", dims=9)
    assert encoder.decode(encoder.encode([value]))[0] == pytest.approx(value, rel=1e-3, abs=1e-4)
    wide = NumericEncoder("value", dims=9, low=-1e5, high=1e5)
    assert wide.decode(wide.encode([value]))[0] == pytest.approx(value, abs=50)


def test_fourier_is_a_phase_a_digit():
    encoder = NumericEncoder("fourier", dims=8)
    found = encoder.encode([7.0, 17.0, 1007.0]) * 2
    # the period of 10 sees the last digit alone, that of 100 the last two
    np.testing.assert_allclose(found[0, 4:6], found[1, 4:6], atol=1e-5)
    np.testing.assert_allclose(found[0, 4:6], [np.cos(1.4 * np.pi), np.sin(1.4 * np.pi)], atol=1e-5)
    assert np.abs(found[0, 6:] - found[1, 6:]).max() > 0.1
    np.testing.assert_allclose(found[0], found[2], atol=1e-5)


def test_digits_forget_their_order():
    encoder = NumericEncoder("digits")
    a, b, c = encoder.encode([123.0, 321.0, 124.0])
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.abs(a - c).max() > 1e-3


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match="scheme must be one of"):
        NumericEncoder("roman")
    for change in ({"dims": 4}, {"low": 3.0, "high": 3.0}, {"high": float("inf")}):
        with pytest.raises(ConfigError, match="dims must be at least 5"):
            NumericEncoder("dice", **change)
    with pytest.raises(DataError, match="from 0 to 1000"):
        NumericEncoder("dice").encode([-1.0])
    with pytest.raises(ConfigError, match="no inverse"):
        NumericEncoder("fourier").decode(np.zeros((1, 64)))
    with pytest.raises(DataError, match="64 dimensions"):
        NumericEncoder("log").decode(np.zeros((1, 63)))
