"""A real browser against a real installation and a provider fake that keeps its own bill."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.installation import Installation, installation
from tests.fakes.servers import ProviderFake, provider_fake

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
ZONE = "Europe/Oslo"
PATIENCE_SECONDS = 20  # a busy machine draws slowly; what is right is shown at once

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@dataclass
class Reader:
    """A person at the browser, and what the browser complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Collect policy violations, console errors, uncaught exceptions and broken answers."""
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.expose_function("reportViolation", lambda text: self.complaints.append(f"policy: {text}"))
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', event =>"
            " reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`))"
        )
        self.page.on("response", self._look)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console: {message.text}")

    def _look(self, response: object) -> None:
        status = getattr(response, "status", 0)
        if status >= 400:
            self.complaints.append(f"answer {status}: {getattr(response, 'url', '')}")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderFake]:
    with provider_fake(tmp_path_factory.mktemp("provider")) as fake:
        yield fake


@pytest.fixture(scope="module")
def shredder(provider: ProviderFake) -> Iterator[Installation]:
    environment = {
        "SHREDDER_OPENAI_BASE_URL": provider.openai_base_url,
        "SHREDDER_ANTHROPIC_BASE_URL": provider.anthropic_base_url,
        "SHREDDER_ALLOW_PRIVATE_UPSTREAMS": "1",
    }
    with installation(environment) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed; .ci/run installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def reader(chromium: Browser, shredder: Installation) -> Iterator[Reader]:
    context = chromium.new_context(base_url=shredder.url, timezone_id=ZONE, viewport={"width": 1280, "height": 850})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    someone = Reader(context.new_page())
    someone.watch()
    yield someone
    context.close()


@pytest.fixture
def scriptless(chromium: Browser, shredder: Installation) -> Iterator[BrowserContext]:
    """A browser in which scripts are off."""
    context = chromium.new_context(base_url=shredder.url, java_script_enabled=False)
    yield context
    context.close()
