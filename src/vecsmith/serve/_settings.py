"""Settings of a server, each also a flag of `vecsmith serve` and a variable ``VECSMITH_…``."""

import ipaddress
from dataclasses import dataclass, fields
from pathlib import Path

from vecsmith.core import ConfigError

_POSITIVE = (
    "max_body_mb",
    "max_items",
    "max_request_tokens",
    "max_connections",
    "queue_tokens",
    "queue_searches",
    "batch_tokens",
    "timeout_s",
    "grace_s",
    "watch_s",
)


@dataclass(frozen=True)
class ServeSettings:
    """What `serve` needs to know.

    Attributes:
        folder: The index.
        host: Address to bind. Any but this machine's own needs keys, or `allow_anonymous`.
        port: Port; 0 takes a free one.
        api_key_file: File with one key a line; lines that begin with "#" are left out.
        allow_anonymous: Serve other machines without a key.
        allowed_hosts: Host names by which requests may call the server, beside its own.
        cors_origins: Web origins whose pages may call the API; none by default.
        max_body_mb: Largest body of a request, in MB.
        max_items: Most texts of a request.
        max_request_tokens: Most tokens of a request.
        max_connections: Requests at work or on their way in; more get 429.
        queue_tokens: Tokens waiting to be encoded at which new requests get 429.
        queue_searches: Searches waiting or running at which new ones get 429.
        batch_tokens: Padded tokens computed at once.
        batch_wait_ms: How long a batch that is not full may wait for others.
        cache_mb: Memory for vectors of texts seen before; 0 keeps none.
        timeout_s: Seconds after which a request is given up.
        grace_s: Seconds that running requests get when the server stops.
        watch_s: Seconds between looks at whether the index was replaced.
        no_verify: Check only the sizes of the index's files, not their checksums.
        log_json: Write logs as JSON lines.
        log_queries: Write what was searched into the log.
    """

    folder: str | Path
    host: str = "127.0.0.1"
    port: int = 8080
    api_key_file: str | Path | None = None
    allow_anonymous: bool = False
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_body_mb: float = 8.0
    max_items: int = 2048
    max_request_tokens: int = 300_000
    max_connections: int = 512
    queue_tokens: int = 32_768
    queue_searches: int = 64
    batch_tokens: int = 2048
    batch_wait_ms: float = 0.0
    cache_mb: float = 64.0
    timeout_s: float = 120.0
    grace_s: float = 30.0
    watch_s: float = 1.0
    no_verify: bool = False
    log_json: bool = False
    log_queries: bool = False

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0; got {getattr(self, name)}")
        for name in ("batch_wait_ms", "cache_mb"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be at least 0; got {getattr(self, name)}")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must lie between 0 and 65535; got {self.port}")
        for name in self.allowed_hosts:
            if ":" in name or "/" in name:
                raise ConfigError(f"allowed_hosts takes names without a port; got {name!r}")
        if "*" in self.allowed_hosts or "*" in self.cors_origins:
            raise ConfigError(
                "allowed_hosts and cors_origins take names, not '*', which would open the server "
                "to every page that a browser shows; list the names"
            )

    @property
    def local(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def names(cls) -> list[str]:
        """List the settings' names."""
        return [item.name for item in fields(cls)]
