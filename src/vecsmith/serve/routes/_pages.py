"""The web page, its assets, the build's report, and the documentation of the API.

All assets are read once, from the package; a name that is asked for is looked up among them and
never becomes a path.
"""

import gzip
import hashlib
import importlib.resources
import re
from functools import cache
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from .._errors import ApiError
from ._answers import index_header, live_of

_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "txt": "text/plain; charset=utf-8",
    "woff2": "font/woff2",
}
_SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")
# Swagger UI writes styles into its elements; scripts stay our own files alone.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_DOCS = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>vecsmith API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="api"></div><script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script></body></html>
"""
_START = """window.ui = SwaggerUIBundle({url: "/openapi.json", dom_id: "#api", validatorUrl: null});
"""
_REPORT_POLICY = re.compile(rb'http-equiv="Content-Security-Policy" content="([^"]*)"')


class Asset(NamedTuple):
    """A file of the page.

    Attributes:
        body: Its content.
        type: Its media type.
        etag: Hash of the content.
        packed: The content compressed by gzip; None where that gains nothing.
    """

    body: bytes
    type: str
    etag: str
    packed: bytes | None = None

    @classmethod
    def of(cls, name: str, body: bytes) -> "Asset":
        """Describe a file by its name and content."""
        kind = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        packed = None if kind.startswith("image/png") else gzip.compress(body, 6, mtime=0)
        if packed is not None and len(packed) >= len(body):
            packed = None
        return cls(body, kind, hashlib.sha256(body).hexdigest()[:16], packed)

    def answer(self, request: Request, *, policy: str | None = None) -> Response:
        """Return the file, or 304 where the browser has it."""
        # Weak, because the same content goes out compressed or not.
        etag = f'W/"{self.etag}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if policy:
            headers["Content-Security-Policy"] = policy
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        body = self.body
        if self.packed is not None and _takes_gzip(request.headers.get("accept-encoding", "")):
            body, headers["Content-Encoding"] = self.packed, "gzip"
        return Response(body, media_type=self.type, headers=headers)


def _takes_gzip(header: str) -> bool:
    for part in header.lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


@cache
def page_assets() -> dict[str, Asset]:
    """Read the page's files from the package.

    Returns:
        Name below ``page/`` -> file.
    """
    found: dict[str, Asset] = {}
    waiting = [("", importlib.resources.files("vecsmith.serve") / "page")]
    while waiting:
        prefix, folder = waiting.pop()
        for item in folder.iterdir():
            if item.is_dir():
                waiting.append((f"{prefix}{item.name}/", item))
            elif item.name.rpartition(".")[2] in _TYPES:
                found[prefix + item.name] = Asset.of(item.name, item.read_bytes())
    return found


@cache
def docs_assets() -> dict[str, Asset]:
    """Read the files of Swagger UI, which a package of its own carries."""
    static = importlib.resources.files("fastapi_offline") / "static"
    found = {name: Asset.of(name, (static / name).read_bytes()) for name in _SWAGGER}
    found["start.js"] = Asset.of("start.js", _START.encode())
    return found


pages_router = APIRouter(include_in_schema=False)


@pages_router.get("/")
async def search_page(request: Request) -> Response:
    """Return the search page."""
    return page_assets()["index.html"].answer(request)


@pages_router.get("/about")
async def about_page(request: Request) -> Response:
    """Return the page about the index."""
    return page_assets()["about.html"].answer(request)


@pages_router.get("/assets/{name:path}")
async def asset(name: str, request: Request) -> Response:
    """Return a file of the page."""
    found = page_assets().get(f"assets/{name}")
    if found is None:
        raise ApiError(404, "there is no such file")
    return found.answer(request)


@pages_router.get("/favicon.ico")
async def icon() -> Response:
    """Say that there is no icon but the one in the page."""
    return Response(status_code=204)


@pages_router.get("/docs")
async def docs(request: Request) -> Response:
    """Return the documentation of the API."""
    return Asset.of("docs.html", _DOCS.encode()).answer(request, policy=_DOCS_POLICY)


@pages_router.get("/docs/{name}")
async def docs_asset(name: str, request: Request) -> Response:
    """Return a file of the documentation."""
    found = docs_assets().get(name)
    if found is None:
        raise ApiError(404, "there is no such file")
    return found.answer(request)


@pages_router.get("/report.html")
async def report_page(request: Request) -> Response:
    """Return the report that the build wrote, under the policy that it carries itself."""
    async with live_of(request).use() as generation:
        page = generation.page
        if page is None:
            raise ApiError(404, "this index has no report; build it with vecsmith[report]")
        found = _REPORT_POLICY.search(page[:4096])
        policy = found[1].decode("latin-1").replace("&#39;", "'") if found else "default-src 'none'"
        headers = {
            **index_header(generation),
            "Content-Security-Policy": f"{policy}; frame-ancestors 'self'",
        }
        return Response(page, media_type=_TYPES["html"], headers=headers)
