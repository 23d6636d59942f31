"""Symbols without a watch: each is told once, those of one look together."""

from dataclasses import replace

import pytest
from incident_stage import FRIDAY, Desk, at, feed, kinds, rule

from engine.kis.backoff import Ending
from engine.kis.status import Status
from engine.kst import DAY_NS, SECOND_NS
from engine.rules.model import Rule, Severity

NOON = at("12:00")


def up(
    *, rejected: tuple[tuple[str, str], ...] = (), unanswered: tuple[str, ...] = (), ghosts: tuple[str, ...] = ()
) -> Status:
    return replace(feed(up=NOON), rejected=rejected, unanswered=unanswered, ghosts=ghosts)


def test_symbols_beyond_the_slots_are_told_once() -> None:
    desk = Desk(NOON, not_covered=["035420", "005380"])
    (notice,) = desk.run(600, up())
    assert (notice.kind, notice.severity, notice.at) == ("symbols-missing", Severity.WARNING, NOON + 5 * SECOND_NS)
    assert "No registration left for 2: 035420, 005380" in notice.message


def test_symbols_beyond_the_slots_are_told_though_no_feed_comes_up() -> None:
    desk = Desk(NOON, not_covered=["035420"])
    assert [notice.at - NOON for notice in desk.run(600, feed(down=NOON, ending=Ending.LOST))] == [
        10 * SECOND_NS,  # the outage
        60 * SECOND_NS,
    ]


def test_all_that_a_start_brings_is_one_notice() -> None:
    desk = Desk(NOON, not_covered=["035420"])
    other = replace(feed("other", up=NOON), left_out=("005380",), rejected=(("999999", "OPSP8992"),))
    (notice,) = desk.run(600, up(rejected=(("000660", "OPSP8991"),)), other)
    assert notice.title == "⚠️ pgmwatch · Symbols not watched: 4"
    assert "No registration left for 2: 035420, 005380" in notice.message
    assert "Rejected by the broker, 2: SK하이닉스(000660) OPSP8991, 999999 OPSP8992" in notice.message
    assert "Rules concerned (1): both" in notice.message


def test_a_feed_that_is_down_is_an_outage_and_not_its_symbols() -> None:
    desk = Desk(NOON)
    down = replace(feed(down=NOON, ending=Ending.LOST), rejected=(("000660", "OPSP8991"),), unanswered=("005930",))
    assert kinds(desk.run(300, down)) == ["feed-lost"]


def test_what_was_told_is_not_told_after_a_reconnect() -> None:
    desk = Desk(NOON)
    assert len(desk.run(60, up(rejected=(("000660", "OPSP8991"),)))) == 1
    desk.run(60, feed(down=desk.now))
    assert "symbols-missing" not in kinds(desk.run(60, replace(feed(up=desk.now), rejected=(("000660", "OPSP8991"),))))


def test_a_new_one_is_told_by_itself() -> None:
    desk = Desk(NOON)
    desk.run(60, up(rejected=(("000660", "OPSP8991"),)))
    (notice,) = desk.run(60, up(rejected=(("000660", "OPSP8991"), ("005930", "OPSP8991"))))
    assert "000660" not in notice.message


def test_one_without_an_answer_is_told_after_a_minute() -> None:
    desk = Desk(NOON + 10 * SECOND_NS)
    (notice,) = desk.run(600, up(unanswered=("005930",)))
    assert notice.at == NOON + 70 * SECOND_NS
    assert "Not confirmed by the broker for over a minute, 1: 삼성전자(005930)" in notice.message


def test_one_without_an_answer_again_on_another_date_is_told_again() -> None:
    """It was told once in the life of the daemon: a month later the same symbol stayed quietly unseen."""
    desk = Desk(NOON + 10 * SECOND_NS)
    assert kinds(desk.run(600, up(unanswered=("005930",)))) == ["symbols-missing"]
    assert desk.run(600, up()) == []
    desk.now += DAY_NS
    assert kinds(desk.run(600, up(unanswered=("005930",)))) == ["symbols-missing"]


def test_an_answer_in_time_ends_the_wait() -> None:
    desk = Desk(NOON)
    for _ in range(20):
        assert desk.run(55, up(unanswered=("005930",))) == []
        assert desk.run(5, up()) == []


@pytest.mark.parametrize("again", [False, True])
def test_a_ghost_is_told_once_a_date(again: bool) -> None:
    desk = Desk(NOON)
    (notice,) = desk.run(60, up(ghosts=("005930",)))
    assert (notice.kind, notice.severity) == ("symbols-quiet", Severity.WARNING)
    assert "without any data for 30 minutes" in notice.message
    assert "Rules concerned (2): samsung, both" in notice.message
    assert desk.run(60, up()) == []
    assert desk.run(60, up(ghosts=("005930",))) == []
    desk.now = at("09:31", FRIDAY + 3)
    told = desk.run(60, up(ghosts=("005930",) if again else ()))
    assert len(told) == again


