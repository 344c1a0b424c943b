"""How pages tell what the API says by code words: each in English that can be translated."""

from __future__ import annotations

from typing import Final

from shared.language import translatable

WORDS: Final = {
    # severities
    "critical": translatable("critical"),
    "warning": translatable("warning"),
    "info": translatable("for information"),
    # states of alerts, and what happens to them
    "open": translatable("open"),
    "all": translatable("all"),
    "pending": translatable("waiting"),
    "firing": translatable("firing"),
    "acknowledged": translatable("acknowledged"),
    "resolved": translatable("ended"),
    "withdrawn": translatable("withdrawn before it fired"),
    "reopened": translatable("firing again"),
    "reminder": translatable("reminder"),
    "escalated": translatable("escalated"),
    "unmuted": translatable("no longer held back"),
    "test": translatable("test"),
    # states of deliveries and silences
    "delivered": translatable("delivered"),
    "failed": translatable("failed"),
    "active": translatable("active"),
    "expired": translatable("ended"),
    # how long a silence lasts
    "1h": translatable("1 hour"),
    "4h": translatable("4 hours"),
    "8h": translatable("8 hours"),
    "1d": translatable("1 day"),
    "3d": translatable("3 days"),
    "7d": translatable("7 days"),
    # formats and filters of endpoints
    "standard": translatable("Standard Webhooks, a CloudEvent"),
    "alertmanager": translatable("Alertmanager, version 4"),
    "slack": translatable("Slack"),
    "severity": translatable("Severity"),
    "rule": translatable("Rule"),
    "scope": translatable("Scope"),
}
LINKS: Final = (
    (translatable("Inbox"), "/"),
    (translatable("Endpoints"), "/endpoints"),
    (translatable("Deliveries"), "/deliveries"),
    (translatable("Silences"), "/silences"),
)
