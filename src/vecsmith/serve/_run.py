"""Run the server until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

from vecsmith.core import ConfigError, require

from ._keys import VARIABLE, read_keys
from ._settings import ServeSettings

logger = logging.getLogger("vecsmith.serve")
_PACKAGES = ("fastapi", "fastapi_offline", "httptools", "orjson", "prometheus_client", "uvicorn")


def serve(settings: ServeSettings, *, announce: Any = None) -> None:
    """Serve an index until SIGTERM or Ctrl-C; what runs then is finished, what comes is refused.

    Args:
        settings: What to serve, and how.
        announce: Called with the server's address when it is ready.

    Raises:
        ConfigError: Another address than this machine's own without keys; a port that is taken.
        MissingExtra: The packages of the extra "serve" are not installed.
        StoreError: No index, or a damaged one; the text names the file and what to do.
    """
    for package in _PACKAGES:
        require(package, "serve")
    _check_address(settings)
    # Bound before the index is opened, so that a port that is taken is told at once.
    bound = _bind(settings)
    try:
        _run(settings, bound, announce)
    finally:
        bound.close()


def _run(settings: ServeSettings, bound: socket.socket, announce: Any) -> None:
    import uvicorn

    from ._app import create_app
    from ._logs import set_up_logs
    from ._protocol import guarded_protocol

    gate = create_app(settings)
    set_up_logs(as_json=settings.log_json)
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}"

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                logger.info("serving %s at %s", settings.folder, address)
                if announce is not None:
                    announce(address)

        async def shutdown(self, sockets: Any = None) -> None:
            # While requests run, the door stays open to tell those who come to go elsewhere.
            gate.stopping = True
            logger.info("stopping: finishing what runs, refusing what comes")
            until = time.monotonic() + settings.grace_s
            while gate.running and not self.force_exit and time.monotonic() < until:
                await asyncio.sleep(0.05)
            await super().shutdown(sockets)

    config = uvicorn.Config(
        gate,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        date_header=False,
        http=guarded_protocol(4 * settings.max_connections),
        # What is left is cut off: its time is up, or it is a connection that asks for nothing.
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,
        proxy_headers=False,
        ws="none",
    )
    _raise_descriptor_limit()
    with _signals_end_here():
        try:
            Server(config).run(sockets=[bound])
        finally:
            gate.end()


def _raise_descriptor_limit() -> None:
    """Let the process hold as many connections as the system allows it."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def _signals_end_here() -> Iterator[None]:
    """Let a stop that was asked for and done count as success.

    uvicorn raises the signals that it took once more when it has stopped.
    """
    asked = (signal.SIGTERM, signal.SIGINT)
    before = {name: signal.signal(name, lambda *_: None) for name in asked}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _check_address(settings: ServeSettings) -> None:
    if settings.local or settings.allow_anonymous or read_keys(settings.api_key_file):
        return
    raise ConfigError(
        f"host {settings.host!r} can be reached from other machines, so callers need a key: give "
        f"--api-key-file FILE or set {VARIABLE}, or say --allow-anonymous to let everybody in"
    )


def _bind(settings: ServeSettings) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(place)
            bound.listen(2048)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"cannot bind {settings.host} port {settings.port}: {error.strerror or error}; "
            "choose another --port (0 takes a free one) or --host"
        ) from error
    bound.set_inheritable(True)
    return bound
