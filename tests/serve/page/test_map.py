"""The map: drawn, lit, clicked, filtered by."""

import base64
import re
import urllib.parse


def test_map_draws_lights_and_opens(visit, facts):
    page = visit(visit.hash(q=facts.query, map=1))
    visit.lit(page)
    shown = facts.call("/v1/map")
    assert page.locator("#canvas").get_attribute("data-drawn") == str(shown["count"])
    assert len(page.locator("#legend button").all()) == len(shown["groups"])
    picture = base64.b64encode(page.locator("#canvas canvas").screenshot()).decode()
    colours = page.evaluate(
        """async (data) => {
          const picture = new Image();
          picture.src = `data:image/png;base64,${data}`;
          await picture.decode();
          const canvas = new OffscreenCanvas(picture.width, picture.height);
          const pen = canvas.getContext("2d");
          pen.drawImage(picture, 0, 0);
          const { data: bytes } = pen.getImageData(0, 0, picture.width, picture.height);
          let painted = 0;
          for (let at = 0; at < bytes.length; at += 4) {
            const [r, g, b] = [bytes[at], bytes[at + 1], bytes[at + 2]];
            if (Math.max(r, g, b) - Math.min(r, g, b) > 25) painted += 1;
          }
          return painted;
        }""",
        picture,
    )
    assert colours > 300
    # What lies on top at a hit is the best hit there: the first is drawn last.
    hit = facts.answer["hits"][0]
    x, y = visit.place_of(page, hit["row"])
    page.mouse.move(x, y)
    page.wait_for_selector("#tip:not([hidden])")
    assert hit["path"] in page.locator("#tip").inner_text()
    page.mouse.click(x, y)
    page.wait_for_selector("#document[open] .found")
    assert page.locator("#document .found").get_attribute("data-id") == hit["id"]


def test_a_dot_that_was_not_found_opens_too(visit, facts):
    page = visit(visit.hash(map=1))
    visit.drawn(page)
    # Where dots overlap another one may lie on top, so any passage will do.
    x, y = visit.place_of(page, facts.answer["hits"][0]["row"])
    page.mouse.click(x, y)
    page.wait_for_selector("#document[open] .found")


def test_legend_filters(visit, facts):
    page = visit(visit.hash(q=facts.query, map=1), before=visit.foldered)
    visit.lit(page)
    page.locator("#legend button").first.click()
    page.wait_for_selector(".chips button")
    pressed = [b.get_attribute("aria-pressed") for b in page.locator("#legend button").all()]
    assert pressed[0] == "true"
    assert set(pressed[1:]) == {"false"}
    page.locator("#legend button").first.click()
    visit.until(page, "!location.hash.includes('in=')")


def test_map_of_another_generation_is_loaded_anew(visit, facts):
    asked = []

    def before(page):
        page.route(
            re.compile(r"/v1/passages\?"),
            lambda route: route.fulfill(status=409, json={"error": {"message": "changed"}}),
        )
        page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/v1/map") else None)

    visit.expect("409")
    page = visit(visit.hash(map=1), before=before)
    visit.drawn(page)
    page.mouse.click(*visit.place_of(page, facts.answer["hits"][0]["row"]))
    loads = "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/v1/map'))"
    visit.until(page, f"{loads}.length > 1")
    page.wait_for_selector("#canvas[data-drawn]")
    assert len(asked) >= 2


def test_everything_is_loaded_anew_when_the_index_was_updated(visit, facts):
    updated, asked = [], []

    def handle(route):
        if not updated:
            return route.continue_()
        asked.append(urllib.parse.urlsplit(route.request.url).path)
        answer = route.fetch()
        return route.fulfill(
            response=answer, headers={**answer.headers, "x-vecsmith-index": "0123456789ab"}
        )

    page = visit(
        visit.hash(q=facts.query, map=1), before=lambda page: page.route("**/v1/**", handle)
    )
    visit.lit(page)
    updated.append(True)
    page.select_option("#mode", "lexical")
    for path in ("/v1/index", "/v1/map", "/v1/map/points"):
        for _ in range(200):
            if path in asked:
                break
            page.wait_for_timeout(25)
        assert path in asked
    visit.lit(page)


def test_without_webgl_there_is_a_sentence(visit, facts):
    script = "HTMLCanvasElement.prototype.getContext = () => null"
    page = visit(visit.hash(q=facts.query, map=1), before=lambda page: page.add_init_script(script))
    page.wait_for_selector("article")
    assert "needs WebGL 2" in page.locator("#map-words").inner_text()
