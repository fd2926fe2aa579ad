"""Headless Chromium for the tests of this folder, and a watch on all it does."""

import shutil
from urllib.parse import urlsplit

import pytest

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="session")
def chromium():
    api = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install 'microrecur[test]'"
    )
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        yield browser
        browser.close()


class Watch:
    """What a page did that a good page does not do."""

    def __init__(self, page):
        self.page, self.faults, self.requests = page, [], []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("dialog", self._asked)
        page.on("request", lambda request: self.requests.append(request.url))

    def _said(self, message):
        if message.type in ("error", "warning"):
            self.faults.append(f"console: {message.text} ({message.location.get('url')})")

    def _asked(self, dialog):
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def foreign(self):
        """Requests that leave this machine."""
        split = [(url, urlsplit(url)) for url in self.requests]
        local = ("127.0.0.1", "localhost", "", None)
        return [u for u, parts in split if parts.scheme != "file" and parts.hostname not in local]


@pytest.fixture
def watch(chromium):
    page = chromium.new_page(viewport={"width": 1140, "height": 800})
    page.set_default_timeout(10_000)
    yield Watch(page)
    page.close()
