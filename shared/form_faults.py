"""Decides beside which field of a form a fault is shown, and in which words. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from shared.errors import Fault
from shared.language import translatable

# Where a fault stands that belongs to no field.
WHOLE: Final = ""
_NAMES: Final = re.compile(r"[^.\[\]]+")
# What a code means to who fills a form in; readers of English are told the detail instead, which says more.
MEANING: Final[Mapping[str, str]] = {
    "missing": translatable("This is needed."),
    "type": translatable("This is not of the kind that is needed, such as a number."),
    "range": translatable("This is too small or too large."),
    "length": translatable("This is too short or too long."),
    "pattern": translatable("This has not the form that is needed."),
    "choice": translatable("This cannot be chosen here."),
    "time": translatable("This is not a moment."),
    "destination": translatable("No webhook may go there."),
    "check_digit": translatable("The check digit is wrong: a digit is mistyped."),
    "duplicate": translatable("The same stands here twice."),
    "country": translatable("There is no such country."),
    "control_character": translatable("This holds a character that cannot be kept."),
    "name_taken": translatable("This name is or was in use."),
    "gln_taken": translatable("This number belongs to somebody else."),
    "not_firing": translatable("The alert is not firing any more."),
    "too_many": translatable("There are too many already."),
    "confirm": translatable("Tick the box if you are sure."),
}
OTHERWISE: Final = translatable("This is wrong.")


def beside(
    faults: Iterable[Fault], fields: Collection[str], places: Mapping[str, str] | None = None
) -> dict[str, list[Fault]]:
    """What is wrong, by the field of the form that it is shown at; at WHOLE what none of `fields` holds.

    A fault at `filter.rule[2]` is shown at the innermost of its names that is a field: `rule`. `places` says where
    what has another name in the form is shown: {"0": "value3"}.
    """
    shown: dict[str, list[Fault]] = {}
    for fault in faults:
        names = [(places or {}).get(name, name) for name in _NAMES.findall(fault.field or "")]
        field = next((name for name in reversed(names) if name in fields), WHOLE)
        shown.setdefault(field, []).append(fault)
    return shown
