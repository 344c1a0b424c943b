"""The commands `supply-watch producers …` and `supply-watch keys …`: who may send and read, from a shell."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from services.ingest.administration import JSON, Administration, NoSuchKey
from shared.json_http import Refused

producers = typer.Typer(help="Producers: added, listed. They ask a running ingest.", no_args_is_help=True)
keys = typer.Typer(help="API keys: issued, rotated, revoked, listed. They ask a running ingest.", no_args_is_help=True)

KEY_VARIABLE: Final = "SUPPLY_WATCH_ADMIN_KEY"
EXIT_REFUSED: Final = 1
EXIT_IMPOSSIBLE: Final = 2
Url = Annotated[str, typer.Option(envvar="SUPPLY_WATCH_INGEST_URL", help="Where ingest answers.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        envvar=f"{KEY_VARIABLE}_FILE", help=f"Holds an administrator's key; else it is taken from {KEY_VARIABLE}."
    ),
]
Reason = Annotated[str, typer.Option(help="Why; kept in the audit.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print ingest's own answer.")]
LOCAL: Final = "http://127.0.0.1:8010"
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@producers.command("add")
def add_producer(
    name: Annotated[str, typer.Argument(help="Small letters, digits, hyphens; part of its topic; never used again.")],
    gln: Annotated[list[str], typer.Option(help="A GLN of its own, 13 digits; may stand several times.")],
    role: Annotated[list[str], typer.Option(help="manufacturer, importer, distributor or regulator; several too.")],
    reason: Reason = "",
    url: Url = LOCAL,
    key_file: KeyFile = None,
) -> None:
    """Add a producer; then `keys issue` makes its first key."""
    with _asking(url, key_file, reason) as ingest:
        added = ingest.add_producer(name, gln, role)
    out.print(f"{added['name']}: {', '.join(added['roles'])} with {', '.join(added['glns'])}", markup=False)


@producers.command("list")
def list_producers(url: Url = LOCAL, key_file: KeyFile = None, as_json: AsJson = False) -> None:
    """List every producer with its GLNs and roles."""
    with _asking(url, key_file) as ingest:
        found = ingest.all_producers()
    rows = ((row["name"], ", ".join(row["glns"]), ", ".join(row["roles"]), row["created_at"]) for row in found)
    _show(found, as_json, ("name", "GLNs", "roles", "since"), rows)


@keys.command("issue")
def issue_key(
    producer: Annotated[str | None, typer.Option(help="For this producer; makes its way into Kafka too.")] = None,
    role: Annotated[str | None, typer.Option(help="Or for a person or program: viewer, operator, admin.")] = None,
    label: Annotated[str | None, typer.Option(help="Whose it is or what for; needed with --role.")] = None,
    reason: Reason = "",
    url: Url = LOCAL,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Issue a key, which is shown this once."""
    if (producer is None) == (role is None) or (role is not None and label is None):
        raise typer.BadParameter("either --producer, or --role with --label")
    with _asking(url, key_file, reason) as ingest:
        if producer is not None:
            issued = ingest.issue_to_producer(producer, label)
        else:
            issued = ingest.issue_to_person(role or "", label or "")
    _show_once(issued, as_json)


@keys.command("rotate")
def rotate_key(
    key_id: Annotated[str, typer.Argument(help="The key to be replaced, as `keys list` shows it.")],
    reason: Reason = "",
    url: Url = LOCAL,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Issue a second key for whoever has this one. Both are valid until the first is revoked."""
    with _asking(url, key_file, reason) as ingest:
        issued = ingest.rotate(key_id)
    _show_once(issued, as_json)
    err.print(f"{key_id} is still valid: once nothing uses it, `supply-watch keys revoke {key_id}`", markup=False)


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="As `keys list` shows it.")],
    reason: Reason = "",
    url: Url = LOCAL,
    key_file: KeyFile = None,
) -> None:
    """Revoke a key and its Kafka user: everywhere within 5 seconds, and for good."""
    with _asking(url, key_file, reason) as ingest:
        ingest.revoke(key_id)
    out.print(f"{key_id} is revoked", markup=False)


@keys.command("list")
def list_keys(
    revoked: Annotated[bool, typer.Option("--revoked", help="Those that are revoked, too.")] = False,
    url: Url = LOCAL,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """List keys, without their secrets, which nobody keeps."""
    with _asking(url, key_file) as ingest:
        found = [row for row in ingest.all_keys() if revoked or row["revoked_at"] is None]
    rows = (
        (row["key_id"], row["role"], row["name"], row["label"], row["created_at"], row["revoked_at"] or "")
        for row in found
    )
    _show(found, as_json, ("key id", "role", "name", "label", "since", "revoked"), rows)


@contextmanager
def _asking(url: str, key_file: Path | None, reason: str = "") -> Iterator[Administration]:
    """Ingest, asked with the administrator's key; what cannot be done ends the command with its reason."""
    try:
        yield Administration(url, _key(key_file), reason)
    except Refused as refused:
        for line in _reasons(refused):
            err.print(line, style="red", markup=False)
        raise typer.Exit(EXIT_REFUSED) from None
    except NoSuchKey as missing:
        err.print(f"there is no key {missing}", style="red", markup=False)
        raise typer.Exit(EXIT_REFUSED) from None
    except (OSError, ValueError) as error:
        err.print(f"cannot ask ingest at {url}: {error}", style="red", markup=False)
        raise typer.Exit(EXIT_IMPOSSIBLE) from None


def _key(file: Path | None) -> str:
    """Never from the command line, where every process of the machine can read it. Raises OSError."""
    key = file.read_text(encoding="utf-8").strip() if file is not None else os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        err.print(f"an administrator's key is needed in {KEY_VARIABLE}, or in --key-file", style="red", markup=False)
        raise typer.Exit(EXIT_IMPOSSIBLE)
    return key


def _reasons(refused: Refused) -> Iterator[str]:
    try:
        problem = json.loads(refused.body)
        yield f"refused: {problem['detail']}"
        faults = problem["errors"]
    except (ValueError, KeyError, TypeError):
        yield str(refused)
        return
    for fault in faults:
        yield f"  {fault['field'] or 'request'}: {fault['detail']} ({fault['code']})"


def _show(found: list[JSON], as_json: bool, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _show_once(issued: JSON, as_json: bool) -> None:
    """The new key. On standard output alone, and nowhere else ever again."""
    if as_json:
        typer.echo(json.dumps(issued))
        return
    kafka = issued.get("kafka", {})
    shown = {"key id": issued["key_id"], "key": issued["key"], **{f"Kafka {name}": kafka[name] for name in kafka}}
    for name, value in shown.items():
        typer.echo(f"{name:<16}{value}")
    err.print("this is shown once: keep it now", style="yellow")
