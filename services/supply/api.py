"""Gathers the answers to HTTP questions, each exactly as known at one checkpoint."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI

from services.supply import (
    explain_api,
    exports_api,
    figures_api,
    ledger_api,
    registry_api,
    told_api,
    verify_api,
    whatif_api,
)
from services.supply.settings import SupplySettings
from services.supply.slots import Slots
from shared import audit_api, openapi

EXPORT_RETRY_SECONDS: Final = 10
SERIES_RETRY_SECONDS: Final = 5
VERIFY_RETRY_SECONDS: Final = 30


def add_routes(app: FastAPI) -> None:
    settings: SupplySettings = app.state.settings
    app.state.exports = Slots("exports", settings.max_exports, EXPORT_RETRY_SECONDS)
    app.state.series = Slots("series of indicators", settings.max_series, SERIES_RETRY_SECONDS)
    app.state.verifying = Slots("verifications", 1, VERIFY_RETRY_SECONDS)
    for answers in (ledger_api, figures_api, explain_api, told_api, registry_api, exports_api, verify_api, whatif_api):
        app.include_router(answers.router)
    audit_api.add_to(app)
    openapi.add_route(app)
