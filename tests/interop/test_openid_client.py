"""A relying party on openid-client (npm), the certified library for Node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.house import CALLBACK, ORDERS, PAYMENTS, House, Person, read_query
from tests.interop.others import Refused, Script

AFTER = "http://127.0.0.1:9/after"


@pytest.fixture(scope="module")
def script() -> Iterator[Script]:
    script = Script("openid_client.mjs")
    yield script
    script.close()


class Party:
    """The application: what it is registered as, and its library."""

    def __init__(self, house: House, script: Script) -> None:
        self.house = house
        self.do = script.do

    def register(
        self, client_id: str, method: str = "client_secret_basic", algorithm: str = "ES256",
        **sign_in: Any,
    ) -> None:  # fmt: skip
        jwks = None
        if method == "private_key_jwt":
            jwks = self.do("makeKeys", algorithm=algorithm)
        secret = self.house.add_client(client_id, authentication=method, jwks=jwks, **sign_in)
        self.discover(client_id, method, secret, algorithm, **sign_in)

    def discover(
        self, client_id: str, method: str, secret: str, algorithm: str = "", **sign_in: Any
    ) -> dict[str, Any]:
        told = {
            "id_token_signed_response_alg": sign_in.get("id_token_algorithm"),
            "userinfo_signed_response_alg": sign_in.get("userinfo_algorithm"),
            "default_max_age": sign_in.get("default_max_age"),
        }
        metadata: dict[str, Any] = self.do(
            "discover", issuer=self.house.issuer, clientId=client_id, method=method, secret=secret,
            algorithm=algorithm,
            metadata={name: value for name, value in told.items() if value is not None},
        )  # fmt: skip
        return metadata

    def sign_in(
        self, person: Person, *, pushed: bool = False, posted: bool = False, signed: str = "",
        **parameters: str,
    ) -> dict[str, Any]:  # fmt: skip
        address = self.begin(pushed=pushed, signed=signed, **parameters)
        tokens: dict[str, Any] = self.do("finish", address=person.visit(address), posted=posted)
        return tokens

    def begin(self, *, pushed: bool = False, signed: str = "", **parameters: str) -> str:
        asked = {"redirect_uri": CALLBACK, "scope": "openid email", **parameters}
        address: str = self.do("begin", parameters=asked, pushed=pushed, signed=signed)
        return address


@pytest.fixture
def party(house: House, script: Script) -> Party:
    return Party(house, script)


@pytest.mark.proves("A1", "A2")
@pytest.mark.parametrize(
    "method, algorithm",
    [
        ("client_secret_basic", "ES256"),
        ("client_secret_post", "EdDSA"),
        ("private_key_jwt", "ES256"),
        ("private_key_jwt", "RS256"),
        ("private_key_jwt", "PS256"),
        ("private_key_jwt", "Ed25519"),
        ("none", "PS256"),
        ("none", "RS256"),
    ],
)
def test_sign_in_by_every_method(party: Party, person: Person, method: str, algorithm: str) -> None:
    """The library checks state, iss, nonce, at_hash, audience and times of the id_token, and here
    its signature as well; PKCE is S256."""
    party.register(
        f"{method}-{algorithm}", method, algorithm,
        id_token_algorithm=algorithm.replace("Ed25519", "EdDSA"),
    )  # fmt: skip
    tokens = party.sign_in(person)
    assert tokens["claims"]["iss"] == party.house.issuer
    assert tokens["claims"]["aud"] == f"{method}-{algorithm}"
    assert "email" not in tokens["claims"]  # what identifies a person is asked for at userinfo
    assert party.do("userinfo")["email"] == f"{person.username}@example.com"


@pytest.mark.proves("A2")
def test_requests_that_are_pushed(party: Party, person: Person) -> None:
    party.register("pushing", require_pushed=True)
    address = party.begin(pushed=True)
    assert set(read_query(address)) == {"client_id", "request_uri"}
    assert party.do("finish", address=person.visit(address))["claims"]["sub"]
    with pytest.raises(Refused) as refused:
        party.do("finish", address=person.visit(party.begin()))
    assert refused.value.error == "invalid_request"


@pytest.mark.proves("A2")
def test_an_answer_that_is_posted(party: Party, person: Person) -> None:
    party.register("posted")
    assert party.sign_in(person, posted=True, response_mode="form_post")["claims"]["sub"]


@pytest.mark.proves("C122")
def test_an_answer_of_another_issuer_is_refused(party: Party, person: Person) -> None:
    party.register("mixed-up")
    came = person.visit(party.begin())
    other = came.replace(read_query(came)["iss"].rpartition(":")[2], "1")
    with pytest.raises(Refused, match="iss"):
        party.do("finish", address=other)


@pytest.mark.proves("C121")
@pytest.mark.parametrize("member", ["expectedState", "expectedNonce"])
def test_an_answer_to_another_request_is_refused(party: Party, person: Person, member: str) -> None:
    party.register(f"confused-{member}")
    came = person.visit(party.begin())
    with pytest.raises(Refused, match=member.removeprefix("expected").lower()):
        party.do("finish", address=came, instead={member: "another"})


@pytest.mark.proves("C121")
def test_a_code_without_its_verifier_is_refused(party: Party, person: Person) -> None:
    party.register("intercepted")
    came = person.visit(party.begin())
    with pytest.raises(Refused) as refused:
        party.do("finish", address=came, instead={"pkceCodeVerifier": "v" * 43})
    assert refused.value.error == "invalid_grant"


def test_how_long_ago_a_person_signed_in(party: Party, person: Person) -> None:
    party.register("recent", default_max_age=60)
    first = party.sign_in(person)["claims"]
    assert party.sign_in(person, max_age="3600")["claims"]["auth_time"] == first["auth_time"]
    person.seen.clear()
    party.sign_in(person, max_age="0")  # the library would not take an older sign-in
    assert person.seen == ["Sign in"]


def test_no_page_may_be_shown(party: Party, person: Person) -> None:
    party.register("silent")
    with pytest.raises(Refused) as refused:
        party.do("finish", address=person.visit(party.begin(prompt="none")))
    assert refused.value.error == "login_required"
    party.sign_in(person)
    assert party.sign_in(person, prompt="none")["claims"]["sub"]


@pytest.mark.proves("T1")
@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
def test_a_refresh_token_is_spent_for_the_next(party: Party, person: Person, method: str) -> None:
    party.register(f"renewing-{method}", method)
    tokens = party.sign_in(person, scope="openid offline_access", prompt="consent")
    first = tokens["refresh_token"]
    second = party.do("refresh", token=first)
    assert second["refresh_token"] != first
    assert second["claims"]["sub"] == tokens["claims"]["sub"]
    third = party.do("refresh")
    with pytest.raises(Refused) as refused:
        party.do("refresh", token=first)  # somebody has a copy: all of it ends
    assert refused.value.error == "invalid_grant"
    with pytest.raises(Refused):
        party.do("refresh", token=third["refresh_token"])
    with pytest.raises(Refused):
        party.do("userinfo", subject=tokens["claims"]["sub"])


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_userinfo_that_is_signed(party: Party, person: Person, algorithm: str) -> None:
    party.register(f"signed-{algorithm}", userinfo_algorithm=algorithm)
    party.sign_in(person)
    assert party.do("userinfo")["email"] == f"{person.username}@example.com"
    with pytest.raises(Refused, match="sub"):
        party.do("userinfo", subject="somebody else")


@pytest.mark.proves("A3")
def test_a_client_acts_for_itself(party: Party, house: House) -> None:
    """And says of the token what it is worth, and takes it back."""
    secret = house.add_client("machine", grants={ORDERS: ["orders:read"]})
    house.operate(
        "resource.add", identifier="https://asked.example", scopes=["a"], introspectors=["machine"]
    )
    keeper = house.add_client("keeper", grants={"https://asked.example": ["a"]})
    party.discover("keeper", "client_secret_basic", keeper)
    token = party.do("clientCredentials", parameters={"resource": "https://asked.example"})
    party.discover("machine", "client_secret_basic", secret)
    own = party.do("clientCredentials", parameters={"resource": ORDERS, "scope": "orders:read"})
    assert own["scope"] == "orders:read"
    told = party.do("introspect", token=token["access_token"])
    assert (told["active"], told["client_id"]) == (True, "keeper")
    party.discover("keeper", "client_secret_basic", keeper)
    party.do("revoke", token=token["access_token"])
    party.discover("machine", "client_secret_basic", secret)
    assert party.do("introspect", token=token["access_token"]) == {"active": False}


@pytest.mark.proves("A1")
def test_a_token_is_for_one_resource(party: Party, person: Person) -> None:
    party.register("ordering")
    tokens = party.sign_in(person, scope="openid orders:read", resource=ORDERS)
    assert tokens["scope"].split() == ["openid", "orders:read"]
    with pytest.raises(Refused):
        party.do("userinfo")
    renewed = party.do("refresh", parameters={"resource": ORDERS})
    assert renewed["scope"] == tokens["scope"]
    with pytest.raises(Refused) as refused:
        party.do("refresh", parameters={"resource": PAYMENTS})
    assert refused.value.error == "invalid_target"
    with pytest.raises(Refused) as refused:
        party.sign_in(person, scope="openid", resource=PAYMENTS)
    assert refused.value.error == "invalid_target"


def test_logout(party: Party, person: Person) -> None:
    party.register("leaving", post_logout_redirect_uris=[AFTER])
    party.sign_in(person)
    left = party.do("logout", parameters={"post_logout_redirect_uri": AFTER, "state": "s"})
    assert person.visit(left) == AFTER + "?state=s"
    with pytest.raises(Refused):
        party.do("userinfo")
    with pytest.raises(Refused) as refused:
        party.do("finish", address=person.visit(party.begin(prompt="none")))
    assert refused.value.error == "login_required"


@pytest.mark.proves("A3")
def test_a_service_exchanges_a_token(party: Party, house: House, person: Person) -> None:
    """RFC 8693, by the grant for extensions."""
    stock = "https://stock.example"
    house.operate(
        "resource.add", identifier=stock, scopes=["stock:read"], introspectors=["stock-service"]
    )
    rule = {"resource": PAYMENTS, "scopes": ["payments:make"], "needs": ["stock:read"]}
    service = house.operate("client.add", client_id="stock-service", exchanges=[rule])
    party.register("stock-app", resources={stock: ["stock:read"]})
    called_with = party.sign_in(person, scope="openid stock:read", resource=stock)["access_token"]
    party.discover("stock-service", "client_secret_basic", service["client_secret"])
    asked = {
        "subject_token": called_with,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": PAYMENTS,
        "scope": "payments:make",
    }
    exchanged = party.do("exchange", parameters=asked)
    assert exchanged["scope"] == "payments:make"
    assert exchanged["issued_token_type"] == asked["subject_token_type"]
    with pytest.raises(Refused) as refused:
        party.do("exchange", parameters={**asked, "audience": ORDERS})
    assert refused.value.error == "invalid_target"


@pytest.mark.proves("A2")
@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "Ed25519"])
def test_requests_that_are_signed(party: Party, person: Person, algorithm: str) -> None:
    party.register(
        f"signing-{algorithm}", "private_key_jwt", algorithm, require_signed_request_object=True
    )
    address = party.begin(signed=algorithm)
    assert set(read_query(address)) == {"client_id", "request"}
    assert party.do("finish", address=person.visit(address))["claims"]["sub"]
    assert party.sign_in(person, signed=algorithm, pushed=True, max_age="60")["claims"]["sub"]
    with pytest.raises(Refused):
        party.do("finish", address=person.visit(party.begin()))


@pytest.mark.proves("A2")
@pytest.mark.parametrize(
    "encryption, content",
    [
        ("RSA-OAEP-256", "A128CBC-HS256"),
        ("RSA-OAEP-256", "A256GCM"),
        ("ECDH-ES", "A256CBC-HS512"),
        ("ECDH-ES+A128KW", "A128GCM"),
    ],
)
def test_a_client_that_registers_itself_is_told_of_people_in_secret(
    party: Party, house: House, person: Person, encryption: str, content: str
) -> None:
    token = house.operate("registration_token.add")["token"]
    metadata = {
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "private_key_jwt",
        "request_object_signing_alg": "ES256",
        "id_token_signed_response_alg": "ES256",
        "id_token_encrypted_response_alg": encryption,
        "id_token_encrypted_response_enc": content,
        "userinfo_signed_response_alg": "ES256",
        "userinfo_encrypted_response_alg": encryption,
        "userinfo_encrypted_response_enc": content,
    }
    asked: dict[str, Any] = {
        "issuer": house.issuer, "algorithm": "ES256", "encryption": encryption,
        "metadata": metadata,
    }  # fmt: skip
    registered = party.do("register", token=token, **asked)
    assert registered["registration_client_uri"].startswith(house.issuer)
    tokens = party.sign_in(person, signed="ES256")
    assert tokens["claims"]["aud"] == registered["client_id"]
    assert tokens["id_token"].count(".") == 4
    assert party.do("userinfo")["email"] == f"{person.username}@example.com"
    with pytest.raises(Refused):  # the token was for one
        party.do("register", token=token, **asked)
