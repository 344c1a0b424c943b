"""Makes the link by which whoever has started a stack signs in at its pages, once, as an administrator."""

from __future__ import annotations

import time
from typing import Final

from shared.keys import ADMIN, AccessRecord, key_hash, key_id_of
from shared.sessions import Link

GOOD_FOR_SECONDS: Final = 900
HOME: Final = "supply"  # its pages begin with the goals


def sign_in_link(session_secret: str, admin_key: str, url: str, service: str = HOME) -> str:
    """Good once, within a quarter of an hour, at the `service` that is at `url`."""
    record = AccessRecord(key_id_of(admin_key) or "", key_hash(admin_key), ADMIN, ADMIN)
    ends_at = int(time.time()) + GOOD_FOR_SECONDS
    return f"{url}/sign-in?token={Link.make(session_secret.encode(), record, ends_at, service)}"
