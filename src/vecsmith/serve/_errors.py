"""Errors as the API tells them: OpenAI's error object, whatever went wrong."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from vecsmith.core import ConfigError, DataError, VecsmithError

from .engine import Busy

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    421: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    500: "server_error",
    503: "unavailable_error",
    504: "timeout_error",
}
_MOST_TEXT = 500


class ApiError(Exception):
    """An answer other than 200.

    Attributes:
        status: HTTP status.
        message: What was expected, what came, what to do.
        param: The field at fault.
        code: A word for programs.
        headers: More headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """Return the error object as JSON."""
        return error_body(self.status, self.message, param=self.param, code=self.code)


def error_body(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> bytes:
    """Write an error object.

    Args:
        status: HTTP status, which gives the type.
        message: What happened.
        param: The field at fault.
        code: A word for programs.

    Returns:
        JSON.
    """
    told = message.encode("utf-8", "replace").decode()[:_MOST_TEXT]
    error = {"message": told, "type": TYPES.get(status, "server_error"), "param": param}
    return orjson.dumps({"error": {**error, "code": code}})


def busy(retry_s: float) -> ApiError:
    """Return the answer to a caller who comes when too much is waiting."""
    seconds = max(1, round(retry_s))
    return ApiError(
        429,
        f"the server has more to do than it can queue; try again in {seconds} s",
        code="busy",
        headers={"Retry-After": str(seconds)},
    )


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn errors of the library into answers."""
    try:
        yield
    except Busy as error:
        raise busy(error.retry_s) from error
    except (ConfigError, DataError) as error:
        raise ApiError(400, str(error)) from error
    except VecsmithError as error:
        raise ApiError(500, str(error), code=type(error).__name__) from error


def first_fault(errors: Sequence[Any]) -> ApiError:
    """Return the answer to a body that does not fit the schema, without repeating what it held.

    Args:
        errors: What pydantic found.

    Returns:
        The first fault, as a sentence.
    """
    if not errors:
        return ApiError(400, "the request does not fit the schema; see /docs")
    # Of a union each member complains; what is nearest to fitting says most about what is wrong.
    fault = min(
        errors, key=lambda one: (str(one.get("type")).endswith("_type"), -len(one.get("loc", ())))
    )
    if fault.get("type") == "json_invalid":
        return ApiError(400, "the body should be JSON but cannot be read as such; see /docs")
    # Names of union members stand in the place beside those of fields; the field comes first.
    place = [str(part) for part in fault.get("loc", ()) if part not in ("body", "query", "path")]
    param = place[0] if place else None
    what = str(fault.get("msg", "does not fit")).removeprefix("Value error, ")
    if fault.get("type") == "extra_forbidden":
        what = "there is no such field; leave it out (see /docs)"
    return ApiError(400, f"{param or 'body'}: {what}", param=param)