def test_ghosts_are_not_told_to_be_without_a_watch() -> None:
    """They are subscribed, and perhaps nobody trades them: "not watched" was said of them, among what really is not."""
    desk = Desk(NOON)
    missing, quiet = desk.run(60, up(rejected=(("000660", "OPSP8991"),), ghosts=("005930",)))
    assert missing.title == "⚠️ pgmwatch · Symbols not watched: 1"
    assert "005930" not in missing.message
    assert quiet.title == "⚠️ pgmwatch · Symbols without data today: 1"
    assert "000660" not in quiet.message


def test_a_symbol_that_is_missing_twice_counts_once() -> None:
    desk = Desk(NOON, not_covered=["000660"])
    (notice,) = desk.run(60, up(rejected=(("000660", "OPSP8991"),)))
    assert notice.title.endswith("Symbols not watched: 1")


def test_a_rejection_is_not_told_anew_on_another_date() -> None:
    desk = Desk(NOON)
    desk.run(60, up(rejected=(("000660", "OPSP8991"),)))
    desk.now = at("12:00", FRIDAY + 3)
    assert desk.run(60, up(rejected=(("000660", "OPSP8991"),))) == []


# -- other rules

WATCHED = ("005930", "000660")


def with_rules(*symbols: str) -> list[Rule]:
    return [rule("those", *WATCHED, *symbols)]


def test_after_a_reload_only_what_is_new_is_told() -> None:
    desk = Desk(NOON, not_covered=["035420"], rules=with_rules("035420"))
    assert len(desk.run(60, up())) == 1
    desk.monitor.reload(with_rules("035420", "005380"), ["035420", "005380"])
    (notice,) = desk.run(600, up())
    assert "No registration left for 1: 005380" in notice.message
    assert "Rules concerned (1): those" in notice.message
    desk.monitor.reload(with_rules("005380", "035420"), ["005380", "035420"])
    assert desk.run(600, up()) == []


@pytest.mark.parametrize("named", [True, False], ids=["it got room", "nobody named it"])
def test_what_got_room_and_lost_it_again_is_told_again(named: bool) -> None:
    desk = Desk(NOON, not_covered=["035420"], rules=with_rules("035420"))
    desk.run(60, up())
    desk.monitor.reload(with_rules(*["035420"] * named), [])
    assert desk.run(60, up()) == []
    desk.monitor.reload(with_rules("035420"), ["035420"])
    assert kinds(desk.run(60, up())) == ["symbols-missing"]


def test_what_the_broker_left_out_is_not_told_again_because_of_a_reload() -> None:
    desk = Desk(NOON)
    left_out = replace(up(), left_out=("000660",))
    assert kinds(desk.run(60, left_out)) == ["symbols-missing"]
    desk.monitor.reload(with_rules("035420"), [])
    assert desk.run(60, left_out) == []
    desk.run(60, up())
    desk.monitor.reload(with_rules("035420"), [])
    assert kinds(desk.run(60, left_out)) == ["symbols-missing"]


def test_a_rejected_one_is_told_again_only_when_it_is_named_anew() -> None:
    desk = Desk(NOON, rules=with_rules("035420"))
    rejected = up(rejected=(("035420", "OPSP8991"),))
    assert len(desk.run(60, rejected)) == 1
    desk.monitor.reload(with_rules("035420", "005380"), [])
    assert desk.run(60, rejected) == []
    desk.monitor.reload(with_rules(), [])
    assert desk.run(60, up()) == []
    desk.monitor.reload(with_rules("035420"), [])
    assert len(desk.run(60, rejected)) == 1


def test_a_ghost_is_told_once_a_date_however_often_rules_are_saved() -> None:
    desk = Desk(NOON, rules=with_rules())
    assert len(desk.run(60, up(ghosts=("005930",)))) == 1
    desk.monitor.reload([], [])
    desk.run(60, up())
    desk.monitor.reload(with_rules(), [])
    assert desk.run(60, up(ghosts=("005930",))) == []


def test_after_a_reload_incidents_name_the_rules_that_are_there_now() -> None:
    desk = Desk(NOON)
    desk.monitor.reload([rule("new", "005930"), rule("switched off", "005930", enabled=False)], [])
    (lost,) = desk.run(60, feed(down=NOON, ending=Ending.LOST))
    assert "Rules that cannot be judged (1): new" in lost.message
