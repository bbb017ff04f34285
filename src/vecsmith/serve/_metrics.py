"""Figures of a server for Prometheus; each server has a registry of its own."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of requests, and what the engine says of itself when asked.

    Args:
        app: The application; what it serves is asked for when figures are.
    """

    def __init__(self, app: Any) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "vecsmith_requests",
            "Requests answered",
            ("route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "vecsmith_request_seconds",
            "Time from the whole request read to the answer begun",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.running = Gauge(
            "vecsmith_requests_running", "Requests being answered", registry=self._registry
        )
        self._registry.register(_Engine(app))

    def text(self) -> bytes:
        """Return all figures in Prometheus's text format."""
        return generate_latest(self._registry)


class _Engine(Collector):
    def __init__(self, app: Any) -> None:
        self._app = app

    def describe(self) -> Iterator[Any]:
        """Name no figures in advance: there are none before the server runs."""
        return iter(())

    def collect(self) -> Iterator[Any]:
        live = self._app.state.live
        lanes = live.lanes()
        for name, about, value in (
            ("queue_tokens", "Padded tokens waiting to be encoded", "waiting_tokens"),
            ("encode_tokens_per_second", "Padded tokens encoded in a second", "speed"),
        ):
            yield _gauges(name, about, {m: getattr(lane, value) for m, lane in lanes.items()})
        for name, about in (
            ("batches", "Batches encoded"),
            ("rows", "Texts encoded"),
            ("padded_tokens", "Tokens encoded, with padding"),
        ):
            family = CounterMetricFamily(f"vecsmith_{name}", about, labels=["model"])
            for model, lane in lanes.items():
                family.add_metric([model], getattr(lane, name))
            yield family
        cache = live.cache
        yield CounterMetricFamily("vecsmith_cache_hits", "Texts found in the cache", cache.hits)
        yield CounterMetricFamily("vecsmith_cache_misses", "Texts not found", cache.misses)
        yield GaugeMetricFamily("vecsmith_cache_bytes", "Memory of the cache", cache.bytes)
        yield GaugeMetricFamily("vecsmith_searches", "Searches at work", live.searching)
        yield CounterMetricFamily("vecsmith_reloads", "Indexes taken over", live.reloads)
        yield CounterMetricFamily("vecsmith_failed_reloads", "Indexes refused", live.failed_reloads)
        yield GaugeMetricFamily("vecsmith_passages", "Passages served", live.current.passages)


def _gauges(name: str, about: str, values: dict[str, float]) -> Any:
    family = GaugeMetricFamily(f"vecsmith_{name}", about, labels=["model"])
    for model, value in values.items():
        family.add_metric([model], value)
    return family
