"""What pages say: every word of a template can be translated, and is."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from jinja2 import Environment, nodes

from shared.language import translations
from shared.messages import ROOMS, catalogues, messages, read
from shared.settings import ROOT

# Rooms whose templates are wholly translated.
MARKED = ("shared", "services/supply", "services/alerts", "services/ingest")
TEMPLATES = [file for room in MARKED for file in sorted((ROOT / room / "templates").glob("*.html"))]
SPOKEN_ATTRIBUTES = ("title", "alt", "aria-label", "placeholder", "data-stale")
# Names, which are the same in every language, and marks that are no words.
SAME_EVERYWHERE = {
    "Supply Watch",
    "sw_…",
    "GTIN",
    "GLN",
    "JSON",
    "JSON Schema",
    "CSV",
    "Parquet",
    "ATC",
    "AsyncAPI",
    "OpenAPI",
    "webhook-id",
}
Words = str | tuple[str, ...] | list[str] | None
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")


class _Said(HTMLParser):
    """What a reader is shown of a template's own text; code is no language."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in ("code", "pre", "script")
        self.texts += [value for name, value in attrs if name in SPOKEN_ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("code", "pre", "script")

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.texts.append(data)


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: f"{file.parent.parent.name}/{file.name}")
def test_every_word_of_a_template_is_marked_for_translation(file: Path) -> None:
    tree = Environment(extensions=["jinja2.ext.i18n"]).parse(file.read_text())
    own = "".join(node.data if isinstance(node, nodes.TemplateData) else "\x00" for node in _pieces(tree))
    said = _Said()
    said.feed(own)
    spoken = {part.strip(" ·\n") for text in said.texts for part in text.split("\x00")}
    assert {text for text in spoken - SAME_EVERYWHERE if re.search(r"[^\W\d_]{2}", text)} == set()


def _pieces(tree: nodes.Template) -> list[nodes.Node]:
    """The template's own text, and what is put in between, in their order."""
    return [piece for output in tree.find_all(nodes.Output) for piece in output.nodes]


@pytest.mark.parametrize(("room", "language", "file"), list(catalogues()), ids=lambda value: str(value))
def test_every_message_is_translated_and_nothing_else_is(room: Path, language: str, file: Path) -> None:
    said = {message.id for message in messages(room) if message.id}
    held = {message.id: message for message in read(file, language) if message.id}
    assert held.keys() == said, "run make messages"
    assert [message.id for message in held.values() if not all(_texts(message.string))] == []
    assert [message.id for message in held.values() if _places(message.id) != _places(message.string)] == []
    assert not any(message.fuzzy for message in held.values())


def _texts(words: Words) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words or ("",))


def _places(words: Words) -> set[str]:
    return {name for text in _texts(words) for name in PLACEHOLDER.findall(text)}


def test_every_room_with_templates_is_looked_at() -> None:
    assert {file.parent.parent for file in ROOT.glob("s*/**/templates/*.html")} <= set(ROOMS)


def test_a_message_of_several_numbers_knows_its_places() -> None:
    assert _places(Message(("%(n)s day", "%(n)s days")).id) == {"n"}


def test_what_counts_is_told_in_the_language_too() -> None:
    words = translations("vi", [ROOT / "services/alerts", ROOT / "shared"])
    for count in (1, 3):
        assert words.ngettext("and %(num)d more", "and %(num)d more", count) == "và %(num)d mục nữa"
