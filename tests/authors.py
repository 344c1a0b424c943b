"""People who change things in tests."""

from __future__ import annotations

from typing import Final

from shared.audit import Author
from shared.keys import ADMIN, OPERATOR

ANN: Final = Author("annskey00000", "ann", OPERATOR)
BOB: Final = Author("bobskey00000", "bob", OPERATOR)
EVE: Final = Author("eveskey00000", "eve", ADMIN)
