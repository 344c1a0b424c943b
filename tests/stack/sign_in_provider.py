"""A small OpenID Connect provider on loopback, strict about what clients must send; its person never types anything."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import encode_basic_auth, web
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

CLIENT: Final = "supply-watch"
SECRET: Final = "the-client-secret-of-tests-which-is-long-enough"
LIFETIME_SECONDS: Final = 300


@dataclass
class SignInProvider:
    """`claims` are what it says of its person; `wrong` replaces parts of the ID token; `key` signs it."""

    claims: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "ES256"
    key: Any = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one"}))
    issuer: str = ""
    redirect_uri: str = ""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.published = self.key

    def forge(self) -> None:
        """From now on another signs, by a key of the same name."""
        self.key = ECKey.generate_key("P-256", {"kid": "one"})

    def sign_with_the_secret(self) -> None:
        self.key, self.algorithm = OctKey.import_key(SECRET, {"kid": "one"}), "HS256"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._configuration)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        app.router.add_get("/keys", self._keys)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _configuration(self, _: web.Request) -> web.Response:
        paths = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        return web.json_response({"issuer": self.issuer, **{name: self.issuer + path for name, path in paths.items()}})

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        wanted = {
            "client_id": CLIENT,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "code_challenge_method": "S256",
        }
        self.faults += [f"authorize: {name}" for name, value in wanted.items() if asked.get(name) != value]
        self.faults += [f"authorize: no {name}" for name in ("state", "nonce", "code_challenge") if not asked.get(name)]
        self.faults += [] if "openid" in asked.get("scope", "").split() else ["authorize: scope"]
        code = secrets.token_urlsafe()
        self.codes[code] = asked
        raise web.HTTPSeeOther(f"{self.redirect_uri}?{urlencode({'code': code, 'state': asked['state']})}")

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form.get("code")), None)
        verifier = str(form.get("code_verifier", ""))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if request.headers.get("Authorization") != encode_basic_auth(CLIENT, SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        if asked is None or asked["code_challenge"] != challenge or form.get("redirect_uri") != self.redirect_uri:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        times = {"iat": now, "exp": now + LIFETIME_SECONDS}
        said = {"iss": self.issuer, "aud": CLIENT, "sub": "u-17", "nonce": asked["nonce"], **times, **self.claims}
        header = {"alg": self.algorithm, "kid": "one"}
        token = jwt.encode(header, {**said, **self.wrong}, self.key, algorithms=[self.algorithm])
        return web.json_response({"access_token": "access", "token_type": "Bearer", "id_token": token})

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [self.published.as_dict(private=False)]})
