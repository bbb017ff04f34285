"""POST /v1/search and POST /v1/rerank."""

import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import (
    BaseModel,
    BeforeValidator,
    FailFast,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from vecsmith.store import Filter, model_of, order_by_cosine, ranking_for

from .._errors import ApiError, told
from ..engine import Generation
from ._answers import WHOLE, WITH_BODY, Body, JsonRoute, errors, json_answer, live_of, settings_of
from ._embeddings import Usage, model_named, texts_only, tokens_of

_MOST_QUERY = 8_000
Pattern = Annotated[str, Field(strict=True, min_length=1, max_length=300)]
# The first fault ends the list: each one costs an error object.
Patterns = Annotated[list[Pattern], Field(max_length=100), FailFast()]


def _only_text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    raise ValueError("it should be a day such as 2026-01-31")


# Numbers would be taken for seconds since 1970.
Day = Annotated[datetime.date, BeforeValidator(_only_text)]


class FilterBody(Body):
    """Which documents to look in."""

    paths: Patterns = Field([], description="Folders, files or patterns such as *.md; any passes.")
    kinds: Patterns = Field([], description="Kinds of files; any passes.")
    after: Day | None = Field(None, description="First day of last change.")
    before: Day | None = Field(None, description="Last day of last change.")

    def to_filter(self) -> Filter:
        """Return the filter."""
        return Filter(tuple(self.paths), tuple(self.kinds), self.after, self.before)


class SearchRequest(Body):
    """A question to the collection."""

    query: str = Field(strict=True, min_length=1, max_length=_MOST_QUERY)
    k: Annotated[int, Field(ge=1, le=100), WHOLE] = Field(10, description="Passages at most.")
    mode: Literal["lexical", "vector", "hybrid"] | None = Field(
        None, description="Another way of searching than the one that ships."
    )
    cutoff: bool = Field(
        True, strict=True, description="Leave out what fails the cut-off; else mark it."
    )
    filter: FilterBody | None = None


class HitBody(BaseModel):
    """A passage found."""

    rank: int
    score: float
    probability: float | None
    relevant: bool
    path: str
    headings: list[str]
    anchor: str
    snippet: str
    highlights: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
    row: int
    id: str
    document_id: str
    kind: str


class SearchAnswer(BaseModel):
    """What was found."""

    query: str
    ranking: str
    nothing_relevant: bool
    cutoff: float | None
    hits: list[HitBody]


def _documents(value: Any) -> list[str]:
    """Check the texts to rank, up to the first fault, and take them out of their objects."""
    if not isinstance(value, list) or not value:
        raise ValueError("it should be a list of texts, not empty")
    found = [
        one["text"] if isinstance(one, dict) and set(one) == {"text"} else one for one in value
    ]
    return texts_only(found)


_TEXT = {"type": "string", "minLength": 1}
_OBJECT = {
    "type": "object",
    "properties": {"text": _TEXT},
    "required": ["text"],
    "additionalProperties": False,
}
Documents = Annotated[
    Any,
    PlainValidator(_documents),
    WithJsonSchema({"type": "array", "minItems": 1, "items": {"anyOf": [_TEXT, _OBJECT]}}),
]


class RerankRequest(Body):
    """Texts to put in the order of a query."""

    query: str = Field(strict=True, min_length=1, max_length=_MOST_QUERY)
    documents: Documents
    model: str | None = Field(None, max_length=200)
    top_n: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None = None
    return_documents: bool = Field(False, strict=True)
    max_tokens_per_doc: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        None, description="Taken and not used: texts are cut at the model's own length."
    )


class RankedDocument(BaseModel):
    """A text that was given."""

    text: str


class RerankItem(BaseModel):
    """A text in its place."""

    index: int
    relevance_score: float
    document: RankedDocument | None = None


class RerankAnswer(BaseModel):
    """Texts, best first; the score is the cosine in the model's space."""

    model: str
    results: list[RerankItem]
    usage: Usage


search_router = APIRouter(route_class=JsonRoute, tags=["search"])


@search_router.post("/v1/search", response_model=SearchAnswer, responses=errors(404, *WITH_BODY))
async def search(body: SearchRequest, request: Request) -> Response:
    """Find passages; empty hits where nothing is relevant."""
    live = live_of(request)
    request.scope["state"]["query"] = body.query
    if not body.query.strip():
        raise ApiError(400, "query: it should hold a word", param="query")
    async with live.use() as generation:
        with told(), live.searcher() as run:
            wanted = body.filter.to_filter() if body.filter else None
            _check_kinds(wanted, generation)
            ranking = ranking_for(generation.store, body.mode)
            model, vectors = model_of(ranking), None
            if model is not None:
                lane = live.lane(generation, model)
                rows = lane.encoder.tokens([body.query], kind="query")
                vectors = await lane.encode(rows, [body.query], "query", first=True)
            answer = await run(
                generation.search,
                body.query,
                body.mode,
                vectors,
                k=body.k,
                keep_all=not body.cutoff,
                filter=wanted,
            )
        return json_answer(answer.to_dict(), generation)


def _check_kinds(wanted: Filter | None, generation: Generation) -> None:
    known = generation.catalogue.kinds
    for kind in wanted.kinds if wanted else ():
        if kind not in known:
            raise ApiError(
                404,
                f"filter: no document is of kind {kind[:100]!r}; known: {', '.join(known)}",
                param="filter",
                code="kind_not_found",
            )


@search_router.post(
    "/v1/rerank",
    response_model=RerankAnswer,
    response_model_exclude_none=True,
    responses=errors(404, *WITH_BODY),
)
async def rerank(body: RerankRequest, request: Request) -> Response:
    """Put texts in the order of a query, by cosine."""
    live, settings = live_of(request), settings_of(request)
    texts: list[str] = body.documents
    if not body.query.strip():
        raise ApiError(400, "query: it should hold a word", param="query")
    if len(texts) > settings.max_items:
        raise ApiError(
            400,
            f"documents: at most {settings.max_items} at once; got {len(texts)}",
            param="documents",
        )
    async with live.use() as generation:
        with told():
            name = model_named(generation, body.model)
            lane = live.lane(generation, name)
            asked = lane.encoder.tokens([body.query], kind="query")
            rows = await tokens_of(lane, texts, "document")
            count = len(asked[0]) + sum(map(len, rows))
            if count > settings.max_request_tokens:
                raise ApiError(
                    413,
                    f"documents: at most {settings.max_request_tokens} tokens in one request; "
                    f"got {count}; send them in parts",
                    param="documents",
                    code="too_large",
                )
            vectors = await lane.encode(rows, texts, "document")
            query = await lane.encode(asked, [body.query], "query", first=True)
        results = order_by_cosine(query, vectors, body.top_n)
        found: list[dict[str, Any]] = [
            {"index": place, "relevance_score": score} for place, score in results
        ]
        if body.return_documents:
            for item in found:
                item["document"] = {"text": texts[item["index"]]}
        usage = {"prompt_tokens": count, "total_tokens": count}
        answer = {"model": body.model or name, "results": found, "usage": usage}
        return json_answer(answer, generation)
