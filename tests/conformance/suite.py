"""The suite at one module: a client of the server, with a browser of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote, urlencode

from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet
from dojang.oauth.http import Response
from dojang.oauth.id_token import build_token_hash
from tests.conformance.conditions import check_id_token_times, check_token_response
from tests.conformance.guide import SUITE, load_configuration
from tests.conformance.robot import Arrival, Robot
from tests.server.front_door import Header, basic, bearer, read
from tests.web.pages.visitor import Visitor

CALLBACK: Final = SUITE + "/callback"
AFTER_LOGOUT: Final = SUITE + "/post_logout_redirect"
# As the suite's own client for HTTP writes them.
FORM: Final = (b"content-type", b"application/x-www-form-urlencoded;charset=UTF-8")
JSON: Final = (b"content-type", b"application/json")
RAW: Final = "/?:@!$'()*,"
_NONE: Final[Mapping[str, None]] = {}
_numbers = count()


def build_query(parameters: Mapping[str, str]) -> str:
    """As the suite writes it: no more is encoded than must be (RFC 3986 §3.4)."""
    return "&".join(f"{name}={quote(value, safe=RAW)}" for name, value in parameters.items())


class Transport(Protocol):
    def answer(
        self, method: str, path: str, headers: tuple[Header, ...], body: bytes
    ) -> Response: ...


class Server(Protocol):
    """What the suite runs against."""

    @property
    def url(self) -> str: ...
    @property
    def transport(self) -> Transport: ...
    @property
    def secrets(self) -> Mapping[str, str]: ...
    @property
    def now(self) -> int: ...
    def wait(self, seconds: int) -> None: ...
    def browse(self) -> Visitor: ...


class SignedIn(NamedTuple):
    """What came of a whole flow: `request` as it was sent, the claims of the id_token."""

    request: Mapping[str, str]
    code: str
    tokens: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def access_token(self) -> str:
        token: str = self.tokens["access_token"]
        return token


class Suite:
    """`form_post` is the response mode of every request; by default there is none named."""

    def __init__(self, server: Server, module: str, *, form_post: bool = False) -> None:
        self.server: Final = server
        self.config: Final = load_configuration(module, server.url, server.secrets)
        self.form_post: Final = form_post
        self.client = self.config["client"]
        self.robot: Final = Robot(server.browse(), server.url, self.config["browser"])
        response = self.get(self.config["server"]["discoveryUrl"])
        assert response.status == 200
        self.metadata: Final = read(response)
        assert self.metadata["issuer"] == server.url

    def get(self, address: str, *headers: Header) -> Response:
        path = address.removeprefix(self.server.url)
        return self.server.transport.answer("GET", path, headers, b"")

    def post(self, address: str, form: Mapping[str, str], *headers: Header) -> Response:
        path = address.removeprefix(self.server.url)
        body = urlencode(form).encode()
        return self.server.transport.answer("POST", path, (FORM, *headers), body)

    def send_json(self, address: str, document: Mapping[str, Any]) -> Response:
        path = address.removeprefix(self.server.url)
        body = json.dumps(document).encode()
        return self.server.transport.answer("POST", path, (JSON,), body)

    # The authorization endpoint.

    def build_request(self, **changes: str | None) -> dict[str, str]:
        """The suite's plain request; None leaves a parameter out."""
        number = next(_numbers)
        wanted = {
            "client_id": self.client["client_id"],
            "redirect_uri": CALLBACK,
            "scope": "openid",
            "state": f"state{number:05}",
            "nonce": f"nonce{number:05}",
            "response_type": "code",
            "response_mode": "form_post" if self.form_post else None,
            **changes,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def visit(
        self, request: Mapping[str, str], *, method: str = "GET", alone: bool = False
    ) -> Arrival | None:
        """Send the browser with a request, and do what there is to do, unless it is left alone."""
        address = f"{self.metadata['authorization_endpoint']}?{build_query(request)}"
        return self.robot.go(address, method=method, alone=alone)

    def take_answer(self, request: Mapping[str, str], *, method: str = "GET") -> dict[str, str]:
        """What comes to the callback: in the way that was asked for, with state and issuer."""
        arrival = self.visit(request, method=method)
        assert arrival is not None, self.robot.page and self.robot.page.html
        assert arrival.url.partition("?")[0] == CALLBACK
        if self.form_post:
            assert arrival.method == "POST"
            assert arrival.query == {}
            answer = dict(arrival.form)
        else:
            assert arrival.method == "GET"
            answer = arrival.query
        assert answer["iss"] == self.metadata["issuer"]
        assert answer.get("state") == request.get("state")
        return answer

    def get_code(self, request: Mapping[str, str], *, method: str = "GET") -> str:
        answer = self.take_answer(request, method=method)
        assert set(answer) == {"code", "state", "iss"}, answer
        return answer["code"]

    # The token endpoint.

    def ask_tokens(self, form: Mapping[str, str], *, in_body: bool = False) -> Response:
        """As the present client."""
        client_id, secret = self.client["client_id"], self.client["client_secret"]
        address = self.metadata["token_endpoint"]
        if in_body:
            return self.post(address, {**form, "client_id": client_id, "client_secret": secret})
        return self.post(address, form, basic(client_id, secret))

    def redeem(self, code: str, *, in_body: bool = False, **more: str) -> Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        return self.ask_tokens({**form, **more}, in_body=in_body)

    def sign_in(
        self,
        changes: Mapping[str, str | None] = _NONE,
        *,
        method: str = "GET",
        in_body: bool = False,
        verifier: str | None = None,
    ) -> SignedIn:
        """The whole flow, and what is asked of every id_token; `changes` as `build_request`."""
        request = self.build_request(**changes)
        code = self.get_code(request, method=method)
        more = {"code_verifier": verifier} if verifier else {}
        tokens = check_token_response(self.redeem(code, in_body=in_body, **more))
        claims = self.check_id_token(tokens, nonce=request.get("nonce"))
        return SignedIn(request, code, tokens, claims)

    def check_id_token(self, tokens: Mapping[str, Any], *, nonce: str | None) -> dict[str, Any]:
        """OpenID Connect Core §3.1.3.7: its claims, once the signature is proven."""
        keys = KeySet.parse(read(self.get(self.metadata["jwks_uri"])))
        verifier = JwtVerifier(keys, algorithms={"RS256"}, types={None})
        token = verifier.verify(tokens["id_token"])
        claims = dict(token.claims)
        assert claims["iss"] == self.metadata["issuer"]
        assert claims["aud"] == self.client["client_id"]
        assert isinstance(claims["sub"], str)
        assert 0 < len(claims["sub"]) < 256
        assert claims.get("nonce") == nonce
        assert claims["at_hash"] == build_token_hash(tokens["access_token"], "RS256")
        assert claims["acr"] in self.metadata["acr_values_supported"]
        check_id_token_times(claims, now=self.server.now)
        return claims

    # What comes after.

    @property
    def userinfo_endpoint(self) -> str:
        return str(self.metadata["userinfo_endpoint"])

    def ask_userinfo(self, token: str) -> Response:
        return self.get(self.userinfo_endpoint, bearer(token))

    def log_out(self, **parameters: str) -> Arrival | None:
        query = f"?{build_query(parameters)}" if parameters else ""
        return self.robot.go(self.metadata["end_session_endpoint"] + query)
