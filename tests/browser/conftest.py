"""Start a headless Chromium for tests that look at a page."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

# The first nine keep it from its maker's servers, and let root run it.
_ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb", "--lang=en",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip(
            "there is no Chromium with its driver: apt-get install chromium chromium-driver"
        )
    options = ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in (*_ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(argument)
    browser = Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture
def browser(browser_of_session: Chrome) -> Iterator[Chrome]:
    """A browser with a window of 1280 pixels; the test fails if the page writes to its console."""
    browser = browser_of_session
    resize(browser, 1280)
    yield browser
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


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
