"""What people change is kept with who, what was before and after, and why; administrators read it in every service."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from deploy.local.sign_in_link import sign_in_link
from deploy.local.stack import Stack
from tests.stack.browser import Browser

Answer = tuple[int, Any]


class Admin:
    """Calls with an administrator's key."""

    def __init__(self, http: aiohttp.ClientSession, credentials: dict[str, Any]) -> None:
        self._http = http
        self.credentials = credentials
        self.key_id = credentials["keys"]["admin"].split("_")[1]

    async def call(self, service: str, method: str, path: str, body: Any = None, role: str = "admin") -> Answer:
        headers = {"Authorization": f"Bearer {self.credentials['keys'][role]}"}
        asked = self._http.request(method, self.credentials[service] + path, json=body, headers=headers)
        async with asked as answer:
            return answer.status, await answer.json(content_type=None) if answer.status != 204 else None

    async def audited(self, service: str, query: str) -> list[dict[str, Any]]:
        status, found = await self.call(service, "GET", f"/audit?{query}")
        assert status == 200
        items: list[dict[str, Any]] = found["items"]
        return items


@pytest.fixture
def admin(http: aiohttp.ClientSession, credentials: dict[str, Any]) -> Admin:
    return Admin(http, credentials)


async def test_a_key_is_followed_from_its_issue_to_its_end(admin: Admin) -> None:
    why = "chuyên gia mới"
    _, made = await admin.call("ingest", "POST", f"/keys?reason={quote(why)}", {"role": "viewer", "label": "Hoa"})
    await admin.call("ingest", "DELETE", f"/keys/{made['key_id']}")
    revoked, issued = await admin.audited("ingest", f"subject={made['key_id']}")
    assert (issued["action"], issued["by"], issued["role"]) == ("key_issued", admin.key_id, "admin")
    assert issued["name"] == "admin of the embedded stack" and issued["reason"] == why
    assert issued["before"] is None and issued["after"]["label"] == "Hoa"
    assert revoked["action"] == "key_revoked" and revoked["reason"] == ""
    assert revoked["before"]["revoked_at"] is None and revoked["after"]["revoked_at"] is not None
    assert made["key"] not in str(revoked) + str(issued)


async def test_a_party_shows_what_was_said_before(admin: Admin) -> None:
    gln = "9521000990012"
    for country in ("IN", "FR"):
        status, _ = await admin.call("ingest", "PUT", f"/parties/{gln}", {"country": country})
        assert status == 200, "the number has its check digit"
    await admin.call("ingest", "DELETE", f"/parties/{gln}?reason=closed")
    changes = [(one["before"], one["after"]) for one in await admin.audited("ingest", f"subject={gln}")]
    india, france = ({"country": country, "name": None} for country in ("IN", "FR"))
    assert changes == [(france, None), (india, france), (None, india)]


async def test_an_endpoint_and_a_silence_are_audited_by_alerts(admin: Admin) -> None:
    body = {"url": "http://127.0.0.1:9/", "headers": {"X-Token": "hidden"}}
    _, made = await admin.call("alerts", "POST", "/endpoints", body, role="operator")
    await admin.call("alerts", "PATCH", f"/endpoints/{made['id']}?reason=moved", {"level": 3})
    await admin.call("alerts", "DELETE", f"/endpoints/{made['id']}")
    removed, changed, created = await admin.audited("alerts", f"subject={made['id']}")
    assert (created["role"], changed["role"]) == ("operator", "admin")
    assert (changed["before"]["level"], changed["after"]["level"], changed["reason"]) == (0, 3, "moved")
    assert removed["after"] is None
    assert "hidden" not in str([removed, changed, created]) and made["secret"] not in str([removed, changed, created])
    matchers = [{"name": "rule", "value": "none"}]
    silence = {"matchers": matchers, "ends_at": "2099-01-01T00:00:00Z", "reason": "works on the line"}
    _, begun = await admin.call("alerts", "POST", "/silences", silence)
    await admin.call("alerts", "DELETE", f"/silences/{begun['id']}?reason=done")
    ended, begun_change = await admin.audited("alerts", f"subject={begun['id']}")
    assert (begun_change["reason"], ended["reason"]) == ("works on the line", "done")


@pytest.mark.parametrize("service", ["ingest", "supply", "alerts"])
async def test_administrators_alone_read_the_audit(admin: Admin, service: str) -> None:
    for role in ("viewer", "operator"):
        assert (await admin.call(service, "GET", "/audit", role=role))[0] == 403
    assert (await admin.call(service, "GET", "/audit"))[0] == 200


async def test_a_reason_that_is_too_long_is_refused_and_nothing_is_changed(admin: Admin) -> None:
    for reason in ("x" * 1_001, "%00"):
        wanted = {"role": "viewer", "label": "too long"}
        status, _ = await admin.call("ingest", "POST", f"/keys?reason={reason}", wanted)
        assert status == 422
    _, keys = await admin.call("ingest", "GET", "/keys?limit=1000")
    assert "too long" not in {key["label"] for key in keys["items"]}


async def test_the_audit_is_paged_and_filtered(admin: Admin) -> None:
    subjects = list[str]()
    for number in range(5):
        _, made = await admin.call("ingest", "POST", "/keys", {"role": "viewer", "label": f"page {number}"})
        subjects.insert(0, made["key_id"])
    query, seen, cursor = f"who={admin.key_id}&action=key_issued&limit=2", list[str](), ""
    while len(seen) < 5:
        _, found = await admin.call("ingest", "GET", f"/audit?{query}{cursor}")
        seen += [item["subject"] for item in found["items"]]
        cursor = f"&cursor={found['next']}"
    assert seen[:5] == subjects
    assert await admin.audited("ingest", "who=nobody") == []
    assert await admin.audited("ingest", "until=2020-01-01T00:00:00Z") == []
    assert len(await admin.audited("ingest", "since=2020-01-01T00:00:00Z&action=key_issued&limit=5")) == 5
    for wrong in ("since=2020-01-01T00:00:00", "cursor=x", "limit=0", "who=%00"):
        assert (await admin.call("ingest", "GET", f"/audit?{wrong}"))[0] == 422


async def test_the_page_of_the_audit_speaks_two_languages_and_opens_by_the_link_of_the_start(
    stack: Stack, credentials: dict[str, Any], browser: Browser, admin: Admin
) -> None:
    _, made = await admin.call("ingest", "POST", "/keys?reason=%3Cb%3Ebold", {"role": "viewer", "label": "Page"})
    key = credentials["keys"]["admin"]
    link = sign_in_link(stack.session_secret, key, credentials["supply"])
    assert (await browser.get(link)).status == 200
    page = await browser.get(f"{credentials['ingest']}/audit?subject={made['key_id']}&lang=en")
    assert page.status == 200 and "<h1>Audit</h1>" in page.text and "Key given out" in page.text
    assert "&lt;b&gt;bold" in page.text and "<b>bold" not in page.text
    assert "<h1>Nhật ký thay đổi</h1>" in (await browser.get("/audit?lang=vi")).text
    stranger = Browser(credentials["supply"])
    try:
        assert (await stranger.get(link)).status == 401, "a link opens the pages once"
        elsewhere = link.replace(credentials["supply"], credentials["alerts"])
        assert (await stranger.get(elsewhere)).status == 401, "and at its service alone"
    finally:
        await stranger.close()
