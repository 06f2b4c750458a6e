"""A rate of one's own in a real browser: the example follows what is typed; all of it works without scripts (B20)."""

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Reader
from tests.browser.installation import Installation
from tests.browser.test_first_call import sign_up


def found(page: Page, name: str) -> None:
    page.get_by_label("Organisation name").fill(name)
    page.get_by_role("button", name="Continue").click()
    page.goto("/settings/rates/")


def test_the_example_follows_what_is_typed_and_keeps_the_place(reader: Reader, shredder: Installation) -> None:
    page = reader.page
    sign_up(page, shredder, "alice+rates@acme.example")
    found(page, "Acme Robotics")
    page.get_by_label("Model").fill("acme-70b")
    page.get_by_label("Output").fill("1")
    price = page.get_by_label("Input", exact=True)
    price.press_sequentially("0,25")
    expect(page.locator("#rate-example")).to_contain_text("Use a point for decimals")
    price.fill("0.25")
    expect(page.locator("#rate-example")).to_contain_text("would cost $0.000750")
    expect(price).to_be_focused()
    page.get_by_role("button", name="Save rate").click()
    expect(page.locator("main")).to_contain_text("holds from the next call on")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert reader.complaints == []


def test_a_slip_is_caught_and_confirmed_without_scripts(scriptless: BrowserContext, shredder: Installation) -> None:
    page = scriptless.new_page()
    sign_up(page, shredder, "charlie+rates@borealis.example")
    found(page, "Borealis")
    page.get_by_label("Model").fill("gpt-4o")
    page.get_by_label("Input", exact=True).fill("2500")
    page.get_by_label("Output").fill("10")
    page.get_by_role("button", name="Work out the example").click()
    expect(page.locator("#rate-example")).to_contain_text("by the price list $0.007500")
    page.get_by_role("button", name="Save rate").click()
    expect(page.get_by_role("alert")).to_contain_text("1,000 times the list price")
    page.get_by_label("These prices are right").check()
    page.get_by_role("button", name="Save rate").click()
    expect(page.locator("main")).to_contain_text("holds from the next call on")
    page.get_by_role("link", name="End… gpt-4o").click()
    page.get_by_role("button", name="End the rate").click()
    expect(page.locator("main")).to_contain_text("No rates of your own")
