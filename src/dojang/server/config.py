"""What an operator may set. Values and their rules only: files and the environment are read by
the command line."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal, NamedTuple

from msgspec import Struct

from dojang.jose import base64url
from dojang.jose.errors import InvalidToken
from dojang.oauth.claims import SCOPES
from dojang.oauth.urls import check_issuer
from dojang.server.model import Profile
from dojang.server.registration_policy import RegistrationPolicy

ENCRYPTION_KEY_BYTES = 32
SHORTEST_ROTATION, LONGEST_ROTATION = 86_400, 315_360_000
MOST_HOURLY = 100_000
SHORTEST_HOLD_LIMIT, LONGEST_HOLD_LIMIT = 60, 604_800


class TcpAddress(NamedTuple):
    """Where to listen: an IP address or host name, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress(NamedTuple):
    """Where to listen: the path of a socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


class Listen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two doors, each `host:port` or `unix:/path`: one for clients and services, and one with the
    admin API, health and metrics, which is for operators."""

    public: str = "127.0.0.1:8460"
    management: str = "127.0.0.1:8461"


class Storage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url`: `sqlite:PATH` or `postgresql://…`; it may carry a password. `failover`: whether a
    standby that takes over may lack acknowledged commits; with synchronous replication none does.
    """

    url: str = "sqlite:dojang.db"
    failover: Literal["lossy", "lossless"] = "lossy"

    def __repr__(self) -> str:
        return f"Storage({self.url.partition(':')[0]})"


class Redis(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url`: `redis://…`, `rediss://…` or `unix://…`, by which nodes tell each other of commits; it
    may carry a password."""

    url: str = ""

    def __repr__(self) -> str:
        return "Redis()"


class Keys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`encryption_key`: the base64url of the 32 bytes that every private key is sealed under.
    `witness`: the file that says how far the database was. A key signs for `rotate_after` seconds,
    unless `automatic_rotation` is off and only a command rotates; a takeover waits for followers
    `hold_limit` seconds at the longest."""

    encryption_key: str = ""
    witness: str = ""
    rotate_after: int = 7_776_000
    automatic_rotation: bool = True
    hold_limit: int = 3600

    def __repr__(self) -> str:
        return "Keys()"


class Operator(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client that the command line is, when it speaks to a running server."""

    client_id: str = "operator"
    client_secret: str = ""

    def __repr__(self) -> str:
        return f"Operator({self.client_id!r})"


class Fetch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`permitted_networks`: beside the public internet, where addresses that clients register may
    lead to. Whoever may register a client can have this server speak to everything in them."""

    permitted_networks: tuple[str, ...] = ()


class Registration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether clients register themselves (RFC 7591), and what they may become. `scopes` are those
    about people; each of `resources` is a URI, `=`, and scopes with spaces between."""

    mode: Literal["off", "initial_access_token", "open_to_everyone"] = "off"
    hourly_limit: int = 20
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    resources: tuple[str, ...] = ()
    profile: Literal["oauth21", "oidc-basic"] = "oauth21"


