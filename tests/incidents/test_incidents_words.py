"""What a trader reads, word for word, in both languages."""

from dataclasses import replace

import pytest
from incident_stage import FRIDAY, HOURS, NAMES, RULES, Desk, at, feed, rule

from engine.delivery.notice import Notice
from engine.evaluation.engine import Counters
from engine.evaluation.gate import Drop
from engine.gap import Gap
from engine.incidents.monitor import Monitor
from engine.kis.backoff import Ending
from engine.kst import DAY_NS, SECOND_NS
from engine.locale import Locale

NOON = at("12:00")
KO, EN = Locale.KO, Locale.EN


def said(notice: Notice) -> str:
    return f"{notice.title.partition(' · ')[2]}\n{notice.message}"


def lost(locale: Locale) -> str:
    desk = Desk(NOON, locale=locale)
    (notice,) = desk.run(11, feed(down=NOON, ending=Ending.LOST, error="reset by peer"))
    return said(notice)


def refused(locale: Locale) -> str:
    desk = Desk(at("02:00"), locale=locale)
    desk.run(1, feed(down=at("22:00", FRIDAY - 1), ending=Ending.IN_USE))
    (notice,) = desk.run(1, feed(down=at("22:00", FRIDAY - 1), ending=Ending.CREDENTIALS, error="EGW00105"))
    return said(notice)


def back(locale: Locale) -> str:
    desk = Desk(NOON, locale=locale)
    desk.run(157, feed(down=NOON, ending=Ending.LOST))
    (notice,) = desk.run(60, feed(up=desk.now))
    return said(notice)


def missing(locale: Locale) -> str:
    found = replace(feed(up=NOON), rejected=(("000660", "OPSP8991"),), ghosts=("005930",), unanswered=("005380",))
    desk = Desk(NOON, locale=locale, not_covered=["035420"])
    first, second = desk.run(120, found)
    return f"{said(first)}\n{said(second)}"


def drift(locale: Locale) -> str:
    (notice,) = Desk(NOON, locale=locale).run(1, replace(feed(up=NOON), appended=(2,)))
    return said(notice)


def malformed(locale: Locale) -> str:
    found = replace(feed(up=NOON), malformed=(("stride", 1234),), dropped=(("number", 2),), records=1)
    (notice,) = Desk(NOON, locale=locale).run(30, found)
    return said(notice)


def unreadable(locale: Locale) -> str:
    desk = Desk(NOON, locale=locale)
    for count in range(70):
        desk.run(1, replace(feed(up=NOON), malformed=(("stride", count),)))
    return said(desk.notices[-1])


def impossible(locale: Locale) -> str:
    counters = Counters(0, 0, 0, {Drop.EARLY: 12, Drop.BAD_TIME: 3})
    (notice,) = Desk(NOON, locale=locale).run(30, feed(up=NOON), counters=counters)
    return said(notice)


def silent(locale: Locale) -> str:
    desk = Desk(NOON, locale=locale)
    quiet = replace(feed(up=at("09:00")), silent_since=at("11:54:50"))
    desk.run(60, quiet)
    desk.run(1, replace(quiet, silent_since=None, last_records=(("005930", desk.now),)))
    return "\n".join(map(said, desk.notices))


def gaps(locale: Locale) -> str:
    monitor = Desk(NOON, locale=locale).monitor
    notices = [notice for kind in Gap for notice in monitor.gap(NOON, NOON - 3725 * SECOND_NS, kind)]
    return "\n".join(map(said, notices))


