"""Decides which language a reader is answered in, and knows the words of each. Pure, but for reading the catalogues.

English stands in the templates; `translations/<language>.po` of each room has the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

DEFAULT: Final = "en"
# By code, each named in itself.
LANGUAGES: Final = {"en": "English", "vi": "Tiếng Việt"}
MAX_ACCEPTED: Final = 20  # entries of an Accept-Language header that are looked at


def translatable(text: str) -> str:
    """Marks `text`, which is written here and shown by a template, for the catalogues."""
    return text


def chosen(asked: str | None, kept: str | None, accepted: str) -> str:
    """The language by `?lang=`, else by the cookie, else by the header Accept-Language, else English."""
    for wish in (asked, kept, *_accepted(accepted)):
        if wish in LANGUAGES:
            return wish
    return DEFAULT


def _accepted(header: str) -> list[str]:
    """The main languages that a browser names, most wanted first; what cannot be read is left out."""
    found = []
    for place, part in enumerate(header.split(",")[:MAX_ACCEPTED]):
        name, _, parameters = part.strip().partition(";")
        weight = _weight(parameters)
        if weight > 0:
            found.append((-weight, place, name.strip().lower().partition("-")[0]))
    return [name for _, _, name in sorted(found)]


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


def translations(language: str, rooms: Iterable[Path]) -> NullTranslations:
    """The words of `language` from the catalogues of `rooms`; of two with one message the first counts."""
    files = (room / "translations" / f"{language}.po" for room in rooms)
    compiled = [_compiled(file, language) for file in files if language != DEFAULT and file.exists()]
    if not compiled:
        return NullTranslations()
    known = compiled.pop()  # it knows the plurals of the language
    for more in reversed(compiled):
        known.merge(more)
    return known


def _compiled(file: Path, language: str) -> Translations:
    with file.open("rb") as text:
        catalogue = read_po(text, locale=language)
    machine = BytesIO()
    write_mo(machine, catalogue)
    machine.seek(0)
    return Translations(fp=machine)
