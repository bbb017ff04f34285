"""One model at work for many requests: batches by tokens, across requests, in a thread of its own.

A batch holds rows of one padded length, so that each vector is the same, bit for bit, as if its
text had been encoded alone (`vecsmith.encode`). Which length comes next is decided by the row that
falls due first, by fair queueing in virtual time (Demers, Keshav, Shenker 1989): the clock goes on
by the tokens computed, divided among the requests that wait, and a request's rows fall due as its
own tokens add up. So a short request does not wait behind the thousands of rows of long ones, and
those get their share all the same. A text that is asked for again while it waits, or whose vector
is still in the cache, is not computed again.

All methods but the worker's run in the event loop's thread; `_condition` guards what both touch.
"""

import asyncio
import contextlib
import heapq
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.encode import padded_length

from ._cache import VectorCache, content_key

# Tokens a second until the first batches have told.
_SPEED = 5_000.0


def space_of(encoder: Any) -> str:
    """Name all that a vector of an encoder depends on, beside the text."""
    stamp, precision = encoder.stamp, getattr(encoder, "precision", "torch")
    return f"{stamp.weights}/{stamp.dims}/{precision}/{'+'.join(stamp.reshape)}"


class Busy(Exception):  # noqa: N818 - a state, answered with 429
    """Too much is waiting.

    Attributes:
        retry_s: Seconds after which trying again makes sense.
    """

    def __init__(self, retry_s: float) -> None:
        super().__init__(f"too much is waiting; try again in {retry_s:.0f} s")
        self.retry_s = retry_s


class _Share:
    """A request's part of the queue: how many of its rows wait."""

    __slots__ = ("rows",)

    def __init__(self, rows: int) -> None:
        self.rows = rows


class _Row:
    """A text on its way through the model."""

    __slots__ = ("arrived", "future", "ids", "key", "kind", "length", "share", "text", "waiters")

    share: _Share

    def __init__(
        self, key: bytes, kind: str, ids: Sequence[int], text: str, length: int, future: Any
    ) -> None:
        self.key, self.kind, self.ids, self.text = key, kind, ids, text
        self.length, self.future, self.waiters = length, future, 0
        self.arrived = time.monotonic()