GOLDEN = {
    (lost, KO): """\
수신 끊김: main
main: 12:00:00부터 수신하지 못하고 있습니다(10초). 연결이 끊겼습니다. (reset by peer)
볼 수 없는 종목 2개: 삼성전자(005930), SK하이닉스(000660)
판단할 수 없는 규칙 2개: samsung, both""",
    (lost, EN): """\
Feed lost: main
main: nothing received since 12:00:00 (10 s). The connection was lost. (reset by peer)
Symbols not seen (2): 삼성전자(005930), SK하이닉스(000660)
Rules that cannot be judged (2): samsung, both""",
    (refused, KO): """\
인증 거부: main
main: 11-19 22:00:00부터 수신하지 못하고 있습니다(4시간 1초). 증권사가 앱키나 시크릿을 거부했습니다. \
두 값과 앱키의 유효기간을 확인하세요. (EGW00105)
볼 수 없는 종목 2개: 삼성전자(005930), SK하이닉스(000660)
판단할 수 없는 규칙 2개: samsung, both""",
    (refused, EN): """\
Credentials refused: main
main: nothing received since 11-19 22:00:00 (4 h 1 s). The broker refuses the app key or secret. Check both, and \
whether the app key has expired. (EGW00105)
Symbols not seen (2): 삼성전자(005930), SK하이닉스(000660)
Rules that cannot be judged (2): samsung, both""",
    (back, KO): """\
수신 복구: main
main: 12:00:00부터 12:02:37까지 2분 37초 동안 끊겨 있었습니다.""",
    (back, EN): """\
Feed back: main
main: was down for 2 min 37 s, from 12:00:00 to 12:02:37.""",
    (missing, KO): """\
감시하지 못하는 종목: 3개
등록 한도를 넘은 종목 1개: 035420
증권사가 거부한 종목 1개: SK하이닉스(000660) OPSP8991
구독은 확인됐지만 장중 30분 동안 데이터가 없어 다시 구독한 종목 1개: 삼성전자(005930)
관련 규칙 2개: samsung, both
감시하지 못하는 종목: 1개
1분 넘게 증권사의 구독 확인을 받지 못한 종목 1개: 005380""",
    (missing, EN): """\
Symbols not watched: 3
No registration left for 1: 035420
Rejected by the broker, 1: SK하이닉스(000660) OPSP8991
Confirmed, but without any data for 30 minutes of the session; subscribed anew, 1: 삼성전자(005930)
Rules concerned (2): samsung, both
Symbols not watched: 1
Not confirmed by the broker for over a minute, 1: 005380""",
    (drift, KO): """\
레코드 필드가 11개에서 13개로 바뀜
문서에는 필드가 11개인데 증권사가 13개를 보내고 있습니다. 앞의 11개를 읽으며 감시는 계속됩니다.""",
    (drift, EN): """\
Records have 13 fields instead of 11
The broker documents 11 fields; its records now have 13. The first 11 are read, and all goes on.""",
    (malformed, KO): """\
읽을 수 없는 데이터
오늘 지금까지 프레임 1,234건(stride), 레코드 2건(number). 읽을 수 있는 데이터는 그대로 평가합니다.""",
    (malformed, EN): """\
Data that cannot be read
Today so far: frames 1,234 (stride), records 2 (number). What can be read is evaluated as always.""",
    (unreadable, KO): """\
데이터를 전혀 읽을 수 없음: main
main: 12:00:00 이후 받은 데이터를 하나도 읽지 못했습니다(1분 동안 오류 60건).
볼 수 없는 종목 2개: 삼성전자(005930), SK하이닉스(000660)
판단할 수 없는 규칙 2개: samsung, both""",
    (unreadable, EN): """\
No data can be read: main
main: nothing of what came since 12:00:00 could be used (60 faults in 1 min).
Symbols not seen (2): 삼성전자(005930), SK하이닉스(000660)
Rules that cannot be judged (2): samsung, both""",
    (impossible, KO): """\
시각이 맞지 않는 레코드
12건 제외: 이 컴퓨터의 시계보다 1분 넘게 앞선 시각입니다. 시계가 늦지 않은지 확인하세요.
3건 제외: 시각 형식이 아닙니다.""",
    (impossible, EN): """\
Records with impossible times
12 dropped: more than a minute ahead of this machine's clock. Check whether that is slow.
3 dropped: not a time of day.""",
    (silent, KO): """\
연결은 됐지만 데이터 없음: main
main: 연결은 살아 있는데 11:54:50부터 데이터가 오지 않습니다(5분 10초).
볼 수 없는 종목 2개: 삼성전자(005930), SK하이닉스(000660)
판단할 수 없는 규칙 2개: samsung, both
데이터 재개: main
main: 데이터가 다시 옵니다. 11:54:50부터 6분 10초 동안 없었습니다.""",
    (silent, EN): """\
Connected, but no data: main
main: connected, but without data since 11:54:50 (5 min 10 s).
Symbols not seen (2): 삼성전자(005930), SK하이닉스(000660)
Rules that cannot be judged (2): samsung, both
Data is back: main
main: data comes again; there was none for 6 min 10 s, since 11:54:50.""",
    (gaps, KO): """\
1시간 2분 5초 동안 멈춰 있었음
10:57:55부터 12:00:00까지 pgmwatch가 실행되지 못했습니다. 일시 정지됐거나 컴퓨터에 과부하가 걸렸습니다.
그 사이의 일은 알 수 없으므로 대기 중이던 조건은 처음부터 다시 잽니다.
시계가 1시간 2분 5초 앞으로 감
방금까지 10:57:55, 지금은 12:00:00입니다. 컴퓨터가 절전 상태였거나 시계가 앞으로 맞춰졌습니다.
그 사이의 일은 알 수 없으므로 대기 중이던 조건은 처음부터 다시 잽니다.
시계가 1시간 2분 5초 뒤로 맞춰짐
컴퓨터의 시계가 12:00:00에서 10:57:55까지 뒤로 맞춰졌습니다. pgmwatch의 시각은 그대로 이어집니다.
이 순간을 사이에 둔 값은 알 수 없고, 대기 중이던 조건은 처음부터 다시 잽니다.""",
    (gaps, EN): """\
Stood still for 1 h 2 min 5 s
pgmwatch did not run from 10:57:55 to 12:00:00: suspended, or the machine was overloaded.
What happened in between is unknown; what was pending starts anew.
Clock went forward by 1 h 2 min 5 s
It is 12:00:00 now, and was 10:57:55 a moment ago: the machine slept, or its clock was set.
What happened in between is unknown; what was pending starts anew.
Clock was set back by 1 h 2 min 5 s
The machine's clock was set from 12:00:00 back to 10:57:55. Times here never fall: they go on as before.
Values that reach over this moment are unknown; what was pending starts anew.""",
}


