"""A browser at one service of the stack: it keeps cookies, follows redirects, asks for pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

import aiohttp
from yarl import URL

PAGE = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


@dataclass
class Shown:
    """What a browser got."""

    status: int
    text: str
    headers: Any
    path: str

    def token(self) -> str:
        """The last form's."""
        return unescape(re.findall(r'name="csrf" value="([^"]*)"', self.text)[-1])


class Browser:
    """A browser at one service of the stack."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = aiohttp.ClientSession(headers=PAGE, cookie_jar=aiohttp.CookieJar(unsafe=True), trust_env=False)

    async def get(self, path: str, follow: bool = True) -> Shown:
        return await self._ask("GET", path, None, follow)

    async def post(
        self, path: str, form: dict[str, str], follow: bool = True, headers: dict[str, str] | None = None
    ) -> Shown:
        return await self._ask("POST", path, form, follow, headers)

    async def _ask(
        self, method: str, path: str, form: dict[str, str] | None, follow: bool, headers: dict[str, str] | None = None
    ) -> Shown:
        url = path if path.startswith("http") else self.url + path
        asked = self._session.request(method, url, data=form, allow_redirects=follow, headers=headers)
        async with asked as answer:
            return Shown(answer.status, await answer.text(), answer.headers, answer.url.path)

    async def sign_in(self, key: str, wanted: str = "") -> Shown:
        page = await self.get("/sign-in")
        return await self.post("/sign-in", {"csrf": page.token(), "key": key, "next": wanted})

    def cookies(self) -> dict[str, Any]:
        return dict(self._session.cookie_jar.filter_cookies(URL(self.url)))

    def cookies_at(self, url: str) -> dict[str, Any]:
        return dict(self._session.cookie_jar.filter_cookies(URL(url)))

    def keep(self, name: str, value: str) -> None:
        self._session.cookie_jar.update_cookies({name: value}, URL(self.url))

    def forget(self, name: str) -> None:
        self._session.cookie_jar.clear(lambda cookie: cookie.key == name)

    async def close(self) -> None:
        await self._session.close()
