"""The page of a sweep works in a real browser: links, filter, narrow, dark, printed, without its script."""

import base64
import io
import os
from collections.abc import Iterator
from pathlib import Path

import fixed_sweeps
import pytest
from conftest import wait_for
from headless_browser import open_html, resize, start
from PIL import Image, ImageChops, ImageStat
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from resumectl.report.page.html import page_html

SCREENSHOTS = Path(__file__).parent / "screenshots"
A4_PX = 718  # a sheet without its margins of a centimetre
PICTURES = {
    "head": "p.verdict",
    "map": ".cells",
    "timeline": "details.trial[open] .timeline .scroll",
}
# Of 255. A picture without one of its parts differs by more.
DIFFERENCE_MAX = 0.1


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    browser = start(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture
def browser(started: Chrome) -> Iterator[Chrome]:
    """A browser with a window of 1280 pixels; the test fails if the page writes to its console."""
    resize(started, 1280)
    yield started
    started.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    started.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert started.get_log("browser") == []  # type: ignore[no-untyped-call]


def trials(browser: Chrome) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, "details.trial")


def shown(browser: Chrome) -> list[str]:
    """Crash plans of the trials that are not filtered out."""
    found = [each for each in trials(browser) if each.is_displayed()]
    return [each.find_element(By.TAG_NAME, "code").text for each in found]


def cell(browser: Chrome, label: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, f"a.cell[aria-label^='{label}']")


def test_click_on_a_cell_opens_its_trial(browser: Chrome, tmp_path: Path) -> None:
    open_html(browser, fixed_sweeps.html("broken"), tmp_path)
    trial = browser.find_element(By.ID, "s1-t6")
    assert not trial.is_displayed()
    link = cell(browser, "after:checkout-1/step-2")
    link.click()
    assert trial.is_displayed()
    assert browser.switch_to.active_element == trial
    top = browser.execute_script("return arguments[0].getBoundingClientRect().top", trial)
    assert -60 <= top <= 900
    # A second click on the same cell opens it again.
    browser.execute_script("arguments[0].closest('details').open = false", trial)
    browser.execute_script("arguments[0].click()", link)
    assert trial.is_displayed()


def test_cell_is_named_under_the_pointer_and_by_the_keyboard(
    browser: Chrome, tmp_path: Path
) -> None:
    open_html(browser, fixed_sweeps.html("broken"), tmp_path)
    link = cell(browser, "before:checkout-1/step-1")
    script = "return getComputedStyle(arguments[0], '::after').content"
    assert browser.execute_script(script, link) == "none"
    browser.execute_script("arguments[0].focus()", link)
    assert "BROKEN, duplicated charge" in browser.execute_script(script, link)
    link.send_keys(Keys.ENTER)
    assert browser.find_element(By.ID, "s1-t3").is_displayed()


def test_trials_are_filtered_by_verdict_finding_and_name(browser: Chrome, tmp_path: Path) -> None:
    open_html(browser, fixed_sweeps.html("broken"), tmp_path)
    form = browser.find_element(By.CSS_SELECTOR, "form.filter")
    assert len(shown(browser)) == 8
    form.find_element(By.CSS_SELECTOR, "[value=KEPT]").click()
    assert shown(browser) == ["before:checkout-1/step-1"]
    assert form.find_element(By.TAG_NAME, "output").text == "1 of 8 trials"
    form.find_element(By.CSS_SELECTOR, "[value=KEPT]").click()
    form.find_element(By.CSS_SELECTOR, "option:last-child").click()
    assert shown(browser) == ["before:checkout-1/step-1"]
    form.find_element(By.CSS_SELECTOR, "option:first-child").click()
    form.find_element(By.NAME, "name").send_keys("STEP-2")
    assert shown(browser) == [f"{edge}:checkout-1/step-2" for edge in ("before", "after")]
    # A link shows its trial in any case.
    cell(browser, "before:checkout-1/accepted").click()
    assert browser.find_element(By.ID, "s1-t1").is_displayed()