class Log(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`auto` is text on a terminal and JSON lines elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything. `trusted_proxies` are networks whose word about a client's address counts."""

    issuer: str
    listen: Listen = Listen()
    storage: Storage = Storage()
    redis: Redis = Redis()
    keys: Keys = Keys()
    operator: Operator = Operator()
    fetch: Fetch = Fetch()
    registration: Registration = Registration()
    log: Log = Log()
    trusted_proxies: tuple[str, ...] = ()


SECRETS = frozenset({"storage.url", "redis.url", "keys.encryption_key", "operator.client_secret"})


def parse_address(text: str) -> Address:
    """`host:port`, `[ipv6]:port` or `unix:/path`. Raises `ValueError`."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise ValueError("a socket's path is absolute: unix:/run/dojang/public.sock")
        return UnixAddress(path)
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:8460")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("write host:port, for example 127.0.0.1:8460, or unix:/path")
    return TcpAddress(host, int(port))


class BadEncryptionKey(ValueError):
    """The key-encryption key is missing, or cannot be one."""

    def __init__(self) -> None:
        super().__init__(
            f"not the base64url of {ENCRYPTION_KEY_BYTES} bytes; `dojang init` made it"
        )


def parse_encryption_key(text: str) -> bytes:
    """The 32 bytes of the key-encryption key. Raises `BadEncryptionKey`."""
    try:
        key = base64url.decode(text)
    except InvalidToken:
        raise BadEncryptionKey from None
    if len(key) != ENCRYPTION_KEY_BYTES:
        raise BadEncryptionKey
    return key


def check_rotation_age(seconds: int) -> None:
    """Raises `ValueError` unless keys may be rotated so often: not before the last have gone."""
    if not SHORTEST_ROTATION <= seconds <= LONGEST_ROTATION:
        raise ValueError(
            f"must be {SHORTEST_ROTATION} (a day) to {LONGEST_ROTATION} seconds (ten years); "
            "keys.automatic_rotation = false leaves rotations to `dojang keys rotate`"
        )


def check_hold_limit(seconds: int) -> None:
    """Raises `ValueError` unless a takeover may wait so long for followers."""
    if not SHORTEST_HOLD_LIMIT <= seconds <= LONGEST_HOLD_LIMIT:
        raise ValueError(
            f"must be {SHORTEST_HOLD_LIMIT} to {LONGEST_HOLD_LIMIT} seconds (a week); a follower "
            "needs time to fetch the key set"
        )


def check_redis(url: str) -> None:
    """Raises `ValueError` unless `url` is empty or the address of a Redis."""
    if url and not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("begins with none of redis://, rediss:// and unix://")


def check_issuer_setting(issuer: str) -> None:
    """Raises `ValueError` for what is no issuer of this server, saying what to write."""
    if not issuer:
        raise ValueError("not set; it is the address clients know, such as https://auth.example")
    check_issuer(issuer)
    if issuer.endswith("/"):
        raise ValueError(
            "write it without the / at its end: issuers are compared character by character"
        )


def check_network(network: str) -> None:
    """Raises `ValueError` unless `network` is one."""
    try:
        ip_network(network)
    except ValueError:
        raise ValueError("write a network: 10.1.0.0/16, fd00:1::/64") from None


def parse_registration(setting: Registration) -> RegistrationPolicy | None:
    """What clients that register themselves may become; None where none does.

    Raises `ValueError`.
    """
    if setting.mode == "off":
        return None
    return RegistrationPolicy(
        open_to_everyone=setting.mode == "open_to_everyone",
        hourly_limit=setting.hourly_limit,
        scopes=setting.scopes,
        resources=dict(map(parse_offered, setting.resources)),
        profile=Profile(setting.profile),
    )


def parse_offered(text: str) -> tuple[str, tuple[str, ...]]:
    """A resource and scopes at it, out of `URI=SCOPE SCOPE`. Raises `ValueError`."""
    resource, sign, named = text.rpartition("=")
    scopes = tuple(dict.fromkeys(named.split()))
    if not (sign and resource and scopes):
        raise ValueError('write "URI=SCOPE SCOPE", as in "https://orders.example=orders:read"')
    if set(scopes) & set(SCOPES):
        raise ValueError(f"{', '.join(SCOPES)} are about a person, not a resource")
    return resource, scopes


def check_personal_scopes(scopes: tuple[str, ...]) -> None:
    """Raises `ValueError` unless clients may ask people for these about themselves."""
    if "openid" not in scopes or not set(scopes) <= set(SCOPES):
        raise ValueError(f"openid, and what else is needed of {', '.join(SCOPES)}")


def check_hourly_limit(count: int) -> None:
    """Raises `ValueError` unless so many clients may register in an hour."""
    if not 1 <= count <= MOST_HOURLY:
        raise ValueError(f"must be 1 to {MOST_HOURLY}")


def check_proxy(network: str) -> None:
    """Raises `ValueError` unless `network` is an address, a network, or `unix` (any socket)."""
    if network == "unix":
        return
    try:
        ip_network(network)
    except ValueError:
        raise ValueError(
            "a proxy is an address, a network or unix: 10.0.0.7, 10.0.0.0/24"
        ) from None
