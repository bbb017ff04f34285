"""The load of the serving benchmarks: texts, and a generator of HTTP requests in its own process.

Usage: serve_load.py < LOAD.json > RESULT.json; `serve.py` and `serve_soak.py` call it through
`put_load`. One process, one event loop, raw HTTP/1.1 on kept-alive connections: a request is one
write, an answer is read no further than its head and its length, so a request costs the generator
some tens of microseconds (each result has the processor time it took, `cpu`: at 1.0 the generator
itself is what limits). No answer is decoded here.

- Closed loop (`clients` set): each client sends its next request when it has its answer. Counted
  is what is answered between `ramp` seconds after the start and `seconds` later, from the last
  answer before that time to the last one in it, as answers of one batch come together.
- Open loop (`rate` set): requests arrive as a Poisson process whatever the server does, on as
  many connections as that takes; latency runs from the arrival. After `seconds` no more arrive,
  and what is still out is waited for.

Texts: docstrings of Python's standard library and the topics of its built-in help, cut at random
into pieces of 5 to 200 tokens, short ones as frequent as queries are. No text goes out twice: from
the second time through the list, texts have a running number added.
"""

import ast
import asyncio
import gc
import json
import subprocess
import sys
import sysconfig
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from corpora import LEFT_OUT

FEWEST, MOST = 5, 200  # tokens
DRAIN = 90.0  # seconds to wait for answers after the last request


@dataclass(frozen=True)
class Request:
    """One kind of request: the texts go into ``key`` of ``body``, a list if there are several."""

    path: str
    key: str
    body: dict[str, Any] = field(default_factory=dict)
    texts: int = 1
    weight: float = 1.0
    words: int | None = None  # of a text, at most


@dataclass(frozen=True)
class Load:
    """What to send; just one of ``clients`` and ``rate`` is set."""

    port: int
    texts: str  # file, a JSON string on each line
    requests: list[Request]
    seconds: float
    clients: int = 0
    rate: float = 0.0
    ramp: float = 0.0
    skip: int = 0  # texts already used
    seed: int = 0


def put_load(load: Load) -> dict[str, Any]:
    """Run the generator in a process of its own.

    Args:
        load: What to send.

    Returns:
        Counts, rates, latencies; ``next`` is the ``skip`` of the next load.
    """
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(asdict(load)),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        timeout=load.ramp + load.seconds + DRAIN + 60,
    )
    return json.loads(done.stdout)


def _documentation() -> Iterator[str]:
    """The docstrings of each file, and the help topics, in the order of files."""
    root = Path(sysconfig.get_paths()["stdlib"])
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sorted(root.rglob("*.py")):
        if set(LEFT_OUT) & set(path.relative_to(root).parts):
            continue
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
        yield "\n".join(text for text in found if text)
        if path.name == "topics.py":
            topics = ast.literal_eval(tree.body[-1].value)  # type: ignore[attr-defined]
            yield from topics.values()


def write_texts(target: Path, tokenizer: Path, *, most: int | None = None) -> dict[str, Any]:
    """Write the texts of a load, mixed, a JSON string on each line.

    Args:
        target: File to write.
        tokenizer: ``tokenizer.json`` of the model, which counts the tokens.
        most: Stop at the file that brings so many texts.

    Returns:
        Number of texts and their tokens: fewest, median, mean, most.
    """
    count = Tokenizer.from_file(str(tokenizer))
    count.no_truncation()
    count.no_padding()
    rng = np.random.default_rng(0)
    texts: dict[str, int] = {}
    for document in _documentation():
        words = deque(document.split())
        if most is not None and len(texts) >= most:
            break
        while words:
            wanted = int(np.exp(rng.uniform(np.log(3), np.log(130))))
            text = " ".join(words.popleft() for _ in range(min(wanted, len(words))))
            tokens = len(count.encode(text).ids)
            if FEWEST <= tokens <= MOST:
                texts[text] = tokens
    order = rng.permutation(len(texts))
    listed = list(texts)
    target.write_text("".join(json.dumps(listed[i]) + "\n" for i in order), "utf-8")
    tokens = np.array(list(texts.values()))
    return {
        "texts": len(texts),
        "tokens": {
            "fewest": int(tokens.min()),
            "median": float(np.median(tokens)),
            "mean": float(tokens.mean()),
            "most": int(tokens.max()),
        },
    }


