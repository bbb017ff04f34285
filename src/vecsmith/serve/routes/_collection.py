"""What the index holds: passages, documents, an overview, the map, the report."""

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from vecsmith.store import Entry, Store, StoredPassage, passage_key

from .._errors import ApiError, told
from ..engine import Generation
from ._answers import errors, index_header, json_answer, live_of

MOST_PASSAGES = 1000


class PassageBody(BaseModel):
    """A passage."""

    id: str
    row: int
    position: int
    headings: list[str]
    anchor: str
    summary: str
    text: str
    kind: str


class PassageAnswer(PassageBody):
    """A passage with its document and neighbours."""

    document_id: str
    path: str
    modified: str
    previous: str | None
    next: str | None


class DocumentAnswer(BaseModel):
    """A document and some of its passages, in order."""

    id: str
    path: str
    kind: str
    bytes: int
    modified: str
    count: int
    passages: list[PassageBody]


class KindCount(BaseModel):
    """Documents of a kind."""

    name: str
    documents: int


class FolderCount(BaseModel):
    """What a folder holds."""

    name: str
    documents: int
    passages: int


class ModelAbout(BaseModel):
    """A model of the index."""

    id: str
    stamp: dict[str, Any]
    card: bool


class IndexAnswer(BaseModel):
    """What the index is."""

    name: str
    index: str
    version: str
    passages: int
    documents: int
    kinds: list[KindCount]
    folders: list[FolderCount]
    first_date: str | None
    last_date: str | None
    shipped: str
    rankings: list[str]
    cutoff: float | None
    models: list[ModelAbout]
    built: str | None
    updated: str | None
    needs_key: bool = Field(description="Whether callers need a key.")


class MapAnswer(BaseModel):
    """What describes the points of the map."""

    index: str
    count: int
    total: int
    unit: str
    share: float
    model: str
    groups: list[Annotated[list[str | int], Field(min_length=2, max_length=2)]]


collection_router = APIRouter(tags=["collection"])


def _body(store: Store, stored: StoredPassage) -> dict[str, Any]:
    passage = stored.passage
    return {
        "id": passage_key(store.passages, stored),
        "row": stored.row,
        "position": passage.position,
        "headings": list(passage.headings),
        "anchor": passage.anchor,
        "summary": passage.summary,
        "text": passage.text,
        "kind": passage.kind,
    }


def _about(entry: Entry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "kind": entry.kind,
        "modified": entry.modified.isoformat(timespec="seconds"),
    }


def _passage(store: Store, generation: Generation, row: int) -> dict[str, Any]:
    near = [n for n in (row - 1, row, row + 1) if 0 <= n < generation.passages]
    found = {stored.row: stored for stored in store.passages.take(near)}
    stored = found[row]
    entry = generation.catalogue.by_number[stored.group]
    beside = {}
    for name, place in (("previous", row - 1), ("next", row + 1)):
        other = found.get(place)
        same = other is not None and other.group == stored.group
        beside[name] = passage_key(store.passages, other) if other is not None and same else None
    return {**_body(store, stored), "document_id": entry.key, **_about(entry), **beside}


def _row_of(store: Store, key: str) -> int | None:
    digest = key.partition("-")[0]
    return next(
        (
            stored.row
            for stored in store.passages.with_hash(digest)
            if passage_key(store.passages, stored) == key
        ),
        None,
    )


@collection_router.get(
    "/v1/passages/{passage_id}", response_model=PassageAnswer, responses=errors(404)
)
async def passage(passage_id: str, request: Request) -> Response:
    """Return a passage by its id, which search answers give."""
    live = live_of(request)
    async with live.use() as generation:
        with told(), live.searcher() as run:
            row = await run(generation.with_store, _row_of, passage_id)
            if row is None:
                raise ApiError(404, "no passage has this id; its text may have changed: search")
            found = await run(generation.with_store, _passage, generation, row)
        return json_answer(found, generation)


