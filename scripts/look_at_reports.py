"""Look at pages in headless Chromium: pictures of each, and what a browser complains of.

For each page: a picture 1440 pixels wide, one 390 wide, both light and dark, and a PDF. It fails on
an error in the console, on any request that is not for the page itself, on writing that is wider
than a phone, on an element that the Tab key should reach and does not.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

WIDTHS = {"desktop": 1440, "phone": 390}
SCHEMES = ("light", "dark")

TOO_WIDE = """
const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
const out = [...document.body.querySelectorAll("*")].filter(e => {
  const box = e.getBoundingClientRect();
  const isScrolled = e.closest(".scroll, nav, .columns, .skip, .tip");
  return box.right > document.documentElement.clientWidth + 1 && box.width > 0 && !isScrolled;
}).slice(0, 5).map(e => `${e.tagName} ${e.className}: ${e.textContent.trim().slice(0, 40)}`);
return wide ? ["the page", ...out] : [];
"""

UNREACHED = """
const wanted = document.querySelectorAll(
  "a[href], button, summary, input, .plot:not(.scatter), .scroll");
return [...wanted].filter(e => e.tabIndex < 0 && e.getClientRects().length).length;
"""

UNNAMED = """
const wanted = document.querySelectorAll("[role=img], img, [role=region], button, nav, section");
const named = e => e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.alt;
return [...wanted].filter(e => !(named(e) || e.textContent.trim())).length;
"""


def main(arguments: list[str]) -> int:
    """Look at the pages that are named, pictures into the folder named first."""
    pictures, *pages = map(Path, arguments)
    pictures.mkdir(parents=True, exist_ok=True)
    problems = [f"{page}: is not there" for page in pages if not page.is_file()]
    with tempfile.TemporaryDirectory() as profile:
        browser = started(profile)
        try:
            browser.get("about:blank")  # the browser's own first page makes requests
            browser.get_log("performance")
            for page in pages:
                if page.is_file():
                    found = looked_at(browser, page.resolve(), pictures)
                    problems += [f"{page}: {problem}" for problem in found]
        finally:
            browser.quit()
    for problem in problems:
        print(problem)
    print(f"{len(pages)} pages, {len(problems)} problems; pictures in {pictures}")
    return 1 if problems else 0


def started(profile: str) -> webdriver.Chrome:
    """A browser of its own, which does nothing by itself."""
    options = Options()
    for word in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking"):
        options.add_argument(f"--{word}")
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument("--hide-scrollbars")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def looked_at(browser: webdriver.Chrome, page: Path, pictures: Path) -> Iterator[str]:
    """Draw the page in each way; what is wrong with it."""
    name = page.parent.name if page.name == "report.html" else page.stem
    for device, width in WIDTHS.items():
        for scheme in SCHEMES:
            show(browser, width, scheme)
            browser.get(page.as_uri())
            path = pictures / f"{name}-{device}-{scheme}.png"
            path.write_bytes(picture(browser, width))
            if device == "phone" and scheme == "light":
                yield from (f"too wide: {e}" for e in browser.execute_script(TOO_WIDE))
    if count := browser.execute_script(UNREACHED):
        yield f"{count} elements are not reached by the Tab key"
    if count := browser.execute_script(UNNAMED):
        yield f"{count} elements have no name"
    yield from errors(browser, page)
    printed = browser.execute_cdp_cmd(
        "Page.printToPDF", {"printBackground": True, "paperWidth": 8.27, "paperHeight": 11.69}
    )
    (pictures / f"{name}.pdf").write_bytes(base64.b64decode(printed["data"]))


def show(browser: webdriver.Chrome, width: int, scheme: str) -> None:
    """A screen this wide, in light or dark."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )


def picture(browser: webdriver.Chrome, width: int) -> bytes:
    """All of the page from top to bottom."""
    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    found = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip}
    )
    return base64.b64decode(found["data"])


def errors(browser: webdriver.Chrome, page: Path) -> Iterator[str]:
    """What the console says, and every request but those for the page."""
    for entry in browser.get_log("browser"):
        yield f"console: {entry['level']} {entry['message']}"
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] != "Network.requestWillBeSent":
            continue
        address = message["params"]["request"]["url"]
        if not address.startswith(("data:", page.as_uri(), "chrome:")):
            yield f"request: {address}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
