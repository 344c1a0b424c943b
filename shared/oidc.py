"""Signs people in by an OpenID Connect provider: authorization code with PKCE, state and nonce. Off unless set."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import msgspec
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from shared.errors import Transient
from shared.keys import ADMIN, OPERATOR, VIEWER
from shared.sessions import NAME_MAX, SUBJECT_MAX, Person
from shared.settings import ServiceSettings

DISCOVERY: Final = "/.well-known/openid-configuration"
CALLBACK: Final = "/sign-in/oidc/callback"
# None that a shared secret signs: the client's own would do as one.
ALGORITHMS: Final = tuple("RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 Ed25519 EdDSA".split())
TIMEOUT_SECONDS: Final = 10.0
LEEWAY_SECONDS: Final = 60
VERIFIER_CHARACTERS: Final = 64
CLAIM_DEPTH_MAX: Final = 10
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
# The one that may most, if the provider names several.
_ROLES: Final = (ADMIN, OPERATOR, VIEWER)


class Refused(Exception):
    """The provider, or what it says of a person, does not let them in. The message may be shown: it holds no secret."""


class Journey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a browser keeps for us, sealed, while it is at the provider."""

    state: str
    nonce: str
    verifier: str
    wanted: str
    ends_at: int

    @classmethod
    def begin(cls, wanted: str, ends_at: int) -> Journey:
        return cls(generate_token(32), generate_token(32), generate_token(VERIFIER_CHARACTERS), wanted, ends_at)


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider as the settings name it. Every call asks it anew for where it is and what its keys are."""

    issuer: str
    client_id: str
    client_secret: str
    scope: str
    roles_claim: str
    roles: Mapping[str, str]
    redirect_uri: str
    now: Callable[[], float] = time.time

    @classmethod
    def of(cls, settings: ServiceSettings) -> Provider | None:
        """None: people sign in by keys alone."""
        if not settings.oidc_issuer:
            return None
        _tls()
        secret = settings.oidc_client_secret
        return cls(
            settings.oidc_issuer.rstrip("/"),
            settings.oidc_client_id,
            "" if secret is None else secret.get_secret_value(),
            settings.oidc_scope,
            settings.oidc_roles_claim,
            settings.oidc_roles,
            settings.public_url.rstrip("/") + CALLBACK,
        )

    @property
    def identity(self) -> str:
        """Other for another provider, another client, or other roles: sessions of the former end."""
        parts = (
            self.issuer,
            self.client_id,
            self.roles_claim,
            *(f"{key}={self.roles[key]}" for key in sorted(self.roles)),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    async def way(self, journey: Journey) -> str:
        """Where the browser goes. Raises Transient while the provider is away, Refused if it is not the one."""
        async with self._client() as client:
            metadata = await self._metadata(client)
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=journey.state,
                nonce=journey.nonce,
                code_verifier=journey.verifier,
            )
        return str(url)

    async def person(self, journey: Journey, code: str) -> Person:
        """Who came back with `code`. Raises Refused, or Transient while the provider is away."""
        async with self._client() as client:
            metadata = await self._metadata(client)
            try:
                token = await client.fetch_token(
                    metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=self.redirect_uri,
                    code_verifier=journey.verifier,
                )
            except httpx2.TransportError:
                raise _away() from None
            except (AuthlibBaseError, httpx2.HTTPError, ValueError) as error:
                raise Refused(f"the provider gave no token ({type(error).__name__})") from None
            keys = await self._json(client, metadata["jwks_uri"])
        return self._person(self._claims(token, keys, journey.nonce))

    def _client(self) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self.client_id,
            self.client_secret or None,
            token_endpoint_auth_method="client_secret_basic" if self.client_secret else "none",
            scope=self.scope,
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
            verify=_tls(),
        )

    async def _metadata(self, client: AsyncOAuth2Client) -> Mapping[str, Any]:
        found = await self._json(client, self.issuer + DISCOVERY)
        if not isinstance(found, dict) or str(found.get("issuer", "")).rstrip("/") != self.issuer:
            raise Refused("what answers at the provider's address is another issuer")
        plain = urlsplit(self.issuer).scheme == "http"
        for name in _ENDPOINTS:
            if not isinstance(found.get(name), str) or not (plain or found[name].startswith("https://")):
                raise Refused(f"the provider has no safe {name}")
        return found

    async def _json(self, client: AsyncOAuth2Client, url: str) -> Any:
        try:
            answer = await client.request("GET", url, withhold_token=True)
            if answer.status_code >= 500:
                raise _away()
            answer.raise_for_status()
            return answer.json()
        except httpx2.TransportError:
            raise _away() from None
        except (httpx2.HTTPError, ValueError) as error:
            raise Refused(f"the provider's answer cannot be read ({type(error).__name__})") from None

    def _claims(self, token: Mapping[str, Any], keys: Any, nonce: str) -> Mapping[str, Any]:
        """What the ID token says; its signature, issuer, audience, times and nonce hold. Raises Refused."""
        rules = {"iss": {"essential": True, "values": [self.issuer, self.issuer + "/"]}}
        rules["aud"] = {"essential": True, "values": [self.client_id]}
        params = {"nonce": nonce, "client_id": self.client_id, "access_token": token.get("access_token")}
        try:
            decoded = jwt.decode(token["id_token"], KeySet.import_key_set(keys), algorithms=ALGORITHMS)
            claims = CodeIDToken(decoded.claims, decoded.header, rules, params)
            claims.validate(now=int(self.now()), leeway=LEEWAY_SECONDS)
        except (JoseError, AuthlibBaseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(f"the provider's ID token does not hold ({type(error).__name__})") from None
        return dict(claims)

    def _person(self, claims: Mapping[str, Any]) -> Person:
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject or len(subject) > SUBJECT_MAX or not subject.isprintable():
            raise Refused("the provider's name for this person cannot be kept")
        role = role_of(claims, self.roles_claim, self.roles)
        if role is None:
            raise Refused("the provider names no role for this person here")
        names = (claims.get(name) for name in ("name", "preferred_username", "email"))
        name = next((name for name in names if isinstance(name, str) and name.isprintable() and name.strip()), subject)
        return Person(subject, name.strip()[:NAME_MAX], role, self.identity)


@cache  # reading what a system trusts takes a tenth of a second, in which nothing else would be served
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def role_of(claims: Mapping[str, Any], path: str, roles: Mapping[str, str]) -> str | None:
    """The role of who has `claims`: the claim at the dotted `path` is one value of `roles`, or a list of such."""
    found: Any = claims
    for part in path.split(".")[:CLAIM_DEPTH_MAX]:
        found = found.get(part) if isinstance(found, Mapping) else None
    said = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    held = {roles[one] for one in said if isinstance(one, str) and one in roles}
    return next((role for role in _ROLES if role in held), None)


def _away() -> Transient:
    return Transient("the sign-in provider is away")
