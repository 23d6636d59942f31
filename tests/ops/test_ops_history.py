"""History as people read it, and as programs do."""

import json
from typing import Any

import pytest
from delivery_samples import AT, a_notice, an_alert

from engine.alert import State, Suppression
from engine.delivery.notice import Notice, system_notice
from engine.delivery.outbox import SENT_ELSEWHERE
from engine.delivery.parcel import Delivery, Kept, Status
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.ops import dead, history
from engine.rules.model import Severity
from engine.store.batch import Ending

TITLE = "⚠ 삼성전자(005930) net buy volume over 5 min 123,456"
ABOUT = f"semis-program-buying  {TITLE}"


def alert(**more: Any) -> Notice:
    return a_notice("a1", title=TITLE, name="삼성전자", alert=an_alert(**more))


def delivery(status: Status, after_s: float = 0.25, **more: Any) -> Delivery:
    at = AT + round(after_s * SECOND_NS)
    return Delivery(
        **{"id": "a1", "target": "t", "name": "desk[1] slack", "status": status, "at": at, "due_from": AT, **more}
    )


def lines(notice: Notice | Ending, *deliveries: Delivery, locale: Locale = Locale.EN) -> list[str]:
    return history.lines(history.of_line(notice.to_json(), deliveries), locale)


def test_an_alert_as_json_keeps_every_key_in_its_place_and_gets_one_more() -> None:
    line = alert(labels=(("desk", "가"),), values=(("imbalance[5m]", 0.1), ("net_volume", None))).to_json()
    steps = [delivery(Status.DELIVERED, attempts=1), delivery(Status.QUEUED, name="terminal")]
    told = history.to_json(history.of_line(line, steps))
    assert told.startswith(line[:-1] + ',"deliveries":[')
    assert json.loads(told)["deliveries"] == [
        {
            "target": "desk[1] slack",
            "status": "delivered",
            "at": "2026-11-20T09:05:30.250000+09:00",
            "attempts": 1,
            "may_repeat": False,
            "reason": "",
        },
        {
            "target": "terminal",
            "status": "queued",
            "at": "2026-11-20T09:05:30.250000+09:00",
            "attempts": 0,
            "may_repeat": False,
            "reason": "",
        },
    ]


@pytest.mark.parametrize(
    ("notice", "english", "korean"),
    [
        (alert(), f"firing  {ABOUT}", f"발생  {ABOUT}"),
        (alert(repeat=2), f"firing (repeat 2)  {ABOUT}", f"발생(반복 2)  {ABOUT}"),
        (alert(state=State.RESOLVED), f"resolved  {ABOUT}", f"해제  {ABOUT}"),
        (
            alert(suppressed=Suppression.COOLDOWN),
            f"firing  {ABOUT} (not sent: cooldown)",
            f"발생  {ABOUT} (보내지 않음: 알림 간격(cooldown))",
        ),
        (
            a_notice("a1", title="own words", name="삼성전자", alert=an_alert()),
            "firing  semis-program-buying  삼성전자(005930)  own words",
            "발생  semis-program-buying  삼성전자(005930)  own words",
        ),
        (
            system_notice("feed-lost", AT, Severity.WARNING, title="feed lost", message="m", notify=()),
            "system  feed-lost  feed lost",
            "시스템  feed-lost  feed lost",
        ),
        (
            Ending("r", "@semis", AT),
            "ended  r  @semis  ended without a message",
            "종료  r  @semis  알림 없이 끝남",
        ),
    ],
)  # fmt: skip
def test_what_happened_in_one_line(notice: Notice | Ending, english: str, korean: str) -> None:
    assert lines(notice)[0] == f"2026-11-20 09:05:30  {english}"
    assert lines(notice, locale=Locale.KO)[0] == f"2026-11-20 09:05:30  {korean}"


@pytest.mark.parametrize(
    ("step", "english", "korean"),
    [
        (delivery(Status.QUEUED), "waiting", "대기 중"),
        (
            delivery(Status.QUEUED, attempts=3, reason="HTTP 503"),
            "waiting after 3 failed: HTTP 503",
            "3번 실패하고 대기 중: HTTP 503",
        ),
        (delivery(Status.ATTEMPTING), "being sent", "보내는 중"),
        (delivery(Status.DELIVERED, attempts=1), "delivered after 0.2 s", "0.2초 뒤 전송"),
        (
            delivery(Status.DELIVERED, 95, attempts=3, may_repeat=True),
            "delivered after 1 min 35 s at attempt 3; may have arrived twice",
            "1분 35초 뒤 전송(3번째 시도); 두 번 갔을 수 있음",
        ),
        (
            delivery(Status.REFUSED, attempts=1, reason="HTTP 403"),
            "REFUSED after 0.2 s (attempts: 1): HTTP 403",
            "0.2초 뒤 거부됨(1번 시도): HTTP 403",
        ),
        (
            delivery(Status.EXPIRED, 1_800, attempts=33, reason="HTTP 500"),
            "EXPIRED after 30 min (attempts: 33): HTTP 500",
            "30분 뒤 만료(33번 시도): HTTP 500",
        ),
        (
            delivery(Status.DROPPED, 12),
            "DROPPED after 12 s, as too much waited",
            "대기가 너무 많아 12초 뒤 버려짐",
        ),
        (
            delivery(Status.VANISHED, reason="no longer configured"),
            "NOT SENT: the target is not configured any more",
            "보내지 못함: 설정에서 없어진 대상",
        ),
        (
            delivery(Status.DISCARDED, 60),
            "let go after 1 min (notify dead drop)",
            "1분 뒤 버림(notify dead drop)",
        ),
        (
            delivery(Status.DISCARDED, 60, reason="HTTP 403"),
            "let go after 1 min (notify dead drop): HTTP 403",
            "1분 뒤 버림(notify dead drop): HTTP 403",
        ),
        (  # nobody had dropped it
            delivery(Status.DISCARDED, 60, reason=SENT_ELSEWHERE),
            "sent elsewhere instead after 1 min",
            "1분 뒤 다른 대상으로 다시 보냄",
        ),
        (
            delivery(Status.QUEUED, attempts=2, reason="no end within 40 s"),
            "waiting after 2 failed: no end within 40 s",
            "2번 실패하고 대기 중: 40초 안에 끝나지 않음",
        ),
    ],
)
def test_what_became_of_it_at_a_target(step: Delivery, english: str, korean: str) -> None:
    assert lines(alert(), step)[1:] == [f"  desk[1] slack: {english}"]
    assert lines(alert(), step, locale=Locale.KO)[1:] == [f"  desk[1] slack: {korean}"]


