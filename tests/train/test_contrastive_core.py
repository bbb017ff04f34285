import pytest
import torch

from vecsmith.core import ConfigError
from vecsmith.train.contrastive._core import (
    BLOCKS,
    Columns,
    Rows,
    check_blocks,
    contrastive_cross_entropy,
    contrastive_logits,
    similarity_blocks,
    structural_masks,
)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_four_blocks_match_a_plain_loop(plain, count):
    q, p = plain.draw(6, 5), plain.draw(6, 5, seed=1)
    negatives = tuple(plain.draw(6, 5, seed=2 + i) for i in range(count))
    blocks = similarity_blocks(Rows(q, p), Columns(q, p, negatives))
    assert tuple(blocks) == (BLOCKS if count else ("qp", "qq", "pp"))
    logits = contrastive_logits(blocks, structural_masks(blocks), temperature=0.1)
    assert contrastive_cross_entropy(logits).item() == pytest.approx(
        plain.naive_loss(q, p, negatives, 0.1), rel=1e-10
    )


def test_gradients(plain):
    q, p, n = (plain.draw(4, 3, seed=i).requires_grad_() for i in range(3))

    def loss(q, p, n):
        blocks = similarity_blocks(Rows(q, p), Columns(q, p, (n,)))
        return contrastive_cross_entropy(
            contrastive_logits(blocks, structural_masks(blocks), temperature=0.2)
        )

    assert torch.autograd.gradcheck(loss, (q, p, n))


def test_a_row_without_negatives_costs_nothing_and_has_a_finite_gradient(plain):
    q, p = plain.draw(4, 3).requires_grad_(), plain.draw(4, 3, seed=1).requires_grad_()
    blocks = similarity_blocks(Rows(q, p), Columns(q, p))
    dropped = structural_masks(blocks)
    for name in blocks:
        dropped[name][1] = True
    dropped["qp"][1, 1] = False
    logits = contrastive_logits(blocks, dropped, temperature=0.5)
    each = torch.nn.functional.cross_entropy(logits, torch.arange(4), reduction="none")
    assert each[1].item() == 0.0 and (each[[0, 2, 3]] > 0).all()
    contrastive_cross_entropy(logits).backward()
    assert torch.isfinite(q.grad).all() and torch.isfinite(p.grad).all()
    assert (q.grad[1].abs() >= 0).all() and q.grad[0].abs().sum() > 0


def test_dropped_is_minus_infinity_not_zero():
    blocks = {"qp": torch.tensor([[0.1, -0.9], [0.3, 0.2]])}
    logits = contrastive_logits(blocks, {"qp": blocks["qp"] > 0.25}, temperature=0.5)
    torch.testing.assert_close(logits, torch.tensor([[0.2, -1.8], [-torch.inf, 0.4]]))


def test_rows_of_a_part_against_all_columns(plain):
    q, p, n = plain.draw(6, 5), plain.draw(6, 5, seed=1), plain.draw(6, 5, seed=2)
    whole = similarity_blocks(Rows(q, p), Columns(q, p, (n,)))
    want = contrastive_logits(whole, structural_masks(whole), temperature=0.1)
    for offset in (0, 2, 4):
        part = slice(offset, offset + 2)
        blocks = similarity_blocks(Rows(q[part], p[part]), Columns(q, p, (n,), offset))
        got = contrastive_logits(blocks, structural_masks(blocks, offset), temperature=0.1)
        torch.testing.assert_close(got, want[part])


def test_autocast_does_not_lower_the_precision(plain):
    q, p = plain.draw(6, 64).float(), plain.draw(6, 64, seed=1).float()
    plain = similarity_blocks(Rows(q, p), Columns(q, p))["qp"]
    with torch.autocast("cpu", torch.bfloat16):
        cast = similarity_blocks(Rows(q, p), Columns(q, p))["qp"]
    assert cast.dtype == torch.float32
    torch.testing.assert_close(plain, cast, rtol=0, atol=0)


def test_names_of_blocks():
    assert check_blocks(["pp", "qp"]) == ("qp", "pp")
    with pytest.raises(ConfigError, match="qn"):
        check_blocks(["qp", "nq"])
    with pytest.raises(ConfigError, match="target"):
        check_blocks(["qq"])
