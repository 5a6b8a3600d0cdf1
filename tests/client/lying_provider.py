"""An OpenID provider without a socket that signs what a test says, lies included."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from dojang.client import Begun, ClientSecretPost, RelyingParty, SignedIn
from dojang.fetch import FetchFailed, FetchProblem, FetchRequest, FetchResponse
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey
from dojang.oauth.id_token import build_token_hash
from dojang.oauth.pkce import is_verifier_of
from dojang.testing import SettableClock

CLIENT: Final = "app"
SECRET: Final = "a secret of thirty-two characters"
CALLBACK: Final = "https://app.example/callback"
ACCESS_TOKEN: Final = "access-1"

Claims = dict[str, Any]
Sign = Callable[["LyingProvider", Claims], str]


@cache
def make_key(algorithm: str, kid: str) -> SigningKey:
    return SigningKey.generate(algorithm, kid)


def sign(provider: "LyingProvider", claims: Claims) -> str:
    return sign_jwt(claims, CompactSigner(provider.key, typ=provider.typ))


class LyingProvider:
    """A `Transport` that leads to it. `lie` changes the claims of an id_token (None leaves one
    out), `sign` how it is signed, and `change` what the token endpoint answers."""

    def __init__(self, url: str = "https://op.example", *, clock: SettableClock) -> None:
        self.url = url
        self.clock = clock
        self.key = make_key("ES256", "one")
        self.published = [self.key]
        self.typ: str | None = None
        self.lie: Claims = {}
        self.sign: Sign = sign
        self.change: dict[str, Any] = {}
        self.metadata_changes: dict[str, Any] = {}
        self.status = 200
        self.down = False
        self.broken: set[str] = set()
        self.requests: list[FetchRequest] = []
        self.forms: list[dict[str, str]] = []
        self.asked: dict[str, str] = {}
        self.pushed: dict[str, dict[str, str]] = {}
        self.push_refused = False
        self.userinfo: Claims = {"sub": "hong", "name": "홍길동"}

    def count(self, path: str) -> int:
        return sum(urlsplit(each.url).path == path for each in self.requests)

    # What a person's browser does there.

    def visit(self, url: str, **changes: str | None) -> bytes:
        """The query that the browser brings back; a change to None leaves a parameter out."""
        asked = dict(parse_qsl(urlsplit(url).query))
        if "request_uri" in asked:
            asked = self.pushed.pop(asked["request_uri"])
        self.asked = asked
        answer = {"code": "code-1", "state": asked["state"], "iss": self.url, **changes}
        return urlencode({name: text for name, text in answer.items() if text is not None}).encode()

    def finish(self, party: RelyingParty, begun: Begun, **changes: str | None) -> SignedIn:
        return party.finish(begun.transaction, self.visit(begun.url, **changes))

    # What it says.

    @property
    def now(self) -> int:
        return int(self.clock.now())

    def claims(self, **changes: Any) -> Claims:
        now = self.now
        claims = {
            "iss": self.url,
            "sub": "hong",
            "aud": CLIENT,
            "exp": now + 600,
            "iat": now,
            "auth_time": now - 30,
            "nonce": self.asked.get("nonce"),
            "at_hash": build_token_hash(ACCESS_TOKEN, "ES256"),
            "sid": "session-1",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def logout_token(self, *, typ: str | None = "logout+jwt", **changes: Any) -> str:
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": self.now,
            "exp": self.now + 120,
            "jti": "jti-1",
            "sid": "session-1",
            "sub": "hong",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            **changes,
        }
        wanted = {name: value for name, value in claims.items() if value is not None}
        return sign_jwt(wanted, CompactSigner(self.key, typ=typ))

    # The transport.

    def send(self, request: FetchRequest) -> FetchResponse:
        self.requests.append(request)
        parts = urlsplit(request.url)
        if self.down or f"{parts.scheme}://{parts.netloc}" != self.url:
            raise FetchFailed(request.host, FetchProblem.CONNECTION)
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        answers: Mapping[str, Callable[[FetchRequest, dict[str, str]], FetchResponse]] = {
            "/.well-known/openid-configuration": lambda *_: answer_json(self.metadata()),
            "/jwks": lambda *_: answer_json({"keys": [key.public_jwk() for key in self.published]}),
            "/token": lambda _, form: self._issue(form),
            "/par": lambda _, form: self._push(form),
            "/userinfo": lambda *_: answer_json(self.userinfo),
            "/revoke": lambda _, form: self._revoke(form),
        }
        if parts.path in self.broken:
            return FetchResponse(500, {}, b"")
        answer = answers.get(parts.path)
        return FetchResponse(404, {}, b"{}") if answer is None else answer(request, form)

    def metadata(self) -> dict[str, Any]:
        metadata = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "revocation_endpoint": f"{self.url}/revoke",
            "end_session_endpoint": f"{self.url}/logout",
            "authorization_response_iss_parameter_supported": True,
            **self.metadata_changes,
        }
        return {name: value for name, value in metadata.items() if value is not None}

    def _issue(self, form: dict[str, str]) -> FetchResponse:
        self.forms.append(form)
        if self.status != 200:
            return answer_json({"error": "invalid_grant"}, self.status)
        if form["grant_type"] == "authorization_code":
            assert is_verifier_of(form["code_verifier"], self.asked["code_challenge"])
            assert form["redirect_uri"] == self.asked["redirect_uri"]
            claims = self.claims(**self.lie)
        else:
            claims = self.claims(**{"nonce": None, **self.lie})
        answer = {
            "access_token": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
            "refresh_token": "refresh-1",
            "id_token": self.sign(self, claims),
            **self.change,
        }
        return answer_json({name: value for name, value in answer.items() if value is not None})

    def _push(self, form: dict[str, str]) -> FetchResponse:
        self.forms.append(form)
        if self.push_refused:
            return answer_json({"error": "invalid_scope"}, 400)
        request_uri = f"urn:ietf:params:oauth:request_uri:{len(self.pushed)}"
        self.pushed[request_uri] = form
        return answer_json({"request_uri": request_uri, "expires_in": 60}, 201)

    def _revoke(self, form: dict[str, str]) -> FetchResponse:
        self.forms.append(form)
        return FetchResponse(self.status, {}, b"")


def answer_json(document: object, status: int = 200) -> FetchResponse:
    headers = {"content-type": "application/json"}
    return FetchResponse(status, headers, json.dumps(document).encode())


def make_party(provider: LyingProvider, **settings: Any) -> RelyingParty:
    wanted = {
        "issuer": provider.url,
        "credentials": ClientSecretPost(CLIENT, SECRET),
        "redirect_uri": CALLBACK,
        "transport": provider,
        "clock": provider.clock,
        **settings,
    }
    return RelyingParty(**wanted)
