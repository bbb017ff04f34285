"""What a connection may do before there is a request: how many, how long, how much.

uvicorn bounds neither the connections nor the time or the size of a request's head, and the gate
sees a request only when its head is complete.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ._errors import error_body

MOST_HEAD_BYTES = 65_536
HEAD_S = 15.0
_BODY = error_body(431, f"the head of a request may have {MOST_HEAD_BYTES} bytes")
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%s"
) % (len(_BODY), _BODY)


def guarded_protocol(most_connections: int, head_s: float = HEAD_S) -> type["GuardedProtocol"]:
    """Make the protocol of a server's connections.

    Args:
        most_connections: Connections at once; more are closed as they come.
        head_s: Seconds in which the head of a request must arrive.

    Returns:
        A class for uvicorn's ``http``.
    """
    limits = {"most_connections": most_connections, "head_s": head_s}
    return type("LimitedProtocol", (GuardedProtocol,), limits)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits; see `guarded_protocol`."""

    most_connections: int
    head_s: float
    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            transport.close()
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and refuse a head that does not end."""
        super().data_received(data)
        # Read after the parser: it says whether the head is complete now.
        self._head_bytes = self._head_bytes + len(data) if self._in_head else 0
        if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        super().on_message_begin()
        self._in_head = True
        if self._timer is None:
            self._start_timer()

    def on_headers_complete(self) -> None:
        """Note that a head has ended."""
        self._in_head, self._head_bytes = False, 0
        self._stop_timer()
        super().on_headers_complete()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.head_s, self._late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        self.transport.close()
