"""Gathers the answers to HTTP questions, each exactly as known at one checkpoint."""

from __future__ import annotations

from fastapi import FastAPI

from services.supply import exports_api, figures_api, ledger_api, registry_api


def add_routes(app: FastAPI) -> None:
    app.state.exports = exports_api.Slots(app.state.settings.max_exports)
    for answers in (ledger_api, figures_api, registry_api, exports_api):
        app.include_router(answers.router)
