"""Outages: what is told of a lost feed, when, and how often."""

import logging
from dataclasses import replace

import pytest
from incident_stage import FRIDAY, Desk, at, feed, kinds

from engine.delivery.notice import Notice
from engine.incidents.outage import is_hopeless
from engine.kis.backoff import Ending
from engine.kis.status import Phase
from engine.kst import DAY_NS, SECOND_NS
from engine.rules.model import Severity
from engine.session import Hours

ALWAYS = Hours(0, DAY_NS)
NOON = at("12:00")
LOST = Ending.LOST
HOUR_NS = 3600 * SECOND_NS
LASTING_S = 190
"""For so long a key in use, or a refused one, may heal by itself."""


def lost_since(since: int, ending: Ending | None = LOST, account: str = "main") -> Desk:
    desk = Desk(since)
    desk.run(11, feed(account, down=since, ending=ending))
    return desk


def test_an_outage_is_told_after_ten_seconds_and_when_it_is_over() -> None:
    desk = Desk(NOON)
    assert desk.run(10, feed(down=NOON, ending=LOST)) == []
    (lost,) = desk.run(60, feed(down=NOON, ending=LOST))
    assert (lost.kind, lost.severity, lost.at, lost.notify) == (
        "feed-lost", Severity.CRITICAL, NOON + 10 * SECOND_NS, ("terminal",),
    )  # fmt: skip
    up = desk.now
    assert desk.run(10, feed(up=up)) == []
    (back,) = desk.run(600, feed(up=up))
    assert (back.kind, back.severity, back.at) == ("feed-back", Severity.INFO, up + 10 * SECOND_NS)
    assert "down for 1 min 10 s, from 12:00:00 to 12:01:10" in back.message


def test_a_short_outage_is_nobody_s_business() -> None:
    desk = Desk(NOON)
    assert desk.run(9, feed(down=NOON, ending=LOST)) == []
    assert desk.run(600, feed(up=desk.now)) == []


def test_connected_without_one_symbol_confirmed_is_not_back() -> None:
    """The feed was settled, with nothing: "Feed back" came, and then nothing more."""
    desk = lost_since(NOON)
    mute = replace(feed(up=desk.now), subscribed=(), unanswered=("005930", "000660"))
    assert "feed-back" not in kinds(desk.run(600, mute))
    assert "feed-back" in kinds(desk.run(60, feed(up=desk.now)))


def test_connected_and_never_anything_confirmed_is_an_outage() -> None:
    desk = Desk(NOON)
    mute = replace(feed(up=NOON), subscribed=(), unanswered=("005930", "000660"))
    assert "feed-lost" in kinds(desk.run(30, mute))


def test_a_start_is_not_the_end_of_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk(NOON)
    desk.run(3, feed(down=NOON))
    desk.run(30, feed(up=desk.now))
    assert "outage" not in caplog.text


def test_a_loss_soon_after_the_start_is_a_loss_and_not_a_start_that_takes_long() -> None:
    """It said "nothing received since" the start of the daemon, though there had been data for four seconds."""
    desk = Desk(NOON)
    desk.run(1, feed(down=NOON))
    desk.run(4, feed(up=desk.now))
    lost_at = desk.now
    (lost,) = desk.run(30, feed(down=lost_at, ending=LOST))
    assert lost.at == lost_at + 10 * SECOND_NS
    assert "nothing received since 12:00:05 (10 s). The connection was lost." in lost.message
    assert "come and gone" not in lost.message
    (back,) = desk.run(11, feed(up=desk.now))  # the first loss of the hour
    assert "was down for 30 s, from 12:00:05 to 12:00:35" in back.message


def test_a_feed_that_comes_and_goes_says_since_when_and_what_it_last_lost() -> None:
    desk = Desk(NOON)
    told = []
    for _ in range(3):
        told += desk.run(6, feed(down=desk.now, ending=LOST))
        told += desk.run(6, feed(up=desk.now))
    (lost,) = told
    assert "nothing received since 12:00:12 (0 s). The connection was lost." in lost.message
    assert "It has come and gone since 12:00:00." in lost.message
    (back,) = desk.run(700, feed(up=desk.now))
    assert "came and went for" in back.message


def test_subscribing_is_not_up() -> None:
    """Connected, but without all answers: the outage goes on from where it began."""
    desk = Desk(NOON)
    desk.run(5, feed(down=NOON, ending=LOST))
    (lost,) = desk.run(30, feed(down=NOON, ending=LOST, phase=Phase.SUBSCRIBING))
    assert lost.at == NOON + 10 * SECOND_NS


