"""A real browser, and one visitor of the page who notes whatever goes wrong."""

import itertools
import json
import os
import re
import shutil
import time
import urllib.parse
import urllib.request
from types import SimpleNamespace

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--no-sandbox --disable-gpu --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--no-first-run --disable-background-networking --disable-component-update --disable-sync"
).split()
WIDE = {"width": 1280, "height": 800}
PATIENCE = 15.0


def _missing(reason):
    if os.environ.get("VECSMITH_NEEDS_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


# The synchronous interface keeps an event loop running in this thread, which other tests of a
# server cannot bear: the browser must be gone when a file is done.
@pytest.fixture(scope="module")
def browser():
    """Chromium; the tests are skipped without it, or fail if VECSMITH_NEEDS_BROWSER is set."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed (pip install playwright)")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        _missing(f"no browser: none of {', '.join(BROWSERS)} is on the path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


class Visitor:
    """Opens pages and keeps a note of errors, of broken policy, and of requests to elsewhere."""

    def __init__(self, browser, base):
        self.browser, self.base = browser, base
        self.contexts, self.problems, self.expected = [], [], []

    def __call__(self, address="/", *, scheme="light", size=WIDE, before=None):
        context = self.browser.new_context(
            viewport=size, color_scheme=scheme, reduced_motion="reduce", locale="en-GB"
        )
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        self._watch(page)
        if before:
            before(page)
        page.goto(self.base + address)
        return page

    def _watch(self, page):
        def said(message):
            if message.type == "error":
                self.problems.append(f"{message.text} {message.location['url']}")

        def asked(request):
            if not request.url.startswith((self.base + "/", "data:", "blob:")):
                self.problems.append(f"left the server: {request.url}")

        page.on("console", said)
        page.on("request", asked)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("worker", lambda worker: self.problems.append(f"worker: {worker.url}"))

    def expect(self, pattern):
        """Let a problem pass that the test brings about."""
        self.expected.append(pattern)

    def leave(self):
        for context in self.contexts:
            for page in context.pages:
                page.unroute_all(behavior="ignoreErrors")
            context.close()
        return [p for p in self.problems if not any(re.search(e, p) for e in self.expected)]

    @staticmethod
    def hash(**values):
        """Address of the page in a state."""
        return "/#" + urllib.parse.urlencode(values, doseq=True)

    @staticmethod
    def until(page, script, arg=None):
        """Wait until a script gives something true; the browser's own way needs eval."""
        end = time.monotonic() + PATIENCE
        while not page.evaluate(script, arg):
            assert time.monotonic() < end, script
            page.wait_for_timeout(20)

    @staticmethod
    def answering(change):
        """Make a preparation of a page: a function changes the server's answers to searches."""

        def handle(route):
            answer = route.fetch()
            body = answer.json()
            change(body)
            route.fulfill(response=answer, json=body)

        return lambda page: page.route("**/v1/search", handle)

    @staticmethod
    def halved(body):
        """Put the cut-off into the middle of an answer."""
        half = max(1, len(body["hits"]) // 2)
        body.update(cutoff=0.05, nothing_relevant=False)
        for at, hit in enumerate(body["hits"]):
            hit.update(relevant=at < half, probability=0.4 if at < half else 0.01)

    @staticmethod
    def silenced(body):
        """Put the cut-off above an answer."""
        body.update(cutoff=0.05, nothing_relevant=True)
        for hit in body["hits"]:
            hit.update(relevant=False, probability=0.01)

    def foldered(self, page):
        """Let each document of a flat collection pass for a folder."""

        def handle(route):
            answer = route.fetch()
            body = answer.json()
            if len(body["folders"]) < 2:
                with urllib.request.urlopen(self.base + "/v1/map") as head:
                    groups = json.load(head)["groups"]
                body["folders"] = [{"name": n, "documents": 1, "passages": p} for n, p in groups]
            route.fulfill(response=answer, json=body)

        page.route("**/v1/index", handle)

    def drawn(self, page):
        """Wait for the dots of the map."""
        page.wait_for_selector("#canvas[data-drawn]")
        self.until(page, "async () => (await import('./assets/map.js')).placeOf(0) !== undefined")
        page.wait_for_timeout(300)

    def lit(self, page):
        """Wait for the map with what was found on it."""
        self.drawn(page)
        self.until(page, "Number(document.getElementById('stage').dataset.lit) > 0")
        page.wait_for_timeout(200)

    @staticmethod
    def place_of(page, row):
        """Where a row of the map is on the screen."""
        script = "async (row) => (await import('./assets/map.js')).placeOf(row)"
        x, y = page.evaluate(script, row)[:2]
        box = page.locator("#canvas").bounding_box()
        return box["x"] + x, box["y"] + y


@pytest.fixture
def visit(browser, page_server):
    """A visitor; afterwards nothing may have left the server or gone wrong."""
    visitor = Visitor(browser, page_server.rstrip("/"))
    yield visitor
    assert visitor.leave() == []


@pytest.fixture(scope="session")
def facts(page_server):
    """What the tests ask for: the index, and a query with the server's answer to it."""
    base = page_server.rstrip("/")

    def call(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(base + path, data, headers)) as answer:
            return json.load(answer)

    info = call("/v1/index")
    for row in itertools.islice(range(0, info["passages"], max(1, info["passages"] // 60)), 60):
        passage = call(f"/v1/passages?row={row}&index={info['index']}")
        words = re.findall(r"[a-z]{3,}", " ".join(passage["headings"][-1:]).lower())
        query = " ".join(dict.fromkeys(words[:4]))
        if len(words) < 2:
            continue
        answer = call("/v1/search", {"query": query, "k": 20, "cutoff": False})
        marks = answer["hits"] and answer["hits"][0]["highlights"]
        if answer["hits"] and not answer["nothing_relevant"] and marks:
            return SimpleNamespace(info=info, query=query, answer=answer, call=call, base=base)
    pytest.fail("the index of the tests answers none of its own headings")