class Messages:
    """Makes requests, each with texts of its own."""

    def __init__(self, load: Load) -> None:
        lines = Path(load.texts).read_text("utf-8").splitlines()
        self._texts: list[str] = [json.loads(line) for line in lines]
        self.place = load.skip
        self._rng = np.random.default_rng(load.seed)
        self._kinds = load.requests
        shares = np.array([kind.weight for kind in load.requests])
        self._shares = shares / shares.sum()
        self._heads = [
            f"POST {kind.path} HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\n"
            "Content-Type: application/json\r\nAccept: */*\r\nContent-Length: "
            for kind in load.requests
        ]

    def text(self, words: int | None) -> str:
        """Take the next text."""
        again, i = divmod(self.place, len(self._texts))
        self.place += 1
        text = " ".join(self._texts[i].split()[:words]) if words else self._texts[i]
        return f"{text} ({again})" if again else text

    def __next__(self) -> tuple[int, bytes]:
        """The next request: number of its kind, bytes."""
        n = 0 if len(self._kinds) == 1 else int(self._rng.choice(len(self._kinds), p=self._shares))
        kind = self._kinds[n]
        texts = [self.text(kind.words) for _ in range(kind.texts)]
        body = json.dumps({**kind.body, kind.key: texts if kind.texts > 1 else texts[0]}).encode()
        return n, f"{self._heads[n]}{len(body)}\r\n\r\n".encode() + body


