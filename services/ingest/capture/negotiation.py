"""Decides by GS1's headers whether a request can be served, and says in headers what this interface speaks. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NoReturn

from services.ingest import intake
from shared.errors import Fault, Problem
from shared.events.cloudevent import media_type

ROLLBACK: Final = "rollback"
PROCEED: Final = "proceed"

VERSION: Final = "2.0"
JSON: Final = "application/json"
JSON_LD: Final = "application/ld+json"
UNSUPPORTED: Final = "unsupported"

_ERROR_BEHAVIOUR: Final = "GS1-Capture-Error-Behaviour"
_VERSION: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4})?")
_OURS: Final = (2, 0)
_ANY: Final = ("*/*", "application/*")
# Identifiers are shown as they were captured.
_FORMAT: Final = "Never_Translates"
_FORMATS: Final = ("No_Preference", _FORMAT)

# What every answer says.
SPOKEN: Final[Mapping[str, str]] = {
    **{f"GS1-{standard}-{part}": VERSION for standard in ("EPCIS", "CBV") for part in ("Version", "Min", "Max")},
    "GS1-EPC-Format": _FORMAT,
}


def limits(events: int, size_bytes: int) -> dict[str, str]:
    """What one capture may hold, in headers."""
    return {"GS1-EPCIS-Capture-Limit": str(events), "GS1-EPCIS-Capture-File-Size-Limit": str(size_bytes)}


def error_behaviour(behaviour: str) -> dict[str, str]:
    return {_ERROR_BEHAVIOUR: behaviour}


def check_versions(headers: Mapping[str, str]) -> None:
    """Raises Problem 406 unless the headers (names in small letters) admit EPCIS 2.0 and CBV 2.0."""
    for standard in ("EPCIS", "CBV"):
        for part in ("Version", "Min", "Max"):
            name = f"GS1-{standard}-{part}"
            wanted = headers.get(name.lower())
            if wanted is not None and not _admits(part, wanted.strip()):
                _not_acceptable(name, f"this is {standard} {VERSION}")


def _admits(part: str, version: str) -> bool:
    if part == "Version":
        return version == VERSION
    if not _VERSION.fullmatch(version):
        return False
    major, _, minor = version.partition(".")
    bound = int(major), int(minor or 0)
    return bound <= _OURS if part == "Min" else bound >= _OURS


def answer_type(headers: Mapping[str, str]) -> str:
    """The media type of the answer, by Accept. Raises Problem 406 if JSON will not do."""
    accepted = [media_type(one) for one in headers.get("accept", "*/*").split(",")]
    if JSON in accepted or any(one in _ANY for one in accepted):
        return JSON
    if JSON_LD not in accepted:
        _not_acceptable("Accept", f"answers are {JSON} or {JSON_LD}")
    return JSON_LD


def check_format(headers: Mapping[str, str]) -> None:
    """Raises Problem 406 if identifiers are wanted in another form than they were captured in."""
    if headers.get("gs1-epc-format", _FORMAT) not in _FORMATS:
        _not_acceptable("GS1-EPC-Format", "identifiers are shown as they were captured")


def check_body(headers: Mapping[str, str]) -> None:
    """Raises Problem 415 unless the body is plain JSON."""
    encoding = headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        _unsupported("content-encoding", intake.CONTENT_ENCODING, "bodies are taken uncompressed")
    if media_type(headers.get("content-type", "")) not in (JSON, JSON_LD):
        _unsupported("content-type", intake.MEDIA_TYPE, f"send {JSON} or {JSON_LD}")


def behaviour(headers: Mapping[str, str]) -> str:
    """What is to be done with a document of which an event is refused. Raises Problem 400."""
    wanted = headers.get(_ERROR_BEHAVIOUR.lower(), ROLLBACK).strip()
    if wanted not in (ROLLBACK, PROCEED):
        detail = f"{_ERROR_BEHAVIOUR} is {ROLLBACK} or {PROCEED}"
        raise Problem(400, "Bad Request", detail, [Fault(_ERROR_BEHAVIOUR, "choice", detail)])
    return wanted


def _not_acceptable(header: str, detail: str) -> NoReturn:
    raise Problem(406, "Not Acceptable", detail, [Fault(header, UNSUPPORTED, detail)])


def _unsupported(field: str, code: str, detail: str) -> NoReturn:
    raise Problem(415, "Unsupported Media Type", detail, [Fault(field, code, detail)])
