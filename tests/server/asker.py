"""A follower over a real connection: its questions, and what they are answered with."""

import asyncio
import json
from secrets import token_urlsafe
from typing import NamedTuple, Self
from urllib.parse import urlencode

from dojang.jose import base64url
from dojang.oauth.feed import (
    PROOF_HEADER,
    Answer,
    Lease,
    Record,
    check_proof,
    parse_answer,
    parse_lease,
    parse_manifest,
)
from dojang.oauth.feed_notices import MEDIA_TYPE, begin_proofs, parse_notice
from dojang.oauth.revocation_fact import FIRST_DIGEST, NUMBER_BITS, Rev
from tests.web.peers import PATIENCE, Peer
from tests.web.world import FORM, World, basic


async def wait_for_holds(world: World, count: int) -> None:
    """Until so many questions are held."""
    async with asyncio.timeout(PATIENCE):
        while world.provider.feed.holds_open != count:
            await asyncio.sleep(0.001)


class Notice(NamedTuple):
    """Facts of `epoch`, numbered from `first` on."""

    epoch: int
    first: int
    records: tuple[Record, ...]


class Asker:
    """A follower on a connection of its own."""

    def __init__(self, peer: Peer, path: str, lease: Lease) -> None:
        self.peer = peer
        self.path = path
        self.lease = lease
        self.rev = Rev(0, 0)
        self.digest = FIRST_DIGEST
        self.nonce = ""
        self.listening = False  # an answer has begun with notices

    @classmethod
    async def join(cls, address: str, path: str, *, secret: str, name: str = "a") -> Self:
        """A follower at the feed of the server at `address`, as the client `orders`."""
        peer = await Peer.connect(address)
        answer = await peer.ask(
            path + "/join",
            method="POST",
            headers=[FORM, basic("orders", secret)],
            body=urlencode({"name": name}).encode(),
        )
        asker = cls(peer, path, parse_lease(answer.body))
        await asker.begin()
        return asker

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [FORM, ("Authorization", f"Bearer {self.lease.lease}")]

    async def begin(self) -> None:
        """Stand where the snapshot leaves off."""
        answer = await self.peer.ask(self.path + "/snapshot", headers=self.headers)
        payload = json.loads(answer.body)["manifest"].split(".")[1]
        claims = json.loads(base64url.decode(payload))
        manifest = parse_manifest(claims, issuer=claims["iss"])
        self.rev, self.digest = manifest.rev, manifest.digest

    async def send(self, *, hold: float, heard: int | str | None = None) -> None:
        """A question, whose answer is not waited for; `heard` asks for notices."""
        self.nonce = token_urlsafe(24)
        form = {
            "nonce": self.nonce,
            "epoch": str(self.rev.epoch),
            "head": str(self.rev.number),
            "digest": base64url.encode(self.digest),
            "hold": str(round(hold * 1000)),
        }
        if heard is not None:
            form["heard"] = str(heard)
        body = urlencode(form)
        lines = [f"POST {self.path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        await self.peer.send("\r\n".join([*lines, "", body]).encode())

    async def hear(self) -> list[Notice]:
        """The notices of the next part of an answer, proven."""
        return self.read(await self.receive_part())

    def read(self, part: bytes) -> list[Notice]:
        """The notices of a part."""
        assert part.endswith(b"\n"), part
        begun = begin_proofs(self.lease.proof_key, self.nonce)
        read = [parse_notice(line, begun) for line in part.splitlines()]
        return [Notice(*divmod(first, 1 << NUMBER_BITS), records) for first, records in read]

    async def conclude(self) -> Answer:
        """The answer after notices, proven; the asker stands there now."""
        return await self.finish(await self.receive_part())

    async def finish(self, last: bytes) -> Answer:
        """The answer, which is the last part."""
        proof, _, body = last.partition(b" ")
        assert await self.receive_part() == b""
        self.listening = False
        return self._stand(proof.decode(), body)

    async def receive_part(self) -> bytes:
        """The next part of an answer that begins with notices."""
        async with asyncio.timeout(PATIENCE):
            if not self.listening:
                head = (await self.peer.reader.readuntil(b"\r\n\r\n")).decode()
                assert head.startswith("HTTP/1.1 200 "), head
                assert f"content-type: {MEDIA_TYPE}\r\n" in head
                assert "transfer-encoding: chunked\r\n" in head
                self.listening = True
            size = int(await self.peer.reader.readuntil(b"\r\n"), 16)
            return (await self.peer.reader.readexactly(size + 2))[:-2]

    async def receive(self) -> Answer:
        """The answer, proven; the asker stands there now."""
        answer = await self.peer.receive()
        assert answer.status == 200, answer.body
        return self._stand(answer.headers[PROOF_HEADER], answer.body)

    def _stand(self, proof: str, body: bytes) -> Answer:
        check_proof(proof, self.lease.proof_key, self.nonce, body)
        found = parse_answer(body)
        self.rev, self.digest = found.rev, found.digest
        return found
