"""Shapes what the registry holds as JSON: decimals as strings, days as ISO dates, each with its events. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec

from services.supply.agreements import Agreement
from services.supply.facts import Fact
from services.supply.figures import text
from services.supply.interruptions import Interruption
from services.supply.lot import gtin_text
from services.supply.registry import Authorisation, Packing, Registry


def plain(value: Any) -> Any:
    """A struct of the catalogue as JSON-ready values."""
    return msgspec.to_builtins(value)


def events(facts: Sequence[Fact]) -> list[dict[str, str]]:
    return [{"source": fact.source, "id": fact.id} for fact in facts]


def product_json(packing: Packing, registry: Registry, on: date) -> dict[str, Any]:
    """A product with the events of the authorisation that describes it, and of its price."""
    return {
        "gtin": gtin_text(packing.gtin),
        "product": plain(packing.product),
        "pack_size": packing.pack_size,
        "ddd_per_pack": text(packing.ddd_per_pack),
        "authorisation": packing.authorisation,
        "origin": packing.origin,
        "local_step": packing.local_step,
        "agreement": packing.agreement,
        "price": registry.price_on(packing.gtin, on),
        "events": events((*packing.events, *registry.priced_by(packing.gtin, on))),
    }


def authorisation_json(held: Authorisation, on: date) -> dict[str, Any]:
    return {
        "authorisation": held.authorisation,
        "status": held.status,
        "valid": held.valid_on(on),
        "product": plain(held.product),
        "packs": plain(held.packs),
        "origin": held.origin,
        "local_step": held.local_step,
        "holder": held.holder,
        "manufacturer": held.manufacturer,
        "granted_on": held.granted_on.isoformat(),
        "expires_on": held.expires_on.isoformat(),
        "renewal_filed_on": held.renewal_filed_on and held.renewal_filed_on.isoformat(),
        "agreement": held.agreement,
        "events": events(held.events),
    }


def agreement_json(held: Agreement) -> dict[str, Any]:
    return {
        "agreement": held.agreement,
        "title": held.title,
        "originator": held.originator,
        "recipient": held.recipient,
        "signed_on": held.signed_on.isoformat(),
        "ended_on": held.ended_on and held.ended_on.isoformat(),
        "products": plain(held.products),
        "milestones": [
            {
                **plain(item),
                "reached_on": held.reached[item.milestone].isoformat() if item.milestone in held.reached else None,
            }
            for item in held.milestones
        ],
        "events": events(held.events),
    }


def interruption_json(held: Interruption, on: date) -> dict[str, Any]:
    """An interruption with how long it has lasted, or did."""
    return {
        "interruption": held.interruption,
        "state": "open" if held.resolved_on is None else "resolved",
        "gtin": held.gtin,
        "site": held.site,
        "cause": held.cause,
        "started_on": held.started_on.isoformat(),
        "expected_until": held.expected_until and held.expected_until.isoformat(),
        "resolved_on": held.resolved_on and held.resolved_on.isoformat(),
        "days": ((held.resolved_on or on) - held.started_on).days,
        "events": events(held.events),
    }
