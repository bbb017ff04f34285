"""What all routes share: JSON in and out, the index that answers, documented errors."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict

from .._errors import ApiError
from ..engine import Generation, Live


class Body(BaseModel):
    """Base of all bodies: unknown fields are refused, so that a typing error is told."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def _whole(value: Any) -> Any:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise ValueError("it should be a whole number")


# As JSON Schema has it: 57.0 is whole, true and "57" are not. Stands after the limits of a field.
WHOLE = BeforeValidator(_whole)


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """An error."""

    error: ErrorDetail


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of the errors that a route may answer with.

    Args:
        *statuses: Those beside 400, 401, 421, 429, 503 and 504, which any route may give.

    Returns:
        For `responses` of a route.
    """
    common = (400, 401, 421, 429, 503, 504)
    return {status: {"model": ErrorBody} for status in sorted({*common, *statuses})}


WITH_BODY = (408, 413, 415)
_MOST_FIELDS = 64


class _JsonRequest(Request):
    async def json(self) -> Any:
        """Read the body as strict JSON: no NaN, no lone surrogates."""
        value = orjson.loads(await self.body())
        # Each field that is unknown costs an error object: so many are no typing error any more.
        for one in (value, *value.values()) if isinstance(value, dict) else ():
            if isinstance(one, dict) and len(one) > _MOST_FIELDS:
                raise ApiError(400, f"the body has an object of more than {_MOST_FIELDS} fields")
        return value


class JsonRoute(APIRoute):
    """A route whose body is read by orjson."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()

        async def wrapped(request: Request) -> Response:
            return await handle(_JsonRequest(request.scope, request.receive))

        return wrapped


def json_answer(value: Any, generation: Generation | None = None) -> Response:
    """Write an answer as JSON.

    Args:
        value: JSON-ready values; numpy arrays are written as lists.
        generation: The index that it came from, named in a header.

    Returns:
        The response.
    """
    try:
        body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        # Names of files may hold bytes that are not UTF-8.
        body = orjson.dumps(_cleaned(value), option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json", headers=index_header(generation))


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_cleaned(name): _cleaned(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return value


def index_header(generation: Generation | None) -> dict[str, str]:
    """Return the header that names the index that answered."""
    return {"X-Vecsmith-Index": generation.key} if generation is not None else {}


def live_of(request: Request) -> Live:
    """Return what the server answers from."""
    live: Live = request.app.state.live
    return live


def settings_of(request: Request) -> Any:
    """Return the server's settings."""
    return request.app.state.settings
