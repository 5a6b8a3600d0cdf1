"""What the suite asks of answers, whichever module it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from dojang.oauth.claims import SCOPES
from dojang.oauth.http import Response
from tests.server.front_door import decode_jwt, header_of, read

# What an id_token may say that nobody asked for one by one.
_OWN: Final = frozenset(
    {"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp"}
    | {"at_hash", "c_hash", "s_hash", "jti", "nbf", "sid"}
)
_TEXT: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §4.1.2.1


def check_json(response: Response) -> None:
    content_type = header_of(response, b"content-type")
    assert content_type is not None
    assert content_type.split(b";")[0] == b"application/json"


def check_never_stored(response: Response) -> None:
    assert header_of(response, b"cache-control") == b"no-store"
    assert header_of(response, b"pragma") == b"no-cache"


def check_token_response(response: Response) -> dict[str, Any]:
    """RFC 6749 §5.1."""
    assert response.status == 200, response.body
    check_json(response)
    check_never_stored(response)
    answer = read(response)
    assert answer["token_type"].lower() == "bearer"
    assert isinstance(answer["expires_in"], int)
    assert 0 < answer["expires_in"] < 50 * 365 * 86_400
    assert re.fullmatch(r"[\x20-\x7e]+", answer["access_token"])
    return answer


def check_token_error(response: Response, code: str) -> None:
    """RFC 6749 §5.2."""
    assert response.status == 400
    check_json(response)
    check_never_stored(response)
    answer = read(response)
    assert answer["error"] == code
    assert _TEXT.fullmatch(answer["error_description"])
    assert "error_uri" not in answer


def check_authorization_error(answer: Mapping[str, str], *codes: str) -> None:
    """RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6. State and issuer are checked already."""
    assert answer["error"] in codes
    assert set(answer) == {"error", "error_description", "state", "iss"}
    assert _TEXT.fullmatch(answer["error_description"])


def check_id_token_times(claims: Mapping[str, Any], *, now: int) -> None:
    """OpenID Connect Core §2 and §3.1.3.7. The suite allows five minutes."""
    for name in ("exp", "iat", "auth_time"):
        assert isinstance(claims[name], int), name
    assert claims["exp"] > now
    assert abs(claims["iat"] - now) < 300
    assert now - 365 * 86_400 < claims["auth_time"] < now + 300


def check_nothing_unasked(id_token: str) -> None:
    """What scopes ask for stands at the userinfo endpoint (OpenID Connect Core §5.4)."""
    assert set(decode_jwt(id_token)[1]) <= _OWN


def check_person(claims: Mapping[str, Any]) -> None:
    """The types of OpenID Connect Core §5.1."""
    for name, value in claims.items():
        if name == "address":
            assert value
            assert all(isinstance(part, str) and part.strip() for part in value.values())
        elif name.endswith("_verified"):
            assert isinstance(value, bool), name
        elif name == "updated_at":
            assert isinstance(value, int)
            assert not isinstance(value, bool)
        else:
            assert isinstance(value, str), name
            assert value.strip(), name


def check_scopes(claims: Mapping[str, Any], scope: str) -> None:
    """Everything that the scopes stand for is there, and nothing else."""
    wanted = {name for each in scope.split() for name in SCOPES[each]}
    assert set(claims) == {"sub"} | wanted
