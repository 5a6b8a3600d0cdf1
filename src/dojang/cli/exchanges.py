"""What a client may exchange tokens for, as it is written on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from dojang.cli.errors import Failure

EXCHANGE_HELP: Final = (
    "A resource and the scopes it may have there for a token it is called with that has scopes of "
    "the same names; 'URI=SCOPES for SCOPES': for one that has all of the last; repeatable."
)
ExchangeOption = Annotated[list[str] | None, typer.Option(metavar="URI=SCOPES", help=EXCHANGE_HELP)]
_FOR: Final = " for "


def parse_exchanges(texts: Sequence[str]) -> list[dict[str, Any]]:
    """The parameter `exchanges` of the operations. Raises `Failure`."""
    return [_parse_exchange(text) for text in texts]


def _parse_exchange(text: str) -> dict[str, Any]:
    given, sign, needs = text.partition(_FOR)
    resource, equals, scopes = given.rpartition("=")
    wanted = {"resource": resource, "scopes": _split(scopes), "needs": _split(needs)}
    if not equals or not resource or not wanted["scopes"] or (sign and not wanted["needs"]):
        raise Failure(
            f"--exchange {text}: write URI=SCOPE[,SCOPE] or URI=SCOPE[,SCOPE] for SCOPE[,SCOPE], "
            "for example 'https://payments.example=payments:charge for orders:write'"
        )
    return wanted


def _split(scopes: str) -> list[str]:
    return scopes.replace(",", " ").split()


def describe_exchanges(exchanges: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each rule as it would be given to `--exchange`."""
    return [
        f"{grant['resource']}={','.join(rule['gives'])}{_describe_needs(rule)}"
        for grant in exchanges
        for rule in grant["rules"]
    ]


def _describe_needs(rule: Mapping[str, Any]) -> str:
    by_name = rule["gives"] == rule["needs"] and len(rule["needs"]) == 1
    return "" if by_name else f"{_FOR}{','.join(rule['needs'])}"
