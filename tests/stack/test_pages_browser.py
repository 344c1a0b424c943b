"""People at a real browser: the one-time link, the way from a red goal to an event, what is acted on, in two languages.

Every page is looked at in light, in dark and on a phone: axe-core finds no grave fault, the console no error, and a
picture of it is left in build/screens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

import pytest

from deploy.local.sign_in_link import sign_in_link
from deploy.local.stack import Stack
from shared.json_http import call
from tests.stack.chromium import LOOKS, WIDE, Chromium
from tests.stack.pages_given import AGREEMENT, GOAL, Market, market

ENGLISH: Final = {
    "acknowledge": "Acknowledge",
    "acknowledged": "Acknowledged: whoever was told",
    "send": "Send again",
    "sent": "It is being sent again",
    "replay": "Replay",
    "accepted": "Accepted:",
}
VIETNAMESE: Final = {
    "acknowledge": "Tiếp nhận",
    "acknowledged": "Đã tiếp nhận: những nơi",
    "send": "Gửi lại",
    "sent": "Đang gửi lại",
    "replay": "Xét lại",
    "accepted": "Lại bị từ chối:",
}


@pytest.fixture(scope="module")
def told(stack: Stack) -> Market:
    return asyncio.run(market(stack))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    opened = Chromium()
    yield opened
    opened.close()


@pytest.fixture
def browser(chromium: Chromium, stack: Stack, told: Market) -> Chromium:
    """One at which an administrator has signed in by the link that a start of the stack prints, reading English."""
    chromium.driver.delete_all_cookies()
    chromium.look(WIDE, "light")
    url = stack.credentials["supply"]
    chromium.go(sign_in_link(stack.session_secret, stack.credentials["keys"]["admin"], url))
    chromium.complaints()
    return chromium


def test_the_link_that_a_start_prints_opens_the_goals_once(browser: Chromium, stack: Stack) -> None:
    assert browser.driver.current_url.partition("?")[0] == stack.credentials["supply"] + "/"
    link = sign_in_link(stack.session_secret, stack.credentials["keys"]["admin"], stack.credentials["supply"])
    browser.driver.delete_all_cookies()
    browser.go(link)
    assert browser.find(f'main a[href="/goals/{GOAL}"]')
    browser.driver.delete_all_cookies()
    browser.go(link)
    assert "/sign-in" in browser.driver.current_url
    assert browser.complaints() == []


@pytest.mark.parametrize("language", ["en", "vi"])
def test_a_red_goal_leads_to_the_events_behind_it(browser: Chromium, stack: Stack, told: Market, language: str) -> None:
    browser.go(f"{stack.credentials['supply']}/?lang={language}")
    assert browser.find("html").get_attribute("lang") == language
    red = browser.find(f"#goal-{GOAL} .state.bad")
    assert red.is_displayed()
    browser.link(f"/goals/{GOAL}")
    browser.link("/explain?")
    browser.follow('main tr:has(a[href*="/lots/"]) a[href*="/events/"]')
    assert "import.received" in browser.text() or "batch." in browser.text()
    browser.link("/lots/")
    assert browser.find("h1").text
    assert browser.complaints() == []


def test_an_alert_on_the_goal_leads_back_to_it(browser: Chromium, stack: Stack, told: Market) -> None:
    browser.go(f"{stack.credentials['alerts']}/alerts/{told.alert}")
    browser.link(f"/goals/{GOAL}")
    assert browser.driver.current_url.startswith(stack.credentials["supply"])


@pytest.mark.parametrize(("language", "words"), [("en", ENGLISH), ("vi", VIETNAMESE)])
def test_an_alert_is_acknowledged_a_delivery_sent_again_and_a_rejection_replayed(
    browser: Chromium, stack: Stack, told: Market, language: str, words: dict[str, str]
) -> None:
    alerts, ingest = stack.credentials["alerts"], stack.credentials["ingest"]
    firing = open_alert(stack)
    browser.go(f"{alerts}/alerts/{firing}?lang={language}")
    browser.press(words["acknowledge"])
    assert words["acknowledged"] in browser.text()
    browser.link("/deliveries/")
    browser.press(words["send"])
    assert words["sent"] in browser.text()
    browser.go(f"{ingest}/rejections?producer={told.refused}")
    number = told.rejection if language == "en" else told.rejection + 1
    browser.follow(f'main a[href$="/rejections/{number}"]')
    browser.press(words["replay"])
    assert words["accepted"] in browser.text()
    assert browser.complaints() == []


def open_alert(stack: Stack) -> str:
    """One that fires, and that the receiver has been told of."""
    alerts, key = stack.credentials["alerts"], stack.credentials["keys"]["operator"]
    for alert in call("GET", f"{alerts}/alerts?state=firing&limit=50", key)["items"]:
        if call("GET", f"{alerts}/deliveries?alert={alert['id']}", key)["items"]:
            return str(alert["id"])
    raise AssertionError("no alert fires that somebody was told of")


def test_a_page_refreshes_without_losing_what_is_being_written(browser: Chromium, stack: Stack) -> None:
    browser.go(f"{stack.credentials['alerts']}/silences")
    written = browser.find("#reason")
    written.send_keys("works on the plant")
    browser.driver.execute_script("document.querySelector('h1').textContent = 'old'; turn()")
    browser.until("Silences\n")
    assert written.get_attribute("value") == "works on the plant"
    assert browser.driver.switch_to.active_element == written
    assert browser.complaints() == []


def pages(stack: Stack, told: Market) -> list[tuple[str, str]]:
    """Every kind of page of the three services, by the name of its picture."""
    supply, alerts, ingest = (stack.credentials[name] for name in ("supply", "alerts", "ingest"))
    key = stack.credentials["keys"]["operator"]
    delivery = call("GET", f"{alerts}/deliveries?alert={told.alert}", key)["items"]
    endpoint = call("GET", f"{alerts}/endpoints", key)["items"][0]["id"]
    lot = call("GET", f"{supply}/lots/{told.imported}/{told.lot}", key)
    event = lot["transfers"][0]["event"]
    return [
        ("supply-goals", f"{supply}/"),
        ("supply-goal", f"{supply}/goals/{GOAL}"),
        ("supply-shares", f"{supply}/shares"),
        ("supply-products", f"{supply}/products"),
        ("supply-product", f"{supply}/products/{told.imported}"),
        ("supply-lot", f"{supply}/lots/{told.imported}/{told.lot}"),
        ("supply-agreements", f"{supply}/agreements"),
        ("supply-agreement", f"{supply}/agreements/{AGREEMENT}"),
        ("supply-obligations", f"{supply}/obligations"),
        ("supply-anomalies", f"{supply}/anomalies"),
        ("supply-explain", f"{supply}/indicators/domestic_share_volume/explain?scope=atc:C"),
        ("supply-event", f"{supply}/events/{quote(event['source'], safe='')}/{quote(event['id'], safe='')}"),
        ("supply-audit", f"{supply}/audit"),
        ("alerts-inbox", f"{alerts}/"),
        ("alerts-alert", f"{alerts}/alerts/{told.alert}"),
        ("alerts-endpoints", f"{alerts}/endpoints"),
        ("alerts-endpoint", f"{alerts}/endpoints/{endpoint}"),
        ("alerts-endpoint-new", f"{alerts}/endpoints/new"),
        ("alerts-deliveries", f"{alerts}/deliveries"),
        *[("alerts-delivery", f"{alerts}/deliveries/{one['id']}") for one in delivery[:1]],
        ("alerts-silences", f"{alerts}/silences"),
        ("alerts-audit", f"{alerts}/audit"),
        ("ingest-home", f"{ingest}/"),
        ("ingest-catalogue", f"{ingest}/catalogue"),
        ("ingest-type", f"{ingest}/catalogue/supply.batch.produced.v1"),
        ("ingest-rejections", f"{ingest}/rejections"),
        ("ingest-rejection", f"{ingest}/rejections/{told.rejection}"),
        ("ingest-producers", f"{ingest}/producers"),
        ("ingest-producer", f"{ingest}/producers/{told.refused}"),
        ("ingest-producer-new", f"{ingest}/producers/new"),
        ("ingest-keys", f"{ingest}/keys"),
        ("ingest-audit", f"{ingest}/audit"),
        ("sign-out", f"{ingest}/sign-out"),
        ("not-found", f"{ingest}/nowhere"),
    ]


@pytest.mark.proof
@pytest.mark.parametrize("look", LOOKS)
def test_every_page_has_no_grave_fault_and_its_picture_is_kept(
    browser: Chromium, stack: Stack, told: Market, look: str
) -> None:
    found = {}
    size, colours, language = LOOKS[look]
    browser.look(size, colours)
    browser.go(f"{stack.credentials['ingest']}/sign-out?lang={language}")
    for name, url in pages(stack, told):
        browser.go(url)
        browser.shoot(f"{name}-{look}")
        faults = browser.faults() + browser.complaints()
        if faults:
            found[name] = faults
    assert found == {}
