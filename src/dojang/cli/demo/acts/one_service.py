"""A token is for one service, and no service passes one on."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from dojang.cli.demo.load import Caller
from dojang.cli.demo.report import MachineToMachine
from dojang.cli.demo.stage import Stage


async def call_one_another(stage: Stage) -> None:
    """A client calls both services with one token; one service calls the other with its own."""
    stage.open_act("A token is for one service")
    token = await stage.issue("shop")
    orders, payments = Caller(stage.orders), Caller(stage.payments)
    status, _ = await orders.ask("GET", "/hybrid/orders", token)
    other, _ = await payments.ask("POST", "/hybrid_pushed/charges", token)
    _, body = await orders.ask("POST", "/orders", token)
    orders.close()
    payments.close()
    seen: dict[str, Any] = {}
    with suppress(msgspec.DecodeError, KeyError, TypeError):
        seen = msgspec.json.decode(body)["answer"]
    found = MachineToMachine(
        orders_status=status,
        payments_status_same_token=other,
        payments_saw_client=str(seen.get("client", "")),
        payments_saw_scope=str(seen.get("scope", "")),
    )
    stage.report.machine_to_machine = found
    stage.promise("shop calls orders with a token for orders: accepted", kept=status == 200)
    stage.promise("payments refuses the same token: it is for another audience", kept=other == 401)
    stage.promise(
        "orders calls payments with its own token, for payments:charge and no more",
        kept=(found.payments_saw_client, found.payments_saw_scope) == ("orders", "payments:charge"),
    )
