"""The settings as a table, read off `Config`, each with its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from dojang.server.config import (
    SECRETS,
    Config,
    check_hold_limit,
    check_hourly_limit,
    check_issuer_setting,
    check_network,
    check_personal_scopes,
    check_proxy,
    check_redis,
    check_rotation_age,
    parse_address,
    parse_encryption_key,
    parse_offered,
)
from dojang.storage.address import parse_address as parse_store_address

_REMEDIES: Final[Mapping[str, str]] = {
    "keys.encryption_key": (
        "restore the key-encryption key this database was made with; "
        "without it its signing keys cannot be opened"
    ),
    "operator.client_secret": (
        "`dojang init` wrote it; with the server stopped, "
        "`dojang client rotate-secret operator --secret-file FILE` makes another"
    ),
    "storage.url": "it holds the address of the database",
    "redis.url": "it holds the address of Redis",
}


_MAY_STAND_IN_THE_FILE: Final = frozenset({"storage.url", "redis.url"})  # without a password


class Setting(NamedTuple):
    """One setting: its name (`section.key`), its type and its default."""

    name: str
    type: Any
    default: Any

    @property
    def is_secret(self) -> bool:
        """Whether it may be given as a file, and is never shown."""
        return self.name in SECRETS

    @property
    def is_file_only(self) -> bool:
        """Whether `dojang.toml` may name its file but not hold it."""
        return self.is_secret and self.name not in _MAY_STAND_IN_THE_FILE

    @property
    def is_list(self) -> bool:
        return isinstance(self.default, tuple)

    @property
    def choices(self) -> tuple[str, ...]:
        """The only values there are, for some."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables: the value's, and for a secret its file's."""
        name = "DOJANG_" + self.name.replace(".", "__").upper()
        return (name, f"{name}_FILE") if self.is_secret else (name,)

    @property
    def toml_names(self) -> tuple[str, ...]:
        """Keys of `dojang.toml`; a secret's last one names its file."""
        if not self.is_secret:
            return (self.name,)
        return (f"{self.name}_file",) if self.is_file_only else (self.name, f"{self.name}_file")

    @property
    def remedy(self) -> str:
        """What to do where its file cannot be read."""
        return _REMEDIES.get(self.name, "")


def _list_settings(struct: type[Struct], prefix: str = "") -> Iterator[Setting]:
    hints = get_type_hints(struct)
    for field in fields(struct):
        hint = hints[field.name]
        if isinstance(hint, type) and issubclass(hint, Struct):
            yield from _list_settings(hint, f"{field.name}.")
        else:
            default = "" if field.default is NODEFAULT else field.default
            yield Setting(prefix + field.name, hint, default)


SETTINGS: Final = tuple(_list_settings(Config))


def _check_encryption_key(text: str) -> None:
    if text:  # not every command needs it
        parse_encryption_key(text)


def _check_proxies(networks: tuple[str, ...]) -> None:
    for network in networks:
        check_proxy(network)


def _check_networks(networks: tuple[str, ...]) -> None:
    for network in networks:
        check_network(network)


def _check_offered(texts: tuple[str, ...]) -> None:
    names = [parse_offered(text)[0] for text in texts]
    if len(set(names)) != len(names):
        raise ValueError("a resource stands twice; give all of its scopes at once")


def _check_client_id(client_id: str) -> None:
    if not client_id:
        raise ValueError("is empty; `dojang init` made the client 'operator'")


_RULES: Final[Mapping[str, Callable[[Any], object]]] = {
    "issuer": check_issuer_setting,
    "listen.public": parse_address,
    "listen.management": parse_address,
    "storage.url": parse_store_address,
    "redis.url": check_redis,
    "keys.encryption_key": _check_encryption_key,
    "keys.rotate_after": check_rotation_age,
    "keys.hold_limit": check_hold_limit,
    "operator.client_id": _check_client_id,
    "fetch.permitted_networks": _check_networks,
    "registration.hourly_limit": check_hourly_limit,
    "registration.scopes": check_personal_scopes,
    "registration.resources": _check_offered,
    "trusted_proxies": _check_proxies,
}


def find_problem(setting: Setting, value: Any) -> str:
    """What is wrong with a value, and what to write instead; empty where nothing is."""
    try:
        if rule := _RULES.get(setting.name):
            rule(value)
    except ValueError as error:
        return str(error)
    return ""
