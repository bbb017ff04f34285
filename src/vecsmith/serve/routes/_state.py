"""Health, readiness, metrics, and the sessions of browsers."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from .._errors import ApiError
from .._keys import COOKIE
from ._answers import errors, json_answer, live_of


class HealthAnswer(BaseModel):
    """The state of the server."""

    status: str
    index: str
    version: str


state_router = APIRouter(tags=["state"])


@state_router.get("/health", response_model=HealthAnswer, responses=errors())
async def health(request: Request) -> Response:
    """Say that the process is alive."""
    return _state(request, "ok")


def _state(request: Request, status: str) -> Response:
    from vecsmith import __version__

    generation = live_of(request).current
    body = {"status": status, "index": generation.key, "version": __version__}
    return json_answer(body, generation)


@state_router.get(
    "/ready",
    response_model=HealthAnswer,
    responses={**errors(), 503: {"model": HealthAnswer}},
)
async def ready(request: Request) -> Response:
    """Say whether requests should be sent here; 503 while the server stops."""
    stopping = request.app.state.stopping()
    answer = _state(request, "stopping" if stopping else "ok")
    answer.status_code = 503 if stopping else 200
    return answer


@state_router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **errors()},
)
async def metrics(request: Request) -> Response:
    """Return figures in Prometheus's text format."""
    text = request.app.state.metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@state_router.post(
    "/v1/session", status_code=204, response_class=Response, responses=errors(408, 413, 415)
)
async def open_session(request: Request) -> Response:
    """Exchange the key of this request for a cookie that scripts cannot read."""
    answer, keys = Response(status_code=204), request.app.state.keys
    if keys:
        # A session must not renew itself: only the key opens one.
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not keys.knows(key.strip()):
            raise ApiError(401, "a session is opened by a key", code="invalid_api_key")
        secure = request.headers.get("x-forwarded-proto", "").startswith("https")
        answer.set_cookie(
            COOKIE, keys.open_session(), httponly=True, samesite="strict", secure=secure
        )
    return answer


@state_router.delete("/v1/session", status_code=204, response_class=Response, responses=errors())
async def close_session(request: Request) -> Response:
    """End the session of this browser."""
    request.app.state.keys.close_session(request.cookies.get(COOKIE, ""))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
