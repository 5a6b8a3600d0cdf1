"""The management listener: health (C115) and metrics (C117, O2)."""

import pytest

from dojang.server.model import KeyRecord
from dojang.server.ports import PutKey
from tests.web.peers import peer_of, serving
from tests.web.world import BASE, World, ask_introspection, ask_token, read_json


async def change_signing_keys(world: World, **changes: object) -> None:
    """Write every signing key again with `changes`."""
    from msgspec.structs import replace

    keys: list[KeyRecord] = [key for key in await world.store.load_keys() if key.public_jwk]
    await world.store.commit(
        [PutKey(replace(key, version=key.version + 1, **changes)) for key in keys]
    )


@pytest.mark.proves("C115")
async def test_a_server_with_all_it_needs_is_ready(world: World) -> None:
    async with serving(*world.tables) as site, peer_of(site.addresses[1]) as peer:
        for name, status in (("live", "live"), ("ready", "ready"), ("started", "started")):
            answer = await peer.ask(f"/health/{name}")
            assert (answer.status, read_json(answer)) == (200, {"status": status})


@pytest.mark.proves("C115", "F7")
async def test_without_a_database_it_is_alive_and_not_ready(world: World) -> None:
    async with (
        serving(*world.tables) as site,
        peer_of(site.addresses[0]) as public,
        peer_of(site.addresses[1]) as management,
    ):
        token = read_json(await ask_token(public, world))["access_token"]
        world.store.down = True
        ready = await management.ask("/health/ready")
        assert ready.status == 503
        assert read_json(ready) == {"status": "not ready", "missing": ["database"]}
        assert (await management.ask("/health/live")).status == 200
        assert (await management.ask("/health/started")).status == 200
        # What needs the database says that it does not know; what does not is served.
        for answer in (
            await ask_token(public, world),
            await ask_introspection(public, world, token),
        ):
            assert (answer.status, answer.headers["retry-after"]) == (503, "2")
            assert b"active" not in answer.body
        assert (await public.ask(BASE + "/.well-known/jwks.json")).status == 200
        assert (await public.ask(BASE + "/.well-known/openid-configuration")).status == 200
        world.store.down = False
        assert (await management.ask("/health/ready")).status == 200
        assert read_json(await ask_introspection(public, world, token))["active"] is True


@pytest.mark.proves("C115")
async def test_without_a_signing_key_it_is_alive_and_not_ready(world: World) -> None:
    await change_signing_keys(world, revoked_at=1)
    async with serving(*world.tables) as site, peer_of(site.addresses[1]) as peer:
        ready = await peer.ask("/health/ready")
        assert ready.status == 503
        (missing,) = read_json(ready)["missing"]
        assert "ES256" in missing
        assert (await peer.ask("/health/live")).status == 200


@pytest.mark.proves("O2")
async def test_what_happens_is_counted(world: World) -> None:
    async with (
        serving(*world.tables, service=world.service) as site,
        peer_of(site.addresses[0]) as public,
        peer_of(site.addresses[1]) as management,
    ):
        await ask_token(public, world)
        await ask_token(public, world)
        await ask_token(public, world, scope="write")
        answer = await management.ask("/metrics")
    page = answer.body.decode()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'dojang_requests_total{endpoint="token",outcome="ok"} 2.0' in page
    assert 'dojang_http_responses_total{status="200"} 2.0' in page
    assert 'dojang_http_responses_total{status="400"} 1.0' in page
    assert "dojang_http_connections 2.0" in page
    assert "process_resident_memory_bytes" in page


@pytest.mark.proves("O2")
async def test_a_request_cannot_make_series(world: World) -> None:
    async with (
        serving(*world.tables, service=world.service) as site,
        peer_of(site.addresses[0]) as public,
        peer_of(site.addresses[1]) as management,
    ):
        for number in range(30):
            await public.ask(f"/path-{number}", headers=[(f"X-{number}", "a")])
            await ask_token(public, world, scope=f"scope-{number}")
            await ask_token(public, world, grant_type=f"grant-{number}")
        page = (await management.ask("/metrics")).body.decode()
    ours = [line for line in page.splitlines() if line.startswith("dojang_")]
    assert len(ours) < 30
    assert "scope-" not in page
    assert "grant-" not in page
    assert "path-" not in page