def test_page_can_be_read_without_its_script(browser: Chrome, tmp_path: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    open_html(browser, fixed_sweeps.html("broken"), tmp_path, "#s1-t6")
    assert browser.find_element(By.ID, "s1-t6").is_displayed()
    assert len(shown(browser)) == 8
    assert not browser.find_element(By.CSS_SELECTOR, "form.filter").is_displayed()


SPOKEN = {
    "article", "checkbox", "combobox", "form", "heading", "image", "link", "navigation", "region",
    "searchbox", "table",
}  # fmt: skip


@pytest.mark.parametrize("name", ["broken", "stuck"])
def test_screen_reader_has_a_name_for_each_part(browser: Chrome, tmp_path: Path, name: str) -> None:
    """The accessibility tree is what the browser gives to a screen reader."""
    open_html(browser, fixed_sweeps.html(name), tmp_path)
    browser.execute_script(
        "document.querySelectorAll('details').forEach(each => { each.open = true })"
    )
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    parts = [
        (each["role"]["value"], each.get("name", {}).get("value", ""))
        for each in nodes
        if not each["ignored"] and each["role"]["value"] in SPOKEN
    ]
    assert {role for role, _ in parts} == SPOKEN
    assert [role for role, spoken in parts if not spoken.strip()] == []


def add_rule(browser: Chrome, rule: str) -> None:
    script = "const [sheet] = document.styleSheets; sheet.insertRule(arguments[0], sheet.cssRules.length)"
    browser.execute_script(script, rule)


def screenshots(browser: Chrome, html: str, directory: Path) -> Iterator[tuple[str, Image.Image]]:
    """Yield name and picture of the head, the map, and the drawing of one trial; without texts."""
    open_html(browser, html, directory)
    browser.execute_script("document.querySelector('details.trial').open = true")
    add_rule(browser, "* { color: transparent !important }")  # fonts differ between machines
    add_rule(browser, "svg text, .column small { display: none }")
    add_rule(browser, ".verdict, .map { font: 15px/20px monospace !important }")
    for name in PICTURES:
        yield name, picture(browser, name)


def picture(browser: Chrome, name: str) -> Image.Image:
    element = browser.find_element(By.CSS_SELECTOR, PICTURES[name])
    return Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB")


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of the colours, from 0 to 255, where both pictures are."""
    size = (min(one.width, other.width), min(one.height, other.height))
    cut = [each.crop((0, 0, *size)).resize((size[0] // 4, size[1] // 4)) for each in (one, other)]
    found: list[float] = ImageStat.Stat(ImageChops.difference(*cut)).mean
    return sum(found) / 3


@pytest.mark.parametrize("sweep", sorted(fixed_sweeps.PAGES))
def test_page_looks_as_before(browser: Chrome, tmp_path: Path, sweep: str) -> None:
    html = fixed_sweeps.html(sweep)
    for name, taken in screenshots(browser, html, tmp_path):
        file = SCREENSHOTS / f"{sweep}-{name}.png"
        if os.environ.get("RESUMECTL_NEW_SCREENSHOTS"):
            taken.save(file, optimize=True)
        before = Image.open(file).convert("RGB")
        assert abs(taken.height - before.height) <= 0.1 * before.height, file
        assert difference(taken, before) < DIFFERENCE_MAX, file


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("head", ".verdict { background: none !important }"),
        ("map", ".cell { background: none !important }"),
        ("timeline", "svg .executed, svg .repeated, svg .interrupted { display: none }"),
        ("timeline", "svg .kill { display: none }"),
        ("timeline", "svg .committed { display: none }"),
        ("timeline", "svg .baseline { display: none }"),
    ],
)
def test_missing_part_is_seen_in_the_screenshot(
    browser: Chrome, tmp_path: Path, name: str, rule: str
) -> None:
    usual = dict(screenshots(browser, fixed_sweeps.html("broken"), tmp_path))[name]
    add_rule(browser, rule)
    assert difference(picture(browser, name), usual) > DIFFERENCE_MAX


@pytest.mark.parametrize("name", sorted(fixed_sweeps.PAGES))
@pytest.mark.parametrize("width", [400, 1280])
def test_page_is_never_wider_than_the_window(
    browser: Chrome, tmp_path: Path, name: str, width: int
) -> None:
    resize(browser, width)
    open_html(browser, fixed_sweeps.html(name), tmp_path)
    browser.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("fragment", "opened"), [("", "s1-t3"), ("#s1-t4", "s1-t4")])
def test_narrow_page_shows_the_kill_and_not_only_the_baseline(
    browser: Chrome, tmp_path: Path, fragment: str, opened: str
) -> None:
    resize(browser, 400)
    open_html(browser, fixed_sweeps.html("broken"), tmp_path, fragment)
    is_shown = f"""
      const frame = document.querySelector("#{opened} .scroll").getBoundingClientRect();
      const kill = document.querySelector("#{opened} .kill").getBoundingClientRect();
      return frame.left < kill.left && kill.right < frame.right;
    """
    wait_for("the kill is in the frame", lambda: bool(browser.execute_script(is_shown)))


def test_page_follows_the_dark_mode_of_the_reader(browser: Chrome, tmp_path: Path) -> None:
    script = "return getComputedStyle(document.body).backgroundColor"
    colours = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        open_html(browser, fixed_sweeps.html("kept"), tmp_path)
        colours.append(browser.execute_script(script))
    assert colours == ["rgb(255, 255, 255)", "rgb(22, 24, 28)"]


def test_printed_page_has_the_broken_trials_and_not_the_filter(
    browser: Chrome, tmp_path: Path
) -> None:
    open_html(browser, fixed_sweeps.html("broken"), tmp_path)
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    assert browser.find_element(By.ID, "s1-t3").is_displayed()
    assert not browser.find_element(By.ID, "s1-t4").is_displayed()
    assert not browser.find_element(By.CSS_SELECTOR, "form.filter").is_displayed()
    printed = base64.b64decode(browser.print_page())
    assert printed.startswith(b"%PDF")


def test_printed_timeline_fits_its_frame_with_each_name_beside_its_row(
    browser: Chrome, tmp_path: Path
) -> None:
    open_html(browser, fixed_sweeps.html("broken"), tmp_path, "#s1-t3")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    resize(browser, A4_PX)
    drawing = browser.find_element(By.CSS_SELECTOR, "details.trial[open] .scroll svg")
    frame = browser.find_element(By.CSS_SELECTOR, "details.trial[open] .timeline")
    assert right_px(drawing) <= right_px(frame)
    names = browser.find_elements(By.CSS_SELECTOR, "details.trial[open] .labels span")
    lines = drawing.find_elements(By.CSS_SELECTOR, "path.row")  # below each row
    assert len(names) == len(lines) > 1
    bottoms = [line.rect["y"] for line in lines]
    middles = [name.rect["y"] + name.rect["height"] / 2 for name in names]
    tops = [drawing.rect["y"], *bottoms]
    for top, middle, bottom in zip(tops, middles, bottoms, strict=False):
        assert top < middle < bottom


def right_px(element: WebElement) -> float:
    return float(element.rect["x"] + element.rect["width"])


def test_hostile_names_run_no_code(browser: Chrome, tmp_path: Path) -> None:
    name = "<script>alert(1)</script>\u202e'\"`"
    open_html(browser, page_html([fixed_sweeps.broken(name)]), tmp_path, "#s1-t3")
    heading = browser.find_element(By.CSS_SELECTOR, ".finding h3").text
    assert heading == f"duplicated charge, {name.replace(chr(0x202E), chr(92) + 'u202e')}/step-1"
    assert browser.find_elements(By.CSS_SELECTOR, "main script") == []
