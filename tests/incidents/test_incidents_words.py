"""What a trader reads, word for word, in both languages."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from incident_stage import FRIDAY, HOURS, NAMES, RULES, Desk, at, feed, rule
from pydantic import SecretStr
from receivers import listening, reply

from engine.delivery.apprise import open_service
from engine.delivery.notice import Notice
from engine.delivery.target import Message
from engine.evaluation.engine import Counters
from engine.evaluation.gate import Drop
from engine.gap import Gap
from engine.incidents.monitor import Monitor
from engine.kis import protocol
from engine.kis.backoff import Ending
from engine.kst import DAY_NS, SECOND_NS
from engine.locale import Locale

NOON = at("12:00")
KO, EN = Locale.KO, Locale.EN
REASONS = {
    *re.findall(r'MalformedFrameError\("([a-z-]+)"\)', Path(protocol.__file__).read_text()),
    "symbol", "time", "number",
}  # fmt: skip
"""The decoder's words for what it cannot use."""


def said(notice: Notice) -> str:
    return f"{notice.title.partition(' · ')[2]}\n{notice.message}"


def lost(locale: Locale) -> str:
    desk = Desk(NOON, locale=locale)
    (notice,) = desk.run(11, feed(down=NOON, ending=Ending.LOST, error="reset by peer"))
    return said(notice)


def refused(locale: Locale) -> str:
    desk = Desk(at("02:00"), locale=locale)
    down = feed(down=at("22:00", FRIDAY - 1), ending=Ending.CREDENTIALS, error="EGW00105", next_attempt=at("02:05"))
    desk.run(191, replace(down, last_ending=Ending.IN_USE))
    (notice,) = desk.run(1, down)
    return said(notice)


def back(locale: Locale) -> str:
    desk = Desk(NOON, locale=locale)
    desk.run(157, feed(down=NOON, ending=Ending.LOST))
    (notice,) = desk.run(60, feed(up=desk.now))
    return said(notice)


def missing(locale: Locale) -> str:
    found = replace(feed(up=NOON), rejected=(("000660", "OPSP8991"),), ghosts=("005930",), unanswered=("005380",))
    desk = Desk(NOON, locale=locale, not_covered=["035420"])
    return "\n".join(map(said, desk.run(120, found)))


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
    desk.run(1, replace(feed(up=NOON), malformed=(("stride", 70),), records=1))
    return "\n".join(map(said, desk.notices[1:]))


def impossible(locale: Locale) -> str:
    counters = Counters(0, 0, 0, {Drop.EARLY: 12, Drop.BAD_TIME: 3})
    desk = Desk(NOON, locale=locale)
    desk.run(61, feed(up=NOON), counters=counters)
    desk.run(1, feed(up=NOON), counters=replace(counters, records=1))
    return "\n".join(map(said, desk.notices))


def silent(locale: Locale) -> str:
    desk = Desk(NOON, locale=locale)
    quiet = replace(feed(up=at("09:00")), silent_since=at("11:54:50"))
    desk.run(60, quiet)
    desk.run(1, replace(quiet, silent_since=None, last_records=(("005930", desk.now),)))
    return "\n".join(map(said, desk.notices))


def gaps(locale: Locale) -> str:
    desk = Desk(NOON, locale=locale)
    notices = [notice for kind in Gap for notice in desk.monitor.gap(NOON, NOON - 3725 * SECOND_NS, kind)]
    desk.now = at("08:50", FRIDAY + 3)
    notices += desk.run(1, feed(up=NOON), ahead_ns=3725 * SECOND_NS)
    return "\n".join(map(said, notices))


def lag(locale: Locale) -> str:
    desk = Desk(NOON, locale=locale)
    desk.run(10, feed(up=NOON), lag_ns=1_234_000_000)
    desk.run(10, feed(up=NOON))
    return "\n".join(map(said, desk.notices))


