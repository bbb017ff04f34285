"""What every request passes before it reaches a route, and every answer on its way out.

In this order: request id, name of the host, number of requests, key, whole body (within limits of
size and time), then the route under a time limit; then security headers, log line and figures.
A body is read whole here, so a slow sender holds nothing but its own connection; the memory of all
bodies on their way in is bounded together.
"""

import asyncio
import ipaddress
import logging
import re
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import cookie_parser

from ._errors import ApiError, busy
from ._keys import COOKIE, Keys
from ._metrics import Metrics
from ._settings import ServeSettings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = logging.getLogger("vecsmith.serve.access")
# What may be asked for without a key: nothing of the collection is in it.
_FREE = ("/", "/about", "/health", "/ready", "/docs", "/openapi.json", "/favicon.ico")
_FREE_BELOW = ("/assets/", "/docs/")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS_WITH_BODY = ("POST", "PUT", "PATCH")
_BODIES_AT_ONCE = 16
_SMALL_BODY = 64_000
_SLOW_BODY_S = 30.0
# A route that takes longer is watched: its caller may go away meanwhile.
_PATIENCE_S = 0.25
_STOPPED = ApiError(503, "the server is stopping; try another one", code="stopping")
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "content-security-policy": PAGE_POLICY,
    "cache-control": "no-store",
}


