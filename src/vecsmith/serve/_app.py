"""The ASGI application: routes behind the gate, over one index."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from vecsmith import __version__

from ._errors import ApiError, error_body, first_fault
from ._gate import Gate
from ._keys import Keys, read_keys
from ._metrics import Metrics
from ._settings import ServeSettings
from .engine import Generation, Live
from .routes import (
    collection_router,
    embeddings_router,
    pages_router,
    search_router,
    state_router,
)

READERS = 2
ROUTERS = (embeddings_router, search_router, collection_router, state_router, pages_router)
_ABOUT = """Search and embeddings over one index that `vecsmith build` made.

`POST /v1/embeddings` and `GET /v1/models` speak OpenAI's protocol, `POST /v1/rerank` that of Cohere
and Jina. Every error is `{"error": {"message", "type", "param", "code"}}`. The header
`X-Vecsmith-Index` names the state of the index that answered.
"""


def create_app(settings: ServeSettings, generation: Generation | None = None) -> Gate:
    """Make the application.

    Args:
        settings: What to serve, and how.
        generation: The index, if it is open already.

    Returns:
        An ASGI application; its ``stopping`` set to True makes it refuse what comes.

    Raises:
        ConfigError: Keys that cannot be read.
        StoreError: No index, or a damaged one.
    """
    keys = Keys(read_keys(settings.api_key_file))
    app = FastAPI(
        title="vecsmith",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
        **_without_telemetry(),
    )
    app.state.settings, app.state.keys = settings, keys
    if generation is None:
        generation = Generation(settings.folder, readers=READERS, verify=not settings.no_verify)
        generation.warm_up()
    app.state.generation = generation
    for router in ROUTERS:
        app.include_router(router)
    _tell_errors(app)
    _document(app, bool(keys))
    app.state.metrics = Metrics(app)
    gate = Gate(app, settings, keys, app.state.metrics)
    app.state.stopping = lambda: gate.stopping
    return gate


def _without_telemetry() -> dict[str, Any]:
    """Return what keeps FastAPI, where it can, from telling anybody what is done here."""
    if "telemetry" not in inspect.signature(FastAPI.__init__).parameters:
        return {}
    names = ("tracing", "metrics", "logs", "operation_spans", "auto_configure")
    return {"telemetry": dict.fromkeys(names, False)}


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: ServeSettings = app.state.settings
    live = Live(
        app.state.generation,
        readers=READERS,
        queue_searches=settings.queue_searches,
        cache_bytes=int(settings.cache_mb * 1_000_000),
        verify=not settings.no_verify,
        lane_options={
            "batch_tokens": settings.batch_tokens,
            "queue_tokens": settings.queue_tokens,
            "wait_s": settings.batch_wait_ms / 1e3,
        },
    )
    app.state.live = live
    watch = asyncio.create_task(live.watch(settings.watch_s))
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        await live.close()


def _tell_errors(app: FastAPI) -> None:
    def answer(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
        return Response(body, status, headers, "application/json")

    async def refused(_: Request, error: Any) -> Response:
        return answer(error.status, error.body(), error.headers)

    async def unfit(_: Request, error: Any) -> Response:
        return await refused(_, first_fault(error.errors()))

    async def http(request: Request, error: Any) -> Response:
        texts = {
            404: "there is no such address; see /docs",
            405: "this address takes another method",
        }
        text = texts.get(error.status_code, "the request cannot be read")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(sorted(_methods(request.scope)))
        return answer(error.status_code, error_body(error.status_code, text), headers)

    async def ours(_: Request, error: Exception) -> Response:
        text = f"unexpected {type(error).__name__}; this is a fault of the server, see its log"
        return answer(500, error_body(500, text))

    app.add_exception_handler(ApiError, refused)
    app.add_exception_handler(RequestValidationError, unfit)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, ours)


def _methods(scope: Any) -> set[str]:
    """Return the methods of all routes at an address; a route knows its own alone."""
    found: set[str] = set()
    for route in (route for router in ROUTERS for route in router.routes):
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return found


def _document(app: FastAPI, needs_key: bool) -> None:
    """Make the OpenAPI document say what we answer: our errors, and the key."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            for methods in found["paths"].values():
                for method in methods.values():
                    # A body that does not fit is answered with 400, as OpenAI's API does.
                    method["responses"].pop("422", None)
            schemas = found["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            if needs_key:
                found["components"]["securitySchemes"] = {
                    "key": {"type": "http", "scheme": "bearer"}
                }
                found["security"] = [{"key": []}]
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
