"""Shows products and their lots: found by GTIN, lot, authorisation or name; one product; a lot's statement."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Query, Request, Response

from services.supply.asked import GTIN, NO_NUL, Asked, Cursor, Moment, Number, Small, reader
from services.supply.balances import Wanted, balance_item, balance_of, balances
from services.supply.ledger_api import NO_PLACE
from services.supply.lot import gtin_text
from services.supply.measure import OF_PRODUCTS
from services.supply.pages import reads
from services.supply.pages.words import TONES
from services.supply.registry import Packing, Registry
from services.supply.statements import lot_statement
from services.supply.told_api import KINDS
from shared.errors import Fault, Invalid, Problem
from shared.pages import REFRESH_SECONDS, Pages, link_here, page_router
from shared.web import decode_cursor, encode_cursor

router = page_router()
Item = dict[str, Any]
ROWS: Final = 50
LOTS_FOUND: Final = 20
LOT_LENGTH: Final = 20
ANOMALIES_A_KIND: Final = 20


@router.get("/products", dependencies=[Depends(reader)])
async def products_page(
    request: Request,
    asked: Annotated[Asked, Depends()],
    q: Annotated[str, Query(max_length=100, pattern=NO_NUL)] = "",
    cursor: Cursor = None,
) -> Response:
    """The registered products, or those that are called so; and lots with such a number."""
    pages: Pages = request.app.state.pages
    on, after, wanted = asked.day(None), decode_cursor(cursor, Number) or -1, q.strip()
    async with asked.at(None) as (connection, cut):
        held = await reads.evaluation(connection)
        registry = await asked.facts.registry(connection, cut)
        found = [packing for packing in _called(registry, on, wanted) if packing.gtin > after]
        shown = found[:ROWS]
        stock = await reads.told(connection, [_subject("months_of_stock", packing.gtin) for packing in shown])
        lots = await reads.lots_called(connection, wanted, LOTS_FOUND) if 0 < len(wanted) <= LOT_LENGTH else []
    following = encode_cursor(shown[-1].gtin) if len(found) > ROWS else None
    names = {gtin_text(packing.gtin): packing.product.name for packing in registry.packings(on).values()}
    return pages.show(
        request,
        "products.html",
        q=q,
        products=[_row(packing, stock) for packing in shown],
        lots=[{"gtin": gtin, "lot": lot, "name": names.get(gtin), "link": lot_link(gtin, lot)} for gtin, lot in lots],
        next=None if following is None else link_here(request, cursor=following),
        first=link_here(request, cursor=None) if cursor else None,
        refresh=REFRESH_SECONDS,
        **reads.told_at(asked, held),
    )


def _called(registry: Registry, on: date, wanted: str) -> list[Packing]:
    """The products whose GTIN, authorisation, name, substance or ATC code holds `wanted`, by GTIN; '' is all."""
    words = wanted.casefold()

    def texts(packing: Packing) -> tuple[str, ...]:
        product = packing.product
        return gtin_text(packing.gtin), product.name, product.substance, product.atc, packing.authorisation

    found = sorted(registry.packings(on).values(), key=lambda packing: packing.gtin)
    return [packing for packing in found if any(words in text.casefold() for text in texts(packing))]


def _subject(name: str, gtin: int) -> str:
    return f"indicator/{name}/gtin:{gtin_text(gtin)}"


def _row(packing: Packing, stock: dict[str, Item]) -> Item:
    months = stock.get(_subject("months_of_stock", packing.gtin))
    return {
        "gtin": gtin_text(packing.gtin),
        "name": packing.product.name,
        "substance": packing.product.substance,
        "strength": packing.product.strength,
        "atc": packing.product.atc,
        "authorisation": packing.authorisation,
        "origin": packing.origin,
        "months": months and months["value"],
        "usable": months and months["inputs"].get("usable"),
    }


@router.get("/products/{gtin}", dependencies=[Depends(reader)])
async def product_page(
    request: Request, gtin: str, asked: Annotated[Asked, Depends()], cursor: Cursor = None
) -> Response:
    """One product: what it is, its stock, its lots, what is odd about it."""
    pages: Pages = request.app.state.pages
    number, on = _number(gtin), asked.day(None)
    after = decode_cursor(cursor, str) or ""
    async with asked.at(None) as (connection, cut):
        held = await reads.evaluation(connection)
        registry = await asked.facts.registry(connection, cut)
        told = await reads.told(connection, [_subject(name, number) for name in OF_PRODUCTS])
        origins = asked.origins(registry)
        begin = (number, after) if after else (number - 1, reads.LAST)
        lots, following = await balances(connection, cut, on, origins, Wanted(number), after=begin, limit=ROWS)
        named = [f"anomaly/{kind}/{gtin_text(number)}/" for kind in KINDS]
        odd = await reads.told_beginning(connection, named, ANOMALIES_A_KIND)
    packing = registry.packings(on).get(number)
    if packing is None and not lots:
        detail = f"nothing is known of a product {gtin_text(number)}"
        raise Problem(404, "Not found", detail, [Fault("gtin", "not_recorded", detail)])
    held_by = [item for item in registry.authorisations(on) if any(int(pack.gtin) == number for pack in item.packs)]
    return pages.show(
        request,
        "product.html",
        gtin=gtin_text(number),
        packing=packing,
        price=registry.price_on(number, on),
        authorisations=[_authorisation(item, on) for item in held_by],
        figures=[item for name in OF_PRODUCTS if (item := told.get(_subject(name, number)))],
        lots=[_lot_row(balance_item(item, on), item.lot.expires_on, item.recalled_on) for item in lots],
        odd=[item for item in odd if item["until"] is None],
        next=None if following is None else link_here(request, cursor=encode_cursor(following[1])),
        first=link_here(request, cursor=None) if cursor else None,
        tones=TONES,
        refresh=REFRESH_SECONDS,
        **reads.told_at(asked, held),
    )


def _authorisation(item: Any, on: date) -> Item:
    return {
        "number": item.authorisation,
        "status": item.status,
        "valid": item.valid_on(on),
        "origin": item.origin,
        "local_step": item.local_step,
        "granted_on": item.granted_on,
        "expires_on": item.expires_on,
        "events": links_of({"source": fact.source, "id": fact.id} for fact in item.events),
    }


def _lot_row(item: Item, expires_on: date | None, recalled_on: date | None) -> Item:
    link = lot_link(item["gtin"], item["lot"]) if item["lot"] else None
    return {**item, "expires_on": expires_on, "recalled_on": recalled_on, "link": link}


def lot_link(gtin: str, lot: str) -> str:
    return f"/lots/{gtin}/{quote(lot, safe='')}"


def links_of(events: Iterable[Item]) -> list[Item]:
    """The events with the addresses of their pages."""
    return [{**event, "link": event_link(event["source"], event["id"])} for event in events]


def event_link(source: str, id_: str) -> str:
    return f"/events/{quote(source, safe='')}/{quote(id_, safe='')}"


@router.get("/lots/{gtin}/{lot:path}", dependencies=[Depends(reader)])
async def lot_page(
    request: Request, gtin: str, lot: str, asked: Annotated[Asked, Depends()], cursor: Cursor = None
) -> Response:
    """A lot's statement: every transfer with its event."""
    pages: Pages = request.app.state.pages
    number, on = _number(gtin), asked.day(None)
    after = decode_cursor(cursor, tuple[Moment, Small, Small, Number, Small]) or NO_PLACE
    async with asked.at(None) as (connection, cut):
        held = await reads.evaluation(connection)
        registry = await asked.facts.registry(connection, cut)
        found = None if "\0" in lot else await balance_of(connection, cut, on, asked.origins(registry), (number, lot))
        if found is None:
            detail = f"nothing is recorded of lot {lot} of {gtin_text(number)}"
            raise Problem(404, "Not recorded", detail, [Fault("lot", "not_recorded", detail)], code="not_recorded")
        body, following = await lot_statement(connection, cut, found, on, after, ROWS)
        subject = f"{gtin_text(number)}/{quote(lot, safe='')}"
        odd = await reads.told(connection, [f"anomaly/{kind}/{subject}" for kind in KINDS])
    packing = registry.packings(on).get(number)
    for transfer in body["transfers"]:
        transfer["link"] = event_link(transfer["event"]["source"], transfer["event"]["id"])
    return pages.show(
        request,
        "lot.html",
        lot=body,
        name=packing.product.name if packing else None,
        odd=[item for item in odd.values() if item["until"] is None],
        next=None if following is None else link_here(request, cursor=encode_cursor(following)),
        first=link_here(request, cursor=None) if cursor else None,
        refresh=REFRESH_SECONDS,
        **reads.told_at(asked, held),
    )


def _number(gtin: str) -> int:
    if re.fullmatch(GTIN, gtin) is None:
        raise Invalid([Fault("gtin", "pattern", "a GTIN has 8 to 14 digits")])
    return int(gtin)
