"""Decides what is a URI (RFC 3986) and what a moment (RFC 3339, as JSON Schema asserts them). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from ipaddress import AddressValueError, IPv6Address
from typing import Final

_PERCENT: Final = "%[0-9A-Fa-f]{2}"
_NAME: Final = r"A-Za-z0-9\-._~!$&'()*+,;="  # unreserved and sub-delims
_SEGMENT: Final = f"(?:[{_NAME}:@]|{_PERCENT})"
_AUTHORITY: Final = (
    f"(?:(?:[{_NAME}:]|{_PERCENT})*@)?"
    rf"(?:\[(?:(?P<ipv6>[0-9A-Fa-f:.]+)|[vV][0-9A-Fa-f]+\.[{_NAME}:]+)\]|(?:[{_NAME}]|{_PERCENT})*)"
    "(?::[0-9]*)?"
)
_URI: Final = re.compile(
    "[A-Za-z][A-Za-z0-9+.-]*:"
    f"(?://{_AUTHORITY}(?:/{_SEGMENT}*)*|/(?:{_SEGMENT}+(?:/{_SEGMENT}*)*)?|{_SEGMENT}+(?:/{_SEGMENT}*)*|)"
    rf"(?:\?(?:{_SEGMENT}|[/?])*)?(?:#(?:{_SEGMENT}|[/?])*)?"
)
_MOMENT: Final = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt](?P<clock>(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(?:\.(?P<fraction>[0-9]+))?(?P<offset>[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_OFFSET: Final = re.compile(r"([+-])([01][0-9]|2[0-3]):([0-5][0-9])")


def is_uri(value: str) -> bool:
    """Whether `value` is a URI with a scheme: EPC URIs, GS1 Digital Links and CURIEs are."""
    found = _URI.fullmatch(value)
    if found is None:
        return False
    try:
        return found["ipv6"] is None or bool(IPv6Address(found["ipv6"]))
    except AddressValueError:
        return False


def is_moment(value: str) -> bool:
    """Whether `value` is a date-time of RFC 3339; JSON Schema's checkers know no leap seconds and no year 0."""
    return _parts(value) is not None


@dataclass(frozen=True, slots=True)
class Moment:
    """A date-time: the instant of its whole second, and the digits of the fraction as written."""

    second: datetime
    fraction: str

    @property
    def instant(self) -> datetime:
        """To the microsecond, aware. More digits are cut off."""
        return self.second + timedelta(microseconds=int(self.fraction[:6].ljust(6, "0")))

    def in_milliseconds(self) -> str:
        """In UTC with three digits, rounded half up, for the event hash. Raises OverflowError past the calendar."""
        thousandths = int(self.fraction[:3].ljust(3, "0")) + (self.fraction[3:4] >= "5")
        rounded = self.second.astimezone(UTC) + timedelta(milliseconds=thousandths)
        return rounded.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"

    def day_at(self, offset: str) -> date:
        """The day at an offset like +07:00. Raises OverflowError past the calendar."""
        return self.instant.astimezone(timezone(offset_of(offset))).date()


def moment(value: str) -> Moment:
    """The moment that `value` names. Raises ValueError if it is none."""
    parts = _parts(value)
    if parts is None:
        raise ValueError(f"{value!r} is no date-time")
    return parts


def _parts(value: str) -> Moment | None:
    found = _MOMENT.fullmatch(value)
    if found is None:
        return None
    offset = found["offset"].upper()
    try:
        second = datetime.fromisoformat(f"{found['day']}T{found['clock']}")
    except ValueError:
        return None
    return Moment(second.replace(tzinfo=timezone(offset_of(offset))), found["fraction"] or "")


def offset_of(text: str) -> timedelta:
    """`Z`, `+07:00`, `-06:00` as a difference to UTC. Raises ValueError."""
    if text == "Z":
        return timedelta()
    found = _OFFSET.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no offset")
    sign, hours, minutes = found.groups()
    difference = timedelta(hours=int(hours), minutes=int(minutes))
    return -difference if sign == "-" else difference
