"""Where the endpoints are, below the issuer."""

from typing import Final

TOKEN: Final = "/token"
INTROSPECTION: Final = "/introspect"
REVOCATION: Final = "/revoke"
JWKS: Final = "/.well-known/jwks.json"
ADMIN: Final = "/admin"  # of the management listener
