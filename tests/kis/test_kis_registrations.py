"""Who is asked when, and what the answers do."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from engine.kis.protocol import Ack, AckKind
from engine.kis.registrations import ACK_TIMEOUT_NS, LINGER_NS, OVERLAP, QUICK_ASKS, Registrations, Standing
from engine.kst import SECOND_NS

TR = "H0STPGM0"
SYMBOLS = [f"{n:06d}" for n in range(20)]


def ack(kind: AckKind, symbol: str | None) -> Ack:
    return Ack(kind, "CODE", TR, symbol, "")


def some(symbols: Sequence[str], rejected: Sequence[str] = (), capacity: int = 41) -> Registrations:
    return Registrations(symbols, rejected, capacity=capacity)


def asked(registrations: Registrations, now: int = 0) -> list[str]:
    """Ask for all that may be asked now."""
    found = []
    while (symbol := registrations.due(now)) is not None:
        registrations.asked(symbol, now)
        found.append(symbol)
    return found


def opened(symbols: list[str] = SYMBOLS) -> Registrations:
    """The first is up, so that requests may overlap."""
    registrations = some(symbols)
    registrations.asked(symbols[0], 0)
    registrations.answered(ack(AckKind.SUBSCRIBED, symbols[0]), 0)
    return registrations


def test_one_late_answer_keeps_nobody_from_being_up() -> None:
    """All others traded, and after ten seconds the feed was told to be lost, because of one lost acknowledgement."""
    registrations = opened(SYMBOLS[:3])
    assert asked(registrations) == SYMBOLS[1:3]
    registrations.answered(ack(AckKind.SUBSCRIBED, SYMBOLS[1]), 0)
    assert not registrations.settled
    assert asked(registrations, ACK_TIMEOUT_NS) == SYMBOLS[2:3]
    assert registrations.settled
    assert registrations.unanswered == ()  # not yet: it is asked for a third time


def test_where_nothing_is_up_a_late_answer_is_waited_for() -> None:
    registrations = some(SYMBOLS[:1])
    for n in range(QUICK_ASKS):
        assert asked(registrations, n * ACK_TIMEOUT_NS) == SYMBOLS[:1]
        assert not registrations.settled
    registrations.due(QUICK_ASKS * ACK_TIMEOUT_NS)
    assert registrations.settled


def test_one_request_until_the_first_answer_then_several() -> None:
    registrations = some(SYMBOLS)
    assert asked(registrations) == SYMBOLS[:1]
    change = registrations.answered(ack(AckKind.SUBSCRIBED, SYMBOLS[0]), 0)
    assert change == (SYMBOLS[0], Standing.UP)
    assert asked(registrations) == SYMBOLS[1 : 1 + OVERLAP]
    registrations.answered(ack(AckKind.SUBSCRIBED, SYMBOLS[3]), 0)
    assert asked(registrations) == [SYMBOLS[1 + OVERLAP]]


def test_no_answer_is_asked_again_a_few_times_and_then_rarely() -> None:
    registrations = some(["000001"])
    times = []
    for second in range(3600):
        if registrations.due(second * SECOND_NS):
            registrations.asked("000001", second * SECOND_NS)
            times.append(second)
    assert times[:QUICK_ASKS] == [0, 3, 6]
    assert [later - earlier for earlier, later in pairwise(times[2:])][:4] == [33, 63, 123, 303]
    assert len(times) < 13


def test_one_without_an_answer_does_not_hold_up_the_others() -> None:
    registrations = some(SYMBOLS)
    asked(registrations)
    assert asked(registrations, ACK_TIMEOUT_NS) == SYMBOLS[1:2]


def test_a_late_answer_counts() -> None:
    registrations = some(SYMBOLS[:2])
    asked(registrations)
    asked(registrations, ACK_TIMEOUT_NS)
    assert registrations.answered(ack(AckKind.SUBSCRIBED, SYMBOLS[0]), ACK_TIMEOUT_NS).standing is Standing.UP


def test_data_is_as_good_as_an_answer_but_only_for_what_was_asked() -> None:
    registrations = some(SYMBOLS[:2])
    asked(registrations)
    assert registrations.heard(SYMBOLS[0])
    assert not registrations.heard(SYMBOLS[0])
    assert not registrations.heard(SYMBOLS[1])
    assert not registrations.heard("999999")
    assert registrations.up == (SYMBOLS[0],)


def test_an_answer_without_a_symbol_belongs_to_the_only_request() -> None:
    registrations = some(SYMBOLS)
    asked(registrations)
    assert registrations.answered(ack(AckKind.REJECTED_SYMBOL, None), 0) == (SYMBOLS[0], Standing.REJECTED)


def test_where_it_could_belong_to_several_nobody_is_blamed_and_requests_stop_overlapping() -> None:
    registrations = opened()
    outstanding = asked(registrations)
    assert registrations.answered(ack(AckKind.REJECTED_SYMBOL, None), 0) == (None, None)
    assert registrations.having(Standing.REJECTED) == ()
    for symbol in outstanding[:-2]:
        registrations.answered(ack(AckKind.SUBSCRIBED, symbol), 0)
    assert asked(registrations, 0) == []
    assert len(asked(registrations, ACK_TIMEOUT_NS)) == 1


def test_rejected_ones_are_never_asked_again() -> None:
    registrations = some(SYMBOLS[:2], rejected=[SYMBOLS[0], "999999"])
    assert asked(registrations) == SYMBOLS[1:2]
    registrations.answered(ack(AckKind.REJECTED_SYMBOL, SYMBOLS[1]), 0)
    assert asked(registrations, 10**15) == []
    assert registrations.settled


def test_over_the_limit_nothing_is_added_any_more() -> None:
    registrations = opened()
    first, second, *_ = asked(registrations)
    registrations.answered(ack(AckKind.OVER_LIMIT, first), 0)
    assert first in registrations.having(Standing.LEFT_OUT)
    registrations.answered(ack(AckKind.SUBSCRIBED, second), 0)  # asked before: may have been in time
    assert asked(registrations, ACK_TIMEOUT_NS) == []
    assert registrations.up == (SYMBOLS[0], second)
    assert len(registrations.having(Standing.LEFT_OUT)) == len(SYMBOLS) - 2
    assert registrations.settled


@pytest.mark.parametrize("kind", [AckKind.SERVER_FAILURE, AckKind.MALFORMED_REQUEST])
def test_after_a_failure_it_is_asked_again_later(kind: AckKind) -> None:
    registrations = some(["000001"])
    asked(registrations)
    assert registrations.answered(ack(kind, "000001"), 0).standing is Standing.WAITING
    assert registrations.settled
    assert registrations.due(29 * SECOND_NS) is None
    assert registrations.next_due() == 30 * SECOND_NS
    assert registrations.due(30 * SECOND_NS) == "000001"


@pytest.mark.parametrize("kind", [AckKind.REJECTED_SYMBOL, AckKind.SERVER_FAILURE, AckKind.OVER_LIMIT, AckKind.UNKNOWN])
def test_a_second_opinion_does_not_take_down_what_is_up(kind: AckKind) -> None:
    registrations = opened(["000001"])
    assert registrations.answered(ack(kind, "000001"), 0).standing is None
    assert registrations.up == ("000001",)


def test_unsubscribing_empties_what_is_registered_and_late_data_does_not_fill_it() -> None:
    registrations = opened(SYMBOLS[:3])
    asked(registrations)
    assert registrations.registered == tuple(SYMBOLS[:3])  # the unanswered ones may be registered as well
    registrations.leave()
    for symbol in SYMBOLS[:3]:
        registrations.answered(ack(AckKind.UNSUBSCRIBED, symbol), 0)
    assert not registrations.heard(SYMBOLS[0])
    assert registrations.registered == ()


def test_answers_about_others_change_nothing() -> None:
    registrations = some(SYMBOLS[:1])
    asked(registrations)
    assert registrations.answered(ack(AckKind.SUBSCRIBED, "999999"), 0) == (None, None)
    assert registrations.up == ()


# -- the end


def leaving(symbols: list[str] = SYMBOLS[:3]) -> Registrations:
    registrations = opened(symbols)
    for symbol in symbols[1:]:
        registrations.asked(symbol, 0)
        registrations.answered(ack(AckKind.SUBSCRIBED, symbol), 0)
    registrations.leave()
    for symbol in symbols:
        registrations.let_go(symbol, 0)
    return registrations


def test_goodbyes_without_a_header_count_for_the_oldest_each() -> None:
    """They counted for nobody, and the end waited its five seconds."""
    registrations = leaving()
    for left in (SYMBOLS[1:3], SYMBOLS[2:3], []):
        assert registrations.answered(ack(AckKind.UNSUBSCRIBED, None), 0).standing is Standing.ENDED
        assert list(registrations.registered) == left
    assert registrations.answered(ack(AckKind.UNSUBSCRIBED, None), 0) == (None, None)


def test_a_goodbye_that_was_answered_by_name_is_not_the_oldest_any_more() -> None:
    registrations = leaving()
    registrations.answered(ack(AckKind.UNSUBSCRIBED, SYMBOLS[0]), 0)
    assert registrations.answered(ack(AckKind.UNSUBSCRIBED, None), 0).symbol == SYMBOLS[1]


@pytest.mark.parametrize("kind", [AckKind.SERVER_FAILURE, AckKind.MALFORMED_REQUEST, AckKind.UNKNOWN])
def test_a_goodbye_that_fails_is_not_waited_for(kind: AckKind) -> None:
    registrations = leaving(SYMBOLS[:1])
    registrations.answered(ack(kind, SYMBOLS[0]), 0)
    assert registrations.registered == ()


def test_an_acknowledgement_that_comes_during_the_goodbye_does_not_end_the_wait() -> None:
    registrations = leaving(SYMBOLS[:1])
    registrations.answered(ack(AckKind.SUBSCRIBED, SYMBOLS[0]), 0)
    assert registrations.registered == (SYMBOLS[0],)


# -- renewing


def renewed() -> Registrations:
    registrations = opened(SYMBOLS[:1])
    registrations.renew(SYMBOLS[0])
    assert registrations.due(0) == SYMBOLS[0]
    assert registrations.is_renewal(SYMBOLS[0])
    assert registrations.is_repeat(SYMBOLS[0])
    registrations.let_go(SYMBOLS[0], 0)
    return registrations


@pytest.mark.parametrize("symbol", [SYMBOLS[0], None])
@pytest.mark.parametrize("kind", [AckKind.UNSUBSCRIBED, AckKind.SERVER_FAILURE])
def test_renewed_it_is_unsubscribed_and_then_asked_for_anew(kind: AckKind, symbol: str | None) -> None:
    registrations = renewed()
    assert registrations.due(0) is None
    assert registrations.up == ()
    assert registrations.answered(ack(kind, symbol), 0) == (SYMBOLS[0], Standing.WAITING)
    assert asked(registrations) == SYMBOLS[:1]
    assert registrations.answered(ack(AckKind.SUBSCRIBED, symbol), 0) == (SYMBOLS[0], Standing.UP)


def test_without_an_answer_it_is_asked_for_all_the_same() -> None:
    registrations = renewed()
    assert registrations.next_due() == ACK_TIMEOUT_NS
    assert asked(registrations, ACK_TIMEOUT_NS) == SYMBOLS[:1]


def test_what_comes_before_the_unsubscription_took_place_does_not_bring_it_up() -> None:
    registrations = renewed()
    assert not registrations.heard(SYMBOLS[0])
    assert registrations.answered(ack(AckKind.SUBSCRIBED, SYMBOLS[0]), 0).standing is None
    assert registrations.registered == (SYMBOLS[0],)  # should it end now, it is unsubscribed once more


def test_only_what_is_up_is_renewed_and_what_is_spared_is_not() -> None:
    registrations = some(SYMBOLS[:1])
    registrations.renew(SYMBOLS[0])
    assert not registrations.is_renewal(SYMBOLS[0])
    registrations = opened(SYMBOLS[:1])
    registrations.renew(SYMBOLS[0])
    registrations.spare(SYMBOLS[0])
    assert registrations.due(0) is None
    assert registrations.up == (SYMBOLS[0],)


# -- a broker that fails everything, and requests that are used up


def asks_of(registrations: Registrations, seconds: int, *, kind: AckKind | None, start: int = 0) -> list[int]:
    """Seconds at which there was a request; each is answered at once, or never."""
    times = []
    for second in range(start, start + seconds):
        while (symbol := registrations.due(second * SECOND_NS)) is not None:
            registrations.asked(symbol, second * SECOND_NS)
            times.append(second)
            if kind is not None:
                registrations.answered(ack(kind, symbol), second * SECOND_NS)
    return times


@pytest.mark.parametrize("kind", [AckKind.SERVER_FAILURE, None])
def test_where_all_fail_one_asks_for_all_and_when_it_is_answered_all_ask(kind: AckKind | None) -> None:
    """Forty-one symbols asked four hundred times in the first hour of a broker that answered none of them."""
    registrations = some(SYMBOLS)
    times = asks_of(registrations, 3600, kind=kind)
    assert len(times) <= len(SYMBOLS) + OVERLAP + 32
    assert max(later - earlier for earlier, later in pairwise(times)) <= 123
    assert registrations.settled
    healed = asks_of(registrations, 130, kind=AckKind.SUBSCRIBED, start=3600)
    assert len(healed) == len(SYMBOLS)
    assert len(set(healed)) <= 2  # the one, and then all at once
    assert len(registrations.up) == len(SYMBOLS)


def test_some_that_fail_do_not_hold_up_first_requests() -> None:
    registrations = some(SYMBOLS)
    for symbol in SYMBOLS[:OVERLAP]:
        registrations.asked(symbol, 0)
        registrations.answered(ack(AckKind.SERVER_FAILURE, symbol), 0)
    assert registrations.due(0) == SYMBOLS[OVERLAP]


def test_postponed_requests_count_as_unanswered_and_first_ones_go_on() -> None:
    registrations = some(SYMBOLS[:2])
    asked(registrations)
    asked(registrations, ACK_TIMEOUT_NS)
    later = 2 * ACK_TIMEOUT_NS
    assert registrations.due(later) == SYMBOLS[0]
    registrations.postpone(later + 10)
    assert registrations.unanswered == (SYMBOLS[0], SYMBOLS[1])
    assert registrations.settled
    assert registrations.due(later) is None
    assert registrations.next_due() == later + 10
    assert registrations.due(later + 10) == SYMBOLS[0]
    assert some(SYMBOLS[:1]).unanswered == ()


def test_postponed_renewals_wait_as_well() -> None:
    registrations = opened(SYMBOLS[:1])
    registrations.renew(SYMBOLS[0])
    registrations.postpone(10)
    assert registrations.due(9) is None
    assert registrations.next_due() == 10
    assert registrations.due(10) == SYMBOLS[0]


def test_full_of_unanswered_questions_it_waits_for_an_answer_and_does_not_look_each_millisecond() -> None:
    registrations = some(SYMBOLS)
    asked(registrations)
    assert registrations.next_due() == ACK_TIMEOUT_NS


def test_a_ghost_that_the_broker_lets_go_by_itself_is_not_unsubscribed_once_more() -> None:
    registrations = opened(SYMBOLS[:2])
    registrations.renew(SYMBOLS[0])
    assert registrations.answered(ack(AckKind.UNSUBSCRIBED, SYMBOLS[0]), 0).standing is Standing.WAITING
    assert not registrations.is_renewal(SYMBOLS[0])
    assert asked(registrations, 30 * SECOND_NS) == [SYMBOLS[1], SYMBOLS[0]]
    registrations.answered(ack(AckKind.SUBSCRIBED, SYMBOLS[0]), 30 * SECOND_NS)
    assert not registrations.is_renewal(SYMBOLS[0])


def test_at_the_end_nothing_is_renewed() -> None:
    registrations = opened(SYMBOLS[:1])
    registrations.renew(SYMBOLS[0])
    registrations.leave()
    registrations.answered(ack(AckKind.UNSUBSCRIBED, SYMBOLS[0]), 0)
    registrations.let_go(SYMBOLS[0], 0)
    assert registrations.registered == ()


def test_the_unsubscription_that_was_not_answered_is_not_waited_for_any_more() -> None:
    """What was said of the request that followed it was taken for its answer, and the refusal came to nothing."""
    registrations = renewed()
    assert asked(registrations, ACK_TIMEOUT_NS) == SYMBOLS[:1]
    change = registrations.answered(ack(AckKind.REJECTED_SYMBOL, SYMBOLS[0]), ACK_TIMEOUT_NS)
    assert change == (SYMBOLS[0], Standing.REJECTED)


def test_what_was_never_asked_for_is_not_unsubscribed_at_the_end() -> None:
    assert opened(SYMBOLS[:3]).registered == (SYMBOLS[0],)


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    registrations = opened(SYMBOLS[:1])
    registrations.renew(SYMBOLS[0])
    registrations.postpone(100)
    registrations.postpone(50)
    assert registrations.next_due() == 100


def failed(count: int) -> Registrations:
    """So many were asked for, and the server failed at once."""
    registrations = some(SYMBOLS)
    for symbol in SYMBOLS[:count]:
        registrations.asked(symbol, 0)
        registrations.answered(ack(AckKind.SERVER_FAILURE, symbol), 0)
    return registrations


def test_where_nothing_is_answered_the_later_ones_are_asked_once_and_then_rarely() -> None:
    registrations = some(SYMBOLS)
    for number, symbol in enumerate(SYMBOLS):
        assert asked(registrations, number * ACK_TIMEOUT_NS) == [symbol]
    assert registrations.due(len(SYMBOLS) * ACK_TIMEOUT_NS) == SYMBOLS[0]
    assert registrations.unanswered == tuple(SYMBOLS[OVERLAP:])


def test_first_requests_in_trouble_put_nothing_off() -> None:
    registrations = failed(OVERLAP)
    for symbol in SYMBOLS[OVERLAP:]:
        registrations.asked(symbol, 0)
        registrations.answered(ack(AckKind.SERVER_FAILURE, symbol), 0)
    assert registrations.next_due() == 30 * SECOND_NS


def test_when_one_is_answered_all_that_failed_are_asked_at_once() -> None:
    registrations = failed(len(SYMBOLS))
    assert registrations.due(SECOND_NS) is None
    registrations.answered(ack(AckKind.SUBSCRIBED, SYMBOLS[5]), SECOND_NS)
    assert len(asked(registrations, SECOND_NS)) == OVERLAP


def test_the_next_trouble_begins_anew() -> None:
    registrations = failed(len(SYMBOLS))
    asks_of(registrations, 600, kind=AckKind.SERVER_FAILURE)
    asks_of(registrations, 130, kind=AckKind.SUBSCRIBED, start=600)
    assert registrations.up == tuple(SYMBOLS)
    now = 1000 * SECOND_NS
    for symbol in SYMBOLS:
        registrations.answered(ack(AckKind.UNSUBSCRIBED, symbol), now)
    first, second, *_ = asks_of(registrations, 1000, kind=AckKind.SERVER_FAILURE, start=1000)
    assert second - first == 30


# -- what is wanted changes

ALL = SYMBOLS[:4]


def all_up(symbols: Sequence[str] = ALL, capacity: int = 41) -> Registrations:
    registrations = some(symbols, capacity=capacity)
    while (symbol := registrations.due(0)) is not None:
        registrations.asked(symbol, 0)
        registrations.answered(ack(AckKind.SUBSCRIBED, symbol), 0)
    assert registrations.up == tuple(symbols)
    return registrations


def parted(now: int = LINGER_NS) -> Registrations:
    """The last one is being let go."""
    registrations = all_up()
    registrations.want(ALL[:-1], 0)
    assert registrations.due(now) == ALL[-1]
    assert registrations.is_unwanted(ALL[-1])
    assert not registrations.is_repeat(ALL[-1])
    registrations.let_go(ALL[-1], now)
    return registrations


def test_it_is_let_go_when_it_has_lingered_and_then_forgotten() -> None:
    registrations = all_up()
    registrations.want(ALL[:-1], 5)
    assert (registrations.up, registrations.lingering) == (tuple(ALL[:-1]), (ALL[-1],))
    assert registrations.due(LINGER_NS + 4) is None
    assert registrations.next_due() == LINGER_NS + 5
    registrations = parted()
    assert registrations.lingering == ()
    assert registrations.due(LINGER_NS) is None
    assert registrations.answered(ack(AckKind.UNSUBSCRIBED, ALL[-1]), 0) == (ALL[-1], Standing.ENDED)
    assert registrations.registered == tuple(ALL[:-1])
    assert registrations.next_due() is None


def test_who_returns_in_time_stays_and_lingers_anew_the_next_time() -> None:
    registrations = all_up()
    registrations.want([], 0)
    registrations.want(ALL, LINGER_NS - 1)
    assert registrations.up == tuple(ALL)
    assert registrations.due(2 * LINGER_NS) is None
    registrations.want(ALL[1:], 2 * LINGER_NS)
    assert registrations.next_due() == 3 * LINGER_NS


@pytest.mark.parametrize("standing", ["never asked", "left out", "rejected"])
def test_what_the_broker_does_not_hold_is_forgotten_at_once(standing: str) -> None:
    registrations = opened(SYMBOLS[:2])
    if standing != "never asked":
        asked(registrations)
        kind = AckKind.OVER_LIMIT if standing == "left out" else AckKind.REJECTED_SYMBOL
        registrations.answered(ack(kind, SYMBOLS[1]), 0)
    registrations.want(SYMBOLS[:1], 0)
    assert registrations.due(10 * LINGER_NS) is None
    assert registrations.registered == (SYMBOLS[0],)
    registrations.want(SYMBOLS[:2], 0)
    expected = {"never asked": Standing.WAITING, "left out": Standing.LEFT_OUT, "rejected": Standing.REJECTED}
    assert registrations.having(expected[standing]) == (SYMBOLS[1],)


def test_one_that_was_refused_before_this_session_is_not_asked_for_when_it_comes_later() -> None:
    registrations = some(SYMBOLS[:1], rejected=SYMBOLS[1:2])
    registrations.want(SYMBOLS[:2], 0)
    assert registrations.having(Standing.REJECTED) == (SYMBOLS[1],)


@pytest.mark.parametrize("kind", [AckKind.SUBSCRIBED, None])
def test_an_unanswered_request_is_waited_for_and_then_let_go(kind: AckKind | None) -> None:
    registrations = opened(SYMBOLS[:2])
    assert asked(registrations) == SYMBOLS[1:2]
    registrations.want(SYMBOLS[:1], 0)
    if kind is not None:
        assert registrations.answered(ack(kind, SYMBOLS[1]), 0) == (SYMBOLS[1], Standing.UP)
    assert registrations.due(LINGER_NS - 1) is None  # nor is it asked for again
    assert registrations.due(LINGER_NS) == SYMBOLS[1]


@pytest.mark.parametrize("kind", [AckKind.SERVER_FAILURE, AckKind.UNKNOWN, None])
def test_an_unsubscription_without_success_is_tried_a_few_times(kind: AckKind | None) -> None:
    registrations = parted()
    tries = [30]
    for second in range(30, 4000):
        if registrations.due(second * SECOND_NS) is not None:
            registrations.let_go(ALL[-1], second * SECOND_NS)
            tries.append(second)
        if kind is not None and tries[-1] == second:
            registrations.answered(ack(kind, ALL[-1]), second * SECOND_NS)
    timeout = 3 if kind is None else 0
    assert [late - early - timeout for early, late in pairwise(tries)] == [30, 60, 120, 300, 600]
    assert registrations.registered == tuple(ALL[:-1])


def test_what_is_late_of_an_unsubscription_ends_it() -> None:
    registrations = parted()
    registrations.due(LINGER_NS + ACK_TIMEOUT_NS)
    assert ALL[-1] in registrations.registered
    registrations.answered(ack(AckKind.UNSUBSCRIBED, ALL[-1]), LINGER_NS + ACK_TIMEOUT_NS)
    assert ALL[-1] not in registrations.registered
    assert registrations.next_due() is None


def test_what_is_heard_of_one_that_was_let_go_does_not_bring_it_up() -> None:
    registrations = parted()
    assert not registrations.heard(ALL[-1])
    assert registrations.answered(ack(AckKind.SUBSCRIBED, ALL[-1]), LINGER_NS).standing is None
    registrations.due(LINGER_NS + ACK_TIMEOUT_NS)
    assert registrations.answered(ack(AckKind.SUBSCRIBED, ALL[-1]), LINGER_NS).standing is None


@pytest.mark.parametrize("kind", [AckKind.UNSUBSCRIBED, AckKind.SERVER_FAILURE])
def test_who_returns_too_late_is_asked_for_after_the_answer_and_pays_for_it(kind: AckKind) -> None:
    registrations = parted()
    registrations.want(ALL, LINGER_NS)
    assert registrations.due(LINGER_NS) is None
    assert registrations.answered(ack(kind, ALL[-1]), LINGER_NS).standing is Standing.WAITING
    assert registrations.due(LINGER_NS) == ALL[-1]
    assert registrations.is_repeat(ALL[-1])
    registrations.grant(ALL[-1])
    assert not registrations.is_repeat(ALL[-1])
    registrations.asked(ALL[-1], LINGER_NS)
    assert registrations.is_repeat(ALL[-1])  # the next one costs again


def test_after_it_was_forgotten_it_is_a_repeat_all_the_same() -> None:
    registrations = parted()
    registrations.answered(ack(AckKind.UNSUBSCRIBED, ALL[-1]), LINGER_NS)
    registrations.want([*ALL, SYMBOLS[9]], LINGER_NS)
    assert (registrations.is_repeat(ALL[-1]), registrations.is_repeat(SYMBOLS[9])) == (True, False)


def test_a_session_has_as_many_first_requests_as_it_has_places() -> None:
    registrations = all_up(capacity=5)
    registrations.want([*ALL, *SYMBOLS[10:12]], 0)
    first = registrations.due(0)
    assert first == SYMBOLS[10]
    assert not registrations.is_repeat(SYMBOLS[10])
    registrations.asked(first, 0)
    assert registrations.is_repeat(SYMBOLS[11])
    registrations.postpone(100)
    assert registrations.unanswered == (SYMBOLS[11],)
    assert registrations.due(99) is None
    assert registrations.next_due() == 100


def test_a_renewal_is_paid_once() -> None:
    registrations = all_up(capacity=4)
    registrations.renew(ALL[0])
    assert registrations.is_repeat(ALL[0])
    registrations.grant(ALL[0])
    registrations.let_go(ALL[0], 0)
    registrations.answered(ack(AckKind.UNSUBSCRIBED, ALL[0]), 0)
    assert registrations.due(0) == ALL[0]
    assert not registrations.is_repeat(ALL[0])
    registrations.asked(ALL[0], 0)
    assert registrations.is_repeat(ALL[0])


def test_one_that_goes_is_not_renewed_any_more() -> None:
    registrations = all_up()
    registrations.renew(ALL[0])
    registrations.want(ALL[1:], 0)
    assert registrations.due(0) is None
    registrations.want(ALL, 0)
    registrations.renew(ALL[0])
    registrations.let_go(ALL[0], 0)
    registrations.want(ALL[1:], 0)
    registrations.answered(ack(AckKind.UNSUBSCRIBED, ALL[0]), 0)
    assert registrations.registered == tuple(ALL[1:])
    assert registrations.next_due() is None


def crowded() -> Registrations:
    """Four places, all taken, one of them by what nobody wants; two new ones, which cost a grant."""
    registrations = all_up(capacity=4)
    registrations.want([*ALL[:3], SYMBOLS[10]], 0)
    return registrations


def test_a_place_is_taken_from_who_lingers_but_not_for_one_that_may_not_be_asked_for() -> None:
    registrations = crowded()
    assert registrations.due(0) == SYMBOLS[10]
    assert registrations.is_repeat(SYMBOLS[10])
    registrations.postpone(100)
    assert registrations.due(99) is None
    assert registrations.next_due() == 100
    assert registrations.due(100) == SYMBOLS[10]
    registrations.grant(SYMBOLS[10])
    assert registrations.due(100) == ALL[3]
    registrations.let_go(ALL[3], 100)
    assert registrations.due(101) is None  # its answer is waited for
    assert registrations.next_due() == 100 + ACK_TIMEOUT_NS
    registrations.answered(ack(AckKind.UNSUBSCRIBED, ALL[3]), 101)
    assert registrations.due(101) == SYMBOLS[10]


def test_where_the_unsubscription_is_not_answered_the_place_counts_as_free() -> None:
    registrations = crowded()
    registrations.grant(SYMBOLS[10])
    registrations.let_go(ALL[3], 0)
    assert registrations.due(ACK_TIMEOUT_NS - 1) is None
    assert registrations.due(ACK_TIMEOUT_NS) == SYMBOLS[10]


def test_with_room_enough_nobody_is_hurried() -> None:
    registrations = all_up(capacity=6)
    registrations.want([*ALL[:3], SYMBOLS[10], SYMBOLS[11]], 0)
    assert asked(registrations) == SYMBOLS[10:12]
    assert registrations.due(LINGER_NS - 1) != ALL[3]


def test_a_place_that_is_left_goes_to_the_first_that_was_left_out() -> None:
    registrations = opened(ALL)
    assert asked(registrations) == ALL[1:]
    registrations.answered(ack(AckKind.SUBSCRIBED, ALL[1]), 0)
    for symbol in ALL[2:]:
        registrations.answered(ack(AckKind.OVER_LIMIT, symbol), 0)
    registrations.want([*ALL[1:], SYMBOLS[10]], 0)
    assert registrations.having(Standing.LEFT_OUT) == (*ALL[2:], SYMBOLS[10])
    assert registrations.due(0) == ALL[0]  # at once: somebody waits for its place
    registrations.let_go(ALL[0], 0)
    assert registrations.due(0) is None
    registrations.answered(ack(AckKind.UNSUBSCRIBED, ALL[0]), 0)
    assert registrations.due(0) == ALL[2]
    registrations.asked(ALL[2], 0)
    assert registrations.due(0) is None
    registrations.answered(ack(AckKind.OVER_LIMIT, ALL[2]), 0)
    assert registrations.having(Standing.LEFT_OUT) == (*ALL[2:], SYMBOLS[10])


def test_a_place_that_nobody_waits_for_is_there_for_the_next_that_comes() -> None:
    registrations = opened(ALL[:3])
    asked(registrations)
    registrations.answered(ack(AckKind.SUBSCRIBED, ALL[1]), 0)
    registrations.answered(ack(AckKind.OVER_LIMIT, ALL[2]), 0)
    registrations.want(ALL[:1], 0)
    registrations.let_go(ALL[1], LINGER_NS)
    registrations.answered(ack(AckKind.UNSUBSCRIBED, ALL[1]), LINGER_NS)
    registrations.want([ALL[0], ALL[3]], LINGER_NS)
    assert registrations.due(LINGER_NS) == ALL[3]


def test_it_is_done_when_nothing_is_wanted_and_all_are_let_go() -> None:
    registrations = all_up(ALL[:1])
    registrations.want([], 0)
    assert not registrations.is_done
    registrations.let_go(ALL[0], LINGER_NS)
    assert not registrations.is_done
    registrations.due(LINGER_NS + ACK_TIMEOUT_NS)
    assert registrations.is_done  # what is still doubtful is unsubscribed once more with the farewell
    assert registrations.registered == (ALL[0],)
    assert some([]).is_done
    assert not some(ALL[:1], rejected=ALL[:1]).is_done


def test_at_the_end_nothing_is_wanted_any_more() -> None:
    registrations = all_up()
    registrations.leave()
    registrations.want(SYMBOLS[10:], 0)
    assert registrations.registered == tuple(ALL)
    assert registrations.due(0) is None


def test_what_is_new_does_not_unsettle_what_is_up_and_what_is_gone_is_not_waited_for() -> None:
    registrations = opened(SYMBOLS[:3])
    asked(registrations)
    assert not registrations.settled
    registrations.want(SYMBOLS[:1], 0)
    assert registrations.settled
    assert registrations.unanswered == ()


def test_one_that_goes_and_returns_while_it_is_being_renewed_waits_for_the_answer() -> None:
    registrations = renewed()
    registrations.want([], 0)
    registrations.want(SYMBOLS[:1], 0)
    assert registrations.due(0) is None
    registrations.answered(ack(AckKind.UNSUBSCRIBED, SYMBOLS[0]), 0)
    assert registrations.due(0) == SYMBOLS[0]
