"""Answers whether the ledger is what was recorded: verifies it in a process of its own, one at a time."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from services.supply.asked import Asked, reader
from services.supply.child import outcome_of
from services.supply.settings import SupplySettings
from services.supply.signing import Signer
from services.supply.slots import Slots
from services.supply.verification import Failure, Order, Verdict
from shared.database import dsn
from shared.errors import Transient
from shared.settings import ROOT
from shared.web import json_response, while_connected

MODULE: Final = "services.supply.verification"
FORMER_KEYS: Final = "*.pub.pem"

router = APIRouter()


@router.get("/ledger/verify", dependencies=[Depends(reader)], responses={429: {}})
async def verify_ledger(request: Request, asked: Annotated[Asked, Depends()]) -> Response:
    """The journal against its chains and signed checkpoints, the laws, the derived tables against a fold: now."""
    verifying: Slots = request.app.state.verifying
    with verifying.one():
        order = await asyncio.to_thread(_order, asked.settings)
        outcome = await while_connected(request, run_verification(order, asked.settings.verify_timeout_seconds))
    if isinstance(outcome, Failure):
        if outcome.why == "under_way":  # in another instance
            raise verifying.taken()
        raise Transient(f"the database does not answer: {outcome.detail}")
    return json_response(msgspec.to_builtins(outcome))


def _order(settings: SupplySettings) -> Order:
    """With the public half of the key that signs, and of those that did before: `*.pub.pem` beside it."""
    private = ROOT / settings.checkpoint_key_file
    former = (path.read_text() for path in sorted(private.parent.glob(FORMER_KEYS)))
    own = Signer.from_pem(private.read_bytes()).public_pem().decode()
    return Order(dsn(settings), str(ROOT / settings.checkpoint_dir), [own, *former])


async def run_verification(order: Order, timeout_seconds: float) -> Verdict | Failure:
    """What a child of this process finds. Raises Transient after `timeout_seconds`."""
    try:
        told = await outcome_of(MODULE, order, timeout_seconds)
    except TimeoutError:
        raise Transient(f"no verdict within {timeout_seconds:.0f} s: verify an export offline", 3600) from None
    return msgspec.json.decode(told, type=Verdict | Failure)
