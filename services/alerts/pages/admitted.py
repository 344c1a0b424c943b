"""Says who may act by pages, and what their addresses can ask for."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Query, Request
from pydantic import BeforeValidator

from services.alerts.requests import Name
from shared.audit import Author
from shared.keys import ADMIN, OPERATOR, Principal

ACTING: Final = (OPERATOR, ADMIN)
# A form sends a field that is left empty.
MAY_BE_EMPTY: Final = BeforeValidator(lambda value: value or None)
Words = Annotated[Name | None, MAY_BE_EMPTY]
Cursor = Annotated[str | None, MAY_BE_EMPTY]
# What has just been done, which the page that a form leads to says.
Done = Annotated[str | None, Query(pattern=r"^[a-z_]{1,30}$"), MAY_BE_EMPTY]
ROWS: Final = 50


def may_act(reader: Principal | Author) -> bool:
    return reader.role in ACTING


def asked(request: Request, *names: str) -> dict[str, str]:
    """The filters that the reader has set, as they came."""
    return {name: value for name in names if (value := request.query_params.get(name))}


def link(path: str, query: dict[str, Any]) -> str:
    """`path` with the parts of `query` that are something."""
    told = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(told)}" if told else path