class Gate:
    """The outermost layer of the server, an ASGI application around the routes.

    Args:
        app: The routes.
        settings: Limits.
        keys: Who may come in.
        metrics: Where requests are counted.
    """

    def __init__(self, app: Any, settings: ServeSettings, keys: Keys, metrics: Metrics) -> None:
        self._app, self._settings, self._keys, self._metrics = app, settings, keys, metrics
        self._most_body = int(settings.max_body_mb * 1_000_000)
        self._most_bodies = _BODIES_AT_ONCE * self._most_body
        self._hosts = {name.lower() for name in settings.allowed_hosts}
        self._hosts |= {"localhost", settings.host.lower(), socket.gethostname().lower()}
        self._connections = self._bodies = 0
        self.running = 0
        self.stopping = False
        # Outside of the gate, so that a page that may call can read what the gate refuses.
        self._outer: Any = self._guarded
        if settings.cors_origins:
            self._outer = CORSMiddleware(
                self._guarded,
                allow_origins=list(settings.cors_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["X-Request-ID", "X-Vecsmith-Index", "Retry-After"],
            )

    def end(self) -> None:
        """Let the models' threads end; call it when the event loop has."""
        live = getattr(self._app.state, "live", None)
        if live is not None:
            live.end_lanes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it here."""
        await self._outer(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send, self._settings, self._metrics)
        self._connections += 1
        held = _Held()
        try:
            await self._enter(scope, receive, answer, held)
        except ApiError as error:
            await answer.refuse(error)
        except asyncio.CancelledError:
            # The server has waited long enough for what ran when it was told to stop.
            await answer.refuse(_STOPPED)
            if not self.stopping:
                raise
        finally:
            self._connections -= 1
            self._bodies -= held.bytes
            answer.done()

    async def _enter(
        self, scope: Scope, receive: Receive, answer: "_Answer", held: "_Held"
    ) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        self._check_host(headers)
        if self._connections > self._settings.max_connections:
            raise busy(1.0)
        if self.stopping and scope["path"] not in ("/health", "/ready", "/metrics"):
            raise _STOPPED
        self._check_key(scope, headers)
        body = b""
        if scope["method"] in _METHODS_WITH_BODY:
            body = await self._body(scope, headers, receive, held)
        answer.begin()
        self.running += 1
        try:
            await self._answered(scope, _replay(body, receive), receive, answer)
        finally:
            self.running -= 1

    async def _answered(
        self, scope: Scope, replay: Receive, receive: Receive, answer: "_Answer"
    ) -> None:
        """Run the route until it is done, its time is up, or its caller has gone away."""
        limit = self._settings.timeout_s
        route = asyncio.ensure_future(self._app(scope, replay, answer.send))
        waits = {route}
        try:
            done, _ = await asyncio.wait(waits, timeout=min(_PATIENCE_S, limit))
            if not done and limit > _PATIENCE_S:
                waits.add(asyncio.ensure_future(_gone(receive)))
                done, _ = await asyncio.wait(
                    waits, timeout=limit - _PATIENCE_S, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            for task in waits:
                if not task.done():
                    task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if route in done:
            route.result()
        elif not done and not answer.begun:
            raise ApiError(
                504, f"the answer took longer than {limit:g} s; ask for less", code="timeout"
            )

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        """Refuse names that are not ours.

        A foreign page can make a name of its own point to this server and read the answers as if
        they were its own, unless a key is needed. It cannot do that with an address in numbers.
        """
        if self._keys:
            return
        named = headers.get(b"host", b"").decode("latin-1")
        try:
            name = urlsplit(f"//{named}").hostname or ""
        except ValueError:
            name = ""
        if name.lower() not in self._hosts and not _is_address(name):
            raise ApiError(
                421,
                "the request names a host that this server does not go by; use its address, or "
                "start it with --allowed-host NAME",
                code="host",
            )

    def _check_key(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        path = scope["path"]
        free = path in _FREE or path.startswith(_FREE_BELOW) or scope["method"] == "OPTIONS"
        if not self._keys or free:
            return
        kind, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if kind.lower() == "bearer" and self._keys.knows(key.strip()):
            return
        # Browsers send the cookie with requests of this origin only (SameSite=Strict).
        cookies = cookie_parser(headers.get(b"cookie", b"").decode("latin-1"))
        token = cookies.get(COOKIE, "")
        if token and self._keys.in_session(token):
            return
        raise ApiError(
            401,
            "an API key is needed: send the header 'Authorization: Bearer KEY'",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _body(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, held: "_Held"
    ) -> bytes:
        kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._most_body:
            raise self._too_large()
        try:
            body = await asyncio.wait_for(self._read(receive, held), _SLOW_BODY_S)
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise ApiError(
                408, f"the body did not arrive within {_SLOW_BODY_S:.0f} s", code="timeout"
            ) from error
        if body and kind != "application/json" and not kind.endswith("+json"):
            raise ApiError(
                415,
                f"the body should be JSON with 'Content-Type: application/json'; got {kind[:80]!r}",
            )
        return body

    async def _read(self, receive: Receive, held: "_Held") -> bytes:
        parts = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ApiError(400, "the caller went away")
            part = message.get("body", b"")
            parts.append(part)
            held.bytes += len(part)
            self._bodies += len(part)
            if held.bytes > self._most_body:
                raise self._too_large()
            # Small bodies always pass: slow senders of large ones must not shut them out.
            if self._bodies > self._most_bodies and held.bytes > _SMALL_BODY:
                raise busy(1.0)
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> ApiError:
        return ApiError(
            413,
            f"the body should have at most {self._settings.max_body_mb:g} MB; send it in parts",
            code="too_large",
        )


class _Held:
    """Bytes that one request's body holds."""

    bytes = 0


class _Answer:
    """The way out: headers, log line, figures."""

    def __init__(self, scope: Scope, send: Send, settings: ServeSettings, metrics: Metrics) -> None:
        self._scope, self._send = scope, send
        self._settings, self._metrics = settings, metrics
        self.begun = self._running = False
        self._status, self._start = 0, time.perf_counter()
        given = next((v for n, v in scope["headers"] if n.lower() == b"x-request-id"), b"")
        name = given.decode("latin-1")
        self.id = name if _ID.fullmatch(name) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = self.id

    def begin(self) -> None:
        """Note that the request was read and is being answered."""
        self._start, self._running = time.perf_counter(), True
        self._metrics.running.inc()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Pass a message on, with our headers."""
        if message["type"] == "http.response.start":
            self.begun, self._status = True, message["status"]
            if self._running:
                route = self._scope.get("route")
                name = getattr(route, "path", "other")
                self._metrics.seconds.labels(name).observe(time.perf_counter() - self._start)
            headers = list(message.get("headers", []))
            given = {name.lower() for name, _ in headers}
            for name, value in {**_HEADERS, "x-request-id": self.id}.items():
                if name.encode() not in given:
                    headers.append((name.encode(), value.encode()))
            message = {**message, "headers": headers}
        await self._send(message)

    async def refuse(self, error: ApiError) -> None:
        """Answer with an error, and close the connection where its body was not read."""
        if self.begun:
            return
        body = error.body()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **{name.lower(): value for name, value in error.headers.items()},
        }
        if not self._running:
            headers["connection"] = "close"
        coded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": error.status, "headers": coded})
        await self.send({"type": "http.response.body", "body": body})

    def done(self) -> None:
        """Count and log the request."""
        if self._running:
            self._metrics.running.dec()
        route = getattr(self._scope.get("route"), "path", "other")
        # 499, as nginx has it: the caller went away before there was an answer.
        self._status = self._status or 499
        self._metrics.requests.labels(route, str(self._status)).inc()
        milliseconds = 1e3 * (time.perf_counter() - self._start)
        state = self._scope.get("state", {})
        fields = {
            "request_id": self.id,
            "method": self._scope["method"],
            "path": self._scope["path"],
            "status": self._status,
            "ms": round(milliseconds, 1),
        }
        if self._settings.log_queries and "query" in state:
            fields["query"] = state["query"]
        log.info("request", extra={"fields": fields})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _gone(receive: Receive) -> None:
    """Wait until the caller has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read already, then what comes after."""
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
