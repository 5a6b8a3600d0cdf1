"""Services that call each other for whoever calls them: what tests of token exchange share."""

from __future__ import annotations

from typing import Any, Final

from dojang.oauth.http import Response
from dojang.oauth.token_exchange import ACCESS_TOKEN, GRANT_TYPE
from tests.server.front_door import PAYMENTS, read
from tests.server.people.world import ORDERS, World

LEDGER: Final = "https://ledger.test"
SCOPE: Final = "openid orders:read orders:write"


class Services(World):
    """`app` (for people) and `shop` (a machine) call orders, orders calls payments, and payments
    the ledger. `token_format` is that of every token."""

    def __init__(self, *, token_format: str = "jwt", **settings: Any) -> None:
        allowed = {"resources": {ORDERS: ("orders:read", "orders:write")}, **settings}
        super().__init__(
            orders={"introspectors": ["orders"], "token_format": token_format}, **allowed
        )
        issuer = self.issuer
        issuer.add_resource(
            PAYMENTS,
            ["payments:charge", "payments:refund", "orders:read"],
            token_format=token_format,
            introspectors=["payments"],
        )
        issuer.add_resource(
            LEDGER, ["ledger:write"], token_format=token_format, introspectors=["ledger"]
        )
        issuer.add_client("shop", {ORDERS: ["orders:read", "orders:write"]})
        issuer.add_client("ledger")
        issuer.add_client(
            "orders",
            exchanges=(
                {"resource": PAYMENTS, "scopes": ("payments:charge",), "needs": ("orders:write",)},
                {"resource": PAYMENTS, "scopes": ("orders:read",)},
            ),
        )
        issuer.add_client(
            "payments",
            exchanges=(
                {"resource": LEDGER, "scopes": ("ledger:write",), "needs": ("payments:charge",)},
            ),
        )

    def get_subject(self, scope: str = SCOPE) -> str:
        """A person's access token for orders."""
        token: str = self.get_tokens(scope=scope, resource=ORDERS)["access_token"]
        return token

    def ask_exchange(self, subject: str, client_id: str = "orders", **form: str | None) -> Response:
        """A token exchange as `client_id`; None leaves a parameter out."""
        wanted = {
            "grant_type": GRANT_TYPE,
            "subject_token": subject,
            "subject_token_type": ACCESS_TOKEN,
            "audience": LEDGER if client_id == "payments" else PAYMENTS,
            **form,
        }
        return self.post_token(
            client_id, **{name: value for name, value in wanted.items() if value is not None}
        )

    def exchange(self, subject: str, client_id: str = "orders", **form: str | None) -> str:
        """What comes of it."""
        response = self.ask_exchange(subject, client_id, **form)
        assert response.status == 200, response.body
        token: str = read(response)["access_token"]
        return token

    def told(self, token: str, audience: str = PAYMENTS) -> dict[str, Any]:
        """What the service at `audience` is told of a token."""
        return self.issuer.introspect(token, audience=audience)
