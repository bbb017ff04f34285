"""The index in service: requests borrow a generation, a new one takes over between requests."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from vecsmith.core import ConfigError, VecsmithError, did_you_mean

from ._cache import VectorCache
from ._generation import Generation, identity
from ._lane import Busy, Lane, space_of

logger = logging.getLogger(__name__)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0


class Live:
    """What a server answers from.

    Args:
        generation: The index at the start.
        readers: Searches at the same time.
        queue_searches: Searches waiting or running at which `searcher` refuses more.
        cache_bytes: Memory of the cache of vectors.
        verify: Compute the checksums of an index that takes over.
        lane_options: Options of `Lane`.
    """

    def __init__(
        self,
        generation: Generation,
        *,
        readers: int = 2,
        queue_searches: int = 64,
        cache_bytes: int = 64_000_000,
        verify: bool = True,
        lane_options: dict[str, Any] | None = None,
    ) -> None:
        self.current = generation
        self.cache = VectorCache(cache_bytes)
        self.reloads = self.failed_reloads = self.searching = 0
        self._readers, self._verify = readers, verify
        self._queue_searches = queue_searches
        self._lane_options = lane_options or {}
        self._pool = ThreadPoolExecutor(readers, "vecsmith-search")
        self._aside = ThreadPoolExecutor(1, "vecsmith-aside")
        self._lanes: dict[str, Lane] = {}
        self._by_generation: dict[int, dict[str, Lane]] = {}
        self._by_generation[id(generation)] = self._lanes_of(generation)
        self._refused: Any = None
        self._again, self._pause = 0.0, _FIRST_PAUSE_S

    def _lanes_of(self, generation: Generation) -> dict[str, Lane]:
        """Return a lane for each model; one that works for the same model already goes on."""
        lanes = {}
        for name, encoder in generation.encoders.items():
            space = space_of(encoder)
            if space not in self._lanes:
                self._lanes[space] = Lane(encoder, self.cache, **self._lane_options)
            lanes[name] = self._lanes[space]
        return lanes

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[Generation]:
        """Borrow the index as it is now, for the whole of one request."""
        generation = self.current
        generation.users += 1
        try:
            yield generation
        finally:
            generation.users -= 1
            self._close_if_done(generation)

    def _close_if_done(self, generation: Generation) -> None:
        if generation.retired and not generation.users:
            used = self._by_generation.pop(id(generation))
            kept = {id(lane) for lanes in self._by_generation.values() for lane in lanes.values()}
            for lane in used.values():
                if id(lane) not in kept:
                    self._lanes.pop(lane.space, None)
                    lane.close()
            self._aside.submit(generation.close)

    def lane(self, generation: Generation, model: str) -> Lane:
        """Return the lane of a model of a generation.

        Raises:
            ConfigError: The index holds no such model.
        """
        lanes = self._by_generation[id(generation)]
        if model not in lanes:
            raise ConfigError(f"this index holds no model {model!r}; {did_you_mean(model, lanes)}")
        return lanes[model]

    def lanes(self) -> dict[str, Lane]:
        """Return the lanes of the index in service, by model."""
        return self._by_generation[id(self.current)]

    @contextlib.contextmanager
    def searcher(self) -> Iterator[Callable[..., Awaitable[Any]]]:
        """Take a place among the searches; gives a function that runs work in their pool.

        Raises:
            Busy: All places are taken.
        """
        if self.searching >= self._queue_searches:
            raise Busy(1.0)
        self.searching += 1
        try:
            yield self._run
        finally:
            self.searching -= 1

    async def _run(self, work: Callable[..., Any], *values: Any, **named: Any) -> Any:
        call = self._pool.submit(work, *values, **named)
        try:
            return await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            if call.running():
                # The thread goes on: its place is taken until it is done.
                self.searching += 1
                loop = asyncio.get_running_loop()
                call.add_done_callback(lambda _: loop.call_soon_threadsafe(self._left))
            raise

    def _left(self) -> None:
        self.searching -= 1

    async def aside(self, work: Callable[..., Any], *values: Any) -> Any:
        """Run something long beside the searches, one at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._aside, work, *values)

    # Taking over ---------------------------------------------------------------------------

    async def watch(self, every_s: float) -> None:
        """Look again and again whether another index lies in the folder, and let it take over."""
        while True:
            await asyncio.sleep(every_s)
            try:
                now = identity(self.current.given)
            except OSError:
                # Between the two renames of a swap, or the folder is gone: the open one serves on.
                continue
            refused = now == self._refused and time.monotonic() < self._again
            if now != self.current.identity and not refused:
                await self._take_over(self.current.given, now)

    async def _take_over(self, folder: Path, seen: Any) -> None:
        try:
            fresh = await self.aside(self._prepare, folder)
        except VecsmithError as error:
            self._refuse(seen)
            logger.error("the new index is not taken over, the old one serves on: %s", error)
            return
        except Exception:
            self._refuse(seen)
            logger.exception("the new index is not taken over, the old one serves on")
            return
        old, self._refused, self._pause = self.current, None, _FIRST_PAUSE_S
        self._by_generation[id(fresh)] = self._lanes_of(fresh)
        self.current, old.retired = fresh, True
        self.reloads += 1
        logger.info("index %s took over from %s", fresh.key, old.key)
        self._close_if_done(old)

    def _refuse(self, seen: Any) -> None:
        """Leave an index alone for a while; it may be mended, or be copied still."""
        self.failed_reloads += 1
        if seen != self._refused:
            self._pause = _FIRST_PAUSE_S
        self._refused, self._again = seen, time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)

    def _prepare(self, folder: Path) -> Generation:
        fresh = Generation(folder, readers=self._readers, verify=self._verify)
        fresh.warm_up()
        return fresh

    async def close(self) -> None:
        """Close everything; no request may be running."""
        self.end_lanes()
        self._pool.shutdown(wait=True)
        self._aside.shutdown(wait=True, cancel_futures=True)
        self.current.close()

    def end_lanes(self) -> None:
        """Let the models' threads end; each finishes the batch that it computes."""
        for lane in self._lanes.values():
            lane.close()
        for lane in self._lanes.values():
            lane.join()
