"""Every template of supply, with what it is given: whole, in both languages, and built so that all can use it."""

from __future__ import annotations

import re

import pytest

from services.supply.pages import TEMPLATES
from tests.unit.asgi_browser import AsgiBrowser
from tests.unit.pages_given import GIVEN, Structure, application

PARTS = {"supply_parts.html", "duties.html"}


@pytest.fixture(scope="module")
def browser() -> AsgiBrowser:
    return AsgiBrowser(application())


@pytest.mark.parametrize("language", ["en", "vi"])
@pytest.mark.parametrize("name", GIVEN)
async def test_a_page_is_whole_and_can_be_used_without_seeing_it(
    browser: AsgiBrowser, name: str, language: str
) -> None:
    shown = await browser.get(f"/{name}?lang={language}")
    assert shown.status == 200
    assert Structure(shown.text).faults == []
    assert re.search(r"<style|\sstyle=|\son\w+=|<script>|\bNone\b|Undefined", shown.text) is None


@pytest.mark.parametrize("name", GIVEN)
async def test_a_page_in_vietnamese_says_nothing_in_english_but_what_is_marked_so(
    browser: AsgiBrowser, name: str
) -> None:
    shown = (await browser.get(f"/{name}?lang=vi")).text
    english = (await browser.get(f"/{name}?lang=en")).text
    headings = [re.sub(r"<[^>]+>", "", found) for found in re.findall(r"<th scope=\"col\"[^>]*>(.*?)</th>", english)]
    told = [found for found in re.findall(r"<th scope=\"col\"[^>]*>(.*?)</th>", shown) if found in headings]
    assert set(told) <= {"GTIN"}


async def test_days_are_counted_in_the_language_of_the_reader(browser: AsgiBrowser) -> None:
    assert "4 days late" in (await browser.get("/obligations?lang=en")).text
    assert "trễ 4 ngày" in (await browser.get("/obligations?lang=vi")).text


def test_every_template_has_an_example() -> None:
    assert {template for template, _ in GIVEN.values()} | PARTS == {file.name for file in TEMPLATES.glob("*.html")}
