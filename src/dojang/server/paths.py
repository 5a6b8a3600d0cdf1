"""Where the endpoints are, below the issuer."""

from typing import Final

TOKEN: Final = "/token"
INTROSPECTION: Final = "/introspect"
REVOCATION: Final = "/revoke"
JWKS: Final = "/.well-known/jwks.json"
FEED: Final = "/feed"
FEED_JOIN: Final = FEED + "/join"
FEED_SNAPSHOT: Final = FEED + "/snapshot"
FEED_CHUNK: Final = FEED + "/chunks/{sha256}"
ADMIN: Final = "/admin"  # of the management listener
AUTHORIZATION: Final = "/authorize"
PUSHED_AUTHORIZATION: Final = "/par"
REGISTRATION: Final = "/register"
CLIENT_CONFIGURATION: Final = REGISTRATION + "/{client_id}"
USERINFO: Final = "/userinfo"
INTERACTION: Final = "/interaction/{interaction_id}"
ACCOUNT: Final = "/account"
LOGOUT: Final = "/logout"
STATIC: Final = "/static/{name}"  # what the pages are drawn with
