"""A real Chromium for tests of the page, driven by playwright; nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",  # containers have no user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """The program: STREAMREFER_CHROMIUM, or the first of the usual names on PATH."""
    wanted = os.environ.get("STREAMREFER_CHROMIUM")
    return wanted or next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Skips where there is no Chromium, unless whoever installed it says that there must be."""
    program = find_chromium()
    if program is None:
        assert not os.environ.get("STREAMREFER_TESTS_NEED_CHROMIUM"), (
            "Chromium was installed but is not found"
        )
        pytest.skip(
            "no Chromium here: install it (Debian: apt-get install chromium) or set STREAMREFER_CHROMIUM"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()
