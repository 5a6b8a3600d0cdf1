"""Values for stores to hold."""

from dojang.oauth.revocation_fact import FactKind
from dojang.server.model import (
    AppendFact,
    AuditEvent,
    AuthenticationMethod,
    Client,
    ExchangeGrant,
    ExchangeRule,
    KeyRecord,
    KeyUse,
    Resource,
    SecretHash,
    StandingGrant,
    TokenFormat,
)

EVENT = AuditEvent(at=1_700_000_000, actor="operator", action="client.add", target="c1")


def make_fact(identifier: str, *, forget_after: int = 2_000_000_000) -> AppendFact:
    return AppendFact(
        kind=FactKind.TOKEN, identifier=identifier, at=1_700_000_000, forget_after=forget_after
    )


def make_client(client_id: str, *, version: int = 1, name: str = "orders") -> Client:
    return Client(client_id=client_id, name=name, version=version)


def make_key(kid: str, *, version: int = 1) -> KeyRecord:
    return KeyRecord(
        kid=kid,
        use=KeyUse.SEAL,
        algorithm="A256GCM",
        sealed=b"\0sealed\xff",
        public_jwk=None,
        published_at=1_700_000_000,
        version=version,
    )


FULL_CLIENT = Client(
    client_id="c-전체",
    name="주문 서비스 🙂",
    authentication=AuthenticationMethod.PRIVATE_KEY_JWT,
    secrets=(SecretHash(digest=bytes(range(32)), expires_at=5), SecretHash(digest=b"\xff" * 32)),
    jwks={"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "n\0": [1, None, True, 0.5]}]},
    jwks_uri="https://orders.example/keys",
    grants=(
        StandingGrant(grant_id="g1", resource="https://orders", scopes=("read", "write")),
        StandingGrant(grant_id="g2", resource="https://payments", scopes=()),
    ),
    exchanges=(
        ExchangeGrant(
            grant_id="g3",
            resource="https://ledger",
            rules=(ExchangeRule(needs=("read", "쓰기"), gives=("write",)),),
        ),
    ),
    enabled=False,
    created_at=1_700_000_000,
)
FULL_RESOURCE = Resource(
    identifier="https://orders.example/",
    scopes=("read", "write"),
    token_format=TokenFormat.OPAQUE,
    algorithm="EdDSA",
    access_token_lifetime=900,
    introspectors=("c1", "c2"),
    followers_only=True,
)
FULL_KEY = KeyRecord(
    kid="k1",
    use=KeyUse.ACCESS_TOKEN,
    algorithm="ES256",
    sealed=bytes(range(256)),
    public_jwk={"kty": "EC", "crv": "P-256", "x": "x", "y": "y"},
    published_at=1,
    active_from=2,
    active_until=3,
    gone_at=4,
    revoked_at=5,
    active_by=6,
)
