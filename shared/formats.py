"""Writes numbers, shares, money, days and moments as readers of a language do. Pure. Days are those of Viet Nam."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_compact_decimal, format_currency, format_decimal, format_percent
from markupsafe import Markup

from shared.clock import TZ

UNKNOWN: Final = "\N{EN DASH}"
_LOCALES: Final = {"en": "en_GB"}  # 24 Nov 2026, 17:00:00
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
KEPT: Final = 10_000  # formatted values; pages repeat the same days and shares

Number = int | float | Decimal | str
Day = date | str
Moment = datetime | str


class Formats:
    """The formats of one language. None, what is not known, is written as a dash."""

    def __init__(self, language: str) -> None:
        self._locale = Locale.parse(_LOCALES.get(language, language))

    def filters(self) -> dict[str, Any]:
        """For templates, by name."""
        names = ("number", "amount", "compact", "percent", "points", "money", "day", "month", "moment")
        return {name: getattr(self, name) for name in names}

    def number(self, value: Number | None, digits: int = 0) -> str:
        """1234.5 as 1,234.5 or 1.234,5; at most `digits` decimals."""
        return UNKNOWN if value is None else _decimal(str(value), digits, self._locale)

    def amount(self, value: str | None) -> str:
        """A number to two decimals; what is none, as it is."""
        if value is None:
            return UNKNOWN
        return self.number(value, 2) if _NUMBER.fullmatch(value) else value

    def compact(self, value: Number | None) -> str:
        """A large number in few characters: 1.2M."""
        if value is None:
            return UNKNOWN
        return str(format_compact_decimal(Decimal(value), locale=self._locale, fraction_digits=1))

    def percent(self, value: Number | None, digits: int = 1) -> str:
        """0.65 as 65 %; `digits` decimals."""
        return UNKNOWN if value is None else _percent(str(value), digits, self._locale)

    def points(self, value: Number | None, digits: int = 1) -> str:
        """A difference of two shares, with its sign, in percentage points."""
        if value is None:
            return UNKNOWN
        sign = "+" if Decimal(value) > 0 else ""
        return sign + _decimal(str(Decimal(value) * 100), digits, self._locale, least=digits)

    def money(self, value: Number | None, currency: str = "VND") -> str:
        """An amount with its currency."""
        return UNKNOWN if value is None else str(format_currency(Decimal(value), currency, locale=self._locale))

    def day(self, value: Day | None) -> str:
        """A day, as <time> that programs can read too."""
        if value is None:
            return UNKNOWN
        return _day(value if isinstance(value, str) else value.isoformat(), self._locale)

    def month(self, value: Day | None) -> str:
        """The month of a day."""
        if value is None:
            return UNKNOWN
        return _month(value if isinstance(value, str) else value.isoformat(), self._locale)

    def moment(self, value: Moment | None) -> str:
        """A moment to the second, by the clocks of Viet Nam, as <time>."""
        if value is None:
            return UNKNOWN
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
        shown = format_datetime(instant, "medium", tzinfo=TZ, locale=self._locale)
        return Markup('<time datetime="{}">{}</time>').format(instant.astimezone(UTC).isoformat(), shown)


@lru_cache(KEPT)
def _decimal(value: str, digits: int, locale: Locale, least: int = 0) -> str:
    pattern = "#,##0." + "0" * least + "#" * (digits - least)
    return str(format_decimal(Decimal(value), pattern, locale=locale))


@lru_cache(KEPT)
def _percent(value: str, digits: int, locale: Locale) -> str:
    pattern = locale.percent_formats[None].pattern.replace("#,##0", "#,##0." + "0" * digits if digits else "#,##0")
    return str(format_percent(Decimal(value), pattern, locale=locale))


@lru_cache(KEPT)
def _day(value: str, locale: Locale) -> str:
    shown = format_date(date.fromisoformat(value), "medium", locale=locale)
    return Markup('<time datetime="{}">{}</time>').format(value, shown)


@lru_cache(KEPT)
def _month(value: str, locale: Locale) -> str:
    return str(format_date(date.fromisoformat(value), "MMM y", locale=locale))
