"""POST /v1/embeddings, as OpenAI's API has it, and GET /v1/models."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PlainValidator, WithJsonSchema

from vecsmith.encode import truncate

from .._errors import ApiError, told
from ..engine import Generation, Lane
from ._answers import (
    WHOLE,
    WITH_BODY,
    Body,
    JsonRoute,
    errors,
    index_header,
    json_answer,
    live_of,
    settings_of,
)

# Tokenising more than this at once is done beside the event loop.
_SHORT = 20_000


def texts_only(values: list[Any]) -> list[str]:
    """Check a list of texts, up to the first fault.

    Raises:
        ValueError: One is no text, or empty.
    """
    for place, value in enumerate(values):
        if not isinstance(value, str) or not value:
            raise ValueError(f"item {place} should be a text that is not empty")
    return values


def _row(values: list[Any], place: int) -> list[int]:
    if not isinstance(values, list) or not values:
        raise ValueError(f"item {place} should be a list of token ids, not empty")
    for value in values:
        whole = type(value) is int or (type(value) is float and value.is_integer())
        if not whole or not 0 <= value < 2**31:
            raise ValueError("token ids should be whole numbers from 0 to 2147483647")
    return [int(value) for value in values]


def _input(value: Any) -> Any:
    """Check what is to be encoded, up to the first fault.

    Written by hand because a schema's union notes a fault for every item and every member, which
    for a body of a megabyte takes seconds and gigabytes.
    """
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, list) or not value:
        raise ValueError("it should be a text, texts, token ids or lists of them, not empty")
    if isinstance(value[0], str):
        return texts_only(value)
    if isinstance(value[0], list):
        return [_row(row, place) for place, row in enumerate(value)]
    return _row(value, 0)


_TEXT = {"type": "string", "minLength": 1}
_IDS = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
}
Input = Annotated[
    Any,
    PlainValidator(_input),
    WithJsonSchema(
        {
            "anyOf": [
                _TEXT,
                {"type": "array", "minItems": 1, "items": _TEXT},
                _IDS,
                {"type": "array", "minItems": 1, "items": _IDS},
            ]
        }
    ),
]


class EmbeddingsRequest(Body):
    """Texts to encode."""

    input: Input = Field(
        description="A text, texts, or token ids of the model's own tokenizer, special tokens "
        "included."
    )
    model: str = Field(description="A model of GET /v1/models.", max_length=200)
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=65_536), WHOLE] | None = Field(
        None, description="Leading dimensions to keep."
    )
    user: str | None = Field(None, max_length=1000, description="Taken and not used.")
    prompt_name: Literal["query", "document"] = Field(
        "document", description="Whose prompt stands before the texts."
    )
    truncate: bool = Field(
        True, strict=True, description="Cut texts that are too long for the model; else refuse."
    )


class Usage(BaseModel):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingItem(BaseModel):
    """The vector of one text."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsAnswer(BaseModel):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    data: list[EmbeddingItem]
    model: str
    usage: Usage
    truncated: list[int] | None = Field(
        None, description="Places of the texts that were cut at the model's length."
    )


