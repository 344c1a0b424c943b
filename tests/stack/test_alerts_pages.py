"""Alerts as people see and act on them at a browser: inbox, alert, silences, endpoints, deliveries."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import aiohttp
import pytest

from deploy.local.stack import Stack
from tests.stack.alerts_given import JSON, Alerts, goal, publish, unique
from tests.stack.browser import Browser, Shown
from tests.stack.waiting import eventually


@pytest.fixture
async def browser(credentials: dict[str, Any]) -> AsyncIterator[Browser]:
    """An operator's."""
    opened = Browser(credentials["alerts"])
    await opened.sign_in(credentials["keys"]["operator"])
    yield opened
    await opened.close()


@pytest.fixture
async def viewer(credentials: dict[str, Any]) -> AsyncIterator[Browser]:
    opened = Browser(credentials["alerts"])
    await opened.sign_in(credentials["keys"]["viewer"])
    yield opened
    await opened.close()


@pytest.fixture
async def alert(stack: Stack, http: aiohttp.ClientSession, credentials: dict[str, Any]) -> JSON:
    """One that fires."""
    name = unique("shown")
    await publish(stack, goal(name, "off_track"))
    operator = Alerts(http, credentials)
    [found] = await eventually(lambda: operator.of(f"goal/{name}", state="firing"))
    return found


def beside(page: Shown, field: str) -> str:
    """What is said to be wrong at a field."""
    found = re.search(rf'id="{field}-wrong">(.*?)</ul>', page.text, re.DOTALL)
    return "" if found is None else re.sub(r"<[^>]*>", "", unescape(found[1])).strip()


async def test_an_alert_is_acknowledged_from_the_inbox_which_then_shows_it_so(browser: Browser, alert: JSON) -> None:
    here = f"/?subject={alert['subject']}"
    inbox = await browser.get(here)
    assert f'href="/alerts/{alert["id"]}"' in inbox.text and "acknowledged by" not in inbox.text
    form = {"csrf": inbox.token(), "next": here}
    after = await browser.post(f"/alerts/{alert['id']}/acknowledge", form)
    assert (after.status, after.path) == (200, "/")
    assert "acknowledged by operator of the embedded stack" in after.text
    elsewhere = {"csrf": inbox.token(), "next": "//elsewhere.example", "why": "looked at twice"}
    assert (await browser.post(f"/alerts/{alert['id']}/acknowledge", elsewhere)).path == f"/alerts/{alert['id']}"


async def test_an_alert_leads_to_what_it_rests_on_and_tells_its_history(browser: Browser, alert: JSON) -> None:
    page = await browser.get(f"/alerts/{alert['id']}")
    why = "the plant was asked"
    links = [unescape(link) for link in re.findall(r'href="([^"]*)"', page.text)]
    assert {alert["links"]["goal"], alert["links"]["explain"]} <= set(links)
    assert alert["evidence"]["required_pace"] in page.text
    after = await browser.post(f"/alerts/{alert['id']}/acknowledge", {"csrf": page.token(), "why": why})
    assert why in after.text and 'action="/alerts/' + alert["id"] + '/acknowledge"' not in after.text


async def test_a_viewer_reads_and_finds_no_form_that_changes_anything(viewer: Browser, alert: JSON) -> None:
    for path in (f"/?subject={alert['subject']}", f"/alerts/{alert['id']}", "/silences", "/endpoints", "/deliveries"):
        page = await viewer.get(path)
        assert page.status == 200
        assert re.findall(r'method="post" action="([^"]*)"', page.text) == ["/sign-out"], path
    refused = await viewer.post(f"/alerts/{alert['id']}/acknowledge", {"csrf": page.token()})
    assert refused.status == 403
    assert (await viewer.post("/endpoints", {"csrf": page.token(), "url": "https://one.example"})).status == 403


async def test_a_silence_says_beside_each_field_what_is_wrong_and_then_holds_the_alert_back(
    browser: Browser, alert: JSON
) -> None:
    page = await browser.get(f"/alerts/{alert['id']}")
    form = {
        "csrf": page.token(),
        "name0": "subject",
        "op0": "=~",
        "value0": "(",
        "length": "1h",
        "reason": "",
        "ends_at": "",
    }
    wrong = await browser.post(f"/alerts/{alert['id']}/silence", form)
    assert wrong.status == 422
    assert beside(wrong, "reason") and 'value="("' in wrong.text
    pattern = await browser.post(f"/alerts/{alert['id']}/silence", {**form, "reason": "works"})
    assert "regular expression" in beside(pattern, "value0")
    past = {**form, "op0": "=", "value0": alert["subject"], "ends_at": "2020-01-01T00:00", "reason": "works"}
    assert "after now" in beside(await browser.post("/silences", past), "ends_at")
    held = await browser.post(f"/alerts/{alert['id']}/silence", {**past, "ends_at": ""})
    assert (held.status, held.path) == (200, f"/alerts/{alert['id']}")
    [silence] = set(re.findall(r"/silences#silence-([0-9a-f-]{36})", held.text))
    ended = await browser.post(f"/silences/{silence}/end", {"csrf": held.token()})
    assert (ended.status, ended.path) == (200, "/silences")
    assert f"/silences/{silence}/end" not in ended.text


