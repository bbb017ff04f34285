"""Who comes in, what is refused, and how it is told."""

import contextlib
import json
import socket
import threading
import time

import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError
from vecsmith.serve import ServeSettings
from vecsmith.serve._keys import Keys, read_keys
from vecsmith.serve._protocol import guarded_protocol

KEY, OTHER = "k" * 20, "another-key-of-ours"
JSON = {"content-type": "application/json"}


def test_headers_forbid_what_a_page_does_not_need(client):
    for path in ("/", "/v1/index", "/health", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers and "access-control-allow-origin" not in headers
    crossed = client.options("/v1/search", headers={"origin": "http://evil.example"})
    assert "access-control-allow-origin" not in crossed.headers


def test_request_ids_come_back_if_they_are_harmless(client):
    assert client.get("/health", headers={"x-request-id": "a-1"}).headers["x-request-id"] == "a-1"
    made = client.get("/health", headers={"x-request-id": "a b<"}).headers["x-request-id"]
    assert made != "a b<" and len(made) == 16


def test_a_foreign_name_is_refused_because_a_page_could_make_it_point_here(client):
    refused = client.get("/v1/index", headers={"host": "evil.example"})
    assert refused.status_code == 421 and refused.json()["error"]["code"] == "host"
    assert client.get("/v1/index", headers={"host": "localhost:1"}).status_code == 200


@pytest.mark.parametrize(
    "body, status",
    [
        (b"{", 400),
        (b'{"query": NaN}', 400),
        (b'{"query": "\\ud800"}', 400),
        (b'{"query": "a", "k": 1e999}', 400),
        (b'{"query": "a", "k": ' + b"9" * 5000 + b"}", 400),
        (b'{"query": "a", "k": true}', 400),
        (b"[" * 100_000, 400),
        (b'{"query": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001, 400),
        (b'"' + b"a" * 10_000_000 + b'"', 413),
        (b"", 400),
        (b"null", 400),
        (b'{"query": "a", "colour": 1}', 400),
        (b"\xff\xfe", 400),
        (b'{"query": "   "}', 400),
        (b'{"query": "' + b"a" * 9000 + b'"}', 400),
    ],
    ids=range(15),
)
def test_broken_bodies_are_told_in_one_sentence(client, body, status):
    answer = client.post("/v1/search", content=body, headers=JSON)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    assert len(answer.content) < 1000


def test_other_types_methods_and_addresses_are_refused(client):
    assert client.post("/v1/search", content=b'{"query":"a"}').status_code == 415
    wrong = client.post(
        "/v1/search", content=b'{"query":"a"}', headers={"content-type": "text/plain"}
    )
    assert wrong.status_code == 415
    assert client.get("/v1/search").status_code == 405
    assert client.get("/v1/nothing").json()["error"]["type"] == "not_found_error"
    for path in ("/v1/search", "/v1/session", "/health"):
        refused = client.put(path)
        assert refused.status_code == 405
        assert set(refused.headers["allow"].split(", ")) <= {"GET", "POST", "DELETE"}
    assert client.put("/v1/session").headers["allow"] == "DELETE, POST"


def raw(server, head, body=b""):
    """Send bytes as they are, which clients of the better sort would put in order first."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n" + body)
        found = b""
        while part := connection.recv(65_536):
            found += part
    return found


@pytest.mark.parametrize(
    "path",
    [
        b"/assets/../index.html",
        b"/assets/../../_keys.py",
        b"/assets/%2e%2e/%2e%2e/_keys.py",
        b"/assets//etc/passwd",
        b"/docs/../../../etc/passwd",
        b"/v1/documents/../../etc/passwd",
        b"/v1/models/..%2f..%2fmanifest.json/card",
    ],
)
def test_a_path_leads_nowhere_else(server, path):
    assert raw(server, b"GET " + path + b" HTTP/1.1").startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    "path, body",
    [
        ("/v1/embeddings", b'{"model":"base","input":[' + b"0.5," * 300_000 + b"1]}"),
        ("/v1/embeddings", b'{"model":"base","input":[' + b"[1]," * 300_000 + b"[1]]}"),
        ("/v1/embeddings", b'{"model":"base","input":[' + b'"",' * 300_000 + b'""]}'),
        ("/v1/rerank", b'{"query":"a","documents":[' + b"1," * 300_000 + b"1]}"),
        ("/v1/search", b'{"query":"a","filter":{"paths":[' + b"1," * 300_000 + b"1]}}"),
        ("/v1/search", b"{" + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}"),
    ],
    ids=["halves", "rows", "empty", "documents", "paths", "fields"],
)
def test_a_large_body_of_faults_costs_little(client, path, body):
    begin = time.monotonic()
    answer = client.post(path, content=body, headers=JSON)
    assert answer.status_code == 400 and len(answer.content) < 1000
    assert time.monotonic() - begin < 2


def test_a_head_without_end_is_refused(server):
    head = b"GET /health HTTP/1.1\r\nX-Long: " + b"a" * 1_000_000
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        # The refusal may be lost, when the system resets a connection that is still written to.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(head)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(4096).startswith(b"HTTP/1.1 431")
    with server.client() as client:
        assert client.get("/health").status_code == 200


def test_connections_that_ask_for_nothing_are_closed_and_counted():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    idle = []
    config = uvicorn.Config(app, http=guarded_protocol(3, 0.3), lifespan="off", log_config=None)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        for _ in range(4):
            idle.append(socket.create_connection(bound.getsockname(), timeout=5))
        idle[0].sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        # The fourth is closed at once, the others when their time is up.
        begin = time.monotonic()
        assert idle[3].recv(9) == b"" and time.monotonic() - begin < 0.25
        assert [connection.recv(9) for connection in idle[:3]] == [b""] * 3
        assert time.monotonic() - begin > 0.2
        with httpx.Client(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}") as client:
            for _ in range(2):
                assert client.get("/").status_code == 204
                time.sleep(0.4)
    finally:
        running.should_exit = True
        thread.join()
        bound.close()
        for connection in idle:
            connection.close()


def test_without_keys_a_foreign_name_is_refused_even_where_everybody_may_call(start, index):
    server = start(index, "--host", "0.0.0.0", "--allow-anonymous", "--allowed-host", "search.corp")
    address = f"http://127.0.0.1:{server.port}"
    with httpx.Client(base_url=address, timeout=30) as client:
        for host, status in (("evil.example", 421), ("search.corp", 200), ("192.168.0.7:1", 200)):
            assert client.get("/v1/index", headers={"host": host}).status_code == status


def test_the_work_of_a_caller_who_went_away_is_dropped(start, index):
    server = start(index, "--cache-mb", "0")
    texts = [f"valve {n} pump " * 12 for n in range(2000)]
    body = json.dumps({"model": "base", "input": texts}).encode()
    head = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.1)

    def figure(client, name):
        (line,) = [x for x in client.get("/metrics").text.splitlines() if x.startswith(name)]
        return float(line.split()[-1])

    with server.client() as client:
        deadline = time.monotonic() + 20
        while figure(client, "vecsmith_requests_running") > 1:
            assert time.monotonic() < deadline
        while figure(client, 'vecsmith_queue_tokens{model="base"}') > 0:
            assert time.monotonic() < deadline
        assert figure(client, 'vecsmith_rows_total{model="base"}') < 1990


def test_files_of_the_page_are_compressed_and_kept_by_the_browser(client):
    name = "/assets/vendor/deck.js"
    whole = client.get(name, headers={"accept-encoding": "identity"})
    packed = client.get(name, headers={"accept-encoding": "gzip, br"})
    assert packed.headers["content-encoding"] == "gzip" and packed.content == whole.content
    assert int(packed.headers["content-length"]) < len(whole.content) / 2
    again = client.get(name, headers={"if-none-match": whole.headers["etag"]})
    assert again.status_code == 304 and not again.content


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
FIELDS = [
    "query",
    "k",
    "mode",
    "cutoff",
    "filter",
    "input",
    "model",
    "documents",
    "dimensions",
    "top_n",
]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(["/v1/search", "/v1/embeddings", "/v1/rerank"]),
    st.dictionaries(st.sampled_from(FIELDS), anything, max_size=5) | anything,
)
def test_no_body_breaks_the_server(client, path, body):
    answer = client.post(path, content=json.dumps(body).encode(), headers=JSON)
    assert answer.status_code < 500
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200))
def test_no_bytes_break_the_server(client, body):
    answer = client.post("/v1/embeddings", content=body, headers=JSON)
    assert answer.status_code in (400, 404)


def test_keys_open_the_door_and_nothing_else_does(start, index, tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# ours\n{KEY}\n", "utf-8")
    server = start(index, "--api-key-file", str(file), environment={"VECSMITH_API_KEYS": OTHER})
    body = {"query": "valve"}
    with server.client() as client:
        for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {KEY}"}):
            for path in ("/v1/index", "/metrics", "/report.html", "/v1/map"):
                refused = client.get(path, headers=header)
                assert refused.status_code == 401
                assert refused.json()["error"]["code"] == "invalid_api_key"
        for path in ("/", "/about", "/health", "/ready", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
        for key in (KEY, OTHER):
            header = {"authorization": f"Bearer {key}"}
            assert client.post("/v1/search", json=body, headers=header).status_code == 200
        assert client.post("/v1/session").status_code == 401
        opened = client.post("/v1/session", headers={"authorization": f"Bearer {KEY}"})
        token = client.cookies["vecsmith_session"]
        cookie = opened.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and KEY not in cookie
        assert client.post("/v1/search", json=body).status_code == 200
        # A session does not renew itself, and cookies of other programs do not end it.
        assert client.post("/v1/session").status_code == 401
        beside = f'a={{"b":1}}; x=a b; vecsmith_session={token}; y'
        found = httpx.post(f"{server.url}/v1/search", json=body, headers={"cookie": beside})
        assert found.status_code == 200
        proxied = {"authorization": f"Bearer {KEY}", "x-forwarded-proto": "https"}
        secure = httpx.post(f"{server.url}/v1/session", headers=proxied)
        assert "Secure" in secure.headers["set-cookie"] and "Secure" not in cookie
        assert client.delete("/v1/session").status_code == 204
        assert client.post("/v1/search", json=body).status_code == 401
    assert KEY not in server.log and OTHER not in server.log


def test_another_address_needs_keys_or_a_word(index, command, tmp_path):
    refused = command("serve", index, "--host", "0.0.0.0", "--port", 0)
    assert refused.returncode == 2 and "--api-key-file" in refused.stderr
    assert not refused.stdout
    short = tmp_path / "keys"
    short.write_text("short\n", "utf-8")
    refused = command("serve", index, "--api-key-file", short, "--port", 0)
    assert refused.returncode == 2 and "16" in refused.stderr


def test_settings_of_the_environment_and_a_log_for_programs(start, index):
    server = start(
        index,
        environment={
            "VECSMITH_LOG_JSON": "1",
            "VECSMITH_MAX_ITEMS": "3",
            "VECSMITH_CORS_ORIGIN": "https://a.example",
        },
    )
    with server.client() as client:
        many = client.post("/v1/embeddings", json={"input": ["a"] * 4, "model": "base"})
        assert many.status_code == 400
        client.post("/v1/search", json={"query": "secret words"})
        origin = {"origin": "https://a.example"}
        assert client.get("/v1/index", headers=origin).headers["access-control-allow-origin"]
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-a"}
        assert client.options("/v1/search", headers={**origin, **asked}).status_code == 200
        refused = client.get("/v1/index", headers={**origin, "host": "evil.example"})
        assert refused.status_code == 421 and refused.headers["access-control-allow-origin"]
        other = client.get("/v1/index", headers={"origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.lines if line.startswith("{")]
    paths = [line["path"] for line in lines if line["message"] == "request"]
    assert "/v1/search" in paths and "secret" not in server.log


def test_queries_are_logged_only_when_asked(start, index):
    server = start(index, "--log-queries")
    with server.client() as client:
        client.post("/v1/search", json={"query": "valve\nforged line"})
    server.stop()
    assert "valve" in server.log and "\nforged" not in server.log


def test_a_slow_or_half_closed_caller_does_not_hold_others_up(server):
    slow = []
    for _ in range(50):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(
            b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
        )
        slow.append(connection)
    half = socket.create_connection(("127.0.0.1", server.port))
    half.sendall(b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
    half.shutdown(socket.SHUT_WR)
    begin = time.monotonic()
    with server.client() as client:
        for _ in range(5):
            assert client.post("/v1/search", json={"query": "valve"}).status_code == 200
    assert time.monotonic() - begin < 3
    for connection in (*slow, half):
        connection.close()


def test_a_body_that_is_too_long_is_refused_before_it_is_read(server):
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(
        b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99999999999\r\n\r\n"
    )
    connection.settimeout(5)
    assert connection.recv(4096).startswith(b"HTTP/1.1 413")
    connection.close()


def test_overload_is_answered_with_429_and_a_time(start, index):
    from concurrent.futures import ThreadPoolExecutor

    server = start(index, "--queue-searches", "1", "--queue-tokens", "64", "--cache-mb", "0")

    def call(number):
        with httpx.Client(base_url=server.url, timeout=30) as client:
            found = []
            for turn in range(8):
                body = {
                    "input": [f"valve {number} {turn} {n} " * 9 for n in range(40)],
                    "model": "base",
                }
                found.append(client.post("/v1/embeddings", json=body))
                found.append(client.post("/v1/search", json={"query": f"pump {number} {turn}"}))
            return found

    with ThreadPoolExecutor(12) as pool:
        answers = [answer for found in pool.map(call, range(12)) for answer in found]
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["type"] == "rate_limit_error"
    with server.client() as client:
        assert client.post("/v1/search", json={"query": "valve"}).status_code == 200


def test_a_request_that_takes_too_long_is_given_up(start, index):
    server = start(index, "--timeout-s", "0.05", "--cache-mb", "0")
    with server.client() as client:
        body = {"input": [f"valve {n} " * 20 for n in range(2000)], "model": "base"}
        answer = client.post("/v1/embeddings", json=body)
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "timeout"
        assert client.get("/health").status_code == 200


def test_figures_for_prometheus(client):
    from prometheus_client.parser import text_string_to_metric_families

    client.post("/v1/search", json={"query": "valve"})
    text = client.get("/metrics").text
    found = {s.name: s for family in text_string_to_metric_families(text) for s in family.samples}
    assert found["vecsmith_passages"].value == client.get("/v1/index").json()["passages"]
    assert found["vecsmith_rows_total"].value > 0
    assert 'route="/v1/search",status="200"' in text
    assert "zebra" not in text


@given(st.text(max_size=40))
def test_only_the_keys_themselves_are_known(text):
    keys = Keys([KEY, OTHER])
    assert keys.knows(text) == (text in (KEY, OTHER))
    assert keys.knows(KEY) and keys.knows(OTHER)


def test_sessions_end(monkeypatch):
    keys = Keys([KEY])
    token = keys.open_session()
    assert keys.in_session(token) and not keys.in_session(token + "x")
    moment = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: moment + 13 * 3600)
    assert not keys.in_session(token)


def test_settings_that_make_no_sense_are_refused(tmp_path, monkeypatch):
    for options in (
        {"port": 70_000},
        {"timeout_s": 0},
        {"cache_mb": -1},
        {"cors_origins": ("*",)},
        {"allowed_hosts": ("a:80",)},
    ):
        with pytest.raises(ConfigError, match=next(iter(options))):
            ServeSettings("x", **options)
    assert ServeSettings("x").local and not ServeSettings("x", host="0.0.0.0").local
    assert ServeSettings("x", host="::1").local and not ServeSettings("x", host="example.org").local
    with pytest.raises(ConfigError, match="cannot be read"):
        read_keys(tmp_path / "none")
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(ConfigError, match="holds no key"):
        read_keys(tmp_path / "empty")
