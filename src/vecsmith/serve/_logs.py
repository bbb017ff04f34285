"""Log lines for people or, as JSON, for programs."""

import datetime
import logging
import sys

import orjson


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clean(record.getMessage()),
            **{name: _clean(value) for name, value in _fields(record).items()},
        }
        if record.exc_info:
            line["trace"] = _clean(self.formatException(record.exc_info))
        return orjson.dumps(line).decode()


class TextLines(logging.Formatter):
    """Time, level, message, then ``name=value`` of the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        moment = datetime.datetime.fromtimestamp(record.created).astimezone()
        fields = " ".join(f"{name}={_quoted(value)}" for name, value in _fields(record).items())
        text = f"{moment:%H:%M:%S} {record.levelname.lower()} {record.getMessage()} {fields}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text.rstrip()


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "fields", {})
    return fields


def _clean(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _quoted(value: object) -> str:
    # Paths and queries come from outside: a line break in one must not look like a line of ours.
    if isinstance(value, str) and (not value.isprintable() or " " in value or not value):
        return ascii(value)
    return str(value)


def set_up_logs(*, as_json: bool) -> None:
    """Send the logs of the server and of uvicorn to stderr.

    Args:
        as_json: JSON lines instead of text.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    for name in ("vecsmith", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").propagate = True
