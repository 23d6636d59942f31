"""Rounds of repeated requests: three an hour, whatever restarts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kis import budget
from engine.kis.backoff import HOUR_NS
from engine.kst import SECOND_NS

NOW = 1_800_000_000 * SECOND_NS


def test_by_default_it_is_1025_requests_an_hour() -> None:
    assert budget.per_hour(20, 41) == 1025
    assert budget.per_hour(1, 1) == 6


def test_three_rounds_an_hour() -> None:
    rounds: tuple[int, ...] = ()
    for second in range(budget.ROUNDS_PER_HOUR):
        assert budget.ready_at(rounds, NOW + second) <= NOW + second
        rounds = budget.begun(rounds, NOW + second)
    assert budget.ready_at(rounds, NOW + 10) == NOW + HOUR_NS
    assert budget.ready_at(rounds, NOW + HOUR_NS) == NOW + HOUR_NS
    assert budget.begun(rounds, NOW + HOUR_NS) == (NOW + 1, NOW + 2, NOW + HOUR_NS)  # and no more is kept


def test_more_rounds_than_there_should_be_hold_until_all_but_two_are_over() -> None:
    rounds = tuple(NOW + second for second in range(5))
    assert budget.ready_at(rounds, NOW + 10) == NOW + 2 + HOUR_NS


@settings(deadline=None)
@given(st.lists(st.integers(0, 3600), min_size=1, max_size=60))
def test_no_hour_sees_more(waits_s: list[int]) -> None:
    now, rounds, begun = NOW, tuple[int, ...](), list[int]()
    for wait_s in waits_s:
        now = max(now + wait_s * SECOND_NS, budget.ready_at(rounds, now + wait_s * SECOND_NS))
        rounds = budget.begun(rounds, now)
        begun.append(now)
    assert all(late - early >= HOUR_NS for early, late in zip(begun, begun[budget.ROUNDS_PER_HOUR :], strict=False))
