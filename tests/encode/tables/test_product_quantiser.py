import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError
from vecsmith.encode.tables import ProductQuantiser


def naive(vectors, codebooks, allowed=None):
    """Codes and codewords by loops in double precision."""
    parts, words, width = codebooks.shape
    codes = np.zeros((len(vectors), parts), np.int64)
    out = np.zeros_like(vectors)
    for row, vector in enumerate(vectors):
        for part in range(parts):
            piece = vector[part * width : (part + 1) * width]
            limit = words if allowed is None else allowed[row]
            gaps = [((piece - codebooks[part, j]) ** 2).sum() for j in range(limit)]
            codes[row, part] = int(np.argmin(gaps))
            out[row, part * width : (part + 1) * width] = codebooks[part, codes[row, part]]
    return codes, out


@settings(max_examples=25, deadline=None)
@given(parts=st.integers(1, 4), words=st.integers(1, 9), seed=st.integers(0, 999))
def test_takes_the_nearest_codewords(parts, words, seed):
    rng = np.random.default_rng(seed)
    quantiser = ProductQuantiser(parts * 3, parts, words).double()
    vectors = rng.normal(size=(7, parts * 3))
    allowed = rng.integers(1, words + 1, 7)
    for limit in (None, allowed):
        expected = naive(vectors, quantiser.codebooks.detach().numpy(), limit)
        given_limit = None if limit is None else torch.from_numpy(limit)
        codes = quantiser.encode(torch.from_numpy(vectors), given_limit)
        np.testing.assert_array_equal(codes, expected[0])
        with torch.no_grad():
            forward = quantiser(torch.from_numpy(vectors), given_limit)
        np.testing.assert_allclose(forward, expected[1], atol=1e-12)
        np.testing.assert_allclose(quantiser.decode(codes).detach(), expected[1], atol=0)


def test_gradient_is_that_of_the_softmax():
    torch.manual_seed(0)
    quantiser = ProductQuantiser(6, 2, 5, temperature=0.7).double()
    vectors = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    target = torch.randn(4, 6, dtype=torch.float64)
    (quantiser(vectors) * target).sum().backward()
    found = vectors.grad.clone(), quantiser.codebooks.grad.clone()

    # by hand: dL/dc = sum of w target + through p, with hard weights in front of the codewords
    vectors.grad = quantiser.codebooks.grad = None
    expected = torch.zeros((), dtype=torch.float64)
    for row in range(4):
        for part in range(2):
            piece = vectors[row, part * 3 : part * 3 + 3]
            gaps = (piece - quantiser.codebooks[part]).square().sum(-1)
            p = torch.softmax(-gaps / 0.7, 0)
            hard = torch.nn.functional.one_hot(gaps.argmin(), 5).double()
            mix = (hard - p.detach() + p) @ quantiser.codebooks[part]
            expected = expected + (mix * target[row, part * 3 : part * 3 + 3]).sum()
    expected.backward()
    torch.testing.assert_close(found[0], vectors.grad)
    torch.testing.assert_close(found[1], quantiser.codebooks.grad)


def test_copied_gradient_reaches_vectors_and_the_loss_the_codewords():
    torch.manual_seed(0)
    quantiser = ProductQuantiser(6, 3, 4, gradient="copy")
    vectors = torch.randn(5, 6, requires_grad=True)
    target = torch.randn(5, 6)
    (quantiser(vectors) * target).sum().backward()
    torch.testing.assert_close(vectors.grad, target)
    assert quantiser.codebooks.grad is None
    quantiser.codeword_loss(vectors).backward()
    codes = quantiser.encode(vectors)
    expected = torch.zeros_like(quantiser.codebooks)
    for row in range(5):
        for part in range(3):
            gap = (
                quantiser.codebooks[part, codes[row, part]] - vectors[row, part * 2 : part * 2 + 2]
            )
            expected[part, codes[row, part]] += 2 * gap.detach() / 5
    torch.testing.assert_close(quantiser.codebooks.grad, expected)


def test_each_row_is_quantised_alone():
    torch.manual_seed(1)
    quantiser = ProductQuantiser(8, 4, 16)
    vectors = torch.randn(9, 8)
    alone = torch.cat([quantiser(vectors[i : i + 1]) for i in range(9)])
    torch.testing.assert_close(quantiser(vectors), alone)


@pytest.mark.parametrize(
    ("settings_", "named"),
    [
        ({"parts": 5}, "parts must divide the 8 dimensions"),
        ({"parts": 0}, "parts"),
        ({"parts": 2, "codewords": 0}, "codewords"),
        ({"parts": 2, "gradient": "sideways"}, "gradient"),
        ({"parts": 2, "temperature": 0.0}, "temperature"),
    ],
)
def test_bad_settings_are_named(settings_, named):
    with pytest.raises(ConfigError, match=named):
        ProductQuantiser(8, **settings_)
