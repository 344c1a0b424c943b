"""Pages that all services share: languages, formats, navigation, headers, refreshing, one path for two readers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from fastapi import FastAPI, Request, Response

from services.ingest.settings import IngestSettings
from shared import pages, sign_in
from shared.access import AccessCache
from shared.charts import svg
from shared.errors import Problem
from shared.formats import UNKNOWN, Formats
from shared.language import chosen
from shared.pages import Pages, link_here, page_router
from shared.web import create_app, json_response
from tests.unit.asgi_browser import AsgiBrowser

OTHERS = {"supply": "https://supply.example", "alerts": "https://alerts.example/", "ingest": "https://ingest.example"}


@pytest.fixture
def client(tmp_path: Path) -> AsgiBrowser:
    """A service with one page at /list, beside its answer for programs, and a fault at /wrong."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "list.html").write_text(
        '{% extends "layout.html" %}{% from "parts.html" import empty, more %}{% block title %}List{% endblock %}'
        '{% block content %}<h1>{{ "open" | word }}</h1>{{ 1234.5 | number(1) }}{{ more(next) }}'
        "<pre>{{ title }}</pre>{% endblock %}"
    )
    settings = IngestSettings.load(
        database_url="unused", kafka_password="unused", kafka_admin_password="unused", session_secret="unused"
    )

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield

    app = create_app(settings, "test", life, dict)
    app.state.access = AccessCache()
    app.state.access.ready.set()
    shown = Pages("ingest", tmp_path / "templates", (("Sign in", "/list"),), OTHERS, {"open": "Sign out"})
    pages.add_to(app, shown)
    sign_in.add_to(app)
    browsers = page_router()

    @browsers.get("/list")
    async def list_page(request: Request) -> Response:
        return shown.show(
            request,
            "list.html",
            refresh=5,
            next=link_here(request, cursor="abc"),
            title=shown.translated(request, "Sign out"),
        )

    app.include_router(browsers)

    @app.get("/wrong")
    async def wrong() -> Response:
        raise Problem(404, "Not Found", "there is no such thing")

    @app.get("/list")
    async def list_json() -> Response:
        return json_response({"items": []})

    return AsgiBrowser(app)


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "language"),
    [
        ("vi", "en", "en", "vi"),
        (None, "vi", "en", "vi"),
        (None, None, "vi-VN,vi;q=0.9,en;q=0.8", "vi"),
        (None, None, "fr, vi;q=0.4, en;q=0.5", "en"),
        (None, None, "vi;q=0, fr", "en"),
        ("tlh", "xx", "de", "en"),
        (None, None, "vi;q=nonsense,,;;=", "en"),
        (None, None, "", "en"),
    ],
)
def test_a_language_is_asked_for_or_kept_or_accepted(
    asked: str | None, kept: str | None, accepted: str, language: str
) -> None:
    assert chosen(asked, kept, accepted) == language


def test_numbers_and_days_are_written_as_readers_do() -> None:
    english, vietnamese = Formats("en"), Formats("vi")
    assert (english.number(1234567), vietnamese.number("1234567.25", 2)) == ("1,234,567", "1.234.567,25")
    assert (english.percent("0.6532"), vietnamese.percent(Decimal("0.6532"))) == ("65.3%", "65,3%")
    assert (english.points("-0.021"), vietnamese.points("0.021")) == ("-2.1", "+2,1")
    assert english.day("2026-11-24") == '<time datetime="2026-11-24">24 Nov 2026</time>'
    assert "24 thg 11, 2026" in vietnamese.day("2026-11-24")
    assert "17:30:00" in english.moment("2026-11-24T10:30:00+00:00")
    assert (vietnamese.amount("1234.567"), english.amount("2026-11-24")) == ("1.234,57", "2026-11-24")
    assert [english.number(None), english.day(None), english.percent(None)] == [UNKNOWN] * 3


async def test_a_service_translates_what_it_puts_together_itself(client: AsgiBrowser) -> None:
    assert "<pre>Đăng xuất</pre>" in (await client.get("/list?lang=vi")).text


async def test_browsers_and_programs_share_a_path(client: AsgiBrowser) -> None:
    assert (await client.get("/list")).headers["content-type"].startswith("text/html")
    assert (await client.get("/list", accept="*/*")).json() == {"items": []}


async def test_a_page_speaks_the_language_that_was_chosen_from_then_on(client: AsgiBrowser) -> None:
    first = await client.get("/list", accept_language="vi")
    assert 'lang="vi"' in first.text and "<h1>Đăng xuất</h1>" in first.text and "1.234,5" in first.text
    assert "set-cookie" not in first.headers
    chosen_now = await client.get("/list?lang=vi")
    assert "supply_watch_language=vi" in chosen_now.headers["set-cookie"]
    assert "HttpOnly" in chosen_now.headers["set-cookie"]
    assert 'lang="vi"' in (await client.get("/list")).text
    assert 'lang="en"' in (await client.get("/list?lang=en")).text


async def test_a_page_leads_to_the_other_services_and_its_own_parts(client: AsgiBrowser) -> None:
    shown = (await client.get("/list")).text
    for address in ("https://supply.example/", "https://alerts.example/"):
        assert f'href="{address}"' in shown
    assert "ingest.example" not in shown
    assert 'href="/list" aria-current="page"' in shown


async def test_a_page_refers_to_files_that_are_there_and_runs_nothing_else(client: AsgiBrowser) -> None:
    shown = await client.get("/list")
    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script>", shown.text) is None
    files = re.findall(r'(?:src|href)="(/[a-z]+-[0-9a-f]{12}\.\w+)"', shown.text)
    assert {(await client.get(file)).headers["content-type"].partition(";")[0] for file in files} == {
        "text/css",
        "text/javascript",
        "image/svg+xml",
    }


async def test_a_list_leads_on_with_the_filters_that_were_set(client: AsgiBrowser) -> None:
    assert 'rel="next" href="/list?state=a+b&amp;cursor=abc"' in (await client.get("/list?state=a+b&cursor=old")).text


async def test_only_a_page_that_asks_for_it_refreshes(client: AsgiBrowser) -> None:
    assert 'data-refresh="5"' in (await client.get("/list")).text
    assert "<script" not in (await client.get("/sign-in")).text


async def test_what_went_wrong_is_told_in_the_language_of_the_reader(client: AsgiBrowser) -> None:
    shown = await client.get("/wrong?lang=vi")
    assert shown.status == 404
    assert "<h1>Không tìm thấy</h1>" in shown.text and "Không tìm thấy ·" in shown.text
    told: Any = (await client.get("/wrong", accept="application/json")).json()
    assert told["status"] == 404


def test_a_chart_is_one_image_to_screen_readers() -> None:
    line = alt.Chart(alt.InlineData([{"x": 1, "y": 2}, {"x": 2, "y": 3}])).mark_line(point=True)
    drawn = str(svg(line.encode(x="x:Q", y="y:Q"), 'two > "one"', "en"))
    assert re.findall(r'\srole="([^"]*)"', drawn) == ["img"]
    assert re.findall(r'\saria-\w+="([^"]*)"', drawn) == ["two &gt; &#34;one&#34;"]
