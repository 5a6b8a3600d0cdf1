"""The resource server: present a token, get a `VerifiedToken` or a refusal."""

from dojang.resource.credential import (
    BearerHeader,
    CookieToken,
    HeaderToken,
    PresentedToken,
    RequestHead,
    TokenPlace,
    parse_presented,
)
from dojang.resource.errors import (
    Demand,
    Refusal,
    RefusalReason,
    Unavailable,
    build_bearer_challenge,
)
from dojang.resource.expect import Expect
from dojang.resource.hybrid import HybridVerifier
from dojang.resource.introspection import BearerSource, IntrospectionVerifier
from dojang.resource.local import LocalVerifier
from dojang.resource.policy import Policy, Route, Rule, check_rule
from dojang.resource.staleness import WhenStale
from dojang.resource.verified import Identity, VerifiedToken
from dojang.resource.verifier import Hybrid, Introspection, Local, Strategy, Verifier
from dojang.trust.credentials import (
    ClientSecretBasic,
    ClientSecretPost,
    Credentials,
    PrivateKeyJwt,
)
from dojang.trust.feed_status import FeedState, FeedStatus
from dojang.trust.follower import Follower
from dojang.trust.remote_keys import FixedKeys, KeySource, RemoteKeys

__all__ = [
    "BearerHeader",
    "BearerSource",
    "ClientSecretBasic",
    "ClientSecretPost",
    "CookieToken",
    "Credentials",
    "Demand",
    "Expect",
    "FeedState",
    "FeedStatus",
    "FixedKeys",
    "Follower",
    "HeaderToken",
    "Hybrid",
    "HybridVerifier",
    "Identity",
    "Introspection",
    "IntrospectionVerifier",
    "KeySource",
    "Local",
    "LocalVerifier",
    "Policy",
    "PresentedToken",
    "PrivateKeyJwt",
    "Refusal",
    "RefusalReason",
    "RemoteKeys",
    "RequestHead",
    "Route",
    "Rule",
    "Strategy",
    "TokenPlace",
    "Unavailable",
    "VerifiedToken",
    "Verifier",
    "WhenStale",
    "build_bearer_challenge",
    "check_rule",
    "parse_presented",
]
