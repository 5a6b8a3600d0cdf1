"""One request through all of it: token → verifier → rule; and what a refusal looks like in HTTP."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.oauth.http import Response, build_json
from dojang.oauth.metadata import build_resource_metadata, find_resource_metadata_url
from dojang.oauth.urls import parse_url
from dojang.resource.credential import DEFAULT_PLACES, RequestHead, TokenPlace, parse_presented
from dojang.resource.errors import (
    NO_DEMAND,
    Demand,
    Refusal,
    RefusalReason,
    Unavailable,
    build_bearer_challenge,
)
from dojang.resource.policy import Rule, check_freshness, check_rule
from dojang.resource.verified import VerifiedToken
from dojang.resource.verifier import Verifier

UNAVAILABLE: Final = "The request cannot be checked at the moment."
REFUSED: Final = {
    400: "The request's credentials are malformed.",
    401: "An access token is needed.",
    403: "The access token does not allow this.",
}


class Gate:
    """A verifier, the places tokens are read from, and what challenges say of the service.

    `resource` is the service's own https URL where it publishes metadata (RFC 9728); `realm` is
    for people; without one it is the audience, where that can stand in a header. Raises
    `ValueError`.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        places: Collection[TokenPlace] = DEFAULT_PLACES,
        realm: str | None = None,
        resource: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not places:
            raise ValueError("a token comes from somewhere: places is empty")
        audience = verifier.expect.audience
        if realm is None and audience.isascii() and audience.isprintable():
            realm = audience
        build_bearer_challenge(Refusal(RefusalReason.NO_CREDENTIALS), realm=realm)
        self.verifier = verifier
        self._places = tuple(places)
        self._realm = realm
        self._resource = resource
        self._metadata_url = None if resource is None else find_resource_metadata_url(resource)
        self._clock = clock

    def prepare(self, rule: Rule) -> None:
        """A rule comes into force. Raises `ValueError` where the verifier cannot keep it."""
        check_freshness(rule, self.verifier.freshness)
        if rule.staleness is not None:
            self.verifier.need(rule.staleness)

    async def admit(self, head: RequestHead, rule: Rule) -> VerifiedToken:
        """The request's token, verified and enough for `rule`. Raises `Refusal`, `Unavailable`."""
        try:
            presented = parse_presented(head, self._places)
            token = await self.verifier.verify_async(
                presented.value, staleness=rule.staleness, when_stale=rule.when_stale
            )
            check_rule(rule, token, now=self._clock.now())
        except Refusal as refusal:
            if refusal.demand is NO_DEMAND and refusal.status == 401:
                refusal.demand = Demand(scopes=(*rule.scopes, *rule.any_scope))
            raise
        return token

    def build_response(self, why: Refusal | Unavailable) -> Response:
        """The answer to a request that was not admitted: its challenge, a short text, no cause."""
        if isinstance(why, Unavailable):
            return build_json(
                503,
                {"error": "temporarily_unavailable", "error_description": UNAVAILABLE},
                (b"retry-after", str(max(1, why.retry_after)).encode()),
            )
        document = {"error_description": why.description or REFUSED[why.status]}
        if why.error is not None:
            document = {"error": why.error, **document}
        challenge = build_bearer_challenge(
            why, realm=self._realm, resource_metadata=self._metadata_url
        )
        return build_json(why.status, document, (b"www-authenticate", challenge.encode()))

    @property
    def metadata_path(self) -> str | None:
        """Where the metadata of this resource is to be served; None where it has none."""
        return None if self._metadata_url is None else parse_url(self._metadata_url).path

    def build_metadata(self, scopes: Collection[str] = ()) -> Response:
        """The metadata of this resource (RFC 9728 §3.2)."""
        document = build_resource_metadata(
            resource=self._resource or "",
            authorization_servers=[self.verifier.expect.issuer],
            scopes=sorted(scopes),
        )
        response = build_json(200, document)
        headers = ((b"content-type", b"application/json"), (b"cache-control", b"max-age=3600"))
        return response._replace(headers=headers)
