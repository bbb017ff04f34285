"""/v1/embeddings as OpenAI's clients know it, and equal to Python's vectors bit for bit."""

import base64

import httpx
import numpy as np
import openai
import pytest

from vecsmith.encode import load_encoder, truncate

TEXTS = ["open the valve", "a", "clean the pump " * 9, "ümläut 数 \N{PILE OF POO}", "motor"]


@pytest.fixture(scope="module")
def encoder(index):
    return load_encoder(index / "base" / "encoder")


@pytest.fixture
def ask(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def vectors_of(answer):
    return np.array([row.embedding for row in answer.data], np.float32)


@pytest.mark.parametrize("form", ["float", "base64", None])
def test_the_openai_client_gets_pythons_vectors_bit_for_bit(ask, encoder, form):
    options = {} if form is None else {"encoding_format": form}
    answer = ask.embeddings.create(input=TEXTS, model="base", **options)
    if form == "base64":
        got = np.array([np.frombuffer(base64.b64decode(r.embedding), "<f4") for r in answer.data])
    else:
        got = vectors_of(answer)
    np.testing.assert_array_equal(got, encoder.encode(TEXTS))
    assert [row.index for row in answer.data] == list(range(len(TEXTS)))
    assert answer.object == "list" and answer.data[0].object == "embedding"
    assert answer.model == "base"
    tokens = sum(map(len, encoder.tokens(TEXTS)))
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == tokens


def test_one_text_and_token_ids_give_the_same_vectors(ask, encoder):
    want = encoder.encode(TEXTS[:1])
    rows = encoder.tokens(TEXTS)
    assert np.array_equal(vectors_of(ask.embeddings.create(input=TEXTS[0], model="base")), want)
    assert np.array_equal(vectors_of(ask.embeddings.create(input=rows[0], model="base")), want)
    many = vectors_of(ask.embeddings.create(input=rows, model="base"))
    np.testing.assert_array_equal(many, encoder.encode(TEXTS))


def test_dimensions_are_cut_and_normalised(ask, encoder):
    got = vectors_of(ask.embeddings.create(input=TEXTS, model="base", dimensions=8))
    np.testing.assert_array_equal(got, truncate(encoder.encode(TEXTS), 8))
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)
    with pytest.raises(openai.BadRequestError, match="32"):
        ask.embeddings.create(input="a", model="base", dimensions=33)


def test_prompts_stand_before_the_texts_as_in_python(start, prompted_index):
    server, encoder = start(prompted_index), load_encoder(prompted_index / "base" / "encoder")
    with server.client() as client:
        for kind in ("query", "document"):
            body = {"input": TEXTS, "model": "base", "prompt_name": kind}
            data = client.post("/v1/embeddings", json=body).json()["data"]
            got = np.array([row["embedding"] for row in data], np.float32)
            np.testing.assert_array_equal(got, encoder.encode(TEXTS, kind=kind))
    assert not np.array_equal(encoder.encode(TEXTS, kind="query"), encoder.encode(TEXTS))


def test_a_model_that_only_torch_can_run_is_served_too(start, torch_index, encoder):
    server = start(torch_index)
    with server.client() as client:
        body = {"input": TEXTS, "model": "base"}
        answer = client.post("/v1/embeddings", json=body).json()
        got = np.array([row["embedding"] for row in answer["data"]])
        np.testing.assert_allclose(got, encoder.encode(TEXTS), atol=1e-4)
        assert answer["usage"]["total_tokens"] == sum(map(len, encoder.tokens(TEXTS)))
        refused = client.post("/v1/embeddings", json={"input": [2, 5, 3], "model": "base"})
        assert refused.status_code == 400 and "torch" in refused.json()["error"]["message"]


