"""Start a headless Chromium for tests that look at a page."""

import shutil
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

# They keep it from its maker's servers, and let root run it.
_ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb", "--lang=en",
)  # fmt: skip


def start(profile: Path) -> Chrome:
    """Start the browser; skip the test where there is none.

    Args:
        profile: Empty directory for its profile.
    """
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip(
            "there is no Chromium with its driver: apt-get install chromium chromium-driver"
        )
    options = ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    return Chrome(options=options, service=Service(driver))


def resize(browser: Chrome, width: int, height: int = 900) -> None:
    """Set the size of the window, in pixels."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def open_html(browser: Chrome, html: str, directory: Path, fragment: str = "") -> None:
    """Open a page from a file."""
    file = directory / "page.html"
    file.write_text(html)
    browser.get("about:blank")
    browser.get(file.as_uri() + fragment)
