"""Every class of the corpus, made by seed."""

from __future__ import annotations

from random import Random
from typing import Final

from tests.corpus import bulk, claims, contents, envelopes, numbers, texts, wires
from tests.corpus.hostile import Classes, Given

SEED: Final = 20_261
_THEMES: Final = (texts, numbers, envelopes, contents, bulk, claims, wires)


def given(glns: tuple[str, ...], foreign_gln: str, run: str, seed: int = SEED) -> Given:
    """What the classes are made from; the same arguments give the same bytes."""
    return Given(glns, foreign_gln, run, Random(seed))


def every(found: Given) -> Classes:
    """All classes, one after the other: some are large while they are looked at."""
    for theme in _THEMES:
        yield from theme.classes(found)
