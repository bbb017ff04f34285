"""Searching and filtering in a real browser."""

import json
import urllib.parse


def test_results_appear_as_one_types(visit, facts):
    page = visit()
    page.locator("#query").press_sequentially(facts.query, delay=5)
    page.wait_for_selector("a.hit")
    visit.until(page, f"location.hash.includes({json.dumps(facts.query.split()[-1])})")
    page.wait_for_selector("#results:not(.old)")
    first, shown = facts.answer["hits"][0], page.locator("article").first
    assert (first["headings"] or [first["path"].split("/")[-1]])[-1] in shown.inner_text()
    assert first["path"] in shown.inner_text()
    relevant = [hit for hit in facts.answer["hits"] if hit["relevant"]]
    assert page.locator("#results > .hits article").count() == len(relevant)
    assert page.locator("#status").inner_text().startswith(str(len(relevant)))
    points = first["snippet"]
    expected = [points[start:end] for start, end in first["highlights"]]
    assert shown.locator(".snippet mark").all_inner_texts() == expected
    address = urllib.parse.urlsplit(page.url)
    assert not address.query
    assert urllib.parse.parse_qs(address.fragment)["q"] == [facts.query]


def test_a_late_answer_is_dropped(visit, facts):
    held = []

    def handle(route):
        if json.loads(route.request.post_data)["query"] == "slow":
            held.append(route)
        else:
            route.continue_()

    page = visit(before=lambda page: page.route("**/v1/search", handle))
    page.fill("#query", "slow")
    visit.until(page, "location.hash.includes('slow')")
    page.fill("#query", facts.query)
    page.wait_for_selector("a.hit")
    visit.expect("ERR_FAILED")
    assert len(held) == 1
    assert page.locator("article").first.get_attribute("data-id") == facts.answer["hits"][0]["id"]


def test_what_is_typed_while_the_page_loads_stays(visit, facts):
    held = []
    page = visit(before=lambda page: page.route("**/v1/index", lambda route: held.append(route)))
    visit.until(page, "document.querySelector('#query') !== null")
    while not held:
        page.wait_for_timeout(20)
    page.fill("#query", facts.query)
    held[0].continue_()
    page.wait_for_selector("a.hit")
    assert page.input_value("#query") == facts.query


def test_marks_are_counted_in_code_points(visit, facts):
    def change(body):
        body["hits"][0].update(snippet="𝔸𝔹 😀 word", highlights=[[5, 9]])

    page = visit(visit.hash(q=facts.query), before=visit.answering(change))
    assert page.locator("article mark").first.inner_text() == "word"


def test_what_fails_the_cutoff_is_folded_away(visit, facts):
    page = visit(visit.hash(q=facts.query), before=visit.answering(visit.halved))
    page.wait_for_selector("article")
    strong = max(1, len(facts.answer["hits"]) // 2)
    weak = len(facts.answer["hits"]) - strong
    assert page.locator("#results > .hits article").count() == strong
    assert "fewer than 5 in 100 are likely relevant" in page.locator(".cut").inner_text()
    assert not page.locator(".fold article").first.is_visible()
    page.click(".fold summary")
    assert page.locator(".fold article").count() == weak
    assert page.locator(".fold article").first.is_visible()
    assert page.locator("article .chance").first.inner_text().startswith("40%")


def test_nothing_relevant_is_an_answer(visit, facts):
    page = visit(
        visit.hash(q=facts.query, kind=facts.info["kinds"][0]["name"]),
        before=visit.answering(visit.silenced),
    )
    page.wait_for_selector(".nothing")
    assert page.locator("#status").inner_text() == "Nothing relevant found"
    assert "below the cut-off" in page.locator(".nothing").inner_text()
    page.click(".fold summary")
    assert page.locator(".fold article").first.is_visible()
    page.click("text=Search without filters")
    visit.until(page, "!location.hash.includes('kind')")


def test_no_hit_at_all(visit):
    page = visit(visit.hash(q="qzxvwkj", by="lexical"))
    page.wait_for_selector(".nothing")
    assert "No passage of the collection matches" in page.locator(".nothing").inner_text()


def test_more_results(visit, facts):
    page = visit(visit.hash(q=facts.query, by="vector"))
    page.wait_for_selector("article")
    assert page.locator("article").count() == 20
    page.click("text=Show more results")
    visit.until(page, "document.querySelectorAll('article').length > 20")


def test_back_and_forward(visit, facts):
    page = visit(visit.hash(q="first"))
    page.wait_for_selector("#results > :not(.unseen)")
    page.fill("#query", facts.query)
    page.wait_for_selector(f'a.hit[data-id="{facts.answer["hits"][0]["id"]}"]')
    page.go_back()
    visit.until(page, "document.getElementById('query').value === 'first'")
    page.go_forward()
    page.wait_for_selector(f'a.hit[data-id="{facts.answer["hits"][0]["id"]}"]')
    assert page.input_value("#query") == facts.query


def test_filters_reach_the_server_and_show_as_chips(visit, facts):
    folder = facts.answer["hits"][0]["path"]
    page = visit(visit.hash(q=facts.query))
    page.wait_for_selector("article")
    page.click("#filters-open")
    page.fill("#path", folder)
    with page.expect_request("**/v1/search") as sent:
        page.press("#path", "Enter")
    assert json.loads(sent.value.post_data)["filter"] == {"paths": [folder]}
    page.wait_for_selector(".chips button")
    paths = "[...document.querySelectorAll('article .path')]"
    visit.until(page, f"(path) => {paths}.every((p) => p.textContent === path)", folder)
    with page.expect_request("**/v1/search") as sent:
        page.fill("#after", facts.info["first_date"])
    with page.expect_request("**/v1/search") as sent:
        page.select_option("#mode", "vector")
    body = json.loads(sent.value.post_data)
    assert body["mode"] == "vector"
    assert body["filter"] == {"paths": [folder], "after": facts.info["first_date"]}
    assert page.locator("#filters-open").inner_text() == "Filters (2)"
    page.click("text=clear all")
    visit.until(page, "!location.hash.includes('in=')")
    assert page.locator(".chips button").count() == 0


def test_folders_can_be_ticked(visit, facts):
    page = visit(visit.hash(q=facts.query), before=visit.foldered)
    page.wait_for_selector("article")
    page.click("#filters-open")
    first = page.locator("#folders input").first
    with page.expect_request("**/v1/search") as sent:
        first.check()
    assert json.loads(sent.value.post_data)["filter"] == {"paths": [first.input_value()]}
    page.reload()
    page.wait_for_selector(".chips button")
    page.click("#filters-open")
    assert page.locator("#folders input").first.is_checked()
