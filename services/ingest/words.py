"""How pages tell what the API says by code words: each in English that can be translated."""

from __future__ import annotations

from typing import Final

from shared.keys import ADMIN
from shared.language import translatable

WORDS: Final = {
    "manufacturer": translatable("manufacturer"),
    "importer": translatable("importer"),
    "distributor": translatable("distributor"),
    "regulator": translatable("regulator"),
    "producer": translatable("producer"),
    "viewer": translatable("viewer"),
    "operator": translatable("operator"),
    "admin": translatable("administrator"),
    "rejected": translatable("refused"),
    "incomplete": translatable("incomplete"),
    "open": translatable("open"),
    "replayed": translatable("replayed"),
}
LINKS: Final = (
    (translatable("Begin"), "/"),
    (translatable("Catalogue"), "/catalogue"),
    (translatable("Rejections"), "/rejections"),
    (translatable("Producers"), "/producers", (ADMIN,)),
    (translatable("Keys"), "/keys", (ADMIN,)),
)
