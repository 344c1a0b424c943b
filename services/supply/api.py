"""Gathers the answers to HTTP questions, each exactly as known at one checkpoint."""

from __future__ import annotations

from fastapi import FastAPI

from services.supply import figures_api, ledger_api, registry_api


def add_routes(app: FastAPI) -> None:
    for answers in (ledger_api, figures_api, registry_api):
        app.include_router(answers.router)