@pytest.mark.parametrize(("make", "locale"), GOLDEN, ids=lambda part: getattr(part, "__name__", str(part)))
def test_word_for_word(make: object, locale: Locale) -> None:
    assert callable(make)
    assert make(locale).split("\n") == next(
        text for (made, written), text in GOLDEN.items() if made is make and written is locale
    ).split("\n")


@pytest.mark.parametrize(("ending", "words"), [
    (Ending.IN_USE, "앱키를 다른 곳에서 쓰고 있습니다"),
    (Ending.KEY_REFUSED, "웹소켓 접속키를 거부했습니다"),
    (Ending.TOO_OFTEN, "너무 자주 요청했다며"),
    (Ending.SILENT, "데이터가 오지 않아 다시 연결합니다"),
    (None, "시작한 뒤로 아직 연결되지 않았습니다"),
])  # fmt: skip
def test_every_cause_has_words(ending: Ending | None, words: str) -> None:
    (notice,) = Desk(NOON, locale=KO).run(11, feed(down=NOON, ending=ending))
    assert words in notice.message


@pytest.mark.parametrize("ending", list(Ending))
@pytest.mark.parametrize("locale", list(Locale))
def test_no_ending_is_without_words(ending: Ending, locale: Locale) -> None:
    assert Desk(NOON, locale=locale).run(11, feed(down=NOON, ending=ending))


def test_long_lists_are_cut() -> None:
    symbols = tuple(f"{number:06d}" for number in range(41))
    rules = [rule(f"rule-{number}", *symbols) for number in range(12)]
    desk = Desk(NOON, locale=KO, rules=rules)
    feeds = [
        feed(f"account-{number}", down=NOON, ending=Ending.LOST, symbols=symbols[number::5]) for number in range(5)
    ]
    (notice,) = desk.run(11, *feeds)
    assert notice.title == "🚨 pgmwatch · 수신 끊김: account-0, account-1, account-2 외 2개"
    assert "종목 41개: 000000, 000005, " in notice.message
    assert " 외 31개\n판단할 수 없는 규칙 12개: rule-0, " in notice.message
    assert notice.message.endswith("rule-9 외 2개")


def test_what_others_wrote_is_cleaned() -> None:
    desk = Desk(NOON, rules=[rule("evil\x1b[2J\nrule {0}" + "x" * 100, "005930")])
    down = feed("a\u202eb", down=NOON, ending=Ending.LOST, error="\x1b]0;{title}\x07 " + "y" * 500)
    (notice,) = desk.run(11, down)
    assert "\x1b" not in notice.message
    assert "\x07" not in notice.message
    assert "\u202e" not in notice.title
    assert "evil [2J rule {0}xxx" in notice.message
    assert "]0;{title} yyy" in notice.message
    assert len(notice.message) < 600


def test_a_sum_cannot_be_judged_without_one_of_its_members() -> None:
    desk = Desk(NOON, rules=[rule("sum", "005930", "000660", aggregate="@semis"), rule("else", "035420")])
    (notice,) = desk.run(11, feed(down=NOON, ending=Ending.LOST, symbols=("000660",)))
    assert "Rules that cannot be judged (1): sum" in notice.message


def test_a_notice_is_named_by_kind_and_time() -> None:
    monitor = Monitor(RULES, HOURS, KO, notify=("a", "b"), name=NAMES.__getitem__, not_covered=(), started=NOON)
    for look in range(11):
        notices = monitor.look(NOON + look * SECOND_NS, [feed(down=NOON, ending=Ending.LOST)])
    assert [(notice.id, notice.notify) for notice in notices] == [(f"feed-lost-{NOON + 10 * SECOND_NS}", ("a", "b"))]


def test_a_day_is_long_for_a_duration() -> None:
    desk = Desk(NOON + DAY_NS, locale=EN)
    (notice,) = desk.run(1, feed(down=NOON, ending=Ending.IN_USE))
    assert "since 11-20 12:00:00 (24 h)" in notice.message
