"""Keys, and the document at its passage."""

import json
import re

HOSTILE = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>'


def test_keys(visit, facts):
    page = visit(visit.hash(q=facts.query))
    page.wait_for_selector("article")
    focused = "document.activeElement.dataset.id ?? document.activeElement.id"
    ids = [hit["id"] for hit in facts.answer["hits"] if hit["relevant"]]
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == ids[0]
    if len(ids) > 1:
        page.keyboard.press("j")
        assert page.evaluate(focused) == ids[1]
        page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_selector("#document[open] .found")
    page.keyboard.press("Escape")
    page.wait_for_selector("#document:not([open])", state="attached")
    visit.until(page, f"({focused}) === {json.dumps(ids[0])}")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.keyboard.press("/")
    assert page.evaluate(focused) == "query"
    page.keyboard.type("/?j")
    assert page.input_value("#query") == "/?j"


def test_a_document_opens_at_its_passage(visit, facts):
    hit = facts.answer["hits"][0]
    passage = facts.call(f"/v1/passages/{hit['id']}")
    page = visit(visit.hash(q=facts.query))
    page.locator("a.hit").first.click()
    found = page.wait_for_selector("#document[open] .found")
    page.wait_for_selector("#document .found mark")
    words = passage["text"].split() or passage["summary"].split()
    assert " ".join(words[:8]) in " ".join(found.inner_text().split())
    box, body = found.bounding_box(), page.locator("#document-body").bounding_box()
    assert body["y"] - 1 <= box["y"] < body["y"] + body["height"]
    assert hit["path"] in page.locator("#document-title").inner_text()
    assert f"open={hit['id']}" in page.url
    # The text goes on to both ends of the document.
    document = facts.call(f"/v1/documents/{passage['document_id']}?limit=1")
    for _ in range(document["count"] // 50 + 2):
        for side in ("earlier", "later"):
            button = page.locator(f"[data-side={side}] button")
            if button.is_visible():
                button.click()
                visit.until(page, f"!document.querySelector('[data-side={side}] :disabled')")
    assert page.locator(".passage").count() == document["count"]
    page.click("#document-close")
    page.wait_for_selector("#document:not([open])", state="attached")
    page.go_forward()
    page.wait_for_selector("#document[open] .found")
    page.reload()
    page.wait_for_selector("#document[open] .found")


def test_a_passage_that_is_gone(visit):
    visit.expect("404")
    page = visit(visit.hash(open="nothing-of-the-kind"))
    page.wait_for_selector("#document-body .notice")
    assert "no longer there" in page.locator("#document-title").inner_text()


def test_text_never_becomes_markup(visit, facts):
    def change(body):
        for hit in body["hits"]:
            hit.update(path=f"a/{HOSTILE}", headings=[HOSTILE], snippet=HOSTILE)
            hit.update(highlights=[[0, 4]], kind=HOSTILE, relevant=True)

    def passages(route):
        answer = route.fetch()
        body = answer.json()
        for passage in body.get("passages", [body]):
            passage.update(text=HOSTILE, summary=HOSTILE, headings=[HOSTILE])
        body["path"] = HOSTILE
        route.fulfill(response=answer, json=body)

    def before(page):
        visit.answering(change)(page)
        page.route(re.compile(r"/v1/(passages|documents)/"), passages)

    page = visit(visit.hash(q=HOSTILE, **{"in": HOSTILE}), before=before)
    if not page.locator("a.hit").count():
        page.click(".chips button")
    page.locator("a.hit").first.click()
    page.wait_for_selector("#document[open] .found")
    assert HOSTILE in page.locator("#document .found").inner_text()
    assert page.evaluate("window.broken") is None
    assert page.locator("img").count() == 0
