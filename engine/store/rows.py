"""Rows of the database, from what travels and back. Pure.

A notice is kept in two texts: its `line`, which is what commands show, and its `letter`, which is what sending needs
besides. Neither holds a key, a token or an address.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from engine.alert import Alert, State, Suppression
from engine.delivery.notice import Notice
from engine.delivery.parcel import Delivery, Kept, Status
from engine.evaluation.lifecycle import REST, Life, Phase, Tally
from engine.evaluation.standing import Standing
from engine.kst import SECOND_NS
from engine.rules.model import Severity
from engine.store.batch import ENDED, Ending

Value = str | int | None

HISTORY = "id, at, rule, symbol, state, suppressed, line, letter"
DELIVERY = "id, target, name, status, at, due_from, attempts, may_repeat, unlisted, reason"
KEPT = "history.at, history.line, history.letter, " + ", ".join(f"delivery.{name}" for name in DELIVERY.split(", "))
"""Columns, as the functions below give and take them."""


def of_notice(notice: Notice) -> tuple[Value, ...]:
    alert = notice.alert
    about = (None, None, "system", None) if alert is None else (alert.rule, alert.symbol, alert.state, alert.suppressed)
    return notice.id, notice.at, *about, notice.to_json(), _letter(notice)


def of_ending(ending: Ending) -> tuple[Value, ...]:
    return ending.id, ending.at, ending.rule, ending.symbol, ENDED, None, ending.to_json(), None


def of_delivery(each: Delivery) -> tuple[Value, ...]:
    written = each.id, each.target, each.name, each.status, each.at, each.due_from
    return *written, each.attempts, each.may_repeat, each.unlisted, each.reason


def delivery(row: tuple[Any, ...]) -> Delivery:
    ident, target, name, status, at, due_from, attempts, may_repeat, unlisted, reason = row
    return Delivery(
        *(ident, target, name, Status(status), at, due_from, attempts),
        may_repeat=bool(may_repeat),
        unlisted=bool(unlisted),
        reason=reason,
    )


def kept(row: tuple[Any, ...]) -> Kept:
    at, line, letter, *rest = row
    return Kept(_notice(at, json.loads(line), json.loads(letter)), delivery(tuple(rest)))


def whole(found: Iterable[tuple[Any, ...]]) -> tuple[tuple[Kept, ...], tuple[str, ...]]:
    """What these rows hold, and the ids of those that a disk has damaged: SQLite keeps no sums of what it stores."""
    those, damaged = [], []
    for row in found:
        try:
            those.append(kept(row))
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged.append(str(row[3]))
    return tuple(those), tuple(damaged)


def standing(row: tuple[str, str, str, str, int, int | None, int | None, int, int, int | None]) -> Standing:
    rule, symbol, fingerprint, phase, since, unmet_since, told_at, repeats, sent, sent_at = row
    life = Life(Phase(phase), since, unmet_since, told_at, repeats)
    return Standing(rule, symbol, fingerprint, REST if life == REST else life, Tally(sent, sent_at))


def _letter(notice: Notice) -> str | None:
    """None for what nobody is sent."""
    if notice.suppressed is not None:
        return None
    fields = {
        "notify": notice.notify,
        "line": notice.line,
        "size": notice.size,
        "chart": notice.chart,
        "besides": notice.besides,
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _notice(at: int, line: dict[str, Any], letter: dict[str, Any]) -> Notice:
    return Notice(
        line["id"],
        at,
        Severity(line["severity"]),
        line["title"],
        line["message"],
        tuple(letter["notify"]),
        line=letter["line"],
        size=letter["size"],
        alert=_alert(at, line) if "rule" in line else None,
        name=line.get("name", ""),
        kind=line.get("system", ""),
        chart=letter["chart"],
        besides=letter["besides"],
    )


def _alert(at: int, line: dict[str, Any]) -> Alert:
    """As it was, but for `since`, of which the line has microseconds, and the record's time, which the words have."""
    return Alert(
        line["id"],
        line["rule"],
        line["symbol"],
        State(line["state"]),
        at,
        round(datetime.fromisoformat(line["since"]).timestamp() * 1_000_000) * (SECOND_NS // 1_000_000),
        Severity(line["severity"]),
        tuple(line["values"].items()),
        line["repeat"],
        None if line["suppressed"] is None else Suppression(line["suppressed"]),
        labels=tuple(line["labels"].items()),
    )
