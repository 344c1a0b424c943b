"""Gathers the messages of each room from its templates and modules into translations/vi.po: `make messages`.

What is translated stays; what is no longer said goes; what is new waits, empty, for its translation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from shared.language import DEFAULT, LANGUAGES
from shared.settings import ROOT

ROOMS: Final = (ROOT / "shared", *(ROOT / "services" / name for name in ("ingest", "supply", "alerts")))
_METHODS: Final = [("**.py", "python"), ("**/templates/**.html", "jinja2.ext:babel_extract")]
_KEYWORDS: Final[dict[str, Any]] = {"_": None, "gettext": None, "ngettext": (1, 2), "translatable": None}
_OPTIONS: Final = {"**/templates/**.html": {"newstyle_gettext": "true", "trimmed": "true", "silent": "false"}}


def messages(room: Path) -> Catalog:
    """Every message of `room`, untranslated."""
    found = Catalog(charset="utf-8")
    walked = extract_from_dir(room, _METHODS, _OPTIONS, _KEYWORDS, strip_comment_tags=True)
    for _, _, message, _, context in walked:
        found.add(message, context=context)
    return found


def catalogues() -> Iterator[tuple[Path, str, Path]]:
    """Each room, each language that has to be translated, and the file that holds that."""
    for room in ROOMS:
        for language in LANGUAGES:
            if language != DEFAULT:
                yield room, language, room / "translations" / f"{language}.po"


def read(file: Path, language: str) -> Catalog:
    """The catalogue in `file`; an empty one if there is none."""
    if not file.exists():
        return Catalog(locale=language, charset="utf-8")
    with file.open("rb") as text:
        return read_po(text, locale=language)


def main() -> int:
    """Writes the catalogues anew, and names what is not translated yet."""
    missing = 0
    for room, language, file in catalogues():
        held, found = read(file, language), messages(room)
        held.update(found, no_fuzzy_matching=True)
        if not any(message.id for message in held):
            continue
        file.parent.mkdir(exist_ok=True)
        with file.open("wb") as text:
            write_po(text, held, width=120, no_location=True, omit_header=True, sort_output=True, ignore_obsolete=True)
        for message in held:
            if message.id and not message.string:
                missing += 1
                print(f"{file.relative_to(ROOT)}: not translated: {message.id}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