def test_a_loss_before_it_was_back_for_good_is_the_same_outage() -> None:
    desk = lost_since(NOON)
    desk.run(5, feed(up=desk.now))
    again = desk.now
    assert desk.run(60, feed(down=again, ending=LOST)) == []
    up = desk.now
    assert kinds(desk.run(20, feed(up=up))) == []  # the second loss of the hour: it takes 20 s
    (back,) = desk.run(1, feed(up=up))
    assert "from 12:00:00 to 12:01:16" in back.message


def test_a_flap_that_is_seen_only_by_its_new_start_begins_the_wait_anew() -> None:
    desk = lost_since(NOON)
    first = desk.now
    desk.run(8, feed(up=first))
    second = desk.now  # lost and back between two looks
    assert desk.run(10, feed(up=second)) == []
    assert kinds(desk.run(1, feed(up=second))) == ["feed-back"]


def test_a_later_outage_is_a_new_one() -> None:
    desk = lost_since(NOON)
    desk.run(2 * 3600, feed(up=desk.now))
    again = desk.now
    (lost,) = desk.run(11, feed(down=again, ending=LOST))
    assert lost.at == again + 10 * SECOND_NS
    assert "nothing received since 14:00:11" in lost.message
    assert kinds(desk.notices) == ["feed-lost", "feed-back", "feed-lost"]


