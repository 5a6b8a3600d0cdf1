"""What a service demands of a token. There is no default for what only the service can know."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from dojang.jose.algorithms import check_algorithms
from dojang.jose.header import normalize_type
from dojang.oauth.access_token import MAX_LEEWAY, MEDIA_TYPE
from dojang.oauth.urls import check_issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """Issuer and audience exactly; algorithms by name (RFC 7518 §3.1); the `typ` of the header;
    `leeway` in seconds for clocks that differ.

    Raises `ValueError` for an empty audience, an empty or unknown list of algorithms, an issuer
    that is no https URL, or a leeway over 60 s.
    """

    issuer: str
    audience: str
    algorithms: Collection[str]
    typ: str = MEDIA_TYPE
    leeway: float = 5
    media_type: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_issuer(self.issuer)
        if not self.audience or type(self.audience) is not str:
            raise ValueError("audience is one text that is not empty")
        if not self.typ:
            raise ValueError("typ is not empty")
        if not 0 <= self.leeway <= MAX_LEEWAY:
            raise ValueError("leeway is 0 to 60 seconds")
        object.__setattr__(self, "algorithms", check_algorithms(self.algorithms))
        object.__setattr__(self, "media_type", normalize_type(self.typ))
