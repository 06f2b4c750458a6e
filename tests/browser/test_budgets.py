"""Budgets, top-up and guards in a real browser: nothing is lost while one types; without scripts all of it works."""

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Reader
from tests.browser.installation import Installation
from tests.browser.test_first_call import PHONE, create_agent, sign_up

POLL_MILLISECONDS = 6_000  # the living part of the page asks again within this


def settle_in(page: Page, shredder: Installation, email: str, organisation: str) -> str:
    """Sign up, found an organisation, make an agent; returns the address of the agent's page."""
    sign_up(page, shredder, email)
    page.get_by_label("Organisation name").fill(organisation)
    page.get_by_role("button", name="Continue").click()
    create_agent(page, "support-triage", daily_budget="5")
    page.goto("/agents/")
    page.get_by_role("link", name="support-triage").click()
    return page.url


def test_what_is_typed_stays_while_the_page_renews_itself(reader: Reader, shredder: Installation) -> None:
    page = reader.page
    agent = settle_in(page, shredder, "alice@acme.example", "Acme Robotics")
    page.goto(f"{agent}#top-up")
    amount = page.get_by_label("Amount in US dollars")
    expect(amount).to_be_in_viewport()
    amount.fill("2.50")
    with page.expect_response(agent, timeout=2 * POLL_MILLISECONDS):
        pass
    expect(amount).to_have_value("2.50")
    page.get_by_role("button", name="Add for today").click()
    expect(page.locator("main")).to_contain_text("support-triage may spend $2.50 more until")
    expect(page.locator("#agent-live")).to_contain_text("of $7.50 spent")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for address in (agent, f"{agent}budgets/", f"{agent}guards/", "/settings/budgets/"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], address
    assert reader.complaints == []


def test_all_of_it_works_without_scripts(scriptless: BrowserContext, shredder: Installation) -> None:
    page = scriptless.new_page()
    agent = settle_in(page, shredder, "charlie@borealis.example", "Borealis")
    page.goto(f"{agent}budgets/")
    page.get_by_text("Per session", exact=True).click()
    form = page.locator("#preset-session")
    form.get_by_label("Limit in US dollars").fill("10,5")
    form.get_by_label("Limit in calls").fill("40")
    form.get_by_role("button", name="Add budget").click()
    # The form is still open and says what is wrong at its field.
    expect(form.get_by_text("Write the amount as a plain number of dollars")).to_be_visible()
    form.get_by_label("Limit in US dollars").fill("2")
    form.get_by_role("button", name="Add budget").click()
    expect(page.locator("main")).to_contain_text("At most $2.00 and 40 calls per session")
    page.get_by_role("link", name="Change calls").click()
    page.get_by_label("Limit in calls").fill("")
    page.get_by_role("button", name="Save budget").click()
    expect(page.locator("main")).to_contain_text("Unlimited calls per session, only counted")
    page.goto(f"{agent}guards/")
    page.get_by_label("Models").fill("gpt-4o\ngpt-4o-mini")
    page.get_by_label("The same message again").select_option("block")
    page.get_by_role("button", name="Save guards").click()
    expect(page.locator("#guards")).to_contain_text("gpt-4o, gpt-4o-mini")
