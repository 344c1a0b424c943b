"""Chromium as people use it, with what it complains of: faults of accessibility by axe-core, errors of its console."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any, Final

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from shared.settings import ROOT
from tests.tools import missing, need

AXE: Final = ROOT / "build/axe/node_modules/axe-core/axe.min.js"
SCREENS: Final = ROOT / "build/screens"
WAIT_SECONDS: Final = 20
# Pages are to be whole without the network: what else Chromium wants of it is switched off.
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-gpu",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
)
WIDE: Final = (1280, 900)
PHONE: Final = (390, 844)
# How each page is looked at: the size of the window, the colours and the language.
LOOKS: Final = {
    "light": (WIDE, "light", "en"),
    "dark": (WIDE, "dark", "en"),
    "phone": (PHONE, "light", "vi"),
}
GRAVE: Final = ("serious", "critical")
_AXE_RUN: Final = """
const done = arguments[arguments.length - 1];
const failed = error => done([{id: String(error), impact: "critical", nodes: []}]);
axe.run(document, {resultTypes: ["violations"]}).then(found => done(found.violations), failed);
"""


class Chromium:
    """A browser. Skips where it or axe-core is missing; under CI=true that is a failure."""

    def __init__(self) -> None:
        need("chromium")
        need("chromedriver", "chromium-driver")
        if not AXE.exists():
            missing(f"axe-core is not there: npm install --prefix {AXE.parents[2]} axe-core")
        options = ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for flag in FLAGS:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = Chrome(options, Service(str(shutil.which("chromedriver"))))
        self._axe = AXE.read_text("utf-8")

    def close(self) -> None:
        self.driver.quit()

    def go(self, url: str) -> None:
        self.driver.get(url)

    def look(self, size: tuple[int, int], colours: str) -> None:
        """In a window of this size, by a reader whose setting is `light` or `dark`."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": colours}
        self._devtools("Emulation.setEmulatedMedia", {"features": [feature]})

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def text(self) -> str:
        return self.find("main").text

    def follow(self, css: str) -> None:
        """Clicks, and waits until another page is there."""
        self._leave(self.find(css))

    def link(self, part: str) -> None:
        """Follows the first link of the content whose address holds `part`."""
        self.follow(f'main a[href*="{part}"]')

    def press(self, words: str) -> None:
        """The button of these words, in the content."""
        buttons = self.driver.find_elements(By.CSS_SELECTOR, "main form button")
        found = [one for one in buttons if one.text == words]
        assert found, f"no button {words}; there are {[one.text for one in buttons]}"
        self._leave(found[0])

    def until(self, words: str) -> None:
        """Waits until the content says `words`, by refreshing itself."""
        WebDriverWait(self.driver, WAIT_SECONDS).until(lambda _: words in self.text(), f"no {words!r} in {self.text()}")

    def faults(self) -> list[str]:
        """What axe-core finds gravely wrong with the page, and what of it sticks out to the right."""
        self.driver.execute_script(self._axe)
        found: list[dict[str, Any]] = self.driver.execute_async_script(_AXE_RUN)
        grave = [
            f"{one['id']}: {node['target']} {node.get('failureSummary', '')[:300]}"
            for one in found
            if one["impact"] in GRAVE
            for node in one["nodes"] or [{"target": ""}]
        ]
        wider = self.driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        return grave + ([f"wider than the window by {wider} px"] if wider > 0 else [])

    def complaints(self) -> list[str]:
        """What the console has said of errors since it was last asked; that a page answered 4xx is none."""
        log = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in log if entry["level"] == "SEVERE" and entry["source"] != "network"]

    def shoot(self, name: str) -> None:
        """The whole page into build/screens."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        shot = self._devtools("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
        Path(SCREENS, f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def _leave(self, element: WebElement) -> None:
        """Clicks on what leads to another page. While pages change, the driver may know of neither."""
        self.driver.execute_script(
            "document.documentElement.dataset.left = 'yes'; arguments[0].scrollIntoView({block: 'center'})", element
        )
        element.click()
        there = "return document.readyState === 'complete' && !document.documentElement.dataset.left"
        waiting = WebDriverWait(self.driver, WAIT_SECONDS, ignored_exceptions=[WebDriverException])
        waiting.until(lambda _: self.driver.execute_script(there))

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self.driver.execute_cdp_cmd(command, json.loads(json.dumps(parameters)))
