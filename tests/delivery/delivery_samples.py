"""Alerts and notices to test with. 2026-11-20 is a Friday."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from engine.alert import Alert, State
from engine.delivery.notice import Notice
from engine.delivery.outbox import Outbox
from engine.delivery.parcel import Delivery
from engine.kst import KST, SECOND_NS
from engine.rules.model import Condition, Group, Logic, Operator, Rule, Severity

AT = int(datetime(2026, 11, 20, 9, 5, 30, tzinfo=KST).timestamp()) * SECOND_NS


def over(metric: str, threshold: Any, window: str | None = None, operator: Operator = Operator.ABOVE) -> Condition:
    return Condition(metric, operator, threshold, window, None if window is None else 1)


def a_rule(*parts: Condition | Group, logic: Logic = Logic.ALL, **more: Any) -> Rule:
    return Rule(
        **{
            "name": "semis-program-buying",
            "symbols": ("005930",),
            "when": Group(logic, parts or (over("net_volume", 100_000, "5m"),)),
            "notify": ("desk",),
            **more,
        }
    )


def an_alert(**more: Any) -> Alert:
    return Alert(
        **{
            "id": "a1",
            "rule": "semis-program-buying",
            "symbol": "005930",
            "state": State.FIRING,
            "at": AT,
            "since": AT,
            "severity": Severity.WARNING,
            "values": (("net_volume[5m]", 123_456),),
            "record_time": "090529",
            **more,
        }
    )


def a_notice(ident: str = "n1", **more: Any) -> Notice:
    return Notice(
        **{
            "id": ident,
            "at": AT,
            "severity": Severity.WARNING,
            "title": f"title of {ident}",
            "message": f"message of {ident}",
            "notify": ("desk",),
            **more,
        }
    )


def post(outbox: Outbox, notices: Sequence[Notice], now: int) -> None:
    """What the keeper does with notices, without storing them."""
    outbox.take(notices, outbox.route(notices, now), now)


def deliveries(outbox: Outbox) -> dict[tuple[str, str], Delivery]:
    """Where each notice stands with each target, by their ids."""
    _, happenings = outbox.happenings(0)
    return {(each.id, each.target): each for each in happenings if isinstance(each, Delivery)}
