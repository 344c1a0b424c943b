"""The pages of supply: goals, products, lots, agreements, what is owed, what is odd, what became of an event.

They read what is kept, and fold nothing, but for the events behind a value, which say so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import FastAPI

from services.supply.pages import duties, events, goals, products
from services.supply.pages.drawings import Drawings
from services.supply.pages.words import WORDS
from services.supply.settings import SupplySettings
from shared import pages, sign_in
from shared.language import translatable
from shared.pages import Pages

TEMPLATES: Final = Path(__file__).parent.parent / "templates"
LINKS: Final = (
    (translatable("Goals"), "/"),
    (translatable("Supply by origin"), "/shares"),
    (translatable("Products"), "/products"),
    (translatable("Agreements"), "/agreements"),
    (translatable("Obligations"), "/obligations"),
    (translatable("Anomalies"), "/anomalies"),
)


def add_pages(app: FastAPI) -> None:
    """To be called before the routes for programs are added: some share their paths."""
    settings: SupplySettings = app.state.settings
    pages.add_to(app, Pages("supply", TEMPLATES, LINKS, settings.services(), WORDS))
    sign_in.add_to(app)
    app.state.drawings = Drawings()
    for part in (goals, products, duties, events):
        app.include_router(part.router)