@pytest.mark.parametrize(("losses", "stay"), [(1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (16, 600)])
def test_each_loss_within_the_hour_doubles_the_time_to_be_back(losses: int, stay: int) -> None:
    desk = Desk(NOON)
    for _ in range(losses - 1):
        desk.run(1, feed(down=desk.now, ending=LOST))
        desk.run(1, feed(up=desk.now))
    desk.run(15, feed(down=desk.now, ending=LOST))
    up = desk.now
    (back,) = desk.run(1000, feed(up=up))
    assert back.at == up + stay * SECOND_NS


@pytest.mark.parametrize(("down_s", "up_s"), [(1, 1), (5, 8), (11, 11), (11, 21), (30, 30), (11, 100), (60, 600)])
def test_a_flapping_feed_does_not_chatter(down_s: int, up_s: int) -> None:
    desk = Desk(NOON, ALWAYS)
    while desk.now < NOON + 3 * HOUR_NS:
        desk.run(down_s, feed(down=desk.now, ending=LOST))
        desk.run(up_s, feed(up=desk.now))
    assert most_within_an_hour(desk.notices) <= 12


def test_not_even_the_worst_feed_chatters() -> None:
    """It fails in the very moment in which it would be told of, and again as soon as it counted as back."""
    desk = Desk(NOON, ALWAYS)
    while desk.now < NOON + 3 * HOUR_NS:
        down = desk.now
        while "feed-lost" not in kinds(desk.run(1, feed(down=down, ending=LOST))):
            pass
        up = desk.now
        while "feed-back" not in kinds(desk.run(1, feed(up=up))):
            pass
    assert 12 < most_within_an_hour(desk.notices) <= 21


def test_not_even_the_worst_feed_with_the_worst_causes_chatters() -> None:
    desk = Desk(NOON, ALWAYS)
    while desk.now < NOON + 6 * HOUR_NS:
        down = desk.now
        desk.run(11, feed(down=down, ending=LOST))
        desk.run(1, feed(down=down, ending=Ending.CREDENTIALS))
        desk.run(LASTING_S + 1, feed(down=down, ending=Ending.IN_USE))
        desk.run(LASTING_S + 1, feed(down=down, ending=Ending.KEY_REFUSED))
        up = desk.now
        while "feed-back" not in kinds(desk.run(1, feed(up=up))):
            pass
    assert 6 <= kinds(desk.notices).count("feed-refused") <= 7
    assert most_within_an_hour(desk.notices) <= 24


def most_within_an_hour(notices: list[Notice]) -> int:
    times = [notice.at for notice in notices]
    return max((sum(t <= other < t + HOUR_NS for other in times) for t in times), default=0)


@pytest.mark.parametrize(
    ("since", "told"),
    [
        (at("08:00"), at("08:50")),  # ten minutes before the open
        (at("08:30", FRIDAY - 1), at("09:50", FRIDAY - 1)),  # on an exam day
        (at("15:29:55"), at("08:50", FRIDAY + 3)),  # over the weekend until Monday
        (at("10:00", FRIDAY + 1), at("08:50", FRIDAY + 3)),
    ],
)
def test_outside_the_session_nobody_is_woken(since: int, told: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    desk = Desk(since)
    down = feed(down=since, ending=LOST)
    assert desk.until(min(told, since + 3 * HOUR_NS), down) == []
    assert caplog.text.count("outage outside the session account=main") == 1
    desk.now = told - SECOND_NS
    (lost,) = desk.run(60, down)
    assert (lost.kind, lost.at) == ("feed-lost", told)


@pytest.mark.parametrize("since", [at("08:49:55"), at("15:29:49")])
def test_at_the_edges_of_the_session(since: int, caplog: pytest.LogCaptureFixture) -> None:
    (lost,) = Desk(since).run(60, feed(down=since, ending=LOST))
    assert lost.at == since + 10 * SECOND_NS
    assert "outside" not in caplog.text


def test_what_nobody_was_told_of_ends_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk(at("20:00"))
    desk.run(3600, feed(down=desk.now, ending=LOST))
    assert desk.run(60, feed(up=desk.now)) == []
    assert "outage over account=main seconds=3600 told=False" in caplog.text


def test_the_end_of_what_was_told_is_told_at_any_hour() -> None:
    desk = lost_since(at("15:29"))
    desk.until(at("17:00"), feed(down=at("15:29"), ending=LOST))
    assert kinds(desk.run(60, feed(up=desk.now))) == ["feed-back"]


@pytest.mark.parametrize(
    ("ending", "seconds"), [(Ending.CREDENTIALS, 0), (Ending.KEY_REFUSED, LASTING_S), (Ending.IN_USE, LASTING_S)]
)
def test_what_a_person_must_mend_is_told_at_any_hour(ending: Ending, seconds: int) -> None:
    night = at("03:00", FRIDAY + 1)
    desk = Desk(night)
    assert desk.run(seconds, feed(down=night, ending=ending)) == []
    assert kinds(desk.run(1, feed(down=night, ending=ending))) == ["feed-lost"]
    assert desk.run(600, feed(down=night, ending=ending)) == []


def test_our_own_slot_that_the_broker_still_keeps_wakes_nobody() -> None:
    """After an unclean end the first reconnects, 60 and 180 s later, met OPSP8996, and that was told at 3 o'clock."""
    night = at("03:00")
    desk = Desk(night)
    desk.run(4, feed(down=night, ending=LOST))
    for wait_s in (60, 120):
        desk.run(1, feed(down=night, ending=LOST, phase=Phase.SUBSCRIBING))
        desk.run(1, feed(down=night, ending=LOST, phase=Phase.ENDING))
        desk.run(wait_s, feed(down=night, ending=Ending.IN_USE))
    desk.run(4, feed(down=night, ending=Ending.IN_USE, phase=Phase.SUBSCRIBING))
    desk.run(60, feed(up=desk.now))
    assert desk.notices == []


def test_while_it_tries_again_nobody_is_woken() -> None:
    night = at("03:00")
    desk = Desk(night)
    desk.run(180, feed(down=night, ending=Ending.IN_USE))
    assert desk.run(30, feed(down=night, ending=Ending.IN_USE, phase=Phase.CONNECTING)) == []
    assert kinds(desk.run(1, feed(down=night, ending=Ending.IN_USE))) == ["feed-lost"]


def test_in_the_session_a_key_in_use_is_told_as_any_outage() -> None:
    (lost,) = Desk(NOON).run(600, feed(down=NOON, ending=Ending.IN_USE))
    assert lost.at == NOON + 10 * SECOND_NS
    assert "or the broker has not yet released our own last connection" in lost.message


def test_a_new_loss_or_another_ending_begins_the_three_minutes_anew() -> None:
    night = at("03:00")
    desk = Desk(night)
    desk.run(180, feed(down=night, ending=Ending.IN_USE))
    desk.run(10, feed(down=night, ending=Ending.KEY_REFUSED))
    desk.run(180, feed(down=night, ending=Ending.IN_USE))
    desk.run(5, feed(up=desk.now))
    desk.run(180, feed(down=desk.now, ending=Ending.IN_USE))
    assert desk.notices == []


@pytest.mark.parametrize("ending", [Ending.LOST, Ending.SILENT, Ending.TOO_OFTEN, None])
def test_what_time_may_mend_waits(ending: Ending | None) -> None:
    night = at("03:00")
    assert Desk(night).run(600, feed(down=night, ending=ending)) == []
    assert Desk(NOON).run(10, feed(down=NOON, ending=ending)) == []


def test_the_last_ending_but_one_is_not_this_one_s_cause() -> None:
    """Just lost, and still closing: the last ending is yesterday's."""
    night = at("03:00")
    assert Desk(night).run(5, feed(down=night, ending=Ending.CREDENTIALS, phase=Phase.ENDING)) == []


def test_a_feed_that_comes_and_goes_is_told_with_the_cause_of_this_loss() -> None:
    """It was told while it still closed, with the ending of the loss before."""
    desk = Desk(NOON)
    desk.run(4, feed(down=NOON, ending=Ending.TOO_OFTEN))
    desk.run(7, feed(up=desk.now))
    down = desk.now
    assert desk.run(3, feed(down=down, ending=Ending.TOO_OFTEN, phase=Phase.ENDING)) == []
    (lost,) = desk.run(1, feed(down=down, ending=LOST))
    assert "The connection was lost." in lost.message


def test_credentials_refused_in_an_earlier_run_are_told_at_once() -> None:
    night = at("03:00")
    (lost,) = Desk(night).run(60, feed(down=night, refused=True))
    assert "refuses the app key or secret" in lost.message


@pytest.mark.parametrize("first", [Ending.LOST, Ending.IN_USE, Ending.KEY_REFUSED])
def test_refused_credentials_are_told_also_of_what_was_told(first: Ending) -> None:
    desk = lost_since(NOON, first)
    (refused,) = desk.run(600, feed(down=NOON, ending=Ending.CREDENTIALS, refused=True, error="EGW00103"))
    assert (refused.kind, refused.severity) == ("feed-refused", Severity.CRITICAL)
    assert "EGW00103" in refused.message


@pytest.mark.parametrize(
    ("ending", "kind", "title"),
    [
        (Ending.IN_USE, "feed-in-use", "App key in use: main"),
        (Ending.KEY_REFUSED, "feed-key-refused", "Approval key refused: main"),
    ],
)
def test_a_loss_that_turns_out_to_be_a_key_in_use_is_told_as_such(ending: Ending, kind: str, title: str) -> None:
    """Who was told "connection lost" waited, while another program had the key."""
    desk = lost_since(NOON)
    assert desk.run(LASTING_S, feed(down=NOON, ending=ending)) == []
    (cause,) = desk.run(1200, feed(down=NOON, ending=ending))
    assert (cause.kind, cause.severity) == (kind, Severity.CRITICAL)
    assert cause.title == f"🚨 pgmwatch · {title}"
    assert "Rules that cannot be judged (2): samsung, both" in cause.message
    desk.run(600, feed(down=NOON, ending=LOST))
    assert desk.run(600, feed(down=NOON, ending=ending)) == []  # once an outage


def test_a_cause_that_was_told_from_the_start_is_not_told_again() -> None:
    desk = lost_since(NOON, Ending.IN_USE)
    assert desk.run(1200, feed(down=NOON, ending=Ending.IN_USE)) == []


def test_a_cause_that_does_not_last_is_no_news() -> None:
    desk = lost_since(NOON)
    for ending in (Ending.IN_USE, Ending.KEY_REFUSED, Ending.TOO_OFTEN, Ending.LOST):
        assert desk.run(60, feed(down=NOON, ending=ending)) == []


def test_after_a_restart_the_start_of_the_feed_is_when_it_began() -> None:
    desk = Desk(NOON)
    (lost,) = desk.run(30, feed(down=NOON))
    assert "There has been no connection since the start." in lost.message


def test_a_start_that_was_told_to_take_long_is_over_only_when_it_stays_up() -> None:
    desk = Desk(NOON)
    desk.run(20, feed(down=NOON))
    up = desk.now
    (back,) = desk.run(60, feed(up=up))
    assert back.at == up + 10 * SECOND_NS


def test_every_night_outage_is_logged_and_not_the_first_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    desk = Desk(at("20:00"))
    for _ in range(2):
        desk.run(60, feed(down=desk.now, ending=LOST))
        desk.run(3600, feed(up=desk.now))
    assert caplog.text.count("outage outside the session") == 2


def test_refused_credentials_say_when_they_are_asked_about_next() -> None:
    desk = Desk(NOON)
    (lost,) = desk.run(1, feed(down=NOON, refused=True, next_attempt=at("12:05")))
    assert "asked about them again at 12:05:00. Once mended, they are tried at once after a restart." in lost.message
    (other,) = Desk(NOON).run(11, feed(down=NOON, ending=LOST, next_attempt=at("12:05")))
    assert "12:05:00" not in other.message


def test_credentials_that_never_were_right_are_asked_about_no_more() -> None:
    """The daemon ends: that it asks again at some time would be wrong."""
    down = replace(feed(down=NOON, refused=True, next_attempt=at("12:05")), approved=False)
    (lost,) = Desk(NOON).run(1, down)
    assert "12:05:00" not in lost.message
    assert "tried at once after a restart" in lost.message
    (one,) = Desk(NOON).run(1, down, feed("other", up=NOON))
    assert "12:05:00" in one.message


def test_what_was_stopped_is_no_outage() -> None:
    desk = Desk(NOON)
    assert desk.run(60, feed(down=NOON, ending=LOST, phase=Phase.STOPPED)) == []


def test_outages_of_one_look_are_one_notice_and_so_are_their_ends() -> None:
    desk = Desk(NOON)
    later = NOON + 3 * SECOND_NS
    (lost,) = desk.run(60, feed("a", down=NOON, ending=LOST), feed("b", down=later, ending=LOST))
    assert lost.title == "🚨 pgmwatch · Feed lost: a, b"
    assert (lost.message.count("a: nothing"), lost.message.count("b: nothing")) == (1, 1)
    up = desk.now
    (back,) = desk.run(60, feed("a", up=up), feed("b", up=up))
    assert back.title == "✅ pgmwatch · Feed back: a, b"


def test_one_account_of_several() -> None:
    desk = Desk(NOON)
    fine = feed("b", up=NOON, symbols=("000660",))
    (lost,) = desk.run(60, feed("a", down=NOON, ending=LOST, symbols=("005930",)), fine)
    assert lost.title == "🚨 pgmwatch · Feed lost: a"
    assert "000660" not in lost.message


def test_a_night_outage_is_not_told_along_with_another_s_refusal() -> None:
    night = at("03:00")
    (lost,) = Desk(night).run(60, feed("a", down=night, ending=LOST), feed("b", down=night, ending=Ending.CREDENTIALS))
    assert lost.title == "🚨 pgmwatch · Feed lost: b"


def test_a_simulated_market_is_watched_around_the_clock() -> None:
    night = at("03:00", FRIDAY + 1)
    assert kinds(Desk(night, ALWAYS).run(11, feed(down=night, ending=LOST))) == ["feed-lost"]


# -- without symbols

IDLE = feed(symbols=(), phase=Phase.IDLE)


def test_a_feed_without_symbols_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    assert Desk(at("08:00")).run(12 * 3600, IDLE) == []
    assert not caplog.records


def test_an_outage_of_what_nobody_wants_any_more_ends_without_a_word_and_the_next_is_one_of_its_own() -> None:
    """Nothing has come back, so nothing is said to be; and what is missed later began later."""
    desk = lost_since(NOON)
    assert desk.run(3600, IDLE) == []
    down = desk.now
    assert desk.run(10, feed(down=down)) == []
    (lost,) = desk.run(60, feed(down=down))
    assert "nothing received since 13:00:11" in lost.message
    (back,) = desk.run(60, feed(up=desk.now))
    assert "from 13:00:11" in back.message


def test_one_without_symbols_has_no_part_in_whether_there_is_any_hope() -> None:
    refused = replace(
        feed(down=NOON, ending=Ending.CREDENTIALS, refused=True, next_attempt=NOON + HOUR_NS), approved=False
    )
    idle = replace(IDLE, account="second", approved=False)
    assert is_hopeless([refused, idle])
    assert not is_hopeless([idle])
    assert not is_hopeless([])
    assert not is_hopeless([refused, replace(refused, approved=True)])
    (lost,) = Desk(NOON).run(60, refused, idle)
    assert "asked about them again at" not in lost.message


def test_one_that_is_exchanged_for_one_that_is_not_confirmed_is_missed_since_then() -> None:
    """Not since the connection was made, hours before."""
    desk = Desk(NOON)
    desk.run(3600, feed(up=NOON, symbols=("005930",)))
    mute = replace(feed(up=NOON, symbols=("000660",)), subscribed=(), unanswered=("000660",))
    (lost,) = desk.run(60, mute)
    assert lost.kind == "feed-lost"
    assert "nothing received since 12:59:59" in lost.message