class Lane:
    """An encoder with its queue.

    Args:
        encoder: An `Encoder`.
        cache: Cache of vectors, shared by all lanes.
        batch_tokens: Padded tokens of a batch.
        queue_tokens: Tokens waiting at which `encode` refuses more.
        wait_s: How long a batch that is not full may wait for others.
    """

    def __init__(
        self,
        encoder: Any,
        cache: VectorCache,
        *,
        batch_tokens: int = 2048,
        queue_tokens: int = 32_768,
        wait_s: float = 0.0,
    ) -> None:
        self.encoder, self._cache = encoder, cache
        self._batch_tokens, self._queue_tokens, self._wait_s = batch_tokens, queue_tokens, wait_s
        self.space = space_of(encoder)
        self.takes_tokens = hasattr(encoder, "encode_tokens")
        self._condition = threading.Condition()
        self._waiting: dict[tuple[str, int], list[tuple[float, int, _Row]]] = {}
        self._numbers = count()
        self._underway: dict[bytes, _Row] = {}
        self._open = True
        self._clock = 0.0
        self._shares = 0
        self.waiting_tokens = self.batches = self.rows = self.padded_tokens = 0
        self.speed = _SPEED
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="vecsmith-encode", daemon=True)
        self._thread.start()

    @property
    def retry_s(self) -> float:
        """Seconds in which what waits now will be done."""
        return max(1.0, self.waiting_tokens / self.speed)

    async def encode(
        self,
        rows: Sequence[Sequence[int]],
        texts: Sequence[str],
        kind: str,
        *,
        first: bool = False,
    ) -> NDArray[np.float32]:
        """Encode texts.

        Args:
            rows: Their tokens.
            texts: The texts; read only by encoders that do not take tokens.
            kind: "query" or "document".
            first: Ahead of all that waits, and never refused: queries of searches, whose number
                is bounded by what searching itself can take.

        Returns:
            Unit vectors, shape (len(rows), dims).

        Raises:
            Busy: Too much is waiting already.
        """
        if not first and self.waiting_tokens >= self._queue_tokens:
            raise Busy(self.retry_s)
        out = np.empty((len(rows), self.encoder.stamp.dims), np.float32)
        waits: list[tuple[int, _Row]] = []
        fresh: list[_Row] = []
        for place, (ids, text) in enumerate(zip(rows, texts, strict=True)):
            key = content_key(self.space, kind, ids)
            found = self._cache.get(key)
            if found is not None:
                out[place] = found
                continue
            row = self._underway.get(key)
            if row is None:
                length = padded_length(len(ids), self.encoder.stamp.max_tokens)
                row = _Row(key, kind, ids, text, length, self._loop.create_future())
                self._underway[key] = row
                fresh.append(row)
            row.waiters += 1
            waits.append((place, row))
        self._enqueue(fresh, first=first)
        await self._gather(waits, out)
        return out

    async def _gather(self, waits: list[tuple[int, _Row]], out: NDArray[np.float32]) -> None:
        done = 0
        try:
            for place, row in waits:
                # A shield, because another request may wait for the same row.
                out[place] = await asyncio.shield(row.future)
                done += 1
        finally:
            for _, row in waits:
                row.waiters -= 1

    def _enqueue(self, rows: list[_Row], *, first: bool = False) -> None:
        if not rows:
            return
        share = _Share(len(rows))
        with self._condition:
            self._shares += 1
            due = -1.0 if first else self._clock
            for row in rows:
                row.share = share
                lane = self._waiting.setdefault((row.kind, row.length), [])
                heapq.heappush(lane, (due, next(self._numbers), row))
                due += 0.0 if first else row.length
                self.waiting_tokens += row.length
            self._condition.notify()

    # The worker ----------------------------------------------------------------------------

    def _work(self) -> None:
        while batch := self._next_batch():
            begin = time.monotonic()
            error: Exception | None = None
            vectors: Any = None
            try:
                vectors = self._compute(batch)
            except Exception as raised:  # told to whoever waits
                error = raised
            tokens = len(batch) * batch[0].length
            rate = tokens / max(time.monotonic() - begin, 1e-6)
            self.speed += 0.1 * (rate - self.speed)
            self._in_loop(self._deliver, batch, vectors, error)

    def _in_loop(self, work: Callable[..., None], *values: Any) -> None:
        # The loop is gone only when the process ends and nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(work, *values)

    def _compute(self, batch: list[_Row]) -> NDArray[np.float32]:
        if self.takes_tokens:
            found = self.encoder.encode_tokens([row.ids for row in batch])
        else:
            found = self.encoder.encode([row.text for row in batch], kind=batch[0].kind)
        return np.asarray(found, np.float32)

    def _next_batch(self) -> list[_Row]:
        """Wait for rows and take those that are computed next; empty when the lane closes."""
        with self._condition:
            while self._open:
                if not self._waiting:
                    self._condition.wait()
                    continue
                lane = min(self._waiting, key=lambda name: self._waiting[name][0][:2])
                most = max(1, self._batch_tokens // lane[1])
                late = self._waiting[lane][0][2].arrived + self._wait_s - time.monotonic()
                if len(self._waiting[lane]) < most and late > 0:
                    self._condition.wait(late)
                    continue
                if batch := self._take(lane, most):
                    return batch
        return []

    def _take(self, lane: tuple[str, int], most: int) -> list[_Row]:
        heap = self._waiting[lane]
        sharers = max(1, self._shares)
        batch: list[_Row] = []
        dropped: list[_Row] = []
        while heap and len(batch) < most:
            row = heapq.heappop(heap)[2]
            self.waiting_tokens -= row.length
            row.share.rows -= 1
            self._shares -= not row.share.rows
            (batch if row.waiters else dropped).append(row)
        if not heap:
            del self._waiting[lane]
        if dropped:
            self._in_loop(self._give_up, dropped)
        self._clock += len(batch) * lane[1] / sharers
        self.batches += bool(batch)
        self.rows += len(batch)
        self.padded_tokens += len(batch) * lane[1]
        return batch

    # Back in the loop ----------------------------------------------------------------------

    def _deliver(self, batch: list[_Row], vectors: Any, error: Exception | None) -> None:
        for place, row in enumerate(batch):
            self._underway.pop(row.key, None)
            if row.future.done():
                continue
            if error is not None:
                row.future.set_exception(error)
                # If all who waited went away, nobody else will look at the exception.
                row.future.exception()
            else:
                self._cache.put(row.key, vectors[place])
                row.future.set_result(vectors[place])

    def _give_up(self, rows: list[_Row]) -> None:
        again = [row for row in rows if row.waiters]
        for row in rows:
            if not row.waiters:
                self._underway.pop(row.key, None)
                row.future.cancel()
        # Somebody has asked for it between the worker's look and now.
        self._enqueue(again)

    def close(self) -> None:
        """Let the worker end after the batch that it computes."""
        with self._condition:
            self._open = False
            self._condition.notify()

    def join(self) -> None:
        """Wait for the worker to end; a process must not end while it computes."""
        self._thread.join()