@collection_router.get("/v1/passages", response_model=PassageAnswer, responses=errors(404, 409))
async def passage_at(
    request: Request,
    row: int = Query(ge=0, lt=2**31),
    index: str = Query(max_length=64, description="The index that the row is of."),
) -> Response:
    """Return a passage by its row in an index, as the map gives it."""
    live = live_of(request)
    async with live.use() as generation:
        if index != generation.key:
            raise ApiError(409, "the index has changed since; get the map again", param="index")
        if row >= generation.passages:
            raise ApiError(404, f"the index has {generation.passages} rows", param="row")
        with told(), live.searcher() as run:
            found = await run(generation.with_store, _passage, generation, row)
        return json_answer(found, generation)


@collection_router.get(
    "/v1/documents/{document_id}", response_model=DocumentAnswer, responses=errors(404)
)
async def document(
    document_id: str,
    request: Request,
    start: int = Query(0, ge=0, lt=2**31),
    limit: int = Query(500, ge=1, le=MOST_PASSAGES),
) -> Response:
    """Return a document's passages in order, as they were indexed."""
    live = live_of(request)
    async with live.use() as generation:
        entry = generation.catalogue.by_key.get(document_id)
        if entry is None:
            raise ApiError(404, "no document has this id; it may have gone: search")

        def work(store: Store) -> dict[str, Any]:
            rows = store.passages.rows_of([entry.number]).tolist()
            found = store.passages.take(rows[start : start + limit])
            return {"count": len(rows), "passages": [_body(store, stored) for stored in found]}

        with told(), live.searcher() as run:
            found = await run(generation.with_store, work)
        about = {"id": entry.key, "bytes": entry.bytes, **_about(entry)}
        return json_answer({**about, **found}, generation)


@collection_router.get("/v1/index", response_model=IndexAnswer, responses=errors())
async def index(request: Request) -> Response:
    """Tell what the index holds, when it was built and what it can do."""
    live = live_of(request)
    async with live.use() as generation:
        with told(), live.searcher() as run:
            found = await run(_overview, generation)
        return json_answer({**found, "needs_key": bool(request.app.state.keys)}, generation)


def _overview(generation: Generation) -> dict[str, Any]:
    from vecsmith import __version__

    entries = generation.catalogue.entries
    days = sorted(entry.modified.date().isoformat() for entry in entries)
    kinds = Counter(entry.kind for entry in entries)
    spaces = generation.store.spaces
    report = generation.report
    return {
        "name": generation.name,
        "index": generation.key,
        "version": __version__,
        "passages": generation.passages,
        "documents": len(entries),
        "kinds": [{"name": name, "documents": count} for name, count in kinds.most_common()],
        "folders": generation.folders,
        "first_date": days[0] if days else None,
        "last_date": days[-1] if days else None,
        "shipped": generation.store.shipped,
        "rankings": generation.store.rankings(),
        "cutoff": generation.cutoff.tau if generation.cutoff else None,
        "models": [
            {
                "id": name,
                "stamp": space.stamp.to_dict(),
                "card": generation.cards.get(name) is not None,
            }
            for name, space in spaces.items()
        ],
        "built": report.get("date"),
        "updated": report.get("updated", {}).get("date"),
    }


@collection_router.get("/v1/map", response_model=MapAnswer, responses=errors())
async def map_head(request: Request) -> Response:
    """Describe the map of the collection; the first call computes it."""
    live = live_of(request)
    async with live.use() as generation:
        with told():
            points = await live.aside(lambda: generation.points)
        return json_answer({"index": generation.key, **points.head()}, generation)


@collection_router.get(
    "/v1/map/points",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}, **errors()},
)
async def map_body(request: Request) -> Response:
    """Return the points of the map: uint32 rows, uint16 x, uint16 y, uint8 groups."""
    live = live_of(request)
    async with live.use() as generation:
        with told():
            points = await live.aside(lambda: generation.points)
        return Response(
            points.body(),
            media_type="application/octet-stream",
            headers=index_header(generation),
        )


@collection_router.get("/v1/report", responses=errors())
async def report(request: Request) -> Response:
    """Return the report of the build as JSON."""
    async with live_of(request).use() as generation:
        return json_answer(generation.report, generation)
