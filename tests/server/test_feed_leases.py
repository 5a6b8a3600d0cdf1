"""Who may follow: joining, leases and their ends, and what is no question (C85, C119)."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from dojang.jose import base64url
from dojang.oauth.feed import parse_lease
from dojang.oauth.http import Response
from dojang.oauth.revocation_fact import FactKind
from dojang.server.followers import MOST_PER_CLIENT
from dojang.server.lifetimes import DRAIN
from dojang.server.model import AppendFact, KeyUse
from dojang.server.ports import PutResource
from dojang.testing import Issuer
from dojang.testing.inline import run
from tests.server.follower import CLIENT, ORDERS, HandFollower, open_feed, put_in_place
from tests.server.front_door import (
    NOW,
    basic,
    basic_of,
    bearer,
    decode_jwt,
    get,
    header_of,
    open_issuer,
    post,
    read,
    refusal,
)

NAME = {"name": "host:1"}
HOUR = 3600


@pytest.fixture
def issuer() -> Issuer:
    return open_feed(open_issuer())


@pytest.fixture
def follower(issuer: Issuer) -> HandFollower:
    follower = HandFollower(issuer)
    follower.catch_up()
    return follower


def get_token(issuer: Issuer, audience: str = "/introspect", scope: str = "introspect") -> str:
    """A token with which its client may introspect, unless another is asked for."""
    return issuer.token(scopes=[scope], audience=issuer.url + audience, client_id="bearer")


@pytest.fixture
def token(issuer: Issuer) -> str:
    issuer.add_client("bearer", {issuer.url + "/introspect": ["introspect"]})
    issuer.add_resource("urn:its", ["x"], introspectors=["bearer"])
    return get_token(issuer)


def join_by(issuer: Issuer, token: str) -> Response:
    return post(issuer, "/feed/join", NAME, bearer(token))


@pytest.mark.proves("C85", "V3")
def test_a_follower_proves_who_it_is_as_at_introspection(issuer: Issuer, token: str) -> None:
    secret = issuer.credentials(CLIENT).secret
    form = {**NAME, "client_id": CLIENT, "client_secret": secret}
    issuer.add_client("form", authentication="client_secret_post")
    assert post(issuer, "/feed/join", NAME, basic_of(issuer, CLIENT)).status == 200
    assert join_by(issuer, token).status == 200
    for answer, expected in (
        (post(issuer, "/feed/join", NAME), (401, "invalid_client")),
        (post(issuer, "/feed/join", NAME, basic(CLIENT, "wrong")), (401, "invalid_client")),
        (post(issuer, "/feed/join", NAME, basic("unknown", secret)), (401, "invalid_client")),
        (post(issuer, "/feed/join", form), (401, "invalid_client")),  # another method's way
        (post(issuer, "/feed/join", form, bearer(token)), (400, "invalid_request")),
        (join_by(issuer, "junk"), (401, "invalid_token")),
    ):
        assert refusal(answer) == expected
        assert b"dojang_fl_" not in answer.body


@pytest.mark.proves("C85", "C119")
def test_a_token_for_another_purpose_lets_nobody_follow(issuer: Issuer, token: str) -> None:
    issuer.add_client("other", {"urn:its": ["x"]})
    issuer.perform("resource.add", identifier="urn:more", scopes=["introspect"])
    issuer.add_client("more", {"urn:more": ["introspect"]})
    for wrong in (
        issuer.token(scopes=["x"], audience="urn:its", client_id="other"),
        issuer.token(scopes=["introspect"], audience="urn:more", client_id="more"),
    ):
        assert refusal(join_by(issuer, wrong)) == (401, "invalid_token")
    assert join_by(issuer, token).status == 200


@pytest.mark.proves("C85", "C119")
def test_only_a_client_that_may_introspect_for_somebody_follows(issuer: Issuer) -> None:
    issuer.add_client("shop", {ORDERS: ["read"]})
    answer = post(issuer, "/feed/join", NAME, basic_of(issuer, "shop"))
    assert refusal(answer) == (400, "unauthorized_client")
    issuer.add_client("told", {issuer.url + "/introspect": ["introspect"]})
    access = issuer.token(
        scopes=["introspect"], audience=issuer.url + "/introspect", client_id="told"
    )
    assert refusal(join_by(issuer, access)) == (400, "unauthorized_client")


@pytest.mark.proves("C87")
def test_a_disabled_client_does_not_join(issuer: Issuer, token: str) -> None:
    issuer.disable_client(CLIENT)
    answer = post(issuer, "/feed/join", NAME, basic_of(issuer, CLIENT))
    assert refusal(answer) == (401, "invalid_client")
    issuer.disable_client("bearer")
    assert refusal(join_by(issuer, token)) == (401, "invalid_token")


def check_refused(follower: HandFollower) -> None:
    """At every endpoint that takes a lease."""
    lease = bearer(follower.lease.lease)
    for answer in (
        follower.send(),
        get(follower.issuer, "/feed/snapshot", lease),
        get(follower.issuer, f"/feed/chunks/{'0' * 64}", lease),
    ):
        assert refusal(answer) == (401, "invalid_token")
        challenge = header_of(answer, b"www-authenticate")
        assert challenge is not None
        assert challenge.startswith(b"Bearer ")


def put_resource(issuer: Issuer, **changes: Any) -> None:
    resource = issuer.provider.state.resources[ORDERS]
    changed = replace(resource, **changes, version=resource.version + 1)
    run(issuer.provider.store.commit([PutResource(changed)]))


def end_everything(issuer: Issuer) -> None:
    fact = AppendFact(
        kind=FactKind.EVERYTHING, identifier=issuer.url, at=NOW, forget_after=NOW + DRAIN
    )
    run(issuer.provider.store.commit([fact]))


def find_key(issuer: Issuer, use: KeyUse, state: str = "active") -> str:
    keys = issuer.perform("keys.list")["keys"]
    found = [key["kid"] for key in keys if (key["use"], key["state"]) == (use, state)]
    return str(found[0])


ENDS: dict[str, Callable[[Issuer], object]] = {
    "client disabled": lambda issuer: issuer.disable_client(CLIENT),
    "client revoked": lambda issuer: issuer.revoke_client(CLIENT),
    "no introspector any more": lambda issuer: put_resource(issuer, introspectors=("other",)),
    "everything revoked": end_everything,
    "sealing key revoked": lambda issuer: issuer.revoke_key(find_key(issuer, KeyUse.SEAL)),
    "feed key revoked": lambda issuer: issuer.revoke_key(find_key(issuer, KeyUse.FEED)),
    "its standby revoked": lambda issuer: issuer.revoke_key(
        find_key(issuer, KeyUse.FEED, "upcoming")
    ),
    "an hour passed": lambda issuer: issuer.clock.move(HOUR),
}


@pytest.mark.proves("C87", "K6")
@pytest.mark.parametrize("end", ENDS)
def test_a_lease_ends_with_what_it_rests_on(
    issuer: Issuer, follower: HandFollower, end: str
) -> None:
    ENDS[end](issuer)
    check_refused(follower)


@pytest.mark.proves("C87", "K6")
@pytest.mark.parametrize(
    "end",
    [
        lambda issuer, token: issuer.revoke(token),
        lambda issuer, token: issuer.perform("revoke.grant", grant=decode_jwt(token)[1]["grant"]),
        lambda issuer, token: issuer.revoke_client("bearer"),
        lambda issuer, token: issuer.revoke_key(decode_jwt(token)[0]["kid"]),
        lambda issuer, token: issuer.clock.move_to(decode_jwt(token)[1]["exp"]),
    ],
    ids=["token", "grant", "client", "key", "expiry"],
)
def test_a_lease_ends_with_the_token_it_was_got_with(
    issuer: Issuer, follower: HandFollower, token: str, end: Callable[[Issuer, str], object]
) -> None:
    follower.take(parse_lease(join_by(issuer, token).body))
    assert follower.lease.expires_in == decode_jwt(token)[1]["exp"] - NOW
    follower.ask()
    end(issuer, token)
    check_refused(follower)


STAYS: dict[str, Callable[[Issuer], object]] = {
    "another client revoked": lambda issuer: issuer.revoke_client(),
    "a key for tokens revoked": lambda issuer: issuer.revoke_key(),
    "keys rotated": lambda issuer: [
        issuer.perform("keys.rotate", use="seal", algorithm="A256GCM"),
        issuer.perform("keys.rotate", use="feed", algorithm="RS256"),
        issuer.rotate_keys(),
    ],
    "another introspector added": lambda issuer: put_resource(issuer, introspectors=(CLIENT, "x")),
    "almost an hour passed": lambda issuer: issuer.clock.move(HOUR - 1),
}


@pytest.mark.proves("V3")
@pytest.mark.parametrize("event", STAYS)
def test_a_lease_outlives_what_has_nothing_to_do_with_it(
    issuer: Issuer, follower: HandFollower, event: str
) -> None:
    issuer.token(scopes=["read"], audience=ORDERS)
    STAYS[event](issuer)
    follower.catch_up()


@pytest.mark.proves("V3", "A6")
def test_a_lease_is_good_on_every_node_and_after_a_restart(
    issuer: Issuer, follower: HandFollower
) -> None:
    put_in_place(issuer, issuer.provider.store)
    assert follower.ask().pages == ()


@pytest.mark.proves("C85")
def test_what_is_no_lease_asks_nothing(issuer: Issuer, follower: HandFollower, token: str) -> None:
    lease = follower.lease.lease
    other = HandFollower(open_feed(open_issuer()))
    flipped = lease[:-2] + ("A" if lease[-2] != "A" else "B") + lease[-1]
    form = follower.build()
    for wrong in (token, other.lease.lease, flipped, lease[:40], "", "dojang_fl_", "ü", lease * 2):
        header = b"authorization", b"Bearer " + wrong.encode()
        assert refusal(post(issuer, "/feed", form, header)) == (401, "invalid_token")
    assert refusal(post(issuer, "/feed", form)) == (401, "invalid_token")
    assert refusal(post(issuer, "/feed", form, basic_of(issuer, CLIENT))) == (401, "invalid_token")
    twice = (bearer(lease), bearer(lease))
    assert refusal(post(issuer, "/feed", form, *twice)) == (400, "invalid_request")


@pytest.mark.proves("C85")
def test_a_lease_is_no_token(issuer: Issuer, follower: HandFollower) -> None:
    lease = follower.lease.lease
    assert issuer.introspect(lease, audience=ORDERS) == {"active": False}
    answer = post(issuer, "/introspect", {"token": "x"}, bearer(lease))
    assert refusal(answer) == (401, "invalid_token")
    assert refusal(join_by(issuer, lease)) == (401, "invalid_token")


JUNK: list[dict[str, str | None]] = [
    {"nonce": None},
    {"nonce": "short"},
    {"nonce": "n" * 65},
    {"nonce": "n" * 21 + "ü"},
    {"nonce": "n" * 22 + " "},
    {"nonce": "n" * 22 + "\n"},
    {"epoch": None},
    {"epoch": "-1"},
    {"epoch": "1.0"},
    {"epoch": "01"},
    {"epoch": "\u0661"},
    {"head": None},
    {"head": "1e3"},
    {"head": "9" * 17},
    {"head": " 1"},
    {"digest": None},
    {"digest": "AA"},
    {"digest": base64url.encode(b"x" * 33)},
    {"digest": base64url.encode(b"x" * 32) + "="},
    {"digest": "ü" * 43},
    {"hold": None},
    {"hold": "20001"},
    {"hold": "-1"},
    {"hold": "nan"},
    {"hold": "0.5"},
    {"kids": " "},
    {"kids": "a  b"},
    {"kids": "a\tb"},
    {"kids": " ".join(["k"] * 65)},
    {"kids": "k" * 129},
    {"kids": "ü"},
]


@pytest.mark.proves("C91")
@pytest.mark.parametrize("wrong", JUNK, ids=str)
def test_what_is_no_question_is_refused(
    issuer: Issuer, follower: HandFollower, wrong: dict[str, str | None]
) -> None:
    assert refusal(follower.send(follower.build(**wrong))) == (400, "invalid_request")


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"nonce=1&nonce=2", b"%", b"{}", b"a=" * 1001], ids=repr
)
@pytest.mark.parametrize("path", ["/feed", "/feed/join"])
@pytest.mark.proves("C91")
def test_a_form_that_is_none_is_refused(
    issuer: Issuer, follower: HandFollower, path: str, body: bytes
) -> None:
    for header in (bearer(follower.lease.lease), basic_of(issuer, CLIENT)):
        assert post(issuer, path, body, header).status in (400, 401)


@pytest.mark.parametrize("name", [None, "", "n" * 65, "a\nb", "a\x00", "\u200b"])
@pytest.mark.proves("C91")
def test_a_name_is_short_and_printable(issuer: Issuer, name: str | None) -> None:
    form = {} if name is None else {"name": name}
    answer = post(issuer, "/feed/join", form, basic_of(issuer, CLIENT))
    assert refusal(answer) == (400, "invalid_request")


def test_what_a_follower_says_of_itself_is_known(issuer: Issuer, follower: HandFollower) -> None:
    follower.ask(kids="a b", hold="0")
    (seen,) = issuer.provider.feed.followers.find_alive(NOW)
    assert (seen.client_id, seen.name, seen.kids) == (CLIENT, "host:1", ("a", "b"))
    assert (seen.rev, seen.hold, seen.seen_at) == (follower.rev, 0.0, NOW)


@pytest.mark.proves("C119")
def test_a_client_has_a_bounded_number_of_followers(issuer: Issuer) -> None:
    issuer.add_client("second")
    put_resource(issuer, introspectors=(CLIENT, "second"))
    leases = issuer.provider.feed.leases
    position = issuer.provider.state.position
    follower = HandFollower(issuer)
    form = follower.build()

    def ask(client_id: str) -> Response:
        lease, _ = leases.issue(client_id, "n", token=None, position=position, now=NOW)
        return post(issuer, "/feed", form, bearer(lease))

    assert [ask(CLIENT).status for _ in range(MOST_PER_CLIENT)] == [200] * MOST_PER_CLIENT
    refused = ask(CLIENT)
    assert refusal(refused) == (429, "too_many_followers")
    assert header_of(refused, b"retry-after") is not None
    assert ask("second").status == 200
    issuer.clock.move(60)
    assert ask(CLIENT).status == 200  # those before are absent


@pytest.mark.proves("C117")
def test_no_lease_and_no_key_is_shown(issuer: Issuer, follower: HandFollower) -> None:
    claims = run(issuer.provider.feed.leases.find(_show(follower), now=NOW))
    shown = repr(follower.lease) + repr(claims) + str(read(follower.send()))
    secrets = (follower.lease.lease, follower.lease.proof_key, follower.lease.view_key)
    for secret in secrets:
        text = secret if isinstance(secret, str) else base64url.encode(secret)
        assert text not in shown
        assert repr(secret) not in shown


def _show(follower: HandFollower) -> Any:
    from dojang.oauth.http import Request

    return Request("POST", "/feed", b"", (bearer(follower.lease.lease),), b"", "127.0.0.1")