@dataclass
class Record:
    """What came of one request."""

    kind: int
    begin: float
    end: float = 0.0
    status: int = 0  # 0: none
    retry_after: bool = False
    sent_again: bool = False


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, loop: "Loop") -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._message = b""
        self._used = False
        self.record: Record | None = None
        self._reset()

    def _reset(self) -> None:
        self._head, self._left, self._keep = b"", -1, True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = transport  # type: ignore[assignment]

    def send(self, record: Record, message: bytes) -> None:
        """Send a request; the loop gets the connection back with the answer."""
        self._reset()
        self.record, self._message = record, message
        assert self._transport is not None
        self._transport.write(message)

    def data_received(self, data: bytes) -> None:
        """Read the head of an answer, then count the rest of it."""
        if self._left < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            data = self._head[end + 4 :]
            self._read_head(self._head[:end].lower())
        self._left -= len(data)
        if self._left <= 0:
            self._answered()

    def _read_head(self, head: bytes) -> None:
        assert self.record is not None
        first, *lines = head.split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines if b": " in line)
        self.record.status = int(first[9:12])
        self.record.retry_after = fields.get(b"retry-after", b"").strip().isdigit()
        self._keep = fields.get(b"connection", b"") != b"close"
        if b"content-length" not in fields and self.record.status != 204:
            raise RuntimeError(f"an answer without Content-Length: {head!r}")
        self._left = int(fields.get(b"content-length", b"0"))

    def _answered(self) -> None:
        record, self.record, self._used = self.record, None, True
        assert record is not None
        record.end = time.perf_counter()
        if not self._keep:
            self.close()
        self._loop.answered(self, record, self._keep)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what has had no answer."""
        record, self.record = self.record, None
        # A server may close an idle connection just when a request goes out on it. Clients send
        # such a request once more; it has not been answered in part and is not in work.
        again = self._used and record is not None and not record.sent_again and not self._head
        self._loop.lost(self, record, self._message if again else None)


class Loop:
    """Common to both loops: connections, records, and the wait for the last answers."""

    def __init__(self, load: Load) -> None:
        self.load, self.messages = load, Messages(load)
        self.records: list[Record] = []
        self.out = 0
        self._free: list[Connection] = []
        self._most = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True
        self._empty = asyncio.Event()

    async def connect(self) -> Connection:
        """Open a connection."""
        make = asyncio.get_running_loop().create_connection
        _, connection = await make(lambda: Connection(self), "127.0.0.1", self.load.port)
        return connection

    def next_request(self, begin: float) -> None:
        """Send the next request on a free connection, or on a new one."""
        kind, message = next(self.messages)
        record = Record(kind, begin)
        self.records.append(record)
        self.out += 1
        self._most = max(self._most, self.out)
        self._send(record, message)

    def _send(self, record: Record, message: bytes) -> None:
        if self._free:
            self._free.pop().send(record, message)
            return
        task = asyncio.ensure_future(self._send_on_new(record, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_on_new(self, record: Record, message: bytes) -> None:
        try:
            connection = await self.connect()
        except OSError:
            self.ended()
            return
        connection.send(record, message)

    def answered(self, connection: Connection, record: Record, keep: bool) -> None:
        """Take an answer and its connection back."""
        if keep:
            self._free.append(connection)
        self.ended()

    def lost(self, connection: Connection, record: Record | None, message: bytes | None) -> None:
        """Forget a connection; send again what it could not take."""
        if connection in self._free:
            self._free.remove(connection)
        if record is None:
            return
        if message is None or not self._open:
            self.ended()
            return
        record.sent_again = True
        self._send(record, message)

    def ended(self) -> None:
        """One request is done with."""
        self.out -= 1
        if not self._open and self.out == 0:
            self._empty.set()

    async def run(self) -> tuple[float, float]:
        """Send for the time given, wait for the answers; returns the time counted."""
        span = await self.send_all()
        self._open = False
        if self.out:
            try:
                await asyncio.wait_for(self._empty.wait(), DRAIN)
            except asyncio.TimeoutError:
                print(f"{self.out} requests have no answer", file=sys.stderr)
        for connection in self._free:
            connection.close()
        return span

    async def send_all(self) -> tuple[float, float]:
        """Send for the time given; returns the time counted."""
        raise NotImplementedError

    def result(self, span: tuple[float, float], cpu: float) -> dict[str, Any]:
        """Counts, rates and latencies of what was answered in the time counted."""
        kinds = self.load.requests
        counted = [r for r in self.records if span[0] < r.end <= span[1] or not r.end]
        good = [r for r in counted if r.status == 200]
        texts = sum(kinds[r.kind].texts for r in good)
        statuses = Counter(f"{kinds[r.kind].path} {r.status}" for r in counted if r.status)
        late = [r for r in counted if r.status == 429]
        wall = self.records[-1].begin - self.records[0].begin
        return {
            "begin": span[0],
            "seconds": span[1] - span[0],
            "sent": len(self.records),
            "answers": len(good),
            "texts_per_second": texts / (span[1] - span[0]),
            "latency_ms": _latency(good),
            "statuses": dict(sorted(statuses.items())),
            "latency_429_ms": _latency(late),
            "without_retry_after": sum(not r.retry_after for r in late),
            "unanswered": sum(r.status == 0 for r in self.records),
            "sent_again": sum(r.sent_again for r in self.records),
            "most_at_once": self._most,
            "cpu": cpu / max(wall, 1e-9),
            "next": self.messages.place,
        }


def _latency(records: list[Record]) -> dict[str, float] | None:
    if not records:
        return None
    taken = 1e3 * np.array([r.end - r.begin for r in records])
    return {f"p{q}": float(np.percentile(taken, q)) for q in (50, 95, 99)}


class Closed(Loop):
    """So many clients, each with one request out."""

    async def send_all(self) -> tuple[float, float]:
        """Send for the time given; returns the time counted."""
        connections = [await self.connect() for _ in range(self.load.clients)]
        self._free.extend(connections)
        begin = time.perf_counter() + self.load.ramp
        for _ in connections:
            self.next_request(time.perf_counter())
        await asyncio.sleep(self.load.ramp + self.load.seconds)
        return begin, begin + self.load.seconds

    def result(self, span: tuple[float, float], cpu: float) -> dict[str, Any]:
        """Counts, rates and latencies of the time counted."""
        ends = np.array([r.end for r in self.records if r.end])
        before = ends[ends <= span[0]].max(initial=self.records[0].begin)
        return super().result((before, ends[ends <= span[1]].max(initial=before + 1e-9)), cpu)

    def ended(self) -> None:
        """One request is done with: send the next."""
        super().ended()
        if self._open:
            self.next_request(time.perf_counter())


class Open(Loop):
    """Requests arrive whatever the server does."""

    async def send_all(self) -> tuple[float, float]:
        """Send for the time given; returns the time counted."""
        rng = np.random.default_rng((self.load.seed, 1))
        begin = at = time.perf_counter()
        while (at := at + rng.exponential(1 / self.load.rate)) < begin + self.load.seconds:
            wait = at - time.perf_counter()
            # The event loop counts in milliseconds: of what is nearer than that, none waits.
            await asyncio.sleep(wait if wait > 1e-3 else 0)
            self.next_request(at)
        return begin, float("inf")

    def result(self, span: tuple[float, float], cpu: float) -> dict[str, Any]:
        """Counts, rates and latencies of all that was sent."""
        last = max((r.end for r in self.records if r.end), default=span[0])
        return super().result((span[0], max(last, span[0] + self.load.seconds)), cpu)


async def _run(load: Load) -> dict[str, Any]:
    loop = Closed(load) if load.clients else Open(load)
    # The records are kept to the end: the collector would go through them again and again.
    gc.freeze()
    gc.disable()
    before = time.process_time()
    span = await loop.run()
    return loop.result(span, time.process_time() - before)


def main() -> None:
    """Read the load, put it on the server, write what came of it."""
    given = json.load(sys.stdin)
    requests = [Request(**row) for row in given.pop("requests")]
    json.dump(asyncio.run(_run(Load(requests=requests, **given))), sys.stdout)


if __name__ == "__main__":
    main()
