"""What `notify dead` shows: messages that could not be delivered, as data and as lines in the user's language. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine import kst
from engine.delivery.parcel import Kept
from engine.locale import Locale, Text
from engine.ops import history
from engine.text import clean

_NONE = Text("no undeliverable messages", "보내지 못한 메시지가 없습니다")
_MORE = Text("… and {more:,} older ones", "… 이전 것 {more:,}건 더 있음")
_HINT = Text(
    "to send them: pgmwatch notify dead retry; to let them go: pgmwatch notify dead drop (--id, --target)",
    "다시 보내기: pgmwatch notify dead retry, 버리기: pgmwatch notify dead drop (--id, --target으로 고름)",
)
_QUEUED = Text("queued again: {count:,}", "다시 대기열에 넣음: {count:,}건")
_DROPPED = Text("let go: {count:,}", "버림: {count:,}건")
_LEFT = Text("{more:,} older ones are left: run it again", "이전 것 {more:,}건이 남았습니다. 다시 실행하세요")
_UNSERVED = Text(
    "{count:,} not sent: their notifiers have no target any more",
    "{count:,}건은 보내지 못합니다: 알림 대상에 남은 주소가 없습니다",
)
_MISSING = Text('no undeliverable message has the id "{ident}"', '보내지 못한 메시지 중 "{ident}"이(가) 없습니다')
_NO_TARGET = Text('no undeliverable message was for "{target}"', '"{target}"(으)로 보내지 못한 메시지가 없습니다')


def of(kept: Kept) -> dict[str, Any]:
    """One message that one target did not get. `rule`, `symbol` and `name` are empty for the daemon's own."""
    notice, alert = kept.notice, kept.notice.alert
    return {
        "id": notice.id,
        "at": kst.iso(notice.at),
        "severity": notice.severity,
        "rule": alert.rule if alert else "",
        "symbol": alert.symbol if alert else "",
        "name": notice.name,
        "title": notice.title,
        "delivery": history.of_delivery(kept.delivery),
    }


def lines(answer: Mapping[str, Any], locale: Locale) -> list[str]:
    """The daemon's answer to `list`, for people."""
    found = answer["dead"]
    shown = [line for each in found for line in _lines(each, locale)]
    if answer["more"]:
        shown.append(_MORE.of(locale).format(more=answer["more"]))
    return [*shown, _HINT.of(locale)] if found else [_NONE.of(locale)]


def _lines(each: Mapping[str, Any], locale: Locale) -> Iterable[str]:
    yield "  ".join([clean(each["id"]), history.moment(each["at"]), clean(each["title"])])
    yield f"  {history.delivery_line(each, each['delivery'], locale)}"


def outcome_lines(answer: Mapping[str, Any], locale: Locale) -> list[str]:
    """What came of `retry` or `drop`."""
    is_retry = "queued" in answer
    done = (_QUEUED if is_retry else _DROPPED).of(locale).format(count=answer["queued" if is_retry else "dropped"])
    unserved = answer.get("unserved", 0)
    return [
        done,
        *([_UNSERVED.of(locale).format(count=unserved)] if unserved else []),
        *([_LEFT.of(locale).format(more=answer["more"])] if answer["more"] else []),
    ]


def missing_lines(missing: Sequence[str], locale: Locale) -> list[str]:
    return [_MISSING.of(locale).format(ident=clean(ident)) for ident in missing]


def no_target(target: str, locale: Locale) -> str:
    return _NO_TARGET.of(locale).format(target=clean(target))
