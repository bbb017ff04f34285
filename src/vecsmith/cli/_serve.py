"""The command serve."""

import argparse
import sys
from typing import Any

from ._index import not_negative, positive, positive_number

_ABOUT = {
    "host": "address to bind; any but this machine's own needs keys or --allow-anonymous",
    "port": "port; 0 takes a free one",
    "api_key_file": "file with one API key a line; VECSMITH_API_KEYS may hold some as well",
    "allow_anonymous": "serve other machines without a key",
    "allowed_host": "host name to answer to; may be repeated",
    "cors_origin": "web origin whose pages may call the API; may be repeated",
    "max_body_mb": "largest body of a request, in MB",
    "max_items": "most texts of a request",
    "max_request_tokens": "most tokens of a request",
    "max_connections": "most requests at work or on their way in; more get 429",
    "queue_tokens": "tokens waiting at which new requests get 429",
    "queue_searches": "searches waiting at which new ones get 429",
    "batch_tokens": "padded tokens computed at once",
    "batch_wait_ms": "how long a batch that is not full may wait for others",
    "cache_mb": "memory for vectors of texts seen before; 0 keeps none",
    "timeout_s": "seconds after which a request is given up",
    "grace_s": "seconds that running requests get when the server stops",
    "watch_s": "seconds between looks at whether the index was replaced",
    "no_verify": "check only the sizes of the index's files, not their checksums",
    "log_json": "write logs as JSON lines",
    "log_queries": "write what was searched into the log",
}
_LISTS = {"allowed_host": "allowed_hosts", "cors_origin": "cors_origins"}


def add_commands(verbs: Any, shared: argparse.ArgumentParser) -> None:
    """Add the command of this file.

    Args:
        verbs: Sub-parsers.
        shared: Flags of every command.
    """
    form = argparse.ArgumentDefaultsHelpFormatter
    parser = verbs.add_parser(
        "serve",
        parents=[shared],
        help="serve an index: HTTP API and web page",
        formatter_class=form,
    )
    parser.add_argument("dir", metavar="DIR", help="the index")
    for name, default, kind in _flags():
        flag = "--" + name.replace("_", "-")
        if kind is bool:
            parser.add_argument(flag, action="store_true", help=_ABOUT[name])
        elif name in _LISTS:
            parser.add_argument(
                flag, action="append", default=[], metavar="NAME", help=_ABOUT[name]
            )
        else:
            parser.add_argument(flag, type=kind, default=default, help=_ABOUT[name])
    parser.set_defaults(run=_serve)


def _flags() -> list[tuple[str, Any, Any]]:
    """List name, default and type of each flag; the settings themselves say what they are."""
    from dataclasses import fields

    from vecsmith.serve import ServeSettings

    plural = {many: one for one, many in _LISTS.items()}
    found = []
    for item in fields(ServeSettings):
        if item.name == "folder":
            continue
        kind: Any = str
        if isinstance(item.default, bool):
            kind = bool
        elif isinstance(item.default, int):
            kind = not_negative if item.name == "port" else positive
        elif isinstance(item.default, float):
            kind = positive_number
        found.append((plural.get(item.name, item.name), item.default, kind))
    return found


def _serve(options: argparse.Namespace) -> None:
    from vecsmith.serve import ServeSettings, serve

    given: dict[str, Any] = {
        _LISTS.get(name, name): tuple(value) if name in _LISTS else value
        for name, value in vars(options).items()
        if name in _ABOUT
    }
    settings = ServeSettings(options.dir, **given)

    def announce(address: str) -> None:
        print(address, flush=True)
        print(
            f"open {address} in a browser; the API is described at {address}/docs", file=sys.stderr
        )

    serve(settings, announce=announce)
