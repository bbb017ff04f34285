"""The mathematics of the methods in which values share vectors, against loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError
from vecsmith.encode.tables import CompressedEmbedding
from vecsmith.encode.tables.sharing import (
    MergeRule,
    hash_codes,
    hash_functions,
    merge_blocks,
    places_and_signs,
    tensor_train,
)
from vecsmith.encode.tables.sharing._hash import shared_rows
from vecsmith.encode.tables.sharing._quotient_remainder import digit_sizes
from vecsmith.encode.tables.sharing._tensor_train import near_cube, outer_normal, three_factors


def build(method, sizes=(900, 40, 300), rate=0.2, dim=6, **settings):
    counts = [np.arange(size)[::-1] % 50 for size in sizes]
    made = CompressedEmbedding.build(method, sizes, dim=dim, rate=rate, counts=counts, **settings)
    return made.eval()


def all_ids(sizes):
    return torch.stack([torch.arange(max(sizes)) % size for size in sizes], 1)


# hashing trick


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8), st.integers(1, 10**6))
def test_rows_are_dealt_out_in_proportion(sizes, rows):
    rows = min(max(rows, len(sizes)), sum(sizes))
    given_rows = shared_rows(tuple(sizes), rows)
    assert sum(given_rows) <= rows and min(given_rows) >= 1
    assert all(r <= size for r, size in zip(given_rows, sizes, strict=True))
    assert sum(given_rows) >= rows - len(sizes)


def test_hash_shares_whole_rows_within_a_field():
    table = build("hash")
    weight = table.weight
    for field, (start, size) in enumerate(zip((0, 900, 940), (900, 40, 300), strict=True)):
        own, rows = weight[start : start + size], table.rows[field]
        for i in range(0, size - rows, 7):
            assert torch.equal(own[i], own[i + rows])
        assert len(own.unique(dim=0)) == rows
    mixed = build("hash", mixed=True).weight
    assert 0.9 * table.rows[0] < len(mixed[:900].unique(dim=0)) <= table.rows[0]
    assert not torch.equal(mixed[0], mixed[table.rows[0]])


# compositional embedding


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000), st.integers(2, 80), st.integers(2, 5))
def test_digits_tell_all_values_apart(size, divisor, parts):
    digits = digit_sizes(size, divisor, parts)
    assert sum(digits) <= size and math.prod(digits) >= size


@pytest.mark.parametrize("operation", ["product", "sum"])
@pytest.mark.parametrize("parts", [2, 3])
def test_compositional_vectors_combine_their_digits_rows(operation, parts):
    table = build("compo_emb", operation=operation, parts=parts)
    weight = table.weight.detach().double()
    start = first = 0
    for size in (900, 40, 300):
        digits = digit_sizes(size, table.divisor, parts)
        if len(digits) > 1:
            for value in range(size):
                rest, rows, base = value, [], first
                for digit in digits:
                    rows.append(table.table[base + rest % digit].detach().double())
                    rest //= digit
                    base += digit
                stacked = torch.stack(rows)
                expected = stacked.prod(0) if operation == "product" else stacked.sum(0)
                torch.testing.assert_close(weight[start + value], expected, rtol=1e-5, atol=1e-8)
            first += sum(digits)
        start += size
    assert len(weight.unique(dim=0)) == 1240


def test_least_divisor_that_fits_is_taken():
    table = build("compo_emb", sizes=[1000], rate=0.15, parts=2)
    assert sum(digit_sizes(1000, table.divisor, 2)) <= 150
    assert sum(digit_sizes(1000, table.divisor - 1, 2)) > 150
    # two digits need 64 rows; at a twentieth there are three
    assert build("compo_emb", sizes=[1000], rate=0.05).parts == 3
    with pytest.raises(ConfigError, match=r"reaches rates from 0\.064"):
        build("compo_emb", sizes=[1000], rate=0.05, parts=2)


@pytest.mark.parametrize("wrong", [{"operation": "mean"}, {"parts": 1}, {"parts": 9}])
def test_settings_of_compositional_embedding(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        build("compo_emb", **wrong)


# tensor train


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10**7), st.integers(1, 600))
def test_factors_cover_size_and_width(size, dim):
    n, d = near_cube(size), three_factors(dim)
    assert math.prod(n) >= size and math.prod(d) == dim and d[0] <= d[1] <= d[2]
    assert sum(n) <= 3.1 * size ** (1 / 3) + 6


def test_width_16_is_2_2_4():
    assert three_factors(16) == (2, 2, 4) and three_factors(7) == (1, 1, 7)


def test_tensor_train_is_the_sum_over_ranks():
    rng = np.random.default_rng(0)
    rank, d = 3, (2, 3, 4)
    cores = [rng.normal(size=(d[0], rank)), rng.normal(size=(rank, d[1], rank))]
    cores.append(rng.normal(size=(rank, d[2])))
    expected = np.zeros(d)
    for i, j, k in np.ndindex(*d):
        for r in range(rank):
            for s in range(rank):
                expected[i, j, k] += cores[0][i, r] * cores[1][r, j, s] * cores[2][s, k]
    rows = [torch.from_numpy(core.reshape(1, -1)) for core in cores]
    found = tensor_train(*rows, rank)
    np.testing.assert_allclose(found[0], expected.ravel(), atol=1e-12)


def test_digits_of_the_id_choose_the_cores_rows():
    table = build("tt_rec")
    assert table.columns == [0, 1, 2]
    first = [0, 0, 0]
    for column, size in enumerate(table.shape.sizes):
        n1, n2, _ = table.factors[column]
        for value in (0, size // 2, size - 1):
            ids = torch.zeros(1, 3, dtype=torch.int64)
            ids[0, column] = value
            rows = [value % n1, value // n1 % n2, value // n1 // n2]
            cores = [table.cores[p][first[p] + row] for p, row in enumerate(rows)]
            expected = tensor_train(*cores, table.rank)
            torch.testing.assert_close(table(ids)[0, column], expected)
        first = [start + n for start, n in zip(first, table.factors[column], strict=True)]


def test_largest_rank_that_fits_is_taken():
    table = build("tt_rec", sizes=[5000], rate=0.1)
    bigger = build("tt_rec", sizes=[5000], rate=0.1 * 1.2)
    assert table.freeze().rate <= 0.1 and bigger.rank >= table.rank >= 2


def test_start_has_no_small_numbers_and_the_usual_variance():
    drawn = outer_normal((200_000,), 0.3, torch.Generator().manual_seed(0))
    assert float(drawn.std()) == pytest.approx(0.3, rel=0.01)
    assert float(drawn.abs().min()) == pytest.approx(2 * 0.3 / 5.746**0.5, rel=1e-3)
    table = build("tt_rec", sizes=[20_000], rate=0.1, dim=16, start=0.05)
    assert float(table.weight.detach().std()) == pytest.approx(0.05, rel=0.15)


# deep hash embedding


def test_deep_hashes_are_those_of_whole_numbers():
    functions = hash_functions(64, 3, 1)
    assert torch.equal(functions, hash_functions(64, 3, 1))
    assert not torch.equal(functions, hash_functions(64, 3, 2))
    ids = torch.tensor([0, 1, 49_999_999])
    codes = hash_codes(ids, functions)
    for j, (a, b, p) in enumerate(functions.T.tolist()):
        assert p > 10**6 and all(p % d for d in range(2, int(p**0.5) + 1))
        assert 0 < a < p and 0 <= b < p
        for row, value in enumerate(ids.tolist()):
            hashed = (a * value + b) % p % 10**6
            assert float(codes[row, j]) == pytest.approx(hashed / (10**6 - 1) * 2 - 1, abs=1e-6)


def test_hash_codes_are_spread():
    functions = hash_functions(128, 0, 0)
    flat = hash_codes(torch.arange(2000), functions)
    assert float(flat.mean()) == pytest.approx(0, abs=0.01)
    assert float(flat.std()) == pytest.approx(1 / 3**0.5, abs=0.01)
    normal = hash_codes(torch.arange(2000), functions, "normal")
    assert float(normal.mean()) == pytest.approx(0, abs=0.02)
    assert float(normal.std()) == pytest.approx(1, abs=0.03)
    assert float((normal.abs() > 1.96).double().mean()) == pytest.approx(0.05, abs=0.01)


def test_batch_norms_are_folded():
    table = build("dhe", rate=0.3)
    assert table.columns
    table.train()
    for _ in range(20):
        table(all_ids((900, 40, 300)))
    with torch.no_grad():
        for network in table.networks:
            for norm in network.norms:
                norm.weight.normal_()
                norm.bias.normal_()
    table.eval()
    ids = all_ids((900, 40, 300))
    torch.testing.assert_close(table.freeze()(ids), table(ids), rtol=1e-4, atol=1e-5)
    assert not any("norm" in name for name in table.freeze().tensors)


def test_a_single_row_trains():
    table = build("dhe", rate=0.3).train()
    table(torch.tensor([[1, 2, 3]])).sum().backward()


@pytest.mark.parametrize("wrong", [{"hashes": 3}, {"hashes": 0}, {"transform": "cauchy"}])
def test_settings_of_deep_hash(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        build("dhe", **wrong)


# random offset block embedding


@pytest.mark.parametrize("block", [1, 4, 7])
def test_places_are_those_of_whole_numbers(block):
    coefficients = [2038074742, 2038074741, 2038074740, 2038074739, 5, 2038074738, 77, 3]
    ids = torch.tensor([[0, 5], [49_999_999, 123]])
    places, signs = places_and_signs(ids, 10, length=101, coefficients=coefficients, block=block)
    a, b, c, h, a2, b2, c2, h2 = coefficients
    p = 2038074743
    for row, field, coordinate in np.ndindex(2, 2, 10):
        x = int(ids[row, field])
        start = (a * field + b * x + c * (coordinate // block) + h) % p % 101
        assert int(places[row, field, coordinate]) == (start + coordinate % block) % 101
        sign = 2 * ((a2 * field + b2 * x + c2 * coordinate + h2) % p % 2) - 1
        assert int(signs[row, field, coordinate]) == sign


def test_robe_reads_signed_numbers_of_one_array():
    table = build("robe", rate=0.01, block=2)
    ids = torch.tensor([[7, 8, 9]])
    places, signs = places_and_signs(
        ids, 6, length=len(table.array), coefficients=table.coefficients, block=2
    )
    torch.testing.assert_close(table(ids), table.array[places, 0] * signs)
    assert len(table.array) == int(0.01 * 1240 * 6)
    with pytest.raises(ConfigError, match="block"):
        build("robe", block=0)


# adaptive embedding


def test_frequent_values_own_rows_and_others_share():
    table = build("adapt_emb", own=0.4)
    assert table.columns == [0, 1, 2]
    for place, (start, size) in enumerate(zip((0, 900, 940), (900, 40, 300), strict=True)):
        own, shared = table.own[place], table.shared[place]
        counts = table.plan.counts[start : start + size]
        frequent = getattr(table, f"frequent_{place}").long().tolist()
        assert len(frequent) == own
        others = [i for i in range(size) if i not in frequent]
        if own:
            assert counts[frequent].min() >= counts[others].max()
        weight = table.weight[start : start + size].detach()
        for rank, value in enumerate(others):
            assert torch.equal(weight[value], weight[others[rank % shared]])
        assert len(weight.unique(dim=0)) == own + shared


def test_adaptive_embedding_keeps_small_fields_and_needs_counts():
    table = build("adapt_emb", threshold=50)
    assert table.kept == [1] and len(table.whole) == 40
    with pytest.raises(ConfigError, match="needs counts"):
        CompressedEmbedding.build("adapt_emb", [100], dim=4, rate=0.5)
    with pytest.raises(ConfigError, match="own"):
        build("adapt_emb", own=1.0)


# deduplicated blocks


def test_blocks_that_are_alike_are_merged_first():
    rng = np.random.default_rng(0)
    blocks = rng.normal(size=(12, 30)).astype(np.float32)
    blocks[5], blocks[9] = blocks[2], blocks[2] + 0.004
    target = merge_blocks(blocks, 10, rule=MergeRule())
    assert len(set(target)) == 10
    assert target[5] == target[9] == target[2]
    assert all(target[i] == i for i in range(12) if i not in (2, 5, 9))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(0, 100))
def test_merging_meets_any_budget(most, seed):
    blocks = np.random.default_rng(seed).normal(size=(20, 6)).astype(np.float32)
    target = merge_blocks(blocks, most, rule=MergeRule())
    assert len(set(target)) <= most
    # who stands for others stands for itself
    assert all(target[t] == t for t in target)


def test_merged_table_reads_through_the_map():
    table = build("dedup", rate=0.3, block_rows=4)
    before = table.weight.detach().clone()
    frozen = table.freeze()
    table.merge()
    after = table.weight.detach()
    assert frozen.nbytes() == table.nbytes() <= 0.3 * 4 * 1240 * 6
    torch.testing.assert_close(frozen.weight, after)
    blocks = before.reshape(-1, 4, 6)
    for block, row in enumerate(after.reshape(-1, 4, 6)):
        same = [other for other in range(310) if torch.equal(blocks[other], row)]
        assert same, block
    assert len(after.reshape(310, -1).unique(dim=0)) < 310 * 0.31
    assert [stage.name for stage in table.stages()] == ["train", "retrain"]


def test_small_tables_have_small_blocks():
    assert build("dedup", sizes=[500]).block_rows == 1
    assert build("dedup", sizes=[300_000], dim=1).block_rows == 300
    with pytest.raises(ConfigError, match="block_rows"):
        build("dedup", block_rows=0)
    with pytest.raises(ConfigError, match="similarity"):
        build("dedup", similarity=0.0)


# quantised embeddings


def test_rare_values_use_few_codewords():
    table = build("mgqe", rate=0.5)
    assert table.columns
    with torch.no_grad():
        for place, column in enumerate(table.columns):
            # the last codewords are nearest to everything
            table.codebooks[place].copy_(torch.randn_like(table.codebooks[place]) * 10)
            half = table.codebooks[place].shape[1] // 2
            table.codebooks[place][:, half:] *= 1e-3
            rows = torch.arange(table.shape.sizes[column])
            codes = table.codes(place, table.tables[place], rows)
            allowed = getattr(table, f"allowed_{place}")
            words = table.codebooks[place].shape[1]
            assert set(allowed.tolist()) == {words, words // 4}
            assert (codes < allowed[:, None]).all()
            assert (codes[allowed == words] >= half).any()
            start = table.shape.offsets[column]
            counts = table.plan.counts[start : start + len(rows)]
            assert counts[allowed == words].min() > counts[allowed < words].max()


def test_codes_are_nearest_by_normalised_distance():
    table = build("mgqe", rate=0.5)
    norm = table.norms[0]
    with torch.no_grad():
        norm.running_mean.uniform_(-1e-3, 1e-3)
        norm.running_var.uniform_(0.5, 2)
        codes = table.codes(0, table.tables[0][:30], torch.arange(30))
        books, rows = table.codebooks[0].double(), table.tables[0][:30].double()
    parts, words, width = books.shape
    mean = norm.running_mean.reshape(parts, words)
    var = norm.running_var.reshape(parts, words)
    for row in range(30):
        for part in range(parts):
            piece = rows[row, part * width : (part + 1) * width]
            score = -(books[part] - piece).square().sum(-1)
            score = (score - mean[part]) / (var[part] + norm.eps).sqrt()
            best = score[: int(table.allowed_0[row])].argmax()
            assert int(codes[row, part]) == int(best)


def test_codewords_follow_their_vectors_and_gradients_go_straight_through():
    table = build("mgqe", sizes=[900], rate=0.5).train()
    ids = torch.arange(50)[:, None]
    target = torch.randn(50, 1, 6)
    (table(ids) * target).sum().backward()
    torch.testing.assert_close(table.tables[0].grad[:50], target[:, 0])
    assert table.codebooks[0].grad is None
    table.penalty().backward()
    assert table.codebooks[0].grad.any()
    torch.testing.assert_close(table.tables[0].grad[:50], target[:, 0])
    table.eval()(ids)
    assert table.penalty() is None


def test_frozen_codes_are_whole_bits():
    for method in ("mgqe", "dpq"):
        table = build(method, sizes=[3000], rate=0.3, bits=6, parts=3)
        frozen = table.freeze()
        # 18 bits in three bytes, and 64 codewords of 6 numbers
        assert frozen.nbytes() == 3000 * 3 + 64 * 6 * 4
        torch.testing.assert_close(frozen.weight, table.weight)


def test_small_fields_have_few_codewords_or_none():
    table = build("dpq", sizes=[5000, 60, 8], rate=0.3)
    assert table.columns[0] == 0 and 2 in table.kept
    assert all(b <= 8 for b in table.bits)
    with pytest.raises(ConfigError, match="rare_share"):
        build("mgqe", rare_share=0.0)
