"""Batches across requests: bits, fairness, repeats, refusal, callers who go away."""

import asyncio
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.encode import OpenVinoEncoder
from vecsmith.serve.engine import Busy, Lane, VectorCache


class Recorder:
    """Stands where the network would: notes batches, can be slow or broken."""

    vocabulary = 1000

    def __init__(self, seconds=0.0):
        self.stamp = SimpleNamespace(weights="w", dims=2, reshape=(), max_tokens=64)
        self.batches, self.seconds, self.broken = [], seconds, False

    def encode_tokens(self, rows):
        time.sleep(self.seconds)
        if self.broken:
            raise RuntimeError("out of order")
        self.batches.append([tuple(row) for row in rows])
        return np.array([[sum(row), len(row)] for row in rows], np.float32)


def with_lane(work, encoder, **options):
    async def run():
        lane = Lane(encoder, options.pop("cache", VectorCache(0)), **options)
        try:
            return await work(lane)
        finally:
            lane.close()

    return asyncio.run(run())


def ask(lane, rows, **options):
    return lane.encode(rows, [""] * len(rows), "document", **options)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=64), max_size=6), max_size=6)
)
def test_each_caller_gets_its_rows_in_its_order(requests):
    encoder = Recorder()

    async def work(lane):
        return await asyncio.gather(*(ask(lane, rows) for rows in requests))

    for rows, got in zip(requests, with_lane(work, encoder, batch_tokens=128), strict=True):
        want = np.array([[sum(row), len(row)] for row in rows], np.float32).reshape(len(rows), 2)
        np.testing.assert_array_equal(got, want)
    for batch in encoder.batches:
        lengths = {-(-len(row) // 8) * 8 for row in batch}
        assert len(lengths) == 1
        assert len(batch) == 1 or len(batch) * lengths.pop() <= 128


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_vectors_are_the_same_bits_in_any_company(tiny_encoder, precision):
    encoder = OpenVinoEncoder(tiny_encoder, precision=precision, threads=2)
    rng = np.random.default_rng(1)
    rows = [rng.integers(5, 90, rng.integers(1, 48)).tolist() for _ in range(80)]
    alone = np.concatenate([encoder.encode_tokens([row]) for row in rows])
    np.testing.assert_array_equal(encoder.encode_tokens(rows), alone)

    async def work(lane):
        return await asyncio.gather(*(ask(lane, rows[i::7]) for i in range(7)))

    for place, got in enumerate(with_lane(work, encoder, batch_tokens=256)):
        np.testing.assert_array_equal(got, alone[place::7])


def test_requests_that_wait_together_share_batches():
    encoder = Recorder(0.02)

    async def work(lane):
        await asyncio.gather(*(ask(lane, [[n]]) for n in range(40)))

    with_lane(work, encoder)
    assert len(encoder.batches) <= 3


def test_a_batch_that_is_not_full_waits_no_longer_than_it_may():
    encoder = Recorder()

    async def work(lane):
        begin = time.monotonic()
        first = asyncio.create_task(ask(lane, [[1]]))
        await asyncio.sleep(0.05)
        await asyncio.gather(first, ask(lane, [[2]]))
        return time.monotonic() - begin

    assert 0.15 <= with_lane(work, encoder, wait_s=0.15) < 1
    assert encoder.batches == [[(1,), (2,)]]


def test_a_text_is_computed_once_while_it_waits_and_after():
    encoder = Recorder(0.02)

    async def work(lane):
        await asyncio.gather(*(ask(lane, [[7, 7], [8]]) for _ in range(20)))
        await ask(lane, [[8]])
        await lane.encode([[8]], [""], "query")

    with_lane(work, encoder, cache=VectorCache(10_000))
    assert sorted(row for batch in encoder.batches for row in batch) == [(7, 7), (8,), (8,)]


def test_a_short_request_does_not_wait_behind_a_long_one():
    encoder = Recorder(0.01)

    async def work(lane):
        long = asyncio.create_task(ask(lane, [[n] * 60 for n in range(200)]))
        await asyncio.sleep(0.03)
        await ask(lane, [[1, 2, 3]])
        done = long.done()
        await long
        return done

    assert not with_lane(work, encoder, batch_tokens=128)
    place = encoder.batches.index([(1, 2, 3)])
    assert place < 10 < len(encoder.batches)


def test_short_requests_pass_many_long_ones_that_came_before():
    encoder = Recorder(0.002)

    async def work(lane):
        rows = [[[n, k] * 30 for n in range(40)] for k in range(100, 108)]
        long = [asyncio.create_task(ask(lane, some)) for some in rows]
        places = []
        for turn in range(6):
            await asyncio.sleep(0.05)
            before = len(encoder.batches)
            await ask(lane, [[turn]])
            places.append(len(encoder.batches) - before)
        await asyncio.gather(*long)
        return places

    # Of eight long requests one row each may come first, and what is being computed.
    assert max(with_lane(work, encoder, batch_tokens=64)) <= 12


def test_queries_of_searches_come_before_all():
    encoder = Recorder(0.01)

    async def work(lane):
        others = [asyncio.create_task(ask(lane, [[n] * 9])) for n in range(50)]
        await asyncio.sleep(0.03)
        before = len(encoder.batches)
        await ask(lane, [[1, 2]], first=True)
        place = len(encoder.batches) - before
        await asyncio.gather(*others)
        return place

    assert with_lane(work, encoder, batch_tokens=16) <= 2


def test_a_long_request_gets_its_share_among_short_ones():
    encoder = Recorder(0.002)

    async def work(lane):
        async def shorts(number):
            for turn in range(1000):
                await ask(lane, [[number, turn]])

        busy = [asyncio.create_task(shorts(number)) for number in range(4)]
        await ask(lane, [[n] * 8 for n in range(20)])
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)

    with_lane(work, encoder, batch_tokens=8)
    assert len(encoder.batches) < 20 * 8


def test_falling_due_later_holds_nothing_back_while_the_model_is_free():
    encoder = Recorder()

    async def work(lane):
        begin = time.monotonic()
        await ask(lane, [[n] * (1 + n % 64) for n in range(500)])
        return time.monotonic() - begin

    assert with_lane(work, encoder) < 1


def test_too_much_waiting_is_refused_and_forgotten():
    encoder = Recorder(0.05)

    async def work(lane):
        first = asyncio.create_task(ask(lane, [[n] * 64 for n in range(10)]))
        await asyncio.sleep(0)
        with pytest.raises(Busy) as raised:
            await ask(lane, [[1]])
        assert raised.value.retry_s >= 1
        always = await ask(lane, [[1]], first=True)
        await first
        assert lane.waiting_tokens == 0
        return always, await ask(lane, [[1]])

    always, after = with_lane(work, encoder, queue_tokens=500, batch_tokens=64)
    np.testing.assert_array_equal(always, after)


def test_rows_of_callers_who_went_away_are_not_computed():
    encoder = Recorder(0.05)

    async def work(lane):
        kept = asyncio.create_task(ask(lane, [[1], [2]]))
        await asyncio.sleep(0.02)
        gone = [asyncio.create_task(ask(lane, [[n] * 9])) for n in range(3, 9)]
        shared = asyncio.create_task(ask(lane, [[3] * 9]))
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.gather(kept, shared)
        return await ask(lane, [[4] * 9])

    with_lane(work, encoder, batch_tokens=1)
    rows = [row for batch in encoder.batches for row in batch]
    assert (3,) * 9 in rows and (4,) * 9 in rows
    assert not {(n,) * 9 for n in range(5, 9)} & set(rows)


def test_an_error_reaches_those_who_wait_and_the_lane_goes_on():
    encoder = Recorder()

    async def work(lane):
        encoder.broken = True
        with pytest.raises(RuntimeError, match="out of order"):
            await ask(lane, [[1], [2]])
        encoder.broken = False
        return await ask(lane, [[1]])

    assert with_lane(work, encoder).tolist() == [[1, 1]]


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), max_size=200), st.integers(0, 5000))
def test_the_cache_keeps_within_its_bound_and_gives_what_was_put(keys, most):
    cache = VectorCache(most)
    for key in keys:
        name = bytes([key])
        found = cache.get(name)
        if found is None:
            cache.put(name, np.full(32, key, np.float32))
        else:
            assert (found == key).all()
        assert cache.bytes <= most
        assert cache.bytes == 428 * len(cache)
    assert cache.hits + cache.misses == len(keys)


def test_the_least_used_vector_goes_first():
    cache = VectorCache(2 * 308)
    for name in (b"a", b"b"):
        cache.put(name, np.zeros(2, np.float32))
    cache.get(b"a")
    cache.put(b"c", np.zeros(2, np.float32))
    assert cache.get(b"b") is None and cache.get(b"a") is not None