GOLDEN = {
    (lag, KO): """\
평가 1.2초 지연
12:00:00부터 데이터를 받고 1초 넘게 지나서야 평가하고 있어 알림이 늦어집니다. 컴퓨터에 과부하가 걸렸거나 \
규칙과 종목이 너무 많습니다.
평가 지연 해소
12:00:00부터 12:00:19까지 최대 1.2초 늦었습니다.""",
    (lag, EN): """\
Evaluation lags by 1.2 s
Since 12:00:00 data has been evaluated more than a second after it came, and alerts are late. The machine is \
overloaded, or there are more rules and symbols than it can take.
Evaluation keeps up again
It lagged by up to 1.2 s, from 12:00:00 to 12:00:19.""",
    (lost, KO): """\
수신 끊김: main
main: 12:00:00부터 수신하지 못하고 있습니다(10초). 연결이 끊겼습니다. (reset by peer)
데이터를 받지 못하는 종목 2개: 삼성전자(005930), SK하이닉스(000660)
판정할 수 없는 규칙 2개: samsung, both""",
    (lost, EN): """\
Feed lost: main
main: nothing received since 12:00:00 (10 s). The connection was lost. (reset by peer)
Symbols not seen (2): 삼성전자(005930), SK하이닉스(000660)
Rules that cannot be judged (2): samsung, both""",
    (refused, KO): """\
인증 거부: main
main: 11-19 22:00:00부터 수신하지 못하고 있습니다(4시간 3분 11초). 증권사가 앱키나 앱시크릿을 거부했습니다. \
두 값과 앱키의 유효기간을 확인하세요. (EGW00105) 02:05:00에 다시 확인합니다. 고친 뒤 pgmwatch를 다시 시작하면 \
바로 확인합니다.
데이터를 받지 못하는 종목 2개: 삼성전자(005930), SK하이닉스(000660)
판정할 수 없는 규칙 2개: samsung, both""",
    (refused, EN): """\
Credentials refused: main
main: nothing received since 11-19 22:00:00 (4 h 3 min 11 s). The broker refuses the app key or secret. \
Check both, and whether the app key has expired. (EGW00105) \
The broker is asked about them again at 02:05:00. Once mended, they are tried at once after a restart.
Symbols not seen (2): 삼성전자(005930), SK하이닉스(000660)
Rules that cannot be judged (2): samsung, both""",
    (back, KO): """\
수신 복구: main
main: 12:00:00부터 12:02:37까지 2분 37초 동안 끊겨 있었습니다.""",
    (back, EN): """\
Feed back: main
main: was down for 2 min 37 s, from 12:00:00 to 12:02:37.""",
    (missing, KO): """\
감시하지 못하는 종목: 2개
등록 한도를 넘은 종목 1개: 035420
증권사가 거부한 종목 1개: SK하이닉스(000660) OPSP8991
관련 규칙 1개: both
오늘 데이터가 없는 종목: 1개
구독 중이지만 장중 30분 동안 데이터가 없는 종목 1개: 삼성전자(005930)
프로그램 매매가 없었을 수도 있습니다. 증권사에서 구독이 누락됐을 경우에 대비해 다시 구독했습니다.
관련 규칙 2개: samsung, both
감시하지 못하는 종목: 1개
1분 넘게 증권사의 구독 확인을 받지 못한 종목 1개: 005380""",
    (missing, EN): """\
Symbols not watched: 2
No registration left for 1: 035420
Rejected by the broker, 1: SK하이닉스(000660) OPSP8991
Rules concerned (1): both
Symbols without data today: 1
Subscribed, but without any data for 30 minutes of the session, 1: 삼성전자(005930)
Perhaps nothing was traded by program. They have been subscribed anew, in case the broker forgot them.
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
오늘 지금까지 프레임 1,234건(필드 수 오류), 레코드 2건(숫자 형식 오류). 읽을 수 있는 데이터는 그대로 평가합니다.""",
    (malformed, EN): """\
Data that cannot be read
Today so far: frames 1,234 (stride), records 2 (number). What can be read is evaluated as always.""",
    (unreadable, KO): """\
데이터를 전혀 읽을 수 없음: main
main: 12:00:00 이후 받은 데이터를 하나도 읽지 못했습니다(1분 동안 오류 60건).
데이터를 받지 못하는 종목 2개: 삼성전자(005930), SK하이닉스(000660)
판정할 수 없는 규칙 2개: samsung, both
데이터 해석 재개: main
main: 데이터를 다시 읽고 있습니다. 12:00:00부터 1분 10초 동안 하나도 읽지 못했습니다.""",
    (unreadable, EN): """\
No data can be read: main
main: nothing of what came since 12:00:00 could be used (60 faults in 1 min).
Symbols not seen (2): 삼성전자(005930), SK하이닉스(000660)
Rules that cannot be judged (2): samsung, both
Data can be read again: main
main: data can be read again; none could for 1 min 10 s, since 12:00:00.""",
    (impossible, KO): """\
시각이 맞지 않는 레코드
12건 제외: 이 컴퓨터의 시계보다 1분 넘게 앞선 시각입니다. 시계가 늦지 않은지 확인하세요.
3건 제외: 시각 형식이 아닙니다.
평가할 수 있는 레코드 없음
12:00:00 이후 받은 레코드가 모두 제외됐습니다(1분 동안 15건).
레코드의 시각이 이 컴퓨터의 시계보다 1분 넘게 앞섭니다. 시계가 늦은 것으로 보이니 맞추세요.
데이터를 받지 못하는 종목 2개: 삼성전자(005930), SK하이닉스(000660)
판정할 수 없는 규칙 2개: samsung, both
레코드 평가 재개
12:00:00부터 1분 1초 동안 평가된 레코드가 없었습니다.""",
    (impossible, EN): """\
Records with impossible times
12 dropped: more than a minute ahead of this machine's clock. Check whether that is slow.
3 dropped: not a time of day.
No record can be evaluated
All records since 12:00:00 were dropped (15 in 1 min).
Their times are more than a minute ahead of this machine's clock, which is most likely slow: set it.
Symbols not seen (2): 삼성전자(005930), SK하이닉스(000660)
Rules that cannot be judged (2): samsung, both
Records are evaluated again
None was for 1 min 1 s, since 12:00:00.""",
    (silent, KO): """\
연결은 됐지만 데이터 없음: main
main: 연결은 살아 있는데 11:54:50부터 데이터가 오지 않습니다(5분 10초).
데이터를 받지 못하는 종목 2개: 삼성전자(005930), SK하이닉스(000660)
판정할 수 없는 규칙 2개: samsung, both
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
그 사이의 일은 알 수 없으므로 대기 중이던 조건은 처음부터 다시 셉니다.
시계가 1시간 2분 5초 앞으로 감
방금까지 10:57:55, 지금은 12:00:00입니다. 컴퓨터가 절전 상태였거나 시계가 앞으로 맞춰졌습니다.
그 사이의 일은 알 수 없으므로 대기 중이던 조건은 처음부터 다시 셉니다.
시계가 1시간 2분 5초 뒤로 맞춰짐
컴퓨터의 시계가 12:00:00에서 10:57:55(으)로 뒤로 맞춰졌습니다. pgmwatch의 시각은 그대로 이어집니다.
이 시점에 걸친 값은 알 수 없고, 대기 중이던 조건은 처음부터 다시 셉니다.
지금부터 장 시간과 규칙의 적용 시간이 1시간 2분 5초 일찍 적용됩니다. pgmwatch를 다시 시작하면 바로잡힙니다.
장 시간이 1시간 2분 5초 어긋남
컴퓨터의 시계가 뒤로 맞춰져 pgmwatch의 시각이 1시간 2분 5초 앞서 있습니다. 장 시간과 규칙의 적용 시간이 그만큼 일찍 \
적용됩니다. pgmwatch를 다시 시작하면 바로잡힙니다.""",
    (gaps, EN): """\
Stood still for 1 h 2 min 5 s
pgmwatch did not run from 10:57:55 to 12:00:00: suspended, or the machine was overloaded.
What happened in between is unknown; what was pending starts anew.
Clock went forward by 1 h 2 min 5 s
It is 12:00:00 now, and was 10:57:55 a moment ago: the machine slept, or its clock was set.
What happened in between is unknown; what was pending starts anew.
Clock was set back by 1 h 2 min 5 s
The machine's clock was set from 12:00:00 back to 10:57:55. Times here never fall: they go on as before.
Values that reach over this moment are unknown; what was pending starts anew.
From now on trading hours and the active hours of rules come 1 h 2 min 5 s early here. A restart of pgmwatch puts that \
right.
Trading hours are off by 1 h 2 min 5 s
The machine's clock was set back, and time in pgmwatch is 1 h 2 min 5 s ahead of it: trading hours and the active \
hours of rules come that much early. A restart of pgmwatch puts that right.""",
}


