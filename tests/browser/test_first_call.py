"""From the public page to the first refusal, as a newcomer walks it (D1)."""

import re

import openai
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from agents.forms import NAME_MAX
from agents.money import usd_exact
from tests.browser.conftest import ZONE, Reader
from tests.browser.installation import Installation
from tests.fakes.servers import ProviderFake

PASSWORD = "correct horse battery staple"
PROVIDER_KEY = "sk-proj-browser-canary-1"
PHONE = {"width": 390, "height": 844}
LIVE_SECONDS = 20  # the box asks every few seconds


def test_newcomer_sees_the_first_call_live_and_then_a_refusal(
    reader: Reader, shredder: Installation, provider: ProviderFake
) -> None:
    page = reader.page
    sign_up(page, shredder, "ada@acme.example")
    found_organisation(page)
    connect_provider(page)
    live_key = create_agent(page, "support-triage", daily_budget="0.01")
    expect(page.get_by_role("heading", name="Waiting for the first call")).to_be_visible()

    client = openai.OpenAI(base_url=f"{shredder.url}/proxy/v1", api_key=live_key)
    billed_before_pico = provider.billed_pico()  # other tests may have called before
    ask(client, output_tokens=20)
    expect(page.get_by_role("heading", name="The first call is here")).to_be_visible(timeout=LIVE_SECONDS * 1000)
    page.get_by_role("link", name="See the call").click()
    expect(page.locator("main")).to_contain_text(usd_exact(provider.billed_pico() - billed_before_pico))

    page.goto("/calls/")
    asked_before = provider.stats()["requests"]
    with pytest.raises(openai.RateLimitError, match="support-triage"):
        ask(client, output_tokens=16_000)
    asked_after = provider.stats()["requests"]
    assert asked_after == asked_before, "a refused call reached the provider"
    expect(page.locator("main")).to_contain_text("Refused", timeout=LIVE_SECONDS * 1000)
    page.locator(".filters summary").click()
    page.locator("[name=since]").fill("2026-11-01")
    expect(page.locator("[name=range]")).to_have_value("custom")
    page.locator("[name=range]").select_option("7d")
    expect(page.locator("[name=since]")).to_have_value("")
    page.goto("/overview/")
    expect(page.locator("main")).to_contain_text("1 refused")

    walk_on_a_phone(page)
    assert reader.complaints == []


def test_everything_on_the_way_works_without_scripts(scriptless: BrowserContext, shredder: Installation) -> None:
    page = scriptless.new_page()
    sign_up(page, shredder, "bea@acme.example")
    page.get_by_label("Organisation name").fill("Borealis Labs")
    page.get_by_role("button", name="Continue").click()
    page.goto("/settings/providers/openai/")
    page.get_by_label("API key").fill(PROVIDER_KEY)
    page.get_by_role("button", name="Test and save").click()
    expect(page.locator("main")).to_contain_text("Connected")
    key = create_agent(page, "nightly", daily_budget="5")
    ask(openai.OpenAI(base_url=f"{shredder.url}/proxy/v1", api_key=key), output_tokens=10)
    page.get_by_role("link", name="Look now").click()
    expect(page.get_by_role("heading", name="The first call is here")).to_be_visible()
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def sign_up(page: Page, shredder: Installation, email: str) -> None:
    page.goto("/")
    page.get_by_role("main").get_by_role("link", name="Sign up").click()
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    code = re.search(r"^    (\S+)$", shredder.first_mail(to=email), re.MULTILINE)
    assert code
    page.get_by_label("Code").fill(code[1])
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Name your organisation")).to_be_visible()


def found_organisation(page: Page) -> None:
    expect(page.get_by_label("Time zone")).to_have_value(ZONE)  # suggested from the browser's own
    page.get_by_label("Organisation name").fill("Acme Robotics")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="New agent")).to_be_visible()


def connect_provider(page: Page) -> None:
    page.goto("/settings/providers/openai/")
    page.get_by_label("API key").fill(PROVIDER_KEY)
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#check")).to_contain_text("OpenAI accepts this key")
    page.get_by_role("button", name="Test and save").click()
    expect(page.get_by_role("status")).to_contain_text("OpenAI is connected")
    assert PROVIDER_KEY not in page.content()


def create_agent(page: Page, name: str, *, daily_budget: str) -> str:
    page.goto("/agents/new/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Daily budget").fill(daily_budget)
    page.get_by_role("button", name="Create agent").click()
    key = page.locator("#live-key").inner_text()
    assert re.fullmatch(r"awx_live_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}", key)
    copy = page.locator('[data-copy="#live-key"]')
    if copy.is_visible():  # only scripts show it
        copy.click()
        expect(copy).to_contain_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == key
    return key


def ask(client: openai.OpenAI, *, output_tokens: int) -> None:
    client.chat.completions.create(
        model="gpt-4o", max_tokens=output_tokens, messages=[{"role": "user", "content": "Which ticket comes first?"}]
    )


def walk_on_a_phone(page: Page) -> None:
    """No page scrolls sideways on a narrow screen, with the longest of names neither."""
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto("/agents/")
    page.get_by_role("link", name="support-triage").click()
    page.locator("#rename_name").fill("W" * NAME_MAX)
    page.get_by_role("button", name="Rename").click()
    agent = page.url
    for address in (
        agent, f"{agent}waiting/", f"{agent}guards/", f"{agent}budgets/", "/overview/", "/agents/", "/calls/",
        f"/calls/?q={'z' * 150}", "/alerts/", "/settings/", "/settings/providers/", "/settings/audit/", "/profile/",
    ):  # fmt: skip
        page.goto(address)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{address} is {wide} px too wide"