class ModelItem(BaseModel):
    """A model of the index."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsAnswer(BaseModel):
    """The models of the index."""

    object: Literal["list"]
    data: list[ModelItem]


embeddings_router = APIRouter(route_class=JsonRoute, tags=["embeddings"])


@embeddings_router.post(
    "/v1/embeddings",
    response_model=EmbeddingsAnswer,
    response_model_exclude_none=True,
    responses=errors(404, *WITH_BODY),
)
async def embeddings(body: EmbeddingsRequest, request: Request) -> Response:
    """Encode texts to unit vectors."""
    live, settings = live_of(request), settings_of(request)
    async with live.use() as generation:
        with told():
            name = model_named(generation, body.model)
            lane = live.lane(generation, name)
            dims = checked_dimensions(lane, body.dimensions)
            texts, given = _inputs(body.input, settings.max_items)
            rows = await tokens_of(lane, texts, body.prompt_name) if given is None else given
            if given is not None:
                _check_ids(lane, given)
            _check_size(rows, settings.max_request_tokens)
            cut = await _cut(lane, texts, rows, body.prompt_name) if given is None else []
            if cut and not body.truncate:
                most = lane.encoder.stamp.max_tokens
                raise ApiError(
                    400,
                    f"input: text {cut[0]} is longer than the {most} tokens the model reads; "
                    "shorten it or send truncate: true",
                    param="input",
                    code="context_length_exceeded",
                )
            vectors = truncate(await lane.encode(rows, texts, body.prompt_name), dims)
        count = sum(map(len, rows))
        answer: dict[str, Any] = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": place, "embedding": value}
                for place, value in enumerate(_coded(vectors, body.encoding_format))
            ],
            "model": body.model,
            "usage": {"prompt_tokens": count, "total_tokens": count},
        }
        if cut:
            answer["truncated"] = cut
        return json_answer(answer, generation)


def _coded(vectors: NDArray[np.float32], form: str | None) -> Sequence[Any]:
    if form == "base64":
        little = np.ascontiguousarray(vectors, "<f4")
        return [base64.b64encode(row.tobytes()).decode() for row in little]
    return list(np.ascontiguousarray(vectors))


def model_named(generation: Generation, name: str | None) -> str:
    """Return the model of the index that a request means.

    Args:
        generation: The index.
        name: "base", "adapted", or the label of the base model; None for the one that ships.

    Returns:
        Name of the model in the index.

    Raises:
        ApiError: 404, no such model.
    """
    if name is None:
        return generation.model
    if name in generation.encoders:
        return name
    labels = {encoder.stamp.model: key for key, encoder in generation.encoders.items()}
    if name in labels:
        return labels[name]
    known = ", ".join(generation.encoders)
    raise ApiError(
        404,
        f"model: there is no model {name[:100]!r} here; known: {known}",
        param="model",
        code="model_not_found",
    )


def checked_dimensions(lane: Lane, wanted: int | None) -> int:
    """Return the dimensions of an answer.

    Raises:
        ApiError: 400, more than the model has.
    """
    dims: int = lane.encoder.stamp.dims
    if wanted is not None and wanted > dims:
        raise ApiError(400, f"dimensions: the model has {dims}; got {wanted}", param="dimensions")
    return wanted or dims


def _inputs(given: Any, most: int) -> tuple[list[str], list[list[int]] | None]:
    """Return texts, and token ids where those were given (the texts are empty then)."""
    rows = given
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        rows = [given]
    if len(rows) > most:
        raise ApiError(400, f"input: at most {most} texts at once; got {len(rows)}", param="input")
    if isinstance(rows[0], str):
        return rows, None
    return [""] * len(rows), rows


def _check_ids(lane: Lane, rows: list[list[int]]) -> None:
    if not lane.takes_tokens:
        raise ApiError(
            400, "input: this model runs in torch, which takes texts only", param="input"
        )
    most, known = lane.encoder.stamp.max_tokens, lane.encoder.vocabulary
    longest, largest = max(map(len, rows)), max(map(max, rows))
    if longest > most:
        raise ApiError(
            400,
            f"input: the model reads {most} tokens; got {longest}; shorten them",
            param="input",
            code="context_length_exceeded",
        )
    if largest >= known:
        raise ApiError(
            400,
            f"input: the model's tokenizer has {known} tokens; got id {largest}, which is of "
            "another tokenizer; send texts",
            param="input",
        )


def _check_size(rows: Sequence[Sequence[int]], most: int) -> None:
    count = sum(map(len, rows))
    if count > most:
        raise ApiError(
            413,
            f"input: at most {most} tokens in one request; got {count}; send them in parts",
            param="input",
            code="too_large",
        )


async def tokens_of(lane: Lane, texts: list[str], kind: str) -> list[list[int]]:
    """Return the tokens of texts, beside the event loop where they are long."""
    if sum(map(len, texts)) <= _SHORT:
        return lane.encoder.tokens(texts, kind=kind)
    return await asyncio.to_thread(lane.encoder.tokens, texts, kind=kind)


async def _cut(lane: Lane, texts: list[str], rows: list[list[int]], kind: str) -> list[int]:
    """Return the places of the texts that lost their end; only full rows can have."""
    most = lane.encoder.stamp.max_tokens
    full = [place for place, row in enumerate(rows) if len(row) >= most]
    if not full:
        return []
    some = [texts[place] for place in full]
    lengths = await asyncio.to_thread(lane.encoder.full_lengths, some, kind=kind)
    return [place for place, length in zip(full, lengths, strict=True) if length > most]


def _listed(generation: Generation, name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": generation.built, "owned_by": "vecsmith"}


@embeddings_router.get("/v1/models", response_model=ModelsAnswer, responses=errors())
async def models(request: Request) -> Response:
    """List the models of the index; the one that ships comes first."""
    async with live_of(request).use() as generation:
        names = sorted(generation.encoders, key=lambda name: name != generation.model)
        data = [_listed(generation, name) for name in names]
        return json_answer({"object": "list", "data": data}, generation)


@embeddings_router.get("/v1/models/{model_id}", response_model=ModelItem, responses=errors(404))
async def one_model(model_id: str, request: Request) -> Response:
    """Return a model of the index."""
    async with live_of(request).use() as generation:
        name = model_named(generation, model_id)
        return json_answer(_listed(generation, name), generation)


@embeddings_router.get(
    "/v1/models/{model_id}/card",
    response_class=Response,
    responses={200: {"content": {"text/markdown": {}}}, **errors(404)},
)
async def card(model_id: str, request: Request) -> Response:
    """Return the model card of a model."""
    async with live_of(request).use() as generation:
        text = generation.cards.get(model_named(generation, model_id))
        if text is None:
            raise ApiError(404, f"the model {model_id[:100]!r} has no card")
        headers = index_header(generation)
        return Response(text, media_type="text/markdown; charset=utf-8", headers=headers)