@pytest.mark.parametrize(("make", "locale"), GOLDEN, ids=lambda part: getattr(part, "__name__", str(part)))
def test_word_for_word(make: object, locale: Locale) -> None:
    assert callable(make)
    assert make(locale).split("\n") == next(
        text for (made, written), text in GOLDEN.items() if made is make and written is locale
    ).split("\n")


@pytest.mark.parametrize(("ending", "words"), [
    (Ending.IN_USE, "앱키를 다른 곳에서 쓰고 있거나, 증권사가 pgmwatch의 직전 연결을 아직 해제하지 않았습니다"),
    (Ending.KEY_REFUSED, "웹소켓 접속키를 거부했습니다"),
    (Ending.TOO_OFTEN, "너무 자주 요청했다며"),
    (Ending.SILENT, "데이터가 오지 않아 다시 연결합니다"),
    (None, "시작한 뒤로 아직 연결되지 않았습니다"),
])  # fmt: skip
def test_every_cause_has_words(ending: Ending | None, words: str) -> None:
    (notice,) = Desk(NOON, locale=KO).run(11, feed(down=NOON, ending=ending))
    assert words in notice.message


@pytest.mark.parametrize(("is_kept", "locale", "words"), [
    (False, KO, "않았습니다. attempts.json에 접속 기록을 쓸 수 없어 접속 간격을 넓혔고, 12:02:00에 접속합니다."),
    (False, Locale.EN, "since the start. The next attempt is at 12:02:00: attempts.json cannot be written"),
    (True, KO, "연결되지 않았습니다. 다시 시작해도 접속 간격은 지키므로 12:02:00에 접속합니다."),
    (True, Locale.EN, "since the start. The next attempt is at 12:02:00: pauses between connections are kept"),
])  # fmt: skip
def test_a_start_that_waits_said_only_that_there_was_no_connection_yet(
    is_kept: bool, locale: Locale, words: str
) -> None:
    waits = feed(down=NOON, next_attempt=NOON + 120 * SECOND_NS, is_kept=is_kept)
    (notice,) = Desk(NOON, locale=locale).run(11, waits)
    assert words in notice.message


