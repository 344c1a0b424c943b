"""GS1 identifiers are one key whichever way they are written."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.epcis import identifiers
from services.ingest.epcis.gs1_key import Key
from shared.events.fields import check_digit


def key(uri: str) -> Key:
    found = identifiers.key(uri)
    assert found is not None, uri
    return found


@pytest.mark.parametrize(
    ("uri", "gtin", "lot", "serial"),
    [
        ("urn:epc:class:lgtin:9521000.001001.A1", "09521000010017", "A1", None),
        ("urn:epc:class:lgtin:9521000.101001.A1", "19521000010014", "A1", None),
        ("urn:epc:class:lgtin:952100001.0001.A1", "09521000010017", "A1", None),
        ("urn:epc:class:lgtin:9521000.001001.A%2F1.b", "09521000010017", "A/1.b", None),
        ("URN:EPC:class:lgtin:9521000.001001.A1", "09521000010017", "A1", None),
        ("urn:epc:id:sgtin:9521000.001001.7.7", "09521000010017", None, "7.7"),
        ("urn:epc:idpat:sgtin:9521000.001001.*", "09521000010017", None, None),
        ("https://id.gs1.org/01/09521000010017/10/A1", "09521000010017", "A1", None),
        ("http://example.com:8080/some/way/01/09521000010017/10/A%2F1?17=281130#x", "09521000010017", "A/1", None),
        ("https://example.com/01/9521000010017/21/77", "09521000010017", None, "77"),
        ("https://example.com/01/09521000010017/10/A1/21/77", "09521000010017", "A1", "77"),
        ("https://example.com/01/09521000010017/22/v/10/A1/", "09521000010017", "A1", None),
        ("https://example.com/gtin/09521000010017/lot/A1", "09521000010017", "A1", None),
        ("https://example.com/00/01/09521000010017/10/A1", "09521000010017", "A1", None),
        ("https://example.com/01/09521000010017", "09521000010017", None, None),
        ("https://example.com/01/96385074/10/A1", "00000096385074", "A1", None),
    ],
)
def test_a_product_its_lot_and_its_serial(uri: str, gtin: str, lot: str | None, serial: str | None) -> None:
    assert (key(uri).gtin, key(uri).lot, key(uri).serial) == (gtin, lot, serial)


@pytest.mark.parametrize(
    "text",
    [
        "urn:epc:id:sgln:9521000.00001.0",
        "urn:epc:id:sgln:9521000.00001.room-5",
        "urn:epc:id:sgln:952100000001..0",
        "urn:epc:id:pgln:9521000.00001",
        "urn:epc:id:pgln:952100000001.",
        "https://id.gs1.org/414/9521000000018",
        "https://example.com/414/9521000000018/254/5",
        "https://example.com/x/417/9521000000018",
        "urn:gln:9521000000018",
        "9521000000018",
    ],
)
def test_a_place_or_a_party_gives_its_gln(text: str) -> None:
    assert identifiers.gln(text) == "9521000000018"


@pytest.mark.parametrize("uri", ["urn:epc:id:sscc:9521000.1234567890", "https://example.com/00/195210002345678900"])
def test_a_logistic_unit_is_known_as_one(uri: str) -> None:
    assert key(uri).ai == "00" and key(uri).gtin is None


@pytest.mark.parametrize(
    "uri",
    [
        "urn:epc:class:lgtin:9521000.001001",
        "urn:epc:class:lgtin:9521000.001001.",
        "urn:epc:class:lgtin:9521000.01001.A1",
        "urn:epc:class:lgtin:9521000.001001.%FF",
        "urn:epc:id:sgtin:9521000.00100x.1",
        "urn:epc:idpat:sgtin:9521000.*.*",
        "urn:epc:id:nothing:9521000.001001.1",
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "https://example.com/01/123/10/A1",
        "https://example.com/01/09521000010017/10/%FF",
        "https://example.com/01",
        "https://example.com",
        "geo:21.02,105.85",
        "ex:curie",
        "",
    ],
)
def test_what_names_no_key_is_no_key(uri: str) -> None:
    assert identifiers.key(uri) is None


def test_what_sets_out_to_name_goods_and_does_not_succeed_is_told_apart() -> None:
    assert identifiers.means_goods("urn:epc:class:lgtin:9521000.01001.A1")
    assert identifiers.means_goods("https://example.com/01/123/10/A1")
    assert not identifiers.means_goods("urn:epc:id:giai:4000001.111")
    assert not identifiers.means_goods("https://example.com/011/123")


@pytest.mark.parametrize(
    ("uri", "link"),
    [
        ("urn:epc:id:sgtin:9521000.001001.7%2F7", "/01/09521000010017/21/7%2F7"),
        ("https://example.com/01/09521000010017/10/A1/21/77?17=281130", "/01/09521000010017/21/77"),
        ("urn:epc:id:sgln:9521000.00001.0", "/414/9521000000018"),
        ("urn:epc:id:sgln:9521000.00001.5", "/414/9521000000018/254/5"),
        ("urn:epc:id:grai:9521000.00022.33", "/8003/0952100000022333"),
        ("urn:epc:id:giai:9521000.AB%2F1", "/8004/9521000AB%2F1"),
        ("urn:epc:id:gdti:9521000.00001.PO-1", "/253/9521000000018PO-1"),
        ("urn:epc:idpat:gdti:9521000.00001.*", "/253/9521000000018"),
        ("urn:epc:id:gsrn:9521000.0000006765", "/8018/952100000000067653"),
        ("urn:epc:id:cpi:9521000.AB.12", "/8010/9521000AB/8011/12"),
        ("urn:epc:id:itip:9521000.001001.01.02.9", "/8006/095210000100170102/21/9"),
        ("urn:epc:id:upui:9521000.001001.x", "/01/09521000010017/235/x"),
        ("urn:epc:id:ginc:9521000.x%2F1", "/401/9521000x%2F1"),
        ("urn:epc:id:gsin:9521000.222333444", "/402/95210002223334444"),
    ],
)
def test_every_key_has_one_canonical_link_of_its_finest_part(uri: str, link: str) -> None:
    found = key(uri).link()
    assert found == f"https://id.gs1.org{link}"
    again = identifiers.key(found)
    assert again is not None and again.link() == found


@settings(deadline=None)
@given(
    item=st.integers(0, 999_999).map("{:06d}".format),
    lot=st.text(alphabet=string.ascii_letters + string.digits + "!\"%&'()*+,-./:;<=>?_", min_size=1, max_size=20),
)
def test_a_lot_of_any_characters_is_the_same_in_a_urn_and_in_a_link(item: str, lot: str) -> None:
    encoded = "".join(f"%{ord(one):02X}" if one in '"%&/<>?' else one for one in lot)
    digits = item[0] + "9521000" + item[1:]
    urn = key(f"urn:epc:class:lgtin:9521000.{item}.{encoded}")
    link = key(f"https://shop.example/p/01/{digits}{check_digit(digits)}/10/{encoded}")
    assert urn == link and urn.lot == lot
    assert key(urn.link()) == urn
