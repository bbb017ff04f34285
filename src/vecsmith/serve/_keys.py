"""API keys and the sessions of browsers that showed one.

Keys are compared in constant time, and every key is compared, so that the time an answer takes
tells nothing about any of them. A browser exchanges a key for a cookie that scripts cannot read.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections import OrderedDict
from pathlib import Path

from vecsmith.core import ConfigError

VARIABLE = "VECSMITH_API_KEYS"
COOKIE = "vecsmith_session"
_SHORTEST = 16
_SESSION_S = 12 * 3600
_MOST_SESSIONS = 10_000


def read_keys(file: str | Path | None) -> list[str]:
    """Read the keys of the file and of the environment variable ``VECSMITH_API_KEYS``.

    Args:
        file: One key a line; lines that begin with "#" are left out. The variable holds keys set
            apart by commas or white space.

    Returns:
        The keys; empty if there are none.

    Raises:
        ConfigError: The file cannot be read or holds no key, or a key is too short to be safe.
    """
    keys = os.environ.get(VARIABLE, "").replace(",", " ").split()
    if file is not None:
        try:
            lines = Path(file).read_text("utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"api_key_file {str(file)!r} should hold one key a line but cannot be read: {error}"
            ) from error
        found = [line.strip() for line in lines]
        found = [line for line in found if line and not line.startswith("#")]
        if not found:
            raise ConfigError(f"api_key_file {str(file)!r} holds no key; write one a line")
        keys += found
    for key in keys:
        if len(key) < _SHORTEST or not key.isascii():
            raise ConfigError(
                f"an API key should have at least {_SHORTEST} ASCII characters; got one of "
                f"{len(key)}; make one with: python -c 'import secrets; "
                "print(secrets.token_urlsafe(32))'"
            )
    return keys


class Keys:
    """Which callers may come in.

    Args:
        keys: The keys; none lets everybody in.
    """

    def __init__(self, keys: list[str]) -> None:
        self._digests = [_digest(key) for key in keys]
        self._sessions: OrderedDict[bytes, float] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether a key is needed."""
        return bool(self._digests)

    def knows(self, key: str) -> bool:
        """Tell whether a key is among ours, in a time that does not depend on which or how near."""
        digest = _digest(key)
        return any(hmac.compare_digest(digest, known) for known in self._digests)

    def open_session(self) -> str:
        """Make a session; the oldest goes when there are too many.

        Returns:
            What the cookie holds.
        """
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token)] = time.monotonic() + _SESSION_S
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def close_session(self, token: str) -> None:
        """Forget a session."""
        self._sessions.pop(_digest(token), None)

    def in_session(self, token: str) -> bool:
        """Tell whether a cookie's session is open."""
        # Looked up by digest: the time of the look-up tells nothing about the token itself.
        return self._sessions.get(_digest(token), 0.0) > time.monotonic()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