def test_an_attempt_that_is_being_made_is_none_to_come() -> None:
    (notice,) = Desk(NOON, locale=KO).run(11, feed(down=NOON, next_attempt=NOON + 5 * SECOND_NS))
    assert "시작한 뒤로 아직 연결되지 않았습니다.\n" in notice.message


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
    assert " 외 31개\n판정할 수 없는 규칙 12개: rule-0, " in notice.message
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


PINGS = "@everyone <@U1> \x1b[31m"
SAFE = "＠everyone <＠U1> [31m"


def foreign() -> list[Notice]:
    """Notices with words of others wherever there can be some."""
    rules = [rule(f"{number} {PINGS}", PINGS) for number in range(2)]
    monitor = Monitor(
        rules,
        HOURS,
        EN,
        notify=("ops",),
        name=lambda code: PINGS if code == PINGS else "",
        not_covered=(f"1{PINGS}",),
        started=NOON,
    )
    down = feed(f"down {PINGS}", symbols=(PINGS,), down=NOON, ending=Ending.LOST, error=PINGS)
    up = replace(
        feed(f"up {PINGS}", symbols=(PINGS,), up=NOON),
        rejected=((PINGS, PINGS),),
        ghosts=(PINGS,),
        unanswered=(PINGS,),
        silent_since=NOON,
        malformed=((PINGS, 5),),
        dropped=((f"2{PINGS}", 5),),
    )
    late = {Drop.EARLY: 9}
    return [
        notice
        for second in range(70)
        for notice in monitor.look(NOON + second * SECOND_NS, [down, up], Counters(0, 0, 0, late))
    ]


def test_what_others_wrote_rings_nobody() -> None:
    """The broker's "@everyone bye" and a rule named "@here all" reached a chat as they were, and it rang for all."""
    notices = foreign()
    assert {notice.kind for notice in notices} >= {
        "feed-lost", "feed-silent", "symbols-missing", "symbols-quiet", "feed-malformed", "feed-unreadable",
        "records-unusable",
    }  # fmt: skip
    for notice in notices:
        assert not {"@", "\x1b"} & {*notice.title, *notice.message}, notice
    lost = next(notice for notice in notices if notice.kind == "feed-lost")
    assert lost.title == f"🚨 pgmwatch · Feed lost: down {SAFE}"
    assert f"({SAFE})\nSymbols not seen (1): {SAFE}({SAFE})\nRules that cannot be judged (2): 0 {SAFE}, 1 {SAFE}" in (
        lost.message
    )
    (missing, *_) = (notice for notice in notices if notice.kind == "symbols-missing")
    assert f"No registration left for 1: 1{SAFE}\n" in missing.message
    assert f"Rejected by the broker, 1: {SAFE}({SAFE}) {SAFE}" in missing.message


def test_no_words_of_others_ring_where_they_arrive() -> None:
    notices = foreign()
    with listening(reply(200)) as hook:
        service = open_service(SecretStr(hook.url()))
        assert service is not None
        for notice in notices:
            service.send(Message(notice.title, notice.message, notice.severity))
    assert len(hook.requests) == len(notices)
    assert not [request.body for request in hook.requests if b"@" in request.body]
    assert SAFE in hook.requests[0].json["message"]


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_word_of_the_decoder_is_said_in_korean(reason: str) -> None:
    found = replace(feed(up=NOON), malformed=((reason, 1),))
    (notice,) = Desk(NOON, locale=KO).run(30, found)
    assert f"({reason})" not in notice.message
    assert re.search(r"프레임 1건\([^)]*[가-힣][^)]*\)", notice.message)


def test_a_word_that_nobody_translated_stands_for_itself() -> None:
    (notice,) = Desk(NOON, locale=KO).run(30, replace(feed(up=NOON), malformed=(("brand-new", 1),)))
    assert "프레임 1건(brand-new)" in notice.message


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
    (notice,) = desk.run(1, feed(down=NOON, ending=Ending.CREDENTIALS))
    assert "since 11-20 12:00:00 (24 h)" in notice.message
