"""Who is asked when, and what the answers do."""

from itertools import pairwise

import pytest

from engine.kis.protocol import Ack, AckKind
from engine.kis.registrations import ACK_TIMEOUT_NS, OVERLAP, QUICK_ASKS, Registrations, Standing
from engine.kst import SECOND_NS

TR = "H0STPGM0"
SYMBOLS = [f"{n:06d}" for n in range(20)]


def ack(kind: AckKind, symbol: str | None) -> Ack:
    return Ack(kind, "CODE", TR, symbol, "")


def asked(registrations: Registrations, now: int = 0) -> list[str]:
    """Ask for all that may be asked now."""
    found = []
    while (symbol := registrations.due(now)) is not None:
        registrations.asked(symbol, now)
        found.append(symbol)
    return found


def opened(symbols: list[str] = SYMBOLS) -> Registrations:
    """The first is up, so that requests may overlap."""
    registrations = Registrations(symbols)
    registrations.asked(symbols[0], 0)
    registrations.answered(ack(AckKind.SUBSCRIBED, symbols[0]), 0)
    return registrations


def test_one_request_until_the_first_answer_then_several() -> None:
    registrations = Registrations(SYMBOLS)
    assert asked(registrations) == SYMBOLS[:1]
    change = registrations.answered(ack(AckKind.SUBSCRIBED, SYMBOLS[0]), 0)
    assert change == (SYMBOLS[0], Standing.UP)
    assert asked(registrations) == SYMBOLS[1 : 1 + OVERLAP]
    registrations.answered(ack(AckKind.SUBSCRIBED, SYMBOLS[3]), 0)
    assert asked(registrations) == [SYMBOLS[1 + OVERLAP]]


def test_no_answer_is_asked_again_a_few_times_and_then_rarely() -> None:
    registrations = Registrations(["000001"])
    times = []
    for second in range(3600):
        if registrations.due(second * SECOND_NS):
            registrations.asked("000001", second * SECOND_NS)
            times.append(second)
    assert times[:QUICK_ASKS] == [0, 3, 6]
    assert [later - earlier for earlier, later in pairwise(times[2:])][:4] == [33, 63, 123, 303]
    assert len(times) < 13


def test_one_without_an_answer_does_not_hold_up_the_others() -> None:
    registrations = Registrations(SYMBOLS)
    asked(registrations)
    assert asked(registrations, ACK_TIMEOUT_NS) == SYMBOLS[1:2]


def test_a_late_answer_counts() -> None:
    registrations = Registrations(SYMBOLS[:2])
    asked(registrations)
    asked(registrations, ACK_TIMEOUT_NS)
    assert registrations.answered(ack(AckKind.SUBSCRIBED, SYMBOLS[0]), ACK_TIMEOUT_NS).standing is Standing.UP


def test_data_is_as_good_as_an_answer_but_only_for_what_was_asked() -> None:
    registrations = Registrations(SYMBOLS[:2])
    asked(registrations)
    assert registrations.heard(SYMBOLS[0])
    assert not registrations.heard(SYMBOLS[0])
    assert not registrations.heard(SYMBOLS[1])
    assert not registrations.heard("999999")
    assert registrations.up == (SYMBOLS[0],)


def test_an_answer_without_a_symbol_belongs_to_the_only_request() -> None:
    registrations = Registrations(SYMBOLS)
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
    registrations = Registrations(SYMBOLS[:2], rejected=[SYMBOLS[0], "999999"])
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
    registrations = Registrations(["000001"])
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
    registrations = Registrations(SYMBOLS[:1])
    asked(registrations)
    assert registrations.answered(ack(AckKind.SUBSCRIBED, "999999"), 0) == (None, None)
    assert registrations.up == ()
