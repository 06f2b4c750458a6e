"""The buttons that stop, in a browser, against a call that runs: with scripts by dialog, without them by page."""

from concurrent.futures import Future, ThreadPoolExecutor

import httpx
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Reader
from tests.browser.installation import Installation
from tests.browser.test_first_call import (
    PHONE,
    PROVIDER_KEY,
    connect_provider,
    create_agent,
    found_organisation,
    sign_up,
)
from tests.fakes.servers import ProviderFake
from tests.proxy.crowd import wait_for
from tests.proxy.load import chat_body

CUT = '"reason":"agent_paused"'


def test_the_buttons_cut_what_runs(reader: Reader, shredder: Installation, provider: ProviderFake) -> None:
    """B5, D2, D3."""
    page = reader.page
    sign_up(page, shredder, "ada+stop@acme.example")
    found_organisation(page)
    connect_provider(page)
    key = create_agent(page, "support-triage", daily_budget="5")
    page.goto("/agents/")
    page.get_by_role("link", name="support-triage").click()
    with ThreadPoolExecutor() as clients:
        call = run_call(clients, shredder, provider, key)
        page.get_by_role("button", name="Stop now").click()
        expect(page.get_by_role("status")).to_contain_text("support-triage is stopped")
        assert CUT in call.result(timeout=20)
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_role("button", name="Stop now")).to_be_visible()

        page.goto("/overview/")
        call = run_call(clients, shredder, provider, key)
        page.get_by_role("link", name="Stop all agents").click()
        question = page.get_by_role("dialog", name="Stop all agents?")
        question.get_by_role("link", name="Cancel").click()
        expect(question).to_be_hidden()
        assert not call.done()
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        page.get_by_role("link", name="Stop all agents").click()
        question.get_by_role("button", name="Stop all agents").click()
        expect(page.get_by_role("status")).to_contain_text("All agents are stopped")
        assert CUT in call.result(timeout=20)
    expect(page.get_by_role("link", name="Stop all agents")).to_have_count(0)
    assert reader.complaints == []


def test_the_red_button_works_without_scripts(
    scriptless: BrowserContext, shredder: Installation, provider: ProviderFake
) -> None:
    """D9."""
    page = scriptless.new_page()
    sign_up(page, shredder, "bea+stop@acme.example")
    page.get_by_label("Organisation name").fill("Borealis Labs")
    page.get_by_role("button", name="Continue").click()
    key = connect_and_create(page)
    with ThreadPoolExecutor() as clients:
        call = run_call(clients, shredder, provider, key)
        page.goto("/overview/")
        page.get_by_role("link", name="Stop all agents").click()
        expect(page.get_by_role("heading", name="Stop all agents?")).to_be_visible()
        page.get_by_role("button", name="Stop all agents").click()
        expect(page.get_by_role("status")).to_contain_text("All agents are stopped")
        assert CUT in call.result(timeout=20)


def connect_and_create(page: Page) -> str:
    page.goto("/settings/providers/openai/")
    page.get_by_label("API key").fill(PROVIDER_KEY)
    page.get_by_role("button", name="Test and save").click()
    expect(page.locator("main")).to_contain_text("Connected")
    return create_agent(page, "nightly", daily_budget="5")


def run_call(clients: ThreadPoolExecutor, shredder: Installation, provider: ProviderFake, key: str) -> Future[str]:
    """A stream that would go on for a minute; returns its text as soon as it runs."""
    connected = provider.stats()["connected"]
    call = clients.submit(_stream, f"{shredder.url}/proxy/v1/chat/completions", key)
    wait_for(lambda: provider.stats()["connected"] > connected)
    return call


def _stream(url: str, key: str) -> str:
    body = chat_body("chunks=1200 chunk_ms=50", stream=True)
    return httpx.post(url, content=body, headers={"authorization": f"Bearer {key}"}, timeout=60).text
