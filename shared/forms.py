"""Reads what an HTML form sends, and admits it only from a page of ours; says who changes something, and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import Depends, Query, Request

from shared.access import Require, count, session_cookie, session_principal, session_secret, unauthorized
from shared.audit import Author
from shared.errors import Fault, Invalid, Problem
from shared.keys import Principal
from shared.sessions import is_form_token

FORM: Final = "application/x-www-form-urlencoded"
TOKEN_FIELD: Final = "csrf"
MAX_FIELDS: Final = 50
REASON_FIELD: Final = "reason"
REASON_MAX: Final = 1_000
Reason = Annotated[str, Query(max_length=REASON_MAX, pattern=r"^[^\x00]*$", description="Why; it is kept in the audit")]


def is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name. Raises Problem 415 for another media type, 400 for no form."""
    if not is_form(request):
        detail = f"a form is {FORM}"
        raise Problem(415, "Unsupported Media Type", detail, [Fault("content-type", "media_type", detail)])
    try:
        text = (await request.body()).decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError:  # not percent-encoded, not UTF-8, too many fields
        detail = "the form cannot be read"
        raise Problem(400, "Bad Request", detail, [Fault(None, "form", detail)]) from None


def check_token(request: Request, form: dict[str, str], cookie: str) -> None:
    """Raises Problem 403 for a form that no page of ours with this cookie sent."""
    if not cookie or not is_form_token(session_secret(request), cookie, form.get(TOKEN_FIELD, "")):
        detail = "this form is too old, or not from a page of ours: load the page again"
        raise Problem(403, "Forbidden", detail, [Fault(TOKEN_FIELD, TOKEN_FIELD, detail)])


@dataclass(frozen=True)
class RequireForm(Require):
    """Admits what changes something: by key, or from a form of someone who is signed in."""

    async def __call__(self, request: Request) -> Principal:
        if "authorization" in request.headers:
            return await super().__call__(request)
        principal = session_principal(request)
        if principal is None:
            raise unauthorized("sign in, or send an API key as 'Authorization: Bearer sw_…'")
        count(request, principal)
        check_token(request, await form_of(request), session_cookie(request))
        return self.admit(principal)


def require_form(*roles: str) -> RequireForm:
    return RequireForm(roles)


def require_author(*roles: str) -> Callable[..., Awaitable[Author]]:
    """A dependency for what a person changes: admits these roles by key or by a form of ours, and says who and why.

    The reason is `?reason=`, or a form's field of that name.
    """
    admitted = Depends(require_form(*roles))

    async def author(request: Request, principal: Principal = admitted, reason: Reason = "") -> Author:
        return Author.of(principal, reason or await _reason_of_form(request))

    return author


async def _reason_of_form(request: Request) -> str:
    """Empty if there is no form, or it says none. Raises Invalid for more than is kept."""
    if not is_form(request):
        return ""
    reason = (await form_of(request)).get(REASON_FIELD, "").strip()
    if len(reason) > REASON_MAX or "\0" in reason:
        raise Invalid([Fault(REASON_FIELD, "length", f"a reason has at most {REASON_MAX} characters, and no NUL")])
    return reason
