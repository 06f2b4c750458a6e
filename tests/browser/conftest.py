"""A real browser against a real installation and a provider fake that keeps its own bill."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.installation import Installation, installation
from tests.fakes.servers import ProviderFake, provider_fake

HERE = Path(__file__).parent
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


class Running:
    """What every browser test uses: started by the first of them in this process, ended with the last."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._parts: dict[str, Any] = {}

    def part[T](self, name: str, start: Callable[[], AbstractContextManager[T]]) -> T:
        """The part of this name, which runs from now on."""
        if name not in self._parts:
            self._parts[name] = self._stack.enter_context(start())
        found: T = self._parts[name]
        return found

    def end(self) -> None:
        self._parts.clear()
        self._stack.close()


running = Running()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the browser tests side by side, whatever their order: an installation takes ten seconds to start."""
    ours = [item for item in items if item.path.parent == HERE]
    if ours:
        at = items.index(ours[0])
        items[:] = [*items[:at], *ours, *(item for item in items[at:] if item.path.parent != HERE)]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path.parent != HERE:
        running.end()


@pytest.fixture
def provider(tmp_path_factory: pytest.TempPathFactory) -> ProviderFake:
    return running.part("provider", lambda: provider_fake(tmp_path_factory.mktemp("provider")))


@pytest.fixture
def shredder(provider: ProviderFake) -> Installation:
    environment = {
        "SHREDDER_OPENAI_BASE_URL": provider.openai_base_url,
        "SHREDDER_ANTHROPIC_BASE_URL": provider.anthropic_base_url,
        "SHREDDER_ALLOW_PRIVATE_UPSTREAMS": "1",
    }
    return running.part("installation", lambda: installation(environment))


@pytest.fixture
def chromium() -> Browser:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed; .ci/run installs it")
    return running.part("browser", browser)


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


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