def test_data_keeps_a_reason_as_it_is_stored() -> None:
    assert history.of_delivery(delivery(Status.QUEUED, reason="no reply"))["reason"] == "no reply"


def test_every_status_has_words() -> None:
    for status in Status:
        for locale in Locale:
            assert len(lines(alert(), delivery(status), locale=locale)[1]) > len("  desk[1] slack: ")


def test_that_nobody_was_told_is_said_where_somebody_should_have_been() -> None:
    assert lines(alert())[1:] == ["  no delivery is recorded"]
    assert lines(alert(suppressed=Suppression.SILENCE))[1:] == []
    assert lines(Ending("r", "s", AT))[1:] == []


def test_what_is_new_is_told_without_those_who_only_wait() -> None:
    found = history.of_line(alert().to_json(), [delivery(Status.QUEUED)])
    assert history.new_lines(found, Locale.EN) == lines(alert())[:1]
    over = [delivery(Status.DELIVERED, attempts=1), delivery(Status.QUEUED)]
    assert history.new_lines(history.of_line(alert().to_json(), over), Locale.EN) == lines(alert(), over[0])
    found["deliveries"] = []
    assert history.new_lines(found, Locale.EN) == lines(alert())


def test_the_end_of_a_delivery_is_a_line_of_its_own() -> None:
    found = history.of_line(alert().to_json(), ())
    end = history.of_delivery(delivery(Status.DELIVERED, attempts=1))
    assert history.end_line(found, end, Locale.EN) == (
        f"2026-11-20 09:05:30  desk[1] slack: delivered after 0.2 s  ({TITLE})"
    )
    assert history.end_line({"id": "a1"}, end, Locale.EN) == (
        "2026-11-20 09:05:30  desk[1] slack: delivered after ?  (a1)"
    )


def test_nothing_that_others_wrote_reaches_the_terminal_as_a_command() -> None:
    evil = "x\x1b[2J\u202e\nsecond"
    notice = a_notice("a1", title=evil, name=evil, alert=an_alert(rule=evil, symbol=evil))
    step = delivery(Status.REFUSED, name=evil, reason=evil, attempts=1)
    told = [*lines(notice, step), *lines(Ending(evil, evil, AT, evil))]
    kept = Kept(notice, step)
    told += dead.lines({"dead": [dead.of(kept)], "more": 0}, Locale.EN)
    told += [*dead.missing_lines([evil], Locale.EN), dead.no_target(evil, Locale.EN)]
    told.append(history.end_line({"id": evil}, history.of_delivery(step), Locale.EN))
    assert len(told) == 9
    for line in told:
        assert not {"\x1b", "\u202e", "\n"} & set(line), line


def test_what_is_dead_names_itself_and_why() -> None:
    kept = Kept(alert(), delivery(Status.EXPIRED, 1_800, attempts=33, reason="HTTP 500"))
    own = system_notice("feed-lost", AT, Severity.WARNING, title="feed lost", message="m", notify=())
    found = [dead.of(kept), dead.of(Kept(own, delivery(Status.REFUSED, attempts=1, reason="HTTP 403")))]
    assert list(found[0]) == list(found[1]) == ["id", "at", "severity", "rule", "symbol", "name", "title", "delivery"]
    assert dead.lines({"dead": found, "more": 1_200}, Locale.EN) == [
        f"a1  2026-11-20 09:05:30  {TITLE}",
        "  desk[1] slack: EXPIRED after 30 min (attempts: 33): HTTP 500",
        f"feed-lost-{AT}  2026-11-20 09:05:30  feed lost",
        "  desk[1] slack: REFUSED after 0.2 s (attempts: 1): HTTP 403",
        "… and 1,200 older ones",
        "to send them: pgmwatch notify dead retry; to let them go: pgmwatch notify dead drop (--id, --target)",
    ]
    assert dead.lines({"dead": [], "more": 0}, Locale.KO) == ["보내지 못한 메시지가 없습니다"]


def test_what_came_of_a_retry_and_of_dropping() -> None:
    assert dead.outcome_lines({"queued": 3, "unserved": 0, "more": 0}, Locale.EN) == ["queued again: 3"]
    assert dead.outcome_lines({"queued": 5_000, "unserved": 2, "more": 7}, Locale.EN) == [
        "queued again: 5,000",
        "2 not sent: their notifiers have no target any more",
        "7 older ones are left: run it again",
    ]
    assert dead.outcome_lines({"dropped": 1, "more": 0}, Locale.KO) == ["버림: 1건"]
