"""Make the pictures of README.md and docs/ from real runs: output of a terminal as SVG, a page as PNG."""

import io
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

# Runs a command line in a directory with more environment variables, and returns what it prints.
Run = Callable[[str, str, dict[str, str]], str]

_COLUMNS = 120
_TERMINAL = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "NO_COLOR": "", "COLUMNS": str(_COLUMNS)}
_WIDTH_PX = 1200
_BROWSER = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--hide-scrollbars",
)  # fmt: skip
# Name of the picture to the part of the page that it shows.
_PARTS = {
    "report.png": "#s1-map",
    "timeline.png": "details.trial[open]",
}


def terminal_svg(lines: list[str], run: Run) -> str:
    """Return a picture of what the last of these commands prints.

    Args:
        lines: Command lines, which are run one after the other in an empty directory.
        run: Function that runs a command line.
    """
    with tempfile.TemporaryDirectory() as directory:
        for line in lines:
            printed = run(line, directory, _TERMINAL)
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), color_system="truecolor")
    console.print(Text(f"$ {lines[-1]}", style="bold"))
    console.print(Text.from_ansi(printed.rstrip()))
    title = " ".join(lines[-1].split()[:2])
    svg = console.export_svg(title=title, unique_id=title.rpartition(" ")[2])
    # A picture in a page loads nothing from elsewhere: any monospace font will do.
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def page_pngs(line: str, run: Run) -> dict[str, bytes]:
    """Return pictures of the page of a sweep, by file name; nothing where there is no Chromium.

    Args:
        line: Command line that sweeps.
        run: Function that runs a command line.
    """
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        return {}
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By

    options = ChromeOptions()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as profile:
        for argument in (*_BROWSER, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        run(f"{line} --html page.html", directory, {})
        browser = Chrome(options=options, service=Service(driver))
        try:
            browser.set_window_size(_WIDTH_PX, 1400)
            browser.get(Path(directory, "page.html").as_uri())
            return {
                name: browser.find_element(By.CSS_SELECTOR, part).screenshot_as_png
                for name, part in _PARTS.items()
            }
        finally:
            browser.quit()
