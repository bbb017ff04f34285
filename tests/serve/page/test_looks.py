"""Narrow windows, themes, access for all, the page about the index, the policy."""

import urllib.request

import pytest

NARROW = {"width": 360, "height": 740}
STRICT = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'"
}  # fmt: skip


@pytest.mark.parametrize("place", ["results", "filters", "map", "document", "about"])
def test_nothing_is_wider_than_a_narrow_window(visit, facts, place):
    values = {"q": facts.query}
    if place == "map":
        values["map"] = 1
    if place == "document":
        values["open"] = facts.answer["hits"][0]["id"]
    page = visit("/about" if place == "about" else visit.hash(**values), size=NARROW)
    waits = {"about": "#ships table", "document": "#document .found", "map": "#canvas[data-drawn]"}
    page.wait_for_selector(waits.get(place, "article"))
    if place == "filters":
        page.click("#filters-open")
    wide = "document.scrollingElement.scrollWidth"
    assert page.evaluate(wide) <= NARROW["width"]
    body = "document.getElementById('document-body')"
    if place == "document":
        assert page.evaluate(f"{body}.scrollWidth <= {body}.clientWidth")


def test_theme_follows_the_system_and_the_switch_is_remembered(visit):
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = visit(), visit(scheme="dark")
    assert light.evaluate(background) == "rgb(255, 255, 255)"
    night = dark.evaluate(background)
    assert night != "rgb(255, 255, 255)"
    light.click("#theme")
    light.click("#theme")
    assert light.evaluate(background) == night
    light.reload()
    assert light.evaluate(background) == night
    assert light.locator("#theme").inner_text() == "Theme: dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", ["start", "results", "nothing", "document", "help", "about"])
def test_accessible(visit, facts, place, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    address = {
        "start": "/",
        "help": "/",
        "about": "/about",
        "results": visit.hash(q=facts.query, map=1, kind=facts.info["kinds"][0]["name"]),
        "nothing": visit.hash(q=facts.query),
        "document": visit.hash(q=facts.query, open=facts.answer["hits"][0]["id"]),
    }[place]
    changed = {
        "results": visit.answering(visit.halved),
        "nothing": visit.answering(visit.silenced),
    }.get(place)
    page = visit(address, scheme=scheme, before=changed)
    ready = {"results": "article", "nothing": ".nothing", "about": "#ships table"}
    page.wait_for_selector({**ready, "document": ".found mark"}.get(place, ".welcome"))
    if place == "help":
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("?")
    if place == "results":
        page.wait_for_selector("#canvas[data-drawn]")
        page.click("#filters-open")
        page.click(".fold summary")
    found = axe.run(page).response["violations"]
    assert [
        (v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")
    ] == []


def test_about_tells_what_the_index_is(visit, facts):
    page = visit("/about")
    page.wait_for_selector("#ships .verdict")
    text = page.locator("main").inner_text()
    assert f"{facts.info['passages']:,}" in text
    assert facts.info["shipped"] in text
    for model in facts.info["models"]:
        assert model["stamp"]["weights"] in text
    carded = [model["id"] for model in facts.info["models"] if model["card"]]
    if carded:
        page.locator(".model summary").first.click()
        page.wait_for_selector(".model pre")
    page.click("#report summary")
    frame = page.frame_locator("#report iframe")
    frame.locator("h1").wait_for()
    assert "Search index" in frame.locator("h1").inner_text()


@pytest.mark.parametrize("path", ["/", "/about"])
def test_the_policy_of_the_page_is_strict(page_server, path):
    with urllib.request.urlopen(page_server.rstrip("/") + path) as answer:
        text = answer.headers["Content-Security-Policy"]
    policy = dict(part.strip().split(" ", 1) for part in text.split(";") if part.strip())
    assert STRICT.items() <= policy.items()
