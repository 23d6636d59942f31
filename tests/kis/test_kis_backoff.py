"""When to connect again, with time and chance passed in."""

import dataclasses
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.model import Backoff
from engine.kis import backoff
from engine.kis.backoff import HOUR_NS, Ending, State
from engine.kst import SECOND_NS

NOW = 1_800_000_000 * SECOND_NS
SETTINGS = Backoff()


def delays(*endings: Ending, random: float = 0.0, settings: Backoff = SETTINGS) -> list[float]:
    """Seconds waited after each of these endings, one right after the other."""
    state, now, waited = State(), NOW, []
    for ending in endings:
        state = backoff.ended(state, ending, now, settings, random)
        waited.append((state.not_before - now) / SECOND_NS)
        now = state.not_before
    return waited


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (Ending.LOST, [3, 6, 12, 24, 48, 60, 60, 60]),
        (Ending.IN_USE, [60, 120, 120]),
        (Ending.CREDENTIALS, [60, 300, 900, 1800, 3600, 3600]),
        (Ending.KEY_REFUSED, [3, 60, 300, 900, 1800, 3600, 3600]),
        (Ending.TOO_OFTEN, [60, 120, 120]),
    ],
)
def test_delays_by_kind(ending: Ending, expected: list[float]) -> None:
    assert delays(*[ending] * len(expected)) == expected


def test_kinds_count_apart() -> None:
    assert delays(Ending.LOST, Ending.IN_USE, Ending.LOST, Ending.CREDENTIALS, Ending.IN_USE) == [3, 60, 6, 60, 120]


def test_settings_count() -> None:
    settings = Backoff.model_validate({"first": "1s", "max": "5s", "in_use": "10s"})
    assert delays(*[Ending.LOST] * 4, settings=settings) == [1, 2, 4, 5]
    assert delays(*[Ending.IN_USE] * 3, settings=settings) == [10, 20, 20]
    assert delays(
        Ending.LOST, settings=Backoff.model_construct(first=timedelta(minutes=2), max=timedelta(minutes=1))
    ) == [60]


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 500))
def test_jitter_spreads_and_never_exceeds_the_maximum(random: float, failures: int) -> None:
    delay, plain = (delays(*[Ending.LOST] * failures, random=r)[-1] for r in (random, 0.0))
    assert delay <= 60
    assert 0.75 * plain <= delay <= 1.25 * plain


def test_jitter_does_spread() -> None:
    assert len({delays(*[Ending.LOST] * n, random=r)[-1] for n in (1, 6, 9) for r in (0.1, 0.5, 0.9)}) == 6


def test_an_attempt_is_at_once_unless_something_ended() -> None:
    assert backoff.ready_at(State(), NOW, SETTINGS) <= NOW
    state = backoff.ended(State(), Ending.LOST, NOW, SETTINGS, 0.0)
    assert backoff.ready_at(state, NOW, SETTINGS) == NOW + 3 * SECOND_NS


def test_no_hour_sees_more_than_the_allowed_attempts() -> None:
    settings = Backoff(max_per_hour=20)
    state, now, attempts = State(), NOW, []
    for _ in range(200):
        now = max(now, backoff.ready_at(state, now, settings))
        state = backoff.attempted(state, now)
        attempts.append(now)
        state = backoff.ended(state, Ending.LOST, now, settings, 0.0)
    assert all(late - early >= HOUR_NS for early, late in zip(attempts, attempts[20:], strict=False))
    assert len(state.attempts) <= 21
    assert attempts[19] - attempts[0] < HOUR_NS / 2  # the limit, not the delays, was what held


def test_a_crash_loop_is_held_too() -> None:
    """Nothing ended, the process just starts again and again: the attempts alone must count."""
    state = State()
    for second in range(20):
        assert backoff.ready_at(state, NOW + second, SETTINGS) <= NOW + second
        state = backoff.attempted(state, NOW + second)
    assert backoff.ready_at(state, NOW + 20, SETTINGS) == NOW + HOUR_NS
    assert backoff.attempts_last_hour(state, NOW + 20) == 20
    assert backoff.attempts_last_hour(state, NOW + HOUR_NS + 20) == 0


def test_only_data_resets_and_not_the_count_of_the_hour() -> None:
    state = backoff.attempted(State(), NOW)
    for ending in Ending:
        state = backoff.ended(state, ending, NOW, SETTINGS, 0.0)
    assert state.failures == len(Ending)
    state = backoff.proven(backoff.attempted(state, NOW))
    assert (state.failures, state.attempts) == (0, (NOW, NOW))
    assert backoff.ended(state, Ending.LOST, NOW, SETTINGS, 0.0).not_before == NOW + 3 * SECOND_NS


def test_a_clock_that_was_ahead_blocks_for_an_hour_at_most() -> None:
    year = 365 * 24 * HOUR_NS
    state = State(attempts=(NOW + year,) * 20, not_before=NOW + year)
    assert backoff.ready_at(state, NOW, SETTINGS) <= NOW + HOUR_NS


def test_the_state_survives_json() -> None:
    state = backoff.ended(backoff.attempted(State(), NOW), Ending.IN_USE, NOW, SETTINGS, 0.5)
    fields = json.loads(json.dumps(dataclasses.asdict(state)))
    assert State(**{**fields, "attempts": tuple(fields["attempts"])}) == state
