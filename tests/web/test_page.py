"""The page of `tcalc serve` as a person uses it, in a browser, against the server itself."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from web.person import Visits, api, choose, clipboard, expect, link, settled, write

import tensorcalculus as tc

pytestmark = pytest.mark.slow
# -- formulas and derivatives --------------------------------------------------------------------


def test_opens_with_an_example_that_is_derived_and_checked(visit: Visits) -> None:
    page = visit()
    expect(page.locator("#formula")).to_be_focused()
    expect(page.locator("#formula")).to_have_value("norm2(X*w-y)^2")
    expect(page.locator("#result-title")).to_have_text("gradient by w")
    expect(page.locator("#spelled")).to_have_text("2*X'*(X*w-y)")
    expect(page.locator("#badge")).to_contain_text("✓ checked")
    for box in ("#understood", "#derivative"):
        names = page.locator(f"{box} math").evaluate("(m) => m.namespaceURI")
        assert names == "http://www.w3.org/1998/Math/MathML"


def test_what_is_typed_is_derived_without_more(visit: Visits) -> None:
    page = visit()
    write(page, "sum(log(1+exp(-y.*(X*w))))")
    choose(page, "wrt", "w")
    f = tc.parse("sum(log(1+exp(-y.*(X*w))))")
    expect(page.locator("#spelled")).to_have_text(str(f.gradient("w")))
    assert page.title().startswith("sum(log")
    # Words for who does not see it.
    expect(page.locator("#announce")).to_contain_text("gradient by w")


def test_an_answer_that_comes_late_is_not_shown(visit: Visits) -> None:
    page = visit()
    late = page.request.post("/api/derive", data={"formula": "tr(A)"}).json()
    held: list[Any] = []

    def hold(route: Any) -> None:
        if '"tr(A)+0"' in route.request.post_data:
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/derive", hold)
    write(page, "tr(A)+0")
    page.wait_for_timeout(500)
    write(page, "det(B)")
    expected = str(tc.parse("det(B)").gradient("B"))
    expect(page.locator("#spelled")).to_have_text(expected)
    assert held
    with suppress(api.Error):  # where the page has given it up
        held[0].fulfill(json=late)
    page.wait_for_timeout(500)
    assert page.locator("#spelled").inner_text() == expected
    expect(page.locator("#trouble")).to_be_hidden()


def test_orders_and_mixed_derivatives(visit: Visits) -> None:
    page = visit()
    f = tc.parse("norm2(X*w-y)^2")
    choose(page, "order", "2")
    expect(page.locator("#spelled")).to_have_text(str(f.hessian("w")))
    choose(page, "then", "y")
    expect(page.locator("#result-title")).to_have_text("Hessian by w and y")
    expect(page.locator("#spelled")).to_have_text(str(tc.derivative(f, ("w", "y"), 2)))
    choose(page, "wrt", "X")
    expect(page.locator("#result-title")).to_have_text("Hessian by X and y")
    expect(page.locator("#spelled")).to_have_text(str(tc.derivative(f, ("X", "y"), 2)))
    choose(page, "wrt", "w")
    expect(page.locator("#result-title")).to_have_text("Hessian by w and y")
    choose(page, "order", "0")
    expect(page.locator("#result-title")).to_have_text("function")
    expect(page.locator("#spelled")).to_have_text(str(f))
    expect(page.locator("#wrt-set")).to_be_hidden()
    choose(page, "order", "1")
    expect(page.locator("#result-title")).to_have_text("gradient by w")


def test_a_jacobian_is_called_so(visit: Visits) -> None:
    page = visit(link("tanh(A*x)", wrt="x"))
    expect(page.locator("#result-title")).to_have_text("Jacobian by x")
    expect(page.locator("#order label").nth(1)).to_have_text("Jacobian")
    choose(page, "order", "2")
    expect(page.locator("#result-title")).to_have_text("derivative of order 2 by x")


def test_the_variable_is_kept_while_it_is_away(visit: Visits) -> None:
    page = visit()
    write(page, "norm2(X*u-y)^2")
    expect(page.locator("#result-title")).to_have_text("gradient by X")
    write(page, "norm2(X*w-y)^2")
    expect(page.locator("#result-title")).to_have_text("gradient by w")


def test_an_empty_formula_asks_for_one(visit: Visits) -> None:
    page = visit()
    settled(page)
    page.locator("#formula").fill("")
    expect(page.locator("#empty")).to_contain_text("Type a formula")
    expect(page.locator("#answer")).to_be_hidden()
    assert page.evaluate("location.hash") == ""


# -- variables -----------------------------------------------------------------------------------


def test_kinds_sizes_and_signs_of_variables(visit: Visits) -> None:
    page = visit(link("tr(S*A)", wrt="S"))
    plain = tc.parse("tr(S*A)")
    within = tc.parse("tr(S*A)", S="n n sym")
    square = tc.parse("tr(S*A)", S="n n")
    expect(page.locator("#spelled")).to_have_text(str(plain.gradient("S")))
    kind = page.get_by_label("kind of S")
    kind.select_option("sym")
    expect(page.locator("#spelled")).to_have_text(str(within.gradient("S")))
    expect(page.locator("#symmetry-note")).to_contain_text("within symmetric matrices")
    choose(page, "symmetry", "full")
    expect(page.locator("#spelled")).to_have_text(str(square.gradient("S")))
    assert "symmetry=full" in page.url
    page.get_by_label("size 1 of S").fill("3")
    expect(page.locator("#layout")).to_contain_text("matrix (3, 3)")
    expect(page.get_by_label("size 1 of A")).to_have_value("3")
    page.get_by_label("reset S").click()
    expect(kind).to_have_value("2")
    expect(page.locator("#symmetry-set")).to_be_hidden()
    expect(page.locator("#spelled")).to_have_text(str(plain.gradient("S")))
    assert "d=" not in page.url

    write(page, "sum(abs(x))")
    page.get_by_label("entries of x are at least 0").check()
    expected = tc.parse("sum(abs(x))", x="m nonneg").gradient("x")
    expect(page.locator("#spelled")).to_have_text(str(expected))


def test_changes_of_several_variables_add_up(visit: Visits) -> None:
    page = visit(link("tr(S*A)+tr(B)", wrt="S"))
    settled(page)
    page.get_by_label("kind of A").select_option("sym")
    expect(page.get_by_label("reset A")).to_be_visible()
    page.get_by_label("kind of B").select_option("diag")
    expect(page.get_by_label("reset B")).to_be_visible()
    page.get_by_label("size 1 of A").fill("4")
    expect(page.locator("#layout")).to_contain_text("(4, 4)")
    for name, kind in (("A", "sym"), ("B", "diag")):
        expect(page.get_by_label(f"kind of {name}")).to_have_value(kind)


def test_a_vector_becomes_a_tensor(visit: Visits) -> None:
    page = visit(link("norm2(t)^2", wrt="t"))
    page.get_by_label("kind of t").select_option("3")
    expect(page.locator("#layout")).to_contain_text("tensor of order 3")
    expect(page.get_by_label("size 3 of t")).to_be_visible()


def test_what_is_wrong_with_a_variable_stands_beside_it(visit: Visits) -> None:
    page = visit(link("X*w", wrt="w"))
    settled(page)
    size = page.get_by_label("size 1 of w")
    size.fill("2..n")
    row = page.get_by_role("group", name="variable w")
    expect(row.locator(".wrong")).to_contain_text("2..n")
    expect(size).to_be_focused()
    size.fill("5")
    expect(row.locator(".wrong")).to_be_hidden()
    expect(page.get_by_label("size 2 of X")).to_have_value("5")


def test_declared_variables_that_do_not_occur_can_be_removed(visit: Visits) -> None:
    page = visit(link("tr(A)", d="Q:m n"))
    row = page.get_by_role("group", name="variable Q")
    expect(row).to_contain_text("not in the formula")
    row.get_by_role("button").click()
    expect(row).to_have_count(0)


# -- errors --------------------------------------------------------------------------------------


def test_errors_are_marked_where_they_are_and_the_last_result_stays(visit: Visits) -> None:
    page = visit()
    settled(page)
    write(page, "norm2(X*w-y)^2+lgo(w)")
    expect(page.locator("#mirror mark")).to_have_text("lgo(w)")
    expect(page.locator("#error")).to_contain_text("There is no function 'lgo'")
    expect(page.locator("#formula")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#answer")).to_have_class(re.compile("stale"))
    expect(page.locator("#spelled")).to_have_text("2*X'*(X*w-y)")
    page.get_by_role("button", name="Did you mean 'log'?").click()
    expect(page.locator("#formula")).to_have_value("norm2(X*w-y)^2+log(w)")
    # A vector cannot be added to a scalar: the mark moves.
    expect(page.locator("#error")).not_to_contain_text("lgo")
    page.keyboard.press("Control+z")
    expect(page.locator("#formula")).to_have_value("norm2(X*w-y)^2+lgo(w)")


def test_the_mark_lies_under_the_letters_it_means(visit: Visits) -> None:
    page = visit(link("norm2(X*W-Y)^2", d="X:m n;W:k p"))
    expect(page.locator("#mirror mark")).to_have_text("X*W")
    expect(page.locator("#error")).to_contain_text("the inner dimensions n and k clash")
    # The field and its copy show the same text in the same places.
    same = page.evaluate(
        """() => {
          const [a, b] = ["formula", "mirror"].map((id) => {
            const style = getComputedStyle(document.getElementById(id));
            const box = document.getElementById(id).getBoundingClientRect();
            return [style.font, style.padding, style.borderWidth, style.whiteSpace, box.x, box.y,
                    box.width, box.height].join();
          });
          return a === b;
        }"""
    )
    assert same


def test_letters_beyond_the_basic_plane_do_not_move_the_mark(visit: Visits) -> None:
    page = visit(link('einsum("𝑥𝑥",A)+lgo(x)'))
    expect(page.locator("#mirror mark")).to_have_text("lgo(x)")


def test_an_error_from_the_start_says_that_a_result_will_come(visit: Visits) -> None:
    page = visit(link("norm2(x"))
    expect(page.locator("#error")).to_contain_text("never closed")
    expect(page.locator("#empty")).to_contain_text("as soon as the formula can be read")
    page.locator("#formula").press("End")
    page.keyboard.type(")")
    expect(page.locator("#answer")).to_be_visible()


# -- panels, copies, links -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["steps", "diagram", "cost"])
def test_panels_show_their_part(visit: Visits, name: str) -> None:
    page = visit(link("norm2(X*w-y)^2", wrt="w", show=name))
    settled(page)
    expect(page.get_by_role("tab", selected=True).first).to_have_attribute("data-name", name)
    expect(page.locator("#panel .problem")).to_have_count(0)
    assert len(page.locator("#panel").inner_text()) > 20
    if name == "steps":
        # Where MathML is drawn, it has a size.
        sizes = page.locator("#panel math").evaluate_all(
            "(all) => all.filter((m) => m.checkVisibility())"
            ".map((m) => m.getBoundingClientRect().height)"
        )
        assert sizes and min(sizes) > 5
    if name == "diagram":
        drawn = page.locator("#panel svg")
        expect(drawn).to_have_count(2)
        # Its own style applies, although the policy forbids style elements.
        assert drawn.first.locator("path, circle, rect").first.evaluate(
            "(e) => getComputedStyle(e).stroke"
        ) not in ("none", "")
        with page.expect_download() as loaded:
            page.get_by_role("button", name="Download SVG").first.click()
        text = loaded.value.path().read_text()
        assert text.startswith("<svg") and "</svg>" in text
        page.get_by_role("button", name="Copy TikZ").first.click()
        assert "tikzpicture" in clipboard(page)


def test_code_is_what_the_library_writes(visit: Visits) -> None:
    page = visit(link("norm2(X*w-y)^2", wrt="w", show="code"))
    f = tc.parse("norm2(X*w-y)^2")
    outputs = [f, f.gradient("w")]
    for language, label in (("numpy", "NumPy"), ("torch", "PyTorch"), ("jax", "JAX")):
        page.get_by_role("tab", name=label).click()
        expected = tc.codegen(outputs, language)
        assert page.locator("#panel pre").text_content() == expected
        page.get_by_role("button", name="Copy code").click()
        expect(page.locator("#announce")).to_have_text(f"{label} code copied")
        assert clipboard(page) == expected
    with page.expect_download() as loaded:
        page.get_by_role("button", name="Download").click()
    assert loaded.value.suggested_filename == "derivative_jax.py"
    assert loaded.value.path().read_text() == tc.codegen(outputs, "jax")


def test_the_check_is_shown(visit: Visits) -> None:
    page = visit(link("logdet(S)", d="S:n n spd", wrt="S"))
    badge = page.locator("#badge")
    expect(badge).to_have_text(re.compile(r"✓ checked: error \d(\.\d)?e-1\d"))
    badge.click()
    expect(page.get_by_role("tab", name="Check")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#panel tbody tr")).to_contain_text("complex step")


def test_copies(visit: Visits) -> None:
    page = visit(link("norm2(X*w-y)^2", wrt="w"))
    df = tc.parse("norm2(X*w-y)^2").gradient("w")
    expected = {
        "Text": str(df),
        "LaTeX": df.to_latex(),
        "einsum": df.to_einsum(),
        "Index": df.to_index(),
        "Markdown": f"$$\n{df.to_latex()}\n$$",
    }
    copies = page.locator("#copies")
    for label, text in expected.items():
        copies.get_by_role("button", name=label, exact=True).click()
        expect(copies.get_by_role("button", name="Copied").first).to_be_visible()
        assert text in clipboard(page)
        expect(page.locator("#spelled")).to_contain_text(text.split("\n")[0])


def test_a_shared_link_restores_everything(visit: Visits) -> None:
    first = visit()
    write(first, "logdet(S)+(x-u)'*inv(S)*(x-u)")
    first.get_by_label("kind of S").select_option("spd")
    choose(first, "wrt", "S")
    choose(first, "order", "2")
    choose(first, "then", "x")
    choose(first, "symmetry", "full")
    first.get_by_role("tab", name="Check").click()
    settled(first)
    first.get_by_role("button", name="Copy link").click()
    address = clipboard(first)
    assert address == first.url
    second = visit(address[address.index("#") :])
    settled(second)
    for page in (first, second):
        expect(page.locator("#result-title")).to_have_text("Hessian by S and x")
    for what in ("#spelled", "#layout", "#panel", "#symmetry-note"):
        assert second.locator(what).inner_text() == first.locator(what).inner_text()
    expect(second.locator("#formula")).to_have_value("logdet(S)+(x-u)'*inv(S)*(x-u)")
    expect(second.get_by_label("kind of S")).to_have_value("spd")
    assert second.url == address


@pytest.mark.parametrize(
    "fragment",
    [
        *("#", "#f=", "#f=%E0%A4%A", "#f=x&order=99&wrt=&d=::;;:&show=nothing", "#&&&===f"),
        *("#f=tr(A)&d=__proto__:n;constructor:m", "#f=tr(A)&wrt=A,A,A,A&order=2"),
        "#f=" + "x%2B" * 5000 + "x",
    ],
)
def test_links_that_are_broken_break_nothing(visit: Visits, fragment: str) -> None:
    page = visit(fragment)
    expect(page.locator("#answer:visible, #error:visible").first).to_be_visible()
    write(page, "tr(A)")
    expect(page.locator("#formula")).to_have_value("tr(A)")


def test_every_example_works_and_the_way_back_leads_back(visit: Visits) -> None:
    page = visit(link("tr(A'*A)", wrt="A"))
    buttons = page.locator("#examples button")
    expect(buttons.first).to_be_visible()
    assert buttons.count() >= 10
    for k in range(buttons.count()):
        buttons.nth(k).click()
        expect(page.locator("#formula")).to_have_value(buttons.nth(k).get_attribute("title"))
        settled(page)
        expect(page.locator("#error")).to_be_hidden()
        expect(page.locator("#badge")).to_contain_text("✓ checked")
    for _ in range(buttons.count()):
        page.go_back()
    expect(page.locator("#formula")).to_have_value("tr(A'*A)")
    expect(page.locator("#spelled")).to_have_text("2*A")
    page.go_forward()
    expect(page.locator("#formula")).to_have_value(buttons.first.get_attribute("title"))
