"""What an administrator does with producers and keys from outside: the calls of a running ingest, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from shared.json_http import call
from shared.keys import PRODUCER

JSON = dict[str, Any]
PAGE_ROWS: Final = 1_000


class NoSuchKey(Exception):
    """There is no key with this id."""


class Administration:
    """Ingest at `url`, asked with an administrator's key; `reason` is why something is changed, for the audit.

    Every method raises Refused, or OSError while ingest is away.
    """

    def __init__(self, url: str, key: str, reason: str = "") -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._why = f"?{urlencode({'reason': reason})}" if reason else ""

    def add_producer(self, name: str, glns: Sequence[str], roles: Sequence[str]) -> JSON:
        return self._ask("POST", f"/producers{self._why}", {"name": name, "glns": list(glns), "roles": list(roles)})

    def all_producers(self) -> list[JSON]:
        return list(self._all("/producers"))

    def all_keys(self) -> list[JSON]:
        return list(self._all("/keys"))

    def issue_to_producer(self, name: str, label: str | None = None) -> JSON:
        """The answer that shows a new key, and the way into Kafka that goes with it, once."""
        return self._ask(
            "POST", f"/producers/{quote(name, safe='')}/keys{self._why}", {} if label is None else {"label": label}
        )

    def issue_to_person(self, role: str, label: str) -> JSON:
        """The answer that shows a new key once; `role` is viewer, operator or admin."""
        return self._ask("POST", f"/keys{self._why}", {"role": role, "label": label})

    def rotate(self, key_id: str) -> JSON:
        """A second key for whoever has this one, which stays valid until it is revoked. Raises NoSuchKey."""
        former = next((key for key in self._all("/keys") if key["key_id"] == key_id), None)
        if former is None:
            raise NoSuchKey(key_id)
        if former["role"] == PRODUCER:
            return self.issue_to_producer(former["name"], former["label"])
        return self.issue_to_person(former["role"], former["label"])

    def revoke(self, key_id: str) -> None:
        """Takes effect everywhere, and for the key's Kafka user, within 5 s; for good."""
        call("DELETE", f"{self._url}/keys/{quote(key_id, safe='')}{self._why}", self._key)

    def _all(self, path: str) -> Iterator[JSON]:
        asked: dict[str, str | int] = {"limit": PAGE_ROWS}
        while True:
            page = self._ask("GET", f"{path}?{urlencode(asked)}")
            yield from page["items"]
            if page["next"] is None:
                return
            asked["cursor"] = page["next"]

    def _ask(self, method: str, path: str, body: JSON | None = None) -> JSON:
        answer: JSON = call(method, self._url + path, self._key, body)
        return answer
