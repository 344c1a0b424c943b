"""Decides what the form of an endpoint says, and what stands in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.alerts.alert import Severity
from services.alerts.endpoint import Endpoint, Format
from shared.errors import Fault, Invalid

Form = Mapping[str, str]
SEVERITIES: Final = tuple(severity.value for severity in reversed(Severity))
FORMATS: Final = tuple(format.value for format in Format)
FIELDS: Final = ("url", "description", "format", "severity", "rule", "scope", "rate", "level", "headers")
EMPTY: Final[Form] = {name: "" for name in FIELDS} | {"format": Format.STANDARD.value, "level": "0"}
TICKED: Final = "on"
WITHOUT_HEADERS: Final = "without_headers"


def written(form: Form) -> dict[str, str]:
    """What somebody has written into the form, so that it can be shown again."""
    ticks = {name: form.get(name, "") for name in (*map(severity_field, SEVERITIES), WITHOUT_HEADERS)}
    return {name: form.get(name, "") for name in FIELDS} | ticks


def shown(endpoint: Endpoint) -> dict[str, str]:
    """What the form holds before `endpoint` is changed. Headers may be credentials: they are not shown."""
    return {
        "url": endpoint.url,
        "description": endpoint.description,
        "format": endpoint.format.value,
        **{severity_field(name): TICKED for name in endpoint.filter.severity},
        "rule": "\n".join(endpoint.filter.rule),
        "scope": "\n".join(endpoint.filter.scope),
        "rate": "" if endpoint.rate is None else f"{endpoint.rate:g}",
        "level": str(endpoint.level),
        "headers": "",
    }


def severity_field(severity: str) -> str:
    return f"severity-{severity}"


def new_endpoint(form: Form) -> dict[str, Any]:
    """The body of POST /endpoints. Raises Invalid for headers that are none."""
    return {**_told(form), "headers": _headers(form)}


def changes(form: Form) -> dict[str, Any]:
    """The body of PATCH /endpoints/{id}. Headers stay unless new ones are told. Raises Invalid."""
    headers = _headers(form)
    kept = not headers and form.get(WITHOUT_HEADERS) != TICKED
    return _told(form) if kept else {**_told(form), "headers": headers}


def _told(form: Form) -> dict[str, Any]:
    severities = [name for name in SEVERITIES if form.get(severity_field(name)) == TICKED]
    return {
        "url": form.get("url", "").strip(),
        "description": form.get("description", "").strip(),
        "format": form.get("format", ""),
        "filter": {"severity": severities, "rule": _lines(form, "rule"), "scope": _lines(form, "scope")},
        "rate": form.get("rate", "").strip() or None,
        "level": form.get("level", "").strip() or 0,
    }


def _lines(form: Form, name: str) -> list[str]:
    return [line.strip() for line in form.get(name, "").splitlines() if line.strip()]


def _headers(form: Form) -> dict[str, str]:
    """One `Name: value` a line."""
    found = [line.partition(":") for line in _lines(form, "headers")]
    if any(not colon for _, colon, _ in found):
        raise Invalid([Fault("headers", "pattern", "one header a line, as `Name: value`")])
    return {name.strip(): value.strip() for name, _, value in found}