async def test_an_endpoint_is_made_with_its_secret_shown_once_changed_tested_and_removed(
    browser: Browser, credentials: dict[str, Any]
) -> None:
    token = (await browser.get("/endpoints/new")).token()
    url = credentials["receiver"]["url"]
    form = {
        "csrf": token,
        "url": "https://10.0.0.1/",
        "format": "standard",
        "rate": "fast",
        "level": "12",
        "headers": "x",
    }
    wrong = await browser.post("/endpoints", {**form, "headers": ""})
    assert wrong.status == 422
    assert beside(wrong, "rate") and beside(wrong, "level") and 'value="fast"' in wrong.text
    assert "Name: value" in beside(await browser.post("/endpoints", form), "headers")
    right = {**form, "rate": "2.5", "level": "", "headers": "x-shared: s3cret"}
    assert "10.0.0.1" in beside(await browser.post("/endpoints", right), "url")
    ticked = {"severity-critical": "on", "rule": "no-such-rule\r\nanother", "scope": ""}
    made = await browser.post("/endpoints", {**right, **ticked, "url": url})
    assert made.status == 201
    [secret] = re.findall(r"whsec_[\w+/=]+", made.text)
    [action] = set(re.findall(r"/endpoints/([0-9a-f-]{36})/test", made.text))
    page = await browser.get(f"/endpoints/{action}")
    assert secret not in page.text and "s3cret" not in page.text and "no-such-rule\nanother" in page.text

    changed = await browser.post(f"/endpoints/{action}", {**form, "url": url, "rate": "", "headers": "", "level": "3"})
    assert (changed.status, changed.path) == (200, f"/endpoints/{action}")
    assert "x-shared" in changed.text and "no-such-rule" not in changed.text
    tested = await browser.post(f"/endpoints/{action}/test", {"csrf": token})
    assert tested.path.startswith("/deliveries/")

    async def tried() -> bool:
        """The receiver of the stack knows another secret: it refuses."""
        return "<td>401</td>" in (await browser.get(tested.path)).text

    await eventually(tried)
    again = await browser.post(f"{tested.path}/resend", {"csrf": token})
    assert (again.status, again.path) == (200, tested.path)
    new = await browser.post(f"/endpoints/{action}/rotate-secret", {"csrf": token})
    assert re.findall(r"whsec_[\w+/=]+", new.text) not in ([], [secret])
    for act in ("disable", "enable"):
        assert (await browser.post(f"/endpoints/{action}/{act}", {"csrf": token})).status == 200
    unsure = await browser.post(f"/endpoints/{action}/remove", {"csrf": token})
    assert unsure.status == 422 and beside(unsure, "sure")
    gone = await browser.post(f"/endpoints/{action}/remove", {"csrf": token, "sure": "on"})
    assert (gone.status, gone.path) == (200, "/endpoints")
    assert (await browser.get(f"/endpoints/{action}")).status == 404
    assert "removed" in (await browser.get(tested.path)).text


@pytest.mark.parametrize("path", ["/?state=lost", "/?cursor=x", "/silences?state=x", "/deliveries?endpoint=x"])
async def test_what_no_page_can_show_is_said_on_a_page(browser: Browser, path: str) -> None:
    page = await browser.get(path)
    assert (page.status, "<h1>" in page.text) == (422, True)


async def test_the_inbox_goes_on_where_a_page_ends_the_most_severe_first(
    browser: Browser, stack: Stack, http: aiohttp.ClientSession, credentials: dict[str, Any]
) -> None:
    """Two pages: more alerts than a page holds, of two severities."""
    name = unique("many")
    states = ["at_risk"] * 30 + ["off_track"] * 30
    await publish(stack, *(goal(f"{name}-{number}", state) for number, state in enumerate(states)))
    operator = Alerts(http, credentials)
    await eventually(lambda: operator.of(f"goal/{name}-59", state="firing"))
    seen: list[tuple[str, str]] = []
    path: str | None = "/?state=firing"
    while path is not None:
        page = await browser.get(path)
        seen += re.findall(
            r'<li class="card" id="alert-([0-9a-f-]{36})">\s*<p class="marks"><span class="state (\w+)">', page.text
        )
        onward = re.search(r'rel="next" href="([^"]*)"', page.text)
        path = unescape(onward[1]) if onward else None
    tones = [tone for _, tone in seen]
    assert len(seen) == len(set(seen)) >= 60
    assert tones == sorted(tones, key=["bad", "warn", "plain"].index)
