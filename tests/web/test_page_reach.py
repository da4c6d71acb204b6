"""The page on phones, by keys alone, in the dark, with markup typed in, and without its server."""

from __future__ import annotations

import re
from typing import Any

import pytest
from web.person import Visits, expect, link, settled, write

import tensorcalculus as tc

pytestmark = pytest.mark.slow
LONG = "+".join(f"norm2(A{k}*tanh(B{k}*x)-y)^2" for k in range(12))
PHONES = (390, 320)

# -- widths, keys, colours -----------------------------------------------------------------------


@pytest.mark.parametrize("width", [*PHONES, 768])
@pytest.mark.parametrize("formula", ["norm2(X*w-y)^2", LONG])
def test_nothing_is_wider_than_the_screen(visit: Visits, width: int, formula: str) -> None:
    page = visit(link(formula, order=2), width=width, height=800, has_touch=True, is_mobile=True)
    page.locator("#variables-card").evaluate("(e) => { e.open = true; }")
    for tab in ("steps", "diagram", "code", "check", "cost"):
        page.locator(f"#tab-{tab}").click()
        settled(page)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, tab
    # What is too small is not hit by a finger.
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input:not([type])")]
          .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 32)
          .map((e) => e.id || e.textContent)"""
    )
    assert small == []


def test_all_is_done_by_keys(visit: Visits) -> None:
    page = visit()
    settled(page)
    keys = page.keyboard
    page.locator("#theme").focus()
    keys.press("Tab")
    expect(page.locator("#formula")).to_be_focused()
    page.locator("#theme").focus()
    keys.press("/")
    expect(page.locator("#formula")).to_be_focused()
    assert page.locator("#formula").input_value() == "norm2(X*w-y)^2"

    # From the formula through the examples to order, variable and kinds.
    seen = []
    for _ in range(45):
        keys.press("Tab")
        seen.append(
            page.evaluate(
                "document.activeElement.getAttribute('aria-label') ?? (document.activeElement.name"
                " || document.activeElement.id || document.activeElement.textContent)"
            )
        )
    wanted = ["order", "wrt", "kind of X", "size 1 of X", "badge", "LaTeX", "tab-steps", "panel"]
    places = [seen.index(name) for name in wanted]
    assert places == sorted(places)

    page.locator("#order input:checked").focus()
    keys.press("ArrowRight")
    expect(page.locator("#result-title")).to_have_text("Hessian by w")
    focused = "document.activeElement.value"
    assert page.evaluate(focused) == "2"  # the focus stays although all is shown anew
    page.locator("#tab-steps").focus()
    for key, tab in (("ArrowRight", "diagram"), ("End", "cost"), ("ArrowRight", "steps")):
        keys.press(key)
        expect(page.locator(f"#tab-{tab}")).to_be_focused()
        expect(page.locator(f"#tab-{tab}")).to_have_attribute("aria-selected", "true")
    assert page.locator("#tabs [tabindex='0']").count() == 1

    keys.press("/")
    keys.press("Control+a")
    keys.type("tr(A)")
    keys.press("Control+Enter")
    expect(page.locator("#spelled")).to_have_text(str(tc.parse("tr(A)").hessian("A")))
    keys.press("Enter")
    expect(page.locator("#formula")).to_have_value("tr(A)")


def test_the_focus_can_be_seen(visit: Visits) -> None:
    page = visit()
    settled(page)
    for what in ("#help-open", "#tab-steps", "#copies button", "#variables select"):
        page.locator(what).first.focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) == "solid"


def test_the_notation_is_searched_and_put_into_the_formula(visit: Visits) -> None:
    page = visit()
    page.locator("#help-open").press("Enter")
    expect(page.locator("#search")).to_be_focused()
    expect(page.locator("#functions button").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator("#help-open")).to_be_focused()
    page.keyboard.press("?")
    page.locator("#search").fill("logdet")
    expect(page.locator("#functions button").first).to_have_text("logdet(A)")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator("#formula")).to_be_focused()
    page.keyboard.type("S")
    expect(page.locator("#formula")).to_have_value(re.compile(r"logdet\(S\)"))


def test_colours_are_chosen_and_kept(visit: Visits) -> None:
    page = visit(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("#theme").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark
    assert visit(color_scheme="dark").evaluate(ground) == dark


# -- markup, and a server that is busy or gone ---------------------------------------------------

MARKUP = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'


@pytest.mark.parametrize(
    "fragment",
    [
        link(MARKUP),
        link(f"tr(A)+'{MARKUP}'"),
        link("tr(A)", d=f"A:{MARKUP}"),
        link("tr(A)", d=f"{MARKUP}:n n"),
        link("tr(A)", wrt=MARKUP, show=MARKUP, symmetry=MARKUP),
        "#f=" + MARKUP,
    ],
)
def test_markup_stays_text(visit: Visits, fragment: str) -> None:
    page = visit(fragment)
    expect(page.locator("#answer:visible, #error:visible, .wrong:visible").first).to_be_visible()
    page.wait_for_timeout(300)
    assert page.evaluate("window.owned") is None
    assert page.locator("img, body script").count() == 0


def test_a_busy_server_is_asked_again(visit: Visits) -> None:
    page = visit()
    settled(page)
    answers = []

    def busy(route: Any) -> None:
        answers.append(route)
        if len(answers) < 3:
            route.fulfill(
                status=429,
                headers={"Retry-After": "1"},
                json={"error": {"kind": "Busy", "message": "the server has enough to do"}},
            )
        else:
            route.continue_()

    page.route("**/api/derive", busy)
    write(page, "tr(A)")
    expect(page.locator("#state")).to_contain_text("busy")
    expect(page.locator("#result-title")).to_have_text("gradient by A")
    expect(page.locator("#state")).to_have_text("")


def test_a_limit_is_told_and_can_be_tried_again(visit: Visits) -> None:
    page = visit()
    settled(page)
    words = "it takes longer than the 5 seconds that a request may take"
    page.route(
        "**/api/derive",
        lambda route: route.fulfill(
            status=504, json={"error": {"kind": "LimitError", "message": words, "field": None}}
        ),
    )
    write(page, "tr(A)")
    expect(page.locator("#trouble")).to_contain_text("5 seconds")
    page.unroute("**/api/derive")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#spelled")).to_have_text(str(tc.parse("tr(A)").gradient("A")))
    expect(page.locator("#trouble")).to_be_hidden()


def test_a_server_that_went_away_and_came_back(visit: Visits, served: Any) -> None:
    server = type(served)()
    page = visit(server=server)
    settled(page)
    server.stop()
    write(page, "tr(A)")
    expect(page.locator("#trouble")).to_contain_text("does not answer")
    expect(page.locator("#formula")).to_have_value("tr(A)")
    again = type(served)(server.port)
    try:
        expect(page.locator("#result-title")).to_have_text("gradient by A")
        expect(page.locator("#trouble")).to_be_hidden()
        settled(page)  # a server that ends answers what it is at with an error
    finally:
        again.stop()
