"""What `alerts` shows: alerts, endings and notices of the daemon, and what became of them at each target. Pure.

As data (--json, and what the daemon answers to who follows), then as lines for people.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from engine import kst
from engine.alert import State, Suppression
from engine.delivery import words
from engine.delivery.outbox import SENT_ELSEWHERE, Line
from engine.delivery.parcel import Delivery, Status
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.text import clean

_STATES = {
    State.FIRING: Text("firing", "발생"),
    State.RESOLVED: Text("resolved", "해제"),
    "ended": Text("ended", "종료"),
    "system": Text("system", "시스템"),
}
_REPEAT = Text("{state} (repeat {repeat})", "{state}(반복 {repeat})")
_ENDED = Text("ended without a message", "알림 없이 끝남")
_NOT_RECORDED = Text("no delivery is recorded", "전송 기록이 없습니다")

_STATUSES = {
    Status.QUEUED: Text("waiting", "대기 중"),
    Status.ATTEMPTING: Text("being sent", "보내는 중"),
    Status.DELIVERED: Text("delivered after {after}", "{after} 뒤 전송"),
    Status.REFUSED: Text("REFUSED after {after}", "{after} 뒤 거부됨"),
    Status.EXPIRED: Text("EXPIRED after {after}", "{after} 뒤 만료"),
    Status.DROPPED: Text("DROPPED after {after}, as too much waited", "대기가 너무 많아 {after} 뒤 버려짐"),
    Status.VANISHED: Text("NOT SENT: the target is not configured any more", "보내지 못함: 설정에서 없어진 대상"),
    Status.DISCARDED: Text("let go after {after} (notify dead drop)", "{after} 뒤 버림(notify dead drop)"),
}
_ELSEWHERE = Text("sent elsewhere instead after {after}", "{after} 뒤 다른 대상으로 다시 보냄")
_FAILING = Text("waiting after {attempts} failed", "{attempts}번 실패하고 대기 중")
_ATTEMPT = Text(" at attempt {attempts}", "({attempts}번째 시도)")
_ATTEMPTS = Text(" (attempts: {attempts})", "({attempts}번 시도)")
_REASON = Text(": {reason}", ": {reason}")
_TWICE = Text("; may have arrived twice", "; 두 번 갔을 수 있음")
_SECONDS = Text("{seconds} s", "{seconds}초")

_SHORT_S = 10.0
"""Below this, tenths of a second are worth saying."""


def of_delivery(found: Delivery) -> dict[str, Any]:
    return {
        "target": found.name,
        "status": found.status,
        "at": kst.iso(found.at),
        "attempts": found.attempts,
        "may_repeat": found.may_repeat,
        "reason": found.reason,
    }


def of_line(line: str, deliveries: Iterable[Delivery]) -> dict[str, Any]:
    """A stored line, key by key as it is, and `deliveries` after the others."""
    return {**json.loads(line), "deliveries": [of_delivery(each) for each in deliveries]}


def of_happening(found: Line | Delivery) -> dict[str, Any]:
    """For who follows: a line that is new, or a delivery that is a step further (`id` is the notice's)."""
    if isinstance(found, Delivery):
        return {"id": found.id, "delivery": of_delivery(found)}
    return of_line(found.to_json(), ())


def to_json(found: Mapping[str, Any]) -> str:
    """One line, written as stored ones are."""
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def is_over(delivery: Mapping[str, Any]) -> bool:
    """Whether nothing more comes of it by itself."""
    return not Status(delivery["status"]).is_open


def lines(found: Mapping[str, Any], locale: Locale) -> list[str]:
    """The data of `of_line`, for people: when and what, then a line for each target."""
    return [head(found, locale), *_delivery_lines(found, found["deliveries"], locale)]


def new_lines(found: Mapping[str, Any], locale: Locale) -> list[str]:
    """As `lines`, of what has just come: that somebody gets it is told when it is there."""
    return [head(found, locale), *_delivery_lines(found, filter(is_over, found["deliveries"]), locale)]


def end_line(found: Mapping[str, Any], delivery: Mapping[str, Any], locale: Locale) -> str:
    """`2026-11-20 09:05:31  desk[1] slack: delivered after 1.2 s  (⚠ 삼성전자(005930) …)`."""
    title = clean(found.get("title") or found["id"])
    return f"{moment(delivery['at'])}  {delivery_line(found, delivery, locale)}  ({title})"


def head(found: Mapping[str, Any], locale: Locale) -> str:
    """`2026-11-20 09:05:30  firing  semis-program-buying  ⚠ 삼성전자(005930) … (not sent: cooldown)`."""
    told = [*_about(found), _title(found, locale)]
    return "  ".join([moment(found["at"]), _state(found, locale), *filter(None, told)]) + _not_sent(found, locale)


def delivery_line(found: Mapping[str, Any], delivery: Mapping[str, Any], locale: Locale) -> str:
    """`desk[1] slack: delivered after 1.2 s`, of the alert `found`."""
    return f"{clean(delivery['target'])}: {_became(found, delivery, locale)}"


def moment(iso: str) -> str:
    """`2026-11-20T09:05:30.…` → `2026-11-20 09:05:30`."""
    return iso[:19].replace("T", " ")


def named(found: Mapping[str, Any]) -> str:
    """`삼성전자(005930)`; empty for what is of no symbol."""
    symbol, name = found.get("symbol") or "", found.get("name")
    return clean(f"{name}({symbol})" if name else symbol)


def _about(found: Mapping[str, Any]) -> Sequence[str]:
    """The rule and its stock, or what the daemon's own is of. Most titles begin with the stock."""
    if "system" in found:
        return (clean(found["system"]),)
    stock = named(found)
    return clean(found["rule"]), "" if stock in clean(found.get("title", "")) else stock


def _title(found: Mapping[str, Any], locale: Locale) -> str:
    return clean(found["title"]) if "title" in found else _ENDED.of(locale)


def _state(found: Mapping[str, Any], locale: Locale) -> str:
    state = _STATES["system" if "system" in found else found["state"]].of(locale)
    return _REPEAT.of(locale).format(state=state, repeat=found["repeat"]) if found.get("repeat") else state


def _not_sent(found: Mapping[str, Any], locale: Locale) -> str:
    suppressed = found.get("suppressed")
    return f" ({words.NOT_SENT[Suppression(suppressed)].of(locale)})" if suppressed else ""


def _delivery_lines(found: Mapping[str, Any], shown: Iterable[Mapping[str, Any]], locale: Locale) -> Iterator[str]:
    for delivery in shown:
        yield f"  {delivery_line(found, delivery, locale)}"
    nobody = not found["deliveries"] and not found.get("suppressed") and found.get("state") != "ended"
    if nobody:
        yield f"  {_NOT_RECORDED.of(locale)}"


def _became(found: Mapping[str, Any], delivery: Mapping[str, Any], locale: Locale) -> str:
    status, attempts = Status(delivery["status"]), delivery["attempts"]
    after = _after(found["at"], delivery["at"], locale) if "at" in found else "?"
    said = _form(delivery).of(locale).format(after=after, attempts=attempts)
    if status is Status.DELIVERED and attempts > 1:
        said += _ATTEMPT.of(locale).format(attempts=attempts)
    elif status.is_dead and attempts:
        said += _ATTEMPTS.of(locale).format(attempts=attempts)
    if delivery["reason"] and not _is_said(delivery):
        said += _REASON.of(locale).format(reason=clean(words.reason(delivery["reason"], locale)))
    return said + (_TWICE.of(locale) if delivery["may_repeat"] else "")


def _form(delivery: Mapping[str, Any]) -> Text:
    status = Status(delivery["status"])
    if status is Status.QUEUED and delivery["attempts"]:
        return _FAILING
    return _ELSEWHERE if _is_elsewhere(delivery) else _STATUSES[status]


def _is_said(delivery: Mapping[str, Any]) -> bool:
    """Whether the status has said the reason."""
    return Status(delivery["status"]) is Status.VANISHED or _is_elsewhere(delivery)


def _is_elsewhere(delivery: Mapping[str, Any]) -> bool:
    """Whether nobody let it go: `notify dead retry` sent it to another target."""
    return (delivery["status"], delivery["reason"]) == (Status.DISCARDED, SENT_ELSEWHERE)


def _after(at: str, then: str, locale: Locale) -> str:
    seconds = max((datetime.fromisoformat(then) - datetime.fromisoformat(at)).total_seconds(), 0.0)
    if seconds < _SHORT_S:
        return _SECONDS.of(locale).format(seconds=f"{seconds:.1f}")
    return words.duration(round(seconds) * SECOND_NS, locale)
