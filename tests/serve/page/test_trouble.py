"""What the page says when the server is busy, gone, or wants a key."""


def test_a_busy_server_is_asked_again(visit, facts):
    tries = []

    def handle(route):
        tries.append(1)
        if len(tries) > 1:
            return route.continue_()
        error = {"error": {"message": "busy", "type": "busy", "param": None, "code": None}}
        return route.fulfill(status=429, headers={"Retry-After": "1"}, json=error)

    visit.expect("429")
    page = visit(visit.hash(q=facts.query), before=lambda page: page.route("**/v1/search", handle))
    visit.until(page, "document.getElementById('aside').textContent.includes('busy')")
    page.wait_for_selector("article")


def test_a_server_that_is_gone_is_said_in_words(visit, facts):
    gone = [True]

    def handle(route):
        return route.abort() if gone else route.continue_()

    visit.expect("ERR_FAILED")
    page = visit(visit.hash(q=facts.query), before=lambda page: page.route("**/v1/search", handle))
    page.wait_for_selector("#notice:not([hidden])")
    assert "cannot be reached" in page.locator("#notice").inner_text()
    gone.clear()
    page.click("text=Try again")
    page.wait_for_selector("article")
    assert not page.locator("#notice").is_visible()


def test_the_key_is_asked_for_and_traded(visit, facts):
    held = []

    def session(route):
        right = route.request.headers.get("authorization") == "Bearer s3cret"
        held.extend([1] * right)
        route.fulfill(status=204 if right else 401, body="")

    def guard(route):
        return route.continue_() if held else route.fulfill(status=401, json={})

    def before(page):
        page.route("**/v1/*", guard)
        page.route("**/v1/session", session)

    visit.expect("401")
    page = visit(visit.hash(q=facts.query), before=before)
    page.wait_for_selector("#key[open]")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    visit.until(page, "document.getElementById('key-words').textContent.includes('not know')")
    page.fill("#key-value", "s3cret")
    page.keyboard.press("Enter")
    page.wait_for_selector("article")
    assert "s3cret" not in page.content()
    assert page.locator("#sign-out").is_visible()
