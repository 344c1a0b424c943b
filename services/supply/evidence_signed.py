"""Checks the checkpoints that were kept outside: their signatures, and that none of them was left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from services.supply.findings import Findings, Head
from services.supply.scratch import Scratch
from services.supply.signing import PublicKeys, Signed, fault_of


def signed_heads(told: Iterable[tuple[str, Signed]], keys: PublicKeys, found: Findings) -> Iterator[Head]:
    """What the checkpoints say of the partitions, in any order, each any number of times; those that do not hold are
    findings. `told` are (where it stands, checkpoint). When all are read, gaps between them are findings too."""
    scratch = Scratch()
    try:
        for where, signed in told:
            yield from _heads(where, signed, keys, scratch, found)
        _check_links(scratch, found)
    finally:
        scratch.close()


def _heads(where: str, signed: Signed, keys: PublicKeys, scratch: Scratch, found: Findings) -> list[Head]:
    place = f"checkpoint {signed.n} ({where})"
    fault = fault_of(signed, keys)
    if fault is not None:
        found.add("bad_signature", fault, place=place)
        return []
    try:
        heads = signed.heads()
    except ValueError as error:
        found.add("checkpoint_mismatch", str(error), place=place)
        return []
    other = scratch.add_signed(signed.n, signed.digest, signed.previous, where)
    if other is not None:
        found.add("checkpoint_mismatch", f"another one with the same number stands in {other}", place=place)
    return heads


def _check_links(scratch: Scratch, found: Findings) -> None:
    """Each names the one before it; before the first nothing is known."""
    before: tuple[int, str] | None = None
    for n, digest, previous, where in scratch.signed():
        if before is not None and previous != before[1]:
            detail = f"it does not follow from checkpoint {before[0]}: one or more between the two are not here"
            found.add("missing", detail, place=f"checkpoint {n} ({where})")
        before = (n, digest)
