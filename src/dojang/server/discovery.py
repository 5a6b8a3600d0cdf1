"""What the server says of itself (RFC 8414 §2). Only what it does stands in it."""

from __future__ import annotations

from dojang.oauth.client_assertion import ALGORITHMS
from dojang.oauth.metadata import ServerMetadata, build_metadata
from dojang.server.grant_types import SPENT, STANDING
from dojang.server.model import AuthenticationMethod
from dojang.server.paths import FEED, INTROSPECTION, JWKS, REVOCATION, TOKEN


def build_server_metadata(issuer: str) -> dict[str, object]:
    """The document for `issuer`."""
    methods = tuple(
        method for method in AuthenticationMethod if method is not AuthenticationMethod.NONE
    )
    algorithms = tuple(sorted(ALGORITHMS))
    return build_metadata(
        ServerMetadata(
            issuer=issuer,
            token_endpoint=issuer + TOKEN,
            jwks_uri=issuer + JWKS,
            introspection_endpoint=issuer + INTROSPECTION,
            revocation_endpoint=issuer + REVOCATION,
            dojang_feed_endpoint=issuer + FEED,
            response_types_supported=(),
            grant_types_supported=(*STANDING, *SPENT),
            token_endpoint_auth_methods_supported=methods,
            token_endpoint_auth_signing_alg_values_supported=algorithms,
            introspection_endpoint_auth_methods_supported=methods,
            introspection_endpoint_auth_signing_alg_values_supported=algorithms,
            revocation_endpoint_auth_methods_supported=methods,
            revocation_endpoint_auth_signing_alg_values_supported=algorithms,
        )
    )
