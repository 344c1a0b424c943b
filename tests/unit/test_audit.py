"""What a page shows of a change, and which roles a provider's claims give."""

from __future__ import annotations

from typing import Any

import pytest

from shared.audit_api import differences
from shared.oidc import role_of

ROLES = {"watch-view": "viewer", "watch-run": "operator", "watch-all": "admin"}


def test_only_what_is_not_the_same_is_a_difference() -> None:
    before, after = {"level": 0, "url": "a", "rate": None}, {"level": 2, "url": "a", "filter": {"rule": ["x"]}}
    assert differences(before, after) == [("filter", "", '{"rule":["x"]}'), ("level", "0", "2"), ("rate", "null", "")]
    assert differences(None, {"country": "VN"}) == [("country", "", '"VN"')]
    assert differences({"country": "VN"}, None) == [("country", '"VN"', "")]
    assert differences(None, None) == []


@pytest.mark.parametrize(
    ("claims", "path", "role"),
    [
        ({"roles": ["watch-view", "watch-all", "watch-run"]}, "roles", "admin"),
        ({"roles": "watch-run"}, "roles", "operator"),
        ({"realm_access": {"roles": ["watch-view"]}}, "realm_access.roles", "viewer"),
        ({"roles": ["admin", "Watch-All", "watch-all "]}, "roles", None),
        ({"roles": {"watch-all": True}}, "roles", None),
        ({"roles": [["watch-all"], None, 7]}, "roles", None),
        ({"realm_access": "watch-all"}, "realm_access.roles", None),
        ({}, "roles", None),
    ],
)
def test_a_role_is_what_the_settings_make_of_a_claim(claims: dict[str, Any], path: str, role: str | None) -> None:
    assert role_of(claims, path, ROLES) == role
