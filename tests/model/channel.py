"""A channel between a follower and its issuer that loses, doubles, delays, replays and changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs

from dojang.fetch import FetchFailed, FetchProblem, FetchRequest, FetchResponse, Transport
from dojang.jose import base64url
from dojang.jose.jws import CompactSigner
from dojang.jose.keys import SigningKey
from dojang.oauth.feed import MEDIA_TYPE, PROOF_HEADER, RECORD_BYTES, TAG_BYTES, prove_answer

JOIN = "/feed/join"
KEY_SET = "/.well-known/jwks.json"

Channel = Callable[[Transport, FetchRequest], FetchResponse]
Fault = Callable[[Transport, FetchRequest, Sequence[FetchResponse]], FetchResponse]
Pages = list[str]
Lie = Callable[[Pages, Pages], Pages]


def deliver(transport: Transport, request: FetchRequest) -> FetchResponse:
    """Nothing is wrong."""
    return transport.send(request)


class FaultyTransport:
    """`channel` is what becomes of one request, after as many as `spared` have passed; `heard` are
    the answers of before, by URL."""

    def __init__(self, transport: Transport) -> None:
        self.channel: Channel = deliver
        self.spared = 0
        self.heard: dict[str, list[FetchResponse]] = {}
        self._transport = transport

    def send(self, request: FetchRequest) -> FetchResponse:
        channel: Channel = deliver
        if self.spared:
            self.spared -= 1
        else:
            channel, self.channel = self.channel, deliver
        response = channel(self._transport, request)
        self.heard.setdefault(request.url, []).append(response)
        return response


class WithoutKeySet:
    """What leads to the issuer, and where `cut` is set, not to its key set."""

    def __init__(self, transport: Transport) -> None:
        self.cut = False
        self._transport = transport

    def send(self, request: FetchRequest) -> FetchResponse:
        if self.cut and request.url.endswith(KEY_SET):
            return _fail(request)
        return self._transport.send(request)


def _fail(request: FetchRequest) -> FetchResponse:
    raise FetchFailed(request.host, FetchProblem.CONNECTION)


def _lose(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    return _fail(request)


def _lose_answer(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    transport.send(request)
    return _fail(request)


def _double(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    transport.send(request)
    return transport.send(request)


def _replay_first(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    return heard[0] if heard else _fail(request)


def _replay_last(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    transport.send(request)
    return heard[-1] if heard else _fail(request)


def _mix(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    """What was said before, under the proof of now."""
    response = transport.send(request)
    return response._replace(body=heard[-1].body) if heard else response


def _flip(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    response = transport.send(request)
    if request.url.endswith(JOIN):  # the keys that everything else is checked with: TLS sees to it
        return _fail(request)
    middle = len(response.body) // 2
    changed = bytearray(response.body)
    if changed:
        changed[middle] ^= 1
    return response._replace(body=bytes(changed))


def _cut(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    response = transport.send(request)
    return response._replace(body=response.body[: len(response.body) // 2])


FAULTS: Mapping[str, Fault] = {
    "lost": _lose,
    "answer lost": _lose_answer,
    "doubled": _double,
    "the first replayed": _replay_first,
    "the last replayed": _replay_last,
    "mixed": _mix,
    "changed": _flip,
    "cut": _cut,
}


def find_pages(response: FetchResponse) -> Pages:
    """The pages in an answer, which may hold anything."""
    try:
        pages = json.loads(response.body)["pages"]
    except (ValueError, KeyError, TypeError):
        return []
    return [page for page in pages if isinstance(page, str)]


def retell(
    response: FetchResponse, request: FetchRequest, proof_key: bytes, pages: Pages
) -> FetchResponse:
    """The answer with these pages, proven: by one who sits on the line and has the proof key, but
    not the keys that pages are signed with."""
    told = json.dumps({**json.loads(response.body), "pages": pages}).encode()
    (nonce,) = parse_qs((request.body or b"").decode())["nonce"]
    proof = prove_answer(proof_key, nonce, sha256(told).digest())
    return response._replace(body=told, headers={**response.headers, PROOF_HEADER: proof})


def _change_claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Another fact in the place of the last one."""
    records = base64url.decode(claims["records"])
    other = records[: 1 - RECORD_BYTES] + bytes(TAG_BYTES) + records[-4:]
    return {**claims, "records": base64url.encode(other)}


def _falsify(page: str) -> str:
    """Other facts under the signature of before."""
    head, payload, signature = page.split(".")
    claims = _change_claims(json.loads(base64url.decode(payload)))
    return f"{head}.{base64url.encode(json.dumps(claims).encode())}.{signature}"


@cache
def _make_key() -> dict[str, Any]:
    return SigningKey.generate("RS256").private_jwk()


def _sign_anew(page: str) -> str:
    """Other facts, under another key of the same name, which vouches for itself."""
    head, payload, _ = page.split(".")
    kid = json.loads(base64url.decode(head))["kid"]
    key = SigningKey.from_jwk({**_make_key(), "kid": kid}, unchecked_rsa=True)
    claims = _change_claims(json.loads(base64url.decode(payload)))
    claims["introduces"] = [*claims["introduces"], key.verifying_key().thumbprint]
    return CompactSigner(key, typ=MEDIA_TYPE).sign(json.dumps(claims).encode())


# What becomes of the lines that are sent while a question is held; `before` are other questions'.
NOTICES: Mapping[str, Callable[[list[bytes], list[bytes]], list[bytes]]] = {
    "all": lambda lines, before: lines,
    "none": lambda lines, before: [],
    "the last": lambda lines, before: lines[-1:],
    "each doubled": lambda lines, before: [each for line in lines for each in (line, line)],
    "swapped": lambda lines, before: lines[::-1],
    "of before": lambda lines, before: before,
    "changed": lambda lines, before: [line[:-1] + b"_" for line in lines],
}

LIES: Mapping[str, Lie] = {
    "all dropped": lambda pages, heard: [],
    "the first dropped": lambda pages, heard: pages[1:],
    "the last dropped": lambda pages, heard: pages[:-1],
    "each doubled": lambda pages, heard: [each for page in pages for each in (page, page)],
    "swapped": lambda pages, heard: pages[::-1],
    "one of before": lambda pages, heard: [*heard[:1], *pages],
    "only those of before": lambda pages, heard: heard[-2:],
    "changed": lambda pages, heard: [_falsify(page) for page in pages],
    "of another signer": lambda pages, heard: [_sign_anew(page) for page in pages],
}