def test_langchain_works_unchanged(server, encoder):
    from langchain_openai import OpenAIEmbeddings

    made = OpenAIEmbeddings(
        base_url=f"{server.url}/v1", api_key="none", model="base", check_embedding_ctx_length=False
    )
    np.testing.assert_array_equal(
        np.array(made.embed_documents(TEXTS), np.float32), encoder.encode(TEXTS)
    )
    got = np.array(made.embed_query(TEXTS[0]), np.float32)
    np.testing.assert_array_equal(got, encoder.encode(TEXTS[:1])[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_llama_index_works_unchanged(server, encoder):
    from llama_index.embeddings.openai import OpenAIEmbedding

    made = OpenAIEmbedding(model_name="base", api_base=f"{server.url}/v1", api_key="none")
    got = np.array(made.get_text_embedding_batch(TEXTS), np.float32)
    np.testing.assert_array_equal(got, encoder.encode(TEXTS))


def test_the_models_are_listed_with_what_ships_first(ask, client):
    assert [model.id for model in ask.models.list()] == ["adapted", "base"]
    assert ask.models.retrieve("adapted").id == "adapted"
    with pytest.raises(openai.NotFoundError):
        ask.models.retrieve("gpt-x")
    card = client.get("/v1/models/adapted/card")
    assert card.status_code == 200 and card.text.startswith("---\nbase_model:")
    assert client.get("/v1/models/base/card").status_code == 404


def test_errors_have_openais_shape_and_status(ask):
    for options, error, param in (
        ({"input": "a", "model": "gpt-x"}, openai.NotFoundError, "model"),
        ({"input": "", "model": "base"}, openai.BadRequestError, "input"),
        ({"input": [], "model": "base"}, openai.BadRequestError, "input"),
        ({"input": ["a", ""], "model": "base"}, openai.BadRequestError, "input"),
        ({"input": [10**6], "model": "base"}, openai.BadRequestError, "input"),
        ({"input": [5] * 49, "model": "base"}, openai.BadRequestError, "input"),
        ({"input": ["a"] * 2049, "model": "base"}, openai.BadRequestError, "input"),
        ({"input": "a", "model": "base", "encoding_format": "x"}, openai.BadRequestError, None),
        (
            {"input": "a", "model": "base", "extra_body": {"dimension": 3}},
            openai.BadRequestError,
            "dimension",
        ),
    ):
        with pytest.raises(error) as raised:
            ask.embeddings.create(**options)
        assert raised.value.type in ("invalid_request_error", "not_found_error")
        assert raised.value.param == (param or "encoding_format")


def test_fields_that_openai_lets_be_null_may_be_null(client, encoder):
    nothing = dict.fromkeys(["encoding_format", "dimensions", "user"])
    body = {"input": "a", "model": "base", **nothing}
    answer = client.post("/v1/embeddings", json=body).json()
    got = np.array(answer["data"][0]["embedding"], np.float32)
    np.testing.assert_array_equal(got, encoder.encode(["a"])[0])


def test_texts_that_are_cut_are_told_or_refused(client, encoder):
    long = "valve " * 60
    body = {"input": ["short", long, "pump " * 46], "model": "base"}
    answer = client.post("/v1/embeddings", json=body).json()
    assert answer["truncated"] == [1]
    assert answer["usage"]["prompt_tokens"] == sum(map(len, encoder.tokens(body["input"])))
    refused = client.post("/v1/embeddings", json={**body, "truncate": False})
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "context_length_exceeded"
    whole = client.post("/v1/embeddings", json={"input": "short", "model": "base"}).json()
    assert "truncated" not in whole


def test_company_does_not_change_a_vector(server, encoder):
    """Many callers at once, whose texts share batches: each gets what it would get alone."""
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(0)
    words = "open close valve pump red blue door motor cable the a of".split()
    lists = [
        [" ".join(rng.choice(words, rng.integers(1, 30))) for _ in range(rng.integers(1, 6))]
        for _ in range(60)
    ]
    with httpx.Client(base_url=server.url, timeout=60) as client:

        def call(texts):
            body = {"input": texts, "model": "base"}
            return [
                row["embedding"] for row in client.post("/v1/embeddings", json=body).json()["data"]
            ]

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(call, lists))
    for texts, got in zip(lists, answers, strict=True):
        np.testing.assert_array_equal(np.array(got, np.float32), encoder.encode(texts))
