"""A prefork service: it checks a token on its own, then in two children, until it is revoked."""

import os
import sys
import time

from dojang.resource import Expect, Hybrid, Introspection, WhenStale
from dojang.resource.errors import Refusal, Unavailable
from dojang.trust.credentials import ClientSecretBasic

PATIENCE = 30.0  # seconds


def main() -> None:
    issuer, audience, relay = sys.argv[1:]
    token = sys.stdin.read().strip()
    verifier = Hybrid(
        introspection=Introspection(credentials=ClientSecretBasic("nobody", "nothing")),
        when_stale=WhenStale.REFUSE,  # so that the relay alone decides
        follow=relay,
    ).build(Expect(issuer=issuer, audience=audience, algorithms=["ES256"]))

    def wait_for(outcome: str) -> None:
        deadline = time.monotonic() + PATIENCE
        found = ""
        while found != outcome and time.monotonic() < deadline:
            try:
                verifier.verify(token)
                found = "accepted"
            except Refusal as refusal:
                found = str(refusal.reason)
            except Unavailable:
                found = "unavailable"
            time.sleep(0.01)
        os.write(1, f"{found}\n".encode())  # in one piece: others write there too

    wait_for("accepted")
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            for outcome in ("accepted", "unavailable", "accepted", "revoked"):
                wait_for(outcome)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


main()
